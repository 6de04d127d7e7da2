"""WhatsApp on SQLite, and where the database matters on both; `tests/conformance` has it on both, too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.meta.serving import Kept
from tests.support.databases import SqliteTemplates
from tests.whatsapp.serving import WhatsAppSide, whatsapp_side


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
def side(kept: Kept, sqlite_templates: SqliteTemplates) -> WhatsAppSide:
    """One gateway with WhatsApp; tests share it, their people do not."""
    found = kept.get("sqlite", lambda: whatsapp_side(sqlite_templates.fresh()))
    assert isinstance(found, WhatsAppSide)
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
def each(request: pytest.FixtureRequest, kept: Kept) -> WhatsAppSide:
    """The same on each kind of database."""
    kind = "sqlite" if request.param == "sqlite" else "postgres"
    templates = request.getfixturevalue(f"{kind}_templates")
    found = kept.get(kind, lambda: whatsapp_side(templates.fresh()))
    assert isinstance(found, WhatsAppSide)
    return found
