"""What a shift came to: what the public and the staff counted themselves, held against the record and the figures."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, select

from bot.assurance.figures import Chosen, Names, Table, read_figures
from bot.handover.overview import read_overview
from bot.handover.queue import list_queue
from bot.messages import Actor
from bot.store.record import now
from bot.store.tables import Conversation
from tests.invariants.checks import PRESENT, Record, Seen, check, i2_nothing_is_left, read_record
from tests.invariants.outside import nobody_outside_learns
from tests.simulation.shift import Shift
from tests.simulation.staff import CLOSED, LEAD, OPEN

KINDS = ("assistant", "safety", "staff", "notice")


class Rota(Seen):
    """Who was at the desk, found by halving: a shift holds too many signs of life to look at each."""

    def fill(self, sits: Sequence[tuple[datetime, str]], leaves: Sequence[tuple[datetime, str]]) -> None:
        """Take what the desk wrote down."""
        self._signs: dict[str, list[datetime]] = defaultdict(list)
        for moment, name in sits:
            self._signs[name].append(moment)
        self._gone = {name: moment for moment, name in leaves}

    def here(self, moment: datetime) -> set[str]:
        """(see parent class)"""
        found = set()
        for name, signs in self._signs.items():
            place = bisect_right(signs, moment)
            if place and moment - signs[place - 1] < PRESENT:
                gone = self._gone.get(name)
                if gone is None or not signs[place - 1] <= gone <= moment:
                    found.add(name)
        return found


@dataclass(slots=True)
class Reckoning:
    """The verdict: `problems` is empty when nothing was lost, doubled, dropped or miscounted."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    """What to print: name and value."""
    problems: list[str] = field(default_factory=list)

    def must(self, condition: object, what: str) -> None:
        """Note a problem unless it is so."""
        if not condition:
            self.problems.append(what)

    def show(self, name: str, value: object) -> None:
        """One line of the table."""
        self.lines.append((name, str(value)))


async def reckon(shift: Shift) -> Reckoning:
    """Look at everything, once the shift is over."""
    found = Reckoning()
    record = await read_record(shift.world)
    _summary(shift, record, found)
    await _invariants(shift, record, found)
    _messages(shift, record, found)
    _replies(shift, record, found)
    await _nobody_dropped(shift, record, found)
    await _figures(shift, record, found)
    await _overview(shift, record, found)
    return found


def _summary(shift: Shift, record: Record, found: Reckoning) -> None:
    public, done = shift.public, shift.desk.done
    kinds = Counter(one.kind for one in shift.platform.arrived)
    found.show("people, conversations", f"{len(shift.people)}, {len(record.conversations)}")
    found.show("messages in", len(public.accepted))
    found.show("webhooks that came twice, that were refused", f"{public.repeated}, {public.refused}")
    found.show("messages that arrived", ", ".join(f"{kind} {kinds[kind]}" for kind in KINDS))
    found.show("the platform did not say", shift.platform.unsure)
    found.show("most who waited at once", public.most_waiting)
    found.show("claims, replies, sent again", f"{done.claims}, {len(done.replies)}, {done.again}")
    found.show("closed by staff", ", ".join(f"{key} {count}" for key, count in sorted(done.closes.items())))
    found.show(
        "released, passed on, offered, accepted", (done.released, done.transfers, done.offers, done.accepted)
    )
    found.show("handed on at the end of a shift", done.handed_on)
    found.show("snoozed, reassigned, folded away", (done.snoozed, done.reassigned, done.measures))
    found.show("answered together", done.grouped)
    found.show("tries while the database was away", done.unavailable)
    found.show("moments", public.steps)


async def _invariants(shift: Shift, record: Record, found: Reckoning) -> None:
    """All of them, as the state machine asks for them; and who is outside learns of nothing sealed."""
    seen = Rota()
    seen.fill(shift.desk.sits, shift.desk.leaves)
    seen.accepted = [(platform_id, person) for platform_id, (_, person) in shift.public.accepted.items()]
    seen.danger = shift.public.danger
    seen.secrets = list(shift.desk.done.notes)
    seen.inside, seen.leads = shift.desk.closed_team, shift.desk.leads
    sealed = [row for row in record.audit if row.action == "seal" or row.detail.get("sealed")]
    for row in reversed(sealed):
        seen.sealed[row.conversation_id] = row.at
    _holds(found, lambda: check(shift.world, record, seen))
    _holds(found, lambda: i2_nothing_is_left(record, seen))
    # One of each sort: of the closed team, a lead, a plain moderator, the supervisor.
    staff = [shift.world.staff[name] for name in ("mod0", "mod1", "mod2", "boss")]
    try:
        await nobody_outside_learns(shift.world, record.conversations, staff)
    except AssertionError as error:
        found.problems.append(str(error))
    found.show("sealed", sum(row.sealed for row in record.conversations))


def _holds(found: Reckoning, work: Callable[[], None]) -> None:
    try:
        work()
    except AssertionError as error:
        found.problems.append(str(error).split("\n")[0])


def _messages(shift: Shift, record: Record, found: Reckoning) -> None:
    """Each message that was answered 200 is on record once, and no other is."""
    kept = Counter(row.platform_id for row in record.messages)
    lost = [one for one in shift.public.accepted if not kept[one]]
    doubled = [one for one, count in kept.items() if count > 1 or one not in shift.public.accepted]
    found.must(not lost, f"lost: {len(lost)} messages, the first is {lost[:1]}")
    found.must(not doubled, f"doubled: {len(doubled)} messages, the first is {doubled[:1]}")
    found.must(not shift._undelivered, f"{len(shift._undelivered)} webhooks were never taken")
    found.show("lost, doubled", f"{len(lost)}, {len(doubled)}")


def _replies(shift: Shift, record: Record, found: Reckoning) -> None:
    """Nobody is answered twice blind: not by the assistant, not by one of the staff, not by two of them."""
    arrived: Counter[tuple[str, str]] = Counter(
        (one.person, one.text) for one in shift.platform.arrived if one.kind == "staff"
    )
    again = {row.detail["again"] for row in record.audit if row.action == "reply.again"}
    sent_again = Counter(shift.desk.done.replies[one] for one in again)
    for (person, text), count in arrived.items():
        if text.startswith("This is the desk"):
            found.must(count <= 1 + sent_again[text], f"doubled: {person} read {text!r} {count} times")
    asked, got = shift.public.asked, Counter[tuple[str, str]]()
    people = {row.id: record.people[row.person_id] for row in record.conversations}
    for row in record.outbox:
        if row.slug and row.state in ("sent", "delivered", "read", "unknown"):
            got[people[row.conversation_id], row.slug] += 1
    for (person, slug), count in got.items():
        found.must(count <= asked[person, slug], f"doubled: {slug} {count} times for {person}")
    _only_owners_reply(record, found)


def _only_owners_reply(record: Record, found: Reckoning) -> None:
    owner: dict[int, int | None] = {}
    replied = 0
    for row in record.audit:
        held = row.conversation_id
        if held is None:
            continue
        if row.action in ("reply", "reply.again"):
            replied += 1
            found.must(
                owner.get(held) == row.detail.get("author", row.staff_id),
                f"{row.actor} answered {held}, which was not theirs",
            )
        if isinstance(row.detail.get("owner"), list):
            owner[held] = row.detail["owner"][1]
    found.show("replies that only their owner wrote", replied)


async def _nobody_dropped(shift: Shift, record: Record, found: Reckoning) -> None:
    """Everybody's last wait was ended by a person, or by themselves, or goes on at its right place."""
    ended: dict[int, Row[Any]] = {}
    first: dict[int, datetime] = {}
    for row in record.audit:
        states = row.detail.get("state")
        held = row.conversation_id
        if held is None or not states or states[0] == states[1]:
            continue
        if states[1] == "waiting":
            if states[0] in ("bot", "closed"):
                first[held] = row.at
            ended.pop(held, None)
        elif states[0] == "waiting":
            ended[held] = row
    ways = Counter(row.action for row in ended.values())
    for held, row in ended.items():
        by_staff = row.staff_id is not None
        by_themselves = row.action in ("withdraw", "outside_reply")
        found.must(
            by_staff or by_themselves, f"dropped: the wait of {held} ended by {row.action} of {row.actor}"
        )
    await _right_places(shift, record, first, found)
    night = {one.actor.staff_id for one in shift.desk.members if not one.is_gone}
    for row in record.conversations:
        if row.state == "human":
            found.must(
                row.owner_outside or row.owner_id in night,
                f"dropped: {row.id} is with somebody who went home",
            )
    states = Counter(row.state for row in record.conversations)
    found.show("waits ended by", ", ".join(f"{way} {count}" for way, count in sorted(ways.items())))
    found.show("at the end", ", ".join(f"{state} {count}" for state, count in sorted(states.items())))


