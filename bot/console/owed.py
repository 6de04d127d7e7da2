"""What is owed now, for its owner and for supervisors: late replies, missing numbers, calls to be made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.conversations.limits import Limits
from bot.handover.incident import first_report, without_waiver
from bot.handover.queue import visible
from bot.messages import Actor
from bot.store.record import now
from bot.store.tables import CallBack, Conversation

MOST = 20
"""How many of a kind are shown: more would only be scrolled past. The queue has them all."""


@dataclass(frozen=True, slots=True)
class Owed:
    """One thing that somebody of the staff has to do in one chat."""

    conversation_id: int
    reference: str
    grade: str | None
    what: str
    """reply, incident or call."""
    until: datetime | None
    is_late: bool

    @property
    def mark(self) -> str:
        """Changes when the page has to say something else."""
        return f"{self.conversation_id}/{self.what}/{self.is_late}/{self.until}"


async def list_owed(connection: AsyncConnection, actor: Actor, limits: Limits) -> list[Owed]:
    """What the owner of a chat is told of: their own chats; a supervisor is told of every one they may see."""
    if actor.role == "supervisor":
        whose = and_(Conversation.state.in_(("bot", "waiting", "human")), visible(actor))
    else:
        whose = and_(Conversation.state == "human", Conversation.owner_id == actor.staff_id, visible(actor))
    return [
        *await _replies(connection, whose, limits),
        *await _numbers(connection, whose, limits),
        *await _calls(connection, whose),
    ]


async def _replies(connection: AsyncConnection, whose: Any, limits: Limits) -> list[Owed]:
    at, share = now(), 1 - limits.limits.warn_share
    soon = [
        and_(Conversation.grade == grade, Conversation.reply_due_at <= at + limit.next * share)
        for grade, limit in limits.limits.limits.items()
    ]
    query = (
        select(Conversation.id, Conversation.reference, Conversation.grade, Conversation.reply_due_at)
        .where(whose, or_(*soon))
        .order_by(Conversation.grade, Conversation.reply_due_at)
        .limit(MOST)
    )
    rows = await connection.execute(query)
    return [
        Owed(row.id, row.reference, row.grade, "reply", row.reply_due_at, bool(row.reply_due_at <= at))
        for row in rows
    ]


async def _numbers(connection: AsyncConnection, whose: Any, limits: Limits) -> list[Owed]:
    at, steps = now(), limits.limits.incident_warnings
    query = (
        # Not the whole row: hundreds are looked at for each who asks.
        select(
            Conversation.id, Conversation.reference, Conversation.grade, Conversation.reasons,
            Conversation.opened_at,
        )
        .where(
            whose, Conversation.incident.is_(None), Conversation.opened_at <= at - steps[0], without_waiver()
        )
        .order_by(Conversation.opened_at)
        .limit(10 * MOST)
    )  # fmt: skip
    found = []
    for row in (await connection.execute(query)).all():
        told = first_report(row, limits.rule)
        if told is None or told + steps[0] > at:
            continue
        until = told + steps[-1]
        found.append(Owed(row.id, row.reference, row.grade, "incident", until, until <= at))
    return found[:MOST]


async def _calls(connection: AsyncConnection, whose: Any) -> list[Owed]:
    at = now()
    query = (
        select(
            Conversation.id, Conversation.reference, Conversation.grade, CallBack.safe_until,
        )
        .join(CallBack, CallBack.conversation_id == Conversation.id)
        .where(whose, CallBack.done_at.is_(None), CallBack.safe_from.is_not(None), CallBack.safe_from <= at)
        .order_by(CallBack.safe_until, CallBack.id)
        .limit(MOST)
    )  # fmt: skip
    return [
        Owed(
            row.id, row.reference, row.grade, "call", row.safe_until,
            row.safe_until is not None and row.safe_until <= at,
        )
        for row in await connection.execute(query)
    ]  # fmt: skip
