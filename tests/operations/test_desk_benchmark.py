"""The benchmark of the desk works at a tiny size: it fills, connects, and every desk sees every message."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import text

from benchmarks.desk.fill import fill
from benchmarks.desk.measure import Plan, Shift
from benchmarks.desk.rows import Size
from benchmarks.desk.system import empty_database, running
from bot.store import Store
from tests.support.databases import POSTGRES, missing

pytestmark = pytest.mark.integration
SIZE = Size(open=60, closed=200, moderators=4)
PLAN = Plan(
    lists=4, claims=3, searches=8, messages=2, alarms=1, figures=1, list_pause=0.0, claim_pause=0.0, search_pause=0.0,
    message_pause=0.0, rest=0.05,
)  # fmt: skip


async def counted(url: str) -> dict[str, int]:
    """Rows of some tables."""
    store = Store(url)
    try:
        async with store.read() as connection:
            return {
                what: int((await connection.execute(text(f"SELECT count(*) FROM {what}"))).scalar_one())  # noqa: S608  our own words
                for what in (
                    "conversation WHERE state <> 'closed'", "conversation", "message", "outbox", "note",
                    "person WHERE name <> ''", "found",
                )
            }  # fmt: skip
    finally:
        await store.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_tiny_desk_is_filled_and_measured(kind: str, tmp_path: Path) -> None:
    postgres = os.environ.get(POSTGRES, "") if kind == "postgresql" else ""
    if kind == "postgresql" and not postgres:
        missing(f"set {POSTGRES}")
    async with empty_database(postgres, tmp_path, "bench_desk_try") as url:
        await fill(url, SIZE, lambda _: None)
        rows = await counted(url)
        assert (rows["conversation WHERE state <> 'closed'"], rows["conversation"]) == (60, 260)
        texts = rows["message"] + rows["outbox"] + rows["note"] + rows["person WHERE name <> ''"]
        assert rows["found"] == texts > 600, "every text can be found"
        async with running(tmp_path, url) as system:
            found = await Shift(system, SIZE, PLAN, url).work(lambda _: None)
    assert not found.failed
    each = {what: len(found.waits[what]) for what in ("list", "claim", "open", "search", "overview")}
    assert each == {"list": 4, "claim": 3, "open": 3, "search": 8, "overview": 1}
    assert len(found.waits["message to each desk"]) == 2 * SIZE.moderators
    assert len(found.waits["alarm to each desk"]) == SIZE.moderators
