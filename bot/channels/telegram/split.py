"""Long texts leave in parts, cut where a reader would pause."""

from __future__ import annotations

import re

MAX_UNITS = 4096
"""Of one message, after entities (core.telegram.org/bots/api#sendmessage), in UTF-16 code units."""

_PAUSES = (
    re.compile(r"\n\s*\n"),
    re.compile(r"\n"),
    re.compile(r"(?<=[.!?…])[\"')\]]*\s+"),
    re.compile(r"\s+"),
)
"""Where to cut, the best place first: paragraph, line, sentence, word."""


def units(text: str) -> int:
    """The length as Telegram counts it: a letter beyond U+FFFF is two."""
    return len(text) + sum(1 for letter in text if ord(letter) > 0xFFFF)


def split(text: str, limit: int = MAX_UNITS) -> list[str]:
    """Cut a text into parts of at most `limit` UTF-16 units; nothing but space at the cuts is dropped."""
    rest = text.strip()
    parts: list[str] = []
    while units(rest) > limit:
        fits = _prefix(rest, limit)
        cut, after = _place(rest, fits)
        parts.append(rest[:cut].rstrip())
        rest = rest[after:].lstrip()
    return [*parts, rest] if rest else parts


def _prefix(text: str, limit: int) -> int:
    """How many letters fit in `limit` units."""
    used = 0
    for place, letter in enumerate(text):
        used += 2 if ord(letter) > 0xFFFF else 1
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
