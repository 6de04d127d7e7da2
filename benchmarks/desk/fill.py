"""Puts a made-up record into an empty database: COPY on PostgreSQL, many rows a statement on SQLite."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import JSON, insert

from benchmarks.desk.rows import Maker, Rows, Size, staff_rows
from bot.app import prepare
from bot.assistant import content_from_files
from bot.settings import load_settings
from bot.store import Store
from bot.store.record import now, table
from bot.store.tables import Base, Message, Note, Outbox, Person

_WORDS = (
    (Message, 0, "text", "received_at", "conversation_id"),
    (Outbox, 1, "text", "created_at", "conversation_id"),
    (Note, 2, "text", "created_at", "conversation_id"),
    (Person, 3, "name", "created_at", "NULL"),
)
"""What the index of "Find anything" holds (`bot/store/migrations/found.py`)."""


async def fill(database_url: str, size: Size, say: Callable[[str], None] = print) -> None:
    """Bring an empty database to the tables of now, and fill it."""
    started = time.monotonic()
    settings = load_settings(database_url=database_url)
    store = Store(database_url)
    try:
        await prepare(store, content_from_files(settings.force, settings.data))
        maker = Maker(size, now())
        if store.is_sqlite:
            await _fill_sqlite(store, maker, size)
        else:
            await _fill_postgresql(database_url.replace("+asyncpg", ""), maker, size)
    finally:
        await store.close()
    say(f"filled with {size.open:,} open and {size.closed:,} closed in {time.monotonic() - started:.0f} s")


async def _fill_sqlite(store: Store, maker: Maker, size: Size) -> None:
    async with store.write() as connection:
        for rows in (staff_rows(size, now()), *maker.batches()):
            for of, values in rows.items():
                await connection.execute(insert(table(of)), values)
        await connection.exec_driver_sql("ANALYZE")


async def _fill_postgresql(url: str, maker: Maker, size: Size) -> None:
    connection = await asyncpg.connect(url)
    try:
        # Without triggers and checks of foreign keys: the index of words is made in one go below.
        await connection.execute("SET session_replication_role = replica")
        await connection.execute("SET synchronous_commit = off")
        await connection.execute("SET maintenance_work_mem = '256MB'")
        await connection.execute("DELETE FROM found_fill")
        filled: set[type[Base]] = set()
        await _copy(connection, staff_rows(size, now()), filled)
        for rows in maker.batches():
            await _copy(connection, rows, filled)
        await _index_words(connection)
        for of in filled:
            if "id" in table(of).columns and table(of).name != "staff_session":
                name = table(of).name
                await connection.execute(
                    f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), (SELECT max(id) FROM {name}))"  # noqa: S608  our own tables
                )
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


async def _copy(connection: Any, rows: Rows, filled: set[type[Base]]) -> None:
    for of, values in rows.items():
        names = list(values[0])
        as_json = [place for place, name in enumerate(names) if isinstance(table(of).c[name].type, JSON)]
        records = [_record(one, as_json) for one in values]
        await connection.copy_records_to_table(table(of).name, records=records, columns=names)
        filled.add(of)


def _record(row: dict[str, Any], as_json: Sequence[int]) -> tuple[Any, ...]:
    found = list(row.values())
    for place in as_json:
        if found[place] is not None:
            found[place] = json.dumps(found[place])
    return tuple(found)


async def _index_words(connection: Any) -> None:
    slow = await connection.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'found' AND indexdef LIKE '%gin%'"
    )
    for one in slow:
        await connection.execute(f"DROP INDEX {one['indexname']}")
    for of, number, words, at, conversation in _WORDS:
        await connection.execute(
            f"INSERT INTO found (id, conversation_id, at, words) "  # noqa: S608  our own tables and columns
            f"SELECT id * 4 + {number}, {conversation}, {at}, found_lexemes({words}) "
            f"FROM {table(of).name} WHERE {words} <> ''"
        )
    for one in slow:
        await connection.execute(one["indexdef"])


def wanted(number: int) -> list[str]:
    """What moderators look for in such a record: common words, rare ones and names, in turn."""
    texts = Maker(Size(1, 1, 1), now()).texts
    kinds = ("common", "rare", "name", "rare")
    return [texts.wanted(kinds[place % len(kinds)]) for place in range(number)]
