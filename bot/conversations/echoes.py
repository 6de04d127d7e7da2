"""Echoes: what went out in the force's name, told back by the platform. Ours, or somebody else's?

Ours carry an id that matches an outbox row. While a row of that conversation is under way or of
unknown fate, an unmatched echo is held (a due row, ten seconds at most) and then matched by text.
Whatever is not ours was written by a person outside our desk: the assistant falls silent.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.conversations.receipts import advance
from bot.handover import ownership
from bot.messages import DOOR, Echo
from bot.store.record import add_audit, add_due, add_event, change_conversation, lock_conversation, now
from bot.store.tables import Conversation, Outbox, Person

HOLD = timedelta(seconds=10)
LOOK_AGAIN = timedelta(seconds=1)
SAME_TEXT_WITHIN = timedelta(minutes=2)


async def take(connection: AsyncConnection, echo: Echo) -> None:
    """Look at an echo when it arrives."""
    conversation = await _open_conversation(connection, echo)
    # Looked at before the ids: a send that ends between the two looks is then found by its id.
    under_way = conversation is not None and await _under_way(connection, conversation.id)
    if await _is_ours(connection, echo) or conversation is None:
        return
    if under_way:
        await add_due(
            connection,
            "echo",
            LOOK_AGAIN,
            key=f"echo:{echo.channel}:{echo.message_id}",
            conversation_id=conversation.id,
            data={
                "channel": echo.channel,
                "person": echo.person,
                "message_id": echo.message_id,
                "text": echo.text,
                "until": (now() + HOLD).isoformat(),
            },
        )
        return
    await _not_ours(connection, conversation, echo)


async def look_again(connection: AsyncConnection, data: dict[str, Any]) -> bool:
    """Look again at a held echo. False: hold it a little longer."""
    echo = Echo(data["channel"], data["person"], data["message_id"], data["text"])
    conversation = await _open_conversation(connection, echo)
    under_way = conversation is not None and await _under_way(connection, conversation.id)
    if await _is_ours(connection, echo) or conversation is None:
        return True
    if await _match_by_text(connection, conversation, echo):
        return True
    if under_way and datetime.fromisoformat(data["until"]) > now():
        return False
    await _not_ours(connection, conversation, echo)
    return True


async def _is_ours(connection: AsyncConnection, echo: Echo) -> bool:
    ours = Outbox.channel == echo.channel
    by_id = ours & (Outbox.platform_id == echo.message_id)
    if echo.outbox_id is not None:
        by_id = by_id | (ours & (Outbox.id == echo.outbox_id))
    found = (
        await connection.execute(
            select(Outbox.id, Outbox.conversation_id, Outbox.state).where(by_id).limit(1)
        )
    ).one_or_none()
    if found is None:
        return False
    if found.state in ("sending", "unknown"):
        # The platform has it, whatever becomes of the call that sends it.
        await advance(connection, found.id, found.conversation_id, "sent", platform_id=echo.message_id)
    return True


async def _match_by_text(connection: AsyncConnection, conversation: Row[Any], echo: Echo) -> bool:
    found = (
        await connection.execute(
            select(Outbox.id)
            .where(
                Outbox.conversation_id == conversation.id,
                Outbox.platform_id.is_(None),
                Outbox.state.in_(("unknown", "sent")),
                Outbox.text == echo.text,
                Outbox.created_at > now() - SAME_TEXT_WITHIN,
            )
            .order_by(Outbox.id)
            .limit(1)
        )
    ).scalar_one_or_none()
    if found is None:
        return False
    await advance(connection, found, conversation.id, "sent", platform_id=echo.message_id)
    return True


async def _under_way(connection: AsyncConnection, conversation_id: int) -> bool:
    found = await connection.execute(
        select(Outbox.id)
        .where(
            Outbox.conversation_id == conversation_id, Outbox.state.in_(("sending", "unknown")),
            Outbox.created_at > now() - SAME_TEXT_WITHIN,
        )
        .limit(1)
    )  # fmt: skip
    return found.scalar_one_or_none() is not None


async def _open_conversation(connection: AsyncConnection, echo: Echo) -> Row[Any] | None:
    found = await connection.execute(
        select(Conversation.id)
        .join(Person, Person.id == Conversation.person_id)
        .where(
            Person.channel == echo.channel,
            Person.platform_id == echo.person,
            Conversation.state != "closed",
        )
    )
    conversation_id = found.scalar_one_or_none()
    return None if conversation_id is None else await lock_conversation(connection, conversation_id)


async def _not_ours(connection: AsyncConnection, conversation: Row[Any], echo: Echo) -> None:
    await add_audit(
        connection, DOOR, "echo.outside", conversation.id, conversation.epoch,
        platform_id=echo.message_id,
    )  # fmt: skip
    await ownership.outside_reply(connection, conversation, DOOR)
    written = await connection.execute(
        insert(Outbox)
        .values(
            conversation_id=conversation.id, channel=echo.channel, kind="staff", text=echo.text,
            buttons=[], epoch=conversation.epoch, state="sent", detail="outside",
            platform_id=echo.message_id, not_before=now(), created_at=now(), sent_at=now(),
        )
        .returning(Outbox.id)
    )  # fmt: skip
    await add_event(
        connection, conversation.id, "outbox.state", {"outbox": written.scalar_one(), "state": "sent"}
    )
    await change_conversation(connection, conversation.id, last_staff_at=now())
