"""What a turn starts from, and what it means to do: decided before its transaction begins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant.client import Part, Reading
from bot.messages import Hit

SendInStore = Callable[[AsyncConnection, int, str], Awaitable[bool]]
"""Sends what a conversation's page reads from the store: `OutboxSender.send_in_store`."""


@dataclass(slots=True)
class Taken:
    """What a turn starts from: the conversation as it was, its lease, its unread messages."""

    row: Row[Any]
    counter: int
    messages: list[Row[Any]]
    blocked: bool
    limited: bool = False
    """What is no P1 or P2 is not answered just now; a question of ours that it answers still is."""
    all_sent: bool = False
    """What the turn said has left already, in its own transaction."""

    @property
    def last_id(self) -> int:
        """The newest arrival: it names the turn, whatever late message is read before it."""
        return max(int(message.id) for message in self.messages)


_CLEAR = frozenset({"answer", "line", "hand_over"})


@dataclass(slots=True)
class Plan:
    """What a turn means to do, decided before its transaction."""

    hits: list[Hit] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    form: str | None = None
    restarted: bool = False
    safe_check: str | None = None
    withdraw: bool = False
    ask: dict[str, Any] | None = None
    question: str | None = None
    """The one question about a message that has been passed on already."""
    ask_answered: bool = False
    unavailable: bool = False
    decided: bool = False
    """A button of ours or a plain yes or no says what to do, without Rasa."""
    language: str | None = None
    """The code of the language of what was written, if it is not English."""
    quiet: bool = True
    """Of a comment: we are quiet under its post, or nobody could say yet what the post is."""
    by_message: dict[int, Reading] = field(default_factory=dict)
    """What the model makes of each comment: under a post every one is answered by itself."""
    reading: Reading | None = None
    release: str = ""

    @property
    def is_clear(self) -> bool:
        """Whether the model is sure what is wanted: only then an open question falls away."""
        return any(part.kind in _CLEAR for part in self.parts)
