"""What was live when: the releases, what each changed, and going back to one."""

from __future__ import annotations

from typing import Any, Final

from sanic import HTTPResponse

from bot.console.knowledge_words import ORIGINS, Changed, changes, named_in
from bot.console.visit import RELEASING, Routes, Visit, status_of
from bot.errors import RefusedError
from bot.knowledge.studio import Name, ReleaseView

LIST: Final = "/desk/knowledge/releases"
SHOWN: Final = 50
MOST_COMPARED: Final = 8
"""Texts of a release whose words are compared on its page; the others have their history."""


def add(routes: Routes) -> None:
    """Add the routes."""
    routes.get(LIST, page, RELEASING)
    routes.get(f"{LIST}/<release_id:int>", one, RELEASING)
    routes.post(f"{LIST}/<release_id:int>/back", go_back, RELEASING)


async def page(visit: Visit) -> HTTPResponse:
    """Every release, newest first."""
    found = await visit.console.studio.releases(SHOWN)
    return visit.page(
        "knowledge/releases.html", tab="knowledge", room="releases", origins=ORIGINS, most=SHOWN,
        releases=[(release, list(named_in(visit, release.changed))[:MOST_COMPARED]) for release in found],
    )  # fmt: skip


async def one(visit: Visit, release_id: int) -> HTTPResponse:
    """One release: what it changed, and what going back to it would undo."""
    return await _one(visit, release_id)


async def _one(visit: Visit, release_id: int, status: int = 200, **values: Any) -> HTTPResponse:
    studio = visit.console.studio
    release, live = await _release(visit, release_id)
    undone = [] if release.is_live else await studio.would_undo(release_id)
    compared = [
        (title, path, await _words(visit, name, release_id))
        for name, (title, path) in list(zip(release.changed, named_in(visit, release.changed), strict=True))[
            :MOST_COMPARED
        ]
    ]
    names = named_in(visit, [Name(each.kind, each.key) for each in undone])
    return visit.page(
        "knowledge/release.html", status, tab="knowledge", room="releases", release=release, live=live,
        origins=ORIGINS, compared=compared, rest=max(0, len(release.changed) - MOST_COMPARED),
        undone=list(zip(undone, names, strict=True)), **{"problem": "", "reason": "", **values},
    )  # fmt: skip


async def _release(visit: Visit, release_id: int) -> tuple[ReleaseView, int]:
    """A release, and the id of the one that is live."""
    found = await visit.console.studio.releases(10_000)
    release = next((each for each in found if each.id == release_id), None)
    if release is None:
        raise RefusedError("There is no such release. Choose one from the list.")
    return release, next((each.id for each in found if each.is_live), 0)


async def _words(visit: Visit, name: Name, release_id: int) -> list[Changed]:
    """What a release changed in one text."""
    found = await visit.console.studio.history(name.kind, name.key)
    for place, version in enumerate(found):
        if version.release_id == release_id:
            older = found[place + 1].body if place + 1 < len(found) else None
            return changes(visit, name.kind, name.key, older, version.body)
    return []


async def go_back(visit: Visit, release_id: int) -> HTTPResponse:
    """Make an earlier release live again."""
    why = visit.field("reason", 600)
    try:
        await visit.console.studio.roll_back(release_id, visit.actor, why, live=visit.whole("live"))
    except RefusedError as error:
        if visit.is_part:
            raise
        return await _one(visit, release_id, status_of(error), problem=str(error), reason=why)
    return visit.go("/desk/knowledge?done=back")
