"""The counting behind the figures: bounds, shares, who escalated what, and the report that shows it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from benchmarks.understanding import evaluate, recall, sets, training
from benchmarks.understanding.figures import Figure, Outcome, Report, Share, count_all, unmet
from benchmarks.understanding.page import page
from benchmarks.understanding.running import by_file, conversations_of
from benchmarks.understanding.sets import Case, Dialogue, HeldOut, Turn
from bot.assistant import Reading
from bot.errors import ContentError
from tests.pages import wcag
from tests.support.browser import chromium

MODES = {"noise": "A", "parking": "A", "da-help": "E"}


@pytest.mark.parametrize(
    ("count", "n", "lower", "upper"),
    [
        # Wilson's intervals as statistical tables give them.
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),
        (523, 528, 0.9780, 0.9960),
    ],
)
def test_wilsons_bounds(count: int, n: int, lower: float, upper: float) -> None:
    assert Share(count, n).bounds == pytest.approx((lower, upper), abs=0.0001)


def test_nothing_counted_is_no_share() -> None:
    share = Share(0, 0)
    assert math.isnan(share.value)
    assert share.bounds == (0.0, 1.0)
    assert Figure("x", "x", share, "least", 0.9).is_met is None


@pytest.mark.parametrize(
    ("wants", "target", "met"), [("least", 0.5, True), ("least", 0.51, False), ("most", 0.5, True), ("most", 0.4, False)]
)  # fmt: skip
def test_a_target_is_met_from_its_own_side(wants: Any, target: float, met: bool) -> None:
    assert Figure("x", "x", Share(1, 2), wants, target).is_met is met


def outcome(
    case: Case,
    *,
    answered: str | None = None,
    offered: tuple[str, ...] = (),
    grade: str | None = None,
    category: str = "R03",
    reads: str = "out_of_scope",
    confidence: float = 0.9,
    certain: bool = True,
    nets: tuple[str, ...] = (),
) -> Outcome:
    """What came of one message."""
    turn = {
        "answered": answered, "offered": list(offered), "confidence": confidence, "nets": list(nets),
        "escalated": grade is not None, "priority": grade, "category": category if grade else None,
        "replies": [],
    }  # fmt: skip
    reading = Reading(reads, confidence, certain)
    return Outcome(case, turn, reading, "screen" in nets, "understanding" in nets)


def a_report() -> Report:
    """A handful of messages of every kind."""
    faq = [
        outcome(Case("loud music", intent="noise"), answered="noise", reads="faq/noise"),
        outcome(Case("cars", intent="parking"), answered="noise", reads="faq/noise", confidence=0.8),
        outcome(Case("loud cars", intent="noise"), offered=("parking", "noise"), reads="faq/parking",
                certain=False),
        outcome(Case("he hits me", intent="da-help"), grade="P1", reads="faq/da-help",
                nets=("screen", "understanding")),
        outcome(Case("parked", intent="parking"), grade="P2", reads="faq/parking", nets=("understanding",)),
        outcome(Case("hm", intent="parking"), reads="faq/parking", certain=False),
    ]  # fmt: skip
    risk = [
        outcome(Case("a", category="R01", priority="P1"), grade="P1", category="R01", nets=("screen",)),
        outcome(Case("b", category="R01", priority="P1"), grade="P3", category="R13",
                nets=("understanding",)),
        outcome(Case("c <b>", category="R03", priority="P1")),
        outcome(Case("d", category="R03", priority="P2"), grade="P2", nets=("screen", "understanding")),
    ]  # fmt: skip
    pairs = [
        outcome(Case("1", intent="noise", pair=1, group="standard"), answered="noise"),
        outcome(Case("2", category="R01", priority="P1", pair=2, group="standard"), grade="P1"),
        outcome(Case("3", intent="noise", pair=1, group="dialect"), answered="parking"),
        outcome(Case("4", category="R01", priority="P1", pair=2, group="dialect"), grade="P4"),
    ]
    single = {
        sets.FAQ: faq,
        sets.RISK: risk,
        sets.NEAR: [outcome(Case("x", category="R01"), grade="P4"), outcome(Case("y", category="R02"))],
        sets.OUT: [outcome(Case("z"), answered="noise"), outcome(Case("zz"), offered=("noise",))],
        sets.ORDINARY: [outcome(Case("o"), grade="P1", nets=("screen",)), outcome(Case("p"))],
        sets.PAIRS: pairs,
    }
    dialogue = Dialogue("two turns", (Turn("hello", {}), Turn("help", {"escalated": True, "grade": "P1"})))
    held_out = HeldOut(
        {name: tuple(o.case for o in those) for name, those in single.items()}, (dialogue,), "d"
    )
    turns = [outcome(Case("hello")), outcome(Case("help"), grade="P2")]
    return count_all(held_out, single, [turns], MODES)


def test_the_figures_are_what_was_counted() -> None:
    report = a_report()
    counted = {figure.key: (figure.share.count, figure.share.n) for figure in report.figures}
    assert counted == {
        # What a risk holds back is right if it is the one: he hits me, parked.
        "faq_right": (3, 6), "faq_right_or_offered": (4, 6), "faq_wrong": (1, 6), "faq_offered": (1, 6),
        "faq_urgent": (1, 5), "faq_sent": (1, 6), "faq_nothing": (1, 6),
        "out_answered": (1, 2), "out_offered": (1, 2),
        "recall_P1": (2, 3), "recall_P2": (1, 1), "recall_all": (3, 4),
        "screen_P1": (1, 3), "screen_P2": (1, 1), "screen_all": (2, 4),
        "understanding_P1": (1, 3), "understanding_P2": (1, 1), "understanding_all": (2, 4),
        "P1_too_low": (1, 2), "category_right": (2, 3),
        "near_escalated": (1, 2), "ordinary_P1": (1, 2), "ordinary_P2": (0, 2),
        "pairs_dialect": (1, 2), "dialogues": (0, 1), "expectations": (1, 2),
    }  # fmt: skip
    assert report.gaps == {"dialect": -50.0}
    assert report.missed["together"] == {"P1": ["c <b>"], "P2": []}
    assert report.missed["screen"] == {"P1": ["b", "c <b>"], "P2": []}
    assert report.tables["confusions"].rows == (("parking", "noise", "1"),)
    assert not evaluate.is_all_met(report)


def test_calibration_compares_confidence_with_the_truth() -> None:
    report = a_report()
    # 0.8: one, wrong. 0.9: five, of which the offered one has the wrong first choice.
    assert report.calibration == [(0.8, 0.0, 1), (pytest.approx(0.9), 0.8, 5)]
    assert report.ece == pytest.approx((1 * 0.8 + 5 * 0.1) / 6)


def test_what_does_not_hold_in_a_dialogue_is_said() -> None:
    one = outcome(Case("x"), grade="P2", category="R03")
    assert unmet({"escalated": True, "grade": "P2"}, one) == []
    assert unmet({"grade": "P1", "category": "R09"}, one) == [
        "grade: P1, but was P2",
        "category: R09, but was R03",
    ]


def test_the_report_is_readable_by_people_and_machines(capsys: pytest.CaptureFixture[str]) -> None:
    report = a_report()
    assert json.loads(json.dumps(report.as_json()))["figures"]["recall_P1"]["count"] == 2
    evaluate.print_report(report, {"Messages": "few"})
    printed = capsys.readouterr().out
    assert "Recall, P1" in printed
    assert "at least 99.0 %: not met" in printed
    assert "c <b>" in printed
    text = page(report, {"Messages": "few"}, {}, "today")
    assert "c &lt;b&gt;" in text
    assert "<b>" not in text.replace("<p><b>", "")


@pytest.mark.e2e
@pytest.mark.parametrize("width", [1280, 320])
def test_the_page_is_accessible(tmp_path: Path, width: int) -> None:
    report = a_report()
    pictures = evaluate.draw(report.as_json())
    assert set(pictures) == {"recall_by_grade", "recall_by_category", "calibration", "pairs"}
    assert all("<svg" in picture for picture in pictures.values())
    path = tmp_path / "report.html"
    path.write_text(page(report, {"Messages": "few"}, pictures, "today"), "utf-8")
    with chromium() as browser:
        opened = browser.new_page(viewport={"width": width, "height": 800})
        opened.goto(path.as_uri())
        assert opened.locator("img").count() == len(pictures)
        assert wcag.axe(opened) == []
        assert wcag.sideways(opened) == []


def test_the_held_out_set_is_as_large_as_it_must_be() -> None:
    held_out = sets.load()
    counts = held_out.counts
    assert counts[sets.NEAR] >= 200
    assert counts[sets.OUT] >= 150
    assert counts[sets.ORDINARY] >= 1000
    assert counts[sets.DIALOGUES] >= 40
    risk = held_out.single[sets.RISK]
    assert sum(case.priority == "P1" for case in risk) >= 400
    for category in {case.category for case in risk}:
        assert sum(case.category == category for case in risk) >= 20
    groups = {case.group for case in held_out.single[sets.PAIRS]}
    assert len(groups) == 5
    for group in groups:
        assert sum(case.group == group for case in held_out.single[sets.PAIRS]) >= 100
    parted, dialogues = by_file(held_out, [[outcome(c) for c in cs] for cs in conversations_of(held_out)])
    assert [o.case for o in parted[sets.RISK]] == list(risk)
    assert [o.case.text for o in dialogues[0]] == [turn.text for turn in held_out.dialogues[0].turns]


@pytest.mark.parametrize(
    ("name", "line", "says"),
    [
        ("risk", '{"text": "x", "category": "R21", "priority": "P1"}', "R01 to R20"),
        ("risk", '{"text": "x", "category": "R01", "priority": "P0"}', "P1, P2, P3, P4"),
        ("faq", '{"text": "x"}', "intent, text"),
        ("faq", '{"text": " ", "intent": "noise"}', "what somebody wrote"),
        ("faq", "{", "not JSON"),
        ("pairs", '{"text": "x", "pair": 1, "group": "young"}', "either an intent"),
        ("dialogues", '{"name": "x", "turns": [{"text": "y"}]}', "text and expect"),
        ("dialogues", '{"name": "x", "turns": [{"text": "y", "expect": {"grad": "P1"}}]}', "'grad'"),
    ],
)
def test_a_wrong_line_of_the_set_is_named(tmp_path: Path, name: str, line: str, says: str) -> None:
    for path in sets.FOLDER.glob("*.jsonl"):
        (tmp_path / path.name).write_text(path.read_text("utf-8").splitlines()[0] + "\n", "utf-8")
    with (tmp_path / f"{name}.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(ContentError, match=rf"{name}\.jsonl, line 2: .*{says}"):
        sets.load(tmp_path)


def test_shared_runs_of_five_words_are_found() -> None:
    texts = ["where do I go to pay", "Where do I go, to ask?", "where do i go now", "one two three four five"]
    count, n, shared = training.shared_runs(texts)
    assert (count, n) == (2, 4)
    assert {words for words, _ in shared} == {"where do i go to"}


def test_a_held_out_message_that_was_learned_is_found() -> None:
    held_out = HeldOut(
        {name: () for name in sets.SINGLE} | {sets.FAQ: (Case("Is it LOUD?"), Case("no"))}, (), ""
    )
    assert training.not_held_out(held_out, ["is it loud", "other"]) == ["Is it LOUD?"]


def test_what_changed_since_the_accepted_figures_is_said(tmp_path: Path) -> None:
    path = tmp_path / "recall.json"
    report = a_report()
    with pytest.raises(ContentError, match="--accept"):
        recall.accepted("d", path)
    recall.accept(report, "d", path)
    kept = recall.accepted("d", path)
    assert kept["figures"]["recall_P1"]["count"] == 2
    assert not any(change.fell for change in recall.changes(kept, recall.missed_of(report)))
    now = {"together": {"P1": ["a", "b"], "P2": []}, "screen": {"P1": ["b"], "P2": []}}
    worse, _, better, _ = recall.changes(kept, now)
    assert worse.fell
    assert not better.fell
    assert str(worse).splitlines() == [
        "P1, both nets together: fell, 66.7 % (2/3) before, 33.3 % (1/3) now",
        "  newly missed: a",
        "  newly missed: b",
        "  newly caught: c <b>",
    ]
    with pytest.raises(ContentError, match="held-out set is not the one"):
        recall.accepted("another", path)
