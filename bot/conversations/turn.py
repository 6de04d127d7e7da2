"""One turn of a conversation: everything unread is read, understood, answered or passed on.

One at a time per conversation, by a lease in its row; every write checks the lease's counter. The
plan is made without a transaction (Rasa may be slow), then applied in one, if nobody else took the
conversation meanwhile; otherwise the turn is planned again as things stand now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant.client import Assistant, Part, Reading, Reply, pieces
from bot.conversations import phrases
from bot.conversations.words import FAQ, NONE_OF_THESE, PERSON, SAFE_NO, SAFE_YES, WITHDRAW, Words
from bot.errors import AssistantUnavailableError, ContentError, StoreUnavailableError
from bot.handover import ownership
from bot.messages import ASSISTANT, URGENT, Button, Decision, Grade, Hit
from bot.messages import PERSON as THE_PERSON
from bot.store import Bell, Store
from bot.store.record import (
    add_due,
    add_event,
    add_outbox,
    change_conversation,
    drop_due,
    lock_conversation,
    now,
)
from bot.store.tables import Conversation, Message, Outbox, Person

log = structlog.get_logger(__name__)

TURN_CHARACTERS = 1000
UNDERSTAND_AGAIN = timedelta(seconds=15)
ASK_WAIT = timedelta(seconds=60)
MISSES = 2
AFTER_LEFT_BEHIND = timedelta(seconds=2)
MAX_AT_ONCE = 32
TRIES = 3


@dataclass(slots=True)
class _Taken:
    """What a turn starts from: the conversation as it was, its lease, its unread messages."""

    row: Row[Any]
    counter: int
    messages: list[Row[Any]]
    blocked: bool

    @property
    def last_id(self) -> int:
        """The newest arrival: it names the turn, whatever late message is read before it."""
        return max(int(message.id) for message in self.messages)


_CLEAR = frozenset({"answer", "line", "hand_over"})


@dataclass(slots=True)
class _Plan:
    """What a turn means to do, decided before its transaction."""

    hits: list[Hit] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    form: str | None = None
    restarted: bool = False
    safe_check: str | None = None
    withdraw: bool = False
    ask: dict[str, Any] | None = None
    question: str | None = None
    """The one question about a message that has been passed on already."""
    ask_answered: bool = False
    unavailable: bool = False
    decided: bool = False
    """A button of ours or a plain yes or no says what to do, without Rasa."""
    reading: Reading | None = None
    release: str = ""

    @property
    def is_clear(self) -> bool:
        """Whether the model is sure what is wanted: only then an open question falls away."""
        return any(part.kind in _CLEAR for part in self.parts)


class Turns:
    """Runs the turns of all conversations that this gateway hears of."""

    def __init__(
        self,
        store: Store,
        bell: Bell,
        words: Words,
        assistant: Assistant,
        *,
        gateway: str,
        lease_seconds: float = 30.0,
    ) -> None:
        self._store = store
        self._bell = bell
        self._words = words
        self._assistant = assistant
        self._gateway = gateway
        self._lease = timedelta(seconds=lease_seconds)
        self._plan_seconds = max(1.0, lease_seconds - 5.0)
        self._running: dict[int, asyncio.Task[None]] = {}
        self._again: set[int] = set()
        self._failures: dict[int, int] = {}
        self._places = asyncio.Semaphore(MAX_AT_ONCE)

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
        async with self._store.read() as connection:
            left = await connection.execute(
                select(Message.conversation_id)
                .join(Conversation, Conversation.id == Message.conversation_id)
                .where(
                    Message.handled.is_(False),
                    Message.received_at < moment - AFTER_LEFT_BEHIND,
                    or_(Conversation.lease_holder.is_(None), Conversation.lease_expires < moment),
                )
                .distinct()
                .limit(200)
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
        taken = await self._take(conversation_id)
        if taken is None:
            return False
        if self._failures.get(conversation_id, 0) >= TRIES:
            # Something in these messages breaks the turn each time: a person is to answer them.
            plan = _Plan(form=taken.row.form, unavailable=True)
        else:
            plan = await self._plan(taken)
        again = await self._apply(taken, plan)
        self._bell.ring("outbox")
        self._bell.ring("event")
        return again

    async def _take(self, conversation_id: int) -> _Taken | None:
        async with self._store.write() as connection:
            row = await take_lease(connection, conversation_id, self._gateway, self._lease)
            if row is None:
                return None
            unread = await connection.execute(
                select(Message.__table__)
                .where(Message.conversation_id == conversation_id, Message.handled.is_(False))
                .order_by(Message.platform_time, Message.platform_sequence, Message.id)
            )
            messages = list(unread.all())
            if not messages:
                await give_lease_back(connection, conversation_id, row.lease_counter)
                return None
            blocked = await connection.execute(select(Person.blocked).where(Person.id == row.person_id))
            return _Taken(row, row.lease_counter, messages, bool(blocked.scalar_one()))

    # ---- planning ----------------------------------------------------------------------------

    async def _plan(self, taken: _Taken) -> _Plan:
        plan = _Plan(form=taken.row.form)
        try:
            async with asyncio.timeout(self._plan_seconds):
                await self._understand(taken, plan)
        except (AssistantUnavailableError, TimeoutError):
            plan.unavailable = True
            if not plan.decided:
                plan.parts.clear()
        return plan

    async def _understand(self, taken: _Taken, plan: _Plan) -> None:
        row = taken.row
        words = [m for m in taken.messages if m.text.strip() and m.button is None]
        button = next((m.button for m in reversed(taken.messages) if m.button), None)
        if button is not None and button.startswith("fc:"):
            self._own_button(button, row, plan)
            button = None
        elif button is None and len(words) == 1 and not plan.parts:
            self._short_answer(words[0].text, row, plan)
        plan.decided = bool(plan.parts or plan.safe_check or plan.withdraw or plan.ask_answered)
        self._question(words, row, plan)
        may_talk = row.state == "bot" and not plan.decided and not taken.blocked and plan.ask is None
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
                if not plan.decided:
                    plan.parts = _parts_of(readings[-1])
            risks = readings
        plan.hits += self._words.model_hits(risks)

    async def _talk(self, row: Row[Any], last_id: int, text: str, button: str | None, plan: _Plan) -> Reply:
        key = f"c{row.id}"
        reply = await self._assistant.turn(key, f"{key}.{last_id}", text, button)
        if row.form and reply.fresh:
            # Rasa lost the half-done form (its memory was wiped, or another model took over):
            # the answer was read without its question. Begin again, and say so.
            plan.restarted = True
            again = await self._assistant.turn(key, f"{key}.{last_id}.again", "", "/triage")
            return Reply(reply.reading, again.parts, again.form, False, again.release)
        return reply

    def _own_button(self, button: str, row: Row[Any], plan: _Plan) -> None:
        if button == PERSON:
            plan.parts = [Part("hand_over", category="R20", reason="asked")]
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

    def _short_answer(self, text: str, row: Row[Any], plan: _Plan) -> None:
        """A plain yes or no to something that we asked."""
        if row.safe_check == "asked":
            if phrases.is_yes(text):
                plan.safe_check = "yes"
            elif phrases.is_no(text):
                plan.safe_check = "no"
        elif row.ask:
            if phrases.is_yes(text) or phrases.is_no(text):
                plan.ask_answered = True
                if phrases.is_yes(text) == (row.ask.get("risk_if", "yes") == "yes"):
                    plan.hits = [Hit(row.ask["category"], row.ask["grade"], "screen", (row.ask["key"],))]
        elif row.state == "waiting" and phrases.is_withdrawal(text):
            plan.withdraw = True

    def _question(self, words: Sequence[Row[Any]], row: Row[Any], plan: _Plan) -> None:
        """The one question that an ambiguous message needs before anything else."""
        if row.state not in ("bot", "waiting") or row.ask:
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

    async def _apply(self, taken: _Taken, plan: _Plan) -> bool:
        async with self._store.write() as connection:
            row = await lock_conversation(connection, taken.row.id)
            if row is None or not holds_lease(row, self._gateway, taken.counter):
                # Our lease ran out and another gateway has the turn: nothing of ours may count.
                return False
            if row.epoch != taken.row.epoch:
                await give_lease_back(connection, row.id, taken.counter)
                return True
            await _Application(self._words, connection, taken, plan).carry_out(row)
            await give_lease_back(connection, row.id, taken.counter)
        return True


class _Application:
    """Carries one plan out, within one transaction that holds the conversation."""

    def __init__(self, words: Words, connection: AsyncConnection, taken: _Taken, plan: _Plan) -> None:
        self._words = words
        self._connection = connection
        self._taken = taken
        self._plan = plan
        self._turn = f"c{taken.row.id}.{taken.last_id}"
        self._answered: str | None = None
        self._offered: tuple[str, ...] = ()
        self._nets: set[str] = set()
        self._said = False

    async def carry_out(self, row: Row[Any]) -> None:
        """Escalate, say what is to be said, mark the messages as read."""
        plan, taken = self._plan, self._taken
        self._nets = {h["net"] for m in taken.messages for h in m.hits}
        raised_at_door = {m.raised for m in taken.messages if m.raised}
        state_before, urgent_before = row.state, row.grade in URGENT and not raised_at_door
        row = await self._escalate(row, plan.hits)
        if plan.unavailable and not plan.decided:
            row = await self._assistant_down(row)
        elif not taken.blocked and row.state in ("bot", "waiting") and not row.answered_outside:
            row = await self._converse(row, urgent_before=urgent_before)
        if (
            row.state == "waiting"
            and state_before == "waiting"
            and not taken.blocked
            and not row.answered_outside
            and not self._said
            and not raised_at_door
        ):
            await self._still_waiting(row)
        if plan.unavailable:
            for message in taken.messages:
                await self._understand_later(message)
        await self._mark_read(row)

    async def _escalate(
        self, row: Row[Any], hits: Sequence[Hit], quiet_reason: str | None = None
    ) -> Row[Any]:
        if self._taken.blocked:
            hits = [hit for hit in hits if hit.grade in URGENT]
        if not hits:
            return row
        self._nets |= {hit.net for hit in hits}
        raised = await ownership.escalate(
            self._connection,
            row,
            hits,
            ASSISTANT,
            team=await self._words.route(self._connection, hits),
            withdrawable=True,
        )
        await self._words.after_escalation(
            self._connection, raised, hits, was=row, turn=self._turn, quiet_reason=quiet_reason
        )
        if raised.moved or raised.rose:
            self._said = True
        return await ownership.get(self._connection, row.id)

    async def _assistant_down(self, row: Row[Any]) -> Row[Any]:
        if row.state != "bot" or self._taken.blocked:
            return row
        return await self._escalate(
            row, [Hit("R20", "P3", "fallback", ("assistant does not answer",))], "assistant_down"
        )

    async def _converse(self, row: Row[Any], *, urgent_before: bool) -> Row[Any]:
        plan = self._plan
        if plan.safe_check is not None:
            await self._words.after_safe_check(self._connection, row, plan.safe_check, self._turn)
            self._said = True
        if plan.ask_answered:
            row = await self._end_question(row)
        if plan.withdraw:
            return await self._withdraw(row)
        if plan.ask is not None and row.grade not in URGENT:
            await self._ask(row, plan.ask)
            return row
        if row.ask and not plan.ask_answered and plan.is_clear and self._came_after(row.ask):
            row = await self._end_question(row)
        if plan.question is not None and any(m.raised for m in self._taken.messages):
            row = await self._question(row, plan.question)
        if plan.restarted:
            await self._say(row, "form_restarted")
        if plan.form != row.form and row.state == "bot":
            await change_conversation(self._connection, row.id, form=plan.form)
        for part in plan.parts:
            row = await self._part(row, part, urgent_before=urgent_before)
        return row

    async def _question(self, row: Row[Any], key: str) -> Row[Any]:
        """Ask the one question that makes the reason clearer, unless one was asked already."""
        row = await ownership.get(self._connection, row.id)
        if row.state == "waiting" and row.safe_check != "asked":
            await self._say(row, key)
        return row

    async def _part(self, row: Row[Any], part: Part, *, urgent_before: bool) -> Row[Any]:
        bot = row.state == "bot"
        if part.kind == "answer":
            return await self._answer(row, part.key, urgent_before=urgent_before)
        if part.kind == "hand_over":
            return await self._hand_over(row, part)
        if part.kind == "line" and bot:
            content = self._words.content.current
            buttons = [self._titled(button) for button in part.buttons]
            await self._row(row, content.line(part.key), buttons)
            await self._understood(row)
        elif part.kind == "offer" and bot:
            await self._offer(row, part.slugs)
        elif part.kind == "not_understood" and bot:
            return await self._missed(row)
        return row

    async def _answer(self, row: Row[Any], slug: str, *, urgent_before: bool) -> Row[Any]:
        content = self._words.content.current
        faq = content.faqs.get(slug)
        text = content.answer(slug)
        if faq is None or text is None:
            # The model knows an answer that the live release has withdrawn.
            return await self._missed(row) if row.state == "bot" else row
        if slug == "ask-for-human":
            return await self._hand_over(row, Part("hand_over", category="R20", reason="asked"))
        if faq.mode == "E" and not faq.condition and faq.category and row.state == "bot":
            category = str(faq.category).split("/")[0]
            known = self._words.screen.categories.get(category)
            if known is not None:
                row = await self._escalate(row, [Hit(category, known.priority, "understanding", (slug,))])
        if row.grade == "P1" or urgent_before:
            return row
        if row.grade == "P2" and row.safe_check == "asked":
            await change_conversation(self._connection, row.id, pending_answer=slug)
            return row
        waiting = self._taken.row.state == "waiting" and not any(m.raised for m in self._taken.messages)
        if waiting:
            text = f"{content.line('automated_mark')}\n\n{text}"
        buttons = []
        if row.state == "bot" and faq.mode != "A":
            buttons.append(Button(content.line("talk_to_person"), PERSON))
        await self._row(row, text, buttons, slug=slug)
        self._answered = slug
        await self._understood(row)
        return row

    async def _hand_over(self, row: Row[Any], part: Part) -> Row[Any]:
        category = part.category or "R20"
        known = self._words.screen.categories.get(category)
        grade: Grade = known.priority if known is not None else "P4"
        if row.state == "bot" or category != "R20":
            return await self._escalate(row, [Hit(category, grade, "asked", (part.reason,))])
        self._nets.add("asked")
        return row

    async def _offer(self, row: Row[Any], slugs: Sequence[str]) -> None:
        content = self._words.content.current
        known = [slug for slug in slugs if slug in content.faqs]
        if not known:
            await self._missed(row)
            return
        buttons = [Button(content.faqs[slug].title, FAQ + slug) for slug in known]
        buttons.append(Button(content.line("none_of_these"), NONE_OF_THESE))
        await self._row(row, content.line("did_you_mean"), buttons)
        self._offered = tuple(known)

    async def _missed(self, row: Row[Any]) -> Row[Any]:
        if row.misses + 1 >= MISSES:
            return await self._escalate(
                row, [Hit("R20", "P4", "fallback", ("not understood twice",))], "not_understood_again"
            )
        await change_conversation(self._connection, row.id, misses=row.misses + 1)
        content = self._words.content.current
        await self._row(row, content.line("not_understood"), [Button(content.line("talk_to_person"), PERSON)])
        return row

    async def _withdraw(self, row: Row[Any]) -> Row[Any]:
        back = await ownership.withdraw(self._connection, row, THE_PERSON)
        if back is not None:
            await self._say(back, "withdrawn")
            return back
        if row.grade in URGENT:
            await self._say(row, "cannot_withdraw")
        return row

    async def _ask(self, row: Row[Any], ask: dict[str, Any]) -> None:
        content = self._words.content.current
        buttons: list[Button] = []
        ask = {**ask, "at": now().isoformat()}
        await change_conversation(self._connection, row.id, ask=ask)
        await self._row(row, content.line(ask["key"]), buttons)
        await add_due(
            self._connection, "ask", ASK_WAIT, key=f"ask:{row.id}", conversation_id=row.id, data=ask
        )

    def _came_after(self, ask: dict[str, Any]) -> bool:
        """Whether something here was written after the question: what came before is no answer."""
        asked = ask.get("at")
        return asked is None or any(
            message.received_at > datetime.fromisoformat(asked) for message in self._taken.messages
        )

    async def _end_question(self, row: Row[Any]) -> Row[Any]:
        await drop_due(self._connection, f"ask:{row.id}")
        await change_conversation(self._connection, row.id, ask=None)
        if self._plan.ask_answered and not self._plan.hits and row.state == "bot":
            await self._say(row, "affirm")
        return await ownership.get(self._connection, row.id)

    async def _still_waiting(self, row: Row[Any]) -> None:
        if await self._door_spoke(row):
            return
        if row.grade in URGENT:
            await self._words.holding_line(self._connection, row, self._turn)
        else:
            await self._say(row, "still_waiting")

    async def _door_spoke(self, row: Row[Any]) -> bool:
        """Whether the door has said something on these messages already."""
        # The door may speak on opening the conversation, a moment before it stores the message.
        first = min(m.received_at for m in self._taken.messages) - timedelta(seconds=1)
        found = await self._connection.execute(
            select(Outbox.id)
            .where(
                Outbox.conversation_id == row.id,
                Outbox.turn.is_(None),
                Outbox.kind.in_(("safety", "assistant")),
                Outbox.created_at >= first,
            )
            .limit(1)
        )
        return found.scalar_one_or_none() is not None

    async def _understood(self, row: Row[Any]) -> None:
        if row.misses:
            await change_conversation(self._connection, row.id, misses=0)

    async def _say(self, row: Row[Any], key: str) -> None:
        await self._row(row, self._words.content.current.line(key))

    async def _row(
        self,
        row: Row[Any],
        text: str,
        buttons: Sequence[Button] = (),
        *,
        slug: str | None = None,
    ) -> None:
        await add_outbox(
            self._connection, row, "assistant", text, epoch=row.epoch, buttons=buttons, slug=slug,
            turn=self._turn,
        )  # fmt: skip
        self._said = True

    def _titled(self, button: Button) -> Button:
        content = self._words.content.current
        try:
            return Button(content.line(button.title), button.payload)
        except ContentError:
            log.error("turn.no_title", key=button.title)
            return Button(button.title, button.payload)

    async def _understand_later(self, message: Row[Any]) -> None:
        if message.text.strip():
            await add_due(
                self._connection,
                "understand",
                UNDERSTAND_AGAIN,
                key=f"understand:{message.id}",
                conversation_id=message.conversation_id,
                data={"message": message.id},
            )

    async def _mark_read(self, row: Row[Any]) -> None:
        reading = self._plan.reading
        decision = Decision(
            answered=self._answered,
            offered=self._offered,
            confidence=round(reading.confidence, 4) if reading else 0.0,
            nets=tuple(sorted(self._nets)),
            intent=reading.intent if reading else "",
            release=self._plan.release,
        ).as_json()
        ids = [message.id for message in self._taken.messages]
        await self._connection.execute(update(Message).where(Message.id.in_(ids)).values(handled=True))
        await self._connection.execute(update(Message).where(Message.id == ids[-1]).values(decision=decision))
        await add_event(self._connection, row.id, "turn.done", {"messages": ids, "turn": self._turn})


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
        update(Conversation)
        .where(
            Conversation.id == conversation_id,
            or_(Conversation.lease_holder.is_(None), Conversation.lease_expires < moment),
        )
        .values(
            lease_holder=holder,
            lease_expires=moment + length,
            lease_counter=Conversation.lease_counter + 1,
        )
        .returning(*Conversation.__table__.columns)
    )
    return result.one_or_none()


def holds_lease(row: Row[Any], holder: str, counter: int) -> bool:
    """Whether the lease taken with `counter` is still the one in force."""
    return bool(row.lease_holder == holder and row.lease_counter == counter)


async def give_lease_back(connection: AsyncConnection, conversation_id: int, counter: int) -> None:
    """End the lease, if it is still ours."""
    await connection.execute(
        update(Conversation)
        .where(Conversation.id == conversation_id, Conversation.lease_counter == counter)
        .values(lease_holder=None, lease_expires=None)
    )
