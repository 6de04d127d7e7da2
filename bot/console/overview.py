"""What a supervisor sees at one look, and what they do about it: take over, give to somebody else."""

from __future__ import annotations

from typing import Any

from sanic import HTTPResponse

from bot.console.reading import read_conversation
from bot.console.visit import SUPERVISOR, Routes, Visit, status_of
from bot.errors import NoSuchChatError, RefusedError
from bot.handover.overview import read_overview
from bot.handover.queue import LARGEST_ID, may_open
from bot.handover.reassign import receivers
from bot.messages import GRADES, URGENT
from bot.store.record import now

ALARMS = {"p1": "P1", "p2": "P2", "unstored": "P1 that could not be stored", "test": "Test"}


def add(routes: Routes) -> None:
    """Add the routes."""
    routes.get("/desk/overview", page, SUPERVISOR)
    routes.get("/desk/overview/live", live, SUPERVISOR, acts=False)
    routes.get("/desk/c/<conversation_id:int>/reassign", ask, SUPERVISOR)
    routes.post("/desk/c/<conversation_id:int>/reassign", reassign, SUPERVISOR)


async def _read(visit: Visit) -> dict[str, Any]:
    core = visit.core
    hours = core.limits.limits.hours
    midnight = hours.local(now()).replace(hour=0, minute=0, second=0, microsecond=0)
    async with core.store.read() as connection:
        found = await read_overview(connection, visit.actor, midnight)
    return {
        "view": found,
        "at": now(),
        "grades": GRADES,
        "alarm_kinds": ALARMS,
        "parts": [
            ("Database", True),
            ("Assistant", await core.assistant.is_ready()),
            ("Redis", core.bell.connected),
        ],
    }


async def page(visit: Visit) -> HTTPResponse:
    """The whole page."""
    return visit.page("overview.html", tab="overview", room="overview", **await _read(visit))


async def live(visit: Visit) -> HTTPResponse:
    """What changes on it."""
    return visit.page("parts/overview-live.html", **await _read(visit))


async def ask(visit: Visit, conversation_id: int) -> HTTPResponse:
    """To whom, and with which note."""
    return await _ask(visit, conversation_id)


async def _ask(visit: Visit, conversation_id: int, status: int = 200, problem: str = "") -> HTTPResponse:
    async with visit.core.store.read() as connection:
        known = 0 < conversation_id <= LARGEST_ID
        row = await read_conversation(connection, conversation_id) if known else None
        if row is None or not await may_open(connection, row, visit.actor):
            raise NoSuchChatError
        people = await receivers(connection, row) if row.state == "human" else []
    return visit.page(
        "reassign.html",
        status,
        tab="overview",
        row=row,
        people=people,
        is_offer=row.grade in URGENT,
        problem=problem,
        given={"to": visit.field("to", 18), "note": visit.field("note")},
    )


async def reassign(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Give a chat to another member of staff who is there."""
    try:
        to = visit.field("to", 18)
        if not (to.isascii() and to.isdigit()):
            raise RefusedError("Choose somebody who is at the desk now.")
        await visit.core.desk.reassign(conversation_id, visit.actor, int(to), visit.field("note"))
    except NoSuchChatError:
        raise
    except RefusedError as error:
        if visit.is_part:
            raise
        return await _ask(visit, conversation_id, status_of(error), str(error))
    return visit.go("/desk/overview")