def _everything() -> Actor:
    """A supervisor who may see all there is."""
    return Actor(
        "Everything", 0, "supervisor", frozenset((*OPEN, "safeguarding", "intelligence", CLOSED, LEAD))
    )


async def _right_places(shift: Shift, record: Record, first: dict[int, datetime], found: Reckoning) -> None:
    waiting = [row for row in record.conversations if row.state == "waiting"]
    async with shift.world.store.read() as connection:
        listed = [row.id for row in await list_queue(connection, _everything(), state="waiting", limit=5000)]
    order = sorted(waiting, key=lambda row: (row.grade, not row.front, row.waiting_since, row.id))
    found.must(
        listed == [row.id for row in order], "dropped: the queue is not in the order of risk and first wait"
    )
    for row in waiting:
        found.must(row.waiting_since == first[row.id], f"dropped: {row.id} lost its place by first wait")


async def _figures(shift: Shift, record: Record, found: Reckoning) -> None:
    """The supervisor's figures add up to what arrived, hour by hour, and to what the staff did."""
    world, hours = shift.world, shift.world.core.limits.limits.hours
    day, last = hours.local(shift.begin).date(), hours.local(now()).date()
    async with world.store.read() as connection:
        read = await read_figures(
            connection, _everything(), Chosen("hour", day, last), hours.zone, Names({}, {}, {})
        )
    tables = {table.key: table for table in read}
    expected = _counted(shift)
    for number, label in enumerate(("in", *KINDS)):
        shown = {name: values[number] or 0 for name, values in tables["messages"].rows}
        wanted = {f"{hours.local(hour):%a %-d %b, %H:%M}": count for hour, count in expected[label].items()}
        wrong = {
            name: (shown[name], wanted.get(name, 0)) for name in shown if shown[name] != wanted.get(name, 0)
        }
        found.must(not wrong, f"figures: {label} by hour (shown, counted): {wrong}")
    found.show("figures: messages in, sent", _sums(tables["messages"]))
    moved = [
        event for event in record.events if event.kind == "conversation.escalated" and event.data["moved"]
    ]
    found.must(sum(tables["chats"].totals) == len(record.conversations), "figures: chats begun do not add up")
    found.must(
        sum(tables["handed_over"].totals) == _from_bot(record),
        f"figures: {sum(tables['handed_over'].totals)} hand-overs, {len(moved)} moves into the queue",
    )
    closed = Counter(row.outcome for row in record.conversations if row.state == "closed")
    by_staff = Counter(
        row.detail["outcome"] for row in record.audit if row.action == "close" and row.staff_id is not None
    )
    done = shift.desk.done
    found.must(sum(tables["outcomes"].totals) == sum(closed.values()), "figures: outcomes do not add up")
    grouped = sum(by_staff.values()) - sum(done.closes.values())
    found.must(0 <= grouped <= done.grouped, f"figures: {grouped} closed that nobody closed")


