"""Many who ask at the same moment are answered by one reading.

A hundred pages of the desk hear of a change in the same instant, and each looks. What they look for is
the same, or can be read for all of them with one statement. Nobody is ever given what was read before
they asked: whoever comes while a reading runs gets the next one, together with all who come meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Together(Generic[K, V]):
    """Reads for all who ask at once. `read` is given what they ask for, and has an answer for each."""

    def __init__(self, read: Callable[[Iterable[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._read = read
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

    async def _run(self, asked: set[K], before: asyncio.Task[Mapping[K, V]] | None) -> Mapping[K, V]:
        if before is not None:
            await asyncio.wait([before])
        # From here on nobody may join: they might miss what they have come for.
        self._running, self._next = self._next, None
        return await self._read(asked)


class Lanes(Generic[K, V]):
    """The same where each key is a reading of its own: they do not wait for each other."""

    def __init__(self, read: Callable[[K], Awaitable[V]]) -> None:
        self._read = read
        self._lanes: dict[K, Together[K, V]] = {}
        self._busy: dict[K, int] = {}

    async def ask(self, key: K) -> V:
        """What a reading of `key` gives that begins after this call (see `Together.ask`)."""
        lane = self._lanes.setdefault(key, Together(self._one))
        self._busy[key] = self._busy.get(key, 0) + 1
        try:
            return await lane.ask(key)
        finally:
            self._busy[key] -= 1
            if not self._busy[key]:
                # Keys come from addresses: what nobody waits for is forgotten.
                del self._lanes[key], self._busy[key]

    async def _one(self, keys: Iterable[K]) -> Mapping[K, V]:
        return {key: await self._read(key) for key in keys}


def _looked_at(task: asyncio.Task[object]) -> None:
    """An error that nobody waits for any more is nobody's."""
    if not task.cancelled():
        task.exception()
