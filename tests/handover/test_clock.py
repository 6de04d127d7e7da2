"""How soon somebody answers: opening hours, limits, warnings, breaches, and time told apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from bot.assistant import content_from_files
from bot.conversations import limits as limits_module
from bot.errors import ContentError
from bot.handover.clock import DEFAULTS, ReplyLimits
from bot.handover.hours import OpeningHours
from bot.handover.times import Times, read_times, time_in_states
from bot.settings import ROOT
from bot.store.tables import Conversation
from tests.support.world import NOON, P1, P2_HIDDEN, P3, PLAIN, World

LONDON = ZoneInfo("Europe/London")
WEEK = {
    day: [{"opens": "08:00", "closes": "22:00"}]
    for day in ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
}
HOURS: dict[str, Any] = {"timezone": "Europe/London", "desk": {"days": {**WEEK, "sunday": []}}}
TEAMS = {"teams": {"desk": {"round_the_clock": False}, "room": {"round_the_clock": True}}}


def at(year: int, month: int, day: int, hour: int, minute: int = 0) -> datetime:
    """A time on the force's own clock."""
    return datetime(year, month, day, hour, minute, tzinfo=LONDON)


# ---- opening hours ---------------------------------------------------------------------------


@pytest.mark.unit
@pytest.mark.parametrize(
    ("since", "hours", "due"),
    [
        (at(2026, 11, 24, 9), 4, at(2026, 11, 24, 13)),
        (at(2026, 11, 24, 21), 4, at(2026, 11, 25, 11)),
        (at(2026, 11, 24, 23), 4, at(2026, 11, 25, 12)),
        (at(2026, 11, 28, 21, 30), 1, at(2026, 11, 30, 8, 30)),  # Sunday is closed
        (at(2027, 3, 27, 21), 2, at(2027, 3, 29, 9)),  # over the night of a clock change
        (at(2026, 10, 24, 21), 14, at(2026, 10, 26, 21)),
    ],
)
def test_only_open_time_counts(since: datetime, hours: int, due: datetime) -> None:
    assert OpeningHours.of(HOURS).after(since, timedelta(hours=hours)) == due


@pytest.mark.unit
def test_a_bank_holiday_is_as_usual_unless_the_force_says_otherwise() -> None:
    boxing_day, christmas = at(2026, 12, 28, 12), at(2026, 12, 25, 12)  # the 26th is a Saturday
    assert OpeningHours.of(HOURS).is_open(boxing_day)
    closed = {**HOURS, "bank_holidays": {"region": "england-and-wales", "same_as_usual": False}}
    assert not OpeningHours.of(closed).is_open(boxing_day)
    assert not OpeningHours.of(closed).is_open(christmas)
    assert OpeningHours.of(closed).is_open(at(2026, 12, 29, 12))
    short = {
        **closed,
        "bank_holidays": {**closed["bank_holidays"], "hours": [{"opens": "10:00", "closes": "14:00"}]},
    }
    assert OpeningHours.of(short).is_open(boxing_day)
    assert not OpeningHours.of(short).is_open(at(2026, 12, 28, 15))
    scotland = {**closed, "bank_holidays": {"region": "scotland", "same_as_usual": False}}
    assert not OpeningHours.of(scotland).is_open(at(2026, 11, 30, 12))  # St Andrew's day
    assert OpeningHours.of(closed).is_open(at(2026, 11, 30, 12))


@pytest.mark.unit
def test_a_single_date_wins_over_week_and_bank_holiday() -> None:
    hours = {
        **HOURS,
        "bank_holidays": {"region": "england-and-wales", "same_as_usual": False},
        "exceptions": [
            {"date": "2026-12-25", "hours": [{"opens": "20:00", "closes": "02:00"}]},
            {"date": "2026-11-24", "hours": []},
        ],
    }
    opening = OpeningHours.of(hours)
    assert opening.is_open(at(2026, 12, 26, 1, 59))
    assert not opening.is_open(at(2026, 12, 26, 2))
    assert not opening.is_open(at(2026, 11, 24, 12))
    assert opening.next_morning(at(2026, 11, 23, 9)) == at(2026, 11, 25, 8)


@pytest.mark.unit
def test_a_desk_that_never_opens_makes_nobody_wait_for_ever() -> None:
    opening = OpeningHours.of({"desk": {"days": {}}})
    assert opening.after(NOON, timedelta(hours=4)) == NOON + timedelta(hours=4)
    assert opening.next_morning(NOON) > NOON


