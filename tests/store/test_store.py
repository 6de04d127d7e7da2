"""The database: its tables, its transactions, its times, its events; and what it is like when away."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import inspect, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, StatementError

from bot.errors import SettingError, StoreUnavailableError
from bot.messages import Actor, Button
from bot.store import Store, migrations
from bot.store.migrate import alembic_config, differences, migrate
from bot.store.record import (
    add_audit,
    add_due,
    add_event,
    add_outbox,
    drop_due,
    events_after,
    latest_cursor,
    now,
)
from bot.store.tables import Audit, Base, Conversation, Due, Event, Outbox, Person, Team
from tests.support.databases import all_visible

pytestmark = pytest.mark.integration


@pytest.fixture
async def empty_store(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> AsyncIterator[Store]:
    """A store on a database without any table."""
    if kind == "sqlite":
        store = Store(f"sqlite+aiosqlite:///{tmp_path / 'new' / 'empty.db'}")
        yield store
        await store.close()
        return
    templates = request.getfixturevalue("postgres_templates")
    url = templates.fresh(empty=True)
    store = Store(url)
    yield store
    await store.close()
    templates.drop(url)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_migrations_make_exactly_the_tables_up_and_down(empty_store: Store) -> None:
    await migrate(empty_store)
    assert await differences(empty_store) == []
    async with empty_store.write() as connection:
        await connection.run_sync(lambda sync: command.downgrade(alembic_config(sync), "base"))
        names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    assert set(names) <= {"alembic_version"}
    await migrate(empty_store)
    await migrate(empty_store)
    assert await differences(empty_store) == []


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_many_gateways_migrate_at_once(empty_store: Store) -> None:
    others = [Store(empty_store.url.render_as_string(hide_password=False)) for _ in range(3)]
    try:
        await asyncio.gather(*(migrate(store) for store in (empty_store, *others)))
        assert await differences(empty_store) == []
    finally:
        for store in others:
            await store.close()


async def test_differences_can_be_found(store: Store) -> None:
    async with store.write() as connection:
        await connection.execute(text("ALTER TABLE note ADD COLUMN forgotten TEXT"))
    assert len(await differences(store)) == 1


# ---- transactions ------------------------------------------------------------------------------


async def test_a_write_that_breaks_keeps_nothing(store: Store) -> None:
    async def half() -> None:
        async with store.write() as connection:
            await add_audit(connection, Actor("x"), "half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await half()
    async with store.read() as connection:
        assert (await connection.execute(select(Audit.id).where(Audit.action == "half"))).first() is None


async def test_sqlite_writers_take_their_lock_first(sqlite_templates: Any) -> None:
    """With a plain BEGIN, two that read and then write lock each other out."""
    url = sqlite_templates.fresh()
    first, second = Store(url), Store(url)
    try:

        async def count_up(store: Store) -> None:
            for _ in range(10):
                async with store.write() as connection:
                    value = (await connection.execute(text("PRAGMA user_version"))).scalar_one()
                    await asyncio.sleep(0)
                    await connection.execute(text(f"PRAGMA user_version = {int(value) + 1}"))

        await asyncio.gather(*(count_up(store) for store in (first, second, first)))
        async with first.read() as connection:
            assert (await connection.execute(text("PRAGMA user_version"))).scalar_one() == 30
            assert (await connection.execute(text("PRAGMA journal_mode"))).scalar_one() == "wal"
            assert (await connection.execute(text("PRAGMA foreign_keys"))).scalar_one() == 1
            assert (await connection.execute(text("PRAGMA synchronous"))).scalar_one() == 2
    finally:
        await first.close()
        await second.close()


async def test_a_reader_is_not_held_up_by_a_writer(store: Store) -> None:
    async with store.write() as writing:
        await add_audit(writing, Actor("x"), "unseen")
        async with store.read() as reading:
            found = await reading.execute(select(Audit.id).where(Audit.action == "unseen"))
            assert found.first() is None


async def test_the_tables_refuse_what_must_not_be(store: Store) -> None:
    conversation = await a_conversation(store)
    for broken in (
        {"id": 900, "state": "waiting", "reference": "FC-OTHER", "person_id": conversation.person_id},
        {
            "id": 901,
            "state": "closed",
            "reference": conversation.reference,
            "person_id": conversation.person_id,
        },
        {"id": 902, "state": "closed", "reference": "FC-THIRD", "person_id": 12345},
    ):
        with pytest.raises(IntegrityError):
            async with store.write() as connection:
                await connection.execute(
                    Conversation.__table__.insert().values(  # type: ignore[attr-defined]
                        channel="test", epoch=0, opened_at=now(), last_inbound_at=now(), **broken
                    )
                )


async def a_conversation(store: Store, person: str = "ann") -> Any:
    """One conversation, made directly."""
    async with store.write() as connection:
        person_id = (
            await connection.execute(
                Person.__table__.insert()  # type: ignore[attr-defined]
                .values(channel="test", platform_id=person, created_at=now(), blocked=False)
                .returning(Person.id)
            )
        ).scalar_one()
        return (
            await connection.execute(
                Conversation.__table__.insert()  # type: ignore[attr-defined]
                .values(
                    reference=f"FC-{person}", person_id=person_id, channel="test", state="bot",
                    opened_at=now(), last_inbound_at=now(),
                )
                .returning(*Conversation.__table__.columns)
            )
        ).one()  # fmt: skip


async def test_times_are_utc_wherever_they_came_from(store: Store) -> None:
    row = await a_conversation(store)
    assert row.opened_at.tzinfo is not None
    there = datetime(2026, 7, 1, 12, 30, 15, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    async with store.write() as connection:
        await connection.execute(update(Conversation).values(closed_at=there))
    async with store.read() as connection:
        kept = (await connection.execute(select(Conversation.closed_at))).scalar_one()
        found = await connection.execute(select(Conversation.id).where(Conversation.closed_at == there))
        assert found.scalar_one() == row.id
    assert kept == there
    assert kept.utcoffset() == timedelta(0)
    with pytest.raises((StatementError, ValueError)):
        async with store.write() as connection:
            await connection.execute(update(Conversation).values(closed_at=datetime(2026, 7, 1)))  # noqa: DTZ001
    assert now().tzinfo is UTC


# ---- events ------------------------------------------------------------------------------------


async def test_events_come_in_order_and_by_kind(store: Store) -> None:
    row = await a_conversation(store)
    async with store.read() as connection:
        start = await latest_cursor(connection)
    async with store.write() as connection:
        for number in range(5):
            await add_event(connection, row.id if number % 2 else None, f"kind{number % 2}", {"n": number})
    await all_visible(store)
    async with store.read() as connection:
        everything = await events_after(connection, start)
        assert [event.data["n"] for event in everything] == [0, 1, 2, 3, 4]
        mine = await events_after(connection, start, conversation_id=row.id, kinds=["kind1"], limit=1)
        assert [event.data["n"] for event in mine] == [1]
        rest = await events_after(connection, (mine[0].xid, mine[0].id), conversation_id=row.id)
        assert [event.data["n"] for event in rest] == [3]
        last = await latest_cursor(connection)
        assert last == (everything[-1].xid, everything[-1].id)
        assert await events_after(connection, last) == []


async def test_no_event_is_missed_while_a_slow_transaction_is_open(store: Store) -> None:
    """I10 at the store: what commits late stands after whatever a reader has been shown."""
    seen: list[int] = []
    async with store.read() as connection:
        cursor = await latest_cursor(connection)

    async def look() -> None:
        nonlocal cursor
        async with store.read() as connection:
            for event in await events_after(connection, cursor):
                seen.append(event.data["n"])
                cursor = (event.xid, event.id)

    async def quick(number: int) -> None:
        async with store.write() as connection:
            await add_event(connection, None, "quick", {"n": number})

    if store.is_sqlite:
        for number in range(10):
            await quick(number)
            await look()
        assert seen == list(range(10))
        return
    async with store.write() as slow:
        await add_event(slow, None, "slow", {"n": 0})
        for number in range(1, 4):
            await quick(number)
            await look()
        assert seen == [], "nothing may be shown past a transaction that still runs"
        async with store.write() as other:
            await add_event(other, None, "slow", {"n": 4})
        await look()
    await quick(5)
    await all_visible(store)
    await look()
    assert sorted(seen) == [0, 1, 2, 3, 4, 5]
    assert len(seen) == 6


async def test_a_reader_under_load_misses_nothing(store: Store) -> None:
    async with store.read() as connection:
        cursor = await latest_cursor(connection)
    seen: list[int] = []
    writers = 12
    done = 0

    async def write(number: int) -> None:
        nonlocal done
        for part in range(5):
            async with store.write() as connection:
                await add_event(connection, None, "load", {"n": number * 5 + part})
                await asyncio.sleep(0)
        done += 1

    async def read() -> None:
        nonlocal cursor
        while True:
            last = done == writers
            async with store.read() as connection:
                for event in await events_after(connection, cursor, limit=7):
                    seen.append(event.data["n"])
                    cursor = (event.xid, event.id)
            if last and len(seen) >= writers * 5:
                return
            await asyncio.sleep(0)

    async with asyncio.timeout(60):
        await asyncio.gather(read(), *(write(number) for number in range(writers)))
    assert sorted(seen) == list(range(writers * 5))


# ---- small writes ------------------------------------------------------------------------------


async def test_a_clock_with_a_key_is_moved_and_not_doubled(store: Store) -> None:
    async with store.write() as connection:
        await add_due(connection, "ask", timedelta(seconds=5), key="one", data={"a": 1})
        await add_due(connection, "ask", timedelta(seconds=50), key="one", data={"a": 2})
        await add_due(connection, "echo", timedelta(0))
        await add_due(connection, "echo", timedelta(0))
    async with store.write() as connection:
        rows = (await connection.execute(select(Due).order_by(Due.id))).all()
        assert [(row.kind, row.data) for row in rows] == [("ask", {"a": 2}), ("echo", {}), ("echo", {})]
        await drop_due(connection, "one")
        await drop_due(connection, "no such clock")
    async with store.write() as connection:
        assert (await connection.execute(select(Due.done_at).where(Due.key == "one"))).scalar_one()
        await add_due(connection, "ask", timedelta(seconds=5), key="one")
    async with store.read() as connection:
        row = (await connection.execute(select(Due).where(Due.key == "one"))).one()
        assert (row.done_at, row.attempts, row.holder) == (None, 0, None)


async def test_an_outbox_row_keeps_titles_and_payloads(store: Store) -> None:
    row = await a_conversation(store)
    async with store.write() as connection:
        outbox_id = await add_outbox(
            connection, row, "assistant", "Hello", epoch=3, buttons=[Button("Yes", "/yes", "token")]
        )
    async with store.read() as connection:
        kept = (await connection.execute(select(Outbox.__table__))).one()
        event = (await connection.execute(select(Event.__table__))).one()
    assert kept.id == outbox_id
    assert kept.buttons == [{"title": "Yes", "payload": "/yes"}]
    assert (kept.state, kept.epoch, kept.attempts) == ("queued", 3, 0)
    assert event.data == {"outbox": outbox_id}


async def test_the_seed_holds_the_teams(store: Store) -> None:
    async with store.read() as connection:
        teams = {row.key: row.restricted for row in await connection.execute(select(Team.__table__))}
    assert teams["professional_standards"] is True
    assert teams["digital_desk"] is False
    assert set(Base.metadata.tables) >= {"conversation", "message", "outbox"}


# ---- away --------------------------------------------------------------------------------------


async def refuses(store: Store) -> None:
    """Each door says the same."""
    assert await store.ping() is False
    with pytest.raises(StoreUnavailableError):
        async with store.write() as connection:
            await connection.execute(text("SELECT 1"))


async def test_nobody_listens() -> None:
    store = Store("postgresql+asyncpg://nobody@127.0.0.1:6449/none")
    await refuses(store)
    await store.close()


@pytest.mark.parametrize("code", ["57P03", "53300", "3D000", "08006", "28000"])
async def test_postgresql_refuses_to_let_us_in(code: str) -> None:
    """As it does while it starts or stops (57P03), when it is full (53300), and so on."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fields = b"SFATAL\0VFATAL\0C" + code.encode() + b"\0Mnot now\0\0"
        for _ in range(2):
            head = await reader.read(1024)
            if len(head) == 8:  # a request for TLS: no
                writer.write(b"N")
                continue
            writer.write(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)
            break
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    store = Store(f"postgresql+asyncpg://nobody@127.0.0.1:{port}/none")
    await refuses(store)
    await store.close()
    server.close()
    await server.wait_closed()


