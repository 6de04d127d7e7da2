"""What the pages read of the store: lists, one conversation, and what rings."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.handover.queue import sight_of, visible
from bot.messages import URGENT, Actor
from bot.store.record import now
from bot.store.tables import Audit, Conversation, Event, Person, Staff

RECENT = timedelta(days=2)


async def visible_of(connection: AsyncConnection, ids: Iterable[int], actor: Actor) -> set[int]:
    """Those of these conversations that `actor` may see."""
    wanted = sorted(set(ids))
    if not wanted:
        return set()
    query = select(Conversation.id).where(Conversation.id.in_(wanted), visible(actor))
    return set((await connection.execute(query)).scalars())


async def standing_of(connection: AsyncConnection, ids: Iterable[int], actor: Actor) -> dict[int, Row[Any]]:
    """How those of these conversations stand that `actor` may see: state, grade, owner, seal."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    query = select(
        Conversation.id, Conversation.state, Conversation.grade, Conversation.owner_id, Conversation.sealed
    ).where(Conversation.id.in_(wanted), visible(actor))
    found: Any = (await connection.execute(query)).all()
    return {row.id: row for row in found}


async def list_recent(connection: AsyncConnection, actor: Actor, state: str) -> list[Row[Any]]:
    """Conversations of the last two days that the assistant has, or that are closed."""
    since = now() - RECENT
    # Whoever wrote since then was closed since then: of years of closed ones only those are looked at.
    recent = [Conversation.closed_at > since] if state == "closed" else []
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
            Conversation.last_inbound_at > since,
            *recent,
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


@dataclass(frozen=True, slots=True)
class Danger:
    """What rings and who has fallen silent, for all who see the same: each reader is told a part of it."""

    urgent: Sequence[Row[Any]]
    """Every P1 that waits or has an owner."""
    alerts: Mapping[int, tuple[datetime, int]]
    silent: Sequence[Row[Any]]
    looks: Mapping[int, Mapping[int, datetime]]
    """When each member of staff last looked, by conversation."""
    made: dict[Hashable, str] = field(default_factory=dict)
    """HTML of it, by all that tells one reader's from another's."""


async def read_danger(connection: AsyncConnection, actor: Actor) -> Danger:
    """All that `actor` may see of it."""
    query: Any = (
        select(
            Conversation.id, Conversation.reference, Conversation.category, Conversation.state,
            Conversation.owner_id, Conversation.waiting_since, Conversation.opened_at,
        )
        .where(Conversation.grade == "P1", visible(actor), Conversation.state.in_(("waiting", "human")))
        .order_by(Conversation.waiting_since, Conversation.id)
    )  # fmt: skip
    rows = list((await connection.execute(query)).all())
    silent = await _all_silent(connection, actor)
    ids = [row.id for row in rows]
    alerts = await _last_alerts(connection, ids) if ids else {}
    return Danger(rows, alerts, silent, await _looks(connection, {*ids, *(row.id for row in silent)}))


def alarms_of(danger: Danger, actor: Actor) -> list[Alarm]:
    """The P1s that wait, and those whose owner (or, for a supervisor, anybody) has not looked since.

    One that waits is quiet once any member of staff has opened or acknowledged it; one that is
    owned once `actor` has. A listing in the queue is not looking.
    """
    alarms = []
    for row in danger.urgent:
        if row.state == "human" and actor.role != "supervisor" and row.owner_id != actor.staff_id:
            continue
        at, event_id = danger.alerts.get(row.id, (row.waiting_since or row.opened_at, 0))
        looks = danger.looks.get(row.id, {})
        seen = max(looks.values(), default=None) if row.state == "waiting" else looks.get(actor.staff_id or 0)
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


async def list_alarms(connection: AsyncConnection, actor: Actor) -> list[Alarm]:
    """What `alarms_of` says, read for one alone."""
    return alarms_of(await read_danger(connection, sight_of(actor)), actor)


async def list_quiet(connection: AsyncConnection, actor: Actor) -> list[Silence]:
    """What `silences_of` says, read for one alone."""
    return silences_of(await read_danger(connection, sight_of(actor)), actor)


async def _all_silent(connection: AsyncConnection, actor: Actor) -> list[Row[Any]]:
    query: Any = (
        select(
            Conversation.id, Conversation.reference, Conversation.category, Conversation.grade,
            Conversation.owner_id, Conversation.last_inbound_at, func.max(Event.id).label("alert"),
            func.max(Event.at).label("told_at"),
        )
        .join(Event, Event.conversation_id == Conversation.id)
        .where(
            Conversation.state.in_(("waiting", "human")), Conversation.grade.in_(sorted(URGENT)),
            visible(actor), Event.kind == "alert", Event.data["reason"].as_string() == "quiet",
            Event.at > Conversation.last_inbound_at,
        )
        .group_by(
            Conversation.id, Conversation.reference, Conversation.category, Conversation.grade,
            Conversation.owner_id, Conversation.last_inbound_at,
        )
        .order_by(Conversation.grade, Conversation.last_inbound_at)
    )  # fmt: skip
    return list((await connection.execute(query)).all())


def silences_of(danger: Danger, actor: Actor) -> list[Silence]:
    """The people in danger who fell silent, for their owner and for supervisors, until `actor` has looked."""
    return [
        Silence(row.id, row.reference, row.category, row.grade, row.last_inbound_at, row.alert)
        for row in danger.silent
        if (actor.role == "supervisor" or row.owner_id == actor.staff_id)
        and (
            (looked := danger.looks.get(row.id, {}).get(actor.staff_id or 0)) is None or looked < row.told_at
        )
    ]


LOOKS = ("open", "acknowledge", "claim", "accept", "take_over", "reply", "reply.again", "note", "grade")


async def _looks(connection: AsyncConnection, ids: Iterable[int]) -> dict[int, dict[int, datetime]]:
    found: dict[int, dict[int, datetime]] = {}
    wanted = sorted(set(ids))
    if not wanted:
        return found
    rows = await connection.execute(
        select(Audit.conversation_id, Audit.staff_id, func.max(Audit.at).label("at"))
        .where(Audit.conversation_id.in_(wanted), Audit.staff_id.is_not(None), Audit.action.in_(LOOKS))
        .group_by(Audit.conversation_id, Audit.staff_id)
    )
    for row in rows:
        found.setdefault(int(row.conversation_id or 0), {})[int(row.staff_id or 0)] = row.at
    return found


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
