"""The file of a backup: a compressed tar archive, encrypted for a key that the server does not hold.

The format is age (https://age-encryption.org/v1): what is cut short, put in another order or changed
in one bit is found before it is used, and a key pair keeps a stolen server from reading its own
backups. Without this program, `age -d -i KEY FILE | tar xz` opens one.

Everything streams through a pipe, so that memory stays flat however big the database is. Members:
`head.json` first; parts of tables and model files; `manifest.json` (what should have come) and
`seal.json` last.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gzip
import hashlib
import io
import os
import tarfile
import tempfile
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pyrage  # type: ignore[import-untyped]

from bot.errors import BackupError, SettingError

COMPRESSION = 3
"""Of gzip's 1 to 9. Text shrinks to a fifth at this one; more costs time for little."""
_PUBLIC = "age1"
_PRIVATE = "AGE-SECRET-KEY-1"


# ---- keys --------------------------------------------------------------------------------------


def make_key(path: Path) -> Path:
    """Write a new private key to `path` and its public key beside it. Returns the public one's path.

    Raises:
        SettingError: a file of that name is there already, or the folder cannot be written.
    """
    public = path.with_name(path.name + ".pub")
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    try:
        for place, mode, text in (
            (path, 0o600, f"# public key: {recipient}\n{identity}\n"),
            (public, 0o644, f"{recipient}\n"),
        ):
            with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
    except FileExistsError as error:
        raise SettingError(f"{error.filename} is there already. A key is never overwritten.") from error
    except OSError as error:
        raise SettingError(f"The key could not be written to {path.parent}: {error.strerror}.") from error
    return public


def _line(path: Path, *beginnings: str) -> str | None:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingError(f"The backup key {path} cannot be read: {why}.") from error
    found = next((line.strip() for line in text.splitlines() if line.strip().startswith(beginnings)), None)
    if found is not None and found.startswith(_PRIVATE) and path.stat().st_mode & 0o077:
        raise SettingError(f"Others can read the private key {path}. Run: chmod 600 {path}")
    return found


def holds_private_key(path: Path) -> bool:
    """Whether this file could open backups.

    Raises:
        SettingError: it cannot be read, or others can read it too.
    """
    return _line(path, _PRIVATE) is not None


def read_recipient(path: Path | None) -> Any:
    """The key that backups are made for.

    Raises:
        SettingError: none is named, or the file holds none.
    """
    if path is None:
        raise SettingError(
            "Set FRONTCOUNTER_BACKUP_KEY_FILE to a public key. `frontcounter backup-key --out FILE` makes one."
        )
    line = _line(path, _PUBLIC, _PRIVATE)
    try:
        if line is not None and line.startswith(_PRIVATE):
            return pyrage.x25519.Identity.from_str(line).to_public()
        return pyrage.x25519.Recipient.from_str(line or "")
    except (pyrage.IdentityError, pyrage.RecipientError) as error:
        raise SettingError(f"{path} holds no backup key. Name the file that ends in .pub.") from error


def read_identity(path: Path | None) -> Any:
    """The private key that opens backups.

    Raises:
        SettingError: none is named, or the file holds only the public one.
    """
    if path is None:
        raise SettingError("Name the private key of this backup with --key FILE.")
    line = _line(path, _PRIVATE)
    try:
        return pyrage.x25519.Identity.from_str(line or "")
    except pyrage.IdentityError as error:
        raise SettingError(f"{path} holds no private key. Name the one made by `backup-key`.") from error


# ---- writing -----------------------------------------------------------------------------------


class Writer:
    """Adds members to an archive. Each call runs in a thread: the pipe may be full."""

    def __init__(self, tar: tarfile.TarFile, stamp: int) -> None:
        self._tar = tar
        self._stamp = stamp

    async def add(self, name: str, content: bytes) -> None:
        """Add one member."""
        await asyncio.to_thread(self._tar.addfile, self._info(name, len(content)), io.BytesIO(content))

    async def add_file(self, name: str, file: IO[bytes]) -> tuple[int, str]:
        """Add an open file. Returns its size and sha256."""
        size = os.fstat(file.fileno()).st_size
        hashing = _Hashing(file)
        await asyncio.to_thread(self._tar.addfile, self._info(name, size), hashing)
        return size, hashing.digest.hexdigest()

    def _info(self, name: str, size: int) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = size, self._stamp, 0o600
        return info


@dataclass(slots=True)
class _Hashing:
    """A file that remembers the hash of what was read from it."""

    file: IO[bytes]
    digest: Any = field(default_factory=hashlib.sha256)

    def read(self, size: int = -1) -> bytes:
        """Read, and remember."""
        content = self.file.read(size)
        self.digest.update(content)
        return content


