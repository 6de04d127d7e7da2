"""When each part is restarted or killed: at random moments, in any order, the same again for the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

Moment = tuple[float, str, str]
"""Seconds after the beginning, the process, how."""


def draw(plan: Sequence[tuple[str, str]], first: float, last: float, chance: random.Random) -> list[Moment]:
    """A moment between `first` and `last` for each part of the plan, in the order of the moments."""
    shuffled = chance.sample(plan, len(plan))
    times = sorted(chance.uniform(first, last) for _ in shuffled)
    return [(time, name, how) for time, (name, how) in zip(times, shuffled, strict=True)]
