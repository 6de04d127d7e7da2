"""How often, how long and on which database the state machine is played.

FRONTCOUNTER_TEST_EXAMPLES and FRONTCOUNTER_TEST_STEPS set how long it looks (`make soak`: 2,000). A
share of the games is played on PostgreSQL, the rest on SQLite.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.invariants.desk import Machine
from tests.invariants.ground import Ground

GAMES = 200
EXAMPLES = int(os.environ.get("FRONTCOUNTER_TEST_EXAMPLES", str(GAMES)))
STEPS = int(os.environ.get("FRONTCOUNTER_TEST_STEPS", "25"))
ON_POSTGRESQL = 0.2
"""This share of them: there a game takes two to three times as long."""

# Shrinking a failure takes minutes; FRONTCOUNTER_TEST_SHRINK=1 asks for it.
PHASES = (
    tuple(Phase) if os.environ.get("FRONTCOUNTER_TEST_SHRINK") == "1" else (Phase.explicit, Phase.generate)
)


def play(databases: Any, examples: int) -> None:
    """Let the machine run on these databases. The same games each time, unless their number was set."""
    ground = Ground(databases)
    try:
        run_state_machine_as_test(
            type("Case", (Machine,), {"ground": ground}),
            settings=settings(
                max_examples=examples,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                derandomize=EXAMPLES == GAMES,
                suppress_health_check=list(HealthCheck),
                print_blob=False,
                phases=PHASES,
            ),
        )
    finally:
        ground.close()
