"""One message, as the record keeps it: exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.conversations import choices
from bot.messages import ASIDE, Hit, Incoming
from bot.store.record import now, table, upsert
from bot.store.tables import Message

LONGEST_PLACE = 300

_message = table(Message)
_STORED = select(_message.c.id, _message.c.conversation_id).where(
    _message.c.channel == bindparam("channel"), _message.c.platform_id == bindparam("platform_id")
)
_ADD_MESSAGE: dict[str, Any] = {}


def is_only_shown(incoming: Incoming) -> bool:
    """Whether a message is for the desk's eyes only, and nothing is said to it.

    A new version without words, such as a position that moves: what there is to say was said to the
    first one, and these may come every few seconds for hours. And a sign under a message of ours.
    """
    return incoming.kind in ASIDE or (incoming.edit_of is not None and not incoming.text.strip())


async def already_stored(connection: AsyncConnection, incoming: Incoming) -> tuple[int, int] | None:
    """The ids of the stored message and its conversation, if this platform id arrived before."""
    found = await connection.execute(
        _STORED, {"channel": incoming.channel, "platform_id": incoming.message_id}
    )
    row = found.one_or_none()
    return None if row is None else (row[0], row[1])


async def changes_nothing(connection: AsyncConnection, incoming: Incoming, person: Row[Any]) -> bool:
    """Whether an edit says what the newest version on record says already.

    Platforms call it an edit too when they add something to a message (a preview, a sign).
    """
    found = await connection.execute(
        select(Message.text, Message.latitude, Message.longitude)
        .where(
            # Of this person alone, by the index: to look through everybody's would hold up everybody.
            Message.person_id == person.id,
            Message.channel == incoming.channel,
            or_(Message.platform_id == incoming.edit_of, Message.edit_of == incoming.edit_of),
        )
        .order_by(Message.id.desc())
        .limit(1)
    )
    newest = found.one_or_none()
    return newest is not None and tuple(newest) == (incoming.text, incoming.latitude, incoming.longitude)


async def store_message(
    connection: AsyncConnection,
    incoming: Incoming,
    person: Row[Any],
    conversation: Row[Any],
    hits: Sequence[Hit],
) -> int | None:
    """Keep one message; None when its platform id is kept already (unique index)."""
    stamp = incoming.platform_time or now()
    values = {
        "conversation_id": conversation.id,
        "person_id": person.id,
        "channel": incoming.channel,
        "platform_id": incoming.message_id,
        "kind": incoming.kind,
        "text": incoming.text,
        "edit_of": incoming.edit_of,
        "button": await choices.payload_of(connection, conversation.id, incoming.button),
        "latitude": incoming.latitude,
        "longitude": incoming.longitude,
        "place": incoming.place[:LONGEST_PLACE] or None,
        "reply_to": incoming.reply_to,
        "platform_time": stamp,
        "platform_sequence": incoming.platform_sequence,
        "received_at": now(),
        # Without the platform's word on when it was written, it was written now.
        "late": incoming.platform_time is not None and await _is_late(connection, conversation.id, stamp),
        "handled": is_only_shown(incoming),
        "hits": [
            {"category": h.category, "grade": h.grade, "net": h.net, "words": list(h.words)} for h in hits
        ],
    }
    dialect = connection.dialect.name
    if dialect not in _ADD_MESSAGE:
        _ADD_MESSAGE[dialect] = (
            upsert(connection, Message)
            .on_conflict_do_nothing(index_elements=["channel", "platform_id"])
            .returning(Message.id)
        )
    return (await connection.execute(_ADD_MESSAGE[dialect], values)).scalar_one_or_none()


async def _is_late(connection: AsyncConnection, conversation_id: int, stamp: datetime) -> bool:
    """Whether a message written after this one has arrived before it."""
    newest = await connection.execute(
        select(func.max(Message.platform_time)).where(Message.conversation_id == conversation_id)
    )
    latest = newest.scalar_one_or_none()
    return latest is not None and latest > stamp
