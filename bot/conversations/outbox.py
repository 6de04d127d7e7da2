"""The outbox: sends what was committed, in order, under the send rule; notes every attempt.

Only assistant rows are bound to the owner: such a row enters `sending` in a transaction that holds
the conversation and finds the row's epoch still in force, so none does once a claim has committed
(I3). Safety rows overtake and are bound by nothing. A row found `sending` after its time has run
out was cut off by a crash: it becomes `unknown`, and what happens next depends on its kind.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import (
    ColumnElement,
    Row,
    and_,
    bindparam,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import metrics
from bot.conversations import carriers, comments, disclosure
from bot.conversations.outgoing import outgoing_of, template_of
from bot.conversations.receipts import advance
from bot.conversations.words import Words
from bot.errors import RejectedError, RetryLaterError, StoreUnavailableError, UnsureError
from bot.handover import ownership
from bot.messages import CLOCK, URGENT, Button, Channel, Hit, Sent, Template
from bot.store import Bell, Store
from bot.store.bell import wait_any
from bot.store.record import add_audit, add_event, add_outbox, lock_conversation, now, table
from bot.store.tables import Attempt, Conversation, Event, Message, Outbox, Person

log = structlog.get_logger(__name__)

CLAIM_WAIT_SECONDS = 10.0
MARGIN = timedelta(seconds=4)
BATCH = 200
MAX_AT_ONCE = 64
GIVE_UP_AFTER = timedelta(hours=12)
LONGEST_PAUSE_SECONDS = 300.0
LONGEST_SAFETY_PAUSE_SECONDS = 5.0
"""Safety words that were not taken are tried this often at least, however long a platform is away."""
TELL_AGAIN = 3
"""How often a person in the queue is told that an answer may be lost, while that is lost too."""

_outbox = table(Outbox)
_ADD_ATTEMPT = insert(table(Attempt))
# In these very words, or no database would know that the index of open rows serves.
_OPEN = text("outbox.state IN ('queued', 'sending')")
_OPEN_ROWS = (
    select(_outbox)
    .where(_OPEN, _outbox.c.conversation_id == bindparam("conversation_id"))
    .order_by(_outbox.c.id)
)
_CUT_OFF = select(_outbox.c.id).where(
    _OPEN, _outbox.c.state == "sending", _outbox.c.sending_until < bindparam("moment")
)


_READY = carriers.ready()
_LEFT_OVER = carriers.ready(carried=False)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A row that entered `sending` and is ours to send."""

    row: Row[Any]
    person: str
    attempt_id: int
    number: int
    text: str
    """As it leaves: maybe with the sentence that says what an assistant is."""
    wrote_at: datetime | None = None
    closes: bool = False
    has_left: bool = False
    """They blocked us on their platform."""
    template: Template | None = None
    """It is this text, which the platform has approved."""


