"""Asks X for the posts that mention us: by the gateway that asks for messages, in looks of their own.

`GET /2/users/:id/mentions` (docs.x.com/x-api/posts/timelines/quickstart/user-mention-quickstart), 300 looks in
15 minutes for one account (docs.x.com/x-api/fundamentals/rate-limits). X charges for what a look returns, so
each names the post up to which all is stored (`since_id`). Looks go on where X calls us too: its event may not
come, and X repeats none. How far is read is a bookmark in SQL, as for messages (`polling.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from bot.channels.x.api import XApi, XError
from bot.channels.x.budget import Budget
from bot.channels.x.intake import Intake
from bot.channels.x.options import Options
from bot.channels.x.pages import Found, Gap, Reader, mentions_of, read_back
from bot.channels.x.state import State
from bot.errors import StoreUnavailableError

log = structlog.get_logger(__name__)

LONGEST_PAUSE_SECONDS = 120.0
REFUSED_SECONDS = 60.0
TOGETHER = 50
"""Posts of one transaction: who is in danger among many is not to wait for all of them."""


class MentionLooks:
    """The posts that mention one account, for one gateway. It is asked to look by whoever holds the lease."""

    def __init__(
        self, api: XApi, intake: Intake, state: State, options: Options, first_look: Callable[[], int],
        may_look: Callable[[], bool],
    ) -> None:  # fmt: skip
        """`first_look`: from which number on the very first look reads. `may_look`: they may be answered yet."""
        self._api = api
        self._intake = intake
        self._state = state
        self._options = options
        self._first_look = first_look
        self._may_look = may_look
        self._budget = Budget()
        self._source = mentions_of(options.user_id)
        self._reader = Reader(api, self._budget, self._source)
        self._bookmark: int | None = None
        self._look_at = 0.0
        self._failures = 0

    def forget(self) -> None:
        """Begin at the bookmark again: what was handed on since may not be stored."""
        self._reader.forget()

    async def follow(self) -> None:
        """Another gateway looks: know how far it is, should the database go away.

        Raises:
            StoreUnavailableError: the database does not answer.
        """
        self._bookmark = await self._state.bookmark("mentions")

    async def look(self) -> None:
        """Read what is new, if it is time, hand it on, and only then move the bookmark.

        Raises:
            StoreUnavailableError: nothing was kept, so no bookmark moves.
        """
        if time.monotonic() < self._look_at or not self._may_look():
            return
        self._look_at = time.monotonic() + self._rest()
        await self.follow()
        came, error = await self._reader.read(self._floor(), self._take)
        if came:
            # A gap that is left is read at the next look; the bookmark waits for it.
            await self._state.works("mentions", None if self._reader.gaps else self._reader.read_to)
        if error is None:
            self._failures = 0
            self._look_at = time.monotonic() + self._rest()
        else:
            await self._failed(error)

    async def look_for_danger(self) -> None:
        """The database is away. Hand on what came since the bookmark; the next look reads it again."""
        if time.monotonic() < self._look_at or not self._may_look():
            return
        self._look_at = time.monotonic() + self._rest()
        try:
            found = await read_back(self._api, self._budget, Gap(None, self._floor()), self._source)
        except XError as error:
            self._look_at = time.monotonic() + self._pause(error)
            return
        await self._take(found)

    async def _take(self, found: Found) -> None:
        """Hand on what was found, oldest first.

        Raises:
            StoreUnavailableError: from some post on nothing was kept. Whoever is in danger was told.
        """
        away: StoreUnavailableError | None = None
        for place in range(0, len(found.events), TOGETHER):
            arrivals = self._intake.mentions(found.events[place : place + TOGETHER], found.media)
            if away is not None:
                await self._intake.tell(arrivals)
                continue
            try:
                await self._intake.keep(arrivals)
            except StoreUnavailableError as error:
                away = error
        if away is not None:
            raise away

    def _floor(self) -> int:
        return self._bookmark if self._bookmark is not None else self._first_look()

    async def _failed(self, error: XError) -> None:
        log.warning("x.mentions_again", reason=str(error), failures=self._failures + 1)
        self._look_at = time.monotonic() + self._pause(error)
        if error.kind != "busy":
            await self._state.in_trouble("mentions", str(error))

    def _pause(self, error: XError) -> float:
        """Until the next look after one that failed."""
        self._failures += 1
        if error.kind == "busy":
            return error.seconds
        if error.kind in ("token", "plan"):
            return REFUSED_SECONDS
        return min(LONGEST_PAUSE_SECONDS, 2.0 ** min(self._failures, 8))

    def _rest(self) -> float:
        """Between two looks, at least: the looks that X leaves us are to last."""
        return max(self._options.poll_seconds, self._budget.even_pace())
