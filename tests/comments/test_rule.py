"""The force's rule: what makes a post quiet, and files that make no sense."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from bot.assistant.content import comment_faults
from bot.conversations.comment_rule import CommentRule
from bot.conversations.comment_turn import asks
from bot.messages import COMMENTS
from bot.settings import ROOT
from bot.store import Store
from tests.support.world import read_content

pytestmark = pytest.mark.unit

CONTENT = read_content(ROOT / "force" / "northumbria", ROOT / "data")
RULE = CommentRule.of(CONTENT.force)


def post(text: str | None, kind: str | None = None, *, is_ours: bool = True) -> Any:
    """A post as the record has it."""
    return SimpleNamespace(text=text, kind=kind, is_ours=is_ours)


@pytest.mark.parametrize(
    "text",
    [
        "APPEAL: can you help us find Sam?",
        "Have you seen this man?",
        "Sam, 14, is missing from home.",
        "A man has died after a collision on the A1.",
        "Witnesses are asked to call. Were you a witness?",
        "Rest in peace PC Lee",
        "RIP Bob, police dog",
        "Today we remember them.",
    ],
)
def test_an_appeal_is_known_by_its_words(text: str) -> None:
    assert RULE.kind_of(post(text)) == "appeal"
    assert RULE.is_quiet(post(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Come and meet us at Grainger Market.",
        "Our scripts are trips down memory lane",
        "Deadline: Friday",
    ],
)
def test_an_ordinary_post_is_one(text: str) -> None:
    assert RULE.kind_of(post(text)) == "ordinary"
    assert not RULE.is_quiet(post(text))


def test_staff_know_better_than_words() -> None:
    assert not RULE.is_quiet(post("Sam is missing", "ordinary"))
    assert RULE.is_quiet(post("Come and say hello", "memorial"))


def test_what_nobody_knows_is_quiet() -> None:
    assert RULE.kind_of(post(None)) is None
    assert RULE.is_quiet(post(None))
    assert RULE.is_quiet(post("Come and say hello", is_ours=False))


def test_what_ships_hides_nothing_by_itself() -> None:
    """A force has to switch it on: docs/decisions/0025."""
    assert not RULE.hide
    assert RULE.review_after == timedelta(hours=24)
    assert comment_faults(CONTENT.force) == []


@pytest.mark.parametrize(
    "rule",
    [
        [], {"hide": "yes"}, {"review_hours": 0}, {"review_hours": True}, {"review_hours": 1000},
        {"quiet_words": "rip"}, {"quiet_words": [""]}, {"appeal_link": "javascript:alert(1)"},
        {"silent_for": ["complaints"]}, {"silent_for": "R16"},
    ],
)  # fmt: skip
def test_a_rule_that_makes_no_sense_is_refused(rule: Any) -> None:
    force = {**CONTENT.force, "comments": rule or ["x"]}
    assert comment_faults(force)
    assert any("comments" in fault for fault in replace(CONTENT, force=force).faults())


@pytest.mark.parametrize(
    "text", ["Is 101 free?", "how do i report it", "any update on this", "can you come to Blyth"]
)
def test_a_question_is_known_by_its_form(text: str) -> None:
    assert asks(text)


@pytest.mark.parametrize(
    "text", ["What a joke", "how lovely", "rip lad", "great work lads", "is a disgrace", "Whatever"]
)
def test_a_remark_is_no_question(text: str) -> None:
    assert not asks(text)


def test_every_channel_of_comments_has_a_private_one_beside_it() -> None:
    assert set(COMMENTS.values()) == {"messenger", "instagram", "x"}


async def test_a_release_of_before_lends_the_rule_of_the_files(store: Store) -> None:
    """Without its words every memorial would be an ordinary post after an upgrade."""
    from bot.assistant.content import LiveContent
    from bot.knowledge.releases import seed
    from bot.messages import Actor

    before = replace(CONTENT, force={key: value for key, value in CONTENT.force.items() if key != "comments"})
    await seed(store, before, Actor("start"))
    live = LiveContent(CONTENT)
    await live.refresh(store)

    assert CommentRule.of(live.current.force) == RULE
