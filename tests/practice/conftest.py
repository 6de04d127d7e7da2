"""Fixtures of practice: its own empty database, and a desk that serves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.assistant import Content
from bot.practice import Script, load_script
from bot.settings import ROOT
from tests.practice.serving import FORCE, Stage, practice_serving
from tests.support.passwords import light_passwords  # noqa: F401  a fixture
from tests.support.world import read_content


@pytest.fixture(scope="session")
def content() -> Content:
    """The words of the shipped force."""
    return read_content(FORCE, ROOT / "data")


@pytest.fixture(scope="session")
def script(content: Content) -> Script:
    """The shipped practice."""
    return load_script(FORCE, content)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path}/practice.db"
        return
    templates = request.getfixturevalue("postgres_templates")
    url = templates.fresh(empty=True)
    yield url
    templates.drop(url)


@pytest.fixture
def any_stage(empty_url: str) -> Iterator[Stage]:
    """A practice that serves, on each kind of database."""
    with practice_serving(empty_url) as served:
        yield served


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A practice that serves all tests of a file, one after the other."""
    folder = tmp_path_factory.mktemp("practice")
    with practice_serving(f"sqlite+aiosqlite:///{folder}/practice.db") as served:
        yield served


@pytest.fixture
def stage(served: Stage) -> Stage:
    """That practice, begun anew."""
    served.desk.run(served.practice.reset())
    return served
