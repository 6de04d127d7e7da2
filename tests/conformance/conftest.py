"""Each channel on each kind of database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.kits import KITS, serve
from tests.meta.serving import Kept, MetaSide


@pytest.fixture(scope="module")
def kept() -> Iterator[Kept]:
    """The sides of this module."""
    found = Kept()
    yield found
    found.close()


@pytest.fixture(params=sorted(KITS))
def channel(request: pytest.FixtureRequest) -> str:
    """The name of a channel."""
    return str(request.param)


@pytest.fixture(params=["sqlite", "postgresql"])
def side(request: pytest.FixtureRequest, channel: str, kept: Kept) -> MetaSide:
    """One gateway with that channel, on each kind of database; tests share it, their people do not."""
    kind = "sqlite" if request.param == "sqlite" else "postgres"
    templates = request.getfixturevalue(f"{kind}_templates")
    return kept.get((channel, kind), lambda: serve(channel, templates.fresh()))


@pytest.fixture
def two(channel: str, database_url: str, kept: Kept) -> Iterator[MetaSide]:
    """Two gateways behind one address, alone in this process: a turn that takes longer than its lease
    goes to a person, and with ten more gateways in one process it would."""
    kept.close()
    with serve(channel, database_url, 2, lease_seconds=20.0) as found:
        yield found
