"""Plays the made-up people: what each writes next, from the script and from what the desk did.

They come in by the ordinary door, as a platform's people do, and read what is sent to them from the
record. What each has said is kept in memory alone: a practice that is started again begins anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog
from sanic import Blueprint
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.channels.parts import Parts
from bot.conversations.door import Door
from bot.conversations.transcript import PUBLIC_STATES
from bot.errors import RefusedError, UnavailableError
from bot.messages import Channel, Incoming, Outgoing, Sent
from bot.practice.database import CHANNEL, end_everything
from bot.practice.script import People, Scenario, Script
from bot.store import Store
from bot.store.record import now
from bot.store.tables import Audit, Conversation, Outbox, Person

log = structlog.get_logger(__name__)

SPEEDS: Final = {"1": "As in life", "2": "Twice as fast", "4": "Four times as fast"}
LOOK_SECONDS: Final = 0.5
CROWD_SECONDS: Final = 4.0
"""Between one person of a crowd and the next."""
AFTER_CLOSING: Final = 30.0
"""Seconds until somebody writes again whose chat was closed or handed back."""
MOST_PEOPLE: Final = 200
"""On stage at once: more would be an attack on one's own desk."""
FULL: Final = "The stage is full. Begin anew first."


@dataclass(slots=True)
class Persona:
    """One made-up person on stage."""

    id: str
    """Their id on the platform of practice: the run, and their number in it."""
    name: str
    scenario: str
    people: People
    first: str
    """The first line, which is another for each person of a crowd."""
    begins: datetime
    speed: float
    said: dict[str, datetime] = field(default_factory=dict)
    """What they have written, by the key of the line."""

    @property
    def has_begun(self) -> bool:
        """Whether they have written anything."""
        return bool(self.said)


@dataclass(slots=True)
class Seen:
    """What the record says of one person's chats."""

    state: str = "bot"
    safe_check: str | None = None
    replies: list[tuple[datetime, str]] = field(default_factory=list)
    """Replies of staff that arrived, oldest first."""
    handed_back_at: datetime | None = None
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """Something to say: `key` is unique within a person."""

    key: str
    text: str
    due: datetime


def next_line(persona: Persona, seen: Seen, script: Script) -> Line | None:
    """What this person writes next, and when; None: nothing, as things stand."""
    lines = _after_the_end(persona, seen) if seen.closed_at else _in_the_chat(persona, seen, script)
    open_lines = [line for line in lines if line.key not in persona.said]
    return min(open_lines, key=lambda line: line.due, default=None)


def _later(persona: Persona, at: datetime, seconds: float) -> datetime:
    return at + timedelta(seconds=seconds / persona.speed)


def _after_the_end(persona: Persona, seen: Seen) -> Iterable[Line]:
    if persona.people.on_closed and seen.closed_at:
        due = _later(persona, seen.closed_at, AFTER_CLOSING)
        yield Line("closed", persona.people.on_closed, due)


def _in_the_chat(persona: Persona, seen: Seen, script: Script) -> Iterable[Line]:
    people = persona.people
    yield from _openings(persona)
    if not persona.said:
        return
    newest = max(persona.said.values())
    if seen.safe_check == "asked" and people.on_safe:
        yield Line("safe", people.on_safe, _later(persona, newest, script.answer_seconds))
    yield from _answers(persona, seen, script)
    if seen.handed_back_at and people.on_handed_back:
        yield Line("handed_back", people.on_handed_back, _later(persona, seen.handed_back_at, AFTER_CLOSING))
    yield from _silence(persona, seen, newest)


def _openings(persona: Persona) -> Iterable[Line]:
    """The next line that they write by themselves."""
    due = persona.begins
    for number, line in enumerate(persona.people.says):
        key = f"says.{number}"
        if key in persona.said:
            due = persona.said[key]
            continue
        yield Line(key, persona.first if number == 0 else line.text, _later(persona, due, line.after))
        return


