"""The two questions of the triage form: is it happening now, is anyone hurt or in danger."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from rasa_sdk import FormValidationAction, Tracker
from rasa_sdk.events import SlotSet
from rasa_sdk.executor import CollectingDispatcher
from rasa_sdk.interfaces import Action
from rasa_sdk.types import DomainDict

LINES: Final = {"happening_now": "triage_ask_now", "anyone_hurt": "triage_ask_hurt"}
SLOTS: Final = tuple(LINES)
YES: Final = "yes"
NO: Final = "no"
NOT_SURE: Final = "not_sure"

_ANSWERS: Final = (
    (
        NOT_SURE,
        re.compile(
            r"(i |im |i am |am )?(not (really )?(sure|certain)|unsure|maybe|mebbe|possibly|perhaps"
            r"|dunno|dinna kna|(i )?do ?n.?t kna?o?w|do not know|no idea|no clue|hard to (say|tell)"
            r"|could be|might be|cannot tell|can.?t tell|idk)\b"
        ),
    ),
    (
        NO,
        re.compile(
            r"(no+|nah+|na|nope|naw|nee|never|none|nobody|no one|naebody"
            r"|((i )?do ?n.?t|i do not) think so)\b"
        ),
    ),
    (
        YES,
        re.compile(r"(y|ye+|ye[ps]+|yes+|yeah+|yup|aye+|why aye|yea|yh|correct|i think so|definitely)\b"),
    ),
)
# Answers that fit the first question only: "it was yesterday" does not say that nobody is hurt.
_WHEN: Final = (
    (
        NO,
        re.compile(
            r"not (now|any ?more|at the moment|right now)\b|already happened\b"
            r"|(it'?s |it is )?(over|finished|stopped|done)( now)?$"
            r"|(it (was|happened) |was )?(yesterday|last (night|week|month|year)|ages ago|earlier)\b"
        ),
    ),
    (
        YES,
        re.compile(
            r"(its |it's |it is )?(still )?(happening|going on|here|there)( right)?( now)?$|right now\b"
        ),
    ),
)


def triage_value(text: str, slot: str) -> str | None:
    """Return yes, no or not_sure from a button's value or a typed answer; None if it is neither."""
    plain = " ".join(text.casefold().replace("’", "'").replace("_", " ").split()).lstrip("'\"([ ")
    patterns = (*_WHEN, *_ANSWERS) if slot == "happening_now" else _ANSWERS
    return next((answer for answer, pattern in patterns if pattern.match(plain)), None)


def forget_answers() -> list[dict[str, Any]]:
    """Return the events that empty the form, so that it can be asked again."""
    return [SlotSet(slot, None) for slot in SLOTS]


class ValidateTriageForm(FormValidationAction):  # type: ignore[misc]
    """Read each answer, stop asking after a yes, and let a person leave in the middle."""

    def name(self) -> str:
        """Return the name that Rasa derives from the form's."""
        return "validate_triage_form"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: DomainDict
    ) -> list[dict[str, Any]]:
        """Validate, unless the message says goodbye or asks for a person: those end the form."""
        leaving = leaving_message(tracker.latest_message.get("intent") or {})
        if leaving is None:
            events: list[dict[str, Any]] = await super().run(dispatcher, tracker, domain)
            return events
        dispatcher.utter_message(json_message=leaving)
        return [*forget_answers(), SlotSet("requested_slot", None)]

    async def required_slots(
        self,
        domain_slots: list[str],
        dispatcher: CollectingDispatcher,
        tracker: Tracker,
        domain: DomainDict,
    ) -> list[str]:
        """Ask the second question only when the first was not answered with yes."""
        return domain_slots[:1] if tracker.get_slot("happening_now") == YES else domain_slots

    def validate_happening_now(
        self, value: Any, dispatcher: CollectingDispatcher, tracker: Tracker, domain: DomainDict
    ) -> dict[str, str | None]:
        """Read the answer to the first question."""
        return _validated("happening_now", value, dispatcher, tracker)

    def validate_anyone_hurt(
        self, value: Any, dispatcher: CollectingDispatcher, tracker: Tracker, domain: DomainDict
    ) -> dict[str, str | None]:
        """Read the answer to the second question."""
        return _validated("anyone_hurt", value, dispatcher, tracker)


