"""A turn of somebody who wrote in public: read by both nets, answered in private, or put before a person.

| what was written | under a post of every day | under an appeal or a memorial |
|---|---|---|
| danger (P1, P2) | the door has said it all | the same |
| a told crime, a wish for a person (P3, P4) | queued, answered in private | queued |
| a question that we know | answered in private | queued |
| a question that we do not know | queued | queued |
| in another language | queued, said so in private | queued |
| anything else: thanks, anger, sorrow, a name | nothing: it asks nothing of us | nothing |
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from sqlalchemy import Row, select

from bot.assistant.client import Assistant, pieces
from bot.conversations import comment_words
from bot.conversations.application import Application, lower
from bot.conversations.comment_rule import CommentRule
from bot.conversations.plan import Plan, Taken
from bot.conversations.words import Words
from bot.handover import ownership
from bot.handover.shift import is_on_shift
from bot.messages import PRIVATE_FIRST, URGENT, Grade, Hit
from bot.safety import Languages
from bot.store.record import change_conversation
from bot.store.tables import HiddenReview, PublicComment

_ASKS = re.compile(
    r"\?|^\W*(?:(?:how|where|who|what|when|which) (?:do|does|can|could|should|is|are|number|time)\b"
    r"|(?:can|could) (?:i|you|we|any|some)|(?:do|does) (?:i|you|any)|(?:is|are) there\b"
    r"|any ?(?:one|body|more)? ?(?:know|news|update))",
    re.IGNORECASE,
)
LEAST_LETTERS = 3
"""Of what may be ambiguous: fewer are how people follow a post."""
ASK_FOR_PERSON = "ask-for-human"


def asks(text: str) -> bool:
    """Whether somebody asks something, as far as its form says."""
    return _ASKS.search(text) is not None


async def read(taken: Taken, plan: Plan, words: Words, assistant: Assistant, languages: Languages) -> None:
    """Let both nets read what is unread. Nothing is asked back: of two grades the higher counts.

    Raises:
        AssistantUnavailableError: Rasa does not answer.
    """
    written = [m for m in taken.messages if m.text.strip()]
    for text in (m.text for m in written):
        result = words.screen.check(text)
        if result.ask is not None and not result.hits and _is_long_enough(text):
            plan.hits.append(
                Hit(result.ask_category or "R20", result.ask_priority or "P2", "screen", (result.ask,))
            )
    if not written:
        return
    if not languages.loaded:
        await asyncio.to_thread(languages.load)
    plan.language = languages.recognise_any([m.text for m in written])
    parts = [(m.id, piece) for m in written for piece in pieces(m.text)]
    readings = await assistant.understand([piece for _, piece in parts])
    for (message_id, _), reading in zip(parts, readings, strict=True):
        # The first piece of a long one holds the question.
        plan.by_message.setdefault(message_id, reading)
    plan.reading = plan.by_message[written[-1].id]
    # That somebody is upset with the police is no matter of the queue's, in public.
    plan.hits += [hit for hit in words.model_hits(readings) if hit.category != "R20"]


def _is_long_enough(text: str) -> bool:
    return sum(letter.isalnum() for letter in text) >= LEAST_LETTERS


class CommentApplication(Application):
    """Carries one plan out for somebody who wrote in public."""

    async def carry_out(self, row: Row[Any]) -> None:
        """Escalate, say in private what is to be said, mark the comments as read."""
        plan, taken = self._plan, self._taken
        self._nets = {hit["net"] for m in taken.messages for hit in m.hits}
        if plan.language is not None and row.language != plan.language:
            await change_conversation(self._connection, row.id, language=plan.language)
            row = await ownership.get(self._connection, row.id)
        risen = any(m.raised for m in taken.messages)
        before = row.grade
        row = await self._escalate(row, plan.hits)
        risen = risen or self._said
        if plan.unavailable:
            for message in taken.messages:
                await self._understand_later(message)
        if not self._is_quiet(row) and row.state in ("bot", "waiting") and not row.answered_outside:
            await self._comment(row, risen=risen, urgent_before=before in URGENT and not risen)
        await self._mark_read(row)

    async def _comment(self, row: Row[Any], *, risen: bool, urgent_before: bool) -> None:
        written = [m for m in self._taken.messages if m.text.strip()]
        if row.grade in URGENT:
            if urgent_before and written:
                await self._hold(row)
            return
        # All that passes the chat on comes first: what was written before that is refused.
        asked = []
        for message in written:
            slug = self._known(message)
            hit = self._to_person(row, message, slug)
            if hit is not None:
                row = await self._escalate(row, [hit])
            asked.append((message, slug, hit))
        # Words of danger have gone out, as the one message that a comment takes.
        if row.grade in URGENT or self._plan.quiet:
            return
        if await comment_words.is_with_staff(self._connection, row):
            if row.state == "bot" and any(slug is not None for _, slug, _ in asked):
                await self._escalate(row, [Hit("R20", "P4", "asked", ("staff write with them in private",))])
            return
        for message, slug, hit in asked:
            told = hit is not None or message.raised is not None or (risen and message is written[-1])
            await self._answer_one(row, message, slug, told=told)

    async def _answer_one(self, row: Row[Any], message: Row[Any], slug: str | None, *, told: bool) -> None:
        """Answer one comment in its one private message, with the line in public before it."""
        parts = await self._parts(row, slug, told=told)
        hidden = await self._hidden_note(row, message)
        if not parts and not hidden:
            return
        if row.channel not in PRIVATE_FIRST:
            await comment_words.say_once_in_public(self._connection, self._words, row, message.id)
        opening = comment_words.opening(self._words.on(row.channel), row.channel)
        about = await comment_words.newest(self._connection, row.id, message.id)
        if about is not None and await comment_words.say_privately(
            self._connection, row, "assistant", [opening, hidden, *parts], about=about,
            slug=slug if parts else None, turn=self._turn,
        ):  # fmt: skip
            self._answered = slug
        if row.channel in PRIVATE_FIRST:
            await comment_words.say_once_in_public(self._connection, self._words, row, message.id)

    def _known(self, message: Row[Any]) -> str | None:
        """The answer that was certainly asked for, if the live release carries it."""
        reading = self._plan.by_message.get(message.id)
        if reading is None or not reading.certain or not reading.intent.startswith("faq/"):
            return None
        slug = reading.intent.removeprefix("faq/")
        return slug if self._words.content.current.answer(slug) is not None else None

    def _to_person(self, row: Row[Any], message: Row[Any], slug: str | None) -> Hit | None:
        """Why a person has to read this, if nothing that was found says so already."""
        plan = self._plan
        if slug is not None and (risk := self._risk_of(slug)) is not None:
            return risk
        if row.state != "bot":
            return None
        grade: Grade = "P3" if plan.unavailable else "P4"
        if slug == ASK_FOR_PERSON:
            return Hit("R20", "P4", "asked", ("asked for a person",))
        if plan.language is not None:
            name = self._words.language_name(plan.language)
            return Hit("R20", grade, "language", (f"probably {name}",), plan.language)
        if slug is not None:
            return Hit("R20", "P4", "asked", ("a question under this post",)) if plan.quiet else None
        if asks(message.text):
            return Hit("R20", grade, "fallback", ("a question that has no answer yet",))
        return None

    def _risk_of(self, slug: str) -> Hit | None:
        """The risk that an answer always stands for (mode E)."""
        faq = self._words.content.current.faqs[slug]
        known = self._words.screen.categories.get(str(faq.category).split("/")[0]) if faq.category else None
        if faq.mode != "E" or faq.condition or known is None:
            return None
        return Hit(known.id, lower(faq.grade, known.priority), "understanding", (slug,))

    async def _parts(self, row: Row[Any], slug: str | None, *, told: bool) -> list[str]:
        """What is said in private, beside who we are."""
        content, plan = self._words.on(row.channel), self._plan
        if plan.language is not None:
            own = content.in_language(plan.language, "danger", "queue")
            return [own, content.line("not_english")] if told else []
        parts: list[str] = []
        silent = CommentRule.of(content.force).silent_for
        if told and row.category and row.category not in silent:
            parts.append(self._words.lines_of(row.category))
        if slug is not None and slug != ASK_FOR_PERSON:
            parts += [content.line("automated_mark")] if row.state == "waiting" else []
            parts.append(content.answer(slug) or "")
        if row.state == "waiting" and told and (parts or slug == ASK_FOR_PERSON):
            parts.append(await comment_words.truth(self._connection, self._words, row))
        return parts

    async def _hold(self, row: Row[Any]) -> None:
        """Somebody in danger writes again: who reads it, in private."""
        if await comment_words.is_with_staff(self._connection, row):
            return
        on_shift = await is_on_shift(self._connection, row.grade, row.team)
        line = self._words.on(row.channel).line("holding_line" if on_shift else "holding_line_off_shift")
        await comment_words.say_privately(self._connection, row, "assistant", [line], turn=self._turn)

    async def _hidden_note(self, row: Row[Any], message: Row[Any]) -> str:
        """Why this comment was hidden, and where to say that it was wrong."""
        query = (
            select(HiddenReview.rules)
            .join(PublicComment, PublicComment.id == HiddenReview.comment_id)
            .where(
                PublicComment.conversation_id == row.id,
                PublicComment.platform_id == (message.edit_of or message.platform_id),
                PublicComment.wanted_hidden,
                HiddenReview.decided_at.is_(None),
                HiddenReview.was_hidden,
                HiddenReview.opened_by.is_(None),
                HiddenReview.opened_at >= message.received_at,
            )
            .limit(1)
        )
        rules = (await self._connection.execute(query)).scalar_one_or_none()
        if not rules:
            return ""
        content = self._words.on(row.channel)
        named = (content.line(f"comment_rule_{rule}") for rule in rules)
        link = CommentRule.of(content.force).appeal_link or str(content.force.get("public_site_url", ""))
        return "\n".join([content.line("comment_hidden"), *named, f"{content.line('comment_appeal')} {link}"])
