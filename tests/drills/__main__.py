"""`python -m tests.drills [--fault NAME] [--seed N] [--quick] [--only DRILL]`: all drills, one table.

The last line is one JSON object. The exit code is 0 only when no drill failed and nothing was lost,
doubled, talked over, reordered or leaked.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from bot.settings import load_settings
from bot.stack import RASA_PYTHON, rasa_environment
from bot.stack import Stack as House
from tests.drills import desk_drills, drills, meta_drills, rasa_drills, telegram_drills
from tests.drills.checker import COUNTS, Verdict, check, read_log
from tests.drills.drills import Drill
from tests.drills.gateway import FAULTS
from tests.drills.meta import MetaStack
from tests.drills.processes import ROOT, SECRET, Ports, Postgres, Process, Valkey
from tests.drills.questions import Questions
from tests.drills.stack import DrillFailedError, Stack
from tests.drills.telegram import TelegramStack
from tests.platforms.graph import App

FAULT_DRILLS = {
    "epoch": ("claim_in_flight",),
    "unique": ("delivered_three_times",),
    "lease": ("two_at_once",),
    "outbox": ("busy_platform",),
    "echo": ("echoes",),
    "seal": ("officer_accused",),
    "note": ("private_notes",),
}
"""The drills that are made to show that a protection is missing."""
SHARED = (
    "bad_bodies", "long_text", "strange_text", "commands_as_text", "every_event_of_a_batch",
    "split_sentence", "plain_traffic", "delivered_three_times", "two_at_once", "echoes",
    "busy_platform", "fifty_claims", "claim_in_flight", "officer_accused", "private_notes", "rasa_killed", "rasa_hung", "rasa_rubbish",
    "form_redis_wiped", "form_rasa_away", "redis_wiped_and_stopped",
)  # fmt: skip
"""The drills that share one system of two gateways."""
BY_WEBHOOK = (
    "forged_secret", "delivered_three_times", "shuffled", "claim_in_flight", "busy_platform", "away",
    "database_stopped", "gateways_killed",
)  # fmt: skip
BY_POLLING = ("two_at_once", "away", "store_away", "poller_killed")
"""The drills that Telegram goes through, in each of its two ways."""
BY_GRAPH = (
    "forged_signature", "batch_of_five", "delivered_three_times", "shuffled", "two_at_once", "echoes",
    "claim_in_flight", "busy_platform", "away", "database_stopped", "gateways_killed",
)  # fmt: skip
"""The drills that Messenger and Instagram go through."""

SETTLE_SECONDS = 20.0


@dataclass(slots=True)
class Row:
    """One line of the table."""

    drill: str
    inbound: int
    result: str
    seconds: float


class Run:
    """All drills of one run, what they came to, and what they need."""

    def __init__(self, folder: Path, ports: Ports, seed: int, fault: str | None, only: Sequence[str]) -> None:
        self.folder = folder
        self.ports = ports
        self.seed = seed
        self.fault = fault
        self.only = only
        self.rows: list[Row] = []
        self.verdict = Verdict()
        self.questions = Questions(ROOT / "force" / "northumbria", ROOT / "data")
        self.postgres = Postgres(ports.take(), os.environ.get("FRONTCOUNTER_TEST_POSTGRES_URL", ""))

    def wanted(self, *names: str) -> bool:
        """Whether any of these drills is to run."""
        return not self.only or any(name in self.only for name in names)

    def skip(self, name: str, reason: str) -> None:
        """Say that a drill cannot run here."""
        if self.wanted(name):
            self.rows.append(Row(name, 0, f"skipped: {reason}", 0.0))

    async def drill(self, stack: Stack, name: str, what: Drill) -> None:
        """Run one drill."""
        if not self.wanted(name):
            return
        began, said = time.monotonic(), stack.said
        result = "ok"
        try:
            async with asyncio.timeout(400):
                await what(stack)
                await stack.settle()
        except BaseExceptionGroup as group:
            result = f"failed: {_first(group)}"
        except (DrillFailedError, TimeoutError, RuntimeError) as error:
            result = f"failed: {str(error) or type(error).__name__}"
        except Exception as error:
            traceback.print_exc()
            result = f"failed: {error!r}"
        if result != "ok":
            # What was still on its way is not to be counted as lost.
            await asyncio.sleep(SETTLE_SECONDS)
        row = Row(name, stack.said - said, result, time.monotonic() - began)
        self.rows.append(row)
        print(f"{row.drill:26} {row.inbound:5}  {row.seconds:6.1f} s  {row.result[:200]}", flush=True)

    def judge(self, stack: Stack) -> None:
        """Let the checker read the logs of a stack that has stopped."""
        told = list(map(stack.reader(), read_log(stack.followed_log)))
        found = check(read_log(stack.folder / "generator.jsonl"), told)
        self.verdict.add(found)
        for row in self.rows:
            blamed = [name for name, drill, _ in found.findings if drill == row.drill]
            if blamed and row.result == "ok":
                counted = {name: blamed.count(name) for name in dict.fromkeys(blamed)}
                row.result = "failed: " + ", ".join(f"{name} {n}" for name, n in counted.items())

    @property
    def failed(self) -> list[str]:
        """The drills that did not end well."""
        return [row.drill for row in self.rows if row.result.startswith("failed")]


def _first(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__


async def with_stand_in(run: Run, quick: bool) -> None:
    """Two gateways on one PostgreSQL (or SQLite, where there is none), and a stand-in for Rasa."""
    if not run.wanted(*SHARED, "database_stopped", "gateways_killed"):
        return
    if run.postgres.why_not:
        if not run.only:
            run.skip("two_gateways_on_postgresql", f"{run.postgres.why_not}, SQLite is used")
        address = f"sqlite+aiosqlite:///{run.folder / 'two.db'}"
    else:
        await asyncio.to_thread(run.postgres.start)
        address = await run.postgres.database(f"drill_{os.getpid()}")
    redis = Valkey(run.folder, run.ports.take())
    redis.start()
    stack = Stack(
        "two", run.folder, run.ports, run.questions, database_url=address, gateways=2, redis=redis,
        seed=run.seed, fault=run.fault,
    )  # fmt: skip
    try:
        await stack.start()
        for name in SHARED:
            await run.drill(stack, name, _named(name, drills, desk_drills, rasa_drills))
        if run.postgres.is_ours:
            await run.drill(stack, "database_stopped", drills.database_stopped(run.postgres))
        else:
            run.skip("database_stopped", run.postgres.why_not or "this PostgreSQL is not ours to stop")
        kills = 4 if quick else 24
        name = "gateways_killed"
        await run.drill(stack, name, drills.gateways_killed(name, kills, 10, 8))
    finally:
        await stack.stop()
        redis.kill()
        run.judge(stack)
        await run.postgres.drop_all()
        await asyncio.to_thread(run.postgres.remove)


async def with_telegram(run: Run, quick: bool) -> None:
    """Two gateways on one PostgreSQL, called by a Telegram of our own; then two that ask it for news."""
    ways = {"webhook": BY_WEBHOOK, "poll": BY_POLLING}
    wanted = {
        mode: [name for name in names if run.wanted(f"telegram_{mode}_{name}")]
        for mode, names in ways.items()
    }
    if not any(wanted.values()):
        return
    if run.postgres.why_not:
        if not run.only:
            run.skip("telegram", run.postgres.why_not)
        return
    await asyncio.to_thread(run.postgres.start)
    try:
        for mode, names in wanted.items():
            if names:
                await _by_telegram(run, mode, names, quick)
    finally:
        await run.postgres.drop_all()
        await asyncio.to_thread(run.postgres.remove)


async def _by_telegram(run: Run, mode: str, names: Sequence[str], quick: bool) -> None:
    redis = Valkey(run.folder, run.ports.take())
    redis.start()
    stack = TelegramStack(
        f"telegram-{mode}", run.folder, run.ports, run.questions, mode=mode,
        database_url=await run.postgres.database(f"drill_{os.getpid()}_{mode}"), gateways=2,
        redis=redis, seed=run.seed, fault=run.fault,
    )  # fmt: skip
    try:
        await stack.start()
        for name in names:
            row = f"telegram_{mode}_{name}"
            if name in ("database_stopped", "store_away") and not run.postgres.is_ours:
                run.skip(row, "this PostgreSQL is not ours to stop")
            else:
                await run.drill(stack, row, _for_telegram(run, name, quick))
    finally:
        await stack.stop()
        redis.kill()
        run.judge(stack)


async def with_meta(run: Run, quick: bool) -> None:
    """Two gateways on one PostgreSQL, called by a Messenger of our own; then two called by an Instagram."""
    channels = ("messenger", "instagram")
    wanted = {channel: [name for name in BY_GRAPH if run.wanted(f"{channel}_{name}")] for channel in channels}
    if not any(wanted.values()):
        return
    if run.postgres.why_not:
        if not run.only:
            run.skip("messenger_and_instagram", run.postgres.why_not)
        return
    await asyncio.to_thread(run.postgres.start)
    try:
        for channel, names in wanted.items():
            if names:
                await _by_graph(run, App(channel), names, quick)
    finally:
        await run.postgres.drop_all()
        await asyncio.to_thread(run.postgres.remove)


async def _by_graph(run: Run, app: App, names: Sequence[str], quick: bool) -> None:
    redis = Valkey(run.folder, run.ports.take())
    redis.start()
    stack = MetaStack(
        app.name, run.folder, run.ports, run.questions, app=app,
        database_url=await run.postgres.database(f"drill_{os.getpid()}_{app.name}"), gateways=2,
        redis=redis, seed=run.seed, fault=run.fault,
    )  # fmt: skip
    try:
        await stack.start()
        for name in names:
            row = f"{app.name}_{name}"
            if name == "database_stopped" and not run.postgres.is_ours:
                run.skip(row, "this PostgreSQL is not ours to stop")
            else:
                await run.drill(stack, row, _for_graph(run, name, quick))
    finally:
        await stack.stop()
        redis.kill()
        run.judge(stack)


def _for_graph(run: Run, name: str, quick: bool) -> Drill:
    """A drill of Messenger's and Instagram's own, or one that every platform has."""
    if name == "gateways_killed":
        return drills.gateways_killed(name, 2 if quick else 8, 8, 6)
    if name == "database_stopped":
        return drills.database_stopped(run.postgres)
    return _named(name, meta_drills, drills, desk_drills)


def _named(name: str, *places: ModuleType) -> Drill:
    """The drill of that name."""
    found: Drill = next(vars(place)[name] for place in places if name in vars(place))
    return found


def _for_telegram(run: Run, name: str, quick: bool) -> Drill:
    """A drill of Telegram's own, or one that every platform has."""
    if name == "poller_killed":
        return telegram_drills.poller_killed(2 if quick else 6)
    if name == "gateways_killed":
        return drills.gateways_killed(name, 2 if quick else 8, 8, 6)
    if name == "database_stopped":
        return drills.database_stopped(run.postgres)
    if name == "store_away":
        return telegram_drills.store_away(run.postgres)
    return _named(name, telegram_drills, drills, desk_drills)


