"""The rota: who is told when, and what is said of one that is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.errors import ContentError
from bot.handover.alarms import Rota, read_rota, state
from bot.settings import ROOT, load_settings
from tests.alarms.conftest import ROTA, force

pytestmark = pytest.mark.unit

MONDAY_NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def read(folder: Path, text: str, **settings: Any) -> Rota:
    return read_rota(load_settings(force=force(folder, text), **settings))


def level(name: str, after: int, hours: str) -> str:
    return (
        f"  - {{name: {name}, after_seconds: {after}, hours: {hours}, "
        f"contacts: [{{name: c, mail: c@force.example}}]}}\n"
    )


def told(rota: Rota, raised_at: datetime, **later: float) -> list[str]:
    return [rota.levels[step.level].name for step in rota.steps(raised_at, raised_at + timedelta(**later))]


def test_the_shipped_rota_is_read_and_marked_as_an_example() -> None:
    found = state(load_settings(force=ROOT / "force" / "northumbria"))
    assert found.set_up == ()
    assert found.missing == ("mail", "webhook")
    assert sum("is an example" in problem for problem in found.problems) == 4


def test_levels_off_duty_are_passed_over_without_waiting(tmp_path: Path) -> None:
    day = '{monday: [{opens: "08:00", closes: "18:00"}]}'
    night = '{monday: [{opens: "18:00", closes: "08:00"}]}'
    text = "repeat_minutes: 5\nlevels:\n" + level("day", 0, day) + level("night", 60, night)
    rota = read(tmp_path, text + level("last", 60, "always"))
    assert told(rota, MONDAY_NOON) == ["day"]
    assert told(rota, MONDAY_NOON, seconds=61) == ["day", "last"]
    evening = MONDAY_NOON + timedelta(hours=8)
    assert told(rota, evening) == ["night"]
    assert told(rota, evening, seconds=60) == ["night", "last"]
    # Monday's night ends on Tuesday at eight.
    assert told(rota, MONDAY_NOON + timedelta(hours=19, minutes=59)) == ["night"]
    assert told(rota, MONDAY_NOON + timedelta(hours=20)) == ["last"]


def test_hours_follow_the_clocks_of_the_force(tmp_path: Path) -> None:
    """In summer eight in the morning in London is seven in UTC."""
    text = "repeat_minutes: 5\nlevels:\n" + level("day", 0, '{monday: [{opens: "08:00", closes: "18:00"}]}')
    rota = read(tmp_path, text + level("last", 60, "always"))
    summer = datetime(2026, 7, 6, 7, 0, tzinfo=UTC)
    assert told(rota, summer) == ["day"]
    assert told(rota, summer - timedelta(seconds=1)) == ["last"]


def test_the_last_level_is_told_again_for_ever(tmp_path: Path) -> None:
    rota = read(tmp_path, ROTA)
    for minutes in (2, 6, 7, 500, 5000):
        last = rota.steps(MONDAY_NOON, MONDAY_NOON + timedelta(minutes=minutes))[-1]
        assert last.at == MONDAY_NOON + timedelta(minutes=2 + (minutes - 2) // 5 * 5)


def test_addresses_come_from_a_file_and_from_the_environment(tmp_path: Path) -> None:
    text = """
repeat_minutes: 5
levels:
  - name: One
    hours: always
    contacts:
      - {name: A, key: a, mail: example@force.example, verify: true}
      - {name: B, key: b, verify: true}
"""
    given = tmp_path / "contacts.yml"
    given.write_text("a: {mail: file@force.example, target: from-file}\n", "utf-8")
    rota = read(
        tmp_path, text, alarm_contacts_file=given,
        alarm_contacts={"a": {"mail": "env@force.example"}, "b": {"target": "0900"}},
    )  # fmt: skip
    a, b = rota.levels[0].contacts
    assert (a.mail, a.target, a.verify) == ("env@force.example", "from-file", False)
    assert (b.mail, b.target, b.verify) == ("", "0900", False)
    assert rota.levels[0].reached_by("mail") == (a,)
    assert rota.levels[0].reached_by("webhook") == (a, b)


def test_the_environment_is_read_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTCOUNTER_ALARM_CONTACTS", '{"a": {"mail": "env@force.example"}}')
    assert load_settings().alarm_contacts == {"a": {"mail": "env@force.example"}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no 'levels'"),
        ("levels: []", "no levels"),
        ("levels: [x: y", "not valid YAML"),
        ("repeat_minutes: 0\nlevels: [{}]", "repeat_minutes"),
        ("levels: [{name: A}]", "one contact at least"),
        ("levels: [{contacts: [{name: c}]}]", "give it a name"),
        ("levels: [{name: A, after_seconds: soon, contacts: [{name: c}]}]", "after_seconds"),
        ("levels: [{name: A, contacts: [{mail: c@force.example}]}]", "each contact a name"),
        ("levels: [{name: A, contacts: [{name: c, mail: 'a@b.c, d@e.f'}]}]", "is not one"),
        ("levels: [{name: A, contacts: [{name: c, mail: nonsense}]}]", "is not one"),
        ('levels: [{name: A, contacts: [{name: "c\\r\\nBcc: x"}]}]', "cannot be shown"),
        ("levels: [{name: A, contacts: [{name: c}, {name: c}]}]", "same name"),
        ("levels:\n" + level("A", 0, "always") * 2, "same name"),
        ("levels:\n" + level("A", 0, "sometimes"), "set hours to"),
        ("levels:\n" + level("A", 0, "{someday: []}"), "is no day"),
        ("levels:\n" + level("A", 0, "{monday: 8}"), "as a list"),
        ("levels:\n" + level("A", 0, "{monday: [{opens: 08:00, closes: 18:00}]}"), "in quotes"),
        ("levels:\n" + level("A", 0, '{monday: [{opens: "08:00", closes: "18:00"}]}'), "hours: always"),
    ],
)
def test_a_wrong_rota_is_refused_with_what_to_do(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ContentError, match=r"alarms\.yml of ourforce") as caught:
        read(tmp_path, text)
    assert says in str(caught.value)


def test_a_missing_rota_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match=r"alarms\.yml of .* is missing"):
        read_rota(load_settings(force=tmp_path))


@pytest.mark.parametrize(
    ("settings", "set_up", "says"),
    [
        ({"smtp_host": "mail.example"}, (), "FRONTCOUNTER_SMTP_FROM"),
        ({"smtp_host": "mail.example", "smtp_from": "a@b.example"}, ("mail",), "FRONTCOUNTER_DESK_URL"),
        ({"alarm_webhook_url": "https://x.example"}, (), "FRONTCOUNTER_ALARM_WEBHOOK_SECRET"),
        ({"alarm_webhook_url": "ftp://x.example", "alarm_webhook_secret": "s" * 20}, (), "https://"),
        (
            {"alarm_webhook_url": "http://x.example", "alarm_webhook_secret": "s" * 20},
            ("webhook",),
            "unencrypted",
        ),
        (
            {"alarm_webhook_url": "https://x.example", "alarm_webhook_secret": "s" * 20},
            ("webhook",),
            "Mail is not",
        ),
    ],
)
def test_a_path_is_set_up_or_says_what_is_missing(
    tmp_path: Path, settings: dict[str, Any], set_up: tuple[str, ...], says: str
) -> None:
    found = state(load_settings(force=force(tmp_path), **settings))
    assert found.set_up == set_up
    assert any(says in problem for problem in found.problems)