class OutboxSender:
    """Sends the rows of every conversation; any number of gateways may run one."""

    def __init__(
        self,
        store: Store,
        bell: Bell,
        words: Words,
        channels: Mapping[str, Channel],
        *,
        gateway: str,
        send_timeout_seconds: float = 8.0,
        poll_seconds: float = 1.0,
    ) -> None:
        self._store = store
        self._bell = bell
        self._words = words
        self._channels = channels
        self._gateway = gateway
        self._send_seconds = send_timeout_seconds
        self._hold = timedelta(seconds=send_timeout_seconds) + MARGIN
        self._poll = poll_seconds
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(MAX_AT_ONCE)
        self._stopping = False
        self.held_back: frozenset[str] = frozenset()
        """Channels that may not go live yet: only words of danger leave by them."""
        self._until = math.inf
        """When the last row may begin (time of the loop)."""
        self._has_run = False
        self._watch = carriers.Watch()

    async def run(self) -> None:
        """Send until stopped; looks once a second, and at once when the bell rings."""
        self._has_run = True
        with self._bell.subscribe("outbox") as ear:
            while not self._stopping:
                try:
                    await self.look()
                except StoreUnavailableError:
                    log.warning("outbox.store_unavailable")
                except Exception:
                    log.exception("outbox.failed")
                await wait_any(ear, self._poll)

    async def stop(self, seconds: float = 10.0) -> None:
        """Take what the last turns wrote, and nothing after it; let the sends under way end.

        What never ran sends nothing now: a command, or a gateway that may not go live.
        """
        if self._has_run:
            with suppress(StoreUnavailableError):
                await self.look()
        self._stopping = True
        self._until = asyncio.get_running_loop().time() + seconds - self._send_seconds
        if self._busy:
            await asyncio.wait(list(self._busy.values()), timeout=seconds)

    @property
    def busy(self) -> int:
        """How many conversations are being sent to now."""
        return len(self._busy)

    async def look(self) -> None:
        """Start sending for every conversation that has a row ready, and mend what was cut off."""
        moment = now()
        # Those that are under way here already take no place from the others.
        most = BATCH + len(self._busy)
        async with self._store.read(quick=True) as connection:
            carried = self._carries.names
            ready = await connection.execute(_READY, {"moment": moment, "most": most, **carried})
            conversations: list[int] = list(ready.scalars())
            left_over = list[int]()
            if self._watch.is_long_enough():
                since = {**carriers.due_since(moment), **carried, "most": BATCH}
                left_over += (await connection.execute(_LEFT_OVER, since)).scalars()
            cut_off = await connection.execute(_CUT_OFF.limit(BATCH), {"moment": moment})
            lost = list(cut_off.scalars())
        for outbox_id in lost:
            await self.mark_unknown(outbox_id)
        for conversation_id in left_over:
            while await self._give_up_next(conversation_id):
                pass
        for conversation_id in conversations:
            if conversation_id not in self._busy and not self._stopping:
                self._busy[conversation_id] = asyncio.create_task(
                    self._send_all(conversation_id), name="send"
                )

    async def _send_all(self, conversation_id: int) -> None:
        try:
            async with self._places:
                loop = asyncio.get_running_loop()
                while loop.time() < self._until and await self.send_next(conversation_id):
                    pass
        except StoreUnavailableError:
            log.warning("outbox.store_unavailable", conversation=conversation_id)
        except Exception:
            log.exception("outbox.failed", conversation=conversation_id)
        finally:
            self._busy.pop(conversation_id, None)

    async def send_next(self, conversation_id: int) -> bool:
        """Send the next row of a conversation. False when there is none to send now."""
        async with self._store.write(quick=True) as connection:
            conversation = await lock_conversation(connection, conversation_id)
            if conversation is None:
                return False
            row = await next_row(connection, conversation_id)
            if row is None:
                return False
            if not self._carries.may(row):
                return False
            channel = self._channels[row.channel]
            ready: _Ready | None = None
            if not may_send(row, conversation):
                await self._refuse(connection, row)
            elif channel.in_store:
                await self._sent_in_store(connection, row)
            else:
                ready = await self._enter_sending(connection, row, channel)
                if ready is None:
                    return False
        if ready is not None:
            await self._send(channel, ready)
        # Only after the commit: a page that is woken before it looks, finds nothing, and waits.
        self._bell.ring("event")
        return True

    @property
    def _carries(self) -> carriers.Carries:
        return carriers.Carries(frozenset(self._channels), self.held_back)

    async def _give_up_next(self, conversation_id: int) -> bool:
        """Fail the next row of a conversation, if no gateway has taken it for so long."""
        async with self._store.write() as connection:
            conversation = await lock_conversation(connection, conversation_id)
            row = None if conversation is None else await next_row(connection, conversation_id)
            if conversation is None or row is None:
                return False
            if not await carriers.is_nobodys(connection, row, self._carries):
                return False
            if may_send(row, conversation):
                await advance(connection, row.id, conversation_id, "failed", self._carries.why_not(row))
            else:
                await self._refuse(connection, row)
        self._bell.ring("event")
        return True

    async def send_in_store(self, connection: AsyncConnection, conversation_id: int, channel: str) -> bool:
        """Send what a page reads from the store, in the very transaction that queues it.

        That transaction holds the conversation, so the send rule is judged once and for all: no
        claim can come between, and no row of a stale epoch leaves. Returns whether something may be
        left for the rounds of `run`; always so where the channel is not in the store.
        """
        way_out = self._channels.get(channel)
        if way_out is None or not way_out.in_store:
            return True
        rows = list((await connection.execute(_OPEN_ROWS, {"conversation_id": conversation_id})).all())
        if not rows:
            return False
        conversation = await ownership.get(connection, conversation_id)
        while (row := next_of(rows)) is not None:
            rows.remove(row)
            if may_send(row, conversation):
                await self._sent_in_store(connection, row)
            else:
                await self._refuse(connection, row)
        return bool(rows)

    async def _sent_in_store(self, connection: AsyncConnection, row: Row[Any]) -> None:
        """A page that reads the event table has the row the moment this commits."""
        moment = now()
        await connection.execute(
            _ADD_ATTEMPT,
            {
                "outbox_id": row.id, "number": row.attempts + 1, "gateway": self._gateway,
                "started_at": moment, "ended_at": moment, "result": "sent",
            },
        )  # fmt: skip
        await advance(
            connection, row.id, row.conversation_id, "sent", attempts=row.attempts + 1,
            platform_id=str(row.id),
        )  # fmt: skip
        metrics.tried(row.channel, "sent", row.attempts + 1)
        metrics.replied(row.conversation_id, row.kind)

    async def _enter_sending(
        self, connection: AsyncConnection, row: Row[Any], channel: Channel
    ) -> _Ready | None:
        text = await disclosure.text_of(connection, channel, row, self._words.content.current)
        entered = await connection.execute(
            update(Outbox)
            .where(Outbox.id == row.id, Outbox.state == "queued")
            .values(
                state="sending",
                holder=self._gateway,
                sending_until=now() + self._hold,
                attempts=Outbox.attempts + 1,
                text=text,
            )
        )
        if entered.rowcount != 1:
            return None
        person = await connection.execute(
            select(Person.platform_id, Person.left_at, Conversation.last_inbound_at, Conversation.state)
            .join(Conversation, Conversation.person_id == Person.id)
            .where(Conversation.id == row.conversation_id)
        )
        platform_id, left_at, wrote_at, state = person.one()
        attempt_id = (
            await connection.execute(
                insert(Attempt)
                .values(
                    outbox_id=row.id, number=row.attempts + 1, gateway=self._gateway,
                    started_at=now(),
                )
                .returning(Attempt.id)
            )
        ).scalar_one()  # fmt: skip
        await add_event(
            connection, row.conversation_id, "outbox.state", {"outbox": row.id, "state": "sending"}
        )
        return _Ready(
            row, platform_id, attempt_id, row.attempts + 1, text, wrote_at,
            closes=row.kind == "notice" and state == "closed", has_left=left_at is not None,
            template=await template_of(connection, row),
        )  # fmt: skip

    async def _send(self, channel: Channel, ready: _Ready) -> None:
        row = ready.row
        outgoing = outgoing_of(
            row, self._words.content.current, text=ready.text, wrote_at=ready.wrote_at,
            closes=ready.closes, template=ready.template,
        )  # fmt: skip
        try:
            if ready.has_left and row.kind != "safety":
                # Safety words are tried all the same: the platform's word may be out of date.
                raise RejectedError("the person has blocked us on this platform")
            async with asyncio.timeout(self._send_seconds):
                sent = await channel.send(ready.person, outgoing)
        except RetryLaterError as error:
            await self._later(ready, error)
        except RejectedError as error:
            await self._settle(ready, "failed", str(error))
        except (UnsureError, TimeoutError) as error:
            await self._settle(ready, "unknown", str(error) or "no answer in time")
        else:
            await self._delivered(ready, sent)

    async def _delivered(self, ready: _Ready, sent: Sent) -> None:
        await self._settle(ready, "sent", "", platform_id=sent.message_id)
        await comments.reached(self._store, ready.row.conversation_id, sent.person)
        metrics.replied(ready.row.conversation_id, ready.row.kind)

    async def _settle(self, ready: _Ready, state: str, detail: str, **values: object) -> None:
        metrics.tried(ready.row.channel, state, ready.number)
        async with self._store.write(quick=True) as connection:
            await connection.execute(
                update(Attempt)
                .where(Attempt.id == ready.attempt_id)
                .values(ended_at=now(), result=state, detail=detail[:500] or None)
            )
            changed = await advance(
                connection, ready.row.id, ready.row.conversation_id, state, detail, **values
            )
            if changed and state == "unknown":
                await self._after_unknown(connection, ready.row.id)

    async def _later(self, ready: _Ready, error: RetryLaterError) -> None:
        """Put the row back in line: the platform said that it did not take it."""
        metrics.tried(ready.row.channel, "later", ready.number)
        longest = LONGEST_SAFETY_PAUSE_SECONDS if ready.row.kind == "safety" else LONGEST_PAUSE_SECONDS
        pause = min(longest, max(error.retry_after_seconds, 0.5 * 2 ** min(ready.number, 8)))
        if error.parts_sent > (ready.row.parts_sent or 0):
            # A part has just left, so the platform is there: the rest is to follow it soon.
            pause = 0.0
        if error.retry_after_seconds > pause:
            pause = error.retry_after_seconds
        give_up = ready.row.created_at < now() - GIVE_UP_AFTER
        async with self._store.write() as connection:
            await connection.execute(
                update(Attempt)
                .where(Attempt.id == ready.attempt_id)
                .values(ended_at=now(), result="later", detail=str(error)[:500])
            )
            if give_up:
                await advance(connection, ready.row.id, ready.row.conversation_id, "failed", str(error))
                return
            # The one step back that is allowed: the platform has told us that nothing was taken.
            await connection.execute(
                update(Outbox)
                .where(
                    Outbox.id == ready.row.id,
                    Outbox.state == "sending",
                    Outbox.holder == self._gateway,
                )
                .values(
                    state="queued",
                    holder=None,
                    sending_until=None,
                    parts_sent=max(error.parts_sent, ready.row.parts_sent or 0) or None,
                    not_before=now() + timedelta(seconds=pause),
                )
            )

    async def _refuse(self, connection: AsyncConnection, row: Row[Any]) -> None:
        """An assistant row of an old epoch is never sent; its messages get a turn of now."""
        await advance(connection, row.id, row.conversation_id, "refused", "the owner changed before it left")
        conversation = await ownership.get(connection, row.conversation_id)
        if not row.turn or conversation.state not in ("bot", "waiting"):
            return
        if row.parts_sent:
            # Half of the answer is there: the whole again would say it twice.
            return
        if await self._is_answered(connection, row, conversation):
            return
        await connection.execute(
            update(Message)
            .where(
                Message.id.in_(await self._messages_of(connection, row)),
                Message.conversation_id == row.conversation_id,
                Message.handled,
            )
            .values(handled=False)
        )

    async def _messages_of(self, connection: AsyncConnection, row: Row[Any]) -> list[int]:
        """The messages that a turn read, as the turn's own event says."""
        told = await connection.execute(
            select(Event.data)
            .where(Event.conversation_id == row.conversation_id, Event.kind == "turn.done")
            .order_by(Event.id.desc())
            .limit(50)
        )
        for data in told.scalars():
            if data.get("turn") == row.turn:
                return [int(message_id) for message_id in data["messages"]]
        return []

    async def _is_answered(self, connection: AsyncConnection, row: Row[Any], conversation: Row[Any]) -> bool:
        """Whether another answer of the same turn has left, or stands in line at the epoch of now.

        Then the turn is not run again (I2).
        """
        found = await connection.execute(
            select(Outbox.id)
            .where(
                Outbox.conversation_id == row.conversation_id,
                Outbox.turn == row.turn,
                Outbox.kind == "assistant",
                or_(
                    Outbox.state.in_(("sending", "sent", "delivered", "read", "unknown")),
                    and_(Outbox.state == "queued", Outbox.epoch == conversation.epoch),
                ),
            )
            .limit(1)
        )
        return found.scalar_one_or_none() is not None

    async def mark_unknown(self, outbox_id: int) -> None:
        """A row whose sender is gone: nobody can say whether it arrived."""
        async with self._store.write() as connection:
            changed = await connection.execute(
                update(Outbox)
                .where(
                    Outbox.id == outbox_id,
                    Outbox.state == "sending",
                    Outbox.sending_until < now(),
                )
                .values(state="unknown", detail="the gateway stopped while sending")
                .returning(Outbox.conversation_id)
            )
            conversation_id = changed.scalar_one_or_none()
            if conversation_id is None:
                return
            await add_event(
                connection, conversation_id, "outbox.state", {"outbox": outbox_id, "state": "unknown"}
            )
            await self._after_unknown(connection, outbox_id)

    async def _after_unknown(self, connection: AsyncConnection, outbox_id: int) -> None:
        """Safety words go again; an assistant's answer is put before a person, who is told so.

        In the transaction that calls the row unknown: a crash between the two would leave a gap.
        """
        row = (await connection.execute(select(Outbox.__table__).where(Outbox.id == outbox_id))).one()
        conversation = await ownership.get(connection, row.conversation_id)
        if row.kind == "safety":
            again = await add_outbox(
                connection, conversation, "safety", row.text, epoch=conversation.epoch,
                buttons=[Button(b["title"], b["payload"]) for b in row.buttons],
                category=row.category, grade=row.grade, turn=row.turn, way=row.way or "",
                place=row.place or "",
            )  # fmt: skip
            # The first repeat leaves at once; a platform that never answers is not flooded.
            lost = await self._times_unknown(connection, row, Outbox.category == row.category)
            if lost > 1:
                pause = timedelta(seconds=min(LONGEST_PAUSE_SECONDS, 2.0**lost))
                await connection.execute(
                    update(Outbox).where(Outbox.id == again).values(not_before=now() + pause)
                )
            await add_audit(
                connection, CLOCK, "safety.again", conversation.id, conversation.epoch,
                outbox=outbox_id, again=again,
            )  # fmt: skip
        elif row.kind == "assistant" and conversation.state == "bot" and row.way != "public":
            hit = Hit("R20", "P3", "fallback", ("an answer may not have arrived",))
            raised = await ownership.escalate(
                connection, conversation, [hit], CLOCK, team=await self._words.route(connection, [hit]),
                withdrawable=True,
            )  # fmt: skip
            fresh, line = raised.conversation, self._words.on(conversation.channel).line("answer_unknown")
            if not row.way:  # in public nothing is said twice
                await add_outbox(connection, fresh, "assistant", line, epoch=fresh.epoch)
        elif row.kind == "assistant" and conversation.state == "waiting" and not row.way:
            # In the queue already, so only told; a few times, or a platform that never answers is flooded.
            line = self._words.on(conversation.channel).line("answer_unknown")
            told = await self._times_unknown(connection, row, Outbox.text == line)
            if conversation.grade not in URGENT and not conversation.answered_outside and told < TELL_AGAIN:
                again = await add_outbox(
                    connection, conversation, "assistant", line, epoch=conversation.epoch
                )
                if told:
                    # A platform that is away answers at once, too: all tries would be over before it is back.
                    pause = timedelta(seconds=2.0**told)
                    await connection.execute(
                        update(Outbox).where(Outbox.id == again).values(not_before=now() + pause)
                    )
        elif row.kind == "staff":
            await add_event(connection, conversation.id, "alert.unknown", {"outbox": outbox_id})

    async def _times_unknown(
        self, connection: AsyncConnection, row: Row[Any], same: ColumnElement[bool]
    ) -> int:
        """How often the same words went out of late without any answer."""
        found = await connection.execute(
            select(func.count())
            .select_from(Outbox)
            .where(
                Outbox.conversation_id == row.conversation_id,
                Outbox.kind == row.kind,
                Outbox.state == "unknown",
                same,
                Outbox.created_at > now() - timedelta(hours=1),
            )
        )
        return int(found.scalar_one())

    async def wait_until_quiet(self, conversation_id: int) -> None:
        """Return once no assistant row of the conversation is `sending`; ten seconds at most.

        A claim is answered to the moderator only after this: from then on nobody talks over them.
        """
        deadline = asyncio.get_running_loop().time() + CLAIM_WAIT_SECONDS
        while True:
            async with self._store.read() as connection:
                query = select(Outbox.id).where(
                    Outbox.conversation_id == conversation_id,
                    Outbox.kind == "assistant",
                    Outbox.state == "sending",
                )
                under_way = list((await connection.execute(query)).scalars())
            if not under_way:
                return
            if asyncio.get_running_loop().time() >= deadline:
                break
            await asyncio.sleep(0.05)
        async with self._store.write() as connection:
            for outbox_id in under_way:
                await advance(
                    connection, outbox_id, conversation_id, "unknown", "still under way at the claim"
                )


