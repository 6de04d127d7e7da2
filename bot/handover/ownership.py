"""Every change of owner or grade: one function for each row of the ownership table.

Each takes an open writing transaction, locks the conversation, changes it by one UPDATE
conditioned on the epoch, and writes the audit row and the event beside it (I8). The epoch grows at
every change of owner and at every rise to P1 or P2, so that an answer written before is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import NotAllowedError, RefusedError, StaleError
from bot.messages import GRADES, URGENT, Actor, Grade, Hit, is_higher
from bot.store.record import add_audit, add_event, change_conversation, lock_conversation, now
from bot.store.tables import Conversation, Staff, Team

ANSWERING_ROLES = frozenset({"moderator", "supervisor"})


@dataclass(frozen=True, slots=True)
class Raised:
    """What an escalation did. `conversation` is the row as it stands now."""

    conversation: Row[Any]
    moved: bool
    """It left the bot and waits for a person now."""
    rose: bool
    """The grade is more urgent than before."""
    new_categories: tuple[str, ...]


async def get(connection: AsyncConnection, conversation_id: int) -> Row[Any]:
    """The conversation, locked for this transaction.

    Raises:
        RefusedError: there is none of that id.
    """
    row = await lock_conversation(connection, conversation_id)
    if row is None:
        raise RefusedError("There is no such chat.")
    return row


async def escalate(
    connection: AsyncConnection,
    conversation: Row[Any],
    hits: Sequence[Hit],
    actor: Actor,
    *,
    team: str,
    withdrawable: bool = False,
) -> Raised:
    """Pass a conversation to a person, or raise the grade of one that waits or is owned.

    A grade only rises here. `team` is used when the conversation starts to wait or the grade rises.
    Never conditioned on epoch, owner or lease: a rise may not be lost to a race. A P1 or P2 that is
    found only after the conversation was closed, at a lower grade, opens it again, or goes to the
    person's open one.
    """
    worst = min(hits, key=lambda hit: hit.grade)
    if conversation.state == "closed" and worst.grade in URGENT:
        conversation = await _open_one(connection, conversation)
    known = {reason["category"] for reason in conversation.reasons}
    new_categories = tuple(dict.fromkeys(hit.category for hit in hits if hit.category not in known))
    rose = is_higher(worst.grade, conversation.grade)
    urgent_rise = rose and worst.grade in URGENT
    moved = conversation.state == "bot" or (conversation.state == "closed" and urgent_rise)
    stamp = now()
    reasons = [
        *conversation.reasons,
        *(
            {
                "category": hit.category,
                "grade": hit.grade,
                "net": hit.net,
                "words": list(hit.words),
                "at": stamp.isoformat(),
            }
            for hit in hits
        ),
    ][-50:]
    values: dict[str, Any] = {"reasons": reasons}
    if moved or urgent_rise:
        values["epoch"] = conversation.epoch + 1
    if moved:
        values |= {"state": "waiting", "waiting_since": stamp, "front": False, "misses": 0}
        values |= {"closed_at": None, "outcome": None}
        values["withdrawable"] = withdrawable and worst.grade not in URGENT
    if rose:
        values |= {"grade": worst.grade, "category": worst.category}
        if worst.grade in URGENT:
            values["withdrawable"] = False
    if (moved or rose) and conversation.state != "human":
        values["team"] = team
    await change_conversation(connection, conversation.id, **values)
    fresh = await get(connection, conversation.id)
    if moved or rose or new_categories:
        await add_audit(
            connection,
            actor,
            "escalate",
            conversation.id,
            fresh.epoch,
            state=[conversation.state, fresh.state],
            grade=[conversation.grade, fresh.grade],
            categories=[hit.category for hit in hits],
            nets=sorted({hit.net for hit in hits}),
        )
        await add_event(
            connection,
            conversation.id,
            "conversation.escalated",
            {"grade": fresh.grade, "rose": rose, "moved": moved},
        )
    if worst.grade in URGENT:
        # Each urgent hit alerts whoever has it, even when nothing about the grade is new.
        await add_event(
            connection,
            conversation.id,
            "alert",
            {"grade": worst.grade, "owner": conversation.owner_id, "category": worst.category},
        )
    return Raised(fresh, moved, rose, new_categories)


async def _open_one(connection: AsyncConnection, closed: Row[Any]) -> Row[Any]:
    """The person's open conversation, locked; without one, the closed one itself."""
    found = await connection.execute(
        select(Conversation.id).where(
            Conversation.person_id == closed.person_id, Conversation.state != "closed"
        )
    )
    open_id = found.scalar_one_or_none()
    return closed if open_id is None else await get(connection, open_id)


