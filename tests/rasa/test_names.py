"""A trained model gives the same answer whatever name stands in a question that is not answered."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rasa.servers import Assistant

NAMES = ("john smith", "Aisha Khan", "wor lad", "jade", "Krzysztof Nowak", "my son", "Mr O'Neill")


def said(answer: dict[str, Any]) -> list[str]:
    """What the gateway is told to say."""
    return [str(message.get("answer") or message.get("line") or message) for message in answer["messages"]]


@pytest.mark.parametrize("question", ["is {} in custody", "has {} been arrested", "is {} in the cells"])
def test_an_answer_about_custody_does_not_hang_on_the_name(
    assistant: Assistant, conversation: str, question: str
) -> None:
    answers = {
        name: said(assistant.say(f"{conversation}-{number}", question.format(name)))
        for number, name in enumerate(NAMES)
    }
    assert set(map(tuple, answers.values())) == {("custody-is-someone-in",)}, answers
