"""A gateway with the loopback channel on a free port, and the loopback platform on another."""

from __future__ import annotations

import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest
from sanic import Sanic
from sqlalchemy import Row, select

import bot.core
from bot.app import Gateway, build
from bot.settings import Settings
from bot.store.tables import Message
from tests.platforms.loopback import HEADER, Loopback, sign
from tests.platforms.loopback import server as platform
from tests.support.databases import SqliteTemplates
from tests.support.rasa import SECRET as RASA_SECRET
from tests.support.rasa import LoopbackRasa
from tests.support.serving import REQUEST, end_other_tasks
from tests.support.world import read_content, read_screen

SECRET = "shared-with-the-loopback-platform"


@dataclass(slots=True)
class Served:
    """One gateway, its platform, and a way to post a webhook by hand."""

    gateway: Gateway
    platform: platform.LoopbackServer
    rasa: LoopbackRasa
    url: str
    http: httpx.AsyncClient

    async def post(self, body: bytes, signature: str | None = "") -> int:
        """Post a webhook; the right signature unless another is given (None: none)."""
        given = (signature or sign(body, SECRET)).encode("latin-1")
        headers = {} if signature is None else {HEADER.encode(): given}
        answer = await self.http.post(f"{self.url}/loopback/webhook", content=body, headers=headers)
        return answer.status_code

    async def messages(self) -> list[Row[Any]]:
        """Every stored message, oldest first."""
        async with self.gateway.core.store.read() as connection:
            return list((await connection.execute(select(Message.__table__).order_by(Message.id))).all())


def listener() -> socket.socket:
    """A socket that listens on a free loopback port."""
    found = socket.create_server(("127.0.0.1", 0))
    found.setblocking(False)
    return found


@asynccontextmanager
async def listening(app: Sanic[Any, Any], sock: socket.socket) -> AsyncIterator[None]:
    """Serve one application until the block ends."""
    server = await app.create_server(sock=sock, return_asyncio_server=True)
    assert server is not None
    await server.startup()
    await server.start_serving()
    try:
        yield
    finally:
        server.close()
        with suppress(AttributeError):
            for connection in list(server.connections):
                connection.close()
        await server.wait_closed()


@pytest.fixture
async def served(
    sqlite_templates: SqliteTemplates, rasa: LoopbackRasa, tmp_path: Path
) -> AsyncIterator[Served]:
    """A gateway on a fresh SQLite file, as `bot.app` builds it."""
    database = sqlite_templates.fresh()
    public, sends = listener(), listener()
    url = f"http://127.0.0.1:{public.getsockname()[1]}"
    settings = Settings(
        database_url=database, redis_url="", assistant_urls=(rasa.url,), assistant_secret=RASA_SECRET,
        poll_seconds=0.1,
    )  # fmt: skip
    channel = Loopback(f"http://127.0.0.1:{sends.getsockname()[1]}", SECRET)
    with (
        mock.patch.object(bot.core, "content_from_files", read_content),
        mock.patch.object(bot.core.Screen, "load", read_screen),
    ):
        gateway = build(settings, [channel])
    server = platform.LoopbackServer([url], SECRET, tmp_path / "platform.jsonl")
    app = platform.build(server, f"platform-{secrets.token_hex(4)}")
    async with (
        listening(app, sends),
        listening(gateway.public, public),
        httpx.AsyncClient(trust_env=False, timeout=60) as http,
    ):
        await gateway.core.start()
        yield Served(gateway, server, rasa, url, http)
        await server.close()
        await end_other_tasks(REQUEST)
        await gateway.core.stop(5)
        await channel.close()
    sqlite_templates.drop(database)
