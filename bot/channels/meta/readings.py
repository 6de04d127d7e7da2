"""Small readings of Meta's JSON, in which anything may stand anywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

_LATEST = 4_102_444_800.0
"""The year 2100, in seconds: a later time is none."""
_LONGEST_NUMBER = 30
_DEEPEST = 20
_MOST_BREAKS = 20
"""Of a broken body: each costs time, and a body that is only cut off has a few."""


def loaded(body: bytes) -> Any:
    """The JSON of a body. One broken letter in it, or one endless number, costs nobody else their message.

    Raises:
        ValueError, RecursionError: it is no JSON.
    """
    try:
        return json.loads(body, parse_int=_whole_number)
    except UnicodeDecodeError:
        return json.loads(body.decode("utf-8", "replace"), parse_int=_whole_number)


def pieces(body: bytes) -> Iterator[Mapping[str, Any]]:
    """The objects that can be read in a body that is no JSON as a whole; of one that is, none."""
    words = body.decode("utf-8", "replace")
    reader = json.JSONDecoder(strict=False, parse_int=_whole_number)
    at, breaks = words.find("{"), 0
    while at >= 0 and breaks < _MOST_BREAKS:
        try:
            found, end = reader.raw_decode(words, at)
        except (ValueError, RecursionError):
            # Cut off, or broken: what stands inside of it may be whole.
            end, breaks = at + 1, breaks + 1
        else:
            if at == 0 and not words[end:].strip():
                return
            yield found
        at = words.find("{", end)


def _whole_number(word: str) -> int | None:
    return int(word) if len(word) <= _LONGEST_NUMBER else None


def entries(of: object) -> list[Mapping[str, Any]] | None:
    """The entries of a webhook that are any; None: there is no list of such."""
    if not isinstance(of, list):
        return None
    found: list[Mapping[str, Any]] = [one for one in of if isinstance(one, dict)]
    return found if found or not of else None


def text(value: object) -> str:
    """Words, where there are some."""
    return value if isinstance(value, str) else ""


def said(value: object) -> str:
    """What somebody said, where words should stand: them, or every word inside of what stands there."""
    return value if isinstance(value, str) else "\n".join(_inside(value, 0))


def _inside(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth < _DEEPEST:
        inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
        for one in inner:
            yield from _inside(one, depth + 1)


def own_id(event: Mapping[str, Any]) -> str:
    """An id for a message that came without one: the same whenever it comes again."""
    whole = json.dumps(event, sort_keys=True)
    return f"unnamed-{hashlib.sha256(whole.encode()).hexdigest()[:32]}"


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
