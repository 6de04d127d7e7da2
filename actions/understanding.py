"""What to say when a message is not understood, and what a plain "yes" means."""

from __future__ import annotations

from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher
from rasa_sdk.types import DomainDict

UNDERSTANDING = "front_counter"
"""Key of the classifier's own findings in a message's parse data."""


class ActionNotUnderstood(Action):  # type: ignore[misc]
    """Offer up to three questions when it was a close call, else say that it was not understood."""

    def name(self) -> str:
        """Return the name that domain.yml uses."""
        return "action_not_understood"

    def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: DomainDict
    ) -> list[dict[str, Any]]:
        """Say it."""
        found = tracker.latest_message.get(UNDERSTANDING) or {}
        offer = found.get("offer") or []
        dispatcher.utter_message(json_message={"offer": offer} if offer else {"not_understood": True})
        return []


class ActionAffirm(Action):  # type: ignore[misc]
    """Take "yes" right after the offer of a person as a wish for a person."""

    def name(self) -> str:
        """Return the name that domain.yml uses."""
        return "action_affirm"

    def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: DomainDict
    ) -> list[dict[str, Any]]:
        """Hand over, or say that we heard."""
        offered = last_said(tracker.events).get("line") == "triage_offer_person"
        dispatcher.utter_message(
            json_message={"hand_over": {"reason": "asked", "category": "R20"}}
            if offered
            else {"small_talk": "affirm"}
        )
        return []


def last_said(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the assistant said last before the newest message (empty: nothing)."""
    for event in reversed(events):
        if event.get("event") == "bot":
            custom = (event.get("data") or {}).get("custom")
            return custom if isinstance(custom, dict) else {}
    return {}
