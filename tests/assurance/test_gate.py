"""A real token is refused until nothing blocks or everything is signed off; afterwards never again.

Real processes: the loopback Telegram stands at 127.0.0.2, which is no address of this machine's own
names, so that its token counts as real.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, select

from bot.accounts import create_staff
from bot.app import surroundings
from bot.assurance.findings import Report
from bot.assurance.live import FILE, Gate, name_of
from bot.assurance.readiness import look
from bot.assurance.signoff import sign_off, withdraw
from bot.settings import ROOT, load_settings
from bot.store import Store
from bot.store.tables import Audit, Live
from tests.console.serving import serving
from tests.support.databases import SqliteTemplates
from tests.support.ports import free_port
from tests.support.rasa import SECRET as RASA_SECRET
from tests.support.rasa import LoopbackRasa
from tests.support.serving import PATIENT_GATEWAY

pytestmark = pytest.mark.integration

TOKEN = "4242424242:AAH-loopback_token_that_nobody_may_see"
KEY = "Zq8-vT3_kLm9xWp2Rb6NcY4dHsJf7gKe"
OUTSIDE = "127.0.0.2"
SERVE = f"""
import sys
from tests.platforms.telegram.server import TelegramServer, build
from pathlib import Path
build(TelegramServer({TOKEN!r}, [], Path(sys.argv[2]), 0)).run(
    host={OUTSIDE!r}, port=int(sys.argv[1]), single_process=True, access_log=False, motd=False)
"""


@pytest.fixture
def telegram(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A Telegram outside this machine's own names: its address, and its log."""
    try:
        with socket.socket() as probe:
            probe.bind((OUTSIDE, 0))
    except OSError:
        pytest.skip(f"this machine has no {OUTSIDE}")
    number = free_port()
    record = tmp_path / "telegram.jsonl"
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(number), str(record)], cwd=ROOT)
    yield f"http://{OUTSIDE}:{number}", record
    process.kill()
    process.wait()


