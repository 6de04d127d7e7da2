"""The real system that is soaked: two gateways, Rasa, its action server, Valkey and a database."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import httpx

from bot.services import actions_command, assistant_command, rasa_environment
from bot.settings import load_settings
from bot.stack import RASA_PYTHON
from bot.stack import Stack as House
from tests.drills.processes import SECRET, Ports, Postgres, Process, Valkey
from tests.drills.questions import Questions
from tests.drills.stack import Stack

RASA_SECONDS = 180.0
STOP_SECONDS = 45.0
"""How long a graceful stop may take before it becomes -9: longer than what the gateway allows itself."""
ASSISTANT_SECONDS = 10.0
"""As in production: a busy machine is no reason to give up on an answer."""


class Way(Protocol):
    """A way in, as far as the system minds: what has to run before the gateways, and ends after them."""

    async def start(self) -> None:
        """Start what is needed."""

    async def stop(self) -> None:
        """Stop it."""


class SoakStack(Stack):
    """The gateways, the platform and whoever writes; staff find people of every channel."""

    def __init__(self, name: str, folder: Path, ports: Ports, *words: Any, **options: Any) -> None:
        super().__init__(name, folder, ports, *words, **options)
        self.ports = ports
        self.known_as: dict[str, tuple[str, str]] = {}
        """Channel and platform id of whoever does not come by the loopback platform."""

    async def door(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, gateway: int = 0, **query: str
    ) -> httpx.Response:
        """Ask a gateway's drill door; people are named as the generator names them."""
        if query.get("person") in self.known_as:
            channel, person = self.known_as[query["person"]]
            query |= {"channel": channel, "person": person}
        return await super().door(method, path, body, gateway=gateway, **query)

    async def tell(self, record: dict[str, Any]) -> None:
        """Somebody was told something by another way than the loopback platform."""
        self._heard[record["person"]].append(record)
        async with self._news:
            self._news.notify_all()

    async def finish(self, person: str, staff: int, chat_id: int) -> bool:
        """Close a conversation of any grade, with what was done."""
        asked = time.time()
        body = {"id": chat_id, "staff": staff, "outcome": "incident_created", "done": "A made-up incident."}
        for attempt in range(60):
            with contextlib.suppress(httpx.HTTPError):
                answer = await self.door("POST", "/drill/close", body, gateway=attempt)
                if answer.status_code == 200:
                    self.note(what="let_go", person=person, how="close", asked=asked, answered=time.time())
                    return True
                if answer.status_code == 409:
                    chat = await self.chat(person)
                    if chat is None or chat["state"] == "closed" or chat["owner"] != staff:
                        # It was closed, and the answer was cut off.
                        self.note(
                            what="let_go", person=person, how="close", asked=asked, answered=time.time()
                        )
                        return True
            await asyncio.sleep(0.5)
        return False


