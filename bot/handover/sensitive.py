"""Conversations of sensitive categories: read by their team and their owner, by others with a reason.

Which categories, and who is never asked, is the `sensitive` part of the force's teams file. A reason
is on record and in the audit, and counts for one shift. A P1 waits for nobody's reason: to take it is
the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import ReasonNeededError, RefusedError
from bot.handover.queue import get_for
from bot.messages import Actor
from bot.store.record import add_audit, now
from bot.store.tables import Audit, ReadingReason, Staff

TOOK_P1 = "Took it as a P1"
SHORTEST = 3
LONGEST = 500


@dataclass(frozen=True, slots=True)
class Sensitive:
    """The force's rule."""

    categories: frozenset[str]
    teams: frozenset[str]
    """Members of these are never asked, nor are members of the team that it is with."""
    roles: frozenset[str]
    hours: float
    """How long a reason counts."""

    @classmethod
    def of(cls, teams_file: Mapping[str, Any]) -> Sensitive:
        """The rule of a teams file."""
        rule = teams_file.get("sensitive") or {}
        return cls(
            frozenset(rule.get("categories") or ()),
            frozenset(rule.get("teams") or ()),
            frozenset(rule.get("roles") or ()),
            float(rule.get("hours") or 12),
        )

    def asks(self, row: Any, actor: Actor) -> bool:
        """Whether `actor` needs a reason on record to read this conversation."""
        named = {row.category, *(reason.get("category") for reason in row.reasons or ())}
        if not named & self.categories:
            return False
        if actor.staff_id is not None and actor.staff_id in (row.owner_id, row.closed_owner_id):
            return False
        if actor.role in self.roles:
            return False
        return not actor.teams & (self.teams | {row.team, row.transfer_team})


async def reasons_needed(
    connection: AsyncConnection, rows: Iterable[Any], actor: Actor, rule: Sensitive
) -> set[int]:
    """Those of these conversations whose words `actor` may not be shown yet."""
    asked = {row.id for row in rows if rule.asks(row, actor)}
    if not asked:
        return set()
    given = await connection.execute(
        select(ReadingReason.conversation_id).where(
            ReadingReason.conversation_id.in_(sorted(asked)),
            ReadingReason.staff_id == actor.staff_id,
            ReadingReason.until > now(),
        )
    )
    return asked - set(given.scalars())


async def given_reasons(connection: AsyncConnection, ids: Collection[int]) -> dict[int, set[int]]:
    """Who of the staff has a reason on record that still counts, for each of these conversations."""
    found: dict[int, set[int]] = {}
    if ids:
        rows = await connection.execute(
            select(ReadingReason.conversation_id, ReadingReason.staff_id).where(
                ReadingReason.conversation_id.in_(sorted(ids)), ReadingReason.until > now()
            )
        )
        for row in rows:
            found.setdefault(row.conversation_id, set()).add(row.staff_id)
    return found


async def must_have_reason(connection: AsyncConnection, row: Row[Any], actor: Actor, rule: Sensitive) -> None:
    """Let nobody read on without a reason.

    Raises:
        ReasonNeededError: none is on record that still counts.
    """
    if await reasons_needed(connection, [row], actor, rule):
        raise ReasonNeededError


async def take_as_reason(connection: AsyncConnection, row: Row[Any], actor: Actor, rule: Sensitive) -> None:
    """Whoever takes a P1 has the best of reasons, and it is on record.

    Raises:
        ReasonNeededError: it is no P1, and no reason was given before.
    """
    if not await reasons_needed(connection, [row], actor, rule):
        return
    if row.grade != "P1":
        raise ReasonNeededError
    await _keep(connection, row, actor, rule, TOOK_P1)


async def give_reason(
    connection: AsyncConnection, conversation_id: int, actor: Actor, rule: Sensitive, reason: str
) -> None:
    """Keep why somebody reads a conversation.

    Raises:
        NoSuchChatError: there is none that the caller may see.
        RefusedError: there is no reason in it.
    """
    row = await get_for(connection, conversation_id, actor)
    if len(reason.strip()) < SHORTEST:
        raise RefusedError("Write why you need to read this chat.")
    await _keep(connection, row, actor, rule, reason.strip()[:LONGEST])


async def _keep(
    connection: AsyncConnection, row: Row[Any], actor: Actor, rule: Sensitive, reason: str
) -> None:
    moment = now()
    await connection.execute(
        insert(ReadingReason).values(
            conversation_id=row.id, staff_id=actor.staff_id, reason=reason, at=moment,
            until=moment + timedelta(hours=rule.hours),
        )
    )  # fmt: skip
    await add_audit(connection, actor, "reading.reason", row.id, row.epoch, reason=reason)


@dataclass(frozen=True, slots=True)
class Reader:
    """One member of staff who opened a conversation."""

    name: str
    first: datetime
    last: datetime
    times: int
    reasons: Sequence[str]


async def opened_by(connection: AsyncConnection, conversation_id: int) -> list[Reader]:
    """Everybody who opened a conversation, the newest reader first, with the reasons they gave."""
    rows = await connection.execute(
        select(
            Audit.staff_id, Staff.name, func.min(Audit.at).label("first"), func.max(Audit.at).label("last"),
            func.count().label("times"),
        )
        .join(Staff, Staff.id == Audit.staff_id)
        .where(Audit.conversation_id == conversation_id, Audit.action == "open")
        .group_by(Audit.staff_id, Staff.name)
    )  # fmt: skip
    given = await connection.execute(
        select(ReadingReason.staff_id, ReadingReason.reason)
        .where(ReadingReason.conversation_id == conversation_id)
        .order_by(ReadingReason.id)
    )
    reasons: dict[int, list[str]] = {}
    for staff_id, reason in given:
        reasons.setdefault(staff_id, []).append(reason)
    readers = [
        Reader(row.name, row.first, row.last, row.times, reasons.get(row.staff_id or 0, ())) for row in rows
    ]
    return sorted(readers, key=lambda reader: reader.last, reverse=True)
