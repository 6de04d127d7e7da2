"""What a supervisor has to see at one look: who waits, who is here, what is late, what is broken.

It is read again at every change, so every query goes by an index, or looks at open rows or at the rows
of today only. Every count is of what the reader may see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.handover.queue import visible
from bot.handover.reassign import actors
from bot.handover.shift import present_staff
from bot.messages import GRADES, Actor
from bot.store.record import now
from bot.store.tables import (
    Alarm,
    Approval,
    Audit,
    Conversation,
    Live,
    Measure,
    Message,
    Outbox,
    SafetyReview,
    Sample,
    Staff,
    StaffSession,
)

SOON = timedelta(minutes=15)
A_DAY = timedelta(hours=24)
SKEW = timedelta(minutes=10)
"""Ids are given a moment before or after the time in the row; this much apart at the very most."""
SHOWN = 50
LOST = ("failed", "unknown")
"""States of a reply that did not arrive, or may not have."""
LEFT = ("sent", "delivered", "read")


@dataclass(frozen=True, slots=True)
class Waiting:
    """One grade of the queue."""

    grade: str
    count: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody at the desk, or who has gone and still owns a conversation."""

    staff_id: int
    name: str
    role: str
    teams: tuple[str, ...]
    is_present: bool
    load: dict[str, int]
    """Conversations owned, by grade."""
    acted_at: datetime | None

    @property
    def total(self) -> int:
        """All conversations owned."""
        return sum(self.load.values())


@dataclass(frozen=True, slots=True)
class Breach:
    """A reply that was not given in time."""

    conversation_id: int
    reference: str
    grade: str
    team: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class ChannelState:
    """How one channel does."""

    name: str
    last_in: datetime | None
    """The last message of a person in a day; None: there was none."""
    in_line: int
    """Replies that wait to be sent."""
    oldest: datetime | None
    """Since when the first of them is due."""
    failed: int
    """Replies of the last 24 hours that did not arrive, or may not have."""
    sent: int = 0
    """Replies of the last 24 hours that left."""
    last_out: datetime | None = None
    """When the last of these left."""


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything on the page."""

    waiting: Sequence[Waiting]
    staff: Sequence[Member]
    owned: Sequence[Row[Any]]
    soon: Sequence[Row[Any]]
    breaches: Sequence[Breach]
    breaches_by_grade: dict[str, int]
    channels: Sequence[ChannelState]
    alarms: Sequence[Row[Any]]
    approvals: Sequence[Row[Any]]
    samples_unread: int
    reviews_open: int
    measures_due: int


async def read_overview(connection: AsyncConnection, actor: Actor, midnight: datetime) -> Overview:
    """The overview of `actor`. `midnight` is when today began on the force's clock."""
    breaches, by_grade = await _breaches(connection, actor, midnight)
    return Overview(
        await _waiting(connection, actor),
        await _staff(connection, actor),
        await _owned(connection, actor),
        await _soon(connection, actor),
        breaches,
        by_grade,
        await _channels(connection, actor),
        await _alarms(connection, actor),
        await _approvals(connection, actor),
        await _count(connection, actor, Sample, Sample.read_at.is_(None)),
        await _count(connection, actor, SafetyReview, SafetyReview.state == "open"),
        await _measures_due(connection),
    )


async def _all(connection: AsyncConnection, query: Any) -> list[Row[Any]]:
    return list((await connection.execute(query)).all())


async def last_id_before(connection: AsyncConnection, table: Any, column: Any, moment: datetime) -> int:
    """The last id of a row older than `moment`: walks back from the newest row, by the primary key.

    Cheap for a moment of today; for one long ago every row since then is looked at.
    """
    query = select(table.id).where(column < moment - SKEW).order_by(table.id.desc()).limit(1)
    return int((await connection.execute(query)).scalar_one_or_none() or 0)


async def _waiting(connection: AsyncConnection, actor: Actor) -> list[Waiting]:
    rows = await connection.execute(
        select(Conversation.grade, func.count(), func.min(Conversation.waiting_since))
        .where(Conversation.state == "waiting", visible(actor))
        .group_by(Conversation.grade)
    )
    found = {row[0] or "P4": (int(row[1]), row[2]) for row in rows}
    return [Waiting(grade, *found.get(grade, (0, None))) for grade in GRADES]


