"""Keys for backups, and empty databases of each kind to restore into."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.assurance.archive import make_key
from bot.settings import ROOT
from tests.support.databases import PostgresTemplates

SECRET_KEY = "an installation key that is long enough"
CONTENT = {"force": ROOT / "force" / "northumbria", "data": ROOT / "data"}


@dataclass(frozen=True, slots=True)
class Keys:
    """A pair of keys."""

    private: Path
    public: Path


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """A new pair."""
    folder = tmp_path / "keys"
    folder.mkdir()
    private = folder / "backup.key"
    return Keys(private, make_key(private))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with a made-up model."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "frontcounter-0123456789ab.tar.gz").write_bytes(os.urandom(400_000))
    return folder


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind, whatever kind the test's own is."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'restored.db'}"
        return
    templates: PostgresTemplates = request.getfixturevalue("postgres_templates")
    url = templates.fresh(empty=True)
    yield url
    templates.drop(url)
