"""TF-IDF over words and pieces of words, kept without pickle."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

MANY = 1000
Words = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]
"""The features of one text: their places among all, and their values."""

_KINDS: dict[str, dict[str, Any]] = {
    # One-letter words count ("u ok"), so the pattern takes any run of letters and digits.
    "words": {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"},
    "pieces": {"analyzer": "char_wb", "ngram_range": (3, 5)},
}


@dataclass(frozen=True, slots=True)
class _Part:
    """One kind of feature: how a text is cut, and the place and weight of each thing found."""

    cut: Callable[[str], Iterable[str]]
    places: dict[str, int]
    weights: npt.NDArray[np.float32]

    def row(self, text: str) -> Words:
        """Places and values of one text: as scikit-learn's vectorizer, without its checks.

        Those cost a millisecond for each message; the numbers are the same.
        """
        counted = Counter(place for thing in self.cut(text) if (place := self.places.get(thing)) is not None)
        found = np.fromiter(counted, dtype=np.int32, count=len(counted))
        values = np.fromiter(counted.values(), dtype=np.float32, count=len(counted))
        values = (np.log(values) + 1) * self.weights[found]
        length = float(np.sqrt(values @ values))
        return found, values / length if length else values


class WordFeatures:
    """Word 1-2 grams and character 3-5 grams of a text, as one sparse row each."""

    def __init__(self, vocabularies: Sequence[Sequence[str]], weights: Sequence[npt.NDArray[Any]]) -> None:
        """Keep what was fitted; use `fit` or `load`. One vocabulary and its weights for each kind."""
        self._names = [list(names) for names in vocabularies]
        self._parts = [
            _Part(
                _vectorizer(kind).build_analyzer(),
                {name: place for place, name in enumerate(names)},
                np.asarray(each, dtype=np.float32),
            )
            for kind, names, each in zip(_KINDS, vocabularies, weights, strict=True)
        ]
        self.size = sum(len(names) for names in self._names)

    @classmethod
    def fit(cls, texts: Sequence[str]) -> WordFeatures:
        """Learn the vocabulary and weights from normalised texts (at least one with a word)."""
        # Of many texts, what only one of them has says nothing: it would be most of the memory.
        at_least = 2 if len(texts) >= MANY else 1
        fitted = [_vectorizer(kind, at_least).fit(texts) for kind in _KINDS]
        return cls(
            [sorted(part.vocabulary_, key=part.vocabulary_.__getitem__) for part in fitted],
            [part.idf_ for part in fitted],
        )

    def row(self, text: str) -> Words:
        """Return the places of one text's features, and their values."""
        start = 0
        places, values = [], []
        for part, names in zip(self._parts, self._names, strict=True):
            found, value = part.row(text)
            places.append(found + start)
            values.append(value)
            start += len(names)
        return np.concatenate(places), np.concatenate(values)

    def transform(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """Return one row a text."""
        rows = [self.row(text) for text in texts]
        ends = np.cumsum([0, *(len(places) for places, _ in rows)])
        found = (
            np.concatenate([values for _, values in rows]),
            np.concatenate([places for places, _ in rows]),
            ends,
        )
        return sparse.csr_matrix(found, shape=(len(texts), self.size), dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write vocabulary and weights into `folder`."""
        for kind, part in zip(_KINDS, self._parts, strict=True):
            np.save(folder / f"{kind}_idf.npy", part.weights, allow_pickle=False)
        names = dict(zip(_KINDS, self._names, strict=True))
        (folder / "vocabulary.json").write_text(json.dumps(names, ensure_ascii=False), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> WordFeatures:
        """Read what `save` wrote."""
        names = json.loads((folder / "vocabulary.json").read_text("utf-8"))
        weights = [np.load(folder / f"{kind}_idf.npy", allow_pickle=False) for kind in _KINDS]
        return cls([names[kind] for kind in _KINDS], weights)


def _vectorizer(kind: str, at_least: int = 1) -> TfidfVectorizer:
    return TfidfVectorizer(sublinear_tf=True, dtype=np.float32, min_df=at_least, **_KINDS[kind])
