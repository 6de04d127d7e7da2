"""Puts a backup back, into a database that nobody uses: everything in one transaction, or nothing.

The whole file is read and checked first; nothing is touched before that. What happened between the
backup and the loss is not known, so what could do harm is put in doubt or taken back:

- Sessions end, links that set a password stop working, leases fall free.
- Rows that waited to be sent may have left since. Safety words go again, for a gap is worse than a
  repeat. The others are marked as cut off while sending, and the outbox's own rule for that does
  the rest: an answer of the assistant's is not repeated, the conversation goes to the queue and the
  person is told; a member of staff is asked before their reply is sent again. Pages that read the
  database themselves (web chat) get such rows as usual: the same row is shown once.
- A message whose turn had not run is read by both nets and answered, perhaps for the second time.
- New rows get numbers far above the old ones (on PostgreSQL; on SQLite only events), so that a page
  that is still open does not take a new row for one that it has shown.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, insert, inspect, literal, select, text, update
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assurance import archive, rows
from bot.assurance.backup import Manifest, check_backup, operator
from bot.errors import BackupError
from bot.messages import Actor
from bot.store import Store
from bot.store.migrate import migrate, one_at_a_time
from bot.store.record import add_audit, add_event, is_sqlite, now
from bot.store.tables import (
    Conversation,
    Due,
    Event,
    Lease,
    Outbox,
    StaffLink,
    StaffSession,
)

GAP = 1_000_000
"""More rows than any table gains between a backup and the loss of the database."""
_SEEDED = {"release", "release_item", "team", "audit", "event", "lease", "bookmark", "standing"}
"""What the first start of a gateway writes by itself: a database with no more than this is empty."""


async def restore_backup(
    store: Store,
    path: Path,
    *,
    key: Path | None,
    models: Path | None,
    secret_key: str,
    in_store: Collection[str],
    replace: str | None = None,
    other_seal: bool = False,
    actor: Actor | None = None,
) -> Manifest:
    """Bring back what a backup holds.

    Args:
        store: an empty database, or one that `replace` names.
        path: the backup.
        key: the file with the private key.
        models: where models go; None leaves them out.
        secret_key: the installation's key.
        in_store: channels whose pages read the database themselves.
        replace: the name of the database whose rows are to be thrown away.
        other_seal: take a backup that another installation sealed.
        actor: who asked for it.

    Raises:
        SettingError: the key is missing or wrong.
        BackupError: the file is not as it should be, or this database is not the place for it.
        StoreUnavailableError: the database does not answer; nothing was changed.
    """
    identity = archive.read_identity(key)
    manifest = await asyncio.to_thread(check_backup, path, identity, secret_key, other_seal=other_seal)
    head = rows.newest_revision()
    if manifest.revision != head:
        raise BackupError(
            f"This backup is of schema {manifest.revision}, and this version has {head}. "
            f"Restore it with version {manifest.version}, then upgrade."
        )
    if {table.name: rows.columns(table) for table in rows.tables()} != {
        name: facts.columns for name, facts in manifest.tables.items()
    }:
        raise BackupError(
            f"This backup has other tables than this version. Restore it with version {manifest.version}."
        )
    await _alone(store)
    await _place_for(store, replace)
    await migrate(store)
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=_made(models)) as folder:
        async with store.write() as connection:
            await one_at_a_time(connection)
            await rows.empty_all(connection)
            await _load(connection, path, identity, Path(folder), keep_models=models is not None)
            if await rows.counts(connection) != {name: t.rows for name, t in manifest.tables.items()}:
                raise BackupError(f"{path.name} changed while it was read. Nothing was restored.")
            await _mend(connection, manifest, in_store)
            await rows.set_sequences(connection, GAP)
            await _note(connection, manifest, path, actor or operator())
        if models is not None:
            _move_models(Path(folder), models, manifest)
    return manifest


def _made(models: Path | None) -> Path | None:
    if models is None:
        return None
    try:
        models.mkdir(parents=True, exist_ok=True)
        if not os.access(models, os.W_OK):
            raise PermissionError(13, "not allowed")
    except OSError as error:
        raise BackupError(
            f"The models cannot be written to {models}: {error.strerror}. Or add --without-models."
        ) from error
    return models


# ---- the place -----------------------------------------------------------------------------------


async def _alone(store: Store) -> None:
    """Refuse while anything else uses the database: a gateway would go on with what it remembers."""
    busy = BackupError("Something else uses this database. Stop every gateway, then repeat.")
    if store.is_sqlite:
        if not await asyncio.to_thread(_alone_with_file, Path(str(store.url.database))):
            raise busy
        return
    async with store.read() as connection:
        others = await connection.execute(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        )
        if others.scalar_one():
            raise busy


def _alone_with_file(file: Path) -> bool:
    """Whether no other process has this SQLite file open.

    Leaving WAL needs the file for oneself (sqlite.org/wal.html); our own store goes back to it.

    Raises:
        BackupError: it is no database.
    """
    if not file.exists():
        return True
    try:
        with closing(sqlite3.connect(file, timeout=2.0)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError:
        return False
    except sqlite3.DatabaseError as error:
        raise BackupError(f"{file} is no database. Move it away, then repeat.") from error
    return True


async def _place_for(store: Store, replace: str | None) -> None:
    """Refuse a database with somebody's rows, unless its name was typed."""
    name = Path(str(store.url.database)).name
    if replace is not None and replace != name:
        raise BackupError(f"--replace must name this database: {name}. Nothing was changed.")
    used = await _tables_with_rows(store)
    if used - _SEEDED and replace is None:
        raise BackupError(
            f"The database {name} is not empty. Restore into an empty one; "
            f"to throw away all that is in it, add --replace {name}"
        )


