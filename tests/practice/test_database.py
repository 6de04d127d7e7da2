"""Practice keeps apart from the record: its settings, its database, and what a real desk does not have."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from bot import console
from bot.accounts import DEMO_STAFF, create_staff
from bot.app import build, platforms
from bot.assurance.readiness import Surroundings, look
from bot.commands.practice import _leave, set_the_stage
from bot.errors import SettingError
from bot.handover.alarms import read_rota
from bot.handover.alarms.paths import open_paths
from bot.practice import CHANNEL, Practice, Script, must_be_practice, practice_settings
from bot.practice.database import NOBODY, is_same_database
from bot.settings import Settings, load_settings
from bot.store import Store
from bot.store.migrate import migrate
from bot.store.record import now
from bot.store.tables import Person, Release, Staff
from tests.console.serving import serving
from tests.support.databases import SqliteTemplates

pytestmark = pytest.mark.integration

EVERYTHING = {
    "redis_url": "redis://redis.force.example:6379/0",
    "assistant_urls": "http://rasa.force.example:5005",
    "assistant_secret": "the real one",
    "public_url": "https://chat.force.example",
    "secret_key": "a key of thirty-two letters or more",
    "telegram_token": "123456789:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "telegram_secret": "a-secret-of-forty-letters-or-so-for-webhooks",
    "telegram_api_url": "https://telegram.force.example",
    "telegram_mode": "webhook",
    "smtp_host": "mail.force.example",
    "smtp_port": "25",
    "smtp_username": "desk",
    "smtp_password": "abc",
    "smtp_from": "desk@force.example",
    "smtp_tls": "none",
    "alarm_webhook_url": "https://telephony.force.example",
    "alarm_webhook_secret": "abc",
    "alarm_webhook_proxy": "http://proxy.force.example:3128",
    "alarm_contacts": '{"duty": {"mail": "duty@force.example"}}',
    "alarm_contacts_file": "/nowhere/contacts.yml",
    "desk_url": "https://desk.force.example",
    "backup_key_file": "/nowhere/key.pub",
}
"""A force that has set whatever leads out of the building."""


@pytest.fixture
def live_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """The settings of a force that is live."""
    for name, value in EVERYTHING.items():
        monkeypatch.setenv(f"FRONTCOUNTER_{name.upper()}", value)
    monkeypatch.setenv("FRONTCOUNTER_PRACTICE_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path}/practice.db")
    return load_settings()


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a machine on which nothing is set."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"FRONTCOUNTER_{name.upper()}", raising=False)
    return load_settings()


def test_nothing_that_leads_outside_is_taken_over(live_settings: Settings) -> None:
    own = practice_settings(live_settings)
    for name in EVERYTHING:
        assert getattr(live_settings, name) != Settings.model_fields[name].default, f"{name} is not set here"
        if name not in ("assistant_urls", "assistant_secret"):
            assert getattr(own, name) == Settings.model_fields[name].default, name
    assert own.assistant_urls == (NOBODY,)
    assert own.assistant_secret != live_settings.assistant_secret
    assert own.var != live_settings.var
    assert own.database_url != live_settings.database_url


async def test_made_up_people_are_the_only_channel(live_settings: Settings, script: Script) -> None:
    own = practice_settings(live_settings)
    gateway = build(own, practice=Practice(script))
    try:
        assert [one.channel.name for one in gateway.platforms] == [CHANNEL]
        assert set(platforms(live_settings)) == {"webchat", "telegram"}
        paths = {"/" + route.path for route in gateway.public.router.routes}
        assert paths == {"/healthz", "/readyz"}
        assert open_paths(own, read_rota(own)) == {}
    finally:
        await gateway.core.stop(1)


def test_its_database_lies_where_a_service_may_write(plain: Settings, tmp_path: Path) -> None:
    """The program's own folder belongs to root, and in a container nobody writes there."""
    own = practice_settings(plain.model_copy(update={"var": tmp_path}))
    assert own.database_url == f"sqlite+aiosqlite:///{tmp_path}/practice.db"


def test_the_database_of_the_record_is_refused(live_settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "other").symlink_to(tmp_path / "var")
    record = f"sqlite+aiosqlite:///{tmp_path}/var/record.db"
    same = [record, f"sqlite+aiosqlite:///{tmp_path}/var/../var/record.db"]
    same.append(f"sqlite+aiosqlite:///{tmp_path}/other/record.db")
    for url in same:
        wrong = live_settings.model_copy(update={"database_url": record, "practice_database_url": url})
        with pytest.raises(SettingError, match="names the database of the real record"):
            practice_settings(wrong)
    right = f"sqlite+aiosqlite:///{tmp_path}/var/practice.db"
    fine = live_settings.model_copy(update={"database_url": record, "practice_database_url": right})
    assert practice_settings(fine).database_url == right


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        ("postgresql+asyncpg://frontcounter:x@10.0.0.5:5432/frontcounter", True),
        ("postgresql+asyncpg://practice@db.force.example/frontcounter", True),
        ("postgresql+asyncpg://frontcounter:x@10.0.0.5:5432/practice", False),
        ("sqlite+aiosqlite:///frontcounter", False),
    ],
)
def test_a_server_may_have_two_names(other: str, is_same: bool) -> None:
    assert is_same_database("postgresql+asyncpg://frontcounter:x@database/frontcounter", other) is is_same


