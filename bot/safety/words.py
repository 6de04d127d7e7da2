"""The screen's dictionary: which concepts a word stands for, however it is spelt.

A word of a message is looked up once. If the dictionary does not have it as typed, it is tried as
dialect or text-speak, without a dropped "g", with digits read as letters, with a hidden letter,
with its doubled letters squeezed, and last with one slip of the finger.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from typing import Final

SHORTEST_FOR_TYPOS: Final = 6
"""Letters that a word needs before one wrong letter is forgiven."""

CHILD_NUMBER: Final = "#c"
"""What stands for a figure from 2 to 17 among plain words; `NUMBER` for any other."""
NUMBER: Final = "#n"

_LEET: Final = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "6": "g", "7": "t",
                              "8": "b", "9": "g", "@": "a", "$": "s", "!": "i", "|": "l"})  # fmt: skip
_LEET_L: Final = str.maketrans({"1": "l", "!": "l"})
_DOUBLED: Final = re.compile(r"([a-z])\1")
_SHORT_STEM: Final = re.compile(r"[a-z]*[^aeiou][aeiou][^aeiouwxy]")
_VOWELS: Final = frozenset("aeiou")


def inflect(entry: str) -> list[str]:
    """Spell out `word+` as its forms (kick, kicks, kicked, kicking).

    `++` always doubles the last letter; `+` also does after one short vowel (slap, slapped).
    """
    stem = entry.rstrip("+")
    marks = len(entry) - len(stem)
    if not marks:
        return [entry]
    if marks == 2:
        return [stem, stem + "s", stem + stem[-1] + "ed", stem + stem[-1] + "ing"]
    if stem.endswith("e"):
        return [stem, stem + "s", stem + "d", stem[:-1] + "ing"]
    if stem.endswith("y") and stem[-2] not in _VOWELS:
        return [stem, stem[:-1] + "ies", stem[:-1] + "ied", stem + "ing"]
    plural = stem + ("es" if stem.endswith(("s", "sh", "ch", "x", "z")) else "s")
    forms = [stem, plural, stem + "ed", stem + "ing"]
    if _SHORT_STEM.fullmatch(stem):
        forms += [stem + stem[-1] + "ed", stem + stem[-1] + "ing"]
    return forms


class Dictionary:
    """Words to the numbers of the concepts they stand for; built once, then only read."""

    def __init__(
        self,
        meanings: Mapping[str, Iterable[int]],
        spellings: Mapping[str, str],
        forgiven: Iterable[str],
        never_typos: Iterable[str],
        child_number: int,
        any_number: int,
    ) -> None:
        """`spellings` maps a way of writing to the word meant; `forgiven` are the long words that
        are known with one slip too, and `never_typos` ordinary words that lie so near to one of
        them. The last two are the concepts of numerals."""
        self._meanings: dict[str, tuple[int, ...]] = {
            word: tuple(sorted(set(ids))) for word, ids in meanings.items()
        }
        for odd, plain in spellings.items():
            if plain in self._meanings:
                both = set(self._meanings.get(odd, ())) | set(self._meanings[plain])
                self._meanings[odd] = tuple(sorted(both))
        self._spellings = dict(spellings)
        self._child_number = child_number
        self._any_number = any_number
        self._ordinary = frozenset(never_typos)
        self._hidden: dict[str, str] = {}
        self._slips: dict[str, list[str]] = {}
        self._forgiven = {
            word for word in forgiven if len(word) >= SHORTEST_FOR_TYPOS and word in self._meanings
        }
        for word in sorted(self._meanings):
            if not word.isascii() or not word.isalpha():
                continue
            if len(word) >= 4:
                for place in range(1, len(word)):
                    self._hidden.setdefault(word[:place] + "*" + word[place + 1 :], word)
            if word in self._forgiven:
                for shorter in sorted(_one_letter_less(word)):
                    self._slips.setdefault(shorter, []).append(word)

    def look_up(self, word: str) -> tuple[int, ...]:
        """The concepts of one word; empty if it stands for none."""
        known = self._meanings.get(word)
        if word.isdecimal():
            # Long runs of digits are references; and int() of thousands of digits is refused.
            young = len(word) <= 2 and 2 <= int(word) <= 17
            number = (self._child_number, self._any_number) if young else (self._any_number,)
            return number if known is None else tuple({*known, *number})
        if known is not None:
            return known
        plain = self._unbend(word)
        return () if plain is None else self._meanings[plain]

    def plain(self, word: str, known: Container[str], *, is_read: bool) -> str:
        """The word that is meant: spellings made plain, figures by their size, one slip forgiven.

        Args:
            word: as it was typed.
            known: words that need no guess.
            is_read: whether `look_up` found something: for any other word a guess is in vain.
        """
        if word.isdecimal():
            return CHILD_NUMBER if len(word) <= 2 and 2 <= int(word) <= 17 else NUMBER
        plain = self._spellings.get(word, word)
        if plain in known or word in self._meanings or not is_read:
            return plain
        guess = self._unbend(word)
        return plain if guess is None else self._spellings.get(guess, guess)

    def split(self, word: str) -> list[str]:
        """Part letters that were typed one by one into the words they spell, if they do."""
        if word in self._meanings or len(word) > 40:
            return [word]
        parts: list[str] = []
        start = 0
        while start < len(word):
            for end in range(len(word), start, -1):
                if word[start:end] in self._meanings:
                    parts.append(word[start:end])
                    start = end
                    break
            else:
                return [word]
        return parts

    def _unbend(self, word: str) -> str | None:
        known = self._meanings
        if len(word) > 30:
            return None
        if not word.isalpha():
            if "*" in word:
                return self._hidden.get(word.rstrip("*") if word not in self._hidden else word)
            if not word.isascii():
                return None
            for guess in (word.translate(_LEET), word.translate(_LEET_L).translate(_LEET)):
                if guess in known:
                    return guess
                squeezed = _DOUBLED.sub(r"\1", guess)
                if squeezed in known:
                    return squeezed
            return None
        if word.endswith("in") and word + "g" in known:
            return word + "g"
        squeezed = _DOUBLED.sub(r"\1", word)
        if squeezed != word and len(squeezed) > 2 and squeezed in known and word not in self._ordinary:
            return squeezed
        if len(word) >= SHORTEST_FOR_TYPOS - 1 and word not in self._ordinary:
            return self._one_slip_from(word)
        return None

    def _one_slip_from(self, word: str) -> str | None:
        """The known long word that is one added, lost, wrong or swapped letter away."""
        slips = self._slips
        # A lost letter: the typed word is itself a shortened one. An added letter: a shortened
        # typed word is known. Wrong or swapped: both shorten to the same.
        if word in slips:
            return slips[word][0]
        if len(word) < SHORTEST_FOR_TYPOS:
            return None
        for shorter in sorted(_one_letter_less(word)):
            if shorter in self._forgiven:
                return shorter
            for candidate in slips.get(shorter, ()):
                if _is_one_slip(word, candidate):
                    return candidate
        return None


def _one_letter_less(word: str) -> set[str]:
    return {word[:place] + word[place + 1 :] for place in range(len(word))}


def _is_one_slip(typed: str, meant: str) -> bool:
    """Whether two words of the same length differ by one letter or by two swapped neighbours."""
    if len(typed) != len(meant):
        return False
    differ = [place for place, pair in enumerate(zip(typed, meant, strict=True)) if pair[0] != pair[1]]
    if len(differ) == 1:
        return True
    return (
        len(differ) == 2
        and differ[1] == differ[0] + 1
        and typed[differ[0]] == meant[differ[1]]
        and typed[differ[1]] == meant[differ[0]]
    )
