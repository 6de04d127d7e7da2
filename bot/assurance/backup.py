"""Makes a backup while everything serves, and checks one: the whole database and the models.

The database is read in one transaction that sees a single moment, table by table, as lines of text:
so one file goes back into SQLite or PostgreSQL, whichever it came from. What the public sees of the
force's content is in the database (releases); of the files only a hash is kept.

The seal ties a backup to the installation: whoever knows the public key could make a file for it,
but only who holds FRONTCOUNTER_SECRET_KEY can seal one.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import hashlib
import hmac
import json
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assurance import archive, rows
from bot.errors import BackupError, StoreUnavailableError
from bot.messages import Actor
from bot.store import Store
from bot.store.record import add_audit, add_event, now

log = structlog.get_logger(__name__)

FORMAT = 1
NAME = "frontcounter-{stamp:%Y%m%dT%H%M%SZ}.backup"
PATTERN = "frontcounter-????????T??????Z.backup"
LARGEST_PART = 64_000_000
_SEAL = b"frontcounter backup seal 1\n"


def operator() -> Actor:
    """Who runs a command: the account of the operating system and the machine."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unknown"
    return Actor(f"command line: {name}@{socket.gethostname()[:30]}")


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What a backup says of one table."""

    columns: list[str]
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds. Nothing personal: counts, hashes, names of files."""

    format: int
    version: str
    revision: str
    made_at: str
    database: str
    tables: dict[str, TableFacts]
    models: dict[str, dict[str, Any]]
    content: dict[str, str] = field(default_factory=dict)

    @property
    def at(self) -> datetime:
        """The moment before which everything committed is in it."""
        return datetime.fromisoformat(self.made_at)

    @property
    def total(self) -> int:
        """All rows."""
        return sum(table.rows for table in self.tables.values())

    def to_bytes(self) -> bytes:
        """As it stands in the archive."""
        return json.dumps(asdict(self), sort_keys=True, indent=1).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """Read it.

        Raises:
            BackupError: it is of another kind.
        """
        try:
            loaded = json.loads(content)
            if loaded["format"] != FORMAT:
                raise BackupError(
                    f"This backup has format {loaded['format']}. Restore it with the version that made it: "
                    f"{loaded['version']}."
                )
            tables = {name: TableFacts(**facts) for name, facts in loaded.pop("tables").items()}
            return cls(tables=tables, **loaded)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BackupError("The list of contents of this backup cannot be read.") from error


def seal_of(manifest: bytes, secret_key: str) -> str:
    """The installation's seal under a list of contents; empty without a key."""
    if not secret_key:
        return ""
    return hmac.new(secret_key.encode(), _SEAL + manifest, hashlib.sha256).hexdigest()


