"""serve, demo, train, migrate, evaluate."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from bot.commands import Commands, say
from bot.errors import ContentError, SettingError
from bot.settings import Settings


def add(commands: Commands) -> None:
    """Add the parsers."""
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


async def _serve(settings: Settings, _chosen: argparse.Namespace) -> int:
    from bot.accounts import check_key
    from bot.app import serve

    if not settings.assistant_secret:
        raise SettingError("Set FRONTCOUNTER_ASSISTANT_SECRET, the same here and for Rasa.")
    check_key(settings)
    await serve(settings)
    return 0


async def _train(settings: Settings, _chosen: argparse.Namespace) -> int:
    from bot.stack import Stack

    started = time.monotonic()
    async with Stack(settings, settings.models) as stack:
        path = await stack.train()
    say(f"{path.name} is ready ({time.monotonic() - started:.0f} s).")
    return 0


async def _migrate(settings: Settings, _chosen: argparse.Namespace) -> int:
    from bot.store import Store
    from bot.store.migrate import migrate

    store = Store(settings.database_url)
    try:
        await migrate(store)
    finally:
        await store.close()
    say("The database is up to date.")
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
                say(f"{done} of {total}")

        results = await evaluate(own, conversations, desk_open=chosen.desk == "open", progress=progress)
    with chosen.out.open("w", encoding="utf-8") as out:
        for result in results:
            out.write(json.dumps(result, ensure_ascii=False) + "\n")
    say(f"{total} conversations in {time.monotonic() - started:.0f} s, written to {chosen.out}.")
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
            say("Starting the assistant. The first time this trains it, which takes a minute.")
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
    say("Stopped.")
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
    say()
    say("Front Counter is running. This is a demonstration: nobody is watching.")
    say(f"  The public's chat: http://{settings.public_host}:{settings.public_port}/chat")
    say(f"  The desk:          http://{settings.desk_host}:{settings.desk_port}/desk")
    say()
    say("Sign in at the desk with one of these. The passwords are shown only now:")
    for username, password, role in accounts:
        say(f"  {username:<14}{password:<28}{role}")
    say()
    say("Stop with Ctrl-C.")
