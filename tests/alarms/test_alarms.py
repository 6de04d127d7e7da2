"""What stands unseen leaves by both paths, rises, repeats, and ends when a person looks."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from sqlalchemy import Row, insert, update

from bot.handover.queue import list_queue
from bot.store.record import add_audit, now
from bot.store.tables import Alarm, AlarmAttempt, StaffSession
from tests.alarms.conftest import Make, calls_end, look, until
from tests.alarms.outside import Mailbox, Receiver
from tests.support.world import P1, P1_OTHER, P2_HIDDEN, P3, World

pytestmark = pytest.mark.integration


async def alarms_of(world: World) -> list[Row[Any]]:
    return await world.rows(Alarm)


async def tries_of(world: World) -> list[tuple[str, int, int, str | None]]:
    return [(a.path, a.level, a.number, a.result) for a in await world.rows(AlarmAttempt)]


async def test_a_p1_that_nobody_opens_leaves_by_both_paths(
    world: World, make: Make, mailbox: Mailbox, receiver: Receiver
) -> None:
    alarms = make()
    row = await world.say(P1)
    world.move(seconds=59)
    await look(alarms)
    assert not await alarms_of(world)
    world.move(seconds=2)
    await look(alarms)
    await look(alarms)
    assert mailbox.recipients == ["duty@force.example"]
    assert row.reference in mailbox.subjects[0]
    assert "P1" in mailbox.subjects[0]
    (call,) = receiver.taken
    assert call["reference"] == row.reference
    assert (call["grade"], call["category"], call["kind"]) == ("P1", "R09", "p1")
    assert (call["level"], call["contact"], call["target"], call["attempt"]) == (1, "Duty desk", "duty", 1)
    assert receiver.forged == 0
    assert sorted(await tries_of(world)) == [("mail", 0, 1, "taken"), ("webhook", 0, 1, "taken")]


async def test_somebody_on_shift_does_not_hold_a_p1_back(
    world: World, make: Make, receiver: Receiver
) -> None:
    alarms = make()
    await world.sit(await world.hire("mo"))
    await world.say(P1)
    world.move(seconds=61)
    await world.sit(world.staff["mo"])
    await look(alarms)
    assert len(receiver.taken) == 1


async def test_a_p2_leaves_only_while_nobody_is_on_shift(
    world: World, make: Make, receiver: Receiver
) -> None:
    alarms = make()
    mo = await world.hire("mo")
    await world.sit(mo)
    await world.say(P2_HIDDEN)
    for _ in range(5):
        world.move(seconds=30)
        await world.sit(mo)
        await look(alarms)
    assert not receiver.taken
    async with world.store.write() as connection:
        await connection.execute(update(StaffSession).values(locked=True))
    await look(alarms)
    assert [call["kind"] for call in receiver.taken] == ["p2"]


async def test_a_p2_of_a_covered_team_waits_for_the_team_that_covers(
    world: World, make: Make, receiver: Receiver
) -> None:
    """The route is safeguarding; only the control room is at its desk, and covers."""
    alarms = make()
    jo = await world.hire("jo", teams=("control_room",))
    await world.sit(jo)
    await world.say(P2_HIDDEN)
    world.move(seconds=61)
    await world.sit(jo)
    await look(alarms)
    assert not receiver.taken


async def test_a_p3_never_leaves(world: World, make: Make, receiver: Receiver, mailbox: Mailbox) -> None:
    alarms = make()
    await world.say(P3)
    world.move(hours=3)
    await look(alarms)
    assert not receiver.taken
    assert not mailbox.raw
    assert not await alarms_of(world)


async def test_a_listing_is_not_a_look_and_opening_is(world: World, make: Make, receiver: Receiver) -> None:
    alarms = make()
    mo = await world.hire("mo")
    await world.sit(mo)
    row = await world.say(P1)
    async with world.store.read() as connection:
        assert [one.id for one in await list_queue(connection, mo)] == [row.id]
    world.move(seconds=61)
    await look(alarms)
    assert len(receiver.taken) == 1
    await world.core.desk.opened(row.id, mo)
    await look(alarms)
    (alarm,) = await alarms_of(world)
    assert alarm.settled_by == mo.name
    assert alarm.settled_at is not None
    world.move(minutes=30)
    await look(alarms)
    assert len(receiver.taken) == 1


@pytest.mark.parametrize("action", ["open", "acknowledge", "claim"])
async def test_who_looks_within_the_minute_keeps_it_in(
    world: World, make: Make, receiver: Receiver, action: str
) -> None:
    alarms = make()
    mo = await world.hire("mo")
    await world.sit(mo)
    row = await world.say(P1)
    world.move(seconds=50)
    if action == "open":
        await world.core.desk.opened(row.id, mo)
    elif action == "claim":
        await world.core.desk.claim(row.id, mo, row.epoch)
    else:
        async with world.store.write() as connection:
            await add_audit(connection, mo, "acknowledge", row.id, row.epoch)
    world.move(seconds=600)
    await look(alarms)
    assert not receiver.taken
    assert not await alarms_of(world)


async def test_a_look_of_somebody_who_may_not_answer_does_not_count(
    world: World, make: Make, receiver: Receiver
) -> None:
    alarms = make()
    ada = await world.hire("ada", role="admin", teams=())
    row = await world.say(P1)
    async with world.store.write() as connection:
        await add_audit(connection, ada, "open", row.id, row.epoch)
    world.move(seconds=61)
    await look(alarms)
    assert len(receiver.taken) == 1


async def test_it_rises_and_then_repeats_for_ever(
    world: World, make: Make, receiver: Receiver, mailbox: Mailbox
) -> None:
    alarms = make()
    await world.say(P1)
    world.move(seconds=61)
    await look(alarms)
    world.move(seconds=119)
    await look(alarms)
    assert [call["level"] for call in receiver.taken] == [1]
    world.move(seconds=2)
    await look(alarms)
    assert [call["level"] for call in receiver.taken] == [1, 2]
    for _ in range(12):
        world.move(minutes=5)
        await look(alarms)
        await look(alarms)
    assert [call["level"] for call in receiver.taken] == [1, 2] + [2] * 12
    assert [to.partition("@")[0] for to in mailbox.recipients] == ["duty"] + ["supervisor"] * 13
    assert len(set(receiver.keys)) == len(receiver.keys)
    (alarm,) = await alarms_of(world)
    assert (alarm.level, alarm.settled_at) == (1, None)


async def test_new_danger_after_a_look_is_a_new_alarm(world: World, make: Make, receiver: Receiver) -> None:
    alarms = make()
    mo = await world.hire("mo")
    await world.sit(mo)
    row = await world.say(P1)
    world.move(seconds=30)
    await world.core.desk.opened(row.id, mo)
    world.move(seconds=60)
    await look(alarms)
    assert not receiver.taken
    await world.say(P1_OTHER)
    world.move(seconds=61)
    await look(alarms)
    assert [call["category"] for call in receiver.taken] == ["R02"]
    await world.core.desk.opened(row.id, mo)
    await look(alarms)
    world.move(seconds=1)
    await world.say(P1)
    world.move(seconds=61)
    await look(alarms)
    assert len(receiver.taken) == 2
    assert len({alarm.key for alarm in await alarms_of(world)}) == 2


async def test_an_owner_who_does_not_look_is_not_enough(world: World, make: Make, receiver: Receiver) -> None:
    alarms = make()
    mo = await world.hire("mo")
    await world.sit(mo)
    row = await world.owned(mo)
    world.move(seconds=1)
    await world.say(P1)
    world.move(seconds=61)
    await look(alarms)
    assert [call["reference"] for call in receiver.taken] == [row.reference]
    await world.core.desk.reply(row.id, mo, "We are sending help.")
    await look(alarms)
    assert (await alarms_of(world))[0].settled_by == mo.name


async def test_who_keeps_writing_does_not_put_their_alarm_off(
    world: World, make: Make, receiver: Receiver
) -> None:
    alarms = make()
    for _ in range(4):
        await world.say(P1)
        world.move(seconds=20)
    await look(alarms)
    assert len(receiver.taken) == 1
    for _ in range(4):
        await world.say(P1)
        world.move(seconds=20)
        await look(alarms)
    assert len(receiver.taken) == 1


async def test_a_p1_takes_the_place_of_a_p2(world: World, make: Make, receiver: Receiver) -> None:
    alarms = make()
    await world.say(P2_HIDDEN)
    world.move(seconds=61)
    await look(alarms)
    await world.say(P1)
    world.move(seconds=61)
    await look(alarms)
    await look(alarms)
    assert [call["kind"] for call in receiver.taken] == ["p2", "p1"]
    p2, p1 = await alarms_of(world)
    assert p2.settled_at is not None
    assert p1.settled_at is None
    world.move(seconds=121)
    await look(alarms)
    assert [call["kind"] for call in receiver.taken] == ["p2", "p1", "p1"]


async def test_two_gateways_make_one_alarm_and_each_call_once(
    world: World, make: Make, receiver: Receiver, mailbox: Mailbox
) -> None:
    gateways = [make(f"g{number}") for number in range(4)]
    for person in ("ann", "bob", "cat", "dan", "eve"):
        await world.say(P1, person)
    world.move(seconds=61)
    for _ in range(3):
        await look(*gateways)
    assert len(await alarms_of(world)) == 5
    assert len(receiver.taken) == 5
    assert len(mailbox.raw) == 5
    assert len({call["reference"] for call in receiver.taken}) == 5


async def test_a_path_that_is_down_does_not_hold_the_other(
    world: World, make: Make, receiver: Receiver, mailbox: Mailbox
) -> None:
    mailbox.stop()
    alarms = make()
    await world.say(P1)
    world.move(seconds=61)
    await look(alarms)
    assert len(receiver.taken) == 1
    for _ in range(4):
        world.move(seconds=10)
        await look(alarms)
    failed = [one for one in await tries_of(world) if one[0] == "mail"]
    assert [(number, result) for _, _, number, result in failed] == [
        (number, "again") for number in range(1, len(failed) + 1)
    ]
    assert len(failed) >= 3
    assert any("mail" in warning for warning in alarms.warnings())
    mailbox.start()
    world.move(seconds=90)
    await look(alarms)
    assert mailbox.recipients.count("duty@force.example") == 1
    assert not alarms.warnings()
    assert len(receiver.taken) == 2  # the second level has its turn by then


async def test_a_call_is_repeated_after_a_pause_that_grows(
    world: World, make: Make, receiver: Receiver
) -> None:
    alarms = make(mail=False)
    receiver.answers.extend([503, 500, 429, 408])
    await world.say(P1)
    world.move(seconds=61)
    paces = []
    for second in range(40):
        before = len(receiver.calls)
        await look(alarms)
        if len(receiver.calls) > before:
            paces.append(second)
        world.move(seconds=1)
    assert paces == [0, 2, 6, 14, 30]
    assert len(receiver.taken) == 1
    assert {call["attempt"] for call in receiver.calls} == {1, 2, 3, 4, 5}
    details = [a.detail for a in await world.rows(AlarmAttempt)]
    assert details == ["HTTP 503", "HTTP 500", "HTTP 429", "HTTP 408", "HTTP 204"]


async def test_a_slow_receiver_is_called_again(world: World, make: Make, receiver: Receiver) -> None:
    alarms, patient = make(mail=False, alarm_call_seconds=2.0), make("g2", mail=False)
    slow = threading.Event()
    receiver.answers.append(slow)
    await world.say(P1)
    world.move(seconds=61)
    await look(alarms)
    await until(lambda: receiver.calls)
    world.move(seconds=3)
    await look(patient)
    assert [result for *_, result in await tries_of(world)] == ["again", "taken"]
    slow.set()
    await until(lambda: len(receiver.keys) == 2)
    # The receiver can tell a repeat: one key for both.
    assert len(set(receiver.keys)) == 1


async def test_a_refusal_is_told_loudly_and_tried_anew_at_the_next_turn(
    world: World, make: Make, receiver: Receiver
) -> None:
    alarms = make(mail=False)
    receiver.answers.extend([403, 410])
    await world.say(P1)
    world.move(seconds=61)
    await look(alarms)
    world.move(seconds=60)
    await look(alarms)
    assert await tries_of(world) == [("webhook", 0, 1, "rejected")]
    assert any("did not get through" in warning for warning in alarms.warnings())
    world.move(seconds=61)
    await look(alarms)
    world.move(minutes=5)
    await look(alarms)
    assert [result for *_, result in await tries_of(world)] == ["rejected", "rejected", "taken"]


async def test_a_call_that_a_dead_gateway_left_is_made_again(
    world: World, make: Make, receiver: Receiver
) -> None:
    alarms = make(mail=False)
    await world.say(P1)
    world.move(seconds=61)
    await look(alarms)
    (alarm,) = await alarms_of(world)
    world.move(seconds=121)
    async with world.store.write() as connection:
        await connection.execute(
            insert(AlarmAttempt).values(
                alarm_id=alarm.id, path="webhook", level=1, number=1, contact="Supervisor",
                gateway="dead", started_at=now(),
            )
        )  # fmt: skip
    await look(alarms)
    assert len(receiver.taken) == 1
    world.move(seconds=31)
    await look(alarms)
    assert [call["level"] for call in receiver.taken] == [1, 2]
    assert [result for *_, result in await tries_of(world)] == ["taken", "unknown", "taken"]


async def test_without_any_path_the_alarm_is_on_record_and_everybody_is_told(
    world: World, make: Make
) -> None:
    alarms = make(mail=False, webhook=False)
    await world.say(P1)
    world.move(seconds=61)
    await look(alarms)
    assert len(await alarms_of(world)) == 1
    assert not await tries_of(world)
    assert alarms.warnings() == [
        "No alarm leaves this system. If nobody opens a P1, nobody outside this desk is told."
    ]


async def test_one_path_alone_is_said(make: Make) -> None:
    assert ["by mail alone" in one for one in make(webhook=False).warnings()] == [True]
    assert ["by the webhook alone" in one for one in make(mail=False).warnings()] == [True]
    assert not make().warnings()


async def test_a_look_that_fails_does_not_end_the_watch(
    world: World, make: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarms = make(poll_seconds=0.05)
    await world.say(P1)
    world.move(seconds=61)
    real, broken = alarms.look, asyncio.Event()

    async def breaks() -> None:
        if not broken.is_set():
            broken.set()
            raise RuntimeError("something nobody thought of")
        await real()

    monkeypatch.setattr(alarms, "look", breaks)
    alarms.start(scan=True)
    await until(lambda: receiver.taken)
    assert broken.is_set()


async def test_nothing_of_the_person_leaves(
    world: World, make: Make, receiver: Receiver, mailbox: Mailbox, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not what they wrote, nor their name, nor their number: in no mail, call, attempt or log line."""
    import structlog

    was = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(0))
    try:
        alarms = make(desk_url="https://desk.force.example")
        receiver.answers.extend([503, 403])
        mailbox.answers.append("451 duty@force.example is busy")
        marker = "zebracrossing"
        row = await world.say(f"there is a fire in the flat {marker}", "07700900123", name="Mildred Hubble")
        world.move(seconds=61)
        await look(alarms)
        world.move(seconds=130)
        await look(alarms)
        await calls_end(alarms)
    finally:
        structlog.configure(**was)
    sent = b"\n".join([*mailbox.raw, *receiver.raw]).decode()
    kept = repr([tuple(one) for one in [*await world.rows(Alarm), *await world.rows(AlarmAttempt)]])
    logged = "".join(capfd.readouterr())
    assert row.reference in sent
    assert f"https://desk.force.example/desk/c/{row.id}" in sent
    assert "alarms.called" in logged
    for secret in (marker, "fire in the flat", "07700900123", "Mildred", "Hubble"):
        assert secret not in sent + kept + logged
    for address in ("duty@force.example", "supervisor@force.example", "alarm-user"):
        assert address not in kept + logged


