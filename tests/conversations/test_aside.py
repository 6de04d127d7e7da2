"""A sign under a message, or news of a number: shown, and never taken for something that somebody wrote."""

from __future__ import annotations

from typing import Any

import pytest

from bot.handover import surges
from bot.handover.queue import list_queue
from bot.messages import Incoming
from bot.store.record import now
from bot.store.tables import Message
from tests.handover.test_surges import cards, crowd, listed
from tests.support.world import P3, World

pytestmark = pytest.mark.integration


async def reacts(world: World, person: str = "ann", **values: Any) -> int:
    """They put a sign under a message of ours. Returns the message's id."""
    (accepted,) = await world.take(world.incoming("\U0001f44d", person, kind="reaction", **values))
    assert accepted.message_id is not None
    return accepted.message_id


async def test_the_queue_shows_what_was_written_last(world: World) -> None:
    """Not the sign under it."""
    mo = await world.hire("mo")
    await world.say(P3)
    await reacts(world)
    async with world.store.read() as connection:
        (row,) = await list_queue(connection, mo)
    assert row.last_text == P3


async def test_an_owner_who_is_away_is_not_late_by_a_sign(world: World) -> None:
    """The first message that nobody answered counts, and a thumb under a reply asks for no answer."""
    mo = await world.hire("mo")
    await world.sit(mo)
    row = await world.owned(mo)
    await world.core.desk.reply(row.id, mo, "we are looking into it")
    await world.settle()
    world.move(seconds=1)
    await reacts(world)
    world.move(minutes=30)
    await world.take(world.incoming("thank you"))
    await world.core.clocks.owners_gone()
    assert (await world.conversation()).state == "human"
    world.move(minutes=16)
    await world.core.clocks.owners_gone()
    assert (await world.conversation()).state == "waiting"


async def test_a_lowered_grade_counts_from_what_was_written(world: World) -> None:
    """A sign that came before it makes nothing due sooner."""
    mo = await world.hire("mo")
    await world.sit(mo)
    row = await world.owned(mo)
    await world.core.desk.reply(row.id, mo, "we are looking into it")
    await world.settle()
    world.move(seconds=1)
    await reacts(world)
    world.move(minutes=5)
    await world.take(world.incoming("and now?"))
    wrote = now()
    world.move(minutes=1)
    async with world.store.write() as connection:
        await world.core.limits.settle(connection, row.id, lowered=True)
    after = await world.conversation()
    limit = world.core.limits.limits.due(after.grade, after.team, wrote, first=False)
    assert after.reply_due_at == limit


async def test_a_sign_takes_nobody_out_of_a_card(world: World) -> None:
    """Nor brings anybody back who was answered or taken out."""
    mo = await world.hire("mo")
    rows = await crowd(world)
    await reacts(world, "person0")
    assert await listed(world, mo) == set()
    await world.core.grouping.sweep()
    (card,) = await cards(world, mo)
    assert card.count == 6

    async with world.store.write() as connection:
        await surges.leave(connection, rows[1], mo, "read by itself")
    await reacts(world, "person1")
    await world.core.grouping.sweep()
    (card,) = await cards(world, mo)
    assert card.count == 5


async def test_a_reply_is_not_refused_for_a_sign_that_its_page_does_not_show(world: World) -> None:
    """Nobody has written again."""
    mo = await world.hire("mo")
    row = await world.owned(mo)
    (wrote,) = await world.rows(Message, conversation_id=row.id)
    await reacts(world)
    await world.core.desk.reply(row.id, mo, "we are looking into it", seen=wrote.id)
    await world.settle()
    assert "we are looking into it" in world.heard()[-1]


async def test_a_number_that_somebody_writes_from_already_is_told_in_the_chat_of_the_old_one(
    world: World,
) -> None:
    """The two chats stay apart: whose they are is for a person to say."""
    await world.say(P3, "old")
    await world.say("it is me", "new")
    move = Incoming("test", "old", "m1", kind="moved", moved_to="new")
    for _ in range(2):
        await world.take(move)
    assert [m.kind for m in await world.messages("old")] == ["text", "moved_apart"]
    assert [m.kind for m in await world.messages("new")] == ["text"]
    assert await world.audit("person.moved") == []
    told = [e.data for e in await world.events("message.received") if e.data.get("aside")]
    assert [one["message"] for one in told] == [(await world.messages("old"))[-1].id]
