"""What staff do with many chats at once: take the next one, hand several on, end a shift."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.conversations import comment_words
from bot.conversations.desk import Desk
from bot.conversations.outbox import OutboxSender
from bot.conversations.words import Words
from bot.errors import NoSuchChatError, NotAllowedError, ReasonNeededError, RefusedError, StaleError
from bot.handover import ownership, take
from bot.handover.queue import ORDER, get_for, may_open
from bot.handover.shift import is_on_shift
from bot.messages import URGENT, Actor
from bot.store import Bell, Store
from bot.store.record import add_audit, add_outbox, now
from bot.store.tables import Conversation, Note

ROUNDS = 3
MOST_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Next:
    """What "take the next" came to."""

    conversation_id: int
    taken: bool
    """False: it is of a sensitive category, and its page asks for a reason first."""


@dataclass(slots=True)
class Moved:
    """What became of several chats: their references, and why some stayed where they were."""

    done: list[str] = field(default_factory=list)
    offered: list[str] = field(default_factory=list)
    """P1 and P2 that the sender keeps until somebody accepts."""
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Reference and reason."""


class Moves:
    """These actions; each chat in a transaction of its own, so that one refusal costs no other."""

    def __init__(self, store: Store, bell: Bell, words: Words, outbox: OutboxSender, desk: Desk) -> None:
        self._store = store
        self._bell = bell
        self._words = words
        self._outbox = outbox
        self._desk = desk

    def _ring(self) -> None:
        self._bell.ring("outbox")
        self._bell.ring("event")

    async def take_next(self, actor: Actor, press: str = "") -> Next | None:
        """Claim the most urgent, longest waiting conversation that `actor` may take.

        None: nothing waits that they may take. A lost race goes on to the next one. The same
        `press` (of one button on one page) never takes a second.

        Raises:
            NotAllowedError: the caller is nobody who answers.
        """
        for _ in range(ROUNDS):
            async with self._store.read() as connection:
                found = await take.next_to_take(connection, actor)
            if not found:
                break
            for one in found:
                try:
                    taken, is_new = await self._try(one, actor, press)
                except ReasonNeededError:
                    return Next(int(one.id), taken=False)
                except (StaleError, NoSuchChatError):
                    # Somebody else was first, or it went where this person may not follow.
                    continue
                if is_new:
                    self._ring()
                await self._outbox.wait_until_quiet(taken)
                return Next(taken, taken=True)
        async with self._store.write() as connection:
            before = await take.taken_by_press(connection, actor, press)
        return None if before is None else Next(before, taken=True)

    async def _try(self, one: Row[Any], actor: Actor, press: str) -> tuple[int, bool]:
        async with self._store.write() as connection:
            before = await take.taken_by_press(connection, actor, press)
            if before is not None:
                return before, False
            await self._desk.claim_in(connection, one.id, actor, one.epoch)
            await take.remember_press(connection, actor, press, one.id)
        return int(one.id), True

    async def hand_on(self, ids: Iterable[int], actor: Actor, team: str, note: str) -> Moved:
        """Pass several waiting or owned P3 and P4 to a team, with one note. P1 and P2 stay.

        Raises:
            RefusedError: none chosen, or more than `MOST_AT_ONCE`.
        """
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            raise RefusedError("Choose at least one chat.")
        if len(wanted) > MOST_AT_ONCE:
            raise RefusedError(f"Choose {MOST_AT_ONCE} chats at most.")
        moved = Moved()
        for conversation_id in wanted:
            reference = await self._reference(conversation_id, actor)
            try:
                await self._hand_one_on(conversation_id, actor, team, note)
            except RefusedError as error:
                moved.refused.append((reference, str(error)))
            else:
                moved.done.append(reference)
        self._ring()
        return moved

    async def _reference(self, conversation_id: int, actor: Actor) -> str:
        async with self._store.read() as connection:
            query = select(Conversation.__table__).where(Conversation.id == conversation_id)
            row = (await connection.execute(query)).one_or_none()
            if row is None or not await may_open(connection, row, actor):
                return "A chat"
            return str(row.reference)

    async def _hand_one_on(self, conversation_id: int, actor: Actor, team: str, note: str) -> None:
        async with self._store.write() as connection:
            row = await get_for(connection, conversation_id, actor)
            owned = row.state == "human"
            if owned and row.grade in URGENT:
                raise RefusedError(f"A {row.grade} is not handed on this way. Open it and offer it.")
            if owned and row.team == team:
                raise RefusedError("It is with that team already.")
            if not owned:
                await take.pass_on_waiting(connection, conversation_id, actor, team, note)
                await self._add_note(connection, row, actor, note)
                await self._still_true(connection, row, team)
                return
        await self._desk.transfer(conversation_id, actor, team, note)

    async def _still_true(self, connection: AsyncConnection, before: Row[Any], team: str) -> None:
        """Who was told of a person on shift hears it when there is none in the new team (I11)."""
        there = await is_on_shift(connection, before.grade, before.team)
        if there and not await is_on_shift(connection, before.grade, team):
            row = await ownership.get(connection, before.id)
            await self._words.tell_truth(connection, row)

    async def _add_note(self, connection: AsyncConnection, row: Row[Any], actor: Actor, note: str) -> None:
        await connection.execute(
            insert(Note).values(
                conversation_id=row.id, staff_id=actor.staff_id, text=note.strip(), created_at=now()
            )
        )

    # ---- the end of a shift ----------------------------------------------------------------------

    async def owned_by(self, actor: Actor) -> list[Row[Any]]:
        """Everything that `actor` owns, the most urgent first."""
        async with self._store.read() as connection:
            rows = await connection.execute(
                select(Conversation.__table__)
                .where(Conversation.state == "human", Conversation.owner_id == actor.staff_id)
                .order_by(*ORDER)
            )
            return list(rows.all())

    async def end_shift(self, actor: Actor, note: str, offers: Mapping[int, str]) -> Moved:
        """Hand everything on that `actor` owns, with a note, before they sign out.

        A P3 or P4 waits again for its team, at its place by first wait. A P1 or P2 is offered to the
        team that `offers` names for it, or its own, and stays until one of them, or a supervisor,
        has it. Who is on shift is counted without the one who goes.

        Raises:
            NotAllowedError: the caller is nobody who answers.
            RefusedError: there is something to hand on, and no note.
        """
        if actor.staff_id is None or actor.role not in ownership.ANSWERING_ROLES:
            raise NotAllowedError("Your role does not have this part of the desk.")
        owned = await self.owned_by(actor)
        if owned and len(note.strip()) < 3:
            raise RefusedError("Write a note for whoever takes over.")
        moved = Moved()
        for one in owned:
            try:
                await self._hand_over(one, actor, note, offers, moved)
            except RefusedError as error:
                moved.refused.append((one.reference, str(error)))
        left = await self.owned_by(actor)
        async with self._store.write() as connection:
            await add_audit(
                connection, actor, "shift.end", subject_id=actor.staff_id,
                handed=len(moved.done), offered=len(moved.offered), left=len(left),
            )  # fmt: skip
        self._ring()
        return moved

    async def _hand_over(
        self, one: Row[Any], actor: Actor, note: str, offers: Mapping[int, str], moved: Moved
    ) -> None:
        content = self._words.content.current
        async with self._store.write() as connection:
            row = await get_for(connection, one.id, actor)
            home = row.team or str(content.teams.get("default_team") or "")
            if row.grade in URGENT:
                team = offers.get(row.id) or row.transfer_team or home
                if row.transfer_team != team:
                    await ownership.transfer(connection, row.id, actor, team, note)
                    await self._add_note(connection, row, actor, note)
                moved.offered.append(row.reference)
                return
            fresh = await ownership.transfer(connection, row.id, actor, home, note)
            await self._add_note(connection, row, actor, note)
            there = await is_on_shift(connection, fresh.grade, fresh.team, without=actor.staff_id)
            said = content.for_channel(fresh.channel)
            words = said.line("requeued") + ("" if there else "\n" + said.line("queued_off_shift"))
            if not comment_words.is_comment(fresh.channel):
                await add_outbox(
                    connection, fresh, "notice", words, epoch=fresh.epoch, author_id=actor.staff_id
                )
        moved.done.append(row.reference)
