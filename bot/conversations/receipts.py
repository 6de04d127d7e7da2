"""What a platform says became of a message of ours. A delivery state never goes back (I7)."""

from __future__ import annotations

from sqlalchemy import case, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.messages import DELIVERY_RANK, Receipt
from bot.store.record import add_event, now
from bot.store.tables import Outbox


async def take(connection: AsyncConnection, receipt: Receipt) -> bool:
    """Note a receipt. False when the message is not ours or the state would go back."""
    found = (
        await connection.execute(
            select(Outbox.id, Outbox.conversation_id, Outbox.state).where(
                Outbox.channel == receipt.channel, Outbox.platform_id == receipt.message_id
            )
        )
    ).one_or_none()
    if found is None or DELIVERY_RANK[receipt.state] <= DELIVERY_RANK[found.state]:
        return False
    return await advance(connection, found.id, found.conversation_id, receipt.state, receipt.detail)


async def advance(
    connection: AsyncConnection,
    outbox_id: int,
    conversation_id: int,
    state: str,
    detail: str = "",
    **values: object,
) -> bool:
    """Move one row to a later delivery state, by one UPDATE that cannot move it back."""
    lower = [known for known, rank in DELIVERY_RANK.items() if rank < DELIVERY_RANK[state]]
    changes: dict[str, object] = {"state": state, **values}
    if detail:
        changes["detail"] = detail[:500]
    if state in ("sent", "delivered", "read"):
        changes["sent_at"] = case((Outbox.sent_at.is_(None), now()), else_=Outbox.sent_at)
    result = await connection.execute(
        update(Outbox).where(Outbox.id == outbox_id, Outbox.state.in_(lower)).values(**changes)
    )
    if result.rowcount != 1:
        return False
    await add_event(connection, conversation_id, "outbox.state", {"outbox": outbox_id, "state": state})
    return True
