"""What a platform says became of a message of ours. A delivery state never goes back (I7)."""

from __future__ import annotations

from sqlalchemy import Update, bindparam, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.messages import DELIVERY_RANK, Receipt
from bot.store.record import add_event, now, table
from bot.store.tables import Attempt, Conversation, Outbox, Person

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
    found = (await connection.execute(_FIND, which)).one_or_none()
    if found is None or DELIVERY_RANK[receipt.state] <= DELIVERY_RANK[found.state]:
        return False
    return await advance(connection, found.id, found.conversation_id, receipt.state, receipt.detail)


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
            Person.channel == receipt.channel,
            Person.platform_id == receipt.person,
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
