"""A whole gateway without pages or sockets, driven by hand, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import time_machine
from sqlalchemy import Row, func, insert, select, update

import bot.core
from bot.assistant import content_from_files
from bot.conversations.door import Accepted
from bot.core import Core, build_core
from bot.messages import Actor, Echo, Incoming, Receipt
from bot.safety import Screen
from bot.safety.guard import Lists
from bot.settings import load_settings
from bot.store import Store
from bot.store.record import now
from bot.store.tables import (
    Audit,
    Conversation,
    Event,
    Message,
    Outbox,
    Person,
    Staff,
    StaffSession,
    StaffTeam,
)
from tests.support.channel import RecordingChannel
from tests.support.rasa import SECRET, LoopbackRasa

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

INCIDENT = "NP-20261124-0001"
"""A number of the force's incident system: a chat with a risk in it closes only with one."""

# Messages that the real screen knows, by what it makes of them.
P1 = "there is a fire in the flat"  # R09
P1_OTHER = "i want to kill myself tonight"  # R02
P2_HIDDEN = "my ex is stalking me"  # R07, a subject that is not named
P3 = "someone broke in last tuesday"  # R13
PLAIN = "how long is the wait for 101"
ODD = "purple monkey dishwasher"


# The files do not change while tests run; reading them for each test would take longer than the test.
read_content = functools.cache(content_from_files)
read_screen = functools.cache(Screen.load)
read_lists = functools.cache(Lists.load)
tls_context = functools.cache(ssl.create_default_context)


@contextlib.contextmanager
def clock_at_noon() -> Iterator[time_machine.Traveller]:
    """Time stands still at noon of a weekday until it is moved."""
    with time_machine.travel(NOON, tick=False) as clock:
        yield clock


