"""Small readings of Meta's JSON, in which anything may stand anywhere."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_CHOICE = re.compile(r"\s*(\d{1,2})[.)]?\s*")
_LATEST = 4_102_444_800.0
"""The year 2100, in seconds: a later time is none."""


def text(value: object) -> str:
    """Words, where there are some."""
    return value if isinstance(value, str) else ""


def choice(words: str) -> int | None:
    """The number that somebody typed and nothing else, as from a numbered list."""
    typed = _CHOICE.fullmatch(words)
    return int(typed[1]) if typed else None


def number(value: object) -> float | None:
    """A number that is one."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def place(latitude: object, longitude: object) -> tuple[float | None, float | None]:
    """A place on earth, in degrees; nothing where it is none."""
    north, east = number(latitude), number(longitude)
    if north is None or east is None:
        return None, None
    # Said so that what is no number at all (NaN) is no place either.
    return (north, east) if abs(north) <= 90 and abs(east) <= 180 else (None, None)


def moment(value: object) -> datetime | None:
    """A time of Meta's: milliseconds, in some events seconds, in some as words."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 20:
        value = int(value)
    found = number(value)
    if found is None:
        return None
    seconds = found / 1000 if found > 100_000_000_000 else found
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < _LATEST else None
