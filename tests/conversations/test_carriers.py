"""Rows of a channel that this gateway does not have, or that may not go live yet."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from sqlalchemy import Row

from bot.conversations import carriers
from bot.errors import RetryLaterError
from bot.messages import Comment, Incoming
from bot.store.record import add_due
from bot.store.tables import Due, Outbox, PublicComment
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


async def test_attempts_of_other_channels_do_not_hide_those_of_a_row_s_own(
    world: World, database_url: str
) -> None:
    """All of them stand in one table, and a busy channel makes thousands."""
    new = RecordingChannel(name="new")
    async with open_world(database_url, world.rasa, world.clock, platform=new) as knows_it:
        for person in ("zed", "joe"):
            await knows_it.core.door.accept([Incoming("new", person, f"{person}1", PLAIN)])
        await knows_it.core.turns.drain(30)
        world.move(minutes=11)
        await knows_it.core.outbox.send_next((await world.conversation("joe")).id)
        with mock.patch.object(carriers, "LOOK_BACK", 2):
            for person in ("a", "b", "c"):
                await world.say(PLAIN, person)
            await world.send()
        assert await states(world, "zed") == [("assistant", "queued")]


class HidingChannel(RecordingChannel):
    """A channel of comments that hides them."""

    hidden: list[str]

    async def hide(self, comment: str, *, hidden: bool) -> None:
        """Hide one."""
        self.hidden = [*getattr(self, "hidden", []), comment]


async def wanted(world: World, person: str) -> int:
    """Somebody has commented, and it is to be hidden: the id of the comment."""
    stands = Comment("post1", f"{person}.c", person)
    await world.core.door.accept(
        [Incoming("facebook-comments", f"post1/{person}", f"{person}.c", "hello", comment=stands)]
    )
    (kept,) = await world.rows(PublicComment, platform_id=f"{person}.c")
    async with world.store.write() as connection:
        await add_due(
            connection, "comment.hide", timedelta(), key=f"comment.hide:{kept.id}",
            conversation_id=kept.conversation_id, data={"comment": kept.id},
        )  # fmt: skip
    return int(kept.id)


async def test_a_clock_of_a_channel_is_left_to_a_gateway_that_has_it(world: World, database_url: str) -> None:
    """One without comments must not call it done that they are hidden."""
    theirs = HidingChannel(name="facebook-comments")
    async with open_world(database_url, world.rasa, world.clock, platform=theirs) as knows_it:
        comment = await wanted(world, "zed")
        await world.core.clocks.look()
        (clock,) = await world.rows(Due, key=f"comment.hide:{comment}")
        assert (clock.done_at, clock.attempts) == (None, 0)
        await knows_it.core.clocks.look()
        (clock,) = await world.rows(Due, key=f"comment.hide:{comment}")
        assert clock.done_at is not None
        assert theirs.hidden == ["zed.c"]


async def test_a_clock_that_nobody_takes_is_shown_at_the_desk_in_the_end(world: World) -> None:
    """As a row of the outbox is."""
    comment = await wanted(world, "zed")
    await world.tick()
    await world.tick(minutes=9)
    (kept,) = await world.rows(PublicComment, id=comment)
    assert kept.problem is None
    await world.tick(minutes=2)
    (kept,) = await world.rows(PublicComment, id=comment)
    assert kept.problem == "this channel is switched off"


async def test_a_kind_of_clock_that_a_gateway_does_not_know_is_left_to_one_that_does(
    world: World, database_url: str
) -> None:
    """Of a newer version, while an older one runs beside it."""
    async with world.store.write() as connection:
        await add_due(connection, "of.tomorrow", timedelta(), key="of.tomorrow:1", data={})
    await world.core.clocks.look()
    (clock,) = await world.rows(Due, key="of.tomorrow:1")
    assert clock.done_at is None

    done: list[str] = []

    async def work(row: Row[Any]) -> bool:
        done.append(row.kind)
        return True

    async with open_world(database_url, world.rasa, world.clock) as newer:
        newer.core.clocks.add_kind("of.tomorrow", work)
        await newer.core.clocks.look()
    (clock,) = await world.rows(Due, key="of.tomorrow:1")
    assert clock.done_at is not None
    assert done == ["of.tomorrow"]
