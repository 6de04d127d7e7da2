"""practice.yml: the shipped file is whole, and each fault names its line and what to do."""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.assistant import Content
from bot.commands import check
from bot.errors import ContentError
from bot.handover.surges import LEAST_PEOPLE, are_alike, normalised
from bot.messages import URGENT
from bot.practice import Script, faults, load_script
from bot.practice.script import FILE
from bot.settings import ROOT, load_settings
from tests.practice.serving import FORCE
from tests.support.world import read_screen

pytestmark = pytest.mark.unit

SCREEN = ROOT / "data" / "risk"
Edit = Callable[[str], str]


@pytest.fixture
def force(tmp_path: Path) -> Path:
    """A copy of the shipped force, to break."""
    copy = tmp_path / "borderland"
    shutil.copytree(FORCE, copy)
    return copy


def spoil(force: Path, change: Edit) -> Path:
    """Change the file; the change must change something."""
    path = force / FILE
    before = path.read_text("utf-8")
    after = change(before)
    assert after != before
    path.write_text(after, "utf-8")
    return path


def line_of(path: Path, beginning: str) -> int:
    lines = path.read_text("utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.strip().startswith(beginning))


def test_the_shipped_file_is_as_it_must_be(content: Content) -> None:
    assert list(faults(FORCE, content, read_screen(SCREEN))) == []


def test_it_rehearses_what_a_desk_meets(script: Script) -> None:
    grades = [scenario.grade for scenario in script.scenarios.values()]
    assert len(grades) >= 14
    assert set(grades) == {"P1", "P2", "P3", "P4"}
    assert sum(grade in URGENT for grade in grades) >= 8
    played = {one.scenario for session in script.sessions.values() for one in session.scenarios}
    assert len(script.sessions) >= 3
    assert played <= set(script.scenarios)
    assert any(
        "call back" in scenario.learn or "called" in scenario.title for scenario in script.scenarios.values()
    )


def test_a_crowd_is_one_surge(script: Script) -> None:
    crowds = [people for one in script.scenarios.values() for people in one.people if people.times > 1]
    assert any(people.times == 8 for people in crowds)
    for people in crowds:
        first = normalised(people.says[0].text)
        alike = [text for text in people.says_also if are_alike(first, normalised(text))]
        assert len(alike) + 1 >= max(LEAST_PEOPLE, people.times)


@pytest.mark.parametrize(
    ("change", "at", "says"),
    [
        (lambda t: t.replace("    learn:", "    lern:", 1), "lern:", "'lern' is not known here. Remove it, or write"),
        (lambda t: re.sub(r"    learn: .*\n", "", t, count=1), "burglar_inside:", "'learn' is missing. Add it"),
        (lambda t: t.replace("grade: P1", "grade: P9", 1), "grade: P9", "'grade' must be P1, P2, P3 or P4"),
        (lambda t: t.replace("after: 25", "after: soon", 1), "- {after: soon", "'after' must be a number of seconds"),
        (lambda t: t.replace('on_safe: "yes"', "on_safe: yes", 1), "on_safe: yes", "'on_safe' must be a plain yes"),
        (lambda t: t.replace('on_safe: "yes"', 'on_safe: "maybe"', 1), "on_safe:", 'write a plain "yes" or "no"'),
        (
            lambda t: t.replace("[emergency_response, incident_created]", "[cheered_up]", 1),
            "outcomes:", "there is no outcome cheered_up in outcomes.yml",
        ),
        (
            lambda t: t.replace("outcomes: [emergency_response]", "outcomes: [spam]", 1),
            "outcomes: [spam]", "a P1 cannot be closed with spam",
        ),
        (lambda t: t.replace("times: 8", "times: 9"), "says_also:", "9 people need 8 other first lines"),
        (lambda t: t.replace("scenario: grateful", "scenario: nobody", 1), "- {at: 0, scenario: nobody", "there is no scenario nobody"),
        (lambda t: t.replace("[digital_desk, control_room]", "[choir]", 1), "practice-moderator-1:", "there is no team choir in teams.yml"),
        (lambda t: t.replace("  practice-moderator-1:", "  moderator-1:"), "moderator-1:", "it has to begin with practice-"),
        (lambda t: t.replace("  told_burglary:\n    title", "  grateful:\n    title"), "", "'grateful' stands twice"),
        (lambda t: t.replace("role: supervisor", "role: moderator"), "staff:", "nobody here is a supervisor"),
        (lambda t: t.replace("place_words: [", "place_words: [[", 1), "", "this is not valid YAML. Mend that line"),
        (
            lambda t: t.replace('"my ex is stalking me"', '"nice weather today"').replace(
                '"its the same every week since august, i feel like im going mad"', '"and tomorrow as well"'
            ),
            "", "the safety words do not raise a P2 here",
        ),
    ],
)  # fmt: skip
def test_a_fault_names_its_line(force: Path, content: Content, change: Edit, at: str, says: str) -> None:
    path = spoil(force, change)
    found = list(faults(force, content, read_screen(SCREEN)))
    told = [fault for fault in found if says in fault]
    assert told, found
    assert told[0].startswith(f"borderland/{FILE}, line ")
    if at:
        assert f"line {line_of(path, at)}:" in told[0]


def test_practice_does_not_begin_with_a_wrong_file(force: Path, content: Content) -> None:
    spoil(force, lambda t: t.replace("grade: P1", "grade: P9", 1))
    with pytest.raises(ContentError, match=r"practice\.yml, line \d+: 'grade' must be"):
        load_script(force, content)
    (force / FILE).unlink()
    with pytest.raises(ContentError, match="cannot be read"):
        load_script(force, content)


def test_a_force_may_have_no_practice(force: Path, content: Content) -> None:
    (force / FILE).unlink()
    assert list(faults(force, content, read_screen(SCREEN))) == []


def test_an_urgent_chat_may_not_be_handed_back(force: Path, content: Content) -> None:
    spoil(force, lambda t: t.replace("    grade: P1\n", "    grade: P1\n    hand_back: true\n", 1))
    found = list(faults(force, content, read_screen(SCREEN)))
    assert len(found) == 1
    assert "a P1 is never handed back" in found[0]


async def test_the_check_reads_it(force: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = load_settings(force=force)
    assert not [fault for fault in check.faults(settings) if FILE in fault]
    spoil(force, lambda t: t.replace("[emergency_response, incident_created]", "[cheered_up]", 1))
    assert await check._check(settings, argparse.Namespace()) == 1
    assert "there is no outcome cheered_up" in capsys.readouterr().out


def test_another_force_brings_its_own(force: Path, content: Content) -> None:
    spoil(force, lambda t: t.replace("safeguarding", "care"))
    teams = {**content.teams, "teams": {**content.teams["teams"], "care": {"name": "Care"}}}
    outcomes = {**content.outcomes, "care_referral": content.outcomes["safeguarding_referral"]}
    theirs = replace(content, teams=teams, outcomes=outcomes)
    assert "care" in load_script(force, theirs).staff["practice-moderator-2"].teams
