"""When the desk is open: the days of hours.yml, single dates that differ, bank holidays.

Times of day there are local, on the force's own clock; everything that leaves here is in UTC. On
the night of a clock change "08:00" is still eight in the morning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import holidays

from bot.errors import ContentError

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
REGIONS = {"england-and-wales": "ENG", "scotland": "SCT", "northern-ireland": "NIR"}
"""The names that GOV.UK gives to its lists of bank holidays, as the library `holidays` knows them."""
LONGEST_LOOK = 370
"""Days to look ahead for an open moment. A desk that is not open for a year is not open."""

Spans = tuple[tuple[int, int], ...]
"""Opening times of one day, in minutes after midnight; a night may run past 24 * 60."""


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """The opening hours of the desk, checked."""

    zone: ZoneInfo
    week: tuple[Spans, ...]
    dates: Mapping[date, Spans] = field(default_factory=dict)
    bank_holidays: Mapping[date, str] | None = None
    """None: the desk keeps its usual hours on them."""
    on_bank_holidays: Spans = ()

    @classmethod
    def of(cls, hours: Mapping[str, Any]) -> OpeningHours:
        """Read what hours.yml holds.

        Raises:
            ContentError: something in it cannot be read; says what.
        """
        name = str(hours.get("timezone", "Europe/London"))
        try:
            zone = ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ContentError(
                f"hours.yml: there is no timezone {name}. Name one, as Europe/London."
            ) from error
        days = hours.get("desk", {}).get("days", {})
        bank = hours.get("bank_holidays") or {}
        differs = not bank.get("same_as_usual", True)
        return cls(
            zone,
            tuple(_spans(days.get(day), day) for day in DAYS),
            dict(_exception(one) for one in hours.get("exceptions") or ()),
            _bank_holidays(str(bank.get("region", "england-and-wales"))) if differs else None,
            _spans(bank.get("hours"), "bank_holidays"),
        )

    def is_open(self, at: datetime) -> bool:
        """Whether the desk is open at this moment: opening is open, closing is closed."""
        return any(opens <= at < closes for opens, closes in self._around(at))

    def after(self, at: datetime, work: timedelta) -> datetime:
        """The moment when the desk has been open for so long, counted from `at`."""
        left = work
        for opens, closes in self._around(at):
            if closes <= at:
                continue
            begin = max(opens, at)
            if closes - begin >= left:
                return begin + left
            left -= closes - begin
        # Never open: the plain time counts, so that a wrong file makes nobody wait for ever.
        return at + work

    def next_morning(self, at: datetime) -> datetime:
        """When the desk first opens on a later day than today."""
        today = at.astimezone(self.zone).date()
        for ahead in range(1, LONGEST_LOOK):
            day = today + timedelta(days=ahead)
            for opens, _closes in self._of_day(day):
                return opens
        return at + timedelta(days=1)

    def local(self, at: datetime) -> datetime:
        """The same moment on the force's clock."""
        return at.astimezone(self.zone)

    def _around(self, at: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Opening times from the day before on, in order; the one that a night runs into is there."""
        first = at.astimezone(self.zone).date() - timedelta(days=1)
        for ahead in range(LONGEST_LOOK):
            yield from self._of_day(first + timedelta(days=ahead))

    def _of_day(self, day: date) -> list[tuple[datetime, datetime]]:
        midnight = datetime.combine(day, time())
        return [
            (self._utc(midnight + timedelta(minutes=opens)), self._utc(midnight + timedelta(minutes=closes)))
            for opens, closes in self._spans_of(day)
        ]

    def _utc(self, wall: datetime) -> datetime:
        return wall.replace(tzinfo=self.zone).astimezone(UTC)

    def _spans_of(self, day: date) -> Spans:
        if day in self.dates:
            return self.dates[day]
        # Not `get`: the library works a year out when it is first asked for one of its days.
        if self.bank_holidays is not None and day in self.bank_holidays:
            return self.on_bank_holidays
        return self.week[day.weekday()]


def _bank_holidays(region: str) -> Mapping[date, str]:
    if region not in REGIONS:
        raise ContentError(
            f"hours.yml: there are no bank holidays of '{region}'. Choose one of {', '.join(REGIONS)}."
        )
    found: Mapping[date, str] = holidays.country_holidays("GB", subdiv=REGIONS[region])
    return found


def _exception(item: Any) -> tuple[date, Spans]:
    try:
        day = date.fromisoformat(str(item["date"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ContentError("hours.yml: each of `exceptions` needs a date as YYYY-MM-DD.") from error
    return day, _spans(item.get("hours"), day.isoformat())


def _spans(listed: Any, day: str) -> Spans:
    found = []
    for span in listed or ():
        try:
            opens, closes = _minutes(span["opens"]), _minutes(span["closes"])
        except (KeyError, TypeError, ValueError) as error:
            raise ContentError(
                f'hours.yml: the hours of {day} cannot be read. Write {{opens: "08:00", closes: "22:00"}}.'
            ) from error
        found.append((opens, closes + 24 * 60 if closes <= opens else closes))
    return tuple(sorted(found))


def _minutes(clock: Any) -> int:
    hour, minute = (int(part) for part in str(clock).split(":"))
    if not (0 <= minute < 60 and 0 <= hour * 60 + minute <= 24 * 60):
        raise ValueError(clock)
    return hour * 60 + minute
