"""Real processes for these tests: gateways with a stand-in for Rasa, and people who keep writing."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import secrets
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from sqlalchemy import select

from bot.settings import ROOT
from bot.store import Store
from bot.store.tables import Message, Outbox
from tests.drills.processes import Process
from tests.support.ports import free_port
from tests.support.rasa import SECRET, LoopbackRasa
from tests.support.serving import PATIENT_GATEWAY

PATIENCE_SECONDS = 90.0
KEY = "only-for-these-tests-and-nothing-else-at-all"


@dataclass(slots=True)
class Gateway:
    """One gateway process, on the same two ports whenever it is started."""

    process: Process
    public: str
    desk: str

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        self.process.start()
        await self.process.ready()

    async def stop(self) -> int:
        """Ask it to end, wait, and return its exit code."""
        popen = self.process._popen
        assert popen is not None
        popen.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(popen.wait, PATIENCE_SECONDS)

    @property
    def log(self) -> Path:
        """Everything that it said."""
        return self.process._output


def gateway(
    name: str, folder: Path, database_url: str, redis_url: str, rasa: str, tree: Path = ROOT, **more: str
) -> Gateway:
    """A gateway that runs the code of `tree`."""
    public, desk = free_port(), free_port()
    environment = {
        "FRONTCOUNTER_DATABASE_URL": database_url,
        "FRONTCOUNTER_REDIS_URL": redis_url,
        "FRONTCOUNTER_ASSISTANT_URLS": rasa,
        "FRONTCOUNTER_ASSISTANT_SECRET": SECRET,
        "FRONTCOUNTER_SECRET_KEY": KEY,
        "FRONTCOUNTER_PUBLIC_PORT": str(public),
        "FRONTCOUNTER_DESK_PORT": str(desk),
        "FRONTCOUNTER_STATIC": str(ROOT / "node_modules"),
        "FRONTCOUNTER_VAR": str(folder / "var"),
        "FRONTCOUNTER_SECRETS_DIR": str(folder),
        "FRONTCOUNTER_POLL_SECONDS": "0.5",
        "PYTHONPATH": str(tree),
        **more,
    }
    process = Process(
        name, PATIENT_GATEWAY, folder, environment,
        health=f"http://127.0.0.1:{public}/readyz", cwd=tree,
    )  # fmt: skip
    return Gateway(process, f"http://127.0.0.1:{public}", f"http://127.0.0.1:{desk}")


@asynccontextmanager
async def gateways(
    folder: Path, database_url: str, redis_url: str, rasa: LoopbackRasa, count: int = 2, **more: str
) -> AsyncIterator[list[Gateway]]:
    """Some gateways on one database; ended when the block ends."""
    made = [gateway(f"gateway{n}", folder, database_url, redis_url, rasa.url, **more) for n in range(count)]
    try:
        await asyncio.gather(*(one.start() for one in made))
        yield made
    finally:
        for one in made:
            await asyncio.to_thread(one.process.stop)


async def settled(store: Store) -> None:
    """Wait until every message was read and every reply has left."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            async with store.read() as connection:
                unread = await connection.execute(select(Message.id).where(~Message.handled).limit(1))
                queued = await connection.execute(
                    select(Outbox.id).where(Outbox.state.in_(("queued", "sending"))).limit(1)
                )
                if unread.first() is None and queued.first() is None:
                    return
            await asyncio.sleep(0.1)


@dataclass(slots=True)
class People:
    """People who each hold one chat in a closed loop: write, wait for the reply, write again.

    As the page does, whoever gets no answer (or "try again") sends the same message with the same id
    once more, to whichever gateway is there.
    """

    gateways: Sequence[Gateway]
    accepted: list[str] = field(default_factory=list)
    """The ids that were answered 200."""
    statuses: Counter[int] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    """Connections that ended without an answer, by what was seen."""
    answered: int = 0
    """Messages whose reply was seen on a stream."""
    stopping: bool = False
    _next: itertools.count[int] = field(default_factory=itertools.count)

    async def all(self, people: int) -> None:
        """Chat until told to stop."""
        async with asyncio.TaskGroup() as group:
            for number in range(people):
                group.create_task(self._one(number))

    async def _one(self, number: int) -> None:
        limits = httpx.Limits(max_keepalive_connections=4)
        async with httpx.AsyncClient(trust_env=False, timeout=60, limits=limits) as http:
            start = secrets.token_urlsafe(32)
            seen: set[int] = set()
            while not self.stopping:
                identity = f"op-{number}-{next(self._next)}-{secrets.token_hex(4)}"
                await self._write(http, identity, start)
                await self._reply(http, seen)

    def _somebody(self) -> Gateway:
        return self.gateways[next(self._next) % len(self.gateways)]

    async def _write(self, http: httpx.AsyncClient, identity: str, start: str) -> None:
        body = {"id": identity, "text": "how long is the wait on 101", "start": start}
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            try:
                answer = await http.post(f"{self._somebody().public}/chat/messages", json=body)
            except httpx.HTTPError as error:
                self.broken[type(error).__name__] += 1
                await asyncio.sleep(0.05)
                continue
            self.statuses[answer.status_code] += 1
            if answer.status_code == 200:
                self.accepted.append(identity)
                return
            await asyncio.sleep(0.2)
        raise AssertionError("no gateway took a message")

    async def _reply(self, http: httpx.AsyncClient, seen: set[int]) -> None:
        """Wait on the stream for a reply not seen before, as the page does."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(httpx.HTTPError):
                address = f"{self._somebody().public}/chat/stream?after=0.0"
                async with http.stream("GET", address) as lines:
                    self.statuses[lines.status_code] += 1
                    if await self._new_line(lines, seen):
                        self.answered += 1
                        return
            await asyncio.sleep(0.05)
        raise AssertionError("a message was never answered")

    async def _new_line(self, lines: httpx.Response, seen: set[int]) -> bool:
        event = ""
        async for line in lines.aiter_lines():
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: ") and event == "message":
                number = json.loads(line.removeprefix("data: "))["id"]
                if number not in seen:
                    seen.add(number)
                    return True
        return False
