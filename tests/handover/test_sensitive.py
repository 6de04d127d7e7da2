"""Chats of sensitive categories: who is asked for a reason, how long it counts, who opened what."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Row, update

from bot.errors import NoSuchChatError, ReasonNeededError, RefusedError
from bot.handover.queue import get_for
from bot.handover.sensitive import TOOK_P1, Sensitive, opened_by, reasons_needed
from bot.messages import Actor
from bot.store.tables import Conversation, ReadingReason
from tests.support.world import P1, P2_HIDDEN, P3, World

pytestmark = pytest.mark.integration


def rule(world: World) -> Sensitive:
    return Sensitive.of(world.core.content.current.teams)


async def asked(world: World, row: Row[Any], actor: Actor) -> bool:
    async with world.store.read() as connection:
        return bool(await reasons_needed(connection, [row], actor, rule(world)))


def test_the_force_says_which_and_who() -> None:
    sensitive = Sensitive.of(
        {"sensitive": {"categories": ["R03"], "teams": ["a"], "roles": ["supervisor"], "hours": 8}}
    )
    row = type("Chat", (), {"category": "R03", "reasons": [], "owner_id": 1, "closed_owner_id": 2,
                            "team": "b", "transfer_team": "c"})  # fmt: skip
    cases = {
        Actor("x", 9, "moderator", frozenset({"d"})): True,
        Actor("x", 9, "moderator", frozenset({"a"})): False,
        Actor("x", 9, "moderator", frozenset({"b"})): False,
        Actor("x", 9, "moderator", frozenset({"c"})): False,
        Actor("x", 9, "supervisor", frozenset({"d"})): False,
        Actor("x", 1, "moderator", frozenset()): False,
        Actor("x", 2, "moderator", frozenset()): False,
    }
    for actor, expected in cases.items():
        assert sensitive.asks(row, actor) is expected, actor
    row.category, row.reasons = "R13", [{"category": "R03"}]
    assert sensitive.asks(row, Actor("x", 9, "moderator", frozenset({"d"})))
    row.reasons = [{"category": "R13"}]
    assert not sensitive.asks(row, Actor("x", 9, "moderator", frozenset({"d"})))
    assert not Sensitive.of({}).asks(row, Actor("x", 9))


async def test_others_give_a_reason_that_counts_for_a_shift(world: World) -> None:
    desk = world.core.desk
    mo, sue = await world.hire("mo"), await world.hire("sue", "supervisor")
    member = await world.hire("jo", teams=["safeguarding"])
    row = await world.say(P2_HIDDEN)
    assert row.team == "safeguarding"
    assert not await asked(world, row, member)
    await desk.opened(row.id, member)
    for actor in (mo, sue):
        with pytest.raises(ReasonNeededError):
            await desk.opened(row.id, actor)
        with pytest.raises(ReasonNeededError):
            await desk.claim(row.id, actor, row.epoch)
        with pytest.raises(RefusedError, match="why you need"):
            await desk.give_reason(row.id, actor, " \n ")
    await desk.give_reason(row.id, mo, "She rang the control room.")
    await desk.opened(row.id, mo)
    with pytest.raises(ReasonNeededError):
        await desk.opened(row.id, sue)  # a reason is one person's own
    (kept,) = await world.rows(ReadingReason)
    assert (kept.staff_id, kept.reason) == (mo.staff_id, "She rang the control room.")
    (audit,) = await world.audit("reading.reason")
    assert (audit.staff_id, audit.detail["reason"]) == (mo.staff_id, "She rang the control room.")
    world.move(hours=11, minutes=59)
    assert not await asked(world, row, mo)
    world.move(minutes=2)
    assert await asked(world, row, mo)
    with pytest.raises(ReasonNeededError):
        await desk.opened(row.id, mo)


async def test_an_ordinary_chat_asks_nobody(world: World) -> None:
    mo = await world.hire("mo", teams=["intelligence"])
    for text in (P1, P3):
        row = await world.say(text, text)
        assert not await asked(world, row, mo)
        await world.core.desk.opened(row.id, mo)


async def test_the_claim_of_a_p1_is_the_reason(world: World) -> None:
    mo = await world.hire("mo", teams=["digital_desk"])
    row = await world.say(P2_HIDDEN)
    async with world.store.write() as connection:
        await connection.execute(update(Conversation).where(Conversation.id == row.id).values(grade="P1"))
    row = await world.conversation()
    with pytest.raises(ReasonNeededError):
        await world.core.desk.opened(row.id, mo)
    assert not await world.audit("open")  # the question is not a look: the alarm goes on
    row = await world.core.desk.claim(row.id, mo, row.epoch)
    assert row.owner_id == mo.staff_id
    (audit,) = await world.audit("reading.reason")
    assert (audit.staff_id, audit.detail["reason"]) == (mo.staff_id, TOOK_P1)
    await world.core.desk.opened(row.id, mo)


async def test_a_supervisor_takes_over_with_a_reason_and_a_p1_at_once(world: World) -> None:
    member = await world.hire("jo", teams=["safeguarding"])
    sue = await world.hire("sue", "supervisor", ["digital_desk"])
    row = await world.owned(member, P2_HIDDEN)
    with pytest.raises(ReasonNeededError):
        await world.core.desk.take_over(row.id, sue)
    async with world.store.write() as connection:
        await connection.execute(update(Conversation).where(Conversation.id == row.id).values(grade="P1"))
    row = await world.core.desk.take_over(row.id, sue)
    assert row.owner_id == sue.staff_id


async def test_a_reason_opens_no_chat_that_one_may_not_see(world: World) -> None:
    mo = await world.hire("mo")
    row = await world.say("the officer punched me")
    with pytest.raises(NoSuchChatError):
        await world.core.desk.give_reason(row.id, mo, "I want to know.")
    assert not await world.rows(ReadingReason)
    async with world.store.write() as connection:
        with pytest.raises(NoSuchChatError):
            await get_for(connection, row.id, mo)


async def test_who_opened_it_is_listed_with_reasons(world: World) -> None:
    member, mo = await world.hire("jo", teams=["safeguarding"]), await world.hire("mo")
    row = await world.say(P2_HIDDEN)
    await world.core.desk.opened(row.id, member)
    world.move(minutes=5)
    await world.core.desk.give_reason(row.id, mo, "She rang the control room.")
    await world.core.desk.opened(row.id, mo)
    world.move(minutes=5)
    await world.core.desk.opened(row.id, mo)
    async with world.store.read() as connection:
        readers = await opened_by(connection, row.id)
    assert [(one.name, one.times, list(one.reasons)) for one in readers] == [
        ("Mo", 2, ["She rang the control room."]),
        ("Jo", 1, []),
    ]
    assert readers[0].first < readers[0].last
