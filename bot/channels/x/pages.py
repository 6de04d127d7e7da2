"""Reads the direct messages that X holds, from the newest back to what is known, and in their order.

X lists the newest first, a hundred at a time, and 30 days back
(docs.x.com/x-api/direct-messages/lookup/introduction). It may take no more calls in the middle of that: what
was read is taken at once, since somebody may be in danger in it, and the gap below it is read next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bot.channels.x.api import XApi, XError
from bot.channels.x.budget import Budget
from bot.channels.x.inbound import ID_SHIFT, id_number, media_types

PAGE = 100
MOST_PAGES = 10
"""Of one look: what is found so far is not to wait for more."""
OVERLAP = 120_000 << ID_SHIFT
"""Two minutes of ids: what X made in time and showed late. The door drops what it has."""
FIELDS = {
    "max_results": str(PAGE),
    "event_types": "MessageCreate",
    "dm_event.fields": "id,text,event_type,dm_conversation_id,created_at,sender_id,attachments,entities",
    "expansions": "attachments.media_keys",
    "media.fields": "type",
}


@dataclass(frozen=True, slots=True)
class Gap:
    """Pages that are still to be read: from this page on, down to this number."""

    token: str | None
    floor: int


@dataclass(slots=True)
class Found:
    """What one look found, oldest first."""

    events: list[dict[str, Any]] = field(default_factory=list)
    media: dict[str, str] = field(default_factory=dict)
    newest: int | None = None
    rest: Gap | None = None
    error: XError | None = None
    """Why the rest could not be read."""


async def read_back(api: XApi, budget: Budget, gap: Gap) -> Found:
    """Read the pages of a gap, as far as X lets us.

    Raises:
        XError: not even the first page came.
    """
    found = Found()
    token, lowest = gap.token, gap.floor - OVERLAP
    for number in range(MOST_PAGES):
        try:
            page = await api.get(
                "2/dm_events", budget, **FIELDS, **({"pagination_token": token} if token else {})
            )
        except XError as error:
            if not number:
                raise
            found.error, found.rest = error, Gap(token, gap.floor)
            break
        events = [one for one in _list(page.get("data")) if isinstance(one, dict)]
        found.media.update(media_types(page.get("includes")))
        found.events += [one for one in events if (id_number(one) or 0) > lowest]
        numbers = [known for one in events if (known := id_number(one)) is not None]
        found.newest = max([*numbers, found.newest or 0]) or None
        meta = page.get("meta")
        token = str(meta["next_token"]) if isinstance(meta, dict) and meta.get("next_token") else None
        if token is None or not numbers or min(numbers) <= gap.floor:
            break
    else:
        found.rest = Gap(token, gap.floor)
    found.events.sort(key=lambda one: id_number(one) or 0)
    return found


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
