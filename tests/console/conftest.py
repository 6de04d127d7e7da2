"""Fixtures of the desk's tests: a desk that listens, with one account of each role."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import pytest
from argon2 import PasswordHasher

from bot.accounts import passwords
from tests.console.serving import TEAMS, Desk, serving
from tests.support.databases import SqliteTemplates


@pytest.fixture(scope="session", autouse=True)
def light_passwords() -> Iterator[None]:
    """Hashes of full cost would take most of the tests' time."""
    light = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with (
        mock.patch.object(passwords, "_HASHER", light),
        mock.patch.object(passwords, "_DECOY", light.hash("nobody's")),
    ):
        yield


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
