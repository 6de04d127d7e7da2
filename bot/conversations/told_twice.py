"""A comment that a platform tells of in two ways."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.conversations.stored import already_stored
from bot.messages import Comment, Incoming
from bot.store.tables import Message, PublicComment


async def take(
    connection: AsyncConnection, incoming: Incoming, stands: Comment, stored: tuple[int, int]
) -> tuple[Incoming, tuple[int, int] | None]:
    """A comment that is stored already: a repeat, or told once more by another kind of webhook, which knows more.

    A comment that names us under a post of ours comes as a comment and as a mention. The mention may have come
    first: then it takes a private reply from now on. And if nobody could fetch its words, here they are.
    """
    if incoming.edit_of is not None or not stands.is_ours:
        return incoming, stored
    named = PublicComment.place.startswith("mention:")
    await connection.execute(
        update(PublicComment)
        .where(PublicComment.channel == incoming.channel, PublicComment.platform_id == stands.id, named)
        .values(
            place=stands.place or stands.id, takes_private=stands.takes_private, takes_public=stands.takes_public
        )
    )  # fmt: skip
    if not incoming.text.strip():
        return incoming, stored
    known = await connection.execute(select(Message.text, Message.kind).where(Message.id == stored[0]))
    first = known.one()
    if first.text.strip() or first.kind != "unsupported":
        return incoming, stored
    told = replace(incoming, message_id=f"{stands.id}.told", edit_of=stands.id)
    return told, await already_stored(connection, told)
