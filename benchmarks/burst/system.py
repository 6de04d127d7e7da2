"""What is measured: the whole product with two gateways, and a Messenger of our own that calls them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.settings import ROOT, load_settings
from bot.stack import Stack, free_port
from tests.drills.meta import environment_of, graph_process
from tests.drills.processes import Process, python
from tests.platforms.graph import App

GATEWAYS = 2


@dataclass(frozen=True, slots=True)
class System:
    """Where it listens, and what Messenger wrote down."""

    app: App
    public: list[int]
    graph: str
    log: Path


@asynccontextmanager
async def running(folder: Path, database_url: str) -> AsyncIterator[System]:
    """Start Messenger, Valkey, the action server, Rasa with our model and two gateways; stop them at the end.

    Raises:
        RuntimeError, FrontCounterError: something does not start; with the end of what it said.
    """
    settings = load_settings(redis_url="")
    app, graph_port = App(), free_port()
    public, desk = [free_port() for _ in range(GATEWAYS)], [free_port() for _ in range(GATEWAYS)]
    graph_url, log = f"http://127.0.0.1:{graph_port}", folder / "messenger.jsonl"
    urls = [f"http://127.0.0.1:{port}" for port in public]
    graph = graph_process(app, graph_port, folder, log, urls, 0)
    async with Stack(settings, settings.models) as house:
        await house.start()
        key = secrets.token_urlsafe(32)
        gateways = [
            Process(
                f"gateway{number}", python("bot.cli", "serve"), folder,
                {
                    "FRONTCOUNTER_DATABASE_URL": database_url,
                    "FRONTCOUNTER_REDIS_URL": house.redis_url,
                    "FRONTCOUNTER_ASSISTANT_URLS": house.assistant_url,
                    "FRONTCOUNTER_ASSISTANT_SECRET": house.secret,
                    "FRONTCOUNTER_SECRET_KEY": key,
                    "FRONTCOUNTER_PUBLIC_PORT": str(public[number]),
                    "FRONTCOUNTER_DESK_PORT": str(desk[number]),
                    "FRONTCOUNTER_VAR": str(folder),
                    "FRONTCOUNTER_LOG_LEVEL": "WARNING",
                    "FRONTCOUNTER_TELEGRAM_TOKEN": "",
                    "FRONTCOUNTER_INSTAGRAM_TOKEN": "",
                    **environment_of(app, graph_url),
                },
                health=f"{urls[number]}/readyz", cwd=ROOT,
            )
            for number in range(GATEWAYS)
        ]  # fmt: skip
        try:
            graph.start()
            await graph.ready()
            for gateway in gateways:
                gateway.start()
            for gateway in gateways:
                await gateway.ready()
            yield System(app, public, graph_url, log)
        finally:
            for gateway in gateways:
                gateway.signal(15)
            for process in (*gateways, graph):
                await asyncio.to_thread(process.stop)
