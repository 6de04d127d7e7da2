"""Long texts leave in parts, cut where a reader would pause."""

from __future__ import annotations

import re
from collections.abc import Callable

_PAUSES = (
    re.compile(r"\n\s*\n"),
    re.compile(r"\n"),
    re.compile(r"(?<=[.!?…])[\"')\]]*\s+"),
    re.compile(r"\s+"),
)
"""Where to cut, the best place first: paragraph, line, sentence, word."""


def utf16_units(letter: str) -> int:
    """A letter as UTF-16 counts it: one beyond U+FFFF is two."""
    return 2 if ord(letter) > 0xFFFF else 1


def utf8_bytes(letter: str) -> int:
    """A letter as UTF-8 counts it: one to four bytes."""
    return len(letter.encode("utf-8", "replace"))


def size(text: str, of_letter: Callable[[str], int]) -> int:
    """The length of a text, as its platform counts."""
    return sum(of_letter(letter) for letter in text)


def cut(text: str, limit: int, of_letter: Callable[[str], int]) -> list[str]:
    """Cut a text into parts of at most `limit`; nothing but space at the cuts is dropped."""
    rest = text.strip()
    parts: list[str] = []
    while size(rest, of_letter) > limit:
        fits = _prefix(rest, limit, of_letter)
        end, after = _place(rest, fits)
        parts.append(rest[:end].rstrip())
        rest = rest[after:].lstrip()
    return [*parts, rest] if rest else parts


def _prefix(text: str, limit: int, of_letter: Callable[[str], int]) -> int:
    """How many letters fit in `limit`."""
    used = 0
    for place, letter in enumerate(text):
        used += of_letter(letter)
        if used > limit:
            return place
    return len(text)


def _place(text: str, fits: int) -> tuple[int, int]:
    """Where the part ends and where the next begins: the last good pause in its second half."""
    for pause in _PAUSES:
        best = None
        for found in pause.finditer(text, fits // 2, min(len(text), fits + 1)):
            if found.start() <= fits:
                best = found
        if best is not None:
            return best.start(), best.end()
    return fits, fits
