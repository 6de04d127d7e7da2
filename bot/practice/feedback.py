"""What came of a practice, read from the record: each chat beside what would have been right.

Nothing here is written by the system: the words are those of practice.yml and of the force's cards,
the times are those of the audit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant.content import Content
from bot.handover.clock import ReplyLimits
from bot.handover.queue import visible
from bot.messages import URGENT, Actor
from bot.practice.database import CHANNEL, CLEARED
from bot.practice.player import Persona, Practice
from bot.practice.script import Scenario
from bot.store.tables import Audit, Conversation, Person, Staff

CARD = "surge.reply"
"""One answer for all who wrote nearly the same."""
TOOK = ("claim", "accept", "take_over")
DID = (*TOOK, CARD, "reply", "close", "release", "return", "transfer", "transfer.offer")
"""What somebody has done who practised in a chat."""
Verdict = Literal["well", "again", ""]


@dataclass(frozen=True, slots=True)
class Point:
    """One thing that was measured."""

    what: str
    came_to: str
    verdict: Verdict = ""


@dataclass(frozen=True, slots=True)
class Feedback:
    """One chat of a practice."""

    conversation_id: int
    reference: str
    person: str
    scenario: Scenario
    category: str
    grade: str
    is_crowd: bool
    """Several people wrote the same, and are answered together."""
    staff: frozenset[int]
    """Who had a hand in it; empty: nobody took it."""
    points: tuple[Point, ...]
    never_ask: tuple[str, ...]
    do: tuple[str, ...]


async def read_feedback(
    connection: AsyncConnection,
    practice: Practice,
    actor: Actor,
    content: Content,
    limits: ReplyLimits,
    moment: datetime,
) -> list[Feedback]:
    """Every chat of this run that `actor` may see, oldest first."""
    rows = await connection.execute(
        select(Conversation.__table__, Person.platform_id, Person.name.label("person_name"))
        .join(Person, Person.id == Conversation.person_id)
        .where(Person.channel == CHANNEL, Person.platform_id.in_(list(practice.personas)), visible(actor))
        .order_by(Conversation.id)
    )
    chats = rows.all()
    told = await _audit(connection, [row.id for row in chats])
    found = []
    for row in chats:
        persona = practice.of_this_run(row.platform_id)
        if persona is not None:
            scenario = practice.script.scenarios[persona.scenario]
            found.append(_of_one(row, persona, scenario, told.get(row.id, ()), content, limits, moment))
    return found


async def who_practised(connection: AsyncConnection, found: Sequence[Feedback]) -> list[tuple[int, str]]:
    """Id and name of each member of staff who had a hand in any of these."""
    ids = {staff_id for one in found for staff_id in one.staff}
    rows = await connection.execute(
        select(Staff.id, Staff.name).where(Staff.id.in_(ids)).order_by(Staff.name)
    )
    return [(row.id, row.name) for row in rows]


async def _audit(connection: AsyncConnection, ids: Sequence[int]) -> Mapping[int, list[Row[Any]]]:
    rows = await connection.execute(
        select(Audit.__table__).where(Audit.conversation_id.in_(ids)).order_by(Audit.id)
    )
    found: dict[int, list[Row[Any]]] = {}
    for row in rows:
        found.setdefault(int(row.conversation_id or 0), []).append(row)
    return found


def _of_one(
    row: Row[Any],
    persona: Persona,
    scenario: Scenario,
    told: Sequence[Row[Any]],
    content: Content,
    limits: ReplyLimits,
    moment: datetime,
) -> Feedback:
    card = content.cards.get(_category(row)) or {}
    points = (
        *_taken(row, told, moment),
        *_first_reply(row, told, limits),
        *_later_replies(told),
        *_guard(told),
        *_grade(row, scenario, told),
        *_end(row, scenario, told, content),
    )
    return Feedback(
        conversation_id=row.id,
        reference=row.reference,
        person=persona.name,
        scenario=scenario,
        category=_category(row),
        grade=_last_grade(row, told) or scenario.grade,
        is_crowd=persona.people.times > 1,
        staff=frozenset(one.staff_id for one in told if one.staff_id is not None and one.action in DID),
        points=points,
        never_ask=tuple(card.get("never_ask", ())),
        do=tuple(card.get("do", ())),
    )


def _category(row: Row[Any]) -> str:
    """The category that it had: a chat that the assistant has again has none any more."""
    if row.category:
        return str(row.category)
    reasons = sorted(row.reasons or (), key=lambda reason: str(reason["grade"]))
    return str(reasons[0]["category"]) if reasons else ""


def _highest(row: Row[Any], until: datetime | None) -> str:
    """The most urgent grade that it was found to have, up to a moment: whose limit counted then."""
    grades = [
        str(reason["grade"])
        for reason in row.reasons or ()
        if until is None or datetime.fromisoformat(reason["at"]) <= until
    ]
    return min(grades, default=row.grade or "P4")


def _last_grade(row: Row[Any], told: Sequence[Row[Any]]) -> str | None:
    """The grade in the end; of a chat that the assistant has again, the one that it had before."""
    if row.grade:
        return str(row.grade)
    for one in reversed(told):
        known = (one.detail or {}).get("grade")
        if isinstance(known, list) and known[0]:
            return str(known[0])
    return None


def _first(told: Sequence[Row[Any]], *actions: str) -> Row[Any] | None:
    return next((one for one in told if one.action in actions and one.staff_id is not None), None)


def _waits_from(told: Sequence[Row[Any]]) -> datetime | None:
    """When it first came into the queue."""
    for one in told:
        state = (one.detail or {}).get("state")
        if isinstance(state, list) and state[-1] == "waiting":
            return one.at  # type: ignore[no-any-return]
    return None


def length(seconds: float) -> str:
    """A length of time to the second: in practice a minute more or less is the lesson."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def _taken(row: Row[Any], told: Sequence[Row[Any]], moment: datetime) -> list[Point]:
    since, took = _waits_from(told), _first(told, *TOOK)
    if since is None:
        return [Point("Taken", "It never came to the queue")]
    answered = _first(told, CARD)
    if took is None and answered is not None:
        after = length((answered.at - since).total_seconds())
        return [Point("Taken", f"with the card of all alike, by {answered.actor}, after {after}")]
    if took is None:
        until = row.closed_at or moment
        so_long = length((until - since).total_seconds())
        return [Point("Taken", f"Nobody took it in {so_long}", "again" if _is_late(row, told) else "")]
    return [Point("Taken", f"by {took.actor}, after {length((took.at - since).total_seconds())}")]