@pytest.mark.unit
@pytest.mark.parametrize(
    "wrong",
    [
        {"timezone": "Mars/Olympus"},
        {"desk": {"days": {"monday": [{"opens": "8 o'clock"}]}}},
        {"desk": {"days": {"monday": [{"opens": "25:00", "closes": "26:00"}]}}},
        {"exceptions": [{"hours": []}]},
        {"bank_holidays": {"region": "atlantis", "same_as_usual": False}},
    ],
)
def test_hours_that_cannot_be_read_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ContentError, match=r"hours\.yml"):
        OpeningHours.of({**HOURS, **wrong})


@pytest.mark.unit
@given(
    since=st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2027, 12, 31)),  # noqa: DTZ001  given a zone below
    minutes=st.integers(1, 3000),
)
def test_open_time_adds_up(since: datetime, minutes: int) -> None:
    opening, start = OpeningHours.of(HOURS), since.replace(tzinfo=UTC)
    end = opening.after(start, timedelta(minutes=minutes))
    assert end >= start + timedelta(minutes=minutes)
    half = opening.after(start, timedelta(minutes=minutes / 2))
    assert opening.after(half, timedelta(minutes=minutes / 2)) == end


# ---- limits ----------------------------------------------------------------------------------


@pytest.mark.unit
def test_the_limits_that_ship() -> None:
    content = content_from_files(ROOT / "force" / "northumbria", ROOT / "data")
    limits = ReplyLimits.of(content.clock, content.hours, content.teams)
    evening = at(2026, 11, 24, 21, 50)
    due = {g: limits.due(g, "digital_desk", evening, first=True) - evening for g in ("P1", "P2")}
    assert due == {"P1": timedelta(minutes=1), "P2": timedelta(minutes=5)}
    assert limits.due("P3", "digital_desk", evening, first=True) == at(2026, 11, 25, 8, 20)
    assert limits.due("P3", "control_room", evening, first=True) == at(2026, 11, 24, 22, 20)
    assert limits.due("P4", "digital_desk", at(2026, 11, 24, 9), first=False) == at(2026, 11, 24, 13)
    assert limits.warning("P4", "digital_desk", at(2026, 11, 24, 9), first=True) == at(2026, 11, 24, 12, 12)
    assert limits.due(None, None, at(2026, 11, 24, 9), first=True) == at(2026, 11, 24, 13)


@pytest.mark.unit
@pytest.mark.parametrize(
    "wrong",
    [
        {"P1": {"first_minutes": 0, "next_minutes": 1, "hours": "always"}},
        {"P1": {"first_minutes": 1, "next_minutes": 1, "hours": "sometimes"}},
        {"P2": None},
        {"warn_percent": 100},
        {"incident_hours": [23, 20]},
        {"window_minutes": "long"},
    ],
)
def test_limits_that_cannot_be_read_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ContentError, match=r"clock\.yml"):
        ReplyLimits.of({**DEFAULTS, **wrong}, HOURS, TEAMS)


# ---- times told apart ------------------------------------------------------------------------


@dataclass
class Change:
    at: datetime
    detail: dict[str, Any] = field(default_factory=dict)


@pytest.mark.unit
def test_time_is_told_apart_by_who_had_the_chat() -> None:
    rows = [
        Change(NOON + timedelta(seconds=10), {"state": ["bot", "waiting"]}),
        Change(NOON + timedelta(seconds=15), {"grade": ["P3", "P2"]}),
        Change(NOON + timedelta(seconds=40), {"state": ["waiting", "human"]}),
        Change(NOON + timedelta(seconds=100), {"state": ["human", "bot"]}),
        Change(NOON + timedelta(seconds=105), {"state": ["bot", "waiting"]}),
        Change(NOON + timedelta(seconds=106), {"state": ["waiting", "human"]}),
        Change(NOON + timedelta(seconds=110), {"state": ["human", "closed"]}),
        Change(NOON + timedelta(seconds=500), {"state": ["closed", "human"]}),
    ]
    assert time_in_states(NOON, rows, NOON + timedelta(seconds=503)) == Times(bot=15, waiting=31, human=67)
    assert time_in_states(NOON, [], NOON + timedelta(seconds=7)) == Times(bot=7)
    assert time_in_states(NOON, rows, NOON + timedelta(seconds=20)) == Times(bot=10, waiting=10)


