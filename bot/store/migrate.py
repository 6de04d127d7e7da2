"""Brings a database to the tables of this version. Safe to call from many gateways at once."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import structlog
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import StoreUnavailableError
from bot.store.engine import Store
from bot.store.tables import Base

log = structlog.get_logger(__name__)

LOCK_MILLISECONDS = 300
"""Less than PostgreSQL's deadlock_timeout (1 s): where a migration and somebody who serves wait for each
other, it is the migration that gives up."""
PAUSE_SECONDS = 1.0
TRY_SECONDS = 60.0
_LOCK_NOT_AVAILABLE = "55P03"
"""SQLSTATE lock_not_available (PostgreSQL's manual, appendix A)."""
_LOCK = 7266_2024
"""Any fixed number: the advisory lock under which one gateway at a time prepares the database."""


async def one_at_a_time(connection: AsyncConnection) -> None:
    """Wait until no other gateway prepares the database; held to the end of the transaction."""
    if connection.dialect.name != "sqlite":
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))


def alembic_config(connection: Connection) -> Config:
    """Alembic's settings for this connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


async def migrate(store: Store) -> None:
    """Apply what is missing, while other gateways go on serving.

    A migration only adds (docs/decisions/0008). It never makes the service wait for long: whoever
    holds a table that it needs makes it give up at once, and try again. A database that a
    newer version has brought further is left as it is: what this version needs is still there.

    Raises:
        StoreUnavailableError: the database cannot be reached, or was too busy for a minute.
    """
    deadline = time.monotonic() + TRY_SECONDS
    while True:
        try:
            return await _once(store)
        except DBAPIError as error:
            if str(getattr(error.orig, "sqlstate", "")) != _LOCK_NOT_AVAILABLE:
                raise
            if time.monotonic() > deadline:
                raise StoreUnavailableError("the database is too busy to be brought up to date") from error
            log.info("store.migration_waits")
        await asyncio.sleep(PAUSE_SECONDS)


async def _once(store: Store) -> None:
    async with store.write() as connection:
        await one_at_a_time(connection)
        if not store.is_sqlite:
            # While a statement waits for a table, everybody else waits behind it.
            await connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}"))
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    config = alembic_config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    current = set(MigrationContext.configure(connection).get_current_heads())
    if newer := current - known:
        log.warning("store.newer_than_this_version", revision=" ".join(sorted(newer)))
        return
    command.upgrade(config, "head")


async def differences(store: Store) -> list[object]:
    """What the tables of the database lack beside the classes; empty when they agree."""
    async with store.read() as connection:
        return await connection.run_sync(
            lambda sync: list(compare_metadata(MigrationContext.configure(sync), Base.metadata))
        )