class ActionAskHappeningNow(Action):  # type: ignore[misc]
    """Ask the first question. (Rasa's responses cannot carry it: they fill in braces.)"""

    def name(self) -> str:
        """Return the name that Rasa derives from form and slot."""
        return "action_ask_triage_form_happening_now"

    def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: DomainDict
    ) -> list[dict[str, Any]]:
        """Ask it."""
        dispatcher.utter_message(json_message=question("happening_now"))
        return []


class ActionAskAnyoneHurt(Action):  # type: ignore[misc]
    """Ask the second question."""

    def name(self) -> str:
        """Return the name that Rasa derives from form and slot."""
        return "action_ask_triage_form_anyone_hurt"

    def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: DomainDict
    ) -> list[dict[str, Any]]:
        """Ask it."""
        dispatcher.utter_message(json_message=question("anyone_hurt"))
        return []


class ActionTriageOutcome(Action):  # type: ignore[misc]
    """Say where to go with it: 999 and a person, or the online form and the offer of a person."""

    def name(self) -> str:
        """Return the name that domain.yml uses."""
        return "action_triage_outcome"

    def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: DomainDict
    ) -> list[dict[str, Any]]:
        """Say it, and empty the form."""
        answers = [tracker.get_slot(slot) for slot in SLOTS]
        for message in outcome(answers[0], answers[1]):
            dispatcher.utter_message(json_message=message)
        return forget_answers()


def question(slot: str) -> dict[str, Any]:
    """Return the question for a slot, with a button for each answer."""
    return {
        "line": LINES[slot],
        "buttons": [
            {
                "title_key": f"triage_{answer}",
                "payload": "/triage_answer" + json.dumps({slot: answer}, separators=(",", ":")),
            }
            for answer in (YES, NO, NOT_SURE)
        ],
    }


def outcome(happening_now: str | None, anyone_hurt: str | None) -> list[dict[str, Any]]:
    """Return the messages for two answers; none if the form was left without them.

    One yes is danger: a false alarm costs less than a miss.
    """
    if YES in (happening_now, anyone_hurt):
        return [
            {"line": "triage_emergency"},
            {"hand_over": {"reason": "understanding", "category": "R01"}},
        ]
    if happening_now is None or anyone_hurt is None:
        return []
    unsure = NOT_SURE in (happening_now, anyone_hurt)
    return [
        {"line": "triage_not_sure_reply" if unsure else "triage_report_online"},
        {
            "line": "triage_offer_person",
            "buttons": [{"title_key": "talk_to_person", "payload": "/faq/ask-for-human"}],
        },
    ]


def leaving_message(intent: dict[str, Any]) -> dict[str, Any] | None:
    """Return what to say to a message that ends the form, None for any other."""
    if intent.get("full_retrieval_intent_name") == "faq/ask-for-human":
        return {"hand_over": {"reason": "asked", "category": "R20"}}
    return {"small_talk": "goodbye"} if intent.get("name") == "goodbye" else None


def _validated(
    slot: str, value: Any, dispatcher: CollectingDispatcher, tracker: Tracker
) -> dict[str, str | None]:
    """Return the slot's value; say that a typed answer was not understood.

    A button of the other question, pressed late, is passed over in silence; so is a message with a
    risk, which is the gateway's to answer.
    """
    text = str(value or "")
    answer = triage_value(text, slot)
    intent = str((tracker.latest_message.get("intent") or {}).get("name"))
    if answer is None and not text.startswith("/") and not intent.startswith("risk_"):
        dispatcher.utter_message(json_message={"not_understood": True})
    return {slot: answer}
