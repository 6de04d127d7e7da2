"""Every change of owner, and every rise that a net finds: one function for each row of the ownership table.

Beside them: `grading.py`, by which staff change a grade, and `outside.py`, for answers from elsewhere.

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

from bot.errors import NoSuchChatError, NotAllowedError, RefusedError, StaleError
from bot.handover.approval import end_with_owner
from bot.handover.queue import ANSWERING_ROLES as ANSWERING_ROLES
from bot.handover.queue import get_for, grades_of
from bot.handover.seals import Sealing, is_sealed_team, sealed_targets, sealing_of
from bot.handover.shift import is_on_shift
from bot.messages import URGENT, Actor, Hit, is_higher
from bot.store.record import add_audit, add_event, change_conversation, lock_conversation, now
from bot.store.tables import Conversation, Staff, Team


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
    """The conversation, locked for this transaction; for our own parts. Staff come by `get_for`.

    Raises:
        NoSuchChatError: there is none of that id.
    """
    row = await lock_conversation(connection, conversation_id)
    if row is None:
        raise NoSuchChatError
    return row


async def escalate(
    connection: AsyncConnection,
    conversation: Row[Any],
    hits: Sequence[Hit],
    actor: Actor,
    *,
    team: str,
    withdrawable: bool = False,
    seal_by_hand: bool = False,
) -> Raised:
    """Pass a conversation to a person, or raise the grade of one that waits or is owned.

    A grade only rises here. `team` is used when the conversation starts to wait or the grade rises.
    Never conditioned on epoch, owner or lease: a rise may not be lost to a race. A P1 or P2 that is
    found only after the conversation was closed, at a lower grade, opens it again, or goes to the
    person's open one.

    A category that belongs to a sealed team seals the conversation, whoever raised it; see
    `bot/handover/seals.py`. From then on it stays with that team, whatever else is found in it.
    """
    worst = min(hits, key=lambda hit: hit.grade)
    if conversation.state == "closed" and worst.grade in URGENT:
        conversation = await _open_one(connection, conversation)
    known = {reason["category"] for reason in conversation.reasons}
    new_categories = tuple(dict.fromkeys(hit.category for hit in hits if hit.category not in known))
    rose = is_higher(worst.grade, conversation.grade)
    urgent_rise = rose and worst.grade in URGENT
    moved = conversation.state == "bot" or (conversation.state == "closed" and urgent_rise)
    seal = await sealing_of(connection, conversation, hits, team, by_hand=seal_by_hand)
    taken_away = seal is not None and seal.takes_from_owner
    moved = moved or taken_away
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
    values: dict[str, Any] = {"reasons": reasons, "snoozed_until": None}
    if moved or urgent_rise:
        values["epoch"] = conversation.epoch + 1
    if taken_away:
        values |= {"state": "waiting", "owner_id": None, "owner_outside": False, "front": True}
        values |= {"waiting_since": conversation.waiting_since or stamp, "withdrawable": False}
    elif moved:
        values |= {"state": "waiting", "waiting_since": stamp, "front": False, "misses": 0}
        values |= {"closed_at": None, "outcome": None, "first_reply_at": None}
        values["withdrawable"] = withdrawable and worst.grade not in URGENT
    if rose:
        values |= {"grade": worst.grade, "category": worst.category}
        if worst.grade in URGENT:
            values["withdrawable"] = False
    if (moved or rose) and conversation.state != "human" and not conversation.sealed:
        values["team"] = team
    if seal is not None:
        values |= {"sealed": True, "team": seal.team, "transfer_team": None}
    await change_conversation(connection, conversation.id, **values)
    fresh = await get(connection, conversation.id)
    if seal is not None:
        await _tell_sealed(connection, conversation, fresh, actor, seal)
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
            {"grade": worst.grade, "owner": fresh.owner_id, "category": worst.category},
        )
    return Raised(fresh, moved, rose, new_categories)


async def _tell_sealed(
    connection: AsyncConnection, before: Row[Any], after: Row[Any], actor: Actor, seal: Sealing
) -> None:
    await add_audit(
        connection, actor, "seal", after.id, after.epoch, team=seal.team,
        owner=[before.owner_id, after.owner_id],
    )  # fmt: skip
    # `was`: the page of who had it has to go, and no other event tells them.
    await add_event(connection, after.id, "conversation.sealed", {"was": before.owner_id})
    await _end_approval(connection, before, after, actor, "seal")


async def _end_approval(
    connection: AsyncConnection, before: Row[Any], after: Row[Any], actor: Actor, why: str
) -> None:
    """Whoever lost a conversation sends nothing in it any more: no reply of theirs waits to be read."""
    if before.owner_id is not None and before.owner_id != after.owner_id:
        await end_with_owner(connection, after, actor, why)


async def _open_one(connection: AsyncConnection, closed: Row[Any]) -> Row[Any]:
    """The person's open conversation, locked; without one, the closed one itself."""
    found = await connection.execute(
        select(Conversation.id).where(
            Conversation.person_id == closed.person_id, Conversation.state != "closed"
        )
    )
    open_id = found.scalar_one_or_none()
    return closed if open_id is None else await get(connection, open_id)


