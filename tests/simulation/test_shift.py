"""A small shift on both kinds of database; `make shift` plays the whole one."""

from __future__ import annotations

import pytest

from tests.simulation.reckoning import reckon
from tests.simulation.shift import SMALL, a_shift

pytestmark = pytest.mark.integration


async def test_nobody_is_dropped_or_answered_twice_and_every_figure_adds_up(database_url: str) -> None:
    async with a_shift(database_url, SMALL, seed=5) as shift:
        await shift.run()
        found = await reckon(shift)
        done, public = shift.desk.done, shift.public
    assert found.problems == []
    # It was no empty shift: each part of it happened.
    assert len(public.accepted) > SMALL.people
    assert public.refused > 0
    assert done.unavailable > 0
    assert done.claims > 10
    assert done.replies
    assert done.closes
    assert done.handed_on + done.accepted > 0
    assert done.grouped >= 5
