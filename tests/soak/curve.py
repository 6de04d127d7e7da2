"""Draws what a soak wrote down: `.venv-assistant/bin/python tests/soak/curve.py var/soak`.

Run by the assistant's Python, which has matplotlib; it needs nothing of ours. Writes curve.png and
curve.svg beside the samples.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # before anything else of it: no window is wanted
from matplotlib import pyplot as plt

COLOURS = {
    "gateway0": "#003078", "gateway1": "#5694ca", "rasa": "#d4351c", "actions": "#f47738",
    "valkey": "#00703c", "webchat": "#003078", "loopback": "#d4351c", "telegram": "#00703c",
    "messenger": "#1d70b8", "instagram": "#801650",
}  # fmt: skip


def read(path: Path) -> list[dict[str, str]]:
    """All rows of a table."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def number(value: str) -> float:
    """A cell; not a number where nothing was measured."""
    return float(value) if value else float("nan")


def main(folder: Path) -> None:
    """Four pictures over one time: memory, speed, traffic, and what waits."""
    processes, state, minutes = (read(folder / f"{name}.csv") for name in ("processes", "state", "minutes"))
    restarts = json.loads((folder / "restarts.json").read_text("utf-8"))
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    figure, (memory, speed, flow, waiting) = plt.subplots(
        4, 1, figsize=(11, 12), sharex=True, gridspec_kw={"height_ratios": [3, 2, 1.4, 1.6]}
    )
    lines: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for row in processes:
        lines[row["process"], row["generation"]].append((number(row["seconds"]) / 60, number(row["pss_mb"])))
    named = set()
    for (process, _), points in lines.items():
        memory.plot(
            *zip(*points, strict=True), color=COLOURS.get(process, "#505a5f"), linewidth=1.6,
            label=None if process in named else process,
        )  # fmt: skip
        named.add(process)
    memory.set_ylabel("memory (PSS), MB")
    memory.set_ylim(bottom=0)
    for source in sorted({row["source"] for row in minutes}):
        mine = [row for row in minutes if row["source"] == source]
        at = [number(row["minute"]) + 0.5 for row in mine]
        colour = COLOURS.get(source, "#505a5f")
        speed.plot(at, [number(row["p99_ms"]) for row in mine], "o-", color=colour, label=f"{source}, p99")
        speed.plot(at, [number(row["p50_ms"]) for row in mine], "o:", color=colour, label=f"{source}, p50")
        flow.plot(at, [number(row["messages"]) / 60 for row in mine], "o-", color=colour, label=source)
    speed.set_yscale("log")
    speed.set_ylabel("message in to reply out, ms")
    flow.set_ylabel("messages a second")
    flow.set_ylim(bottom=0)
    at = [number(row["seconds"]) / 60 for row in state]
    waiting.plot(at, [number(row["waiting"]) for row in state], color="#d4351c", label="wait for a person")
    waiting.plot(at, [number(row["outbox"]) for row in state], color="#003078", label="replies to be sent")
    waiting.plot(at, [number(row["people"]) for row in state], color="#b1b4b6", label="conversations")
    waiting.set_ylabel("number")
    waiting.set_xlabel("minutes")
    size = waiting.twinx()
    size.plot(at, [number(row["database_mb"]) for row in state], "--", color="#00703c")
    size.set_ylabel("database, MB (dashed)", color="#00703c")
    size.set_ylim(bottom=0)
    for axes in (memory, speed, flow, waiting):
        for one in restarts:
            axes.axvline(one["at"] / 60, color="#505a5f", linewidth=0.8, linestyle="--")
        axes.grid(alpha=0.3)
        axes.legend(loc="upper right", fontsize=8, ncols=2)
    for one in restarts:
        memory.annotate(
            f" {one['process']} ({one['how']})", (one["at"] / 60, 1), xycoords=("data", "axes fraction"),
            rotation=90, va="top", ha="left", fontsize=7,
        )  # fmt: skip
    counts = ", ".join(f"{summary[name]} {name.replace('_', ' ')}" for name in
                       ("lost", "doubled", "talked_over", "reordered"))  # fmt: skip
    figure.suptitle(
        f"{summary['minutes']:g} minutes at {summary['offered_per_second']:g} messages a second "
        f"(70 % of {summary['capacity_per_second']:g}), {summary['database']}, {summary['restarts']} restarts\n"
        f"{summary['inbound']} messages: {counts}",
        fontsize=11,
    )
    figure.tight_layout()
    for ending in ("png", "svg"):
        figure.savefig(folder / f"curve.{ending}", dpi=110)
    print(f"The curve is {folder.name}/curve.png.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
