"""Our channel inside a real Rasa server, over HTTP."""

from __future__ import annotations

import concurrent.futures
import hashlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.rasa.servers import SECRET, Assistant, action_server, free_port, rasa_server

ASK_NOW = "triage_ask_now"
ASK_HURT = "triage_ask_hurt"


def lines(answer: dict[str, Any]) -> list[str]:
    """The wording keys of an answer."""
    return [message["line"] for message in answer["messages"] if "line" in message]


class TestDoor:
    """Who may call, and with what."""

    @pytest.mark.parametrize(
        "headers", [{}, {"X-Front-Counter-Secret": ""}, {"X-Front-Counter-Secret": SECRET + "x"}]
    )
    @pytest.mark.parametrize("path", ["turn", "understand", "forget"])
    def test_without_the_secret_nothing_is_done(
        self, assistant: Assistant, path: str, headers: dict[str, str]
    ) -> None:
        response = assistant.post(path, {"conversation": "c", "turn": "t", "text": "hi"}, headers)
        assert response.status_code == 401
        assert set(response.json()) == {"error"}

    def test_the_status_asks_for_the_secret_too(self, assistant: Assistant) -> None:
        assert requests.get(assistant.address("status"), timeout=5).status_code == 401

    def test_the_status_names_the_release(self, assistant: Assistant, model: Path) -> None:
        headers = {"X-Front-Counter-Secret": SECRET}
        status = requests.get(assistant.address("status"), headers=headers, timeout=5).json()
        release = hashlib.sha256(model.read_bytes()).hexdigest()[:12]
        assert status == {"release": release, "ready": True}
        assert assistant.say("release", "hello")["release"] == release

    @pytest.mark.parametrize(
        "body",
        [
            [],
            {},
            {"conversation": "c", "text": "hi"},
            {"conversation": "c", "turn": "t", "text": 5},
            {"conversation": "", "turn": "t", "text": "hi"},
            {"conversation": "c", "turn": "t", "text": "hi", "button": "hello"},
            {"conversation": "c", "turn": "t", "text": "", "button": "/restart"},
            {"conversation": "c", "turn": "t", "text": "", "button": "/faq/no-such-answer"},
        ],
    )
    def test_a_bad_turn_is_a_bad_request(self, assistant: Assistant, body: object) -> None:
        assert assistant.post("turn", body).status_code == 400

    def test_a_body_that_is_not_json_is_a_bad_request(self, assistant: Assistant) -> None:
        headers = {"X-Front-Counter-Secret": SECRET, "Content-Type": "application/json"}
        response = requests.post(assistant.address("turn"), data=b"{nonsense", headers=headers, timeout=5)
        assert response.status_code == 400

    def test_rasas_own_api_is_not_there(self, assistant: Assistant) -> None:
        for path in ("model/parse", "webhooks/rest/webhook", "conversations/c/tracker"):
            assert requests.post(
                f"http://127.0.0.1:{assistant.port}/{path}", json={}, timeout=5
            ).status_code in (404, 405)