@pytest.fixture
async def empty_store(empty_url: str) -> AsyncIterator[Store]:
    store = Store(empty_url)
    yield store
    await store.close()


async def test_a_database_that_somebody_else_has_used_is_refused(store: Store) -> None:
    with pytest.raises(SettingError, match="holds a record that practice has not made"):
        await must_be_practice(store)  # the first words of a force are in it
    await create_staff(store, "ann", "Ann Example", "moderator", ["digital_desk"], "correct horse battery")
    with pytest.raises(SettingError):
        await must_be_practice(store)


async def test_one_real_thing_in_it_is_enough(empty_url: str, empty_store: Store, script: Script) -> None:
    own = practice_settings(load_settings(practice_database_url=empty_url))
    await set_the_stage(own, Practice(script))
    await must_be_practice(empty_store)
    async with empty_store.write() as connection:
        await connection.execute(
            insert(Person).values(channel="webchat", platform_id="somebody", blocked=False, created_at=now())
        )
    with pytest.raises(SettingError):
        await set_the_stage(own, Practice(script))
    async with empty_store.read() as connection:
        assert (await connection.execute(select(func.count(Person.id)))).scalar_one() == 1


async def test_another_programs_database_is_refused(empty_store: Store) -> None:
    async with empty_store.write() as connection:
        await connection.exec_driver_sql("CREATE TABLE accounts (id INTEGER PRIMARY KEY)")
    with pytest.raises(SettingError):
        await must_be_practice(empty_store)


async def test_it_begins_and_ends_with_nothing(empty_url: str, empty_store: Store, script: Script) -> None:
    own = practice_settings(load_settings(practice_database_url=empty_url))
    first, second = Practice(script), Practice(script)
    await migrate(empty_store)
    await set_the_stage(own, first)
    async with empty_store.write() as connection:
        await connection.execute(
            insert(Person).values(channel=CHANNEL, platform_id="run1-1", blocked=False, created_at=now())
        )
    await set_the_stage(own, second)
    assert [one[0] for one in second.accounts] == sorted(script.staff, key=list(script.staff).index)
    assert {one[1] for one in first.accounts}.isdisjoint({one[1] for one in second.accounts})
    async with empty_store.read() as connection:
        assert (await connection.execute(select(func.count(Person.id)))).scalar_one() == 0
        assert (await connection.execute(select(func.count(Staff.id)))).scalar_one() == len(script.staff)
    await _leave(own)
    async with empty_store.read() as connection:
        for table in (Staff, Release):
            assert (await connection.execute(select(func.count(table.id)))).scalar_one() == 0


async def test_ready_blocks_on_an_account_of_practice(
    empty_url: str, empty_store: Store, plain: Settings, script: Script
) -> None:
    await set_the_stage(practice_settings(load_settings(practice_database_url=empty_url)), Practice(script))
    real = plain.model_copy(update={"database_url": empty_url})
    report = await look(Surroundings(real, empty_store, platforms(real), DEMO_STAFF))
    keys = {finding.key for finding in report.blocking}
    assert {f"demo.account.{username}" for username in script.staff} <= keys


def test_a_desk_of_a_force_has_none_of_it(sqlite_templates: SqliteTemplates) -> None:
    url = sqlite_templates.fresh()
    # Not even by a setting: what is there is decided by the command alone.
    with serving(url, demo=True) as desk:
        desk.hire("sue", "mo")
        table = console.routes(desk.gateway.core).table
        assert table
        assert not [route for route in table if "practice" in route.path]
        assert not [route for route in desk.gateway.desk.router.routes if "practice" in route.path]
        page = desk.browser().get("/desk/sign-in").text
        assert "practi" not in page.lower()
        sue = desk.browser("sue")
        for path in ("/desk/practice", "/desk/practice/feedback", "/desk/practice/feedback/1"):
            assert sue.get(path).status_code == 404
        for path in ("/desk/practice/start", "/desk/practice/reset"):
            assert sue.post(path, what="scenario.grateful", speed=1).status_code == 404
        assert "Practice" not in sue.get("/desk/queue").text
        assert CHANNEL not in {one.channel.name for one in desk.gateway.platforms}
    sqlite_templates.drop(url)
