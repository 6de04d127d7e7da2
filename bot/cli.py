"""The command `frontcounter`: serve, demo, train, evaluate, migrate, staff."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bot.errors import ContentError, FrontCounterError, SettingError
from bot.logs import set_up_logs
from bot.settings import Settings, load_settings

ROLES = ("moderator", "comms", "supervisor", "admin")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code; every error is one sentence on standard error."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if sys.version_info[:2] != (3, 11):
        return _fail("Front Counter needs Python 3.11. Run `make setup`, then use `make`.")
    try:
        settings = load_settings()
        set_up_logs(settings.log_level, plain=chosen.command in ("demo", "evaluate", "train"))
        return int(asyncio.run(chosen.run(settings, chosen)) or 0)
    except KeyboardInterrupt:
        return 130
    except FrontCounterError as error:
        return _fail(str(error))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return _fail("The disk is full. Make room, then run the same command again.")
        raise


def _fail(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


def _say(text: str = "") -> None:
    print(text, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="frontcounter", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve the public listener and the desk")
    serve.set_defaults(run=_serve)
    demo = commands.add_parser("demo", help="everything on this machine, with made-up staff")
    demo.set_defaults(run=_demo)
    train = commands.add_parser("train", help="train the model, if its sources changed")
    train.set_defaults(run=_train)
    migrate = commands.add_parser("migrate", help="bring the database to this version")
    migrate.set_defaults(run=_migrate)
    evaluate = commands.add_parser("evaluate", help="hold the conversations of a file")
    evaluate.add_argument("--file", type=Path, required=True)
    evaluate.add_argument("--out", type=Path, required=True)
    evaluate.add_argument("--desk", choices=("open", "closed"), default="open")
    evaluate.add_argument("--assistant", help="the address of a running Rasa; without it one is started")
    evaluate.set_defaults(run=_evaluate)
    staff = commands.add_parser("staff", help="add a member of staff; the password is printed once")
    staff.add_argument("username")
    staff.add_argument("--name", required=True)
    staff.add_argument("--role", choices=ROLES, required=True)
    staff.add_argument("--team", action="append", default=[])
    staff.set_defaults(run=_staff)
    return parser


async def _serve(settings: Settings, _chosen: argparse.Namespace) -> int:
    from bot.app import serve

    if not settings.assistant_secret:
        raise SettingError("Set FRONTCOUNTER_ASSISTANT_SECRET, the same here and for Rasa.")
    await serve(settings)
    return 0


async def _train(settings: Settings, _chosen: argparse.Namespace) -> int:
    from bot.stack import Stack

    started = time.monotonic()
    async with Stack(settings, settings.models) as stack:
        path = await stack.train()
    _say(f"{path.name} is ready ({time.monotonic() - started:.0f} s).")
    return 0


async def _migrate(settings: Settings, _chosen: argparse.Namespace) -> int:
    from bot.store import Store
    from bot.store.migrate import migrate

    store = Store(settings.database_url)
    try:
        await migrate(store)
    finally:
        await store.close()
    _say("The database is up to date.")
    return 0


async def _staff(settings: Settings, chosen: argparse.Namespace) -> int:
    from bot.accounts import create_staff, new_password
    from bot.store import Store

    store = Store(settings.database_url)
    password = new_password()
    try:
        await create_staff(store, chosen.username, chosen.name, chosen.role, chosen.team, password)
    finally:
        await store.close()
    _say(f"{chosen.username} can sign in with this password, shown only now: {password}")
    return 0


async def _evaluate(settings: Settings, chosen: argparse.Namespace) -> int:
    from bot.evaluate import evaluate, read_lines
    from bot.stack import Stack

    conversations = read_lines(chosen.file)
    if not chosen.out.parent.is_dir():
        raise ContentError(f"The folder {chosen.out.parent} does not exist. Make it first.")
    async with Stack(settings, settings.models) as stack:
        if chosen.assistant:
            own = settings.model_copy(update={"assistant_urls": (chosen.assistant.rstrip("/"),)})
        else:
            await stack.start()
            own = settings.model_copy(
                update={"assistant_urls": (stack.assistant_url,), "assistant_secret": stack.secret}
            )
        started = time.monotonic()
        total = len(conversations)

        def progress(done: int) -> None:
            if done % 250 == 0:
                _say(f"{done} of {total}")

        results = await evaluate(own, conversations, desk_open=chosen.desk == "open", progress=progress)
    with chosen.out.open("w", encoding="utf-8") as out:
        for result in results:
            out.write(json.dumps(result, ensure_ascii=False) + "\n")
    _say(f"{total} conversations in {time.monotonic() - started:.0f} s, written to {chosen.out}.")
    return 0


async def _demo(settings: Settings, _chosen: argparse.Namespace) -> int:
    from bot.accounts import demo_accounts
    from bot.app import prepare, serve
    from bot.stack import Stack
    from bot.store import Store

    own = settings.model_copy(update={"demo": True})
    _ports_are_free(own)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    current = asyncio.current_task()

    def stop() -> None:
        stopping.set()
        if current is not None:
            current.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        async with Stack(own, own.models) as stack:
            _say("Starting the assistant. The first time this trains it, which takes a minute.")
            await stack.start()
            own = own.model_copy(
                update={
                    "assistant_urls": (stack.assistant_url,),
                    "assistant_secret": stack.secret,
                    "redis_url": stack.redis_url,
                }
            )
            store = Store(own.database_url)
            try:
                from bot.assistant import content_from_files

                await prepare(store, content_from_files(own.force, own.data))
                accounts = await demo_accounts(store)
            finally:
                await store.close()
            _welcome(own, accounts)
            await serve(own)
    except asyncio.CancelledError:
        if not stopping.is_set():
            raise
    _say("Stopped.")
    return 0


def _ports_are_free(settings: Settings) -> None:
    from bot.app import listen

    for host, port, name in (
        (settings.public_host, settings.public_port, "FRONTCOUNTER_PUBLIC_PORT"),
        (settings.desk_host, settings.desk_port, "FRONTCOUNTER_DESK_PORT"),
    ):
        with contextlib.closing(listen(host, port, name)):
            pass


def _welcome(settings: Settings, accounts: Sequence[tuple[str, str, str]]) -> None:
    _say()
    _say("Front Counter is running. This is a demonstration: nobody is watching.")
    _say(f"  The public's chat: http://{settings.public_host}:{settings.public_port}/chat")
    _say(f"  The desk:          http://{settings.desk_host}:{settings.desk_port}/desk")
    _say()
    _say("Sign in at the desk with one of these. The passwords are shown only now:")
    for username, password, role in accounts:
        _say(f"  {username:<14}{password:<28}{role}")
    _say()
    _say("Stop with Ctrl-C.")


if __name__ == "__main__":
    sys.exit(main())
