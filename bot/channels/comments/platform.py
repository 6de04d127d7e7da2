"""Comments as a platform of the gateway. Its webhooks come in by the channel of private chats beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import structlog
from sanic import Blueprint
from sqlalchemy import Row

from bot.channels.comments.inbound import Json, Mention, Reader
from bot.channels.comments.outbound import CommentChannel
from bot.channels.keeping import keep
from bot.channels.meta.api import GraphError
from bot.channels.meta.platform import MetaPlatform
from bot.channels.parts import Parts
from bot.channels.render import Around
from bot.messages import COMMENTS, Arrival, Channel, Incoming
from bot.store.record import add_due

log = structlog.get_logger(__name__)

FETCH_SECONDS = 3.0
FETCH_AGAIN: Final = tuple(timedelta(seconds=seconds) for seconds in (10, 60, 300, 900))
"""When what somebody wrote who named us is fetched again; after that a person has to look."""
LONGEST_KEY: Final = 200
NAMES: Final = {private: name for name, private in COMMENTS.items()}
FIELDS: Final = {"messenger": ("feed",), "instagram": ()}
"""What else the Page has to tell us. What Instagram tells is chosen in the app's own settings."""
PERMISSIONS: Final = {
    "messenger": ("pages_read_engagement", "pages_read_user_content", "pages_manage_engagement"),
    "instagram": ("instagram_manage_comments",),
}
"""What else the token must be allowed to do (docs/channels/comments.md)."""


class Comments:
    """Comments beside Messenger or Instagram: what `bot.channels.parts.Platform` asks for."""

    channel: Channel
    fetches: str
    """The kind of clock that fetches again what somebody wrote who named us: only those who have it run it."""

    def __init__(self, beside: MetaPlatform) -> None:
        options = beside.options
        self._beside = beside
        self._out = CommentChannel(NAMES[options.traits.name], beside.graph, options)
        self.fetches = f"named.{options.traits.name}"
        self._reader = Reader(self._out.name, options.account_id)
        self.channel = self._out
        self.is_held: Callable[[], bool] = lambda: False
        """Whether comments may not go live yet (`bot/app.py` knows): they are passed over, as if switched off."""
        self._parts: Parts | None = None
        beside.also(self, FIELDS[options.traits.name], PERMISSIONS[options.traits.name])

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
        return versions(found), named

    async def fetched(self, named: Sequence[Mention]) -> list[Arrival]:
        """What was written where somebody named us: the webhook says only that they did.

        What cannot be fetched now a clock fetches again.

        Raises:
            StoreUnavailableError: the clock could not be set.
        """
        found: list[Arrival] = []
        for mention, said in zip(named, await asyncio.gather(*map(self._fetched, named)), strict=True):
            if said is None:
                await self._later(mention, 0)
            else:
                found += self._reader.mentioned(mention, said)
        return found

    async def fetch_again(self, due: Row[Any]) -> bool:
        """Try once more, later each time; in the end a person is shown what is known: that we were named."""
        mention, tries = Mention(due.data["media"], due.data["comment"]), int(due.data["tries"])
        said = await self._fetched(mention)
        if said is None and tries < len(FETCH_AGAIN):
            await self._later(mention, tries)
            return True
        if self._parts is None:
            return False
        await keep(self._parts.door, self._reader.mentioned(mention, said or {}), self._out.name)
        return True

    async def _later(self, mention: Mention, tries: int) -> None:
        if self._parts is None:
            return
        data = {"media": mention.media, "comment": mention.comment, "tries": tries + 1}
        async with self._parts.store.write() as connection:
            await add_due(
                connection, self.fetches, FETCH_AGAIN[tries],
                key=f"{self.fetches}:{mention.media}/{mention.comment}"[:LONGEST_KEY], data=data,
            )  # fmt: skip

    def _unreadable(self, error: Exception) -> None:
        # Whatever it is, it must not stop those behind it. No text: only its kind.
        log.error("comments.unreadable", channel=self._out.name, error=type(error).__name__)

    async def _fetched(self, mention: Mention) -> Json | None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                said = await self._out.mentioned(mention.media, mention.comment)
        except (GraphError, TimeoutError) as error:
            log.warning("comments.mention_not_fetched", channel=self._out.name, error=type(error).__name__)
            return None
        # An answer without the words is none: the platform may not have them ready yet.
        return said or None

    def blueprint(self, parts: Parts) -> Blueprint:
        """No route: see `bot/channels/meta/webhook.py`."""
        self._parts = parts
        self._out.around = lambda: Around.of(parts.content.current, self._out.layout)
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


def versions(found: Sequence[Arrival]) -> list[Arrival]:
    """Edits of one webhook, each with an id of its own: somebody may have gone back to words of before."""
    seen, told = dict[str, int](), list[Arrival]()
    for one in found:
        if isinstance(one, Incoming) and one.edit_of is not None:
            count = seen[one.message_id] = seen.get(one.message_id, 0) + 1
            one = replace(one, message_id=f"{one.message_id}.{count}") if count > 1 else one
        told.append(one)
    return told