def _must_answer(actor: Actor) -> None:
    if actor.role not in ANSWERING_ROLES or actor.staff_id is None:
        raise NotAllowedError("Your role does not allow you to answer people.")


def _must_own(conversation: Row[Any], actor: Actor) -> None:
    if conversation.state != "human" or conversation.owner_id != actor.staff_id:
        raise StaleError("You do not have this chat any more.")


async def _check_team(connection: AsyncConnection, conversation: Row[Any], actor: Actor) -> None:
    if conversation.team is None or conversation.team in actor.teams:
        return
    restricted = (
        await connection.execute(select(Team.restricted).where(Team.key == conversation.team))
    ).scalar_one_or_none()
    if restricted:
        raise NotAllowedError("Only the team that this chat was passed to may open it.")


async def _owner_name(connection: AsyncConnection, conversation: Row[Any]) -> str:
    if conversation.owner_outside:
        return "Somebody outside this desk"
    if conversation.owner_id is None:
        return "Nobody"
    query = select(Staff.name).where(Staff.id == conversation.owner_id)
    return (await connection.execute(query)).scalar_one_or_none() or "Somebody"


async def claim(connection: AsyncConnection, conversation_id: int, actor: Actor, epoch: int) -> Row[Any]:
    """Take a waiting conversation: exactly one of many who try gets it.

    `epoch` is the one on the page of whoever claims.

    Raises:
        StaleError: somebody else was first (it says who), or the conversation changed.
        NotAllowedError: the role or the team does not allow it.
    """
    _must_answer(actor)
    row = await get(connection, conversation_id)
    await _check_team(connection, row, actor)
    if row.state == "human" and row.owner_id == actor.staff_id:
        return row
    result = await connection.execute(
        update(Conversation)
        .where(
            Conversation.id == conversation_id,
            Conversation.epoch == epoch,
            or_(
                Conversation.state == "waiting",
                (Conversation.state == "human") & Conversation.owner_outside,
            ),
        )
        .values(
            state="human",
            owner_id=actor.staff_id,
            owner_outside=False,
            answered_outside=False,
            transfer_team=None,
            front=False,
            withdrawable=False,
            epoch=Conversation.epoch + 1,
        )
    )
    if result.rowcount != 1:
        if row.state == "human":
            raise StaleError(f"{await _owner_name(connection, row)} has this chat.")
        raise StaleError("This chat changed. Look again before you take it.")
    fresh = await get(connection, conversation_id)
    await _owner_changed(connection, row, fresh, actor, "claim")
    return fresh


async def _owner_changed(
    connection: AsyncConnection,
    before: Row[Any],
    after: Row[Any],
    actor: Actor,
    action: str,
    **detail: Any,
) -> None:
    await add_audit(
        connection,
        actor,
        action,
        after.id,
        after.epoch,
        state=[before.state, after.state],
        owner=[before.owner_id, after.owner_id],
        grade=[before.grade, after.grade],
        **detail,
    )
    await add_event(
        connection,
        after.id,
        "conversation.owner",
        {"action": action, "state": after.state, "owner": after.owner_id, "was": before.owner_id},
    )


async def release(connection: AsyncConnection, conversation_id: int, actor: Actor) -> Row[Any]:
    """Hand a P3 or P4 back to the assistant.

    Raises:
        StaleError: the caller does not own it.
        RefusedError: it is a P1 or P2.
    """
    row = await get(connection, conversation_id)
    _must_own(row, actor)
    if row.grade in URGENT:
        raise RefusedError("A P1 or P2 stays with a person. Lower the grade first, with a reason.")
    return await _to_bot(connection, row, actor, "release")


async def withdraw(connection: AsyncConnection, conversation: Row[Any], actor: Actor) -> Row[Any] | None:
    """Give a waiting P3 or P4 back to the assistant at the person's wish, or by staff.

    Returns None, and changes nothing, when it does not wait or is urgent.
    """
    if conversation.state != "waiting" or conversation.grade in URGENT:
        return None
    return await _to_bot(connection, conversation, actor, "withdraw")


