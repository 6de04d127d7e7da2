"""Many who ask at the same moment are answered by one reading.

A hundred pages of the desk hear of a change in the same instant, and each looks. What they look for is
the same, or can be read for all of them with one statement. Nobody is ever given what was read before
they asked: whoever comes while a reading runs gets the next one, together with all who come meanwhile.

A `Pace` lets some time pass between two readings, so that many changes cost one. What cannot wait hurries
it; the first who ask after a quiet while never wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


HURRIED_SECONDS = 0.1
"""Between two readings in a hurry: those who come a moment later still share one."""


class Pace:
    """How soon one reading may follow another."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._hurried = asyncio.Event()
        self._hurry_until = -math.inf

    def hurry(self, seconds: float) -> None:
        """Whoever waits goes on, and for so long nobody waits for more than a moment."""
        self._hurry_until = time.monotonic() + seconds
        self._hurried.set()

    async def rest(self, since: float) -> None:
        """Return when the next reading may begin; the last one did at `since` (monotonic)."""
        left = since + self.seconds - time.monotonic()
        if left <= 0:
            return
        if time.monotonic() >= self._hurry_until:
            self._hurried.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._hurried.wait()
        moment = since + min(self.seconds, HURRIED_SECONDS) - time.monotonic()
        if moment > 0:
            await asyncio.sleep(moment)


AT_ONCE = Pace(0.0)


class Together(Generic[K, V]):
    """Reads for all who ask at once. `read` is given what they ask for, and has an answer for each."""

    def __init__(self, read: Callable[[Iterable[K]], Awaitable[Mapping[K, V]]], pace: Pace = AT_ONCE) -> None:
        self._read = read
        self._pace = pace
        self._began = -math.inf
        self._asked: set[K] = set()
        self._running: asyncio.Task[Mapping[K, V]] | None = None
        self._next: asyncio.Task[Mapping[K, V]] | None = None

    async def ask(self, key: K) -> V:
        """What a reading gives that begins after this call.

        Raises:
            Exception: whatever the reading ended with, for all who wait for it.
        """
        if self._next is None:
            self._asked = set()
            self._next = asyncio.create_task(self._run(self._asked, self._running), name="together")
            self._next.add_done_callback(_looked_at)
        self._asked.add(key)
        # One who goes away takes the answer from nobody else.
        return (await asyncio.shield(self._next))[key]

    def rests_for(self) -> float:
        """Seconds until the pause after the last reading is over."""
        return self._began + self._pace.seconds - time.monotonic()

    async def _run(self, asked: set[K], before: asyncio.Task[Mapping[K, V]] | None) -> Mapping[K, V]:
        if before is not None:
            await asyncio.wait([before])
        await self._pace.rest(self._began)
        self._began = time.monotonic()
        # From here on nobody may join: they might miss what they have come for.
        self._running, self._next = self._next, None
        return await self._read(asked)


class Lanes(Generic[K, V]):
    """The same where each key is a reading of its own: they do not wait for each other."""

    def __init__(self, read: Callable[[K], Awaitable[V]], pace: Pace = AT_ONCE) -> None:
        self._read = read
        self._pace = pace
        self._lanes: dict[K, Together[K, V]] = {}
        self._busy: dict[K, int] = {}

    async def ask(self, key: K) -> V:
        """What a reading of `key` gives that begins after this call (see `Together.ask`)."""
        lane = self._lanes.setdefault(key, Together(self._one, self._pace))
        self._busy[key] = self._busy.get(key, 0) + 1
        try:
            return await lane.ask(key)
        finally:
            self._busy[key] -= 1
            self._forget(key)

    def _forget(self, key: K) -> None:
        """Keys come from addresses: a lane that nobody waits in stays only for the pause after its reading."""
        if self._busy.get(key) != 0:
            return
        left = self._lanes[key].rests_for()
        if left > 0:
            asyncio.get_running_loop().call_later(left, self._forget, key)
        else:
            del self._lanes[key], self._busy[key]

    async def _one(self, keys: Iterable[K]) -> Mapping[K, V]:
        return {key: await self._read(key) for key in keys}


def _looked_at(task: asyncio.Task[object]) -> None:
    """An error that nobody waits for any more is nobody's."""
    if not task.cancelled():
        task.exception()
