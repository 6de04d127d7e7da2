"""What `app.py` hands to a channel, and what it expects back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from sanic import Blueprint

from bot.assistant import LiveContent
from bot.conversations.door import Door
from bot.messages import Channel
from bot.safety import Screen
from bot.settings import Settings
from bot.store import Bell, Store
from bot.streams import Streams


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the gateway that a channel may use."""

    settings: Settings
    store: Store
    bell: Bell
    door: Door
    content: LiveContent
    screen: Screen
    streams: Streams = field(default_factory=Streams)


class Platform(Protocol):
    """One folder of `channels/`: the way out (`channel`) and the way in (`blueprint`)."""

    channel: Channel

    def blueprint(self, parts: Parts) -> Blueprint:
        """The routes on the public listener."""
        ...

    async def run(self, parts: Parts) -> None:
        """Whatever the channel does by itself, from the start of the gateway until it is cancelled.

        It begins before the database is there: a channel that fetches its own news keeps on
        fetching without one, for the safety words.
        """
        ...

    async def reachable(self) -> str | None:
        """Ask the platform whether it knows us: None, or a short reason why not (no secret in it).

        It asks anew each time, within a few seconds, and needs no running gateway.
        """
        ...
