"""Posts that mention the force's account, as a platform of the gateway. They come in by the channel beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from sanic import Blueprint

from bot.channels.parts import Parts
from bot.channels.x.api import XError
from bot.channels.x.inbound import first_id_at
from bot.channels.x.pages import mentions_of
from bot.channels.x.replies import MentionChannel
from bot.messages import Channel
from bot.store.record import now

if TYPE_CHECKING:
    from bot.channels.x import X

LONDON: Final = "Europe/London"
REACHABLE_SECONDS: Final = 5.0


class Mentions:
    """What `bot.channels.parts.Platform` asks for, beside direct messages on X: same keys, same account."""

    channel: Channel

    def __init__(self, beside: X) -> None:
        self._beside = beside
        self.channel = self.way_out = MentionChannel(beside.api, beside.way_out, beside.options.user_id)
        self.is_held: Callable[[], bool] = lambda: False
        """Whether they may not go live yet (`bot/app.py` knows): they are passed over, as if switched off."""
        beside.also(self)

    def blueprint(self, parts: Parts) -> Blueprint:
        """No route: see `bot/channels/x/webhook.py`."""
        self.way_out.zone = lambda: ZoneInfo(str(parts.content.current.hours.get("timezone", LONDON)))
        return Blueprint(self.channel.name)

    async def run(self, parts: Parts) -> None:
        """Nothing by itself: the gateway that asks X for messages asks for these too."""
        await asyncio.Event().wait()

    @property
    def live(self) -> bool:
        """Whether the keys are real ones."""
        return self._beside.live

    async def reachable(self) -> str | None:
        """Whether X knows the account, and lets the app read who mentions it: what came since now, so nothing."""
        if (why := await self._beside.reachable()) is not None:
            return why
        source = mentions_of(self._beside.options.user_id)
        try:
            async with asyncio.timeout(REACHABLE_SECONDS):
                await self._beside.api.get(source.path, since_id=str(first_id_at(now())), max_results="5")
        except XError as error:
            return str(error)
        except TimeoutError:
            return "no answer from X"
        return None
