"""`make bench ARGS=--parts`: the screen and the record beside plain baselines, without Rasa.

Each measurement alternates ours and the baseline three times and takes the median, so that a noisy
machine harms both alike.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

import yaml
from sqlalchemy import text

from bot.assistant import Reading, Reply
from bot.assistant.client import Part
from bot.core import build_core
from bot.knowledge.releases import seed
from bot.messages import Actor, Channel, Incoming, Outgoing, Sent
from bot.safety import Screen
from bot.settings import ROOT, Settings
from bot.store import Store
from bot.store.migrate import migrate

ROUNDS = 3
MESSAGES = 200


class _Page:
    name = "webchat"
    in_store = True
    max_text = 4000

    async def send(self, person: str, outgoing: Outgoing) -> Sent:
        raise NotImplementedError


def _messages() -> list[str]:
    """Ordinary messages: the FAQ examples."""
    found = []
    for path in sorted((ROOT / "data" / "faq").glob("*.yml")):
        for item in yaml.safe_load(path.read_text("utf-8"))["nlu"]:
            found += [line[2:] for line in item["examples"].splitlines() if line.strip()]
    return found


def screen() -> dict[str, float]:
    """The screen beside one regular expression for each example phrase, tried in turn."""
    ours = Screen.load(ROOT / "data" / "risk")
    plain = [
        re.compile(re.escape(example.text), re.IGNORECASE)
        for category in ours.categories.values()
        for example in category.examples
    ]
    messages = _messages()
    long = " ".join(messages)[:20_000]

    def run_ours() -> None:
        for message in messages:
            ours.check(message)

    def run_plain() -> None:
        for message in messages:
            for pattern in plain:
                pattern.search(message)

    mine, theirs = _alternate(run_ours, run_plain)
    started = time.perf_counter()
    ours.check(long)
    whole = time.perf_counter() - started
    started = time.perf_counter()
    ours.check(long[:2_000])
    tenth = time.perf_counter() - started
    return {
        "screen_microseconds": round(mine / len(messages) * 1e6, 1),
        "screen_ratio": round(mine / theirs, 3),
        "screen_growth_for_ten_times_the_length": round(whole / tenth, 2),
    }


def _alternate(ours: Callable[[], None], baseline: Callable[[], None]) -> tuple[float, float]:
    mine, theirs = [], []
    for _ in range(ROUNDS):
        for run, times in ((ours, mine), (baseline, theirs)):
            started = time.perf_counter()
            run()
            times.append(time.perf_counter() - started)
    return statistics.median(mine), statistics.median(theirs)


async def record() -> dict[str, float]:
    """Door to sent reply, Rasa answering at once, beside one bare committed INSERT a message."""
    with tempfile.TemporaryDirectory(prefix="frontcounter-bench-") as folder:
        channel: Channel = _Page()
        settings = Settings(database_url=f"sqlite+aiosqlite:///{folder}/record.db", redis_url="")
        core = build_core(settings, {"webchat": channel})
        await migrate(core.store)
        await seed(core.store, core.content.current, Actor("bench"))

        async def turn(conversation: str, turn: str, said: str, button: str | None = None) -> Reply:
            reading = Reading("faq/contact-999-or-101", 0.9, True)
            return Reply(reading, (Part("answer", key="contact-999-or-101"),), None, False, "bench")

        core.assistant.turn = turn  # type: ignore[method-assign]
        bare = Store(f"sqlite+aiosqlite:///{folder}/bare.db")
        async with bare.write() as connection:
            await connection.execute(text("CREATE TABLE said (id INTEGER PRIMARY KEY, words TEXT)"))
        round_number = 0

        async def run_ours() -> None:
            nonlocal round_number
            round_number += 1
            for number in range(MESSAGES):
                person = f"p{number % 20}"
                accepted = await core.door.accept(
                    [Incoming("webchat", person, f"{round_number}.{number}", f"question {number}")]
                )
                conversation_id = accepted[0].conversation_id
                if conversation_id is not None:
                    await core.turns.wait_for(conversation_id)
                    while await core.outbox.send_next(conversation_id):
                        pass

        async def run_bare() -> None:
            for number in range(MESSAGES):
                async with bare.write() as connection:
                    await connection.execute(
                        text("INSERT INTO said (words) VALUES (:w)"), {"w": f"question {number}"}
                    )

        mine, theirs = await _alternate_async(run_ours, run_bare)
        await bare.close()
        await core.stop()
    return {
        "record_turns_per_second": round(MESSAGES / mine, 1),
        "record_ratio": round(mine / theirs, 2),
    }


async def _alternate_async(
    ours: Callable[[], Awaitable[Any]], baseline: Callable[[], Awaitable[Any]]
) -> tuple[float, float]:
    mine, theirs = [], []
    for _ in range(ROUNDS):
        for run, times in ((ours, mine), (baseline, theirs)):
            started = time.perf_counter()
            await run()
            times.append(time.perf_counter() - started)
    return statistics.median(mine), statistics.median(theirs)


def main() -> None:
    """Measure, print a table and one JSON line."""
    results = {**screen(), **asyncio.run(record())}
    results["memory_megabytes"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    for name, value in results.items():
        print(f"{name:<42}{value:>10}")
    print(json.dumps(results))
