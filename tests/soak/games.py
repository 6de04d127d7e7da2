"""The state machine of the invariants, played for long before the traffic begins (tests/invariants)."""

from __future__ import annotations

import asyncio
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

from tests.drills.processes import ROOT, Ports, Postgres
from tests.invariants.games import ON_POSTGRESQL
from tests.support.databases import POSTGRES

GAMES = 2000
PLACES = {
    "sqlite": "tests/invariants/test_machine.py",
    "postgresql": "tests/invariants/test_machine_postgresql.py",
}


async def play(folder: Path, ports: Ports, games: int, seed: int) -> dict[str, Any]:
    """Play so many games, on both kinds of database where there is a PostgreSQL. Returns what came of it.

    What a broken game was is in `games-*.log` in that folder, with the steps that lead there.
    """
    began = time.monotonic()
    postgres = Postgres(ports.take(), os.environ.get(POSTGRES, ""))
    if postgres.why_not:
        # Two halves, each with a seed of its own.
        each = math.ceil(games / 2 / (1 - ON_POSTGRESQL))
        plays = [_one(folder, "sqlite", each, seed + number, "") for number in range(2)]
    else:
        await asyncio.to_thread(postgres.start)
        address = await postgres.database(f"games_{os.getpid()}")
        plays = [_one(folder, kind, games, seed, address) for kind in ("sqlite", "postgresql")]
    try:
        problems = [problem for problem in await asyncio.gather(*plays) if problem]
    finally:
        await postgres.drop_all()
        await asyncio.to_thread(postgres.remove)
    return {
        "games": games,
        "ok": not problems,
        "databases": ["sqlite"] if postgres.why_not else ["sqlite", "postgresql"],
        "seed": seed,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "problems": problems,
    }


async def _one(folder: Path, kind: str, examples: int, seed: int, address: str) -> str:
    """One process' share. Returns what broke, or nothing."""
    log = folder / f"games-{kind}-{seed}.log"
    environment = {**os.environ, "FRONTCOUNTER_TEST_EXAMPLES": str(examples), POSTGRES: address}
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--hypothesis-seed={seed}", PLACES[kind],
            cwd=ROOT, env=environment, stdout=out, stderr=out, stdin=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            process.terminate()
            await process.wait()
            raise
    lines = log.read_text("utf-8", "replace").splitlines()
    if code == 0 and any(" passed" in line and " skipped" not in line for line in lines[-3:]):
        return ""
    said = [line for line in lines if line.startswith("E ")][:3] or lines[-3:]
    return f"the state machine on {kind}: {' | '.join(line.strip() for line in said)} ({log})"
