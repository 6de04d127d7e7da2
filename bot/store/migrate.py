"""Brings a database to the tables of this version. Safe to call from many gateways at once."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store.engine import Store
from bot.store.tables import Base

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
    """Apply what is missing.

    Raises:
        StoreUnavailableError: the database cannot be reached.
    """
    async with store.write() as connection:
        await one_at_a_time(connection)
        await connection.run_sync(lambda sync: command.upgrade(alembic_config(sync), "head"))


async def differences(store: Store) -> list[object]:
    """What the tables of the database lack beside the classes; empty when they agree."""
    async with store.read() as connection:
        return await connection.run_sync(
            lambda sync: list(compare_metadata(MigrationContext.configure(sync), Base.metadata))
        )
