"""What the open pages of one gateway read together: the events since their place, and who may see what.

Every page hears every bell. Read one by one, a hundred pages would ask the database four hundred things
for each message of a person; together they ask for as many as there are places and kinds of reader.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row

from bot.console.owed import Owed, list_owed
from bot.console.reading import Danger, read_danger, standing_of
from bot.core import Core
from bot.messages import Actor
from bot.store.record import Cursor, events_after
from bot.store.together import Lanes, Together

BATCH = 500
"""Events that one look takes at most."""

FEW = 4
"""Pages whose own part is read at a time: more would take the connections and be no sooner done."""

Place = tuple[Cursor, Actor]
"""After which event a page wants to know, and what its reader may see (`sight_of`)."""
Seen = tuple[Sequence[Row[Any]], Mapping[int, Row[Any]]]
"""The events, and how those of their conversations stand that the reader may see."""


class Looks:
    """Looks for all pages that wait at this moment. See `Together` for what nobody can miss."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._store = core.store
        self._together = Together(self._read)
        self._dangers = Lanes(self._read_danger)
        self._owed = Lanes(self._read_owed)
        self.few = asyncio.Semaphore(FEW)
        """For what each reader is told alone: many may ask at once, and claims must not wait behind."""

    async def ask(self, cursor: Cursor, sight: Actor) -> Seen:
        """The events after this place, for somebody with this sight.

        Raises:
            StoreUnavailableError: the database cannot be reached.
        """
        return await self._together.ask((cursor, sight))

    async def _read(self, places: Iterable[Place]) -> dict[Place, Seen]:
        found: dict[Place, Seen] = {}
        events: dict[Cursor, list[Row[Any]]] = {}
        async with self._store.read() as connection:
            for place in places:
                cursor, sight = place
                if cursor not in events:
                    events[cursor] = await events_after(connection, cursor, limit=BATCH)
                ids = {one.conversation_id for one in events[cursor] if one.conversation_id is not None}
                found[place] = events[cursor], await standing_of(connection, ids, sight)
        return found

    async def danger(self, sight: Actor) -> Danger:
        """What rings and who is silent, for somebody with this sight.

        Raises:
            StoreUnavailableError: the database cannot be reached.
        """
        return await self._dangers.ask(sight)

    async def _read_danger(self, sight: Actor) -> Danger:
        async with self._store.read() as connection:
            return await read_danger(connection, sight)

    async def owed(self, sight: Actor) -> list[Owed]:
        """What supervisors with this sight are told that staff owe.

        Raises:
            StoreUnavailableError: the database cannot be reached.
        """
        return await self._owed.ask(sight)

    async def _read_owed(self, sight: Actor) -> list[Owed]:
        async with self._store.read() as connection:
            return await list_owed(connection, sight, self._core.limits)
