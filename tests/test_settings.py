"""Settings and errors: each wrong value names its variable; each error knows where it stands."""

from __future__ import annotations

import inspect
import traceback
from pathlib import Path

import pytest

from bot import errors
from bot.assistant import content_from_files
from bot.settings import ROOT, load_settings

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("FRONTCOUNTER_"):
            monkeypatch.delenv(name)


def test_what_is_in_force_when_nothing_is_set() -> None:
    settings = load_settings()
    assert settings.database_url.startswith("sqlite+aiosqlite:///")
    assert settings.force == ROOT / "force" / "northumbria"
    assert settings.public_host == settings.desk_host == "127.0.0.1"
    assert settings.demo is False


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTCOUNTER_ASSISTANT_URLS", "http://a:5005/, http://b:5005")
    monkeypatch.setenv("FRONTCOUNTER_DATABASE_URL", "postgres://u@h/d")
    monkeypatch.setenv("FRONTCOUNTER_PUBLIC_PORT", "9000")
    settings = load_settings()
    assert settings.assistant_urls == ("http://a:5005", "http://b:5005")
    assert settings.database_url == "postgresql+asyncpg://u@h/d"
    assert settings.public_port == 9000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://x/y"),
        ("DATABASE_URL", "sqlite:///x"),
        ("PUBLIC_PORT", "70000"),
        ("PUBLIC_PORT", "many"),
        ("DESK_PORT", "0"),
        ("POLL_SECONDS", "0"),
        ("LEASE_SECONDS", "1"),
        ("SEND_TIMEOUT_SECONDS", "31"),
        ("ASSISTANT_TIMEOUT_SECONDS", "-1"),
        ("DEMO", "perhaps"),
        ("MAX_BODY_BYTES", "10"),
        ("ASSISTANT_URLS", ""),
        ("ASSISTANT_URLS", "127.0.0.1:5005"),
        ("REDIS_URL", "127.0.0.1:6379"),
        ("ALARM_CONTACTS", "{duty: desk}"),
        ("WEBCHAT_ORIGINS", "www.force.example"),
        ("WEBCHAT_ORIGINS", "https://*.force.example"),
        ("WEBCHAT_ORIGINS", "https://www.force.example/news"),
        ("WEBCHAT_ORIGINS", "https://force.example https://other.example"),
        ("WEBCHAT_ORIGINS", "http://www.force.example"),
        ("WEBCHAT_ORIGINS", "https://good.example, *"),
        ("WEBCHAT_PAGE_KEY", "short"),
    ],
)
def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"FRONTCOUNTER_{name}", value)
    with pytest.raises(errors.SettingError, match=f"FRONTCOUNTER_{name}"):
        load_settings()


@pytest.mark.parametrize(
    "value", ["http://user:s3cret pass@rasa:5005", "http://good:5005,user:s3cret@rasa:5005", "s3cret"]
)
def test_a_wrong_address_of_the_assistant_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """A password may stand in it: neither the sentence nor what it came from holds it."""
    monkeypatch.setenv("FRONTCOUNTER_ASSISTANT_URLS", value)
    with pytest.raises(errors.SettingError, match=f"address {1 + value.count(',')} is not") as caught:
        load_settings()
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_origins_are_written_as_browsers_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().webchat_origins == ()
    given = " https://WWW.force.example/, https://blog.force.example:443,https://a.example:8443,, http://localhost:80"
    monkeypatch.setenv("FRONTCOUNTER_WEBCHAT_ORIGINS", given)
    assert load_settings().webchat_origins == (
        "https://www.force.example", "https://blog.force.example", "https://a.example:8443", "http://localhost",
    )  # fmt: skip


def test_settings_do_not_change_after_the_start() -> None:
    with pytest.raises(ValueError):
        load_settings().demo = True


def test_a_missing_force_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(errors.ContentError, match="FRONTCOUNTER_FORCE"):
        content_from_files(tmp_path / "nowhere", ROOT / "data")


def test_a_broken_file_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "wording.yml").write_text("greeting: Hello\nbroken: [\n")
    with pytest.raises(errors.ContentError, match=r"wording\.yml, line \d"):
        content_from_files(tmp_path, ROOT / "data")


def test_all_errors_are_of_one_tree_and_say_whether_to_try_again() -> None:
    for name, thing in inspect.getmembers(errors, inspect.isclass):
        if thing.__module__ != errors.__name__:
            continue
        assert issubclass(thing, errors.FrontCounterError), name
        assert name.endswith("Error")
    assert errors.StoreUnavailableError.retryable
    assert errors.AssistantUnavailableError.retryable
    assert errors.RetryLaterError("x", 3.0).retry_after_seconds == 3.0
    assert not errors.UnsureError.retryable
    assert not errors.RejectedError.retryable
    assert errors.SignatureError.status == 401
    assert errors.TooLargeError.status == 413
