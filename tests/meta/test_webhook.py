"""The address that Meta calls: whose it is, what is taken, what is refused."""

from __future__ import annotations

import contextlib

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.channels.meta.signature import HEADER, sign
from bot.channels.meta.webhook import LARGEST_BODY
from tests.meta.serving import MetaSide
from tests.support.world import ODD, P1

pytestmark = pytest.mark.integration

BLOCK = "If you or someone else is in danger, call 999 now."


def asks(side: MetaSide, **query: str) -> httpx.Response:
    """Meta asks whether this address is ours."""
    given = {f"hub.{key}": value for key, value in query.items()}
    address = f"{side.first.base}/{side.app.name}/webhook"
    return httpx.get(address, params=given, trust_env=False, timeout=30)


def test_the_address_is_proved_with_the_word_that_both_know(side: MetaSide) -> None:
    """The challenge comes back as it was, and as plain text."""
    answer = asks(side, mode="subscribe", verify_token=side.app.verify_token, challenge="1158201444")

    assert (answer.status_code, answer.text) == (200, "1158201444")
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"mode": "subscribe", "challenge": "1"},
        {"mode": "subscribe", "verify_token": "wrong", "challenge": "1"},
        {"mode": "subscribe", "verify_token": "\xe4\xf6", "challenge": "1"},
        {"mode": "unsubscribe", "verify_token": "loopback-verify_word", "challenge": "1"},
    ],
)
def test_without_the_word_it_is_403(side: MetaSide, query: dict[str, str]) -> None:
    """And the word is not told."""
    answer = asks(side, **query)

    assert answer.status_code == 403
    assert side.app.verify_token not in answer.text


@pytest.mark.parametrize("challenge", ["", "<script>alert(1)</script>", "a b", "x" * 300])
def test_what_is_said_back_is_a_word(side: MetaSide, challenge: str) -> None:
    """Nothing that a browser could take for a page."""
    answer = asks(side, mode="subscribe", verify_token=side.app.verify_token, challenge=challenge)

    assert answer.status_code == 400
    assert "<script>" not in answer.text


def test_a_body_that_is_too_large_is_refused(messenger: MetaSide) -> None:
    """Before it is read."""
    body = b" " * (LARGEST_BODY + 1)

    assert messenger.post(body).status_code == 413


def test_metas_largest_webhook_is_taken_without_a_setting(messenger: MetaSide) -> None:
    """What other callers may send is less; in pieces of an unknown number it is read as well."""
    ann, bob = messenger.person(), messenger.person()
    assert messenger.post(messenger.body(ann.says(ODD)) + b" " * 2_900_000).status_code == 200
    messenger.stored(ann.id)

    body = messenger.body(bob.says(ODD)) + b" " * 1_500_000
    address = f"{messenger.first.base}/{messenger.app.name}/webhook"
    headers = {HEADER: sign(body, messenger.app.app_secret)}
    pieces = (body[at : at + 100_000] for at in range(0, len(body), 100_000))
    answer = httpx.post(address, content=pieces, headers=headers, trust_env=False, timeout=30)
    assert answer.status_code == 200
    messenger.stored(bob.id)

    endless = (b" " * 100_000 for _ in range(60))
    with contextlib.suppress(httpx.HTTPError):
        # It may hang up before all of it was sent.
        answer = httpx.post(address, content=endless, headers=headers, trust_env=False, timeout=30)
        assert answer.status_code == 413
    address = f"{messenger.first.base}/chat/messages"
    other = httpx.post(address, content=b" " * 1_100_000, trust_env=False, timeout=30)
    assert other.status_code == 413


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.sampled_from([b"[" * 50_000, b'{"object":"page","entry":[[]]}']))
def test_a_signed_body_that_is_no_webhook_is_400_and_never_500(messenger: MetaSide, body: bytes) -> None:
    """Whoever signs it."""
    assert 400 <= messenger.post(body).status_code < 500


