"""`frontcounter channels check`: token, rights and webhook of each platform, and what to do."""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import time
from collections.abc import Iterator, Sequence

import pytest

from bot.app import platforms
from bot.channels.checks import Check, checks_of
from bot.channels.parts import Platform
from bot.commands import channels
from bot.errors import SettingError
from bot.settings import load_settings
from tests.meta.serving import Kept, MetaSide, meta_side, settings_of
from tests.platforms.graph import App
from tests.support.databases import SqliteTemplates
from tests.support.sides import Side
from tests.telegram.serving import Side as TelegramSide
from tests.telegram.serving import telegram_side
from tests.whatsapp.serving import WhatsAppSide, whatsapp_side
from tests.x.serving import XSide, x_side

pytestmark = pytest.mark.integration


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


@pytest.fixture(params=["messenger", "instagram"])
def meta(request: pytest.FixtureRequest, kept: Kept, sqlite_templates: SqliteTemplates) -> Iterator[MetaSide]:
    """Messenger and Instagram, as Meta should know them, before and after each test."""
    name = str(request.param)
    side = kept.get(name, lambda: meta_side(name, sqlite_templates.fresh()))
    side.until(lambda: "subscribed" in side.state()["told"], "Meta to be told what we want")
    told = side.state()["told"]
    yield side
    side.set_state(token=side.app.token, token_says={}, told=told)


def found_of(side: Side | TelegramSide, platform: Platform) -> dict[str, Check]:
    return {check.what: check for check in side.run(checks_of(platform))}


def well(checks: Sequence[Check]) -> list[str]:
    return [check.what for check in checks if not check.wrong]


def test_where_all_is_well_everything_was_looked_at(meta: MetaSide) -> None:
    found = meta.run(checks_of(meta.platform))
    assert well(found) == ["account", "token", "permissions", "webhook"] == [one.what for one in found]


def test_a_token_that_ends_soon_says_when(meta: MetaSide) -> None:
    meta.set_state(token_says={"expires_at": int(time.time()) + 5 * 86400})
    token = found_of(meta, meta.platform)["token"]
    assert token.wrong.startswith("The token ends on ")
    assert time.strftime("%Y") in token.wrong or str(int(time.strftime("%Y")) + 1) in token.wrong
    assert "does not run out" in token.do
    meta.set_state(token_says={"expires_at": int(time.time()) + 60 * 86400})
    assert not found_of(meta, meta.platform)["token"].wrong


def test_a_missing_permission_is_named(meta: MetaSide) -> None:
    needed = meta.platform.options.traits.permissions
    meta.set_state(token_says={"scopes": [one for one in needed if one != "pages_manage_metadata"]})
    found = found_of(meta, meta.platform)
    assert found["permissions"].wrong == "The token lacks pages_manage_metadata."
    assert not found["token"].wrong


def test_a_token_of_another_app_is_told(meta: MetaSide) -> None:
    meta.set_state(token_says={"app_id": "999999999"})
    found = found_of(meta, meta.platform)
    assert f"{meta.app.name.upper()}_APP_ID" in found["app"].wrong
    assert "999999999" not in str(found)


def test_a_page_that_is_not_subscribed_or_not_to_all_is_told(meta: MetaSide) -> None:
    meta.set_state(told={"subscribed": {"subscribed_fields": ["messages"]}})
    wrong = found_of(meta, meta.platform)["webhook"].wrong
    assert "standby" in wrong
    assert "messages," not in wrong
    meta.set_state(told={})
    assert "not subscribed" in found_of(meta, meta.platform)["webhook"].wrong


def test_what_meta_does_not_tell_now_is_not_called_wrong(meta: MetaSide) -> None:
    meta.faults(*({"path": path, "kind": "503"} for path in ("debug_token", "me/subscribed_apps")))
    found = found_of(meta, meta.platform)
    assert found["token"].unsure
    assert found["webhook"].unsure
    assert "permissions" not in found
    assert not found["account"].wrong


def test_a_refused_token_ends_the_look_and_no_secret_is_shown(meta: MetaSide) -> None:
    meta.set_state(token="another")
    found = meta.run(checks_of(meta.platform))
    assert [(one.what, bool(one.wrong), one.unsure) for one in found] == [("account", True, False)]
    assert found[0].do
    for secret in (meta.app.token, meta.app.app_secret, meta.app.verify_token):
        assert secret not in str(found)


