"""Takes what a call held through the door, and remembers which message of a person's came last."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from sqlalchemy import select

from bot.channels.keeping import keep
from bot.channels.parts import Parts
from bot.conversations.door import keepable
from bot.errors import UnavailableError
from bot.messages import Arrival, Incoming
from bot.store.tables import Message, Person

REMEMBERED = 10_000
LOOK_SECONDS = 1.0


class Intake:
    """Hands arrivals to the door. Safe to call with the same ones again."""

    def __init__(self, parts: Parts, channel: str) -> None:
        self._parts = parts
        self._channel = channel
        self._last: OrderedDict[str, str] = OrderedDict()

    async def take(self, arrivals: Sequence[Arrival]) -> set[Arrival]:
        """Store everything in one transaction. Returns what was not kept: its id stands for other words.

        Raises:
            DoorClosedError: the store is down; words for a P1 have left directly. Nothing was kept.
        """
        if not arrivals:
            return set()
        for one in arrivals:
            if isinstance(one, Incoming) and one.edit_of is None:
                self._note(one.person, one.message_id)
        await keep(self._parts.door, arrivals, self._channel)
        changed = await self._changed([one for one in arrivals if isinstance(one, Incoming)])
        await self.warn(changed)
        return set(changed)

    async def warn(self, refused: Sequence[Incoming]) -> None:
        """Nothing of these is kept. Whoever wrote of danger sees the 999 words all the same."""
        await self._parts.door.tell_directly(refused)

    async def last_of(self, person: str, *, stored: bool = True) -> str | None:
        """The id of the message that a person wrote last; `stored`: what the record says counts first."""
        known = self._last.get(person)
        if not stored:
            return known
        query = (
            select(Message.platform_id)
            .join(Person, Person.id == Message.person_id)
            .where(Person.channel == self._channel, Person.platform_id == person, Message.edit_of.is_(None))
            .order_by(Message.id.desc())
            .limit(1)
        )
        try:
            async with asyncio.timeout(LOOK_SECONDS), self._parts.store.read() as connection:
                return (await connection.execute(query)).scalar_one_or_none() or known
        except (UnavailableError, TimeoutError):
            # A reply finds its person without it.
            return known

    def _note(self, person: str, message_id: str) -> None:
        self._last[person] = message_id
        self._last.move_to_end(person)
        while len(self._last) > REMEMBERED:
            self._last.popitem(last=False)

    async def _changed(self, incomings: Sequence[Incoming]) -> list[Incoming]:
        """Those whose id was used before, for something else: a repeat says the same again."""
        if not incomings:
            return []
        async with self._parts.store.read() as connection:
            rows = await connection.execute(
                select(
                    Message.platform_id, Message.kind, Message.text, Message.latitude, Message.longitude,
                    Person.platform_id.label("person"),
                )
                .join(Person, Person.id == Message.person_id)
                .where(
                    Message.channel == self._channel,
                    Message.platform_id.in_({one.message_id for one in incomings}),
                )
            )  # fmt: skip
            kept = {row.platform_id: row for row in rows}
        found = []
        for one in incomings:
            row, same = kept.get(one.message_id), keepable(one)
            if row is None or not isinstance(same, Incoming):
                continue
            was = (row.text, row.latitude, row.longitude)
            # What a press or a number stands for is on record in other words than it came in.
            differs = row.kind == one.kind != "button" and was != (same.text, one.latitude, one.longitude)
            if row.person != one.person or differs:
                found.append(one)
        return found
