"""Asks X for direct messages: all of them where X calls nobody, else what its calls may have missed.

One gateway asks, by a lease in SQL of ten seconds (`bot/channels/lease.py`). How far the messages are read is
a bookmark in SQL, set only after the door's commit of everything up to it, so a gateway that dies loses
nothing: the next one begins at the bookmark, and the door drops what it has. X lists 30 days back.

X lets one account look 15 times in 15 minutes (docs.x.com/x-api/fundamentals/rate-limits), so a message
is seen after a minute. The looks that are left are spread over what is left of the window, as the
headers of each answer tell it. Where X calls us, a look every five minutes finds what no call brought:
then the webhook does not work, the desk says so, and the looks come as fast as without one.

While the database is away the gateway that looked last goes on, for whoever is in danger: the door sends
the words of a P1, and no bookmark moves. Another gateway waits, and begins too after some minutes, since
the first may have died with the database; one that never saw the database begins at once. Unlike other
platforms X does not say that somebody else is asking. So the words may be sent twice, by two gateways:
a repeat is allowed, a gap is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta

import structlog
from sqlalchemy import select

from bot.channels.lease import PollLease
from bot.channels.x.api import XApi, XError
from bot.channels.x.budget import Budget
from bot.channels.x.inbound import NAME, Json, Read, first_id_at, read_page
from bot.channels.x.intake import Intake
from bot.channels.x.looking import MentionLooks
from bot.channels.x.options import Options
from bot.channels.x.pages import Found, Gap, Reader, read_back
from bot.channels.x.registration import Registration
from bot.channels.x.state import Progress, State
from bot.errors import StoreUnavailableError
from bot.messages import Incoming
from bot.store import Store
from bot.store.record import now
from bot.store.tables import Message

log = structlog.get_logger(__name__)

LEASE_SECONDS = 10.0
LOOK_SECONDS = 1.0
SWEEP_SECONDS = 300.0
"""Between two looks while X calls us."""
REGISTER_SECONDS = 300.0
FIRST_LOOK = timedelta(hours=1)
"""How far back the very first look goes: nobody expects an answer to older messages from a new service."""
CALL_WITHIN = timedelta(minutes=2)
"""A message that no call brought in so long was missed."""
MISSED = "X did not bring messages that it has"
TOGETHER = 50
"""Messages of one transaction, but for one long chat: who is in danger among many is not to wait for all of them."""
STRANGER_SECONDS = 120.0
LONGEST_PAUSE_SECONDS = 120.0
REFUSED_SECONDS = 60.0
_random = random.SystemRandom()


class Poller:
    """The news of one account, for one gateway."""

    def __init__(
        self,
        api: XApi,
        intake: Intake,
        lease: PollLease,
        state: State,
        store: Store,
        options: Options,
        lease_seconds: float = LEASE_SECONDS,
        mentions: MentionLooks | None = None,
    ) -> None:
        self._api = api
        self._intake = intake
        self._lease = lease
        self._state = state
        self._store = store
        self._options = options
        self._mentions = mentions
        """Where posts that mention us are read too: by the same gateway, in looks of their own."""
        self._registration = Registration(api, options) if options.webhook_url else None
        self._step = lease_seconds * 0.3
        self._budget = Budget()
        self._bookmark: int | None = None
        self._first: int | None = None
        """From where the first look of all reads."""
        """As the record had it last."""
        self._reader = Reader(api, self._budget)
        self._works_since = now()
        """From when on X's calls could be taken, as far as this gateway knows."""
        self._look_at = self._register_at = 0.0
        """When to look, and to look after the webhook, next (monotonic)."""
        self._is_called = self._registration is not None
        """X calls us, as far as is known."""
        self._failures = 0
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
                    log.warning("x.store_unavailable")
                    self._forget()
                    await asyncio.sleep(self._step)
                except Exception:
                    log.exception("x.poll_failed")
                    self._forget()
                    self._look_at = time.monotonic() + self._rest()
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
        is_new = is_ours and not self._was_holder
        self._saw_store, self._was_holder, self._may_read_from = True, is_ours, None
        if not is_ours or is_new:
            self._forget()
        if not is_ours:
            # What the other gateway has read is not read again, should the database go away.
            self._bookmark = await self._state.bookmark()
            if self._mentions is not None:
                await self._mentions.follow()
            await asyncio.sleep(LOOK_SECONDS)
            return
        await self._work()
        await asyncio.sleep(self._step)

    async def _work(self) -> None:
        if self._registration is not None and time.monotonic() >= self._register_at:
            await self._look_after_webhook(self._registration)
        if time.monotonic() >= self._look_at:
            await self._look()
        if self._mentions is not None:
            await self._mentions.look()

    def _forget(self) -> None:
        """Begin at the bookmark again: what was handed on since may not be stored."""
        self._reader.forget()
        self._works_since = now()
        if self._mentions is not None:
            self._mentions.forget()

    # ---- one look ------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Read what is new, hand it on, and only then move the bookmark.

        Raises:
            StoreUnavailableError: nothing was kept, so no bookmark moves.
        """
        self._bookmark = await self._state.bookmark()
        # Whatever becomes of it: a look that is made again and again at once would use up what X allows.
        self._look_at = time.monotonic() + self._rest()
        came, error = await self._reader.read(self._floor(), self._take)
        if error is None:
            self._failures = 0
            self._look_at = time.monotonic() + self._pause()
        if came:
            # A gap that is left is read at the next look; the bookmark waits for it.
            await self._state.works("poll", None if self._reader.gaps else self._reader.read_to)
        if error is not None:
            await self._failed(error)

    async def _take(self, found: Found, *, compare: bool = True) -> None:
        """Hand on what was found, oldest first.

        Raises:
            StoreUnavailableError: from some message on nothing was kept. Whoever is in danger was told.
        """
        away: StoreUnavailableError | None = None
        for events in by_chat(found.events, TOGETHER):
            read = read_page(events, found.media, self._options.user_id)
            if away is not None:
                await self._intake.warn(read)
                continue
            if self._registration is not None and self._is_called and compare:
                with contextlib.suppress(StoreUnavailableError):
                    await self._compare(read)
            try:
                await self._intake.take(read)
            except StoreUnavailableError as error:
                away = error
        if away is not None:
            raise away

    def _floor(self) -> int:
        if self._bookmark is not None:
            return self._bookmark
        # Once: or what waits while the first looks fail would slide out of sight.
        if self._first is None:
            self._first = first_id_at(now() - FIRST_LOOK)
        return self._first

    async def _compare(self, read: Read) -> None:
        """Whether X's calls have brought what it lists: of what was written since we could take calls."""
        now_due = now() - CALL_WITHIN
        written = [
            one.message_id
            for one in read.arrivals
            if isinstance(one, Incoming)
            and one.platform_time is not None
            and self._works_since < one.platform_time < now_due
        ]
        if not written:
            return
        async with self._store.read() as connection:
            found = await connection.execute(
                select(Message.platform_id).where(Message.channel == NAME, Message.platform_id.in_(written))
            )
            missed = set(written) - set(found.scalars())
        if missed:
            log.error("x.not_called", count=len(missed))
            self._is_called = False
            await self._state.in_trouble("webhook", MISSED)

    async def _failed(self, error: XError) -> None:
        self._failures += 1
        log.warning("x.poll_again", reason=str(error), failures=self._failures)
        pause = min(LONGEST_PAUSE_SECONDS, 2.0 ** min(self._failures, 8))
        if error.kind == "busy":
            pause = error.seconds
        elif error.kind in ("token", "plan"):
            pause = REFUSED_SECONDS
        self._look_at = time.monotonic() + pause
        if error.kind != "busy":
            await self._state.in_trouble("poll", str(error))
        if self._failures >= 3 and error.kind in ("not_sent", "no_answer"):
            # Another gateway may have a way to X where ours has none.
            await self._lease.give_back()

    def _pause(self) -> float:
        """Until the next look."""
        return max(SWEEP_SECONDS, self._rest()) if self._is_called else self._rest()

    def _rest(self) -> float:
        """Between two looks, at least: the looks that X leaves us are to last."""
        return max(self._options.poll_seconds, self._budget.even_pace())

    def _look_soon(self) -> None:
        """Look in a moment, if not before; but not while X asks us to wait."""
        pause = max(self._options.poll_seconds, self._budget.closed_for)
        self._look_at = min(self._look_at, time.monotonic() + pause)

    # ---- the webhook ---------------------------------------------------------------------------

    async def _look_after_webhook(self, registration: Registration) -> None:
        try:
            why = await registration.look()
        except XError as error:
            why = f"it cannot be seen whether X calls us: {error}"
            self._register_at = time.monotonic() + max(REFUSED_SECONDS, error.seconds)
        else:
            self._register_at = time.monotonic() + (REFUSED_SECONDS if why else REGISTER_SECONDS)
        before = (await self._state.read())["webhook"]
        if why is None and before.trouble == MISSED and not _called_since(before):
            why = MISSED
        self._is_called = why is None
        if why is not None:
            log.warning("x.webhook_does_not_work")
            self._look_soon()
            await self._state.in_trouble("webhook", why)
        elif before.trouble is not None:
            await self._state.is_mended("webhook")

    # ---- without the database ------------------------------------------------------------------

    async def _without_store(self) -> None:
        if self._may_read_from is None:
            self._may_read_from = time.monotonic() + self._patience()
            if self._was_holder:
                # Somebody may have written since the last look.
                self._look_soon()
        may_read = self._was_holder or time.monotonic() >= self._may_read_from
        if may_read and time.monotonic() >= self._look_at:
            await self._look_for_danger()
        if may_read and self._mentions is not None:
            await self._mentions.look_for_danger()
        await asyncio.sleep(self._step)

    async def _look_for_danger(self) -> None:
        """Hand on what came since the bookmark; nothing can be kept, and the next look reads it again."""
        self._look_at = time.monotonic() + self._rest()
        try:
            found = await read_back(self._api, self._budget, Gap(None, self._floor()))
        except XError as error:
            log.warning("x.poll_again", reason=str(error), failures=self._failures)
            if error.kind == "busy":
                self._look_at = time.monotonic() + error.seconds
            return
        await self._take(found, compare=False)

    def _patience(self) -> float:
        if not self._saw_store:
            return 2 * _random.random()
        return STRANGER_SECONDS * (1 + _random.random())


def by_chat(events: Sequence[Json], most: int) -> Iterator[list[Json]]:
    """Events in groups of so many, each chat in one: an answer that somebody else gave counts before ours.

    It may stand behind a person's message by hundreds of others, and the turn begins with the commit.
    """
    chats: dict[str, list[Json]] = {}
    for event in events:
        chats.setdefault(str(event.get("dm_conversation_id")), []).append(event)
    group: list[Json] = []
    for chat in chats.values():
        if group and len(group) + len(chat) > most:
            yield group
            group = []
        group = [*group, *chat]
    if group:
        yield group


def _called_since(webhook: Progress) -> bool:
    """Whether X has called since its webhook was found wanting."""
    at, since = webhook.good_at, webhook.trouble_at
    return since is None or (at is not None and at > since)
