"""Comments of a Page and of an Instagram account, on each kind of database."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.comments.serving import NAMES, CommentSide, comment_side
from tests.support.databases import SqliteTemplates
from tests.support.passwords import light_passwords  # noqa: F401  a fixture


class Kept:
    """Sides that several tests use, one after the other: to start one takes longer than most tests."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._sides: dict[Any, CommentSide] = {}

    def get(self, key: Any, make: Callable[[], AbstractContextManager[CommentSide]]) -> CommentSide:
        """The side of that key, made at the first call, as it was at the start."""
        if key not in self._sides:
            self._sides[key] = self._stack.enter_context(make())
        self._sides[key].reset()
        self._sides[key].wall(closed=[])
        return self._sides[key]

    def close(self) -> None:
        """End them all."""
        self._stack.close()


@pytest.fixture(scope="module")
def kept() -> Iterator[Kept]:
    """The sides of this module."""
    found = Kept()
    yield found
    found.close()


@pytest.fixture(params=[f"{name}-{kind}" for name in NAMES for kind in ("sqlite", "postgres")])
def side(request: pytest.FixtureRequest, kept: Kept) -> CommentSide:
    """One gateway with the comments of one platform, on each kind of database. People are a test's own."""
    name, _, kind = str(request.param).partition("-")
    templates = request.getfixturevalue(f"{kind}_templates")
    return kept.get(request.param, lambda: comment_side(name, templates.fresh()))


@pytest.fixture(params=NAMES)
def hiding(request: pytest.FixtureRequest, kept: Kept, sqlite_templates: SqliteTemplates) -> CommentSide:
    """The same where the force has switched hiding on."""
    name = str(request.param)
    return kept.get(("hiding", name), lambda: comment_side(name, sqlite_templates.fresh(), hide=True))


@pytest.fixture
def page(kept: Kept, sqlite_templates: SqliteTemplates) -> CommentSide:
    """A Page alone."""
    return kept.get("page", lambda: comment_side("messenger", sqlite_templates.fresh()))


@pytest.fixture
def instagram(kept: Kept, sqlite_templates: SqliteTemplates) -> CommentSide:
    """An Instagram account alone."""
    return kept.get("instagram", lambda: comment_side("instagram", sqlite_templates.fresh()))
