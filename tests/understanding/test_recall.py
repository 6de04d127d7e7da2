"""Held-out messages of people in danger: no fewer may be caught than the accepted figures say.

Holds every P1 and P2 message through the code that serves the public, with the model that ships. When
this fails, it prints which messages changed sides. Figures are accepted by `make evaluate
ARGS=--accept`.
"""

from __future__ import annotations

import os

import pytest

from benchmarks.understanding import recall, sets
from benchmarks.understanding.figures import Report, count_risk
from benchmarks.understanding.running import assistant_for, hold
from bot.settings import load_settings

pytestmark = pytest.mark.e2e


async def test_recall_of_P1_and_P2_has_not_fallen() -> None:
    held_out = sets.load()
    kept = recall.accepted(held_out.digest)
    urgent = [case for case in held_out.single[sets.RISK] if case.priority in recall.GATED]
    async with assistant_for(load_settings(), os.environ.get("FRONTCOUNTER_TEST_ASSISTANT")) as settings:
        outcomes = await hold(settings, [[case] for case in urgent])
    report = Report()
    count_risk(report, [one for turns in outcomes for one in turns])
    found = recall.changes(kept, recall.missed_of(report))
    assert not any(change.fell for change in found), "\n" + "\n".join(map(str, found))
