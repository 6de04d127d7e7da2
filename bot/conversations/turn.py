"""One turn of a conversation: everything unread is read, understood, answered or passed on.

One at a time per conversation, by a lease in its row; every write checks the lease's counter. The
plan is made without a transaction (Rasa may be slow), then applied in one, if nobody else took the
conversation meanwhile; otherwise the turn is planned again as things stand now.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Row, bindparam, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import metrics
from bot.assistant.client import Assistant, Part, Reading, Reply, pieces, tracker_name
from bot.conversations import comment_turn, phrases
from bot.conversations.application import Application
from bot.conversations.comment_words import is_comment
from bot.conversations.comments import Comments
from bot.conversations.limits import Limits
from bot.conversations.plan import Plan, SendInStore, Taken
from bot.conversations.words import FAQ, NONE_OF_THESE, PERSON, SAFE_NO, SAFE_YES, START, WITHDRAW, Words
from bot.errors import AssistantUnavailableError, StoreUnavailableError
from bot.handover import measures
from bot.messages import Hit
from bot.safety import Languages
from bot.store import Bell, Store
from bot.store.record import (
    lock_conversation,
    now,
    table,
)
from bot.store.tables import Conversation, Message, Person

log = structlog.get_logger(__name__)

TURN_CHARACTERS = 1000
AFTER_LEFT_BEHIND = timedelta(seconds=2)
MAX_AT_ONCE = 32
TRIES = 3
STAND_BACK_SECONDS = 2.0
"""How long an answer waits in a crowd while messages wait to be stored."""

_conversation, _message, _person = table(Conversation), table(Message), table(Person)
_time = _conversation.c.lease_expires.type
_TAKE_LEASE = (
    update(_conversation)
    .where(
        _conversation.c.id == bindparam("which"),
        or_(
            _conversation.c.lease_holder.is_(None),
            _conversation.c.lease_expires < bindparam("moment", type_=_time),
        ),
    )
    .values(
        lease_holder=bindparam("holder"),
        lease_expires=bindparam("until", type_=_time),
        lease_counter=_conversation.c.lease_counter + 1,
    )
    .returning(*_conversation.c)
)
_GIVE_LEASE_BACK = (
    update(_conversation)
    .where(_conversation.c.id == bindparam("which"), _conversation.c.lease_counter == bindparam("counter"))
    .values(lease_holder=None, lease_expires=None)
)
_UNREAD = (
    select(
        _message,
        _person.c.blocked.label("is_blocked"),
        measures.is_limited(_person.c.id).label("is_limited"),
    )
    .join(_person, _person.c.id == _message.c.person_id)
    .where(_message.c.conversation_id == bindparam("conversation_id"), ~_message.c.handled)
    .order_by(_message.c.platform_time, _message.c.platform_sequence, _message.c.id)
)
_IS_UNREAD = (
    select(_message.c.id)
    .where(_message.c.conversation_id == bindparam("conversation_id"), ~_message.c.handled)
    .limit(1)
)
_LEFT_BEHIND = (
    select(_message.c.conversation_id)
    .join(_conversation, _conversation.c.id == _message.c.conversation_id)
    .where(
        ~_message.c.handled,
        _message.c.received_at < bindparam("before", type_=_time),
        or_(
            _conversation.c.lease_holder.is_(None),
            _conversation.c.lease_expires < bindparam("moment", type_=_time),
        ),
    )
    .distinct()
    .limit(200)
)


async def _at_once(_seconds: float) -> None:
    """For a gateway without a door."""


class Turns:
    """Runs the turns of all conversations that this gateway hears of."""

    def __init__(
        self,
        store: Store,
        bell: Bell,
        words: Words,
        assistant: Assistant,
        send_in_store: SendInStore,
        languages: Languages,
        *,
        gateway: str,
        limits: Limits,
        comments: Comments,
        lease_seconds: float = 30.0,
    ) -> None:
        self._comments = comments
        self._store = store
        self._bell = bell
        self._words = words
        self._assistant = assistant
        self._send_in_store = send_in_store
        self._languages = languages
        self._limits = limits
        self._gateway = gateway
        self._lease = timedelta(seconds=lease_seconds)
        self._plan_seconds = max(1.0, lease_seconds - 5.0)
        self._running: dict[int, asyncio.Task[None]] = {}
        self._again: set[int] = set()
        self._failures: dict[int, int] = {}
        self._places = asyncio.Semaphore(MAX_AT_ONCE)
        self.stand_back: Callable[[float], Awaitable[None]] = _at_once
        """Returns when nobody waits to be stored, after so many seconds at the latest."""

    # ---- scheduling --------------------------------------------------------------------------

    def kick(self, conversation_id: int) -> None:
        """Run a turn of this conversation soon; one that runs already looks once more."""
        if conversation_id in self._running:
            self._again.add(conversation_id)
            return
        task = asyncio.create_task(self._until_read(conversation_id), name="turn")
        self._running[conversation_id] = task

    async def _until_read(self, conversation_id: int) -> None:
        try:
            while True:
                self._again.discard(conversation_id)
                async with self._places:
                    await self.stand_back(STAND_BACK_SECONDS)
                    while await self.run(conversation_id):
                        pass
                if conversation_id not in self._again:
                    break
            self._failures.pop(conversation_id, None)
        except StoreUnavailableError:
            log.warning("turn.store_unavailable", conversation=conversation_id)
        except Exception:
            # The lease runs out and the sweep tries again; the trace must not be lost meanwhile.
            log.exception("turn.failed", conversation=conversation_id)
            self._failures[conversation_id] = self._failures.get(conversation_id, 0) + 1
        finally:
            self._running.pop(conversation_id, None)
            self._again.discard(conversation_id)

    async def sweep(self) -> None:
        """Pick up messages that a crash, or a gateway that is gone, left unread."""
        moment = now()
        async with self._store.read(quick=True) as connection:
            left = await connection.execute(
                _LEFT_BEHIND, {"before": moment - AFTER_LEFT_BEHIND, "moment": moment}
            )
            found = list(left.scalars())
        for conversation_id in found:
            self.kick(conversation_id)

    async def drain(self, seconds: float) -> None:
        """Let running turns end; used when the gateway stops."""
        if self._running:
            await asyncio.wait(list(self._running.values()), timeout=seconds)

    async def wait_for(self, conversation_id: int) -> None:
        """Return when no turn of this conversation runs in this gateway."""
        task = self._running.get(conversation_id)
        if task is not None:
            await asyncio.wait([task])

    @property
    def running(self) -> int:
        """How many turns run in this gateway now."""
        return len(self._running)

    # ---- one turn ----------------------------------------------------------------------------

    async def run(self, conversation_id: int) -> bool:
        """Run one turn, if there is anything unread and the lease is free. True: look again."""
        started = time.perf_counter()
        taken = await self._take(conversation_id)
        if taken is None:
            return False
        if self._failures.get(conversation_id, 0) >= TRIES:
            # Something in these messages breaks the turn each time: a person is to answer them.
            plan = Plan(form=taken.row.form, unavailable=True)
        else:
            plan = await self._plan(taken)
        again = await self._apply(taken, plan)
        metrics.turned(started, is_unavailable=plan.unavailable)
        if not taken.all_sent:
            self._bell.ring("outbox")
        self._bell.ring("event")
        return again

    async def _take(self, conversation_id: int) -> Taken | None:
        async with self._store.write(quick=True) as connection:
            row = await take_lease(connection, conversation_id, self._gateway, self._lease)
            if row is None:
                return None
            unread = await connection.execute(_UNREAD, {"conversation_id": conversation_id})
            messages = list(unread.all())
            if not messages:
                await give_lease_back(connection, conversation_id, row.lease_counter)
                return None
            taken = Taken(row, row.lease_counter, messages, bool(messages[0].is_blocked))
            if messages[0].is_limited:
                taken.limited = await measures.must_be_quiet(connection, row.person_id)
            return taken

    # ---- planning ----------------------------------------------------------------------------

    async def _plan(self, taken: Taken) -> Plan:
        plan = Plan(form=taken.row.form)
        try:
            async with asyncio.timeout(self._plan_seconds):
                if is_comment(taken.row.channel):
                    plan.quiet = await self._comments.is_quiet(taken.row)
                with metrics.timed("understand"):
                    await self._understand(taken, plan)
        except (AssistantUnavailableError, TimeoutError):
            plan.unavailable = True
            if not plan.decided:
                plan.parts.clear()
        return plan

    async def _understand(self, taken: Taken, plan: Plan) -> None:
        row = taken.row
        if is_comment(row.channel):
            await comment_turn.read(taken, plan, self._words, self._assistant, self._languages)
            return
        words = [m for m in taken.messages if m.text.strip() and m.button is None]
        button = next((m.button for m in reversed(taken.messages) if m.button), None)
        if button is not None and button.startswith("fc:"):
            self._own_button(button, row, plan)
            button = None
        elif button is None and len(words) == 1 and not plan.parts:
            self._short_answer(words[0].text, row, plan)
        plan.decided = bool(plan.parts or plan.safe_check or plan.withdraw or plan.ask_answered)
        self._question(words, row, plan)
        if words and not plan.decided:
            await self._language([m.text for m in words], plan)
        may_talk = (
            row.state == "bot"
            and not plan.decided
            and not taken.blocked
            and not taken.limited
            and plan.ask is None
            and plan.language is None
        )
        text = "\n".join(m.text for m in words)[:TURN_CHARACTERS]
        if may_talk and (button is not None or text):
            reply = await self._talk(row, taken.last_id, text, button, plan)
            plan.reading, plan.release = reply.reading, reply.release
            plan.parts = list(reply.parts)
            plan.form = reply.form
            risks = [reply.reading] if len(words) == 1 and len(words[0].text) <= TURN_CHARACTERS else []
        else:
            risks = []
        if words and not risks:
            texts = [piece for m in words for piece in pieces(m.text)]
            if not may_talk and len(words) > 1:
                texts.append(text)
            readings = await self._assistant.understand(texts)
            if not may_talk:
                plan.reading = readings[-1]
                if not plan.decided and plan.language is None:
                    plan.parts = _parts_of(readings[-1])
            risks = readings
        found = self._words.model_hits(risks)
        if plan.language is not None:
            # That a person is needed is known already, and said in other words.
            found = [hit for hit in found if hit.category != "R20"]
        plan.hits += found

    async def _language(self, texts: Sequence[str], plan: Plan) -> None:
        """Whether this is written in another language: then a person is to read it, at once."""
        if not self._languages.loaded:
            await asyncio.to_thread(self._languages.load)
        plan.language = self._languages.recognise_any(texts)
        if plan.language is not None and plan.ask is not None:
            # A question in English would not be understood. Between two grades the higher counts.
            ask, plan.ask = plan.ask, None
            plan.hits.append(Hit(ask["category"], ask["grade"], "screen", (ask["key"],)))

    async def _talk(self, row: Row[Any], last_id: int, text: str, button: str | None, plan: Plan) -> Reply:
        key = tracker_name(row.id, row.reference)
        reply = await self._assistant.turn(key, f"{key}.{last_id}", text, button)
        if row.form and reply.fresh:
            # Rasa lost the half-done form (its memory was wiped, or another model took over):
            # the answer was read without its question. Begin again, and say so.
            plan.restarted = True
            again = await self._assistant.turn(key, f"{key}.{last_id}.again", "", "/triage")
            return Reply(reply.reading, again.parts, again.form, False, again.release)
        return reply

    def _own_button(self, button: str, row: Row[Any], plan: Plan) -> None:
        if button == PERSON:
            plan.parts = [Part("hand_over", category="R20", reason="asked")]
        elif button == START:
            plan.parts = [Part("line", key="opening_message")]
        elif button == WITHDRAW:
            plan.withdraw = True
        elif button == SAFE_YES:
            plan.safe_check = "yes"
        elif button == SAFE_NO:
            plan.safe_check = "no"
        elif button == NONE_OF_THESE:
            plan.parts = [Part("not_understood")]
        elif button.startswith(FAQ):
            plan.parts = [Part("answer", key=button.removeprefix(FAQ))]

    def _short_answer(self, text: str, row: Row[Any], plan: Plan) -> None:
        """A plain yes or no to something that we asked, in English or the person's own language."""
        own = self._words.content.current.languages.get(row.language or "", {})
        yes = phrases.is_yes(text) or phrases.is_one_of(text, own.get("yes", ()))
        no = phrases.is_no(text) or phrases.is_one_of(text, own.get("no", ()))
        if row.safe_check == "asked":
            if yes:
                plan.safe_check = "yes"
            elif no:
                plan.safe_check = "no"
        elif row.ask:
            if yes or no:
                plan.ask_answered = True
                if yes == (row.ask.get("risk_if", "yes") == "yes"):
                    plan.hits = [Hit(row.ask["category"], row.ask["grade"], "screen", (row.ask["key"],))]
        elif row.state == "waiting" and (no or phrases.is_withdrawal(text)):
            plan.withdraw = True

    def _question(self, words: Sequence[Row[Any]], row: Row[Any], plan: Plan) -> None:
        """The one question that an ambiguous message needs before anything else."""
        if row.state not in ("bot", "waiting") or (row.ask and not row.ask.get("gives_way")):
            return
        for message in words:
            result = self._words.screen.check(message.text)
            if result.ask is not None and (result.hits or message.hits):
                plan.question = result.ask
                return
            if result.ask is not None:
                plan.ask = {
                    "key": result.ask,
                    "category": result.ask_category or "R20",
                    "grade": result.ask_priority or "P2",
                    # "Are you safe?" is a worry when the answer is no; the others when it is yes.
                    "risk_if": "no" if result.ask == "ask_safe" else "yes",
                }
                return

    # ---- applying ----------------------------------------------------------------------------

    async def _apply(self, taken: Taken, plan: Plan) -> bool:
        async with self._store.write(quick=True) as connection:
            row = await lock_conversation(connection, taken.row.id)
            if row is None or not holds_lease(row, self._gateway, taken.counter):
                # Our lease ran out and another gateway has the turn: nothing of ours may count.
                return False
            if row.epoch != taken.row.epoch:
                await give_lease_back(connection, row.id, taken.counter)
                return True
            how = comment_turn.CommentApplication if is_comment(row.channel) else Application
            await how(self._words, connection, taken, plan).carry_out(row)
            await self._limits.settle(connection, row.id)
            taken.all_sent = not await self._send_in_store(connection, row.id, row.channel)
            # Whoever writes after this commit finds the lease free and begins a turn of their own.
            unread = await connection.execute(_IS_UNREAD, {"conversation_id": row.id})
            again = unread.scalar_one_or_none() is not None
            await give_lease_back(connection, row.id, taken.counter)
        return again


def _parts_of(reading: Reading) -> list[Part]:
    """What a reading alone can answer: plain FAQ questions, for one who waits."""
    if not reading.certain:
        return []
    if reading.intent.startswith("faq/"):
        return [Part("answer", key=reading.intent.removeprefix("faq/"))]
    return []


async def take_lease(
    connection: AsyncConnection, conversation_id: int, holder: str, length: timedelta
) -> Row[Any] | None:
    """Take the turn of a conversation, if nobody holds it; by one conditional UPDATE."""
    moment = now()
    result = await connection.execute(
        _TAKE_LEASE,
        {"which": conversation_id, "holder": holder, "moment": moment, "until": moment + length},
    )
    return result.one_or_none()


def holds_lease(row: Row[Any], holder: str, counter: int) -> bool:
    """Whether the lease taken with `counter` is still the one in force."""
    return bool(row.lease_holder == holder and row.lease_counter == counter)


async def give_lease_back(connection: AsyncConnection, conversation_id: int, counter: int) -> None:
    """End the lease, if it is still ours."""
    await connection.execute(_GIVE_LEASE_BACK, {"which": conversation_id, "counter": counter})
