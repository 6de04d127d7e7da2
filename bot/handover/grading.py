"""A grade that staff change by hand; the nets raise it by `ownership.escalate`.

As in `ownership.py`: inside the caller's transaction, with the audit row and the event (I8).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import NotAllowedError, RefusedError
from bot.handover.ownership import get, must_answer
from bot.handover.queue import get_for
from bot.messages import GRADES, URGENT, Actor, Grade, is_higher
from bot.store.record import add_audit, add_event, change_conversation


async def set_grade(
    connection: AsyncConnection, conversation_id: int, actor: Actor, grade: Grade, reason: str
) -> Row[Any]:
    """Change the grade by hand. Lowering needs a reason of the owner or a supervisor.

    One that waits may be raised, with a reason, by everybody who answers and may see it.

    Raises:
        NotAllowedError: neither owner nor supervisor, and not raising one that waits.
        RefusedError: unknown grade, nothing to grade, or no reason.
    """
    must_answer(actor)
    row = await get_for(connection, conversation_id, actor)
    if grade not in GRADES:
        raise RefusedError("Choose a grade from P1 to P4.")
    if row.state not in ("waiting", "human"):
        raise RefusedError("Only a chat that waits or that somebody has can be graded.")
    if row.owner_id != actor.staff_id and actor.role != "supervisor":
        if row.state != "waiting" or not is_higher(grade, row.grade):
            raise NotAllowedError("Only the owner or a supervisor may change the grade.")
        if len(reason.strip()) < 3:
            raise RefusedError("Give a reason for raising the grade.")
    if row.grade is not None and grade > row.grade and len(reason.strip()) < 3:
        raise RefusedError("Give a reason for lowering the grade.")
    if row.sealed and row.grade == "P1" and grade != "P1" and row.team not in actor.teams:
        # Who sees it as a P1 only would lose it by this, and nobody would have it.
        raise RefusedError("Pass this chat to its team first. Only they may lower a sealed P1.")
    rose = is_higher(grade, row.grade)
    await change_conversation(
        connection,
        row.id,
        grade=grade,
        snoozed_until=None if rose else row.snoozed_until,
        epoch=row.epoch + (1 if rose and grade in URGENT else 0),
        withdrawable=row.withdrawable and grade not in URGENT,
    )
    fresh = await get(connection, row.id)
    await add_audit(
        connection, actor, "grade", row.id, fresh.epoch,
        grade=[row.grade, grade], reason=reason.strip(),
    )  # fmt: skip
    await add_event(connection, row.id, "conversation.grade", {"grade": grade})
    if rose and grade in URGENT:
        await add_event(
            connection, row.id, "alert", {"grade": grade, "owner": row.owner_id, "reason": "graded"}
        )
    return fresh
