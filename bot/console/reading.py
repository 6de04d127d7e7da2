"""What the pages read of the store: lists, one conversation, and what rings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.handover.queue import visible
from bot.messages import URGENT, Actor
from bot.store.record import now
from bot.store.tables import Audit, Conversation, Draft, Event, Person, Staff

RECENT = timedelta(days=2)


async def visible_of(connection: AsyncConnection, ids: Iterable[int], actor: Actor) -> set[int]:
    """Those of these conversations that `actor` may see."""
    wanted = sorted(set(ids))
    if not wanted:
        return set()
    query = select(Conversation.id).where(Conversation.id.in_(wanted), visible(actor))
    return set((await connection.execute(query)).scalars())


async def list_recent(connection: AsyncConnection, actor: Actor, state: str) -> list[Row[Any]]:
    """Conversations of the last two days that the assistant has, or that are closed."""
    query = (
        select(
            Conversation.__table__,
            Person.name.label("person_name"),
            Staff.name.label("owner_name"),
        )
        .join(Person, Person.id == Conversation.person_id)
        .outerjoin(Staff, Staff.id == Conversation.closed_owner_id)
        .where(
            Conversation.state == state,
            Conversation.last_inbound_at > now() - RECENT,
            visible(actor),
        )
        .order_by(Conversation.last_inbound_at.desc(), Conversation.id.desc())
        .limit(100)
    )
    return list((await connection.execute(query)).all())


async def read_conversation(connection: AsyncConnection, conversation_id: int) -> Row[Any] | None:
    """One conversation with its person and the name of its owner."""
    query = (
        select(
            Conversation.__table__,
            Person.name.label("person_name"),
            Person.blocked.label("person_blocked"),
            Staff.name.label("owner_name"),
        )
        .join(Person, Person.id == Conversation.person_id)
        .outerjoin(Staff, Staff.id == Conversation.owner_id)
        .where(Conversation.id == conversation_id)
    )
    return (await connection.execute(query)).one_or_none()


async def read_draft(connection: AsyncConnection, conversation_id: int, actor: Actor) -> str:
    """What `actor` has typed there and not sent."""
    query = select(Draft.text).where(
        Draft.conversation_id == conversation_id, Draft.staff_id == actor.staff_id
    )
    return (await connection.execute(query)).scalar_one_or_none() or ""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One P1 that this member of staff has to know of. `rings` until somebody looks."""

    conversation_id: int
    reference: str
    category: str | None
    state: str
    since: datetime
    rings: bool
    alert: int


async def list_alarms(connection: AsyncConnection, actor: Actor) -> list[Alarm]:
    """The P1s that wait, and those whose owner (or, for a supervisor, anybody) has not looked since.

    One that waits is quiet once any member of staff has opened or acknowledged it; one that is
    owned once `actor` has. A listing in the queue is not looking.
    """
    mine = Conversation.owner_id == actor.staff_id
    owned = Conversation.state == "human"
    if actor.role != "supervisor":
        owned = and_(owned, mine)
    rows = (
        await connection.execute(
            select(
                Conversation.id, Conversation.reference, Conversation.category, Conversation.state,
                Conversation.waiting_since, Conversation.opened_at,
            )
            .where(
                Conversation.grade == "P1", visible(actor), or_(Conversation.state == "waiting", owned)
            )
            .order_by(Conversation.waiting_since, Conversation.id)
        )
    ).all()  # fmt: skip
    if not rows:
        return []
    alerts = await _last_alerts(connection, [row.id for row in rows])
    looked = await _last_looks(connection, [row.id for row in rows], None)
    own = await _last_looks(connection, [row.id for row in rows], actor.staff_id)
    alarms = []
    for row in rows:
        at, event_id = alerts.get(row.id, (row.waiting_since or row.opened_at, 0))
        seen = (looked if row.state == "waiting" else own).get(row.id)
        rings = seen is None or seen < at
        if rings or row.state == "waiting":
            since = row.waiting_since or row.opened_at
            alarms.append(Alarm(row.id, row.reference, row.category, row.state, since, rings, event_id))
    return alarms