async def _to_bot(connection: AsyncConnection, row: Row[Any], actor: Actor, action: str) -> Row[Any]:
    await change_conversation(
        connection,
        row.id,
        state="bot",
        owner_id=None,
        owner_outside=False,
        epoch=row.epoch + 1,
        grade=None,
        category=None,
        team=None,
        waiting_since=None,
        front=False,
        misses=0,
        withdrawable=False,
        answered_outside=False,
        ask=None,
        # A later "yes" must not answer a question of this matter, which is settled.
        safe_check=None,
        pending_answer=None,
    )
    fresh = await get(connection, row.id)
    await _owner_changed(connection, row, fresh, actor, action)
    return fresh


async def close(
    connection: AsyncConnection,
    conversation_id: int,
    actor: Actor,
    outcome: str,
    done: str = "",
) -> Row[Any]:
    """End a conversation that the caller owns, or a waiting one that needs no answer.

    `done` says what was done; a P1 or P2 cannot be closed without it.

    Raises:
        StaleError: somebody else owns it.
        RefusedError: already closed, or what was done is missing.
    """
    _must_answer(actor)
    row = await get(connection, conversation_id)
    if row.state == "human":
        _must_own(row, actor)
    elif row.state != "waiting":
        raise RefusedError("Only a chat that waits or that you have can be closed.")
    else:
        await _check_team(connection, row, actor)
    if row.grade in URGENT and len(done.strip()) < 3:
        raise RefusedError("Write down what was done before you close a P1 or P2.")
    if not outcome:
        raise RefusedError("Choose an outcome.")
    await _close(connection, row, outcome)
    fresh = await get(connection, conversation_id)
    await _owner_changed(connection, row, fresh, actor, "close", outcome=outcome, done=done.strip())
    return fresh


async def close_silent(connection: AsyncConnection, row: Row[Any], actor: Actor) -> None:
    """End a conversation that the assistant had and that went silent."""
    if row.state != "bot":
        return
    await _close(connection, row, "silent")
    fresh = await get(connection, row.id)
    await _owner_changed(connection, row, fresh, actor, "close", outcome="silent")


async def _close(connection: AsyncConnection, row: Row[Any], outcome: str) -> None:
    await change_conversation(
        connection,
        row.id,
        state="closed",
        closed_owner_id=row.owner_id,
        owner_id=None,
        owner_outside=False,
        transfer_team=None,
        epoch=row.epoch + 1,
        closed_at=now(),
        outcome=outcome,
        ask=None,
    )


async def transfer(
    connection: AsyncConnection, conversation_id: int, actor: Actor, team: str, note: str
) -> Row[Any]:
    """Pass a conversation to a team, with a note. It keeps its place by first wait.

    A P1 or P2 is passed warm: the sender keeps it until somebody of that team accepts.

    Raises:
        StaleError: the caller does not own it.
        RefusedError: no such team, or no note.
    """
    row = await get(connection, conversation_id)
    _must_own(row, actor)
    if len(note.strip()) < 3:
        raise RefusedError("Write a note for the team that takes over.")
    known = await connection.execute(select(Team.key).where(Team.key == team))
    if known.scalar_one_or_none() is None:
        raise RefusedError("Choose a team from the list.")
    if row.grade in URGENT:
        await change_conversation(connection, row.id, transfer_team=team)
        fresh = await get(connection, row.id)
        await add_audit(connection, actor, "transfer.offer", row.id, row.epoch, team=team)
        await add_event(connection, row.id, "conversation.transfer", {"team": team, "warm": True})
        return fresh
    await change_conversation(
        connection,
        row.id,
        state="waiting",
        owner_id=None,
        team=team,
        epoch=row.epoch + 1,
        waiting_since=row.waiting_since or now(),
        withdrawable=False,
    )
    fresh = await get(connection, row.id)
    await _owner_changed(connection, row, fresh, actor, "transfer", team=team)
    return fresh


async def accept(connection: AsyncConnection, conversation_id: int, actor: Actor) -> Row[Any]:
    """Accept a warm transfer: ownership passes in one step, nobody is without an owner between.

    Raises:
        StaleError: it is no longer offered, or the caller has it already.
        NotAllowedError: the caller is not of that team.
    """
    _must_answer(actor)
    row = await get(connection, conversation_id)
    if row.state != "human" or row.transfer_team is None or row.owner_id == actor.staff_id:
        raise StaleError("This chat is not being passed on any more.")
    if row.transfer_team not in actor.teams:
        raise NotAllowedError("Only the team that this chat is passed to may accept it.")
    return await _new_owner(connection, row, actor, "accept", team=row.transfer_team)


