"""An assistant says what it is: with its first words in a chat, and again after a long silence of its own.

Where the page itself says so all the time (web chat), nothing is added. When staff hand a chat back,
their own sentence says who answers from then on.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant.content import Content
from bot.messages import PRIVATE_FIRST, Channel
from bot.store.record import now
from bot.store.tables import Outbox

LAPSE = timedelta(hours=12)


async def text_of(connection: AsyncConnection, channel: Channel, row: Row[Any], content: Content) -> str:
    """The text of a row that is about to leave, with the disclosure before it where one is due.

    Words for somebody in danger begin with 999 and nothing else: they are no assistant rows.
    """
    text = str(row.text)
    if row.channel in PRIVATE_FIRST and row.way == "public" and row.kind == "assistant":
        text = await _in_public(connection, row, content)
    shorten = getattr(channel, "shorten", None)
    if shorten is not None:
        # Then the record says what the person read.
        return str(shorten(text, row.way or ""))
    if row.kind != "assistant" or not getattr(channel, "discloses", False):
        return text
    opening = content.for_channel(channel.name).line("opening_automated")
    if opening in text or await _was_said(connection, row):
        return text
    return f"{opening}\n\n{text}"


async def _in_public(connection: AsyncConnection, row: Row[Any], content: Content) -> str:
    """The one line in public: how else to reach us, where the private message before it was refused."""
    private = await connection.execute(
        select(Outbox.state)
        .where(
            Outbox.conversation_id == row.conversation_id, Outbox.place == row.place, Outbox.way == "private",
            Outbox.id < row.id,
        )
        .order_by(Outbox.id.desc())
        .limit(1)
    )  # fmt: skip
    if private.scalar_one_or_none() != "failed" or "public_unreachable" not in content.lines:
        return str(row.text)
    return content.line("public_unreachable")


async def _was_said(connection: AsyncConnection, row: Row[Any]) -> bool:
    found = await connection.execute(
        select(Outbox.id)
        .where(
            Outbox.conversation_id == row.conversation_id,
            Outbox.id < row.id,
            Outbox.kind == "assistant",
            Outbox.state.in_(("sending", "sent", "delivered", "read", "unknown")),
            Outbox.created_at > now() - LAPSE,
        )
        .limit(1)
    )
    return found.scalar_one_or_none() is not None
