"""Surges: many people who write nearly the same, in one card, answered once for all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sanic import HTTPResponse
from sqlalchemy import select

from bot.console.visit import ANSWERING, Routes, Visit, status_of
from bot.conversations.desk import LONGEST_REPLY
from bot.errors import NotAllowedError, RefusedError
from bot.handover import surges
from bot.store.tables import Staff, Surge

LONGEST_SAMPLE = 300
DONE = {
    "write": "The answer waits for a second person.",
    "approve": "The answer is on its way to each of them.",
    "return": "The answer went back.",
    "out": "The chat is in the list again.",
}


def add(routes: Routes) -> None:
    """Add the routes."""
    card = "/desk/surges/<surge_id:int>"
    routes.get(card, page, ANSWERING)
    routes.post(f"{card}/write", write, ANSWERING)
    routes.post(f"{card}/approve", approve, ANSWERING)
    routes.post(f"{card}/return", give_back, ANSWERING)
    routes.post(f"{card}/out", take_out, ANSWERING)


async def page(visit: Visit, surge_id: int) -> HTTPResponse:
    """One card: the sample, who is in it, and the answer."""
    return await _page(visit, surge_id)


async def _page(visit: Visit, surge_id: int, status: int = 200, problem: str = "") -> HTTPResponse:
    content = visit.core.content.current
    async with visit.core.store.read() as connection:
        query = (
            select(Surge.__table__, Staff.name.label("author"))
            .outerjoin(Staff, Staff.id == Surge.asked_by)
            .where(Surge.id == min(surge_id, 2**63 - 1))
        )
        card = (await connection.execute(query)).one_or_none()
        members = await surges.members_of(connection, card.id, visit.actor) if card is not None else []
    if card is None or not members:
        if problem:
            raise RefusedError(problem)
        return visit.page("surge-over.html", tab="queue")
    return visit.page(
        "surge.html",
        status,
        tab="queue",
        problem=problem,
        done=DONE.get(visit.query("done"), ""),
        card=card,
        sample=" ".join(card.sample.split())[:LONGEST_SAMPLE],
        members=members,
        mine=card.asked_by == visit.session.staff_id,
        text=visit.field("text", LONGEST_REPLY + 1000) if problem else "",
        longest=LONGEST_REPLY,
        outcomes=[
            (key, outcome)
            for key, outcome in content.outcomes.items()
            if not outcome.get("needs_note")
            and not outcome.get("agency")
            and {"P3", "P4"} & set(outcome.get("grades", ("P3", "P4")))
        ],
    )


async def _act(visit: Visit, surge_id: int, action: Callable[[], Awaitable[Any]], done: str) -> HTTPResponse:
    try:
        await action()
    except NotAllowedError:
        raise
    except RefusedError as error:
        if visit.is_part:
            raise
        return await _page(visit, surge_id, status_of(error), str(error))
    return visit.go(f"/desk/surges/{surge_id}?done={done}")


async def write(visit: Visit, surge_id: int) -> HTTPResponse:
    """Write an answer for all of them; somebody else reads it before it is sent."""
    text, outcome, override = (
        visit.field("text", LONGEST_REPLY + 1000),
        visit.field("outcome", 64),
        visit.field("override", 300),
    )
    work = visit.core.surges
    return await _act(
        visit, surge_id, lambda: work.write(surge_id, visit.actor, text, outcome, override), "write"
    )


async def approve(visit: Visit, surge_id: int) -> HTTPResponse:
    """Approve the answer that somebody else wrote, as this page showed it."""
    text = visit.field("answer", LONGEST_REPLY + 1000)
    return await _act(
        visit, surge_id, lambda: visit.core.surges.approve(surge_id, visit.actor, text), "approve"
    )


async def give_back(visit: Visit, surge_id: int) -> HTTPResponse:
    """Give an answer back with a reason."""
    reason = visit.field("reason", 300)
    return await _act(
        visit, surge_id, lambda: visit.core.surges.give_back(surge_id, visit.actor, reason), "return"
    )


async def take_out(visit: Visit, surge_id: int) -> HTTPResponse:
    """One chat is a matter of its own."""
    chat = visit.whole("chat")
    return await _act(visit, surge_id, lambda: visit.core.surges.take_out(chat, visit.actor), "out")
