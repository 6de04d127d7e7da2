"""The open streams of one gateway: how many there are, and how they end when the gateway stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from bot import metrics

COME_BACK = "retry: 500\n\n"
"""Tells a browser's event source to come again after half a second: to another gateway, by then."""


class Streams:
    """Keeps the streams of events that pages hold open."""

    def __init__(self) -> None:
        self._open: set[asyncio.Task[Any]] = set()
        self._closing = False

    @asynccontextmanager
    async def serving(self, response: Any, listener: str) -> AsyncIterator[None]:
        """Hold while a stream is served. When the gateway stops, the block ends as if it were done."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a handler runs in a task
        self._open.add(task)
        metrics.STREAMS.labels(listener).inc()
        try:
            if self._closing:
                task.cancel()  # ends the block at its first wait
            yield
        except asyncio.CancelledError:
            if not self._closing:
                raise
            task.uncancel()
            with suppress(Exception):
                await response.send(COME_BACK)
        finally:
            self._open.discard(task)
            metrics.STREAMS.labels(listener).dec()

    def close(self) -> None:
        """End every stream; new ones end at once."""
        self._closing = True
        for task in list(self._open):
            task.cancel()
