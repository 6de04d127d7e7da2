"""What the desk and the command line show of alarms: the newest, with every call on record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.handover.alarms.rota import PATHS, PathName
from bot.handover.queue import visible
from bot.messages import Actor
from bot.store.tables import Alarm, AlarmAttempt, Conversation


@dataclass(frozen=True, slots=True)
class Shown:
    """One alarm and the calls that were made for it."""

    alarm: Row[Any]
    attempts: Sequence[Row[Any]]


@dataclass(frozen=True, slots=True)
class PathRecord:
    """What is on record of one path."""

    path: PathName
    taken_at: datetime | None
    failed_at: datetime | None
    detail: str
    """What the newest failure was: a code or the name of an error."""


async def recent(connection: AsyncConnection, actor: Actor, limit: int = 30) -> list[Shown]:
    """The newest alarms, tests among them; those that nobody has settled come first.

    Without those of sealed conversations that `actor` may not see: not even their number is told.
    """
    seen = select(Conversation.id).where(Conversation.sealed, visible(actor))
    hidden = select(Conversation.id).where(Conversation.sealed, Conversation.id.not_in(seen))
    alarms = (
        await connection.execute(
            select(Alarm.__table__)
            .where(or_(Alarm.conversation_id.is_(None), Alarm.conversation_id.not_in(hidden)))
            .order_by(Alarm.settled_at.is_not(None), Alarm.raised_at.desc(), Alarm.id.desc())
            .limit(limit)
        )
    ).all()
    attempts: dict[int, list[Row[Any]]] = {}
    if alarms:
        rows = await connection.execute(
            select(AlarmAttempt.__table__)
            .where(AlarmAttempt.alarm_id.in_([alarm.id for alarm in alarms]))
            .order_by(AlarmAttempt.id)
        )
        for row in rows:
            attempts.setdefault(row.alarm_id, []).append(row)
    return [Shown(alarm, attempts.get(alarm.id, ())) for alarm in alarms]


async def path_records(connection: AsyncConnection) -> list[PathRecord]:
    """When each path last got through, and last failed."""
    rows = await connection.execute(
        select(AlarmAttempt.path, AlarmAttempt.result, func.max(AlarmAttempt.id).label("id"))
        .where(AlarmAttempt.ended_at.is_not(None), AlarmAttempt.result != "unknown")
        .group_by(AlarmAttempt.path, AlarmAttempt.result)
    )
    ids = [row.id for row in rows]
    newest = (
        (await connection.execute(select(AlarmAttempt.__table__).where(AlarmAttempt.id.in_(ids)))).all()
        if ids
        else []
    )
    return [_record(path, [row for row in newest if row.path == path]) for path in PATHS]


def _record(path: PathName, rows: Sequence[Row[Any]]) -> PathRecord:
    taken = [row.ended_at for row in rows if row.result == "taken"]
    failed = max((row for row in rows if row.result != "taken"), key=lambda row: row.id, default=None)
    return PathRecord(
        path,
        max(taken, default=None),
        failed.ended_at if failed is not None else None,
        (failed.detail or "") if failed is not None else "",
    )
