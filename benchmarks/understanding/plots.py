"""Draws the evaluation's pictures: JSON on standard input, JSON of SVG texts on standard output.

Run by the assistant's Python, which has matplotlib; it needs nothing of ours.
"""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # before anything else of it: no window is wanted
from matplotlib import pyplot as plt

BLUE, GREEN, ORANGE, GREY = "#1d70b8", "#00703c", "#d4351c", "#505a5f"
NETS = (("screen", "screen alone", BLUE), ("understanding", "understanding alone", ORANGE),
        ("together", "together", GREEN))  # fmt: skip


def as_svg(figure: Any) -> str:
    """The picture as text; letters become outlines, so that every reader shows the same."""
    held = io.StringIO()
    figure.savefig(held, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    return held.getvalue()


def recall(groups: dict[str, dict[str, dict[str, float]]], names: list[str]) -> str:
    """Bars of recall for each group and net, with Wilson's interval."""
    figure, axes = plt.subplots(figsize=(11, 0.55 * len(names) + 1.2))
    for place, (net, title, colour) in enumerate(NETS):
        at = [row + (place - 1) * 0.27 for row in range(len(names))]
        shares = [groups[name][net] for name in names]
        values = [100 * (share["value"] or 0) for share in shares]
        low = [value - 100 * share["lower"] for value, share in zip(values, shares, strict=True)]
        high = [100 * share["upper"] - value for value, share in zip(values, shares, strict=True)]
        axes.barh(
            at, values, height=0.25, color=colour, label=title,
            xerr=([max(0, one) for one in low], [max(0, one) for one in high]),
            error_kw={"elinewidth": 1, "ecolor": "#0b0c0c"},
        )  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 101)
    axes.set_xlabel("escalated, % (line: 95 % interval)")
    axes.grid(axis="x", color="#b1b4b6", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=3, frameon=False)
    return as_svg(figure)


def reliability(bins: list[dict[str, float]]) -> str:
    """Share right by confidence, beside the diagonal of a confidence that can be believed."""
    figure, (curve, count) = plt.subplots(
        2, 1, figsize=(7, 7), sharex=True, gridspec_kw={"height_ratios": [3, 1]}
    )
    at = [100 * one["confidence"] for one in bins]
    curve.plot([0, 100], [0, 100], color=GREY, linestyle="--", label="as it should be")
    curve.plot(at, [100 * one["right"] for one in bins], color=BLUE, marker="o", label="measured")
    curve.set_ylabel("right, %")
    curve.set_ylim(0, 102)
    curve.legend(frameon=False)
    count.bar(at, [one["n"] for one in bins], width=6, color=BLUE)
    count.set_ylabel("messages")
    count.set_xlabel("confidence, %")
    count.set_xlim(0, 102)
    for axes in (curve, count):
        axes.grid(color="#b1b4b6", linewidth=0.5)
        axes.set_axisbelow(True)
    return as_svg(figure)


def writers(gaps: dict[str, float]) -> str:
    """How far each group of writers is from standard English."""
    figure, axes = plt.subplots(figsize=(8, 0.6 * len(gaps) + 1.2))
    names = [name.replace("_", " ") for name in gaps]
    values = list(gaps.values())
    axes.barh(names, values, color=[ORANGE if value < -2 else BLUE for value in values])
    axes.axvline(0, color="#0b0c0c", linewidth=1)
    axes.axvline(-2, color=GREY, linestyle="--", linewidth=1)
    axes.set_xlim(min(-6, *values, 0) - 1, max(6, *values, 0) + 1)
    axes.set_xlabel("points from standard English (dashed: 2 below)")
    axes.invert_yaxis()
    return as_svg(figure)


def main() -> None:
    """Draw what there is to draw."""
    report = json.load(sys.stdin)
    plt.rcParams.update({"font.size": 12, "svg.hashsalt": "front-counter"})
    recalls = report["recall"]
    grades = [name for name in ("P1", "P2", "P3", "P4", "all") if name in recalls]
    pictures = {
        "recall_by_grade": recall(recalls, grades),
        "recall_by_category": recall(recalls, sorted(set(recalls) - set(grades))),
        "calibration": reliability(report["calibration"]["bins"]),
        "pairs": writers(report["points_from_standard_english"]),
    }
    json.dump(pictures, sys.stdout)


if __name__ == "__main__":
    main()
