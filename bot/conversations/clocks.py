"""Everything that is due: each gateway looks once a second and does what nobody else holds.

Clocks are rows, so that none is lost with a process or with Redis. No clock ever closes a
conversation in which somebody waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Row, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant.client import Assistant, pieces, tracker_name
from bot.assistant.content import LiveContent
from bot.conversations import carriers, echoes
from bot.conversations.application import UNDERSTAND_AGAIN
from bot.conversations.limits import Limits
from bot.conversations.outgoing import OwnWords
from bot.conversations.samples import Samples
from bot.conversations.turn import Turns
from bot.conversations.words import Words
from bot.errors import AssistantUnavailableError, StoreUnavailableError
from bot.handover import ownership
from bot.handover.incident import is_waived, reported_at
from bot.handover.queue import OWNED
from bot.handover.shift import WAIT_LIMITS, able_staff, present_staff
from bot.messages import ASIDE, ASSISTANT, CLOCK, URGENT, Hit
from bot.store import Bell, Store
from bot.store.bell import wait_any
from bot.store.record import now
from bot.store.tables import Conversation, Due, Message, Person

log = structlog.get_logger(__name__)

HOLD = timedelta(seconds=30)
SILENT_AFTER = timedelta(hours=24)
NO_NUMBER = "no incident number yet"
"""Why a chat that went silent is put before a person: shown to staff."""
TRIES = 40
UNDERSTAND_TRIES = 5760
"""A day of tries, fifteen seconds apart: both nets read every message, however long Rasa is away."""


class Clocks:
    """Runs due rows, and the sweeps that follow from the state of conversations."""

    def __init__(
        self,
        store: Store,
        bell: Bell,
        words: Words,
        turns: Turns,
        assistant: Assistant,
        content: LiveContent,
        *,
        gateway: str,
        limits: Limits,
        own: OwnWords,
        poll_seconds: float = 1.0,
        channels: Collection[str] = (),
    ) -> None:
        """`channels`: those that this gateway has."""
        self._own = own
        self._channels = frozenset(channels)
        self._of_channels: set[str] = set()
        """Kinds that need the channel of their conversation."""
        self._watch = carriers.Watch()
        self._store = store
        self._bell = bell
        self._words = words
        self._turns = turns
        self._assistant = assistant
        self._content = content
        self._limits = limits
        self._samples = Samples(store, content)
        self._gateway = gateway
        self._poll = poll_seconds
        self._stopping = False
        self._sweeps: list[Callable[[], Awaitable[Any]]] = []
        self._kinds: dict[str, Callable[[Row[Any]], Awaitable[bool]]] = {
            "ask": self._ask,
            "echo": self._echo,
            "understand": self._understand,
            **limits.kinds,
            **self._samples.kinds,
        }

    def add_kind(
        self, kind: str, work: Callable[[Row[Any]], Awaitable[bool]], *, of_channel: bool = False
    ) -> None:
        """Run due rows of this kind by `work`; it says whether the row is done with.

        `of_channel`: only a gateway that has the conversation's channel can do it. Another leaves it alone,
        until nobody has done it for so long that it is this one's to say so.
        """
        self._kinds[kind] = work
        if of_channel:
            self._of_channels.add(kind)

    def add_sweep(self, work: Callable[[], Awaitable[Any]]) -> None:
        """Run `work` at every tenth look."""
        self._sweeps.append(work)

    async def run(self) -> None:
        """Look until stopped or cancelled."""
        rounds = 0
        with self._bell.subscribe("due") as ear:
            while not self._stopping:
                try:
                    await self._content.refresh(self._store)
                    await self.look()
                    await self._turns.sweep()
                    if rounds % 10 == 0:
                        await self.close_silent()
                        await self.owners_gone()
                        for sweep in self._sweeps:
                            await sweep()
                        await self._limits.sweep()
                        await self._samples.sweep()
                except StoreUnavailableError:
                    log.warning("clocks.store_unavailable")
                except Exception:
                    log.exception("clocks.failed")
                rounds += 1
                await wait_any(ear, self._poll)

    def stop(self) -> None:
        """Begin nothing new: `run` returns once what is under way has ended."""
        self._stopping = True
        self._bell.ring("due")

    async def look(self) -> int:
        """Do what is due and free. Returns how many rows were done."""
        async with self._store.read() as connection:
            moment = now()
            rows = await connection.execute(
                select(Due.id)
                .where(
                    Due.done_at.is_(None),
                    Due.due_at <= moment,
                    or_(Due.holder.is_(None), Due.held_until < moment),
                    # Another kind is of a newer version, or of a channel that another gateway has.
                    Due.kind.in_(sorted(self._kinds)),
                    self._is_ours(moment),
                )
                .order_by(Due.due_at)
                .limit(100)
            )
            ids = list(rows.scalars())
        done = 0
        for due_id in ids:
            if self._stopping:
                break
            done += await self._one(due_id)
        if done:
            self._bell.ring("event")
            self._bell.ring("outbox")
        return done

    def _is_ours(self, moment: datetime) -> ColumnElement[bool]:
        """The condition that leaves out what only another gateway can do (as the outbox: `carriers.py`)."""
        has_channel = exists().where(
            Conversation.id == Due.conversation_id, Conversation.channel.in_(sorted(self._channels))
        )
        ours = or_(Due.kind.not_in(sorted(self._of_channels)), has_channel)
        if not self._watch.is_long_enough():
            return ours
        return or_(ours, Due.due_at <= moment - carriers.GIVE_UP_AFTER)

    async def _one(self, due_id: int) -> bool:
        async with self._store.write() as connection:
            moment = now()
            taken = await connection.execute(
                update(Due)
                .where(
                    Due.id == due_id,
                    Due.done_at.is_(None),
                    Due.due_at <= moment,
                    or_(Due.holder.is_(None), Due.held_until < moment),
                )
                .values(holder=self._gateway, held_until=moment + HOLD, attempts=Due.attempts + 1)
                .returning(*Due.__table__.columns)
            )
            row = taken.one_or_none()
        if row is None:
            return False
        finished = await self._kinds[row.kind](row)
        async with self._store.write() as connection:
            values: dict[str, Any] = {"holder": None, "held_until": None}
            if finished or row.attempts >= (UNDERSTAND_TRIES if row.kind == "understand" else TRIES):
                values["done_at"] = now()
            else:
                pause = UNDERSTAND_AGAIN if row.kind == "understand" else echoes.LOOK_AGAIN
                values["due_at"] = now() + pause
            # Only if nobody moved the clock meanwhile: then it is to run again.
            await connection.execute(
                update(Due)
                .where(Due.id == due_id, Due.holder == self._gateway, Due.due_at == row.due_at)
                .values(**values)
            )
        return True

    async def _ask(self, row: Row[Any]) -> bool:
        """Nobody answered the one question: a person is to look (rules 3.4)."""
        async with self._store.write() as connection:
            conversation = await ownership.get(connection, row.conversation_id)
            if not conversation.ask or conversation.state not in ("bot", "waiting"):
                return True
            hit = Hit(row.data["category"], row.data["grade"], "screen", ("no answer", row.data["key"]))
            raised = await ownership.escalate(
                connection, conversation, [hit], CLOCK, team=await self._words.route(connection, [hit])
            )
            await self._words.after_escalation(connection, raised, [hit], was=conversation)
            await self._limits.settle(connection, raised.conversation.id)
            await connection.execute(
                update(Conversation).where(Conversation.id == conversation.id).values(ask=None)
            )
        return True

    async def _echo(self, row: Row[Any]) -> bool:
        async with self._store.write() as connection:
            return await echoes.look_again(connection, dict(row.data), self._own)

    async def _understand(self, row: Row[Any]) -> bool:
        """Let the model read what it could not read while it was away."""
        async with self._store.read() as connection:
            message = (
                await connection.execute(select(Message.text).where(Message.id == row.data["message"]))
            ).scalar_one_or_none()
        if not message:
            return True
        try:
            readings = await self._assistant.understand(pieces(message))
        except AssistantUnavailableError:
            return False
        hits = self._words.model_hits(readings)
        if not hits:
            return True
        async with self._store.write() as connection:
            conversation = await ownership.get(connection, row.conversation_id)
            if conversation.state == "closed":
                hits = [hit for hit in hits if hit.grade in URGENT]
            blocked = await connection.execute(
                select(Person.blocked).where(Person.id == conversation.person_id)
            )
            if blocked.scalar_one():
                hits = [hit for hit in hits if hit.grade in URGENT]
            if conversation.language:
                # That a person is needed was said already, in other words.
                hits = [hit for hit in hits if hit.category != "R20"]
            if not hits:
                return True
            raised = await ownership.escalate(
                connection, conversation, hits, ASSISTANT, team=await self._words.route(connection, hits)
            )
            if raised.conversation.state != "closed":
                await self._words.after_escalation(connection, raised, hits, was=conversation)
                await self._limits.settle(connection, raised.conversation.id)
        return True

    async def close_silent(self) -> int:
        """Close conversations that the assistant had and that were silent for 24 hours."""
        async with self._store.read() as connection:
            silent = await connection.execute(
                select(Conversation.id)
                .where(
                    Conversation.state == "bot",
                    Conversation.last_inbound_at < now() - SILENT_AFTER,
                )
                .limit(200)
            )
            ids = list(silent.scalars())
        closed: list[str] = []
        for conversation_id in ids:
            async with self._store.write() as connection:
                row = await ownership.get(connection, conversation_id)
                if row.state != "bot" or row.last_inbound_at >= now() - SILENT_AFTER:
                    continue
                if await self._lacks_number(connection, row):
                    # Somebody told of a crime: that ends with a person, not with a silence.
                    await self._to_queue(connection, row)
                    continue
                await ownership.close_silent(connection, row, CLOCK)
                closed.append(tracker_name(row.id, row.reference))
        for tracker in closed:
            await self._forget(tracker)
        return len(closed)

    async def _lacks_number(self, connection: AsyncConnection, row: Row[Any]) -> bool:
        return (
            row.incident is None
            and await reported_at(connection, row, self._limits.rule) is not None
            and not await is_waived(connection, row.id)
        )

    async def _to_queue(self, connection: AsyncConnection, row: Row[Any]) -> None:
        """Put a chat before a person. Whoever wrote it is told nothing: they asked for nothing new."""
        reasons = [reason for reason in row.reasons if reason["category"] not in self._limits.rule.without]
        category = min(reasons, key=lambda reason: reason["grade"])["category"] if reasons else "R13"
        hit = Hit(category, "P3", "clock", (NO_NUMBER,))
        team = await self._words.route(connection, [hit])
        await ownership.escalate(connection, row, [hit], CLOCK, team=team)
        await self._limits.settle(connection, row.id)

    async def owners_gone(self) -> int:
        """Put conversations back in the queue whose owner left the desk with somebody waiting.

        At once, where the owner may not answer any more: a suspension gives everything back, but a
        claim that was under way at that moment, or a process that died, may have left one behind.
        """
        async with self._store.read() as connection:
            able, present = await able_staff(connection), await present_staff(connection)
            # Whoever is at the desk and may answer has left nobody alone: at a big desk that is nearly all.
            gone = or_(Conversation.owner_id.is_(None), Conversation.owner_id.not_in(sorted(able & present)))
            rows = await connection.execute(select(Conversation.__table__).where(OWNED, gone).limit(1000))
            late = [row.id for row in rows.all() if await _is_left_alone(connection, row, able, present)]
        count = 0
        for conversation_id in late:
            async with self._store.write() as connection:
                row = await ownership.get(connection, conversation_id)
                able, present = await able_staff(connection), await present_staff(connection)
                if not await _is_left_alone(connection, row, able, present):
                    continue
                back = await ownership.give_back(connection, row, CLOCK, "the owner left the desk")
                if back is not None:
                    await self._words.tell_truth(connection, back)
                    await self._limits.settle(connection, back.id)
                    count += 1
        if count:
            self._bell.ring("event")
            self._bell.ring("outbox")
        return count

    async def _forget(self, tracker: str) -> None:
        try:
            async with asyncio.timeout(5):
                await self._assistant.forget(tracker)
        except (AssistantUnavailableError, TimeoutError):
            # Rasa's memory ends by itself after a short time.
            log.info("clocks.forget_failed")


async def _is_left_alone(
    connection: AsyncConnection, row: Row[Any], able: set[int], present: set[int]
) -> bool:
    if row.state == "human" and row.owner_id is not None and row.owner_id not in able:
        return True
    return await _has_waited_too_long(connection, row, present)


async def _has_waited_too_long(connection: AsyncConnection, row: Row[Any], present: set[int]) -> bool:
    """Whether the first message that nobody answered is older than the grade's limit.

    The first, not the newest: who keeps writing to an empty desk must not wait for ever.
    """
    if row.state != "human" or (row.owner_id is not None and row.owner_id in present):
        return False
    if row.last_staff_at is not None and row.last_staff_at >= row.last_inbound_at:
        return False
    limit = WAIT_LIMITS.get(row.grade or "P4", WAIT_LIMITS["P4"])
    if row.last_inbound_at < now() - limit:
        return True
    unanswered = select(func.min(Message.received_at)).where(
        Message.conversation_id == row.id, Message.kind.not_in(sorted(ASIDE))
    )
    if row.last_staff_at is not None:
        unanswered = unanswered.where(Message.received_at > row.last_staff_at)
    first = (await connection.execute(unanswered)).scalar_one_or_none()
    return first is not None and bool(first < now() - limit)
