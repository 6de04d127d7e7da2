"""One door to the database: transactions that behave alike on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot.errors import SettingError, StoreUnavailableError

BUSY_SECONDS = 5.0


class Store:
    """Opens transactions. `write()` is exclusive on SQLite (BEGIN IMMEDIATE, one at a time).

    Every failure to reach the database is a `StoreUnavailableError`, whatever the driver calls it.
    """

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._turnstile = asyncio.Lock()
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

        @event.listens_for(engine.sync_engine, "connect")
        def _connected(connection: Any, _record: object) -> None:
            cursor = connection.cursor()
            for pragma in (
                "journal_mode=WAL",
                # An answer of 200 promises that the message survives a crash of the machine too.
                "synchronous=FULL",
                "foreign_keys=ON",
                f"busy_timeout={int(BUSY_SECONDS * 1000)}",
            ):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()

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
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=BUSY_SECONDS,
            pool_pre_ping=True,
            connect_args={"timeout": BUSY_SECONDS, "command_timeout": 30},
        )

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that changes something; committed when the block ends well.

        Raises:
            StoreUnavailableError: the database cannot be reached; nothing was kept, unless the
                connection broke during the commit itself.
        """
        if self.is_sqlite:
            # Fair turns within this process: SQLite's own busy handler sleeps and starves.
            async with self._turnstile, self._transaction(writing=True) as connection:
                yield connection
        else:
            async with self._transaction(writing=True) as connection:
                yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only looks.

        Raises:
            StoreUnavailableError: the database cannot be reached.
        """
        async with self._transaction(writing=False) as connection:
            yield connection

    @asynccontextmanager
    async def _transaction(self, *, writing: bool) -> AsyncIterator[AsyncConnection]:
        try:
            async with self.engine.connect() as connection:
                await connection.execution_options(writing=writing)
                async with connection.begin():
                    yield connection
        except (IntegrityError, ProgrammingError, DataError):
            raise
        except (OperationalError, InterfaceError, PoolTimeoutError, OSError, EOFError) as error:
            raise StoreUnavailableError(f"the database does not answer: {type(error).__name__}") from error
        except DBAPIError as error:
            if error.connection_invalidated or self.is_sqlite or _is_away(error.orig):
                raise StoreUnavailableError(f"the database cannot: {type(error.orig).__name__}") from error
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
        """Give all connections back."""
        await self.engine.dispose()


def _is_away(error: BaseException | None) -> bool:
    """Whether PostgreSQL cannot take anything just now, by its SQLSTATE (its manual, appendix A).

    08 connection, 25006 read only (a standby after a failover), 28 and 3D it does not let us in, 53
    disk, memory or connections at an end, 57P stopping or starting, 58 the machine under it.
    """
    code = str(getattr(error, "sqlstate", "") or "")
    return code == "25006" or code.startswith(("08", "28", "3D", "53", "57P", "58"))
