"""Every example and near miss of data/risk is a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot.safety import Screen
from bot.safety.content import CATEGORIES

RISK_FOLDER = Path(__file__).parents[2] / "data" / "risk"
CONTENT = Screen.load(RISK_FOLDER).content

EXAMPLES = [
    pytest.param(category.id, example.priority, example.text, id=f"{category.id} {example.text}")
    for category in CONTENT.categories.values()
    for example in category.examples
]
NEAR_MISSES = [
    pytest.param(category.id, text, id=f"{category.id} {text}")
    for category in CONTENT.categories.values()
    for text in category.near_misses
]
AMBIGUOUS = [pytest.param(text, rule, id=text) for text, rule in CONTENT.ambiguous_examples]


@pytest.mark.parametrize(("category", "priority", "text"), EXAMPLES)
def test_an_example_raises_its_category_at_its_priority(
    screen: Screen, category: str, priority: str, text: str
) -> None:
    raised = {hit.category: hit.priority for hit in screen.check(text).hits}

    assert priority == raised.get(category), raised


@pytest.mark.parametrize(("category", "text"), NEAR_MISSES)
def test_a_near_miss_does_not_raise_its_category(screen: Screen, category: str, text: str) -> None:
    assert [] == [hit for hit in screen.check(text).hits if hit.category == category]


@pytest.mark.parametrize("text", CONTENT.examples_of_nothing)
def test_alarming_words_with_no_risk_raise_nothing(screen: Screen, text: str) -> None:
    result = screen.check(text)

    assert () == result.hits
    assert result.ask is None


@pytest.mark.parametrize(("text", "rule"), AMBIGUOUS)
def test_an_ambiguous_message_gets_its_question_or_its_priority(
    screen: Screen, text: str, rule: object
) -> None:
    from bot.safety.phrases import Rule

    assert isinstance(rule, Rule)
    result = screen.check(text)

    assert rule.ask == result.ask
    if rule.ask is not None:
        assert (rule.category, rule.ask_priority) == (result.ask_category, result.ask_priority)
    if rule.priority is not None:
        raised = {hit.category: hit.priority for hit in result.hits}
        assert rule.priority == raised.get(rule.category), raised


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_has_its_words(screen: Screen, category: str) -> None:
    words = screen.words(category)

    assert words.safety
    assert words.handover
    assert words.name
    assert words.subject_hidden is (category in {"R03", "R04", "R05", "R07"})
    assert bool(words.after_safe_check) is words.subject_hidden


def test_the_hidden_categories_name_no_subject_before_the_safe_check(screen: Screen) -> None:
    """Whoever looks over a shoulder must not learn what the chat is about."""
    telling = re.compile(r"abuse|rape|assault|stalk|sexual|partner|violence|child(?!\W+is)|victim")
    for category in ("R03", "R04", "R07"):
        for line in screen.words(category).safety:
            assert telling.search(line.lower()) is None, line


def test_p1_categories_listen_to_the_model_more_closely(screen: Screen) -> None:
    urgent = [c for c in screen.categories.values() if c.priority == "P1"]

    assert urgent
    assert all(c.understanding_threshold < 0.35 for c in urgent)
    assert all(0 < c.understanding_threshold <= 0.35 for c in screen.categories.values())


def test_rasa_takes_none_of_these_files_for_training_data() -> None:
    """Rasa claims any YAML under data/ that has one of its own keys at the start of a line."""
    rasa = re.compile(r"^\s*-?\s*(rules|stories|nlu|responses|version|intents|forms)\s*:")
    for file in sorted(RISK_FOLDER.glob("*.yml")):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            assert rasa.match(line) is None, f"{file.name}, line {number}"