async def test_postgresql_that_only_reads(postgres_templates: Any) -> None:
    url = postgres_templates.fresh()
    store = Store(url)
    async with store.write() as connection:
        await connection.execute(
            text(f'ALTER DATABASE "{store.url.database}" SET default_transaction_read_only = on')
        )
    await store.close()
    assert await store.ping() is True
    with pytest.raises(StoreUnavailableError):
        async with store.write() as connection:
            await add_audit(connection, Actor("x"), "never")
    await store.close()
    postgres_templates.drop(url)


async def test_postgresql_that_throws_us_out_and_is_back(postgres_templates: Any) -> None:
    url = postgres_templates.fresh()
    store = Store(url)

    async def thrown_out() -> None:
        async with store.write() as connection:
            await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
            await connection.execute(text("SELECT 1"))

    with pytest.raises(StoreUnavailableError):
        await thrown_out()
    assert await store.ping() is True
    await store.close()
    postgres_templates.drop(url)


async def test_a_sqlite_file_that_somebody_else_holds(sqlite_templates: Any) -> None:
    url = sqlite_templates.fresh()
    first, second = Store(url), Store(url)
    async with second.read() as connection:
        await connection.execute(text("PRAGMA busy_timeout = 50"))
    async with first.write() as connection:
        await add_audit(connection, Actor("x"), "long work")
        with pytest.raises(StoreUnavailableError):
            async with second.write() as other:
                await add_audit(other, Actor("x"), "never")
    async with second.write() as other:
        await add_audit(other, Actor("x"), "later")
    await first.close()
    await second.close()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"database": "there_is_none"}, "no database of the name"),
        ({"username": "nobody_of_this_name"}, "refuses the user or the password"),
        ({"host": "no-machine.invalid"}, "a machine that cannot be found"),
        ({"port": 9}, "does not answer"),
    ],
    ids=["database", "username", "host", "port"],
)
async def test_what_is_wrong_with_the_address_is_said(
    postgres_templates: Any, changed: dict[str, Any], said: str
) -> None:
    """An operator who sets the service up reads what to mend, and the password stands nowhere."""
    url = postgres_templates.fresh(empty=True)
    wrong = make_url(url).set(**changed).render_as_string(hide_password=False)
    store = Store(wrong)
    with pytest.raises(StoreUnavailableError, match=said) as refused:
        async with store.read() as connection:
            await connection.execute(text("SELECT 1"))
    assert "FRONTCOUNTER_DATABASE_URL" in str(refused.value)
    await store.close()
    postgres_templates.drop(url)


