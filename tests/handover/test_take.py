"""Take the next, hand several on, end a shift: never two to one chat, never one lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Row

from bot.errors import NotAllowedError, RefusedError
from bot.handover.queue import Filters, count_facets, count_owned, list_queue
from bot.messages import Actor, Grade
from bot.store.tables import Conversation, Note
from tests.support.chats import waits
from tests.support.world import World

pytestmark = pytest.mark.integration


async def put(world: World, person: str, grade: str | None = "P3", **values: Any) -> Row[Any]:
    """A conversation that waits since now, made directly."""
    return await waits(world, person, grade=grade, **values)


async def own(world: World, person: str, actor: Actor, grade: str = "P3", **values: Any) -> Row[Any]:
    row = await put(world, person, grade, **values)
    await world.core.desk.claim(row.id, actor, row.epoch)
    await world.settle()
    world.heard(person)
    return await world.conversation(person)


async def listed(world: World, actor: Actor, state: str = "waiting", **filters: Any) -> list[int]:
    async with world.store.read() as connection:
        rows = await list_queue(connection, actor, state=state, filters=Filters(**filters))
    return [row.id for row in rows]


# ---- take the next -----------------------------------------------------------------------------


async def test_the_next_is_the_most_urgent_and_then_the_longest_waiting(world: World) -> None:
    mo = await world.hire("mo")
    expected = {}
    for person, grade, front in (
        ("late-p3", "P3", False), ("p2", "P2", False), ("p4", "P4", False), ("front-p3", "P3", True),
        ("p1", "P1", False),
    ):  # fmt: skip
        expected[person] = (await put(world, person, grade, front=front)).id
        world.move(minutes=1)
    taken = [await world.core.moves.take_next(mo, f"press {n}") for n in range(6)]
    assert [one and one.conversation_id for one in taken] == [
        *(expected[person] for person in ("p1", "p2", "front-p3", "late-p3", "p4")), None,
    ]  # fmt: skip
    assert len(await world.audit("claim")) == 5
    await world.settle()
    assert world.heard("p4") == [world.line("joined")]


async def test_many_who_press_at_once_each_get_one_and_never_the_same(world: World) -> None:
    staff = [await world.hire(f"mo{n}") for n in range(8)]
    people = [(await put(world, f"person{n}")).id for n in range(6)]
    found = await asyncio.gather(*(world.core.moves.take_next(actor, "one press") for actor in staff))
    taken = [one.conversation_id for one in found if one is not None]
    assert sorted(taken) == sorted(people)
    owners = {row.owner_id for row in await world.rows(Conversation)}
    assert len(owners) == 6
    assert len(await world.audit("claim")) == 6


async def test_the_same_press_never_takes_a_second(world: World) -> None:
    mo = await world.hire("mo")
    first, second = await put(world, "ann"), await put(world, "bob")
    again = await asyncio.gather(*(world.core.moves.take_next(mo, "press") for _ in range(5)))
    assert {one.conversation_id for one in again if one} == {first.id}
    assert (await world.conversation("bob")).state == "waiting"
    other = await world.core.moves.take_next(mo, "another press")
    assert other is not None
    assert other.conversation_id == second.id


async def test_the_next_is_never_one_that_the_teams_do_not_take(world: World) -> None:
    lead = await world.hire("jo", teams=["control_room"])
    await world.sit(lead)
    mo = await world.hire("mo", teams=["digital_desk"])
    urgent = await put(world, "ann", "P1", team="control_room")
    hidden = await put(world, "bob", "P2", team="intelligence")
    open_one = await put(world, "cat", "P4")
    with pytest.raises(NotAllowedError, match="do not take a P1"):
        await world.core.desk.claim(urgent.id, mo, urgent.epoch)
    taken = await world.core.moves.take_next(mo, "1")
    assert taken is not None
    assert taken.conversation_id == open_one.id
    assert await world.core.moves.take_next(mo, "2") is None
    assert [(await world.conversation(person)).state for person in ("ann", "bob")] == ["waiting"] * 2
    assert await listed(world, mo, takeable=True) == []
    assert await listed(world, mo) == [urgent.id]
    assert hidden.id not in await listed(world, mo)


async def test_danger_is_taken_by_anybody_while_nobody_of_its_teams_is_there(world: World) -> None:
    mo = await world.hire("mo", teams=["digital_desk"])
    await world.sit(mo)
    row = await put(world, "ann", "P1", team="control_room")
    await world.core.desk.claim(row.id, mo, row.epoch)
    assert (await world.conversation()).owner_id == mo.staff_id


@pytest.mark.parametrize("role", ["comms", "admin"])
async def test_who_does_not_answer_takes_nothing(world: World, role: str) -> None:
    cam = await world.hire("cam", role)
    row = await put(world, "ann")
    with pytest.raises(NotAllowedError):
        await world.core.moves.take_next(cam, "1")
    assert (await world.conversation()).epoch == row.epoch


# ---- filters -------------------------------------------------------------------------------------


async def test_filters_narrow_the_list_and_the_counts_alike(world: World) -> None:
    mo = await world.hire("mo")
    a = await put(world, "ann", "P3", category="R13")
    await put(world, "bob", "P4", category="R13", language="pl")
    c = await put(world, "cat", "P3", team="control_room")
    mine = await own(world, "dan", mo, "P3", category="R13")
    assert await listed(world, mo, grade="P3") == [a.id, c.id]
    assert await listed(world, mo, grade="P3", team="digital_desk", category="R13", language="en") == [a.id]
    assert await listed(world, mo, language="pl", channel="test") == [(await world.conversation("bob")).id]
    assert await listed(world, mo, channel="webchat") == []
    assert await listed(world, mo, "mine") == [mine.id]
    async with world.store.read() as connection:
        facets = await count_facets(connection, mo)
        assert await count_owned(connection, mo, Filters(category="R13")) == (1, 0)
    wanted = Filters(category="R13")
    assert sum(one.waiting for one in facets if wanted.fits(one)) == 2
    assert (
        sum(
            one.waiting
            for one in facets
            if Filters(grade="P4", category="R13").fits(one, leaving_out="grade")
        )
        == 2
    )
    assert min(one.oldest for one in facets) == a.waiting_since


async def test_a_page_holds_so_many_rows_and_each_its_newest_words(world: World) -> None:
    mo = await world.hire("mo")
    for number in range(4):
        await put(world, f"person{number}")
        world.move(seconds=1)
    await world.say("the newest words", "person0")
    async with world.store.read() as connection:
        rows = await list_queue(connection, mo, state="waiting", limit=2)
    assert [row.last_text for row in rows] == ["the newest words", "hello"]


# ---- hand several on ---------------------------------------------------------------------------------


async def test_several_are_handed_on_and_none_is_lost_to_a_refusal(world: World) -> None:
    mo, jo = await world.hire("mo"), await world.hire("jo")
    waits = await put(world, "ann", "P3")
    world.move(minutes=5)
    mine = await own(world, "bob", mo, "P4")
    urgent = await put(world, "cat", "P2")
    owned_urgent = await own(world, "dan", mo, "P1")
    others = await own(world, "eve", jo, "P3")
    ids = [waits.id, mine.id, urgent.id, owned_urgent.id, others.id, waits.id, 10**9]
    moved = await world.core.moves.hand_on(ids, mo, "control_room", "for the night")
    assert moved.done == [waits.reference, mine.reference]
    refused = dict(moved.refused)
    assert "P2" in refused[urgent.reference]
    assert "P1" in refused[owned_urgent.reference]
    assert others.reference in refused
    assert len(moved.refused) == 4
    ann, bob = await world.conversation("ann"), await world.conversation("bob")
    assert [(row.state, row.team, row.waiting_since) for row in (ann, bob)] == [
        ("waiting", "control_room", waits.waiting_since), ("waiting", "control_room", mine.waiting_since),
    ]  # fmt: skip
    assert (await world.conversation("dan")).transfer_team is None
    assert [(row.conversation_id, row.team if hasattr(row, "team") else row.detail["team"]) for row in await world.audit("transfer")] == [
        (waits.id, "control_room"), (mine.id, "control_room"),
    ]  # fmt: skip
    assert [note.text for note in await world.rows(Note)] == ["for the night"] * 2
    assert (await world.conversation("eve")).owner_id == jo.staff_id


@pytest.mark.parametrize(
    ("team", "note", "says"),
    [
        ("control_room", " ", "note"),
        ("nowhere", "a note", "Choose a team"),
        ("digital_desk", "a note", "already"),
    ],
)
async def test_what_is_handed_on_needs_a_team_and_a_note(
    world: World, team: str, note: str, says: str
) -> None:
    mo = await world.hire("mo")
    row = await put(world, "ann")
    moved = await world.core.moves.hand_on([row.id], mo, team, note)
    assert not moved.done
    assert says in moved.refused[0][1]
    assert (await world.conversation()).team == "digital_desk"


async def test_nothing_chosen_is_said(world: World) -> None:
    mo = await world.hire("mo")
    with pytest.raises(RefusedError, match="at least one"):
        await world.core.moves.hand_on([], mo, "control_room", "a note")
    with pytest.raises(RefusedError, match="at most"):
        await world.core.moves.hand_on(range(1, 300), mo, "control_room", "a note")


async def test_who_is_handed_to_a_team_that_is_away_is_told(world: World) -> None:
    mo = await world.hire("mo", teams=["digital_desk"])
    await world.sit(mo)
    row = await put(world, "ann", "P3")
    await world.core.moves.hand_on([row.id], mo, "intelligence", "for them")
    await world.settle()
    assert any("Nobody is at the desk" in text for text in world.heard())


# ---- the grade of one that waits --------------------------------------------------------------------


async def test_a_moderator_raises_one_that_waits_and_the_person_gets_the_words(world: World) -> None:
    mo = await world.hire("mo")
    await world.sit(mo)
    row = await put(world, "ann", "P3", category="R13")
    with pytest.raises(RefusedError, match="reason"):
        await world.core.desk.set_grade(row.id, mo, "P1", " ")
    await world.core.desk.set_grade(row.id, mo, "P1", "they are inside now")
    after = await world.conversation()
    assert (after.state, after.grade, after.epoch) == ("waiting", "P1", row.epoch + 1)
    assert (await world.audit("grade"))[0].detail["reason"] == "they are inside now"
    await world.settle()
    heard = world.heard()
    assert "call 999 now" in heard[0]
    assert [event.data["grade"] for event in await world.events("alert")] == ["P1"]


@pytest.mark.parametrize("grade", ["P4", "P3"])
async def test_a_moderator_does_not_lower_one_that_waits(world: World, grade: Grade) -> None:
    mo = await world.hire("mo")
    row = await put(world, "ann", "P2")
    with pytest.raises(NotAllowedError):
        await world.core.desk.set_grade(row.id, mo, grade, "not so urgent")
    assert (await world.conversation()).grade == "P2"


# ---- the end of a shift --------------------------------------------------------------------------------


async def test_the_end_of_a_shift_hands_everything_on(world: World) -> None:
    mo, jo = await world.hire("mo"), await world.hire("jo")
    await world.sit(mo)
    calm = await own(world, "ann", mo, "P3")
    world.move(minutes=3)
    urgent = await own(world, "bob", mo, "P1", team="control_room")
    await world.sit(mo)
    with pytest.raises(RefusedError, match="note"):
        await world.core.moves.end_shift(mo, "", {})
    moved = await world.core.moves.end_shift(mo, "going home", {})
    assert (moved.done, moved.offered) == ([calm.reference], [urgent.reference])
    ann, bob = await world.conversation("ann"), await world.conversation("bob")
    assert (ann.state, ann.owner_id, ann.waiting_since) == ("waiting", None, calm.waiting_since)
    assert (bob.state, bob.owner_id, bob.transfer_team) == ("human", mo.staff_id, "control_room")
    await world.settle()
    # Who goes is counted as gone: nobody else is there.
    assert "Nobody is at the desk" in world.heard("ann")[-1]
    (ended,) = await world.audit("shift.end")
    assert ended.detail == {"handed": 1, "offered": 1, "left": 1}
    assert {note.text for note in await world.rows(Note)} == {"going home"}

    await world.core.desk.accept(bob.id, jo)
    assert await world.core.moves.owned_by(mo) == []
    # Pressed again: nothing is left to hand on, so no note is asked for.
    assert (await world.core.moves.end_shift(mo, "", {})).done == []


async def test_who_is_back_in_the_queue_hears_of_those_who_are_there(world: World) -> None:
    mo, jo = await world.hire("mo"), await world.hire("jo")
    await own(world, "ann", mo)
    for actor in (mo, jo):
        await world.sit(actor)
    await world.core.moves.end_shift(mo, "going home", {})
    await world.settle()
    assert world.heard("ann")[-1] == world.line("requeued")


# ---- nobody on shift -------------------------------------------------------------------------------------


async def test_with_nobody_on_shift_nothing_leaves_the_queue_and_it_drains_by_risk(world: World) -> None:
    texts: Sequence[tuple[str, str]] = (
        ("calm", "someone broke in last tuesday"), ("danger", "there is a fire in the flat"),
        ("worse", "my ex is stalking me"), ("calmer", "someone broke in last wednesday"),
    )  # fmt: skip
    for person, text in texts:
        await world.say(text, person)
        world.move(minutes=1)
    for person, _ in texts:
        said = " ".join(world.heard(person))
        assert "Nobody is at the desk right now" in said
        assert "I am passing you" not in said
    for _ in range(4):
        await world.tick(hours=12)
    rows = {person: await world.conversation(person) for person, _ in texts}
    assert {row.state for row in rows.values()} == {"waiting"}
    assert any(event.data.get("grade") == "P1" for event in await world.events("alert"))
    sue = await world.hire("sue", "supervisor", ["control_room", "digital_desk", "safeguarding"])
    await world.sit(sue)
    order = []
    for number in range(4):
        found = await world.core.moves.take_next(sue, f"{number}")
        assert found is not None
        order.append(found.conversation_id)
    assert order == [rows[person].id for person in ("danger", "worse", "calm", "calmer")]
