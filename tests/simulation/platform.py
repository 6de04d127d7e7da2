"""The platform of a simulated shift: keeps when each message arrived, and which of them it kept quiet about."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from bot.errors import RetryLaterError, UnsureError
from bot.messages import Outgoing, Sent
from bot.store.record import now
from tests.support.channel import Fault, RecordingChannel

BUSY_SHARE, UNSURE_SHARE = 0.01, 0.004


@dataclass(slots=True)
class Arrived:
    """One message that reached a person."""

    at: datetime
    person: str
    kind: str
    text: str
    outbox_id: int
    is_told: bool
    """Whether the platform said that it took it; else nobody here can know."""


@dataclass(slots=True)
class Platform(RecordingChannel):
    """A channel that fails now and then, by a chance of its own."""

    chance: random.Random = field(default_factory=random.Random)
    arrived: list[Arrived] = field(default_factory=list)
    unsure: int = 0
    """Calls that it never answered."""
    on_arrival: Callable[[Arrived], None] = lambda _one: None

    async def send(self, person: str, outgoing: Outgoing) -> Sent:
        """Deliver, or be busy, or take it and never say so, or lose it."""
        draw = self.chance.random()
        # What goes past the store in an outage is told by nobody else: it is tried as anything is.
        if draw < BUSY_SHARE:
            self.fail_next(Fault(RetryLaterError("busy", 5)))
        elif draw < BUSY_SHARE + UNSURE_SHARE:
            self.unsure += outgoing.outbox_id != 0
            self.fail_next(Fault(UnsureError("no answer"), arrives=self.chance.random() < 0.5))
        before = len(self.delivered)
        is_told = False
        try:
            # Not `super()`: a dataclass with slots is another class than the one written here.
            sent = await RecordingChannel.send(self, person, outgoing)
            is_told = True
        finally:
            if len(self.delivered) > before:
                one = Arrived(now(), person, outgoing.kind, outgoing.text, outgoing.outbox_id, is_told)
                self.arrived.append(one)
                self.on_arrival(one)
        return sent
