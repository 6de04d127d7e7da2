"""Wake-ups: tells the waiting parts of every gateway that there is something to look at.

A ring carries no fact and may be lost: whoever waits also looks by itself, so losing Redis costs
speed and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import defaultdict
from collections.abc import Iterator

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

CHANNEL = "frontcounter:bell"


class Bell:
    """Named bells within this process, carried to other gateways by Redis where there is one."""

    def __init__(self, redis_url: str = "") -> None:
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._redis: Redis | None = None
        if redis_url:
            self._redis = Redis.from_url(
                redis_url, socket_connect_timeout=1.0, socket_timeout=5.0, health_check_interval=15
            )
        self._listener: asyncio.Task[None] | None = None
        self._outgoing: set[str] = set()
        # A mark on our own rings: they come back from Redis, and here they have been heard already.
        self._mark = secrets.token_hex(4)
        self._flusher: asyncio.Task[None] | None = None
        self.connected = False

    async def start(self) -> None:
        """Begin to listen to other gateways."""
        if self._redis is not None and self._listener is None:
            self._listener = asyncio.create_task(self._listen(), name="bell")

    async def stop(self) -> None:
        """Stop listening and close the connection."""
        for task in (self._listener, self._flusher):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._listener = self._flusher = None
        if self._redis is not None:
            with contextlib.suppress(RedisError, OSError):
                await self._redis.aclose()

    def ring(self, name: str) -> None:
        """Wake whoever waits for `name`, here at once and elsewhere as soon as Redis allows."""
        self._ring_here(name)
        if self._redis is None or not self.connected:
            return
        self._outgoing.add(name)
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush(), name="bell-flush")

    def _heard(self, words: str) -> None:
        name, _, mark = words.partition("@")
        if mark != self._mark:
            self._ring_here(name)

    def _ring_here(self, name: str) -> None:
        for waiting in self._waiting.get(name, ()):
            waiting.set()

    @contextlib.contextmanager
    def subscribe(self, *names: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever one of `names` rings while the block runs."""
        ear = asyncio.Event()
        for name in names:
            self._waiting[name].add(ear)
        try:
            yield ear
        finally:
            for name in names:
                self._waiting[name].discard(ear)
                if not self._waiting[name]:
                    del self._waiting[name]

    async def _flush(self) -> None:
        while self._outgoing and self._redis is not None:
            batch, self._outgoing = self._outgoing, set()
            try:
                for name in batch:
                    await self._redis.publish(CHANNEL, f"{name}@{self._mark}")
            except (RedisError, OSError):
                return

    async def _listen(self) -> None:
        redis = self._redis
        while redis is not None:
            try:
                async with redis.pubsub() as ears:
                    await ears.subscribe(CHANNEL)
                    self.connected = True
                    while True:
                        message = await ears.get_message(ignore_subscribe_messages=True, timeout=10.0)
                        if message is not None:
                            self._heard(bytes(message["data"]).decode("utf-8", "replace"))
            except (RedisError, OSError) as error:
                if self.connected:
                    log.warning("bell.lost", error=type(error).__name__)
                self.connected = False
                await asyncio.sleep(1.0)


async def wait_any(ear: asyncio.Event, seconds: float) -> bool:
    """Wait until `ear` is set, `seconds` at most; it is cleared for the next ring. True: it was set."""
    # Not wait_for: in Python 3.11 it loses a cancellation that comes together with the ring.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await ear.wait()
    rang = ear.is_set()
    ear.clear()
    return rang