async def with_sqlite(run: Run, quick: bool) -> None:
    """One gateway on SQLite, without Redis: the smallest house."""
    if not run.wanted("one_gateway_killed"):
        return
    address = f"sqlite+aiosqlite:///{run.folder / 'one.db'}"
    stack = Stack(
        "one", run.folder, run.ports, run.questions, database_url=address, gateways=1, redis=None,
        seed=run.seed, fault=run.fault,
    )  # fmt: skip
    try:
        await stack.start()
        name = "one_gateway_killed"
        await run.drill(stack, name, drills.gateways_killed(name, 2 if quick else 8, 8, 6))
    finally:
        await stack.stop()
        run.judge(stack)


async def with_rasa(run: Run) -> None:
    """One gateway, the real Rasa and its action server: for what a stand-in cannot show."""
    names = ("real_form_redis_wiped", "real_form_model_swapped", "real_rasa_killed")
    if not run.wanted(*names):
        return
    if not RASA_PYTHON.exists():
        for name in names:
            run.skip(name, "the assistant's environment is missing")
        return
    redis = Valkey(run.folder, run.ports.take())
    redis.start()
    house = House(load_settings(), load_settings().models)
    actions, rasa, swapped, stack = None, None, None, None
    try:
        model = await house.train()
        other = run.folder / "swapped" / model.name
        other.parent.mkdir()
        # The same model in other bytes: its sha256, by which releases are known, is another.
        other.write_bytes(gzip.compress(gzip.decompress(model.read_bytes()), 1))
        actions_port, rasa_port = run.ports.take(), run.ports.take()
        environment = rasa_environment(
            FRONTCOUNTER_ASSISTANT_SECRET=SECRET,
            FRONTCOUNTER_REDIS_URL=redis.url,
            FRONTCOUNTER_ACTIONS_URL=f"http://127.0.0.1:{actions_port}/webhook",
            SANIC_HOST="127.0.0.1",
        )

        def replica(name: str, path: Path) -> Process:
            return Process(
                name,
                [
                    str(RASA_PYTHON), "-m", "rasa", "run", "--model", str(path), "--endpoints",
                    "endpoints.production.yml", "--credentials", "credentials.yml", "--interface",
                    "127.0.0.1", "--port", str(rasa_port),
                ],
                run.folder, environment,
                health=f"http://127.0.0.1:{rasa_port}/webhooks/gateway/status",
                headers={"X-Front-Counter-Secret": SECRET},
            )  # fmt: skip

        actions = Process(
            "actions",
            [str(RASA_PYTHON), "-m", "rasa_sdk", "--actions", "actions", "--port", str(actions_port)],
            run.folder, environment, health=f"http://127.0.0.1:{actions_port}/health",
        )  # fmt: skip
        rasa, swapped = replica("real-rasa", model), replica("real-rasa-swapped", other)
        actions.start()
        rasa.start()
        await actions.ready()
        await rasa.ready(180)
        stack = Stack(
            "real", run.folder, run.ports, run.questions,
            database_url=f"sqlite+aiosqlite:///{run.folder / 'real.db'}", gateways=1, redis=redis,
            seed=run.seed, fault=run.fault, assistant_urls=f"http://127.0.0.1:{rasa_port}",
        )  # fmt: skip
        await stack.start()
        await run.drill(stack, names[0], rasa_drills.real_form_redis_wiped)
        await run.drill(stack, names[1], rasa_drills.real_form_model_swapped(rasa, swapped))
        await run.drill(stack, names[2], rasa_drills.real_rasa_killed(swapped))
    finally:
        if stack is not None:
            await stack.stop()
            run.judge(stack)
        for process in (rasa, swapped, actions):
            if process is not None:
                await asyncio.to_thread(process.stop)
        await house.stop()
        redis.kill()


