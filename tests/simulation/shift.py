"""Plays a shift: moves the clock from one thing that happens to the next, and lets the gateway do what follows.

Everything goes through the product's own parts: the door, the turns, the outbox, the clocks and the desk, on a
real store. Only the clock, the platform, Rasa and the people are made up.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

from sqlalchemy import func, select
from sqlalchemy.exc import NoResultFound

from bot.conversations import outbox as outbox_module
from bot.conversations.door import DoorClosedError
from bot.errors import StoreUnavailableError
from bot.messages import Echo, Incoming
from bot.store.record import now
from bot.store.tables import Conversation, Due, Outbox
from tests.simulation.people import (
    AGAIN,
    DETAILS,
    PERSON_BUTTON,
    QUESTIONS,
    Somebody,
    crowd,
    rumour,
)
from tests.simulation.platform import Arrived, Platform
from tests.simulation.staff import Desk
from tests.support.databases import break_store, mend_store
from tests.support.rasa import LoopbackRasa
from tests.support.world import P1, World, clock_at_noon, open_world

GRID_SECONDS = 5
"""Things that happen within so many seconds happen at one moment."""
SWEEP = timedelta(seconds=30)
AFTERWARDS = timedelta(minutes=30)
"""After the shift: the night crew takes what is left over."""
REPEATED = 0.05
"""Of a hundred webhooks, so many come twice."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a shift is."""

    people: int = 1000
    moderators: int = 12
    hours: float = 8.0
    rumour: int = 12
    """So many people write the same within minutes."""
    patience: tuple[int, int] = (15, 40)
    """Seconds that one piece of a moderator's work takes."""
    beat: timedelta = timedelta(seconds=60)
    """So often everybody looks, also when nothing happens."""


SMALL = Size(people=60, beat=timedelta(seconds=300))