@dataclass(slots=True)
class World:
    """One gateway, its platform, its Rasa, its staff."""

    core: Core
    channel: RecordingChannel
    rasa: LoopbackRasa
    clock: time_machine.Traveller
    staff: dict[str, Actor] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def store(self) -> Store:
        """The database."""
        return self.core.store

    def line(self, key: str, **values: object) -> str:
        """An approved sentence."""
        return self.core.content.current.line(key, **values)

    def answer(self, slug: str) -> str:
        """An approved answer."""
        text = self.core.content.current.answer(slug)
        assert text is not None
        return text

    def words(self, category: str, grade: str) -> str:
        """The safety words of a category."""
        return self.core.words.safety_text(category, grade)

    def move(self, **units: float) -> None:
        """Move the clock on: seconds=, minutes= or hours=."""
        seconds = units.get("seconds", 0) + 60 * units.get("minutes", 0) + 3600 * units.get("hours", 0)
        self.clock.shift(seconds)

    # ---- people ------------------------------------------------------------------------------

    def incoming(self, text: str = "", person: str = "ann", **values: Any) -> Incoming:
        """A message as a channel would parse it."""
        values.setdefault("message_id", f"in-{next(self._numbers)}")
        return Incoming("test", person, text=text, **values)

    async def take(self, *arrivals: Incoming | Echo | Receipt) -> list[Accepted]:
        """Let something arrive; nothing is answered yet."""
        return await self.core.door.accept(arrivals)

    async def say(self, text: str = "", person: str = "ann", **values: Any) -> Row[Any]:
        """Let a person write, and the gateway do all that follows. Returns their conversation."""
        await self.take(self.incoming(text, person, **values))
        await self.settle()
        return await self.conversation(person)

    async def press(self, title: str, person: str = "ann") -> Row[Any]:
        """Let a person press the newest button of that title."""
        for outgoing in reversed(self.channel.outgoing(person)):
            for button in outgoing.buttons:
                if button.title == title:
                    return await self.say(title, person, kind="button", button=button.token)
        raise AssertionError(f"{person} was never offered the button {title!r}")

    # ---- what the gateway does by itself -------------------------------------------------------

    async def settle(self) -> None:
        """Run turns and sends until nothing is left to do at this moment."""
        before: list[Any] = []
        for _ in range(50):
            await self.core.turns.drain(30)
            await self.send()
            await self.core.turns.sweep()
            after = await self._progress()
            if not self.core.turns.running and after == before:
                return
            before = after
        raise AssertionError("the gateway never came to rest")

    async def send(self) -> None:
        """Send what is ready now."""
        await self.core.outbox.look()
        await asyncio.gather(*self.core.outbox._busy.values())

    async def tick(self, **units: float) -> None:
        """Move the clock, then do what is due, as a running gateway would."""
        self.move(**units)
        await self.core.clocks.look()
        await self.core.turns.sweep()
        await self.core.clocks.close_silent()
        await self.core.clocks.owners_gone()
        await self.settle()

    async def _progress(self) -> list[Any]:
        """What changes as long as there is something left to do."""
        async with self.store.read() as connection:
            open_rows = await connection.execute(
                select(Outbox.id, Outbox.state, Outbox.attempts)
                .where(Outbox.state.in_(("queued", "sending")))
                .order_by(Outbox.id)
            )
            newest = await connection.execute(select(func.max(Event.id)))
            return [*open_rows.all(), newest.scalar_one()]

    def rested(self) -> None:
        """Rasa's replicas, left alone after failures, are asked again (their rest is in real time)."""
        for replica in self.core.assistant._replicas:
            replica.closed_until = 0.0

    # ---- staff -------------------------------------------------------------------------------

    async def hire(
        self, name: str, role: str = "moderator", teams: Sequence[str] = ("digital_desk", "control_room")
    ) -> Actor:
        """Take a member of staff on; they are not at the desk yet."""
        async with self.store.write() as connection:
            staff_id = (
                await connection.execute(
                    insert(Staff)
                    .values(
                        username=name, name=name.title(), role=role, password_hash="x", active=True,
                        created_at=now(),
                    )
                    .returning(Staff.id)
                )
            ).scalar_one()  # fmt: skip
            for team in teams:
                await connection.execute(insert(StaffTeam).values(staff_id=staff_id, team=team))
        actor = Actor(name.title(), staff_id, role, frozenset(teams))
        self.staff[name] = actor
        return actor

    async def sit(self, actor: Actor) -> None:
        """They open the desk's page: from now on for a minute they are on shift."""
        async with self.store.write() as connection:
            changed = await connection.execute(
                update(StaffSession)
                .where(StaffSession.staff_id == actor.staff_id)
                .values(seen_at=now(), acted_at=now())
            )
            if not changed.rowcount:
                await connection.execute(
                    insert(StaffSession).values(
                        id=f"session-{actor.staff_id}", staff_id=actor.staff_id, csrf="x",
                        created_at=now(), acted_at=now(), seen_at=now(), locked=False,
                    )
                )  # fmt: skip

    async def owned(self, actor: Actor, text: str = P3, person: str = "ann") -> Row[Any]:
        """A conversation that this member of staff has taken."""
        await self.say(text, person)
        row = await self.conversation(person)
        if row.state == "bot":
            row = await self.core.desk.escalate(row.id, actor, "needs a person")
            await self.settle()
        row = await self.core.desk.claim(row.id, actor, row.epoch)
        await self.settle()
        return await self.conversation(person)

    # ---- what is on record -------------------------------------------------------------------

    async def conversation(self, person: str = "ann") -> Row[Any]:
        """The newest conversation of a person."""
        async with self.store.read() as connection:
            found = await connection.execute(
                select(Conversation.__table__)
                .join(Person, Person.id == Conversation.person_id)
                .where(Person.platform_id == person)
                .order_by(Conversation.id.desc())
                .limit(1)
            )
            return found.one()

    async def rows(self, table: Any, **equal: Any) -> list[Row[Any]]:
        """Rows of a table, oldest first."""
        query = select(table.__table__).order_by(table.id)
        for name, value in equal.items():
            query = query.where(getattr(table, name) == value)
        async with self.store.read() as connection:
            return list((await connection.execute(query)).all())

    async def outbox(self, person: str = "ann") -> list[Row[Any]]:
        """Everything meant for a person in their newest conversation."""
        return await self.rows(Outbox, conversation_id=(await self.conversation(person)).id)

    async def audit(self, action: str | None = None) -> list[Row[Any]]:
        """The audit rows, of one action or all."""
        return await (self.rows(Audit) if action is None else self.rows(Audit, action=action))

    async def events(self, kind: str | None = None) -> list[Row[Any]]:
        """The events, of one kind or all."""
        return await (self.rows(Event) if kind is None else self.rows(Event, kind=kind))

    async def messages(self, person: str = "ann") -> list[Row[Any]]:
        """The messages of a person's newest conversation."""
        return await self.rows(Message, conversation_id=(await self.conversation(person)).id)

    def texts(self, person: str = "ann") -> list[str]:
        """What reached a person."""
        return self.channel.texts(person)

    def heard(self, person: str = "ann") -> list[str]:
        """What reached a person since this was last asked."""
        texts = self.channel.texts(person)
        self.channel.delivered[:] = [d for d in self.channel.delivered if d.person != person]
        return texts


@asynccontextmanager
async def open_world(
    database_url: str,
    rasa: LoopbackRasa,
    clock: time_machine.Traveller,
    *,
    redis_url: str = "",
    platform: RecordingChannel | None = None,
) -> AsyncIterator[World]:
    """A gateway on this database; everything is closed at the end. `platform` is one of the test's own."""
    channel = platform or RecordingChannel()
    settings = load_settings(
        database_url=database_url,
        redis_url=redis_url,
        assistant_urls=(rasa.url,),
        assistant_secret=SECRET,
    )
    with (
        mock.patch("ssl.create_default_context", tls_context),
        mock.patch.object(bot.core, "content_from_files", read_content),
        mock.patch.object(Screen, "load", read_screen),
        mock.patch.object(Lists, "load", read_lists),
    ):
        core = build_core(settings, {channel.name: channel})
    await core.content.refresh(core.store)
    try:
        yield World(core, channel, rasa, clock)
    finally:
        await core.stop(5)
