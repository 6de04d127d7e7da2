"""`python -m tests.simulation [--people N] [--moderators N] [--hours N] [--seed N] [--on sqlite,postgresql]`.

Plays a shift on each database and prints what it came to. The last line is one JSON object. The exit code is 0
only when nothing was lost, doubled or dropped, nobody was answered twice, and every figure adds up.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import structlog

from tests.drills.processes import Ports, Postgres
from tests.simulation.reckoning import reckon
from tests.simulation.shift import Size, a_shift
from tests.support.databases import POSTGRES, PostgresTemplates, SqliteTemplates


def play(database_url: str, size: Size, seed: int) -> dict[str, Any]:
    """One shift. Returns what goes into the JSON object."""

    async def run() -> dict[str, Any]:
        began = time.monotonic()
        async with a_shift(database_url, size, seed) as shift:
            await shift.run()
            found = await reckon(shift)
            messages = len(shift.public.accepted)
            sent = len(shift.platform.arrived)
        width = max(len(name) for name, _ in found.lines)
        for name, value in found.lines:
            print(f"  {name.ljust(width)}  {value}", flush=True)
        for problem in found.problems[:40]:
            print(f"  ! {problem}", flush=True)
        seconds = round(time.monotonic() - began, 1)
        return {"messages": messages, "sent": sent, "problems": len(found.problems), "seconds": seconds}

    return asyncio.run(run())


def on_each(kinds: list[str], ports: Ports, size: Size, seed: int) -> dict[str, Any]:
    """A shift on each kind of database that there is."""
    results: dict[str, Any] = {}
    if "sqlite" in kinds:
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        with tempfile.TemporaryDirectory(prefix="fc-shift-", dir=memory) as folder:
            print("On SQLite:")
            results["sqlite"] = play(SqliteTemplates(Path(folder)).fresh(), size, seed)
    if "postgresql" in kinds:
        postgres = Postgres(ports.take(), os.environ.get(POSTGRES, ""))
        if postgres.why_not:
            print(f"Not on PostgreSQL: {postgres.why_not}.")
            return results
        postgres.start()
        try:
            address = asyncio.run(postgres.database(f"shift_{os.getpid()}"))
            templates = PostgresTemplates(address)
            try:
                url = templates.fresh()
                print("On PostgreSQL:")
                results["postgresql"] = play(url, size, seed)
                templates.drop(url)
            finally:
                templates.close()
        finally:
            asyncio.run(postgres.drop_all())
            postgres.remove()
    return results


def main() -> int:
    """Read the command line and play."""
    parser = argparse.ArgumentParser(
        prog="shift", description="Eight hours of the desk, with the clock moved."
    )
    size = Size()
    parser.add_argument("--people", type=int, default=size.people)
    parser.add_argument("--moderators", type=int, default=size.moderators)
    parser.add_argument("--hours", type=float, default=size.hours)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--on", default="sqlite,postgresql", help="the databases")
    parser.add_argument("--ports", type=int, default=6700, help="the first of a hundred ports")
    given = parser.parse_args()
    # So that what was started is stopped on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    chosen = Size(people=given.people, moderators=given.moderators, hours=given.hours)
    ports = Ports(given.ports, given.ports + 99)
    results = on_each(given.on.split(","), ports, chosen, given.seed)
    problems = sum(result["problems"] for result in results.values())
    print(
        json.dumps(
            {"ok": bool(results) and not problems, "seed": given.seed, "people": given.people, **results}
        )
    )
    return 0 if results and not problems else 1


if __name__ == "__main__":
    sys.exit(main())