async def take_over(connection: AsyncConnection, conversation_id: int, actor: Actor) -> Row[Any]:
    """A supervisor takes a conversation from its owner; both are told.

    Raises:
        NotAllowedError: the caller is no supervisor.
        StaleError: nobody owns it, or the caller does already.
    """
    if actor.role != "supervisor":
        raise NotAllowedError("Only a supervisor may take a chat over.")
    row = await get(connection, conversation_id)
    await _check_team(connection, row, actor)
    if row.state != "human" or row.owner_id == actor.staff_id:
        raise StaleError("Nobody else has this chat.")
    return await _new_owner(connection, row, actor, "take_over", team=row.team)


async def _new_owner(
    connection: AsyncConnection, row: Row[Any], actor: Actor, action: str, *, team: str | None
) -> Row[Any]:
    await change_conversation(
        connection,
        row.id,
        owner_id=actor.staff_id,
        owner_outside=False,
        team=team,
        transfer_team=None,
        epoch=row.epoch + 1,
    )
    fresh = await get(connection, row.id)
    await _owner_changed(connection, row, fresh, actor, action)
    return fresh


async def give_back(connection: AsyncConnection, row: Row[Any], actor: Actor, reason: str) -> Row[Any] | None:
    """Put a conversation whose owner is gone in front of its band, and alert a supervisor.

    Returns None, and changes nothing, when nobody owns it.
    """
    if row.state != "human":
        return None
    await change_conversation(
        connection,
        row.id,
        state="waiting",
        owner_id=None,
        owner_outside=False,
        transfer_team=None,
        front=True,
        epoch=row.epoch + 1,
        grade=row.grade or "P4",
        category=row.category or "R20",
        waiting_since=row.waiting_since or now(),
        withdrawable=False,
    )
    fresh = await get(connection, row.id)
    await _owner_changed(connection, row, fresh, actor, "give_back", reason=reason)
    await add_event(connection, row.id, "alert", {"grade": fresh.grade, "owner": None, "reason": reason})
    return fresh


async def outside_reply(connection: AsyncConnection, row: Row[Any], actor: Actor) -> Row[Any]:
    """Somebody answered outside our desk: the assistant falls silent.

    A waiting P1 or P2 goes on waiting, marked, its alarms running.
    """
    if row.state == "human":
        return row
    if row.state == "waiting" and row.grade in URGENT:
        await change_conversation(connection, row.id, answered_outside=True, epoch=row.epoch + 1)
        fresh = await get(connection, row.id)
        await _owner_changed(connection, row, fresh, actor, "answered_outside")
        return fresh
    if row.state not in ("bot", "waiting"):
        return row
    await change_conversation(
        connection,
        row.id,
        state="human",
        owner_id=None,
        owner_outside=True,
        epoch=row.epoch + 1,
        grade=row.grade or "P4",
        category=row.category or "R20",
        waiting_since=row.waiting_since or now(),
        withdrawable=False,
    )
    fresh = await get(connection, row.id)
    await _owner_changed(connection, row, fresh, actor, "outside_reply")
    return fresh


async def set_grade(
    connection: AsyncConnection, conversation_id: int, actor: Actor, grade: Grade, reason: str
) -> Row[Any]:
    """Change the grade by hand. Lowering needs a reason of the owner or a supervisor.

    Raises:
        NotAllowedError: neither owner nor supervisor.
        RefusedError: unknown grade, nothing to grade, or no reason.
    """
    _must_answer(actor)
    row = await get(connection, conversation_id)
    if grade not in GRADES:
        raise RefusedError("Choose a grade from P1 to P4.")
    if row.state not in ("waiting", "human"):
        raise RefusedError("Only a chat that waits or that somebody has can be graded.")
    if row.owner_id != actor.staff_id and actor.role != "supervisor":
        raise NotAllowedError("Only the owner or a supervisor may change the grade.")
    if row.grade is not None and grade > row.grade and len(reason.strip()) < 3:
        raise RefusedError("Give a reason for lowering the grade.")
    rose = is_higher(grade, row.grade)
    await change_conversation(
        connection,
        row.id,
        grade=grade,
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


WAIT_LIMITS: dict[str, timedelta] = {
    "P1": timedelta(minutes=1),
    "P2": timedelta(minutes=5),
    "P3": timedelta(minutes=15),
    "P4": timedelta(minutes=15),
}
"""How long a person may write to an owner who is gone from the desk."""
