"""What staff do, from the one door that every page must use: claim, reply, note, pass on, close.

Each is a single transaction with its audit row; a reply is checked in the transaction that accepts
it, then always sent, ahead of the sentence that closes or releases. What says nothing to the person is
in `beside.py`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant.client import Assistant, tracker_name
from bot.conversations import approval, closing, comment_words, drafts, outbound, quiet
from bot.conversations.beside import Beside
from bot.conversations.closing import Closing
from bot.conversations.limits import Limits
from bot.conversations.outbox import OutboxSender
from bot.conversations.outgoing import template_of
from bot.conversations.words import Words
from bot.errors import (
    AssistantUnavailableError,
    NoSuchChatError,
    NotAllowedError,
    RefusedError,
    StaleError,
)
from bot.handover import grading, measures, ownership, reassign, seals, sensitive
from bot.handover.approval import Rule
from bot.handover.queue import get_for, may_open, see
from bot.handover.sensitive import Sensitive
from bot.messages import URGENT, Actor, Grade, Hit, Way, is_higher
from bot.safety.guard import LiveGuard, held_back
from bot.store import Bell, Store
from bot.store.record import (
    add_audit,
    add_event,
    add_outbox,
    change_conversation,
    now,
)
from bot.store.tables import Conversation, Message, Note, Outbox

log = structlog.get_logger(__name__)

LONGEST_REPLY = 5000
SENT_AGAIN = "sent again"


class Desk(Beside):
    """The actions of staff on conversations."""

    def __init__(
        self,
        store: Store,
        bell: Bell,
        words: Words,
        outbox: OutboxSender,
        assistant: Assistant,
        limits: Limits,
        guard: LiveGuard,
    ) -> None:
        self._store = store
        self._bell = bell
        self._words = words
        self._outbox = outbox
        self._assistant = assistant
        self._limits = limits
        self._guard = guard
        self._background: set[asyncio.Task[None]] = set()

    @property
    def _sensitive(self) -> Sensitive:
        return Sensitive.of(self._words.content.current.teams)

    async def claim(self, conversation_id: int, actor: Actor, epoch: int) -> Row[Any]:
        """Take a conversation. Returns once nothing of the assistant's is under way in it.

        Raises:
            StaleError: somebody else was first, or it changed.
            NotAllowedError: role or team.
        """
        async with self._store.write() as connection:
            row = await self.claim_in(connection, conversation_id, actor, epoch)
        self._ring()
        await self._outbox.wait_until_quiet(conversation_id)
        return row

    async def claim_in(
        self, connection: AsyncConnection, conversation_id: int, actor: Actor, epoch: int
    ) -> Row[Any]:
        """The claim itself, in the caller's transaction: the caller rings, and waits, after its commit."""
        before = await get_for(connection, conversation_id, actor)
        await sensitive.take_as_reason(connection, before, actor, self._sensitive)
        row = await ownership.claim(connection, conversation_id, actor, epoch)
        if before.owner_id != actor.staff_id and not comment_words.is_comment(row.channel):
            await add_outbox(
                connection, row, "notice", self._words.on(row.channel).line("joined"),
                epoch=row.epoch, author_id=actor.staff_id,
            )  # fmt: skip
        return row

    async def reply(
        self,
        conversation_id: int,
        actor: Actor,
        text: str,
        epoch: int | None = None,
        override: str = "",
        *,
        seen: int | None = None,
        way: str = "",
    ) -> int | None:
        """Accept a reply of the owner; from here on it is always sent. Returns its outbox id.

        None: a second person reads it first (`bot/conversations/approval.py`), and nothing was sent.

        `override` is why it has to leave although it holds what the guard would keep back. `epoch` and
        `seen` are those of the page that it was written on, as for `drafts.must_be_current`. `way` is
        public or private, for somebody who wrote in public: a public one is always read first.

        Raises:
            StaleError: the caller does not own the conversation (any more), or the page is behind.
            GuardedError: it holds what must not leave, and there is no reason.
            RefusedError: there is nothing to send, or too much, or the platform takes no words any more.
        """
        text = text.strip()
        if not text:
            raise RefusedError("Write something first.")
        if len(text) > LONGEST_REPLY:
            raise RefusedError(f"This reply is too long. Use {LONGEST_REPLY} letters at most.")
        found = held_back(self._guard.current.find(text))
        async with self._store.write() as connection:
            row = await get_for(connection, conversation_id, actor)
            if row.state != "human" or row.owner_id != actor.staff_id:
                raise StaleError("You do not have this chat. Your text is kept here, not sent.")
            await drafts.must_be_current(connection, row, seen=seen, epoch=epoch)
            await self._limits.must_take_words(connection, row)
            findings = outbound.decide(found, row.grade, override)
            content, rule = self._words.content.current, Rule.of(self._words.content.current.teams)
            outbox_id, place = None, ""
            to: Way = ""
            if comment_words.is_comment(row.channel):
                to, place = await comment_words.staff_place(connection, row, way, text)
            if rule.asks(row) or to == "public":
                await approval.ask(connection, row, actor, text, findings, override, rule, to, place)
            else:
                outbox_id = await outbound.send(
                    connection, row, actor, text, content.clock, findings=findings, override=override,
                    way=to, place=place,
                )  # fmt: skip
            await drafts.end(connection, row.id, actor, "reply")
        self._ring()
        return outbox_id

    async def send_again(self, outbox_id: int, actor: Actor) -> int:
        """Send a staff reply of unknown or failed fate once more: a new row at the end.

        Raises:
            StaleError: the caller does not own the conversation.
            RefusedError: there is no such reply to send again.
        """
        async with self._store.write() as connection:
            old = (
                await connection.execute(select(Outbox.__table__).where(Outbox.id == outbox_id))
            ).one_or_none()
            nothing = "There is no reply that needs to be sent again."
            if old is None or old.kind != "staff" or old.state not in ("unknown", "failed"):
                raise RefusedError(nothing)
            row = await ownership.get(connection, old.conversation_id)
            if not await may_open(connection, row, actor):
                raise RefusedError(nothing)
            if row.state != "human" or row.owner_id != actor.staff_id:
                raise StaleError("You do not have this chat any more.")
            pressed = await connection.execute(select(Outbox.detail).where(Outbox.id == outbox_id))
            if pressed.scalar_one() == SENT_AGAIN:
                raise RefusedError("This reply was sent again already.")
            template = await template_of(connection, old)
            if template is None:
                await self._limits.must_take_words(connection, row)
            again = await add_outbox(
                connection, row, "staff", old.text, epoch=row.epoch, author_id=actor.staff_id,
                template=template, way=old.way or "", place=old.place or "",
            )  # fmt: skip
            await quiet.watch(connection, row, self._words.content.current.clock)
            await connection.execute(update(Outbox).where(Outbox.id == outbox_id).values(detail=SENT_AGAIN))
            await add_audit(
                connection, actor, "reply.again", row.id, row.epoch, outbox=outbox_id, again=again
            )
        self._ring()
        return again

    async def note(self, conversation_id: int, actor: Actor, text: str) -> int:
        """Keep a private note. It can leave by no path (I9): notes have a table of their own.

        Raises:
            RefusedError: the note is empty.
            NotAllowedError: the caller may not open the conversation.
        """
        if not text.strip():
            raise RefusedError("Write something first.")
        async with self._store.write() as connection:
            row = await get_for(connection, conversation_id, actor)
            if actor.staff_id is None:
                raise NotAllowedError("Only staff keep notes.")
            note_id = (
                await connection.execute(
                    insert(Note)
                    .values(
                        conversation_id=row.id, staff_id=actor.staff_id, text=text.strip(),
                        created_at=now(),
                    )
                    .returning(Note.id)
                )
            ).scalar_one()  # fmt: skip
            await drafts.end(connection, row.id, actor, "note")
            await add_audit(connection, actor, "note", row.id, row.epoch, note=note_id)
            await add_event(connection, row.id, "note.added", {"note": note_id})
        self._ring()
        return int(note_id)

    async def draft(
        self, conversation_id: int, actor: Actor, text: str, kind: drafts.Kind = "reply"
    ) -> drafts.Kept:
        """Keep what is typed and not sent, for that member of staff; see `bot/conversations/drafts.py`.

        Raises:
            NoSuchChatError: there is no such conversation for the caller.
        """
        async with self._store.write(quick=True) as connection:
            row = await see(connection, conversation_id, actor)
            if row is None or actor.staff_id is None:
                raise NoSuchChatError
            kept = await drafts.keep(connection, row, actor, kind, text)
        if kept.told:
            self._bell.ring("event")
        return kept

    async def use_draft(self, conversation_id: int, actor: Actor, author_id: int, typed: str) -> None:
        """Put the words that somebody left unsent behind what the owner has typed.

        Raises:
            StaleError: the caller does not own the conversation.
            RefusedError: there is no such text, or both together are too long.
        """
        async with self._store.write() as connection:
            row = await get_for(connection, conversation_id, actor)
            await drafts.use(connection, row, actor, author_id, typed)

    async def escalate(self, conversation_id: int, actor: Actor, reason: str) -> Row[Any]:
        """Take a conversation away from the assistant by hand, into the queue (P3).

        Raises:
            RefusedError: it is not with the assistant, or there is no reason.
        """
        if actor.role not in ownership.ANSWERING_ROLES:
            raise NotAllowedError("Your role does not allow that.")
        if len(reason.strip()) < 3:
            raise RefusedError("Give a reason.")
        async with self._store.write() as connection:
            row = await get_for(connection, conversation_id, actor)
            if row.state != "bot":
                raise StaleError("The assistant does not have this chat any more.")
            hit = Hit("R20", "P3", "staff", (reason.strip()[:200],))
            raised = await ownership.escalate(
                connection, row, [hit], actor, team=await self._words.route(connection, [hit])
            )
            await self._words.tell_truth(connection, raised.conversation)
            await self._limits.settle(connection, raised.conversation.id)
            fresh = raised.conversation
        self._ring()
        return fresh

    async def release(self, conversation_id: int, actor: Actor) -> Row[Any]:
        """Hand a P3 or P4 back to the assistant; the person is told in one sentence."""
        async with self._store.write() as connection:
            row = await ownership.release(connection, conversation_id, actor)
            await self._notice(connection, row, actor, "released")
        self._ring()
        return row

    async def return_to_assistant(self, conversation_id: int, actor: Actor, reason: str) -> Row[Any]:
        """Give a waiting P3 or P4 back to the assistant without having claimed it.

        Raises:
            RefusedError: it is urgent, does not wait, or there is no reason.
        """
        if actor.role not in ownership.ANSWERING_ROLES:
            raise NotAllowedError("Your role does not allow that.")
        if len(reason.strip()) < 3:
            raise RefusedError("Give a reason.")
        async with self._store.write() as connection:
            row = await get_for(connection, conversation_id, actor)
            back = await ownership.withdraw(connection, row, actor)
            if back is None:
                raise RefusedError("Only a waiting P3 or P4 can go back to the assistant.")
            await add_audit(connection, actor, "return", row.id, back.epoch, reason=reason.strip())
            await self._notice(connection, back, actor, "withdrawn")
        self._ring()
        return back

    async def close(
        self,
        conversation_id: int,
        actor: Actor,
        outcome: str,
        done: str = "",
        *,
        seen: int | None = None,
        incident: str = "",
        agency: str = "",
        linked: str = "",
        waiver: str = "",
    ) -> Row[Any]:
        """End a conversation with an outcome; the person gets the chat reference.

        `seen` is the id of the newest message on the page of whoever closes. The other fields are
        those of `Closing`.

        Raises:
            StaleError: the person has written something that the page does not show yet.
            RefusedError: an unknown outcome, or something that it or the conversation asks for is
                missing: what was done, an agency, the force's incident number.
        """
        form = Closing(outcome, done, agency, incident, linked, waiver)
        content = self._words.content.current
        closing.known_outcome(content, form)
        async with self._store.write() as connection:
            before = await get_for(connection, conversation_id, actor)
            ownership.must_close(before, actor)
            unread = await connection.execute(
                select(Message.id)
                .where(
                    Message.conversation_id == conversation_id,
                    Message.id > seen if seen is not None else Message.handled.is_(False),
                )
                .limit(1)
            )
            if unread.scalar_one_or_none() is not None:
                raise StaleError("A new message has arrived. Read it before you close this chat.")
            detail = await closing.check(connection, before, actor, form, content, self._limits.rule)
            row = await ownership.close(connection, conversation_id, actor, outcome, done, **detail)
            await self._notice(connection, row, actor, "closed", reference=row.reference)
        self._ring()
        self._forget_later(tracker_name(row.id, row.reference))
        return row

    async def reopen(self, conversation_id: int, actor: Actor) -> Row[Any]:
        """Open a closed conversation again, for whoever does it; the person is told nothing.

        Raises:
            StaleError: it is open already.
            RefusedError: it was closed too long ago, or the person has another one open.
        """
        try:
            async with self._store.write() as connection:
                row = await ownership.reopen(connection, conversation_id, actor)
                await self._limits.settle(connection, row.id)
        except IntegrityError as error:
            # The person wrote at this very moment: the index lets only one be open.
            raise RefusedError(ownership.ANOTHER_OPEN) from error
        self._ring()
        return row

    async def transfer(self, conversation_id: int, actor: Actor, team: str, note: str) -> Row[Any]:
        """Pass a conversation to another team with a note."""
        async with self._store.write() as connection:
            row = await ownership.transfer(connection, conversation_id, actor, team, note)
            await connection.execute(
                insert(Note).values(
                    conversation_id=row.id, staff_id=actor.staff_id, text=note.strip(),
                    created_at=now(),
                )
            )  # fmt: skip
            await drafts.end(connection, row.id, actor, "transfer")
            await self._limits.settle(connection, row.id)
            if row.state == "waiting":
                await self._notice(connection, row, actor, "transferred")
        self._ring()
        return row

    async def accept(self, conversation_id: int, actor: Actor) -> Row[Any]:
        """Accept a warm transfer."""
        async with self._store.write() as connection:
            row = await ownership.accept(connection, conversation_id, actor)
        self._ring()
        await self._outbox.wait_until_quiet(conversation_id)
        return row

    async def take_over(self, conversation_id: int, actor: Actor) -> Row[Any]:
        """A supervisor takes a conversation from its owner."""
        async with self._store.write() as connection:
            before = await get_for(connection, conversation_id, actor)
            await sensitive.take_as_reason(connection, before, actor, self._sensitive)
            row = await ownership.take_over(connection, conversation_id, actor)
        self._ring()
        await self._outbox.wait_until_quiet(conversation_id)
        return row

    async def reassign(self, conversation_id: int, actor: Actor, to: int, text: str) -> Row[Any]:
        """Give a conversation to another member of staff who is there; a P1 or P2 is offered to them.

        Raises:
            RefusedError: see `bot/handover/reassign.py`.
        """
        async with self._store.write() as connection:
            row = await reassign.reassign(connection, conversation_id, actor, to, text)
            await connection.execute(
                insert(Note).values(
                    conversation_id=row.id, staff_id=actor.staff_id, text=text.strip(), created_at=now()
                )
            )
            await add_event(connection, row.id, "note.added", {})
        self._ring()
        await self._outbox.wait_until_quiet(conversation_id)
        return row

    async def set_grade(self, conversation_id: int, actor: Actor, grade: Grade, reason: str) -> Row[Any]:
        """Change the grade by hand. One that waits and becomes a P1 or P2 goes on as if found so."""
        async with self._store.write() as connection:
            before = await get_for(connection, conversation_id, actor)
            row = await grading.set_grade(connection, conversation_id, actor, grade, reason)
            if row.state == "waiting" and row.grade in URGENT and is_higher(row.grade, before.grade):
                row = await self._rose_while_waiting(connection, before, row)
            lowered = is_higher(before.grade, row.grade)
            await self._limits.settle(connection, row.id, lowered=lowered)
        self._ring()
        return row

    async def _rose_while_waiting(
        self, connection: AsyncConnection, before: Row[Any], row: Row[Any]
    ) -> Row[Any]:
        """To the team of its new grade; the person reads the safety words, and who will read them."""
        hit = Hit(row.category or "R20", row.grade, "staff")
        if not row.sealed:
            team = await self._words.route(connection, [hit])
            await change_conversation(connection, row.id, team=team, category=hit.category)
            row = await ownership.get(connection, row.id)
        raised = ownership.Raised(row, moved=False, rose=True, new_categories=())
        await self._words.after_escalation(connection, raised, [hit], was=before)
        return row

    async def opened(self, conversation_id: int, actor: Actor) -> None:
        """Record that somebody read a conversation.

        Raises:
            NotAllowedError: the caller may not.
        """
        async with self._store.write() as connection:
            row = await get_for(connection, conversation_id, actor)
            await sensitive.must_have_reason(connection, row, actor, self._sensitive)
            await add_audit(connection, actor, "open", row.id, row.epoch)

    async def give_reason(self, conversation_id: int, actor: Actor, reason: str) -> None:
        """Keep why somebody who is not asked to answer it reads a sensitive conversation.

        Raises:
            NoSuchChatError: there is none that the caller may see.
            RefusedError: there is no reason in it.
        """
        async with self._store.write() as connection:
            await sensitive.give_reason(connection, conversation_id, actor, self._sensitive, reason)

    async def seal(self, conversation_id: int, actor: Actor, team: str, reason: str) -> Row[Any]:
        """Hide a conversation from everybody but one team: somebody of our own staff is concerned.

        Whoever had it loses it, if they are not of that team.

        Raises:
            NoSuchChatError: there is none that the caller may see.
            RefusedError: no such team, sealed already, or no reason.
        """
        if actor.role not in ownership.ANSWERING_ROLES:
            raise NotAllowedError("Your role does not allow that.")
        if len(reason.strip()) < 3:
            raise RefusedError("Give a reason.")
        async with self._store.write() as connection:
            row = await get_for(connection, conversation_id, actor)
            if row.sealed:
                raise RefusedError("This chat is sealed already.")
            if not await seals.is_sealed_team(connection, team):
                raise RefusedError("Choose a team from the list.")
            if row.state == "human" and row.owner_id != actor.staff_id and actor.role != "supervisor":
                raise NotAllowedError("Only the owner or a supervisor may seal this chat.")
            # Its own grade, so that an urgent one rings for those who have it now; a closed one stays so.
            grade: Grade = "P4" if row.state == "closed" else (row.grade or "P3")
            hit = Hit(row.category or "R20", grade, "staff", (reason.strip()[:200],))
            raised = await ownership.escalate(connection, row, [hit], actor, team=team, seal_by_hand=True)
            if raised.moved:
                await self._words.tell_truth(connection, raised.conversation)
        self._ring()
        return raised.conversation

    async def unseal(self, conversation_id: int, actor: Actor, reason: str) -> Row[Any]:
        """Lift a seal; only its team may, with a reason."""
        async with self._store.write() as connection:
            row = await seals.unseal(connection, conversation_id, actor, reason)
        self._ring()
        return row

    async def block(self, conversation_id: int, actor: Actor, blocked: bool, reason: str) -> None:
        """Set or lift the flag of a person: screened as ever, otherwise silent.

        Raises:
            NotAllowedError: only a supervisor may.
            RefusedError: no reason.
        """
        async with self._store.write() as connection:
            if blocked:
                await measures.add_measure(connection, conversation_id, actor, "block", reason)
            else:
                await measures.end_standing(connection, conversation_id, actor, "block", reason)
        self._ring()

    async def hand_back_all(
        self, staff_id: int, actor: Actor, reason: str, *, keeping: Actor | None = None
    ) -> int:
        """Put all conversations of one member of staff back in front of their bands.

        `keeping` is that member as they are now: what they may still answer stays with them.
        """
        async with self._store.read() as connection:
            rows = await connection.execute(
                select(Conversation.id).where(
                    Conversation.state == "human", Conversation.owner_id == staff_id
                )
            )
            ids = list(rows.scalars())
        count = 0
        for conversation_id in ids:
            async with self._store.write() as connection:
                row = await ownership.get(connection, conversation_id)
                if row.owner_id != staff_id or (keeping and await _may_keep(connection, row, keeping)):
                    continue
                back = await ownership.give_back(connection, row, actor, reason)
                if back is not None:
                    await self._words.tell_truth(connection, back)
                    await self._limits.settle(connection, back.id)
                    count += 1
        self._ring()
        return count

    async def _notice(self, connection: Any, row: Row[Any], actor: Actor, key: str, **values: object) -> None:
        if comment_words.is_comment(row.channel):
            # Under a post nobody is told who has a chat.
            return
        await add_outbox(
            connection, row, "notice", self._words.on(row.channel).line(key, **values),
            epoch=row.epoch, author_id=actor.staff_id,
        )  # fmt: skip

    def _forget_later(self, tracker: str) -> None:
        task = asyncio.create_task(self._forget(tracker))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _forget(self, tracker: str) -> None:
        try:
            await self._assistant.forget(tracker)
        except AssistantUnavailableError:
            # Rasa's memory of it ends by itself after a short time.
            log.info("desk.forget_failed")


async def _may_keep(connection: AsyncConnection, row: Row[Any], owner: Actor) -> bool:
    return owner.role in ownership.ANSWERING_ROLES and await may_open(connection, row, owner)
