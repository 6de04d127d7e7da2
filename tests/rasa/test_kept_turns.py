"""What is kept of a long talk, and that it comes back as it was."""

from __future__ import annotations

import pytest
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import (
    ActionExecuted,
    ActiveLoop,
    BotUttered,
    Event,
    SessionStarted,
    SlotSet,
    UserUttered,
)
from rasa.shared.core.trackers import DialogueStateTracker

from bot.nlu.tracker_store import KEPT_TURNS, FrontCounterTrackerStore
from tests.rasa.servers import ROOT


@pytest.fixture(scope="module")
def domain() -> Domain:
    """The project's domain."""
    return Domain.load(ROOT / "domain.yml")


def a_talk(turns: int) -> list[Event]:
    events: list[Event] = [ActionExecuted("action_session_start"), SessionStarted()]
    for number in range(turns):
        events += [
            ActionExecuted("action_listen"),
            UserUttered(f"question {number}", {"name": "faq"}),
            ActionExecuted("utter_faq"),
            BotUttered(f"answer {number}"),
        ]
    return [*events, ActionExecuted("action_listen")]


def kept(domain: Domain, events: list[Event]) -> DialogueStateTracker:
    """The tracker after it was written as text and read again."""
    store = FrontCounterTrackerStore(domain)
    tracker = DialogueStateTracker.from_events("somebody", events, domain.slots)
    return store._tracker("somebody", store._text(tracker))


def said(tracker: DialogueStateTracker) -> list[str]:
    return [event.text for event in tracker.events if isinstance(event, UserUttered)]


def test_the_last_turns_of_a_long_talk_are_kept(domain: Domain) -> None:
    tracker = kept(domain, a_talk(50))
    assert said(tracker) == [f"question {number}" for number in range(50 - KEPT_TURNS, 50)]
    assert tracker.latest_action_name == "action_listen"
    assert tracker.latest_message.text == "question 49"


def test_a_short_talk_comes_back_whole(domain: Domain) -> None:
    events = a_talk(KEPT_TURNS)
    assert [event.as_dict() for event in kept(domain, events).events] == [e.as_dict() for e in events]


def test_nothing_is_dropped_while_a_form_is_under_way(domain: Domain) -> None:
    events = [*a_talk(10), ActiveLoop("triage_form"), SlotSet("happening_now", "no"), *a_talk(10)[2:]]
    tracker = kept(domain, events)
    assert len(said(tracker)) == 20
    assert tracker.active_loop_name == "triage_form"
    assert tracker.get_slot("happening_now") == "no"


def test_a_filled_slot_keeps_the_talk_that_filled_it(domain: Domain) -> None:
    tracker = kept(domain, [*a_talk(10), SlotSet("happening_now", "yes")])
    assert len(said(tracker)) == 10
    assert tracker.get_slot("happening_now") == "yes"
