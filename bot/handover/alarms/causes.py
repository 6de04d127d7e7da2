"""What has to be seen by a named person, and whether one has: both read from the record.

A cause is an `alert` event: each urgent hit of either net, an owner lost, a grade raised by hand. It
is seen once somebody who may answer has opened or acknowledged the chat, or done anything in it.
A listing in the queue leaves no such trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.handover.ownership import ANSWERING_ROLES
from bot.messages import URGENT
from bot.store.tables import Alarm, Audit, Conversation, Event, Staff

LOOKS = (
    "open", "acknowledge", "claim", "accept", "take_over", "reply", "reply.again", "note", "grade",
    "transfer", "transfer.offer", "release", "return", "close", "block", "unblock",
)  # fmt: skip
"""What only somebody who has the chat in front of them can do."""
REPLACED = "A more urgent alarm took its place"
"""Settles an alarm without anybody having looked."""


@dataclass(frozen=True, slots=True)
class Cause:
    """The first thing of one grade in one chat that nobody has looked at."""

    conversation_id: int
    reference: str
    grade: str
    category: str
    team: str
    event_id: int
    at: datetime

    @property
    def key(self) -> str:
        """The same for every gateway that notices."""
        return f"{self.grade.lower()}-c{self.conversation_id}-e{self.event_id}"


async def unseen(connection: AsyncConnection) -> list[Cause]:
    """Every P1 and P2 that nobody has looked at, one of each grade for a chat: the oldest.

    The oldest, not the newest: who keeps writing must not put their own alarm off.
    """
    rows = (
        await connection.execute(
            select(Conversation.__table__).where(
                Conversation.state.in_(("waiting", "human")), Conversation.grade.in_(sorted(URGENT))
            )
        )
    ).all()
    if not rows:
        return []
    ids = [row.id for row in rows]
    looked = await last_looks(connection, ids)
    for conversation_id, at in (await _last_settled(connection, ids)).items():
        looked[conversation_id] = max(at, looked.get(conversation_id, at))
    alerts = await _alerts(connection, ids)
    found: list[Cause] = []
    for row in rows:
        found += _of_one(row, alerts.get(row.id, ()), looked.get(row.id))
    return found


def _of_one(row: Row[Any], alerts: Sequence[Row[Any]], looked: datetime | None) -> list[Cause]:
    # One without a grade says that something is owed: no danger that has to be seen.
    alerts = [alert for alert in alerts if alert.data.get("grade")]
    if not alerts:
        # The events of long ago may be gone: the wait itself is the cause.
        at = row.waiting_since or row.opened_at
        return [_cause(row, row.grade, row.category, 0, at)] if looked is None or looked < at else []
    first: dict[str, Row[Any]] = {}
    for alert in alerts:
        grade = alert.data.get("grade")
        if grade in URGENT and (looked is None or looked < alert.at):
            first.setdefault(grade, alert)
    return [
        _cause(row, grade, alert.data.get("category") or row.category, alert.id, alert.at)
        for grade, alert in sorted(first.items())
    ]


def _cause(row: Row[Any], grade: str, category: str | None, event_id: int, at: datetime) -> Cause:
    if row.sealed:
        # Whoever is called reads that a chat waits, and never what it is about.
        category = None
    return Cause(row.id, row.reference, grade, category or "", row.team or "", event_id, at)


async def _alerts(connection: AsyncConnection, ids: Sequence[int]) -> Mapping[int, list[Row[Any]]]:
    rows = await connection.execute(
        select(Event.conversation_id, Event.id, Event.at, Event.data)
        .where(Event.conversation_id.in_(ids), Event.kind == "alert")
        .order_by(Event.at, Event.id)
    )
    found: dict[int, list[Row[Any]]] = {}
    for row in rows:
        found.setdefault(int(row.conversation_id or 0), []).append(row)
    return found


async def _last_settled(connection: AsyncConnection, ids: Sequence[int]) -> dict[int, datetime]:
    """Until when the alarms of each chat are settled, however that came: a new one is for what is new."""
    rows = await connection.execute(
        select(Alarm.conversation_id, func.max(Alarm.settled_at).label("at"))
        .where(Alarm.conversation_id.in_(ids), Alarm.settled_at.is_not(None), Alarm.settled_by != REPLACED)
        .group_by(Alarm.conversation_id)
    )
    return {int(row.conversation_id or 0): row.at for row in rows}


def _looks() -> Any:
    return (
        select(Audit.conversation_id, func.max(Audit.at).label("at"))
        .join(Staff, Staff.id == Audit.staff_id)
        .where(Audit.action.in_(LOOKS), Staff.role.in_(ANSWERING_ROLES))
        .group_by(Audit.conversation_id)
    )


async def last_looks(connection: AsyncConnection, ids: Sequence[int]) -> dict[int, datetime]:
    """When somebody who may answer last had each of these chats in front of them."""
    rows = await connection.execute(_looks().where(Audit.conversation_id.in_(sorted(set(ids)))))
    return {row.conversation_id: row.at for row in rows}


async def first_look(
    connection: AsyncConnection, conversation_id: int, at: datetime
) -> tuple[str, datetime] | None:
    """Who looked first since that moment, and when; None: nobody yet."""
    row = (
        await connection.execute(
            select(Audit.actor, Audit.at)
            .join(Staff, Staff.id == Audit.staff_id)
            .where(
                Audit.conversation_id == conversation_id,
                Audit.at >= at,
                Audit.action.in_(LOOKS),
                Staff.role.in_(ANSWERING_ROLES),
            )
            .order_by(Audit.at, Audit.id)
            .limit(1)
        )
    ).one_or_none()
    return None if row is None else (row.actor, row.at)
