"""Fixtures of the tests of accounts: a clock at noon, light hashes, sessions with a second factor."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import time_machine

from bot.accounts import SecondFactor, Sessions, create_staff
from bot.settings import Settings
from bot.store import Store
from tests.support.passwords import light_passwords  # noqa: F401  a fixture
from tests.support.world import clock_at_noon

PASSWORD = "correct horse battery"
KEY = "a key of thirty-two letters or more, for tests"


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
