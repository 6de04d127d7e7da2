"""A gateway with Telegram, by webhook or by polling, on each kind of database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.databases import SqliteTemplates
from tests.telegram.serving import Side, telegram_side


@pytest.fixture(params=["webhook", "poll"])
def side(request: pytest.FixtureRequest, sqlite_templates: SqliteTemplates) -> Iterator[Side]:
    """One gateway on SQLite, in each mode."""
    url = sqlite_templates.fresh()
    with telegram_side(url, request.param) as found:
        yield found
    sqlite_templates.drop(url)


@pytest.fixture
def by_webhook(sqlite_templates: SqliteTemplates) -> Iterator[Side]:
    """One gateway on SQLite, called by Telegram."""
    url = sqlite_templates.fresh()
    with telegram_side(url, "webhook") as found:
        yield found
    sqlite_templates.drop(url)


@pytest.fixture(params=["webhook", "poll"])
def any_side(request: pytest.FixtureRequest, database_url: str) -> Iterator[Side]:
    """One gateway in each mode on each kind of database."""
    with telegram_side(database_url, request.param) as found:
        yield found
