"""A real server in a thread of its own, so that a test without a loop can talk to it."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy.util import greenlet_spawn

from bot.core import Core
from tests.support.rasa import LoopbackRasa

T = TypeVar("T")

START_SECONDS = 120.0
STOP_SECONDS = 90.0
LATE_SECONDS = 20.0
REQUEST = "HttpProtocol.connection_task"
"""What Sanic runs for each connection."""
_DRIVER = "_connection_worker_thread"
GIVES_BACK = ("AsyncConnection.close", "AsyncAdapt_aiosqlite_connection._terminate_graceful_close")
"""What SQLAlchemy runs, shielded, in a task of its own when a block with a connection ends. Cancelled before its
first step it never gives the connection back, and the garbage collector complains of that in a later test."""

_PATIENT = """
import sys
from bot.assistant import client
from bot.conversations import door
from bot.store import engine
door.PATIENCE_SECONDS, engine.BUSY_SECONDS, client.CONNECT_SECONDS = 20.0, 20.0, 20.0
from bot.cli import main
sys.exit(main(["serve"]))
"""
PATIENT_GATEWAY = [sys.executable, "-c", _PATIENT]
"""`frontcounter serve` as a process, to which a machine that stands still is no database that hangs."""


async def end_other_tasks(running: str = "") -> None:
    """End whatever still runs in this loop, so that nothing runs on into what follows; or only what runs `running`."""
    loop = asyncio.get_running_loop()
    until = loop.time() + LATE_SECONDS
    # What is cancelled may leave something to be done, and what had no turn yet may begin something.
    while (left := _other_tasks(running)) and loop.time() < until:
        for task in left:
            if _name(task) not in GIVES_BACK:
                task.cancel()
        await asyncio.wait(left, timeout=max(0.0, until - loop.time()))


async def drivers_end(before: set[threading.Thread]) -> None:
    """Wait until each thread of SQLite's driver that was not there `before` has given its last answer to this loop.

    What is cancelled while it connects waits for none of its thread, which then finds the loop closed.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + LATE_SECONDS
    while any(_DRIVER in one.name for one in set(threading.enumerate()) - before) and loop.time() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def _other_tasks(running: str) -> set[asyncio.Task[Any]]:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    return {task for task in others if running in ("", _name(task))}


def _name(task: asyncio.Task[Any]) -> str:
    return str(getattr(task.get_coro(), "__qualname__", ""))


async def stop_gateways(*cores: Core, rasa: LoopbackRasa | None = None) -> None:
    """Stop gateways and their Rasa, and what their open pages still ask for; no connection stays open."""
    pools = [core.store.engine.pool for core in cores]
    await end_other_tasks(REQUEST)
    for core in cores:
        await core.stop(2)
    if rasa is not None:
        await rasa.stop()
    await end_other_tasks()
    # A page that asked after the stop had a connection of a new pool, and one that was slow gave its own back
    # to the old one after that was emptied.
    for core in cores:
        await core.store.engine.dispose()
    for pool in pools:
        await greenlet_spawn(pool.dispose)


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
        before = set(threading.enumerate())
        await serve(ready, stop)
        await drivers_end(before)

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
    if worker.is_alive():
        raise RuntimeError(f"{name} did not end")
    if failures:
        raise failures[0]