async def next_row(connection: AsyncConnection, conversation_id: int) -> Row[Any] | None:
    """The row whose turn it is: safety words first, else the oldest, if nothing is under way.

    A row that waits for a retry holds back what was committed after it (I7), safety words too: the
    999 block comes before all that follows it. A failed, refused or unknown one holds back nothing.
    """
    return next_of((await connection.execute(_OPEN_ROWS, {"conversation_id": conversation_id})).all())


def next_of(rows: Sequence[Row[Any]]) -> Row[Any] | None:
    """The same, of all the queued and sending rows of a conversation in the order of their ids."""
    moment = now()
    queued = [row for row in rows if row.state == "queued"]
    for row in queued:
        if row.kind == "safety" and row.not_before <= moment:
            return row
    if not queued or queued[0].not_before > moment:
        return None
    first = queued[0]
    under_way = (row for row in rows if row.state == "sending")
    is_held_back = any(row.kind != "safety" or row.id < first.id for row in under_way)
    return None if is_held_back else first


def may_send(row: Row[Any], conversation: Row[Any]) -> bool:
    """The send rule: an assistant row leaves only while its epoch is in force and no person owns."""
    if row.kind != "assistant":
        return True
    return bool(row.epoch == conversation.epoch and conversation.state in ("bot", "waiting"))
