"""A setting that is wrong ends in one sentence, which never says a token or a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bot.app import platforms
from bot.assurance.live import live_channels
from bot.commands.check import faults
from bot.errors import ContentError, SettingError
from bot.settings import Settings
from tests.platforms.whatsapp import WhatsAppApp
from tests.support.sides import settings_for
from tests.whatsapp.serving import settings_of

pytestmark = pytest.mark.unit

API = "https://graph.facebook.com"
SQLITE = "sqlite+aiosqlite:///:memory:"
APP = WhatsAppApp()


def settings(api: str = API, **values: Any) -> Settings:
    """The settings of the channel, with some of them changed."""
    return settings_for(SQLITE, **settings_of(APP, api, **values))


def refusal(api: str = API, **values: Any) -> str:
    """What is said of these settings."""
    with pytest.raises(SettingError) as caught:
        platforms(settings(api, **values))
    said = str(caught.value)
    for secret in (APP.token, APP.app_secret, APP.verify_token, *(str(v) for v in values.values() if v)):
        assert secret not in said
    return said


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("token", ["short", "with space and more letters", "EAA\u00e4" + "x" * 40]),
        ("app_secret", ["", "xyz", "0123456789ABCDEF0123456789ABCDEG"]),
        ("verify_token", ["", "with space", "a" * 257]),
        ("account_id", ["", "northumbria", "12"]),
        ("phone_number_ids", ["", "+44 7700 900123", "106540352242922,x", "106540352242922;106540352242923"]),
    ],
)
def test_a_malformed_setting_is_named(key: str, values: list[str]) -> None:
    """Copied half, or with something around it."""
    for value in values:
        assert f"FRONTCOUNTER_WHATSAPP_{key.upper()}" in refusal(**{key: value})


@pytest.mark.parametrize("url", ["http://graph.facebook.com", "ftp://x", "http://8.8.8.8"])
def test_the_token_does_not_travel_in_the_clear(url: str) -> None:
    """Plain HTTP is for one's own network only."""
    assert "FRONTCOUNTER_WHATSAPP_API_URL" in refusal(url)


def test_a_channel_is_switched_on_by_its_token() -> None:
    """And only by it."""
    assert set(platforms(settings())) == {"webchat", "whatsapp"}
    assert set(platforms(settings(token=""))) == {"webchat"}


def test_a_real_token_waits_until_the_force_is_ready() -> None:
    """Whatever answers on this machine is a test's."""
    assert live_channels(platforms(settings())) == ["whatsapp"]
    assert live_channels(platforms(settings("http://127.0.0.1:6300"))) == []


def test_a_wrong_file_of_texts_is_named(tmp_path: Path) -> None:
    """Before anything starts."""
    (tmp_path / "whatsapp.yml").write_text("texts:\n  one:\n    title: x\n", "utf-8")
    with pytest.raises(ContentError, match=r"whatsapp\.yml, line 2"):
        platforms(settings().model_copy(update={"force": tmp_path}))


def test_a_wrong_file_of_texts_is_among_what_is_checked(tmp_path: Path) -> None:
    """By the command that looks through the force's files."""
    (tmp_path / "whatsapp.yml").write_text("texts:\n  one: 5\n", "utf-8")
    found = list(faults(settings().model_copy(update={"force": tmp_path})))
    assert found == ["whatsapp.yml, line 2, one: write title, name, language and body under it."]


def test_no_secret_is_printed() -> None:
    """By whoever prints the options."""
    shown = repr(platforms(settings())["whatsapp"]._options)  # type: ignore[attr-defined]
    assert APP.account_id in shown
    assert not any(secret in shown for secret in (APP.token, APP.app_secret, APP.verify_token))