@pytest.mark.parametrize("url", ["postgresql+asyncpg://u:p@127.0.0.1:many/name", "no address at all"])
def test_an_address_that_cannot_be_read_names_its_setting(url: str) -> None:
    with pytest.raises(SettingError, match="FRONTCOUNTER_DATABASE_URL cannot be read"):
        Store(url)


async def test_a_sqlite_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "broken.db"
    path.write_bytes(b"not a database at all " * 100)
    store = Store(f"sqlite+aiosqlite:///{path}")
    await refuses(store)
    await store.close()


async def test_a_sqlite_file_that_only_reads(sqlite_templates: Any) -> None:
    store = Store(sqlite_templates.fresh())
    async with store.read() as connection:
        await connection.execute(text("PRAGMA query_only = 1"))
    with pytest.raises(StoreUnavailableError):
        async with store.write() as connection:
            await add_audit(connection, Actor("x"), "never")
    await store.close()


async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SettingError, match="FRONTCOUNTER_DATABASE_URL"):
        Store(f"sqlite+aiosqlite:///{tmp_path / 'file' / 'x.db'}")


def _changed_tables(source: str) -> set[str]:
    """The tables that a migration's `upgrade` changes, without those that it makes itself."""
    upgrade = next(
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name == "upgrade"
    )
    made: set[str] = set()
    changed: set[str] = set()
    for call in ast.walk(upgrade):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
            continue
        names = [part.value for part in call.args if isinstance(part, ast.Constant)]
        if call.func.attr == "create_table":
            made.add(str(names[0]))
        elif call.func.attr == "batch_alter_table" or (
            # Those of a batch name no table: it was named when the batch began.
            call.func.attr in ("add_column", "alter_column", "drop_column")
            and ast.unparse(call.func.value) == "op"
        ):
            changed.add(str(names[0]))
        elif call.func.attr == "create_index" and ast.unparse(call.func.value) == "op":
            changed.add(str(names[1]))
    return changed - made


def test_a_migration_changes_one_table_in_use() -> None:
    """docs/decisions/0008: of several, one would always be held by somebody who wants another."""
    versions = Path(migrations.__file__).parent / "versions"
    sources = {file.name: file.read_text("utf-8") for file in versions.glob("0*.py")}
    assert len(_changed_tables(sources["0002_fit_to_run.py"])) > 1, "the count does not see them"
    of_later = {name: _changed_tables(source) for name, source in sources.items() if name >= "0003"}
    assert of_later
    assert {name: tables for name, tables in of_later.items() if len(tables) > 1} == {}
