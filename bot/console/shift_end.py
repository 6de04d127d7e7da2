"""The end of a shift: what one has goes on to others with a note, then one is signed out."""

from __future__ import annotations

from typing import Any, cast

from sanic import HTTPResponse

from bot.accounts import actor_of
from bot.console.visit import ANSWERING, Routes, Visit, status_of, without_cookie
from bot.conversations.moves import Moved
from bot.errors import RefusedError
from bot.messages import URGENT


def add(routes: Routes) -> None:
    """Add the routes."""
    routes.get("/desk/end-shift", page, ANSWERING)
    routes.get("/desk/end-shift/list", owned_list, ANSWERING, acts=False)
    routes.post("/desk/end-shift", end, ANSWERING)


async def page(visit: Visit) -> HTTPResponse:
    """What the caller has, and the form that hands it on."""
    return await _page(visit)


async def _page(
    visit: Visit,
    status: int = 200,
    problem: str = "",
    moved: Moved | None = None,
    template: str = "end-shift.html",
) -> HTTPResponse:
    owned = await visit.core.moves.owned_by(visit.actor)
    teams = visit.core.content.current.teams.get("teams", {})
    return visit.page(
        template,
        status,
        tab="queue",
        problem=problem,
        moved=moved,
        owned=owned,
        urgent=[row for row in owned if row.grade in URGENT],
        note=visit.field("note", 2000) if problem else "",
        teams=[(key, team["name"], team.get("grades", ())) for key, team in teams.items()],
    )


async def owned_list(visit: Visit) -> HTTPResponse:
    """The list alone, as it stands now."""
    return await _page(visit, template="parts/end-shift-list.html")


async def end(visit: Visit) -> HTTPResponse:
    """Hand everything on. Who has nothing left is signed out; a P1 or P2 stays until it is accepted."""
    offers = {
        int(name.removeprefix("team_")): str(values[0])
        for name, values in (cast(Any, visit.request).form or {}).items()
        if name.startswith("team_") and name.removeprefix("team_").isdecimal() and values and values[0]
    }
    try:
        moved = await visit.core.moves.end_shift(visit.actor, visit.field("note", 2000), offers)
    except RefusedError as error:
        return await _page(visit, status_of(error), str(error))
    if await visit.core.moves.owned_by(visit.actor):
        return await _page(visit, moved=moved)
    session = visit.session
    if await visit.console.sessions.sign_out(session):
        # Whatever came to them in this very moment.
        await visit.core.desk.hand_back_all(session.staff_id, actor_of(session), "signed out")
    return without_cookie(
        visit.go("/desk/sign-in"), secure=visit.core.settings.secure_cookies, name=visit.console.cookie
    )
