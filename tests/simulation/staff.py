"""The staff of a simulated shift: twelve moderators in two crews, a supervisor, and the night that follows."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, func, select, update

from bot.errors import GuardedError, RefusedError
from bot.handover import measures, surges
from bot.handover.approval import Rule, list_open, newest_message
from bot.handover.queue import any_surge
from bot.messages import URGENT, Actor
from bot.store.record import now
from bot.store.tables import Approval, Conversation, Measure, Outbox, StaffSession
from tests.support.world import INCIDENT, World

OPEN = ("digital_desk", "control_room", "corporate_communications")
CLOSED = "professional_standards"
LEAD = "control_room_lead"
MOST_CHATS = 3
"""Chats that one member of staff has at once; a P1 is taken all the same."""
QUIET_PERSON = timedelta(minutes=4)
"""After this, a chat in which nobody writes any more is closed."""
RUMOUR_ANSWER = "The bridge is open. The council's page says when work is planned."


@dataclass(slots=True)
class Member:
    """Somebody at the desk, from when until when."""

    actor: Actor
    begins: datetime
    ends: datetime
    breaks: tuple[datetime, datetime]
    busy_until: datetime
    is_here: bool = False
    is_gone: bool = False
    """Their shift is over, and nothing is left with them."""

    def works(self, moment: datetime) -> bool:
        """Whether they sit at the desk then."""
        on_break = self.breaks[0] <= moment < self.breaks[1]
        return self.begins <= moment and not self.is_gone and not on_break


@dataclass(slots=True)
class Done:
    """What the staff did, counted by themselves as they did it."""

    claims: int = 0
    replies: dict[int, str] = field(default_factory=dict)
    """The text of each reply that was taken, by its outbox id."""
    asked: int = 0
    """Replies that a second person was to read first."""
    read: int = 0
    """And that one has read."""
    again: int = 0
    closes: dict[str, int] = field(default_factory=dict)
    released: int = 0
    transfers: int = 0
    offers: int = 0
    accepted: int = 0
    handed_on: int = 0
    """Chats that an end of shift handed on or offered."""
    snoozed: int = 0
    reassigned: int = 0
    measures: int = 0
    grouped: int = 0
    notes: list[str] = field(default_factory=list)
    refused: int = 0
    unavailable: int = 0
    """Tries while the database was away."""


class Desk:
    """All of them, at one gateway."""

    def __init__(
        self, world: World, chance: random.Random, patience: tuple[int, int], wake: Callable[[datetime], None]
    ) -> None:
        """`patience`: the fewest and the most seconds that one piece of work takes."""
        self.world = world
        self.members: list[Member] = []
        self.done = Done()
        self.sits: list[tuple[datetime, str]] = []
        self.leaves: list[tuple[datetime, str]] = []
        self._chance = chance
        self._patience = patience
        self._wake = wake
        self._numbers = 0
        self._is_surge = False

    async def hire(self, begin: datetime, end: datetime, moderators: int) -> None:
        """Two crews that follow one another, a quarter of an hour together; a supervisor; a night crew of two."""
        middle = begin + (end - begin) / 2
        overlap = timedelta(minutes=15)
        for number in range(moderators):
            early = number < moderators // 2
            start, stop = (begin, middle + overlap) if early else (middle, end)
            teams = list(OPEN)
            # Of each crew: one of the closed team, one lead, every other one of safeguarding.
            place = number % (moderators // 2)
            teams += [CLOSED] if place == 0 else [LEAD] if place == 1 else []
            teams += ["safeguarding"] if place % 2 else []
            pause = start + (stop - start) * (0.25 + 0.5 * place / max(1, moderators // 2))
            await self._add(
                f"mod{number}", "moderator", teams, start, stop, (pause, pause + timedelta(minutes=30))
            )
        never = (begin - timedelta(days=1),) * 2
        await self._add("boss", "supervisor", [*OPEN, "safeguarding"], begin, end + timedelta(hours=4), never)
        for number, teams in enumerate(([*OPEN, "safeguarding", LEAD], [*OPEN, CLOSED])):
            await self._add(f"night{number}", "moderator", teams, end, end + timedelta(hours=8), never)

    async def _add(
        self, name: str, role: str, teams: Sequence[str], begins: datetime, ends: datetime,
        breaks: tuple[datetime, datetime],
    ) -> None:  # fmt: skip
        actor = await self.world.hire(name, role, teams)
        self.members.append(Member(actor, begins, ends, breaks, begins))

    @property
    def closed_team(self) -> frozenset[str]:
        """Who answers for sealed chats."""
        return frozenset(one.actor.name.lower() for one in self.members if CLOSED in one.actor.teams)

    @property
    def leads(self) -> frozenset[str]:
        """Who sees a sealed P1 as well."""
        return frozenset(one.actor.name.lower() for one in self.members if LEAD in one.actor.teams)

    def at_desk(self) -> list[Member]:
        """Those who sit there now."""
        moment = now()
        return [one for one in self.members if one.works(moment)]

    # ---- a moment --------------------------------------------------------------------------------

    async def sit(self) -> None:
        """A sign of life of everybody who is there."""
        here = self.at_desk()
        for one in here:
            if not one.is_here:
                await self.world.sit(one.actor)
                one.is_here = True
        async with self.world.store.write() as connection:
            await connection.execute(
                update(StaffSession)
                .where(StaffSession.staff_id.in_([one.actor.staff_id for one in here]))
                .values(seen_at=now(), acted_at=now())
            )
        self.sits += [(now(), one.actor.name.lower()) for one in here]

    async def work(self) -> bool:
        """Each who is free does one piece of work. Whether anybody did any."""
        moment, is_any = now(), False
        free = [one for one in self.at_desk() if one.busy_until <= moment]
        if not free:
            return False
        rows = await self._open_rows()
        for one in free:
            if await self._one(one, rows):
                is_any = True
                one.busy_until = moment + timedelta(seconds=self._chance.randint(*self._patience))
                self._wake(one.busy_until)
                rows = await self._open_rows()
        return is_any

    async def _open_rows(self) -> list[Row[Any]]:
        async with self.world.store.read(quick=True) as connection:
            query = select(Conversation.__table__).where(Conversation.state.in_(("waiting", "human")))
            self._is_surge = await any_surge(connection)
            return list((await connection.execute(query.order_by(Conversation.id))).all())

    async def _one(self, one: Member, rows: Sequence[Row[Any]]) -> bool:
        mine = [row for row in rows if row.owner_id == one.actor.staff_id]
        try:
            if now() >= one.ends:
                return await self._leaves(one, mine)
            return (
                await self._accepts(one, rows)
                or await self._reads(one)
                or await self._answers(one, mine)
                or await self._ends(one, mine)
                or await self._groups(one)
                or await self._takes(one, rows, len(mine))
            )
        except RefusedError:
            # Somebody else was first, or it changed meanwhile: they look again.
            self.done.refused += 1
            return True

    # ---- pieces of work --------------------------------------------------------------------------

    async def _accepts(self, one: Member, rows: Sequence[Row[Any]]) -> bool:
        for row in rows:
            offered = row.transfer_team is not None and row.transfer_team in one.actor.teams
            if row.state == "human" and offered and row.owner_id != one.actor.staff_id:
                await self.world.core.desk.accept(row.id, one.actor)
                self.done.accepted += 1
                return True
        return False

    async def _answers(self, one: Member, mine: Sequence[Row[Any]]) -> bool:
        held = await self._waits_to_be_read(mine)
        waiting = [
            row
            for row in mine
            if row.id not in held and (row.last_staff_at is None or row.last_inbound_at > row.last_staff_at)
        ]
        if not waiting:
            return await self._sends_again(one, mine)
        row = min(waiting, key=lambda r: (r.grade or "P4", r.last_inbound_at))
        desk = self.world.core.desk
        await desk.opened(row.id, one.actor)
        if self._chance.random() < 0.15:
            self.done.notes.append(f"NOTE {len(self.done.notes)} for staff alone")
            await desk.note(row.id, one.actor, self.done.notes[-1])
        self._numbers += 1
        text = f"This is the desk. #{self._numbers}"
        outbox_id = await desk.reply(row.id, one.actor, text)
        if outbox_id is None:
            self.done.asked += 1
            return True
        self.done.replies[outbox_id] = text
        if (
            row.grade in URGENT
            and row.transfer_team is None
            and not row.sealed
            and self._chance.random() < 0.2
        ):
            await self._passes_on(one, row)
        return True

    async def _waits_to_be_read(self, mine: Sequence[Row[Any]]) -> set[int]:
        """Conversations in which a reply waits for a second person: there they write no other."""
        if self.done.asked == self.done.read:
            return set()
        async with self.world.store.read() as connection:
            query = select(Approval.conversation_id).where(
                Approval.decided_at.is_(None), Approval.conversation_id.in_([row.id for row in mine])
            )
            return set((await connection.execute(query)).scalars())

    async def _reads(self, one: Member) -> bool:
        """Approve a reply of somebody else."""
        world = self.world
        if self.done.asked == self.done.read:
            return False
        async with world.store.read() as connection:
            rule = Rule.of(world.core.content.current.teams)
            found = [each for each in await list_open(connection, one.actor, rule) if not each.is_mine]
            if not found:
                return False
            query = select(Conversation.epoch).where(Conversation.id == found[0].conversation_id)
            epoch = (await connection.execute(query)).scalar_one()
            newest = await newest_message(connection, found[0].conversation_id)
        first = found[0]
        outbox_id = await world.core.approvals.approve(
            first.conversation_id, first.approval_id, one.actor, seen=newest, epoch=epoch
        )
        self.done.replies[outbox_id] = (await world.rows(Outbox, id=outbox_id))[0].text
        self.done.read += 1
        return True

    async def _sends_again(self, one: Member, mine: Sequence[Row[Any]]) -> bool:
        ids = [row.id for row in mine]
        if not ids:
            return False
        async with self.world.store.read() as connection:
            found = await connection.execute(
                select(Outbox.id, Outbox.text).where(
                    Outbox.conversation_id.in_(ids), Outbox.kind == "staff", Outbox.state == "unknown",
                    func.coalesce(Outbox.detail, "") != "sent again",
                )
            )  # fmt: skip
            lost = found.first()
        if lost is None:
            return False
        again = await self.world.core.desk.send_again(lost.id, one.actor)
        self.done.replies[again] = lost.text
        self.done.again += 1
        return True

    async def _passes_on(self, one: Member, row: Row[Any]) -> None:
        """Offer a P1 or P2, or pass a P3 or P4, to another team."""
        team = "control_room" if row.team != "control_room" else "safeguarding"
        self.done.notes.append(f"NOTE {len(self.done.notes)} on the way")
        fresh = await self.world.core.desk.transfer(row.id, one.actor, team, self.done.notes[-1])
        if fresh.state == "human":
            self.done.offers += 1
        else:
            self.done.transfers += 1

    async def _ends(self, one: Member, mine: Sequence[Row[Any]]) -> bool:
        for row in mine:
            if row.transfer_team is not None or row.last_inbound_at > now() - QUIET_PERSON:
                continue
            if row.last_staff_at is None or row.last_staff_at > now() - QUIET_PERSON:
                continue
            draw = self._chance.random()
            if row.snoozed_until is not None and row.snoozed_until > now():
                continue
            if row.grade not in URGENT and draw < 0.05:
                await self.world.core.desk.snooze(row.id, one.actor, "1h")
                self.done.snoozed += 1
            elif row.grade not in URGENT and not row.sealed and draw < 0.12:
                await self._passes_on(one, row)
            elif row.grade == "P4" and draw < 0.2:
                await self.world.core.desk.release(row.id, one.actor)
                self.done.released += 1
            elif draw < 0.25 and row.grade not in URGENT and await self._hides(one, row):
                pass
            else:
                await self._closes(one, row)
            return True
        return False

    async def _hides(self, one: Member, row: Row[Any]) -> bool:
        async with self.world.store.write() as connection:
            query = select(Measure.id).where(Measure.person_id == row.person_id, Measure.kind == "hide")
            if (await connection.execute(query.limit(1))).first() is not None:
                return False
            await measures.add_measure(connection, row.id, one.actor, "hide", "NOTE they swear at us")
        self.done.measures += 1
        return True

    async def _closes(self, one: Member, row: Row[Any]) -> None:
        outcome = "incident_created" if row.grade in URGENT else "answered"
        self.done.notes.append(f"NOTE {len(self.done.notes)} what was done")
        await self.world.core.desk.close(row.id, one.actor, outcome, self.done.notes[-1], incident=INCIDENT)
        self.done.closes[outcome] = self.done.closes.get(outcome, 0) + 1

    async def _takes(self, one: Member, rows: Sequence[Row[Any]], has: int) -> bool:
        waiting = [row for row in rows if row.state == "waiting"]
        if not waiting or (has >= MOST_CHATS and not any(row.grade == "P1" for row in waiting)):
            return False
        if one.actor.role == "supervisor":
            return has == 0 and await self._moves_one(one, rows)
        self._numbers += 1
        found = await self.world.core.moves.take_next(one.actor, f"press {self._numbers}")
        if found is None:
            return False
        if not found.taken:
            # Of a sensitive category: the page asks for a reason first.
            row = next(row for row in rows if row.id == found.conversation_id)
            desk = self.world.core.desk
            await desk.give_reason(row.id, one.actor, "to answer it")
            await desk.claim(row.id, one.actor, row.epoch)
        self.done.claims += 1
        return True

    async def _moves_one(self, boss: Member, rows: Sequence[Row[Any]]) -> bool:
        """Now and then a supervisor gives a P3 or P4 from one who has many to one who has few."""
        if self._chance.random() > 0.02:
            return False
        able = [one for one in self.at_desk() if one.actor.role == "moderator" and now() < one.ends]
        for row in rows:
            if row.state == "human" and row.owner_id and row.grade not in URGENT and not row.sealed:
                others = [one for one in able if one.actor.staff_id != row.owner_id]
                if not others:
                    return False
                to = self._chance.choice(others).actor.staff_id or 0
                self.done.notes.append(f"NOTE {len(self.done.notes)} you have fewer")
                await self.world.core.desk.reassign(row.id, boss.actor, to, self.done.notes[-1])
                self.done.reassigned += 1
                return True
        return False

    async def _groups(self, one: Member) -> bool:
        """Write the one answer for many, or approve what somebody else wrote."""
        if not self._is_surge:
            return False
        answers = self.world.core.surges
        async with self.world.store.read() as connection:
            found = await surges.list_cards(connection, one.actor)
        for card in found:
            if card.approved or card.asked_by == one.actor.staff_id:
                continue
            if card.answer is None:
                try:
                    await answers.write(card.id, one.actor, RUMOUR_ANSWER, "answered")
                except GuardedError as error:
                    raise AssertionError("the answer for many is held back") from error
            else:
                self.done.grouped += await answers.approve(card.id, one.actor, card.answer)
            return True
        return False

    # ---- the end of a shift ------------------------------------------------------------------------

    async def _leaves(self, one: Member, mine: Sequence[Row[Any]]) -> bool:
        """Hand everything on; who has nothing left signs out. A P1 or P2 is answered until somebody accepts it."""
        note = f"NOTE {len(self.done.notes)} going home"
        self.done.notes.append(note)
        moved = await self.world.core.moves.end_shift(one.actor, note, {})
        self.done.handed_on += len(moved.done)
        if await self.world.core.moves.owned_by(one.actor):
            await self._answers(one, [row for row in mine if row.grade in URGENT])
            return True
        self.world.move(seconds=1)  # what was said at this very moment was said while they were there
        async with self.world.store.write() as connection:
            await connection.execute(delete(StaffSession).where(StaffSession.staff_id == one.actor.staff_id))
        one.is_gone, one.is_here = True, False
        self.leaves.append((now(), one.actor.name.lower()))
        return True