async def all_drills(run: Run, quick: bool) -> None:
    """Everything, one system after another."""
    await with_stand_in(run, quick)
    await with_sqlite(run, quick)
    await with_telegram(run, quick)
    await with_meta(run, quick)
    await with_rasa(run)


def report(run: Run) -> int:
    """Print the table and the JSON object. Returns the exit code."""
    print()
    width = max(len(row.drill) for row in run.rows)
    print(f"{'drill'.ljust(width)}  inbound  seconds  result")
    for row in run.rows:
        print(f"{row.drill.ljust(width)}  {row.inbound:7}  {row.seconds:7.1f}  {row.result}")
    for name, _, what in run.verdict.findings[:40]:
        print(f"  {name}: {what}")
    counts = {name: run.verdict.count(name) for name in COUNTS}
    print(
        json.dumps(
            {
                "drills": len(run.rows),
                "failed": run.failed,
                "inbound": run.verdict.inbound,
                "replies": run.verdict.replies,
                "kills": run.verdict.kills,
                "claims": run.verdict.claims,
                "seed": run.seed,
                **counts,
            }
        )
    )
    return 1 if run.failed or any(counts.values()) else 0


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="drills", description="Break things, and watch the logs.")
    parser.add_argument("--fault", choices=sorted(FAULTS), help="take one protection away")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--quick", action="store_true", help="fewer kills")
    parser.add_argument("--only", action="append", default=[], help="one drill, by name")
    parser.add_argument("--ports", type=int, default=6300, help="the first of a hundred ports")
    parser.add_argument("--keep", type=Path, help="keep the logs in this folder")
    given = parser.parse_args()
    # So that what was started is stopped on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    only = given.only or list(FAULT_DRILLS.get(given.fault or "", ()))
    folder = given.keep or Path(tempfile.mkdtemp(prefix="fc-drills-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        run = Run(folder, Ports(given.ports, given.ports + 99), given.seed, given.fault, only)
        asyncio.run(all_drills(run, given.quick))
        return report(run)
    finally:
        if given.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
