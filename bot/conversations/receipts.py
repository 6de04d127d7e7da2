"""What a platform says became of a message of ours. A delivery state never goes back (I7)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Update, bindparam, exists, func, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.conversations.people import is_known_as
from bot.messages import CLOCK, DELIVERY_RANK, Button, Receipt
from bot.store.record import add_audit, add_event, add_outbox, lock_conversation, now, table
from bot.store.tables import Attempt, Conversation, Outbox, Person

LONGEST_PAUSE_SECONDS = 300.0
GIVE_UP_AFTER = timedelta(hours=12)
"""How long words of danger leave again and again on a platform that fails each of them."""

_outbox = table(Outbox)
_FIND = select(_outbox.c.id, _outbox.c.conversation_id, _outbox.c.state).where(
    _outbox.c.channel == bindparam("channel"), _outbox.c.platform_id == bindparam("platform_id")
)


def _forward(state: str) -> Update:
    """The UPDATE to this state, which cannot move a row back."""
    lower = [known for known, rank in DELIVERY_RANK.items() if rank < DELIVERY_RANK[state]]
    found = update(_outbox).where(_outbox.c.id == bindparam("which"), _outbox.c.state.in_(lower))
    if state in ("sent", "delivered", "read"):
        found = found.values(
            sent_at=func.coalesce(_outbox.c.sent_at, bindparam("at", type_=_outbox.c.sent_at.type))
        )
    return found


_FORWARD = {state: _forward(state) for state in DELIVERY_RANK}


async def take(connection: AsyncConnection, receipt: Receipt) -> bool:
    """Note a receipt. False when the message is not ours or the state would go back."""
    if receipt.up_to is not None:
        return await _take_up_to(connection, receipt)
    which = {"channel": receipt.channel, "platform_id": receipt.message_id}
    found: Any = (await connection.execute(_FIND, which)).one_or_none()
    values: dict[str, object] = {}
    if found is None and receipt.outbox_id is not None:
        found = await _by_its_mark(connection, receipt)
        # Of a long text the row keeps the last part's id.
        values = {} if receipt.part else {"platform_id": receipt.message_id}
        if found is None:
            # The answer to our call may have been stored between the two looks.
            found, values = (await connection.execute(_FIND, which)).one_or_none(), {}
    if found is None or DELIVERY_RANK[receipt.state] <= DELIVERY_RANK[found.state]:
        return False
    moved = await advance(
        connection, found.id, found.conversation_id, receipt.state, receipt.detail, **values
    )
    if moved and receipt.temporary:
        await _once_more(connection, found.id)
    return moved


async def _by_its_mark(connection: AsyncConnection, receipt: Receipt) -> Any:
    """The row that a platform names by the mark that we gave it: its id there may not be known yet.

    A part of a long text tells only that the whole did not arrive.
    """
    if receipt.part and receipt.state != "failed":
        return None
    # A row with an id of its own is told of by that: this may be of an attempt that it has outlived.
    unknown = _outbox.c.platform_id.is_(None)
    found = await connection.execute(
        select(_outbox.c.id, _outbox.c.conversation_id, _outbox.c.state).where(
            _outbox.c.id == receipt.outbox_id,
            _outbox.c.channel == receipt.channel,
            # A row that never left is told of by nobody: the mark is of another record's row.
            _outbox.c.attempts > 0,
            true() if receipt.part else unknown,
        )
    )
    return found.one_or_none()


async def _once_more(connection: AsyncConnection, outbox_id: int) -> None:
    """Words for somebody in danger that did not arrive leave again: a repeat is allowed, a gap is not."""
    row = (await connection.execute(select(_outbox).where(_outbox.c.id == outbox_id))).one()
    if row.kind != "safety":
        return
    conversation = await lock_conversation(connection, row.conversation_id)
    if conversation is None:
        return
    found = await connection.execute(
        select(func.count().label("count_"), func.min(Outbox.created_at).label("first")).where(
            Outbox.conversation_id == row.conversation_id,
            Outbox.kind == "safety",
            Outbox.category == row.category,
            Outbox.state == "failed",
            Outbox.created_at > now() - GIVE_UP_AFTER - timedelta(hours=1),
        )
    )
    lost = found.one()
    if lost.first is not None and lost.first < now() - GIVE_UP_AFTER:
        return
    again = await add_outbox(
        connection, conversation, "safety", row.text, epoch=conversation.epoch,
        buttons=[Button(b["title"], b["payload"]) for b in row.buttons],
        category=row.category, grade=row.grade, turn=row.turn, way=row.way or "", place=row.place or "",
    )  # fmt: skip
    # A platform that fails them each time is not flooded.
    pause = timedelta(seconds=min(LONGEST_PAUSE_SECONDS, 2.0 ** min(int(lost.count_), 10)))
    await connection.execute(update(Outbox).where(Outbox.id == again).values(not_before=now() + pause))
    await add_audit(
        connection, CLOCK, "safety.again", conversation.id, conversation.epoch, outbox=outbox_id, again=again
    )


async def _take_up_to(connection: AsyncConnection, receipt: Receipt) -> bool:
    """Note what a platform says of everything that it took until some moment.

    It took a message no earlier than our call began, by clocks that agree to the second. A row of
    unknown fate is left alone: this says nothing about what the platform may never have seen.
    """
    began = exists().where(
        Attempt.outbox_id == Outbox.id, Attempt.result == "sent", Attempt.started_at <= receipt.up_to
    )
    known = ("sent",) if receipt.state == "delivered" else ("sent", "delivered")
    found = await connection.execute(
        select(Outbox.id, Outbox.conversation_id)
        .join(Conversation, Conversation.id == Outbox.conversation_id)
        .join(Person, Person.id == Conversation.person_id)
        .where(
            is_known_as(receipt.channel, receipt.person),
            Outbox.state.in_(known),
            began,
        )
        .order_by(Outbox.id)
    )
    moved = [await advance(connection, row.id, row.conversation_id, receipt.state) for row in found.all()]
    return any(moved)


async def advance(
    connection: AsyncConnection,
    outbox_id: int,
    conversation_id: int,
    state: str,
    detail: str = "",
    **values: object,
) -> bool:
    """Move one row to a later delivery state, by one UPDATE that cannot move it back."""
    changes: dict[str, object] = {"which": outbox_id, "state": state, **values}
    if detail:
        changes["detail"] = detail[:500]
    if state in ("sent", "delivered", "read"):
        changes["at"] = now()
    result = await connection.execute(_FORWARD[state], changes)
    if result.rowcount != 1:
        return False
    await add_event(connection, conversation_id, "outbox.state", {"outbox": outbox_id, "state": state})
    return True