@pytest.mark.integration
async def test_the_times_of_a_real_chat(world: World) -> None:
    mod = await world.hire("mo")
    await world.sit(mod)
    row = await world.say(PLAIN)
    world.move(seconds=30)
    await world.core.desk.escalate(row.id, mod, "needs a person")
    world.move(seconds=20)
    row = await world.conversation()
    await world.core.desk.claim(row.id, mod, row.epoch)
    world.move(seconds=50)
    async with world.store.read() as connection:
        assert await read_times(connection, row.id) == Times(bot=30, waiting=20, human=50)


# ---- a reply is due --------------------------------------------------------------------------


async def alerts(world: World) -> list[str]:
    """What was warned of, oldest first: not what is danger."""
    return [e.data["reason"] for e in await world.events("alert") if "grade" not in e.data]


async def due_minutes(world: World, person: str = "ann") -> float | None:
    """In how many minutes a reply is due."""
    row = await world.conversation(person)
    return None if row.reply_due_at is None else (row.reply_due_at - datetime.now(UTC)).total_seconds() / 60


async def stay(world: World, actor: Any, **units: float) -> None:
    """Time goes by, and they are at the desk all the while."""
    world.move(**units)
    await world.sit(actor)
    await world.tick()


@pytest.mark.integration
@pytest.mark.parametrize(("text", "minutes"), [(P1, 1), (P2_HIDDEN, 5), (P3, 30)])
async def test_a_wait_has_a_time_by_its_grade(world: World, text: str, minutes: float) -> None:
    await world.say(text)
    assert await due_minutes(world) == minutes


@pytest.mark.integration
async def test_nothing_is_due_while_the_assistant_has_the_chat(world: World) -> None:
    row = await world.say(PLAIN)
    assert (row.state, row.reply_due_at) == ("bot", None)


@pytest.mark.integration
async def test_a_reply_clears_it_and_the_next_message_sets_it_anew(world: World) -> None:
    mod = await world.hire("mo")
    await world.sit(mod)
    row = await world.owned(mod)
    assert await due_minutes(world) == 30  # taking it is no answer
    world.move(minutes=2)
    await world.core.desk.reply(row.id, mod, "Hello, this is the desk.")
    replied = await world.conversation()
    assert (replied.reply_due_at, replied.first_reply_at) == (None, NOON + timedelta(minutes=2))
    world.move(minutes=3)
    await world.say("thank you, and one more thing")
    assert await due_minutes(world) == 30
    world.move(minutes=3)
    await world.say("are you there")  # the wait counts from the first that nobody answered
    assert await due_minutes(world) == 27
    await world.core.desk.reply(row.id, mod, "Here I am.")
    assert (await world.conversation()).first_reply_at == NOON + timedelta(minutes=2)
    await world.core.desk.release(row.id, mod)
    released = await world.conversation()
    assert (released.reply_due_at, released.first_reply_at) == (None, None)


@pytest.mark.integration
async def test_a_rise_makes_it_sooner_and_a_lowering_later(world: World) -> None:
    mod = await world.hire("mo")
    await world.sit(mod)
    row = await world.owned(mod)
    world.move(minutes=10)
    await world.core.desk.set_grade(row.id, mod, "P2", "it got worse")
    assert await due_minutes(world) == 5
    await world.say(P1)
    assert await due_minutes(world) == 1
    await world.core.desk.set_grade(row.id, mod, "P3", "all is well there")
    assert await due_minutes(world) == 20  # thirty minutes after the first message


@pytest.mark.integration
async def test_a_transfer_and_a_lost_owner_leave_nobody_without_a_time(world: World) -> None:
    mod = await world.hire("mo")
    await world.sit(mod)
    row = await world.owned(mod)
    await world.core.desk.reply(row.id, mod, "One moment.")
    await world.core.desk.transfer(row.id, mod, "control_room", "one for you")
    assert await due_minutes(world) == 30
    row = await world.conversation()
    await world.core.desk.claim(row.id, mod, row.epoch)
    await world.core.desk.reply(row.id, mod, "One moment more.")
    await world.core.desk.hand_back_all(mod.staff_id or 0, mod, "end of shift")
    assert await due_minutes(world) == 30