async def _staff(connection: AsyncConnection, actor: Actor) -> list[Member]:
    """Who is here, and who is not but owns something that `actor` may see."""
    loads: dict[int, dict[str, int]] = {}
    rows = await connection.execute(
        select(Conversation.owner_id, Conversation.grade, func.count())
        .where(Conversation.state == "human", Conversation.owner_id.is_not(None), visible(actor))
        .group_by(Conversation.owner_id, Conversation.grade)
    )
    for owner_id, grade, number in rows:
        load = loads.setdefault(owner_id or 0, {})
        load[grade or "P4"] = load.get(grade or "P4", 0) + number
    present = await present_staff(connection)
    acted = await connection.execute(
        select(StaffSession.staff_id, func.max(StaffSession.acted_at).label("at"))
        .where(StaffSession.staff_id.in_(sorted(present | loads.keys())))
        .group_by(StaffSession.staff_id)
    )
    last = {row.staff_id: row.at for row in acted}
    found = [
        Member(
            one.staff_id or 0, one.name, one.role, tuple(sorted(one.teams)), one.staff_id in present,
            loads.get(one.staff_id or 0, {}), last.get(one.staff_id),
        )
        for one in await actors(connection, sorted(present | loads.keys()))
    ]  # fmt: skip
    return sorted(found, key=lambda one: (one.is_present, one.name))


_LISTED = (
    Conversation.id, Conversation.reference, Conversation.grade, Conversation.category, Conversation.team,
    Conversation.state, Conversation.owner_id, Conversation.owner_outside, Conversation.transfer_team,
    Conversation.reply_due_at, Conversation.last_inbound_at, Staff.name.label("owner_name"),
)  # fmt: skip


async def _owned(connection: AsyncConnection, actor: Actor) -> list[Row[Any]]:
    """What staff have, the most urgent and the soonest due first."""
    query = (
        select(*_LISTED)
        .outerjoin(Staff, Staff.id == Conversation.owner_id)
        .where(Conversation.state == "human", visible(actor))
        .order_by(
            Conversation.grade,
            case((Conversation.reply_due_at.is_(None), 1), else_=0),
            Conversation.reply_due_at,
            Conversation.id,
        )
        .limit(SHOWN)
    )
    return await _all(connection, query)


async def _soon(connection: AsyncConnection, actor: Actor) -> list[Row[Any]]:
    """Replies that are late or due in a moment."""
    query = (
        select(*_LISTED)
        .outerjoin(Staff, Staff.id == Conversation.owner_id)
        .where(
            Conversation.state.in_(("waiting", "human")),
            Conversation.reply_due_at < now() + SOON,
            visible(actor),
        )
        .order_by(Conversation.reply_due_at, Conversation.id)
        .limit(SHOWN)
    )
    return await _all(connection, query)


async def _breaches(
    connection: AsyncConnection, actor: Actor, midnight: datetime
) -> tuple[list[Breach], dict[str, int]]:
    """Today's breaches: the newest in full, all of them counted by grade."""
    after = await last_id_before(connection, Audit, Audit.at, midnight)
    rows = (
        await connection.execute(
            select(
                Audit.id, Audit.at, Audit.detail, Conversation.id.label("chat"), Conversation.reference,
                Conversation.grade, Conversation.team,
            )
            .join(Conversation, Conversation.id == Audit.conversation_id)
            .where(Audit.id > after, Audit.at >= midnight, Audit.action == "breach", visible(actor))
            .order_by(Audit.id.desc())
        )
    ).all()  # fmt: skip
    found: list[Breach] = []
    counts: dict[str, int] = dict.fromkeys(GRADES, 0)
    for row in rows:
        detail = row.detail if isinstance(row.detail, dict) else {}
        grade = next((one for one in (detail.get("grade"), row.grade) if one in counts), "P4")
        counts[grade] += 1
        if len(found) < SHOWN:
            team = detail.get("team")
            found.append(
                Breach(row.chat, row.reference, grade, team if isinstance(team, str) else row.team, row.at)
            )
    return found, counts


