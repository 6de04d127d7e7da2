"""The door: everything that arrives is screened, stored once, and only then acknowledged.

One transaction holds the message, what the screen found, a rise of grade or a move to `waiting`,
and the row of safety words. When the store is down, the words for a P1 leave directly.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Row, bindparam, insert, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import metrics
from bot.conversations import (
    aside,
    choices,
    comments,
    echoes,
    people,
    phrases,
    reach,
    receipts,
    routing,
    standing,
    told_twice,
)
from bot.conversations.comments import Comments
from bot.conversations.gathering import Call, Gathering, TogetherError
from bot.conversations.limits import Limits
from bot.conversations.outgoing import OwnWords
from bot.conversations.plan import SendInStore
from bot.conversations.stored import already_stored, changes_nothing, is_only_shown, store_message
from bot.conversations.words import Words
from bot.errors import SendError, StoreUnavailableError
from bot.handover import measures, ownership
from bot.messages import (
    ASIDE,
    DOOR,
    URGENT,
    Arrival,
    Channel,
    Control,
    Echo,
    Grade,
    Hit,
    Incoming,
    Posted,
    Reach,
    Receipt,
    Standing,
    Visibility,
    is_higher,
)
from bot.store import Bell, Store
from bot.store.record import (
    add_event,
    add_outbox,
    change_conversation,
    is_sqlite,
    now,
    table,
)
from bot.store.tables import Conversation, Message

log = structlog.get_logger(__name__)

JOIN_MESSAGES = 5
JOIN_WITHIN = timedelta(minutes=10)
REOPEN_WITHIN = timedelta(hours=24)
DIRECT_SECONDS = 5.0
REMEMBERED = 10_000
PATIENCE_SECONDS = 3.0
"""How long a person in danger waits for the database, before their words go past it."""
TRIES = 4
_REFERENCE_LETTERS = "23456789BCDFGHJKMNPQRSTVWXZ"

_conversation, _message = table(Conversation), table(Message)
_OPEN_CONVERSATION = select(_conversation).where(
    # In these very words, or SQLite would not know that the index of open conversations serves.
    text("conversation.state != 'closed'"),
    _conversation.c.person_id == bindparam("person_id"),
)
_LOCK_OPEN_CONVERSATION = _OPEN_CONVERSATION.with_for_update(key_share=True)
_RECENT = (
    select(_message.c.text, _message.c.platform_time, _message.c.platform_sequence, _message.c.id)
    .where(
        _message.c.person_id == bindparam("person_id"),
        _message.c.received_at > bindparam("since", type_=_message.c.received_at.type),
        _message.c.text != "",
        # What is no message must not push half a sentence out of sight.
        _message.c.kind.not_in(sorted(ASIDE)),
    )
    .order_by(_message.c.id.desc())
    .limit(JOIN_MESSAGES)
)


class DoorClosedError(StoreUnavailableError):
    """Nothing could be stored: answer 503, so that the platform delivers again.

    `words` holds, by platform message id, the safety words of what the screen alone calls P1: a
    channel that can answer in its response (web chat) shows them there.
    """

    def __init__(self, words: Mapping[str, str]) -> None:
        super().__init__("the message could not be stored")
        self.words = dict(words)


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of one arrival."""

    message_id: int | None
    conversation_id: int | None
    repeated: bool = False
    grade: Grade | None = None
    """The worst that the screen found in it."""


@dataclass(slots=True)
class _Batch:
    accepted: list[Accepted] = field(default_factory=list)
    turns: set[int] = field(default_factory=set)
    in_line: bool = False
    """Something may wait in the outbox."""


