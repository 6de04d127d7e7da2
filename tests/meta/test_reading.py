"""Each kind of event becomes what the design says, and nothing private goes further."""

from __future__ import annotations

import json
import string
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.channels.instagram import TRAITS as INSTAGRAM
from bot.channels.messenger import TRAITS as MESSENGER
from bot.channels.meta.inbound import Account, metadata, read_body
from bot.errors import BadRequestError
from bot.messages import Arrival, Control, Echo, Incoming, Receipt
from tests.platforms.graph import App, Writer, events
from tests.platforms.graph.events import Json

pytestmark = pytest.mark.unit

APP = App("messenger")
ACCOUNT = Account(MESSENGER, APP.us, APP.app_id)
IG = App("instagram")
IG_ACCOUNT = Account(INSTAGRAM, IG.us, IG.app_id)
ANN = Writer(77, APP.us)


def webhook(*given: Any, account: Account = ACCOUNT, **others: Any) -> bytes:
    """The body of a webhook with these events."""
    entry = {"id": account.account_id, "time": 1, "messaging": list(given), **others}
    return json.dumps({"object": account.traits.object, "entry": [entry]}).encode()


def read(*given: Json, account: Account = ACCOUNT) -> list[Arrival]:
    """What is in a webhook with these events."""
    return read_body(webhook(*given, account=account), account)


def message(event: Json, account: Account = ACCOUNT) -> Incoming:
    """Its one message."""
    (found,) = read(event, account=account)
    assert isinstance(found, Incoming)
    return found


def test_words_become_a_message_of_one_person() -> None:
    """The id is Meta's own, and the same whenever the event comes again."""
    event = ANN.message(1_790_000_000.123, mid="m_1", text="hello")
    found = message(event)

    assert (found.channel, found.person, found.message_id, found.text) == ("messenger", "77", "m_1", "hello")
    assert (found.kind, found.button, found.edit_of, found.name, found.standby) == (
        "text", None, None, None, False,
    )  # fmt: skip
    assert found.platform_time is not None
    assert found.platform_time.timestamp() == pytest.approx(1_790_000_000.123)
    assert message(event) == found


def test_an_id_that_is_too_long_is_kept_as_its_digest() -> None:
    """The same one for the message and for what is said of it later."""
    long = "aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlE" * 12
    found = message(ANN.message(mid=long, text="x"))
    (receipt, _) = read(ANN.gets(long, watermark=1_790_000_000_000))

    assert len(found.message_id) < 100
    assert isinstance(receipt, Receipt)
    assert receipt.message_id == found.message_id


@pytest.mark.parametrize(
    ("attachment", "kind"),
    [
        (events.IMAGE, "image"),
        (events.AUDIO, "voice"),
        (events.VIDEO, "video"),
        (events.FILE, "file"),
        (events.LIKE, "sticker"),
        ({"type": "sticker", "payload": {"url": "https://x.example"}}, "sticker"),
        (events.LOCATION, "location"),
        (events.LINK, "unsupported"),
        (events.SHARE, "unsupported"),
        (events.STORY_MENTION, "unsupported"),
        (events.NEXT_YEARS, "unsupported"),
        ({"type": 5}, "unsupported"),
        ({}, "unsupported"),
    ],
)
def test_what_cannot_be_opened_is_named(attachment: Json, kind: str) -> None:
    """By its kind alone: no address goes further."""
    found = message(ANN.sends(attachment))

    assert found.kind == kind
    assert "secret" not in repr(found)
    assert "http" not in repr(found)


def test_words_with_a_preview_are_words() -> None:
    """Meta adds the page that a link leads to."""
    assert message(ANN.sends(events.LINK, text="look at example.org")).kind == "text"
    assert message(ANN.sends(events.SHARE, text="look")).kind == "unsupported"
    assert message(ANN.sends(events.IMAGE, text="he has a knife")).text == "he has a knife"


