"""The second person: what waits for a review, what it changes word by word, and whether it goes live."""

from __future__ import annotations

from typing import Any, Final

from sanic import HTTPResponse

from bot.console.knowledge_words import (
    KIND_NAMES,
    STATES,
    fields,
    help_with,
    path_of,
    plain_changes,
    title_of,
    told_at,
    zone_of,
)
from bot.console.visit import RELEASING, Routes, Visit, status_of
from bot.errors import RefusedError
from bot.knowledge.studio import DraftView, Finding, is_senior, may_write
from bot.store.record import now

LIST: Final = "/desk/knowledge/review"
DONE: Final = {
    "sent": "It waits for a second person now.",
    "back": "It went back to its writers, with your reason.",
    "later": "It is approved. It goes live by itself at its time.",
}


def add(routes: Routes) -> None:
    """Add the routes."""
    routes.get(LIST, page, RELEASING)
    routes.get(f"{LIST}/<draft_id:int>", one, RELEASING)
    routes.post(f"{LIST}/<draft_id:int>/approve", approve, RELEASING)
    routes.post(f"{LIST}/<draft_id:int>/send-back", send_back, RELEASING)


async def page(visit: Visit) -> HTTPResponse:
    """What waits for a second person, what waits for its time, and what is being written."""
    found = await visit.console.studio.drafts("in_review", "approved", "draft")
    titled = [(view, _title(visit, view), _why_not(visit, view)) for view in found]
    return visit.page(
        "knowledge/reviews.html", tab="knowledge", room="review", kind_names=KIND_NAMES, states=STATES,
        groups=[
            ("Wait for a second person", [line for line in titled if line[0].state == "in_review"], "Nothing waits."),
            ("Approved, wait for their time", [line for line in titled if line[0].state == "approved"], ""),
            ("Being written", [line for line in titled if line[0].state == "draft"], ""),
        ],
    )  # fmt: skip


def _title(visit: Visit, view: DraftView) -> str:
    return title_of(view.kind, view.key, view.body, visit)


def _why_not(visit: Visit, view: DraftView) -> str:
    """Why the reader cannot approve it, as a sentence; empty: they can."""
    own = visit.session.staff_id
    if own == view.created_by.id or any(own == who.id for who in view.authors):
        return "You wrote in it. Somebody who did not write in it approves it."
    if view.submitted_by is not None and own == view.submitted_by.id:
        return "You sent it for review. Somebody else approves it."
    if view.needs_senior and not is_senior(visit.actor):
        return "It holds safety words. A supervisor or an administrator approves it."
    return ""


async def one(visit: Visit, draft_id: int) -> HTTPResponse:
    """One draft beside what is live."""
    return await _one(visit, draft_id, done=DONE.get(visit.query("done"), ""))


async def _one(visit: Visit, draft_id: int, status: int = 200, **values: Any) -> HTTPResponse:
    studio = visit.console.studio
    view = await studio.draft(draft_id)
    is_open = view.state in ("draft", "in_review", "approved")
    found: list[Finding] = await studio.findings(draft_id) if is_open else []
    return visit.page(
        "knowledge/review.html", status, tab="knowledge", room="review", view=view, kind_names=KIND_NAMES,
        states=STATES, title=_title(visit, view), at=path_of(view.kind, view.key), is_open=is_open,
        changed=plain_changes(visit, view) if is_open else [], why_not=_why_not(visit, view),
        help=help_with(visit, view.kind, view.body, found, fields(visit, view.kind, view.key, view.body)),
        may_write=may_write(visit.actor), today=now().astimezone(zone_of(visit)).date().isoformat(),
        **{"problem": "", "problem_field": "", "done": "", "given": {}, **values},
    )  # fmt: skip


async def approve(visit: Visit, draft_id: int) -> HTTPResponse:
    """Make it live now, or at a time."""
    why = visit.field("why", 600)
    field = "when"
    try:
        moment = told_at(visit)
        field = "why"
        view = await visit.console.studio.approve(
            draft_id, visit.actor, visit.whole("version"), why=why, at=moment
        )
    except RefusedError as error:
        return await _again(visit, draft_id, error, field)
    if view.state == "approved":
        return visit.go(f"{LIST}/{draft_id}?done=later")
    if view.is_deletion:
        return visit.go(f"/desk/knowledge?kind={view.kind}&done=live")
    return visit.go(f"{path_of(view.kind, view.key)}?done=live")


async def send_back(visit: Visit, draft_id: int) -> HTTPResponse:
    """Give it back to its writers, with a reason."""
    try:
        await visit.console.studio.send_back(
            draft_id, visit.actor, visit.whole("version"), visit.field("reason", 600)
        )
    except RefusedError as error:
        return await _again(visit, draft_id, error, "reason")
    return visit.go(f"{LIST}/{draft_id}?done=back")


async def _again(visit: Visit, draft_id: int, error: RefusedError, field: str) -> HTTPResponse:
    """The page again, with why it was not done and what was typed."""
    if visit.is_part:
        raise error
    given = {
        "why": visit.field("why", 600), "reason": visit.field("reason", 600), "when": visit.field("when", 8),
        "day": visit.field("day", 10), "time": visit.field("time", 5),
    }  # fmt: skip
    return await _one(visit, draft_id, status_of(error), problem=str(error), problem_field=field, given=given)