class Door:
    """Takes what the channels parsed. Safe to call from many gateways with the same arrival."""

    def __init__(
        self,
        store: Store,
        bell: Bell,
        words: Words,
        channels: Mapping[str, Channel],
        on_turn: Callable[[int], None],
        send_in_store: SendInStore,
        on_unstored: Callable[[str, str, Hashable], None] = lambda _channel, _category, _key: None,
        *,
        limits: Limits,
        own: OwnWords,
        comments: Comments,
    ) -> None:
        self._own = own
        self._comments = comments
        self._store = store
        self._bell = bell
        self._words = words
        self._channels = channels
        self._on_turn = on_turn
        self._send_in_store = send_in_store
        self._on_unstored = on_unstored
        self._limits = limits
        self._told_directly: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._direct: set[asyncio.Task[None]] = set()
        self.line: Gathering[Accepted] = Gathering(self._store_calls)
        """Those who wait to be stored; a batch that was answered 503 because the database hung may still be."""

    async def accept(self, arrivals: Sequence[Arrival]) -> list[Accepted]:
        """Store a batch, all of it or nothing, and start the turns that follow.

        Raises:
            DoorClosedError: the store is down; safety words for any P1 have left directly.
        """
        arrivals = [keepable(arrival) for arrival in arrivals]
        # A fixed order of people keeps two gateways with the same batch from waiting on each other.
        ordered = sorted(arrivals, key=_order)
        try:
            with metrics.timed("door"):
                return await self._stored(ordered)
        except StoreUnavailableError as error:
            metrics.DOOR_CLOSED.inc()
            raise DoorClosedError(await self.tell_directly(arrivals)) from error

    async def _stored(self, ordered: Sequence[Arrival]) -> list[Accepted]:
        """Store the batch. Who is in danger does not wait for a database that hangs.

        The batch is stored all the same, if the database ever answers; the platform's next delivery
        is then a repeat.
        """
        is_p1 = any(isinstance(one, Incoming) and self._is_p1(one.text) for one in ordered)
        people = frozenset((one.channel, person) for one in ordered if (person := _person_of(one)))
        call = self.line.join(ordered, people, is_urgent=is_p1)
        try:
            done, _ = await asyncio.wait({call.done}, timeout=PATIENCE_SECONDS if is_p1 else None)
        except asyncio.CancelledError:
            self.line.leave(call)
            raise
        if not done:
            raise StoreUnavailableError("the database does not answer in time")
        await call.done
        return call.accepted

    async def _store_calls(self, calls: Sequence[Call[Accepted]]) -> None:
        """Store what several calls brought in one transaction, and start what follows."""
        # One order for all of them, as within a call.
        ordered = sorted(
            ((arrival, call) for call in calls for arrival in call.arrivals), key=lambda pair: _order(pair[0])
        )
        batch = await self._store_batch([arrival for arrival, _ in ordered])
        for call in calls:
            call.accepted.clear()
        kept = iter(batch.accepted)
        for arrival, call in ordered:
            if isinstance(arrival, Incoming):
                taken = next(kept)
                call.accepted.append(taken)
                metrics.took(arrival.channel, taken.repeated, taken.conversation_id, taken.grade)
        self._bell.ring("event")
        if batch.in_line:
            self._bell.ring("outbox")
        for conversation_id in batch.turns:
            self._on_turn(conversation_id)

    def _is_p1(self, text: str) -> bool:
        worst = self._words.screen.check(text).worst
        return worst is not None and worst.priority == "P1"

    def is_urgent(self, text: str) -> bool:
        """Whether the screen calls this text by itself a P1 or P2. Asks no database."""
        worst = self._words.screen.check(text).worst
        return worst is not None and worst.priority in URGENT

    async def _store_batch(self, ordered: Sequence[Arrival]) -> _Batch:
        breaks = [self._comments.look(arrival) for arrival in ordered]
        for attempt in range(TRIES):
            batch = _Batch()
            try:
                async with self._store.write(quick=True) as connection:
                    for number, arrival in enumerate(ordered):
                        if number:
                            # A long batch leaves room for what others do meanwhile.
                            await asyncio.sleep(0)
                        if isinstance(arrival, Incoming):
                            await self._incoming(connection, arrival, batch, breaks[number])
                        elif isinstance(arrival, Echo):
                            await echoes.take(connection, arrival, self._own)
                        elif isinstance(arrival, Reach):
                            await reach.take(connection, arrival)
                        elif isinstance(arrival, Control):
                            await routing.take(connection, arrival, self._words)
                        elif isinstance(arrival, Standing):
                            await standing.take(connection, arrival)
                        elif isinstance(arrival, Posted):
                            await self._comments.posted(connection, arrival)
                        elif isinstance(arrival, Visibility):
                            await self._comments.seen(connection, arrival)
                        else:
                            await receipts.take(connection, arrival)
            except DBAPIError as error:
                # Two gateways met (a deadlock, or both opened the conversation): nothing was kept.
                log.warning("door.again", error=type(error.orig).__name__, attempt=attempt)
                await asyncio.sleep(0.02 * (attempt + 1))
            else:
                return batch
        raise TogetherError("the database refused the same batch several times")

    async def _incoming(
        self, connection: AsyncConnection, incoming: Incoming, batch: _Batch, breaks: tuple[str, ...] = ()
    ) -> None:
        stored = await already_stored(connection, incoming)
        if stored is not None and incoming.comment is not None:
            incoming, stored = await told_twice.take(connection, incoming, incoming.comment, stored)
        if stored is not None:
            batch.accepted.append(Accepted(*stored, repeated=True))
            return
        if incoming.kind in ASIDE:
            shown = await aside.keep(connection, incoming)
            message_id, conversation_id = shown or (None, None)
            batch.accepted.append(Accepted(message_id, conversation_id, repeated=shown is None))
            return
        person = await people.lock(connection, incoming)
        if incoming.comment is not None:
            person = await comments.know(connection, incoming, incoming.comment, person)
        # A picture without words says as little as the word that takes it back.
        is_edit = incoming.edit_of is not None and incoming.kind != "deleted"
        if is_edit and await changes_nothing(connection, incoming, person):
            batch.accepted.append(Accepted(None, None, repeated=True))
            return
        if person.left_at is not None:
            await reach.is_back(connection, incoming, person)
        conversation = await self._conversation(connection, incoming, person)
        channel = self._channels.get(incoming.channel)
        incoming = await choices.resolve(connection, channel, conversation.id, incoming)
        if incoming.standby:
            conversation = await routing.held_elsewhere(connection, conversation)
        found = await self._screen(connection, incoming, person, conversation)
        message_id = await store_message(connection, incoming, person, conversation, found)
        if message_id is None:
            # Another gateway stored it between our look and our insert.
            batch.accepted.append(Accepted(None, None, repeated=True))
            return
        if incoming.comment is not None:
            await self._comments.keep(connection, incoming, incoming.comment, conversation, breaks)
        # What the page was about is for the desk alone: nothing that answers ever reads it.
        page = {"page": incoming.page} if incoming.page else {}
        await change_conversation(
            connection, conversation.id, last_inbound_at=now(), snoozed_until=None, **page
        )
        await add_event(connection, conversation.id, "message.received", {"message": message_id})
        await self._escalate(connection, message_id, conversation, found, person)
        await self._cannot_open(connection, incoming, conversation.id, person)
        if found or conversation.state != "bot" or incoming.kind not in ("text", "button"):
            await self._limits.settle(connection, conversation.id, wrote=True)
        grade = min((hit.grade for hit in found), default=None)
        batch.accepted.append(Accepted(message_id, conversation.id, grade=grade))
        if await self._send_in_store(connection, conversation.id, conversation.channel):
            batch.in_line = True
        if not is_only_shown(incoming):
            batch.turns.add(conversation.id)

    async def _conversation(
        self, connection: AsyncConnection, incoming: Incoming, person: Row[Any]
    ) -> Row[Any]:
        """The person's open conversation, or a new one by the rule of the last closed one."""
        query = _OPEN_CONVERSATION if is_sqlite(connection) else _LOCK_OPEN_CONVERSATION
        found = (await connection.execute(query, {"person_id": person.id})).one_or_none()
        if found is not None:
            return found
        last = (
            await connection.execute(
                select(Conversation.__table__)
                .where(Conversation.person_id == person.id)
                .order_by(Conversation.id.desc())
                .limit(1)
            )
        ).one_or_none()
        conversation_id = (
            await connection.execute(
                insert(Conversation)
                .values(
                    reference=new_reference(),
                    person_id=person.id,
                    channel=incoming.channel,
                    state="bot",
                    epoch=0,
                    opened_at=now(),
                    last_inbound_at=now(),
                )
                .returning(Conversation.id)
            )
        ).scalar_one()
        row = await ownership.get(connection, conversation_id)
        await add_event(connection, conversation_id, "conversation.opened", {})
        back_to_staff = (
            last is not None
            and last.closed_owner_id is not None
            and last.closed_at is not None
            and last.closed_at > now() - REOPEN_WITHIN
            and not phrases.is_thanks(incoming.text)
            and not person.blocked
        )
        if not back_to_staff and not person.blocked:
            row = await comments.follow(connection, row, incoming, self._words)
        if back_to_staff and last is not None:
            raised = await ownership.escalate(
                connection,
                row,
                [Hit("R20", "P4", "staff", ("wrote again within 24 hours",))],
                DOOR,
                team=last.team or self._words.content.current.team_for("R20", "P4"),
            )
            await self._words.reopened(connection, raised.conversation)
            row = raised.conversation
        return row

    async def _screen(
        self,
        connection: AsyncConnection,
        incoming: Incoming,
        person: Row[Any],
        conversation: Row[Any],
    ) -> tuple[Hit, ...]:
        single = self._words.screen.check(incoming.text)
        hits = [Hit(h.category, h.priority, "screen", tuple(h.words), h.language) for h in single.hits]
        if incoming.text.strip():
            recent = await connection.execute(_RECENT, {"person_id": person.id, "since": now() - JOIN_WITHIN})
            # In the order in which they were written: halves of a sentence may arrive the wrong way round.
            rows = sorted(recent, key=lambda row: (row.platform_time, row.platform_sequence, row.id))
            written = (incoming.platform_time or now(), incoming.platform_sequence)
            before = [row.text for row in rows if (row.platform_time, row.platform_sequence) <= written]
            after = [row.text for row in rows if (row.platform_time, row.platform_sequence) > written]
            hits += self._joined(before, incoming.text, after)
        return _best_of_each(hits)

    def _joined(self, before: Sequence[str], text: str, after: Sequence[str]) -> list[Hit]:
        """What a message says together with those written before it, and after it but here already."""
        screen = self._words.screen
        found = list(screen.check_joined(before, text).hits) if before else []
        for place, later in enumerate(after):
            alone = {(hit.category, hit.priority) for hit in screen.check(later).hits}
            joined = screen.check_joined([*before, text, *after[:place]], later)
            found += [hit for hit in joined.hits if (hit.category, hit.priority) not in alone]
        return [Hit(hit.category, hit.priority, "screen", tuple(hit.words), hit.language) for hit in found]

    async def _escalate(
        self,
        connection: AsyncConnection,
        message_id: int,
        conversation: Row[Any],
        hits: Sequence[Hit],
        person: Row[Any],
    ) -> None:
        if person.blocked:
            hits = [hit for hit in hits if hit.grade in URGENT]
        if not hits:
            return
        language = next((hit.language for hit in hits if hit.language), None)
        if language is not None:
            await change_conversation(connection, conversation.id, language=language)
        raised = await ownership.escalate(
            connection,
            conversation,
            hits,
            DOOR,
            team=await self._words.route(connection, hits),
            withdrawable=True,
        )
        if raised.moved or raised.rose:
            grade: Grade = min(hit.grade for hit in hits)
            await connection.execute(update(Message).where(Message.id == message_id).values(raised=grade))
        await self._words.after_escalation(connection, raised, hits, was=conversation)

    async def _cannot_open(
        self,
        connection: AsyncConnection,
        incoming: Incoming,
        conversation_id: int,
        person: Row[Any],
    ) -> None:
        """Say what cannot be opened; without words of the person's own, pass it to a person (P3)."""
        if incoming.kind in ("text", "button") or person.blocked:
            return
        if incoming.comment is not None:
            await comments.unread(connection, incoming, incoming.comment, conversation_id, self._words)
            return
        if is_only_shown(incoming):
            return
        row = await ownership.get(connection, conversation_id)
        if row.state == "human":
            return
        key = {"location": "location_received", "unsupported": "cannot_open", "contact": "cannot_open"}.get(
            incoming.kind, f"cannot_open_{incoming.kind}"
        )
        if not incoming.text.strip():
            hit = Hit("R20", "P3", "fallback", (incoming.kind,))
            raised = await ownership.escalate(
                connection,
                row,
                [hit],
                DOOR,
                team=await self._words.route(connection, [hit]),
                withdrawable=True,
            )
            await self._words.after_escalation(connection, raised, [hit], was=row, quiet_reason=key)
            if raised.moved or raised.rose:
                return
            row = raised.conversation
        if row.grade not in URGENT and await measures.must_be_quiet(connection, person.id):
            return
        words = self._words.on(row.channel).line(key)
        await add_outbox(connection, row, "assistant", words, epoch=row.epoch)

    async def tell_directly(self, arrivals: Sequence[Arrival]) -> dict[str, str]:
        """Send the words for each single-message P1 past the store, once per platform id."""
        words: dict[str, str] = {}
        sends = []
        for arrival in arrivals:
            if not isinstance(arrival, Incoming):
                continue
            worst = self._words.screen.check(arrival.text).worst
            if worst is None or worst.priority != "P1":
                continue
            text = self._words.safety_text(worst.category, "P1", worst.language)
            words[arrival.message_id] = text
            key = (arrival.channel, arrival.message_id)
            self._on_unstored(arrival.channel, worst.category, key)
            if key in self._told_directly:
                continue
            self._told_directly[key] = None
            while len(self._told_directly) > REMEMBERED:
                self._told_directly.popitem(last=False)
            channel = self._channels.get(arrival.channel)
            if channel is not None and not channel.in_store:
                sends.append(self._send_directly(channel, arrival, text, key))
        if sends:
            tasks = [asyncio.create_task(one, name="direct") for one in sends]
            for task in tasks:
                self._direct.add(task)
                task.add_done_callback(self._direct.discard)
            # Whoever called us may hang up meanwhile: that must not cut off the words.
            await asyncio.shield(asyncio.gather(*tasks))
        return words

    async def _send_directly(
        self, channel: Channel, incoming: Incoming, text: str, key: tuple[str, str]
    ) -> None:
        try:
            async with asyncio.timeout(DIRECT_SECONDS):
                await channel.send(incoming.person, comments.directly(incoming, text, self._words))
        except (SendError, TimeoutError) as error:
            # The platform delivers the message again after our 503, and then we try again.
            self._told_directly.pop(key, None)
            log.error("door.direct_failed", channel=channel.name, error=type(error).__name__)
        except Exception as error:
            # Whatever broke: the platform must hear 503, or it would not deliver the message again.
            self._told_directly.pop(key, None)
            log.error("door.direct_broke", channel=channel.name, error=type(error).__name__)


