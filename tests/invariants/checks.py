"""The invariants as questions to the record, asked after every step of the state machine."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, select

from bot.messages import DELIVERY_RANK, URGENT
from bot.store.record import now
from bot.store.tables import Approval, Audit, Conversation, Event, Message, Note, Outbox, Person
from tests.support.world import World

OUT = ("sending", "sent", "delivered", "read", "unknown")
ARRIVED = ("sent", "delivered", "read")
PRESENT = timedelta(seconds=60)


@dataclass(slots=True)
class Record:
    """Everything on record at one moment."""

    conversations: list[Row[Any]]
    messages: list[Row[Any]]
    outbox: list[Row[Any]]
    audit: list[Row[Any]]
    events: list[Row[Any]]
    notes: list[Row[Any]]
    approvals: list[Row[Any]]
    people: dict[int, str]


async def read_record(world: World) -> Record:
    """Read all of it in one transaction."""
    async with world.store.read(quick=True) as connection:

        async def rows(table: Any, *order: Any) -> list[Row[Any]]:
            query = select(table.__table__).order_by(*(order or (table.id,)))
            return list((await connection.execute(query)).all())

        return Record(
            await rows(Conversation),
            await rows(Message),
            await rows(Outbox),
            await rows(Audit),
            await rows(Event, Event.xid, Event.id),
            await rows(Note),
            await rows(Approval),
            {row.id: row.platform_id for row in await rows(Person)},
        )


@dataclass
class Seen:
    """What the test itself saw happen, beside the record."""

    accepted: list[tuple[str, str]] = field(default_factory=list)
    """(platform id, person) of every message answered 200."""
    danger: list[tuple[str, str, datetime]] = field(default_factory=list)
    """(person, category, when) of every accepted message that the screen alone calls P1."""
    sat: list[tuple[datetime, str]] = field(default_factory=list)
    """When somebody was at the desk."""
    left: list[tuple[datetime, str]] = field(default_factory=list)
    """When somebody was signed out."""
    secrets: list[str] = field(default_factory=list)
    states: dict[int, str] = field(default_factory=dict)
    sealed: dict[int, datetime] = field(default_factory=dict)
    """Since when a conversation was found to be sealed."""
    unsealed: set[int] = field(default_factory=set)
    quieted: set[str] = field(default_factory=set)
    """People who were ever blocked or limited: they may be left without an answer."""
    inside: frozenset[str] = frozenset({"pat"})
    """Who answers for sealed conversations."""
    leads: frozenset[str] = frozenset({"lee"})
    """Who sees a sealed P1 as well."""

    def here(self, moment: datetime) -> set[str]:
        """Who was at the desk then."""
        return {
            name
            for sat, name in self.sat
            if timedelta(0) <= moment - sat < PRESENT
            and not any(gone == name and sat <= left <= moment for left, gone in self.left)
        }


def check(world: World, record: Record, seen: Seen) -> None:
    """Ask all of them."""
    i1_once_in_the_transcript(record, seen)
    i2_at_most_one_set_of_replies(record)
    i3_nothing_of_the_assistants_while_a_person_owns(record)
    i4_at_most_one_owner(record)
    i5_and_i8_every_change_is_in_the_audit_and_allowed(record)
    i6_safety_words(record, seen)
    i7_order_and_no_way_back(world, record, seen)
    i9_no_note_leaves(world, record, seen)
    a_wait_has_a_time_and_no_snooze_hides_danger(record)
    a_seal_is_lifted_by_its_team_alone(record, seen)
    only_what_a_second_person_read_is_sent(record)
    i11_a_person_is_promised_only_when_true(world, record, seen)


def i1_once_in_the_transcript(record: Record, seen: Seen) -> None:
    """An inbound message answered 200 is in the transcript exactly once."""
    kept: dict[str, int] = defaultdict(int)
    for message in record.messages:
        kept[message.platform_id] += 1
    for platform_id, person in seen.accepted:
        assert kept[platform_id] == 1, f"I1: {platform_id} of {person} is kept {kept[platform_id]} times"


def i2_at_most_one_set_of_replies(record: Record) -> None:
    """No turn says a line of the assistant's twice."""
    said: set[tuple[int, str, str]] = set()
    for row in record.outbox:
        if row.kind == "assistant" and row.turn and row.state in OUT:
            line = (row.conversation_id, row.turn, row.text)
            assert line not in said, f"I2: turn {row.turn} said a line twice"
            said.add(line)
    answered: dict[tuple[int, str], str] = {}
    for row in record.outbox:
        if row.slug and row.turn and row.state in OUT:
            last = row.turn.rpartition(".")[2]
            held = answered.setdefault((row.conversation_id, last + row.slug), row.turn)
            assert held == row.turn, f"I2: {row.slug} went out for two turns of one message"


