"""What is done about a person who abuses the service: warn, limit, hide, block. Each a person's decision.

None of them keeps danger from being seen: the screen reads everything, and a P1 or P2 rises and is
answered as anybody's.

- `warn`: one approved sentence is sent.
- `limit`: the assistant answers what is no P1 or P2 once an hour at most.
- `hide`: the queue folds the text away, never that of a P1 or P2.
- `block`: `person.blocked`; the assistant is silent but for a P1 or P2.

All but a warning stand until somebody ends them, and come up for review.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Row, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from bot.errors import NotAllowedError, RefusedError, StaleError
from bot.handover.queue import ANSWERING_ROLES, get_for, visible
from bot.messages import CLOCK, COMMENTS, URGENT, Actor
from bot.store import Store
from bot.store.record import add_audit, add_due, add_event, add_outbox, drop_due, now
from bot.store.tables import Commenter, Conversation, Measure, Outbox, Person, Staff

KIND = "measure"
KINDS = ("warn", "limit", "hide", "block")
REVIEW_DAYS = 28
LONGEST_REVIEW_DAYS = 365
LIMIT = timedelta(hours=1)
"""How often a limited person is answered at most."""
SHORTEST_REASON = 3
LONGEST_REASON = 500


async def add_measure(
    connection: AsyncConnection,
    conversation_id: int,
    actor: Actor,
    kind: str,
    reason: str,
    *,
    review_days: int = REVIEW_DAYS,
    warning: str = "",
) -> int:
    """Keep a measure and put it into force. Returns its id. `warning` is the approved sentence.

    Raises:
        NoSuchChatError: there is no such chat that the caller may see.
        NotAllowedError: the role; only a supervisor blocks, only the owner warns.
        RefusedError: no reason, no such kind or date, or it stands already.
    """
    if actor.role not in ANSWERING_ROLES or actor.staff_id is None:
        raise NotAllowedError("Your role does not allow that.")
    row = await get_for(connection, conversation_id, actor)
    if kind not in KINDS:
        raise RefusedError("Choose what to do.")
    if kind == "block" and actor.role != "supervisor":
        raise NotAllowedError("Only a supervisor may block a person.")
    if len(reason.strip()) < SHORTEST_REASON:
        raise RefusedError("Give a reason.")
    if not 1 <= review_days <= LONGEST_REVIEW_DAYS:
        raise RefusedError(f"Choose 1 to {LONGEST_REVIEW_DAYS} days until the review.")
    if kind == "warn":
        _may_warn(row, actor)
    elif any(one.kind == kind for one in await standing(connection, row.person_id)):
        raise RefusedError("That stands already.")
    after = None if kind == "warn" else timedelta(days=review_days)
    stamp = now()
    measure_id = int(
        (
            await connection.execute(
                insert(Measure)
                .values(
                    person_id=row.person_id, conversation_id=row.id, kind=kind,
                    reason=reason.strip()[:LONGEST_REASON], at=stamp, by=actor.staff_id,
                    review_at=None if after is None else stamp + after,
                    ended_at=stamp if kind == "warn" else None,
                )
                .returning(Measure.id)
            )
        ).scalar_one()
    )  # fmt: skip
    if kind == "warn":
        await add_outbox(connection, row, "notice", warning, epoch=row.epoch, author_id=actor.staff_id)
    if kind == "block":
        await _block(connection, row.person_id, blocked=True)
    if after is not None:
        await add_due(
            connection, KIND, after, key=f"{KIND}:{measure_id}", conversation_id=row.id,
            data={"measure": measure_id},
        )  # fmt: skip
    await add_audit(
        connection, actor, kind, row.id, row.epoch, measure=measure_id, reason=reason.strip()[:LONGEST_REASON]
    )
    await _tell(connection, row.id, kind)
    return measure_id


def _may_warn(row: Row[Any], actor: Actor) -> None:
    if row.state != "human" or row.owner_id != actor.staff_id:
        raise StaleError("Only whoever has this chat can send a warning.")
    if row.channel in COMMENTS:
        raise RefusedError("No warning is sent under a post. Hide the comment, or reply to it.")
    if row.grade in URGENT:
        raise RefusedError("This may be about danger. Help first. Warn once it is no P1 or P2.")


async def _block(connection: AsyncConnection, person_id: int, *, blocked: bool) -> None:
    await connection.execute(
        update(Person)
        .where(or_(Person.id == person_id, Person.id.in_(_same_account(person_id))))
        .values(blocked=blocked)
    )


def _same_account(person_id: int) -> Any:
    """The same account under other posts: a block is of somebody, not of what they write in one place."""
    mine, other = aliased(Commenter), aliased(Commenter)
    return (
        select(other.person_id)
        .join(mine, (mine.channel == other.channel) & (mine.account == other.account))
        .where(mine.person_id == person_id)
    )


async def _tell(connection: AsyncConnection, conversation_id: int, kind: str) -> None:
    name = "person.blocked" if kind in ("block", "unblock") else "person.measure"
    await add_event(connection, conversation_id, name, {"kind": kind})


async def end_standing(
    connection: AsyncConnection, conversation_id: int, actor: Actor, kind: str, reason: str
) -> None:
    """End every measure of that kind that stands for the person of this chat.

    Raises:
        NotAllowedError: only a supervisor may.
        RefusedError: no reason, or none stands.
    """
    if actor.role != "supervisor" or actor.staff_id is None:
        raise NotAllowedError("Only a supervisor may end that.")
    row = await get_for(connection, conversation_id, actor)
    if len(reason.strip()) < SHORTEST_REASON:
        raise RefusedError("Give a reason.")
    found = [one for one in await standing(connection, row.person_id) if one.kind == kind]
    blocked = await connection.execute(select(Person.blocked).where(Person.id == row.person_id))
    if not found and not (kind == "block" and blocked.scalar_one()):
        raise StaleError("That does not stand any more.")
    await connection.execute(
        update(Measure)
        .where(Measure.id.in_([one.id for one in found]))
        .values(ended_at=now(), ended_by=actor.staff_id)
    )
    for one in found:
        await drop_due(connection, f"{KIND}:{one.id}")
    if kind == "block":
        await _block(connection, row.person_id, blocked=False)
    await add_audit(
        connection, actor, f"un{kind}", row.id, row.epoch, measures=[one.id for one in found],
        reason=reason.strip()[:LONGEST_REASON],
    )  # fmt: skip
    await _tell(connection, row.id, f"un{kind}")


async def renew(
    connection: AsyncConnection, measure_id: int, actor: Actor, reason: str, review_days: int = REVIEW_DAYS
) -> None:
    """A supervisor has looked at it again: it stands until a new review.

    Raises:
        NotAllowedError: only a supervisor may.
        NoSuchChatError: there is none that the caller may see.
        RefusedError: no reason or date, or it does not stand any more.
    """
    if actor.role != "supervisor":
        raise NotAllowedError("Only a supervisor may review that.")
    if len(reason.strip()) < SHORTEST_REASON:
        raise RefusedError("Give a reason.")
    if not 1 <= review_days <= LONGEST_REVIEW_DAYS:
        raise RefusedError(f"Choose 1 to {LONGEST_REVIEW_DAYS} days until the review.")
    query = select(Measure.__table__).where(Measure.id == measure_id)
    one = (await connection.execute(query)).one_or_none()
    row = await get_for(connection, one.conversation_id if one is not None else 0, actor)
    if one is None or one.ended_at is not None:
        raise StaleError("That does not stand any more.")
    after = timedelta(days=review_days)
    await connection.execute(update(Measure).where(Measure.id == one.id).values(review_at=now() + after))
    await add_due(
        connection, KIND, after, key=f"{KIND}:{one.id}", conversation_id=row.id, data={"measure": one.id}
    )
    await add_audit(
        connection, actor, "measure.review", row.id, row.epoch, measure=one.id, kind=one.kind,
        reason=reason.strip()[:LONGEST_REASON],
    )  # fmt: skip
    await _tell(connection, row.id, one.kind)


async def standing(connection: AsyncConnection, person_id: int) -> list[Row[Any]]:
    """What stands for a person, oldest first."""
    query = select(Measure.__table__).where(Measure.person_id == person_id, Measure.ended_at.is_(None))
    return list((await connection.execute(query.order_by(Measure.id))).all())


async def history(connection: AsyncConnection, person_id: int) -> list[Row[Any]]:
    """All that was ever done about a person, newest first, with `by_name` and `ended_by_name`."""
    ended = Staff.__table__.alias("ended")
    query = (
        select(Measure.__table__, Staff.name.label("by_name"), ended.c.name.label("ended_by_name"))
        .outerjoin(Staff, Staff.id == Measure.by)
        .outerjoin(ended, ended.c.id == Measure.ended_by)
        .where(Measure.person_id == person_id)
        .order_by(Measure.id.desc())
        .limit(50)
    )
    return list((await connection.execute(query)).all())


def _due(actor: Actor) -> tuple[Any, ...]:
    return (Measure.ended_at.is_(None), Measure.review_at <= now(), visible(actor))


async def count_due(connection: AsyncConnection, actor: Actor) -> int:
    """How many measures a supervisor has to look at again."""
    query = (
        select(func.count())
        .select_from(Measure)
        .join(Conversation, Conversation.id == Measure.conversation_id)
        .where(*_due(actor))
    )
    return int((await connection.execute(query)).scalar_one())


async def list_standing(connection: AsyncConnection, actor: Actor) -> list[Row[Any]]:
    """What stands of the people whose chats `actor` may see, the first due for review first."""
    query = (
        select(Measure.__table__, Staff.name.label("by_name"), Conversation.reference)
        .join(Conversation, Conversation.id == Measure.conversation_id)
        .outerjoin(Staff, Staff.id == Measure.by)
        .where(Measure.ended_at.is_(None), visible(actor))
        .order_by(Measure.review_at, Measure.id)
        .limit(200)
    )
    return list((await connection.execute(query)).all())


def is_limited(person_id: Any) -> Any:
    """The condition that a limit stands for the person of that column."""
    return exists().where(Measure.person_id == person_id, Measure.kind == "limit", Measure.ended_at.is_(None))


async def must_be_quiet(connection: AsyncConnection, person_id: int) -> bool:
    """Whether a limit stands, and the assistant has answered that person within the hour."""
    limited = await connection.execute(select(is_limited(Person.id)).where(Person.id == person_id))
    if not limited.scalar_one_or_none():
        return False
    answered = await connection.execute(
        select(Outbox.id)
        .join(Conversation, Conversation.id == Outbox.conversation_id)
        .where(
            Conversation.person_id == person_id,
            Outbox.kind == "assistant",
            or_(
                Outbox.state.in_(("queued", "sending")),
                Outbox.state.in_(("sent", "delivered", "read", "unknown"))
                & (Outbox.created_at > now() - LIMIT),
            ),
        )
        .limit(1)
    )
    return answered.scalar_one_or_none() is not None


class Reviews:
    """Tells supervisors of a review that is due."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def look(self, due: Row[Any]) -> bool:
        """Alert, if the measure still stands and its review was not moved."""
        async with self._store.write() as connection:
            query = select(Measure.__table__).where(Measure.id == due.data["measure"])
            one = (await connection.execute(query)).one_or_none()
            if one is None or one.ended_at is not None or one.review_at is None or one.review_at > now():
                return True
            await add_audit(
                connection, CLOCK, "measure.due", one.conversation_id, measure=one.id, kind=one.kind
            )
            await add_event(
                connection, one.conversation_id, "alert",
                {"grade": None, "owner": None, "reason": "measure", "measure": one.id},
            )  # fmt: skip
        return True
