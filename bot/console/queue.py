"""The live queue, what the caller has, and the lists of recent chats."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlencode

from markupsafe import Markup
from sanic import HTTPResponse
from sanic import html as html_response
from sanic.response import empty
from sqlalchemy import Row

from bot.console.lists import SHOWN, Mine, Section, Shared, first_others
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


@dataclass(frozen=True, slots=True)
class Asked:
    """What one page shows, as it was read."""

    filters: Filters
    whole: bool
    shared: Shared
    mine: Mine
    to_read: int

    @property
    def address(self) -> str:
        """The part of the page's address that brings the same again."""
        return address_of(self.filters, **(SHOW_ALL if self.whole else {}))


SHOW_ALL = {"show": "all"}


async def _ask(visit: Visit, *, refresh: bool = False) -> Asked:
    """Read what this page shows. `refresh`: the page asks by itself."""
    actor, filters, whole = visit.actor, filters_of(visit), visit.query("show") == "all"
    lists = visit.console.lists
    shared = await lists.shared(actor, filters, whole=whole, refresh=refresh)
    mine = await lists.mine(actor, filters)
    return Asked(filters, whole, shared, mine, await _to_read(visit) if shared.replies else 0)


def _rows(visit: Visit, asked: Asked) -> Section:
    """The lists and what stands above them, as HTML in which the form's token is yet to be filled in."""
    filters, shared, mine = asked.filters, asked.shared, asked.mine
    if not shared.counts:
        shared.counts.update(_counts(visit, filters, shared))
    parts = [_top(visit, asked)]
    if filters.state in ("", "mine"):
        parts.append(_mine(visit, asked))
    if filters.state in ("", "waiting"):
        parts.append(_waiting(visit, asked))
    if filters.state in ("", "others"):
        parts.append(_others(visit, asked, shared.owned_count - mine.count))
    mark = hashlib.blake2b(" ".join(part.mark for part in parts).encode(), digest_size=9).hexdigest()
    html = visit.console.pages.piece("parts/queue-rows.html", mark=mark, parts=[one.html for one in parts])
    return Section(Markup(html), mark)  # noqa: S704  made by a template that escapes


def _top(visit: Visit, asked: Asked) -> Section:
    shared = asked.shared
    found = shared.sections.get(("top", asked.to_read))
    if found is None:
        html = visit.console.pages.piece(
            "parts/queue-top.html", filters=asked.filters, to_read=asked.to_read, reviews=shared.reviews,
            cards=shared.cards, **shared.counts,
        )  # fmt: skip
        found = shared.sections["top", asked.to_read] = Section.of(html)
    return found


def _mine(visit: Visit, asked: Asked) -> Section:
    shared, mine, lists = asked.shared, asked.mine, visit.console.lists
    rows: dict[bool, list[Markup]] = {False: [], True: []}
    for row in mine.rows:
        rows[_is_snoozed(row)].append(lists.own_row(shared, mine, row, visit.actor))
    if not mine.rows:
        return Section(Markup(""), "")
    more = mine.count - len(mine.rows)
    html = visit.console.pages.piece(
        "parts/queue-mine.html", rows=rows[False], snoozed=rows[True], total=mine.count, more=more
    )
    return Section.of(html)


def _waiting(visit: Visit, asked: Asked) -> Section:
    shared = asked.shared

    def render(rows: list[Markup]) -> str:
        total = shared.counts["waiting"]
        return visit.console.pages.piece(
            "parts/queue-waiting.html", rows=rows, total=total, oldest=shared.counts["oldest"],
            is_set=asked.filters.is_set, **_more(asked, total, len(rows), "waiting"),
        )  # fmt: skip

    return visit.console.lists.section(shared, shared.waiting, visit.actor, "waiting", render)


def _others(visit: Visit, asked: Asked, total: int) -> Section:
    others = first_others(asked.shared, visit.actor, asked.whole)

    def render(rows: list[Markup]) -> str:
        more = _more(asked, total, len(rows), "others")
        return visit.console.pages.piece("parts/queue-others.html", rows=rows, total=total, **more)

    return visit.console.lists.section(asked.shared, others, visit.actor, ("others", total), render)


def _more(asked: Asked, total: int, shown: int, state: str) -> dict[str, Any]:
    """What a list says of those that it does not show: how many, and the link that shows more of them."""
    most = SHOWN[state]
    to = "" if asked.whole or shown >= most else address_of(replace(asked.filters, state=state), **SHOW_ALL)
    return {"more": max(0, total - shown), "all_of_it": to, "most": most if total > most else 0}


async def _to_read(visit: Visit) -> int:
    """How many replies wait for the caller as a second person."""
    async with visit.core.store.read() as connection:
        found = await list_open(connection, visit.actor, visit.core.approvals.rule)
    return sum(not one.is_mine for one in found)


def _is_snoozed(row: Row[Any]) -> bool:
    until = row.snoozed_until
    return until is not None and until > now() and row.grade not in URGENT


def _counts(visit: Visit, filters: Filters, shared: Shared) -> dict[str, Any]:
    """The figures above the list, and what can be chosen in its filters.

    Each count follows every filter but its own, so that one sees what another choice would show.
    """
    facets = list(shared.facets)
    if filters.takeable:
        facets = [one for one in facets if one.grade is None or one.grade in shared.grades]
    fitting = [one for one in facets if filters.fits(one)]

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
        "waiting": sum(one.waiting for one in fitting) - sum(one.count for one in shared.cards),
        "oldest": min((one.oldest for one in fitting if one.oldest is not None), default=None),
        "choices": choices,
    }


async def queue_page(visit: Visit) -> HTTPResponse:
    """The whole page."""
    return await _page(visit)


async def _page(visit: Visit, status: int = 200, **values: Any) -> HTTPResponse:
    teams = visit.core.content.current.teams.get("teams", {})
    asked = await _ask(visit)
    rows = _rows(visit, asked)
    response = visit.page(
        "queue.html",
        status,
        tab="queue",
        press=secrets.token_hex(8),
        teams=[(key, team["name"]) for key, team in teams.items()],
        rows=rows.html,
        filters=asked.filters,
        address=asked.address,
        choices=asked.shared.counts["choices"],
        **values,
    )
    response.body = _filled(visit, response.body or b"")
    return response


def _filled(visit: Visit, html: bytes) -> bytes:
    return visit.console.pages.filled(html, visit.session.csrf)


async def queue_rows(visit: Visit) -> HTTPResponse:
    """What changes on it; 204 when the page shows just that already."""
    asked = await _ask(visit, refresh=True)
    async with visit.console.precedence.behind():
        rows = _rows(visit, asked)
        if visit.query("have") == rows.mark:
            return empty()
        return html_response(_filled(visit, rows.html.encode()))


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
