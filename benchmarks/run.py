"""`make bench`: Front Counter beside stock Rasa 3.6, in alternating runs; the last line is one JSON object.

Ours: a message goes in at the web chat over HTTP, its reply comes out on the page's event stream, and
everything is stored in SQLite on the way: gateway, Rasa, action server and Valkey, all counted. Stock:
what `rasa init` sets up (its pipeline, its policies), with its REST channel and trackers in memory.
Both learn the same examples, run on the same processor cores as the people who write to them, and get
the same messages in the same order, of which none comes twice and none was learned.

`ARGS=--quick` measures once and briefly; `--ours-only` leaves stock out; `--retrain` trains anew;
`--parts` measures the screen and the record without Rasa.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import json
import os
import statistics
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks import parts, stock
from benchmarks.contenders import Running, ours, stock_rasa, train_ours, train_stock
from benchmarks.people import Person, Wave, talk
from benchmarks.processes import memory_megabytes, processor_seconds
from benchmarks.sample import Sample, draw, wordings
from bot.assistant.client import Assistant, Reading
from bot.errors import FrontCounterError
from bot.safety import Screen
from bot.services import model_sources_hash
from bot.settings import ROOT, load_settings
from bot.stack import Stack

EXAMPLES_PER_INTENT = 6
"""All examples take stock Rasa well over ten minutes to learn on two cores; these, about five."""
WAVES = {1: 8, 8: 4, 32: 2}
"""How many groups of so many people talk in one run, one group after the other."""
MESSAGES = 10
THROUGHPUT_PEOPLE = 32
WAIT_PEOPLE = 8
OPENING = "how do i report a stolen bike"
LONG_TALK = 200
QUICK_TALK = 20
KEPT = ROOT / "var" / "bench"
KEPT_FILES = 4
"""Two models of each side, with their notes."""


@dataclass(slots=True)
class Run:
    """One run of one of the two."""

    start_seconds: float
    waves: dict[int, Wave] = field(default_factory=dict)
    processor: dict[str, float] = field(default_factory=dict)
    """Milliseconds on the processor for one turn, by process; `people` is this program."""
    megabytes: dict[str, float] = field(default_factory=dict)
    late_milliseconds: float = 0.0
    """Median wait of the ten messages after the first 200 of one person."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A model, and how long its training took."""

    model: Path
    seconds: float
    kept: bool
    """It was trained by an earlier run of this program."""


