"""Echoes: what went out in the force's name, told back by the platform. Ours, or somebody else's?

Ours carry an id that matches an outbox row. While a row of that conversation is under way or of
unknown fate, an unmatched echo is held (a due row, ten seconds at most) and then matched by text.
Some platforms give no id of ours back, and a long text leaves there in parts of which the row keeps
the last one's id: the others are known by their text. Whatever is not ours was written by a person
outside our desk: the assistant falls silent.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.conversations.outgoing import OwnWords, flat
from bot.conversations.people import is_known_as
from bot.conversations.receipts import advance
from bot.handover import outside
from bot.messages import COMMENTS, DOOR, Echo
from bot.store.record import add_audit, add_due, add_event, change_conversation, lock_conversation, now
from bot.store.tables import Commenter, Conversation, Outbox, Person

HOLD = timedelta(seconds=10)
LOOK_AGAIN = timedelta(seconds=1)
SAME_TEXT_WITHIN = timedelta(minutes=2)
TOLD_WITHIN = timedelta(days=2)
"""How long after a private reply of unknown fate its platform may still tell of it: webhooks come late, too."""


async def take(connection: AsyncConnection, echo: Echo, own: OwnWords) -> None:
    """Look at an echo when it arrives."""
    conversation = await open_conversation(connection, echo.channel, echo.person)
    if conversation is None and echo.also:
        echo = replace(echo, person=echo.also, also="")
        conversation = await open_conversation(connection, echo.channel, echo.person)
    if await _is_private_reply(connection, echo, own):
        return
    # Looked at before the ids: a send that ends between the two looks is then found by its id.
    under_way = conversation is not None and await _under_way(connection, conversation.id, echo)
    under_way = under_way or await _private_reply_under_way(connection, echo)
    if await _is_ours(connection, echo) or conversation is None:
        return
    if await _is_a_part(connection, conversation, echo, own):
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
                "at": echo.at.isoformat() if echo.at is not None else None,
                "until": (now() + HOLD).isoformat(),
            },
        )
        return
    await _not_ours(connection, conversation, echo, own)


async def look_again(connection: AsyncConnection, data: dict[str, Any], own: OwnWords) -> bool:
    """Look again at a held echo. False: hold it a little longer."""
    at = datetime.fromisoformat(data["at"]) if data.get("at") else None
    echo = Echo(data["channel"], data["person"], data["message_id"], data["text"], at=at)
    conversation = await open_conversation(connection, echo.channel, echo.person)
    under_way = conversation is not None and await _under_way(connection, conversation.id, echo)
    under_way = under_way or await _private_reply_under_way(connection, echo)
    if await _is_ours(connection, echo) or conversation is None:
        return True
    if await _is_a_part(connection, conversation, echo, own):
        return True
    if await _match_by_text(connection, conversation, echo, own):
        return True
    if await _is_private_reply(connection, echo, own):
        return True
    if under_way and datetime.fromisoformat(data["until"]) > now():
        return False
    await _not_ours(connection, conversation, echo, own)
    return True


async def _is_ours(connection: AsyncConnection, echo: Echo) -> bool:
    ours = Outbox.channel.in_(_channels_of(echo.channel))
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


async def _match_by_text(
    connection: AsyncConnection, conversation: Row[Any], echo: Echo, own: OwnWords
) -> bool:
    """Whether it is the end of a row whose id on the platform nobody knows."""
    rows = await connection.execute(
        select(Outbox.__table__)
        .where(
            Outbox.conversation_id == conversation.id,
            Outbox.platform_id.is_(None),
            Outbox.state.in_(("unknown", "sent")),
            _of_late(echo),
        )
        .order_by(Outbox.id)
    )
    for row in rows.all():
        if own.pieces(row)[-1:] == (flat(echo.text),):
            await advance(connection, row.id, conversation.id, "sent", platform_id=echo.message_id)
            return True
    return False


async def _is_a_part(connection: AsyncConnection, conversation: Row[Any], echo: Echo, own: OwnWords) -> bool:
    """Whether it is a part, but not the last one, of a long text of ours, or all of one that failed.

    Nothing follows from it: what failed stays so, and the end of a text says what became of the whole.
    """
    rows = await connection.execute(
        select(Outbox.__table__).where(
            Outbox.conversation_id == conversation.id,
            Outbox.state != "refused",
            or_(_of_late(echo), Outbox.parts_sent.is_not(None)),
        )
    )
    said = flat(echo.text)
    if not said:
        return False
    return any(said in own.pieces(row)[: None if _is_settled(row, own) else -1] for row in rows.all())


def _is_settled(row: Row[Any], own: OwnWords) -> bool:
    """Whether the end of a row, too, says nothing new: it failed, or it left by a nameless way."""
    return row.state == "failed" or (own.are_nameless(row) and row.state in ("sent", "delivered", "read"))


def _of_late(echo: Echo) -> ColumnElement[bool]:
    """Written, or tried again, a moment before the echo left: a row may have waited long for its turn.

    A platform that we ask for its news tells of it long after, if it could not be asked meanwhile.
    """
    moment = min(echo.at or now(), now()) - SAME_TEXT_WITHIN
    return or_(Outbox.created_at > moment, Outbox.sending_until > moment)


async def _under_way(connection: AsyncConnection, conversation_id: int, echo: Echo) -> bool:
    found = await connection.execute(
        select(Outbox.id)
        .where(
            Outbox.conversation_id == conversation_id, Outbox.state.in_(("sending", "unknown")),
            _of_late(echo),
        )
        .limit(1)
    )  # fmt: skip
    return found.scalar_one_or_none() is not None


def _channels_of(channel: str) -> list[str]:
    """A channel, and the one of comments whose private replies arrive there."""
    return [channel, *(name for name, beside in COMMENTS.items() if beside == channel)]


async def _private_reply_under_way(connection: AsyncConnection, echo: Echo) -> bool:
    """Whether a private reply to some comment is on its way: whom it reaches is not known before."""
    beside = _channels_of(echo.channel)[1:]
    if not beside:
        return False
    found = await connection.execute(
        select(Outbox.id)
        .where(
            # What is under way has no id there yet, and by that the index finds it.
            Outbox.channel.in_(beside), Outbox.platform_id.is_(None), Outbox.way == "private",
            Outbox.state.in_(("sending", "unknown")), _of_late(echo),
        )
        .limit(1)
    )  # fmt: skip
    return found.scalar_one_or_none() is not None


async def _is_private_reply(connection: AsyncConnection, echo: Echo, own: OwnWords) -> bool:
    """Whether it is a private reply to a comment whose fate nobody knew: now it is known, and whom it reached.

    It stands in the chat of whoever commented, under an id that nobody has told us.
    """
    said = flat(echo.text)
    beside = _channels_of(echo.channel)[1:]
    if not said or not beside:
        return False
    rows = await connection.execute(
        select(Outbox.__table__, Conversation.person_id, Commenter.private_id)
        .join(Conversation, Conversation.id == Outbox.conversation_id)
        .join(Commenter, Commenter.person_id == Conversation.person_id)
        .where(
            Outbox.channel.in_(beside), Outbox.platform_id.is_(None), Outbox.way == "private",
            Outbox.state == "unknown", Outbox.created_at > now() - TOLD_WITHIN,
            or_(Commenter.private_id.is_(None), Commenter.private_id == echo.person),
        )
        .order_by(Outbox.id)
    )  # fmt: skip
    for row in rows.all():
        if own.pieces(row)[-1:] == (said,):
            await advance(connection, row.id, row.conversation_id, "sent", platform_id=echo.message_id)
            await connection.execute(
                update(Commenter).where(Commenter.person_id == row.person_id).values(private_id=echo.person)
            )
            return True
    return False


async def open_conversation(connection: AsyncConnection, channel: str, person: str) -> Row[Any] | None:
    """The open conversation of whom a platform names, locked; None: there is none."""
    found = await connection.execute(
        select(Conversation.id)
        .join(Person, Person.id == Conversation.person_id)
        .where(
            is_known_as(channel, person),
            Conversation.state != "closed",
        )
        # Two rows may stand for one person whom a platform named in two ways.
        .order_by(Conversation.last_inbound_at.desc(), Conversation.id.desc())
        .limit(1)
    )
    conversation_id = found.scalar_one_or_none()
    return None if conversation_id is None else await lock_conversation(connection, conversation_id)


async def _not_ours(connection: AsyncConnection, conversation: Row[Any], echo: Echo, own: OwnWords) -> None:
    if own.are_safety_words(echo.text):
        # They left past the record while the database was away, so no row can match.
        return
    await add_audit(
        connection, DOOR, "echo.outside", conversation.id, conversation.epoch,
        platform_id=echo.message_id,
    )  # fmt: skip
    await outside.answered(connection, conversation, DOOR)
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
