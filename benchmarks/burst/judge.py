"""What the waits of a burst come to, and where to look for the highest rate that is still good."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.burst.crowd import Visit
from tests.soak.judge import percentile

GROWTH = 1.5
CLOSE = 1.12
"""When the best and the worst rate known are as near as that, the search is over."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One rate that was tried. A webhook that was not answered at its first try counts as never answered."""

    rate: float
    webhooks: int
    p50_ms: float
    p99_ms: float
    not_answered: int
    late_p99_ms: float
    """How much later than due this program itself was: more than a little, and it measured itself."""

    def is_good(self, limit_ms: float) -> bool:
        """Whether all but the slowest hundredth were answered within the limit."""
        return self.p99_ms <= limit_ms

    def as_json(self) -> dict[str, Any]:
        """For the picture and the last line; what never ended is null."""
        return {name: None if math.isinf(value) else round(value, 1) for name, value in asdict(self).items()}


def probe(rate: float, visits: Sequence[Visit]) -> Probe:
    """What became of the webhooks of one rate."""
    waits = [visit.wait for visit in visits]
    return Probe(
        rate, len(visits), 1000 * (percentile(waits, 0.5) or 0.0), 1000 * (percentile(waits, 0.99) or 0.0),
        sum(math.isinf(wait) for wait in waits),
        1000 * (percentile((visit.late for visit in visits), 0.99) or 0.0),
    )  # fmt: skip


def next_rate(tried: Sequence[Probe], first: float, limit_ms: float) -> float | None:
    """The next rate to try: faster until one is bad, then between the best and the worst; None: found."""
    good = [one.rate for one in tried if one.is_good(limit_ms)]
    bad = [one.rate for one in tried if not one.is_good(limit_ms)]
    if not tried:
        return first
    if not bad:
        return round(max(good) * GROWTH)
    if not good:
        return round(min(bad) / GROWTH) if min(bad) > 1 else None
    # One that is bad by accident must not hide better ones below it: only those above the best count.
    above = [rate for rate in bad if rate > max(good)]
    if not above or min(above) / max(good) <= CLOSE:
        return None
    middle = round(math.sqrt(max(good) * min(above)))
    # Among small numbers there may be none between the two.
    return middle if max(good) < middle < min(above) else None


def highest(tried: Sequence[Probe], limit_ms: float) -> float:
    """The highest rate that was good; 0 if none was."""
    return max((one.rate for one in tried if one.is_good(limit_ms)), default=0.0)


def seconds(values: Sequence[float], share: float) -> float | None:
    """A percentile, rounded; None without values or where it never came."""
    found = percentile(values, share)
    return None if found is None or math.isinf(found) else round(found, 2)


def helped(visits: Sequence[Visit]) -> list[float]:
    """How long each person in danger waited for their words; for ever, if they never came."""
    return [
        float("inf") if visit.helped is None else visit.helped - visit.due for visit in visits if visit.danger
    ]


def by_second(visits: Sequence[Visit], zero: float) -> list[dict[str, float]]:
    """Each second since `zero`: who has written, who waits for a first word, and the slowest webhook due in it."""
    end = max((v.heard or v.due for v in visits), default=zero)
    wrote = Counter(int(v.due - zero) for v in visits)
    heard = Counter(int(v.heard - zero) for v in visits if v.heard is not None)
    slowest: dict[int, float] = {}
    for visit in visits:
        at = int(visit.due - zero)
        if not math.isinf(visit.wait):
            slowest[at] = max(slowest.get(at, 0.0), visit.wait)
    found, waiting = [], 0
    for second in range(int(end - zero) + 1):
        waiting += wrote[second] - heard[second]
        row = {"second": second, "wrote": wrote[second], "heard": heard[second], "waiting": waiting}
        found.append(row | ({"slowest": round(slowest[second], 3)} if second in slowest else {}))
    return found
