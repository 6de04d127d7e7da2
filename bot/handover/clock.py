"""How soon a person of the staff has to answer, and what a reply does to that clock.

`conversation.reply_due_at` holds the moment of the reply that is owed; None: none is. It is set
when a chat begins to wait and when somebody writes to staff, moved nearer by a rise of grade, and
cleared by a staff reply. The limits are the force's own (clock.yml).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import ContentError
from bot.handover.hours import OpeningHours
from bot.messages import GRADES, Actor
from bot.store.record import add_audit, change_conversation, now

DEFAULTS: Mapping[str, Any] = {
    "P1": {"first_minutes": 1, "next_minutes": 1, "hours": "always"},
    "P2": {"first_minutes": 5, "next_minutes": 5, "hours": "always"},
    "P3": {"first_minutes": 30, "next_minutes": 30, "hours": "open"},
    "P4": {"first_minutes": 240, "next_minutes": 240, "hours": "open"},
    "warn_percent": 80,
    "incident_hours": [20, 23, 24],
    "window_minutes": 60,
}
"""What holds where a release of before has no clock of its own."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The limits of one grade."""

    first: timedelta
    next: timedelta
    only_open: bool


@dataclass(frozen=True, slots=True)
class ReplyLimits:
    """The limits of all grades, on the force's own clock."""

    limits: Mapping[str, Limit]
    hours: OpeningHours
    round_the_clock: frozenset[str]
    """Teams that are on shift day and night."""
    warn_share: float
    incident_warnings: tuple[timedelta, ...]
    """After the first report of a crime or a risk; the last is the limit itself."""
    window_warning: timedelta

    @classmethod
    def of(cls, clock: Mapping[str, Any], hours: Mapping[str, Any], teams: Mapping[str, Any]) -> ReplyLimits:
        """Read what clock.yml, hours.yml and teams.yml hold.

        Raises:
            ContentError: something cannot be read; says what.
        """
        known = {**DEFAULTS, **clock}
        steps = known["incident_hours"]
        if not isinstance(steps, list) or not steps or steps != sorted(steps):
            raise ContentError("clock.yml: incident_hours is a list of hours, the smallest first.")
        return cls(
            {grade: _limit(grade, known[grade]) for grade in GRADES},
            OpeningHours.of(hours),
            frozenset(key for key, team in teams.get("teams", {}).items() if team.get("round_the_clock")),
            _number(known, "warn_percent", 1, 99) / 100,
            tuple(timedelta(hours=float(step)) for step in steps),
            timedelta(minutes=_number(known, "window_minutes", 1, 24 * 60)),
        )

    def due(
        self, grade: str | None, team: str | None, since: datetime, *, first: bool, share: float = 1.0
    ) -> datetime:
        """When a reply is due that somebody has waited for since `since`, or a share of that time."""
        limit = self.limits.get(grade or "P4") or self.limits["P4"]
        allowed = (limit.first if first else limit.next) * share
        if limit.only_open and team not in self.round_the_clock:
            return self.hours.after(since, allowed)
        return since + allowed

    def warning(self, grade: str | None, team: str | None, since: datetime, *, first: bool) -> datetime:
        """When to warn of it."""
        return self.due(grade, team, since, first=first, share=self.warn_share)


def _limit(grade: str, given: Any) -> Limit:
    if not isinstance(given, Mapping) or given.get("hours") not in ("always", "open"):
        raise ContentError(
            f"clock.yml ({grade}): write first_minutes, next_minutes, and hours: always or open."
        )
    first, following = (_number(given, key, 0.1, 7 * 24 * 60) for key in ("first_minutes", "next_minutes"))
    return Limit(timedelta(minutes=first), timedelta(minutes=following), given["hours"] == "open")


def _number(given: Mapping[str, Any], key: str, least: float, most: float) -> float:
    value = given.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ContentError(f"clock.yml: {key} is a number from {least:g} to {most:g}.")
    return float(value)


async def staff_replied(connection: AsyncConnection, row: Row[Any], actor: Actor) -> None:
    """A member of staff has answered: nothing is owed any more. `row` is locked by the caller.

    A reply after its time leaves an audit row that says how late it was.
    """
    at = now()
    if row.reply_due_at is not None and at > row.reply_due_at:
        await add_audit(
            connection, actor, "breach.over", row.id, row.epoch, grade=row.grade, team=row.team,
            seconds=int((at - row.reply_due_at).total_seconds()), first=row.first_reply_at is None,
        )  # fmt: skip
    await change_conversation(
        connection, row.id, last_staff_at=at, reply_due_at=None, first_reply_at=row.first_reply_at or at
    )