class Force:
    """One installation: its environment, its gateway."""

    def __init__(self, database_url: str, api: str, rasa_url: str, folder: Path) -> None:
        self.environment = {
            "FRONTCOUNTER_DATABASE_URL": database_url,
            "FRONTCOUNTER_ASSISTANT_URLS": rasa_url,
            "FRONTCOUNTER_ASSISTANT_SECRET": RASA_SECRET,
            "FRONTCOUNTER_SECRET_KEY": KEY,
            "FRONTCOUNTER_TELEGRAM_TOKEN": TOKEN,
            "FRONTCOUNTER_TELEGRAM_API_URL": api,
            "FRONTCOUNTER_MODELS": str(folder / "models"),
            "FRONTCOUNTER_VAR": str(folder / "var"),
            "FRONTCOUNTER_REDIS_URL": "",
        }
        self.output = folder / "gateway.log"

    @contextmanager
    def gateway(self, **more: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
        """A gateway that was just started, and the address of its public listener."""
        public = free_port()
        environment = {
            **os.environ, **self.environment, "FRONTCOUNTER_PUBLIC_PORT": str(public),
            "FRONTCOUNTER_DESK_PORT": str(free_port()), **more,
        }  # fmt: skip
        with self.output.open("wb") as output:
            process = subprocess.Popen(
                PATIENT_GATEWAY,
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=output,
            )
        try:
            yield process, f"http://127.0.0.1:{public}"
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(120)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    raise

    def refused(self, **more: str) -> str:
        """Start a gateway that must not go on; its last words."""
        with self.gateway(**more) as (process, _):
            assert process.wait(180) == 1
        return self.output.read_text("utf-8").strip().splitlines()[-1]

    def said(self) -> list[dict[str, Any]]:
        """What the gateway logged; the last line may not be whole yet."""
        lines = self.output.read_text("utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line[:1] == "{" and line.endswith("\n")]


def until(what: Any, seconds: float = 120.0) -> None:
    """Wait until it is so.

    Raises:
        AssertionError: it never was.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen")


def answers(url: str) -> bool:
    """Whether the gateway is ready."""
    try:
        return httpx.get(f"{url}/readyz", timeout=20, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def called(url: str) -> int:
    """What a platform's call hears; 0: nobody listens yet."""
    try:
        return httpx.post(url, timeout=20, trust_env=False).status_code
    except httpx.HTTPError:
        return 0


def fetched(record: Path, api: str) -> bool:
    """Whether the gateway has asked this Telegram for news."""
    calls = httpx.get(f"{api}/control/state", timeout=20, trust_env=False)
    return "getUpdates" in calls.text


async def test_a_real_token_waits_for_readiness_and_is_never_refused_again(
    database_url: str, telegram: tuple[str, Path], rasa: LoopbackRasa, tmp_path: Path
) -> None:
    api, record = telegram
    force = Force(database_url, api, rasa.url, tmp_path)
    until(lambda: _up(api))

    # Not ready: one sentence, and not one call to Telegram for news.
    last = await asyncio.to_thread(force.refused)
    assert last.startswith("Telegram cannot go live yet: ")
    assert last.endswith("`frontcounter ready` lists them, and who can sign them off.")
    assert not fetched(record, api)
    assert not (tmp_path / "var" / "live.json").exists()
    demo = await asyncio.to_thread(lambda: force.refused(FRONTCOUNTER_DEMO="true"))
    assert demo.startswith("A demonstration takes no real token.")

    # Signed off item by item: it goes live, and that is on record.
    store = Store(database_url)
    await create_staff(store, "sue", "Sue Tester", "supervisor", [], "correct horse battery")
    named = {k.removeprefix("FRONTCOUNTER_").lower(): v for k, v in force.environment.items()}
    named.pop("assistant_urls")
    settings = load_settings(**named, assistant_urls=(rasa.url,))
    around = surroundings(settings, store)
    words = {"by": "sue", "name": "Sue Tester", "reason": "A trial inside the force."}
    report = await look(around)
    items = [finding.key for finding in report.blocking]
    await sign_off(store, report, items, **words)
    with force.gateway() as (_, url):
        await asyncio.to_thread(until, lambda: answers(url))
        await asyncio.to_thread(until, lambda: fetched(record, api))
    async with store.read() as connection:
        (row,) = (await connection.execute(select(Live.__table__))).all()
        assert (row.channel, row.by) == ("telegram", "Sue Tester")
        audit = (await connection.execute(select(Audit.__table__).where(Audit.action == "live"))).one()
        assert audit.detail["channel"] == "telegram"
    assert "telegram" in (tmp_path / "var" / "live.json").read_text()

    # Months later something is open again: it warns, and the public is served.
    await withdraw(store, ["staff.second-factor.sue"], **words)
    with force.gateway() as (_, url):
        await asyncio.to_thread(until, lambda: answers(url))
        await asyncio.to_thread(until, lambda: any(line["event"] == "ready.open" for line in force.said()))
        (line,) = (line for line in force.said() if line["event"] == "ready.open")
        assert not [item for item in line["items"] if "sue" in item], "a log names nobody"

    # Another channel joins while something is open: it alone is held back.
    more = {
        "FRONTCOUNTER_MESSENGER_TOKEN": "EAAB" + 40 * "x",
        "FRONTCOUNTER_MESSENGER_APP_SECRET": "0123456789abcdef0123456789abcdef",
        "FRONTCOUNTER_MESSENGER_VERIFY_TOKEN": KEY,
        "FRONTCOUNTER_MESSENGER_APP_ID": "424242",
        "FRONTCOUNTER_MESSENGER_PAGE_ID": "242424",
        "FRONTCOUNTER_MESSENGER_API_URL": api,
    }
    with force.gateway(**more) as (_, url):
        heard: set[int] = set()
        await asyncio.to_thread(until, lambda: heard.add(called(f"{url}/messenger/webhook")) or answers(url))
        assert heard <= {0, 503}, "nothing is taken in before it is known who may go live"
        (line,) = (line for line in force.said() if line["event"] == "gateway.held_back")
        assert line["channels"] == ["messenger"]
        assert line["count"] > 0
        async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as platform:
            call = await platform.post("/messenger/webhook")
            assert (call.status_code, call.headers["retry-after"]) == (503, "300")
            assert (await platform.get("/", follow_redirects=True)).status_code == 200
    async with store.read() as connection:
        assert list((await connection.execute(select(Live.channel))).scalars()) == ["telegram"]
    assert "messenger" not in (tmp_path / "var" / "live.json").read_text()

    # Restored from before that day: the file of this machine still knows.
    async with store.write() as connection:
        await connection.execute(delete(Live))
    with force.gateway() as (_, url):
        await asyncio.to_thread(until, lambda: answers(url))
    async with store.read() as connection:
        (row,) = (await connection.execute(select(Live.__table__))).all()
        assert (row.channel, row.by) == ("telegram", "live before this database was restored")
    for platform in around.platforms.values():
        if (close := getattr(platform, "close", None)) is not None:
            await close()
    await store.close()


async def test_a_look_that_fails_does_not_stop_who_is_live(store: Store, tmp_path: Path) -> None:
    """Neither a channel that went live nor one of before a restore is judged again."""

    async def broken() -> Report:
        raise PermissionError(13, "a model that nobody may read")

    settings = load_settings(
        database_url=store.url.render_as_string(hide_password=False), telegram_token=TOKEN, var=tmp_path
    )
    (tmp_path / FILE).write_text(json.dumps({name_of(settings.database_url): ["telegram"]}))
    around = surroundings(settings, store)
    with pytest.raises(PermissionError):
        # Nobody works here: the database was emptied since, and everything is to be judged.
        await Gate(settings, store, around.platforms, broken).judge()
    await create_staff(store, "ada", "Ada", "admin", [], "correct horse battery")
    for _ in range(2):
        gate = Gate(settings, store, around.platforms, broken)
        await gate.judge()
        await gate.wait("telegram")
        await gate.warn()
        assert gate.report is None
    (tmp_path / FILE).unlink()
    async with store.write() as connection:
        await connection.execute(delete(Live))
    with pytest.raises(PermissionError):
        await Gate(settings, store, around.platforms, broken).judge()
    for platform in around.platforms.values():
        if (close := getattr(platform, "close", None)) is not None:
            await close()


def _up(api: str) -> bool:
    try:
        httpx.get(f"{api}/control/state", timeout=5, trust_env=False)
    except httpx.HTTPError:
        return False
    return True


def test_without_a_database_only_a_channel_that_was_live_begins(
    telegram: tuple[str, Path], tmp_path: Path
) -> None:
    """The 999 words of a live channel do not wait for the database; a new channel does."""
    api, record = telegram
    until(lambda: _up(api))
    away = f"postgresql+asyncpg://nobody@127.0.0.1:{free_port()}/nothing"
    force = Force(away, api, f"http://127.0.0.1:{free_port()}", tmp_path)
    with force.gateway():
        until(lambda: any(line["event"] == "gateway.waiting_for_store" for line in force.said()))
        time.sleep(3)
        assert not fetched(record, api)

    (tmp_path / "var").mkdir()
    (tmp_path / "var" / FILE).write_text(json.dumps({name_of(away): ["telegram"]}))
    with force.gateway():
        until(lambda: any(line["event"] == "gateway.waiting_for_store" for line in force.said()))
        # It may not confirm an update that nobody could store, but it asks for news.
        until(lambda: fetched(record, api))


def test_supervisors_see_at_the_desk_what_is_open(sqlite_templates: SqliteTemplates) -> None:
    """A moderator has enough to look at; whoever can do something about it is told."""
    url = sqlite_templates.fresh()
    with serving(url) as desk:
        desk.hire("mo", "sue")
        assert "needs attention" not in desk.browser("sue").get("/desk").text
        desk.gateway.core.held_back = frozenset({"messenger"})
        assert "Not live yet: Messenger." in desk.browser("sue").get("/desk").text
        assert "Not live yet" not in desk.browser("mo").get("/desk").text
        desk.gateway.core.open_items = 1
        assert "1 thing needs attention" in desk.browser("sue").get("/desk").text
        assert "needs attention" not in desk.browser("mo").get("/desk").text
    sqlite_templates.drop(url)
