"""The rows of every table as lines of text, the same from SQLite and PostgreSQL, and back.

One line is a JSON list of one row's values in the order of `columns`. Tables come in the order in
which they depend on each other. Whatever is in a JSON column stays the text that it was.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import (
    JSON,
    Column,
    MetaData,
    Table,
    Text,
    cast,
    func,
    insert,
    inspect,
    literal,
    select,
    text,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeDecorator

from bot.store import Store
from bot.store import migrate as migrations
from bot.store.record import is_sqlite
from bot.store.tables import Base, UtcDateTime

PAGE = 500
PART_BYTES = 1_000_000


def tables() -> list[Table]:
    """All tables, those that others point at first."""
    return list(Base.metadata.sorted_tables)


def columns(table: Table) -> list[str]:
    """The names of the columns, in the order of a line."""
    return [column.name for column in table.columns]


async def revision(connection: AsyncConnection) -> str | None:
    """Which migration the database stands at; None before the first.

    Raises:
        DBAPIError: there is no such table.
    """
    found = await connection.execute(text("SELECT version_num FROM alembic_version"))
    value = found.scalar_one_or_none()
    return None if value is None else str(value)


async def is_up_to_date(store: Store) -> bool:
    """Whether the database has the tables of this version."""
    async with store.read() as connection:
        there = await connection.run_sync(lambda sync: inspect(sync).has_table("alembic_version"))
        return there and await revision(connection) == newest_revision()


def newest_revision() -> str | None:
    """The newest migration of this version."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent / "migrations"))
    return ScriptDirectory.from_config(config).get_current_head()


async def dump(connection: AsyncConnection, table: Table) -> AsyncIterator[bytes]:
    """All rows as parts of about a megabyte, whole lines each; read a page at a time, by key."""
    keys = list(table.primary_key.columns)
    places = [columns(table).index(key.name) for key in keys]
    chosen = [_read(column) for column in table.columns]
    last: Sequence[Any] | None = None
    part = bytearray()
    while True:
        query = select(*chosen).order_by(*keys).limit(PAGE)
        if last is not None:
            after = [literal(value, key.type) for key, value in zip(keys, last, strict=True)]
            query = query.where(tuple_(*keys) > tuple_(*after))
        rows = (await connection.execute(query)).all()
        for row in rows:
            values = [value.isoformat() if isinstance(value, datetime) else value for value in row]
            part += json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
            if len(part) >= PART_BYTES:
                yield bytes(part)
                part.clear()
        if len(rows) < PAGE:
            break
        last = [rows[-1][place] for place in places]
    if part:
        yield bytes(part)


def _read(column: Column[Any]) -> Any:
    return cast(column, Text).label(column.name) if isinstance(column.type, JSON) else column


class Loader:
    """Puts lines back into one table."""

    def __init__(self, connection: AsyncConnection, table: Table) -> None:
        self._connection = connection
        self._names = columns(table)
        self._times = {column.name for column in table.columns if isinstance(column.type, UtcDateTime)}
        self._table = _plain(table, is_sqlite(connection))

    async def load(self, part: bytes, change: Mapping[str, Any]) -> int:
        """Insert the rows of one part, with the values of `change` in place of theirs.

        Returns how many there were.
        """
        count = 0
        page: list[dict[str, Any]] = []
        for row in self._rows(part):
            page.append({**row, **change})
            if len(page) == PAGE:
                await self._connection.execute(insert(self._table), page)
                count += len(page)
                page = []
        if page:
            await self._connection.execute(insert(self._table), page)
        return count + len(page)

    def _rows(self, part: bytes) -> Iterator[dict[str, Any]]:
        for line in part.splitlines():
            row = dict(zip(self._names, json.loads(line), strict=True))
            for name in self._times:
                if row[name] is not None:
                    row[name] = datetime.fromisoformat(row[name])
            yield row


class _JsonText(TypeDecorator[str]):
    """Text that PostgreSQL takes into a JSON column."""

    impl = Text
    cache_ok = True

    def bind_expression(self, bindvalue: Any) -> Any:
        """Say that it is JSON."""
        return cast(bindvalue, JSON)


def _plain(table: Table, sqlite: bool) -> Table:
    """The same table without defaults, its JSON columns taken as text."""
    return Table(
        table.name,
        MetaData(),
        *(
            Column(column.name, _plain_type(column, sqlite), primary_key=column.primary_key)
            for column in table.columns
        ),
    )


def _plain_type(column: Column[Any], sqlite: bool) -> Any:
    if not isinstance(column.type, JSON):
        return column.type
    # SQLite keeps JSON as text, and would make a number of it in a CAST.
    return Text() if sqlite else _JsonText()


async def counts(connection: AsyncConnection) -> dict[str, int]:
    """How many rows each table holds."""
    found = {}
    for table in tables():
        found[table.name] = (await connection.execute(select(func.count()).select_from(table))).scalar_one()
    return found


async def empty_all(connection: AsyncConnection) -> None:
    """Remove every row of every table."""
    if is_sqlite(connection):
        for table in reversed(tables()):
            await connection.execute(table.delete())
    else:
        names = ", ".join(f'"{table.name}"' for table in tables())
        await connection.execute(text(f"TRUNCATE {names}"))


async def set_sequences(connection: AsyncConnection, gap: int) -> None:
    """Let the next numbers begin `gap` above the highest, on PostgreSQL."""
    if is_sqlite(connection):
        return
    for table in tables():
        key = list(table.primary_key.columns)
        if len(key) != 1 or key[0].name != "id":
            continue
        sequence = (
            await connection.execute(select(func.pg_get_serial_sequence(table.name, "id")))
        ).scalar_one_or_none()
        if sequence is not None:
            highest = (await connection.execute(select(func.max(key[0])))).scalar_one_or_none()
            await connection.execute(select(func.setval(sequence, (highest or 0) + gap)))
