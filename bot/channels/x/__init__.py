"""X: direct messages to the force's account, and the posts that mention it.

In: webhooks of X's, and what we ask for. Out: direct messages and replies by its API. Nothing of X's own shapes, and no
key, leaves this folder. See README.md here, and docs/channels/x.md for who sets it up.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from zoneinfo import ZoneInfo

import structlog
from sanic import Blueprint

from bot.channels.addresses import is_this_machine
from bot.channels.checks import Check, account, sentence, unless
from bot.channels.lease import PollLease
from bot.channels.parts import Parts
from bot.channels.render import Around
from bot.channels.x.api import XApi, XError
from bot.channels.x.condition import standings
from bot.channels.x.inbound import NAME, first_id_at
from bot.channels.x.intake import Intake
from bot.channels.x.looking import MentionLooks
from bot.channels.x.mentions import Mentions
from bot.channels.x.options import Options, read_options
from bot.channels.x.outbound import LAYOUT, XChannel
from bot.channels.x.polling import FIRST_LOOK, LEASE_SECONDS, Poller
from bot.channels.x.registration import Registration
from bot.channels.x.state import State
from bot.channels.x.webhook import add_routes
from bot.conversations import standing
from bot.errors import StoreUnavailableError
from bot.messages import Channel
from bot.settings import Settings
from bot.store.record import now

__all__ = ["Mentions", "X"]

log = structlog.get_logger(__name__)

REACHABLE_SECONDS = 5.0
WATCH_SECONDS = 5.0
LEASE_KEY = "x.poll"


class X:
    """X as a platform of the gateway."""

    channel: Channel

    def __init__(self, settings: Settings) -> None:
        """Read the settings.

        Raises:
            SettingError: one of X's settings is wrong.
        """
        self._options = read_options(settings)
        self._api = XApi(self._options)
        self._way_out = XChannel(self._api, self._options.send_seconds)
        self.channel = self._way_out
        self._intake: Intake | None = None
        self._state: State | None = None
        self._lease: PollLease | None = None
        self._mentions: Mentions | None = None

    @property
    def options(self) -> Options:
        """The settings, checked."""
        return self._options

    @property
    def api(self) -> XApi:
        """Our end of X's API."""
        return self._api

    @property
    def way_out(self) -> XChannel:
        """How direct messages leave."""
        return self._way_out

    def also(self, mentions: Mentions) -> None:
        """Read the posts that mention us too, and hand them to that channel."""
        self._mentions = mentions

    def blueprint(self, parts: Parts) -> Blueprint:
        """The webhook's routes, where it is switched on."""
        self._way_out.around = lambda: Around.of(parts.content.current, LAYOUT)
        self._way_out.on_gone = lambda person: self._inlet(parts).gone(person)
        found: Blueprint = Blueprint(NAME)
        if self._options.webhook_url is not None:
            add_routes(found, lambda: self._inlet(parts), lambda: self._record(parts), self._options)
        return found

    async def run(self, parts: Parts) -> None:
        """Ask for news, keep the webhook, and say how things stand, until cancelled."""
        intake = self._inlet(parts)
        seconds = min(LEASE_SECONDS, self._options.lease_seconds)
        holder = f"{socket.gethostname()[:30]}-{os.getpid()}-{secrets.token_hex(4)}"
        self._lease = PollLease(parts.store, LEASE_KEY, holder, seconds)
        poller = Poller(
            self._api, intake, self._lease, self._record(parts), parts.store, self._options, seconds,
            self._looks(parts),
        )  # fmt: skip
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(poller.run(), name="x-poll")
                both.create_task(self._watch(parts), name="x-watch")
        finally:
            await intake.close()

    @property
    def live(self) -> bool:
        """Whether the keys are real ones: whatever answers on this machine is a test's."""
        return not is_this_machine(self._options.api_url)

    async def reachable(self) -> str | None:
        """Ask X who we are (see `bot.channels.parts.Platform`)."""
        try:
            async with asyncio.timeout(REACHABLE_SECONDS):
                answer = await self._api.get("2/users/me")
        except XError as error:
            return str(error)
        except TimeoutError:
            return "no answer from X"
        data = answer.get("data")
        if not isinstance(data, dict) or data.get("id") != self._options.user_id:
            return "the access token is of another account than it says"
        return None

    async def checks(self) -> list[Check]:
        """The keys and, where X is to call us, the webhook (see `bot.channels.checks`)."""
        known = account(await self.reachable())
        if known.wrong or self._options.webhook_url is None:
            return [known]
        return [known, await unless("webhook", self._called(), XError)]

    async def _called(self) -> Check:
        wrong = await Registration(self._api, self._options).stands()
        if wrong is None:
            return Check("webhook")
        return Check(
            "webhook",
            sentence(wrong),
            "Start the gateway, which mends what it can; for the rest see docs/channels/x.md.",
        )

    async def close(self) -> None:
        """Give the connections to X back."""
        await self._api.close()

    # ---- how things stand ----------------------------------------------------------------------

    async def _watch(self, parts: Parts) -> None:
        """Say how X stands, from what all gateways have written down and what this one saw."""
        started = now()
        while True:
            try:
                ways = await self._record(parts).read()
                zone = ZoneInfo(str(parts.content.current.hours.get("timezone", "Europe/London")))
                seen = standings(
                    ways, self._way_out, self._options, moment=now(), started=started, zone=zone,
                    replies=self._mentions.way_out if self._mentions is not None else None,
                )  # fmt: skip
                await standing.say(parts.store, seen)
            except StoreUnavailableError:
                # That the database is away is said elsewhere.
                log.debug("x.state_unknown")
            except Exception:
                log.exception("x.watch_failed")
            await asyncio.sleep(WATCH_SECONDS)

    def _inlet(self, parts: Parts) -> Intake:
        if self._intake is None:
            self._intake = Intake(parts, self._options.user_id, self._takes_posts)
        return self._intake

    def _takes_posts(self) -> bool:
        """Whether posts that mention us are read, and may be answered yet."""
        return self._mentions is not None and not self._mentions.is_held()

    def _looks(self, parts: Parts) -> MentionLooks | None:
        if self._mentions is None:
            return None
        # Once: or what waits while the first looks fail would slide out of sight.
        first = first_id_at(now() - FIRST_LOOK)
        return MentionLooks(
            self._api,
            self._inlet(parts),
            self._record(parts),
            self._options,
            lambda: first,
            self._takes_posts,
        )

    def _record(self, parts: Parts) -> State:
        if self._state is None:
            self._state = State(parts.store)
        return self._state
