"""Takes what X told through the door, however it came; and what X says of who takes no messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import structlog

from bot.channels.keeping import keep
from bot.channels.parts import Parts
from bot.channels.x.inbound import NAME, Json, Read
from bot.channels.x.posts import read_posts
from bot.errors import UnavailableError
from bot.messages import Arrival, Incoming, Reach
from bot.store.record import now

log = structlog.get_logger(__name__)


class Intake:
    """Hands arrivals to the door. Safe to call with the same ones again."""

    def __init__(self, parts: Parts, user_id: str, takes_posts: Callable[[], bool]) -> None:
        self._parts = parts
        self._user_id = user_id
        self._takes_posts = takes_posts
        """Whether posts that mention us are read, and may be."""
        self._background: set[asyncio.Task[None]] = set()

    async def take(self, read: Read) -> None:
        """Store everything in one transaction. Returns after its commit.

        Raises:
            DoorClosedError: the store is down; words for a P1 have left directly. Nothing was kept.
        """
        await self.keep(self._wanted(read))

    async def keep(self, arrivals: Sequence[Arrival]) -> None:
        """The same for what was read already.

        Raises:
            DoorClosedError: as `take`.
        """
        if arrivals:
            await keep(self._parts.door, arrivals, NAME)

    async def warn(self, read: Read) -> None:
        """Nothing of these can be kept now. Whoever wrote of danger sees the 999 words all the same."""
        await self.tell(self._wanted(read))

    async def tell(self, arrivals: Sequence[Arrival]) -> None:
        """The same for what was read already."""
        await self._parts.door.tell_directly(arrivals)

    def _wanted(self, read: Read) -> list[Arrival]:
        groups = (one for one in read.groups if self._is_danger(one))
        return [*read.arrivals, *groups, *self.mentions(read.posts, {})]

    def mentions(self, posts: Sequence[Json], media: Mapping[str, str]) -> list[Arrival]:
        """Posts that mention us as arrivals; none while they are not read. `media`: as `read_posts` has it."""
        return read_posts(posts, media, self._user_id) if self._takes_posts() else []

    def _is_danger(self, incoming: Incoming) -> bool:
        """Whether somebody in a group needs help at once.

        No part is taken in a group: nothing of it is stored, nothing is said there. Who is in danger is
        answered all the same, in a chat of their own, and nobody else reads it.
        """
        worst = self._parts.screen.check(incoming.text).worst if incoming.text else None
        return worst is not None and worst.priority == "P1"

    def gone(self, person: str) -> None:
        """X says that this person takes no messages from us."""
        self._later(self._keep_gone(person))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="x-aside")
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def close(self) -> None:
        """Let what is under way end; it owes nobody anything."""
        if self._background:
            await asyncio.wait(list(self._background), timeout=2)

    async def _keep_gone(self, person: str) -> None:
        try:
            await self._parts.door.accept([Reach(NAME, person, reachable=False, at=now())])
        except UnavailableError as error:
            # The next send to them says it again.
            log.warning("x.reach_not_kept", error=type(error).__name__)
