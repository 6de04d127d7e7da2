"""People who write, wait for the answer, and write again: to our web chat, or to Rasa's REST channel."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from benchmarks.wire import Line

ANSWER_SECONDS = 10.0


class NoAnswerError(Exception):
    """A person waited too long, or was answered with an error."""


class Person(Protocol):
    """Someone at one of the two assistants."""

    async def say(self, text: str) -> None:
        """Write one message and wait until its answer has arrived."""

    async def leave(self) -> None:
        """Close the page."""


class Visitor:
    """At our web chat: a message goes in over HTTP, its answer comes on the page's event stream."""

    def __init__(self, port: int) -> None:
        self._line = Line(port)
        self._stream = Line(port)
        self._headers: dict[str, str] = {}
        self._sent_at: asyncio.Queue[float] = asyncio.Queue()
        self._listening: asyncio.Task[None] | None = None

    async def say(self, text: str) -> None:
        """See `Person`. A reply that was sent before this message belongs to an earlier one."""
        posted = time.time()
        body = {"id": uuid.uuid4().hex, "text": text}
        answer = await self._line.post("/chat/messages", body, self._headers)
        if answer.status != 200:
            raise NoAnswerError(f"the web chat answered {answer.status}")
        if self._listening is None:
            self._headers = {"Cookie": answer.headers["set-cookie"].split(";")[0]}
            self._listening = asyncio.create_task(self._listen())
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while await self._sent_at.get() < posted:
                    pass
        except TimeoutError as error:
            raise NoAnswerError("no reply arrived on the page") from error

    async def _listen(self) -> None:
        async for name, data in self._stream.events("/chat/stream?after=0.0", self._headers):
            if name == "message":
                self._sent_at.put_nowait(datetime.fromisoformat(data["at"]).timestamp())

    async def leave(self) -> None:
        """See `Person`."""
        if self._listening is not None:
            self._listening.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await self._listening
        self._line.close()
        self._stream.close()


class Sender:
    """At stock Rasa's REST channel: the answer to the request is the answer."""

    def __init__(self, port: int) -> None:
        self._line = Line(port)
        self._name = uuid.uuid4().hex

    async def say(self, text: str) -> None:
        """See `Person`."""
        message = {"sender": self._name, "message": text}
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await self._line.post("/webhooks/rest/webhook", message)
        if answer.status != 200 or answer.body == b"[]":
            raise NoAnswerError("the REST channel answered nothing")

    async def leave(self) -> None:
        """See `Person`."""
        self._line.close()


@dataclass(slots=True)
class Wave:
    """What people who talked at the same time saw."""

    people: int
    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    """Seconds from the message to its answer."""
    unanswered: int = 0

    def add(self, other: Wave) -> None:
        """Take another wave of as many people to this one."""
        self.seconds += other.seconds
        self.waits += other.waits
        self.unanswered += other.unanswered

    @property
    def per_second(self) -> float:
        """Turns that were finished in a second."""
        return len(self.waits) / self.seconds

    def milliseconds(self, share: float) -> float:
        """The wait that this share of turns stayed below (0.5: the median)."""
        ordered = sorted(self.waits)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def talk(people: Sequence[Person], texts: Iterator[str], messages: int) -> Wave:
    """Let all of them write `messages` messages each, every one as soon as the last was answered.

    Each person takes the next `messages` texts as they stand in a row.
    """
    wave = Wave(len(people))

    async def one(person: Person, own: Sequence[str]) -> None:
        for text in own:
            started = time.perf_counter()
            try:
                await person.say(text)
            except NoAnswerError:
                wave.unanswered += 1
            else:
                wave.waits.append(time.perf_counter() - started)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for person in people:
            group.create_task(one(person, list(itertools.islice(texts, messages))))
    wave.seconds = time.perf_counter() - started
    return wave
