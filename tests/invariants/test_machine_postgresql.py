"""The same games on PostgreSQL; a file of its own, so that both kinds are played at once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.invariants.games import EXAMPLES, ON_POSTGRESQL, play


@pytest.mark.integration
def test_the_invariants_hold_on_postgresql(postgres_templates: Any) -> None:
    play(postgres_templates, max(1, round(EXAMPLES * ON_POSTGRESQL)))