def _is_late(row: Row[Any], told: Sequence[Row[Any]]) -> bool:
    """Whether the limit has passed, or the chat has ended without a person."""
    return row.state == "closed" or any(one.action == "breach" for one in told)


def _first_reply(row: Row[Any], told: Sequence[Row[Any]], limits: ReplyLimits) -> list[Point]:
    """The limit is the clock's own: it wrote down each reply that was late."""
    since, reply = _waits_from(told), _first(told, "reply", CARD)
    grade = _highest(row, reply.at if reply is not None else None)
    said = f"The limit for a {grade} is {length(limits.limits[grade].first.total_seconds())}"
    late = [one for one in told if one.action in ("breach", "breach.over") and one.detail.get("first")]
    if since is None:
        return []
    if reply is None:
        is_late = _is_late(row, told)
        text = "Nobody replied" if is_late else "Nobody has replied yet"
        return [Point("First reply", f"{text}. {said}.", "again" if is_late else "")]
    took = length((reply.at - since).total_seconds())
    return [Point("First reply", f"after {took}. {said}.", "again" if late else "well")]


def _later_replies(told: Sequence[Row[Any]]) -> list[Point]:
    count = sum(1 for one in told if one.action == "reply")
    late = [one for one in told if one.action == "breach.over" and not one.detail.get("first")]
    if count < 2:
        return []
    worst = max((int(one.detail.get("seconds", 0)) for one in late), default=0)
    text = f"{len(late)} of {count - 1} late, by up to {length(worst)}" if late else "all in time"
    return [Point("Replies after the first", text, "again" if late else "well")]


def _guard(told: Sequence[Row[Any]]) -> list[Point]:
    found = []
    for action, text in (
        ("reply.override", "Sent with a reason although words were marked"),
        ("reply.warned", "Sent at P1 with words that were marked"),
    ):
        rows = [one for one in told if one.action == action]
        if rows:
            kinds = sorted({str(kind) for one in rows for kind in one.detail.get("kinds", ())})
            found.append(Point("Marked words", f"{text}: {len(rows)} ({', '.join(kinds)})", "again"))
    return found


def _grade(row: Row[Any], scenario: Scenario, told: Sequence[Row[Any]]) -> list[Point]:
    """P3 and P4 are not told apart: without the assistant nobody could."""
    last = _last_grade(row, told)
    if last is None:
        return []
    right = scenario.grade
    if last == right or (last not in URGENT and right not in URGENT):
        return [Point("Grade", f"{last}, which is right", "well")]
    if last > right:
        return [Point("Grade", f"{last}. It is a {right}: this was graded too low", "again")]
    return [Point("Grade", f"{last}. A person may lower it to {right}, with a reason")]


def _end(row: Row[Any], scenario: Scenario, told: Sequence[Row[Any]], content: Content) -> list[Point]:
    right = ", or: ".join(str(content.outcomes[key]["title"]) for key in scenario.outcomes)
    back = _first(told, "release", "return")
    found = []
    if back is not None:
        text = "It went back to the assistant"
        found.append(
            Point("Handed back", text + (", which is right here" if scenario.hand_back else
                    ". It had to stay with a person"), "well" if scenario.hand_back else "again")
        )  # fmt: skip
    if row.state == "closed" and row.outcome != CLEARED:
        title = str(content.outcomes.get(row.outcome, {}).get("title", row.outcome))
        if row.outcome in scenario.outcomes:
            found.append(Point("Closed as", f"{title}, which is right", "well"))
        else:
            found.append(Point("Closed as", f"{title}. Right would be: {right}", "again"))
    elif back is None:
        found.append(Point("Closed as", f"It is not closed. Right would be: {right}"))
    return found
