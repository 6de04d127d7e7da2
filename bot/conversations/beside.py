"""What staff do in a conversation beside answering it: incident numbers, snoozes, calls, copies of the summary.

Part of `Desk`: each is a single transaction with its audit row, like all that stands there.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.conversations import calls, closing
from bot.conversations.calls import Call
from bot.conversations.limits import Limits, wake
from bot.conversations.words import Words
from bot.errors import NotAllowedError, RefusedError, StaleError
from bot.handover import ownership
from bot.handover.queue import get_for
from bot.messages import URGENT, Actor
from bot.store import Bell, Store
from bot.store.record import add_audit, add_due, add_event, change_conversation, now

SNOOZES: dict[str, timedelta | None] = {"1h": timedelta(hours=1), "4h": timedelta(hours=4), "morning": None}
"""How long a conversation may be off its owner's list; None: until the desk opens on a later day."""


class Beside:
    """The actions of staff that say nothing to the person."""

    _store: Store
    _bell: Bell
    _words: Words
    _limits: Limits

    def _ring(self) -> None:
        self._bell.ring("outbox")
        self._bell.ring("event")

    async def keep_incident(self, conversation_id: int, actor: Actor, number: str) -> None:
        """Keep the force's incident number of a conversation, also of one that is closed.

        Raises:
            NotAllowedError: somebody else has the conversation.
            RefusedError: it does not look like an incident number.
        """
        async with self._store.write() as connection:
            row = await self._for_staff(connection, conversation_id, actor)
            await closing.keep_incident(connection, row, actor, number, self._limits.rule)
        self._ring()

    async def waive_incident(self, conversation_id: int, actor: Actor, reason: str) -> None:
        """A supervisor lets a conversation close without an incident number, for a reason.

        Raises:
            NotAllowedError: the caller is no supervisor.
            RefusedError: no reason.
        """
        async with self._store.write() as connection:
            row = await get_for(connection, conversation_id, actor)
            await closing.waive(connection, row, actor, reason)
        self._ring()

    async def snooze(self, conversation_id: int, actor: Actor, length: str) -> Row[Any]:
        """Take a P3 or P4 off the owner's list for a while. A message, a rise, a new owner ends it.

        `length` is one of SNOOZES; `morning` is when the desk next opens on a later day.

        Raises:
            StaleError: the caller does not own it.
            RefusedError: it is a P1 or P2, or there is no such length.
        """
        if length not in SNOOZES:
            raise RefusedError("Choose how long.")
        async with self._store.write() as connection:
            row = await get_for(connection, conversation_id, actor)
            if row.state != "human" or row.owner_id != actor.staff_id:
                raise StaleError("You do not have this chat any more.")
            if row.grade in URGENT:
                raise RefusedError("A P1 or P2 cannot be snoozed.")
            at, wait = now(), SNOOZES[length]
            until = at + wait if wait else self._limits.limits.hours.next_morning(at)
            await change_conversation(connection, row.id, snoozed_until=until)
            await add_audit(connection, actor, "snooze", row.id, row.epoch, until=until.isoformat())
            await add_event(connection, row.id, "conversation.snooze", {"until": until.isoformat()})
            await add_due(connection, "snooze", until - at, key=f"snooze:{row.id}", conversation_id=row.id)
            fresh = await ownership.get(connection, row.id)
        self._ring()
        return fresh

    async def end_snooze(self, conversation_id: int, actor: Actor) -> None:
        """Put a conversation back on its owner's list.

        Raises:
            StaleError: the caller does not own it, or it is not snoozed.
        """
        async with self._store.write() as connection:
            row = await get_for(connection, conversation_id, actor)
            if row.owner_id != actor.staff_id or row.snoozed_until is None:
                raise StaleError("This chat is not snoozed any more.")
            await wake(connection, row, "by hand", actor)
        self._ring()

    async def ask_call(self, conversation_id: int, actor: Actor, call: Call) -> int:
        """Keep a person's wish to be called. Returns its id.

        Raises:
            NotAllowedError: somebody else has the conversation.
            RefusedError: it is not safe to call, or number or times are wrong.
        """
        async with self._store.write() as connection:
            row = await self._for_staff(connection, conversation_id, actor)
            call_id = await calls.ask(connection, row, actor, call, self._words)
        self._bell.ring("due")
        self._ring()
        return call_id

    async def settle_call(self, conversation_id: int, actor: Actor, call_id: int, *, done: bool) -> None:
        """Mark a call as done, or as not done after all.

        Raises:
            RefusedError: there is no such call, or it stands so already.
        """
        async with self._store.write() as connection:
            row = await self._for_staff(connection, conversation_id, actor, also_others=True)
            await calls.settle(connection, row, actor, call_id, done=done)
        self._ring()

    async def copied(self, conversation_id: int, actor: Actor) -> None:
        """Record that somebody copied the summary of a conversation into another system.

        Raises:
            NotAllowedError: the caller may not open it.
        """
        async with self._store.write() as connection:
            row = await get_for(connection, conversation_id, actor)
            await add_audit(connection, actor, "summary.copy", row.id, row.epoch)

    async def _for_staff(
        self, connection: AsyncConnection, conversation_id: int, actor: Actor, *, also_others: bool = False
    ) -> Row[Any]:
        """A conversation, locked, for something that answering staff may do beside its owner.

        Not while somebody else owns it, unless `also_others`; a supervisor may always.
        """
        if actor.role not in ownership.ANSWERING_ROLES or actor.staff_id is None:
            raise NotAllowedError("Your role does not allow that.")
        row = await get_for(connection, conversation_id, actor)
        theirs = row.state == "human" and row.owner_id != actor.staff_id
        if theirs and not also_others and actor.role != "supervisor":
            raise NotAllowedError("Only the owner or a supervisor may do that.")
        return row