def _from_bot(record: Record) -> int:
    return sum(
        1 for row in record.audit if row.action == "escalate" and row.detail["state"] == ["bot", "waiting"]
    )


def _sums(table: Table) -> str:
    return ", ".join(f"{name} {total}" for name, total in zip(table.columns, table.totals, strict=True))


def _counted(shift: Shift) -> dict[str, Counter[datetime]]:
    """What the platform saw, by hour. What it kept quiet about nobody here can count as sent."""

    def hour(moment: datetime) -> datetime:
        return moment.replace(minute=0, second=0, microsecond=0)

    counted: dict[str, Counter[datetime]] = {label: Counter() for label in ("in", *KINDS)}
    for moment, _ in shift.public.accepted.values():
        counted["in"][hour(moment)] += 1
    for one in shift.platform.arrived:
        # What went past the database while it was away is in no table of it.
        if one.is_told and one.outbox_id:
            counted[one.kind][hour(one.at)] += 1
    for moment in shift.public.outside:
        counted["staff"][hour(moment)] += 1
    return counted


async def _overview(shift: Shift, record: Record, found: Reckoning) -> None:
    """The supervisor's overview says what is so."""
    hours = shift.world.core.limits.limits.hours
    midnight = hours.local(now()).replace(hour=0, minute=0, second=0, microsecond=0)
    async with shift.world.store.read() as connection:
        view = await read_overview(connection, _everything(), midnight)
        owned = list(
            (
                await connection.execute(
                    select(Conversation.owner_id).where(Conversation.owner_id.is_not(None))
                )
            ).scalars()
        )
    waiting = Counter(row.grade for row in record.conversations if row.state == "waiting")
    found.must(
        {one.grade: one.count for one in view.waiting if one.count} == dict(waiting), "overview: who waits"
    )
    loads = {one.staff_id: one.total for one in view.staff if one.total}
    found.must(loads == dict(Counter(owned)), "overview: who has what")
    present = {one.name.lower() for one in view.staff if one.is_present}
    found.must(present == {one.actor.name.lower() for one in shift.desk.at_desk()}, "overview: who is here")
    breaches = Counter(
        row.detail["grade"] for row in record.audit if row.action == "breach" and row.at >= midnight
    )
    shown = {grade: count for grade, count in view.breaches_by_grade.items() if count}
    found.must(shown == dict(breaches), f"overview: breaches {shown}, on record {dict(breaches)}")
    failed = sum(one.failed for one in view.channels if one.name == "test")
    found.must(
        failed == shift.platform.unsure,
        f"overview: {failed} may not have arrived, not {shift.platform.unsure}",
    )
    found.show(
        "replies late", ", ".join(f"{grade} {count}" for grade, count in sorted(shown.items())) or "none"
    )
    slow = max(
        (now() - row.waiting_since for row in record.conversations if row.state == "waiting"),
        default=timedelta(),
    )
    found.show("longest wait that goes on", f"{slow.total_seconds() / 60:.0f} min")
