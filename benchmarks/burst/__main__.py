"""`make burst`: 5,000 people write within ten seconds; the last line is one JSON object.

Messenger's webhooks, signed, one for each message, go to two gateways on one database; behind them the
real Rasa, its action server and Valkey, and a Messenger of our own that takes the replies, tells us of each
by an echo, and says that it was delivered and read. All of it, and this program, share the machine.

First the highest rate is looked for at which every webhook is answered within a second at p99, each rate
for ten seconds, the backlog of each drained before the next. Then the burst: some of the people are in
danger, and until all have been heard two more a second are. A webhook's wait counts from the moment at which
it was due, whether this program was late or not.

PostgreSQL, if FRONTCOUNTER_TEST_POSTGRES_URL names a server (the database is the burst's own, and dropped at
the end), else SQLite. `ARGS=--sqlite` leaves PostgreSQL out, `--quick` asks for a tenth, `--danger 5` is how
many in a hundred are in danger.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.burst import judge
from benchmarks.burst.crowd import Crowd, Visit, mixed
from benchmarks.burst.system import running
from benchmarks.desk.system import empty_database
from benchmarks.sample import draw, wordings
from bot.assistant.content import content_from_files
from bot.errors import FrontCounterError
from bot.safety import Screen
from bot.settings import ROOT, load_settings
from bot.stack import RASA_PYTHON

POSTGRES = "FRONTCOUNTER_TEST_POSTGRES_URL"
PEOPLE = 5_000
SECONDS = 10.0
FIRST_RATE = 50.0
LIMIT_MS = 1_000.0
DANGER_A_SECOND = 2.0
DRAIN_SECONDS = 900.0
MOST_PROBES = 12
_DANGER = (
    "there is a man with a knife here now",
    "he has a knife and is attacking me now",
    "someone is breaking into my house right now",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of it."""

    people: int
    seconds: float
    """Of each rate, and of the burst."""
    danger: float
    """The share of the people who are in danger."""


class Burst:
    """One run."""

    def __init__(self, crowd: Crowd, plan: Plan) -> None:
        self._crowd = crowd
        self._plan = plan
        screen = Screen.load(ROOT / "data" / "risk")
        held_out = [text for text in draw(1).held_out if not screen.check(text).hits]
        self._plain = wordings(held_out)
        self._danger = _of_danger(screen)
        self.probes: list[judge.Probe] = []

    async def warm_up(self) -> None:
        """The first turns fill the caches; nobody measures them."""
        visits = await self._crowd.write(mixed(self._plain, self._danger, 40, 0.1), 10.0)
        await self._drained(visits)

    async def search(self) -> float:
        """The highest rate at which every webhook is answered within a second at p99."""
        while len(self.probes) < MOST_PROBES:
            rate = judge.next_rate(self.probes, FIRST_RATE, LIMIT_MS)
            if rate is None:
                break
            count = max(20, round(rate * self._plan.seconds))
            visits = await self._crowd.write(mixed(self._plain, self._danger, count, 0.0), rate)
            found = judge.probe(rate, visits)
            self.probes.append(found)
            began = time.monotonic()
            await self._drained(visits)
            _say(
                f"{rate:6.0f} webhooks a second: p50 {found.p50_ms:7.1f} ms, p99 {found.p99_ms:8.1f} ms, "
                f"{found.not_answered} not answered, drained {time.monotonic() - began:.0f} s later"
            )
        return judge.highest(self.probes, LIMIT_MS)

    async def burst(self) -> dict[str, Any]:
        """Everybody writes; then, until all are heard, a few more in danger."""
        plan = self._plan
        rate = plan.people / plan.seconds
        texts = mixed(self._plain, self._danger, plan.people, plan.danger)
        visits = await self._crowd.write(texts, rate)
        later: list[Visit] = []
        deadline = time.monotonic() + DRAIN_SECONDS
        while not await self._crowd.hear(visits, 0.0) and time.monotonic() < deadline:
            later += await self._crowd.write([(next(self._danger), True)] * 2, DANGER_A_SECOND)
        # Whoever was in danger last has a moment too.
        await self._crowd.hear(later, 60.0)
        found, zero = judge.probe(rate, visits), visits[0].due
        among, after = judge.helped(visits), judge.helped(later)
        last = max((visit.heard or zero for visit in visits), default=zero)
        return {
            "people": len(visits),
            "seconds": plan.seconds,
            "webhooks": found.as_json(),
            "in_danger": len(among),
            "words_p50_s": judge.seconds(among, 0.5),
            "words_p99_s": judge.seconds(among, 0.99),
            "words_max_s": judge.seconds(among, 1.0),
            "in_danger_later": len(after),
            "words_later_p99_s": judge.seconds(after, 0.99),
            "drained_s": round(last - zero, 1),
            "told_the_assistant_is_away": sum(visit.passed_on for visit in (*visits, *later)),
            "never_heard": sum(visit.heard is None for visit in (*visits, *later)),
            "curve": judge.by_second(visits, zero),
            "words": [
                [round(v.due - zero, 2), round(v.helped - v.due, 3)]
                for v in (*visits, *later)
                if v.danger and v.helped is not None
            ],
        }

    async def _drained(self, visits: list[Visit]) -> None:
        if not await self._crowd.hear(visits, DRAIN_SECONDS):
            deaf = sum(visit.heard is None for visit in visits)
            raise FrontCounterError(f"{deaf} people heard nothing for {DRAIN_SECONDS:.0f} seconds.")