async def prepare(
    name: str, sources: Sequence[bytes], train: Callable[[Path], Awaitable[float]], *, retrain: bool
) -> Trained:
    """The model of these sources: trained now, or kept from an earlier run."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(hashlib.sha256(source).digest())
    model = KEPT / f"{name}-{digest.hexdigest()[:12]}.tar.gz"
    note = model.with_suffix(".seconds")
    if not retrain and model.is_file() and note.is_file():
        return Trained(model, float(note.read_text("utf-8")), kept=True)
    _say(f"Training {name} …")
    note.unlink(missing_ok=True)
    seconds = await train(model)
    note.write_text(f"{seconds:.1f}\n", "utf-8")
    for old in sorted(KEPT.glob(f"{name}-*"), key=lambda path: path.stat().st_mtime)[:-KEPT_FILES]:
        old.unlink()
    return Trained(model, seconds, kept=False)


def _sources_of_ours(sample: Sample) -> list[bytes]:
    return [model_sources_hash().encode(), *(text.encode() for text in sample.files.values())]


def _sources_of_stock(sample: Sample) -> list[bytes]:
    paths = (stock.shipped_config(), Path(stock.__file__), ROOT / "domain.yml", stock.RULES)
    texts = (*sample.files.values(), *sample.answers.values())
    return [path.read_bytes() for path in paths] + [text.encode() for text in texts]


async def choose_texts(sample: Sample, model: Path, count: int) -> list[str]:
    """Messages that our assistant answers with one FAQ answer and no alarm; all different.

    Each of them is one message in and one reply out on both sides, and so they stay when a person writes
    several that stand in a row.
    """
    screen = Screen.load(ROOT / "data" / "risk")
    worded = wordings([text for text in sample.held_out if not screen.check(text).hits])
    chosen: list[str] = []
    async with Stack(load_settings(redis_url=""), model.parent) as stack:
        await stack.start_rasa(model)
        await stack.until_ready()
        assistant = Assistant([stack.assistant_url], stack.secret)
        while len(chosen) < count and (texts := list(itertools.islice(worded, 320))):
            readings = await assistant.understand(texts)
            for text, reading in zip(texts, readings, strict=True):
                # The door reads a person's last five messages together.
                earlier = [OPENING, *chosen[-4:]]
                if _is_plain(reading) and not screen.check_joined(earlier, text).hits:
                    chosen.append(text)
        await assistant.close()
    if len(chosen) < count or len(set(chosen)) < len(chosen):
        raise FrontCounterError("There are too few different messages.")
    return chosen[:count]


def _is_plain(reading: Reading) -> bool:
    is_faq = reading.intent.startswith("faq/") and reading.intent != "faq/ask-for-human"
    return is_faq and reading.certain and not reading.risks


async def measure(running: Running, texts: Iterator[str], *, quick: bool) -> Run:
    """Let people talk to a started assistant."""
    run = Run(running.start_seconds)
    spent: dict[str, float] = {}
    turns = 0
    pids = {**running.pids, "people": os.getpid()}
    for people, waves in WAVES.items():
        run.waves[people] = Wave(people)
        for _ in range(1 if quick else waves):
            group = [running.newcomer() for _ in range(people)]
            # The first message opens the conversation; it is not measured on either side.
            await talk(group, itertools.repeat(OPENING), 1)
            before = processor_seconds(pids)
            wave = await talk(group, texts, MESSAGES)
            after = processor_seconds(pids)
            if not wave.waits:
                raise FrontCounterError(f"None of {people} people was answered.")
            run.waves[people].add(wave)
            turns += len(wave.waits)
            for name in pids:
                spent[name] = spent.get(name, 0.0) + after[name] - before[name]
            await _leave(group)
    run.processor = {name: 1000 * seconds / turns for name, seconds in spent.items()}
    run.megabytes = memory_megabytes(running.pids)
    one = [running.newcomer()]
    await talk(one, itertools.repeat(OPENING), 1)
    await talk(one, texts, QUICK_TALK if quick else LONG_TALK)
    run.late_milliseconds = (await talk(one, texts, MESSAGES)).milliseconds(0.5)
    await _leave(one)
    return run


async def _leave(people: Sequence[Person]) -> None:
    for person in people:
        await person.leave()


async def compare(*, quick: bool, retrain: bool, with_stock: bool) -> dict[str, float]:
    """Measure both in turn, print what was seen, and return ours divided by stock."""
    sample = draw(EXAMPLES_PER_INTENT)
    trained = {
        "ours": await prepare("ours", _sources_of_ours(sample), partial(train_ours, sample), retrain=retrain)
    }
    if with_stock:
        trained["stock"] = await prepare(
            "stock", _sources_of_stock(sample), partial(train_stock, sample), retrain=retrain
        )
    _describe(sample, trained)
    texts = await choose_texts(sample, trained["ours"].model, _texts_of_a_run(quick=quick))
    starts: dict[str, Callable[[Path], AbstractAsyncContextManager[Running]]] = {
        "ours": ours,
        "stock": stock_rasa,
    }
    runs: dict[str, list[Run]] = {name: [] for name in trained}
    for number in range(1 if quick else 3):
        for name, model in trained.items():
            _say(f"Run {number + 1}: {name} …")
            async with starts[name](model.model) as running:
                # Every process is new, so that no earlier run can have left an answer behind.
                found = await measure(running, iter(texts), quick=quick)
            runs[name].append(found)
            _tell(name, found)
    _summarise(runs, trained)
    if not with_stock:
        return {}
    return {name: round(value, 3) for name, value in _ratios(runs, trained).items()}


def _ratios(runs: dict[str, list[Run]], trained: dict[str, Trained]) -> dict[str, float]:
    def ratio(figure: Callable[[Run], float]) -> float:
        return _median(runs["ours"], figure) / _median(runs["stock"], figure)

    return {
        "throughput_ratio": ratio(lambda run: run.waves[THROUGHPUT_PEOPLE].per_second),
        "p50_ratio": ratio(lambda run: run.waves[WAIT_PEOPLE].milliseconds(0.5)),
        "p99_ratio": ratio(lambda run: run.waves[WAIT_PEOPLE].milliseconds(0.99)),
        "memory_ratio": ratio(lambda run: sum(run.megabytes.values())),
        "train_ratio": trained["ours"].seconds / trained["stock"].seconds,
        "startup_ratio": ratio(lambda run: run.start_seconds),
    }


def _median(runs: Sequence[Run], figure: Callable[[Run], float]) -> float:
    return statistics.median(figure(run) for run in runs)


def _texts_of_a_run(*, quick: bool) -> int:
    talks = sum(people * (1 if quick else waves) * MESSAGES for people, waves in WAVES.items())
    return talks + (QUICK_TALK if quick else LONG_TALK) + MESSAGES


def _describe(sample: Sample, trained: dict[str, Trained]) -> None:
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    _say(f"Processor cores, shared by the assistant and the people who write: {cores or 'all'}")
    _say(
        f"Both learned the same sample: {EXAMPLES_PER_INTENT} examples of each of {sample.intents} intents"
        f" ({sample.examples} in all); stock Rasa needs over ten minutes for all of them."
    )
    _say("Messages: FAQ questions that were not learned, worded so that none comes twice; no answer cache.")
    for name, model in trained.items():
        when = "in an earlier run of this program" if model.kept else "now"
        _say(f"Trained {when}: {name}, {model.seconds:.1f} s.")


def _tell(name: str, run: Run) -> None:
    for people, wave in run.waves.items():
        _say(
            f"  {name:<6}{people:>3} people: {wave.per_second:6.1f} turns/s   "
            f"p50 {wave.milliseconds(0.5):6.1f} ms   p99 {wave.milliseconds(0.99):6.1f} ms"
            + (f"   {wave.unanswered} unanswered" if wave.unanswered else "")
        )
    spent = ", ".join(f"{process} {value:.1f}" for process, value in run.processor.items())
    _say(f"  {name:<6}processor ms for one turn: {spent}")
    megabytes = ", ".join(f"{process} {value:.0f}" for process, value in run.megabytes.items())
    _say(f"  {name:<6}memory MB: {megabytes}; together {sum(run.megabytes.values()):.0f}")
    _say(
        f"  {name:<6}first answer {run.start_seconds:.1f} s after the start; "
        f"a turn at the end of a long talk {run.late_milliseconds:.1f} ms"
    )


def _summarise(runs: dict[str, list[Run]], trained: dict[str, Trained]) -> None:
    rows: list[tuple[str, Callable[[Run], float]]] = []
    for people in WAVES:
        rows += [
            (f"turns a second, {people} people", lambda run, p=people: run.waves[p].per_second),  # type: ignore[misc]
            (f"p50 ms, {people} people", lambda run, p=people: run.waves[p].milliseconds(0.5)),  # type: ignore[misc]
            (f"p99 ms, {people} people", lambda run, p=people: run.waves[p].milliseconds(0.99)),  # type: ignore[misc]
        ]
    rows += [
        ("processor ms a turn, without the people", _serving),
        ("memory MB", lambda run: sum(run.megabytes.values())),
        ("start to first answer, s", lambda run: run.start_seconds),
        (f"turn ms after {LONG_TALK} messages", lambda run: run.late_milliseconds),
    ]
    _say(f"\n{'Median of ' + str(len(runs['ours'])):<44}{'ours':>10}{'stock':>10}{'ratio':>8}")
    for title, figure in rows:
        _row(title, [_median(each, figure) for each in runs.values()])
    _row("training, s", [model.seconds for model in trained.values()])
    _say(
        f"Throughput is compared at {THROUGHPUT_PEOPLE} people, p50 and p99 at {WAIT_PEOPLE}; "
        "every process of each side is counted."
    )


def _serving(run: Run) -> float:
    return sum(spent for name, spent in run.processor.items() if name != "people")


def _row(title: str, values: Sequence[float]) -> None:
    ratio = f"{values[0] / values[1]:>8.3f}" if len(values) == 2 else ""
    _say(f"{title:<44}" + "".join(f"{value:>10.1f}" for value in values) + ratio)


def _say(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--parts", action="store_true", help="the screen and the record, without Rasa")
    parser.add_argument("--quick", action="store_true", help="one short run of each")
    parser.add_argument("--ours-only", action="store_true", help="leave stock Rasa out")
    parser.add_argument("--retrain", action="store_true", help="train both models anew")
    chosen = parser.parse_args()
    if not (Path.cwd() / "data").is_dir():
        raise SystemExit("Run this from the root of the repository: make bench")
    if chosen.parts:
        parts.main()
        return
    try:
        ratios = asyncio.run(
            compare(quick=chosen.quick, retrain=chosen.retrain, with_stock=not chosen.ours_only)
        )
    except FrontCounterError as error:
        raise SystemExit(str(error)) from error
    if ratios:
        _say(json.dumps(ratios))


if __name__ == "__main__":
    main()
