"""When the parts of a soak are restarted: shown by draws whose result is known."""

from __future__ import annotations

import random

from tests.soak import moments

PLAN = [("gateway0", "term"), ("rasa", "kill"), *[("gateway1", "kill")] * 3]


def test_every_part_has_its_moment_within_the_time() -> None:
    found = moments.draw(PLAN, 60.0, 90.0, random.Random(1))

    assert sorted((name, how) for _, name, how in found) == sorted(PLAN)
    times = [time for time, _, _ in found]
    assert times == sorted(times)
    assert all(60.0 <= time <= 90.0 for time in times)


def test_another_seed_is_another_order_and_the_same_seed_the_same() -> None:
    one, again = (moments.draw(PLAN, 0.0, 1.0, random.Random(5)) for _ in range(2))
    others = [moments.draw(PLAN, 0.0, 1.0, random.Random(seed)) for seed in range(20)]

    assert one == again
    assert len({tuple(name for _, name, _ in other) for other in others}) > 1