async def _tables_with_rows(store: Store) -> set[str]:
    """Tables of ours that are there and hold something, whatever version the database stands at."""
    async with store.read() as connection:
        there = set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))
        used = set()
        for table in rows.tables():
            if table.name in there:
                found = await connection.execute(select(literal(1)).select_from(table).limit(1))
                if found.first() is not None:
                    used.add(table.name)
    return used


# ---- the rows ------------------------------------------------------------------------------------


async def _load(
    connection: AsyncConnection, path: Path, identity: Any, folder: Path, *, keep_models: bool
) -> None:
    members: Iterator[archive.Member] = archive.read_archive(path, identity)
    known = {table.name: table for table in rows.tables()}
    name, loader = "", None
    while (member := await asyncio.to_thread(next, members, None)) is not None:
        kind, _, rest = member.name.partition("/")
        if kind == "models" and keep_models:
            await asyncio.to_thread(_copy, member, folder / Path(rest).name)
        elif kind == "tables":
            table = rest.partition("/")[0]
            if table != name or loader is None:
                name, loader = table, rows.Loader(connection, known[table])
            part = await asyncio.to_thread(member.read)
            # Numbers of transactions are those of another server: all that is restored comes before.
            try:
                await loader.load(part, {"xid": 0} if table == "event" else {})
            except (IntegrityError, DataError, ValueError, TypeError) as error:
                raise BackupError(
                    f"This database does not take the rows of '{table}' in {path.name}. Nothing was restored."
                ) from error


def _copy(member: archive.Member, path: Path) -> None:
    with path.open("wb") as out:
        while chunk := member.read(1 << 20):
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())


async def _mend(connection: AsyncConnection, manifest: Manifest, in_store: Collection[str]) -> None:
    """Take back or put in doubt what may have gone on after the backup."""
    await connection.execute(delete(StaffSession))
    await connection.execute(update(StaffLink).where(StaffLink.used_at.is_(None)).values(used_at=now()))
    await connection.execute(
        update(Conversation).values(
            lease_holder=None, lease_expires=None, lease_counter=Conversation.lease_counter + 1
        )
    )
    await connection.execute(update(Lease).values(holder=None, expires=None, counter=Lease.counter + 1))
    await connection.execute(update(Due).values(holder=None, held_until=None))
    await connection.execute(
        update(Outbox)
        .where(Outbox.state == "queued", Outbox.kind != "safety", Outbox.channel.not_in(sorted(in_store)))
        .values(state="sending", holder="restore", sending_until=manifest.at)
    )


async def _note(connection: AsyncConnection, manifest: Manifest, path: Path, actor: Actor) -> None:
    await add_audit(
        connection, actor, "restore", file=path.name, made_at=manifest.made_at, rows=manifest.total,
        version=manifest.version,
    )  # fmt: skip
    data = {"made_at": manifest.made_at}
    if not is_sqlite(connection):
        await add_event(connection, None, "restored", data)
        return
    highest = (await connection.execute(select(func.max(Event.id)))).scalar_one_or_none() or 0
    await connection.execute(
        insert(Event).values(
            id=highest + GAP, xid=0, conversation_id=None, kind="restored", data=data, at=now()
        )
    )


def _move_models(folder: Path, models: Path, manifest: Manifest) -> None:
    for name, facts in manifest.models.items():
        path = folder / Path(name).name
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != facts["sha256"]:
                raise BackupError(f"The model {name} changed while it was read. Train it anew.")
        path.replace(models / path.name)
