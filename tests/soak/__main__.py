"""`python -m tests.soak --minutes 30 [--seed N] [--out FOLDER] [--postgres own|URL]`.

First the state machine of the invariants is played, `--games` times. The last line is one JSON object. The
exit code is 0 only when every game kept the invariants, nothing was lost, doubled, talked over or reordered,
nobody was left without an answer, no process ended by itself, and memory stayed flat.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bot.stack import RASA_PYTHON
from tests.drills.checker import COUNTS, Delivered, Verdict, check, delivered, read_log
from tests.drills.processes import ROOT, Ports
from tests.drills.stack import DrillFailedError
from tests.soak import games, judge, moments
from tests.soak.samples import Sampler
from tests.soak.sources import SOURCES
from tests.soak.system import System
from tests.soak.traffic import Traffic

LOAD = 0.7
"""Of the capacity."""
RESTARTS_FROM, RESTARTS_TO = 0.35, 0.65
"""The part of the run in which everything is restarted; before and after it is calm."""
MESSAGES_A_MINUTE = 20_000 / 30
"""At least. A slower machine takes longer, at most `LONGER` times as long."""
LONGER = 1.5
SETTLE_SECONDS = 10.0
"""After a restart, until its effects count as over."""


class Soak:
    """One run."""

    def __init__(self, system: System, folder: Path, minutes: float) -> None:
        self.system = system
        self.folder = folder
        self.seconds = minutes * 60
        self.windows: list[tuple[float, float]] = []
        self.restarts: list[dict[str, Any]] = []
        self.capacity = 0.0
        self.zero = 0.0
        self.traffic: Traffic
        self.sampler: Sampler

    async def run(self) -> None:
        """From the first question to the last answer."""
        stack = self.system.stack
        self.traffic = Traffic(stack, self.system.sources)
        for source in self.system.sources:
            await source.begin()
        known = await self.traffic.learn()
        say(
            f"The assistant answers {known} of {len(stack.questions.slugs)} questions as the checker expects."
        )
        self.capacity = await self.traffic.capacity(min(20.0, max(4.0, self.seconds / 60)))
        rate = self.capacity * LOAD
        say(f"Capacity: {self.capacity:.1f} messages a second. The soak runs at {rate:.1f}.")
        self.traffic.tally.latencies.clear()
        self.zero = time.time()
        self.sampler = Sampler(self.system, self.traffic, self.folder, self.zero)
        begun, said = time.monotonic(), stack.said
        until, latest = begun + self.seconds, begun + self.seconds * LONGER
        wanted = said + self.seconds / 60 * MESSAGES_A_MINUTE

        def is_enough() -> bool:
            now = time.monotonic()
            return now >= latest or (now >= until and stack.said >= wanted)

        watching = asyncio.create_task(self.sampler.run())
        try:
            async with asyncio.TaskGroup() as group:
                restarts = group.create_task(self._restart_all())
                group.create_task(self.traffic.flow(rate, is_enough, restarts))
            await self.traffic.drain()
            await stack.settle()
            for source in self.system.sources:
                await source.settle()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            self.sampler.close()

    async def _restart_all(self) -> None:
        first, last = self.seconds * RESTARTS_FROM, self.seconds * RESTARTS_TO
        for due, name, how in moments.draw(self.system.plan(), first, last, self.system.stack.chance):
            await asyncio.sleep(max(0.0, self.zero + due - time.time()))
            began = time.time() - self.zero
            await self.system.restart(name, how)
            ready = time.time() - self.zero
            self.windows.append((began, ready + SETTLE_SECONDS))
            self.restarts.append(
                {"process": name, "how": how, "at": round(began, 1), "ready": round(ready, 1)}
            )
            say(f"{began:6.0f} s  {name} ({how}), back after {ready - began:.1f} s")

    # ---- afterwards ----------------------------------------------------------------------------

    def verdict(self) -> Verdict:
        """What the logs say, read once everything has stopped."""
        told = [record for source in self.system.sources for record in read_log(source.log)]
        return check(read_log(self.system.stack.folder / "generator.jsonl"), told)

    def deliveries(self) -> dict[str, Delivered]:
        """How often each way in delivered what people wrote."""
        written = read_log(self.system.stack.folder / "generator.jsonl")
        return {source.name: delivered(written, read_log(source.log)) for source in self.system.sources}

    def trends(self) -> list[judge.Trend]:
        """The memory of every generation of every process of the product."""
        found = [
            judge.trend(name, generation, points, self.seconds)
            for (name, generation), points in sorted(self.sampler.memory.items())
        ]
        return [one for one in found if one is not None]

    def write_minutes(self) -> None:
        """Latency and traffic of each minute, for each source."""
        cells: dict[tuple[int, str], list[float]] = defaultdict(list)
        for at, source, seconds in self.traffic.tally.latencies:
            cells[int((at - self.zero) // 60), source].append(seconds)
        with (self.folder / "minutes.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["minute", "source", "messages", "p50_ms", "p99_ms"])
            for (minute, source), values in sorted(cells.items()):
                half, most = judge.percentile(values, 0.5), judge.percentile(values, 0.99)
                rows.writerow(
                    [minute, source, len(values), round((half or 0) * 1000, 1), round((most or 0) * 1000, 1)]
                )

    def summary(self) -> dict[str, Any]:
        """The last line."""
        tally, found, trends = self.traffic.tally, self.verdict(), self.trends()
        ways = self.deliveries()
        points = [(at - self.zero, seconds) for at, _, seconds in tally.latencies]
        calm_points = set(judge.outside(points, self.windows))
        calm = [seconds for _, seconds in calm_points]
        counts = {name: found.count(name) for name in (*COUNTS, "undelivered")}
        growing = [one for one in trends if not one.is_flat]
        problems = [
            *(f"{name}: {what}" for name, _, what in found.findings[:20]),
            *(f"gave up: {one}" for one in tally.gave_up[:10]),
            *tally.problems[:10],
            *(f"ended by itself: {one}" for one in self.sampler.died[:5]),
            *(f"grows: {one.process} by {one.growth:.0%} over half the run" for one in growing),
        ]
        judged = sum(one.judged for one in trends)
        return {
            "ok": not (problems or any(counts.values())),
            "minutes": round(self.seconds / 60, 1),
            "seed": self.system.seed,
            "sources": [source.name for source in self.system.sources],
            "database": "postgresql" if self.system.postgres else "sqlite",
            "capacity_per_second": round(self.capacity, 1),
            "offered_per_second": round(self.capacity * LOAD, 1),
            "conversations": tally.conversations,
            "not_begun": tally.not_begun,
            "inbound": found.inbound,
            "replies": found.replies,
            "deliveries": sum(ways.values(), Delivered()).deliveries,
            "ways": {name: asdict(way) for name, way in ways.items()},
            "claims": found.claims,
            "restarts": len(self.restarts),
            **counts,
            "gave_up": len(tally.gave_up),
            "p50_ms": _milliseconds(judge.percentile(calm, 0.5)),
            "p99_ms": _milliseconds(judge.percentile(calm, 0.99)),
            **judge.steadiness(points, self.windows, self.seconds),
            "p99_around_restarts_ms": _milliseconds(
                judge.percentile((y for x, y in points if (x, y) not in calm_points), 0.99)
            ),
            "most_waiting": self.sampler.most_waiting,
            "memory_judged": judged,
            "memory_flat": None if not judged else not growing,
            "memory": {one.process: one.as_json() for one in sorted(trends, key=lambda one: one.seconds)},
            "problems": problems,
        }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def say(sentence: str) -> None:
    """What goes on, for whoever watches."""
    print(sentence, flush=True)


def draw(folder: Path) -> None:
    """The curve; matplotlib lives in the assistant's environment."""
    done = subprocess.run(
        [str(RASA_PYTHON), str(ROOT / "tests" / "soak" / "curve.py"), str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    say(done.stdout.strip() if done.returncode == 0 else f"The curve was not drawn: {done.stderr[-400:]}")


async def hold(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Play, start, soak, stop, judge."""
    ports = Ports(given.ports, given.ports + 99)
    played: dict[str, Any] = {}
    if given.games:
        say(f"Playing the state machine {given.games} times.")
        # Not beside the traffic: that would measure the two together.
        played = await games.play(folder, ports, given.games, given.seed)
        say(f"{played['minutes']} minutes, {'every invariant held' if played['ok'] else 'one was broken'}.")
    work = folder / "work"
    system = System(work, ports, given.seed, given.postgres, [SOURCES[name] for name in given.sources])
    soak = Soak(system, folder, given.minutes)
    try:
        say("Starting two gateways, Rasa, its action server, Valkey and the database.")
        await system.start()
        await soak.run()
    finally:
        await system.stop()
    soak.write_minutes()
    (folder / "restarts.json").write_text(json.dumps(soak.restarts), "utf-8")
    summary = soak.summary()
    problems = played.pop("problems", [])
    summary["machine"] = played
    summary["problems"] = [*problems, *summary["problems"]]
    summary["ok"] = summary["ok"] and not problems
    say(
        f"{summary['deliveries']:,} deliveries of {summary['inbound']:,} messages over "
        f"{len(summary['ways'])} channels, {summary['restarts']} restarts and kills at random moments."
    )
    return summary


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="soak", description="Mixed traffic for long, with restarts.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--games", type=int, default=games.GAMES, help="of the state machine; 0 for none")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--out", type=Path, default=ROOT / "var" / "soak", help="where samples are kept")
    parser.add_argument("--postgres", default="", help='"own", or the address of a server; else SQLite')
    parser.add_argument(
        "--sources", type=lambda words: words.split(","), default=list(SOURCES), metavar="A,B",
        help=f"the ways in, of {', '.join(SOURCES)}",
    )  # fmt: skip
    parser.add_argument("--ports", type=int, default=6500, help="the first of a hundred ports")
    parser.add_argument("--keep", action="store_true", help="keep the logs and the database too")
    given = parser.parse_args()
    if unknown := set(given.sources) - set(SOURCES):
        parser.error(f"there is no source {', '.join(sorted(unknown))}")
    # So that what was started is stopped on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder: Path = given.out.resolve()
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        summary = asyncio.run(hold(given, folder))
    except (DrillFailedError, RuntimeError) as error:
        print(f"The soak stopped: {error}", file=sys.stderr)
        return 1
    finally:
        if not given.keep:
            shutil.rmtree(work, ignore_errors=True)
    (folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", "utf-8")
    draw(folder)
    for problem in summary["problems"]:
        say(f"  {problem}")
    print(json.dumps(summary))
    return 0 if summary["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
