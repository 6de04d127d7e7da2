"""`python -m tests.drills.restore [--seconds 40] [--only sqlite|postgresql]`: lose everything, count what is missing.

For each kind of database, under traffic of made-up people on the loopback platform:

1. A backup while serving; then `kill -9` of every gateway, of the stand-in for Rasa and of the database
   itself; then a start on the same files. Nothing that was answered 200 may be missing.
2. A clean stop, a backup, a restore into a new database, a start on that. Nothing lost, nothing doubled.
3. A restore of the first backup. Whatever was answered 200 before it began is there.

The last line is one JSON object; the exit code is 0 only when every count is 0.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from sqlalchemy import select

from bot.store import Store
from bot.store.tables import Message
from tests.drills.checker import Record, check, read_log
from tests.drills.processes import ROOT, Ports, Postgres
from tests.drills.questions import Questions
from tests.drills.stack import DrillFailedError, Stack

DRILL = "restore"
COUNTS = ("lost", "doubled", "reordered", "talked_over", "missing_after_kill", "missing_after_restore",
          "missing_from_live_backup")  # fmt: skip


class KillablePostgres(Postgres):
    """A PostgreSQL of our own that can be killed. (Its files survive that without fsync; a power cut is not played.)"""

    def kill(self) -> None:
        """End every process of it with -9, the first one first."""
        assert self._folder is not None
        pid = int((self._folder / "data" / "postmaster.pid").read_text("utf-8").split()[0])
        first = psutil.Process(pid)
        children = first.children(recursive=True)
        first.kill()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs([first, *children], timeout=20)


@dataclass
class Counted:
    """What one run came to."""

    inbound: int = 0
    replies: int = 0
    before_live_backup: int = 0
    rows: int = 0
    backup_seconds: float = 0.0
    restore_seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    findings: list[str] = field(default_factory=list)


class Run:
    """One kind of database, from the first message to the last count."""

    def __init__(self, kind: str, folder: Path, ports: Ports, seed: int, seconds: float) -> None:
        self.kind = kind
        self.folder = folder
        self.ports = ports
        self.seed = seed
        self.seconds = seconds
        self.found = Counted()
        self.postgres = KillablePostgres(ports.take(), os.environ.get("FRONTCOUNTER_TEST_POSTGRES_URL", ""))
        self.key = folder / "backup.key"
        self._stack: Stack | None = None
        self._url = ""

    @property
    def stack(self) -> Stack:
        """The running system."""
        assert self._stack is not None
        return self._stack

    async def database(self, name: str) -> str:
        """The address of a new, empty database."""
        if self.kind == "sqlite":
            return f"sqlite+aiosqlite:///{self.folder / name}.db"
        return await self.postgres.database(f"restore_{name}_{os.getpid()}")

    def command(self, *words: str, url: str = "") -> str:
        """Run `frontcounter`, as an operator does.

        Raises:
            DrillFailedError: it did not end well.
        """
        done = subprocess.run(
            [sys.executable, "-m", "bot.cli", *words],
            cwd=ROOT,
            env={
                **os.environ,
                "FRONTCOUNTER_DATABASE_URL": url or self._url,
                "FRONTCOUNTER_BACKUP_KEY_FILE": f"{self.key}.pub",
                "FRONTCOUNTER_SECRET_KEY": "the secret key of the drills, long enough",
                "FRONTCOUNTER_MODELS": str(self.folder / "models"),
                "FRONTCOUNTER_LOG_LEVEL": "WARNING",
            },
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        if done.returncode != 0:
            raise DrillFailedError(f"frontcounter {words[0]}: {done.stderr.strip()[-500:]}")
        return done.stdout

    async def go(self) -> Counted:
        """Everything in turn."""
        if self.kind == "postgresql":
            await asyncio.to_thread(self.postgres.start)
        try:
            await self._go()
        finally:
            if self._stack is not None:
                await self._stack.stop()
            await self.postgres.drop_all()
            await asyncio.to_thread(self.postgres.remove)
        self._judge()
        return self.found

    async def _go(self) -> None:
        self._url = await self.database("first")
        questions = Questions(ROOT / "force" / "northumbria", ROOT / "data")
        self._stack = Stack(
            self.kind, self.folder, self.ports, questions, database_url=self._url,
            gateways=1 if self.kind == "sqlite" else 2, redis=None, seed=self.seed,
        )  # fmt: skip
        self.command("backup-key", "--out", str(self.key))
        await self.stack.start()
        live = self.folder / "live.backup"
        async with _Traffic(self.stack):
            await asyncio.sleep(self.seconds / 2)
            before = self.taken()
            self.found.before_live_backup = len(before)
            self.say(f"backup while serving, {len(before)} messages taken so far")
            await asyncio.to_thread(self.command, "backup", "--out", str(live))
            await asyncio.sleep(self.seconds / 2)
            await self.kill_everything()
            await self.start_again()
            await asyncio.sleep(self.seconds / 4)
        await self.stack.settle()
        await asyncio.sleep(3)
        self.found.counts["missing_after_kill"] = len(self.taken() - await self.stored(self._url))
        await self.restore_after_a_clean_stop()
        other = await self.database("live")
        await asyncio.to_thread(self.command, "restore", str(live), "--key", str(self.key), url=other)
        self.found.counts["missing_from_live_backup"] = len(before - await self.stored(other))

    async def kill_everything(self) -> None:
        """Every process of ours at once, without a word."""
        self.say("kill -9 of everything")
        stack = self.stack
        for number in range(len(stack.gateways)):
            stack.kill_gateway(number)
        if stack.stand_in is not None:
            stack.stand_in.kill()
        if self.kind == "postgresql" and self.postgres.is_ours:
            await asyncio.to_thread(self.postgres.kill)

    async def start_again(self) -> None:
        """On the same files."""
        stack = self.stack
        if self.kind == "postgresql" and self.postgres.is_ours:
            await asyncio.to_thread(self.postgres.start)
        if stack.stand_in is not None:
            stack.stand_in.start()
            await stack.stand_in.ready()
        for gateway in stack.gateways:
            gateway.start()
            await gateway.ready()

    async def restore_after_a_clean_stop(self) -> None:
        """Stop as an operator does, back up, restore, and go on with the new database."""
        stack = self.stack
        async with _Traffic(stack):
            await asyncio.sleep(self.seconds / 4)
            self.say("clean stop in the middle of the traffic, backup, restore into a new database")
            for gateway in stack.gateways:
                gateway.signal(signal.SIGTERM)
            for gateway in stack.gateways:
                await asyncio.to_thread(gateway.stop, 60.0)
            held = self.taken()
            path = self.folder / "clean.backup"
            began = time.monotonic()
            said = await asyncio.to_thread(self.command, "backup", "--out", str(path))
            self.found.backup_seconds = round(time.monotonic() - began, 2)
            self.found.rows = int(said.split(" holds ")[1].split()[0])
            new = await self.database("second")
            began = time.monotonic()
            await asyncio.to_thread(self.command, "restore", str(path), "--key", str(self.key), url=new)
            self.found.restore_seconds = round(time.monotonic() - began, 2)
            self.found.counts["missing_after_restore"] = len(held - await self.stored(new))
            self._url = new
            for gateway in stack.gateways:
                gateway.environment["FRONTCOUNTER_DATABASE_URL"] = new
                gateway.start()
                await gateway.ready()
            await asyncio.sleep(self.seconds / 4)
        await stack.settle()
        await asyncio.sleep(5)
        missing = self.taken() - await self.stored(new)
        self.found.counts["missing_after_restore"] += len(missing)

    def taken(self) -> set[str]:
        """The messages that were answered 200, by the platform's log."""
        return {
            name
            for record in read_log(self.stack.platform_log)
            if record["what"] == "delivery" and record["status"] == 200
            for name in record["ids"]
        }

    async def stored(self, url: str) -> set[str]:
        """The messages that a database holds."""
        store = Store(url)
        try:
            async with store.read() as connection:
                found = await connection.execute(
                    select(Message.platform_id).where(Message.channel == "loopback")
                )
                return set(found.scalars())
        finally:
            await store.close()

    def _judge(self) -> None:
        generator: list[Record] = read_log(self.stack.folder / "generator.jsonl")
        verdict = check(generator, read_log(self.stack.platform_log))
        self.found.inbound, self.found.replies = verdict.inbound, verdict.replies
        for name in ("lost", "doubled", "reordered", "talked_over"):
            self.found.counts[name] = verdict.count(name)
        self.found.findings = [f"{name}: {what}" for name, _, what in verdict.findings]

    def say(self, what: str) -> None:
        """One line for whoever watches."""
        print(f"{self.kind:11} {what}", flush=True)


