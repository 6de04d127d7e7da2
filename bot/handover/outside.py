"""Somebody outside our desk answers a person, and stops doing so: two rows of the ownership table.

As in `ownership.py`: inside the caller's transaction, with the audit row and the event (I8).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.handover.ownership import get, owner_changed, to_bot
from bot.messages import URGENT, Actor
from bot.store.record import change_conversation, now


async def answered(connection: AsyncConnection, row: Row[Any], actor: Actor) -> Row[Any]:
    """Somebody answered outside our desk: the assistant falls silent.

    A waiting P1 or P2 goes on waiting, marked, its alarms running.
    """
    if row.state == "human":
        return row
    if row.state == "waiting" and row.grade in URGENT:
        await change_conversation(connection, row.id, answered_outside=True, epoch=row.epoch + 1)
        fresh = await get(connection, row.id)
        await owner_changed(connection, row, fresh, actor, "answered_outside")
        return fresh
    if row.state not in ("bot", "waiting"):
        return row
    await change_conversation(
        connection,
        row.id,
        state="human",
        owner_id=None,
        owner_outside=True,
        reply_due_at=None,
        epoch=row.epoch + 1,
        grade=row.grade or "P4",
        category=row.category or "R20",
        waiting_since=row.waiting_since or now(),
        withdrawable=False,
    )
    fresh = await get(connection, row.id)
    await owner_changed(connection, row, fresh, actor, "outside_reply")
    return fresh


async def handed_back(connection: AsyncConnection, row: Row[Any], actor: Actor) -> Row[Any]:
    """Whoever answered outside our desk has handed a P3 or P4 back: the assistant answers again."""
    return await to_bot(connection, row, actor, "outside_done")
