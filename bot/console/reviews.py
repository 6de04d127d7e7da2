"""Safety reviews: what was missed, the phrase that would have caught it, and a second person's word."""

from __future__ import annotations

import asyncio
from typing import Any

from sanic import HTTPResponse
from sqlalchemy import select

from bot.assurance.reviews import (
    LONGEST_NOTE,
    STATES,
    Effect,
    as_yaml,
    decide,
    get_review,
    list_reviews,
    open_review,
    propose,
    proposer_of,
    try_phrase,
)
from bot.console.reading import read_conversation
from bot.console.visit import SUPERVISOR, Routes, Visit, status_of
from bot.errors import ContentError, NotAllowedError, RefusedError
from bot.messages import GRADES
from bot.safety.proposals import LONGEST
from bot.store.tables import Message, Staff

SHOWN = 12
"""Lines of each kind that a page shows of what a phrase would hit; it says how many more there are."""


def add(routes: Routes) -> None:
    """Add the routes."""
    routes.get("/desk/reviews", page, SUPERVISOR)
    routes.get("/desk/reviews/phrases", phrases, SUPERVISOR)
    routes.get("/desk/reviews/<review_id:int>", one, SUPERVISOR)
    routes.post("/desk/reviews/<review_id:int>/phrase", phrase, SUPERVISOR)
    routes.post("/desk/reviews/<review_id:int>/decide", second, SUPERVISOR)
    routes.post("/desk/c/<conversation_id:int>/should-reach", should_reach, SUPERVISOR)


async def page(visit: Visit) -> HTTPResponse:
    """All reviews, open ones first."""
    wanted = visit.query("state")
    state = wanted if wanted in STATES else ""
    async with visit.core.store.read() as connection:
        rows = await list_reviews(connection, visit.actor, state)
    return visit.page("reviews.html", tab="overview", room="reviews", rows=rows, state=state, states=STATES)


async def phrases(visit: Visit) -> HTTPResponse:
    """The accepted phrases, to copy into the files of the screen."""
    async with visit.core.store.read() as connection:
        rows = await list_reviews(connection, visit.actor, "accepted", limit=1000)
    return visit.page("review-phrases.html", tab="overview", room="reviews", text=as_yaml(rows))


async def one(visit: Visit, review_id: int) -> HTTPResponse:
    """One review. That somebody read the message is recorded before it is shown."""
    return await _one(visit, review_id)


async def _one(
    visit: Visit, review_id: int, status: int = 200, problem: str = "", field: str = ""
) -> HTTPResponse:
    actor = visit.actor
    async with visit.core.store.write() as connection:
        row = await get_review(connection, review_id, actor)
    await visit.core.desk.opened(row.conversation_id, actor)
    async with visit.core.store.read() as connection:
        chat = await read_conversation(connection, row.conversation_id)
        message = (
            await connection.execute(select(Message.__table__).where(Message.id == row.message_id))
        ).one_or_none()
        proposer = await proposer_of(connection, row)
        named = await connection.execute(
            select(Staff.id, Staff.name).where(
                Staff.id.in_({row.opened_by, proposer, row.decided_by} - {None})
            )
        )
        names = {found.id: found.name for found in named}
    text = message.text if message is not None else ""
    given = {
        "category": visit.field("category", 8) or row.category or "",
        "grade": visit.field("grade", 2) or row.grade or "",
        "phrase": visit.field("phrase", LONGEST + 100) or row.phrase or "",
        "reason": visit.field("reason"),
    }
    effect, broken = await _effect(visit, row, text)
    hits = list(message.hits or ()) if message is not None else []
    return visit.page(
        "review.html",
        status,
        tab="overview",
        room="reviews",
        review=row,
        chat=chat,
        message=message,
        screened=[hit for hit in hits if hit.get("net") == "screen"],
        understood=[hit for hit in hits if hit.get("net") == "understanding"],
        screen_now=visit.core.screen.check(text).hits,
        decision=(message.decision or {}) if message is not None else {},
        names=names,
        proposer=proposer,
        may_decide=row.state == "open" and proposer != actor.staff_id,
        categories=[(key, found.name) for key, found in visit.core.screen.categories.items()],
        grades=GRADES,
        given=given,
        effect=effect,
        broken=broken,
        shown=SHOWN,
        problem=problem,
        problem_field=field,
    )


async def _effect(visit: Visit, row: Any, text: str) -> tuple[Effect | None, str]:
    """What the phrase would hit, or why it cannot be read (any more)."""
    if not row.phrase:
        return None, ""
    data = visit.core.settings.data
    try:
        return await asyncio.to_thread(try_phrase, data, row.category, row.grade, row.phrase, text), ""
    except ContentError as error:
        return None, str(error)


async def phrase(visit: Visit, review_id: int) -> HTTPResponse:
    """Propose a phrase. It is compiled before it is kept."""
    category, grade = visit.field("category", 8), visit.field("grade", 2)
    written = visit.field("phrase", LONGEST + 100)
    try:
        async with visit.core.store.write() as connection:
            await get_review(connection, review_id, visit.actor)
        await asyncio.to_thread(try_phrase, visit.core.settings.data, category, grade, written, "")
        async with visit.core.store.write() as connection:
            await propose(connection, review_id, visit.actor, category, grade, written)
    except NotAllowedError:
        raise
    except ContentError as error:
        return await _one(visit, review_id, 422, f"This phrase cannot be read: {error}", "phrase")
    except RefusedError as error:
        return await _one(visit, review_id, status_of(error), str(error), "phrase")
    visit.core.bell.ring("event")
    return visit.go(f"/desk/reviews/{review_id}")


async def second(visit: Visit, review_id: int) -> HTTPResponse:
    """Accept or decline."""
    word = visit.field("decision", 12)
    try:
        if word not in ("accept", "decline"):
            raise RefusedError("Choose to accept or to decline.")
        async with visit.core.store.write() as connection:
            await decide(
                connection,
                review_id,
                visit.actor,
                accept=word == "accept",
                reason=visit.field("reason", LONGEST_NOTE),
                seen=visit.field("seen", LONGEST + 100),
            )
    except NotAllowedError:
        raise
    except RefusedError as error:
        return await _one(visit, review_id, status_of(error), str(error), "reason")
    visit.core.bell.ring("event")
    return visit.go(f"/desk/reviews/{review_id}")


async def should_reach(visit: Visit, conversation_id: int) -> HTTPResponse:
    """A supervisor reads a chat of the assistant's and finds that a person was needed."""
    async with visit.core.store.write() as connection:
        review_id = await open_review(connection, conversation_id, visit.actor, visit.field("note"))
    visit.core.bell.ring("event")
    return visit.go(f"/desk/reviews/{review_id}")
