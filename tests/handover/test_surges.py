"""Many who write nearly the same: one card, one answer read by a second person, danger never in it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Row, update

from bot.conversations.surges import KIND
from bot.errors import GuardedError, NotAllowedError, RefusedError, StaleError
from bot.handover import surges
from bot.handover.queue import list_queue
from bot.messages import Actor
from bot.store.tables import Audit, Due, Outbox, Surge, SurgeMember
from tests.support import chats
from tests.support.world import World

pytestmark = pytest.mark.integration

RUMOUR = "is it true that the old bridge at wylam is shut for the whole of sunday"
ANSWER = "The bridge is open. The council's page says when work is planned."
OUTCOME = "answered_by_staff"


async def waits(world: World, person: str, *texts: str, grade: str = "P4", **values: Any) -> Row[Any]:
    """Somebody who wrote this and waits for a person."""
    return await chats.waits(world, person, *(texts or (RUMOUR,)), grade=grade, **values)


async def crowd(world: World, count: int = 6) -> list[Row[Any]]:
    rows = [await waits(world, f"person{n}", RUMOUR + "?" * (n % 3)) for n in range(count)]
    await world.core.grouping.sweep()
    return rows


async def cards(world: World, actor: Actor) -> list[surges.Card]:
    async with world.store.read() as connection:
        return await surges.list_cards(connection, actor)


async def listed(world: World, actor: Actor) -> set[int]:
    async with world.store.read() as connection:
        return {row.id for row in await list_queue(connection, actor, state="waiting", grouped=True)}


async def answer(world: World, outcome: str = "") -> tuple[Actor, Actor, int]:
    """A card with an approved answer, nothing sent yet."""
    mo, jo = await world.hire("mo"), await world.hire("jo")
    (card,) = await cards(world, mo)
    await world.core.surges.write(card.id, mo, ANSWER, outcome)
    await world.core.surges.approve(card.id, jo, ANSWER)
    return mo, jo, card.id


# ---- what is alike ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (RUMOUR, "Is it TRUE, that the old bridge at Wylam is shut for the whole of Sunday???", True),
        (RUMOUR, "is it true that the old bridge at wylam is shut for the whole of sunday now", True),
        (RUMOUR, RUMOUR + " and my dad has not come home from there since last night", False),
        ("there was a crash on the a69 at junction 3", "there was a crash on the a69 at junction 4", False),
        (RUMOUR, "is it true that the match at wylam is off for the whole of sunday", False),
    ],
)  # fmt: skip
def test_near_identical_is_the_same_words(one: str, other: str, alike: bool) -> None:
    assert surges.are_alike(surges.normalised(one), surges.normalised(other)) is alike


@pytest.mark.parametrize(
    "written",
    [["hello"], ["is anybody there please"], [RUMOUR, "my car was stolen last week"], [], [RUMOUR] * 20],
)
def test_little_or_different_words_are_never_grouped(written: list[str]) -> None:
    assert surges.one_text([surges.normalised(text) for text in written]) is None


# ---- grouping -----------------------------------------------------------------------------------


async def test_many_who_write_the_same_make_one_card(world: World) -> None:
    mo = await world.hire("mo")
    rows = await crowd(world)
    alone = await waits(world, "alone", "can somebody tell me how to get my bike back from the station")
    (card,) = await cards(world, mo)
    assert (card.count, card.answer, card.oldest) == (6, None, rows[0].waiting_since)
    assert surges.normalised(card.sample) == surges.normalised(RUMOUR)
    assert await listed(world, mo) == {alone.id}
    taken = await world.core.moves.take_next(mo, "1")
    assert taken is not None
    assert taken.conversation_id == alone.id
    # With nothing else to do, they are taken one by one.
    taken = await world.core.moves.take_next(mo, "2")
    assert taken is not None
    assert taken.conversation_id == rows[0].id
    assert (await cards(world, mo))[0].count == 5
    await waits(world, "late")
    await world.core.grouping.sweep()
    assert (await cards(world, mo))[0].count == 6
    assert len(await world.rows(Surge)) == 1


async def test_few_or_long_ago_make_none(world: World) -> None:
    mo = await world.hire("mo")
    for n in range(4):
        await waits(world, f"person{n}")
    await world.core.grouping.sweep()
    assert await cards(world, mo) == []
    world.move(minutes=16)
    await waits(world, "fifth")
    await world.core.grouping.sweep()
    assert await cards(world, mo) == []


@pytest.mark.parametrize(
    "values",
    [
        {"grade": "P1"}, {"grade": "P2"}, {"sealed": True}, {"category": "R07"}, {"category": "R03"},
        {"team": "intelligence"}, {"team": "professional_standards"},
    ],
)  # fmt: skip
async def test_danger_and_what_is_not_to_be_named_is_never_grouped(
    world: World, values: dict[str, Any]
) -> None:
    for n in range(7):
        await waits(world, f"person{n}", **values)
    await world.core.grouping.sweep()
    assert await world.rows(Surge) == []


async def test_who_is_in_danger_or_writes_something_else_leaves_at_once(world: World) -> None:
    mo = await world.hire("mo")
    rows = await crowd(world, 8)
    await world.say("there is a fire in the flat", "person0")
    await world.say("and my bike was taken from the yard last week", "person1")
    await world.core.desk.claim(rows[2].id, mo, rows[2].epoch)
    # No sweep has run: the list shows them already.
    assert await listed(world, mo) == {rows[0].id, rows[1].id}
    assert (await cards(world, mo))[0].count == 5
    world.move(seconds=20)
    await world.say(RUMOUR, "person3")
    assert rows[3].id in await listed(world, mo)
    await world.core.grouping.sweep()
    # The same words once more are no other matter.
    assert rows[3].id not in await listed(world, mo)
    left = {row.conversation_id for row in await members(world) if row.left_at is not None}
    assert left == {rows[0].id, rows[1].id, rows[2].id}
    await world.core.grouping.sweep()
    assert await listed(world, mo) == {rows[0].id, rows[1].id}


async def members(world: World) -> list[Row[Any]]:
    async with world.store.read() as connection:
        return list((await connection.execute(SurgeMember.__table__.select())).all())


async def test_a_card_is_closed_when_one_is_left(world: World) -> None:
    mo = await world.hire("mo")
    rows = await crowd(world, 5)
    for row in rows[:4]:
        await world.core.surges.take_out(row.id, mo)
    with pytest.raises(StaleError):
        await world.core.surges.take_out(rows[0].id, mo)
    await world.core.grouping.sweep()
    assert await cards(world, mo) == []
    assert (await world.rows(Surge))[0].closed_at is not None
    assert await listed(world, mo) == {row.id for row in rows}
    await world.core.grouping.sweep()
    assert len(await world.rows(Surge)) == 1


async def test_two_gateways_do_not_sweep_at_once(world: World) -> None:
    other = surges.Surges(world.store, lambda: (), gateway="another")
    for n in range(6):
        await waits(world, f"person{n}")
    await world.core.grouping.sweep()
    assert await other.sweep() == 0
    assert len(await world.rows(Surge)) == 1


# ---- answering ----------------------------------------------------------------------------------


async def test_an_answer_is_read_by_a_second_person_and_reaches_each_once(world: World) -> None:
    rows = await crowd(world)
    mo, jo = await world.hire("mo"), await world.hire("jo")
    (card,) = await cards(world, mo)
    await world.core.surges.write(card.id, mo, ANSWER)
    with pytest.raises(NotAllowedError, match="Somebody else"):
        await world.core.surges.approve(card.id, mo, ANSWER)
    with pytest.raises(StaleError, match="changed"):
        await world.core.surges.approve(card.id, jo, "another text")
    assert await world.rows(Outbox, kind="staff") == []
    assert await world.core.surges.approve(card.id, jo, ANSWER) == 6
    with pytest.raises(StaleError):
        await world.core.surges.approve(card.id, jo, ANSWER)
    await world.tick(seconds=1)
    await world.tick(seconds=1)
    assert [world.heard(f"person{n}") for n in range(6)] == [[ANSWER]] * 6
    for row in await world.rows(Audit, action="surge.reply"):
        assert (row.staff_id, row.detail["approved_by"]) == (mo.staff_id, jo.staff_id)
    sent = await world.rows(Outbox, kind="staff")
    assert {row.author_id for row in sent} == {mo.staff_id}
    assert {(await world.conversation(f"person{n}")).state for n in range(6)} == {"waiting"}
    assert (await world.rows(Surge))[0].closed_at is not None
    await world.core.grouping.sweep()
    # They were answered: they are in the list, and in no card again.
    assert await listed(world, mo) == {row.id for row in rows}
    assert await cards(world, mo) == []


async def test_each_is_closed_if_that_was_wished_and_nobody_who_wrote_meanwhile(world: World) -> None:
    outcomes = world.core.content.current.outcomes
    outcome = next(
        key for key, one in outcomes.items()
        if not one.get("needs_note") and not one.get("agency") and "P4" in one.get("grades", ("P4",))
    )  # fmt: skip
    await crowd(world)
    await answer(world, outcome)
    await world.say("my neighbour's house was broken into last tuesday", "person0")
    await world.say("there is a fire in the flat", "person1")
    world.heard("person0"), world.heard("person1")
    await world.tick(seconds=1)
    states = [(await world.conversation(f"person{n}")).state for n in range(6)]
    assert states == ["waiting", "waiting", "closed", "closed", "closed", "closed"]
    assert ANSWER not in world.texts("person0") + world.texts("person1")
    assert world.heard("person2")[0] == ANSWER
    assert (await world.conversation("person2")).outcome == outcome
    assert (await world.rows(Surge))[0].closed_at is not None


async def test_a_crash_between_two_of_them_neither_loses_nor_doubles(world: World) -> None:
    await crowd(world)
    await answer(world)
    first, second, *_ = await world.rows(Due, kind=KIND)
    await world.core.surges.send(first)
    # The gateway dies before it marks the row as done; another does it again, twice.
    await world.core.surges.send(first)
    await world.core.surges.send(second)
    await world.tick(seconds=1)
    assert [world.heard(f"person{n}") for n in range(6)] == [[ANSWER]] * 6


async def test_nothing_is_sent_for_a_writer_who_may_not_answer_any_more(world: World) -> None:
    rows = await crowd(world)
    mo, _, _ = await answer(world)
    async with world.store.write() as connection:
        from bot.store.tables import Staff

        await connection.execute(update(Staff).where(Staff.id == mo.staff_id).values(active=False))
    await world.tick(seconds=1)
    assert await world.rows(Outbox, kind="staff") == []
    assert {(await world.conversation(f"person{n}")).state for n in range(6)} == {"waiting"}
    boss = await world.hire("sue", "supervisor")
    assert await listed(world, boss) == {row.id for row in rows}


async def test_what_may_not_leave_is_held_back_here_too(world: World) -> None:
    await crowd(world)
    mo = await world.hire("mo")
    (card,) = await cards(world, mo)
    with pytest.raises(GuardedError):
        await world.core.surges.write(card.id, mo, "Call my mobile on 07700 900123 about the bridge.")
    with pytest.raises(RefusedError, match="outcome"):
        await world.core.surges.write(card.id, mo, ANSWER, "no such outcome")
    with pytest.raises(RefusedError, match="Write something"):
        await world.core.surges.write(card.id, mo, "  ")
    assert (await cards(world, mo))[0].answer is None


async def test_an_answer_goes_back_with_a_reason(world: World) -> None:
    await crowd(world)
    mo, jo = await world.hire("mo"), await world.hire("jo")
    (card,) = await cards(world, mo)
    await world.core.surges.write(card.id, mo, ANSWER)
    with pytest.raises(RefusedError, match="reason"):
        await world.core.surges.give_back(card.id, jo, "")
    await world.core.surges.give_back(card.id, jo, "the council says other things")
    with pytest.raises(StaleError):
        await world.core.surges.approve(card.id, jo, ANSWER)
    assert (await world.audit("surge.return"))[0].detail["reason"] == "the council says other things"


@pytest.mark.parametrize("role", ["comms", "admin"])
async def test_who_does_not_answer_does_nothing_with_a_card(world: World, role: str) -> None:
    rows = await crowd(world)
    cam = await world.hire("cam", role)
    surge_id = (await world.rows(Surge))[0].id
    for work in (
        world.core.surges.write(surge_id, cam, ANSWER), world.core.surges.approve(surge_id, cam, ANSWER),
        world.core.surges.give_back(surge_id, cam, "a reason"), world.core.surges.take_out(rows[0].id, cam),
    ):  # fmt: skip
        with pytest.raises(NotAllowedError):
            await work
