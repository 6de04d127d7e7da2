"""A setting that is wrong ends in one sentence, which never says a token or a secret."""

from __future__ import annotations

from typing import Any

import pytest

from bot.app import platforms
from bot.assurance.live import live_channels
from bot.errors import SettingError
from bot.settings import Settings
from tests.meta.serving import NAMES, settings_of
from tests.platforms.graph import App
from tests.support.sides import settings_for

pytestmark = pytest.mark.unit

API = "https://graph.facebook.com"
SQLITE = "sqlite+aiosqlite:///:memory:"


def settings(name: str, api: str = API, **values: Any) -> Settings:
    """The settings of one channel, with some of them changed."""
    return settings_for(SQLITE, **settings_of(App(name), api, **values))


def refusal(name: str, api: str = API, **values: Any) -> str:
    """What is said of these settings."""
    with pytest.raises(SettingError) as caught:
        platforms(settings(name, api, **values))
    said = str(caught.value)
    app = App(name)
    for secret in (app.token, app.app_secret, app.verify_token, *(str(v) for v in values.values() if v)):
        assert secret not in said
    return said


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("token", ["short", "with space and more letters", "EAA\u00e4" + "x" * 40]),
        ("app_secret", ["", "xyz", "0123456789ABCDEF0123456789ABCDEG", "0" * 33]),
        ("verify_token", ["", "with space", "umlaut-\u00e4", "a" * 257]),
        ("app_id", ["", "my-app", "12"]),
    ],
)
def test_a_malformed_setting_is_named(name: str, key: str, values: list[str]) -> None:
    """Copied half, or with something around it."""
    for value in values:
        assert f"FRONTCOUNTER_{name.upper()}_{key.upper()}" in refusal(name, **{key: value})


@pytest.mark.parametrize(("name", "key"), [("messenger", "page_id"), ("instagram", "account_id")])
def test_the_account_is_a_number(name: str, key: str) -> None:
    """Not its name."""
    assert f"FRONTCOUNTER_{name.upper()}_{key.upper()}" in refusal(name, **{key: "northumbriapolice"})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("url", ["http://graph.facebook.com", "ftp://x", "http://8.8.8.8"])
def test_the_token_does_not_travel_in_the_clear(name: str, url: str) -> None:
    """Plain HTTP is for one's own network only."""
    assert f"FRONTCOUNTER_{name.upper()}_API_URL" in refusal(name, url)


@pytest.mark.parametrize("name", NAMES)
def test_a_channel_is_switched_on_by_its_token(name: str) -> None:
    """And only by it."""
    assert set(platforms(settings(name))) == {"webchat", name}
    assert set(platforms(settings(name, token=""))) == {"webchat"}


@pytest.mark.parametrize("name", NAMES)
def test_a_real_token_waits_until_the_force_is_ready(name: str) -> None:
    """Whatever answers on this machine is a test's."""
    assert live_channels(platforms(settings(name))) == [name]
    assert live_channels(platforms(settings(name, "http://127.0.0.1:6300"))) == []


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_is_printed(name: str) -> None:
    """By whoever prints the options."""
    app = App(name)
    shown = repr(platforms(settings(name))[name]._options)  # type: ignore[attr-defined]

    assert app.us in shown
    assert not any(secret in shown for secret in (app.token, app.app_secret, app.verify_token))
