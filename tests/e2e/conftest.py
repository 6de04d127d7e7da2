"""One running demonstration for all tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.demo import Demo, running_demo

pytestmark = pytest.mark.e2e


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def demo() -> AsyncIterator[Demo]:
    """The demonstration with the real Rasa, on ports of its own."""
    async with running_demo() as running:
        yield running