def _order(arrival: Arrival) -> tuple[str, bool, str]:
    return arrival.channel, not _is_move(arrival), _person_of(arrival)


def _is_move(arrival: Arrival) -> bool:
    """Whether it says that a person has another number: before what they write from there."""
    return isinstance(arrival, Incoming) and arrival.kind == "moved"


_UNKEEPABLE = re.compile("[\x00\ud800-\udfff]")


def keepable(arrival: Arrival) -> Arrival:
    """The same, with a mark in the place of what no database keeps: null bytes, halves of pairs."""
    changed = {
        key.name: _UNKEEPABLE.sub("\ufffd", value)
        for key in fields(arrival)
        if isinstance(value := getattr(arrival, key.name), str) and _UNKEEPABLE.search(value)
    }
    return replace(arrival, **changed) if changed else arrival  # type: ignore[arg-type]


def _person_of(arrival: Arrival) -> str:
    return "" if isinstance(arrival, Receipt | Standing | Posted | Visibility) else arrival.person


def _best_of_each(hits: Sequence[Hit]) -> tuple[Hit, ...]:
    best: dict[str, Hit] = {}
    for hit in hits:
        held = best.get(hit.category)
        if held is None or is_higher(hit.grade, held.grade):
            best[hit.category] = hit
    return tuple(sorted(best.values(), key=lambda hit: hit.grade))


def new_reference() -> str:
    """A chat reference that nobody takes for a crime number: FC- and eight letters or digits."""
    return "FC-" + "".join(secrets.choice(_REFERENCE_LETTERS) for _ in range(8))