class System:
    """Everything that runs, and how each part is restarted."""

    def __init__(
        self,
        folder: Path,
        ports: Ports,
        seed: int,
        postgres: str,
        sources: Sequence[Callable[[SoakStack], Way]],
    ) -> None:
        """`postgres`: empty for SQLite, "own" for a server of the soak's own, or the address of one."""
        self._make_sources = sources
        self.sources: list[Any] = []
        self.folder = folder
        self.questions = Questions(load_settings().force, load_settings().data)
        self.ports = ports
        self.seed = seed
        self.postgres: Postgres | None = None
        if postgres:
            self.postgres = Postgres(
                ports.take(), "" if postgres == "own" else postgres, own=postgres == "own"
            )
        self.database_url = f"sqlite+aiosqlite:///{folder / 'soak.db'}"
        self.valkey = Valkey(folder, ports.take())
        self.starts: dict[str, int] = {}
        """How often each process was started: its generation."""
        self.busy: set[str] = set()
        """Processes that are being restarted right now."""
        self._house = House(load_settings(), load_settings().models)
        self.stack: SoakStack
        self.rasa: Process
        self.actions: Process

    async def start(self) -> None:
        """Start everything, and wait until it answers.

        Raises:
            RuntimeError: something does not start; says what, with the end of its log.
        """
        if self.postgres is not None:
            if self.postgres.why_not:
                raise RuntimeError(f"--postgres cannot be used: {self.postgres.why_not}.")
            await asyncio.to_thread(self.postgres.start)
            self.database_url = await self.postgres.database(f"soak_{os.getpid()}")
        if not RASA_PYTHON.exists():
            raise RuntimeError("The assistant's environment is missing: run `make setup` first.")
        self.valkey.start()
        model = await self._house.train()
        actions_port, rasa_port = self.ports.take(), self.ports.take()
        environment = rasa_environment(
            FRONTCOUNTER_ASSISTANT_SECRET=SECRET,
            FRONTCOUNTER_REDIS_URL=self.valkey.url,
            FRONTCOUNTER_ACTIONS_URL=f"http://127.0.0.1:{actions_port}/webhook",
            FRONTCOUNTER_FORCE=str(load_settings().force),
            SANIC_HOST="127.0.0.1",
        )
        self.actions = Process(
            "actions", actions_command(str(RASA_PYTHON), actions_port), self.folder, environment,
            health=f"http://127.0.0.1:{actions_port}/health",
        )  # fmt: skip
        self.rasa = Process(
            "rasa",
            assistant_command(
                str(RASA_PYTHON), str(model), endpoints="endpoints.production.yml", host="127.0.0.1",
                port=rasa_port,
            ),
            self.folder, environment, health=f"http://127.0.0.1:{rasa_port}/webhooks/gateway/status",
            headers={"X-Front-Counter-Secret": SECRET},
        )  # fmt: skip
        self.actions.start()
        self.rasa.start()
        await self.actions.ready(RASA_SECONDS)
        await self.rasa.ready(RASA_SECONDS)
        self.stack = SoakStack(
            "soak", self.folder, self.ports, self.questions, database_url=self.database_url, gateways=2,
            redis=self.valkey, seed=self.seed, assistant_urls=f"http://127.0.0.1:{rasa_port}",
            assistant_timeout=ASSISTANT_SECONDS,
        )  # fmt: skip
        self.sources = [make(self.stack) for make in self._make_sources]
        for source in self.sources:
            await source.start()
        await self.stack.start()
        self.starts = dict.fromkeys(self.processes(), 1)

    def processes(self) -> dict[str, Process]:
        """Those that are watched, by name."""
        found = {gateway.name: gateway for gateway in self.stack.gateways}
        return {**found, "rasa": self.rasa, "actions": self.actions, "valkey": self.valkey.process}

    def plan(self) -> list[tuple[str, str]]:
        """What is restarted: (process, how). The gateways are killed more often than the rest."""
        found = [
            ("gateway0", "term"), ("gateway1", "term"), ("rasa", "term"), ("rasa", "kill"),
            ("actions", "kill"), ("valkey", "kill"), *[("gateway0", "kill"), ("gateway1", "kill")] * 3,
        ]  # fmt: skip
        if self.postgres is not None and self.postgres.is_ours:
            found.append(("database", "stop"))
        return found

    async def restart(self, name: str, how: str) -> None:
        """End one process (`kill` is -9, `term` asks it to) and start it again.

        Raises:
            RuntimeError: it does not come back.
        """
        self.stack.note(what="kill", target=name, how=how, at=time.time())
        self.busy.add(name)
        try:
            if name == "database":
                assert self.postgres is not None
                await asyncio.to_thread(self.postgres.stop)
                await asyncio.sleep(1.0)
                await asyncio.to_thread(self.postgres.start)
                return
            process = self.processes()[name]
            if how == "kill":
                await asyncio.to_thread(process.kill)
            else:
                await asyncio.to_thread(process.stop, STOP_SECONDS)
            self.starts[name] += 1
            if name == "valkey":
                await asyncio.to_thread(self.valkey.start)
                return
            process.start()
            await process.ready(RASA_SECONDS)
        finally:
            self.busy.discard(name)

    def dead(self) -> list[str]:
        """Processes that ended although nobody asked them to."""
        return [
            name
            for name, process in self.processes().items()
            if process.pid is None and name not in self.busy
        ]

    async def database_megabytes(self) -> float:
        """What the database takes on disk, its log included; 0 while nobody can say."""
        if self.postgres is None:
            files = self.folder.glob("soak.db*")
            return sum(file.stat().st_size for file in files) / 1e6
        with contextlib.suppress(OSError, asyncpg.PostgresError):
            connection = await asyncpg.connect(self.database_url.replace("+asyncpg", ""), timeout=2)
            try:
                return float(await connection.fetchval("SELECT pg_database_size(current_database())")) / 1e6
            finally:
                await connection.close()
        return 0.0

    async def stop(self) -> None:
        """Stop everything that was started."""
        if hasattr(self, "stack"):
            await self.stack.stop()
        for source in self.sources:
            await source.stop()
        for name in ("rasa", "actions"):
            if hasattr(self, name):
                await asyncio.to_thread(getattr(self, name).stop)
        await self._house.stop()
        self.valkey.kill()
        if self.postgres is not None:
            await self.postgres.drop_all()
            await asyncio.to_thread(self.postgres.remove)
