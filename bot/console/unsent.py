"""What somebody has typed and not sent: kept, shown to its author wherever the chat is, taken over by its owner."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sanic import HTTPResponse
from sanic.response import empty
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.console.visit import ANSWERING, CHAT, Routes, Visit
from bot.conversations import drafts
from bot.conversations.drafts import kind_of
from bot.messages import Actor
from bot.store.tables import Audit, Event, Staff

LOST: Final = {
    "take_over": "{by} took this chat over from you.",
    "accept": "{by} accepted this chat from you.",
    "reassign": "{by} gave this chat to {owner}.",
    "transfer": "You passed this chat on.",
    "release": "You gave this chat back to the assistant.",
    "close": "You closed this chat.",
    "give_back": "This chat went back to the queue, because you were away or signed out.",
}
"""Why the reader has a chat no more, by what was done; any other word is left to how the chat stands now."""


def add(routes: Routes) -> None:
    """Add the routes."""
    routes.post(f"{CHAT}/draft", draft, ANSWERING)
    routes.post(f"{CHAT}/drafts/<staff_id:int>/use", use, ANSWERING)


async def draft(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Keep what is typed; an empty text throws it away. The answer says when: what a page then reads from
    before that moment is old."""
    kind = kind_of(visit.field("kind", 20))
    text = visit.field("text", drafts.LONGEST)
    kept = await visit.core.desk.draft(conversation_id, visit.actor, text, kind)
    return empty(headers={"X-Kept": micros(kept.at)})


def micros(at: datetime | None) -> str:
    """A moment as a number that a page can compare; 0: there is none."""
    return str(0 if at is None else int(at.timestamp()) * 1_000_000 + at.microsecond)


def is_newer(kept: str, shown: str) -> bool:
    """Whether the texts of one moment are newer than those that a page shows; False where it does not say."""
    return shown.isascii() and shown.isdigit() and int(kept) > int(shown)


async def keep(visit: Visit, conversation_id: int, text: str) -> None:
    """Keep a reply that was refused."""
    await visit.core.desk.draft(conversation_id, visit.actor, text)


async def use(visit: Visit, conversation_id: int, staff_id: int) -> HTTPResponse:
    """Put what somebody left unsent into the reply, behind what the owner has typed so far."""
    typed = visit.field("text", drafts.LONGEST)
    await visit.core.desk.use_draft(conversation_id, visit.actor, staff_id, typed)
    return visit.go(f"/desk/c/{conversation_id}?done=draft")


async def read(connection: AsyncConnection, row: Row[Any], actor: Actor) -> dict[str, Any]:
    """What the page shows of it: the reader's own texts, those left for the owner, why a chat was lost."""
    own = await drafts.read(connection, row.id, actor)
    left = await drafts.left_by_others(connection, row, actor)
    return {
        "draft": own.reply,
        "drafts": own,
        "drafts_at": micros(own.at),
        "left": left,
        "left_mark": ",".join(f"{one.staff_id}.{int(one.at.timestamp() * 1000)}" for one in left),
        "lost": await _lost(connection, row, actor),
    }


async def _lost(connection: AsyncConnection, row: Row[Any], actor: Actor) -> str:
    """Why `actor`, who was its last owner, has it no more; empty for everybody else."""
    if row.state == "human" and row.owner_id == actor.staff_id:
        return ""
    newest = (
        select(Event.data)
        .where(Event.conversation_id == row.id, Event.kind == "conversation.owner")
        .order_by(Event.xid.desc(), Event.id.desc())
        .limit(1)
    )
    data = (await connection.execute(newest)).scalar_one_or_none() or {}
    words = LOST.get(str(data.get("action")), "")
    if data.get("was") != actor.staff_id or data.get("owner") == actor.staff_id or not words:
        return ""
    who = (
        select(Audit.actor, Audit.staff_id)
        .where(Audit.conversation_id == row.id, Audit.action == data["action"])
        .order_by(Audit.id.desc())
        .limit(1)
    )
    by = (await connection.execute(who)).one_or_none()
    if (
        by is not None
        and by.staff_id != actor.staff_id
        and data["action"] in ("transfer", "release", "close")
    ):
        return ""
    owner = select(Staff.name).where(Staff.id == data.get("owner"))
    name = (await connection.execute(owner)).scalar_one_or_none() if data.get("owner") else None
    return words.format(by=by.actor if by is not None else "Somebody", owner=name or "somebody else")
