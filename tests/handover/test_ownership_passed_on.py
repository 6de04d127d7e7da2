"""The ownership table, its lower half: passed on, taken over, left behind, answered outside, written again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.errors import NotAllowedError, RefusedError, StaleError
from bot.handover import outside, ownership
from bot.messages import DOOR, Actor, Grade
from bot.store.tables import Conversation, Team
from tests.handover.changes import change, escalate
from tests.support.chats import put
from tests.support.world import INCIDENT, P1, P3, PLAIN, World

pytestmark = pytest.mark.integration


# ---- human → waiting, human → human -----------------------------------------------------------


@pytest.mark.parametrize("grade", ["P3", "P4"])
async def test_transfer_keeps_the_place_by_first_wait(world: World, grade: Grade) -> None:
    mod = await world.hire("mo")
    row = await put(world, "bot")
    await escalate(world, row, grade)
    first = (await world.conversation()).waiting_since
    row = await world.core.desk.claim(row.id, mod, (await world.conversation()).epoch)
    world.move(minutes=20)
    with pytest.raises(RefusedError):
        await world.core.desk.transfer(row.id, mod, "control_room", " ")
    with pytest.raises(RefusedError):
        await world.core.desk.transfer(row.id, mod, "no_such_team", "please take")
    after = await world.core.desk.transfer(row.id, mod, "control_room", "please take")
    assert (after.state, after.owner_id, after.team) == ("waiting", None, "control_room")
    assert after.waiting_since == first
    assert after.epoch == row.epoch + 1
    await world.settle()
    assert world.texts()[-1] == world.line("transferred")


@pytest.mark.parametrize("grade", ["P1", "P2"])
async def test_an_urgent_transfer_is_warm(world: World, grade: Grade) -> None:
    sender = await world.hire("mo")
    receiver = await world.hire("jo", teams=["safeguarding"])
    stranger = await world.hire("al", teams=["digital_desk"])
    row = await put(world, "human", grade, owner_id=sender.staff_id)
    await world.core.desk.transfer(row.id, sender, "safeguarding", "please take")
    offered = await world.conversation()
    assert (offered.state, offered.owner_id, offered.epoch) == ("human", sender.staff_id, row.epoch)
    with pytest.raises(NotAllowedError):
        await world.core.desk.accept(row.id, stranger)
    with pytest.raises(StaleError):
        await world.core.desk.claim(row.id, receiver, offered.epoch)
    await world.core.desk.reply(row.id, sender, "still with you")
    await world.core.desk.accept(row.id, receiver)
    after = await world.conversation()
    assert (after.state, after.owner_id, after.team) == ("human", receiver.staff_id, "safeguarding")
    assert after.epoch == row.epoch + 1
    assert after.transfer_team is None
    with pytest.raises(StaleError):
        await world.core.desk.accept(row.id, sender)
    with pytest.raises(StaleError):
        await world.core.desk.reply(row.id, sender, "hello?")


async def test_take_over_tells_both(world: World) -> None:
    mod, boss = await world.hire("mo"), await world.hire("su", "supervisor")
    row = await put(world, "human", "P2", owner_id=mod.staff_id)
    with pytest.raises(NotAllowedError):
        await world.core.desk.take_over(row.id, await world.hire("jo"))
    await world.core.desk.take_over(row.id, boss)
    after = await world.conversation()
    assert (after.owner_id, after.epoch) == (boss.staff_id, row.epoch + 1)
    told = (await world.events("conversation.owner"))[-1]
    assert (told.data["action"], told.data["was"], told.data["owner"]) == (
        "take_over", mod.staff_id, boss.staff_id,
    )  # fmt: skip
    with pytest.raises(StaleError):
        await world.core.desk.take_over(row.id, boss)


async def test_a_p1_that_arrives_at_the_owner(world: World) -> None:
    mod = await world.hire("mo")
    row = await world.owned(mod, P3)
    world.heard()
    await world.say(P1)
    after = await world.conversation()
    assert (after.state, after.owner_id, after.grade) == ("human", mod.staff_id, "P1")
    assert world.heard() == [world.words("R09", "P1")]
    alert = (await world.events("alert"))[-1]
    assert (alert.data["grade"], alert.data["owner"]) == ("P1", mod.staff_id)
    assert after.epoch == row.epoch + 1
    await world.core.desk.reply(row.id, mod, "I am still here")


async def test_each_urgent_hit_alerts_the_owner_again(world: World) -> None:
    mod = await world.hire("mo")
    await world.owned(mod, P1)
    before = len(await world.events("alert"))
    await world.say(P1)
    await world.say(P1)
    assert len(await world.events("alert")) == before + 2


# ---- the owner is gone -----------------------------------------------------------------------


async def test_a_suspended_owner_gives_back_to_the_front(world: World) -> None:
    mod, boss = await world.hire("mo"), await world.hire("su", "supervisor")
    row = await world.owned(mod, P3)
    assert await world.core.desk.hand_back_all(mod.staff_id or 0, boss, "suspended") == 1
    after = await world.conversation()
    assert (after.state, after.owner_id, after.front) == ("waiting", None, True)
    assert after.waiting_since == row.waiting_since
    assert (await world.events("alert"))[-1].data["owner"] is None


@pytest.mark.parametrize(("text", "minutes"), [(P1, 1), (P3, 15)])
async def test_an_owner_who_left_with_the_person_waiting(world: World, text: str, minutes: int) -> None:
    mod = await world.hire("mo")
    await world.sit(mod)
    row = await world.owned(mod, text)
    world.move(seconds=1)
    await world.core.desk.reply(row.id, mod, "Hello")
    world.move(minutes=30)
    await world.tick()
    assert (await world.conversation()).state == "human", "nobody waits: the last word was ours"
    await world.say("hello again")
    await world.tick(minutes=minutes)
    assert (await world.conversation()).state == "human"
    await world.tick(seconds=1)
    after = await world.conversation()
    assert (after.state, after.front) == ("waiting", True)


async def test_an_owner_at_the_desk_keeps_the_chat(world: World) -> None:
    mod = await world.hire("mo")
    await world.owned(mod, P1)
    for _ in range(10):
        world.move(seconds=50)
        await world.sit(mod)
        await world.tick()
    assert (await world.conversation()).owner_id == mod.staff_id


async def test_one_who_keeps_writing_to_an_empty_desk_is_not_forgotten(world: World) -> None:
    """The wait counts from the first message that nobody answered, not from the newest."""
    mod = await world.hire("mo")
    await world.owned(mod, P1)
    for number in range(6):
        await world.say(f"hello again {number}")
        await world.tick(seconds=30)
    assert (await world.conversation()).state == "waiting"


async def test_the_front_of_the_band_is_listed_first(world: World) -> None:
    from bot.handover.queue import list_queue

    mod, boss = await world.hire("mo"), await world.hire("su", "supervisor")
    for person in ("ann", "bob", "cat"):
        await world.say(P3, person)
        world.move(minutes=1)
    await world.say(P1, "dan")
    row = await world.conversation("cat")
    await world.core.desk.claim(row.id, mod, row.epoch)
    await world.core.desk.hand_back_all(mod.staff_id or 0, boss, "went home")
    async with world.store.read() as connection:
        listed = [row.id for row in await list_queue(connection, mod)]
    expected = [(await world.conversation(person)).id for person in ("dan", "cat", "ann", "bob")]
    assert listed == expected


async def test_a_restricted_chat_is_listed_only_to_its_team(world: World) -> None:
    from bot.handover.queue import count_waiting, list_queue

    outsider = await world.hire("mo")
    insider = await world.hire("pat", teams=["professional_standards"])
    row = await put(world, "waiting", "P2", team="professional_standards")
    async with world.store.read() as connection:
        assert await list_queue(connection, outsider) == []
        assert await count_waiting(connection, outsider) == {}
        assert [r.id for r in await list_queue(connection, insider)] == [row.id]
        assert (await connection.execute(Team.__table__.select())).all()


# ---- answered outside ------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "grade"), [("bot", None), ("waiting", "P3"), ("waiting", "P4")])
async def test_an_outside_reply_silences_the_assistant(world: World, state: str, grade: Grade | None) -> None:
    row = await put(world, state, grade)

    async def work(connection: Any) -> None:
        await outside.answered(connection, await ownership.get(connection, row.id), DOOR)

    await change(world, work)
    after = await world.conversation()
    assert (after.state, after.owner_outside, after.owner_id) == ("human", True, None)
    assert after.epoch == row.epoch + 1
    await world.say(PLAIN)
    assert world.heard() == []
    mod = await world.hire("mo")
    claimed = await world.core.desk.claim(row.id, mod, after.epoch)
    assert (claimed.owner_id, claimed.owner_outside) == (mod.staff_id, False)


async def test_an_outside_owner_has_a_clock_too(world: World) -> None:
    row = await put(world, "bot")

    async def work(connection: Any) -> None:
        await outside.answered(connection, await ownership.get(connection, row.id), DOOR)

    await change(world, work)
    await world.say("hello again")
    await world.tick(minutes=15, seconds=1)
    after = await world.conversation()
    assert (after.state, after.owner_outside, after.front) == ("waiting", False, True)


@pytest.mark.parametrize("grade", ["P1", "P2"])
async def test_an_urgent_wait_goes_on_when_answered_outside(world: World, grade: Grade) -> None:
    row = await put(world, "waiting", grade)

    async def work(connection: Any) -> None:
        await outside.answered(connection, await ownership.get(connection, row.id), DOOR)

    await change(world, work)
    after = await world.conversation()
    assert (after.state, after.answered_outside, after.grade) == ("waiting", True, grade)
    await world.say(PLAIN)
    await world.say("hello")
    assert world.heard() == [], "the assistant is silent"
    await world.say(P1)
    assert world.words("R09", "P1") in world.heard(), "safety words are not"


# ---- closed → ---------------------------------------------------------------------------------


async def test_a_message_within_24_hours_of_a_persons_close_goes_back_to_the_team(world: World) -> None:
    mod = await world.hire("mo")
    row = await world.owned(mod)
    await world.core.desk.transfer(row.id, mod, "control_room", "please take")
    row = await world.conversation()
    await world.core.desk.claim(row.id, mod, row.epoch)
    await world.core.desk.close(row.id, mod, "answered", incident=INCIDENT)
    await world.settle()
    world.heard()
    world.move(hours=23)
    await world.say("one more thing")
    after = await world.conversation()
    assert after.id != row.id
    assert (after.state, after.team, after.grade) == ("waiting", "control_room", "P4")
    assert world.heard() == [world.line("after_reopened_off_shift")]


async def test_thanks_reopen_nothing(world: World) -> None:
    mod = await world.hire("mo")
    for text in ("thanks", "Thank you so much!", "ok ta pet", "cheers"):
        row = await world.owned(mod, person=text)
        await world.core.desk.close(row.id, mod, "answered", incident=INCIDENT)
        await world.say(text, person=text)
        assert (await world.conversation(text)).state == "bot", text


async def test_after_24_hours_the_assistant_has_it(world: World) -> None:
    mod = await world.hire("mo")
    row = await world.owned(mod)
    await world.core.desk.close(row.id, mod, "answered", incident=INCIDENT)
    world.move(hours=24, seconds=1)
    await world.say(PLAIN)
    assert (await world.conversation()).state == "bot"


async def test_what_no_person_owned_reopens_with_the_assistant(world: World) -> None:
    mod = await world.hire("mo")
    row = await put(world, "waiting", "P4")
    await world.core.desk.close(row.id, mod, "no_reply", incident=INCIDENT)
    await world.say(PLAIN)
    assert (await world.conversation()).state == "bot"


async def test_one_open_conversation_for_each_identity(world: World) -> None:
    await asyncio.gather(*(world.take(world.incoming("hello", "zoe")) for _ in range(12)))
    await world.settle()
    assert len(await world.rows(Conversation)) == 1
    assert len(await world.messages("zoe")) == 12


# ---- blocked ----------------------------------------------------------------------------------


async def test_a_blocked_person_is_kept_screened_and_otherwise_silent(world: World) -> None:
    boss = await world.hire("su", "supervisor")
    await world.say(PLAIN)
    row = await world.conversation()
    with pytest.raises(NotAllowedError):
        await world.core.desk.block(row.id, await world.hire("mo"), True, "rude to us")
    with pytest.raises(RefusedError):
        await world.core.desk.block(row.id, boss, True, "")
    await world.core.desk.block(row.id, boss, True, "rude to us")
    world.heard()
    for text in (PLAIN, P3, "hello"):
        await world.say(text)
    await world.say("", kind="image")
    assert world.heard() == []
    assert len(await world.messages()) == 5
    assert (await world.conversation()).state == "bot"
    await world.say(P1)
    assert world.heard()[0] == world.words("R09", "P1")
    after = await world.conversation()
    assert (after.state, after.grade) == ("waiting", "P1")


async def test_a_blocked_persons_late_reading_raises_only_what_is_urgent(world: World) -> None:
    boss = await world.hire("su", "supervisor")
    await world.say("hello")
    await world.core.desk.block((await world.conversation()).id, boss, True, "rude to us")
    world.rasa.risk("burgled", R13=0.9)
    world.rasa.risk("drowning", R09=0.9)
    world.rasa.down = True
    await world.say("i was burgled")
    world.rasa.down = False
    await world.tick(seconds=30)
    assert (await world.conversation()).state == "bot"
    world.rasa.down = True
    await world.say("a lad is drowning")
    world.rasa.down = False
    await world.tick(seconds=30)
    assert (await world.conversation()).grade == "P1"


async def test_staff_escalate_by_hand(world: World) -> None:
    mod = await world.hire("mo")
    row = await put(world, "bot")
    with pytest.raises(RefusedError):
        await world.core.desk.escalate(row.id, mod, "")
    with pytest.raises(NotAllowedError):
        await world.core.desk.escalate(row.id, Actor("x", 1, "comms"), "look at this")
    after = await world.core.desk.escalate(row.id, mod, "look at this")
    assert (after.state, after.grade) == ("waiting", "P3")
    with pytest.raises(StaleError):
        await world.core.desk.escalate(row.id, mod, "look at this")