class TestTurn:
    """What a turn answers."""

    def test_a_question_is_answered_by_its_slug(self, assistant: Assistant, conversation: str) -> None:
        answer = assistant.say(conversation, "my bike got stolen from outside the shop")
        assert answer["intent"] == "faq/report-bike-stolen"
        assert answer["certain"] is True
        assert answer["messages"] == [{"answer": "report-bike-stolen"}]
        assert answer["form"] is None
        assert 0.3 < answer["confidence"] <= 1
        assert len(answer["ranking"]) <= 10
        assert answer["ranking"][0] == {"name": answer["intent"], "confidence": answer["confidence"]}

    def test_only_the_first_turn_is_fresh(self, assistant: Assistant, conversation: str) -> None:
        assert [assistant.say(conversation, text)["fresh"] for text in ("hello", "thanks")] == [True, False]

    @pytest.mark.parametrize(
        ("text", "key"),
        [("hello", "greeting"), ("thanks", "thanks"), ("goodbye", "goodbye"), ("start again", "start_again")],
    )
    def test_small_talk_has_a_line(
        self, assistant: Assistant, conversation: str, text: str, key: str
    ) -> None:
        assert assistant.say(conversation, text)["messages"] == [{"small_talk": key}]

    def test_a_wish_for_a_person_hands_over(self, assistant: Assistant, conversation: str) -> None:
        answer = assistant.say(conversation, "can i talk to a real person please")
        assert answer["messages"] == [{"hand_over": {"reason": "asked", "category": "R20"}}]

    def test_a_button_may_name_an_answer(self, assistant: Assistant, conversation: str) -> None:
        answer = assistant.say(conversation, button="/faq/noise")
        assert answer["intent"] == "faq/noise"
        assert answer["messages"] == [{"answer": "noise"}]

    def test_the_desks_hours_come_from_the_clock(self, assistant: Assistant, conversation: str) -> None:
        said = lines(assistant.say(conversation, "is anyone there now to chat"))
        assert said in (["hours_open_now"], ["hours_closed_now"])

    @pytest.mark.parametrize("text", ["", "   ", "😂😂", "tell me a poem about cheese"])
    def test_what_is_not_understood_is_said_to_be(
        self, assistant: Assistant, conversation: str, text: str
    ) -> None:
        assert assistant.say(conversation, text)["messages"] == [{"not_understood": True}]

    def test_a_risk_is_listed_whatever_the_intent(self, assistant: Assistant, conversation: str) -> None:
        answer = assistant.say(conversation, "someone is breaking into my house right now with a crowbar")
        assert answer["risks"][0]["category"] == "R01"
        assert answer["risks"][0]["confidence"] > 0.3
        assert {"not_understood": True} not in answer["messages"]

    def test_a_long_text_is_read(self, assistant: Assistant, conversation: str) -> None:
        answer = assistant.say(conversation, "my bike was stolen yesterday " * 60)
        assert answer["ranking"][0]["name"] == "faq/report-bike-stolen"

    def test_an_endless_text_is_refused(self, assistant: Assistant, conversation: str) -> None:
        assert assistant.turn(conversation, "x" * 5000).status_code == 413

    def test_odd_text_does_no_harm(self, assistant: Assistant, conversation: str) -> None:
        for text in ("{slot}", "[a](b)", "\x00\x01", "null", "🏴" * 50, "a\u202eb", "' OR 1=1 --"):
            assert assistant.turn(conversation, text).status_code == 200


class TestRepeats:
    """A turn id is one turn."""

    def test_a_repeat_gets_the_stored_answer(self, assistant: Assistant, conversation: str) -> None:
        first = assistant.turn(conversation, "hello", turn="t1").json()
        again = assistant.turn(conversation, "my bike was stolen", turn="t1").json()
        assert again == first
        assert assistant.turn("another", "thanks", turn="t1").json() != first

    def test_simultaneous_repeats_run_once(self, assistant: Assistant, conversation: str) -> None:
        assistant.say(conversation, button="/triage")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = list(
                pool.map(lambda _: assistant.turn(conversation, "no", turn="same").json(), range(4))
            )
        assert all(answer == answers[0] for answer in answers)
        assert lines(answers[0]) == [ASK_HURT]
        # Had it run twice, the second question would be answered already.
        assert assistant.say(conversation, "no")["form"] is None

    def test_many_at_once_on_one_conversation_keep_their_places(
        self, assistant: Assistant, conversation: str
    ) -> None:
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _: assistant.say(conversation, "hello"), range(6)))
        assert sum(answer["fresh"] for answer in answers) == 1


class TestSlash:
    """A typed slash is text: only buttons carry commands."""

    @pytest.mark.parametrize(
        "text", ["/restart", " /session_start", '/faq{"x":1}', "/triage", "//goodbye", "/"]
    )
    def test_a_typed_command_does_not_touch_the_form(
        self, assistant: Assistant, conversation: str, text: str
    ) -> None:
        assistant.say(conversation, button="/triage")
        answer = assistant.say(conversation, "no")
        assert answer["form"] == "triage_form"
        answer = assistant.say(conversation, text)
        assert answer["fresh"] is False
        assert answer["confidence"] < 1

    def test_a_typed_restart_keeps_the_form(self, assistant: Assistant, conversation: str) -> None:
        assistant.say(conversation, button="/triage")
        assistant.say(conversation, '/faq{"x":1}')
        assert assistant.say(conversation, "no")["form"] == "triage_form"


