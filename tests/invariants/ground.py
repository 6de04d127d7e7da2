"""One database for many games, made as new before each.

A database, and an engine with it, for each game would cost more than the game: SQLAlchemy compiles each
statement anew for each engine.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from sqlalchemy import String, func, select
from sqlalchemy.engine import make_url

import bot.core
from bot.store import Store
from bot.store.tables import Base


class Ground:
    """A database, its store and the loop that they live in."""

    def __init__(self, templates: Any) -> None:
        self._templates = templates
        self.url: str = templates.fresh()
        self._source = templates.fresh() if self.url.startswith("sqlite") else ""
        self.runner = asyncio.Runner()
        self.store = self.runner.run(self._open())
        self._as_new = "" if self._source else self.runner.run(self._statement())

    async def _open(self) -> Store:
        return Store(self.url)

    @contextmanager
    def played_on(self) -> Iterator[None]:
        """Make it as new; the gateways of this game use its store, and do not close it."""
        if self._source:
            with closing(sqlite3.connect(_path(self._source))) as source:
                with closing(sqlite3.connect(_path(self.url))) as target:
                    source.backup(target)
        else:
            self.runner.run(self._take_away())
        with (
            mock.patch.object(bot.core, "Store", return_value=self.store),
            mock.patch.object(self.store, "close", _stays_open),
        ):
            yield
        self.runner.run(_end_tasks())

    async def _statement(self) -> str:
        """One statement that takes away what a game wrote, and begins to count from where it began."""
        lines = ["DELETE FROM found;"]
        async with self.store.read() as connection:
            for table in reversed(Base.metadata.sorted_tables):
                name = table.name
                if "id" not in table.c or not table.c.id.primary_key or isinstance(table.c.id.type, String):
                    rows = await connection.execute(select(func.count()).select_from(table))
                    # What is there from the start no game changes.
                    lines += [] if rows.scalar_one() else [f'DELETE FROM "{name}";']  # noqa: S608
                    continue
                most = (await connection.execute(select(func.max(table.c.id)))).scalar_one() or 0
                lines.append(f'DELETE FROM "{name}" WHERE id > {most};')  # noqa: S608
                sequence = f"pg_get_serial_sequence('{name}', 'id')"
                lines.append(f"PERFORM setval({sequence}, {max(most, 1)}, {'true' if most else 'false'});")
        return "DO $$ BEGIN " + " ".join(lines) + " END $$"

    async def _take_away(self) -> None:
        async with self.store.write() as connection:
            await connection.exec_driver_sql(self._as_new)

    def close(self) -> None:
        """Remove it."""
        self.runner.run(self.store.close())
        self.runner.close()
        for url in filter(None, (self.url, self._source)):
            self._templates.drop(url)


def _path(url: str) -> Path:
    return Path(str(make_url(url).database))


async def _stays_open() -> None:
    """Closing is for the last game."""


async def _end_tasks() -> None:
    """Nothing of one game runs on into the next."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
