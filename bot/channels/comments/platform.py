"""Comments as a platform of the gateway. Its webhooks come in by the channel of private chats beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from sanic import Blueprint

from bot.channels.comments.inbound import Json, Mention, Reader
from bot.channels.comments.outbound import CommentChannel
from bot.channels.meta.api import GraphError
from bot.channels.meta.platform import MetaPlatform
from bot.channels.parts import Parts
from bot.messages import COMMENTS, Arrival, Channel

log = structlog.get_logger(__name__)

FETCH_SECONDS = 3.0
NAMES: Final = {private: name for name, private in COMMENTS.items()}
FIELDS: Final = {"messenger": ("feed",), "instagram": ()}
"""What else the Page has to tell us. What Instagram tells is chosen in the app's own settings."""


class Comments:
    """Comments beside Messenger or Instagram: what `bot.channels.parts.Platform` asks for."""

    channel: Channel

    def __init__(self, beside: MetaPlatform) -> None:
        options = beside.options
        self._beside = beside
        self._out = CommentChannel(NAMES[options.traits.name], beside.graph, options)
        self._reader = Reader(self._out.name, options.account_id)
        self.channel = self._out
        self.is_held: Callable[[], bool] = lambda: False
        """Whether comments may not go live yet (`bot/app.py` knows): they are passed over, as if switched off."""
        beside.also(self, FIELDS[options.traits.name])

    def read(self, changes: Sequence[Json]) -> tuple[list[Arrival], list[Mention]]:
        """Every change of a webhook that means something to us, and what has to be fetched first.

        One that cannot be read stops no other.
        """
        found, named = list[Arrival](), list[Mention]()
        # To answer 503, as other channels do then, would hold the messages of the same webhooks back.
        for change in () if self.is_held() else changes:
            try:
                for one in self._reader.read(change):
                    if isinstance(one, Mention):
                        named.append(one)
                    else:
                        found.append(one)
            except Exception as error:
                self._unreadable(error)
        return found, named

    async def fetched(self, named: Sequence[Mention]) -> list[Arrival]:
        """What was written where somebody named us: the webhook says only that they did."""
        found: list[Arrival] = []
        for one in await asyncio.gather(*map(self._fetched, named), return_exceptions=True):
            if isinstance(one, Exception):
                self._unreadable(one)
            elif not isinstance(one, BaseException):
                found += one
        return found

    def _unreadable(self, error: Exception) -> None:
        # Whatever it is, it must not stop those behind it. No text: only its kind.
        log.error("comments.unreadable", channel=self._out.name, error=type(error).__name__)

    async def _fetched(self, mention: Mention) -> list[Arrival]:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                said = await self._out.mentioned(mention.media, mention.comment)
        except (GraphError, TimeoutError) as error:
            # A person looks at it: that somebody has named us is known all the same.
            log.warning("comments.mention_not_fetched", channel=self._out.name, error=type(error).__name__)
            said = {}
        return self._reader.mentioned(mention, said)

    def blueprint(self, parts: Parts) -> Blueprint:
        """No route: see `bot/channels/meta/webhook.py`."""
        return Blueprint(self._out.name)

    async def run(self, parts: Parts) -> None:
        """Nothing by itself."""
        await asyncio.Event().wait()

    @property
    def live(self) -> bool:
        """Whether the token is a real one."""
        return self._beside.live

    async def reachable(self) -> str | None:
        """As the channel beside it: the token and the account are the same."""
        return await self._beside.reachable()
