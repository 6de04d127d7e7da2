"""Quick transactions: they share commits on SQLite, and behave as if each had its own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import event, func, select, text

from bot.errors import StoreUnavailableError
from bot.store import Store
from bot.store.record import add_event
from bot.store.tables import Event
from tests.support.databases import SqliteTemplates, all_visible

pytestmark = pytest.mark.integration


async def kinds(store: Store) -> list[str]:
    async with store.read() as connection:
        return list((await connection.execute(select(Event.kind).order_by(Event.id))).scalars())


async def add(store: Store, kind: str, *, quick: bool = True, fail: bool = False) -> None:
    async with store.write(quick=quick) as connection:
        await add_event(connection, None, kind)
        await asyncio.sleep(0)
        if fail:
            raise ValueError(kind)


def commits(store: Store) -> list[object]:
    """Grows by one with each commit of a group."""
    seen: list[object] = []
    assert store._inline is not None
    event.listen(store._inline, "commit", seen.append)
    return seen


async def test_what_is_written_at_once_is_all_kept(store: Store) -> None:
    await asyncio.gather(*(add(store, f"k{number}", quick=number % 5 != 0) for number in range(40)))
    await all_visible(store)
    assert sorted(await kinds(store)) == sorted(f"k{number}" for number in range(40))


async def test_an_error_takes_back_its_own_part_alone(store: Store) -> None:
    results = await asyncio.gather(
        *(add(store, f"k{number}", fail=number % 3 == 0) for number in range(12)), return_exceptions=True
    )
    assert [isinstance(result, ValueError) for result in results] == [n % 3 == 0 for n in range(12)]
    await all_visible(store)
    assert sorted(await kinds(store)) == sorted(f"k{n}" for n in range(12) if n % 3)


async def test_a_statement_that_is_refused_leaves_the_others_alone(store: Store) -> None:
    async def refused() -> None:
        async with store.write(quick=True) as connection:
            await add_event(connection, None, "refused")
            await connection.execute(text("INSERT INTO event (id) VALUES (1)"))

    results = await asyncio.gather(add(store, "a"), refused(), add(store, "b"), return_exceptions=True)
    assert [result is None for result in results] == [True, False, True]
    await all_visible(store)
    assert sorted(await kinds(store)) == ["a", "b"]


async def test_who_is_cancelled_takes_nobody_along(store: Store) -> None:
    started = asyncio.Event()

    async def slow() -> None:
        async with store.write(quick=True) as connection:
            await add_event(connection, None, "slow")
            started.set()
            await asyncio.sleep(60)

    first = asyncio.create_task(slow())
    await started.wait()
    others = [asyncio.create_task(add(store, f"k{number}", quick=number != 2)) for number in range(5)]
    await asyncio.sleep(0)
    others[0].cancel()
    first.cancel()
    results = await asyncio.gather(first, *others, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [True, True] + [False] * 4
    await all_visible(store)
    assert sorted(await kinds(store)) == ["k1", "k2", "k3", "k4"]


async def test_a_reader_sees_no_half_of_a_group(store: Store) -> None:
    inside, leave = asyncio.Event(), asyncio.Event()

    async def held() -> None:
        async with store.write(quick=True) as connection:
            await add_event(connection, None, "held")
            inside.set()
            await leave.wait()

    writing = asyncio.create_task(held())
    await inside.wait()
    for quick in (True, False):
        async with store.read(quick=quick) as connection:
            assert (await connection.execute(select(func.count()).select_from(Event))).scalar_one() == 0
    leave.set()
    await writing
    await all_visible(store)
    assert await kinds(store) == ["held"]


class TestOnSqlite:
    """What only SQLite has: the commit that is shared."""

    @pytest.fixture
    async def lone(self, sqlite_templates: SqliteTemplates) -> AsyncIterator[Store]:
        """A store on SQLite."""
        url = sqlite_templates.fresh()
        store = Store(url)
        yield store
        await store.close()
        sqlite_templates.drop(url)

    async def test_those_who_wait_share_a_commit(self, lone: Store) -> None:
        seen = commits(lone)
        await asyncio.gather(*(add(lone, f"k{number}") for number in range(20)))
        assert len(seen) == 1
        await add(lone, "later")
        assert len(seen) == 2

    async def test_nobody_is_told_of_success_before_the_commit(
        self, lone: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A commit that fails, fails for all: the door answers none of them with 200."""

        def full(_connection: Any) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        assert lone._inline is not None
        with monkeypatch.context() as patch:
            patch.setattr(lone._inline.dialect, "do_commit", full)
            results = await asyncio.gather(
                *(add(lone, f"k{number}") for number in range(5)), return_exceptions=True
            )
        assert all(isinstance(result, StoreUnavailableError) for result in results), results
        assert await kinds(lone) == []
        await add(lone, "after")
        assert await kinds(lone) == ["after"]

    async def test_what_sqlite_takes_back_by_itself_fails_for_all(self, lone: Store) -> None:
        """A full disk can end the whole transaction, not the savepoint alone."""

        async def spoil() -> None:
            async with lone.write(quick=True) as connection:
                await add_event(connection, None, "spoiled")
                await connection.execute(text("ROLLBACK"))
                raise ValueError("the disk is full")

        results = await asyncio.gather(add(lone, "a"), spoil(), add(lone, "b"), return_exceptions=True)
        assert isinstance(results[0], StoreUnavailableError)
        assert isinstance(results[1], ValueError)
        assert isinstance(results[2], StoreUnavailableError)
        assert await kinds(lone) == []
        await add(lone, "after")
        assert await kinds(lone) == ["after"]

    async def test_what_sqlite_takes_back_unnoticed_fails_for_all(self, lone: Store) -> None:
        """Also when whoever met the error did not pass it on: nobody before is told of success."""

        async def spoil() -> None:
            async with lone.write(quick=True) as connection:
                await add_event(connection, None, "spoiled")
                await connection.execute(text("ROLLBACK"))

        results = await asyncio.gather(add(lone, "a"), spoil(), add(lone, "b"), return_exceptions=True)
        assert all(isinstance(result, StoreUnavailableError) for result in results), results
        assert await kinds(lone) == []
        await add(lone, "after")
        assert await kinds(lone) == ["after"]

    async def test_another_process_that_writes_is_waited_for_without_stopping_the_loop(
        self, lone: Store
    ) -> None:
        other = sqlite3.connect(str(lone.url.database), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(add(lone, "mine"))
        for _ in range(20):
            await asyncio.sleep(0.005)
            assert not writing.done()
        other.execute("COMMIT")
        other.close()
        await writing
        assert await kinds(lone) == ["mine"]
