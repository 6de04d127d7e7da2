"""What the channel needs around a turn: requests read, repeats answered once, one turn at a time.

Pure asyncio; no Rasa and no web framework.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

Answer = dict[str, Any]

TEXT_LIMIT: Final = 4000
"""Letters of one text. The gateway sends at most 1,000; a larger one is its mistake."""
TEXTS_LIMIT: Final = 64
ID_LIMIT: Final = 255


class RequestError(Exception):
    """A request that cannot be served, with its HTTP status."""

    def __init__(self, reason: str, status: int = 400) -> None:
        """Keep what is wrong, in words without the person's text."""
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """One turn that the gateway asks for: a typed text, or a button of ours."""

    conversation: str
    turn: str
    text: str
    button: str | None

    @property
    def key(self) -> str:
        """Name of this turn among all turns."""
        return f"{self.conversation}\n{self.turn}"


def read_turn(body: object) -> TurnRequest:
    """Return the turn in a request's body.

    Raises:
        RequestError: 400 if it is not a turn, 413 if its text is too long.
    """
    fields = _mapping(body)
    button = fields.get("button")
    if button is not None and not isinstance(button, str):
        raise RequestError("button must be a string or null")
    return TurnRequest(
        conversation=_identifier(fields, "conversation"),
        turn=_identifier(fields, "turn"),
        text=_text(fields.get("text")),
        button=button or None,
    )


def read_texts(body: object) -> list[str]:
    """Return the texts to understand.

    Raises:
        RequestError: 400 if there are none, 413 if they are too many or too long.
    """
    texts = _mapping(body).get("texts")
    if not isinstance(texts, list):
        raise RequestError("texts must be a list")
    if len(texts) > TEXTS_LIMIT:
        raise RequestError(f"more than {TEXTS_LIMIT} texts", 413)
    return [_text(text) for text in texts]


def read_conversation(body: object) -> str:
    """Return the conversation that a request names.

    Raises:
        RequestError: 400 if it names none.
    """
    return _identifier(_mapping(body), "conversation")


def is_secret(given: str | None, expected: str) -> bool:
    """Compare a secret in constant time."""
    return hmac.compare_digest((given or "").encode(), expected.encode())


def _mapping(body: object) -> Mapping[str, object]:
    if not isinstance(body, dict):
        raise RequestError("the body must be a JSON object")
    return body


def _identifier(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= ID_LIMIT:
        raise RequestError(f"{name} must be a string of 1 to {ID_LIMIT} characters")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise RequestError("a text must be a string")
    if len(value) > TEXT_LIMIT:
        raise RequestError(f"a text is longer than {TEXT_LIMIT} characters", 413)
    return value


class RecentAnswers:
    """Answers of finished turns in memory: the newest `limit`, for `life_seconds`."""

    def __init__(
        self,
        limit: int = 1000,
        life_seconds: float = 600,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start empty."""
        self._kept: OrderedDict[str, tuple[float, Answer]] = OrderedDict()
        self._limit = limit
        self._life_seconds = life_seconds
        self._clock = clock

    def keep(self, key: str, answer: Answer) -> None:
        """Keep an answer, and drop what is too many."""
        self._kept[key] = (self._clock() + self._life_seconds, answer)
        self._kept.move_to_end(key)
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)

    def get(self, key: str) -> Answer | None:
        """Return a kept answer."""
        until, answer = self._kept.get(key, (0.0, None))
        if answer is not None and until < self._clock():
            del self._kept[key]
            return None
        return answer


class OneAtATime:
    """Runs a conversation's turns one after another, and a repeat of a running turn not at all.

    The gateway already sends one turn of a conversation at a time; this holds when it does not.
    """

    def __init__(self) -> None:
        """Start with nothing running."""
        self._running: dict[str, asyncio.Task[Answer]] = {}
        self._waiting: dict[str, tuple[asyncio.Lock, int]] = {}

    async def run(self, key: str, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Run `work`, or wait for the run of the same key that is under way.

        A caller that goes away does not stop the work: another may be waiting for it.
        """
        task = self._running.get(key)
        if task is None:
            task = asyncio.ensure_future(_awaited(work))
            self._running[key] = task
            task.add_done_callback(lambda done: self._done(key, done))
        return await asyncio.shield(task)

    def _done(self, key: str, task: asyncio.Task[Answer]) -> None:
        self._running.pop(key, None)
        if not task.cancelled():
            task.exception()  # taken, so that asyncio does not log it when nobody waits any more

    @asynccontextmanager
    async def alone(self, conversation: str) -> AsyncIterator[None]:
        """Keep every other turn of a conversation waiting."""
        lock, count = self._waiting.get(conversation, (asyncio.Lock(), 0))
        self._waiting[conversation] = (lock, count + 1)
        try:
            async with lock:
                yield
        finally:
            lock, count = self._waiting[conversation]
            if count > 1:
                self._waiting[conversation] = (lock, count - 1)
            else:
                del self._waiting[conversation]


async def _awaited(work: Callable[[], Awaitable[Answer]]) -> Answer:
    return await work()
