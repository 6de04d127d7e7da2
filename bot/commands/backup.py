"""backup-key, backup, restore: everything in one encrypted file, and back."""

from __future__ import annotations

import argparse
import asyncio
import tomllib
from collections.abc import Iterable
from pathlib import Path

from bot.commands import Commands, say
from bot.settings import ROOT, Settings


def add(commands: Commands) -> None:
    """Add the parsers."""
    key = commands.add_parser("backup-key", help="make the pair of keys for backups")
    key.add_argument("--out", type=Path, required=True, help="where the private key goes; .pub beside it")
    key.set_defaults(run=_key)
    backup = commands.add_parser("backup", help="write an encrypted backup, or check one")
    what = backup.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, help="a new file, or a folder that gets one")
    what.add_argument("--verify", type=Path, metavar="FILE", help="only check this backup; needs --key")
    backup.add_argument("--keep", type=_positive, metavar="N", help="keep the newest N of the folder")
    backup.add_argument("--without-models", action="store_true")
    _opening(backup)
    backup.set_defaults(run=_backup)
    restore = commands.add_parser("restore", help="put a backup into an empty database")
    restore.add_argument("file", type=Path)
    restore.add_argument(
        "--replace", metavar="DATABASE", help="throw away this database's rows; type its name"
    )
    restore.add_argument("--without-models", action="store_true")
    _opening(restore)
    restore.set_defaults(run=_restore)


def _opening(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key", type=Path, help="the private key")
    parser.add_argument("--other-secret-key", action="store_true", help="take a backup with another seal")


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError("keep one at least")
    return number


def _version() -> str:
    file = ROOT / "pyproject.toml"
    if not file.is_file():
        return "unknown"
    return str(tomllib.loads(file.read_text("utf-8"))["project"]["version"])


def _models(files: Iterable[str]) -> int:
    return sum(1 for name in files if name.endswith(".tar.gz"))


def _say_seal(secret_key: str, *, other: bool) -> None:
    """Whoever knows the public key could have made a file for it: say when nobody looked at the seal."""
    if other or not secret_key:
        why = "you took it as it is" if other else "FRONTCOUNTER_SECRET_KEY is not set"
        say(f"Its seal was not checked: {why}. Be sure that you know where this file comes from.")


async def _key(_settings: Settings, chosen: argparse.Namespace) -> int:
    from bot.assurance.archive import make_key

    public = make_key(chosen.out)
    say(f"The private key is {chosen.out}. Keep it off this server, in two safe places: without it")
    say("no backup can be opened. The public key stays here:")
    say(f"  FRONTCOUNTER_BACKUP_KEY_FILE={public}")
    return 0


async def _backup(settings: Settings, chosen: argparse.Namespace) -> int:
    from bot.assurance import archive
    from bot.assurance.backup import check_backup, make_backup
    from bot.store import Store

    secret_key = settings.secret_key.get_secret_value()
    if chosen.verify is not None:
        identity = archive.read_identity(chosen.key or settings.backup_key_file)
        manifest = await asyncio.to_thread(
            check_backup, chosen.verify, identity, secret_key, other_seal=chosen.other_secret_key
        )
        say(
            f"{chosen.verify.name} is whole: {manifest.total} rows of {manifest.made_at}, "
            f"schema {manifest.revision}, {_models(manifest.models)} models."
        )
        _say_seal(secret_key, other=chosen.other_secret_key)
        return 0
    store = Store(settings.database_url)
    try:
        path, manifest = await make_backup(
            store,
            chosen.out,
            key=settings.backup_key_file,
            models=None if chosen.without_models else settings.models,
            content={"force": settings.force, "data": settings.data},
            secret_key=secret_key,
            version=_version(),
            keep=chosen.keep,
        )
    finally:
        await store.close()
    say(f"{path} holds {manifest.total} rows and {_models(manifest.models)} models.")
    return 0


async def _restore(settings: Settings, chosen: argparse.Namespace) -> int:
    from bot.app import platforms
    from bot.assurance.restore import restore_backup
    from bot.store import Store

    store = Store(settings.database_url)
    try:
        manifest = await restore_backup(
            store,
            chosen.file,
            key=chosen.key or settings.backup_key_file,
            models=None if chosen.without_models else settings.models,
            secret_key=settings.secret_key.get_secret_value(),
            in_store=[name for name, p in platforms(settings).items() if p.channel.in_store],
            replace=chosen.replace,
            other_seal=chosen.other_secret_key,
        )
    finally:
        await store.close()
    say(f"Restored {manifest.total} rows of {manifest.made_at}. Everybody has to sign in again.")
    _say_seal(settings.secret_key.get_secret_value(), other=chosen.other_secret_key)
    say("Check the staff list before you start: whoever was suspended since then is active again.")
    return 0
