"""P1 alarms: what rings on every page, the sign that somebody has seen it, and the ways out of here.

Below them each page has a part of its reader's own, which comes by itself: no alarm waits for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from sanic import HTTPResponse
from sanic import html as html_response
from sanic.response import empty
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.console.approvals import told_of
from bot.console.owed import list_owed
from bot.console.reading import alarms_of, silences_of, visible_of
from bot.console.visit import ANSWERING, OVERSEEING, Routes, Visit, status_of
from bot.errors import RefusedError
from bot.handover.alarms import PATH_WORDS, PATHS, Tested, path_records, recent
from bot.handover.public import count_reviews
from bot.handover.queue import get_for, sight_of
from bot.handover.reassign import list_given
from bot.store.record import add_audit, add_event

PATHS_PAGE = "/desk/alarm-paths"


def add(routes: Routes) -> None:
    """Add the routes."""
    routes.get("/desk/alarms", alarms, ANSWERING, acts=False)
    routes.get("/desk/own", own, ANSWERING, acts=False)
    routes.post("/desk/c/<conversation_id:int>/acknowledge", acknowledge, ANSWERING)
    routes.get(PATHS_PAGE, paths_page, OVERSEEING)
    routes.post("/desk/alarm-paths/test", test_path, OVERSEEING)


async def alarms(visit: Visit) -> HTTPResponse:
    """What rings. 204 when the page shows just that already, so that it is not read out again.

    Every page asks for it at a P1, so it takes one reading for all, and nothing for each reader.
    """
    danger = await visit.console.looks.danger(sight_of(visit.actor))
    found, silent = alarms_of(danger, visit.actor), silences_of(danger, visit.actor)
    pages = visit.console.pages
    warnings = pages.warnings()
    parts = [f"{alarm.conversation_id}/{alarm.rings}/{alarm.alert}/{alarm.state}" for alarm in found]
    parts += [f"{one.conversation_id}/quiet/{one.alert}" for one in silent]
    parts += warnings
    parts += visit.core.standings.warnings({})
    mark = _mark(parts)
    if visit.query("have") == mark:
        return empty()
    role, on_page = visit.session.role, _on_page(visit)
    key = mark, role, on_page == PATHS_PAGE
    made = danger.made.get(key)
    if made is None:
        made = danger.made[key] = pages.piece(
            "parts/alarms.html",
            ringing=[alarm for alarm in found if alarm.rings],
            seen=[alarm for alarm in found if not alarm.rings],
            silent=silent,
            mark=mark,
            alarm_warnings=warnings,
            channel_warnings=visit.core.standings.warnings(pages.channels),
            signed_in=True,
            session=SimpleNamespace(role=role),
            on_page=on_page,
            csrf=pages.stand_in,
        )
    return html_response(pages.filled(made.encode(), visit.session.csrf))


def _mark(parts: Iterable[str]) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def _on_page(visit: Visit) -> str:
    return urlsplit(visit.request.headers.get("hx-current-url", "")).path


async def own(visit: Visit) -> HTTPResponse:
    """What the reader was given, may read for others, and owes. 204 as for the alarms."""
    looks, actor = visit.console.looks, visit.actor
    # Supervisors are told of everybody's: the same for all who see the same.
    of_all = await looks.owed(sight_of(actor)) if actor.role == "supervisor" else None
    async with looks.few, visit.core.store.read() as connection:
        given = await list_given(connection, actor)
        owed = await list_owed(connection, actor, visit.core.limits) if of_all is None else of_all
        replies = await told_of(connection, visit)
        risen = await _comments_risen(visit, connection)
    parts = [f"{one.conversation_id}/given/{one.at}" for one in given]
    parts.append(f"comments/{risen}")
    mark = _mark([*parts, *(one.mark for one in owed), replies.mark])
    if visit.query("have") == mark:
        return empty()
    return visit.page(
        "parts/own.html",
        given_to_me=given,
        owed=owed,
        replies=replies,
        comments_risen=risen,
        mark=mark,
        on_page=_on_page(visit),
    )


async def _comments_risen(visit: Visit, connection: AsyncConnection) -> int:
    """How many comments nobody has looked at in time, for a supervisor."""
    if visit.actor.role != "supervisor" or not visit.core.settings.takes_comments:
        return 0
    return (await count_reviews(connection, visit.actor))[1]


async def acknowledge(visit: Visit, conversation_id: int) -> HTTPResponse:
    """A named member of staff has seen the alarm. Recorded; the bell stops.

    Raises:
        NoSuchChatError: there is none that the caller may see.
    """
    async with visit.core.store.write() as connection:
        row = await get_for(connection, conversation_id, visit.actor)
        await add_audit(connection, visit.actor, "acknowledge", row.id, row.epoch, grade=row.grade)
        await add_event(connection, row.id, "alert.seen", {"by": visit.session.staff_id})
    visit.core.bell.ring("event")
    if visit.is_part:
        return await alarms(visit)
    return visit.go("/desk/queue")


RESULTS = {
    "taken": "Got through",
    "again": "Failed, tried again",
    "rejected": "Refused",
    "unknown": "Not known: the system stopped meanwhile",
    None: "Under way",
}
KINDS = {"p1": "P1", "p2": "P2", "unstored": "P1 that could not be stored", "test": "Test"}


async def paths_page(visit: Visit) -> HTTPResponse:
    """The two paths, the rota as it was read, and the newest alarms."""
    return visit.page("alarm-paths.html", **await _paths(visit))


async def _paths(visit: Visit) -> dict[str, Any]:
    alarms = visit.core.alarms
    async with visit.core.store.read() as connection:
        records = await path_records(connection)
        shown = await recent(connection, visit.actor)
        ids = [one.alarm.conversation_id for one in shown if one.alarm.conversation_id is not None]
        may_see = await visible_of(connection, ids, visit.actor)
    return {
        "tab": "alarm-paths",
        "records": [
            (record, record.path in alarms.state.set_up, PATH_WORDS[record.path]) for record in records
        ],
        "problems": alarms.state.problems,
        "rota": alarms.rota,
        "alarms": shown,
        "may_see": may_see,
        "results": RESULTS,
        "kinds": KINDS,
        "path_words": PATH_WORDS,
        "seconds": visit.core.settings.alarm_seconds,
    }


async def test_path(visit: Visit) -> HTTPResponse:
    """Make a real call by one path to everybody of one level, and show what became of it."""
    path, level = visit.field("by", 16), visit.field("level", 3)
    problem, tested, status = "", list[Tested](), 200
    try:
        if path not in PATHS or not (level.isascii() and level.isdigit()):
            raise RefusedError("Choose a path and a level.")
        tested = await visit.core.alarms.test(path, int(level) - 1, visit.actor)
    except RefusedError as error:
        problem, status = str(error), status_of(error)
    return visit.page(
        "alarm-paths.html", status, problem=problem, tested=tested, tested_path=path, **await _paths(visit)
    )
