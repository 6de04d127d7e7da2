"""Ownership functions run as one transaction each, for the tests of the ownership table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Row

from bot.handover import ownership
from bot.messages import DOOR, Grade, Hit
from tests.support.world import World


async def change(world: World, work: Callable[[Any], Awaitable[Any]]) -> Any:
    """Run one ownership function in its own transaction."""
    async with world.store.write() as connection:
        return await work(connection)


def hit(grade: Grade, category: str = "R13") -> Hit:
    return Hit(category, grade, "staff", ("a test",))


async def escalate(world: World, row: Row[Any], grade: Grade, category: str = "R13") -> ownership.Raised:
    async def work(connection: Any) -> ownership.Raised:
        fresh = await ownership.get(connection, row.id)
        return await ownership.escalate(connection, fresh, [hit(grade, category)], DOOR, team="digital_desk")

    raised: ownership.Raised = await change(world, work)
    return raised
