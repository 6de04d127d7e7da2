"""Text that was typed and not sent: whose it is, what ends it, who may take it over, and stale pages."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Row

from bot.conversations import drafts
from bot.conversations.drafts import Kind, Unsent
from bot.errors import NoSuchChatError, RefusedError, StaleError
from bot.messages import Actor
from bot.store.tables import Event
from tests.support.world import P1, P3, World

pytestmark = pytest.mark.integration


async def own(world: World, row: Row[Any], actor: Actor) -> Unsent:
    async with world.store.read() as connection:
        return await drafts.read(connection, row.id, actor)


async def left(world: World, row: Row[Any], actor: Actor) -> list[tuple[str, str]]:
    fresh = await world.conversation()
    async with world.store.read() as connection:
        return [(one.name, one.text) for one in await drafts.left_by_others(connection, fresh, actor)]


async def two(world: World, text: str = P3) -> tuple[Row[Any], Actor, Actor]:
    """A conversation that Mo has, and a supervisor."""
    mo, sue = await world.hire("mo"), await world.hire("sue", "supervisor")
    return await world.owned(mo, text), mo, sue


@pytest.mark.parametrize(
    ("kind", "kept"),
    [
        ("reply", Unsent(reply="half")),
        ("note", Unsent(note="half")),
        ("transfer", Unsent(transfer="half")),
    ],
)
async def test_each_kind_is_kept_by_itself_and_ended_by_its_author(
    world: World, kind: Kind, kept: Unsent
) -> None:
    row, mo, sue = await two(world)
    await world.core.desk.draft(row.id, mo, "ha", kind)
    await world.core.desk.draft(row.id, mo, "half", kind)
    assert await own(world, row, mo) == kept
    assert await own(world, row, sue) == Unsent()
    await world.core.desk.draft(row.id, sue, "other", "note")
    await world.core.desk.draft(row.id, mo, "", kind)
    assert await own(world, row, mo) == Unsent()
    assert await own(world, row, sue) == Unsent(note="other")


async def test_a_send_ends_the_reply_and_leaves_the_notes(world: World) -> None:
    row, mo, _sue = await two(world)
    for kind in drafts.KINDS:
        await world.core.desk.draft(row.id, mo, f"my {kind}", drafts.kind_of(kind))
    await world.core.desk.reply(row.id, mo, "my reply")
    assert await own(world, row, mo) == Unsent(note="my note", transfer="my transfer")
    await world.core.desk.note(row.id, mo, "my note")
    assert await own(world, row, mo) == Unsent(transfer="my transfer")
    await world.core.desk.transfer(row.id, mo, "safeguarding", "my transfer")
    assert await own(world, row, mo) == Unsent()


async def test_a_save_that_comes_after_its_own_send_is_no_draft(world: World) -> None:
    row, mo, _sue = await two(world)
    await world.core.desk.reply(row.id, mo, "Hello.")
    await world.core.desk.draft(row.id, mo, "Hello. ")
    assert await own(world, row, mo) == Unsent()
    await world.core.desk.draft(row.id, mo, "Hello again")
    assert await own(world, row, mo) == Unsent(reply="Hello again")
    await world.core.desk.note(row.id, mo, "Rang them.")
    await world.core.desk.draft(row.id, mo, "Rang them.", "note")
    assert await own(world, row, mo) == Unsent(reply="Hello again")
    world.move(minutes=2)
    await world.core.desk.draft(row.id, mo, "Hello.")
    assert await own(world, row, mo) == Unsent(reply="Hello.")


async def test_a_draft_outlives_every_change_of_the_conversation(world: World) -> None:
    row, mo, sue = await two(world)
    await world.core.desk.draft(row.id, mo, "half a reply")
    await world.core.desk.set_grade(row.id, mo, "P2", "It reads like fear.")
    await world.core.desk.set_grade(row.id, mo, "P3", "It was a film.")
    await world.core.desk.transfer(row.id, mo, "safeguarding", "For you.")
    row = await world.conversation()
    assert row.state == "waiting"
    jo = await world.hire("jo", teams=("digital_desk", "safeguarding"))
    row = await world.core.desk.claim(row.id, jo, row.epoch)
    row = await world.core.desk.take_over(row.id, sue)
    await world.core.desk.release(row.id, sue)
    await world.core.desk.escalate(row.id, mo, "needs a person")
    row = await world.conversation()
    await world.core.desk.claim(row.id, mo, row.epoch)
    assert await own(world, row, mo) == Unsent(reply="half a reply")


async def test_the_next_owner_alone_reads_what_was_left_and_takes_it_over_on_record(world: World) -> None:
    row, mo, sue = await two(world)
    await world.core.desk.draft(row.id, mo, "We can help you with that.")
    await world.core.desk.draft(row.id, mo, "never shown", "note")
    assert await left(world, row, sue) == []
    assert await left(world, row, mo) == []
    await world.core.desk.take_over(row.id, sue)
    assert await left(world, row, sue) == [("Mo", "We can help you with that.")]
    assert await left(world, row, mo) == []
    with pytest.raises(StaleError):
        await world.core.desk.use_draft(row.id, mo, mo.staff_id or 0, "")
    with pytest.raises(RefusedError):
        await world.core.desk.use_draft(row.id, sue, sue.staff_id or 0, "")

    await world.core.desk.use_draft(row.id, sue, mo.staff_id or 0, "Good morning.")
    assert await own(world, row, sue) == Unsent(reply="Good morning.\n\nWe can help you with that.")
    assert await left(world, row, sue) == []
    assert await own(world, row, mo) == Unsent(reply="We can help you with that.", note="never shown")
    (audit,) = await world.audit("draft.use")
    assert (audit.staff_id, audit.subject_id, audit.conversation_id) == (sue.staff_id, mo.staff_id, row.id)
    assert "help" not in str(audit.detail)
    world.move(seconds=1)
    before = len(await world.rows(Event, kind="draft.left"))
    await world.core.desk.draft(row.id, mo, "We can help you with that today.")
    assert len(await world.rows(Event, kind="draft.left")) == before + 1
    assert await left(world, row, sue) == [("Mo", "We can help you with that today.")]


async def test_two_texts_that_are_too_long_together_are_not_cut(world: World) -> None:
    row, mo, sue = await two(world)
    await world.core.desk.draft(row.id, mo, "x" * 3000)
    await world.core.desk.take_over(row.id, sue)
    with pytest.raises(RefusedError, match="too long"):
        await world.core.desk.use_draft(row.id, sue, mo.staff_id or 0, "y" * 3000)
    assert await own(world, row, sue) == Unsent()


async def test_nobody_keeps_a_draft_where_they_may_not_read(world: World) -> None:
    row, mo, _sue = await two(world)
    await world.core.desk.draft(row.id, mo, "half a sentence")
    row = await world.say("the officer punched me")
    assert row.sealed
    with pytest.raises(NoSuchChatError):
        await world.core.desk.draft(row.id, mo, "more of it")
    pat = await world.hire("pat", teams=("professional_standards",))
    row = await world.core.desk.claim(row.id, pat, row.epoch)
    assert await left(world, row, pat) == [("Mo", "half a sentence")]


# ---- a page that is behind ------------------------------------------------------------------------


async def newest(world: World) -> int:
    return int((await world.messages())[-1].id)


async def test_a_reply_from_a_page_that_misses_a_message_is_refused(world: World) -> None:
    row, mo, _sue = await two(world)
    seen = await newest(world)
    await world.say("and one thing more")
    with pytest.raises(StaleError, match="has written again"):
        await world.core.desk.reply(row.id, mo, "My answer.", row.epoch, seen=seen)
    assert not [one for one in await world.outbox() if one.kind == "staff"]
    assert await world.core.desk.reply(row.id, mo, "My answer.", row.epoch, seen=await newest(world))


async def test_a_reply_from_before_a_change_of_owner_or_danger_is_refused(world: World) -> None:
    row, mo, sue = await two(world)
    seen = await newest(world)
    await world.core.desk.take_over(row.id, sue)
    with pytest.raises(StaleError, match="You do not have this chat"):
        await world.core.desk.reply(row.id, mo, "My answer.", row.epoch, seen=seen)
    taken = await world.conversation()
    await world.core.desk.transfer(row.id, sue, "control_room", "Back to you.")
    waiting = await world.conversation()
    back = await world.core.desk.claim(row.id, mo, waiting.epoch)
    for epoch in (row.epoch, taken.epoch):
        with pytest.raises(StaleError, match="changed while you wrote"):
            await world.core.desk.reply(row.id, mo, "My answer.", epoch, seen=seen)
    rose = await world.say(P1)
    assert rose.epoch > back.epoch
    with pytest.raises(StaleError, match="has written again"):
        await world.core.desk.reply(row.id, mo, "My answer.", back.epoch, seen=seen)
    assert not [one for one in await world.outbox() if one.kind == "staff"]
    assert await world.core.desk.reply(row.id, mo, "My answer.", rose.epoch, seen=await newest(world))


async def test_a_chat_is_not_closed_from_a_page_that_misses_a_message(world: World) -> None:
    row, mo, _sue = await two(world)
    seen = await newest(world)
    await world.say("thank you, one thing more")
    with pytest.raises(StaleError, match="new message"):
        await world.core.desk.close(row.id, mo, "answered", seen=seen)
    assert (await world.conversation()).state == "human"
