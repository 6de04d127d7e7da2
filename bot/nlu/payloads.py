"""What Rasa calls parse data: what we understood, in the shape that Rasa's dialogue expects.

Pure. `as_parse_data` serves a typed message, `button_parse_data` a button of ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from bot.nlu.classifier import FAQ, Understanding

UNDERSTANDING: Final = "front_counter"
"""Key of our own part of the parse data."""

# Commands that Rasa itself obeys when they arrive as a message: never a button of ours.
_COMMANDS: Final = frozenset({"restart", "session_start", "back", "nlu_fallback"})
_BUTTON: Final = re.compile(r"/(?P<label>[A-Za-z0-9_]+(?:/[a-z0-9-]+)?)(?P<entities>\{.*\})?")
_BUTTON_LENGTH: Final = 300


class PayloadError(ValueError):
    """A button's payload is not one of ours."""


def as_parse_data(text: str, understanding: Understanding) -> dict[str, Any]:
    """Return the parse data of a typed message."""
    return {
        "text": text,
        "entities": [],
        **intent_attributes(understanding),
    }


def intent_attributes(understanding: Understanding) -> dict[str, Any]:
    """Return intent, ranking, response selection and our own findings."""
    name = understanding.rasa_intent
    intent: dict[str, Any] = {"name": name, "confidence": understanding.confidence}
    found: dict[str, Any] = {
        "intent": intent,
        "intent_ranking": _rasa_ranking(intent, understanding),
        UNDERSTANDING: as_json(understanding),
    }
    if understanding.certain and understanding.intent.startswith(FAQ):
        intent["full_retrieval_intent_name"] = understanding.intent
        found["response_selector"] = response_selector(understanding)
    return found


def as_json(understanding: Understanding) -> dict[str, Any]:
    """Return our findings as they leave by the channel."""
    return {
        "intent": understanding.intent,
        "confidence": round(understanding.confidence, 4),
        "certain": understanding.certain,
        "ranking": [{"name": name, "confidence": round(chance, 4)} for name, chance in understanding.ranking],
        "risks": [
            {"category": risk.category, "confidence": round(risk.chance, 4), "grade": risk.grade}
            for risk in understanding.risks
        ],
        "offer": list(understanding.offer),
        "also": list(understanding.also),
        "known": round(understanding.known, 4),
    }


def response_selector(understanding: Understanding) -> dict[str, Any]:
    """Return what Rasa's response selector would: `utter_faq` then picks the answer of the slug."""

    def response(name: str, chance: float) -> dict[str, Any]:
        return {
            "intent_response_key": name,
            "confidence": chance,
            "utter_action": f"utter_{name}",
            "responses": [],
        }

    return {
        "all_retrieval_intents": [FAQ.rstrip("/")],
        FAQ.rstrip("/"): {
            "response": response(understanding.intent, understanding.confidence),
            "ranking": [
                {"intent_response_key": name, "confidence": chance}
                for name, chance in understanding.ranking
                if name.startswith(FAQ)
            ],
        },
    }


def button_parse_data(
    payload: str, intents: Collection[str], responses: Collection[str], entities: Collection[str]
) -> dict[str, Any]:
    """Return the parse data of a button: `/intent`, `/intent{"entity": "value"}` or `/faq/<slug>`.

    Args:
        payload: what the button carries.
        intents: the intents that the domain knows.
        responses: its responses, to know which slugs exist.
        entities: its entities.

    Raises:
        PayloadError: if it is not a payload that a button of ours can carry.
    """
    match = _BUTTON.fullmatch(payload) if len(payload) <= _BUTTON_LENGTH else None
    if match is None:
        raise PayloadError("not a button payload")
    label = match["label"]
    name = label.split("/", 1)[0]
    if name not in intents or name in _COMMANDS:
        raise PayloadError("a button with an unknown intent")
    is_faq = name == FAQ.rstrip("/")
    if f"utter_{label}" not in responses if is_faq else label != name:
        raise PayloadError("a button with an unknown answer")
    values = _button_values(match["entities"], entities)
    sure = Understanding(intent=label, confidence=1.0, certain=True, ranking=((label, 1.0),))
    found = as_parse_data(payload, sure)
    found["entities"] = [
        {"entity": key, "value": value, "start": 0, "end": 0} for key, value in values.items()
    ]
    return found


def _button_values(text: str | None, entities: Collection[str]) -> Mapping[str, str]:
    if not text:
        return {}
    try:
        values = json.loads(text)
    except ValueError as error:
        raise PayloadError("a button with broken values") from error
    if not all(key in entities and isinstance(value, str) for key, value in values.items()):
        raise PayloadError("a button with unknown values")
    return values  # type: ignore[no-any-return]


def without_command(text: str) -> str:
    """Return a typed text without the leading slashes that Rasa would take for a command."""
    return re.sub(r"^[\s/]+", "", text)


def _rasa_ranking(intent: dict[str, Any], understanding: Understanding) -> list[dict[str, Any]]:
    """Return Rasa's ranking: the chosen intent first, FAQ intents as one."""
    ranking = {intent["name"]: float(intent["confidence"])}
    for name, chance in understanding.ranking:
        ranking.setdefault(name.split("/", 1)[0], chance)
    return [{"name": name, "confidence": chance} for name, chance in ranking.items()]
