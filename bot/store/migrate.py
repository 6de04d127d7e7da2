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
from bot.store import search
from bot.store.engine import Store
from bot.store.tables import Base

log = structlog.get_logger(__name__)

LOCK_MILLISECONDS = 300
"""How long a migration waits for a table at first: everybody else waits behind it meanwhile."""
LONGEST_LOCK_MILLISECONDS = 900
"""And at most, on a busy machine. Less than PostgreSQL's deadlock_timeout (1 s): where a migration and
somebody who serves wait for each other, it is the migration that gives up."""
_MORE_EACH_TRY = 100
PAUSE_SECONDS = 1.0
TRY_SECONDS = 300.0
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
    holds a table that it needs makes it give up at once, and try again. Each migration is a transaction
    of its own, so that what is done stays done. A database that a newer version has brought further
    is left as it is: what this version needs is still there.

    Raises:
        StoreUnavailableError: the database cannot be reached, or was too busy for five minutes.
    """
    deadline = time.monotonic() + TRY_SECONDS
    longest = LOCK_MILLISECONDS
    while True:
        try:
            if not await _one_step(store, longest):
                await search.fill(store)
                return
            longest = LOCK_MILLISECONDS
            continue
        except DBAPIError as error:
            if str(getattr(error.orig, "sqlstate", "")) != _LOCK_NOT_AVAILABLE:
                raise
            if time.monotonic() > deadline:
                raise StoreUnavailableError("the database is too busy to be brought up to date") from error
            log.info("store.migration_waits")
        longest = min(longest + _MORE_EACH_TRY, LONGEST_LOCK_MILLISECONDS)
        await asyncio.sleep(PAUSE_SECONDS)


async def _one_step(store: Store, lock_milliseconds: int) -> bool:
    """Apply the next migration. False when there is none."""
    async with store.write() as connection:
        await one_at_a_time(connection)
        if not store.is_sqlite:
            # While a statement waits for a table, everybody else waits behind it.
            await connection.execute(text(f"SET LOCAL lock_timeout = {lock_milliseconds}"))
        return await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> bool:
    config = alembic_config(connection)
    script = ScriptDirectory.from_config(config)
    current = set(MigrationContext.configure(connection).get_current_heads())
    if newer := current - {revision.revision for revision in script.walk_revisions()}:
        log.warning("store.newer_than_this_version", revision=" ".join(sorted(newer)))
        return False
    if current == set(script.get_heads()):
        return False
    command.upgrade(config, "+1")
    return True


async def differences(store: Store) -> list[object]:
    """What the tables of the database lack beside the classes; empty when they agree."""
    async with store.read() as connection:
        return await connection.run_sync(
            lambda sync: list(
                compare_metadata(
                    MigrationContext.configure(sync, opts={"include_name": search.is_kept_apart}),
                    Base.metadata,
                )
            )
        )
