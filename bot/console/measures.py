"""What was done about a person's abuse: shown beside the chat, reviewed when it is due."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sanic import HTTPResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.console.reading import read_conversation
from bot.console.visit import ANSWERING, SUPERVISOR, Routes, Visit, status_of
from bot.errors import ContentError, NoSuchChatError, RefusedError
from bot.handover import measures
from bot.handover.queue import may_open
from bot.messages import URGENT
from bot.store.record import now

NAMES = {
    "warn": "Warned",
    "limit": "Limited: the assistant answers once an hour at most",
    "hide": "Hidden: the queue folds the text away",
    "block": "Blocked: the assistant is silent",
}
CHOICES = [
    ("limit", "Limit", "The assistant answers once an hour at most. Danger is still seen and answered."),
    ("hide", "Hide", "The queue folds the text away. A P1 or P2 is always shown."),
    ("block", "Block", "The assistant stays silent. Danger is still seen and answered."),
]


def add(routes: Routes) -> None:
    """Add the routes."""
    chat = "/desk/c/<conversation_id:int>/measures"
    routes.get(chat, box, ANSWERING)
    routes.post(chat, put, ANSWERING)
    routes.post(f"{chat}/end", end, SUPERVISOR)
    routes.get("/desk/measures", page, SUPERVISOR)
    routes.post("/desk/measures/review", review, SUPERVISOR)


async def box(visit: Visit, conversation_id: int) -> HTTPResponse:
    """The box of one chat: part of its page, or a page of its own without scripts."""
    return await _box(visit, conversation_id)


async def _box(
    visit: Visit, conversation_id: int, status: int = 200, problem: str = "", done: str = ""
) -> HTTPResponse:
    async with visit.core.store.read() as connection:
        row = await read_conversation(connection, conversation_id) if conversation_id < 2**63 else None
        if row is None or not await may_open(connection, row, visit.actor):
            raise NoSuchChatError
        found = await measures.history(connection, row.person_id)
    standing = {one.kind for one in found if one.ended_at is None}
    if row.person_blocked:
        standing.add("block")
    is_supervisor = visit.actor.role == "supervisor"
    return visit.page(
        "parts/measures.html" if visit.is_part else "measures-of-chat.html",
        status,
        tab="",
        row=row,
        problem=problem,
        done=done,
        found=found,
        names=NAMES,
        standing=sorted(standing),
        choices=[one for one in CHOICES if one[0] not in standing and (one[0] != "block" or is_supervisor)],
        can_warn=row.state == "human" and row.owner_id == visit.actor.staff_id and row.grade not in URGENT,
        warning=_warning(visit, row.channel),
        can_end=is_supervisor,
        days=measures.REVIEW_DAYS,
    )


def _warning(visit: Visit, channel: str) -> str:
    try:
        return visit.core.content.current.for_channel(channel).line("warned")
    except ContentError:
        # Words of before have no such sentence.
        return ""


async def _act(
    visit: Visit, conversation_id: int, action: Callable[[AsyncConnection], Awaitable[Any]], done: str
) -> HTTPResponse:
    try:
        async with visit.core.store.write() as connection:
            await action(connection)
    except NoSuchChatError:
        raise
    except RefusedError as error:
        if visit.is_part:
            raise
        return await _box(visit, conversation_id, status_of(error), str(error))
    visit.core.bell.ring("event")
    visit.core.bell.ring("outbox")
    response = await _box(visit, conversation_id, done=done)
    if visit.is_part:
        response.headers["HX-Trigger"] = "desk:refresh"
    return response


def _days(visit: Visit) -> int:
    written = visit.field("days", 4).strip()
    return (
        int(written)
        if written.isascii() and written.isdigit()
        else measures.REVIEW_DAYS
        if not written
        else 0
    )


async def put(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Warn, limit, hide or block, with a reason."""
    kind, reason, days = visit.field("kind", 8), visit.field("reason"), _days(visit)

    async def action(connection: AsyncConnection) -> None:
        row = await read_conversation(connection, conversation_id)
        warning = _warning(visit, row.channel) if row is not None else ""
        if kind == "warn" and not warning:
            raise RefusedError("The words of this force have no warning. Ask whoever keeps them.")
        await measures.add_measure(
            connection, conversation_id, visit.actor, kind, reason, review_days=days, warning=warning
        )

    return await _act(
        visit, conversation_id, action, "The warning is on its way." if kind == "warn" else "Done."
    )


async def end(visit: Visit, conversation_id: int) -> HTTPResponse:
    """End what stands, with a reason."""
    kind, reason = visit.field("kind", 8), visit.field("reason")
    return await _act(
        visit,
        conversation_id,
        lambda connection: measures.end_standing(connection, conversation_id, visit.actor, kind, reason),
        "It has ended.",
    )


async def page(visit: Visit) -> HTTPResponse:
    """Everything that stands, the first due for review first."""
    return await _page(visit)


async def _page(visit: Visit, status: int = 200, problem: str = "") -> HTTPResponse:
    async with visit.core.store.read() as connection:
        found = await measures.list_standing(connection, visit.actor)
    return visit.page(
        "measures.html", status, tab="queue", problem=problem, found=found, names=NAMES, moment=now(),
        days=measures.REVIEW_DAYS,
    )  # fmt: skip


async def review(visit: Visit) -> HTTPResponse:
    """A measure was looked at again, and goes on."""
    try:
        measure_id = visit.whole("measure")
        async with visit.core.store.write() as connection:
            await measures.renew(connection, measure_id, visit.actor, visit.field("reason"), _days(visit))
    except RefusedError as error:
        if visit.is_part:
            raise
        return await _page(visit, status_of(error), str(error))
    visit.core.bell.ring("event")
    return visit.go("/desk/measures")
