"""A setting that is wrong ends in one sentence, which never says the token."""

from __future__ import annotations

from typing import Any

import pytest

from bot.app import platforms
from bot.channels.telegram.options import read_options
from bot.errors import SettingError
from tests.telegram.serving import SECRET, TOKEN, settings_for

pytestmark = pytest.mark.unit

API = "https://api.telegram.org"
SQLITE = "sqlite+aiosqlite:///:memory:"


def refusal(mode: str = "webhook", api: str = API, **values: Any) -> str:
    """What is said of these settings."""
    with pytest.raises(SettingError) as caught:
        read_options(settings_for(SQLITE, api, mode, **values))
    said = str(caught.value)
    given = [str(value) for name, value in values.items() if name.startswith("telegram_") and value]
    for secret in (TOKEN, SECRET, *given):
        assert secret not in said
    return said


@pytest.mark.parametrize(
    "token",
    ["xyzzy", "12345", "4242424242", "4242424242:short", "bot" + TOKEN, TOKEN + "!", "not a token at all"],
)
def test_a_malformed_token_is_named(token: str) -> None:
    """Copied half, or with something around it."""
    assert "FRONTCOUNTER_TELEGRAM_TOKEN" in refusal("poll", telegram_token=token)


@pytest.mark.parametrize("secret", ["", "with space", "umlaut-ä", "a" * 257, "semi;colon"])
def test_the_webhook_needs_a_secret_that_telegram_takes(secret: str) -> None:
    """1 to 256 of A-Z a-z 0-9 _ and -."""
    assert "FRONTCOUNTER_TELEGRAM_SECRET" in refusal(telegram_secret=secret)


@pytest.mark.parametrize(
    "url",
    ["", "http://chat.force.example", "chat.force.example", "https://", "https://chat.force.example:8080"],
)
def test_the_webhook_needs_a_public_https_address(url: str) -> None:
    """And one of the ports that Telegram calls."""
    assert "FRONTCOUNTER_PUBLIC_URL" in refusal(public_url=url)


@pytest.mark.parametrize("url", ["http://api.telegram.org", "ftp://x", "", "http://8.8.8.8"])
def test_the_token_does_not_travel_in_the_clear(url: str) -> None:
    """Plain HTTP is for one's own network only."""
    assert "FRONTCOUNTER_TELEGRAM_API_URL" in refusal("poll", api=url)


def test_polling_needs_neither_address_nor_secret() -> None:
    """It asks; nobody calls it."""
    options = read_options(settings_for(SQLITE, API, "poll", public_url="", telegram_secret=""))

    assert options.webhook_url is None
    assert TOKEN not in repr(options)


def test_good_settings_give_the_address_of_the_webhook() -> None:
    """Under the force's own address, with or without a slash at its end."""
    options = read_options(settings_for(SQLITE, API, "webhook", public_url="https://chat.force.example/"))

    assert options.webhook_url == "https://chat.force.example/telegram/webhook"
    assert SECRET not in repr(options)


def test_telegram_is_switched_on_by_a_token() -> None:
    """And only by it."""
    assert set(platforms(settings_for(SQLITE, API, "poll"))) == {"webchat", "telegram"}
    assert set(platforms(settings_for(SQLITE, API, "poll", telegram_token=""))) == {"webchat"}


def test_a_wrong_setting_stops_the_start() -> None:
    """Before anything listens."""
    with pytest.raises(SettingError, match="FRONTCOUNTER_TELEGRAM_TOKEN"):
        platforms(settings_for(SQLITE, API, "poll", telegram_token="wrong"))
