"""One joined site, as the gateway sees it."""

from __future__ import annotations

import asyncio
import secrets

from sanic import Blueprint

from bot.channels.addresses import is_this_machine
from bot.channels.parts import Parts
from bot.channels.render import Around
from bot.channels.sites.api import Callback, CallError
from bot.channels.sites.intake import Intake
from bot.channels.sites.options import Site
from bot.channels.sites.outbound import VERSION, SiteChannel
from bot.channels.sites.webhook import add_routes
from bot.messages import Channel
from bot.settings import Settings

REACHABLE_SECONDS = 5.0


class JoinedSite:
    """A site: what `bot.channels.parts.Platform` asks for."""

    channel: Channel

    def __init__(self, site: Site, settings: Settings) -> None:
        self.site = site
        self._callback = Callback(site, settings.send_timeout_seconds)
        self._way_out = SiteChannel(self._callback, site, settings.send_timeout_seconds)
        self.channel = self._way_out
        self._intake: Intake | None = None

    def blueprint(self, parts: Parts) -> Blueprint:
        """The webhook's route."""
        layout = self._way_out.layout
        self._way_out.around = lambda: Around.of(parts.content.current, layout)
        self._way_out.last_of = self._inlet(parts).last_of
        found: Blueprint = Blueprint(self.channel.name)
        add_routes(found, lambda: self._inlet(parts), self.site)
        return found

    async def run(self, parts: Parts) -> None:
        """Nothing by itself: the site calls us."""
        await asyncio.Event().wait()

    @property
    def live(self) -> bool:
        """Whether real people write there: whatever answers on this machine is a test's."""
        return not is_this_machine(self.site.callback)

    async def reachable(self) -> str | None:
        """Send the site a signed "ping" (see `bot.channels.parts.Platform`)."""
        identity = f"fc-ping-{secrets.token_hex(8)}"
        told = {"version": VERSION, "type": "ping", "site": self.site.name, "id": identity}
        try:
            async with asyncio.timeout(REACHABLE_SECONDS):
                await self._callback.post(identity, told)
        except CallError as error:
            return str(error)
        except TimeoutError:
            return "no answer from the site"
        return None

    async def close(self) -> None:
        """Give the connections to the site back."""
        await self._callback.close()

    def _inlet(self, parts: Parts) -> Intake:
        if self._intake is None:
            self._intake = Intake(parts, self.site.channel)
        return self._intake
