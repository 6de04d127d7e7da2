"""Sealed chats: who learns of them, what sets the seal, and that nothing but its team lifts it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import Row, func, select, update

from bot.console.reading import list_alarms, list_recent, visible_of
from bot.conversations.desk import Desk
from bot.errors import NoSuchChatError, NotAllowedError, RefusedError
from bot.handover import ownership
from bot.handover.alarms import recent
from bot.handover.queue import count_waiting, list_queue, may_see
from bot.handover.shift import is_on_shift
from bot.messages import DOOR, Actor, Grade, Hit
from bot.store.tables import Conversation, Event, Note, Outbox
from tests.support.world import P1, P3, PLAIN, World

pytestmark = pytest.mark.integration

ACCUSED = "the officer punched me"  # R16, P2
COMPLAINT = "i want to make a complaint about how i was treated"  # R16, P3
TEAM, LEAD = "professional_standards", "control_room_lead"
NOWHERE = 987654


async def member(world: World) -> Actor:
    return await world.hire("pat", teams=[TEAM])


async def outsiders(world: World) -> list[Actor]:
    """One of everybody else who signs in."""
    every = ["digital_desk", "control_room", "safeguarding", "intelligence", "corporate_communications"]
    return [
        await world.hire("mo", "moderator", every),
        await world.hire("sue", "supervisor", every),
        await world.hire("cam", "comms", ["corporate_communications", TEAM]),
        await world.hire("ada", "admin", [TEAM, LEAD]),
    ]


async def raise_to(world: World, row: Row[Any], grade: Grade, category: str = "R16") -> Row[Any]:
    async with world.store.write() as connection:
        fresh = await ownership.get(connection, row.id)
        hit = Hit(category, grade, "staff", ("a test",))
        raised = await ownership.escalate(
            connection, fresh, [hit], DOOR, team=await world.core.words.route(connection, [hit])
        )
    return raised.conversation


async def seen(world: World, row: Row[Any], actor: Actor) -> list[bool]:
    """By each way of learning of a chat, whether `actor` does."""
    async with world.store.read() as connection:
        return [
            row.id in {one.id for one in await list_queue(connection, actor)},
            row.grade in await count_waiting(connection, actor),
            await may_see(connection, row.id, actor),
            row.id in await visible_of(connection, [row.id], actor),
        ]


async def test_an_accusation_is_sealed_by_the_door_and_only_its_team_learns_of_it(world: World) -> None:
    row = await world.say(ACCUSED)
    assert (row.state, row.grade, row.team, row.sealed) == ("waiting", "P2", TEAM, True)
    (audit,) = await world.audit("seal")
    assert (audit.conversation_id, audit.detail["team"]) == (row.id, TEAM)
    assert await seen(world, row, await member(world)) == [True] * 4
    for actor in await outsiders(world):
        assert await seen(world, row, actor) == [False] * 4, actor


async def test_a_closed_one_and_one_with_the_assistant_stay_hidden(world: World) -> None:
    pat = await member(world)
    others = await outsiders(world)
    row = await world.say(ACCUSED)
    row = await world.core.desk.claim(row.id, pat, row.epoch)
    await world.core.desk.set_grade(row.id, pat, "P3", "no danger")
    await world.core.desk.release(row.id, pat)
    row = await world.conversation()
    assert (row.state, row.sealed, row.team) == ("bot", True, TEAM)
    for state in ("bot", "closed"):
        if state == "closed":
            row = await world.core.desk.escalate(row.id, pat, "read again")
            async with world.store.write() as connection:
                await ownership.close(connection, row.id, pat, "answered", "Read it.")
        async with world.store.read() as connection:
            assert [one.id for one in await list_recent(connection, pat, state)] == [row.id]
            for actor in others:
                assert await list_recent(connection, actor, state) == []
                assert not await may_see(connection, row.id, actor)


async def test_at_p1_the_named_team_sees_it_too_and_the_control_room_does_not(world: World) -> None:
    pat, lead = await member(world), await world.hire("lee", teams=[LEAD])
    others = await outsiders(world)
    row = await world.say(ACCUSED)
    assert await seen(world, row, lead) == [False] * 4
    row = await raise_to(world, row, "P1")
    assert (row.grade, row.team, row.sealed) == ("P1", TEAM, True)
    for actor in (pat, lead):
        assert await seen(world, row, actor) == [True] * 4
        async with world.store.read() as connection:
            assert [alarm.conversation_id for alarm in await list_alarms(connection, actor)] == [row.id]
    for actor in others:
        assert await seen(world, row, actor) == [False] * 4, actor
        async with world.store.read() as connection:
            assert await list_alarms(connection, actor) == []
    assert (await world.core.desk.claim(row.id, lead, row.epoch)).owner_id == lead.staff_id


async def test_danger_of_another_kind_does_not_take_it_from_its_team(world: World) -> None:
    lead = await world.hire("lee", teams=[LEAD])
    control = await world.hire("mo", teams=["control_room"])
    await world.say(ACCUSED)
    row = await world.say(P1)
    assert (row.grade, row.category, row.team, row.sealed) == ("P1", "R09", TEAM, True)
    assert await seen(world, row, lead) == [True] * 4
    assert await seen(world, row, control) == [False] * 4


async def test_the_other_way_round_too(world: World) -> None:
    control = await world.hire("mo", teams=["control_room"])
    first = await world.say(P1)
    assert await seen(world, first, control) == [True] * 4
    row = await world.say(ACCUSED)
    assert (row.grade, row.team, row.sealed) == ("P1", TEAM, True)
    assert await seen(world, row, control) == [False] * 4


async def test_who_is_on_shift_is_whoever_may_see_it(world: World) -> None:
    control, lead, pat = (
        await world.hire("mo", teams=["control_room", "digital_desk"]),
        await world.hire("lee", teams=[LEAD]),
        await member(world),
    )

    async def on_shift(grade: str) -> bool:
        async with world.store.read() as connection:
            return await is_on_shift(connection, grade, TEAM)

    await world.sit(control)
    assert not await on_shift("P1")
    row = await world.say(ACCUSED)
    assert world.line("queued_off_shift") in "\n".join(world.heard())
    assert row.team == TEAM  # nobody covers for it
    await world.sit(lead)
    assert await on_shift("P1")
    assert not await on_shift("P2")
    world.move(minutes=5)
    await world.sit(pat)
    assert await on_shift("P1")
    assert await on_shift("P2")


async def test_an_owner_outside_the_team_loses_it_before_reading(world: World) -> None:
    mo, pat = await world.hire("mo"), await member(world)
    row = await world.owned(mo)
    await world.core.desk.draft(row.id, mo, "half a sentence")
    row = await world.say(ACCUSED)
    assert (row.state, row.owner_id, row.front, row.sealed, row.team) == ("waiting", None, True, True, TEAM)
    assert await seen(world, row, mo) == [False] * 4
    with pytest.raises(NoSuchChatError):
        await world.core.desk.reply(row.id, mo, "hello")
    (event,) = await world.events("conversation.sealed")
    assert event.data == {"was": mo.staff_id}
    row = await world.core.desk.claim(row.id, pat, row.epoch)
    assert row.owner_id == pat.staff_id
    again = await world.say("he did it twice")
    assert (again.state, again.owner_id) == ("human", pat.staff_id)


async def test_an_owner_of_the_team_keeps_it(world: World) -> None:
    pat = await world.hire("pat", teams=["digital_desk", TEAM])
    await world.owned(pat)
    row = await world.say(ACCUSED)
    assert (row.state, row.owner_id, row.sealed, row.team) == ("human", pat.staff_id, True, TEAM)


async def test_a_complaint_to_somebody_who_is_writing_stays_until_it_is_passed_on(world: World) -> None:
    mo = await world.hire("mo")
    await world.owned(mo)
    row = await world.say(COMPLAINT)
    assert (row.state, row.owner_id, row.sealed) == ("human", mo.staff_id, False)
    row = await world.core.desk.transfer(row.id, mo, TEAM, "they complain of an officer")
    assert (row.state, row.sealed, row.team) == ("waiting", True, TEAM)
    assert await seen(world, row, mo) == [False] * 4


async def test_a_complaint_to_the_assistant_is_sealed(world: World) -> None:
    row = await world.say(COMPLAINT)
    assert (row.state, row.grade, row.sealed, row.team) == ("waiting", "P3", True, TEAM)


async def test_an_urgent_one_is_sealed_once_its_team_accepts_it(world: World) -> None:
    mo, pat = await world.hire("mo"), await member(world)
    row = await world.owned(mo, P1)
    row = await world.core.desk.transfer(row.id, mo, TEAM, "one of ours")
    assert (row.state, row.owner_id, row.sealed) == ("human", mo.staff_id, False)
    row = await world.core.desk.accept(row.id, pat)
    assert (row.owner_id, row.team, row.sealed) == (pat.staff_id, TEAM, True)
    assert await seen(world, row, mo) == [False] * 4


async def test_who_sees_a_p1_only_can_pass_it_to_the_team_and_not_lower_it(world: World) -> None:
    lead, pat = await world.hire("lee", teams=[LEAD]), await member(world)
    row = await raise_to(world, await world.say(ACCUSED), "P1")
    row = await world.core.desk.claim(row.id, lead, row.epoch)
    with pytest.raises(RefusedError, match="Only they may lower"):
        await world.core.desk.set_grade(row.id, lead, "P2", "no danger now")
    for team in ("control_room", "digital_desk"):
        with pytest.raises(RefusedError, match="stays with its team"):
            await world.core.desk.transfer(row.id, lead, team, "please take")
    await world.core.desk.transfer(row.id, lead, TEAM, "please take")
    row = await world.core.desk.accept(row.id, pat)
    assert (row.owner_id, row.team, row.sealed) == (pat.staff_id, TEAM, True)
    await world.core.desk.transfer(row.id, pat, LEAD, "danger again")
    row = await world.core.desk.accept(row.id, lead)
    assert (row.owner_id, row.team, row.sealed) == (lead.staff_id, TEAM, True)


async def test_only_its_team_opens_the_seal_with_a_reason_and_it_stays_with_them(world: World) -> None:
    desk, pat = world.core.desk, await member(world)
    lead = await world.hire("lee", teams=[LEAD])
    others = await outsiders(world)
    row = await raise_to(world, await world.say(ACCUSED), "P1")
    for actor in others:
        with pytest.raises(NoSuchChatError):
            await desk.unseal(row.id, actor, "let me see")
    with pytest.raises(NotAllowedError):
        await desk.unseal(row.id, lead, "let all see")
    with pytest.raises(RefusedError, match="reason"):
        await desk.unseal(row.id, pat, " ")
    row = await desk.unseal(row.id, pat, "it is about a security guard")
    assert (row.sealed, row.team) == (False, TEAM)
    (audit,) = await world.audit("unseal")
    assert (audit.staff_id, audit.detail["reason"]) == (pat.staff_id, "it is about a security guard")
    with pytest.raises(RefusedError, match="not sealed"):
        await desk.unseal(row.id, pat, "again")
    assert await seen(world, row, others[0]) == [False] * 4  # the team is a restricted one still
    row = await desk.claim(row.id, pat, row.epoch)
    await desk.set_grade(row.id, pat, "P3", "no danger")
    row = await desk.transfer(row.id, pat, "digital_desk", "a security guard, not one of ours")
    assert await seen(world, row, others[0]) == [True] * 4


async def test_nothing_lifts_a_seal_by_itself(world: World) -> None:
    await world.say(COMPLAINT)
    row = await world.say("no")  # they take it back
    assert (row.state, row.sealed, row.team) == ("bot", True, TEAM)
    row = await world.say(P3)
    assert (row.state, row.sealed, row.team) == ("waiting", True, TEAM)
    await world.tick(hours=30)
    row = await world.conversation()
    assert (row.state, row.sealed, row.team) == ("waiting", True, TEAM)


async def test_who_writes_again_to_the_team_is_sealed_again(world: World) -> None:
    pat = await member(world)
    mo = await world.hire("mo")
    row = await world.say(ACCUSED)
    row = await world.core.desk.claim(row.id, pat, row.epoch)
    await world.settle()
    await world.core.desk.set_grade(row.id, pat, "P3", "no danger")
    async with world.store.write() as connection:
        await ownership.close(connection, row.id, pat, "answered", "done")
    again = await world.say(PLAIN)
    assert again.id != row.id
    assert (again.state, again.team, again.sealed) == ("waiting", TEAM, True)
    assert await seen(world, again, mo) == [False] * 4


async def test_staff_seal_by_hand(world: World) -> None:
    desk, mo = world.core.desk, await world.hire("mo")
    other = await world.hire("jo")
    row = await world.owned(mo)
    for team, reason in (
        (TEAM, " "),
        ("control_room", "a colleague"),
        ("", "a colleague"),
        ("x", "a colleague"),
    ):
        with pytest.raises(RefusedError):
            await desk.seal(row.id, mo, team, reason)
    with pytest.raises(NotAllowedError):
        await desk.seal(row.id, other, TEAM, "a colleague")
    row = await desk.seal(row.id, mo, TEAM, "the person is a colleague")
    assert (row.state, row.owner_id, row.sealed, row.team, row.grade) == ("waiting", None, True, TEAM, "P3")
    assert await seen(world, row, mo) == [False] * 4
    with pytest.raises(NoSuchChatError):
        await desk.seal(row.id, mo, TEAM, "the person is a colleague")


async def test_a_closed_chat_is_sealed_and_stays_closed(world: World) -> None:
    desk, mo = world.core.desk, await world.hire("mo")
    row = await world.owned(mo)
    async with world.store.write() as connection:
        await ownership.close(connection, row.id, mo, "answered", "done")
    row = await desk.seal(row.id, mo, TEAM, "the person is a colleague")
    assert (row.state, row.sealed, row.team) == ("closed", True, TEAM)
    async with world.store.read() as connection:
        assert not await may_see(connection, row.id, mo)


Do = Callable[[Desk, int, Actor], Awaitable[Any]]
ACTIONS: dict[str, Do] = {
    "claim": lambda desk, chat, who: desk.claim(chat, who, 1),
    "reply": lambda desk, chat, who: desk.reply(chat, who, "hello"),
    "note": lambda desk, chat, who: desk.note(chat, who, "a note"),
    "escalate": lambda desk, chat, who: desk.escalate(chat, who, "a reason"),
    "release": lambda desk, chat, who: desk.release(chat, who),
    "return": lambda desk, chat, who: desk.return_to_assistant(chat, who, "a reason"),
    "close": lambda desk, chat, who: desk.close(chat, who, "answered", "done"),
    "transfer": lambda desk, chat, who: desk.transfer(chat, who, "control_room", "a note"),
    "accept": lambda desk, chat, who: desk.accept(chat, who),
    "take_over": lambda desk, chat, who: desk.take_over(chat, who),
    "grade": lambda desk, chat, who: desk.set_grade(chat, who, "P2", "a reason"),
    "open": lambda desk, chat, who: desk.opened(chat, who),
    "block": lambda desk, chat, who: desk.block(chat, who, True, "a reason"),
    "seal": lambda desk, chat, who: desk.seal(chat, who, TEAM, "a reason"),
    "unseal": lambda desk, chat, who: desk.unseal(chat, who, "a reason"),
    "reason": lambda desk, chat, who: desk.give_reason(chat, who, "a reason"),
}


@pytest.mark.parametrize("state", ["waiting", "human", "bot", "closed"])
async def test_every_action_answers_as_if_there_were_none(world: World, state: str) -> None:
    pat = await member(world)
    sue = await world.hire("sue", "supervisor", ["digital_desk", "control_room", "safeguarding"])
    row = await raise_to(world, await world.say(ACCUSED), "P1")
    owner = pat.staff_id if state == "human" else None
    async with world.store.write() as connection:
        values = {"state": state, "owner_id": owner}
        await connection.execute(update(Conversation).where(Conversation.id == row.id).values(**values))

    async def count() -> list[int]:
        async with world.store.read() as connection:
            tables = (Event, Note)
            counts = [await connection.execute(select(func.count()).select_from(table)) for table in tables]
            return [found.scalar_one() for found in counts]

    before, audits = await count(), len(await world.audit())
    for name, act in ACTIONS.items():
        said = []
        for chat in (row.id, NOWHERE, 0, -1, 2**70):
            with pytest.raises(NoSuchChatError) as refused:
                await act(world.core.desk, chat, sue)
            said.append(str(refused.value))
        assert len(set(said)) == 1, name
    assert (await count(), len(await world.audit())) == (before, audits)


async def test_a_reply_of_unknown_fate_is_not_told_apart_either(world: World) -> None:
    pat, mo = await member(world), await world.hire("mo")
    row = await world.say(ACCUSED)
    row = await world.core.desk.claim(row.id, pat, row.epoch)
    reply = await world.core.desk.reply(row.id, pat, "hello")
    async with world.store.write() as connection:
        await connection.execute(update(Outbox).where(Outbox.id == reply).values(state="failed"))
    said = set()
    for outbox_id in (reply, NOWHERE):
        with pytest.raises(RefusedError) as refused:
            await world.core.desk.send_again(outbox_id, mo)
        said.add((type(refused.value), str(refused.value)))
    assert len(said) == 1


async def test_alarms_of_a_sealed_chat_are_listed_to_its_team_only(world: World) -> None:
    pat = await member(world)
    others = await outsiders(world)
    row = await raise_to(world, await world.say(ACCUSED), "P1")
    await world.say(P1, "bob")
    world.move(seconds=61)
    await world.core.alarms.look()

    async def listed(actor: Actor) -> set[int | None]:
        async with world.store.read() as connection:
            return {one.alarm.conversation_id for one in await recent(connection, actor)}

    plain = (await world.conversation("bob")).id
    assert await listed(pat) == {row.id, plain}
    for actor in [*others, Actor("command line")]:
        assert await listed(actor) == {plain}
    async with world.store.read() as connection:
        (alarm,) = [one.alarm for one in await recent(connection, pat) if one.alarm.conversation_id == row.id]
    assert (alarm.category, alarm.team) == (None, LEAD)  # whom to call, and not what about


async def test_a_member_who_leaves_the_team_hands_it_back(world: World) -> None:
    pat = await member(world)
    row = await world.say(ACCUSED)
    row = await world.core.desk.claim(row.id, pat, row.epoch)
    moved = Actor(pat.name, pat.staff_id, pat.role, frozenset({"digital_desk"}))
    assert await world.core.desk.hand_back_all(pat.staff_id or 0, DOOR, "team changed", keeping=moved) == 1
    row = await world.conversation()
    assert (row.state, row.owner_id, row.team, row.sealed) == ("waiting", None, TEAM, True)
