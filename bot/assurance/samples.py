"""The daily sample, once it is drawn: what is to be read, and what the reader said."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Row, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assurance.reviews import LONGEST_NOTE, SHORTEST, open_review
from bot.errors import RefusedError, StaleError
from bot.handover.queue import LARGEST_ID, visible
from bot.messages import Actor
from bot.store.record import add_audit, now
from bot.store.tables import Conversation, Message, Sample, Staff

VERDICTS: Final = {
    "right": "Right",
    "wrong": "Wrong, but nobody was at risk",
    "should_reach": "Should have reached a person",
}


async def list_samples(
    connection: AsyncConnection, actor: Actor, *, read: bool, limit: int = 200
) -> list[Row[Any]]:
    """Conversations of the sample that `actor` may see: those to read, or those that were read."""
    messages = select(func.count()).where(Message.conversation_id == Sample.conversation_id).scalar_subquery()
    rows = await connection.execute(
        select(Sample.__table__, Conversation.channel, messages.label("messages"), Staff.name.label("reader"))
        .join(Conversation, Conversation.id == Sample.conversation_id)
        .outerjoin(Staff, Staff.id == Sample.read_by)
        .where(visible(actor), Sample.read_at.is_not(None) if read else Sample.read_at.is_(None))
        .order_by(Sample.day.desc(), Sample.id)
        .limit(limit)
    )
    return list(rows.all())


async def count_verdicts(connection: AsyncConnection, actor: Actor) -> dict[str, int]:
    """How many of each verdict there are."""
    rows = await connection.execute(
        select(Sample.verdict, func.count())
        .join(Conversation, Conversation.id == Sample.conversation_id)
        .where(visible(actor), Sample.verdict.is_not(None))
        .group_by(Sample.verdict)
    )
    found = {str(row[0]): int(row[1]) for row in rows}
    return {verdict: found.get(verdict, 0) for verdict in VERDICTS}


async def get_sample(connection: AsyncConnection, sample_id: int, actor: Actor) -> Row[Any]:
    """One of the sample.

    Raises:
        RefusedError: there is none that the caller may see.
    """
    found = None
    if actor.role == "supervisor" and 0 < sample_id <= LARGEST_ID:
        found = (
            await connection.execute(
                select(Sample.__table__, Conversation.channel)
                .join(Conversation, Conversation.id == Sample.conversation_id)
                .where(Sample.id == sample_id, visible(actor))
            )
        ).one_or_none()
    if found is None:
        raise RefusedError("There is no such chat in the sample, or your teams may not see it.")
    return found


async def give_verdict(
    connection: AsyncConnection,
    sample_id: int,
    actor: Actor,
    verdict: str,
    note: str,
    message_id: int | None = None,
) -> int | None:
    """Keep what the reader said. Returns the safety review, where one was opened.

    Raises:
        StaleError: somebody else was first.
        RefusedError: no verdict, or no note where one is needed.
        RefusedError: there is none that the caller may see.
    """
    row = await get_sample(connection, sample_id, actor)
    if verdict not in VERDICTS:
        raise RefusedError("Choose a verdict.")
    if verdict != "right" and len(note.strip()) < SHORTEST:
        raise RefusedError("Write what went wrong.")
    changed = await connection.execute(
        update(Sample)
        .where(Sample.id == row.id, Sample.read_at.is_(None))
        .values(
            read_at=now(), read_by=actor.staff_id, verdict=verdict, note=note.strip()[:LONGEST_NOTE] or None
        )
    )
    if changed.rowcount != 1:
        raise StaleError("Somebody has read this chat already.")
    await add_audit(connection, actor, "sample.read", row.conversation_id, sample=row.id, verdict=verdict)
    if verdict != "should_reach":
        return None
    return await open_review(connection, row.conversation_id, actor, note, message_id=message_id)
