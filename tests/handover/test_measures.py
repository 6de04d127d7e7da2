"""Warn, limit, hide, block: a person's decision each, looked at again, and never in the way of danger."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Row

from bot.errors import NotAllowedError, RefusedError, StaleError
from bot.handover import measures
from bot.handover.queue import list_queue
from bot.messages import Actor
from bot.store.record import now
from bot.store.tables import Measure
from tests.support.world import P1, P2_HIDDEN, P3, PLAIN, World

pytestmark = pytest.mark.integration


async def put(
    world: World, row: Row[Any], actor: Actor, kind: str, reason: str = "abuse", **values: Any
) -> int:
    async with world.store.write() as connection:
        return await measures.add_measure(connection, row.id, actor, kind, reason, **values)


async def end(world: World, row: Row[Any], actor: Actor, kind: str, reason: str = "settled") -> None:
    async with world.store.write() as connection:
        await measures.end_standing(connection, row.id, actor, kind, reason)


async def test_a_warning_is_an_approved_sentence_sent_once_by_the_owner(world: World) -> None:
    mo, jo = await world.hire("mo"), await world.hire("jo")
    row = await world.owned(mo, P3)
    world.heard()
    with pytest.raises(StaleError):
        await put(world, row, jo, "warn", warning=world.line("warned"))
    await put(world, row, mo, "warn", warning=world.line("warned"))
    await world.settle()
    assert world.heard() == [world.line("warned")]
    (one,) = await world.rows(Measure)
    assert (one.kind, one.by, one.reason, one.review_at) == ("warn", mo.staff_id, "abuse", None)
    assert one.ended_at is not None
    assert (await world.audit("warn"))[0].staff_id == mo.staff_id


async def test_nobody_who_may_be_in_danger_is_warned(world: World) -> None:
    mo = await world.hire("mo")
    row = await world.owned(mo, P1)
    world.heard()
    with pytest.raises(RefusedError, match="danger"):
        await put(world, row, mo, "warn", warning=world.line("warned"))
    assert await world.rows(Measure) == []


async def test_somebody_limited_is_answered_once_an_hour(world: World) -> None:
    mo = await world.hire("mo")
    await world.sit(mo)
    row = await world.say(PLAIN)
    assert len(world.heard()) == 1
    world.move(minutes=61)
    await put(world, row, mo, "limit")
    await world.say(PLAIN)
    assert len(world.heard()) == 1
    for _ in range(3):
        world.move(minutes=10)
        await world.say(PLAIN)
    assert world.heard() == []
    world.move(minutes=31)
    await world.say(PLAIN)
    assert len(world.heard()) == 1


@pytest.mark.parametrize(("kind", "text"), [("limit", P1), ("limit", P2_HIDDEN), ("block", P1), ("hide", P1)])
async def test_danger_rises_and_is_answered_as_anybodys(world: World, kind: str, text: str) -> None:
    boss = await world.hire("sue", "supervisor")
    row = await world.say(PLAIN)
    await put(world, row, boss, kind)
    world.heard()
    await world.say(text)
    after = await world.conversation()
    assert (after.state, after.grade) == ("waiting", "P1" if text == P1 else "P2")
    assert world.heard()[0] == world.words(after.category, after.grade)
    async with world.store.read() as connection:
        (listed,) = await list_queue(connection, boss, state="waiting")
    assert not listed.folded


async def test_somebody_limited_who_reports_something_still_waits_for_a_person(world: World) -> None:
    mo = await world.hire("mo")
    row = await world.say(PLAIN)
    await put(world, row, mo, "limit")
    await world.say(P3)
    assert ((await world.conversation()).state, (await world.conversation()).grade) == ("waiting", "P3")
    world.heard()
    await world.say(PLAIN)
    assert world.heard() == []


async def test_what_is_hidden_is_folded_in_the_queue_until_it_is_urgent(world: World) -> None:
    mo = await world.hire("mo")
    row = await world.say(P3)
    await put(world, row, mo, "hide")
    async with world.store.read() as connection:
        (listed,) = await list_queue(connection, mo, state="waiting")
    assert listed.folded
    boss = await world.hire("sue", "supervisor")
    await end(world, row, boss, "hide")
    async with world.store.read() as connection:
        (listed,) = await list_queue(connection, mo, state="waiting")
    assert not listed.folded


async def test_a_block_is_a_supervisors_and_has_a_review_date(world: World) -> None:
    mo, boss = await world.hire("mo"), await world.hire("sue", "supervisor")
    row = await world.say(PLAIN)
    with pytest.raises(NotAllowedError):
        await world.core.desk.block(row.id, mo, True, "abuse")
    await world.core.desk.block(row.id, boss, True, "abuse")
    (one,) = await world.rows(Measure)
    assert one.review_at == now() + timedelta(days=28)
    world.heard()
    await world.say(PLAIN)
    assert world.heard() == []
    with pytest.raises(RefusedError, match="stands already"):
        await world.core.desk.block(row.id, boss, True, "abuse")
    await world.core.desk.block(row.id, boss, False, "they said sorry")
    (one,) = await world.rows(Measure)
    assert (one.ended_by, one.ended_at) == (boss.staff_id, now())
    await world.say(PLAIN)
    assert len(world.heard()) == 1
    assert [row.action for row in await world.audit() if row.action in ("block", "unblock")] == [
        "block",
        "unblock",
    ]


async def test_a_review_that_is_due_tells_supervisors_and_ends_nothing_by_itself(world: World) -> None:
    boss = await world.hire("sue", "supervisor")
    row = await world.say(PLAIN)
    await put(world, row, boss, "block", review_days=7)
    await world.tick(hours=7 * 24 - 1)
    assert await world.audit("measure.due") == []
    await world.tick(hours=2)
    assert len(await world.audit("measure.due")) == 1
    assert [event.data["reason"] for event in await world.events("alert")] == ["measure"]
    async with world.store.read() as connection:
        assert await measures.count_due(connection, boss) == 1
    (one,) = await world.rows(Measure)
    assert one.ended_at is None
    async with world.store.write() as connection:
        await measures.renew(connection, one.id, boss, "it goes on", 14)
    async with world.store.read() as connection:
        assert await measures.count_due(connection, boss) == 0
    await world.tick(hours=14 * 24 + 1)
    assert len(await world.audit("measure.due")) == 2


async def test_no_review_is_told_of_what_has_ended(world: World) -> None:
    boss = await world.hire("sue", "supervisor")
    row = await world.say(PLAIN)
    await put(world, row, boss, "limit")
    await end(world, row, boss, "limit")
    await world.tick(hours=29 * 24)
    assert await world.audit("measure.due") == []


@pytest.mark.parametrize(
    ("kind", "reason", "days", "says"),
    [("limit", " ", 28, "reason"), ("ban", "abuse", 28, "Choose"), ("block", "abuse", 0, "days"),
     ("hide", "abuse", 999, "days")],
)  # fmt: skip
async def test_a_measure_needs_a_reason_a_kind_and_a_date(
    world: World, kind: str, reason: str, days: int, says: str
) -> None:
    boss = await world.hire("sue", "supervisor")
    row = await world.say(PLAIN)
    with pytest.raises(RefusedError, match=says):
        await put(world, row, boss, kind, reason, review_days=days)
    assert await world.rows(Measure) == []


async def test_only_a_supervisor_ends_what_stands(world: World) -> None:
    mo, boss = await world.hire("mo"), await world.hire("sue", "supervisor")
    row = await world.say(PLAIN)
    await put(world, row, mo, "limit")
    with pytest.raises(NotAllowedError):
        await end(world, row, mo, "limit")
    with pytest.raises(RefusedError, match="reason"):
        await end(world, row, boss, "limit", " ")
    with pytest.raises(StaleError):
        await end(world, row, boss, "hide")
    with pytest.raises(NotAllowedError):
        async with world.store.write() as connection:
            await measures.renew(connection, 1, mo, "a reason")
