"""Plain words for the model: dialect, text-speak and wrong spelling become the ordinary word.

The sentence model was trained on standard English. "Wheres me nearest polis shop at the morra" is far
from everything it knows; "where is my nearest police shop at tomorrow" is not. Three steps:

1. "A" that stands for "I" ("how div a get it back").
2. The force's list (`spellings` of the screen's word file): dialect, text-speak, usual misspellings. A few
   more are here, and two sounds: "lookin", "roond".
3. A word that is in neither the training examples nor the sentence model's vocabulary becomes the
   training word that sounds the same, or lies one or two letters away (Damerau-Levenshtein).

A word that is an ordinary one is never changed, so nothing that is spelled well gets lost.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import jellyfish
import yaml
from rapidfuzz import process
from rapidfuzz.distance import DamerauLevenshtein

from bot.nlu.normalise import normalise

_WORD: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_SENTENCE_END: Final = re.compile(r"[.!?;\n]+(?=\s|$)")
_FILE: Final = "plain.json"
PIECE_WORDS: Final = 4
"""A sentence shorter than this says too little by itself."""
MOST_PIECES: Final = 4
SEEN_OFTEN: Final = 2
"""A training word counts as a word when this many examples have it: one may be a slip."""
SHORTEST: Final = 4
"""Letters of the shortest word that is corrected; shorter ones have too many neighbours."""
TWO_SLIPS: Final = 7
"""Letters of the shortest word that may be two letters away."""
# How people are called is meaning here, not spelling: a mother stays "mam" for the model's examples.
_KEPT: Final = frozenset(
    {"w", "n", "em", "da", "ken", "gear", "filth", "pigs", "noo", "int", "wit", "folk", "folks"}
)


# Dialect that the force's list does not have: the screen needs none of these.
_MORE: Final = {
    "whee": "who", "whee's": "who is", "div": "do", "dee": "do", "deein": "doing", "aal": "all", "wu": "we",
    "ah": "i", "aa": "i", "a'm": "i am", "ah'm": "i am", "aa'm": "i am", "a'll": "i will", "a'd": "i would",
    "a've": "i have", "wi'oot": "without", "gie": "give", "gien": "given", "yon": "that", "mebbe": "maybe",
    "allooed": "allowed", "deef": "deaf", "hoosehold": "household", "young'uns": "children",
}  # fmt: skip
_A_FOR_I: Final = re.compile(
    r"\b(?P<before>(?:how|where|who|whee|what|when|why) (?:do|div) )a(?= )"
    r"|\ba(?= (?:div|divvent|divn't|dont|don't|didnt|didn't|cannit|canna|cant|can't|was|am|hev|have|had|think"
    r"|thowt|reckon|kna|knaa|know|seen|get|gan|telt|told|would|should|could)\b)"
)


class PlainWords:
    """Rewrites normalised texts. Made by `fit`, kept with the model."""

    def __init__(
        self, spellings: Mapping[str, str], vocabulary: Iterable[str], ordinary: Iterable[str]
    ) -> None:
        """Keep a list of spellings, the training words, and all words that are well spelled."""
        self._spellings = dict(spellings)
        self._vocabulary = sorted(set(vocabulary))
        self._well_spelled = frozenset(ordinary)
        self._ordinary = self._well_spelled | frozenset(self._vocabulary)
        self._sounds: dict[str, list[str]] = {}
        for word in self._vocabulary:
            if len(word) >= SHORTEST:
                self._sounds.setdefault(jellyfish.metaphone(word), []).append(word)
        self._long = [word for word in self._vocabulary if len(word) >= SHORTEST]
        self._corrected = lru_cache(maxsize=20_000)(self._correct)

    @classmethod
    def fit(cls, texts: Iterable[str], spellings: Mapping[str, str], ordinary: Iterable[str]) -> PlainWords:
        """Learn the vocabulary from normalised training texts."""
        counts = Counter(
            spellings.get(word, word) for text in texts for word in set(_WORD.findall(text)) if word.isascii()
        )
        kept = [word for word, count in counts.items() if count >= SEEN_OFTEN]
        return cls(spellings, kept, ordinary)

    def plain(self, text: str) -> str:
        """Return a normalised text in plain words."""
        return _WORD.sub(self._replaced, _A_FOR_I.sub(lambda found: (found["before"] or "") + "i", text))

    def of(self, text: str) -> str:
        """Return a text as it came in plain words."""
        return self.plain(normalise(text))

    def pieces(self, text: str) -> list[str]:
        """Return the sentences of a text as it came, in plain words; none where it has only one.

        Short ones stay with what follows: "Hi. I lost my phone" is one question.
        """
        found: list[str] = []
        short = ""
        for part in _SENTENCE_END.split(text):
            plain = f"{short} {self.of(part)}".strip()
            if len(plain.split()) < PIECE_WORDS:
                short = plain
                continue
            found.append(plain)
            short = ""
        if short and found:
            found[-1] = f"{found[-1]} {short}"
        return found[:MOST_PIECES] if len(found) > 1 else []

    def _replaced(self, match: re.Match[str]) -> str:
        word = match.group()
        known = self._spellings.get(word)
        if known is not None:
            return known
        if (sound := self._as_it_sounds(word)) is not None:
            return sound
        if word in self._ordinary or len(word) < SHORTEST or not word.isalpha() or not word.isascii():
            return word
        return self._corrected(word)

    def _as_it_sounds(self, word: str) -> str | None:
        """Return the well-spelled word of "lookin" or "roond", None for any other."""
        if len(word) <= SHORTEST or word in self._well_spelled:
            return None
        tried = [f"{word}g"] if word.endswith("in") else []
        tried += [word.replace("oo", sound) for sound in ("ou", "ow") if "oo" in word]
        return next((each for each in tried if each in self._well_spelled), None)

    def _correct(self, word: str) -> str:
        """Return the training word that was meant, or the word itself."""
        alike = self._sounds.get(jellyfish.metaphone(word), [])
        slips = 2 if len(word) >= TWO_SLIPS else 1
        near = process.extract(
            word, self._long, scorer=DamerauLevenshtein.distance, score_cutoff=slips, limit=3
        )
        found = [(distance - (name in alike), name) for name, distance, _ in near]
        found += [
            (distance, name)
            for name in alike
            if (distance := DamerauLevenshtein.distance(word, name, score_cutoff=3)) <= 3
            and name[0] == word[0]
        ]
        return min(found)[1] if found else word

    def save(self, folder: Path) -> None:
        """Write what was learned into `folder`."""
        kept = {
            "spellings": self._spellings,
            "vocabulary": self._vocabulary,
            "ordinary": sorted(self._well_spelled),
        }
        (folder / _FILE).write_text(json.dumps(kept, ensure_ascii=False), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> PlainWords:
        """Read what `save` wrote."""
        kept: dict[str, Any] = json.loads((folder / _FILE).read_text("utf-8"))
        return cls(kept["spellings"], kept["vocabulary"], kept["ordinary"])


def read_spellings(path: Path) -> dict[str, str]:
    """Return each single-word variant and its plain word, from the `spellings` of a word file.

    Only the words are read here; `bot.safety` reads and checks the whole file.
    """
    given = yaml.safe_load(path.read_text("utf-8")).get("spellings", {})
    found: dict[str, str] = dict(_MORE)
    for plain, variants in given.items():
        for variant in str(variants).split(","):
            word = normalise(variant)
            if word and " " not in word and word != plain and word not in _KEPT:
                found[word] = str(plain)
    return found


def ordinary_words(vocabulary: Path) -> list[str]:
    """Return the whole words of the sentence model's word-piece vocabulary."""
    words = vocabulary.read_text("utf-8").splitlines()
    return [word for word in words if len(word) >= SHORTEST and word.isascii() and word.isalpha()]