class TestForm:
    """The two questions."""

    def test_no_and_no_lead_to_the_online_form(self, assistant: Assistant, conversation: str) -> None:
        answer = assistant.say(conversation, "can you help me work out how to report something")
        assert lines(answer) == ["triage_start", ASK_NOW]
        assert answer["form"] == "triage_form"
        button = answer["messages"][1]["buttons"][1]["payload"]
        answer = assistant.say(conversation, button=button)
        assert (lines(answer), answer["form"]) == ([ASK_HURT], "triage_form")
        answer = assistant.say(conversation, "nah")
        assert (lines(answer), answer["form"]) == (["triage_report_online", "triage_offer_person"], None)
        answer = assistant.say(conversation, "yes please")
        assert answer["messages"] == [{"hand_over": {"reason": "asked", "category": "R20"}}]

    @pytest.mark.parametrize("answers", [["yes"], ["no", "aye"], ["not sure", "yes"]])
    def test_one_yes_is_an_emergency(
        self, assistant: Assistant, conversation: str, answers: list[str]
    ) -> None:
        assistant.say(conversation, button="/triage")
        for text in answers:
            answer = assistant.say(conversation, text)
        assert answer["messages"] == [
            {"line": "triage_emergency"},
            {"hand_over": {"reason": "understanding", "category": "R01"}},
        ]
        assert answer["form"] is None

    def test_the_form_starts_empty_each_time(self, assistant: Assistant, conversation: str) -> None:
        for _ in range(2):
            assert lines(assistant.say(conversation, button="/triage"))[-1] == ASK_NOW
            assert lines(assistant.say(conversation, "no")) == [ASK_HURT]
            assistant.say(conversation, "no")

    def test_a_question_in_between_is_answered_and_the_form_goes_on(
        self, assistant: Assistant, conversation: str
    ) -> None:
        assistant.say(conversation, button="/triage")
        answer = assistant.say(conversation, "my bike got stolen from outside the shop")
        assert answer["messages"][0] == {"answer": "report-bike-stolen"}
        assert (lines(answer), answer["form"]) == ([ASK_NOW], "triage_form")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("start again", {"small_talk": "start_again"}),
            ("goodbye", {"small_talk": "goodbye"}),
            ("let me talk to a person", {"hand_over": {"reason": "asked", "category": "R20"}}),
        ],
    )
    def test_the_form_can_be_left_and_keeps_nothing(
        self, assistant: Assistant, conversation: str, text: str, message: dict[str, Any]
    ) -> None:
        assistant.say(conversation, button="/triage")
        assistant.say(conversation, "no")
        answer = assistant.say(conversation, text)
        assert (answer["messages"], answer["form"]) == ([message], None)
        assert lines(assistant.say(conversation, button="/triage"))[-1] == ASK_NOW

    def test_what_is_no_answer_is_asked_again(self, assistant: Assistant, conversation: str) -> None:
        assistant.say(conversation, button="/triage")
        answer = assistant.say(conversation, "purple monkey dishwasher")
        assert {"not_understood": True} in answer["messages"]
        assert lines(answer)[-1] == ASK_NOW

    def test_a_late_button_of_the_first_question_corrects_it(
        self, assistant: Assistant, conversation: str
    ) -> None:
        assistant.say(conversation, button="/triage")
        assistant.say(conversation, "no")
        answer = assistant.say(conversation, button='/triage_answer{"happening_now":"yes"}')
        assert lines(answer) == ["triage_emergency"]


class TestUnderstand:
    """Reading without a conversation."""

    def test_each_text_is_read_as_in_a_turn(self, assistant: Assistant, conversation: str) -> None:
        texts = ["my bike got stolen from outside the shop", "hello", "", "/restart"]
        body = assistant.post("understand", {"texts": texts}).json()
        assert [result["intent"] for result in body["results"]][:3] == [
            "faq/report-bike-stolen",
            "greeting",
            "nlu_fallback",
        ]
        turn = assistant.say(conversation, texts[0])
        for name in ("intent", "confidence", "certain", "ranking", "risks"):
            assert body["results"][0][name] == turn[name]
        assert set(body["results"][0]) == {
            "intent", "confidence", "certain", "ranking", "risks", "also", "known",
        }  # fmt: skip

    def test_no_conversation_is_touched(self, assistant: Assistant, conversation: str) -> None:
        assistant.say(conversation, button="/triage")
        assistant.post("understand", {"texts": ["no", "start again", "goodbye"]})
        assert lines(assistant.say(conversation, "no")) == [ASK_HURT]

    def test_no_texts_are_no_results(self, assistant: Assistant) -> None:
        assert assistant.post("understand", {"texts": []}).json()["results"] == []