def must_answer(actor: Actor) -> None:
    """Refuse whoever does not answer people.

    Raises:
        NotAllowedError: the role does not allow it.
    """
    if actor.role not in ANSWERING_ROLES or actor.staff_id is None:
        raise NotAllowedError("Your role does not allow you to answer people.")


def _must_own(conversation: Row[Any], actor: Actor) -> None:
    if conversation.state != "human" or conversation.owner_id != actor.staff_id:
        raise StaleError("You do not have this chat any more.")


async def _check_grade(connection: AsyncConnection, conversation: Row[Any], actor: Actor) -> None:
    """Which team takes which grade is the force's to say; but danger waits for nobody who is not there."""
    grade = conversation.grade
    if grade is None or conversation.state != "waiting" or grade in await grades_of(connection, actor):
        return
    if grade in URGENT and not await is_on_shift(connection, grade, conversation.team):
        return
    raise NotAllowedError(f"Your teams do not take a {grade}.")


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
    must_answer(actor)
    row = await get_for(connection, conversation_id, actor)
    if row.state == "human" and row.owner_id == actor.staff_id:
        return row
    await _check_grade(connection, row, actor)
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
    await owner_changed(connection, row, fresh, actor, "claim")
    return fresh


async def owner_changed(
    connection: AsyncConnection,
    before: Row[Any],
    after: Row[Any],
    actor: Actor,
    action: str,
    **detail: Any,
) -> None:
    """Write the audit row and the event of a change of owner, and end what waited for the one before."""
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
        {"action": action, "state": after.state, "owner": after.owner_id, "was": before.owner_id}
        | ({"offered": before.transfer_team} if before.transfer_team else {}),
    )
    await _end_approval(connection, before, after, actor, action)


async def release(connection: AsyncConnection, conversation_id: int, actor: Actor) -> Row[Any]:
    """Hand a P3 or P4 back to the assistant.

    Raises:
        StaleError: the caller does not own it.
        RefusedError: it is a P1 or P2.
    """
    row = await get_for(connection, conversation_id, actor)
    _must_own(row, actor)
    if row.grade in URGENT:
        raise RefusedError("A P1 or P2 stays with a person. Lower the grade first, with a reason.")
    return await to_bot(connection, row, actor, "release")


async def withdraw(connection: AsyncConnection, conversation: Row[Any], actor: Actor) -> Row[Any] | None:
    """Give a waiting P3 or P4 back to the assistant at the person's wish, or by staff.

    Returns None, and changes nothing, when it does not wait or is urgent.
    """
    if conversation.state != "waiting" or conversation.grade in URGENT:
        return None
    return await to_bot(connection, conversation, actor, "withdraw")


async def to_bot(connection: AsyncConnection, row: Row[Any], actor: Actor, action: str) -> Row[Any]:
    """Give a conversation back to the assistant; the matter that it was about is settled."""
    await change_conversation(
        connection,
        row.id,
        state="bot",
        owner_id=None,
        owner_outside=False,
        epoch=row.epoch + 1,
        grade=None,
        category=None,
        # A seal outlasts the matter: without its team nobody could ever see the conversation again.
        team=row.team if row.sealed else None,
        waiting_since=None,
        front=False,
        misses=0,
        withdrawable=False,
        answered_outside=False,
        ask=None,
        # A later "yes" must not answer a question of this matter, which is settled.
        safe_check=None,
        pending_answer=None,
        snoozed_until=None,
        reply_due_at=None,
        first_reply_at=None,
    )
    fresh = await get(connection, row.id)
    await owner_changed(connection, row, fresh, actor, action)
    return fresh


