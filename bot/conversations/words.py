"""Turns what was found into the approved words that a person reads, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant.client import Reading
from bot.assistant.content import Content, LiveContent
from bot.conversations import comment_words, quiet
from bot.handover import measures
from bot.handover.ownership import Raised
from bot.handover.shift import is_on_shift
from bot.messages import GRADES, URGENT, Button, Grade, Hit
from bot.messages import PERSON as THE_PERSON
from bot.safety import Screen
from bot.safety.languages import NAMES
from bot.store.record import add_audit, add_outbox, change_conversation, now
from bot.store.tables import Outbox

BESIDE_A_QUESTION = 0.7
"""Least probability of a P1 or P2 beside a certain question, chosen on left-out training examples
(docs/understanding.md)."""
REPEAT_AFTER = timedelta(minutes=10)
QUIET_AFTER_STAFF = timedelta(minutes=2)
LEAST_PART = 40
"""Letters of safety words that nobody writes by chance."""

SAFE_YES = "fc:safe_yes"
SAFE_NO = "fc:safe_no"
WITHDRAW = "fc:withdraw"
PERSON = "fc:person"
START = "fc:start"
NONE_OF_THESE = "fc:none"
FAQ = "fc:faq:"


class Words:
    """Writes the rows that follow an escalation: safety words, and the truth about a person."""

    def __init__(self, screen: Screen, content: LiveContent) -> None:
        self.screen = screen
        self.content = content

    def on(self, channel: str) -> Content:
        """The words in force, as a channel says them."""
        return self.content.current.for_channel(channel)

    def held(self) -> Words:
        """The same, with the words of this moment: a turn says nothing of two releases."""
        return Words(self.screen, self.content.held())

    async def route(self, connection: AsyncConnection, hits: Sequence[Hit]) -> str:
        """The team that serves the most urgent of these hits.

        A P1 or P2 goes to the team that covers, while nobody of its own is on shift and somebody
        of the covering team is; a restricted team is never covered by one that is not.
        """
        worst = min(hits, key=lambda hit: hit.grade)
        content = self.content.current
        team = content.team_for(worst.category, worst.grade)
        known = content.teams.get("teams", {}).get(team, {})
        cover = known.get("covered_by")
        if (
            worst.grade in URGENT
            and cover
            and not known.get("restricted")
            and not await is_on_shift(connection, worst.grade, team, own_members_only=True)
            and await is_on_shift(connection, worst.grade, cover, own_members_only=True)
        ):
            return str(cover)
        return team

    def model_hits(self, readings: Sequence[Reading]) -> list[Hit]:
        """What the model's net finds: each category at its own low threshold.

        Beside a plain question of ours that the model is certain of, an urgent risk must be clearer: its
        words ("stolen", "knife") are those of the risk. A P3 or P4 need not: the answer is given as well.
        """
        hits: dict[str, Hit] = {}
        for reading in readings:
            sure = self._is_plain_question(reading)
            for category, probability, found in reading.risks:
                known = self.screen.categories.get(category)
                if known is None:
                    continue
                grade: Grade = found if found in GRADES else known.priority
                least = BESIDE_A_QUESTION if sure and grade in URGENT else 0.0
                if probability < max(known.understanding_threshold, least):
                    continue
                hits.setdefault(category, Hit(category, grade, "understanding", (f"{probability:.2f}",)))
        return list(hits.values())

    def language_name(self, code: str) -> str:
        """What staff call a language."""
        own = self.screen.content.languages.get(code)
        if own is not None:
            return own.name
        return NAMES.get(code, "not English")

    def _is_plain_question(self, reading: Reading) -> bool:
        """Whether the model is certain of a question that is answered (mode A or H) and carries no risk."""
        faq = self.content.current.faqs.get(reading.intent.removeprefix("faq/"))
        return reading.certain and faq is not None and faq.mode != "E" and not faq.category

    def safety_text(self, category: str, grade: str, language: str = "") -> str:
        """The safety words of a category; for a P1 the 999 block comes first."""
        return self._text(
            category, block=grade == "P1", drop_block_lines=grade == "P1",
            danger=self.content.current.in_language(language, "danger"),
        )  # fmt: skip

    def lines_of(self, category: str, *, without_block: bool = False) -> str:
        """The safety words of a category alone; without those that the 999 block before them says."""
        return self._text(category, block=False, drop_block_lines=without_block)

    def _text(self, category: str, *, block: bool, drop_block_lines: bool, danger: str = "") -> str:
        lines = list(self.screen.words(category).safety)
        if danger:
            lines = [danger, "", *lines]
        words = self.content.current.line("block_999")
        if drop_block_lines:
            plain = _flat(words)
            lines = [line for line in lines if _flat(line) not in plain]
        if block:
            return "\n".join([words, "", *lines]).strip()
        return "\n".join(lines)

    def are_safety_words(self, text: str) -> bool:
        """Whether this is what a P1 reads, or a part of it that is long enough to be told from a phrase."""
        part = _flat(text)
        if len(part) < LEAST_PART:
            return False
        return any(part in _flat(self.safety_text(category, "P1")) for category in self.screen.categories)

    async def _block_is_due(self, connection: AsyncConnection, raised: Raised) -> bool:
        """Whether the 999 block goes before a P1's words: once, and again after ten minutes."""
        if raised.rose:
            return True
        return not await self.went_out(connection, raised.conversation.id, Outbox.grade == "P1")

    async def went_out(self, connection: AsyncConnection, conversation_id: int, which: Any) -> bool:
        """Whether such safety words were sent within ten minutes, or are in line to be sent."""
        recent = await connection.execute(
            select(Outbox.id)
            .where(
                Outbox.conversation_id == conversation_id,
                which,
                or_(
                    Outbox.state.in_(("queued", "sending")),
                    Outbox.state.in_(("sent", "delivered", "read")) & (Outbox.sent_at > now() - REPEAT_AFTER),
                ),
            )
            .limit(1)
        )
        return recent.scalar_one_or_none() is not None

    async def after_escalation(
        self,
        connection: AsyncConnection,
        raised: Raised,
        hits: Sequence[Hit],
        *,
        was: Row[Any],
        turn: str | None = None,
        quiet_reason: str | None = None,
    ) -> None:
        """Write the words that follow hits, in the transaction that escalated.

        Safety words of every urgent category that needs them (I6); words of a P3 or P4 only while
        nobody of the staff owns; then one sentence about the person who will read, when the
        conversation began to wait or its grade rose.
        """
        row = raised.conversation
        if comment_words.is_comment(row.channel):
            await comment_words.after_escalation(connection, self, raised, hits, was=was, turn=turn)
            if any(hit.grade in URGENT for hit in hits):
                await quiet.watch(connection, row, self.content.current.clock)
            return
        owned = row.state == "human"
        content = self.on(row.channel)
        language = next((hit.language for hit in hits if hit.language), row.language)
        block = await self._block_is_due(connection, raised)
        # Whoever is limited reads words of danger as anybody does, the others once an hour at most.
        hushed = not (raised.moved or raised.rose) and await measures.must_be_quiet(connection, row.person_id)
        block_sent = told = False
        for hit in _once_each(hits):
            urgent = hit.grade in URGENT
            if (owned or hushed) and not urgent:
                continue
            if not urgent and (quiet_reason is not None or row.grade in URGENT):
                # In danger, one reads the words of danger only.
                continue
            if not await self.is_due(connection, was, raised, hit):
                continue
            with_block = block and hit.grade == "P1" and not block_sent
            text = self._text(
                hit.category, block=with_block, drop_block_lines=with_block or block_sent,
                danger=content.in_language(language, "danger") if urgent and not told else "",
            )  # fmt: skip
            told = told or urgent
            block_sent = block_sent or with_block
            if not text:
                # The 999 block, sent a moment ago, has said it all.
                continue
            words = self.screen.words(hit.category)
            buttons: tuple[Button, ...] = ()
            if words.subject_hidden and not owned:
                buttons = (
                    Button(content.line("safe_yes_title"), SAFE_YES),
                    Button(content.line("safe_no_title"), SAFE_NO),
                )
                await change_conversation(connection, row.id, safe_check="asked", safe_category=hit.category)
            await add_outbox(
                connection,
                row,
                "safety" if urgent else "assistant",
                text,
                epoch=row.epoch,
                buttons=buttons,
                category=hit.category,
                grade=hit.grade,
                turn=turn,
            )
        if any(hit.grade in URGENT for hit in hits):
            await quiet.watch(connection, row, content.clock)
        if not owned and (raised.moved or raised.rose):
            await self.tell_truth(connection, row, turn=turn, quiet_reason=quiet_reason, language=language)

    async def tell_truth(
        self,
        connection: AsyncConnection,
        row: Row[Any],
        *,
        turn: str | None = None,
        quiet_reason: str | None = None,
        language: str | None = None,
    ) -> None:
        """One true sentence about who will read this (I11), and the way to take it back.

        `quiet_reason` is a wording key said before it, where no category has words of its own.
        In a `language` that the force has words in, those come first.
        """
        if comment_words.is_comment(row.channel):
            # Said in private, with the words that it belongs to.
            return
        content = self.on(row.channel)
        parts: list[str] = []
        danger = () if row.grade in URGENT else ("danger",)
        own = content.in_language(language, "queue", *danger, *(("no_person",) if row.withdrawable else ()))
        if own:
            parts += [own, ""]
        if quiet_reason is not None:
            parts.append(content.line(quiet_reason))
        if await is_on_shift(connection, row.grade, row.team):
            sentence = (
                self.screen.words(row.category, row.channel).handover
                if row.category
                else content.line("handed_over_default")
            )
            parts.append(sentence)
        else:
            sentence = content.line("queued_off_shift")
            if quiet_reason is None and await self._was_told(connection, row.id, sentence):
                return
            parts.append(sentence)
        buttons: tuple[Button, ...] = ()
        if row.withdrawable:
            parts.append(content.line("withdraw_offer"))
            buttons = (Button(content.line("withdraw_title"), WITHDRAW),)
        await add_outbox(
            connection, row, "assistant", "\n".join(parts), epoch=row.epoch, buttons=buttons,
            turn=turn,
        )  # fmt: skip

    async def _was_told(self, connection: AsyncConnection, conversation_id: int, words: str) -> bool:
        """Whether this very sentence arrived within ten minutes (one that was refused did not)."""
        found = await connection.execute(
            select(Outbox.id)
            .where(
                Outbox.conversation_id == conversation_id,
                Outbox.kind == "assistant",
                Outbox.text.contains(words, autoescape=True),
                Outbox.state.in_(("sent", "delivered", "read")),
                Outbox.sent_at > now() - REPEAT_AFTER,
            )
            .limit(1)
        )
        return found.scalar_one_or_none() is not None

    async def is_due(self, connection: AsyncConnection, was: Row[Any], raised: Raised, hit: Hit) -> bool:
        """Whether a category's words go out now (I6).

        A category new to the conversation, or a rise, gets them at once. Otherwise not within ten
        minutes of having been sent, nor within two minutes of a staff reply. A row still in line
        counts as sent: it will be, or it becomes unknown and is sent again.
        """
        if hit.category in raised.new_categories or raised.rose:
            return True
        if was.last_staff_at is not None and was.last_staff_at > now() - QUIET_AFTER_STAFF:
            return False
        return not await self.went_out(connection, was.id, Outbox.category == hit.category)

    async def reopened(self, connection: AsyncConnection, row: Row[Any]) -> None:
        """Tell a person who wrote again after staff had closed that staff will read it."""
        if comment_words.is_comment(row.channel):
            return
        on_shift = await is_on_shift(connection, row.grade, row.team)
        key = "after_reopened" if on_shift else "after_reopened_off_shift"
        words = self.on(row.channel).line(key)
        await add_outbox(connection, row, "assistant", words, epoch=row.epoch)

    async def holding_line(self, connection: AsyncConnection, row: Row[Any], turn: str | None) -> None:
        """What a waiting P1 or P2 hears on writing again: true of who is on shift."""
        on_shift = await is_on_shift(connection, row.grade, row.team)
        key = "holding_line" if on_shift else "holding_line_off_shift"
        await add_outbox(
            connection, row, "assistant", self.on(row.channel).line(key), epoch=row.epoch, turn=turn
        )

    async def after_safe_check(
        self, connection: AsyncConnection, row: Row[Any], answer: str, turn: str | None
    ) -> None:
        """What follows a yes or a no to "Is it safe for you to chat here?"."""
        content = self.on(row.channel)
        await change_conversation(
            connection, row.id, safe_check=answer,
            pending_answer=None if answer == "yes" else row.pending_answer,
        )  # fmt: skip
        if answer == "no":
            await add_outbox(
                connection, row, "assistant", content.line("safe_no_reply"), epoch=row.epoch,
                turn=turn,
            )  # fmt: skip
            return
        category = row.safe_category or row.category
        lines = self.screen.words(category, row.channel).after_safe_check if category else ()
        if lines:
            await add_outbox(connection, row, "assistant", "\n".join(lines), epoch=row.epoch, turn=turn)
        if row.pending_answer and row.grade != "P1":
            text = content.answer(row.pending_answer)
            if text:
                await add_outbox(
                    connection, row, "assistant", text, epoch=row.epoch, slug=row.pending_answer,
                    turn=turn,
                )  # fmt: skip
        await add_audit(connection, THE_PERSON, "safe_check", row.id, row.epoch, answer=answer)


def _flat(text: str) -> str:
    return " ".join(text.casefold().replace("*", "").split())


def _once_each(hits: Sequence[Hit]) -> list[Hit]:
    """The most urgent hit of each category, the most urgent category first."""
    best: dict[str, Hit] = {}
    for hit in sorted(hits, key=lambda hit: hit.grade):
        best.setdefault(hit.category, hit)
    return list(best.values())