@pytest.mark.integration
async def test_a_breach_is_warned_of_and_put_on_record_once(world: World) -> None:
    mod = await world.hire("mo")
    await world.sit(mod)
    row = await world.owned(mod)
    await stay(world, mod, minutes=23)
    assert await alerts(world) == []
    await stay(world, mod, minutes=1)
    assert await alerts(world) == ["reply_soon"]
    assert await world.audit("breach") == []
    await stay(world, mod, minutes=6, seconds=2)
    assert await alerts(world) == ["reply_soon", "reply_late"]
    await stay(world, mod, minutes=1)
    (breach,) = await world.audit("breach")
    assert breach.detail == {
        "grade": "P3", "team": row.team, "owner": mod.staff_id, "seconds": 2, "first": True,
    }  # fmt: skip
    assert breach.staff_id is None
    await world.core.desk.reply(row.id, mod, "Sorry that this took so long.")
    (over,) = await world.audit("breach.over")
    assert (over.detail["seconds"], over.staff_id) == (62, mod.staff_id)
    await stay(world, mod, minutes=60)
    assert len(await world.audit("breach")) == 1


@pytest.mark.integration
async def test_a_timely_reply_stops_warning_and_breach(world: World) -> None:
    mod = await world.hire("mo")
    await world.sit(mod)
    row = await world.owned(mod)
    await world.core.desk.reply(row.id, mod, "Hello.")
    for _ in range(5):
        await world.tick(minutes=10)
    assert await alerts(world) == []
    assert await world.audit("breach") == []


@pytest.mark.integration
async def test_a_warning_rings_no_alarm_and_says_nothing_of_the_matter(world: World) -> None:
    await world.say(P3)
    await world.tick(minutes=25)
    (event,) = [e for e in await world.events("alert") if "grade" not in e.data]
    assert set(event.data) == {"reason", "owner", "team", "to", "until"}
    assert P3 not in str(event.data)


@pytest.mark.integration
async def test_what_another_part_left_out_is_put_right(world: World) -> None:
    row = await world.say(P1)
    async with world.store.write() as connection:
        await connection.execute(
            update(Conversation).where(Conversation.id == row.id).values(reply_due_at=None)
        )
    assert await world.core.limits.sweep() == 1
    assert await due_minutes(world) == 1
    async with world.store.write() as connection:
        far = NOON + timedelta(hours=4)
        await connection.execute(
            update(Conversation).where(Conversation.id == row.id).values(reply_due_at=far)
        )
    assert await world.core.limits.sweep() == 1
    assert await due_minutes(world) == 1
    assert await world.core.limits.sweep() == 0


# ---- a platform's window ---------------------------------------------------------------------


@pytest.fixture
def day_long_window(world: World) -> Iterator[timedelta]:
    """The tests' platform lets us reply for a day after a person's last message."""
    window = timedelta(hours=24)
    channel: Any = world.channel
    kept = world.core.limits._channels
    world.core.limits._channels = {channel.name: _Windowed(window)}  # type: ignore[dict-item]
    yield window
    world.core.limits._channels = kept


@dataclass
class _Windowed:
    reply_window: timedelta


@pytest.mark.integration
async def test_a_window_about_to_close_on_somebody_waiting_is_warned_of(
    world: World, day_long_window: timedelta
) -> None:
    await world.say(P3)
    await world.tick(hours=20)
    await world.say("hello?")  # the window opens anew with each message
    await world.tick(hours=22)
    assert "window" not in await alerts(world)
    await world.tick(hours=1)
    (event,) = [e for e in await world.events("alert") if e.data.get("reason") == "window"]
    assert event.data["until"] == (NOON + timedelta(hours=44)).isoformat()


@pytest.mark.integration
async def test_nobody_is_warned_of_a_window_when_no_reply_is_owed(
    world: World, day_long_window: timedelta
) -> None:
    mod = await world.hire("mo")
    await world.sit(mod)
    row = await world.owned(mod)
    await world.core.desk.reply(row.id, mod, "All done.")
    await world.tick(hours=23, minutes=30)
    assert "window" not in await alerts(world)


@pytest.mark.unit
def test_a_platform_without_a_window_has_none() -> None:
    assert limits_module.reply_window(None) is None
    assert limits_module.reply_window(object()) is None  # type: ignore[arg-type]


# ---- what the force changed ------------------------------------------------------------------


@pytest.mark.integration
async def test_new_limits_count_at_once_and_wrong_ones_never(world: World) -> None:
    content = world.core.content.current
    clock = {**content.clock, "P3": {"first_minutes": 10, "next_minutes": 10, "hours": "always"}}
    world.core.content.current = replace(content, clock=clock, sha256="other")
    await world.say(P3)
    assert await due_minutes(world) == 10
    world.core.content.current = replace(content, clock={**clock, "P3": "soon"}, sha256="wrong")
    await world.say(P3, "bob")
    assert await due_minutes(world, "bob") == 10
