"""P1 messages that the door could not store: told at once, from memory, by this gateway alone.

Nobody can see them at any desk, so nothing is waited for. The first leaves by itself; those that
follow are told together once a minute, so that an outage of an hour makes no flood, and never silence.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.handover.alarms.paths import Call, Notice, Outcome
from bot.handover.alarms.plan import Pace, Tried, due_calls
from bot.handover.alarms.rota import PathName, Rota, Step

REMEMBERED = 10_000


@dataclass(slots=True)
class Try:
    """One call, as `plan` reads it; `count` is of how many messages it spoke."""

    path: str
    level: int
    contact: str
    number: int
    started_at: datetime
    ended_at: datetime | None = None
    result: str | None = None
    detail: str = ""
    count: int = 0


@dataclass(slots=True)
class Outage:
    """One stretch of time in which P1 messages could not be stored."""

    key: str
    digest: timedelta
    started_at: datetime
    last_at: datetime
    count: int = 0
    categories: Counter[str] = field(default_factory=Counter)
    channels: Counter[str] = field(default_factory=Counter)
    tries: list[Try] = field(default_factory=list)
    known: OrderedDict[Hashable, None] = field(default_factory=OrderedDict)

    def add(self, channel: str, category: str, key: Hashable, at: datetime) -> bool:
        """Count a message; False: it was counted before (the platform delivers again and again)."""
        self.last_at = max(self.last_at, at)
        if key in self.known:
            return False
        self.known[key] = None
        while len(self.known) > REMEMBERED:
            self.known.popitem(last=False)
        self.count += 1
        self.categories[category] += 1
        self.channels[channel] += 1
        return True

    def notice(self) -> Notice:
        """What is told."""
        most = self.categories.most_common(1)
        return Notice(
            key=self.key,
            kind="unstored",
            raised_at=self.started_at,
            since=self.started_at,
            grade="P1",
            category=most[0][0] if len(self.categories) == 1 else "",
            count=self.count,
        )

    def due(self, rota: Rota, paths: Iterable[PathName], moment: datetime, pace: Pace) -> list[Call]:
        """The calls to make now."""

        def since(step: Step, mine: Sequence[Tried]) -> datetime:
            """A telling ends with the minute, if there are more messages than it spoke of."""
            taken = [one for one in mine if isinstance(one, Try) and one.result == "taken"]
            last = max(taken, key=lambda one: one.started_at, default=None)
            if last is not None and last.count < self.count and last.started_at + self.digest <= moment:
                return max(step.at, last.started_at + timedelta(microseconds=1))
            return step.at

        return due_calls(rota, paths, self.started_at, moment, self.tries, pace, since)

    def begin(self, call: Call, moment: datetime) -> Try:
        """A call is under way."""
        one = Try(call.path, call.level, call.contact.name, call.number, moment, count=self.count)
        self.tries.append(one)
        return one

    @property
    def is_calling(self) -> bool:
        """Whether a call is under way."""
        return any(one.ended_at is None for one in self.tries)


def end(one: Try, outcome: Outcome, moment: datetime) -> None:
    """Write down what became of a call."""
    one.ended_at, one.result, one.detail = moment, outcome.result, outcome.detail