class _Worker:
    """A thread whose error is kept for whoever waits for it."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.error: Exception | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, name="age", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:
            self.error = error

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join()


@asynccontextmanager
async def write_archive(path: Path, recipient: Any, stamp: int) -> AsyncIterator[Writer]:
    """An archive that appears at `path` only when it is whole and on the disk; mode 0600.

    Args:
        path: where it goes.
        recipient: the public key.
        stamp: the time that its members carry, in seconds since 1970.

    Raises:
        BackupError: the folder cannot be written, or the disk is full.
    """
    try:
        handle, part = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise BackupError(f"Nothing can be written to {path.parent}: {error.strerror}.") from error
    try:
        with os.fdopen(handle, "wb") as out:
            # The library turns an error of the disk into words of its own: keep the first one.
            disk = _Disk(out)
            reading, writing = os.pipe()

            def encrypt() -> None:
                with os.fdopen(reading, "rb", buffering=1 << 20) as pipe:
                    pyrage.encrypt_io(pipe, disk, [recipient])

            worker = _Worker(encrypt)
            try:
                with os.fdopen(writing, "wb", buffering=1 << 20) as pipe:
                    # Apart from tarfile, whose own gzip takes no level for a stream before Python 3.12.
                    with (
                        gzip.GzipFile(
                            fileobj=pipe, mode="wb", compresslevel=COMPRESSION, mtime=stamp
                        ) as packed,
                        tarfile.open(fileobj=packed, mode="w|") as tar,
                    ):
                        yield Writer(tar, stamp)
            except BrokenPipeError as error:
                await asyncio.to_thread(worker.join)
                raise disk.error or worker.error or error from None
            finally:
                await asyncio.to_thread(worker.join)
            if disk.error or worker.error:
                raise disk.error or worker.error or OSError()
            out.flush()
            os.fsync(out.fileno())
        _put(part, path)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise BackupError("The disk is full. No backup was written: make room, then repeat.") from error
        raise BackupError(f"The backup could not be written: {error.strerror or error}.") from error
    except pyrage.EncryptError as error:
        raise BackupError(f"The backup could not be encrypted: {error}.") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)


@dataclass(slots=True)
class _Disk:
    """A file that remembers the error with which it stopped."""

    file: IO[bytes]
    error: OSError | None = None

    def write(self, content: bytes) -> int:
        """Write, and remember an error."""
        try:
            return self.file.write(content)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        """Write what is held back."""
        try:
            self.file.flush()
        except OSError as error:
            self.error = error
            raise


def _put(part: str, path: Path) -> None:
    """Give a file its name, so that it outlives a power cut."""
    os.replace(part, path)
    with contextlib.suppress(OSError):
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


# ---- reading -----------------------------------------------------------------------------------


class Member:
    """One member while it passes by: read it before the next."""

    def __init__(self, name: str, size: int, file: IO[bytes], path: Path) -> None:
        self.name = name
        self.size = size
        self._file = file
        self._path = path

    def read(self, size: int = -1) -> bytes:
        """What comes next; empty at its end.

        Raises:
            BackupError: the archive is damaged or cut short.
        """
        try:
            return self._file.read(size)
        except _BROKEN as error:
            raise _damaged(self._path) from error


_BROKEN = (tarfile.TarError, EOFError, zlib.error, OSError)


def _damaged(path: Path) -> BackupError:
    return BackupError(f"{path.name} is damaged or cut short. Use another backup.")


def read_archive(path: Path, identity: Any) -> Iterator[Member]:
    """Every member in turn. Blocks: call it in a thread.

    What comes was found genuine piece by piece, but that nothing is missing is known only at the end.

    Raises:
        BackupError: another key, not a backup, damaged or cut short.
    """
    try:
        source = path.open("rb")
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror}.") from error
    reading, writing = os.pipe()

    def decrypt() -> None:
        with source, os.fdopen(writing, "wb", buffering=1 << 20) as pipe:
            pyrage.decrypt_io(source, pipe, [identity])

    worker = _Worker(decrypt)
    failed: Exception | None = None
    try:
        with os.fdopen(reading, "rb", buffering=1 << 20) as pipe:
            try:
                with tarfile.open(fileobj=pipe, mode="r|gz") as tar:
                    for info in tar:
                        file = tar.extractfile(info)
                        if file is None:
                            raise BackupError(f"{path.name} holds something that is not ours.")
                        yield Member(info.name, info.size, file, path)
                while pipe.read(1 << 20):
                    pass
            except _BROKEN as error:
                failed = error
    finally:
        # The pipe is closed by now: a reader who gave up early ends the thread as well.
        worker.join()
    if worker.error is not None and not isinstance(worker.error, BrokenPipeError):
        raise _why(path, worker.error) from worker.error
    if failed is not None:
        raise _damaged(path) from failed


def _why(path: Path, error: Exception) -> BackupError:
    if isinstance(error, pyrage.DecryptError):
        if "matching keys" in str(error):
            return BackupError(
                f"This key does not open {path.name}. Use the one it was made for, if the file is whole."
            )
        return BackupError(f"{path.name} is not a backup, or its beginning is damaged. Use another.")
    if isinstance(error, OSError) and error.errno:
        return BackupError(f"{path.name} cannot be read: {error.strerror}.")
    return _damaged(path)
