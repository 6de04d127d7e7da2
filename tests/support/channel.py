"""A platform that writes down what it was asked to send, and fails as it is told to."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from bot.messages import Outgoing, Sent


@dataclass(frozen=True, slots=True)
class Fault:
    """What one call does instead of succeeding.

    `error` is raised; `arrives` says whether the message reached the person all the same.
    `hang` never answers; `gate` waits until the test opens it, then goes on.
    """

    error: Exception | None = None
    arrives: bool = False
    hang: bool = False
    gate: asyncio.Event | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """One message that reached a person."""

    person: str
    outgoing: Outgoing
    message_id: str


@dataclass(slots=True)
class RecordingChannel:
    """A channel whose people are lists."""

    name: str = "test"
    in_store: bool = False
    max_text: int = 4000
    calls: list[tuple[str, Outgoing]] = field(default_factory=list)
    delivered: list[Delivered] = field(default_factory=list)
    faults: deque[Fault] = field(default_factory=deque)
    stuck: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while a call hangs or waits at a gate."""
    _count: int = 0

    def fail_next(self, *faults: Fault) -> None:
        """Let the next calls fail, one fault each."""
        self.faults.extend(faults)

    async def send(self, person: str, outgoing: Outgoing) -> Sent:
        """Deliver, or do what the next fault says."""
        self.calls.append((person, outgoing))
        self._count += 1
        message_id = f"out-{self._count}"
        fault = self.faults.popleft() if self.faults else Fault()
        if fault.gate is not None:
            self.stuck.set()
            await fault.gate.wait()
        if (fault.error is None and not fault.hang) or fault.arrives:
            self.delivered.append(Delivered(person, outgoing, message_id))
        if fault.hang:
            self.stuck.set()
            await asyncio.Event().wait()
        if fault.error is not None:
            raise fault.error
        return Sent(message_id)

    def texts(self, person: str | None = None) -> list[str]:
        """What reached a person (or anybody), in order."""
        return [d.outgoing.text for d in self.delivered if person in (None, d.person)]

    def outgoing(self, person: str) -> list[Outgoing]:
        """The same with buttons and kinds."""
        return [d.outgoing for d in self.delivered if d.person == person]
