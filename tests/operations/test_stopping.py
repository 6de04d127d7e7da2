"""Gateways that are stopped and upgraded while people write: nothing is lost, doubled or cut short."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, text

from bot.conversations.door import PATIENCE_SECONDS as DOOR_SECONDS
from bot.settings import ROOT
from bot.store import Store
from bot.store.migrate import LOCK_MILLISECONDS, LONGEST_LOCK_MILLISECONDS
from bot.store.tables import Conversation, Event, Message, Outbox
from tests.operations.running import People, gateway, gateways, settled
from tests.support.databases import PostgresTemplates
from tests.support.rasa import LoopbackRasa

pytestmark = pytest.mark.e2e

PEOPLE = 6
ROUNDS = 2
NEXT = '''"""Something that a later version adds.

Revision: {this}, after {after}.
"""

import sqlalchemy as sa
from alembic import op

revision = "{this}"
down_revision = "{after}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.add_column("{table}", sa.Column("added_later", sa.Text(), nullable=True))
    op.create_table("{table}_later", sa.Column("id", sa.Integer(), primary_key=True))
    op.create_index("{table}_added_later", "{table}", ["added_later"])
'''
CHANGED = ("conversation", "message", "outbox", "person", "event")
"""A migration for each of them: one table in use at a time (docs/decisions/0008)."""


@pytest.fixture
def address(postgres_templates: PostgresTemplates) -> AsyncIterator[str]:
    """A fresh database that several gateways can share."""
    url = postgres_templates.fresh()
    yield url  # type: ignore[misc]
    postgres_templates.drop(url)


async def check_record(store: Store, people: People) -> None:
    """Every message that was answered 200 is there once, was read by one turn, and got its reply once."""
    await settled(store)
    async with store.read() as connection:
        messages = (await connection.execute(select(Message.id, Message.platform_id))).all()
        turns = (await connection.execute(select(Event.data).where(Event.kind == "turn.done"))).scalars()
        replies = (
            await connection.execute(select(Outbox.turn, Outbox.slug, Outbox.state, Outbox.kind))
        ).all()
        held = await connection.execute(select(Conversation.id).where(Conversation.lease_holder.is_not(None)))
        assert held.all() == []
    assert len({message.platform_id for message in messages}) == len(messages)
    stored = " ".join(message.platform_id for message in messages)
    lost = [identity for identity in people.accepted if identity not in stored]
    assert lost == []
    assert len(people.accepted) == len(set(people.accepted))
    read = Counter(message for data in turns for message in data["messages"])
    assert set(read) == {message.id for message in messages}
    assert set(read.values()) == {1}, "a message was read by two turns"
    answers = [reply for reply in replies if reply.kind == "assistant"]
    assert {reply.state for reply in answers} <= {"sent", "delivered", "read"}
    doubled = [key for key, n in Counter((reply.turn, reply.slug) for reply in answers).items() if n > 1]
    assert doubled == []


async def test_stopping_and_starting_gateways_loses_nothing_and_answers_no_error(
    address: str, redis_url: str, rasa: LoopbackRasa, tmp_path: Path
) -> None:
    store = Store(address)
    async with gateways(tmp_path, address, redis_url, rasa) as two:
        people = People(two)
        chatting = asyncio.create_task(people.all(PEOPLE))
        for _ in range(ROUNDS):
            for one in two:
                before = people.answered
                while people.answered < before + PEOPLE:
                    await asyncio.sleep(0.05)
                    assert not chatting.done()
                assert await one.stop() == 0
                await one.start()
        people.stopping = True
        await chatting
        assert set(people.statuses) <= {200, 204}, people.statuses
        await check_record(store, people)
        assert len(people.accepted) >= PEOPLE * ROUNDS * 2
    logged = "".join(one.log.read_text("utf-8") for one in two)
    assert logged.count("gateway.stopped") == ROUNDS * 2 + 2
    assert "requests_cut" not in logged
    assert '"level": "error"' not in logged
    await store.close()


async def test_a_turn_with_a_slow_assistant_ends_before_the_gateway_does(
    database_url: str, rasa: LoopbackRasa, tmp_path: Path
) -> None:
    more = {"FRONTCOUNTER_ASSISTANT_TIMEOUT_SECONDS": "60", "FRONTCOUNTER_STOP_SECONDS": "60"}
    one = gateway("slow", tmp_path, database_url, "", rasa.url, **more)
    store = Store(database_url)
    await one.start()
    try:
        rasa.delay = asyncio.Event()
        async with httpx.AsyncClient(base_url=one.public, trust_env=False, timeout=60) as http:
            body = {"id": "a-message-of-now", "text": "how long is the wait on 101"}
            assert (await http.post("/chat/messages", json=body)).status_code == 200
            async with http.stream("GET", "/chat/stream?after=0.0") as listening:
                lines = listening.aiter_lines()
                assert await anext(lines) == "retry: 2000"
                ending = asyncio.create_task(one.stop())
                said = [line async for line in lines]
            # Told to come back soon, and ended as a stream should end, not cut.
            assert "retry: 500" in said
        async with httpx.AsyncClient(base_url=one.public, trust_env=False) as another:
            with pytest.raises(httpx.ConnectError):
                await another.get("/readyz")
        assert not ending.done()
        async with store.read() as connection:
            assert (await connection.execute(select(Message.handled))).scalar_one() is False
        rasa.delay.set()
        assert await ending == 0
        async with store.read() as connection:
            assert (await connection.execute(select(Message.handled))).scalar_one() is True
            states = await connection.execute(select(Outbox.state).where(Outbox.kind == "assistant"))
            assert set(states.scalars()) == {"sent"}
            holders = await connection.execute(select(Conversation.lease_holder))
            assert list(holders.scalars()) == [None]
    finally:
        rasa.delay = None
        await asyncio.to_thread(one.process.stop)
        await store.close()


async def test_readiness_says_no_while_the_gateway_still_serves_who_is_there(
    database_url: str, rasa: LoopbackRasa, tmp_path: Path
) -> None:
    one = gateway("waits", tmp_path, database_url, "", rasa.url, FRONTCOUNTER_STOP_WAIT_SECONDS="12")
    await one.start()
    try:
        async with httpx.AsyncClient(base_url=one.public, trust_env=False, timeout=60) as http:
            assert (await http.get("/readyz")).json()["stopping"] is False
            ending = asyncio.create_task(one.stop())
            while (answer := await http.get("/readyz")).status_code == 200:
                pass
            assert answer.status_code == 503
            assert answer.json() == {"store": True, "assistant": True, "redis": False, "stopping": True}
            assert answer.headers["connection"] == "close"
            body = {"id": "a-late-message", "text": "how long is the wait on 101"}
            assert (await http.post("/chat/messages", json=body)).status_code == 200
        assert await ending == 0
    finally:
        await asyncio.to_thread(one.process.stop)


@pytest.fixture
def next_version(tmp_path: Path) -> Path:
    """A copy of this tree that has more migrations."""
    tree = tmp_path / "next"
    tree.mkdir()
    for name in ("bot", "data", "force"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("config.yml", "domain.yml"):
        shutil.copy(ROOT / name, tree / name)
    versions = tree / "bot" / "store" / "migrations" / "versions"
    after = max(file.name[:4] for file in versions.glob("0*.py"))
    for number, table in enumerate(CHANGED, start=9001):
        this = str(number)
        source = NEXT.format(this=this, after=after, table=table)
        (versions / f"{this}_{table}_later.py").write_text(source, "utf-8")
        after = this
    return tree


async def waits_for_a_table(store: Store) -> bool:
    """Whether somebody stands in line for a table of this database."""
    query = (
        "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
        "WHERE d.datname = current_database() AND NOT l.granted AND l.mode = 'AccessExclusiveLock'"
    )
    async with store.read() as connection:
        return bool((await connection.execute(text(query))).scalar_one())


def _migrate(tree: Path, address: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        "FRONTCOUNTER_DATABASE_URL": address, "PYTHONPATH": str(tree), "PATH": "/usr/bin:/bin",
        "FRONTCOUNTER_SECRETS_DIR": str(folder),
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "bot.cli", "migrate"], cwd=tree, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


async def test_an_upgrade_with_a_migration_while_people_write(
    address: str, redis_url: str, rasa: LoopbackRasa, tmp_path: Path, next_version: Path
) -> None:
    # These gateways are more patient than a real one, whose door a migration must not keep waiting.
    assert LONGEST_LOCK_MILLISECONDS / 1000 < DOOR_SECONDS / 2
    store = Store(address)
    async with gateways(tmp_path, address, redis_url, rasa) as two:
        people = People(list(two))
        chatting = asyncio.create_task(people.all(PEOPLE))

        async def some_more() -> None:
            before = people.answered
            while people.answered < before + PEOPLE:
                await asyncio.sleep(0.05)
                assert not chatting.done()

        await some_more()
        # Somebody holds a table for longer than a migration may wait for it.
        async with store.read() as connection:
            await connection.execute(text("SELECT 1 FROM message LIMIT 1"))
            migrating = asyncio.create_task(asyncio.to_thread(_migrate, next_version, address, tmp_path))
            while not await waits_for_a_table(store):
                await asyncio.sleep(0.02)
                assert not migrating.done()
            # Longer than it may wait: it gives up, lets everybody through, and comes again.
            await asyncio.sleep(2 * LOCK_MILLISECONDS / 1000)
            await some_more()
        done = await migrating
        assert done.returncode == 0, done.stderr
        assert "store.migration_waits" in done.stderr
        await some_more()
        # One after the other is replaced by the next version; the one of before is started once more
        # in between, as after a crash: the database is ahead of it, and it serves all the same.
        old, other = two
        old_one = replace(old)
        assert await old.stop() == 0
        await old.start()
        await some_more()
        for number, before in enumerate((old, other)):
            assert await before.stop() == 0
            after = gateway(
                f"next{number}", tmp_path, address, redis_url, rasa.url, next_version,
                FRONTCOUNTER_PUBLIC_PORT=before.public.rpartition(":")[2],
                FRONTCOUNTER_DESK_PORT=before.desk.rpartition(":")[2],
            )  # fmt: skip
            before.process = after.process
            before.process.health = f"{before.public}/readyz"
            await before.start()
            await some_more()
        people.stopping = True
        await chatting
        assert set(people.statuses) <= {200, 204}, people.statuses
        await check_record(store, people)
    logged = "".join(one.log.read_text("utf-8") for one in (old_one, *two))
    assert "store.newer_than_this_version" in logged
    assert '"level": "error"' not in logged
    await store.close()
