"""What is done to each connector, and what each thing that happens is called in the table."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.connectors.platforms import Messenger, Platform
from benchmarks.connectors.sides import Side
from tests.soak.judge import percentile

PATIENCE_SECONDS = 20.0
AFTER_CRASH_SECONDS = 75.0
"""Ours waits for the lease of whoever died, half a minute, before it takes a turn over."""
QUIET_SECONDS = 3.0
LOOK_SECONDS = 0.1
WAIT_SECONDS = 2.0
"""What 429 asks for."""
SLOW_SECONDS = 3.0
PEOPLE = 10
BATCH = 5
COPIES = 3


class Bench:
    """One connector of one side."""

    def __init__(self, side: Side, platform: Platform, slugs: Sequence[tuple[str, str]]) -> None:
        """`slugs`: each with the words of its question."""
        self.side = side
        self.platform = platform
        self._slugs: Iterator[tuple[str, str]] = itertools.cycle(slugs)

    def asks(self, count: int) -> list[Ask]:
        """New people, each with a question."""
        return [Ask(self.platform.person(), *next(self._slugs)) for _ in range(count)]

    async def answers(self, asks: Sequence[Ask]) -> list[int]:
        """How often each was answered."""
        return [
            sum(self.side.is_answer(ask.slug, text) for text in await self.platform.heard(ask.person))
            for ask in asks
        ]

    async def texts(self, asks: Sequence[Ask]) -> list[int]:
        """How many messages each got, of whatever words."""
        return [len(await self.platform.heard(ask.person)) for ask in asks]

    async def calm(self, asks: Sequence[Ask], seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until each has got a message and nothing more comes, or so long."""
        await self.platform.settled(seconds)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if all(await self.texts(asks)):
                break
            await asyncio.sleep(LOOK_SECONDS)
        before = await self.texts(asks)
        while True:
            await asyncio.sleep(QUIET_SECONDS)
            now = await self.texts(asks)
            if now == before:
                return
            before = now


@dataclass(frozen=True, slots=True)
class Ask:
    """Somebody and their question."""

    person: str
    slug: str
    text: str

    @property
    def pair(self) -> tuple[str, str]:
        """As a platform takes it."""
        return self.person, self.text


def told(answers: Sequence[int], texts: Sequence[int]) -> str:
    """What people got: once each, or how many got nothing, something else, or too much."""
    once = sum(n == 1 for n in answers)
    twice = sum(n > 1 for n in answers)
    nothing = sum(n == 0 for n in texts)
    other = len(answers) - once - twice - nothing
    parts = [f"{once} of {len(answers)} answered once"]
    parts += [f"{twice} answered more than once ({sum(answers)} answers in all)"] if twice else []
    parts += (
        [f"{other} told that the answer may not have come, or that a person will read it"] if other else []
    )
    parts += [f"**{nothing} got nothing**"] if nothing else []
    return ", ".join(parts)


async def batch(bench: Bench) -> str:
    """Five people in one webhook."""
    if not bench.platform.has_batches:
        return "the platform makes none"
    asks = bench.asks(BATCH)
    await bench.platform.write([ask.pair for ask in asks], batch=True)
    await bench.calm(asks)
    return told(await bench.answers(asks), await bench.texts(asks))


async def repeats(bench: Bench) -> str:
    """Each webhook three times."""
    asks = bench.asks(PEOPLE)
    await bench.platform.write([ask.pair for ask in asks], copies=COPIES)
    await bench.calm(asks)
    return told(await bench.answers(asks), await bench.texts(asks))


async def forged(bench: Bench) -> str:
    """A call of somebody who does not know the secret."""
    # Known first, so that a reply could reach them.
    asks = bench.asks(1)
    await bench.platform.write([asks[0].pair])
    await bench.calm(asks)
    before = (await bench.texts(asks))[0]
    status = await bench.platform.forge(asks[0].person, asks[0].text)
    await asyncio.sleep(QUIET_SECONDS)
    acted = (await bench.texts(asks))[0] > before
    return f"answered {status}, " + ("**and acted on**" if acted else "not acted on")


async def too_fast(bench: Bench) -> str:
    """The platform answers the reply 429: wait two seconds."""
    return await _one_fault(bench, "429", seconds=WAIT_SECONDS)


async def not_taken(bench: Bench) -> str:
    """The platform answers the reply 503: not taken."""
    return await _one_fault(bench, "503")


