"""Takes what a webhook held through the door; then the small signs that Meta's apps show a person."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import structlog
from sqlalchemy import select

from bot.channels.keeping import keep
from bot.channels.meta.api import Graph, GraphError
from bot.channels.parts import Parts
from bot.errors import UnavailableError
from bot.messages import Arrival, Incoming, Reach
from bot.store.record import now
from bot.store.tables import Conversation, Person

log = structlog.get_logger(__name__)

AT_ONCE = 40
"""Signs under way; in a rush the rest is left out, since nobody is owed one."""


class Intake:
    """Hands arrivals to the door. Safe to call with the same ones again."""

    def __init__(self, parts: Parts, graph: Graph, name: str) -> None:
        self._parts = parts
        self._graph = graph
        self._name = name
        self._background: set[asyncio.Task[None]] = set()

    async def take(self, arrivals: Sequence[Arrival]) -> None:
        """Store everything in one transaction. Returns after its commit.

        Raises:
            DoorClosedError: the store is down; words for a P1 have left directly. Nothing was kept.
        """
        if not arrivals:
            return
        await keep(self._parts.door, arrivals, self._name)
        # On standby somebody else reads it, and our signs would be false.
        wrote = [
            one for one in arrivals if isinstance(one, Incoming) and not one.standby and one.comment is None
        ]
        for person in dict.fromkeys(one.person for one in wrote if one.edit_of is None):
            self._later(self._signs(person))

    async def warn(self, arrivals: Sequence[Arrival]) -> None:
        """Nothing of these can be kept. Whoever wrote of danger sees the 999 words all the same."""
        if arrivals:
            await self._parts.door.tell_directly(arrivals)

    def gone(self, person: str) -> None:
        """The platform says that this person takes no messages from us."""
        self._later(self._keep_gone(person), always=True)

    async def close(self) -> None:
        """Let what is under way end; it owes nobody anything."""
        if self._background:
            await asyncio.wait(list(self._background), timeout=2)

    def _later(self, work: Coroutine[Any, Any, None], *, always: bool = False) -> None:
        if len(self._background) >= AT_ONCE and not always:
            work.close()
            return
        task = asyncio.create_task(work, name=f"{self._name}-aside")
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _keep_gone(self, person: str) -> None:
        try:
            await self._parts.door.accept([Reach(self._name, person, reachable=False, at=now())])
        except UnavailableError as error:
            # The next send to them says it again.
            log.warning("meta.reach_not_kept", channel=self._name, error=type(error).__name__)

    async def _signs(self, person: str) -> None:
        """Show that it was received, and that an answer is being written, where the assistant answers.

        developers.facebook.com/docs/messenger-platform/send-messages/sender-actions
        """
        try:
            # First the one that is soon out of date: the answer ends it.
            if await self._is_with_assistant(person):
                await self._sign(person, "typing_on")
            await self._sign(person, "mark_seen")
        except (GraphError, UnavailableError) as error:
            log.info("meta.sign_not_shown", channel=self._name, reason=str(error))

    async def _sign(self, person: str, action: str) -> None:
        await self._graph.post("me/messages", {"recipient": {"id": person}, "sender_action": action})

    async def _is_with_assistant(self, person: str) -> bool:
        async with self._parts.store.read() as connection:
            found = await connection.execute(
                select(Conversation.id)
                .join(Person, Person.id == Conversation.person_id)
                .where(
                    Person.channel == self._name,
                    Person.platform_id == person,
                    Person.blocked.is_(False),
                    Conversation.state == "bot",
                )
            )
            return found.scalar_one_or_none() is not None