def test_whatsapp_is_asked_for_its_token_and_its_webhook(sqlite_url: str) -> None:
    with whatsapp_side(sqlite_url) as side:
        assert isinstance(side, WhatsAppSide)
        side.until(lambda: "subscribed" in side.state()["told"], "the account to be subscribed")
        found = side.run(checks_of(side.whatsapp))
        assert well(found) == ["account", "token", "permissions", "webhook"]
        side.set_state(token_says={"scopes": ["whatsapp_business_management"]}, told={})
        after = found_of(side, side.whatsapp)
        assert after["permissions"].wrong == "The token lacks whatsapp_business_messaging."
        assert "not subscribed" in after["webhook"].wrong


def test_telegram_is_asked_where_it_calls(sqlite_url: str) -> None:
    with telegram_side(sqlite_url) as side:
        telegram = side.first.telegram
        side.until(lambda: side.state()["webhook"], "the webhook to be set")
        held = side.state()["webhook"]
        assert well(side.run(checks_of(telegram))) == ["account", "webhook"]
        failed = {**held, "last_error_date": int(time.time()), "last_error_message": "a secret address"}
        for webhook, says in (
            ({**held, "url": "https://else.example.org/x"}, "another address"),
            (failed, "no good answer"),
            ({**held, "allowed_updates": ["message"]}, "edited_message"),
            ({**held, "last_error_date": int(time.time()) - 7200}, ""),
        ):
            side.set_state(webhook=webhook)
            wrong = found_of(side, telegram)["webhook"].wrong
            assert says in wrong
            assert bool(wrong) == bool(says)
            assert "a secret address" not in wrong
        side.fault("getWebhookInfo", "502")
        assert found_of(side, telegram)["webhook"].unsure


def test_telegram_that_is_asked_must_call_nobody(sqlite_url: str) -> None:
    with telegram_side(sqlite_url, "poll", run=False) as side:
        telegram = side.first.telegram
        assert well(side.run(checks_of(telegram))) == ["account", "webhook"]
        side.set_state(webhook={"url": "https://else.example.org/x"})
        assert "Somebody else may use this bot" in found_of(side, telegram)["webhook"].wrong


def test_x_is_asked_for_its_webhook_and_nothing_is_mended(sqlite_url: str) -> None:
    with x_side(sqlite_url) as side:
        assert isinstance(side, XSide)
        x = side.platform
        side.until(lambda: side.state()["subscriptions"], "the account to be subscribed")
        assert well(side.run(checks_of(x))) == ["account", "webhook"]
        side.set_state(valid=False)
        assert "asked our address for proof" in found_of(side, x)["webhook"].wrong
        assert [one["valid"] for one in side.state()["webhooks"]] == [False]


def test_a_webhook_that_x_does_not_say_is_not_called_wrong(sqlite_url: str) -> None:
    with x_side(sqlite_url) as side:
        assert isinstance(side, XSide)
        side.until(lambda: side.state()["subscriptions"], "the account to be subscribed")
        side.fault("503", path="2/webhooks", times=9)
        assert found_of(side, side.platform)["webhook"].unsure


class _Slow:
    """A platform that never answers."""

    async def checks(self) -> list[Check]:
        await asyncio.sleep(60)
        return []


async def test_a_platform_that_never_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.channels.checks.CHECK_SECONDS", 0.05)
    found = await checks_of(_Slow())  # type: ignore[arg-type]
    assert [one.wrong for one in found] == ["No answer in time."]


async def test_the_command_says_what_is_wrong_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        settings = load_settings(**settings_of(App("messenger"), address))
        assert set(platforms(settings)) == {"webchat", "messenger"}
        code = await channels._check(settings, argparse.Namespace(names=[], json=False))
        told = capsys.readouterr().out
        assert code == 1
        assert (
            "messenger\n  [wrong] account\n      Messenger cannot be reached.\n      Check its token" in told
        )
        assert "webchat\n  [ok] account" in told
        assert "1 thing is wrong. Nothing was changed." in told
        code = await channels._check(settings, argparse.Namespace(names=["webchat"], json=True))
        assert code == 0
        assert json.loads(capsys.readouterr().out)["webchat"][0] == {
            "what": "account", "wrong": "", "do": "", "unsure": False,
        }  # fmt: skip
        with pytest.raises(
            SettingError, match=r"No channel that is on is called x\. On: messenger, webchat\."
        ):
            await channels.look(settings, ["x"])
