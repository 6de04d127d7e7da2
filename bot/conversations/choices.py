"""What a pressed button, or a typed number, stands for: only what was offered in this conversation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.conversations.words import START
from bot.messages import Channel, Incoming
from bot.store.tables import Outbox

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

    It is pressed, or typed after a list with numbers that was the last thing we said.
    """
    if incoming.button is not None and incoming.text.strip().isdecimal():
        button = await _button(connection, conversation_id, incoming.button)
        return incoming if button is None else replace(incoming, text=str(button["title"]))
    numbers = getattr(channel, "numbers", None)
    if incoming.choice is None or numbers is None:
        return incoming
    row = await _last_said(connection, conversation_id)
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


async def _last_said(connection: AsyncConnection, conversation_id: int) -> Row[Any] | None:
    found = await connection.execute(
        select(Outbox.id, Outbox.buttons)
        .where(Outbox.conversation_id == conversation_id, Outbox.state.in_(_ARRIVED))
        .order_by(Outbox.id.desc())
        .limit(1)
    )
    return found.one_or_none()
