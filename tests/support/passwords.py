"""Passwords whose hashes cost little: those of full cost would take most of the tests' time."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import pytest
from argon2 import PasswordHasher

from bot.accounts import passwords


@pytest.fixture(scope="session", autouse=True)
def light_passwords() -> Iterator[None]:
    """For every test beside the conftest that imports this."""
    light = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with (
        mock.patch.object(passwords, "_HASHER", light),
        mock.patch.object(passwords, "_DECOY", light.hash("nobody's")),
    ):
        yield