async def _channels(connection: AsyncConnection, actor: Actor) -> list[ChannelState]:
    since = now() - A_DAY
    after = await last_id_before(connection, Message, Message.received_at, since)
    heard = await connection.execute(
        select(Message.channel, func.max(Message.received_at))
        .join(Conversation, Conversation.id == Message.conversation_id)
        .where(Message.id > after, Message.received_at >= since, visible(actor))
        .group_by(Message.channel)
    )
    last = {row[0]: row[1] for row in heard}
    waits = await connection.execute(
        select(Outbox.channel, func.count(), func.min(Outbox.not_before))
        .join(Conversation, Conversation.id == Outbox.conversation_id)
        .where(Outbox.state.in_(("queued", "sending")), visible(actor))
        .group_by(Outbox.channel)
    )
    line: dict[str, tuple[int, datetime | None]] = {row[0]: (int(row[1]), row[2]) for row in waits}
    sent_after = await last_id_before(connection, Outbox, Outbox.created_at, since)
    is_lost = Outbox.state.in_(LOST)
    tried = await connection.execute(
        select(
            Outbox.channel,
            func.count(case((is_lost, 1))),
            func.count(case((is_lost, None), else_=1)),
            func.max(Outbox.sent_at),
        )
        .join(Conversation, Conversation.id == Outbox.conversation_id)
        .where(
            Outbox.id > sent_after, Outbox.created_at >= since, Outbox.state.in_((*LOST, *LEFT)),
            visible(actor),
        )
        .group_by(Outbox.channel)
    )  # fmt: skip
    replies = {row[0]: (int(row[1]), int(row[2]), row[3]) for row in tried}
    live = set((await connection.execute(select(Live.channel))).scalars())
    names = sorted({*last, *line, *replies, *live, "webchat"})
    found = []
    for name in names:
        in_line, oldest = line.get(name, (0, None))
        found.append(ChannelState(name, last.get(name), in_line, oldest, *replies.get(name, (0, 0, None))))
    return found


async def _alarms(connection: AsyncConnection, actor: Actor) -> list[Row[Any]]:
    """Alarms that nobody has settled; of a conversation only where `actor` may see it."""
    query = (
        select(
            Alarm.id, Alarm.kind, Alarm.raised_at, Alarm.level, Alarm.grade, Conversation.id.label("chat"),
            Conversation.reference, Conversation.category,
        )
        .outerjoin(Conversation, Conversation.id == Alarm.conversation_id)
        .where(Alarm.settled_at.is_(None), or_(Alarm.conversation_id.is_(None), visible(actor)))
        .order_by(Alarm.raised_at, Alarm.id)
        .limit(SHOWN)
    )  # fmt: skip
    return await _all(connection, query)


async def _approvals(connection: AsyncConnection, actor: Actor) -> list[Row[Any]]:
    """Replies that wait for a second person."""
    query = (
        select(
            Approval.id, Approval.asked_at, Approval.raised_at, Conversation.id.label("chat"),
            Conversation.reference, Conversation.grade, Staff.name.label("author"),
        )
        .join(Conversation, Conversation.id == Approval.conversation_id)
        .join(Staff, Staff.id == Approval.author_id)
        .where(Approval.decided_at.is_(None), visible(actor))
        .order_by(Approval.asked_at, Approval.id)
        .limit(SHOWN)
    )  # fmt: skip
    return await _all(connection, query)


async def _count(connection: AsyncConnection, actor: Actor, table: Any, condition: Any) -> int:
    query = (
        select(func.count())
        .select_from(table)
        .join(Conversation, Conversation.id == table.conversation_id)
        .where(condition, visible(actor))
    )
    return int((await connection.execute(query)).scalar_one())


async def _measures_due(connection: AsyncConnection) -> int:
    """Measures against a person whose day of review has come."""
    query = select(func.count()).where(and_(Measure.ended_at.is_(None), Measure.review_at <= now()))
    return int((await connection.execute(query)).scalar_one())
