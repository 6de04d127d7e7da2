"""Messages that may mean danger or nothing: one question, a minute, then a person (rules 3.4)."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.messages import is_higher
from bot.safety import Screen
from bot.safety.phrases import Rule
from tests.support.world import World

pytestmark = pytest.mark.integration

EXAMPLES = Screen.load(Path(__file__).parents[2] / "data" / "risk").content.ambiguous_examples
ONLY_ASKED = [pytest.param(text, rule, id=text) for text, rule in EXAMPLES if rule.priority is None]
RAISED_AND_ASKED = [
    pytest.param(text, rule, id=text) for text, rule in EXAMPLES if rule.priority is not None and rule.ask
]


@pytest.mark.parametrize(("text", "rule"), ONLY_ASKED)
async def test_silence_for_a_minute_hands_it_over_at_the_grade_stated(
    world: World, text: str, rule: Rule
) -> None:
    row = await world.say(text)
    assert (row.state, row.grade) == ("bot", None)
    assert row.ask["key"] == rule.ask
    assert world.heard() == [world.line(str(rule.ask))]
    await world.tick(seconds=59)
    assert (await world.conversation()).state == "bot"
    await world.tick(seconds=2)
    row = await world.conversation()
    assert (row.state, row.category, row.grade) == ("waiting", rule.category, rule.ask_priority)
    assert row.ask is None


@pytest.mark.parametrize(("text", "rule"), RAISED_AND_ASKED)
async def test_what_is_raised_at_once_needs_no_minute(world: World, text: str, rule: Rule) -> None:
    row = await world.say(text)
    assert row.state == "waiting"
    assert not is_higher(rule.priority, row.grade)
    assert rule.category in {reason["category"] for reason in row.reasons}


async def test_the_question_is_asked_once(world: World) -> None:
    await world.say("can someone help me")
    world.move(seconds=5)
    await world.say("can someone help me")
    assert [world.line("ask_danger")] == [line for line in world.heard() if line == world.line("ask_danger")]


async def test_danger_instead_of_an_answer_needs_no_minute(world: World) -> None:
    await world.say("can someone help me")
    world.move(seconds=5)
    row = await world.say("he has a knife")
    assert (row.state, row.grade) == ("waiting", "P1")


@pytest.mark.parametrize(
    ("parts", "category"),
    [(["he has", "a knife", "in the kitchen"], "R08"), (["im 9", "my dad", "hits me"], "R05"),
     (["i want", "to", "die"], "R02")],
)  # fmt: skip
async def test_danger_split_over_messages_rises_while_somebody_waits(
    world: World, parts: list[str], category: str
) -> None:
    row = await world.say("someone broke into my car last night")
    assert (row.state, row.grade) == ("waiting", "P3")
    for part in parts:
        world.move(seconds=2)
        row = await world.say(part)
    assert (row.state, row.grade) == ("waiting", "P1")
    assert category in {reason["category"] for reason in row.reasons}


async def test_danger_split_over_messages_rises_while_a_person_talks(world: World) -> None:
    mod = await world.hire("mo")
    row = await world.owned(mod)
    for part in ("he has", "a knife", "in the kitchen"):
        world.move(seconds=2)
        row = await world.say(part)
    assert (row.state, row.owner_id, row.grade) == ("human", mod.staff_id, "P1")
    assert world.line("block_999") in "\n".join(world.heard())
