"""What a platform tells of a person who says nothing: a sign under a message, a new number.

It is shown in their newest conversation and owes nobody an answer. It opens none, ends no silence, and
starts no clock: nobody has written.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.conversations import people
from bot.conversations.stored import store_message
from bot.messages import DOOR, Incoming
from bot.store.record import add_audit, add_event
from bot.store.tables import Conversation, Person


async def keep(connection: AsyncConnection, incoming: Incoming) -> tuple[int, int] | None:
    """Show it. Returns the ids of message and conversation; None where there is nothing to show it in."""
    # Of a new number the other id is the new one's: whoever moved is known by the old one alone.
    asked = replace(incoming, also="") if incoming.kind == "moved" else incoming
    person = await people.find(connection, asked)
    if person is None:
        return None
    if incoming.kind == "moved" and not await _move(connection, incoming, person):
        if not incoming.moved_to:
            return None
        # They write from there already: that chat stays apart, and whoever reads this one has to know.
        incoming = replace(incoming, kind="moved_apart")
    conversation = await _newest(connection, person)
    if conversation is None:
        return None
    message_id = await store_message(connection, incoming, person, conversation, ())
    if message_id is None:
        return None
    if incoming.kind == "moved":
        # The ids themselves are a person's: the record of what was done does without them.
        await add_audit(connection, DOOR, "person.moved", conversation.id, conversation.epoch)
    await add_event(connection, conversation.id, "message.received", {"message": message_id, "aside": True})
    return message_id, int(conversation.id)


async def _move(connection: AsyncConnection, incoming: Incoming, person: Row[Any]) -> bool:
    """Know the person by a new id from now on, unless somebody else is known by it already."""
    taken = await connection.execute(
        select(Person.id)
        .where(people.is_known_as(incoming.channel, incoming.moved_to), Person.id != person.id)
        .limit(1)
    )
    if not incoming.moved_to or taken.scalar_one_or_none() is not None:
        return False
    await connection.execute(
        update(Person).where(Person.id == person.id).values(platform_id=incoming.moved_to)
    )
    await people.tie(connection, person.id, incoming.channel, incoming.also)
    return True


async def _newest(connection: AsyncConnection, person: Row[Any]) -> Row[Any] | None:
    found = await connection.execute(
        select(Conversation.__table__)
        .where(Conversation.person_id == person.id)
        .order_by(Conversation.id.desc())
        .limit(1)
    )
    return found.one_or_none()