def _answers(persona: Persona, seen: Seen, script: Script) -> Iterable[Line]:
    """One answer for each reply of staff, in the order of the replies; none once the words are used up."""
    left = iter(persona.people.on_reply)
    place = persona.people.on_place
    for number, (at, text) in enumerate(seen.replies):
        if place is not None and script.asks_for_a_place(text):
            answer, place = place, None
        else:
            answer = next(left, "")
        if answer:
            yield Line(f"reply.{number}", answer, _later(persona, at, script.answer_seconds))


def _silence(persona: Persona, seen: Seen, newest: datetime) -> Iterable[Line]:
    """What they write when nobody has answered their newest line."""
    if len([key for key in persona.said if key.startswith("says.")]) < len(persona.people.says):
        return
    if any(at >= newest for at, _text in seen.replies):
        return
    for number, line in enumerate(persona.people.on_silence):
        if f"silence.{number}" not in persona.said:
            yield Line(f"silence.{number}", line.text, _later(persona, newest, line.after))
            return


class PracticeChannel:
    """The way out to made-up people: whatever is sent has arrived, and goes nowhere."""

    name = CHANNEL
    in_store = False
    max_text = 4000

    async def send(self, person: str, outgoing: Outgoing) -> Sent:
        """Take it. The people read it from the record."""
        return Sent(f"practice-{outgoing.outbox_id}")


class Practice:
    """The stage, and the platform of its people: the only channel that a practice has."""

    def __init__(self, script: Script, *, clock: Callable[[], datetime] = now) -> None:
        self.script = script
        self.channel: Channel = PracticeChannel()
        self.accounts: Sequence[tuple[str, str, str]] = ()
        """User name, password and role of each made-up member of staff, for the sign-in page."""
        self.run_number = 1
        self.personas: dict[str, Persona] = {}
        self._clock = clock
        self._count = 0
        self._stage = asyncio.Lock()
        self._store: Store | None = None
        self._door: Door | None = None

    # ---- the platform ------------------------------------------------------------------------------

    def blueprint(self, parts: Parts) -> Blueprint:
        """No route: nobody outside can write to a practice."""
        self._store, self._door = parts.store, parts.door
        return Blueprint("practice_people")

    async def run(self, parts: Parts) -> None:
        """Let the people write, until cancelled."""
        while True:
            try:
                await self.step()
            except UnavailableError:
                log.warning("practice.waiting_for_store")
            except Exception as error:
                # One line that cannot be said must not end the evening. No words in the log, as ever.
                log.error("practice.failed", error=type(error).__name__)
            await asyncio.sleep(LOOK_SECONDS)

    async def reachable(self) -> str | None:
        """It is in this process."""
        return None

    # ---- what a supervisor does --------------------------------------------------------------------

    def start(self, scenario: str, speed: str = "1", *, after_minutes: float = 0.0) -> list[Persona]:
        """Bring the people of a scenario on stage.

        Raises:
            RefusedError: there is no such scenario or speed, or the stage is full.
        """
        chosen = self.script.scenarios.get(scenario)
        if chosen is None:
            raise RefusedError("Choose something to practise.")
        if speed not in SPEEDS:
            raise RefusedError("Choose how fast it goes.")
        if len(self.personas) + _size(chosen) > MOST_PEOPLE:
            raise RefusedError(FULL)
        begins = self._clock() + timedelta(minutes=after_minutes / float(speed))
        return [
            self._enter(scenario, people, number, begins, float(speed))
            for people in chosen.people
            for number in range(people.times)
        ]

    def _enter(self, scenario: str, people: People, number: int, begins: datetime, speed: float) -> Persona:
        self._count += 1
        first = people.says[0].text if number == 0 else people.says_also[number - 1]
        delay = timedelta(seconds=number * CROWD_SECONDS / speed)
        persona = Persona(
            f"{self._prefix}{self._count}", f"Practice person {self._count}", scenario, people, first,
            begins + delay, speed,
        )  # fmt: skip
        self.personas[persona.id] = persona
        return persona

    def start_session(self, session: str, speed: str = "1") -> list[Persona]:
        """Bring all scenarios of a session on stage, each at its minute.

        Raises:
            RefusedError: as `start`, or there is no such session.
        """
        chosen = self.script.sessions.get(session)
        if chosen is None:
            raise RefusedError("Choose something to practise.")
        coming = sum(_size(self.script.scenarios[one.scenario]) for one in chosen.scenarios)
        if len(self.personas) + coming > MOST_PEOPLE:
            raise RefusedError(FULL)
        return [
            persona
            for one in chosen.scenarios
            for persona in self.start(one.scenario, speed, after_minutes=one.at)
        ]

    async def reset(self) -> int:
        """Begin anew: everybody leaves the stage, and every chat ends. Returns how many chats ended."""
        async with self._stage:
            self.personas.clear()
            self.run_number += 1
            self._count = 0
            return await end_everything(self._parts()[0])

    @property
    def _prefix(self) -> str:
        return f"run{self.run_number}-"

    def of_this_run(self, platform_id: str) -> Persona | None:
        """The person of that id, if they are on stage since the last beginning."""
        return self.personas.get(platform_id)

    # ---- playing -----------------------------------------------------------------------------------

    async def step(self) -> int:
        """Let everybody write who is due. Returns how many lines were said."""
        async with self._stage:
            store, door = self._parts()
            moment = self._clock()
            if not any(persona.begins <= moment for persona in self.personas.values()):
                return 0
            async with store.read() as connection:
                seen = await look(connection, [one.id for one in self.personas.values() if one.has_begun])
            count = 0
            for persona in list(self.personas.values()):
                line = next_line(persona, seen.get(persona.id, Seen()), self.script)
                if line is None or line.due > moment:
                    continue
                await door.accept([_incoming(persona, line)])
                persona.said[line.key] = moment
                count += 1
            return count

    def _parts(self) -> tuple[Store, Door]:
        if self._store is None or self._door is None:
            raise RefusedError("Practice has not begun yet. Try again.")
        return self._store, self._door


