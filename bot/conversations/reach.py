"""Whether messages reach a person: they may have blocked us on their platform, and taken it back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, exists, or_, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.conversations.people import is_known_as
from bot.messages import Incoming, Reach
from bot.store.record import now
from bot.store.tables import Message, Person


async def take(connection: AsyncConnection, reach: Reach) -> None:
    """Keep whether messages reach a person we know.

    Word that is older than what is kept is dropped, and so is a block older than a message of theirs:
    whoever wrote after it has taken it back.
    """
    wrote_later = exists().where(Message.person_id == Person.id, Message.platform_time > reach.at)
    await connection.execute(
        update(Person)
        .where(
            is_known_as(reach.channel, reach.person),
            or_(Person.reach_at.is_(None), Person.reach_at <= reach.at),
            true() if reach.reachable else ~wrote_later,
        )
        .values(left_at=None if reach.reachable else reach.at, reach_at=reach.at)
    )


async def is_back(connection: AsyncConnection, incoming: Incoming, person: Row[Any]) -> None:
    """Whoever writes to us has us no longer blocked."""
    written = incoming.platform_time or now()
    if written > person.left_at:
        await connection.execute(
            update(Person).where(Person.id == person.id).values(left_at=None, reach_at=written)
        )
