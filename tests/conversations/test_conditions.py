"""Answers of mode E: handed over at once, only on a condition, or at a lower grade of their own."""

from __future__ import annotations

import pytest

from tests.support.world import World

pytestmark = pytest.mark.integration

SILENT = "contact-silent-999"
HOW = "how does the quiet one work"


@pytest.fixture
def taught(world: World) -> World:
    """A stand-in that knows four answers of mode E."""
    for slug in (SILENT, "drink-drug-driver", "radicalisation-worry", "terrorism-report"):
        world.rasa.faq(f"q {slug}", slug)
    world.rasa.faq(HOW, SILENT)
    return world


@pytest.mark.parametrize("slug", [SILENT, "drink-drug-driver"])
async def test_an_answer_with_a_condition_only_answers(taught: World, slug: str) -> None:
    row = await taught.say(f"q {slug}")
    assert (row.state, row.grade) == ("bot", None)
    assert taught.heard() == [taught.answer(slug)]


async def test_an_answer_without_a_condition_hands_over_at_once(taught: World) -> None:
    row = await taught.say("q terrorism-report")
    assert (row.state, row.category, row.grade) == ("waiting", "R08", "P1")


async def test_an_answer_with_a_grade_of_its_own_hands_over_at_that_grade(taught: World) -> None:
    row = await taught.say("q radicalisation-worry")
    assert (row.state, row.category, row.grade) == ("waiting", "R08", "P3")
    assert taught.answer("radicalisation-worry") in taught.heard()


@pytest.mark.parametrize("yes", ["yes", "aye", "Y"])
async def test_yes_it_is_happening_now_is_danger(taught: World, yes: str) -> None:
    await taught.say(HOW)
    row = await taught.say(yes)
    assert (row.state, row.category, row.grade) == ("waiting", "R01", "P1")
    assert taught.line("block_999") in "\n".join(taught.heard())


async def test_no_it_is_not_is_no_danger(taught: World) -> None:
    await taught.say(HOW)
    row = await taught.say("no")
    assert (row.state, row.grade, row.ask) == ("bot", None, None)


async def test_another_question_ends_it(taught: World) -> None:
    await taught.say(HOW)
    taught.move(seconds=5)
    await taught.say("how long is the wait for 101")
    row = await taught.say("yes")
    assert (row.state, row.grade) == ("bot", None)


async def test_nobody_is_passed_on_for_saying_no_more(taught: World) -> None:
    """Who asks how something works need not say more: the minute of an ambiguous message does not run."""
    await taught.say(HOW)
    await taught.tick(seconds=120)
    assert (await taught.conversation()).state == "bot"


async def test_an_ambiguous_message_gets_its_own_question(taught: World) -> None:
    await taught.say(HOW)
    taught.move(seconds=5)
    row = await taught.say("can someone help me")
    assert row.ask["key"] == "ask_danger"
    assert taught.heard()[-1] == taught.line("ask_danger")
