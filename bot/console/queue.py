"""The live queue, what the caller has, and the lists of recent chats."""

from __future__ import annotations

from typing import Any

from sanic import HTTPResponse

from bot.console.reading import last_words, list_recent, what_can
from bot.console.visit import ANSWERING, Routes, Visit
from bot.handover.queue import count_waiting, list_queue
from bot.messages import GRADES
from bot.store.record import latest_cursor


def add(routes: Routes) -> None:
    """Add the routes."""
    routes.get("/desk/queue", queue_page, ANSWERING)
    routes.get("/desk/queue/rows", queue_rows, ANSWERING, acts=False)
    routes.get("/desk/recent", recent_page, ANSWERING)


async def _read(visit: Visit) -> dict[str, Any]:
    actor = visit.actor
    async with visit.core.store.read() as connection:
        cursor = await latest_cursor(connection)
        rows = await list_queue(connection, actor)
        counts = await count_waiting(connection, actor)
    shown = [
        {"row": row, "can": what_can(row, actor), "last": last_words(row), **why_here(row)} for row in rows
    ]
    return {
        "mine": [one for one in shown if one["row"].owner_id == actor.staff_id],
        "waiting": [one for one in shown if one["row"].state == "waiting"],
        "others": [
            one for one in shown if one["row"].state == "human" and one["row"].owner_id != actor.staff_id
        ],
        "counts": [(grade, counts.get(grade, 0)) for grade in GRADES],
        "cursor": f"{cursor[0]}.{cursor[1]}",
    }


def why_here(row: Any) -> dict[str, Any]:
    """The newest reason of the grade it has: the words that fired and every net that found it."""
    reasons = list(row.reasons or ())
    of_grade = [reason for reason in reasons if reason.get("category") == row.category] or reasons
    words: list[str] = []
    for reason in of_grade:
        if reason.get("net") != "understanding":
            words.extend(word for word in reason.get("words", ()) if word not in words)
    return {
        "words": words[:6],
        "nets": list(dict.fromkeys(reason.get("net", "") for reason in reasons)),
    }


async def queue_page(visit: Visit) -> HTTPResponse:
    """The whole page."""
    return visit.page("queue.html", tab="queue", **await _read(visit))


async def queue_rows(visit: Visit) -> HTTPResponse:
    """What changes on it."""
    return visit.page("parts/queue-rows.html", **await _read(visit))


async def recent_page(visit: Visit) -> HTTPResponse:
    """Chats of the last two days that the assistant has, or that are closed."""
    state = "closed" if visit.query("state") == "closed" else "bot"
    async with visit.core.store.read() as connection:
        rows = await list_recent(connection, visit.actor, state)
    return visit.page("recent.html", tab="closed" if state == "closed" else "bot", state=state, rows=rows)
