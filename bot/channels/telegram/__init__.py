"""Telegram: private chats with the force's bot, by webhook or by long polling.

In: updates of Telegram's. Out: messages by its Bot API. Nothing of Telegram's own shapes, and no
token, leaves this folder. See README.md here, and docs/channels/telegram.md for who sets it up.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket

from sanic import Blueprint
from telegram.error import TelegramError

from bot.channels.addresses import is_this_machine
from bot.channels.checks import Check, account
from bot.channels.lease import PollLease
from bot.channels.parts import Parts
from bot.channels.render import Around
from bot.channels.telegram.api import TelegramBot, said
from bot.channels.telegram.checks import webhook_check
from bot.channels.telegram.intake import Intake
from bot.channels.telegram.options import read_options
from bot.channels.telegram.outbound import LAYOUT, NAME, TelegramChannel
from bot.channels.telegram.polling import LEASE_SECONDS, Poller
from bot.channels.telegram.webhook import add_route, keep_webhook
from bot.messages import Channel
from bot.settings import Settings

__all__ = ["Telegram"]

REACHABLE_SECONDS = 5.0


class Telegram:
    """Telegram as a platform of the gateway."""

    channel: Channel

    def __init__(self, settings: Settings) -> None:
        """Read the settings.

        Raises:
            SettingError: one of Telegram's settings is wrong.
        """
        self._options = read_options(settings)
        self._bot = TelegramBot(self._options)
        self._way_out = TelegramChannel(self._bot, self._options.bot_id, self._options.send_seconds)
        self.channel = self._way_out
        self._intake: Intake | None = None
        self._lease: PollLease | None = None

    def blueprint(self, parts: Parts) -> Blueprint:
        """The webhook's route, where it is switched on."""
        self._way_out.around = lambda: Around.of(parts.content.current, LAYOUT)
        found: Blueprint = Blueprint("telegram")
        if self._options.webhook_url is not None:
            add_route(found, self._inlet(parts), self._options)
        return found

    async def run(self, parts: Parts) -> None:
        """Keep the webhook set, or ask for news, until cancelled."""
        intake = self._inlet(parts)
        try:
            if self._options.webhook_url is not None:
                await keep_webhook(self._bot, intake, self._options)
            else:
                seconds = min(LEASE_SECONDS, self._options.lease_seconds)
                holder = f"{socket.gethostname()[:30]}-{os.getpid()}-{secrets.token_hex(4)}"
                self._lease = PollLease(parts.store, NAME, holder, seconds)
                await Poller(self._bot, intake, self._lease, seconds).run()
        finally:
            await intake.close()

    @property
    def live(self) -> bool:
        """Whether the token is a real one: whatever answers on this machine is a test's."""
        return not is_this_machine(self._options.api_url)

    async def reachable(self) -> str | None:
        """Ask Telegram who we are (see `bot.channels.parts.Platform`)."""
        try:
            async with asyncio.timeout(REACHABLE_SECONDS):
                await self._bot.get_me()
        except TelegramError as error:
            return said(error)
        except TimeoutError:
            return "no answer from Telegram"
        return None

    async def checks(self) -> list[Check]:
        """The token, and the way in (see `bot.channels.checks`)."""
        known = account(await self.reachable())
        return [known] if known.wrong else [known, await webhook_check(self._bot, self._options)]

    async def close(self) -> None:
        """Give the connections to Telegram back."""
        with contextlib.suppress(TelegramError):
            await self._bot.close_connections()

    def _inlet(self, parts: Parts) -> Intake:
        if self._intake is None:
            self._intake = Intake(parts, self._bot, self._options.bot_id)
        return self._intake
