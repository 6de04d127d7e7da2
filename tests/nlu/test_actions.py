"""The custom actions, called as the action server calls them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from rasa_sdk import Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.opening_hours import ActionOpeningHours
from actions.triage import (
    ActionTriageOutcome,
    ValidateTriageForm,
    leaving_message,
    outcome,
    question,
    triage_value,
)
from actions.understanding import ActionAffirm, ActionNotUnderstood

DOMAIN = {"forms": {"triage_form": {"required_slots": ["happening_now", "anyone_hurt"]}}}


def tracker(
    message: dict[str, Any] | None = None,
    slots: dict[str, Any] | None = None,
    events: list[dict[str, Any]] | None = None,
) -> Tracker:
    """A tracker as it arrives at the action server."""
    return Tracker(
        sender_id="c",
        slots={"happening_now": None, "anyone_hurt": None, "requested_slot": None} | (slots or {}),
        latest_message=message or {},
        events=events or [],
        paused=False,
        followup_action=None,
        active_loop={"name": "triage_form"},
        latest_action_name="action_listen",
    )


def said(dispatcher: CollectingDispatcher) -> list[dict[str, Any]]:
    """What an action told the gateway."""
    return [message["custom"] for message in dispatcher.messages]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("Aye man", "yes"),
        ("yeah he is", "yes"),
        ("its still happening", "yes"),
        ("happening to my neighbour last year", None),
        ("still happening", "yes"),
        ("no", "no"),
        ("nah mate", "no"),
        ("nope", "no"),
        ("not now", "no"),
        ("it was yesterday", "no"),
        ("it's over now", "no"),
        ("dont think so", "no"),
        ("not sure", "not_sure"),
        ("not_sure", "not_sure"),
        ("i dont know", "not_sure"),
        ("I don't know", "not_sure"),
        ("dunno", "not_sure"),
        ("maybe", "not_sure"),
        ("i think so", "yes"),
        ("nobody hurt", "no"),
        ("notable", None),
        ("yesterday", "no"),
        ("bananas", None),
        ("", None),
    ],
)
def test_typed_answers_are_read(text: str, value: str | None) -> None:
    assert triage_value(text, "happening_now") == value


def test_when_it_was_does_not_say_that_nobody_is_hurt() -> None:
    assert triage_value("it was yesterday", "anyone_hurt") is None
    assert triage_value("no", "anyone_hurt") == "no"


def test_one_yes_is_danger() -> None:
    for answers in (("yes", None), ("no", "yes"), ("not_sure", "yes")):
        assert outcome(*answers) == [
            {"line": "triage_emergency"},
            {"hand_over": {"reason": "understanding", "category": "R01"}},
        ]


def test_two_times_no_leads_to_the_online_form_and_the_offer_of_a_person() -> None:
    first, second = outcome("no", "no")
    assert first == {"line": "triage_report_online"}
    assert second["line"] == "triage_offer_person"
    assert second["buttons"] == [{"title_key": "talk_to_person", "payload": "/faq/ask-for-human"}]


def test_not_being_sure_is_told_when_to_call_999() -> None:
    for answers in (("not_sure", "no"), ("no", "not_sure")):
        assert outcome(*answers)[0] == {"line": "triage_not_sure_reply"}


def test_a_form_that_was_left_says_nothing() -> None:
    assert outcome(None, None) == []
    assert outcome("no", None) == []


def test_the_outcome_empties_the_form() -> None:
    events = ActionTriageOutcome().run(
        CollectingDispatcher(), tracker(slots={"happening_now": "no", "anyone_hurt": "no"}), DOMAIN
    )
    assert [(event["name"], event["value"]) for event in events] == [
        ("happening_now", None),
        ("anyone_hurt", None),
    ]


def test_each_answer_has_a_button() -> None:
    buttons = question("anyone_hurt")["buttons"]
    assert [button["title_key"] for button in buttons] == ["triage_yes", "triage_no", "triage_not_sure"]
    assert buttons[0]["payload"] == '/triage_answer{"anyone_hurt":"yes"}'


@pytest.mark.parametrize(
    ("message", "left"),
    [
        ({"name": "goodbye"}, {"small_talk": "goodbye"}),
        (
            {"name": "faq", "full_retrieval_intent_name": "faq/ask-for-human"},
            {"hand_over": {"reason": "asked", "category": "R20"}},
        ),
        ({"name": "faq", "full_retrieval_intent_name": "faq/noise"}, None),
        ({"name": "deny"}, None),
        ({}, None),
    ],
)
def test_goodbye_and_a_wish_for_a_person_end_the_form(
    message: dict[str, Any], left: dict[str, Any] | None
) -> None:
    assert leaving_message(message) == left


def _validate(value: str, intent: str, slot: str = "happening_now") -> tuple[list[Any], list[Any]]:
    dispatcher = CollectingDispatcher()
    state = tracker(
        message={"intent": {"name": intent}, "text": value},
        slots={"requested_slot": slot},
        events=[
            {"event": "action", "name": "action_listen"},
            {"event": "user", "text": value},
            {"event": "slot", "name": slot, "value": value},
        ],
    )
    events = asyncio.run(ValidateTriageForm().run(dispatcher, state, DOMAIN))
    return [(event["name"], event["value"]) for event in events], said(dispatcher)


def test_after_a_yes_nothing_more_is_asked() -> None:
    events, messages = _validate("aye", "affirm")
    assert events == [("happening_now", "yes"), ("requested_slot", None)]
    assert messages == []


def test_an_answer_that_is_none_is_told_so() -> None:
    events, messages = _validate("bananas", "out_of_scope")
    assert ("happening_now", None) in events
    assert messages == [{"not_understood": True}]


@pytest.mark.parametrize(
    ("value", "intent"),
    [('/triage_answer{"anyone_hurt":"no"}', "triage_answer"), ("he has a knife", "risk_R08")],
)
def test_a_late_button_and_a_risk_are_passed_over_in_silence(value: str, intent: str) -> None:
    assert _validate(value, intent)[1] == []


def test_a_close_call_is_offered_and_anything_else_is_not_understood() -> None:
    for found, expected in (
        ({"offer": ["noise", "parking"]}, {"offer": ["noise", "parking"]}),
        ({"offer": []}, {"not_understood": True}),
        (None, {"not_understood": True}),
    ):
        dispatcher = CollectingDispatcher()
        ActionNotUnderstood().run(dispatcher, tracker({"front_counter": found}), DOMAIN)
        assert said(dispatcher) == [expected]


def test_yes_after_the_offer_of_a_person_is_a_wish_for_a_person() -> None:
    offered = [{"event": "bot", "data": {"custom": {"line": "triage_offer_person"}}}, {"event": "user"}]
    greeted = [*offered, {"event": "bot", "data": {"custom": {"small_talk": "thanks"}}}, {"event": "user"}]
    for events, expected in (
        (offered, {"hand_over": {"reason": "asked", "category": "R20"}}),
        (greeted, {"small_talk": "affirm"}),
        ([], {"small_talk": "affirm"}),
    ):
        dispatcher = CollectingDispatcher()
        ActionAffirm().run(dispatcher, tracker(events=events), DOMAIN)
        assert said(dispatcher) == [expected]


def test_hours_that_cannot_be_read_are_said_to_be_unknown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FRONTCOUNTER_FORCE", str(tmp_path))
    dispatcher = CollectingDispatcher()
    ActionOpeningHours().run(dispatcher, tracker(), DOMAIN)
    assert said(dispatcher) == [{"line": "hours_unknown"}]
