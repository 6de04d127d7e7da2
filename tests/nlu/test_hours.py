"""Desk hours at their edges, past midnight, on single dates and across the clock change."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from actions.hours import HoursError, desk_is_open, force_folder, load_hours

LONDON = ZoneInfo("Europe/London")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def hours(opens: str = "08:00", closes: str = "22:00", **changed: Any) -> dict[str, Any]:
    """Hours that are the same on each day, but for what is changed."""
    desk = {"days": {day: [{"opens": opens, "closes": closes}] for day in DAYS}}
    return {"timezone": "Europe/London", "desk": desk, **changed}


def at(clock: str, day: str = "2026-11-23") -> datetime:
    """A local time in London."""
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=LONDON)


@pytest.mark.parametrize(
    ("clock", "is_open"),
    [("07:59:59", False), ("08:00", True), ("21:59:59", True), ("22:00", False), ("03:00", False)],
)
def test_opening_is_open_and_closing_is_closed(clock: str, is_open: bool) -> None:
    assert desk_is_open(hours(), at(clock)) is is_open


@pytest.mark.parametrize(
    ("utc", "is_open"),
    [
        ("2026-03-28T08:00", True),  # the day before summer time: 08:00 in London
        ("2026-03-28T07:59", False),
        ("2026-03-29T07:00", True),  # summer time since this night: also 08:00 in London
        ("2026-03-29T06:59", False),
        ("2026-10-24T21:00", False),  # still summer time: 22:00 in London
        ("2026-10-25T21:00", True),  # winter time since this night: 21:00 in London
        ("2026-10-25T22:00", False),
    ],
)
def test_the_clock_change_moves_nothing_in_local_time(utc: str, is_open: bool) -> None:
    now = datetime.fromisoformat(utc).replace(tzinfo=UTC)
    assert desk_is_open(hours(), now) is is_open


def test_the_hour_that_comes_twice_is_open_both_times() -> None:
    for utc in ("2026-10-25T00:30", "2026-10-25T01:30"):
        now = datetime.fromisoformat(utc).replace(tzinfo=UTC)
        assert desk_is_open(hours("01:00", "02:00"), now)


def test_a_span_may_run_past_midnight_or_to_its_end() -> None:
    late = hours("20:00", "02:00")
    assert desk_is_open(late, at("01:59"))
    assert not desk_is_open(late, at("02:00"))
    assert desk_is_open(hours("08:00", "24:00"), at("23:59:59"))
    assert not desk_is_open(hours("08:00", "24:00"), at("00:00"))
    assert all(desk_is_open(hours("00:00", "24:00"), at(clock)) for clock in ("00:00", "12:00", "23:59"))


def test_a_single_date_differs() -> None:
    christmas = hours(exceptions=[{"date": "2026-12-25", "hours": [], "reason": "Christmas"}])
    assert not desk_is_open(christmas, at("12:00", "2026-12-25"))
    assert desk_is_open(christmas, at("12:00", "2026-12-24"))
    short = hours(exceptions=[{"date": "2026-12-24", "hours": [{"opens": "08:00", "closes": "12:00"}]}])
    assert not desk_is_open(short, at("13:00", "2026-12-24"))


def test_a_day_without_hours_is_closed() -> None:
    content = hours()
    content["desk"]["days"]["monday"] = []
    assert not desk_is_open(content, at("12:00"))


@pytest.mark.parametrize(
    "span",
    [{"opens": "08:00"}, {"opens": "8", "closes": "9"}, {"opens": "25:00", "closes": "26:00"}, "08:00"],
)
def test_hours_that_cannot_be_read_are_an_error(span: Any) -> None:
    content = hours()
    content["desk"]["days"] = {day: [span] for day in DAYS}
    with pytest.raises(HoursError):
        desk_is_open(content, at("12:00"))


def test_the_shipped_hours_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRONTCOUNTER_FORCE", raising=False)
    content = load_hours(force_folder() / "hours.yml")
    for day in range(23, 30):
        desk_is_open(content, at("12:00", f"2026-11-{day}"))


def test_the_environment_names_the_force(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FRONTCOUNTER_FORCE", str(tmp_path))
    assert force_folder() == tmp_path
    (tmp_path / "hours.yml").write_text("desk: often\n", "utf-8")
    with pytest.raises(HoursError):
        load_hours(tmp_path / "hours.yml")
