"""Asks Telegram for news (long polling), for a force whose gateway cannot be reached from outside.

One gateway asks, by a lease in SQL of ten seconds. An update is confirmed (by asking for those
above it) only after the door's commit of it and of all before it, so a gateway that dies loses
nothing: the next one is given the same updates, and the door drops what it has.

While the database is away nothing is confirmed, and Telegram keeps everything. For whoever is in
danger meanwhile somebody must go on reading:

- The gateway that held the lease last goes on asking, slowly; the door sends the words of a P1.
- A gateway that knows of another holder waits, and begins to read too after half a minute: the
  holder may have died with the database. If both live, Telegram ends one of the two requests (409),
  and that gateway steps back for as long again.
- A gateway that never saw the database since its start cannot know of any holder. It begins after
  at most two seconds; if several do, 409 sorts them out in the same way.

The words may so be sent twice, by two gateways: a repeat is allowed, a gap is not. Telegram shows
the first hundred unconfirmed updates only, so in a long outage those behind them wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import Any

import structlog
from telegram.error import Conflict, InvalidToken, TelegramError

from bot.channels.lease import PollLease
from bot.channels.telegram.api import BusyError, TelegramBot, said
from bot.channels.telegram.inbound import ALLOWED
from bot.channels.telegram.intake import Intake
from bot.channels.telegram.profile import set_profile
from bot.errors import StoreUnavailableError

log = structlog.get_logger(__name__)

LEASE_SECONDS = 10.0
"""Shorter than a turn's: a P1 must not wait long for the next gateway after a crash."""
LOOK_SECONDS = 1.0
SAFE_PAUSE_SECONDS = 2.0
"""Between two looks at updates that cannot be confirmed: Telegram gives them at once, every time."""
STRANGER_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 30.0
TOKEN_REFUSED_SECONDS = 60.0
FULL = 100
_random = random.SystemRandom()


class Poller:
    """The news of one bot, for one gateway."""

    def __init__(self, bot: TelegramBot, intake: Intake, lease: PollLease, lease_seconds: float) -> None:
        self._bot = bot
        self._intake = intake
        self._lease = lease
        self._wait = max(1, int(lease_seconds * 0.4))
        self._offset: int | None = None
        self._failures = 0
        self._prepared = False
        self._saw_store = False
        self._was_holder = False
        self._may_read_from: float | None = None
        """While the database is away: the moment (monotonic) from which this gateway reads too."""

    async def run(self) -> None:
        """Ask until cancelled; then let another gateway go on at once."""
        try:
            while True:
                try:
                    await self._round()
                except StoreUnavailableError:
                    log.warning("telegram.store_unavailable")
                except Exception:
                    log.exception("telegram.poll_failed")
                    await asyncio.sleep(LOOK_SECONDS)
        finally:
            with contextlib.suppress(StoreUnavailableError, TimeoutError):
                async with asyncio.timeout(2):
                    await self._lease.give_back()

    async def _round(self) -> None:
        try:
            is_ours = await self._lease.hold()
        except StoreUnavailableError:
            await self._without_store()
            return
        self._saw_store, self._was_holder, self._may_read_from = True, is_ours, None
        if not is_ours:
            # Who asks meanwhile confirms for itself: kept for long, ours could confirm what nobody has read.
            self._offset = None
            await asyncio.sleep(LOOK_SECONDS)
            return
        if not await self._prepare():
            return
        updates = await self._ask(self._wait)
        if updates:
            await self._take(updates)

    async def _take(self, updates: list[dict[str, Any]]) -> None:
        """Put them through the door; only then is the next question one that confirms them.

        Raises:
            StoreUnavailableError: nothing was kept, so nothing is confirmed.
        """
        try:
            await self._intake.take(updates)
        except StoreUnavailableError:
            if len(updates) >= FULL:
                log.error("telegram.more_wait_unread", seen=len(updates))
            await asyncio.sleep(SAFE_PAUSE_SECONDS)
            raise
        numbers = [u["update_id"] for u in updates if isinstance(u.get("update_id"), int)]
        if numbers:
            self._offset = max(numbers) + 1

    # ---- without the database ------------------------------------------------------------------

    async def _without_store(self) -> None:
        if self._may_read_from is None:
            self._may_read_from = time.monotonic() + self._patience()
        if not self._was_holder and time.monotonic() < self._may_read_from:
            await asyncio.sleep(LOOK_SECONDS / 2)
            return
        if not await self._prepare():
            return
        updates = await self._ask(1, safe=True)
        if updates:
            await self._take(updates)
        else:
            await asyncio.sleep(SAFE_PAUSE_SECONDS)

    def _patience(self) -> float:
        if not self._saw_store:
            return 2 * _random.random()
        return STRANGER_SECONDS * (1 + _random.random())

    # ---- asking --------------------------------------------------------------------------------

    async def _ask(self, wait_seconds: int, *, safe: bool = False) -> list[dict[str, Any]] | None:
        """One question. None: it failed, and we have waited as long as that calls for."""
        try:
            updates = await self._bot.raw_updates(self._offset, wait_seconds, ALLOWED)
        except Conflict as error:
            await self._conflict(error, safe=safe)
        except TelegramError as error:
            await self._failed(error)
        else:
            self._failures = 0
            # Once asked with, it has done its work. Kept on, it would confirm unread what comes after
            # a quiet week, when Telegram's numbers begin anew, and lower (bots/api#update).
            self._offset = None
            return updates
        return None

    async def _conflict(self, error: Conflict, *, safe: bool) -> None:
        log.warning("telegram.conflict", reason=said(error))
        if "webhook" in str(error).casefold():
            self._prepared = False
        if safe:
            # Somebody else reads, so nobody waits in vain. We step back, the last holder too.
            self._was_holder = False
            self._may_read_from = time.monotonic() + STRANGER_SECONDS * (1 + _random.random())
        else:
            self._failures += 1
            await asyncio.sleep(min(10.0, self._failures) * (0.5 + _random.random()))

    async def _failed(self, error: TelegramError) -> None:
        self._failures += 1
        if isinstance(error, InvalidToken):
            log.error("telegram.token_refused")
            pause = TOKEN_REFUSED_SECONDS
        elif isinstance(error, BusyError):
            pause = error.seconds
        else:
            pause = min(LONGEST_PAUSE_SECONDS, 0.5 * 2 ** min(self._failures, 8))
            log.warning("telegram.poll_again", reason=said(error), failures=self._failures)
        if self._failures >= 3:
            # Another gateway may have a way to Telegram where ours has none.
            with contextlib.suppress(StoreUnavailableError):
                await self._lease.give_back()
        await asyncio.sleep(pause)

    async def _prepare(self) -> bool:
        """Once: end a webhook of before (Telegram keeps what waits), and say who we are."""
        if self._prepared:
            return True
        try:
            await self._bot.delete_webhook(drop_pending_updates=False)
        except TelegramError as error:
            await self._failed(error)
            return False
        self._prepared = True
        await set_profile(self._bot, self._intake.content)
        return True
