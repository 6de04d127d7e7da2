"""Carries one plan out in one transaction: escalates, writes what is to be said, marks as read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant.client import Part
from bot.assistant.content import Content, Faq
from bot.conversations.plan import Plan, Taken
from bot.conversations.words import FAQ, NONE_OF_THESE, PERSON, Words
from bot.errors import ContentError
from bot.handover import ownership
from bot.messages import ASSISTANT, GRADES, URGENT, Button, Decision, Grade, Hit
from bot.messages import PERSON as THE_PERSON
from bot.store.record import (
    add_due,
    add_event,
    add_outbox,
    change_conversation,
    drop_due,
    now,
    table,
)
from bot.store.tables import Message, Outbox

log = structlog.get_logger(__name__)

_message = table(Message)
_HANDLED = update(_message).where(_message.c.id == bindparam("which")).values(handled=True)
_DECIDED = _HANDLED.values(decision=bindparam("decision", type_=_message.c.decision.type))

UNDERSTAND_AGAIN = timedelta(seconds=15)
ASK_WAIT = timedelta(seconds=60)
MISSES = 2
OUT_OF_SCOPE = "out_of_scope"
"""The intent of what is no matter of the police, and the key of the line that says so."""


class Application:
    """Carries one plan out, within one transaction that holds the conversation."""

    def __init__(self, words: Words, connection: AsyncConnection, taken: Taken, plan: Plan) -> None:
        self._words = words.held()
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
        if plan.language is not None:
            row = await self._other_language(row, plan.language)
        row = await self._escalate(row, plan.hits)
        if plan.unavailable and not plan.decided:
            row = await self._assistant_down(row)
        elif not self._is_quiet(row) and row.state in ("bot", "waiting") and not row.answered_outside:
            row = await self._converse(row, urgent_before=urgent_before)
        if (
            row.state == "waiting"
            and state_before == "waiting"
            and not self._is_quiet(row)
            and not row.answered_outside
            and not self._said
            and not raised_at_door
        ):
            await self._still_waiting(row)
        if plan.unavailable:
            for message in taken.messages:
                await self._understand_later(message)
        await self._mark_read(row)

    def _is_quiet(self, row: Row[Any]) -> bool:
        """Whether nothing is to be said: to somebody blocked, or limited and answered a while ago."""
        if self._taken.blocked:
            return True
        return self._taken.limited and row.grade not in URGENT and not self._plan.decided

    async def _other_language(self, row: Row[Any], code: str) -> Row[Any]:
        """Pass what is not in English to a person, with whatever risk was found in it, and say so."""
        plan = self._plan
        if row.language and any(message.raised for message in self._taken.messages):
            # The screen knew the words, and answered in that language.
            code = row.language
        is_new = row.language != code
        if is_new:
            await change_conversation(self._connection, row.id, language=code)
            row = await ownership.get(self._connection, row.id)
        name = self._words.language_name(code)
        if row.state == "bot":
            # While the model cannot read it, nobody knows that it is harmless.
            grade: Grade = "P3" if plan.unavailable else "P4"
            hits = [*plan.hits, Hit("R20", grade, "language", (f"probably {name}",), code)]
            plan.hits = []
            urgent = any(hit.grade == "P1" for hit in hits)
            return await self._escalate(row, hits, None if urgent else "not_english")
        silent = self._taken.blocked or row.answered_outside or row.state != "waiting"
        if is_new and not silent:
            await self._in_both(row, code)
        return row

    async def _in_both(self, row: Row[Any], code: str) -> None:
        """Say that a person will read it, to one who waits already; in danger only what to do."""
        content = self._words.on(row.channel)
        if row.grade in URGENT:
            text = content.in_language(code, "danger")
        else:
            own = content.in_language(code, "queue", "danger", *(("no_person",) if row.withdrawable else ()))
            text = f"{own}\n\n{content.line('not_english')}".strip()
        if text:
            await self._row(row, text)

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
        if plan.reading is not None and not plan.parts and not self._said and row.state == "bot":
            # The model led with a risk that is below its threshold: silence is no reply.
            return await self._missed(row)
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
            content = self._words.on(row.channel)
            buttons = [self._titled(content, button) for button in part.buttons]
            await self._row(row, content.line(part.key), buttons)
            await self._understood(row)
        elif part.kind == "offer" and bot:
            return await self._offer(row, part.slugs)
        elif part.kind == "also" and bot and row.grade not in URGENT:
            await self._also(row, part.slugs)
        elif part.kind == "not_understood" and bot:
            return await self._missed(row)
        return row

    async def _answer(self, row: Row[Any], slug: str, *, urgent_before: bool) -> Row[Any]:
        content = self._words.on(row.channel)
        faq = content.faqs.get(slug)
        text = content.answer(slug)
        if slug in content.withdrawn and row.state == "bot":
            # It was understood, and staff have taken the words away: no second try finds them.
            return await self._escalate(
                row, [Hit("R20", "P4", "fallback", (f"the answer is withdrawn: {slug}",))], "answer_withdrawn"
            )
        if faq is None or text is None:
            # The model knows an answer that the live release does not carry.
            return await self._missed(row) if row.state == "bot" else row
        if slug == "ask-for-human":
            return await self._hand_over(row, Part("hand_over", category="R20", reason="asked"))
        if faq.mode == "E" and not faq.condition and faq.category and row.state == "bot":
            category = str(faq.category).split("/")[0]
            known = self._words.screen.categories.get(category)
            if known is not None:
                grade: Grade = lower(faq.grade, known.priority)
                row = await self._escalate(row, [Hit(category, grade, "understanding", (slug,))])
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
        if row.state == "bot" and faq.asks and faq.condition and faq.category:
            await self._await_condition(row, faq)
        self._answered = slug
        await self._understood(row)
        return row

    async def _await_condition(self, row: Row[Any], faq: Faq) -> None:
        """Keep the question that an answer ends with: a plain yes is its category.

        No clock runs: who asks how something works need not say more.
        """
        known = self._words.screen.categories.get(str(faq.category))
        if known is not None:
            ask = {"key": faq.slug, "category": known.id, "grade": known.priority, "risk_if": "yes",
                   "at": now().isoformat(), "gives_way": True}  # fmt: skip
            await change_conversation(self._connection, row.id, ask=ask)

    async def _hand_over(self, row: Row[Any], part: Part) -> Row[Any]:
        category = part.category or "R20"
        known = self._words.screen.categories.get(category)
        grade: Grade = known.priority if known is not None else "P4"
        if row.state == "bot" or category != "R20":
            return await self._escalate(row, [Hit(category, grade, "asked", (part.reason,))])
        self._nets.add("asked")
        return row

    async def _offer(self, row: Row[Any], slugs: Sequence[str]) -> Row[Any]:
        content = self._words.on(row.channel)
        known = [slug for slug in slugs if slug in content.faqs]
        if not known or row.misses + 1 >= MISSES:
            # After a turn that was not understood, a guess is the second: a person is called.
            return await self._missed(row)
        buttons = [Button(content.faqs[slug].title, FAQ + slug) for slug in known]
        buttons.append(Button(content.line("none_of_these"), NONE_OF_THESE))
        await self._row(row, content.line("did_you_mean"), buttons)
        self._offered = tuple(known)
        return row

    async def _also(self, row: Row[Any], slugs: Sequence[str]) -> None:
        """After an answer: what else the message seems to ask, for the person to choose."""
        content = self._words.on(row.channel)
        buttons = [Button(content.faqs[slug].title, FAQ + slug) for slug in slugs if slug in content.faqs]
        if buttons and self._answered:
            await self._row(row, content.line("also_asked"), buttons)

    async def _missed(self, row: Row[Any]) -> Row[Any]:
        if row.misses + 1 >= MISSES:
            return await self._escalate(
                row, [Hit("R20", "P4", "fallback", ("not understood twice",))], "not_understood_again"
            )
        await change_conversation(self._connection, row.id, misses=row.misses + 1)
        content = self._words.on(row.channel)
        key = OUT_OF_SCOPE if self._is_outside() else "not_understood"
        await self._row(row, content.line(key), [Button(content.line("talk_to_person"), PERSON)])
        return row

    def _is_outside(self) -> bool:
        """Whether the model is sure that this is no matter of ours: said so, and a miss all the same."""
        reading = self._plan.reading
        return reading is not None and reading.certain and reading.intent == OUT_OF_SCOPE

    async def _withdraw(self, row: Row[Any]) -> Row[Any]:
        back = await ownership.withdraw(self._connection, row, THE_PERSON)
        if back is not None:
            await self._say(back, "withdrawn")
            return back
        if row.grade in URGENT:
            await self._say(row, "cannot_withdraw")
        return row

    async def _ask(self, row: Row[Any], ask: dict[str, Any]) -> None:
        content = self._words.on(row.channel)
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
        await self._row(row, self._words.on(row.channel).line(key))

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

    def _titled(self, content: Content, button: Button) -> Button:
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
            content=self._words.content.current.release_id,
        ).as_json()
        ids = [message.id for message in self._taken.messages]
        if len(ids) > 1:
            await self._connection.execute(_HANDLED, [{"which": one} for one in ids[:-1]])
        await self._connection.execute(_DECIDED, {"which": ids[-1], "decision": decision})
        await add_event(self._connection, row.id, "turn.done", {"messages": ids, "turn": self._turn})


def lower(grade: str | None, priority: Grade) -> Grade:
    """The grade that an answer names for its hand-over, where it is one; else the category's."""
    return next((known for known in GRADES if known == grade), priority)