@pytest.mark.parametrize("text", ["\x00null", "half \ud800 pair", "x" * 20_000, "\u202e\u200b", "'; DROP"])
def test_odd_words_are_kept(side: MetaSide, text: str) -> None:
    """What no database keeps has a mark in its place."""
    ann = side.person()
    assert side.post(side.body(ann.message(text=text))).status_code == 200

    (stored,) = side.stored(ann.id)
    assert len(stored.text) == len(text)


def test_an_event_that_cannot_be_kept_does_not_take_the_others_with_it(messenger: MetaSide) -> None:
    """Each of a batch by itself, if need be."""
    ann, bob = messenger.person(), messenger.person()
    odd = ann.message(text="hello", mid="m_odd")
    odd["timestamp"] = 10**400
    assert messenger.post(messenger.body(odd, {"sender": []}, bob.says(P1))).status_code == 200

    assert [m.text for m in messenger.stored(ann.id)] == ["hello"]
    assert [m.text for m in messenger.stored(bob.id)] == [P1]


def test_another_account_is_none_of_ours(messenger: MetaSide) -> None:
    """Taken, so that it does not come again; nothing of it is stored."""
    other = messenger.person()
    other.account_id = "5"
    body = messenger.body(other.says(ODD)).replace(messenger.app.us.encode(), b"999999")

    assert messenger.post(body).status_code == 200
    assert messenger.messages(other.id) == []


def test_meta_is_told_what_we_want_and_who_we_are(side: MetaSide) -> None:
    """The way to a person is in the menu; Messenger shows who answers before the first message."""
    side.until(lambda: "profile" in side.state()["told"], "the profile")
    told = side.state()["told"]
    (menu,) = told["profile"]["persistent_menu"]

    assert {"messages", "standby", "messaging_handovers"} <= set(told["subscribed"]["subscribed_fields"])
    assert menu["call_to_actions"] == [
        {"type": "postback", "title": side.line("talk_to_person"), "payload": "person"}
    ]
    if not side.app.is_instagram:
        assert told["profile"]["greeting"][0]["text"] == side.line("opening_automated")
        assert told["profile"]["get_started"] == {"payload": "start"}


def test_the_start_button_says_who_we_are_without_rasa(messenger: MetaSide) -> None:
    """The first thing that many press; nothing is said twice."""
    messenger.rasa.down = True
    ann = messenger.person()
    messenger.inject(ann.chooses("Get Started", "start"))
    heard = messenger.hears(ann, messenger.line("opening_message"))

    assert heard["text"].count(messenger.line("opening_automated")) == 1


def test_small_signs_are_shown_and_owed_to_nobody(side: MetaSide) -> None:
    """Seen, and an answer is being written; if that fails, the answer comes all the same."""
    ann, bob = side.person(), side.person()
    side.inject(ann.says(ODD))
    side.hears(ann, side.line("not_understood"))

    side.until(lambda: "mark_seen" in side.signs(ann), "the sign")
    assert set(side.signs(ann)) <= {"mark_seen", "typing_on"}
    side.fault("500", path="sender_action", times=9)
    side.inject(bob.says(ODD))
    side.hears(bob, side.line("not_understood"))


def test_danger_in_a_body_that_is_cut_off_is_answered(side: MetaSide) -> None:
    """Refused, so that it comes again; nothing of it is kept, and the words leave once."""
    ann, bob = side.person(), side.person()
    wrote = [ann.says(P1), bob.says(ODD)]
    # The platform takes an answer to whoever has written there.
    side.set_state(gateways=[])
    side.inject(*wrote)
    side.set_state(gateways=[side.first.base])
    body = side.body(*wrote)[:-20]
    assert [side.post(body).status_code for _ in range(2)] == [400, 400]
    side.hears(ann, BLOCK)

    assert len([text for text in side.texts(ann) if BLOCK in text]) == 1
    assert side.texts(bob) == []
    assert side.messages(ann.id) == []
