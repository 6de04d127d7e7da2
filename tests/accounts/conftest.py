"""Fixtures of the tests of accounts: a clock at noon, light hashes, sessions with a second factor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from unittest import mock

import pytest
import time_machine
from argon2 import PasswordHasher

from bot.accounts import SecondFactor, Sessions, create_staff, passwords
from bot.settings import Settings
from bot.store import Store
from tests.support.world import clock_at_noon

PASSWORD = "correct horse battery"
KEY = "a key of thirty-two letters or more, for tests"


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
async def clock() -> AsyncIterator[time_machine.Traveller]:
    """Time stands still until a test moves it."""
    with clock_at_noon() as moved:
        yield moved


@pytest.fixture
def strict(store: Store) -> Sessions:
    """Sessions as outside a demonstration."""
    return Sessions(store, idle_minutes=15, second_factor_required=True)


@pytest.fixture
def factor(store: Store, strict: Sessions) -> SecondFactor:
    """The second factor of a desk with a key."""
    return SecondFactor(store, strict, Settings(secret_key=KEY), "Test desk")  # type: ignore[arg-type]


@pytest.fixture
async def mo(store: Store, clock: time_machine.Traveller) -> int:
    """A moderator with a password and no second factor yet."""
    return await create_staff(store, "mo", "Mo Tester", "moderator", ["digital_desk"], PASSWORD)
