"""One door to the database: transactions that behave alike on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from bot.errors import SettingError, StoreUnavailableError

BUSY_SECONDS = 5.0
BUSY_PAUSE_SECONDS = 0.002


class Store:
    """Opens transactions. `write()` is exclusive on SQLite (BEGIN IMMEDIATE, one at a time).

    A transaction of a few statements that go by an index can be `quick`: on SQLite its statements
    then run where they are called, not in a thread of the driver (docs/decisions/0006). Whatever
    may read or write many rows must not be: all else would wait for it.

    Every failure to reach the database is a `StoreUnavailableError`, whatever the driver calls it.
    """

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        try:
            self.url = make_url(url)
        except (ArgumentError, ValueError) as error:
            raise SettingError(f"FRONTCOUNTER_DATABASE_URL cannot be read. {_ODD_LETTERS}") from error
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._turnstile = asyncio.Lock()
        self._inline: Engine | None = None
        self._group: _Group | None = None
        self._committer: ThreadPoolExecutor | None = None
        self.engine = self._sqlite() if self.is_sqlite else self._postgresql(pool_size)

    def _sqlite(self) -> AsyncEngine:
        if self.url.database and self.url.database != ":memory:":
            try:
                Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SettingError(
                    f"FRONTCOUNTER_DATABASE_URL: cannot make {self.url.database}: {error.strerror}."
                ) from error
        engine = create_async_engine(
            self.url,
            # An error of the driver must not carry what people wrote into a log.
            hide_parameters=True,
            connect_args={"timeout": BUSY_SECONDS, "isolation_level": None},
        )

        event.listen(engine.sync_engine, "connect", _set_up(BUSY_SECONDS))
        if self.url.database and self.url.database != ":memory:":
            self._inline = create_engine(
                self.url.set(drivername="sqlite"),
                hide_parameters=True,
                poolclass=QueuePool,
                # One writes, the others look; none waits for another, so there is never a queue.
                pool_size=4,
                max_overflow=-1,
                pool_reset_on_return=None,
                connect_args={"isolation_level": None, "check_same_thread": False},
            )
            event.listen(self._inline, "connect", _set_up(0.0))
            self._committer = ThreadPoolExecutor(1, thread_name_prefix="commit")

        @event.listens_for(engine.sync_engine, "begin")
        def _begin(connection: Any) -> None:
            # The driver's own BEGIN is off (isolation_level None): a write must take its lock
            # first, or two readers that turn writers lock each other out.
            writing = connection.get_execution_options().get("writing", False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

        return engine

    def _postgresql(self, pool_size: int) -> AsyncEngine:
        return create_async_engine(
            self.url,
            hide_parameters=True,
            # All of them stay: what is opened for a crowd and closed behind it costs more than the crowd asks for.
            pool_size=2 * pool_size,
            max_overflow=0,
            pool_timeout=BUSY_SECONDS,
            pool_pre_ping=True,
            connect_args={"timeout": BUSY_SECONDS, "command_timeout": 30},
        )

    @asynccontextmanager
    async def write(self, *, quick: bool = False) -> AsyncIterator[AsyncConnection]:
        """A transaction that changes something; on the disk when the block has ended well.

        Raises:
            StoreUnavailableError: the database cannot be reached; nothing was kept, unless the
                connection broke during the commit itself.
        """
        if not self.is_sqlite:
            async with self._transaction(writing=True) as connection:
                yield connection
        elif quick and self._inline is not None:
            with self._failures():
                async with self._turnstile:
                    group = self._group or await self._new_group(self._inline)
                    with group.unit():
                        yield _InlineConnection(self.engine, group.connection)
                await group.committed()
        else:
            # Fair turns within this process: SQLite's own busy handler sleeps and starves.
            async with self._turnstile:
                if self._group is not None:
                    await self._end(self._group)
                async with self._transaction(writing=True) as connection:
                    yield connection

    @asynccontextmanager
    async def read(self, *, quick: bool = False) -> AsyncIterator[AsyncConnection]:
        """A transaction that only looks.

        Raises:
            StoreUnavailableError: the database cannot be reached.
        """
        if quick and self._inline is not None:
            with self._failures(), self._inline.connect() as connection:
                await _begin(connection, "BEGIN")
                with connection.begin():
                    yield _InlineConnection(self.engine, connection)
        else:
            async with self._transaction(writing=False) as connection:
                yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees one moment throughout, however long it reads; blocks no writer.

        Raises:
            StoreUnavailableError: the database cannot be reached.
        """
        # On SQLite (WAL) every reading transaction is one already.
        options = (
            {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        )
        async with self._transaction(writing=False, **options) as connection:
            yield connection

    async def _new_group(self, engine: Engine) -> _Group:
        """Begin a group of quick transactions; the caller holds the turnstile."""
        connection = engine.connect()
        try:
            await _begin(connection, "BEGIN IMMEDIATE")
        except BaseException:
            connection.close()
            raise
        group = self._group = _Group(connection)
        # It stands in line behind all who wait already: they come into this group.
        group.ending = asyncio.create_task(self._end_in_turn(group), name="commit")
        return group

    async def _end_in_turn(self, group: _Group) -> None:
        async with self._turnstile:
            if self._group is group:
                await self._end(group)

    async def _end(self, group: _Group) -> None:
        """Commit a group; the caller holds the turnstile, and goes on holding it until this is over."""
        loop = asyncio.get_running_loop()
        # Commit is the one statement that waits for the disk: it must not hold up everything else.
        try:
            await _whole(loop.run_in_executor(self._committer, group.commit))
        finally:
            self._group = None
            group.close()

    @asynccontextmanager
    async def _transaction(self, *, writing: bool, **options: Any) -> AsyncIterator[AsyncConnection]:
        with self._failures(is_reading=not writing):
            async with self.engine.connect() as connection:
                await connection.execution_options(writing=writing, **options)
                async with connection.begin():
                    yield connection

    @contextmanager
    def _failures(self, *, is_reading: bool = False) -> Iterator[None]:
        try:
            yield
        except (IntegrityError, ProgrammingError, DataError):
            raise
        except sqlite3.Error as error:
            raise StoreUnavailableError(_why(error)) from error
        except (OperationalError, InterfaceError, PoolTimeoutError, OSError, EOFError) as error:
            raise StoreUnavailableError(_why(error)) from error
        except DBAPIError as error:
            # Who only looks can meet a deadlock with nobody but a migration, and just looks again.
            is_in_the_way = is_reading and getattr(error.orig, "sqlstate", "") == "40P01"
            if error.connection_invalidated or self.is_sqlite or is_in_the_way or _is_away(error.orig):
                raise StoreUnavailableError(_why(error)) from error
            raise

    async def ping(self) -> bool:
        """Whether the database answers."""
        try:
            async with self.read() as connection:
                await connection.execute(text("SELECT 1"))
        except StoreUnavailableError:
            return False
        return True

    async def close(self) -> None:
        """Give all connections back; what is being written ends first."""
        async with self._turnstile:
            if self._group is not None:
                await self._end(self._group)
        await self.engine.dispose()
        if self._inline is not None:
            self._inline.dispose()
        if self._committer is not None:
            self._committer.shutdown(wait=False)


class _Group:
    """Quick transactions that share one commit: each a savepoint of one transaction of SQLite.

    An error takes back its own savepoint alone. No caller hears that it is done before the commit
    is on the disk, and a commit that fails, fails for all of them.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.ending: asyncio.Task[None] | None = None
        self._transaction = connection.begin()
        self._driver: Any = connection.connection.driver_connection
        self._done = asyncio.get_running_loop().create_future()
        self._failure: BaseException | None = None
        self._is_kept = False

    @contextmanager
    def unit(self) -> Iterator[None]:
        """One of the transactions."""
        if self._failure is not None:
            raise StoreUnavailableError("the database cannot keep it") from self._failure
        self._driver.execute("SAVEPOINT unit")
        try:
            yield
        except BaseException:
            try:
                self._driver.execute("ROLLBACK TO unit")
                self._driver.execute("RELEASE unit")
            except sqlite3.Error as error:
                # SQLite has taken everything back by itself, as it does when the disk is full.
                self._failure = error
            raise
        try:
            self._driver.execute("RELEASE unit")
        except sqlite3.Error as error:
            # The same, and nobody inside has noticed: those before it are gone too.
            self._failure = error
            raise

    def commit(self) -> None:
        """Put it on the disk; runs in a thread."""
        try:
            if self._failure is None:
                self._transaction.commit()
                self._is_kept = True
        except Exception as error:
            self._failure = error

    def close(self) -> None:
        """Tell all who wait how it ended."""
        if not self._is_kept:
            with suppress(SQLAlchemyError, sqlite3.Error):
                self._transaction.rollback()
            # Whatever state it is in, and with a transaction that may still be open: nobody gets it again.
            self.connection.invalidate()
        with suppress(SQLAlchemyError, sqlite3.Error):
            self.connection.close()
        self._done.set_result(None)

    async def committed(self) -> None:
        """Return once it is on the disk.

        Raises:
            StoreUnavailableError: it is not, and never will be.
        """
        await asyncio.shield(self._done)
        if not self._is_kept:
            raise StoreUnavailableError("the database could not keep it") from self._failure


class _InlineConnection(AsyncConnection):
    """A connection whose statements run at once, in the thread of the event loop.

    A statement of SQLite that goes by an index takes a few microseconds of work. To hand it to a
    thread and take the answer back costs a tenth of a millisecond, four times over for one SELECT.
    """

    async def execute(
        self,
        statement: Any,
        parameters: Any = None,
        *,
        execution_options: Any = None,
    ) -> Any:
        """Run one statement; the result is complete in memory or read as it is asked for."""
        assert self.sync_connection is not None  # noqa: S101  it is given at the start
        return self.sync_connection.execute(statement, parameters, execution_options=execution_options)


def _set_up(busy_seconds: float) -> Callable[[Any, object], None]:
    """What a new connection of SQLite is told."""

    def connected(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            # An answer of 200 promises that the message survives a crash of the machine too.
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={int(busy_seconds * 1000)}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return connected


async def _begin(connection: Connection, words: str) -> None:
    """Begin a transaction; while another process writes, wait without holding up the loop."""
    driver: Any = connection.connection.driver_connection
    loop = asyncio.get_running_loop()
    until = loop.time() + BUSY_SECONDS
    while True:
        try:
            driver.execute(words)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or loop.time() >= until:
                raise StoreUnavailableError("the database does not answer: it is locked") from error
        else:
            return
        await asyncio.sleep(BUSY_PAUSE_SECONDS)


async def _whole(future: asyncio.Future[None]) -> None:
    """Wait for the end, even when cancelled: the connection is in use until then."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    future.result()
    if cancelled is not None:
        raise cancelled


_ODD_LETTERS = "In its password write %40 for @, %3A for :, %2F for / and %25 for %."


def _why(error: BaseException) -> str:
    """What an operator can do about a database that does not serve; never what stands in the address."""
    cause: BaseException = error
    if isinstance(error, DBAPIError) and error.orig is not None:
        # The dialect wraps what the driver said.
        cause = error.orig.__cause__ or error.orig
    code = str(getattr(cause, "sqlstate", "") or "")
    if code.startswith("28"):
        return "PostgreSQL refuses the user or the password that FRONTCOUNTER_DATABASE_URL gives."
    if code.startswith("3D"):
        return (
            "PostgreSQL has no database of the name in FRONTCOUNTER_DATABASE_URL. Make it, or name another."
        )
    if isinstance(cause, socket.gaierror):
        return f"FRONTCOUNTER_DATABASE_URL names a machine that cannot be found. {_ODD_LETTERS}"
    return f"The database does not answer ({type(cause).__name__}). Start it, or look at FRONTCOUNTER_DATABASE_URL."


def _is_away(error: BaseException | None) -> bool:
    """Whether PostgreSQL cannot take anything just now, by its SQLSTATE (its manual, appendix A).

    08 connection, 25006 read only (a standby after a failover), 28 and 3D it does not let us in, 53
    disk, memory or connections at an end, 57P stopping or starting, 58 the machine under it.
    """
    code = str(getattr(error, "sqlstate", "") or "")
    return code == "25006" or code.startswith(("08", "28", "3D", "53", "57P", "58"))
