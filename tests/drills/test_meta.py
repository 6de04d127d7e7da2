"""The logs of Messenger, Instagram and Telegram, put into the checker's words: shown logs whose meaning is known."""

from __future__ import annotations

import pytest

from tests.drills.checker import Record, check
from tests.drills.meta import MetaLog, environment_of
from tests.drills.telegram import translated
from tests.platforms.graph import App
from tests.platforms.marks import mark_of

pytestmark = pytest.mark.unit

PEOPLE = {"74": "messenger_drill.1"}


def sent(at: float, text: str, metadata: str, kind: str) -> Record:
    """A line of the Graph API's log."""
    row = int(metadata.removeprefix("fc:").removesuffix(".part"))
    return {
        "what": "send", "n": int(at * 100), "at": at, "person": "74", "text": text, "metadata": metadata,
        "mark": mark_of(kind, row),
    }  # fmt: skip


def test_row_and_kind_are_told_by_the_log_not_by_the_words() -> None:
    """An answer that begins with 999 is an answer; words past the record have no row."""
    read = MetaLog(PEOPLE)
    answer = read(sent(1.0, "Call 999 if you are in danger. A crime that is over: …", "fc:41", "assistant"))
    direct = read(sent(2.0, "Call 999.", "fc:0", "safety"))

    assert (answer["person"], answer["kind"], answer["outbox"]) == ("messenger_drill.1", "assistant", 41)
    assert (direct["kind"], direct["outbox"]) == ("safety", None)
    assert read({"what": "delivery", "ids": ["m1"]}) == {"what": "delivery", "ids": ["m1"]}


def test_the_parts_of_a_long_text_are_one_message() -> None:
    """Told with its last part; another message that overtakes stays by itself."""
    read = MetaLog(PEOPLE)
    lines = [
        read(sent(1.0, "The first half.", "fc:7.part", "assistant")),
        read(sent(1.5, "Call 999.", "fc:8", "safety")),
        read(sent(2.0, "The second half.", "fc:7", "assistant")),
    ]

    assert [line["what"] for line in lines] == ["part", "send", "send"]
    assert lines[2]["text"].split() == "The first half. The second half.".split()


@pytest.mark.parametrize("mark", ["", "assistant", "assistant x", "bot 1"])
def test_a_message_without_its_mark_ends_the_reading(mark: str) -> None:
    """It would be of no kind, and so talk over nobody."""
    line = sent(1.0, "Hello.", "fc:1", "assistant") | {"mark": mark}
    with pytest.raises(ValueError, match="without its mark"):
        MetaLog(PEOPLE)(line)
    with pytest.raises(ValueError, match="without its mark"):
        translated({"what": "send", "chat": 5, "mark": mark}, {5: "telegram_drill.1"})


@pytest.mark.parametrize("metadata", [None, "", "fc:2", "something"])
def test_our_own_metadata_names_the_row_that_was_sent(metadata: str | None) -> None:
    """Or the echo of it would be taken for another's."""
    with pytest.raises(ValueError, match="left with the metadata"):
        MetaLog(PEOPLE)(sent(1.0, "Hello.", "fc:1", "assistant") | {"metadata": metadata})


def test_telegrams_log_tells_row_and_kind_by_the_mark() -> None:
    """Words past the record have no row."""
    people = {5: "telegram_drill.1"}
    answer = translated(
        {"what": "send", "chat": 5, "text": "Call 999 …", "mark": mark_of("assistant", 9)}, people
    )
    direct = translated({"what": "send", "chat": 5, "text": "999", "mark": mark_of("safety", 0)}, people)

    assert (answer["person"], answer["kind"], answer["outbox"]) == ("telegram_drill.1", "assistant", 9)
    assert (direct["kind"], direct["outbox"]) == ("safety", None)
    assert translated({"what": "refusal", "chat": 6}, people)["person"] == "nobody.0"


def test_what_the_log_shows_is_counted() -> None:
    """Parts and all: an answer twice, a row twice, and an automatic word after a claim."""
    person = PEOPLE["74"]
    inbound = {"what": "inbound", "person": person, "id": "m1", "order": 1, "expects": "noise", "alone": True}
    claim = {"what": "claim", "person": person, "asked": 2.4, "answered": 2.5, "won": True}
    words = {
        "what": "wording",
        "answers": {"noise": "Ask the council. It is theirs."},
        "opening": "I am a bot.",
    }
    read = MetaLog(PEOPLE)
    log = [
        {"what": "delivery", "began": 0.5, "at": 0.6, "ids": ["m1"], "gateway": 0, "status": 200},
        sent(1.0, "I am a bot.\n\nAsk the council.", "fc:3.part", "assistant"),
        sent(1.1, "It is theirs.", "fc:3", "assistant"),
        sent(2.0, "Ask the council. It is theirs.", "fc:4", "assistant"),
        sent(3.0, "The desk has joined.", "fc:5", "notice"),
        sent(4.0, "Anything else?", "fc:6", "assistant"),
    ]
    found = check([words, inbound, claim], list(map(read, log)))

    assert [name for name, _, _ in found.findings] == ["doubled", "talked_over"]
    # Four messages, one of them in two parts.
    assert found.replies == 4


def test_each_channel_gets_settings_of_its_own() -> None:
    """By the names that a force uses."""
    page, account = (environment_of(App(name), "http://127.0.0.1:9") for name in ("messenger", "instagram"))

    assert page["FRONTCOUNTER_MESSENGER_PAGE_ID"] == App("messenger").us
    assert account["FRONTCOUNTER_INSTAGRAM_ACCOUNT_ID"] == App("instagram").us
    assert not set(page) & set(account)
