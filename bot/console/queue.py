"""The live queue, what the caller has, and the lists of recent chats."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlencode

from sanic import HTTPResponse
from sqlalchemy import Row

from bot.console import measures, surges
from bot.console.pages import CHANNELS
from bot.console.reading import last_words, list_recent, what_can
from bot.console.visit import ANSWERING, Routes, Visit, status_of
from bot.conversations.moves import MOST_AT_ONCE
from bot.errors import RefusedError
from bot.handover.labels import labels_of
from bot.handover.queue import Filters, count_facets, count_owned, grades_of, list_queue
from bot.handover.sensitive import Sensitive, reasons_needed
from bot.messages import GRADES, URGENT
from bot.store.record import latest_cursor, now

SHOWN = {"mine": 100, "waiting": 200, "others": 50}
"""How many rows of each list a page carries; it says how many more there are."""


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
    lists: dict[str, list[Row[Any]]] = {}
    async with visit.core.store.read() as connection:
        cursor = await latest_cursor(connection)
        for name, limit in SHOWN.items():
            if filters.state in ("", name):
                lists[name] = await list_queue(
                    connection, actor, filters=filters, state=name, limit=limit, grouped=name == "waiting"
                )
        rows = [row for found in lists.values() for row in found]
        unread = await reasons_needed(connection, rows, actor, Sensitive.of(visit.core.content.current.teams))
        worn = await labels_of(connection, [row.id for row in rows])
        facets = await count_facets(connection, actor)
        mine, others = await count_owned(connection, actor, filters)
        grades = await grades_of(connection, actor)
        cards = [] if filters.is_set else await surges.cards(connection, actor)
        reviews = await measures.due_reviews(connection, actor)
    if filters.takeable:
        facets = [one for one in facets if one.grade is None or one.grade in grades]
    fitting = [one for one in facets if filters.fits(one)]
    grouped = sum(one.count for one in cards)
    totals = {"mine": mine, "others": others, "waiting": sum(one.waiting for one in fitting) - grouped}
    shown = {name: [_shown(visit, row, grades, unread) for row in found] for name, found in lists.items()}
    for one in (one for found in shown.values() for one in found):
        one["labels"] = worn.get(one["row"].id, [])
    snoozed = [one for one in shown.get("mine", ()) if _is_snoozed(one["row"])]
    if snoozed:
        shown["mine"] = [one for one in shown["mine"] if one not in snoozed]
    return {
        "lists": shown,
        "snoozed": snoozed,
        "totals": totals,
        "more": {name: max(0, totals[name] - len(found)) for name, found in lists.items()},
        "cards": cards,
        "reviews": reviews,
        "cursor": f"{cursor[0]}.{cursor[1]}",
        "filters": filters,
        "address": address_of(filters),
        **_counts(visit, filters, facets, fitting),
    }


def _shown(visit: Visit, row: Row[Any], grades: frozenset[str], unread: Collection[int]) -> dict[str, Any]:
    can = what_can(row, visit.actor)
    return {
        "row": row,
        "can": can,
        "may_take": row.grade is None or row.grade in grades or row.grade in URGENT,
        "movable": row.grade not in URGENT and (row.state == "waiting" or can.own),
        "last": last_words(row),
        **why_here(row),
        # Words of a sensitive chat are shown to those only who may read it.
        **({"last": "", "words": [], "asks": True} if row.id in unread else {}),
    }


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
            (key, CHANNELS.get(key, key.capitalize()))
            for key in sorted({*by("channel"), filters.channel} - {""})
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
    return await _page(visit)


async def _page(visit: Visit, status: int = 200, **values: Any) -> HTTPResponse:
    teams = visit.core.content.current.teams.get("teams", {})
    return visit.page(
        "queue.html",
        status,
        tab="queue",
        press=secrets.token_hex(8),
        teams=[(key, team["name"]) for key, team in teams.items()],
        **values,
        **await _read(visit),
    )


async def queue_rows(visit: Visit) -> HTTPResponse:
    """What changes on it."""
    return visit.page("parts/queue-rows.html", **await _read(visit))


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
