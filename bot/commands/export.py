"""export: what is live as the files of data/faq and force/, to keep, compare or bring to another server."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bot.commands import Commands, say
from bot.errors import ContentError, SettingError, StoreUnavailableError
from bot.settings import Settings

if TYPE_CHECKING:
    from bot.assistant import Content

SHOWN = 20
"""Files and answers that are named; of more only the number is said."""


def add(commands: Commands) -> None:
    """Add the parser."""
    export = commands.add_parser("export", help="write what is live as the files of data/faq and force/")
    export.add_argument("folder", type=Path, metavar="FOLDER", help="an empty folder, or one to be made")
    export.add_argument(
        "--replace", action="store_true", help="the folder may hold an export: its texts are replaced"
    )
    export.set_defaults(run=_export)


async def _export(settings: Settings, chosen: argparse.Namespace) -> int:
    from bot.knowledge.files import ExportError, export

    try:
        content = await _live(settings)
        done = await asyncio.to_thread(
            export, content, settings.force, settings.data, chosen.folder, replace=chosen.replace
        )
    except (ExportError, ContentError, SettingError, StoreUnavailableError) as error:
        print(error, file=sys.stderr)
        return 2
    what = "the files, for the database holds no release yet"
    if content.release_id is not None:
        what = f"release {content.release_id}, which is live"
    say(f"{chosen.folder} holds {done.answers} answers and {done.force} files of the force: {what}.")
    _name("Not as in the files here", done.changed)
    _name("Answers of the files here that are not live", done.gone)
    _name(
        "Withdrawn now; the files hold their words, so look before you publish them elsewhere", done.withdrawn
    )
    return 0


def _name(what: str, names: Sequence[str]) -> None:
    if names:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        say(f"{what}: {', '.join(names[:SHOWN])}{more}.")


async def _live(settings: Settings) -> Content:
    """What the public gets now: the live release's words, or the files' while there is none.

    Raises:
        ContentError: the files cannot be read.
        StoreUnavailableError: the database cannot be reached.
    """
    from sqlalchemy import inspect

    from bot.assistant import LiveContent, content_from_files
    from bot.store import Store

    live = LiveContent(content_from_files(settings.force, settings.data))
    if _is_missing(settings.database_url):
        return live.current
    store = Store(settings.database_url)
    try:
        async with store.read() as connection:
            is_set_up = await connection.run_sync(lambda sync: inspect(sync).has_table("release"))
        if is_set_up:
            await live.refresh(store)
    finally:
        await store.close()
    return live.current


def _is_missing(database_url: str) -> bool:
    """Whether it is a file that is not there: to look at it would make it."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(database_url)
    except (ArgumentError, ValueError):
        return False  # `Store` says what is wrong with it.
    return url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file()
