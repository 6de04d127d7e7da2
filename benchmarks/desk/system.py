"""What is measured: two gateways as in production, Valkey, a stand-in for Rasa, one database."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]

from bot.settings import ROOT
from bot.stack import free_port
from tests.drills.processes import SECRET, Process, Valkey, python

GATEWAYS = 2


@dataclass(frozen=True, slots=True)
class System:
    """Where it listens."""

    public: list[int]
    desk: list[int]
    pids: dict[str, int]


@asynccontextmanager
async def running(folder: Path, database_url: str) -> AsyncIterator[System]:
    """Start everything; stop it at the end.

    Raises:
        RuntimeError: something does not start; with the end of what it said.
    """
    valkey = Valkey(folder, free_port())
    rasa_port = free_port()
    (folder / "phrases.json").write_text("{}", "utf-8")
    rasa = Process(
        "rasa",
        python(
            "tests.loopback_rasa", "--port", str(rasa_port), "--secret", SECRET, "--phrases",
            str(folder / "phrases.json"),
        ),
        folder, health=f"http://127.0.0.1:{rasa_port}/webhooks/gateway/status",
        headers={"X-Front-Counter-Secret": SECRET},
    )  # fmt: skip
    public, desk = [free_port() for _ in range(GATEWAYS)], [free_port() for _ in range(GATEWAYS)]
    gateways = [
        Process(
            f"gateway{number}", python("bot.cli", "serve"), folder,
            {
                "FRONTCOUNTER_DATABASE_URL": database_url,
                "FRONTCOUNTER_REDIS_URL": valkey.url,
                "FRONTCOUNTER_ASSISTANT_URLS": f"http://127.0.0.1:{rasa_port}",
                "FRONTCOUNTER_ASSISTANT_SECRET": SECRET,
                "FRONTCOUNTER_SECRET_KEY": "made up for this measurement, and for nothing else",
                "FRONTCOUNTER_PUBLIC_PORT": str(public[number]),
                "FRONTCOUNTER_DESK_PORT": str(desk[number]),
                "FRONTCOUNTER_VAR": str(folder),
                "FRONTCOUNTER_LOG_LEVEL": "WARNING",
                "FRONTCOUNTER_TELEGRAM_TOKEN": "",
            },
            health=f"http://127.0.0.1:{public[number]}/readyz", cwd=ROOT,
        )
        for number in range(GATEWAYS)
    ]  # fmt: skip
    try:
        valkey.start()
        rasa.start()
        await rasa.ready()
        for gateway in gateways:
            gateway.start()
        for gateway in gateways:
            await gateway.ready()
        pids = {one.name: one.pid for one in gateways if one.pid is not None}
        yield System(public, desk, pids)
    finally:
        for gateway in gateways:
            gateway.signal(15)
        for process in (*gateways, rasa):
            process.stop()
        valkey.kill()


@asynccontextmanager
async def empty_database(postgres: str, folder: Path, name: str) -> AsyncIterator[str]:
    """The address of an empty database: in that PostgreSQL, or an SQLite file."""
    if not postgres:
        # The folder is the caller's, and goes with all that is in it.
        yield f"sqlite+aiosqlite:///{folder / name}.db"
        return
    server = postgres.replace("+asyncpg", "")
    name = f"{name}_{os.getpid()}"
    await _run(server, f'CREATE DATABASE "{name}"')
    try:
        yield f"{server.rpartition('/')[0]}/{name}".replace("postgresql://", "postgresql+asyncpg://")
    finally:
        await _run(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def _run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
