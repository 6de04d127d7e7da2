"""The ownership table, row by row: what may happen, and what may not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.errors import NotAllowedError, RefusedError, StaleError
from bot.handover import ownership
from bot.messages import ASSISTANT, CLOCK, DOOR, GRADES, Grade
from tests.handover.changes import change, escalate
from tests.support.chats import put
from tests.support.world import INCIDENT, P1, World

pytestmark = pytest.mark.integration


# ---- bot → waiting ---------------------------------------------------------------------------


@pytest.mark.parametrize("grade", ["P1", "P2", "P3", "P4"])
async def test_bot_escalates_to_waiting(world: World, grade: Grade) -> None:
    row = await put(world, "bot")
    raised = await escalate(world, row, grade)
    after = await world.conversation()
    assert raised.moved
    assert (after.state, after.grade, after.epoch) == ("waiting", grade, row.epoch + 1)
    assert after.waiting_since is not None


async def test_bot_is_closed_by_24_hours_of_silence(world: World) -> None:
    await put(world, "bot")
    await world.tick(hours=24)
    assert (await world.conversation()).state == "bot"
    await world.tick(seconds=1)
    row = await world.conversation()
    assert (row.state, row.outcome) == ("closed", "silent")
    assert world.rasa.forgotten == [f"c{row.id}-{row.reference}"]


@pytest.mark.parametrize("state", ["waiting", "human"])
async def test_no_timer_closes_what_waits_or_is_owned(world: World, state: str) -> None:
    mod = await world.hire("mo")
    for grade in GRADES:
        await put(world, state, grade, grade, owner_id=mod.staff_id if state == "human" else None)
    for _ in range(3):
        await world.tick(hours=30)
    for grade in GRADES:
        assert (await world.conversation(grade)).state != "closed"


# ---- waiting → waiting -----------------------------------------------------------------------


async def test_a_grade_only_rises_by_itself(world: World) -> None:
    row = await put(world, "bot")
    steps: tuple[tuple[Grade, Grade], ...] = (
        ("P3", "P3"),
        ("P4", "P3"),
        ("P2", "P2"),
        ("P3", "P2"),
        ("P1", "P1"),
        ("P2", "P1"),
    )
    for grade, expected in steps:
        await escalate(world, row, grade)
        assert (await world.conversation()).grade == expected
    assert (await world.conversation()).state == "waiting"


async def test_the_epoch_grows_at_a_change_of_owner_and_a_rise_to_urgent_only(world: World) -> None:
    row = await put(world, "bot")
    epochs = []
    for grade in ("P4", "P3", "P3", "P2", "P2", "P1"):
        await escalate(world, row, grade)
        epochs.append((await world.conversation()).epoch - row.epoch)
    assert epochs == [1, 1, 1, 2, 2, 3]


async def test_a_new_wait_keeps_its_first_moment(world: World) -> None:
    row = await put(world, "bot")
    await escalate(world, row, "P4")
    first = (await world.conversation()).waiting_since
    world.move(minutes=5)
    await escalate(world, row, "P3")
    assert (await world.conversation()).waiting_since == first


async def test_lowering_a_grade_needs_a_person_and_a_reason(world: World) -> None:
    mod, boss = await world.hire("mo"), await world.hire("su", "supervisor")
    row = await world.owned(mod, P1)
    with pytest.raises(RefusedError):
        await world.core.desk.set_grade(row.id, mod, "P3", " ")
    with pytest.raises(NotAllowedError):
        await world.core.desk.set_grade(row.id, await world.hire("other"), "P3", "no danger")
    with pytest.raises(NotAllowedError):
        await world.core.desk.set_grade(row.id, CLOCK, "P3", "no danger")
    await world.core.desk.set_grade(row.id, boss, "P3", "no danger found")
    assert (await world.conversation()).grade == "P3"
    (noted,) = await world.audit("grade")
    assert noted.detail == {"grade": ["P1", "P3"], "reason": "no danger found"}
    assert noted.staff_id == boss.staff_id


async def test_a_rise_by_hand_refuses_older_answers(world: World) -> None:
    boss = await world.hire("su", "supervisor")
    row = await put(world, "waiting", "P4")
    await world.core.desk.set_grade(row.id, boss, "P1", "")
    assert (await world.conversation()).epoch == row.epoch + 1


# ---- waiting → human -------------------------------------------------------------------------


async def test_claim(world: World) -> None:
    mod = await world.hire("mo")
    row = await put(world, "waiting", "P1")
    after = await world.core.desk.claim(row.id, mod, row.epoch)
    assert (after.state, after.owner_id, after.epoch) == ("human", mod.staff_id, row.epoch + 1)
    await world.settle()
    assert world.texts()[-1:] == [world.line("joined")]


async def test_the_loser_of_a_claim_is_told_who_won(world: World) -> None:
    first, second = await world.hire("mo"), await world.hire("jo")
    row = await put(world, "waiting", "P3")
    await world.core.desk.claim(row.id, first, row.epoch)
    with pytest.raises(StaleError, match="Mo has this chat"):
        await world.core.desk.claim(row.id, second, row.epoch)
    assert (await world.conversation()).owner_id == first.staff_id


async def test_a_claim_pressed_twice_is_one_claim(world: World) -> None:
    mod = await world.hire("mo")
    row = await put(world, "waiting", "P3")
    await world.core.desk.claim(row.id, mod, row.epoch)
    again = await world.core.desk.claim(row.id, mod, row.epoch)
    assert again.owner_id == mod.staff_id
    await world.settle()
    assert world.texts().count(world.line("joined")) == 1


async def test_a_claim_from_an_old_page_is_refused(world: World) -> None:
    mod = await world.hire("mo")
    row = await put(world, "waiting", "P3")
    await escalate(world, row, "P1", "R08")
    with pytest.raises(StaleError):
        await world.core.desk.claim(row.id, mod, row.epoch)
    assert (await world.conversation()).state == "waiting"


@pytest.mark.parametrize("state", ["bot", "closed"])
async def test_only_what_waits_can_be_claimed(world: World, state: str) -> None:
    mod = await world.hire("mo")
    row = await put(world, state)
    with pytest.raises(StaleError):
        await world.core.desk.claim(row.id, mod, row.epoch)


async def test_only_those_who_answer_people_can_claim(world: World) -> None:
    row = await put(world, "waiting", "P1")
    for role in ("comms", "admin", "auditor"):
        who = await world.hire(role, role)
        with pytest.raises(NotAllowedError):
            await world.core.desk.claim(row.id, who, row.epoch)
    with pytest.raises(NotAllowedError):
        await world.core.desk.claim(row.id, ASSISTANT, row.epoch)


async def test_a_restricted_team_keeps_others_out(world: World) -> None:
    outsider = await world.hire("mo")
    insider = await world.hire("pat", teams=["professional_standards"])
    row = await put(world, "waiting", "P2", team="professional_standards")
    with pytest.raises(NotAllowedError):
        await world.core.desk.claim(row.id, outsider, row.epoch)
    await world.core.desk.claim(row.id, insider, row.epoch)


# ---- waiting → bot, closed -------------------------------------------------------------------


@pytest.mark.parametrize("grade", ["P3", "P4"])
async def test_the_person_withdraws(world: World, grade: Grade) -> None:
    row = await put(world, "waiting", grade)
    await world.say("no")
    after = await world.conversation()
    assert (after.state, after.grade, after.epoch) == ("bot", None, row.epoch + 1)
    assert world.heard() == [world.line("withdrawn")]


@pytest.mark.parametrize("grade", ["P1", "P2"])
async def test_nothing_that_a_person_says_withdraws_an_urgent_chat(world: World, grade: Grade) -> None:
    row = await put(world, "waiting", grade)
    for text in ("never mind", "no", "start again", "goodbye", "thanks", "leave it"):
        await world.say(text)
        after = await world.conversation()
        assert (after.state, after.grade, after.epoch) == ("waiting", grade, row.epoch), text


async def test_staff_return_what_waits(world: World) -> None:
    mod = await world.hire("mo")
    row = await put(world, "waiting", "P3")
    with pytest.raises(RefusedError):
        await world.core.desk.return_to_assistant(row.id, mod, "")
    await world.core.desk.return_to_assistant(row.id, mod, "answered by the bot")
    await world.settle()
    assert (await world.conversation()).state == "bot"
    assert world.heard() == [world.line("withdrawn")]


@pytest.mark.parametrize("grade", ["P1", "P2"])
async def test_an_urgent_chat_cannot_be_returned(world: World, grade: Grade) -> None:
    boss = await world.hire("su", "supervisor")
    row = await put(world, "waiting", grade)
    with pytest.raises(RefusedError):
        await world.core.desk.return_to_assistant(row.id, boss, "not needed")
    assert (await world.conversation()).state == "waiting"


@pytest.mark.parametrize("state", ["waiting", "human"])
@pytest.mark.parametrize("grade", ["P1", "P2"])
async def test_an_urgent_chat_is_closed_only_with_what_was_done(
    world: World, state: str, grade: Grade
) -> None:
    mod = await world.hire("mo")
    row = await put(world, state, grade, owner_id=mod.staff_id if state == "human" else None)
    for done in ("", "  ", "x"):
        with pytest.raises(RefusedError):
            await world.core.desk.close(row.id, mod, "no_reply", done, incident=INCIDENT)
    await world.core.desk.close(row.id, mod, "no_reply", "Called back, safe and well", incident=INCIDENT)
    assert (await world.conversation()).state == "closed"
    (noted,) = await world.audit("close")
    assert noted.staff_id == mod.staff_id
    assert noted.detail["done"] == "Called back, safe and well"


async def test_the_clock_and_the_assistant_cannot_close_by_hand(world: World) -> None:
    row = await put(world, "waiting", "P4")
    for actor in (CLOCK, ASSISTANT, DOOR, await world.hire("vi", "comms")):
        with pytest.raises(NotAllowedError):
            await world.core.desk.close(row.id, actor, "no_reply", "done", incident=INCIDENT)


async def test_close_silent_leaves_what_is_not_the_assistants(world: World) -> None:
    row = await put(world, "waiting", "P4")

    async def work(connection: Any) -> None:
        await ownership.close_silent(connection, await ownership.get(connection, row.id), CLOCK)

    await change(world, work)
    assert (await world.conversation()).state == "waiting"


# ---- human → bot, closed ---------------------------------------------------------------------


@pytest.mark.parametrize("grade", ["P3", "P4"])
async def test_release(world: World, grade: Grade) -> None:
    mod = await world.hire("mo")
    row = await put(world, "human", grade, owner_id=mod.staff_id)
    await world.core.desk.release(row.id, mod)
    await world.settle()
    after = await world.conversation()
    assert (after.state, after.owner_id, after.epoch) == ("bot", None, row.epoch + 1)
    assert world.heard() == [world.line("released")]


@pytest.mark.parametrize("grade", ["P1", "P2"])
async def test_an_urgent_chat_is_not_released(world: World, grade: Grade) -> None:
    mod = await world.hire("mo")
    row = await put(world, "human", grade, owner_id=mod.staff_id)
    with pytest.raises(RefusedError):
        await world.core.desk.release(row.id, mod)
    assert (await world.conversation()).owner_id == mod.staff_id


async def test_only_the_owner_acts(world: World) -> None:
    mod, other = await world.hire("mo"), await world.hire("jo")
    boss = await world.hire("su", "supervisor")
    row = await put(world, "human", "P3", owner_id=mod.staff_id)
    desk = world.core.desk
    for actor in (other, boss):
        for act in (
            desk.release(row.id, actor),
            desk.close(row.id, actor, "no_reply", "done", incident=INCIDENT),
            desk.transfer(row.id, actor, "control_room", "please take"),
            desk.reply(row.id, actor, "hello"),
        ):
            with pytest.raises(StaleError):
                await act
    after = await world.conversation()
    assert (after.state, after.owner_id, after.epoch) == ("human", mod.staff_id, row.epoch)
    assert world.texts() == []


async def test_close_tells_the_reference_and_forgets(world: World) -> None:
    mod = await world.hire("mo")
    row = await world.owned(mod)
    with pytest.raises(RefusedError):
        await world.core.desk.close(row.id, mod, "no such outcome")
    await world.core.desk.close(row.id, mod, "answered", incident=INCIDENT)
    await world.settle()
    assert world.texts()[-1] == world.line("closed", reference=row.reference)
    await asyncio.gather(*world.core.desk._background)
    assert f"c{row.id}-{row.reference}" in world.rasa.forgotten
