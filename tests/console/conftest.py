"""Fixtures of the desk's tests: a desk that listens, with one account of each role."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.console.serving import TEAMS, Desk, serving
from tests.support.databases import SqliteTemplates
from tests.support.passwords import light_passwords  # noqa: F401  a fixture


@pytest.fixture
def any_desk(database_url: str) -> Iterator[Desk]:
    """A desk with its staff, on each kind of database."""
    with serving(database_url) as served:
        served.hire(*TEAMS)
        yield served


@pytest.fixture
def desk(sqlite_templates: SqliteTemplates) -> Iterator[Desk]:
    """A desk with its staff."""
    url = sqlite_templates.fresh()
    with serving(url) as served:
        served.hire(*TEAMS)
        yield served
    sqlite_templates.drop(url)