async def _last_alerts(connection: AsyncConnection, ids: Sequence[int]) -> dict[int, tuple[datetime, int]]:
    newest = (
        select(func.max(Event.id))
        .where(
            Event.conversation_id.in_(ids),
            Event.kind == "alert",
            Event.data["grade"].as_string() == "P1",
        )
        .group_by(Event.conversation_id)
    )
    rows = await connection.execute(
        select(Event.conversation_id, Event.at, Event.id).where(Event.id.in_(newest))
    )
    return {row.conversation_id: (row.at, row.id) for row in rows if row.conversation_id is not None}


@dataclass(frozen=True, slots=True)
class Silence:
    """Somebody in danger who has not written since our last words."""

    conversation_id: int
    reference: str
    category: str | None
    grade: str
    since: datetime
    """When they last wrote."""
    alert: int


async def list_quiet(connection: AsyncConnection, actor: Actor) -> list[Silence]:
    """The people in danger who fell silent, for their owner and for supervisors, until `actor` has looked."""
    whose = [] if actor.role == "supervisor" else [Conversation.owner_id == actor.staff_id]
    rows = (
        await connection.execute(
            select(
                Conversation.id, Conversation.reference, Conversation.category, Conversation.grade,
                Conversation.last_inbound_at, func.max(Event.id).label("alert"),
                func.max(Event.at).label("told_at"),
            )
            .join(Event, Event.conversation_id == Conversation.id)
            .where(
                Conversation.state.in_(("waiting", "human")), Conversation.grade.in_(sorted(URGENT)),
                visible(actor), Event.kind == "alert", Event.data["reason"].as_string() == "quiet",
                Event.at > Conversation.last_inbound_at, *whose,
            )
            .group_by(
                Conversation.id, Conversation.reference, Conversation.category, Conversation.grade,
                Conversation.last_inbound_at,
            )
            .order_by(Conversation.grade, Conversation.last_inbound_at)
        )
    ).all()  # fmt: skip
    looked = await _last_looks(connection, [row.id for row in rows], actor.staff_id) if rows else {}
    return [
        Silence(row.id, row.reference, row.category, row.grade, row.last_inbound_at, row.alert)
        for row in rows
        if row.id not in looked or looked[row.id] < row.told_at
    ]


LOOKS = ("open", "acknowledge", "claim", "accept", "take_over", "reply", "reply.again", "note", "grade")


async def _last_looks(
    connection: AsyncConnection, ids: Sequence[int], staff_id: int | None
) -> dict[int, datetime]:
    query = (
        select(Audit.conversation_id, func.max(Audit.at))
        .where(Audit.conversation_id.in_(ids), Audit.staff_id.is_not(None), Audit.action.in_(LOOKS))
        .group_by(Audit.conversation_id)
    )
    if staff_id is not None:
        query = query.where(Audit.staff_id == staff_id)
    rows = await connection.execute(query)
    return {row[0]: row[1] for row in rows if row[0] is not None}


@dataclass(frozen=True, slots=True)
class Can:
    """What `actor` can do with one conversation as it stands."""

    own: bool
    claim: bool
    accept: bool
    take_over: bool
    release: bool
    transfer: bool
    close: bool
    grade: bool
    give_back: bool
    escalate: bool
    block: bool
    urgent: bool


def what_can(row: Row[Any], actor: Actor) -> Can:
    """The actions to offer; `core.desk` checks each again."""
    urgent = row.grade in URGENT
    own = row.state == "human" and row.owner_id == actor.staff_id
    waits, owned = row.state == "waiting", row.state == "human"
    return Can(
        own=own,
        claim=waits or (owned and row.owner_outside),
        accept=owned and not own and row.transfer_team is not None and row.transfer_team in actor.teams,
        take_over=actor.role == "supervisor" and owned and not own and not row.owner_outside,
        release=own and not urgent,
        transfer=own,
        close=own or waits,
        grade=waits or (owned and (own or actor.role == "supervisor")),
        give_back=waits and not urgent,
        escalate=row.state == "bot",
        block=actor.role == "supervisor",
        urgent=urgent,
    )


def shape_of(row: Row[Any]) -> str:
    """Changes whenever the actions to offer may change, and only then."""
    parts = (
        row.state, row.owner_id, row.grade, row.transfer_team, row.epoch, row.person_blocked, row.sealed,
        row.incident, row.snoozed_until, row.safe_check,
    )  # fmt: skip
    return "-".join(str(part) for part in parts)


def last_words(row: Row[Any]) -> str:
    """The newest message of a person, on one line."""
    return " ".join(str(row.last_text or "").split())[:160]
