"""Is the digital desk open at this moment? Read from force/<force>/hours.yml.

A small language of its own, the same as that file's: days with opening spans in local time, single
dates that differ, and a time zone. A span may end at "24:00" or run past midnight ("20:00" to "02:00").
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class HoursError(ValueError):
    """hours.yml cannot be read as opening hours."""


def force_folder() -> Path:
    """Return the folder of the force that we serve (environment: FRONTCOUNTER_FORCE)."""
    root = Path(__file__).resolve().parent.parent
    named = Path(os.environ.get("FRONTCOUNTER_FORCE") or "force/northumbria")
    return named if named.is_absolute() else root / named


@lru_cache(maxsize=2)
def load_hours(path: Path, _changed: float = 0.0) -> Mapping[str, Any]:
    """Return the content of an hours file.

    Raises:
        HoursError: if it is not a mapping with a desk.
    """
    content = yaml.safe_load(path.read_text("utf-8"))
    if not isinstance(content, dict) or not isinstance(content.get("desk"), dict):
        raise HoursError(f"{path.name} has no `desk`")
    return content


def desk_is_open(hours: Mapping[str, Any], now: datetime) -> bool:
    """Say whether the desk is open at `now`, an aware time: opening is open, closing is closed.

    Raises:
        HoursError: if a time of day or a day's list is malformed.
    """
    local = now.astimezone(ZoneInfo(hours.get("timezone", "Europe/London")))
    # Wall-clock comparison: on the night of a clock change "08:00" is still eight in the morning.
    clock = local.replace(tzinfo=None)
    return any(
        opens <= clock < closes
        for day in (clock.date() - timedelta(days=1), clock.date())
        for opens, closes in _spans(hours, day)
    )


def _spans(hours: Mapping[str, Any], day: date) -> list[tuple[datetime, datetime]]:
    """Return the opening spans that start on a local date."""
    listed = hours["desk"].get("days", {}).get(_DAYS[day.weekday()])
    for exception in hours.get("exceptions") or []:
        if str(exception.get("date")) == day.isoformat():
            listed = exception.get("hours")
    spans = []
    for span in listed or []:
        try:
            opens, closes = _minutes(span["opens"]), _minutes(span["closes"])
        except (KeyError, TypeError, ValueError) as error:
            raise HoursError(f"opening hours of {day:%A} cannot be read") from error
        midnight = datetime.combine(day, time())
        if closes <= opens:
            closes += 24 * 60
        spans.append((midnight + timedelta(minutes=opens), midnight + timedelta(minutes=closes)))
    return spans


def _minutes(clock: str) -> int:
    hour, minute = (int(part) for part in str(clock).split(":"))
    if not (0 <= minute < 60 and 0 <= hour * 60 + minute <= 24 * 60):
        raise ValueError(clock)
    return hour * 60 + minute
