"""Long texts leave in parts, cut where a reader would pause."""

from __future__ import annotations

import re
from collections.abc import Callable

OfLetter = Callable[[str], int]
"""How much a letter counts on a platform."""

_WORD = re.compile(r"\s+")
_PAUSES = (
    re.compile(r"\n\s*\n"),
    re.compile(r"\n"),
    re.compile(r"(?<=[.!?…])[\"')\]]*\s+"),
    _WORD,
)
"""Where to cut, the best place first: paragraph, line, sentence, word."""
_WHOLE = re.compile(r"\+?\d(?:[ \u00a0-]?\d)+|^\d{1,3}\. ", re.MULTILINE)
"""What stays whole although there is space in it: a telephone number, and the number before a choice."""


def one_each(_letter: str) -> int:
    """A letter as most people count it: one."""
    return 1


def utf16_units(letter: str) -> int:
    """A letter as UTF-16 counts it: one beyond U+FFFF is two."""
    return 2 if ord(letter) > 0xFFFF else 1


def utf8_bytes(letter: str) -> int:
    """A letter as UTF-8 counts it: one to four bytes."""
    return len(letter.encode("utf-8", "replace"))


def size(text: str, of_letter: OfLetter) -> int:
    """The length of a text, as its platform counts."""
    return sum(of_letter(letter) for letter in text)


def cut(text: str, limit: int, of_letter: OfLetter) -> list[str]:
    """Cut a text into parts of at most `limit`; nothing but space at the cuts is dropped.

    No link, telephone number or word is cut in two, unless it is longer than a part by itself.
    """
    rest = text.strip()
    parts: list[str] = []
    while size(rest, of_letter) > limit:
        fits = _prefix(rest, limit, of_letter)
        end, after = _place(rest, fits)
        parts.append(rest[:end].rstrip())
        rest = rest[after:].lstrip()
    return [*parts, rest] if rest else parts


def _prefix(text: str, limit: int, of_letter: OfLetter) -> int:
    """How many letters fit in `limit`."""
    used = 0
    for place, letter in enumerate(text):
        used += of_letter(letter)
        if used > limit:
            return place
    return len(text)


def _place(text: str, fits: int) -> tuple[int, int]:
    """Where the part ends and where the next begins: the last good pause in its second half.

    Without one there: the last space before that. Only where there is none at all is a word cut.
    """
    whole = _whole(text, fits)
    for pause in _PAUSES:
        if (found := _last(pause, text, fits // 2, fits, whole)) is not None:
            return found
    return _last(_WORD, text, 0, fits, whole) or _last(_WORD, text, 0, fits, []) or (fits, fits)


def _last(
    pause: re.Pattern[str], text: str, start: int, fits: int, whole: list[tuple[int, int]]
) -> tuple[int, int] | None:
    best = None
    for found in pause.finditer(text, start, min(len(text), fits + 1)):
        inside = any(first < found.start() and found.end() <= end for first, end in whole)
        if found.start() <= fits and not inside:
            best = found.start(), found.end()
    return best


def _whole(text: str, fits: int) -> list[tuple[int, int]]:
    """Where something stands that has space in it and stays whole, as far as a part reaches."""
    found = []
    for one in _WHOLE.finditer(text):
        if one.start() > fits:
            break
        found.append(one.span())
    return found