def i2_nothing_is_left(record: Record, seen: Seen | None = None) -> None:
    """At rest every message is answered, queued, or in front of its owner; who is blocked or limited excepted."""
    quieted = seen.quieted if seen else set()
    states = {row.id: row for row in record.conversations}
    answered: dict[int, bool] = defaultdict(bool)
    for row in record.outbox:
        if row.state in (*ARRIVED, "unknown"):
            answered[row.conversation_id] = True
    for message in record.messages:
        assert message.handled, f"I2: message {message.id} was never read"
        conversation = states[message.conversation_id]
        assert (
            conversation.state in ("waiting", "human", "closed")
            or answered[message.conversation_id]
            or record.people[conversation.person_id] in quieted
            or any(r.conversation_id == conversation.id and r.state == "failed" for r in record.outbox)
        ), f"I2: nobody answered message {message.id}"


def i3_nothing_of_the_assistants_while_a_person_owns(record: Record) -> None:
    """Replay the events in commit order: no assistant row enters `sending` under an owner."""
    kinds = {row.id: row.kind for row in record.outbox}
    state: dict[int, str] = {}
    for event in record.events:
        if event.kind == "conversation.opened":
            state[event.conversation_id] = "bot"
        elif event.kind == "conversation.owner":
            state[event.conversation_id] = event.data["state"]
        elif event.kind == "conversation.escalated" and event.data["moved"]:
            state[event.conversation_id] = "waiting"
        elif event.kind == "outbox.state" and event.data["state"] == "sending":
            if kinds[event.data["outbox"]] == "assistant":
                assert state[event.conversation_id] in ("bot", "waiting"), "I3: talked over a person"


def i4_at_most_one_owner(record: Record) -> None:
    """An owner exactly while a person owns; one open conversation for each identity."""
    open_of: dict[int, int] = defaultdict(int)
    for row in record.conversations:
        owners = (row.owner_id is not None) + bool(row.owner_outside)
        assert owners == (1 if row.state == "human" else 0), f"I4: {row.state} with {owners} owners"
        open_of[row.person_id] += row.state != "closed"
    assert all(count <= 1 for count in open_of.values()), "I4: two open conversations of one person"


def a_wait_has_a_time_and_no_snooze_hides_danger(record: Record) -> None:
    """Who waits has a moment by which somebody answers; a chat with a crime in it closed with its number."""
    waived = {
        row.conversation_id
        for row in record.audit
        if row.action == "incident.waive" and row.detail["reason"] and row.staff_id is not None
    }
    for row in record.conversations:
        if row.state in ("bot", "closed"):
            assert row.reply_due_at is None, f"a reply is owed while the chat is {row.state}"
        if row.snoozed_until is not None:
            assert row.state == "human", f"snoozed while {row.state}"
            assert row.grade not in URGENT, "a P1 or P2 is snoozed"
            assert row.last_inbound_at <= row.snoozed_until, "a snooze outlived a message"
        if row.state == "closed":
            told = [
                r for r in row.reasons if r["grade"] in URGENT or (r["grade"], r["category"]) == ("P3", "R13")
            ]
            assert row.incident or row.id in waived or not told, (
                "a crime was told, and it closed without a number or a supervisor's reason"
            )


def only_what_a_second_person_read_is_sent(record: Record) -> None:
    """A reply that waits, was given back or lost its writer is in no row; one is sent once, by another's word."""
    rows = {row.id: row for row in record.outbox}
    texts = {(row.conversation_id, row.text) for row in record.outbox if row.kind == "staff"}
    owners = {row.id: row.owner_id for row in record.conversations}
    sent: set[int] = set()
    for one in record.approvals:
        if one.decision in ("approved", "sent"):
            row = rows.get(one.outbox_id)
            assert row is not None, "approval: said to be sent, and in no row"
            assert one.outbox_id not in sent, "approval: sent twice"
            sent.add(one.outbox_id)
            assert (row.text, row.author_id) == (one.text, one.author_id), "approval: other words were sent"
            assert (one.decided_by == one.author_id) == (one.decision == "sent"), "approval: their own word"
        else:
            assert (one.conversation_id, one.text) not in texts, f"approval: sent, though {one.decision}"
        if one.decided_at is None:
            assert owners[one.conversation_id] == one.author_id, "approval: its writer has the chat no more"
    waiting = Counter(one.conversation_id for one in record.approvals if one.decided_at is None)
    assert all(count == 1 for count in waiting.values()), "approval: two replies of one chat wait"


