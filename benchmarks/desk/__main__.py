"""`make bench-desk`: the desk with 100 moderators connected, and how it grows; the last line is JSON.

10,000 open and 200,000 closed conversations on PostgreSQL (FRONTCOUNTER_TEST_POSTGRES_URL names the
server; the database is the benchmark's own, and dropped at the end). Two gateways as in production; 100
queue pages, each with its stream of events. Before it, in the same run, the same at a tenth of the size:
the ratio of the two is the growth. Beside each stand two baselines: the rows of the list asked for by the
driver alone, and a page of the same gateway that needs no database.

`ARGS=--tenth` measures only the smaller size, `--sqlite` that on SQLite, `--quick` asks for less of each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.desk.fill import fill
from benchmarks.desk.measure import Found, Plan, Shift
from benchmarks.desk.rows import Size
from benchmarks.desk.system import empty_database, running

POSTGRES = "FRONTCOUNTER_TEST_POSTGRES_URL"
FULL = Size(open=10_000, closed=200_000, moderators=100)
TENTH = 0.1
SHOWN = (
    "list", "claim", "open", "search", "message", "message to first desk", "message to each desk",
    "message to last desk", "alarm to first desk", "alarm to each desk", "alarm to last desk", "overview", "figures of 14 days", "figures of 90 days", "bare select",
    "bare answer",
)  # fmt: skip
EXPECTED = {"list": 50, "claim": 50, "message to each desk": 300, "alarm to each desk": 300}


async def measure(size: Size, plan: Plan, postgres: str, *, keep: str = "") -> Found:
    """Fill a database of this size, and measure the desk on it. `keep`: use this database as it is."""
    with tempfile.TemporaryDirectory(prefix="frontcounter-desk-") as name:
        folder = Path(name)
        if keep:
            async with running(folder, keep) as system:
                return await Shift(system, size, plan, keep).work(_say)
        async with empty_database(postgres, folder, "bench_desk") as url:
            await fill(url, size, _say)
            async with running(folder, url) as system:
                return await Shift(system, size, plan, url).work(_say)


def _say(sentence: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {sentence}", flush=True)


def report(sizes: Sequence[tuple[str, Found]]) -> str:
    """A table: p50 and p99 of each size, and the growth where there are two."""
    heads = "".join(f" {name} p50 | {name} p99 |" for name, _ in sizes)
    growth = len(sizes) == 2
    lines = [
        f"| ms |{heads}{' growth of p50 | growth of p99 |' if growth else ''} expected p99 |",
        "|---|" + "---:|" * (2 * len(sizes) + (3 if growth else 1)),
    ]
    for what in SHOWN:
        if not any(what in found.waits for _, found in sizes):
            continue
        cells = [f"{found.milliseconds(what, share):.1f}" for _, found in sizes for share in (0.5, 0.99)]
        if growth:
            cells += [f"{_growth(sizes, what, share):.2f}" for share in (0.5, 0.99)]
        cells.append(f"< {EXPECTED[what]}" if what in EXPECTED else "")
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _growth(sizes: Sequence[tuple[str, Found]], what: str, share: float) -> float:
    small, large = (found.milliseconds(what, share) for _, found in sizes)
    return large / small if small else math.nan


def as_json(sizes: Sequence[tuple[str, Found]]) -> str:
    """The last line."""
    found = sizes[-1][1]
    told: dict[str, float | None] = {}
    for what in ("list", "claim", "search", "message to each desk", "alarm to each desk"):
        key = what.replace(" ", "_")
        for share, name in ((0.5, "p50"), (0.99, "p99")):
            told[f"{key}_{name}_ms"] = _number(found.milliseconds(what, share))
            if len(sizes) == 2:
                told[f"{key}_{name}_growth"] = _number(_growth(sizes, what, share))
    told["list_to_bare_select_p50"] = _number(
        found.milliseconds("list", 0.5) / found.milliseconds("bare select", 0.5)
    )
    told["failed"] = float(sum(sum(one.failed.values()) for _, one in sizes))
    return json.dumps(told)


def _number(value: float) -> float | None:
    return round(value, 2) if math.isfinite(value) else None


async def run(given: argparse.Namespace) -> int:
    """Measure what was asked for, and print it."""
    postgres = "" if given.sqlite else os.environ.get(POSTGRES, "")
    if not postgres and not given.sqlite:
        print(f"Set {POSTGRES} to the address of a PostgreSQL server, or use ARGS=--sqlite.")
        return 2
    full = replace(FULL, moderators=given.moderators)
    plan = Plan(lists=60, claims=30, searches=30, messages=10, alarms=3, figures=1) if given.quick else Plan()
    wanted = [("a tenth", full.part(TENTH))]
    if not given.tenth and not given.sqlite:
        wanted.append(("full", full))
    sizes: list[tuple[str, Found]] = []
    for name, size in wanted:
        _say(f"{name}: {size.open:,} open, {size.closed:,} closed, {size.moderators} moderators")
        sizes.append((name, await measure(size, plan, postgres)))
    print(report(sizes))
    for name, found in sizes:
        for what, number in found.failed.items():
            print(f"{name}: {number} failed: {what}")
        print(f"{name}: both gateways together hold {found.megabytes:.0f} MB")
    print(as_json(sizes))
    return 0


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="The desk at scale.")
    parser.add_argument("--tenth", action="store_true", help="only a tenth of the size")
    parser.add_argument("--sqlite", action="store_true", help="a tenth of the size, on SQLite")
    parser.add_argument("--quick", action="store_true", help="ask for less of each")
    parser.add_argument("--moderators", type=int, default=FULL.moderators)
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    raise SystemExit(main())
