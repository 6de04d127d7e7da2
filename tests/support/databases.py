"""Databases for tests: each test gets a fresh one, copied from one that is migrated and seeded."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL, make_url

from bot.assistant import content_from_files
from bot.errors import StoreUnavailableError
from bot.knowledge.releases import seed
from bot.messages import Actor
from bot.settings import ROOT
from bot.store import Store
from bot.store.migrate import migrate

POSTGRES = "FRONTCOUNTER_TEST_POSTGRES_URL"
REDIS = "FRONTCOUNTER_TEST_REDIS_URL"


def missing(reason: str) -> None:
    """Skip, or fail where everything has to be there."""
    if os.environ.get("FRONTCOUNTER_CI") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


_WAYS = ("read", "write", "snapshot")
"""Into a database."""


def break_store(store: Store) -> None:
    """From now on this database does not answer who holds this `store`."""

    @contextlib.asynccontextmanager
    async def gone(**_options: Any) -> Any:
        raise StoreUnavailableError("away for a test")
        yield

    for way in _WAYS:
        setattr(store, way, gone)


def mend_store(store: Store) -> None:
    """It answers again."""
    for way in _WAYS:
        vars(store).pop(way, None)


def apart(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run this in a loop and a thread of its own: a test's own loop may be running here."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(work())).result()


async def prepared(url: str) -> None:
    """Bring a database to the tables of now, and seed it."""
    store = Store(url)
    try:
        await migrate(store)
        content = content_from_files(ROOT / "force" / "northumbria", ROOT / "data")
        await seed(store, content, Actor("seed"))
    finally:
        await store.close()


class SqliteTemplates:
    """A seeded file, copied for each test."""

    def __init__(self, folder: Path) -> None:
        self._template = folder / "template.db"
        apart(lambda: prepared(f"sqlite+aiosqlite:///{self._template}"))
        self._count = 0
        self._folder = folder

    def fresh(self) -> str:
        """The URL of a new copy."""
        self._count += 1
        path = self._folder / f"test-{self._count}.db"
        shutil.copyfile(self._template, path)
        return f"sqlite+aiosqlite:///{path}"

    def drop(self, url: str) -> None:
        """Remove a copy."""
        path = Path(str(make_url(url).database))
        for end in ("", "-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)


class PostgresTemplates:
    """A seeded database, copied for each test by CREATE DATABASE … TEMPLATE."""

    def __init__(self, url: str) -> None:
        self._server = make_url(url).set(drivername="postgresql")
        self._stem = f"fc_{secrets.token_hex(4)}"
        self._template = f"{self._stem}_template"
        self._count = 0
        self._run(lambda c: c.execute(f'CREATE DATABASE "{self._template}"'))
        apart(lambda: prepared(self._url(self._template)))

    def fresh(self, *, empty: bool = False) -> str:
        """The URL of a new copy, or of a database without any table."""
        self._count += 1
        name = f"{self._stem}_{self._count}"
        source = "template1" if empty else self._template
        self._run(lambda c: c.execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}"'))
        return self._url(name)

    def drop(self, url: str) -> None:
        """Remove a copy, whoever is still connected."""
        name = make_url(url).database
        self._run(lambda c: c.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))

    def close(self) -> None:
        """Remove the template."""
        self.drop(self._url(self._template))

    def _url(self, name: str) -> str:
        url: URL = self._server.set(drivername="postgresql+asyncpg", database=name)
        return url.render_as_string(hide_password=False)

    def _run(self, work: Callable[[asyncpg.Connection], Awaitable[object]]) -> None:
        async def inner() -> None:
            connection = await asyncpg.connect(self._server.render_as_string(hide_password=False))
            try:
                await work(connection)
            finally:
                await connection.close()

        apart(inner)


async def all_visible(store: Store) -> None:
    """Return once no transaction runs that was there before: then every event so far is shown.

    PostgreSQL counts transactions of the whole server, so those of tests beside this one too.
    """
    if store.is_sqlite:
        return
    async with store.write() as connection:
        mine = (await connection.execute(text("SELECT pg_current_xact_id()::text::bigint"))).scalar_one()
    async with asyncio.timeout(60):
        while True:
            async with store.read() as connection:
                fence = await connection.execute(
                    text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
                )
                if fence.scalar_one() > mine:
                    return
            await asyncio.sleep(0.02)
