"""Whole gateways: one that is killed while it calls, one that starts without its database; the commands."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, select

from bot.settings import ROOT
from bot.store.tables import Alarm, AlarmAttempt
from tests.alarms.outside import SECRET, Mailbox, Receiver
from tests.drills.processes import Process
from tests.support.databases import SqliteTemplates
from tests.support.ports import free_port
from tests.support.serving import PATIENT_GATEWAY
from tests.support.world import P1

pytestmark = pytest.mark.e2e

Start = Callable[..., Process]


def environment(
    database_url: str, mailbox: Mailbox | None, receiver: Receiver, **more: str
) -> dict[str, str]:
    """The settings of a gateway whose alarms leave soon, and whose assistant is away."""
    found = {
        "DATABASE_URL": database_url,
        "ASSISTANT_SECRET": "only for this test",
        "ASSISTANT_URLS": f"http://127.0.0.1:{free_port()}",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "POLL_SECONDS": "0.2",
        "ALARM_SECONDS": "0.3",
        "ALARM_CALL_SECONDS": "2",
        "ALARM_WEBHOOK_URL": receiver.url,
        "ALARM_WEBHOOK_SECRET": SECRET,
        **more,
    }
    if mailbox is not None:
        found |= {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(mailbox.port), "SMTP_TLS": "none"}
        found |= {"SMTP_FROM": "alarms@desk.example"}
    return {f"FRONTCOUNTER_{name}": value for name, value in found.items()}


@pytest.fixture
def start(tmp_path: Path, mailbox: Mailbox, receiver: Receiver) -> Iterator[Start]:
    """Start a gateway; it listens on ports of its own."""
    started: list[Process] = []

    def one(name: str, database_url: str) -> Process:
        public, desk = free_port(), free_port()
        process = Process(
            name,
            PATIENT_GATEWAY,
            tmp_path,
            environment(database_url, mailbox, receiver, PUBLIC_PORT=str(public), DESK_PORT=str(desk)),
            health=f"http://127.0.0.1:{public}/healthz",
        )
        process.start()
        started.append(process)
        return process

    yield one
    for process in started:
        process.kill()


def post(process: Process, text: str) -> httpx.Response:
    """Write in the web chat."""
    base = process.health.removesuffix("/healthz")
    with httpx.Client(base_url=base, trust_env=False, timeout=60) as client:
        client.get("/chat")
        return client.post("/chat/messages", json={"id": secrets.token_hex(8), "text": text})


def until(true: Callable[[], Any], process: Process, seconds: float = 150.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, process.tail()
        time.sleep(0.05)


def rows(url: str, table: Any) -> list[Any]:
    """Rows of a table, oldest first, read past the product."""
    engine = create_engine(url.replace("+aiosqlite", ""))
    try:
        with engine.connect() as connection:
            return list(connection.execute(select(table.__table__).order_by(table.id)))
    finally:
        engine.dispose()


async def test_a_gateway_killed_in_a_call_leaves_no_gap(
    sqlite_templates: SqliteTemplates, start: Start, receiver: Receiver
) -> None:
    url = sqlite_templates.fresh()
    never = threading.Event()
    receiver.answers.append(never)
    first = start("first", url)
    await first.ready()
    assert post(first, P1).status_code == 200
    until(lambda: receiver.calls, first)
    first.kill()
    assert not receiver.taken
    second = start("second", url)
    until(lambda: receiver.taken, second)
    assert receiver.taken[0]["reference"] == receiver.calls[0]["reference"]
    assert receiver.taken[0]["attempt"] == 2
    until(
        lambda: [one.result for one in rows(url, AlarmAttempt) if one.path == "webhook"][1:2] == ["taken"],
        second,
    )
    (alarm,) = rows(url, Alarm)
    webhook = [one.result for one in rows(url, AlarmAttempt) if one.path == "webhook"]
    assert webhook[:2] == ["unknown", "taken"]
    assert alarm.settled_at is None
    never.set()
    second.stop()
    sqlite_templates.drop(url)


async def test_a_gateway_that_starts_without_its_database_alarms_all_the_same(
    start: Start, receiver: Receiver, mailbox: Mailbox
) -> None:
    process = start("alone", f"postgresql+asyncpg://nobody@127.0.0.1:{free_port()}/nothing")
    await process.ready()
    answer = post(process, f"{P1} zebracrossing")
    assert answer.status_code == 503
    assert "999" in answer.text
    until(lambda: receiver.taken and mailbox.raw, process)
    assert receiver.taken[0]["kind"] == "unstored"
    assert "zebracrossing" not in process.tail(100_000) + repr(receiver.raw) + repr(mailbox.raw)
    process.stop()


def command(database_url: str, mailbox: Mailbox | None, receiver: Receiver, *words: str) -> tuple[int, str]:
    """Run `frontcounter alarm …`."""
    done = subprocess.run(
        [sys.executable, "-m", "bot.cli", "alarm", *words],
        cwd=ROOT,
        env={**os.environ, **environment(database_url, mailbox, receiver)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout


def test_the_commands_test_and_list(
    sqlite_templates: SqliteTemplates, mailbox: Mailbox, receiver: Receiver
) -> None:
    url = sqlite_templates.fresh()
    code, said = command(url, mailbox, receiver, "test")
    assert (code, len(mailbox.raw), len(receiver.taken)) == (0, 1, 1), said
    assert "got through" in said
    receiver.answers.append(410)
    code, said = command(url, None, receiver, "test", "--path", "webhook", "--level", "9")
    assert code == 1
    assert "Choose a level" in said
    code, said = command(url, None, receiver, "test", "--path", "mail")
    assert code == 1
    assert "not set up" in said
    code, said = command(url, mailbox, receiver, "list")
    assert code == 0
    assert said.count("to Control room duty desk, try 1: taken") == 2
    assert "force.example" not in said
    sqlite_templates.drop(url)