@pytest.mark.parametrize(
    "coordinates", [{"lat": 91, "long": 0}, {"lat": "x", "long": 1}, {"lat": float("nan"), "long": 1}, 5, {}]
)
def test_a_place_that_is_none_has_no_coordinates(coordinates: Any) -> None:
    """It stays a location, to be looked at."""
    found = message(ANN.sends({"type": "location", "payload": {"coordinates": coordinates}}))

    assert (found.kind, found.latitude, found.longitude) == ("location", None, None)


def test_replies_and_stories_count_by_their_words() -> None:
    """What they refer to is not fetched."""
    reply = message(ANN.says("this one", reply_to={"mid": "m_0"}))
    story = message(ANN.says("help", reply_to={"story": {"id": "1", "url": "https://secret.example"}}))

    assert (reply.kind, reply.text, story.text) == ("text", "this one", "help")
    assert message(ANN.message(is_unsupported=True)).kind == "unsupported"


def test_a_quick_reply_and_a_menu_are_our_buttons() -> None:
    """By what we gave them; on standby Meta leaves that out, and the words stay."""
    pressed = message(ANN.presses("Yes", "12.0"))
    menu = message(ANN.chooses("Talk to a person", "person"))
    bare = message(ANN.chooses("Talk to a person", None))

    assert (pressed.kind, pressed.button, pressed.text) == ("button", "12.0", "Yes")
    assert (menu.kind, menu.button, menu.text) == ("button", "person", "Talk to a person")
    assert (bare.button, bare.text) == (None, "Talk to a person")


def test_a_press_without_an_id_has_one_of_its_moment() -> None:
    """The same press again is the same message; a later one is another."""
    event = ANN.chooses("Talk to a person", "person", at=1_790_000_000)
    del event["postback"]["mid"]
    later = {**event, "timestamp": event["timestamp"] + 1}

    assert message(event).message_id == message(event).message_id != message(later).message_id


@pytest.mark.parametrize(
    ("text", "choice"), [("2", 2), (" 12. ", 12), ("3)", 3), ("123", None), ("2 men", None)]
)
def test_a_typed_number_may_be_a_choice(text: str, choice: int | None) -> None:
    """The door knows whether a list was shown."""
    assert message(ANN.says(text)).choice == choice


def test_an_edit_is_a_new_version() -> None:
    """It names the message that it changes, and its number."""
    one, two = message(ANN.edits("m_1", "first", 1)), message(ANN.edits("m_1", "second", 2))
    unnumbered = ANN.edits("m_1", "first")
    del unnumbered["message_edit"]["num_edit"]

    assert one.edit_of == two.edit_of == "m_1"
    assert (one.message_id, two.message_id) == ("m_1.e1", "m_1.e2")
    assert message(unnumbered).message_id.startswith("m_1.e")


def test_an_unsent_message_is_told_to_the_desk() -> None:
    """What was stored stays on record."""
    found = message(ANN.takes_back("m_1"))

    assert (found.kind, found.edit_of, found.text) == ("deleted", "m_1", "")


@pytest.mark.parametrize(
    "event",
    [
        ANN.reacts("m_1"),
        ANN.event(optin={"ref": "x"}),
        ANN.event(referral={"ref": "x"}),
        ANN.event(account_linking={"status": "linked"}),
        ANN.event(something_of_next_year={"a": 1}),
        ANN.message(text="to myself", is_self=True),
        {**ANN.says("hi"), "sender": {"id": APP.us}},
        {**ANN.says("hi"), "sender": {"user_ref": "x"}},
        {**ANN.says("hi"), "sender": {"id": "../../x"}},
        ANN.event(message={"text": " "}),
        ANN.event(request_thread_control={"requested_owner_app_id": 1}),
    ],
)
def test_what_nobody_said_is_passed_over(event: Json) -> None:
    """Reactions, opt-ins, our own side."""
    assert read(event) == []