@dataclass(slots=True)
class Public:
    """What the public saw, counted without asking the database."""

    accepted: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    """When each message was answered 200 for the first time, and whose it was; by its platform id."""
    danger: list[tuple[str, str, datetime]] = field(default_factory=list)
    repeated: int = 0
    refused: int = 0
    """Webhooks answered 503."""
    outside: list[datetime] = field(default_factory=list)
    """When somebody answered a person outside the desk."""
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often each person asked for each answer."""
    most_waiting: int = 0
    steps: int = 0


class Shift:
    """One shift."""

    def __init__(self, world: World, platform: Platform, rasa: LoopbackRasa, size: Size, seed: int) -> None:
        self.world, self.platform, self.rasa, self.size = world, platform, rasa, size
        self.chance = random.Random(seed)
        self.begin = now()
        self.end = self.begin + timedelta(hours=size.hours)
        self.public = Public()
        self.people: dict[str, Somebody] = {}
        self.desk = Desk(world, self.chance, size.patience, self.wake)
        self._order = itertools.count()
        self._ahead: list[tuple[datetime, int, Any]] = []
        self._undelivered: list[Incoming] = []
        self._away = False
        self._swept = self.begin - SWEEP
        self._leaves = self.begin
        """When the next row leaves that waits for its time."""
        self._closed = world.line("closed", reference="\0").partition("\0")[0]
        platform.on_arrival = self.hears

    # ---- what is going to happen -------------------------------------------------------------------

    def at(self, moment: datetime, work: Any = None) -> None:
        """Let something happen then; nothing in particular: the gateway looks what is due."""
        heapq.heappush(self._ahead, (self._on_grid(moment), next(self._order), work))

    def wake(self, moment: datetime) -> None:
        """Look then."""
        self.at(moment)

    def later(self, least: float, most: float, work: Any) -> None:
        """Let something happen in so many seconds."""
        self.at(now() + timedelta(seconds=self.chance.uniform(least, most)), work)

    def _on_grid(self, moment: datetime) -> datetime:
        seconds = (moment - self.begin).total_seconds()
        return self.begin + timedelta(seconds=-(-seconds // GRID_SECONDS) * GRID_SECONDS)

    def _plan(self) -> None:
        length = self.end - self.begin
        for one in crowd(self.size.people, self.chance):
            self.people[one.name] = one
            # More of them in the middle than at either end.
            share = 0.94 * self.chance.betavariate(1.6, 1.6)
            self.at(self.begin + share * length, lambda one=one: self.opens(one))
        for one in rumour(self.size.rumour):
            self.people[one.name] = one
            for moment in (0.45 * length, 0.45 * length + timedelta(seconds=40)):
                self.at(self.begin + moment, lambda one=one: self.opens(one))
        self._plan_outages(length)
        for share in (0.2, 0.7):
            self.at(self.begin + share * length, self.somebody_outside)
        for number in range(int((length + AFTERWARDS) / self.size.beat) + 1):
            self.at(self.begin + number * self.size.beat)

    def _plan_outages(self, length: timedelta) -> None:
        """Ten minutes without the assistant, four without the database; somebody writes in each of them."""
        away, back = self.begin + 0.3 * length, self.begin + 0.3 * length + timedelta(minutes=10)
        self.at(away, lambda: self.assistant_goes(True))
        self.at(back, lambda: self.assistant_goes(False))
        gone, again = self.begin + 0.62 * length, self.begin + 0.62 * length + timedelta(minutes=4)
        self.at(gone, lambda: self.database_goes(True))
        self.at(again, lambda: self.database_goes(False))
        for name, text, moment in (
            ("without-assistant", "noise complaint", away + timedelta(minutes=2)),
            ("without-database", "lost passport", gone + timedelta(minutes=1)),
            ("in-danger-without-database", P1, gone + timedelta(minutes=2)),
        ):
            one = self.people[name] = Somebody(name, "outage", [text], rounds=1)
            self.at(moment, lambda one=one: self.opens(one))

    # ---- people ----------------------------------------------------------------------------------------

    def opens(self, one: Somebody) -> None:
        """Write the next thing that they came for."""
        if one.opening:
            self.says(one, one.opening.pop(0))

    def says(self, one: Somebody, text: str) -> None:
        """Put one message on its way, now and then twice."""
        if text in QUESTIONS:
            self.public.asked[one.name, QUESTIONS[text]] += 1
        if text == PERSON_BUTTON:
            incoming = self.world.incoming("Talk to a person", one.name, kind="button", button=text)
        else:
            incoming = self.world.incoming(text, one.name, kind="text" if text else "image")
        self._undelivered.append(incoming)
        if self.chance.random() < REPEATED:
            self.later(0, 30, lambda: self._undelivered.append(incoming))

    def hears(self, arrived: Arrived) -> None:
        """Go on after something that arrived; nobody begins anything new once the shift is over."""
        one = self.people[arrived.person]
        if now() > self.end:
            return
        if arrived.kind == "staff":
            if one.rounds:
                one.rounds -= 1
                self.later(20, 150, lambda: self.says(one, self.chance.choice(DETAILS)))
        elif arrived.kind == "notice":
            if one.is_again and arrived.text.startswith(self._closed):
                one.is_again = False
                self.later(120, 3600, lambda: self.says(one, AGAIN))
        elif one.opening and one.kind != "rumour":
            self.later(15, 90, lambda: self.opens(one))
        elif one.takes_back:
            one.takes_back = False
            self.later(30, 60, lambda: self.says(one, "no"))
        elif one.kind == "hidden" and arrived.kind == "safety":
            one.kind = "hidden, asked"
            self.later(20, 60, lambda: self.says(one, self.chance.choice(["yes", "yes", "no"])))

    async def somebody_outside(self) -> None:
        """A colleague answers a person in the platform's own app."""
        async with self.world.store.read() as connection:
            found = await connection.execute(
                select(Conversation.id).where(Conversation.state == "bot").order_by(Conversation.id.desc())
            )
            ids = set(found.scalars())
        for name in self.people:
            try:
                row = await self.world.conversation(name)
            except NoResultFound:
                continue
            if row.id in ids:
                echo = Echo("test", name, f"outside-{row.id}", "Hello, this is a colleague.")
                await self.world.take(echo)
                self.public.outside.append(now())
                return

    # ---- outages -----------------------------------------------------------------------------------------

    def assistant_goes(self, away: bool) -> None:
        """Rasa stops answering, or answers again."""
        self.rasa.down = away
        self.world.rested()

    def database_goes(self, away: bool) -> None:
        """The database stops answering, or answers again."""
        self._away = away
        (break_store if away else mend_store)(self.world.store)

    # ---- a moment ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """The whole shift, and half an hour of the night after it."""
        await self.desk.hire(self.begin, self.end, self.size.moderators)
        self._plan()
        until = self.end + AFTERWARDS
        while self._ahead and self._ahead[0][0] <= until:
            moment = self._ahead[0][0]
            if moment > now():
                self.world.clock.move_to(moment)
            while self._ahead and self._ahead[0][0] <= now():
                work = heapq.heappop(self._ahead)[2]
                if work is not None and (going := work()) is not None:
                    await going
            await self.step()
            self.public.steps += 1

    async def step(self) -> None:
        """Whatever is to be done at this moment."""
        if self._away:
            await self._in_vain()
            return
        await self.desk.sit()
        written = await self._deliver()
        if written:
            await self.world.core.grouping.sweep()
        if await self._clocks() or written or self._leaves <= now():
            await self.world.settle()
        if await self.desk.work():
            await self.world.settle()
        await self._look_ahead()

    async def _deliver(self) -> bool:
        """Webhooks of this moment, in any order, some in one batch; what is refused comes again."""
        ready, self._undelivered = self._undelivered, []
        is_any = bool(ready)
        self.chance.shuffle(ready)
        while ready:
            count = self.chance.choice((1, 1, 2, 4))
            batch, ready = ready[:count], ready[count:]
            try:
                await self.world.take(*batch)
            except DoorClosedError:
                self.public.refused += len(batch)
                self._undelivered += batch
                continue
            for incoming in batch:
                self._accepted(incoming)
        if self._undelivered:
            self.later(1, 10, None)
        return is_any

    def _accepted(self, incoming: Incoming) -> None:
        if incoming.message_id in self.public.accepted:
            self.public.repeated += 1
            return
        self.public.accepted[incoming.message_id] = (now(), incoming.person)
        worst = self.world.core.screen.check(incoming.text).worst
        if worst is not None and worst.priority == "P1":
            self.public.danger.append((incoming.person, worst.category, now()))

    async def _clocks(self) -> bool:
        """What a gateway does once a second, and what it does less often. Whether anything may follow."""
        core = self.world.core
        done = await core.clocks.look()
        if now() - self._swept < SWEEP:
            return bool(done)
        self._swept = now()
        await core.clocks.close_silent()
        await core.clocks.owners_gone()
        await core.grouping.sweep()
        await core.limits.sweep()
        return True

    async def _in_vain(self) -> None:
        """The database is away: everything is tried, and nothing may be half done."""
        await self._deliver()
        for work in (self.desk.sit, self.desk.work, self.world.core.clocks.look, self.world.core.outbox.look):
            try:
                await work()
            except StoreUnavailableError:
                self.desk.done.unavailable += 1

    async def _look_ahead(self) -> None:
        """Be there when the next clock runs out, and when the next row may leave."""
        async with self.world.store.read(quick=True) as connection:
            due = (
                await connection.execute(select(func.min(Due.due_at)).where(Due.done_at.is_(None)))
            ).scalar_one()
            leaves = (
                await connection.execute(select(func.min(Outbox.not_before)).where(Outbox.state == "queued"))
            ).scalar_one()
            waiting = await connection.execute(
                select(func.count()).select_from(Conversation).where(Conversation.state == "waiting")
            )
            self.public.most_waiting = max(self.public.most_waiting, waiting.scalar_one())
        self._leaves = leaves or self.end + AFTERWARDS
        for moment in (due, leaves):
            if moment is not None:
                self.wake(max(moment, now() + timedelta(seconds=1)))


@asynccontextmanager
async def a_shift(database_url: str, size: Size, seed: int) -> AsyncIterator[Shift]:
    """A shift on this database, not begun yet."""
    rasa = LoopbackRasa()
    for phrase, slug in QUESTIONS.items():
        rasa.faq(phrase, slug)
    await rasa.start()
    try:
        with clock_at_noon() as clock, mock.patch.object(outbox_module, "CLAIM_WAIT_SECONDS", 0.0):
            platform = Platform(chance=random.Random(seed + 1))
            async with open_world(database_url, rasa, clock, platform=platform) as world:
                yield Shift(world, platform, rasa, size, seed)
    finally:
        await rasa.stop()
