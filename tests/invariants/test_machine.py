"""People, staff, the assistant and a failing platform do as they please; the invariants hold (SQLite)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.invariants.games import EXAMPLES, ON_POSTGRESQL, play


@pytest.mark.integration
def test_the_invariants_hold_on_sqlite(sqlite_templates: Any) -> None:
    play(sqlite_templates, max(1, EXAMPLES - round(EXAMPLES * ON_POSTGRESQL)))