def a_seal_is_lifted_by_its_team_alone(record: Record, seen: Seen) -> None:
    """Nothing lifts a seal but a member of its team, with a reason; a sealed one stays with that team."""
    lifted = [row for row in record.audit if row.action == "unseal"]
    for row in lifted:
        assert row.staff_id is not None, "sealed: nobody's name on a seal that was lifted"
        assert row.detail["reason"], "sealed: a seal was lifted without a reason"
    count = Counter(row.conversation_id for row in lifted)
    for row in record.conversations:
        if row.sealed:
            seen.sealed.setdefault(row.id, now())
            assert row.team == "professional_standards", f"sealed: it is with {row.team}"
        elif row.id in seen.sealed:
            assert count[row.id], "sealed: the seal went by itself"
        if count[row.id]:
            seen.unsealed.add(row.id)


ENDS_OF_WAITING = {"claim", "withdraw", "close", "outside_reply"}


def i5_and_i8_every_change_is_in_the_audit_and_allowed(record: Record) -> None:
    """The audit alone tells state, owner and grade of now; and no step of it is forbidden."""
    state: dict[int, str] = defaultdict(lambda: "bot")
    owner: dict[int, int | None] = defaultdict(lambda: None)
    grade: dict[int, str | None] = defaultdict(lambda: None)
    answered: set[tuple[int, int]] = set()
    for row in record.audit:
        held = row.conversation_id
        if held is None:
            continue
        detail = row.detail
        if row.action in ("surge.join", "surge.reply"):
            assert state[held] == "waiting", f"hidden: {row.action} while {state[held]}"
            assert grade[held] not in URGENT, f"hidden: {row.action} of a P1 or P2"
        if row.action == "surge.reply":
            assert detail["approved_by"] not in (None, row.staff_id), (
                "an answer for many, read by nobody else"
            )
            assert (held, detail["surge"]) not in answered, "an answer for many came twice"
            answered.add((held, detail["surge"]))
        if row.action == "reply":
            author = detail.get("author", row.staff_id)
            assert (state[held], owner[held]) == ("human", author), "a reply of somebody who had it not"
            assert detail.get("approved_by") != author, "approval: somebody approved their own reply"
        if row.action == "quiet":
            assert grade[held] in URGENT, "a silence was told of somebody who is in no danger"
        if "state" in detail:
            before, after = detail["state"]
            assert before == state[held], f"I8: {row.action} found {before}, the audit says {state[held]}"
            if before == "waiting" and after != "waiting":
                assert row.action in ENDS_OF_WAITING, f"I5: waiting ended by {row.action}"
                if grade[held] in URGENT:
                    assert row.action in ("claim", "close"), f"I5: {row.action} ended an urgent wait"
                    assert row.staff_id is not None, "I5: nobody's name on the end of an urgent wait"
            if after == "closed" and before in ("waiting", "human"):
                assert row.staff_id is not None, "I5: a timer closed what a person waited for"
                assert grade[held] not in URGENT or detail["done"], "I5: closed without what was done"
            if after == "bot":
                assert grade[held] not in URGENT, "I5: an urgent chat went back to the assistant"
            state[held] = after
        # A pair is a change; one value (of a missed limit) only says how it was.
        if isinstance(detail.get("owner"), list):
            assert detail["owner"][0] == owner[held], "I8: the owner changed without an audit row"
            owner[held] = detail["owner"][1]
        if isinstance(detail.get("grade"), list):
            assert detail["grade"][0] == grade[held], "I8: the grade changed without an audit row"
            was, fresh = grade[held], detail["grade"][1]
            grade[held] = fresh
            lowered = was is not None and (fresh is None or fresh > was)
            if lowered and was in URGENT:
                assert row.action == "grade", f"a grade fell by {row.action}"
                assert detail["reason"], "a grade fell without a reason"
    for row in record.conversations:
        assert (row.state, row.owner_id, row.grade) == (state[row.id], owner[row.id], grade[row.id]), (
            f"I8: the audit does not tell how {row.id} came to be as it is"
        )


