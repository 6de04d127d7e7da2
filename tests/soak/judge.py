"""What the samples of a soak say: is memory flat, and is the slowest hundredth as fast at the end?"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Point = tuple[float, float]

WARM_UP_SHARE = 0.4
"""Of its life: until then a process fills its caches (Rasa takes its last 120 MB at once, minutes after its
start). What grows after that goes on growing."""
JUDGED_SECONDS = 300.0
"""A line through less than this says more about the moment than about the process: between two restarts
each gateway carries the other's people too for a while."""
MOST_GROWTH = 0.10
"""Of its own size, over half the run: more than this is a leak until somebody shows otherwise."""
SMALL_MEGABYTES = 5.0
"""Over half the run, this much is no leak even of a small process."""
STORES = ("valkey", "postgres")
"""What they hold is data. Valkey keeps each tracker for half an hour and each answer for ten minutes, so
it grows with the traffic for as long as that; a database server fills its buffers. Drawn, not judged."""
MOST_POINTS = 300


@dataclass(frozen=True, slots=True)
class Trend:
    """The memory of one process from one start to its end."""

    process: str
    generation: int
    seconds: float
    """How long the line is: the generation without its warm-up."""
    megabytes: float
    """The median, as proportional set size (shared pages shared out)."""
    megabytes_per_hour: float
    growth: float
    """What the line gains over half the run, as a share of the median."""
    judged: bool

    @property
    def is_flat(self) -> bool:
        """Whether it stays within the bound. One that is not judged is not held against anybody."""
        gained = self.growth * self.megabytes
        return not self.judged or self.growth <= MOST_GROWTH or gained <= SMALL_MEGABYTES

    def as_json(self) -> dict[str, Any]:
        """For the summary."""
        return {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def slope(points: Sequence[Point]) -> float:
    """The Theil-Sen slope: the median of the slopes of all pairs. Outliers do not move it."""
    step = max(1, len(points) // MOST_POINTS)
    chosen = points[::step]
    slopes = [(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in itertools.combinations(chosen, 2) if x2 > x1]
    return statistics.median(slopes) if slopes else 0.0


def trend(process: str, generation: int, points: Sequence[Point], run_seconds: float) -> Trend | None:
    """The line through one generation's memory (seconds, MB); None when there is nothing to draw."""
    if len(points) < 3:
        return None
    begin, end = points[0][0], points[-1][0]
    warm = begin + WARM_UP_SHARE * (end - begin)
    kept = [point for point in points if point[0] >= warm]
    if len(kept) < 3:
        return None
    per_second = slope(kept)
    middle = statistics.median(y for _, y in kept)
    seconds = kept[-1][0] - kept[0][0]
    return Trend(
        process, generation, seconds, middle, per_second * 3600,
        per_second * run_seconds / 2 / middle if middle else 0.0,
        seconds >= JUDGED_SECONDS and not process.startswith(STORES),
    )  # fmt: skip


def percentile(values: Iterable[float], share: float) -> float | None:
    """The value below which that share of them lies (nearest rank); None without values."""
    ordered = sorted(values)
    if not ordered:
        return None
    # 0.99 of 100 must be the 99th, whatever a float makes of the product.
    return ordered[max(0, math.ceil(round(share * len(ordered), 9)) - 1)]


def outside(points: Iterable[Point], windows: Sequence[tuple[float, float]]) -> list[Point]:
    """Those that do not lie within a restart."""
    return [point for point in points if not any(begin <= point[0] <= end for begin, end in windows)]


def steadiness(
    latencies: Sequence[Point], windows: Sequence[tuple[float, float]], seconds: float
) -> dict[str, float | None]:
    """The slowest hundredth of the first and of the last third (in ms), and their ratio."""
    calm = outside(latencies, windows)
    first = percentile((y for x, y in calm if x < seconds / 3), 0.99)
    last = percentile((y for x, y in calm if seconds * 2 / 3 <= x <= seconds), 0.99)
    return {
        "p99_first_third_ms": None if first is None else round(first * 1000, 1),
        "p99_last_third_ms": None if last is None else round(last * 1000, 1),
        "p99_ratio": round(last / first, 2) if first and last else None,
    }