async def cut(bench: Bench) -> str:
    """The platform takes the reply and the line breaks before its answer."""
    return await _one_fault(bench, "cut", take=True)


async def _one_fault(bench: Bench, kind: str, *, seconds: float = 0.0, take: bool = False) -> str:
    asks = bench.asks(1)
    await bench.platform.fault(kind, seconds=seconds, take=take)
    await bench.platform.write([asks[0].pair])
    await bench.calm(asks)
    tries = await bench.platform.tries(asks[0].person)
    gap = f", second try after {tries[1] - tries[0]:.1f} s" if len(tries) > 1 else ", tried once"
    return told(await bench.answers(asks), await bench.texts(asks)) + gap


async def crash(bench: Bench) -> str:
    """The process is ended with -9 when the first of ten replies has left, and started again."""
    asks = bench.asks(PEOPLE)
    await bench.platform.write([ask.pair for ask in asks])
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if any(await bench.texts(asks)):
            break
    left = sum(bool(n) for n in await bench.texts(asks))
    await bench.side.restart()
    await bench.calm(asks, AFTER_CRASH_SECONDS)
    return f"{told(await bench.answers(asks), await bench.texts(asks))} ({left} before it)"


async def slow(bench: Bench) -> str:
    """The platform takes three seconds to answer each of our messages while five people write."""
    asks = bench.asks(BATCH)
    await bench.platform.mode(slow_share=1.0, slow_seconds=SLOW_SECONDS)
    try:
        names = await bench.platform.write([ask.pair for ask in asks])
        await bench.platform.settled(4 * PATIENCE_SECONDS)
    finally:
        await bench.platform.mode()
    waits = [await bench.platform.answered(name) for name in names]
    known = [wait for wait in waits if wait is not None]
    unanswered = len(waits) - len(known)
    slowest = percentile(known, 1.0)
    await bench.calm(asks)
    said = told(await bench.answers(asks), await bench.texts(asks))
    late = f", {unanswered} not at the first try" if unanswered else ""
    return f"webhooks answered within {slowest or 0:.2f} s{late}; {said}"


async def inbox(bench: Bench) -> str:
    """A person of the staff answers in the Page's own inbox; then the public writes again."""
    if not isinstance(bench.platform, Messenger):
        return "the platform has none"
    asks = bench.asks(1)
    await bench.platform.write([asks[0].pair])
    await bench.calm(asks)
    await bench.platform.told_by_inbox(asks[0].person, "Hello, this is Pat from the front desk.")
    await bench.platform.settled(PATIENCE_SECONDS)
    before = (await bench.texts(asks))[0]
    await bench.platform.write([asks[0].pair])
    await bench.platform.settled(PATIENCE_SECONDS)
    await asyncio.sleep(QUIET_SECONDS)
    more = (await bench.texts(asks))[0] - before
    return "**talks over the person**" if more else "falls silent"


EXPERIMENTS: dict[str, Callable[[Bench], Awaitable[str]]] = {
    "five people in one webhook": batch,
    f"each of {PEOPLE} webhooks three times": repeats,
    "a forged call": forged,
    "429, wait two seconds": too_fast,
    "503, not taken": not_taken,
    "taken, but the line breaks": cut,
    "the platform is slow (3 s), five people write": slow,
    "staff answer in the Page's inbox": inbox,
    f"-9 while {PEOPLE} people write": crash,
}
"""The last one ends the process: nothing may come after it that it could spoil."""


async def as_installed(side: Side, platform: Platform, slugs: Sequence[tuple[str, str]]) -> str:
    """What a plain message comes to."""
    bench = Bench(side, platform, slugs)
    asks = bench.asks(1)
    (name,) = await platform.write([asks[0].pair])
    await asyncio.sleep(QUIET_SECONDS)
    first = next(iter(await platform.statuses(name)), 0)
    found = f"answered {first}; {told(await bench.answers(asks), await bench.texts(asks))}"
    print(f"  {side.name:<6}{platform.name:<10} as installed: {found}", flush=True)
    return found


async def try_all(side: Side, platform: Platform, slugs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """What becomes of each experiment, by its name."""
    bench = Bench(side, platform, slugs)
    found = {}
    for name, experiment in EXPERIMENTS.items():
        await platform.mode()
        found[name] = await experiment(bench)
        print(f"  {side.name:<6}{platform.name:<10} {name}: {found[name]}", flush=True)
    return found