async def close(
    connection: AsyncConnection,
    conversation_id: int,
    actor: Actor,
    outcome: str,
    done: str = "",
    **detail: Any,
) -> Row[Any]:
    """End a conversation that the caller owns, or a waiting one that needs no answer.

    `done` says what was done; a P1 or P2 cannot be closed without it. `detail` is counted from the
    audit row: an agency, another chat.

    Raises:
        StaleError: somebody else owns it.
        RefusedError: already closed, or what was done is missing.
    """
    row = await get_for(connection, conversation_id, actor)
    must_close(row, actor)
    if row.grade in URGENT and len(done.strip()) < 3:
        raise RefusedError("Write down what was done before you close a P1 or P2.")
    if not outcome:
        raise RefusedError("Choose an outcome.")
    await _close(connection, row, outcome)
    fresh = await get(connection, conversation_id)
    await owner_changed(connection, row, fresh, actor, "close", outcome=outcome, done=done.strip(), **detail)
    return fresh


def must_close(row: Row[Any], actor: Actor) -> None:
    """Refuse whoever may not close this conversation as it stands.

    Raises:
        NotAllowedError: the role does not allow it.
        StaleError: somebody else owns it.
        RefusedError: nobody of the staff is needed in it.
    """
    must_answer(actor)
    if row.state == "human":
        _must_own(row, actor)
    elif row.state != "waiting":
        raise RefusedError("Only a chat that waits or that you have can be closed.")


async def close_silent(connection: AsyncConnection, row: Row[Any], actor: Actor) -> None:
    """End a conversation that the assistant had and that went silent."""
    if row.state != "bot":
        return
    await _close(connection, row, "silent")
    fresh = await get(connection, row.id)
    await owner_changed(connection, row, fresh, actor, "close", outcome="silent")


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
        snoozed_until=None,
        reply_due_at=None,
    )


REOPEN_WITHIN = timedelta(days=30)
"""How long staff may open a closed conversation again."""


async def reopen(connection: AsyncConnection, conversation_id: int, actor: Actor) -> Row[Any]:
    """Open a closed conversation again, for whoever does it. The person is told nothing.

    Raises:
        NotAllowedError: the role does not allow it.
        StaleError: it is open already.
        RefusedError: it was closed too long ago, or the person has another one open.
    """
    must_answer(actor)
    row = await get_for(connection, conversation_id, actor)
    if row.state != "closed":
        raise StaleError("This chat is open already.")
    if row.closed_at is None or row.closed_at < now() - REOPEN_WITHIN:
        raise RefusedError("This chat was closed more than 30 days ago. It stays closed.")
    if (await _open_one(connection, row)).id != row.id:
        raise RefusedError(ANOTHER_OPEN)
    await change_conversation(
        connection,
        row.id,
        state="human",
        owner_id=actor.staff_id,
        owner_outside=False,
        closed_at=None,
        closed_owner_id=None,
        outcome=None,
        epoch=row.epoch + 1,
        grade=row.grade or "P4",
        category=row.category or "R20",
        waiting_since=row.waiting_since or now(),
        front=False,
        withdrawable=False,
        answered_outside=False,
    )
    fresh = await get(connection, row.id)
    await owner_changed(connection, row, fresh, actor, "reopen", outcome=row.outcome)
    return fresh


ANOTHER_OPEN = "This person has another chat open. Go on in that one."


