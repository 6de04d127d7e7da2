"""Replies that a second person reads before they are sent: who has to, and what they do with them."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sanic import HTTPResponse
from sanic.response import empty
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.console.conversation import act, must_read
from bot.console.replies import Writing
from bot.console.visit import ANSWERING, Routes, Visit
from bot.conversations.approval import LONGEST_REASON
from bot.handover.approval import ToRead, asked_of, list_given_back, list_open, may_decide, standing
from bot.handover.surges import Card, any_answer_waits, list_cards
from bot.messages import Actor
from bot.store.tables import Message

MOST_SINCE = 10


def add(routes: Routes) -> None:
    """Add the routes."""
    chat = "/desk/c/<conversation_id:int>/approval"
    room = Approving(Writing(routes.console.core))
    routes.get("/desk/approvals", page, ANSWERING)
    routes.get("/desk/approvals/list", rows, ANSWERING, acts=False)
    routes.get(chat, room.panel, ANSWERING, acts=False)
    routes.post(f"{chat}/approve", approve, ANSWERING)
    routes.post(f"{chat}/return", give_back, ANSWERING)
    routes.post(f"{chat}/take-back", take_back, ANSWERING)
    routes.post(f"{chat}/send", send_without, ANSWERING)


# ---- the list --------------------------------------------------------------------------------------


async def page(visit: Visit) -> HTTPResponse:
    """Every reply that the caller may read, or has written and that waits."""
    return visit.page("approvals.html", tab="", **await _list(visit))


async def rows(visit: Visit) -> HTTPResponse:
    """What changes on it."""
    return visit.page("parts/approvals.html", **await _list(visit))


async def _list(visit: Visit) -> dict[str, Any]:
    async with visit.core.store.read() as connection:
        found = await list_open(connection, visit.actor, visit.core.approvals.rule)
        cards = await waiting_answers(connection, visit.actor)
    return {
        "to_read": [one for one in found if not one.is_mine],
        "mine": [one for one in found if one.is_mine],
        "answers": [card for card in cards if card.asked_by != visit.session.staff_id],
    }


async def waiting_answers(connection: AsyncConnection, actor: Actor) -> list[Card]:
    """The cards of surges whose answer waits for a second person; those that have risen first."""
    if not await any_answer_waits(connection):
        return []
    cards = [card for card in await list_cards(connection, actor) if card.answer and not card.approved]
    return sorted(cards, key=lambda card: not card.has_risen)


@dataclass(frozen=True, slots=True)
class Told:
    """What every page of a member of staff says of replies that wait."""

    to_read: int
    """Replies, and answers of surges, that they may read."""
    risen: int
    """Those of them that have waited too long."""
    newest: int
    """The id of the newest of the replies: another one is called out again."""
    free: Sequence[ToRead]
    """Their own that nobody has to read any more: a P1 waits for nobody."""
    back: Sequence[Row[Any]]
    """Their own that were given back."""

    @property
    def mark(self) -> str:
        """Changes when the page has to say something else."""
        ids = [one.approval_id for one in self.free] + [-one.id for one in self.back]
        return f"replies/{self.to_read}/{self.risen}/{self.newest}/{ids}"


async def told_of(connection: AsyncConnection, visit: Visit) -> Told:
    """What the caller's pages say."""
    found = await list_open(connection, visit.actor, visit.core.approvals.rule)
    others = [one for one in found if not one.is_mine]
    cards = await waiting_answers(connection, visit.actor)
    answers = [card for card in cards if card.asked_by != visit.session.staff_id]
    return Told(
        len(others) + len(answers),
        sum(one.has_risen for one in others) + sum(card.has_risen for card in answers),
        max((one.approval_id for one in others), default=0),
        [one for one in found if one.is_mine and not one.is_needed],
        await list_given_back(connection, visit.actor),
    )


# ---- one chat --------------------------------------------------------------------------------------


class Approving:
    """The part of one chat's page."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing

    async def panel(self, visit: Visit, conversation_id: int) -> HTTPResponse:
        """The reply that waits and what the caller can do with it; 204 when the page shows it already."""
        found = await self._read(visit, conversation_id)
        if visit.is_part:
            same = visit.query("approval-have") == found["mark"]
            return empty() if same else visit.page("parts/approval.html", **found)
        await visit.core.desk.opened(conversation_id, visit.actor)
        return visit.page("approval.html", tab="", **found)

    async def _read(self, visit: Visit, conversation_id: int) -> dict[str, Any]:
        actor, rule = visit.actor, visit.core.approvals.rule
        async with visit.core.store.read() as connection:
            row = await must_read(visit, connection, conversation_id)
            stands = await standing(connection, row, actor, rule)
            more = await self._waiting(connection, row, stands.waits, actor) if stands.waits else {}
        parts = [
            stands.mark, row.epoch, row.grade, more.get("newest"), more.get("may"), rule.asks(row),
            stands.waits.raised_at if stands.waits else "",
        ]  # fmt: skip
        mark = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
        return {"row": row, "stands": stands, "mark": mark, "longest_reason": LONGEST_REASON, **more}

    async def _waiting(
        self, connection: AsyncConnection, row: Row[Any], one: Row[Any], actor: Actor
    ) -> dict[str, Any]:
        asked = await asked_of(connection, one)
        since = await _written_since(connection, row.id, asked.message)
        return {
            "mine": one.author_id == actor.staff_id,
            "may": may_decide(row, actor, one.author_id),
            "override": asked.override,
            "in_public": asked.way == "public",
            "since": since[:MOST_SINCE],
            "more_since": max(0, len(since) - MOST_SINCE),
            "newest": since[-1].id if since else asked.message,
            "writing": self._writing.look(one.text, row.grade),
        }


async def _written_since(connection: AsyncConnection, conversation_id: int, after: int) -> list[Row[Any]]:
    query: Any = (
        select(Message.id, Message.text, Message.kind, Message.received_at)
        .where(Message.conversation_id == conversation_id, Message.id > after)
        .order_by(Message.id)
    )
    return list((await connection.execute(query)).all())


def _number(visit: Visit, name: str) -> int:
    """A number of the form; 0 where there is none, such as a box that was not ticked."""
    value = visit.field(name, 18)
    return int(value) if value.isascii() and value.isdigit() else 0


async def _do(
    visit: Visit, conversation_id: int, work: Callable[[int], Awaitable[Any]], done: str
) -> HTTPResponse:
    approval_id = _number(visit, "approval")
    return await act(visit, conversation_id, lambda: work(approval_id), done)


async def approve(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Send a reply that somebody else wrote."""
    seen, epoch, work = _number(visit, "seen"), _number(visit, "epoch"), visit.core.approvals
    return await _do(
        visit,
        conversation_id,
        lambda one: work.approve(conversation_id, one, visit.actor, seen=seen, epoch=epoch),
        "approve",
    )


async def give_back(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Give it back with a reason."""
    reason, work = visit.field("reason", LONGEST_REASON), visit.core.approvals
    return await _do(
        visit,
        conversation_id,
        lambda one: work.give_back(conversation_id, one, visit.actor, reason),
        "approval-return",
    )


async def take_back(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Take one's own back."""
    work = visit.core.approvals
    return await _do(
        visit,
        conversation_id,
        lambda one: work.take_back(conversation_id, one, visit.actor),
        "approval-take-back",
    )


async def send_without(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Send one's own without a second person: it is a P1 now."""
    work = visit.core.approvals
    return await _do(
        visit,
        conversation_id,
        lambda one: work.send_without(conversation_id, one, visit.actor),
        "reply",
    )
