"""Rows of a channel that this gateway does not have, or that may not go live yet."""

from __future__ import annotations

import pytest

from bot.errors import RetryLaterError
from bot.messages import Incoming
from bot.store.tables import Outbox
from tests.conversations.test_outbox import queue
from tests.support.channel import Fault, RecordingChannel
from tests.support.world import P1, PLAIN, World, open_world

pytestmark = pytest.mark.integration


async def states(world: World, person: str) -> list[tuple[str, str]]:
    """What became of everything meant for a person."""
    return [(row.kind, row.state) for row in await world.outbox(person)]


async def test_a_gateway_that_has_the_channel_finds_the_row_that_another_left(
    world: World, database_url: str
) -> None:
    """While a channel is switched on, one gateway knows it and the other does not."""
    new = RecordingChannel(name="new")
    async with open_world(database_url, world.rasa, world.clock, platform=new) as knows_it:
        await knows_it.core.door.accept([Incoming("new", "zed", "z1", P1)])
        await world.settle()
        rows = await world.outbox("zed")
        assert rows[0].kind == "safety"
        assert {row.state for row in rows} == {"queued"}
        await knows_it.settle()
        assert new.texts("zed")[0] == world.words("R09", "P1")
        assert {state for _, state in await states(world, "zed")} == {"sent"}


async def test_what_nobody_takes_fails_after_ten_minutes_where_the_desk_sees_it(world: World) -> None:
    """A channel that is switched off for good."""
    await world.core.door.accept([Incoming("gone", "zed", "z1", PLAIN)])
    await world.settle()
    await world.tick(minutes=9)
    assert {state for _, state in await states(world, "zed")} == {"queued"}
    await world.tick(minutes=2)
    rows = await world.outbox("zed")
    assert {row.state for row in rows} == {"failed"}
    assert {row.detail for row in rows} == {"this channel is switched off"}
    told = [event.data for event in await world.events("outbox.state")]
    assert {one["outbox"] for one in told if one["state"] == "failed"} == {row.id for row in rows}


async def test_words_of_danger_wait_for_hours_for_a_gateway_that_carries_them(world: World) -> None:
    """As long as words of danger are tried anywhere else."""
    await world.core.door.accept([Incoming("gone", "zed", "z1", P1)])
    await world.tick(minutes=11)
    assert {state for _, state in await states(world, "zed")} == {"queued"}
    await world.tick(minutes=12 * 60)
    assert {state for kind, state in await states(world, "zed") if kind == "safety"} == {"failed"}


async def test_whoever_comes_back_gives_nothing_up_at_once(world: World, database_url: str) -> None:
    """After an outage all look at the same moment: whoever carries the row has to have the time to take it."""
    await world.core.door.accept([Incoming("gone", "zed", "z1", PLAIN)])
    await world.core.turns.drain(30)
    world.move(minutes=11)
    async with open_world(database_url, world.rasa, world.clock) as came_back:
        await came_back.send()
        assert {state for _, state in await states(world, "zed")} == {"queued"}
        world.move(minutes=11)
        await came_back.send()
        assert {state for _, state in await states(world, "zed")} == {"failed"}


async def test_what_never_ran_sends_nothing_when_it_stops(world: World) -> None:
    """A command, or a gateway that may not go live: what waits is for those that run."""
    await world.say(PLAIN)
    world.heard()
    waits = await queue(world, "staff", "a reply of before")
    # Long enough for a send to begin.
    await world.core.outbox.stop(20.0)
    assert world.heard() == []
    (row,) = await world.rows(Outbox, id=waits)
    assert row.state == "queued"


async def test_a_channel_that_another_gateway_is_busy_with_is_left_to_it(
    world: World, database_url: str
) -> None:
    """However late its rows are: it has shown that it is there."""
    new = RecordingChannel(name="new")
    async with open_world(database_url, world.rasa, world.clock, platform=new) as knows_it:
        for person in ("zed", "joe"):
            await knows_it.core.door.accept([Incoming("new", person, f"{person}1", PLAIN)])
        await knows_it.core.turns.drain(30)
        world.move(minutes=11)
        await knows_it.core.outbox.send_next((await world.conversation("joe")).id)
        await world.send()
        assert await states(world, "joe") == [("assistant", "sent")]
        assert await states(world, "zed") == [("assistant", "queued")]
        await knows_it.send()
        assert await states(world, "zed") == [("assistant", "sent")]


async def test_what_waits_behind_a_retry_is_not_given_up(world: World, database_url: str) -> None:
    """It is due for long, but it is not its turn."""
    new = RecordingChannel(name="new")
    async with open_world(database_url, world.rasa, world.clock, platform=new) as knows_it:
        new.fail_next(Fault(RetryLaterError("away", 3600)))
        await knows_it.core.door.accept([Incoming("new", "zed", "z1", PLAIN)])
        await knows_it.settle()
        await queue(knows_it, "notice", "later", "zed")
        world.move(minutes=30)
        await world.send()
        assert {state for _, state in await states(world, "zed")} == {"queued"}


async def test_a_channel_that_is_held_back_sends_words_of_danger_and_nothing_else(world: World) -> None:
    """They overtake what was written before it was held back, which waits."""
    await world.say(PLAIN)
    world.heard()
    world.core.outbox.held_back = frozenset({"test"})
    waits = await queue(world, "staff", "a reply of before")
    await world.say(P1)
    assert world.heard() == [world.words("R09", "P1")]
    (row,) = await world.rows(Outbox, id=waits)
    assert row.state == "queued"

    await world.tick(minutes=11)
    assert world.heard() == []
    (row,) = await world.rows(Outbox, id=waits)
    assert (row.state, row.detail) == ("failed", "this channel may not go live yet")


async def test_what_waited_leaves_in_order_once_the_channel_may_go_live(world: World) -> None:
    """Whoever waits for it is not forgotten."""
    await world.say(PLAIN)
    world.heard()
    world.core.outbox.held_back = frozenset({"test"})
    for text in ("1", "2"):
        await queue(world, "staff", text)
    await world.send()
    assert world.heard() == []
    world.core.outbox.held_back = frozenset()
    await world.send()
    assert world.heard() == ["1", "2"]


async def test_a_gateway_that_starts_tells_its_outbox_what_is_held_back(world: World) -> None:
    """Before the first row leaves."""
    await world.say(PLAIN)
    world.heard()
    await queue(world, "staff", "a reply of before")
    world.core.held_back = frozenset({"test"})
    await world.core.start()
    await world.send()
    assert world.heard() == []
