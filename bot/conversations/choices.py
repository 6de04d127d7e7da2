"""What a pressed button, or a typed number, stands for: only what was offered in this conversation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.conversations.words import START
from bot.messages import Channel, Incoming
from bot.store.tables import Message, Outbox

LONGEST = 200
"""Letters that may be the words of a button."""
LOOKED_AT = 8
"""Of what was said last: more is never said to one message."""
_NUMBER = re.compile(r"\s*(?:(?:answer|choice|number|option|reply)\s+)?(\d{1,2})\s*[.)]?\s*", re.IGNORECASE)
_TRIM = re.compile(r"[^\w]+")
_SAID_BESIDE = ("assistant", "safety")
"""Kinds of rows that may stand behind a list, and ask nothing that a number answers."""
_ARRIVED = ("sending", "sent", "delivered", "read", "unknown")


def typed_number(words: str) -> int | None:
    """The number that somebody typed and nothing else, as from a numbered list."""
    typed = _NUMBER.fullmatch(words)
    return int(typed[1]) if typed else None


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
    person wrote (the question whether it is safe to chat has the sentence about a person behind it). The
    words of a line of the list, typed, are that button too.
    """
    if incoming.button is not None and incoming.text.strip().isdecimal():
        button = await _button(connection, conversation_id, incoming.button)
        return incoming if button is None else replace(incoming, text=str(button["title"]))
    numbers = getattr(channel, "numbers", None)
    if numbers is None or incoming.kind != "text" or incoming.button or not 0 < len(incoming.text) <= LONGEST:
        return incoming
    row = await _last_offered(connection, conversation_id)
    titles = [str(button["title"]) for button in row.buttons] if row is not None else []
    if row is None or not numbers(titles):
        return incoming
    place = incoming.choice - 1 if incoming.choice is not None else _place_of(incoming.text, titles)
    if not 0 <= place < len(titles):
        return incoming
    return replace(incoming, kind="button", button=f"{row.id}.{place}", text=titles[place])


def _place_of(words: str, titles: Sequence[str]) -> int:
    """Which line of a list these words are, with its number or without; -1: none."""
    typed = _plain(words)
    lines = (({_plain(title), _plain(f"{n} {title}")}) for n, title in enumerate(titles, 1))
    return next((place for place, line in enumerate(lines) if typed and typed in line), -1)


def _plain(words: str) -> str:
    return " ".join(_TRIM.sub(" ", words.casefold().replace("\u2019", "'").replace("'", "")).split())


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
