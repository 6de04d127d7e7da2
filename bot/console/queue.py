"""The live queue, what the caller has, and the lists of recent chats."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import asdict
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlencode

from sanic import HTTPResponse
from sqlalchemy import Row

from bot.console.lists import SHOWN
from bot.console.reading import list_recent
from bot.console.visit import ANSWERING, Routes, Visit, status_of
from bot.conversations.moves import MOST_AT_ONCE
from bot.errors import RefusedError
from bot.handover.approval import list_open
from bot.handover.queue import Filters
from bot.messages import GRADES, URGENT
from bot.store.record import now


def add(routes: Routes) -> None:
    """Add the routes."""
    routes.get("/desk/queue", queue_page, ANSWERING)
    routes.get("/desk/queue/rows", queue_rows, ANSWERING, acts=False)
    routes.post("/desk/queue/next", take_next, ANSWERING)
    routes.post("/desk/queue/hand-on", hand_on, ANSWERING)
    routes.get("/desk/recent", recent_page, ANSWERING)


def filters_of(visit: Visit) -> Filters:
    """What the address narrows the list to; a value that cannot be is left out."""
    grade, state = visit.query("grade"), visit.query("state")
    return Filters(
        grade=grade if grade in GRADES else "",
        team=visit.query("team")[:64],
        category=visit.query("category")[:8],
        channel=visit.query("channel")[:32],
        language=visit.query("language")[:8],
        state=state if state in SHOWN else "",
        takeable=visit.query("takeable") == "yes",
    )


def address_of(filters: Filters, **changed: str) -> str:
    """The part of an address that carries filters."""
    values = {**asdict(filters), "takeable": "yes" if filters.takeable else "", **changed}
    return urlencode({name: value for name, value in values.items() if value})


async def _read(visit: Visit) -> dict[str, Any]:
    actor, filters = visit.actor, filters_of(visit)
    lists = visit.console.lists
    shared, mine = await lists.shared(actor, filters), await lists.mine(actor, filters)
    others = [row for row in shared.owned if row.owner_id != actor.staff_id][: SHOWN["others"]]
    waiting = shared.waiting[: SHOWN["waiting"]]
    rows = {
        "mine": [lists.own_row(shared, mine, row, actor) for row in mine.rows if not _is_snoozed(row)],
        "waiting": lists.rows(shared, waiting, actor),
        "others": lists.rows(shared, others, actor),
    }
    shown = {name: found for name, found in rows.items() if filters.state in ("", name)}
    snoozed = [lists.own_row(shared, mine, row, actor) for row in mine.rows if _is_snoozed(row)]
    facets = list(shared.facets)
    if filters.takeable:
        facets = [one for one in facets if one.grade is None or one.grade in shared.grades]
    fitting = [one for one in facets if filters.fits(one)]
    if not shared.counts:
        shared.counts.update(_counts(visit, filters, facets, fitting))
    grouped = sum(one.count for one in shared.cards)
    totals = {
        "mine": mine.count,
        "others": shared.owned_count - mine.count,
        "waiting": sum(one.waiting for one in fitting) - grouped,
    }
    snoozed = snoozed if "mine" in shown else []
    carried = {"mine": len(mine.rows), "waiting": len(waiting), "others": len(others)}
    return {
        "lists": shown,
        "snoozed": snoozed,
        "totals": totals,
        "more": {name: max(0, totals[name] - carried[name]) for name in shown},
        "cards": shared.cards,
        "reviews": shared.reviews,
        "to_read": await _to_read(visit) if shared.replies else 0,
        "filters": filters,
        "address": address_of(filters),
        **shared.counts,
    }


async def _to_read(visit: Visit) -> int:
    """How many replies wait for the caller as a second person."""
    async with visit.core.store.read() as connection:
        found = await list_open(connection, visit.actor, visit.core.approvals.rule)
    return sum(not one.is_mine for one in found)


def _is_snoozed(row: Row[Any]) -> bool:
    until = row.snoozed_until
    return until is not None and until > now() and row.grade not in URGENT


def _counts(
    visit: Visit, filters: Filters, facets: list[Row[Any]], fitting: list[Row[Any]]
) -> dict[str, Any]:
    """The figures above the list, and what can be chosen in its filters.

    Each count follows every filter but its own, so that one sees what another choice would show.
    """

    def by(name: str) -> Counter[str]:
        found: Counter[str] = Counter()
        for one in facets:
            if filters.fits(one, leaving_out=name):
                found[getattr(one, name) or ("en" if name == "language" else "")] += one.waiting
        return found

    grades, teams = by("grade"), by("team")
    oldest: dict[str, datetime] = {}
    for one in facets:
        if one.oldest is not None and filters.fits(one, leaving_out="grade"):
            oldest[one.grade] = min(one.oldest, oldest.get(one.grade, one.oldest))
    pages = visit.console.pages
    choices: dict[str, list[tuple[str, str]]] = {
        "grade": [(grade, grade) for grade in GRADES],
        "team": sorted(
            ((key, pages.team_name(key)) for key in {*teams, filters.team} - {""}), key=lambda one: one[1]
        ),
        "category": sorted(
            ((key, pages.category_name(key)) for key in {*by("category"), filters.category} - {""}),
            key=lambda one: one[1],
        ),
        "channel": [
            (key, pages.channel_name(key)) for key in sorted({*by("channel"), filters.channel} - {""})
        ],
        "language": [
            (key, "English" if key == "en" else pages.language_name(key).removeprefix("probably "))
            for key in sorted({*by("language"), filters.language} - {""})
        ],
        "state": [("waiting", "Waiting"), ("mine", "Yours"), ("others", "With somebody else")],
    }
    return {
        "counts": [
            (grade, grades[grade], oldest.get(grade), address_of(filters, grade=grade)) for grade in GRADES
        ],
        "team_counts": [
            (name, teams[key], address_of(filters, team=key)) for key, name in choices["team"] if teams[key]
        ],
        "oldest": min((one.oldest for one in fitting if one.oldest is not None), default=None),
        "choices": choices,
    }


async def queue_page(visit: Visit) -> HTTPResponse:
    """The whole page."""
    return await _page(visit)


async def _page(visit: Visit, status: int = 200, **values: Any) -> HTTPResponse:
    teams = visit.core.content.current.teams.get("teams", {})
    found = await _read(visit)
    return _filled(
        visit,
        visit.page(
            "queue.html",
            status,
            tab="queue",
            press=secrets.token_hex(8),
            teams=[(key, team["name"]) for key, team in teams.items()],
            **values,
            **found,
        ),
    )


def _filled(visit: Visit, response: HTTPResponse) -> HTTPResponse:
    response.body = visit.console.lists.filled(response.body or b"", visit.session.csrf)
    return response


async def queue_rows(visit: Visit) -> HTTPResponse:
    """What changes on it."""
    return _filled(visit, visit.page("parts/queue-rows.html", **await _read(visit)))


async def take_next(visit: Visit) -> HTTPResponse:
    """Claim the most urgent, longest waiting chat that the caller may take."""
    found = await visit.core.moves.take_next(visit.actor, visit.field("press", 40))
    if found is not None:
        return visit.go(f"/desk/c/{found.conversation_id}{'?done=claim' if found.taken else ''}")
    problem = "Nothing waits that you may take."
    if visit.is_part:
        raise RefusedError(problem)
    return await _page(visit, 422, problem=problem)


async def hand_on(visit: Visit) -> HTTPResponse:
    """Pass the chosen chats to a team with one note, and say what became of each."""
    form = cast(Any, visit.request).form
    chosen = [
        int(one) for one in (form.getlist("chat") if form else None) or () if one.isascii() and one.isdigit()
    ]
    try:
        handed = await visit.core.moves.hand_on(
            [one for one in chosen[: MOST_AT_ONCE + 1] if one < 2**63],
            visit.actor, visit.field("team", 64), visit.field("note", 2000),
        )  # fmt: skip
    except RefusedError as error:
        if visit.is_part:
            raise
        return await _page(visit, status_of(error), problem=str(error))
    if not visit.is_part:
        return await _page(visit, handed=handed)
    response = visit.page("parts/handed.html", handed=handed)
    response.headers["HX-Trigger"] = "desk:refresh"
    return response


async def recent_page(visit: Visit) -> HTTPResponse:
    """Chats of the last two days that the assistant has, or that are closed."""
    state = "closed" if visit.query("state") == "closed" else "bot"
    async with visit.core.store.read() as connection:
        rows = await list_recent(connection, visit.actor, state)
    return visit.page("recent.html", tab="closed" if state == "closed" else "bot", state=state, rows=rows)
