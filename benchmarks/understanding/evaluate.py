"""`make evaluate`: measures the assistant on the held-out set and writes a report that people can read.

    make evaluate                    prints the figures, writes var/understanding.html and .json
    make evaluate ARGS=--accept      the same, and keeps the figures as the accepted ones (recall.json)

Every message is a fresh conversation through the code that serves the public. The model is trained
first, if its sources changed. Exit code 1 when a target is not met or recall of P1 or P2 fell.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.understanding import recall, sets, training
from benchmarks.understanding.figures import LISTED, Figure, Report, Share, Table, count_all, percent
from benchmarks.understanding.page import page, verdict, wanted
from benchmarks.understanding.running import assistant_for, by_file, conversations_of, hold
from bot.assistant import content_from_files
from bot.errors import ContentError, FrontCounterError
from bot.logs import set_up_logs
from bot.settings import ROOT, Settings, load_settings
from bot.stack import RASA_PYTHON

MOST_SHARED: Final = 0.02
"""Share of training examples that may hold a five-word run found elsewhere."""
MOST_POINTS: Final = 2.0
"""Points that a group of writers may lie below standard English."""
PRINTED: Final = ("missed_P1", "missed_P2", "too_low", "faq_wrong", "out_answered", "near_escalated",
                  "ordinary_P1", "faq_urgent", "dialogues")  # fmt: skip
_PLOT_SECONDS = 120.0


def say(text: str = "") -> None:
    """One line for whoever runs the command."""
    print(text, flush=True)


async def measure(settings: Settings, url: str | None) -> tuple[Report, sets.HeldOut, dict[str, Any]]:
    """Hold the whole set and count."""
    held_out = sets.load()
    content = content_from_files(settings.force, settings.data)
    if unknown := {c.intent for c in held_out.single[sets.FAQ]} - set(content.faqs):
        raise ContentError(
            f"faq.jsonl names answers that data/faq does not have: {sorted(map(str, unknown))}."
        )
    learned = list(training.examples(settings.data))
    sharing, examples, shared = training.shared_runs(learned)
    equal = training.not_held_out(held_out, learned)
    conversations = conversations_of(held_out)
    started = time.monotonic()

    def progress(done: int) -> None:
        if done % 500 == 0:
            say(f"{done} of {len(conversations)} conversations")

    async with assistant_for(settings, url) as own:
        held_from = time.monotonic()
        outcomes = await hold(own, conversations, progress=progress)
        held_for = time.monotonic() - held_from
    parted, dialogues = by_file(held_out, outcomes)
    report = count_all(held_out, parted, dialogues, {s: f.mode for s, f in content.faqs.items()})
    report.figures += [
        Figure("shared_runs", "Training examples with a five-word run found elsewhere",
               Share(sharing, examples), "most", MOST_SHARED),
        Figure("not_held_out", "Held-out messages that are training examples",
               Share(len(equal), sum(map(len, held_out.single.values()))), "most", 0.0),
    ]  # fmt: skip
    report.mistakes["not_held_out"] = Table(
        "Held-out messages that are training examples", ("Message",), tuple((text,) for text in equal)
    )
    report.mistakes["shared_runs"] = Table(
        "Five words in a row that training examples share",
        ("Words", "Example"), tuple(shared[: 2 * LISTED]),
    )  # fmt: skip
    timing = {
        "conversations": len(conversations),
        "seconds": round(time.monotonic() - started, 1),
        "seconds_of_conversations": round(held_for, 1),
    }
    return report, held_out, timing


def facts_of(report: Report, held_out: sets.HeldOut, timing: Mapping[str, Any]) -> dict[str, str]:
    """What else a reader wants to know, by name."""
    return {
        "Group furthest below standard English": worst_group(report),
        "Messages": ", ".join(f"{name} {n}" for name, n in held_out.counts.items()),
        "Held-out set": held_out.digest,
        "Time": f"{timing['conversations']} conversations in {timing['seconds_of_conversations']} s",
    }


def worst_group(report: Report) -> str:
    """The group of writers that is served worst, and whether that is within what is allowed."""
    name, gap = min(report.gaps.items(), key=lambda item: item[1])
    met = "met" if gap >= -MOST_POINTS else "not met"
    return f"{name.replace('_', ' ')}, {gap:+.1f} points (target: no lower than −{MOST_POINTS:g}; {met})"


def is_all_met(report: Report) -> bool:
    """Whether every target is met."""
    return all(figure.is_met is not False for figure in report.figures) and all(
        gap >= -MOST_POINTS for gap in report.gaps.values()
    )


def print_report(report: Report, facts: Mapping[str, str]) -> None:
    """The figures and the mistakes, for a terminal."""
    say()
    say(f"{'':<58}{'measured':>9}{'counted':>12}{'lower':>9}{'upper':>9}  target")
    for figure in report.figures:
        lower, upper = figure.share.bounds
        counted = f"{figure.share.count}/{figure.share.n}"
        aim = f"{wanted(figure)}: {verdict(figure)}" if figure.target is not None else ""
        say(
            f"{figure.title:<58}{percent(figure.share.value):>9}{counted:>12}"
            f"{percent(lower):>9}{percent(upper):>9}  {aim}"
        )
    say(f"{'Expected calibration error':<58}{report.ece:>9.3f}")
    for name, value in facts.items():
        say(f"{name}: {value}")
    for key in ("recall_by_grade", "recall_by_category", "grades", "calibration", "pairs"):
        print_table(report.tables[key])
    weak = report.tables["intents"]
    rows = tuple(row for row in weak.rows if row[3] != row[2])
    print_table(Table("FAQ intents with a message that was not answered right", weak.heads, rows))
    print_table(report.tables["confusions"], most=LISTED)
    for key in PRINTED:
        if key in report.mistakes and report.mistakes[key].rows:
            print_table(report.mistakes[key], most=LISTED)


def print_table(table: Table, most: int | None = None) -> None:
    """One table, its columns as wide as they need to be."""
    rows = table.rows[:most]
    widths = [
        min(70, max(len(row[place]) for row in (table.heads, *rows))) for place in range(len(table.heads))
    ]
    say()
    say(table.caption)
    for row in (table.heads, *rows):
        say("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def draw(summary: Mapping[str, Any]) -> dict[str, str]:
    """The pictures, drawn by the assistant's Python; none where it is missing or fails."""
    try:
        done = subprocess.run(
            [str(RASA_PYTHON), str(Path(__file__).with_name("plots.py"))],
            input=json.dumps(summary), capture_output=True, text=True, check=True, timeout=_PLOT_SECONDS,
        )  # fmt: skip
        pictures: dict[str, str] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        say(f"The report has no pictures: {type(error).__name__} in plots.py.")
        return {}
    return pictures


