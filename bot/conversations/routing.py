"""Platforms on which several apps may answer: while another one does, our assistant is silent.

Whoever holds a chat there is to us what an echo of somebody else's is: a person outside our desk
(`outside.answered`). Their messages are screened and stored all the same, words of danger go
out, and a waiting P1 or P2 stays in the queue.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.conversations.echoes import open_conversation
from bot.conversations.words import Words
from bot.handover import outside
from bot.messages import DOOR, URGENT, Control
from bot.store.record import add_outbox


async def held_elsewhere(connection: AsyncConnection, conversation: Row[Any]) -> Row[Any]:
    """A message came while somebody else holds the chat. Returns the conversation as it is now."""
    if conversation.answered_outside:
        # Known already: each message of theirs would count as a change of owner.
        return conversation
    return await outside.answered(connection, conversation, DOOR)


async def take(connection: AsyncConnection, control: Control, words: Words) -> None:
    """Note who holds a chat from now on.

    Given back to us, a P3 or P4 is the assistant's again, and the person is told so. A P1 or P2 waits
    for a named member of staff, and what our own staff own stays theirs.
    """
    conversation = await open_conversation(connection, control.channel, control.person)
    if conversation is None:
        return
    if not control.ours:
        await held_elsewhere(connection, conversation)
        return
    if conversation.state != "human" or not conversation.owner_outside or conversation.grade in URGENT:
        return
    fresh = await outside.handed_back(connection, conversation, DOOR)
    said = words.on(fresh.channel).line("released")
    await add_outbox(connection, fresh, "notice", said, epoch=fresh.epoch)
