"""Long texts leave in parts, cut where a reader would pause."""

from __future__ import annotations

from bot.channels.cut import cut, size, utf16_units

MAX_UNITS = 4096
"""Of one message, after entities (core.telegram.org/bots/api#sendmessage), in UTF-16 code units."""


def units(text: str) -> int:
    """The length as Telegram counts it: a letter beyond U+FFFF is two."""
    return size(text, utf16_units)


def split(text: str, limit: int = MAX_UNITS) -> list[str]:
    """Cut a text into parts of at most `limit` UTF-16 units; nothing but space at the cuts is dropped."""
    return cut(text, limit, utf16_units)
