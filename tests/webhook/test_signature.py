"""Who may speak as a site: its key, the body's own bytes, and the last five minutes."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.channels.sites.signature import ID, SIGNATURE, TIME, WINDOW_SECONDS, read_key, sign, verify
from bot.errors import SignatureError
from tests.platforms.site import OTHER_SECRET, SECRET, headers_of

pytestmark = pytest.mark.unit

BODY = b'{"version":1,"events":[{"type":"receipt","reply":"fc-1-00000000","state":"read"}]}'
AT = 1_795_428_000
KEY, OTHER = read_key(SECRET), read_key(OTHER_SECRET)


def headers(**changed: str) -> dict[str, str]:
    """Good headers, with some of them changed."""
    return {**headers_of(BODY, SECRET, "call-1", AT), **changed}


def test_what_the_published_library_signs_is_what_we_sign() -> None:
    """The value is what standardwebhooks 1.1.0 for Python makes of the same."""
    secret = "whsec_RnJvbnQgQ291bnRlciBleGFtcGxlIGtleSwgMzIgYi4="
    body = (
        b'{"version":1,"events":[{"type":"message","id":"post-1001","person":"member-42",'
        b'"text":"How long is the wait for 101?","sent_at":"2026-11-23T10:00:00Z"}]}'
    )

    signed = sign([read_key(secret)], "call-1", AT, body)

    assert signed == {
        ID: "call-1",
        TIME: str(AT),
        SIGNATURE: "v1,CarDaIS3qX0eDXThCS2pR5c5HwHKoTTfwpvFmbeyfWg=",
    }
    assert verify([read_key(secret)], signed, body, AT) == "call-1"


@pytest.mark.parametrize("late", [-WINDOW_SECONDS, -1, 0, 1, WINDOW_SECONDS])
def test_within_five_minutes_it_is_taken(late: int) -> None:
    """Clocks differ, both ways."""
    assert verify([KEY], headers(), BODY, AT + late) == "call-1"


@pytest.mark.parametrize("late", [-WINDOW_SECONDS - 1, WINDOW_SECONDS + 1, 86_400])
def test_a_replay_after_five_minutes_is_refused(late: int) -> None:
    """Whoever has recorded a good call cannot use it later."""
    with pytest.raises(SignatureError, match="5 minutes"):
        verify([KEY], headers(), BODY, AT + late)


@pytest.mark.parametrize(
    "changed",
    [
        {ID: ""}, {ID: "call-2"}, {ID: "call.1"}, {ID: "a b"}, {ID: "x" * 201}, {ID: "\xe4"},
        {TIME: ""}, {TIME: str(AT + 1)}, {TIME: "soon"}, {TIME: "-1"}, {TIME: "1e9"}, {TIME: "9" * 40},
        {TIME: f" {AT}"}, {TIME: "\u0661" * 10},
        {SIGNATURE: ""}, {SIGNATURE: "v1,"}, {SIGNATURE: "v1"}, {SIGNATURE: "v1,\xe9"}, {SIGNATURE: "v1,===="},
        {SIGNATURE: "v2," + "A" * 43 + "="}, {SIGNATURE: "v1," + "A" * 43 + "="}, {SIGNATURE: ",,, , ,"},
        {SIGNATURE: "v1,QQ== " * 5000},
    ],
)  # fmt: skip
def test_whatever_else_stands_there_is_refused(changed: dict[str, str]) -> None:
    """And nothing is raised but the refusal."""
    with pytest.raises(SignatureError):
        verify([KEY], headers(**changed), BODY, AT)


@given(st.text(max_size=80), st.text(max_size=20), st.text(max_size=120), st.binary(max_size=80))
def test_nothing_made_up_gets_through(identity: str, seconds: str, signature: str, body: bytes) -> None:
    """Whatever letters a header holds."""
    with pytest.raises(SignatureError):
        verify([KEY], {ID: identity, TIME: seconds, SIGNATURE: signature}, body, AT)


def test_another_body_or_another_key_is_none() -> None:
    """The signature is of these very bytes, by this very key."""
    for keys, body in (([KEY], BODY + b" "), ([OTHER], BODY), ([], BODY)):
        with pytest.raises(SignatureError):
            verify(keys, headers(), body, AT)


def test_while_a_key_is_changed_both_serve() -> None:
    """The site changes whenever it likes; what leaves carries both signatures."""
    assert verify([OTHER, KEY], headers(), BODY, AT) == "call-1"
    assert verify([OTHER, KEY], headers_of(BODY, OTHER_SECRET, "call-1", AT), BODY, AT) == "call-1"

    both = sign([OTHER, KEY], "fc-1-00000000", AT, BODY)
    assert len(both[SIGNATURE].split(" ")) == 2
    for one in (KEY, OTHER):
        assert verify([one], both, BODY, AT) == "fc-1-00000000"


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("", "whsec_"), ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_"), ("whsec_", "24 to 64"),
        ("whsec_***", "base64"), ("whsec_" + base64.b64encode(bytes(range(23))).decode(), "24 to 64"),
        ("whsec_" + base64.b64encode(bytes(range(65))).decode(), "24 to 64"),
        ("whsec_" + base64.b64encode(b"a" * 32).decode(), "guess"),
    ],
)  # fmt: skip
def test_a_key_that_is_none_says_what_it_has_to_be(written: str, says: str) -> None:
    """Never what it was."""
    with pytest.raises(ValueError, match=says) as caught:
        read_key(written)
    assert len(written) < 8 or written not in str(caught.value)