class TestForget:
    """A closed conversation leaves nothing."""

    def test_a_forgotten_conversation_is_fresh(self, assistant: Assistant, conversation: str) -> None:
        assistant.say(conversation, button="/triage")
        assert assistant.post("forget", {"conversation": conversation}).json() == {"forgotten": True}
        answer = assistant.say(conversation, "no")
        assert answer["fresh"] is True
        assert answer["form"] is None

    def test_forgetting_what_never_was_is_fine(self, assistant: Assistant) -> None:
        assert assistant.post("forget", {"conversation": "never"}).status_code == 200


class TestActionServerDown:
    """A turn that needs the action server fails aloud, and can be repeated."""

    @pytest.fixture(scope="class")
    def lonely(self, model: Path, folder: Path) -> Iterator[tuple[Assistant, int]]:
        """A Rasa server whose action server is down; its port, to bring it up."""
        port = free_port()
        endpoints = folder / "endpoints-down.yml"
        endpoints.write_text(
            f"action_endpoint:\n  url: http://127.0.0.1:{port}/webhook\n  enable_selective_domain: true\n",
            "utf-8",
        )
        with rasa_server(model, endpoints, folder) as server:
            yield server, port

    def test_answers_that_need_no_action_still_come(
        self, lonely: tuple[Assistant, int], conversation: str
    ) -> None:
        assistant, _ = lonely
        assert assistant.say(conversation, "hello")["messages"] == [{"small_talk": "greeting"}]
        answer = assistant.say(conversation, "can i talk to a real person please")
        assert "hand_over" in answer["messages"][0]

    @pytest.mark.parametrize(
        ("text", "button"),
        [("is anyone there now to chat", None), ("", "/triage"), ("flibber flobber", None)],
    )
    def test_the_others_fail_aloud(
        self, lonely: tuple[Assistant, int], conversation: str, text: str, button: str | None
    ) -> None:
        assistant, _ = lonely
        response = assistant.turn(conversation, text, button)
        assert response.status_code == 502
        assert "action" in response.json()["error"]

    def test_the_failed_turn_can_be_repeated_once_it_is_back(
        self, lonely: tuple[Assistant, int], folder: Path, conversation: str
    ) -> None:
        assistant, port = lonely
        assert assistant.turn(conversation, button="/triage", turn="t").status_code == 502
        with action_server(port, folder):
            answer = assistant.turn(conversation, button="/triage", turn="t").json()
            assert (answer["form"], answer["fresh"]) == ("triage_form", True)
        assert assistant.turn(conversation, "no", turn="u").status_code == 502
        with action_server(port, folder):
            assert lines(assistant.turn(conversation, "no", turn="u").json()) == [ASK_HURT]

    def test_an_action_server_that_hangs_is_not_waited_for(
        self, lonely: tuple[Assistant, int], folder: Path, conversation: str
    ) -> None:
        assistant, port = lonely
        with action_server(port, folder) as process:
            process.send_signal(signal.SIGSTOP)
            try:
                started = time.monotonic()
                assert assistant.turn(conversation, "is anyone there now to chat").status_code == 502
                assert time.monotonic() - started < 8
            finally:
                process.send_signal(signal.SIGCONT)

    def test_no_words_of_the_person_are_logged(
        self, lonely: tuple[Assistant, int], conversation: str
    ) -> None:
        assistant, _ = lonely
        assistant.turn(conversation, "flibber flobber zanzibar")
        assistant.turn(conversation, "/zanzibar{zanzibar}")
        assert "zanzibar" not in assistant.log.read_text("utf-8", "replace")


def test_a_short_secret_is_refused_at_the_start(model: Path, folder: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="at least 16"),
        rasa_server(model, Path("endpoints.yml"), folder, FRONTCOUNTER_ASSISTANT_SECRET="short"),
    ):
        pass
