"""X on SQLite; `tests/conformance` has it on both kinds of database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from tests.meta.serving import Kept
from tests.support.databases import SqliteTemplates
from tests.x.serving import XSide, x_side


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


@pytest.fixture
def called(kept: Kept, sqlite_templates: SqliteTemplates) -> XSide:
    """One gateway that X calls; tests share it, their people do not."""
    return cast(XSide, kept.get("called", lambda: x_side(sqlite_templates.fresh())))


@pytest.fixture
def asking(kept: Kept, sqlite_templates: SqliteTemplates) -> XSide:
    """One gateway that asks X."""
    return cast(XSide, kept.get("asking", lambda: x_side(sqlite_templates.fresh(), _mode="poll")))
