"""Conversations put into a state directly, for tests of what follows from it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, update

from bot.messages import Grade
from bot.store.record import now
from bot.store.tables import Conversation
from tests.support.world import World


async def put(
    world: World, state: str, grade: Grade | None = None, person: str = "ann", **values: Any
) -> Row[Any]:
    """Somebody who wrote "hello", and whose conversation is in this state."""
    await world.say("hello", person)
    return await _change(world, person, state=state, grade=grade, category="R20" if grade else None, **values)


async def waits(world: World, person: str, *texts: str, grade: str | None = "P3", **values: Any) -> Row[Any]:
    """Somebody who wrote these ("hello"), and waits for the digital desk since now."""
    for text in texts or ("hello",):
        await world.say(text, person)
    given = {
        "state": "waiting",
        "grade": grade,
        "category": "R20",
        "team": "digital_desk",
        "waiting_since": now(),
    }
    return await _change(world, person, **given | values)


async def _change(world: World, person: str, **values: Any) -> Row[Any]:
    row = await world.conversation(person)
    async with world.store.write() as connection:
        await connection.execute(update(Conversation).where(Conversation.id == row.id).values(**values))
    world.heard(person)
    return await world.conversation(person)