def test_an_echo_of_ours_gives_its_number_back() -> None:
    """Only with our app's id and our metadata; on Instagram it may have neither."""
    ours = ANN.is_told("hi", APP.app_id, metadata(12, last=True), mid="m_9")
    another = ANN.is_told("hi", events.OTHER_APP, metadata(12, last=True), mid="m_9")
    bare = ANN.is_told("hi", None, mid="m_9")

    assert read(ours) == [Echo("messenger", "77", "m_9", "hi", 12)]
    assert read(another) == read(bare) == [Echo("messenger", "77", "m_9", "hi", None)]


def test_echoes_that_say_nothing_of_a_row_are_dropped() -> None:
    """Words that left past the record, a part of a long text, our own message unsent."""
    assert read(ANN.is_told("999", APP.app_id, metadata(0, last=True))) == []
    assert read(ANN.is_told("the first part", APP.app_id, metadata(12, last=False))) == []
    assert read(ANN.is_told("", APP.app_id, is_deleted=True)) == []


def test_an_echo_of_a_picture_has_words_for_the_desk() -> None:
    """Somebody outside has sent it."""
    (found,) = read(ANN.is_told("", attachments=[events.IMAGE]))

    assert isinstance(found, Echo)
    assert found.text == "(sent something that cannot be shown here)"


def test_delivered_and_read_by_id_and_by_time() -> None:
    """Messenger tells a watermark, Instagram the message."""
    at = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    mark = int(at.timestamp() * 1000)

    assert read(ANN.gets("m_1", "m_2", watermark=mark)) == [
        Receipt("messenger", "m_1", "delivered"),
        Receipt("messenger", "m_2", "delivered"),
        Receipt("messenger", "", "delivered", person="77", up_to=at),
    ]
    assert read(ANN.reads(mark)) == [Receipt("messenger", "", "read", person="77", up_to=at)]
    sees = {**ANN.sees("m_1"), "recipient": {"id": IG.us}}
    assert read(sees, account=IG_ACCOUNT) == [Receipt("instagram", "m_1", "read")]


def test_who_holds_a_chat() -> None:
    """Given to us, given away, taken from us."""
    assert read(ANN.is_passed(APP.app_id)) == [Control("messenger", "77", True)]
    assert read(ANN.is_passed(events.OTHER_APP)) == [Control("messenger", "77", False)]
    assert read(ANN.is_taken(events.OTHER_APP, APP.app_id)) == [Control("messenger", "77", False)]


