"""Closing, the incident number, snooze, reopening, call backs, and the summary that is handed over."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Row, select, update

from bot.conversations.calls import Call, may_call
from bot.conversations.clocks import NO_NUMBER
from bot.conversations.packet import Names, findings, read_packet, summary, sureness
from bot.errors import NotAllowedError, RefusedError, StaleError
from bot.handover.incident import IncidentRule, first_report
from bot.messages import Actor
from bot.store.tables import CallBack, Conversation, Team
from tests.support.world import INCIDENT, NOON, P1, P1_OTHER, P2_HIDDEN, P3, PLAIN, World

pytestmark = pytest.mark.integration

STALKED = ("digital_desk", "control_room", "safeguarding")
"""Teams that may read a chat of a hidden subject without being asked why."""


async def at_desk(world: World, name: str = "mo", role: str = "moderator", **more: Any) -> Actor:
    """A member of staff who is there."""
    actor = await world.hire(name, role, **more)
    await world.sit(actor)
    return actor


async def reasons(world: World) -> list[str]:
    """What was warned of."""
    return [e.data["reason"] for e in await world.events("alert") if "grade" not in e.data]


# ---- the incident number ---------------------------------------------------------------------


@pytest.mark.parametrize("text", [P3, P1, P1_OTHER])
async def test_what_tells_of_a_crime_or_a_risk_closes_only_with_a_number(world: World, text: str) -> None:
    mod = await at_desk(world)
    row = await world.owned(mod, text)
    for wrong in ("", "  ", "12345", "NP-2026-1", row.reference):
        with pytest.raises(RefusedError, match="incident number"):
            await world.core.desk.close(row.id, mod, "other", "Looked into it.", incident=wrong)
    assert (await world.conversation()).state == "human"
    await world.core.desk.close(row.id, mod, "other", "Looked into it.", incident=" np-20261124-0001 ")
    closed = await world.conversation()
    assert (closed.state, closed.incident) == ("closed", INCIDENT)
    (kept,) = await world.audit("incident")
    assert (kept.staff_id, kept.detail["number"]) == (mod.staff_id, [None, INCIDENT])


async def test_a_question_closes_without_one(world: World) -> None:
    mod = await at_desk(world)
    row = await world.owned(mod, PLAIN)
    async with world.store.write() as connection:  # the queue by hand is a P3 of R20
        await connection.execute(update(Conversation).where(Conversation.id == row.id).values(grade="P4"))
    await world.core.desk.close(row.id, mod, "answered")
    assert (await world.conversation()).incident is None


async def test_a_grade_that_fell_does_not_undo_what_was_told(world: World) -> None:
    mod = await at_desk(world)
    row = await world.owned(mod, P1)
    await world.core.desk.set_grade(row.id, mod, "P4", "nothing is burning")
    with pytest.raises(RefusedError, match="incident number"):
        await world.core.desk.close(row.id, mod, "answered")
    by_hand = await world.owned(mod, PLAIN, "bob")
    await world.core.desk.set_grade(by_hand.id, mod, "P2", "sounds afraid")
    await world.core.desk.set_grade(by_hand.id, mod, "P4", "is not afraid")
    with pytest.raises(RefusedError, match="incident number"):
        await world.core.desk.close(by_hand.id, mod, "answered")


@pytest.mark.parametrize("outcome", ["crime_recorded", "incident_created", "safeguarding_referral"])
async def test_an_outcome_that_says_there_is_a_record_needs_its_number(world: World, outcome: str) -> None:
    mod = await at_desk(world)
    row = await world.owned(mod, PLAIN)
    with pytest.raises(RefusedError, match="incident number"):
        await world.core.desk.close(row.id, mod, outcome, "It was recorded.")
    await world.core.desk.close(row.id, mod, outcome, "It was recorded.", incident=INCIDENT)


async def test_a_test_and_a_double_are_never_asked_for_one(world: World) -> None:
    mod = await at_desk(world)
    first = await world.owned(mod, P1)
    await world.core.desk.close(first.id, mod, "test", "An exercise of the control room.")
    first = await world.owned(mod, P3, "bob")
    second = await world.owned(mod, P3, "cat")
    for linked in ("", "FC-NOSUCH", second.reference):
        with pytest.raises(RefusedError, match="chat reference"):
            await world.core.desk.close(second.id, mod, "duplicate", "Same burglary.", linked=linked)
    written = first.reference.lower() + " "
    await world.core.desk.close(second.id, mod, "duplicate", "Same burglary.", linked=written)
    assert (await world.audit("close"))[-1].detail["linked"] == first.reference


async def test_a_double_cannot_probe_for_chats_that_one_may_not_see(world: World) -> None:
    async with world.store.write() as connection:
        await connection.execute(update(Team).where(Team.key == "control_room").values(restricted=True))
    mod = await at_desk(world, teams=("digital_desk",))
    hidden = await world.say(P1)
    assert hidden.team == "control_room"
    row = await world.owned(mod, PLAIN, "bob")
    with pytest.raises(RefusedError, match="We do not know that one"):
        await world.core.desk.close(row.id, mod, "duplicate", "The same.", linked=hidden.reference)


async def test_a_supervisors_reason_stands_in_for_the_number(world: World) -> None:
    mod, boss = await at_desk(world), await at_desk(world, "su", "supervisor")
    row = await world.owned(mod)
    with pytest.raises(NotAllowedError):
        await world.core.desk.waive_incident(row.id, mod, "a false alarm")
    with pytest.raises(NotAllowedError):
        await world.core.desk.close(row.id, mod, "answered", waiver="a false alarm")
    with pytest.raises(RefusedError):
        await world.core.desk.waive_incident(row.id, boss, " ")
    await world.core.desk.waive_incident(row.id, boss, "The list took a joke for a burglary.")
    await world.core.desk.close(row.id, mod, "answered")
    (waived,) = await world.audit("incident.waive")
    assert (waived.staff_id, waived.detail["reason"]) == (
        boss.staff_id,
        "The list took a joke for a burglary.",
    )
    own = await world.owned(boss, P3, "bob")
    await world.core.desk.close(own.id, boss, "answered", waiver="A play at school.")
    assert len(await world.audit("incident.waive")) == 2


async def test_the_number_is_kept_by_the_owner_or_a_supervisor_and_after_closing(world: World) -> None:
    mod, other = await at_desk(world), await at_desk(world, "jo")
    boss = await at_desk(world, "su", "supervisor")
    row = await world.owned(mod)
    with pytest.raises(NotAllowedError):
        await world.core.desk.keep_incident(row.id, other, INCIDENT)
    await world.core.desk.keep_incident(row.id, boss, INCIDENT)
    await world.core.desk.keep_incident(row.id, boss, INCIDENT)
    assert len(await world.audit("incident")) == 1
    await world.core.desk.close(row.id, mod, "answered")
    await world.core.desk.keep_incident(row.id, other, "NP-20261124-0002")
    assert (await world.audit("incident"))[-1].detail["number"] == [INCIDENT, "NP-20261124-0002"]


async def test_the_clock_warns_before_24_hours_until_there_is_a_number(world: World) -> None:
    mod = await at_desk(world)
    row = await world.owned(mod)
    await world.core.desk.reply(row.id, mod, "We look into it.")

    async def at_hour(hour: float) -> list[str]:
        world.clock.move_to(NOON + timedelta(hours=hour))
        await world.sit(mod)
        await world.tick()
        return await reasons(world)

    assert await at_hour(19.9) == []
    assert await at_hour(20) == ["incident_soon"]
    (event,) = [e for e in await world.events("alert") if e.data.get("reason") == "incident_soon"]
    assert event.data["owner"] == mod.staff_id
    assert event.data["until"] == (NOON + timedelta(hours=24)).isoformat()
    assert await at_hour(22.9) == ["incident_soon"]
    assert await at_hour(23) == ["incident_soon", "incident_soon"]
    assert await at_hour(24.1) == ["incident_soon", "incident_soon", "incident_late"]
    (late,) = await world.audit("incident.late")
    assert (late.conversation_id, late.detail["seconds"]) == (row.id, 360)
    assert await at_hour(48) == ["incident_soon", "incident_soon", "incident_late"]


@pytest.mark.parametrize("how", ["number", "reason", "closed"])
async def test_the_clock_is_quiet_once_there_is_a_number_or_a_reason(world: World, how: str) -> None:
    boss = await at_desk(world, "su", "supervisor")
    row = await world.owned(boss)
    await world.core.desk.reply(row.id, boss, "We look into it.")
    if how == "number":
        await world.core.desk.keep_incident(row.id, boss, INCIDENT)
    elif how == "reason":
        await world.core.desk.waive_incident(row.id, boss, "A play at school.")
    else:
        await world.core.desk.close(row.id, boss, "answered", incident=INCIDENT)
    for hour in (20, 23, 24):
        world.clock.move_to(NOON + timedelta(hours=hour))
        await world.sit(boss)
        await world.tick()
    assert await reasons(world) == []


async def test_the_24_hours_count_from_the_first_report(world: World) -> None:
    mod = await at_desk(world)
    row = await world.owned(mod)
    await world.core.desk.reply(row.id, mod, "We look into it.")
    world.clock.move_to(NOON + timedelta(hours=10))
    await world.sit(mod)
    await world.say("someone broke in again")
    await world.core.desk.reply(row.id, mod, "We look into that as well.")
    world.clock.move_to(NOON + timedelta(hours=20))
    await world.sit(mod)
    await world.tick()
    assert "incident_soon" in await reasons(world)


async def test_silence_does_not_end_what_tells_of_a_crime(world: World) -> None:
    mod = await at_desk(world)
    row = await world.owned(mod)
    await world.core.desk.release(row.id, mod)
    await world.settle()
    world.heard()
    await world.tick(hours=24, seconds=1)
    after = await world.conversation()
    assert (after.id, after.state, after.grade, after.category) == (row.id, "waiting", "P3", "R13")
    assert after.reasons[-1]["words"] == [NO_NUMBER]
    assert world.heard() == []  # nobody promised them anything
    row = await world.core.desk.claim(after.id, mod, after.epoch)
    await world.core.desk.close(row.id, mod, "answered", incident=INCIDENT)
    quiet = await world.say(PLAIN, "bob")
    await world.tick(hours=24, seconds=1)
    assert (await world.conversation("bob")).outcome == "silent", quiet.reference


def test_a_rule_reads_what_the_force_wrote() -> None:
    rule = IncidentRule.of({"incident_pattern": "[0-9]+/[A-Z]", "incident_example": "12/A"})
    assert rule.number(" 7/b ") == "7/B"
    with pytest.raises(RefusedError, match="12/A"):
        rule.number("7")
    assert IncidentRule.of({}).number("anything") == "ANYTHING"


# ---- agencies --------------------------------------------------------------------------------


async def test_sending_somebody_to_another_agency_names_it_for_the_count(world: World) -> None:
    mod = await at_desk(world)
    row = await world.owned(mod, PLAIN)
    for agency in ("", "NOSUCH", "P101"):
        with pytest.raises(RefusedError, match="agency"):
            await world.core.desk.close(row.id, mod, "signposted_other_agency", agency=agency)
    await world.core.desk.close(row.id, mod, "signposted_other_agency", agency="COUNCIL")
    (closed,) = await world.audit("close")
    assert (closed.detail["agency"], closed.detail["agency_group"]) == ("COUNCIL", "Services")


# ---- snooze ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "hours"),
    [("1h", 1), ("4h", 4), ("morning", 20)],  # the desk opens at 8
)
async def test_a_snooze_ends_with_its_time(world: World, length: str, hours: int) -> None:
    mod = await at_desk(world)
    row = await world.owned(mod, PLAIN)
    await world.core.desk.reply(row.id, mod, "We ask and come back to you.")
    snoozed = await world.core.desk.snooze(row.id, mod, length)
    assert snoozed.snoozed_until == NOON + timedelta(hours=hours)
    world.move(hours=hours)
    await world.sit(mod)
    await world.tick()
    assert (await world.conversation()).snoozed_until is None
    assert [e.data for e in await world.events("conversation.snooze")][-1] == {"until": None}


@pytest.mark.parametrize("what", ["message", "rise", "graded", "transfer", "close", "taken", "lost", "hand"])
async def test_what_ends_a_snooze_at_once(world: World, what: str) -> None:
    mod, boss = await at_desk(world), await at_desk(world, "su", "supervisor")
    row = await world.owned(mod)
    desk = world.core.desk
    await desk.reply(row.id, mod, "We ask and come back to you.")
    await desk.snooze(row.id, mod, "4h")
    if what == "message":
        await world.say("are you there")
    elif what == "rise":
        await world.say(P1)
    elif what == "graded":
        await desk.set_grade(row.id, mod, "P2", "it is worse")
    elif what == "transfer":
        await desk.transfer(row.id, mod, "control_room", "for you")
    elif what == "close":
        await desk.close(row.id, mod, "answered", incident=INCIDENT)
    elif what == "taken":
        await desk.take_over(row.id, boss)
    elif what == "lost":
        await desk.hand_back_all(mod.staff_id or 0, boss, "gone home")
    else:
        await desk.end_snooze(row.id, mod)
    assert (await world.conversation()).snoozed_until is None


async def test_an_unanswered_message_comes_back_before_its_time(world: World) -> None:
    mod = await at_desk(world)
    row = await world.owned(mod)
    await world.core.desk.snooze(row.id, mod, "4h")
    world.move(minutes=24)
    await world.sit(mod)
    await world.tick()
    assert (await world.conversation()).snoozed_until is None
    assert await reasons(world) == ["reply_soon"]


async def test_nobody_snoozes_an_urgent_chat_or_somebody_elses(world: World) -> None:
    mod, other = await at_desk(world), await at_desk(world, "jo")
    urgent = await world.owned(mod, P1)
    quiet = await world.owned(mod, P3, "bob")
    with pytest.raises(RefusedError, match="cannot be snoozed"):
        await world.core.desk.snooze(urgent.id, mod, "1h")
    with pytest.raises(StaleError):
        await world.core.desk.snooze(quiet.id, other, "1h")
    with pytest.raises(RefusedError):
        await world.core.desk.snooze(quiet.id, mod, "for ever")


# ---- reopening -------------------------------------------------------------------------------


async def closed_one(world: World, mod: Actor, person: str = "ann") -> Row[Any]:
    row = await world.owned(mod, P3, person)
    await world.core.desk.close(row.id, mod, "answered", incident=INCIDENT)
    await world.settle()
    world.heard(person)
    return await world.conversation(person)


async def test_staff_open_a_closed_chat_again_and_the_person_hears_nothing(world: World) -> None:
    mod, other = await at_desk(world), await at_desk(world, "jo")
    row = await closed_one(world, mod)
    world.move(hours=24 * 29)
    await world.sit(other)
    await world.core.desk.reopen(row.id, other)
    await world.settle()
    after = await world.conversation()
    assert (after.state, after.owner_id, after.grade) == ("human", other.staff_id, "P3")
    assert (after.outcome, after.closed_at, after.epoch) == (None, None, row.epoch + 1)
    assert world.heard() == []
    (opened,) = await world.audit("reopen")
    assert opened.detail["state"] == ["closed", "human"]
    await world.core.desk.reply(row.id, other, "One more thing.")
    await world.settle()
    assert world.heard() == ["One more thing."]


async def test_no_chat_is_opened_again_after_30_days_or_twice(world: World) -> None:
    mod = await at_desk(world)
    row = await closed_one(world, mod)
    await world.core.desk.reopen(row.id, mod)
    with pytest.raises(StaleError):
        await world.core.desk.reopen(row.id, mod)
    await world.core.desk.close(row.id, mod, "answered")
    world.move(hours=24 * 30 + 1)
    with pytest.raises(RefusedError, match="30 days"):
        await world.core.desk.reopen(row.id, mod)
    with pytest.raises(NotAllowedError):
        await world.core.desk.reopen(row.id, await world.hire("vi", "comms"))


async def test_one_open_chat_for_each_person(world: World) -> None:
    mod = await at_desk(world)
    row = await closed_one(world, mod)
    world.move(hours=25)
    await world.say(PLAIN)
    with pytest.raises(RefusedError, match="another chat open"):
        await world.core.desk.reopen(row.id, mod)


async def test_a_chat_opened_again_while_the_person_writes_leaves_one_open(world: World) -> None:
    mod = await at_desk(world)
    row = await closed_one(world, mod)
    world.move(hours=25)
    await asyncio.gather(
        world.core.desk.reopen(row.id, mod), world.take(world.incoming(PLAIN)), return_exceptions=True
    )
    await world.settle()
    assert sum(one.state != "closed" for one in await world.rows(Conversation)) == 1
    assert len(await world.messages()) >= 1


# ---- call backs ------------------------------------------------------------------------------


async def test_a_call_back_warns_when_the_safe_time_begins(world: World) -> None:
    mod = await at_desk(world)
    row = await world.owned(mod)
    await world.core.desk.reply(row.id, mod, "We call you back.")
    wanted = Call("07700 900123", NOON + timedelta(hours=2), NOON + timedelta(hours=3), "Leave no message.")
    call_id = await world.core.desk.ask_call(row.id, mod, wanted)
    await world.core.desk.snooze(row.id, mod, "4h")
    with pytest.raises(RefusedError, match="call back is still open"):
        await world.core.desk.close(row.id, mod, "answered", incident=INCIDENT)
    world.move(hours=1, minutes=59)
    await world.sit(mod)
    await world.tick()
    assert await reasons(world) == []
    world.move(minutes=1)
    await world.sit(mod)
    await world.tick()
    assert await reasons(world) == ["call_back"]
    assert (await world.conversation()).snoozed_until is None
    await world.core.desk.settle_call(row.id, mod, call_id, done=True)
    with pytest.raises(RefusedError):
        await world.core.desk.settle_call(row.id, mod, call_id, done=True)
    await world.core.desk.close(row.id, mod, "answered", incident=INCIDENT)
    everything = [*await world.audit(), *await world.events()]
    assert all("900123" not in str(one.detail if hasattr(one, "detail") else one.data) for one in everything)


async def test_a_call_that_was_made_warns_of_nothing(world: World) -> None:
    mod = await at_desk(world)
    row = await world.owned(mod)
    await world.core.desk.reply(row.id, mod, "We call you back.")
    call_id = await world.core.desk.ask_call(row.id, mod, Call("07700 900123", NOON + timedelta(hours=2)))
    await world.core.desk.settle_call(row.id, mod, call_id, done=True)
    world.move(hours=2)
    await world.sit(mod)
    await world.tick()
    assert await reasons(world) == []
    await world.core.desk.settle_call(row.id, mod, call_id, done=False)
    async with world.store.read() as connection:
        assert (await connection.execute(select(CallBack.done_at))).scalar_one() is None


@pytest.mark.parametrize(
    "call",
    [
        Call(""),
        Call("call me"),
        Call("07700 900123", NOON + timedelta(hours=2), NOON + timedelta(hours=1)),
        Call("07700 900123", safe_until=NOON - timedelta(hours=1)),
    ],
)
async def test_a_call_that_cannot_be_made_is_refused(world: World, call: Call) -> None:
    mod = await at_desk(world)
    row = await world.owned(mod)
    with pytest.raises(RefusedError):
        await world.core.desk.ask_call(row.id, mod, call)
    assert await world.rows(CallBack) == []


async def test_who_is_in_fear_is_called_only_once_they_said_it_is_safe(world: World) -> None:
    mod = await at_desk(world, teams=STALKED)
    row = await world.owned(mod, P2_HIDDEN)
    for answer in (None, "asked", "no"):
        async with world.store.write() as connection:
            await connection.execute(
                update(Conversation).where(Conversation.id == row.id).values(safe_check=answer)
            )
        with pytest.raises(RefusedError, match="safe to chat"):
            await world.core.desk.ask_call(row.id, mod, Call("07700 900123"))
    await world.core.desk.set_grade(row.id, mod, "P4", "talked it over")
    assert not may_call(await world.conversation(), world.core.words)
    async with world.store.write() as connection:
        await connection.execute(
            update(Conversation).where(Conversation.id == row.id).values(safe_check="yes")
        )
    await world.core.desk.ask_call(row.id, mod, Call("07700 900123"))


# ---- the packet ------------------------------------------------------------------------------


def names(world: World) -> Names:
    content = world.core.content.current
    return Names(
        category=lambda key: world.core.screen.categories[key].name if key else "",
        team=lambda key: content.team_name(key or ""),
        channel=str.capitalize,
        language=lambda code: code,
        answer=lambda slug: content.faqs[slug].title,
        link=lambda chat: f"https://desk.force.example/desk/c/{chat}",
        zone=world.core.limits.limits.hours.zone,
    )


async def test_the_summary_has_all_that_the_next_person_needs(world: World) -> None:
    mod = await at_desk(world)
    earlier = await closed_one(world, mod)
    world.move(hours=25)
    await world.sit(mod)
    world.rasa.faq("zorp", "lost-property")
    row = await world.owned(mod, P1)
    await world.say("", kind="location", latitude=54.97, longitude=-1.61)
    await world.core.desk.reply(row.id, mod, "The fire service is told.")
    await world.core.desk.note(row.id, mod, "Told the control room.")
    await world.core.desk.keep_incident(row.id, mod, "NP-20261125-0009")
    await world.core.desk.ask_call(row.id, mod, Call("07700 900123", note="Leave no message."))
    await world.settle()
    async with world.store.read() as connection:
        packet = await read_packet(connection, await world.conversation(), mod)
    text = summary(packet, names(world), hidden=False)
    for part in (
        row.reference, "not a crime number", "NP-20261125-0009", "Channel: Test", "Grade: P1",
        "by the safety words list; words: ", "54.97000, -1.61000", "07700 900123", "Leave no message.",
        P1, "The fire service is told.", "Desk, Mo", "Told the control room.", "took it",
        "Safety words (automated)", earlier.reference, "GMT", "UTC", "Safe contact: not asked",
        f"https://desk.force.example/desk/c/{row.id}",
    ):  # fmt: skip
        assert part in text, part
    assert text.index(P1) < text.index("The fire service is told.")
    boss = await at_desk(world, "su", "supervisor", teams=("safeguarding",))
    async with world.store.write() as connection:
        await connection.execute(
            update(Conversation).where(Conversation.id == earlier.id).values(team="professional_standards")
        )
    async with world.store.read() as connection:
        packet = await read_packet(connection, await world.conversation(), boss)
    assert earlier.reference not in summary(packet, names(world))


async def test_copying_is_on_record_and_only_for_who_may_open(world: World) -> None:
    mod = await at_desk(world)
    row = await world.owned(mod)
    await world.core.desk.copied(row.id, mod)
    (copied,) = await world.audit("summary.copy")
    assert (copied.staff_id, copied.detail) == (mod.staff_id, {})
    async with world.store.write() as connection:
        await connection.execute(
            update(Conversation).where(Conversation.id == row.id).values(team="professional_standards")
        )
    with pytest.raises(RefusedError):
        await world.core.desk.copied(row.id, await at_desk(world, "jo"))
    assert len(await world.audit("summary.copy")) == 1


def test_a_score_is_told_in_words() -> None:
    assert [sureness(p) for p in (0.95, 0.75, 0.5, 0.1)] == [
        "almost sure", "fairly sure", "thinks it is likely", "thinks it is possible",
    ]  # fmt: skip


async def test_both_nets_findings_are_told(world: World) -> None:
    world.rasa.faq("zorp", "lost-property", R11=0.93)
    await world.say(P3)
    row = await world.say("zorp")
    found = {one.net: one for one in findings(row)}
    assert found["understanding"].sure.startswith("almost sure (0.9")
    assert found["understanding"].words == ()
    assert found["screen"].words
    told = first_report(row, world.core.limits.rule)
    assert told == NOON