def i6_safety_words(record: Record, seen: Seen) -> None:
    """Danger gets words in every state; the same words are not repeated too soon."""
    by_person: dict[str, list[Row[Any]]] = defaultdict(list)
    person_of = {row.id: record.people[row.person_id] for row in record.conversations}
    for row in record.outbox:
        if row.kind == "safety":
            by_person[person_of[row.conversation_id]].append(row)
    for person, category, when in seen.danger:
        live = [
            r for r in by_person[person] if r.category == category and r.state not in ("unknown", "failed")
        ]
        failed = [r for r in by_person[person] if r.category == category and r.state == "failed"]
        assert live or failed, f"I6: no words about {category} for {person} at {when}"
    again = {row.detail["again"] for row in record.audit if row.action == "safety.again"}
    rises = {
        (row.conversation_id, row.at)
        for row in record.audit
        if row.action in ("escalate", "grade") and row.detail["grade"][0] != row.detail["grade"][1]
    }
    earlier: dict[tuple[int, str], list[Row[Any]]] = defaultdict(list)
    for row in record.outbox:
        if row.kind != "safety":
            continue
        key = (row.conversation_id, row.category)
        soon = [
            old
            for old in earlier[key]
            if old.state in ARRIVED and old.sent_at <= row.created_at < old.sent_at + timedelta(minutes=10)
        ]
        if row.id not in again and (row.conversation_id, row.created_at) not in rises:
            assert not soon, f"I6: the words about {row.category} were repeated too soon"
        earlier[key].append(row)


def i7_order_and_no_way_back(world: World, record: Record, seen: Seen) -> None:
    """Rows reach the platform in committed order; a delivery state never regresses."""
    conversation = {row.id: row.conversation_id for row in record.outbox}
    newest: dict[int, int] = defaultdict(int)
    for delivered in world.channel.delivered:
        outgoing = delivered.outgoing
        if outgoing.kind == "safety" or outgoing.outbox_id == 0:
            continue
        held = conversation[outgoing.outbox_id]
        assert outgoing.outbox_id > newest[held], "I7: out of order, or twice"
        newest[held] = outgoing.outbox_id
    for row in record.outbox:
        before = seen.states.get(row.id, "queued")
        back = DELIVERY_RANK[row.state] < DELIVERY_RANK[before]
        assert not back or (before, row.state) == ("sending", "queued"), f"I7: {before} became {row.state}"
        seen.states[row.id] = row.state


def i9_no_note_leaves(world: World, record: Record, seen: Seen) -> None:
    """No note's text is in an outbox row or in a call to a platform."""
    for secret in (*seen.secrets, *(note.text for note in record.notes)):
        assert not any(secret in row.text for row in record.outbox), "I9: a note is in the outbox"
        assert not any(secret in call[1].text for call in world.channel.calls), "I9: a note left"


def i11_a_person_is_promised_only_when_true(world: World, record: Record, seen: Seen) -> None:
    """ "A person …" is said after `waiting` has committed, and is true of who is on shift."""
    screen = world.core.screen
    promises = {screen.words(category).handover for category in screen.categories}
    promises |= {world.line("holding_line")}
    denials = {world.line("queued_off_shift"), world.line("holding_line_off_shift")}
    waited = _first_wait(record.events)
    order = {
        event.data["outbox"]: place
        for place, event in enumerate(record.events)
        if event.kind == "outbox.queued"
    }
    for row in record.outbox:
        if row.kind != "assistant":
            continue
        promise = any(text in row.text for text in promises)
        if promise or any(text in row.text for text in denials):
            _is_true_of_the_shift(row, seen, promise)
            assert waited.get(row.conversation_id, 10**9) < order[row.id], "I11: said before it waited"


def _is_true_of_the_shift(row: Row[Any], seen: Seen, promise: bool) -> None:
    """For an open team anybody at the desk counts; for a sealed one its own members, and the lead at P1."""
    here = seen.here(row.created_at)
    sealed = seen.sealed.get(row.conversation_id)
    said = f"I11: not true of the shift: {row.text!r}"
    if sealed is None or row.created_at < sealed:
        assert bool(here) == promise, said
        return
    assert here or not promise, said
    if row.conversation_id not in seen.unsealed and row.created_at > sealed:
        assert here & (seen.inside | seen.leads) or not promise, said
        assert not here & seen.inside or promise, said


def _first_wait(events: Sequence[Row[Any]]) -> dict[int, int]:
    first: dict[int, int] = {}
    for place, event in enumerate(events):
        if event.kind in ("conversation.escalated", "conversation.owner"):
            first.setdefault(event.conversation_id, place)
    return first
