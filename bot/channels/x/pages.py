"""Reads what X lists for us, from the newest back to what is known, and in its order.

X lists the newest first, a hundred at a time: direct messages 30 days back
(docs.x.com/x-api/direct-messages/lookup/introduction), posts that mention us up to 800, and of those only what
came after the post that we name (docs.x.com/x-api/posts/timelines/integrate). It may take no more calls in the
middle of that: what was read is taken at once, since somebody may be in danger in it, and the gap below it is
read next.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
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
POST_FIELDS = {
    "max_results": str(PAGE),
    "tweet.fields": (
        "id,text,note_tweet,author_id,conversation_id,created_at,in_reply_to_user_id,referenced_tweets,"
        "edit_history_tweet_ids,attachments,entities"
    ),
    "expansions": "attachments.media_keys",
    "media.fields": "type",
}


@dataclass(frozen=True, slots=True)
class Source:
    """One of X's lists."""

    path: str
    fields: Mapping[str, str]
    takes_since: bool = False
    """It leaves out what is older than a number, so that nobody pays for it twice."""


DIRECT = Source("2/dm_events", FIELDS)


def mentions_of(user_id: str) -> Source:
    """The posts that mention an account."""
    return Source(f"2/users/{user_id}/mentions", POST_FIELDS, takes_since=True)


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


async def read_back(api: XApi, budget: Budget, gap: Gap, source: Source = DIRECT) -> Found:
    """Read the pages of a gap, as far as X lets us.

    Raises:
        XError: not even the first page came.
    """
    found = Found()
    token, lowest = gap.token, gap.floor - OVERLAP
    since = {"since_id": str(max(lowest, 1))} if source.takes_since else {}
    for number in range(MOST_PAGES):
        try:
            page = await api.get(
                source.path,
                budget,
                **source.fields,
                **since,
                **({"pagination_token": token} if token else {}),
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


class Reader:
    """One list, and what this gateway has read of it since it holds the lease."""

    def __init__(self, api: XApi, budget: Budget, source: Source = DIRECT) -> None:
        self._api = api
        self._budget = budget
        self._source = source
        self.read_to: int | None = None
        """The newest that was handed on."""
        self.gaps: list[Gap] = []
        """What is still to be read below it."""

    def forget(self) -> None:
        """Begin at the bookmark again: what was handed on since may not be stored."""
        self.read_to, self.gaps = None, []

    async def read(
        self, bookmark: int, take: Callable[[Found], Awaitable[None]]
    ) -> tuple[bool, XError | None]:
        """From the newest down to what is known, then the gaps of before; `take` gets each as it comes.

        Returns whether anything came, and what kept the rest from coming. Whatever `take` raises ends it.
        """
        floor = self.read_to if self.read_to is not None else bookmark
        todo, left = [Gap(None, floor), *self.gaps], list[Gap]()
        came, error, is_stale = False, None, False
        while todo and error is None:
            gap = todo.pop(0)
            try:
                found = await read_back(self._api, self._budget, gap, self._source)
            except XError as failure:
                error = failure
                # The newest are looked at anew each time; a gap would be forgotten.
                left += [gap] if gap.token is not None else []
                # X may not know the mark of a page for ever.
                is_stale = gap.token is not None and error.kind == "refused"
                break
            await take(found)
            came, error = True, found.error
            if gap.token is None:
                self.read_to = max(found.newest or 0, floor)
            left += [found.rest] if found.rest is not None else []
        self.gaps = [*left, *todo]
        if is_stale:
            # From the newest down to the bookmark once more; it has not moved.
            self.forget()
        return came, error


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
