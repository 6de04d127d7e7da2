"""practice: the desk with made-up people, to learn it and to rehearse. Touches nothing of the real record."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal

from bot.commands import Commands, say
from bot.logs import set_up_logs
from bot.practice import Practice, load_script, must_be_practice, practice_settings, wipe
from bot.settings import Settings
from bot.store import Store


def add(commands: Commands) -> None:
    """Add the parser."""
    parser = commands.add_parser("practice", help="the desk with made-up people, on a database of its own")
    parser.set_defaults(run=_practice)


async def _practice(settings: Settings, _chosen: argparse.Namespace) -> int:
    from bot.app import listen, serve
    from bot.assistant import content_from_files

    own = practice_settings(settings)
    # Without an assistant each message would tell this screen so, four times a minute.
    set_up_logs("ERROR", plain=True)
    content = content_from_files(own.force, own.data)
    practice = Practice(load_script(own.force, content))
    # Two practices on one database would empty it for each other: the port is looked at first.
    with contextlib.closing(listen(own.desk_host, own.desk_port, "FRONTCOUNTER_PRACTICE_PORT")):
        pass
    stopping = asyncio.Event()
    current = asyncio.current_task()

    def stop() -> None:
        stopping.set()
        if current is not None:
            current.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    is_set = False
    try:
        await set_the_stage(own, practice)
        is_set = True
        _welcome(own)
        await serve(own, practice=practice)
    except asyncio.CancelledError:
        if not stopping.is_set():
            raise
    finally:
        if is_set:
            await _leave(own)
    say("Stopped. Nothing was kept.")
    return 0


async def set_the_stage(own: Settings, practice: Practice) -> None:
    """Make the database ready for a practice: empty, with the force's words and made-up accounts.

    Raises:
        SettingError: the database holds a record that practice has not made.
    """
    from bot.accounts import demo_accounts
    from bot.app import prepare
    from bot.assistant import content_from_files
    from bot.store.migrate import migrate

    store = Store(own.database_url)
    try:
        await must_be_practice(store)
        await migrate(store)
        await wipe(store)
        await prepare(store, content_from_files(own.force, own.data))
        staff = practice.script.staff.items()
        wanted = [(username, one.name, one.role, tuple(one.teams)) for username, one in staff]
        practice.accounts = await demo_accounts(store, wanted)
    finally:
        await store.close()


async def _leave(own: Settings) -> None:
    """Take everything away, so that no account with a password that was on a page is left behind."""
    store = Store(own.database_url)
    try:
        await must_be_practice(store)
        await wipe(store)
    finally:
        await store.close()


def _welcome(settings: Settings) -> None:
    say()
    say("Practice is running. Nobody here is real, and nothing of it reaches the real record.")
    say(f"  The desk: http://{settings.desk_host}:{settings.desk_port}/desk")
    say("The accounts to sign in with are on its sign-in page. The supervisor starts the people.")
    say()
    say("Stop with Ctrl-C.")
