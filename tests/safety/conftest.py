"""One screen for all tests: loading compiles some thousands of patterns."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.safety import Screen

RISK_FOLDER = Path(__file__).parents[2] / "data" / "risk"


@pytest.fixture(scope="session")
def screen() -> Screen:
    """The screen that ships."""
    return Screen.load(RISK_FOLDER)