async def test_a_stop_lets_a_call_under_way_end(world: World, make: Make, receiver: Receiver) -> None:
    alarms = make(mail=False)
    slow = threading.Event()
    receiver.answers.append(slow)
    await world.say(P1)
    world.move(seconds=61)
    await alarms.look()
    stopping = asyncio.create_task(alarms.stop(60))
    await until(lambda: receiver.calls)
    assert not stopping.done()
    slow.set()
    await stopping
    assert [result for *_, result in await tries_of(world)] == ["taken"]


async def test_a_stop_does_not_wait_for_ever(world: World, make: Make, receiver: Receiver) -> None:
    """What is cut off has no end on record, so another gateway makes the call again."""
    alarms, other = make(mail=False), make("g2", mail=False)
    never = threading.Event()
    receiver.answers.append(never)
    await world.say(P1)
    world.move(seconds=61)
    await alarms.look()
    await until(lambda: receiver.calls)
    await alarms.stop(0.05)
    assert [result for *_, result in await tries_of(world)] == [None]
    world.move(seconds=31)
    await look(other)
    assert [result for *_, result in await tries_of(world)] == ["unknown", "taken"]
    never.set()


async def test_one_alarm_that_cannot_be_handled_holds_no_other_up(
    world: World, make: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarms = make(mail=False)
    await world.say(P1, "ann")
    await world.say(P1, "bob")
    world.move(seconds=61)
    real, broken = alarms._one, []

    async def breaks(alarm_id: int) -> None:
        if not broken or alarm_id == broken[0]:
            broken.append(alarm_id)
            raise RuntimeError("something nobody thought of")
        await real(alarm_id)

    monkeypatch.setattr(alarms, "_one", breaks)
    await look(alarms)
    assert len(receiver.taken) == 1
    assert len(await alarms_of(world)) == 2
