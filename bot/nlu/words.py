"""TF-IDF over words and pieces of words, kept without pickle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

_KINDS: dict[str, dict[str, Any]] = {
    # One-letter words count ("u ok"), so the pattern takes any run of letters and digits.
    "words": {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"},
    "pieces": {"analyzer": "char_wb", "ngram_range": (3, 5)},
}


class WordFeatures:
    """Word 1-2 grams and character 3-5 grams of a text, as one sparse row each."""

    def __init__(self, parts: list[TfidfVectorizer]) -> None:
        """Keep fitted parts; use `fit` or `load`."""
        self._parts = parts

    @classmethod
    def fit(cls, texts: Sequence[str]) -> WordFeatures:
        """Learn the vocabulary and weights from normalised texts (at least one with a word)."""
        return cls([_vectorizer(kind).fit(texts) for kind in _KINDS])

    def transform(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """Return one row a text."""
        rows = sparse.hstack([part.transform(texts) for part in self._parts])
        return sparse.csr_matrix(rows, dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write vocabulary and weights into `folder`."""
        names = {}
        for kind, part in zip(_KINDS, self._parts, strict=True):
            ordered = sorted(part.vocabulary_, key=part.vocabulary_.__getitem__)
            names[kind] = ordered
            np.save(folder / f"{kind}_idf.npy", part.idf_, allow_pickle=False)
        (folder / "vocabulary.json").write_text(json.dumps(names, ensure_ascii=False), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> WordFeatures:
        """Read what `save` wrote."""
        names = json.loads((folder / "vocabulary.json").read_text("utf-8"))
        parts = []
        for kind in _KINDS:
            part = _vectorizer(kind, {name: place for place, name in enumerate(names[kind])})
            part.idf_ = np.load(folder / f"{kind}_idf.npy", allow_pickle=False)
            parts.append(part)
        return cls(parts)


def _vectorizer(kind: str, vocabulary: dict[str, int] | None = None) -> TfidfVectorizer:
    return TfidfVectorizer(vocabulary=vocabulary, sublinear_tf=True, dtype=np.float32, **_KINDS[kind])
