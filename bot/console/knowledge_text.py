"""One text as it is live: its facts, its history word by word, and withdrawing an answer at once."""

from __future__ import annotations

from typing import Any, Final

from sanic import HTTPResponse

from bot.console.knowledge_forms import in_words
from bot.console.knowledge_words import (
    ADDED,
    DONE,
    KIND_NAMES,
    ORIGINS,
    STATES,
    Changed,
    changes,
    fields,
    known_kind,
    path_of,
    preview,
    title_of,
)
from bot.console.visit import RELEASING, STAFF, Routes, Visit, status_of
from bot.errors import NotAllowedError, RefusedError
from bot.knowledge.studio import Version, may_review, may_write

LIST: Final = "/desk/knowledge"


def add(routes: Routes) -> None:
    """Add the routes."""
    known = f"{LIST}/text/<kind:str>/<key:str>"
    routes.get(known, text, STAFF)
    routes.get(f"{known}/history", history, RELEASING)
    routes.post(f"{known}/withdraw", withdraw, RELEASING)
    routes.post(f"{known}/restore", restore, RELEASING)


async def text(visit: Visit, kind: str, key: str) -> HTTPResponse:
    """One text as it is live, with its facts and what can be done."""
    return await show_text(visit, kind, key, done=DONE.get(visit.query("done"), ""))


async def show_text(visit: Visit, kind: str, key: str, status: int = 200, **values: Any) -> HTTPResponse:
    """The page of one text, also after something was refused there.

    Raises:
        RefusedError: there is no such text.
    """
    known_kind(kind)
    studio = visit.console.studio
    body = await studio.live_body(kind, key)
    draft = await studio.open_draft_of(kind, key)
    gone = next((one for one in await studio.withdrawn() if kind == "faq" and one.slug == key), None)
    if body is None and draft is not None and may_review(visit.actor):
        return visit.go(f"{LIST}/drafts/{draft.id}")
    if body is None:
        raise RefusedError("There is no such text. Choose one from the list.")
    if not may_review(visit.actor) and (kind != "faq" or gone is not None):
        raise NotAllowedError("Your role reads the answers that are live, and nothing else here.")
    words, problem = preview(kind, body, visit.core.content.current)
    facts = [
        (field.label if not field.under else f"{field.under}: {field.label}", said)
        for field, said in in_words(fields(visit, kind, key, body), body)
        if said and said != "No"
    ]
    return visit.page(
        "knowledge/text.html", status, tab="knowledge", room="list", kind=kind, key=key, body=body,
        title=title_of(kind, key, body, visit), kind_names=KIND_NAMES, states=STATES, draft=draft, gone=gone,
        facts=facts, words=words, words_problem=problem, may_write=may_write(visit.actor),
        may_review=may_review(visit.actor), may_go=kind in ADDED, is_risk=str(body.get("mode", "A")) == "E",
        **{"problem": "", "problem_field": "", "done": "", **values},
    )  # fmt: skip


async def history(visit: Visit, kind: str, key: str) -> HTTPResponse:
    """Every live version of a text, with what each changed; then the drafts of it that ended."""
    known_kind(kind)
    studio = visit.console.studio
    found = await studio.history(kind, key)
    ended = await studio.ended(kind, key)
    if not found and not ended:
        raise RefusedError("There is no such text. Choose one from the list.")
    newest = next((version.body for version in found if version.body is not None), None)
    versions: list[tuple[Version, list[Changed]]] = []
    for place, version in enumerate(found):
        older = found[place + 1].body if place + 1 < len(found) else None
        is_first = place + 1 == len(found)
        versions.append((version, [] if is_first else changes(visit, kind, key, older, version.body)))
    return visit.page(
        "knowledge/history.html", tab="knowledge", room="list", kind=kind, at=path_of(kind, key),
        kind_names=KIND_NAMES, title=title_of(kind, key, newest or (ended[0].body if ended else {}), visit),
        versions=versions, origins=ORIGINS, discarded=[view for view in ended if view.state == "discarded"],
    )  # fmt: skip


async def withdraw(visit: Visit, kind: str, key: str) -> HTTPResponse:
    """Take one answer away at once, with a reason: one person may."""
    why = visit.field("reason", 600)
    try:
        _must_be_answer(kind)
        await visit.console.studio.withdraw(key, visit.actor, why)
    except RefusedError as error:
        return await _refused(visit, kind, key, error, "withdraw", why)
    return visit.go(f"{path_of(kind, key)}?done=withdrawn")


async def restore(visit: Visit, kind: str, key: str) -> HTTPResponse:
    """Bring a withdrawn answer back."""
    why = visit.field("reason", 600)
    try:
        _must_be_answer(kind)
        await visit.console.studio.restore(key, visit.actor, why)
    except RefusedError as error:
        return await _refused(visit, kind, key, error, "restore", why)
    return visit.go(f"{path_of(kind, key)}?done=restored")


def _must_be_answer(kind: str) -> None:
    if kind != "faq":
        raise RefusedError("Only an answer can be withdrawn. Change the words of this text instead.")


async def _refused(
    visit: Visit, kind: str, key: str, error: RefusedError, field: str, why: str
) -> HTTPResponse:
    if visit.is_part:
        raise error
    try:
        return await show_text(
            visit, kind, key, status_of(error), problem=str(error), problem_field=field, reason=why
        )
    except RefusedError:
        raise error from None
