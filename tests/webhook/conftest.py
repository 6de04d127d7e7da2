"""A board that has joined, on SQLite; `tests/conformance` has one on both kinds of database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.meta.serving import Kept
from tests.support.databases import SqliteTemplates
from tests.webhook.serving import SiteSide, site_side


@pytest.fixture
def sqlite_url(sqlite_templates: SqliteTemplates) -> Iterator[str]:
    """A fresh SQLite file."""
    url = sqlite_templates.fresh()
    yield url
    sqlite_templates.drop(url)


@pytest.fixture(scope="module")
def kept() -> Iterator[Kept]:
    """The side of this module."""
    found = Kept()
    yield found
    found.close()


@pytest.fixture
def board(kept: Kept, sqlite_templates: SqliteTemplates) -> SiteSide:
    """One gateway with the board; tests share it, their people do not."""
    found = kept.get("site", lambda: site_side(sqlite_templates.fresh()))
    assert isinstance(found, SiteSide)
    return found
