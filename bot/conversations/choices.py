"""What a pressed button, or a typed number, stands for: only what was offered in this conversation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.conversations.words import START
from bot.messages import Channel, Incoming
from bot.store.tables import Message, Outbox

LOOKED_AT = 8
"""Of what was said last: more is never said to one message."""
_SAID_BESIDE = ("assistant", "safety")
"""Kinds of rows that may stand behind a list, and ask nothing that a number answers."""
_ARRIVED = ("sending", "sent", "delivered", "read", "unknown")


async def payload_of(connection: AsyncConnection, conversation_id: int, token: str | None) -> str | None:
    """What a pressed button stands for: only one of ours, offered in this conversation.

    Tokens are `person` (always offered), `start` (a platform's own way to begin a chat) and
    `<outbox id>.<index>`.
    """
    if token is None:
        return None
    if token == "start":  # noqa: S105  a button's name, not a secret
        return START
    if token == "person":  # noqa: S105  a button's name, not a secret
        return "fc:person"
    button = await _button(connection, conversation_id, token)
    return None if button is None else str(button["payload"])


async def resolve(
    connection: AsyncConnection, channel: Channel | None, conversation_id: int, incoming: Incoming
) -> Incoming:
    """A number in the place of a button's words becomes that button, with its words.

    It is pressed, or typed after a list with numbers: the last thing we said, or the last list since the
    person wrote (the question whether it is safe to chat has the sentence about a person behind it).
    """
    if incoming.button is not None and incoming.text.strip().isdecimal():
        button = await _button(connection, conversation_id, incoming.button)
        return incoming if button is None else replace(incoming, text=str(button["title"]))
    numbers = getattr(channel, "numbers", None)
    if incoming.choice is None or numbers is None:
        return incoming
    row = await _last_offered(connection, conversation_id)
    if row is None or not numbers([str(button["title"]) for button in row.buttons]):
        return incoming
    place = incoming.choice - 1
    if not 0 <= place < len(row.buttons):
        return incoming
    title = str(row.buttons[place]["title"])
    return replace(incoming, kind="button", button=f"{row.id}.{place}", text=title)


async def _button(connection: AsyncConnection, conversation_id: int, token: str) -> dict[str, Any] | None:
    outbox_id, _, index = token.partition(".")
    # What a button says comes from outside: a number that no database holds must not close the door.
    if not (outbox_id.isdecimal() and index.isdecimal()) or len(outbox_id) > 18 or len(index) > 3:
        return None
    buttons: list[dict[str, Any]] | None = (
        await connection.execute(
            select(Outbox.buttons).where(
                Outbox.id == int(outbox_id), Outbox.conversation_id == conversation_id
            )
        )
    ).scalar_one_or_none()
    if buttons is None or int(index) >= len(buttons):
        return None
    return buttons[int(index)]


async def _last_offered(connection: AsyncConnection, conversation_id: int) -> Row[Any] | None:
    """What a typed number is for; the message in hand is not stored yet.

    The last thing said; or the newest list since the person wrote, with nothing but the assistant's own
    sentences behind it. Whatever staff say asks anew: a number after it is meant for them.
    """
    wrote = await connection.execute(
        select(func.max(Message.received_at)).where(Message.conversation_id == conversation_id)
    )
    since = wrote.scalar_one_or_none()
    found = await connection.execute(
        select(Outbox.id, Outbox.buttons, Outbox.kind, Outbox.created_at)
        .where(Outbox.conversation_id == conversation_id, Outbox.state.in_(_ARRIVED))
        .order_by(Outbox.id.desc())
        .limit(LOOKED_AT)
    )
    rows = found.all()
    for row in rows:
        if row is not rows[0] and (since is None or row.created_at < since):
            break
        if row.buttons:
            return row
        if row.kind not in _SAID_BESIDE:
            break
    return None