class _Traffic:
    """People who ask one question after another, and some who are with a member of staff."""

    def __init__(self, stack: Stack, people: int = 6) -> None:
        self._stack = stack
        self._people = people
        self._over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> _Traffic:
        self._tasks = [asyncio.create_task(self._one()) for _ in range(self._people)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await asyncio.gather(*self._tasks)

    async def _one(self) -> None:
        stack = self._stack
        while not self._over.is_set():
            person = stack.person(DRILL)
            await stack.converse(person, stack.questions.some(stack.chance, 4), pause=0.3)


async def all_kinds(
    kinds: list[str], folder: Path, ports: Ports, seed: int, seconds: float
) -> dict[str, Counted]:
    """One kind after another."""
    found = {}
    for kind in kinds:
        run = Run(kind, folder / kind, ports, seed, seconds)
        run.folder.mkdir(parents=True)
        if kind == "postgresql" and run.postgres.why_not:
            run.say(f"skipped: {run.postgres.why_not}")
            continue
        found[kind] = await run.go()
        for line in found[kind].findings[:20]:
            run.say(line)
    return found


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="restore", description="Lose everything, count what is missing.")
    parser.add_argument("--seconds", type=float, default=40, help="how long people write, about")
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--ports", type=int, default=6500, help="the first of fifty ports")
    parser.add_argument("--keep", type=Path, help="keep the logs in this folder")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = given.keep or Path(tempfile.mkdtemp(prefix="fc-restore-"))
    folder.mkdir(parents=True, exist_ok=True)
    kinds = [given.only] if given.only else ["sqlite", "postgresql"]
    try:
        found = asyncio.run(
            all_kinds(kinds, folder, Ports(given.ports, given.ports + 49), given.seed, given.seconds)
        )
    finally:
        if given.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    totals = {name: sum(one.counts[name] for one in found.values()) for name in COUNTS}
    print(
        json.dumps(
            {
                "seed": given.seed,
                **{
                    kind: {
                        "inbound": one.inbound, "replies": one.replies, "rows": one.rows,
                        "before_live_backup": one.before_live_backup,
                        "backup_seconds": one.backup_seconds, "restore_seconds": one.restore_seconds,
                    }
                    for kind, one in found.items()
                },
                **totals,
            }
        )
    )  # fmt: skip
    return 1 if any(totals.values()) or not found or any(one.inbound == 0 for one in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
