"""How an account on a platform stands: the newest word, for as long as it holds, and what staff read of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from bot.conversations import standing
from bot.messages import Standing
from bot.store import tables
from bot.store.record import now
from tests.support.world import World

pytestmark = pytest.mark.integration

WHY = "Nothing has come from it since noon."


def word(
    topic: str, says: str = "well", why: str = "", channel: str = "test", seconds: float = 0
) -> Standing:
    """A word of `seconds` ago."""
    at = now() - timedelta(seconds=seconds)
    return Standing(channel, "1603", topic, says, says != "well", at, why)


async def wrong(world: World) -> dict[str, list[str]]:
    """What watchers are told."""
    async with world.store.read() as connection:
        return await standing.degraded(connection)


async def warnings(world: World) -> list[str]:
    """What staff are told."""
    await world.core.standings.sweep()
    return world.core.standings.warnings({"test": "The Platform"})


async def test_a_platforms_word_stands_until_the_next(world: World) -> None:
    """However long that takes; an older one that comes late changes nothing."""
    await world.core.door.accept([word("quality", "FLAGGED"), word("text:sorry_late", "DISABLED_UPDATE")])
    world.move(hours=100)
    assert await wrong(world) == {"test": ["quality", "text:sorry_late"]}
    assert await warnings(world) == [
        "The Platform is degraded. The platform says of our quality: flagged. "
        "The platform says of our text sorry_late: disabled update."
    ]
    await world.core.door.accept([word("quality", seconds=101 * 3600)])
    assert await wrong(world) == {"test": ["quality", "text:sorry_late"]}
    await world.core.door.accept([word("quality"), word("text:sorry_late")])
    assert await wrong(world) == {}
    assert await warnings(world) == []


async def test_what_a_gateway_sees_ends_unless_it_is_said_again(world: World) -> None:
    """A gateway that is gone says nothing any more; what is well leaves no row."""
    await standing.say(world.store, [word("calls")])
    async with world.store.read() as connection:
        assert (await connection.execute(select(tables.Standing.__table__))).all() == []
    for _ in range(5):
        await standing.say(world.store, [word("incoming", "silent", WHY)])
        assert await warnings(world) == [f"The Platform is degraded. {WHY}"]
        world.move(seconds=100)
    assert await wrong(world) == {"test": ["incoming"]}
    world.move(seconds=30)
    assert await wrong(world) == {}
    assert await warnings(world) == []

    await standing.say(world.store, [word("incoming", "silent", WHY)])
    await standing.say(world.store, [word("incoming")])
    assert await wrong(world) == {}


async def test_of_two_gateways_the_one_that_saw_something_last_is_right(world: World) -> None:
    """The other one says the same as before, and is not heard."""
    await standing.say(world.store, [word("outgoing", "refused", WHY, seconds=20)])
    await standing.say(world.store, [word("outgoing", seconds=30)])
    assert await wrong(world) == {"test": ["outgoing"]}
    await standing.say(world.store, [word("outgoing", seconds=10)])
    await standing.say(world.store, [word("outgoing", "refused", WHY, seconds=20)])
    assert await wrong(world) == {}


async def test_of_a_channel_that_is_off_staff_hear_nothing(world: World) -> None:
    """Nobody can do anything about it at the desk."""
    await world.core.door.accept([word("quality", "FLAGGED", channel="whatsapp")])
    assert await wrong(world) == {"whatsapp": ["quality"]}
    assert await warnings(world) == []
