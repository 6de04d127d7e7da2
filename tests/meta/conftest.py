"""Each of the two, on SQLite; `tests/conformance` has them on both kinds of database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.meta.serving import NAMES, Kept, MetaSide, meta_side
from tests.support.databases import SqliteTemplates


@pytest.fixture
def sqlite_url(sqlite_templates: SqliteTemplates) -> Iterator[str]:
    """A fresh SQLite file."""
    url = sqlite_templates.fresh()
    yield url
    sqlite_templates.drop(url)


@pytest.fixture(scope="module")
def kept() -> Iterator[Kept]:
    """The sides of this module."""
    found = Kept()
    yield found
    found.close()


@pytest.fixture(params=NAMES)
def side(request: pytest.FixtureRequest, kept: Kept, sqlite_templates: SqliteTemplates) -> MetaSide:
    """One gateway with Messenger, one with Instagram; tests share them, their people do not."""
    name = str(request.param)
    return kept.get(name, lambda: meta_side(name, sqlite_templates.fresh()))


@pytest.fixture
def messenger(kept: Kept, sqlite_templates: SqliteTemplates) -> MetaSide:
    """The one with Messenger."""
    return kept.get("messenger", lambda: meta_side("messenger", sqlite_templates.fresh()))
