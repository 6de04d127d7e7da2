"""One answer for many who write the same: one person writes it, a second approves, each gets it.

The approval sets one due row for each conversation of the card. It sends what any staff reply is, by
the same checks; what was sent is marked in the transaction that sends, so that a crash neither loses
nor doubles it. Who left the card meanwhile gets nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant.content import LiveContent
from bot.conversations import outbound
from bot.conversations.approval import actor_now
from bot.conversations.desk import LONGEST_REPLY, Desk
from bot.errors import NoSuchChatError, NotAllowedError, RefusedError, StaleError
from bot.handover import ownership, surges
from bot.handover.approval import Rule
from bot.handover.clock import staff_replied
from bot.handover.queue import ANSWERING_ROLES, get_for, in_surge
from bot.messages import CLOCK, GRADES, Actor
from bot.safety.guard import LiveGuard
from bot.store import Bell, Store
from bot.store.record import add_audit, add_due, add_event, add_outbox, drop_due, now
from bot.store.tables import Audit, Conversation, Surge, SurgeMember

log = structlog.get_logger(__name__)

KIND = "surge_answer"
SENT = "surge.reply"


class SurgeAnswers:
    """What staff do with a card, and what follows."""

    def __init__(self, store: Store, bell: Bell, content: LiveContent, desk: Desk, guard: LiveGuard) -> None:
        self._store = store
        self._bell = bell
        self._content = content
        self._desk = desk
        self._guard = guard

    def _ring(self) -> None:
        for name in ("event", "outbox", "due"):
            self._bell.ring(name)

    # ---- staff --------------------------------------------------------------------------------

    async def write(
        self, surge_id: int, actor: Actor, text: str, outcome: str = "", override: str = ""
    ) -> None:
        """Keep an answer for a second person to read. With an `outcome` each chat is closed after it.

        Raises:
            StaleError: the surge is over, or somebody's answer was approved already.
            GuardedError: it holds what must not leave, and there is no reason.
            RefusedError: nothing written, too much, or an outcome that cannot close these.
        """
        text = text.replace("\r\n", "\n").strip()
        if not text:
            raise RefusedError("Write something first.")
        if len(text) > LONGEST_REPLY:
            raise RefusedError(f"This answer is too long. Use {LONGEST_REPLY} letters at most.")
        self._check_outcome(outcome)
        findings = outbound.allow(self._guard.current, text, "P3", override)
        async with self._store.write() as connection:
            card = await self._open_card(connection, surge_id, actor)
            await connection.execute(
                update(Surge)
                .where(Surge.id == card.id)
                .values(answer=text, outcome=outcome or None, asked_by=actor.staff_id)
            )
            await add_audit(
                connection, actor, "surge.write", surge=card.id, outcome=outcome or None,
                findings=len(findings), override=override.strip()[:300],
            )  # fmt: skip
            teams = self._content.current.teams
            await add_due(
                connection, surges.RISES, Rule.of(teams).rises_after(teams.get("default_team")),
                key=f"{surges.RISES}:{card.id}", data={"surge": card.id},
            )  # fmt: skip
            await self._tell(connection, card.id, actor)
        self._ring()

    def _check_outcome(self, outcome: str) -> None:
        if not outcome:
            return
        known = self._content.current.outcomes.get(outcome)
        grades = (known or {}).get("grades", GRADES)
        if known is None or known.get("needs_note") or known.get("agency") or not {"P3", "P4"} & set(grades):
            raise RefusedError("These chats cannot be closed together with that outcome. Choose another.")

    async def give_back(self, surge_id: int, actor: Actor, reason: str) -> None:
        """Send an answer back to whoever wrote it, or take one's own back.

        Raises:
            StaleError: there is none that waits to be read.
            RefusedError: no reason.
        """
        if len(reason.strip()) < 3:
            raise RefusedError("Give a reason.")
        async with self._store.write() as connection:
            card = await self._open_card(connection, surge_id, actor)
            if card.answer is None:
                raise StaleError("There is no answer to give back.")
            await connection.execute(
                update(Surge).where(Surge.id == card.id).values(answer=None, outcome=None, asked_by=None)
            )
            await drop_due(connection, f"{surges.RISES}:{card.id}")
            await add_audit(
                connection, actor, "surge.return", surge=card.id, subject_id=card.asked_by,
                reason=reason.strip()[:300],
            )  # fmt: skip
            await self._tell(connection, card.id, actor)
        self._ring()

    async def approve(self, surge_id: int, actor: Actor, text: str) -> int:
        """Approve the answer that the page shows. Returns how many will get it.

        Raises:
            NotAllowedError: nobody approves their own.
            StaleError: the answer is another by now, or gone.
        """
        async with self._store.write() as connection:
            card = await self._open_card(connection, surge_id, actor)
            if card.answer is None or card.answer != text.replace("\r\n", "\n").strip():
                raise StaleError("The answer changed. Read it again.")
            if card.asked_by == actor.staff_id:
                raise NotAllowedError("Somebody else has to approve your answer.")
            author = await actor_now(connection, card.asked_by)
            if author is None:
                raise StaleError("Whoever wrote this may not answer any more. Write it anew.")
            await connection.execute(
                update(Surge).where(Surge.id == card.id).values(approved_by=actor.staff_id, answered_at=now())
            )
            await drop_due(connection, f"{surges.RISES}:{card.id}")
            members = await surges.members_of(connection, card.id, author)
            for row in members:
                await add_due(
                    connection, KIND, timedelta(), key=f"{KIND}:{card.id}:{row.id}", conversation_id=row.id,
                    data={"surge": card.id},
                )  # fmt: skip
            await add_audit(
                connection, actor, "surge.approve", surge=card.id, subject_id=card.asked_by,
                chats=len(members),
            )  # fmt: skip
            await self._tell(connection, card.id, actor)
        self._ring()
        return len(members)

    async def take_out(self, conversation_id: int, actor: Actor) -> None:
        """Take one conversation out of its card, by hand: it is a matter of its own.

        Raises:
            StaleError: it is in none.
        """
        _must_answer(actor)
        async with self._store.write() as connection:
            row = await get_for(connection, conversation_id, actor)
            if not await surges.leave(connection, row, actor, "taken out by hand"):
                raise StaleError("This chat is in no group any more.")
        self._ring()

    async def _open_card(self, connection: AsyncConnection, surge_id: int, actor: Actor) -> Row[Any]:
        _must_answer(actor)
        query = select(Surge.__table__).where(Surge.id == surge_id)
        row = (await connection.execute(query.with_for_update())).one_or_none()
        if row is None or row.closed_at is not None or row.approved_by is not None:
            raise StaleError("This group is not open any more.")
        if not await surges.members_of(connection, surge_id, actor):
            raise StaleError("This group is not open any more.")
        return row

    async def _tell(self, connection: AsyncConnection, surge_id: int, actor: Actor) -> None:
        """Let the open pages read the card anew: by the first chat in it, for those who may see that."""
        for row in (await surges.members_of(connection, surge_id, actor))[:1]:
            await add_event(connection, row.id, "conversation.surge", {"surge": surge_id})

    # ---- what is due ----------------------------------------------------------------------------

    async def rise(self, due: Row[Any]) -> bool:
        """Nobody has read an answer in time: it stands first at every supervisor's desk.

        That it has risen follows from the time of this very clock (`surges.list_cards`).
        """
        async with self._store.write() as connection:
            query = select(Surge.__table__).where(Surge.id == due.data["surge"])
            card = (await connection.execute(query)).one_or_none()
            if card is None or card.closed_at is not None or card.answer is None or card.approved_by:
                return True
            chats = await connection.execute(
                select(SurgeMember.conversation_id)
                .where(SurgeMember.surge_id == card.id, SurgeMember.left_at.is_(None))
                .order_by(SurgeMember.conversation_id)
                .limit(1)
            )
            await add_audit(connection, CLOCK, "surge.rise", surge=card.id, subject_id=card.asked_by)
            await add_event(
                connection,
                chats.scalar_one_or_none(),
                "conversation.surge",
                {"surge": card.id, "risen": True},
            )
        return True

    async def send(self, due: Row[Any]) -> bool:
        """Send the approved answer to one conversation, once; then close it, if that was wished."""
        async with self._store.write() as connection:
            query = select(Surge.__table__).where(Surge.id == due.data["surge"])
            card = (await connection.execute(query)).one_or_none()
            author = None if card is None else await actor_now(connection, card.asked_by)
            if card is None or card.approved_by is None or author is None:
                await self._left_alone(connection, due)
                return True
            try:
                seen = await self._answer(connection, due.conversation_id, card, author)
            except NoSuchChatError:
                # It went where the author may not follow.
                await self._left_alone(connection, due)
                return True
        self._ring()
        if seen is not None and card.outcome:
            await self._close(due.conversation_id, author, card, seen)
        await self._end(card.id)
        return True

    async def _answer(
        self, connection: AsyncConnection, conversation_id: int, card: Row[Any], author: Actor
    ) -> int | None:
        """Put the answer into line. Returns the newest message that it answers, also after a crash."""
        row = await get_for(connection, conversation_id, author)
        before = await connection.execute(
            select(Audit.detail).where(Audit.conversation_id == row.id, Audit.action == SENT)
        )
        for detail in before.scalars():
            if detail.get("surge") == card.id:
                return int(detail["message"])
        belongs = await connection.execute(
            select(SurgeMember.conversation_id)
            .join(Conversation, Conversation.id == SurgeMember.conversation_id)
            .where(SurgeMember.conversation_id == row.id, SurgeMember.surge_id == card.id, in_surge())
        )
        if belongs.scalar_one_or_none() is None:
            # Graded up, taken, or it has written again since: a person reads it.
            await surges.leave(connection, row, author, "changed before the answer was sent")
            return None
        seen = await surges.newest_of(connection, row.id)
        outbox_id = await add_outbox(
            connection, row, "staff", card.answer, epoch=row.epoch, author_id=card.asked_by
        )
        await staff_replied(connection, row, author)
        await add_audit(
            connection, author, SENT, row.id, row.epoch, surge=card.id, outbox=outbox_id,
            approved_by=card.approved_by, message=seen,
        )  # fmt: skip
        await surges.leave(connection, row, author, "answered")
        return seen

    async def _left_alone(self, connection: AsyncConnection, due: Row[Any]) -> None:
        row = await ownership.get(connection, due.conversation_id)
        await surges.leave(connection, row, Actor("clock"), "nobody answers for the answer any more")

    async def _close(self, conversation_id: int, author: Actor, card: Row[Any], seen: int) -> None:
        """Close one that was answered. Where it may not close like this, it stays in the queue."""
        async with self._store.read() as connection:
            query = select(Conversation.state).where(Conversation.id == conversation_id)
            state = (await connection.execute(query)).scalar_one()
        if state != "waiting":
            return
        try:
            await self._desk.close(conversation_id, author, str(card.outcome), "", seen=seen)
        except RefusedError as error:
            log.info("surge.not_closed", conversation=conversation_id, error=type(error).__name__)

    async def _end(self, surge_id: int) -> None:
        """Close the card once nobody is left in it."""
        async with self._store.write() as connection:
            left = select(SurgeMember.conversation_id).where(
                SurgeMember.surge_id == surge_id, SurgeMember.left_at.is_(None)
            )
            await connection.execute(
                update(Surge)
                .where(Surge.id == surge_id, Surge.closed_at.is_(None), ~left.exists())
                .values(closed_at=now())
            )


def _must_answer(actor: Actor) -> None:
    if actor.staff_id is None or actor.role not in ANSWERING_ROLES:
        raise NotAllowedError("Your role does not allow you to answer people.")


def never_grouped(content: LiveContent, hidden: Callable[[str], bool], categories: list[str]) -> set[str]:
    """Categories that no card ever shows: whose subject is not named, and the sensitive ones."""
    sensitive = content.current.teams.get("sensitive") or {}
    return {one for one in categories if hidden(one)} | set(sensitive.get("categories") or ())
