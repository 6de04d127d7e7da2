"""A setting that is wrong ends in one sentence, which never says a key or a secret."""

from __future__ import annotations

from typing import Any

import pytest

from bot.app import platforms
from bot.assurance.live import live_channels
from bot.channels.x.options import read_options
from bot.errors import SettingError
from bot.settings import Settings
from tests.platforms.x import App
from tests.support.sides import settings_for
from tests.x.serving import settings_of

pytestmark = pytest.mark.unit

API = "https://api.x.com"
SQLITE = "sqlite+aiosqlite:///:memory:"
APP = App(client_secret="loopback-client_secret_of_oauth_2")
SECRETS = (APP.consumer_key, APP.app_secret, APP.access_token, APP.access_secret, APP.client_secret)


def settings(api: str = API, public_url: str = "https://chat.force.example", **values: Any) -> Settings:
    """The settings of the channel, with some of them changed."""
    return settings_for(SQLITE, public_url=public_url, **settings_of(APP, api, **values))


def refusal(api: str = API, public_url: str = "https://chat.force.example", **values: Any) -> str:
    """What is said of these settings."""
    with pytest.raises(SettingError) as caught:
        platforms(settings(api, public_url, **values))
    said = str(caught.value)
    for secret in (*SECRETS, *(str(value) for value in values.values() if value)):
        assert secret not in said
    return said


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("consumer_key", ["", "short", "with space and more", "\u00e4" * 20]),
        ("consumer_secret", ["", "short", "with-dash-and-more-letters"]),
        ("access_token", ["noNumber-abcdefghijklmnopqrstuvw", "123-short", "123abcdefghijklmnopqrstuvwxyz"]),
        ("access_secret", ["", "short", "x" * 300]),
        ("client_secret", ["short", "with space and more letters"]),
    ],
)
def test_a_malformed_setting_is_named(key: str, values: list[str]) -> None:
    """Copied half, or with something around it."""
    for value in values:
        assert f"FRONTCOUNTER_X_{key.upper()}" in refusal(**{key: value})


@pytest.mark.parametrize("url", ["http://api.x.com", "ftp://x", "http://8.8.8.8"])
def test_no_key_travels_in_the_clear(url: str) -> None:
    """Plain HTTP is for one's own network only."""
    assert "FRONTCOUNTER_X_API_URL" in refusal(url)


@pytest.mark.parametrize(
    "url", ["", "http://chat.force.example", "https://chat.force.example:8443", "https://a:b"]
)
def test_an_address_that_x_does_not_call_is_named(url: str) -> None:
    """It calls HTTPS, and no port."""
    assert "FRONTCOUNTER_PUBLIC_URL" in refusal(public_url=url)
    assert set(platforms(settings(public_url=url, mode="poll"))) == {"webchat", "x"}


def test_the_channel_is_switched_on_by_its_token() -> None:
    """And only by it."""
    assert set(platforms(settings())) == {"webchat", "x"}
    assert set(platforms(settings(access_token=""))) == {"webchat"}


def test_real_keys_wait_until_the_force_is_ready() -> None:
    """Whatever answers on this machine is a test's."""
    assert live_channels(platforms(settings())) == ["x"]
    assert live_channels(platforms(settings("http://127.0.0.1:6300"))) == []


def test_no_secret_is_printed() -> None:
    """By whoever prints the options."""
    options = read_options(settings())

    assert options.user_id == APP.us
    assert options.webhook_url == "https://chat.force.example/x/webhook"
    assert not any(secret in repr(options) for secret in SECRETS)