def _of_danger(screen: Screen) -> Iterator[str]:
    """Words that the screen alone calls P1, worded so that few come twice."""
    known = []
    for text in wordings(_DANGER):
        worst = screen.check(text).worst
        if worst is not None and worst.priority == "P1":
            known.append(text)
    if not known:
        raise FrontCounterError("The screen knows none of these dangers any more: mend benchmarks/burst.")
    return itertools.cycle(known)


async def measure(plan: Plan, postgres: str) -> dict[str, Any]:
    """Start everything, look for the rate, let them all write."""
    settings = load_settings()
    content = content_from_files(settings.force, settings.data)
    block, down = content.line("block_999").split("\n")[0], content.line("assistant_down").split(". ")[0]
    with tempfile.TemporaryDirectory(prefix="frontcounter-burst-") as name:
        folder = Path(name)
        async with empty_database(postgres, folder, "burst") as url, running(folder, url) as system:
            crowd = Crowd(system, block, down)
            await _mode(system.graph)
            found = Burst(crowd, plan)
            await found.warm_up()
            highest = await found.search()
            _say(f"Highest rate with p99 within a second: {highest:.0f} webhooks a second.")
            told = await found.burst()
            crowd.close()
    return {
        "database": "postgresql" if postgres else "sqlite",
        "processor_cores": len(os.sched_getaffinity(0)),
        "highest_rate": highest,
        "probes": [one.as_json() for one in found.probes],
        **told,
    }


async def _mode(graph: str) -> None:
    """Messenger tells us of what we send, and what became of it."""
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"{graph}/control/mode", json={"echoes": True, "receipts": True})
        answer.raise_for_status()


def draw_curve(folder: Path) -> None:
    """The picture; matplotlib lives in the assistant's environment."""
    done = subprocess.run(
        [str(RASA_PYTHON), str(ROOT / "benchmarks" / "burst" / "curve.py"), str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    _say(done.stdout.strip() if done.returncode == 0 else f"No curve was drawn: {done.stderr[-400:]}")


def _say(sentence: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {sentence}", flush=True)


def main() -> None:
    """Read the options, measure, draw, print."""
    parser = argparse.ArgumentParser(prog="make burst", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the people, three seconds a rate")
    parser.add_argument("--sqlite", action="store_true", help="SQLite, whatever is named")
    parser.add_argument(
        "--danger", type=float, default=5.0, help="of a hundred people, so many in danger (5)"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "var" / "burst", help="where the picture goes")
    chosen = parser.parse_args()
    postgres = "" if chosen.sqlite else os.environ.get(POSTGRES, "")
    share = chosen.danger / 100
    plan = Plan(PEOPLE // 10, 3.0, share) if chosen.quick else Plan(PEOPLE, SECONDS, share)
    try:
        found = asyncio.run(measure(plan, postgres))
    except (FrontCounterError, RuntimeError) as error:
        raise SystemExit(str(error)) from error
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "burst.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    draw_curve(chosen.out)
    _say(
        f"{found['people']} people within {found['seconds']:g} s: webhooks p99 "
        f"{found['webhooks']['p99_ms']} ms; words for {found['in_danger']} in danger p99 "
        f"{found['words_p99_s']} s; all heard after {found['drained_s']} s."
    )
    print(json.dumps({key: value for key, value in found.items() if key not in ("curve", "words", "probes")}))


if __name__ == "__main__":
    main()
