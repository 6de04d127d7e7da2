"""A real server in a thread of its own, so that a test without a loop can talk to it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

START_SECONDS = 60.0
STOP_SECONDS = 30.0


async def end_other_tasks() -> None:
    """End whatever still runs in this loop, so that nothing runs on into what follows."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


@contextmanager
def in_thread(
    serve: Callable[[Callable[[T], None], asyncio.Event], Awaitable[None]], name: str
) -> Iterator[tuple[T, asyncio.AbstractEventLoop]]:
    """Run `serve(ready, stop)` beside the test: it calls `ready` with what the test gets, waits for
    `stop`, and ends. What it raises, the test raises.
    """
    holder: list[tuple[T, asyncio.AbstractEventLoop]] = []
    failures: list[BaseException] = []
    started = threading.Event()
    stop = asyncio.Event()

    def ready(served: T) -> None:
        holder.append((served, asyncio.get_running_loop()))
        started.set()

    async def main() -> None:
        await serve(ready, stop)

    def thread() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            failures.append(error)
        finally:
            started.set()

    worker = threading.Thread(target=thread, name=name, daemon=True)
    worker.start()
    started.wait(START_SECONDS)
    if failures or not holder:
        raise RuntimeError(f"{name} did not start") from (failures[0] if failures else None)
    try:
        yield holder[0]
    finally:
        holder[0][1].call_soon_threadsafe(stop.set)
        worker.join(STOP_SECONDS)
    if failures:
        raise failures[0]