def test_standby_is_read_as_well() -> None:
    """Every event of every entry, in the order in which it stands there."""
    entry = {"id": APP.us, "messaging": [ANN.says("one")], "standby": [ANN.says("two")]}
    others = {"id": "another page", "messaging": [ANN.says("not ours")]}
    third = {"id": APP.us, "messaging": [ANN.says("three")]}
    found = read_body(json.dumps({"object": "page", "entry": [entry, others, third]}).encode(), ACCOUNT)

    assert [(f.text, f.standby) for f in found if isinstance(f, Incoming)] == [
        ("one", False), ("two", True), ("three", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "broken",
    [
        {"timestamp": 10**400},
        {"timestamp": "soon"},
        {"timestamp": -5},
        {"timestamp": True},
        {"timestamp": []},
    ],
)
def test_a_message_with_a_time_that_is_none_keeps_its_words(broken: Json) -> None:
    """Somebody in danger may have written them."""
    found = message({**ANN.message(mid="m_1", text="there is a fire"), **broken})

    assert (found.text, found.message_id, found.platform_time) == ("there is a fire", "m_1", None)


def test_one_event_that_cannot_be_read_takes_no_other_with_it() -> None:
    """It keeps its own words, too."""
    odd = ANN.message(mid="m_1", text="there is a fire")
    odd["timestamp"] = 10**400
    found = read(odd, {"sender": 5, "message": []}, ANN.says("hello"))

    assert [f.text for f in found if isinstance(f, Incoming)] == ["there is a fire", "hello"]


def test_words_without_an_id_are_kept_once() -> None:
    """Somebody in danger may have written them; the same again is a repeat."""
    event = ANN.event(message={"text": "there is a fire"})
    first, again = message(event), message(event)
    other = message(ANN.event(message={"text": "hello"}))
    assert (first.text, first.message_id) == ("there is a fire", again.message_id)
    assert other.message_id != first.message_id


@pytest.mark.parametrize("text", [{"body": "there is a fire"}, ["there", {"x": "there is a fire"}, 5]])
def test_words_that_stand_where_none_should_are_read(text: Any) -> None:
    """So that the screen sees them."""
    assert "there is a fire" in message(ANN.message(mid="m_1", text=text)).text


@pytest.mark.parametrize("bad", [b"5", b"[]", b"null", b'{"id": "\xe9"}', b"9" * 6000])
def test_an_entry_that_cannot_be_read_takes_no_other_with_it(bad: bytes) -> None:
    """Neither before it nor behind it."""
    body = webhook(ANN.says("hello")).replace(b'"entry": [', b'"entry": [' + bad + b", ", 1)
    (found,) = read_body(body[:-2] + b", " + bad + b"]}", ACCOUNT)
    assert isinstance(found, Incoming)
    assert found.text == "hello"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"\xff", b"[]", b'"x"', b"null", b"[" * 100_000, b'{"object": "page"}',
        b'{"object": "page", "entry": {}}', b'{"object": "page", "entry": [1]}',
        b'{"object": "instagram", "entry": []}', b'{"object": ["page"], "entry": []}',
    ],
)  # fmt: skip
def test_what_is_no_webhook_is_refused(body: bytes) -> None:
    """For good, so that it does not come again."""
    with pytest.raises(BadRequestError):
        read_body(body, ACCOUNT)


_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
_KEYS = st.sampled_from(
    ["id", "mid", "text", "attachments", "type", "payload", "coordinates", "lat", "long", "sender",
     "recipient", "timestamp", "message", "postback", "message_edit", "num_edit", "delivery", "mids",
     "watermark", "read", "is_echo", "is_deleted", "app_id", "metadata", "quick_reply", "sticker_id",
     "pass_thread_control", "take_thread_control", "new_owner_app_id", "title"]
) | st.text(string.ascii_lowercase, max_size=4)  # fmt: skip
_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=6),
    max_leaves=24,
)
_EVENTS = st.fixed_dictionaries(
    {"sender": st.just({"id": "77"}) | _JSON, "recipient": st.just({"id": APP.us}) | _JSON},
    optional={
        name: st.dictionaries(_KEYS, _JSON, max_size=6) | _JSON
        for name in (
            "message",
            "postback",
            "message_edit",
            "delivery",
            "read",
            "pass_thread_control",
            "timestamp",
        )
    },
)


@given(st.lists(_EVENTS | _JSON, max_size=4), st.booleans())
def test_any_json_is_read_or_refused(given_events: list[Any], standby: bool) -> None:
    """Never another error; and whatever is read can be kept."""
    body = webhook(*given_events, **({"standby": given_events} if standby else {}))
    for arrival in read_body(body, ACCOUNT):
        assert arrival.channel == "messenger"
        if isinstance(arrival, Incoming):
            assert arrival.person.isdecimal()
            assert 0 < len(arrival.message_id) <= 255


@given(_JSON)
def test_any_body_is_read_or_refused(body: Any) -> None:
    """The same for what surrounds the events."""
    for whole in (body, {"object": "page", "entry": body}, {"object": "page", "entry": [body]}):
        try:
            read_body(json.dumps(whole).encode(), ACCOUNT)
        except BadRequestError:
            continue


@given(st.binary(max_size=60))
def test_any_bytes_are_refused(body: bytes) -> None:
    """They are no webhook."""
    with pytest.raises(BadRequestError):
        read_body(body, ACCOUNT)
