"""Calls that come at the same moment are stored together: one transaction, one commit, for several.

Whoever comes while nothing is being stored is stored at once and alone. In a crowd the line grows, and so
do the groups that leave it; those who may be in danger leave it first, in groups of their own. What one
person wrote keeps its order all the same: what they wrote before leaves the line with it, or has left.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog

from bot.errors import StoreUnavailableError
from bot.messages import Arrival

log = structlog.get_logger(__name__)

LANES = 4
"""Transactions at a time: more of them only wait for each other, and leave no connection for anybody else."""
MOST_TOGETHER = 24
"""Calls of one transaction at most: it locks the rows of all who wrote until it ends."""


T = TypeVar("T")


class TogetherError(StoreUnavailableError):
    """The database is there, and refused what several calls brought together."""


@dataclass(slots=True, eq=False)
class Call(Generic[T]):
    """What one call of a platform brought."""

    arrivals: Sequence[Arrival]
    people: frozenset[Hashable]
    """Who wrote, or is written about."""
    done: asyncio.Future[None]
    """Ends after the commit, or with what kept it from being stored."""
    accepted: list[T] = field(default_factory=list)
    """What became of each message."""


class Gathering(Generic[T]):
    """The line before the database.

    `store` stores what several calls brought, all of it or nothing, and starts what follows.
    """

    def __init__(self, store: Callable[[Sequence[Call[T]]], Awaitable[None]], lanes: int = LANES) -> None:
        self._store = store
        self._lanes = lanes
        self._urgent: deque[Call[T]] = deque()
        self._others: deque[Call[T]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._busy: set[Hashable] = set()
        """Those of whom something is being stored."""
        self._calm = asyncio.Event()
        self._calm.set()

    @property
    def length(self) -> int:
        """How many calls wait."""
        return len(self._urgent) + len(self._others)

    def join(self, arrivals: Sequence[Arrival], people: frozenset[Hashable], *, is_urgent: bool) -> Call[T]:
        """Stand in line. The call is stored whether or not somebody goes on waiting for it."""
        call = Call[T](arrivals, people, asyncio.get_running_loop().create_future())
        # Nobody may be left to hear of it.
        call.done.add_done_callback(_heard)
        if is_urgent:
            self._hurry(people)
            self._urgent.append(call)
        else:
            self._others.append(call)
        if len(self._running) < self._lanes:
            lane = asyncio.create_task(self._lane(), name="door")
            self._running.add(lane)
            lane.add_done_callback(self._running.discard)
        else:
            self._calm.clear()
        return call

    def leave(self, call: Call[T]) -> None:
        """Whoever called has hung up: what was not begun is not stored. The platform delivers it again."""
        for line in (self._urgent, self._others):
            if call in line:
                line.remove(call)
        call.done.cancel()

    async def until_calm(self, seconds: float) -> None:
        """Return when nobody stands in line, after `seconds` at the latest: who writes goes before answers."""
        if self._calm.is_set():
            return
        try:
            async with asyncio.timeout(seconds):
                await self._calm.wait()
        except TimeoutError:
            return

    async def stop(self, seconds: float) -> None:
        """Let what stands in line be stored, for so many seconds at most."""
        if self._running:
            await asyncio.wait(set(self._running), timeout=seconds)

    async def _lane(self) -> None:
        while group := self._next():
            people = frozenset[Hashable]().union(*(call.people for call in group))
            self._busy |= people
            try:
                await self._keep(group)
            finally:
                # Who is busy is busy in one group only: `_next` passes them over.
                self._busy -= people
        if not self.length:
            self._calm.set()

    def _hurry(self, people: frozenset[Hashable]) -> None:
        """What these people wrote before goes before what they write now, and all that has to go before that."""
        wanted, before, stay = set(people), deque[Call[T]](), deque[Call[T]]()
        for call in reversed(self._others):
            if call.people & wanted:
                wanted |= call.people
                before.appendleft(call)
            else:
                stay.appendleft(call)
        self._others = stay
        self._urgent.extend(before)

    def _next(self) -> list[Call[T]]:
        group = _leaving(self._urgent, set(self._busy))
        if not group:
            held = self._busy.union(*(call.people for call in self._urgent))
            group = _leaving(self._others, held)
        return group

    async def _keep(self, group: Sequence[Call[T]]) -> None:
        try:
            await self._store(group)
        except Exception as error:
            is_away = isinstance(error, StoreUnavailableError) and not isinstance(error, TogetherError)
            if is_away or len(group) == 1:
                _end(group, error)
                return
            # One of them cannot be kept as it is: it must not take the others with it.
            log.warning("door.apart", count=len(group), error=type(error).__name__)
            for call in group:
                await self._keep([call])
        else:
            _end(group, None)


def _leaving(line: deque[Call[T]], held: set[Hashable]) -> list[Call[T]]:
    """Take the first of a line out of it, but for those who are `held`, and whoever stands behind them in
    one call: the lane that stores what they wrote before looks again when it has."""
    group: list[Call[T]] = []
    passed: list[Call[T]] = []
    while line and len(group) < MOST_TOGETHER:
        call = line.popleft()
        if call.people & held:
            held |= call.people
            passed.append(call)
        else:
            group.append(call)
    line.extendleft(reversed(passed))
    return group


def _end(group: Sequence[Call[T]], error: BaseException | None) -> None:
    for call in group:
        if call.done.done():
            continue
        if error is None:
            call.done.set_result(None)
        else:
            call.done.set_exception(error)


def _heard(done: asyncio.Future[None]) -> None:
    if not done.cancelled():
        done.exception()
