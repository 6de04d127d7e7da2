"""The screen alone over the training messages: what it finds and where it is wrong, with room to spare."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from bot.safety import Screen

SCRIPT = Path(__file__).parents[2] / "scripts" / "screen_figures.py"


@pytest.fixture(scope="module")
def figures() -> ModuleType:
    """The script that prints them."""
    spec = importlib.util.spec_from_file_location("screen_figures", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["screen_figures"] = module
    spec.loader.exec_module(module)
    return module


def test_danger_is_found_and_a_near_miss_is_not(screen: Screen, figures: ModuleType) -> None:
    found = figures.tallies(screen)

    assert found["risk P1"].share() > 90
    assert found["risk P1"].share(["P2", "P3", "P4"]) < 6
    assert found["risk P2"].share() > 75
    assert found["harmless"].share() < 5
    assert found["faq A"].share(["P1", "P2"]) < 2
