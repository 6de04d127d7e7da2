"""Draws what a burst wrote down: `.venv-assistant/bin/python benchmarks/burst/curve.py var/burst`.

Run by the assistant's Python, which has matplotlib; it needs nothing of ours. Writes burst.png and
burst.svg beside burst.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # before anything else of it: no window is wanted
from matplotlib import pyplot as plt

BLUE, GREEN, RED, GREY = "#1d70b8", "#00703c", "#d4351c", "#505a5f"


def main(folder: Path) -> None:
    """Three pictures: waits by rate, the burst and its backlog, and the words for those in danger."""
    found = json.loads((folder / "burst.json").read_text("utf-8"))
    figure, (rates, backlog, words) = plt.subplots(3, 1, figsize=(10, 11), constrained_layout=True)
    draw_rates(rates, found)
    draw_backlog(backlog, found)
    draw_words(words, found)
    for axes in (rates, backlog, words):
        axes.grid(alpha=0.3)
        axes.legend(loc="upper right", fontsize=8)
    figure.suptitle(
        f"{found['people']:,} people within {found['seconds']:g} s, two gateways, {found['database']}, "
        f"{found['processor_cores']} cores for everything\n"
        f"highest rate with p99 within a second: {found['highest_rate']:g} webhooks a second"
    )
    for ending in ("png", "svg"):
        figure.savefig(folder / f"burst.{ending}", dpi=110)
    print(f"The curve is {folder.name}/burst.png.")


def draw_rates(axes: Any, found: dict[str, Any]) -> None:
    """The wait for a webhook's answer, by how many come in a second."""
    probes = sorted(found["probes"], key=lambda probe: probe["rate"])
    for name, colour in (("p99_ms", BLUE), ("p50_ms", GREY)):
        known = [(probe["rate"], probe[name]) for probe in probes if probe[name] is not None]
        axes.plot(*zip(*known, strict=True), "o-", color=colour, label=name.removesuffix("_ms"))
    axes.axhline(1000, color=RED, linestyle="--", linewidth=1, label="one second")
    axes.set_yscale("log")
    axes.set_ylabel("webhook answered after, ms")
    axes.set_xlabel("webhooks a second")


def draw_backlog(axes: Any, found: dict[str, Any]) -> None:
    """Who wrote, who was heard, who waits."""
    at = [row["second"] for row in found["curve"]]
    axes.plot(at, [row["waiting"] for row in found["curve"]], color=RED, label="wait for a first word")
    axes.set_ylabel("people waiting")
    axes.set_xlabel("seconds since the first")
    pace = axes.twinx()
    pace.plot(at, [row["wrote"] for row in found["curve"]], color=GREY, linewidth=1, label="wrote")
    pace.plot(at, [row["heard"] for row in found["curve"]], color=GREEN, linewidth=1, label="were answered")
    pace.set_ylabel("people in that second")
    pace.legend(loc="center right", fontsize=8)


def draw_words(axes: Any, found: dict[str, Any]) -> None:
    """How long each person in danger waited for their words, and the slowest webhook of each second."""
    if found["words"]:
        axes.plot(*zip(*found["words"], strict=True), ".", color=RED, label="words for a person in danger")
    slow = [(row["second"], row["slowest"]) for row in found["curve"] if "slowest" in row]
    if slow:
        axes.plot(*zip(*slow, strict=True), color=BLUE, linewidth=1, label="slowest webhook of the second")
    axes.axhline(2, color=RED, linestyle="--", linewidth=1, label="two seconds")
    axes.set_yscale("log")
    axes.set_ylabel("seconds")
    axes.set_xlabel("written so many seconds after the first")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
