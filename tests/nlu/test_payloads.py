"""What Rasa's dialogue is told, and which buttons are ours."""

from __future__ import annotations

import pytest

from bot.nlu.classifier import NOTHING, Risk, Understanding
from bot.nlu.payloads import PayloadError, as_parse_data, button_parse_data, without_command

DOMAIN = {
    "intents": {"faq", "triage", "triage_answer", "restart"},
    "responses": {"utter_faq/noise"},
    "entities": {"happening_now"},
}
NOISE = Understanding(
    intent="faq/noise",
    confidence=0.8,
    certain=True,
    ranking=(("faq/noise", 0.8), ("faq/parking", 0.1), ("thanks", 0.05)),
    risks=(Risk("R12", 0.07, "P3"),),
)


def test_a_certain_question_selects_the_answer_of_its_slug() -> None:
    found = as_parse_data("loud music", NOISE)
    assert found["intent"]["name"] == "faq"
    assert found["intent"]["full_retrieval_intent_name"] == "faq/noise"
    assert found["response_selector"]["faq"]["response"]["utter_action"] == "utter_faq/noise"
    assert [entry["name"] for entry in found["intent_ranking"]] == ["faq", "thanks"]


def test_an_uncertain_question_is_the_fallback_and_selects_nothing() -> None:
    unsure = Understanding(**{**_fields(NOISE), "certain": False, "offer": ("noise", "parking")})
    found = as_parse_data("loud", unsure)
    assert found["intent"]["name"] == "nlu_fallback"
    assert "response_selector" not in found
    assert found["front_counter"]["offer"] == ["noise", "parking"]
    assert found["front_counter"]["intent"] == "faq/noise"


def test_a_text_without_words_is_not_understood() -> None:
    assert as_parse_data("", NOTHING)["intent"]["name"] == "nlu_fallback"


def test_risks_leave_beside_the_intent() -> None:
    assert as_parse_data("x", NOISE)["front_counter"]["risks"] == [
        {"category": "R12", "confidence": 0.07, "grade": "P3"}
    ]


def test_a_button_carries_an_intent_a_value_or_a_slug() -> None:
    assert button_parse_data("/triage", **DOMAIN)["intent"]["name"] == "triage"
    found = button_parse_data('/triage_answer{"happening_now":"no"}', **DOMAIN)
    assert found["entities"][0]["value"] == "no"
    found = button_parse_data("/faq/noise", **DOMAIN)
    assert found["response_selector"]["faq"]["response"]["utter_action"] == "utter_faq/noise"
    assert found["front_counter"]["certain"]


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "triage",
        "/",
        "/restart",
        "/session_start",
        "/nobody_knows",
        "/faq",
        "/faq/nowhere",
        '/faq{"x":1}',
        "/triage/noise",
        '/triage_answer{"happening_now":1}',
        '/triage_answer{"other":"no"}',
        "/triage_answer{broken}",
        "/triage_answer" + '{"happening_now":"' + "x" * 300 + '"}',
        "/triage\n/restart",
    ],
)
def test_what_no_button_of_ours_carries_is_refused(payload: str) -> None:
    with pytest.raises(PayloadError):
        button_parse_data(payload, **DOMAIN)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("/restart", "restart"),
        (" //session_start", "session_start"),
        ('/faq{"x":1}', 'faq{"x":1}'),
        ("\n / / a/b", "a/b"),
        ("hello /restart", "hello /restart"),
        ("/", ""),
    ],
)
def test_a_typed_slash_is_text(typed: str, read: str) -> None:
    assert without_command(typed) == read


def _fields(understanding: Understanding) -> dict[str, object]:
    return {name: getattr(understanding, name) for name in Understanding.__dataclass_fields__}
