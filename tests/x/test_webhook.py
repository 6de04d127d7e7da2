"""The address that X calls: whose it is, what is taken, what is refused."""

from __future__ import annotations

import json

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.channels.x.signature import answer, verify
from bot.errors import BadRequestError, ForgedError
from tests.platforms.x import App, sign
from tests.platforms.x.server import CLIENT_HEADER, HEADER
from tests.support.rasa import FAQ
from tests.support.world import P1, PLAIN
from tests.x.serving import XSide, x_side

pytestmark = pytest.mark.integration

BLOCK = "If you or someone else is in danger, call 999 now."


def asks(side: XSide, **query: str) -> httpx.Response:
    """X asks whether this address is ours."""
    return httpx.get(f"{side.first.base}/x/webhook", params=query, trust_env=False, timeout=30)


def test_the_challenge_is_answered_with_the_secret(called: XSide) -> None:
    """As X's documentation has it."""
    found = asks(called, crc_token="9b4507b3-9040-4669-9ca3-6b94edb50553", nonce="x")

    assert found.status_code == 200
    assert found.json() == {
        "response_token": sign(b"9b4507b3-9040-4669-9ca3-6b94edb50553", called.app.app_secret)
    }


@pytest.mark.parametrize(
    "challenge", ["", "a b", "x" * 600, '{"data":{"event_type":"dm.received"}}', "[1]", '"x"', "{}", "\xe4"]
)
def test_a_challenge_that_could_be_a_webhook_is_never_signed(called: XSide, challenge: str) -> None:
    """Whoever likes may ask: the answer would be the signature of a body of their own."""
    found = asks(called, crc_token=challenge)

    assert found.status_code == 400
    assert "sha256=" not in found.text
    assert asks(called).status_code == 400


def test_no_challenge_that_is_signed_is_a_webhook(called: XSide) -> None:
    """Told the other way round: what may be signed is no JSON object."""
    ann = called.person()
    body = called.body(ann.says(P1))
    with pytest.raises(BadRequestError):
        answer(body.decode(), called.app.app_secret, "")
    for word in ("abc", "123", "true", "null", "1e5", "-"):
        token = answer(word, called.app.app_secret, "")["response_token"]
        assert called.post(word.encode(), token).status_code == 400
    assert called.messages(ann.id) == []


@pytest.mark.unit
def test_the_client_secret_counts_where_there_is_one() -> None:
    """X sends one signature or both; a right old one does not make up for a wrong new one."""
    body, old, new = b'{"data":{}}', "consumer" * 4, "client" * 4
    verify(body, {HEADER: sign(body, old)}, old, "")
    verify(body, {HEADER: sign(body, old)}, old, new)
    verify(body, {CLIENT_HEADER: sign(body, new), HEADER: sign(body, old)}, old, new)
    verify(body, {CLIENT_HEADER: sign(body, new), HEADER: sign(body, old)}, old, "")
    wrong: tuple[tuple[dict[str, str], str], ...] = (
        ({}, new), ({CLIENT_HEADER: sign(body, new)}, ""), ({HEADER: sign(body, new)}, new),
        ({CLIENT_HEADER: sign(body, old), HEADER: sign(body, old)}, new), ({HEADER: "\xe4"}, ""),
    )  # fmt: skip
    for headers, client in wrong:
        with pytest.raises(ForgedError):
            verify(body, headers, old, client)
    assert answer("abc", old, new)["response_token"] == sign(b"abc", new)


def test_an_app_with_a_client_secret(sqlite_url: str) -> None:
    """Proof and signature are by that one."""
    app = App(client_secret="loopback-client_secret_of_oauth_2")
    with x_side(sqlite_url, _app=app) as side:
        side.until(lambda: side.state()["webhooks"], "the webhook")
        assert side.state()["webhooks"][0]["valid"] is True
        ann = side.person()
        body = side.body(ann.says(PLAIN))
        assert side.post(body, sign(body, app.app_secret)).status_code == 403
        side.inject(ann.says(PLAIN))
        side.hears(ann, side.answer(FAQ))


@pytest.mark.parametrize("shape", ["activity", "account"])
def test_both_of_xs_webhooks_bring_messages(called: XSide, shape: str) -> None:
    """The older one until it ends."""
    called.mode(shape=shape, receipts=True)
    ann = called.person()
    called.inject(ann.says(PLAIN))
    called.hears(ann, called.answer(FAQ))
    called.until(lambda: [row.state for row in called.outbox(ann.id)] == ["read"], "the answer to be read")


def test_an_encrypted_message_is_handed_over_with_999(called: XSide) -> None:
    """Nobody here can read it; a person is told that it came."""
    ann = called.person()
    called.inject(ann.says_in_secret())
    heard = called.hears(ann, "999")

    assert [m.kind for m in called.stored(ann.id)] == ["unsupported"]
    assert called.becomes(ann.id, "waiting").grade == "P3"
    assert "999" in heard["text"]


def test_in_a_group_only_danger_is_answered_and_in_private(called: XSide) -> None:
    """Nothing else of it is stored."""
    ann, bob = called.person(), called.person()
    called.inject(ann.says(P1, group=True), bob.says(PLAIN, group=True))
    called.hears(ann, BLOCK)
    called.taken()

    assert [m.text for m in called.messages(ann.id)] == [P1]
    assert called.messages(bob.id) == []
    assert called.texts(bob) == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=200)
    | st.sampled_from([b"[" * 50_000, b'{"data":{"event_type":[]}}', b'{"data":[[]]}'])
)
def test_a_signed_body_that_is_no_webhook_is_400_and_never_500(called: XSide, body: bytes) -> None:
    """Whoever signs it."""
    assert 400 <= called.post(body).status_code < 500


@pytest.mark.parametrize("text", ["\x00null", "half \ud800 pair", "x" * 20_000, "\u202e\u200b", "'; DROP"])
def test_odd_words_are_kept(called: XSide, text: str) -> None:
    """What no database keeps has a mark in its place."""
    ann = called.person()
    assert called.post(called.body(ann.says(text))).status_code == 200

    (stored,) = called.stored(ann.id)
    assert len(stored.text) == len(text)


def test_an_event_that_cannot_be_kept_does_not_take_the_others_with_it(called: XSide) -> None:
    """Each of a batch by itself, if need be."""
    ann, bob = called.person(), called.person()
    body = json.loads(called.body(ann.says("hello"), bob.says(P1)))
    payload = body["data"]["payload"]["direct_message_events"]
    payload[0]["created_timestamp"] = "9" * 400
    payload[1:1] = [{"message_create": []}, [], None]
    assert called.post(json.dumps(body).encode()).status_code == 200

    assert [m.text for m in called.stored(ann.id)] == ["hello"]
    assert [m.text for m in called.stored(bob.id)] == [P1]


def test_a_body_that_is_too_large_is_refused(called: XSide) -> None:
    """Before it is read."""
    assert called.post(b" " * 1_100_000).status_code == 413


def test_without_a_webhook_there_is_no_such_address(asking: XSide) -> None:
    """Nobody has to guard it."""
    assert asks(asking, crc_token="abc").status_code == 404