def _size(scenario: Scenario) -> int:
    return sum(people.times for people in scenario.people)


def _incoming(persona: Persona, line: Line) -> Incoming:
    return Incoming(CHANNEL, persona.id, f"{persona.id}-{line.key}", text=line.text, name=persona.name)


async def look(connection: AsyncConnection, ids: Sequence[str]) -> Mapping[str, Seen]:
    """What the record says of these people, by their id on the platform."""
    if not ids:
        return {}
    seen: dict[str, Seen] = {}
    whose: dict[int, Seen] = {}
    rows = await connection.execute(
        select(
            Conversation.id, Conversation.state, Conversation.safe_check, Conversation.closed_at,
            Person.platform_id,
        )
        .join(Person, Person.id == Conversation.person_id)
        .where(Person.channel == CHANNEL, Person.platform_id.in_(ids))
        .order_by(Conversation.id)
    )  # fmt: skip
    for row in rows:
        one = whose[row.id] = seen.setdefault(row.platform_id, Seen())
        one.state, one.safe_check = row.state, row.safe_check
        # They are told once that it is over; whoever writes again after that stays in the new chat.
        one.closed_at = row.closed_at if row.state == "closed" else None
    sent = await connection.execute(
        select(Outbox.conversation_id, Outbox.text, Outbox.sent_at, Outbox.created_at)
        .where(
            Outbox.conversation_id.in_(list(whose)),
            Outbox.kind == "staff",
            Outbox.state.in_(PUBLIC_STATES),
        )
        .order_by(Outbox.id)
    )
    for reply in sent:
        whose[reply.conversation_id].replies.append((reply.sent_at or reply.created_at, reply.text))
    released = await connection.execute(
        select(Audit.conversation_id, Audit.at)
        .where(Audit.conversation_id.in_(list(whose)), Audit.action.in_(("release", "return")))
        .order_by(Audit.id)
    )
    for back in released:
        if back.conversation_id is not None:
            whose[back.conversation_id].handed_back_at = back.at
    return seen