def folder_hash(folder: Path) -> str:
    """One hash over all files of a folder and their names."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(folder)).encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


async def make_backup(
    store: Store,
    out: Path,
    *,
    key: Path | None,
    models: Path | None,
    content: Mapping[str, Path],
    secret_key: str,
    version: str,
    keep: int | None = None,
    actor: Actor | None = None,
) -> tuple[Path, Manifest]:
    """Write one backup; `out` is a new file, or a folder that gets one named after the time.

    Args:
        store: the database.
        out: where to.
        key: the file with the public key.
        models: the folder of trained models; None leaves them out.
        content: folders of which only the hash is kept, by name.
        secret_key: the installation's key, which seals the backup.
        version: of the program.
        keep: how many backups stay in the folder; the oldest go. None: all.
        actor: who asked for it.

    Raises:
        SettingError: the key is missing or wrong.
        BackupError: the file is there already, or cannot be written.
        StoreUnavailableError: the database does not answer.
    """
    recipient = archive.read_recipient(key)
    if not await rows.is_up_to_date(store):
        raise BackupError("The database is not of this version. Run `frontcounter migrate`, then repeat.")
    made_at = now()
    path = _place(out, made_at, keep)
    async with store.snapshot() as connection, archive.write_archive(
        path, recipient, int(made_at.timestamp())
    ) as writer:  # fmt: skip
        manifest = await _write(connection, writer, made_at, models, content, secret_key, version)
    size, digest = await asyncio.to_thread(_measure, path)
    try:
        async with store.write() as connection:
            await add_audit(
                connection, actor or operator(), "backup", file=path.name, sha256=digest, bytes=size,
                rows=manifest.total, made_at=manifest.made_at,
            )  # fmt: skip
            await add_event(connection, None, "backup.made", {"file": path.name})
    except StoreUnavailableError:
        # The file is whole all the same; only the note of it is missing.
        log.warning("backup.not_noted", file=path.name)
    if keep is not None:
        _rotate(out, keep)
    return path, manifest


def _place(out: Path, made_at: datetime, keep: int | None) -> Path:
    """The file to write.

    Raises:
        BackupError: it is there already, or there is no folder to rotate.
    """
    if out.is_dir():
        path = out / NAME.format(stamp=made_at)
    elif keep is not None:
        raise BackupError("--keep needs a folder that exists: name it with --out.")
    else:
        path = out
    if path.exists():
        raise BackupError(f"{path} is there already. Name another file.")
    return path


def _rotate(folder: Path, keep: int) -> None:
    """Remove all but the newest; the names sort by time."""
    for old in sorted(folder.glob(PATTERN), key=lambda p: p.name)[: -max(1, keep)]:
        old.unlink(missing_ok=True)


def _measure(path: Path) -> tuple[int, str]:
    """Size in bytes, and sha256."""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _models(folder: Path | None) -> list[Path]:
    """The models, and beside each the file with its sha256, without which no assistant loads it."""
    return sorted(folder.glob("*.tar.gz*")) if folder is not None and folder.is_dir() else []


async def _write(
    connection: AsyncConnection,
    writer: archive.Writer,
    made_at: datetime,
    models: Path | None,
    content: Mapping[str, Path],
    secret_key: str,
    version: str,
) -> Manifest:
    stands_at = await rows.revision(connection)
    head = {"format": FORMAT, "version": version, "made_at": made_at.isoformat(), "revision": stands_at}
    await writer.add("head.json", json.dumps(head).encode())
    facts: dict[str, TableFacts] = {}
    for table in rows.tables():
        digest, count, number = hashlib.sha256(), 0, 0
        async for part in rows.dump(connection, table):
            number += 1
            digest.update(part)
            count += part.count(b"\n")
            await writer.add(f"tables/{table.name}/{number:06}.jsonl", part)
        facts[table.name] = TableFacts(rows.columns(table), count, digest.hexdigest())
    kept: dict[str, dict[str, Any]] = {}
    for path in _models(models):
        try:
            file = path.open("rb")
        except FileNotFoundError:
            continue  # a training has just removed this old one
        with file:
            size, model_hash = await writer.add_file(f"models/{path.name}", file)
        kept[path.name] = {"bytes": size, "sha256": model_hash}
    manifest = Manifest(
        format=FORMAT,
        version=version,
        revision=str(stands_at),
        made_at=made_at.isoformat(),
        database=connection.dialect.name,
        tables=facts,
        models=kept,
        content={name: folder_hash(folder) for name, folder in content.items() if folder.is_dir()},
    )
    body = manifest.to_bytes()
    await writer.add("manifest.json", body)
    await writer.add("seal.json", json.dumps({"hmac-sha256": seal_of(body, secret_key)}).encode())
    return manifest


def check_backup(path: Path, identity: Any, secret_key: str, *, other_seal: bool = False) -> Manifest:
    """Read a backup to its end and hold it against its own list of contents. Blocks: use a thread.

    Args:
        path: the file.
        identity: the private key.
        secret_key: the installation's key; with one, only a backup that it sealed is taken.
        other_seal: take one that another installation sealed, or none.

    Raises:
        BackupError: anything about it is not as it should be.
    """
    found: dict[str, tuple[int, Any]] = {}
    models: dict[str, dict[str, Any]] = {}
    body, seal = b"", ""
    order = -1
    for member in archive.read_archive(path, identity):
        kind, _, name = member.name.partition("/")
        if kind == "models":
            digest = hashlib.sha256()
            while chunk := member.read(1 << 20):
                digest.update(chunk)
            models[name] = {"bytes": member.size, "sha256": digest.hexdigest()}
            continue
        if member.size > LARGEST_PART:
            raise BackupError(f"{path.name} holds something that is not ours.")
        content = member.read()
        if kind == "tables":
            table, _, _number = name.partition("/")
            count, digest = found.setdefault(table, (0, hashlib.sha256()))
            digest.update(content)
            found[table] = (count + content.count(b"\n"), digest)
            order = _in_order(path, order, table)
        elif member.name == "manifest.json":
            body = content
        elif member.name == "seal.json":
            with contextlib.suppress(ValueError, AttributeError):
                seal = str(json.loads(content).get("hmac-sha256", ""))
    if not body:
        raise BackupError(f"{path.name} has no list of contents: it is not a backup of Front Counter.")
    manifest = Manifest.from_bytes(body)
    empty = hashlib.sha256().hexdigest()
    for table, facts in manifest.tables.items():
        count, digest = found.pop(table, (0, None))
        if (count, digest.hexdigest() if digest else empty) != (facts.rows, facts.sha256):
            raise BackupError(f"{path.name} does not hold what it lists ({table}). Use another backup.")
    if found or models != manifest.models:
        raise BackupError(f"{path.name} does not hold what it lists. Use another backup.")
    expected = seal_of(body, secret_key)
    if expected and not other_seal and not hmac.compare_digest(seal, expected):
        raise BackupError(
            "This backup was not sealed with this FRONTCOUNTER_SECRET_KEY. Set the key of then; "
            "if it is lost, and you know where the file comes from, add --other-secret-key."
        )
    return manifest


def _in_order(path: Path, last: int, table: str) -> int:
    """The place of this table in our order.

    Raises:
        BackupError: it comes before one that points at it.
    """
    names = [known.name for known in rows.tables()]
    place = names.index(table) if table in names else last
    if place < last:
        raise BackupError(f"{path.name} holds its tables in another order than ours.")
    return place