async def transfer(
    connection: AsyncConnection, conversation_id: int, actor: Actor, team: str, note: str
) -> Row[Any]:
    """Pass a conversation to a team, with a note. It keeps its place by first wait.

    A P1 or P2 is passed warm: the sender keeps it until somebody of that team accepts.

    Raises:
        StaleError: the caller does not own it.
        RefusedError: no such team, or no note.
    """
    row = await get_for(connection, conversation_id, actor)
    _must_own(row, actor)
    if len(note.strip()) < 3:
        raise RefusedError("Write a note for the team that takes over.")
    known = await connection.execute(select(Team.key).where(Team.key == team))
    if known.scalar_one_or_none() is None:
        raise RefusedError("Choose a team from the list.")
    targets = await sealed_targets(connection, row)
    if targets is not None and team not in targets:
        raise RefusedError("A sealed chat stays with its team. They can open the seal, with a reason.")
    if row.grade in URGENT:
        await change_conversation(connection, row.id, transfer_team=team)
        fresh = await get(connection, row.id)
        await add_audit(connection, actor, "transfer.offer", row.id, row.epoch, team=team)
        await add_event(connection, row.id, "conversation.transfer", {"team": team, "warm": True})
        return fresh
    sealed = row.sealed or await is_sealed_team(connection, team)
    await change_conversation(
        connection,
        row.id,
        state="waiting",
        owner_id=None,
        team=team,
        sealed=sealed,
        epoch=row.epoch + 1,
        waiting_since=row.waiting_since or now(),
        withdrawable=False,
        snoozed_until=None,
    )
    fresh = await get(connection, row.id)
    await owner_changed(connection, row, fresh, actor, "transfer", team=team, sealed=sealed)
    return fresh


async def accept(connection: AsyncConnection, conversation_id: int, actor: Actor) -> Row[Any]:
    """Accept a warm transfer: ownership passes in one step, nobody is without an owner between.

    Raises:
        StaleError: it is no longer offered, or the caller has it already.
        NotAllowedError: the caller is not of that team.
    """
    must_answer(actor)
    row = await get_for(connection, conversation_id, actor)
    if row.state != "human" or row.transfer_team is None or row.owner_id == actor.staff_id:
        raise StaleError("This chat is not being passed on any more.")
    if row.transfer_team not in actor.teams:
        raise NotAllowedError("Only the team that this chat is passed to may accept it.")
    sealed = await is_sealed_team(connection, row.transfer_team)
    # The one team that sees a sealed P1 takes it over for the team that it is sealed for.
    team = row.team if row.sealed and not sealed else row.transfer_team
    return await _new_owner(connection, row, actor, "accept", team=team, sealed=row.sealed or sealed)


async def take_over(connection: AsyncConnection, conversation_id: int, actor: Actor) -> Row[Any]:
    """A supervisor takes a conversation from its owner; both are told.

    Raises:
        NotAllowedError: the caller is no supervisor.
        StaleError: nobody owns it, or the caller does already.
    """
    if actor.role != "supervisor":
        raise NotAllowedError("Only a supervisor may take a chat over.")
    row = await get_for(connection, conversation_id, actor)
    if row.state != "human" or row.owner_id == actor.staff_id:
        raise StaleError("Nobody else has this chat.")
    return await _new_owner(connection, row, actor, "take_over", team=row.team, sealed=row.sealed)


async def give_to(connection: AsyncConnection, row: Row[Any], actor: Actor, to: int) -> Row[Any]:
    """Make another member of staff the owner; `reassign.py` has checked that both of them may."""
    return await _new_owner(connection, row, actor, "reassign", team=row.team, sealed=row.sealed, owner_id=to)


async def _new_owner(
    connection: AsyncConnection,
    row: Row[Any],
    actor: Actor,
    action: str,
    *,
    team: str | None,
    sealed: bool,
    owner_id: int | None = None,
) -> Row[Any]:
    """`owner_id` is for an owner who is not the one who acts."""
    to = {} if owner_id is None else {"to": owner_id}
    await change_conversation(
        connection,
        row.id,
        owner_id=owner_id or actor.staff_id,
        owner_outside=False,
        team=team,
        sealed=sealed,
        transfer_team=None,
        snoozed_until=None,
        epoch=row.epoch + 1,
    )
    fresh = await get(connection, row.id)
    await owner_changed(connection, row, fresh, actor, action, **to)
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
        snoozed_until=None,
        epoch=row.epoch + 1,
        grade=row.grade or "P4",
        category=row.category or "R20",
        waiting_since=row.waiting_since or now(),
        withdrawable=False,
    )
    fresh = await get(connection, row.id)
    await owner_changed(connection, row, fresh, actor, "give_back", reason=reason)
    await add_event(connection, row.id, "alert", {"grade": fresh.grade, "owner": None, "reason": reason})
    return fresh