async def run(settings: Settings, chosen: argparse.Namespace) -> int:
    """Measure, print, write, compare. Returns the exit code."""
    report, held_out, timing = await measure(settings, chosen.assistant)
    facts = facts_of(report, held_out, timing)
    print_report(report, facts)
    summary = {**report.as_json(), "facts": facts, "held_out": held_out.digest, "timing": timing}
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "understanding.json").write_text(json.dumps(summary, ensure_ascii=False, indent=1), "utf-8")
    moment = datetime.now(UTC).strftime("%-d %B %Y, %H:%M UTC")
    (chosen.out / "understanding.html").write_text(page(report, facts, draw(summary), moment), "utf-8")
    say()
    say(f"Written: {chosen.out / 'understanding.html'} and {chosen.out / 'understanding.json'}.")
    fell = False
    try:
        for change in recall.changes(recall.accepted(held_out.digest), recall.missed_of(report)):
            fell = fell or change.fell
            say(str(change))
    except ContentError as error:
        say(str(error))
    if chosen.accept:
        recall.accept(report, held_out.digest)
        say(f"{recall.PATH.relative_to(ROOT)} now holds these figures. Commit it.")
        fell = False
    return 0 if is_all_met(report) and not fell else 1


def main() -> int:
    """Run the command; every error is one sentence on standard error."""
    parser = argparse.ArgumentParser(prog="make evaluate", description=__doc__)
    parser.add_argument("--accept", action="store_true", help="keep these figures as the accepted ones")
    parser.add_argument("--assistant", help="the address of a running Rasa; without it one is started")
    parser.add_argument("--out", type=Path, default=ROOT / "var", help="the folder of the report")
    chosen = parser.parse_args()
    try:
        settings = load_settings()
        set_up_logs(settings.log_level, plain=True)
        return asyncio.run(run(settings, chosen))
    except FrontCounterError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
