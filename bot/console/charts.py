"""Charts as plain shapes: worked out here, drawn by a template as SVG, without a script.

Each chart stands beside a table with the same figures, which is what a screen reader is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Final

from bot.assurance.figures import Table

WIDTH: Final = 760
LEFT: Final = 56
TOP: Final = 12
HEIGHT: Final = 220
FOOT: Final = 34
ROW: Final = 26
NAMES: Final = 300
LABELS: Final = 8
"""How many periods are named under a chart: more would overlap."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One rectangle, and what it stands for."""

    x: float
    y: float
    width: float
    height: float
    series: int
    title: str


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the chart."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What the template draws."""

    width: int
    height: int
    bars: Sequence[Bar]
    across: Sequence[Word]
    """Names of periods."""
    marks: Sequence[Word]
    """Numbers of the scale, each with its line."""
    names: Sequence[Word]
    """Names of rows, and their numbers, of a chart that lies on its side."""
    series: Sequence[str]


def seconds_said(seconds: int | None) -> str:
    """A time that passed, in words."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds} s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def value_said(table: Table, value: int | None) -> str:
    """A number of a table, as it is read."""
    if table.in_seconds:
        return seconds_said(value)
    return "–" if value is None else str(value)


def chart_of(table: Table) -> Chart:
    """The chart of a table: columns over time, else bars on their side."""
    return _columns(table) if table.over_time else _sideways(table)


def _scale(most: int) -> list[int]:
    """Round numbers from 0 to at least `most`, five steps at most."""
    if most <= 0:
        return [0, 1]
    rough = most / 4
    power = 10 ** floor(log10(rough)) if rough >= 1 else 1
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [step * number for number in range(ceil(most / step) + 1)]


def _columns(table: Table) -> Chart:
    sums = [sum(value or 0 for value in values) for _, values in table.rows]
    scale = _scale(max(sums, default=0))
    inner = HEIGHT - TOP
    each = (WIDTH - LEFT) / max(1, len(table.rows))
    wide = max(1.0, each * 0.72)
    bars, across = [], []
    every = ceil(len(table.rows) / LABELS)
    for place, (name, values) in enumerate(table.rows):
        x, base = LEFT + place * each + (each - wide) / 2, float(HEIGHT)
        for series, value in enumerate(values):
            if value:
                tall = value / scale[-1] * inner
                base -= tall
                title = f"{name}: {table.columns[series]}, {value}"
                bars.append(Bar(round(x, 1), round(base, 1), round(wide, 1), round(tall, 1), series, title))
        if place % every == 0:
            across.append(Word(round(LEFT + place * each, 1), HEIGHT + 20, name))
    marks = [Word(LEFT - 8, round(HEIGHT - mark / scale[-1] * inner, 1), str(mark)) for mark in scale]
    return Chart(WIDTH, HEIGHT + FOOT, bars, across, marks, (), table.columns)


def _sideways(table: Table) -> Chart:
    most = max((value or 0 for _, values in table.rows for value in values), default=0) or 1
    room = WIDTH - NAMES - 100
    bars, names = [], []
    y = 6
    for name, values in table.rows:
        names.append(Word(0, y + 17, name if len(name) <= 40 else name[:39] + "…"))
        for series, value in enumerate(values):
            wide = round((value or 0) / most * room, 1)
            said = value_said(table, value)
            bars.append(
                Bar(NAMES, y, max(wide, 1), ROW - 8, series, f"{name}: {table.columns[series]}, {said}")
            )
            names.append(Word(round(NAMES + wide + 8, 1), y + 14, said))
            y += ROW - 4
        y += 8
    return Chart(WIDTH, y + 4, bars, (), (), names, table.columns if len(table.columns) > 1 else ())
