"""Which calls an alarm needs now: worked out anew each time from the rota and from what was tried.

There is no other state. Whatever process looks next, after whatever crash, finds the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from bot.handover.alarms.paths import Call
from bot.handover.alarms.rota import Contact, PathName, Rota, Step


class Tried(Protocol):
    """One call that was begun, on record or in memory."""

    @property
    def path(self) -> str: ...
    @property
    def level(self) -> int: ...
    @property
    def contact(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def ended_at(self) -> datetime | None: ...
    @property
    def result(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How soon a failed call is made again: at first after `first_seconds`, then twice that, and so on."""

    first_seconds: float = 2.0
    longest_seconds: float = 60.0
    lost_seconds: float = 30.0
    """A call without an end is taken for lost then: its gateway died. It is made again."""

    def after(self, failures: int) -> timedelta:
        """The pause after so many failures in a row."""
        return timedelta(seconds=min(self.longest_seconds, self.first_seconds * 2 ** min(failures - 1, 20)))


Since = Callable[[Step, Sequence[Tried]], datetime]
"""From when on the tries of a contact count; earlier ones belong to another telling."""


def _since_step(step: Step, _mine: Sequence[Tried]) -> datetime:
    return step.at


def due_calls(
    rota: Rota,
    paths: Iterable[PathName],
    raised_at: datetime,
    moment: datetime,
    tried: Sequence[Tried],
    pace: Pace,
    since: Since = _since_step,
) -> list[Call]:
    """The calls to make at this moment. Each path and contact by itself: none waits for another."""
    moment = max(moment, raised_at)
    found: list[Call] = []
    for step, path, contact, mine in _told(rota, paths, raised_at, moment, tried):
        start = since(step, mine)
        if is_ready([one for one in mine if one.started_at >= start], moment, pace):
            number = 1 + max((one.number for one in mine), default=0)
            found.append(Call(path, step.level, rota.levels[step.level].name, contact, number, start))
    return found


def _told(
    rota: Rota,
    paths: Iterable[PathName],
    raised_at: datetime,
    moment: datetime,
    tried: Sequence[Tried],
) -> Iterator[tuple[Step, PathName, Contact, list[Tried]]]:
    chosen = tuple(paths)
    for step in rota.steps(raised_at, moment):
        for path in chosen:
            for contact in rota.levels[step.level].reached_by(path):
                mine = [
                    one
                    for one in tried
                    if one.path == path and one.level == step.level and one.contact == contact.name
                ]
                yield step, path, contact, mine


def is_ready(tried: Sequence[Tried], moment: datetime, pace: Pace) -> bool:
    """Whether a contact is to be called now, after these tries of the same telling."""
    failures, last = 0, None
    for one in tried:
        if one.result in ("taken", "rejected"):
            return False
        if one.ended_at is None:
            if one.started_at + timedelta(seconds=pace.lost_seconds) > moment:
                return False
            continue
        failures += 1
        last = one.ended_at if last is None else max(last, one.ended_at)
    return last is None or last + pace.after(failures) <= moment


def is_told(
    rota: Rota, paths: Iterable[PathName], raised_at: datetime, moment: datetime, tried: Sequence[Tried]
) -> bool:
    """Whether each path has come to an end with everybody of the levels reached, one at least well."""
    results = [
        {one.result for one in mine if one.started_at >= step.at}
        for step, _, _, mine in _told(rota, paths, raised_at, max(moment, raised_at), tried)
    ]
    return (
        bool(results)
        and all(found & {"taken", "rejected"} for found in results)
        and any("taken" in found for found in results)
    )
