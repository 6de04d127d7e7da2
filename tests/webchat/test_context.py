"""What a page says of itself: believed only with the force's signature, and never an error."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.channels.webchat.context import IgnoredError, read, sign
from bot.errors import BadRequestError
from bot.settings import ROOT

pytestmark = pytest.mark.unit

KEY = "a key of thirty-two letters or more"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
TOPIC = "report antisocial behaviour"


def why_not(signed: str, key: str = KEY, at: datetime = NOW) -> str:
    with pytest.raises(IgnoredError) as caught:
        read(key, signed, at.timestamp())
    return caught.value.reason


def made(**said: object) -> str:
    """A payload that the holder of the key signed, whatever it says."""
    from bot.channels.webchat import context

    payload = base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()
    return f"{payload}.{context._signature(KEY, payload)}"


def test_what_was_signed_is_read_until_its_time_is_over() -> None:
    signed = sign(KEY, f"  {TOPIC}\n ", LATER)
    assert read(KEY, signed, NOW.timestamp()) == TOPIC
    assert why_not(signed, at=LATER) == "expired"
    assert why_not(signed, at=LATER + timedelta(days=1)) == "expired"
    assert read(KEY, sign(KEY, "Rhoi gwybod am drosedd – ë 報告", LATER), NOW.timestamp())


def test_another_key_or_another_word_is_a_wrong_signature() -> None:
    signed = sign(KEY, TOPIC, LATER)
    payload, _, signature = signed.partition(".")
    other = sign(KEY, "something else", LATER).partition(".")[0]
    for wrong in (
        f"{other}.{signature}", f"{payload}.{signature[:-1]}", f"{payload}.{signature}A",
        f"{payload}A.{signature}", sign(KEY + "x", TOPIC, LATER),
    ):  # fmt: skip
        assert why_not(wrong) == "signature"


@pytest.mark.parametrize("signed", ["", ".", "a.", ".b", "plain words", "é.ü", "x" * 1001 + ".y"])
def test_what_is_no_signed_word_is_ignored(signed: str) -> None:
    assert why_not(signed) == "form"


def test_without_a_key_nothing_is_believed() -> None:
    assert why_not(sign(KEY, TOPIC, LATER), key="") == "no_key"


@pytest.mark.parametrize(
    "said",
    [
        {}, {"topic": TOPIC}, {"until": 9e9}, {"topic": 7, "until": 9e9}, {"topic": "", "until": 9e9},
        {"topic": "x" * 121, "until": 9e9}, {"topic": "a\u202eb", "until": 9e9}, {"topic": "a\0b", "until": 9e9},
        {"topic": TOPIC, "until": "soon"}, {"topic": TOPIC, "until": None}, {"topic": TOPIC, "until": 10**400},
    ],
)  # fmt: skip
def test_a_slip_of_whoever_signs_is_ignored_too(said: dict[str, object]) -> None:
    assert why_not(made(**said)) == "form"


def test_a_time_that_is_no_number_is_over() -> None:
    assert why_not(made(topic=TOPIC, until=float("nan"))) == "expired"


@given(st.text(max_size=200))
def test_no_words_end_in_anything_but_a_topic_or_a_reason(text: str) -> None:
    assert why_not(text) in {"form", "signature"}


@pytest.mark.parametrize("topic", ["", "   ", "x" * 121, "a\u202eb"])
def test_what_could_not_be_shown_is_not_signed(topic: str) -> None:
    with pytest.raises(BadRequestError, match="topic"):
        sign(KEY, topic, LATER)


def test_a_short_key_signs_nothing() -> None:
    with pytest.raises(BadRequestError, match="FRONTCOUNTER_WEBCHAT_PAGE_KEY"):
        sign("short", TOPIC, LATER)


def signed_by_command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What the command says, in a process of its own: it sets up the logs of a whole process."""
    return subprocess.run(
        [sys.executable, "-m", "bot.cli", "sign-page", *words],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_command_makes_what_a_gateway_believes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRONTCOUNTER_WEBCHAT_PAGE_KEY", raising=False)
    told = signed_by_command(TOPIC, "--days", "2", FRONTCOUNTER_WEBCHAT_PAGE_KEY=KEY)
    assert told.returncode == 0, told.stderr
    signed = told.stdout.strip()
    moment = datetime.now(UTC)
    assert read(KEY, signed, moment.timestamp()) == TOPIC
    assert why_not(signed, at=moment + timedelta(days=3)) == "expired"
    refused = signed_by_command(TOPIC)
    assert refused.returncode == 1
    assert "FRONTCOUNTER_WEBCHAT_PAGE_KEY" in refused.stderr
