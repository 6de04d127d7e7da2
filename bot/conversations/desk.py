"""What staff do, from the one door that every page must use: claim, reply, note, pass on, close.

Each is a single transaction with its audit row; a reply is checked in the transaction that accepts
it, then always sent, ahead of the sentence that closes or releases.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant.client import Assistant
from bot.conversations.outbox import OutboxSender
from bot.conversations.words import Words
from bot.errors import AssistantUnavailableError, NotAllowedError, RefusedError, StaleError
from bot.handover import ownership
from bot.handover.queue import may_open
from bot.messages import GRADES, Actor, Grade, Hit
from bot.store import Bell, Store
from bot.store.record import (
    add_audit,
    add_event,
    add_outbox,
    change_conversation,
    now,
    upsert,
)
from bot.store.tables import Conversation, Draft, Message, Note, Outbox, Person

log = structlog.get_logger(__name__)

LONGEST_REPLY = 5000
SENT_AGAIN = "sent again"


class Desk:
    """The actions of staff on conversations."""

    def __init__(
        self,
        store: Store,
        bell: Bell,
        words: Words,
        outbox: OutboxSender,
        assistant: Assistant,
    ) -> None:
        self._store = store
        self._bell = bell
        self._words = words
        self._outbox = outbox
        self._assistant = assistant
        self._background: set[asyncio.Task[None]] = set()

    def _ring(self) -> None:
        self._bell.ring("outbox")
        self._bell.ring("event")

    async def claim(self, conversation_id: int, actor: Actor, epoch: int) -> Row[Any]:
        """Take a conversation. Returns once nothing of the assistant's is under way in it.

        Raises:
            StaleError: somebody else was first, or it changed.
            NotAllowedError: role or team.
        """
        async with self._store.write() as connection:
            before = await ownership.get(connection, conversation_id)
            row = await ownership.claim(connection, conversation_id, actor, epoch)
            if before.owner_id != actor.staff_id:
                await add_outbox(
                    connection, row, "notice", self._words.content.current.line("joined"),
                    epoch=row.epoch, author_id=actor.staff_id,
                )  # fmt: skip
        self._ring()
        await self._outbox.wait_until_quiet(conversation_id)
        return row

    async def reply(self, conversation_id: int, actor: Actor, text: str, epoch: int | None = None) -> int:
        """Accept a reply of the owner; from here on it is always sent. Returns its outbox id.

        Raises:
            StaleError: the caller does not own the conversation (any more).
            RefusedError: there is nothing to send, or too much.
        """
        text = text.strip()
        if not text:
            raise RefusedError("Write something first.")
        if len(text) > LONGEST_REPLY:
            raise RefusedError(f"This reply is too long. Use {LONGEST_REPLY} letters at most.")
        async with self._store.write() as connection:
            row = await ownership.get(connection, conversation_id)
            if row.state != "human" or row.owner_id != actor.staff_id:
                raise StaleError("You do not have this chat. Your text is kept here, not sent.")
            outbox_id = await add_outbox(
                connection, row, "staff", text, epoch=row.epoch, author_id=actor.staff_id
            )
            await change_conversation(connection, row.id, last_staff_at=now())
            await add_audit(connection, actor, "reply", row.id, row.epoch, outbox=outbox_id)
            await connection.execute(
                delete(Draft).where(Draft.staff_id == actor.staff_id, Draft.conversation_id == row.id)
            )
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
            if old is None or old.kind != "staff" or old.state not in ("unknown", "failed"):
                raise RefusedError("There is no reply that needs to be sent again.")
            row = await ownership.get(connection, old.conversation_id)
            if row.state != "human" or row.owner_id != actor.staff_id:
                raise StaleError("You do not have this chat any more.")
            pressed = await connection.execute(select(Outbox.detail).where(Outbox.id == outbox_id))
            if pressed.scalar_one() == SENT_AGAIN:
                raise RefusedError("This reply was sent again already.")
            again = await add_outbox(
                connection, row, "staff", old.text, epoch=row.epoch, author_id=actor.staff_id
            )
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
            row = await ownership.get(connection, conversation_id)
            if not await may_open(connection, row, actor) or actor.staff_id is None:
                raise NotAllowedError("You may not open this chat.")
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
            await add_audit(connection, actor, "note", row.id, row.epoch, note=note_id)
            await add_event(connection, row.id, "note.added", {"note": note_id})
        self._ring()
        return int(note_id)

    async def draft(self, conversation_id: int, actor: Actor, text: str) -> None:
        """Keep what is typed and not sent, for that member of staff alone."""
        if actor.staff_id is None:
            return
        async with self._store.write() as connection:
            if not text:
                await connection.execute(
                    delete(Draft).where(
                        Draft.staff_id == actor.staff_id, Draft.conversation_id == conversation_id
                    )
                )
                return
            await connection.execute(
                upsert(connection, Draft)
                .values(
                    staff_id=actor.staff_id, conversation_id=conversation_id,
                    text=text[:LONGEST_REPLY], updated_at=now(),
                )
                .on_conflict_do_update(
                    index_elements=["staff_id", "conversation_id"],
                    set_={"text": text[:LONGEST_REPLY], "updated_at": now()},
                )
            )  # fmt: skip

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
            row = await ownership.get(connection, conversation_id)
            if row.state != "bot":
                raise StaleError("The assistant does not have this chat any more.")
            hit = Hit("R20", "P3", "staff", (reason.strip()[:200],))
            raised = await ownership.escalate(
                connection, row, [hit], actor, team=await self._words.route(connection, [hit])
            )
            await self._words.tell_truth(connection, raised.conversation)
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
            row = await ownership.get(connection, conversation_id)
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
    ) -> Row[Any]:
        """End a conversation with an outcome; the person gets the chat reference.

        `seen` is the id of the newest message on the page of whoever closes.

        Raises:
            StaleError: the person has written something that the page does not show yet.
            RefusedError: an unknown outcome, or a P1 or P2 without what was done.
        """
        known = self._words.content.current.outcomes.get(outcome)
        if known is None:
            raise RefusedError("Choose an outcome.")
        if known.get("needs_note") and len(done.strip()) < 3:
            raise RefusedError("Write down what was done.")
        async with self._store.write() as connection:
            now_is = await ownership.get(connection, conversation_id)
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
            if now_is.grade and now_is.grade not in known.get("grades", GRADES):
                raise RefusedError(f"A {now_is.grade} cannot be closed with that outcome. Choose another.")
            row = await ownership.close(connection, conversation_id, actor, outcome, done)
            await self._notice(connection, row, actor, "closed", reference=row.reference)
        self._ring()
        self._forget_later(conversation_id)
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
            row = await ownership.take_over(connection, conversation_id, actor)
        self._ring()
        await self._outbox.wait_until_quiet(conversation_id)
        return row

    async def set_grade(self, conversation_id: int, actor: Actor, grade: Grade, reason: str) -> Row[Any]:
        """Change the grade by hand."""
        async with self._store.write() as connection:
            row = await ownership.set_grade(connection, conversation_id, actor, grade, reason)
        self._ring()
        return row

    async def opened(self, conversation_id: int, actor: Actor) -> None:
        """Record that somebody read a conversation.

        Raises:
            NotAllowedError: the caller may not.
        """
        async with self._store.write() as connection:
            row = await ownership.get(connection, conversation_id)
            if not await may_open(connection, row, actor):
                raise NotAllowedError("You may not open this chat.")
            await add_audit(connection, actor, "open", row.id, row.epoch)

    async def block(self, conversation_id: int, actor: Actor, blocked: bool, reason: str) -> None:
        """Set or lift the flag of a person: screened as ever, otherwise silent.

        Raises:
            NotAllowedError: only a supervisor may.
            RefusedError: no reason.
        """
        if actor.role != "supervisor":
            raise NotAllowedError("Only a supervisor may block a person.")
        if len(reason.strip()) < 3:
            raise RefusedError("Give a reason.")
        async with self._store.write() as connection:
            row = await ownership.get(connection, conversation_id)
            await connection.execute(update(Person).where(Person.id == row.person_id).values(blocked=blocked))
            await add_audit(
                connection, actor, "block" if blocked else "unblock", row.id, row.epoch,
                reason=reason.strip(),
            )  # fmt: skip
            await add_event(connection, row.id, "person.blocked", {"blocked": blocked})
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
                    count += 1
        self._ring()
        return count

    async def _notice(self, connection: Any, row: Row[Any], actor: Actor, key: str, **values: object) -> None:
        await add_outbox(
            connection, row, "notice", self._words.content.current.line(key, **values),
            epoch=row.epoch, author_id=actor.staff_id,
        )  # fmt: skip

    def _forget_later(self, conversation_id: int) -> None:
        task = asyncio.create_task(self._forget(conversation_id))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _forget(self, conversation_id: int) -> None:
        try:
            await self._assistant.forget(f"c{conversation_id}")
        except AssistantUnavailableError:
            # Rasa's memory of it ends by itself after a short time.
            log.info("desk.forget_failed", conversation=conversation_id)


async def _may_keep(connection: AsyncConnection, row: Row[Any], owner: Actor) -> bool:
    return owner.role in ownership.ANSWERING_ROLES and await may_open(connection, row, owner)
