"""Who else has a chat open, and who types there: the beat of a page, answered with what it shows of others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sanic import HTTPResponse
from sanic.response import empty

from bot.console.visit import ANSWERING, CHAT, Routes, Visit
from bot.errors import RefusedError
from bot.handover.viewing import Viewer

_TYPING = {"yes": True, "no": False}


def add(routes: Routes) -> None:
    """Add the route. A beat is no sign of a hand: it does not put off the idle lock."""
    routes.post(f"{CHAT}/viewing", viewing, ANSWERING, acts=False)


async def viewing(visit: Visit, conversation_id: int) -> HTTPResponse:
    """A page shows this chat, or with `leave` shows it no more."""
    left = visit.field("leave", 20)
    if left:
        if not (left.isascii() and left.isdigit()):
            raise RefusedError("This page is not up to date. Load it again.")
        await visit.core.views.leave(conversation_id, visit.actor, int(left))
        return empty()
    typing = _TYPING.get(visit.field("typing", 3))
    seen = await visit.core.views.beat(conversation_id, visit.actor, typing=typing)
    return visit.page("parts/viewers.html", stamp=seen.stamp, **shown(seen.others))


def shown(others: Sequence[Viewer]) -> dict[str, Any]:
    """What the part needs; `again` is in how many seconds somebody may have stopped typing, or 0."""
    typing = [one for one in others if one.typing_seconds]
    looking = [one.name for one in others if not one.typing_seconds]
    return {
        "typing": sentence([one.name for one in typing], "is typing", "are typing"),
        "looking": sentence(looking, "has this chat open", "have this chat open"),
        "names": [one.name for one in others],
        "again": math.ceil(min((one.typing_seconds for one in typing), default=0.0)),
    }


def sentence(names: Sequence[str], one: str, several: str) -> str:
    """Who does something, as a sentence; nothing when nobody does."""
    if not names:
        return ""
    if len(names) == 1:
        return f"{names[0]} {one}."
    return f"{', '.join(names[:-1])} and {names[-1]} {several}."
