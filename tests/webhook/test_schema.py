"""The schema that sites are given, and the model that reads what they send: they say the same."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.channels.sites.inbound import arrivals_of, salvaged
from bot.channels.sites.schema import MOST_EVENTS, pieces_of, published, read_batch
from bot.errors import BadRequestError
from bot.messages import Arrival, Echo, Incoming, Receipt
from bot.settings import ROOT

pytestmark = pytest.mark.unit

FILE = ROOT / "docs" / "channels" / "webhook.schema.json"
NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
MESSAGE = {"type": "message", "id": "m1", "person": "p1", "text": "hello"}
EDIT = {"type": "edit", "message": "m1", "person": "p1", "text": "hallo"}
RECEIPT = {"type": "receipt", "reply": "fc-1-00000000", "state": "read"}
SECRET_WORDS = "the secret words of ann"


def batch(*events: Any, **beside: Any) -> bytes:
    """The body of a call."""
    return json.dumps({"version": 1, "events": list(events), **beside}).encode()


def without(event: dict[str, Any], *keys: str) -> dict[str, Any]:
    """An event without some of its fields."""
    return {key: value for key, value in event.items() if key not in keys}


def arrivals(*events: Any) -> list[Arrival]:
    """What right events mean."""
    read = read_batch(batch(*events))
    assert read.problems == ()
    return [one for _, event in read.events for one in arrivals_of(event, "site-forum", NOW)]


GOOD: list[dict[str, Any]] = [
    MESSAGE,
    {**MESSAGE, "author": "visitor", "thread": "t7", "sent_at": "2026-11-23T10:00:00+01:00", "sequence": 3},
    {**MESSAGE, "sent_at": "2026-11-23T10:00:00.123456789Z", "page": "Lost property", "reply_to": "m0"},
    {**MESSAGE, "author": "staff", "reply": "fc-12-0a1b2c3d"},
    {**without(MESSAGE, "text"), "attachments": [{"kind": "image"}, {"kind": "other"}]},
    {**without(MESSAGE, "text"), "location": {"latitude": 54.97, "longitude": -2}},
    {**without(MESSAGE, "text"), "choice": "12.0"},
    {**MESSAGE, "id": "<CAF.1=2+3@mail.example>", "person": "sha256:ab", "text": "\u00e9\u4e2d\U0001f600"},
    EDIT,
    {**EDIT, "version": 1},
    {"type": "delete", "message": "m1", "person": "p1"},
    RECEIPT,
    {**RECEIPT, "state": "failed"},
]
BAD: list[Any] = [
    {}, [], 5, None, "message", {"type": "message"}, {"type": "dance", "person": "p1"}, {**MESSAGE, "type": 5},
    without(MESSAGE, "id"), without(MESSAGE, "person"), without(MESSAGE, "text"), without(MESSAGE, "type"),
    {**MESSAGE, "text": ""}, {**MESSAGE, "text": None}, {**MESSAGE, "text": 5}, {**MESSAGE, "text": "x" * 20_001},
    {**MESSAGE, "id": ""}, {**MESSAGE, "id": 5}, {**MESSAGE, "id": "a b"}, {**MESSAGE, "id": "x" * 201},
    {**MESSAGE, "person": "\u00e4nn"}, {**MESSAGE, "person": "x" * 101}, {**MESSAGE, "thread": ""},
    {**MESSAGE, "sent_at": "yesterday"}, {**MESSAGE, "sent_at": "2026-11-23 10:00:00Z"},
    {**MESSAGE, "sent_at": "2026-11-23T10:00:00"}, {**MESSAGE, "sent_at": 1_795_428_000},
    {**MESSAGE, "sent_at": "2026-13-01T10:00:00Z"}, {**MESSAGE, "sent_at": "0001-01-01T00:00:00+14:00"},
    {**MESSAGE, "author": "robot"}, {**MESSAGE, "txt": "hello"}, {**MESSAGE, "name": "Ann"},
    {**MESSAGE, "attachments": []}, {**MESSAGE, "attachments": [{"kind": "image"}] * 11},
    {**MESSAGE, "attachments": [{"kind": "bomb"}]}, {**MESSAGE, "attachments": [{"kind": "image", "url": "x"}]},
    {**MESSAGE, "attachments": {"kind": "image"}}, {**MESSAGE, "location": None}, {**MESSAGE, "location": [1, 2]},
    {**MESSAGE, "location": {"latitude": 91, "longitude": 0}}, {**MESSAGE, "location": {"latitude": 1}},
    {**MESSAGE, "location": {"latitude": "1", "longitude": 0}},
    {**MESSAGE, "location": {"latitude": True, "longitude": 0}},
    {**MESSAGE, "choice": ""}, {**MESSAGE, "choice": "x" * 101}, {**MESSAGE, "page": "x" * 121},
    {**MESSAGE, "sequence": -1}, {**MESSAGE, "sequence": "1"}, {**MESSAGE, "sequence": 2**31},
    {**MESSAGE, "sequence": True}, {**EDIT, "version": 0}, {**EDIT, "id": "m2"}, without(EDIT, "text"),
    {"type": "delete", "message": "m1"}, {**RECEIPT, "state": "sent"}, without(RECEIPT, "reply"),
]  # fmt: skip


def test_the_published_schema_is_the_models() -> None:
    """What sites are given is what we take; bot/channels/sites/README.md says how to write it anew."""
    assert json.loads(FILE.read_text("utf-8")) == published()
    jsonschema.Draft202012Validator.check_schema(published())


@pytest.mark.parametrize("event", GOOD, ids=str)
def test_both_take_what_is_right(event: dict[str, Any]) -> None:
    """By itself, and beside others."""
    jsonschema.validate(json.loads(batch(event)), published())
    read = read_batch(batch(event, MESSAGE))
    assert (len(read.events), read.problems, read.unread) == (2, (), ())


@pytest.mark.parametrize("event", BAD, ids=lambda event: str(event)[:60])
def test_both_refuse_what_is_wrong(event: Any) -> None:
    """And what stands beside it is taken all the same."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(batch(event)), published())
    read = read_batch(batch(MESSAGE, event, MESSAGE))
    assert [place for place, _ in read.events] == [0, 2]
    assert read.problems
    assert all(one.at.startswith("events[1]") for one in read.problems)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"5", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"version":1}',
        b'{"version":1,"events":{}}', b'{"version":1,"events":[]}', b'{"version":2,"events":[{}]}',
        b'{"version":true,"events":[{}]}', b'{"version":1.0,"events":[{}]}', b'{"events":[{}]}',
        batch(*[MESSAGE] * (MOST_EVENTS + 1)), batch(MESSAGE, more=1),
    ],
)  # fmt: skip
def test_what_is_no_call_is_refused_whole(body: bytes) -> None:
    """For good: the same again would be no better."""
    with pytest.raises(BadRequestError):
        read_batch(body)


@pytest.mark.parametrize("wrong", [b"NaN", b"-Infinity", b"9" * 6000, b'"caf\xe9"'])
@pytest.mark.parametrize("field", [b"page", b"sequence", b"colour"])
def test_a_value_that_json_does_not_know_costs_no_other_event(field: bytes, wrong: bytes) -> None:
    """A board that writes its JSON by hand: one page's title in an old encoding, one number that is none."""
    good = json.dumps(MESSAGE).encode()
    bad = good[:-1] + b', "' + field + b'": ' + wrong + b"}"
    read = read_batch(b'{"version": 1, "events": [' + b", ".join([good, bad, good]) + b"]}")
    assert [place for place, _ in read.events] == [0, 2]
    assert read.problems
    assert all(one.at.startswith("events[1]") for one in read.problems)
    assert [one["id"] for one in read.unread] == [MESSAGE["id"]]


def test_what_can_be_read_of_a_call_that_is_refused_whole_is_found() -> None:
    """Cut off, of another version, with too many events, or with a line break inside of a text."""
    event = {**MESSAGE, "location": {"latitude": 1, "longitude": 2}}
    many, raw = batch(*[event] * (MOST_EVENTS + 1)), json.dumps(event).encode()
    assert list(pieces_of(many[:-5]))[-1] == event
    assert len(list(pieces_of(many[:-50]))) == MOST_EVENTS
    assert len(list(pieces_of(many))) == MOST_EVENTS + 1
    assert list(pieces_of(batch(event).replace(b'"version": 1', b'"version": 9'))) == [event]
    assert list(pieces_of(b"\xff{" + raw)) == [event]
    assert next(pieces_of(raw.replace(b"latitude", b"a\nb")))["location"]
    assert list(pieces_of(b"{" * 1_000_000)) == []
    assert list(pieces_of(b"")) == []


def test_a_problem_names_the_place_and_never_what_stood_there() -> None:
    """Neither a value nor a name that somebody made up."""
    read = read_batch(
        batch(
            {**MESSAGE, "text": {"x": SECRET_WORDS}},
            {**MESSAGE, SECRET_WORDS: 1},
            {**MESSAGE, "type": SECRET_WORDS},
            {**MESSAGE, "attachments": [{"kind": SECRET_WORDS}]},
            {**MESSAGE, "sent_at": SECRET_WORDS},
            without(MESSAGE, "text"),
            {**MESSAGE, "sent_at": "2026-02-30T10:00:00Z"},
        )
    )
    said = {one.at: one.says for one in read.problems}
    assert SECRET_WORDS not in str(read.problems)
    assert said == {
        "events[0].text": "is not as the schema says",
        "events[1].(another field)": "is no field of ours",
        "events[2].type": "is none of those that the schema lists",
        "events[3].attachments[0].kind": "is none of those that the schema lists",
        "events[4].sent_at": "is not of the form that the schema names",
        "events[5]": "holds no text, no choice, no attachment and no location",
        "events[6].sent_at": "is not as the schema says",
    }


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = sorted({key for event in GOOD for key in event})


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(GOOD), st.dictionaries(st.sampled_from(_FIELDS), _JSON, max_size=4), st.data())
def test_the_model_is_never_laxer_than_the_schema(
    event: dict[str, Any], changed: dict[str, Any], data: st.DataObject
) -> None:
    """Whatever is put in the place of what was right: no crash, and nothing taken that sites may not send."""
    mixed = {**event, **changed}
    for key in data.draw(st.sets(st.sampled_from(_FIELDS), max_size=2)):
        mixed.pop(key, None)
    read = read_batch(batch(mixed))
    if read.problems:
        salvaged(read.unread, "site-forum")
        return
    jsonschema.validate(json.loads(batch(mixed)), published())
    assert len(arrivals(mixed)) <= 2


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | _JSON.map(lambda found: json.dumps(found).encode()))
def test_no_body_is_more_than_refused(body: bytes) -> None:
    """A parser that breaks would be asked again for ever."""
    with contextlib.suppress(BadRequestError):
        assert read_batch(body).events or read_batch(body).problems


# ---- what events mean ------------------------------------------------------------------------------


def test_a_message_is_read_whole() -> None:
    """Nothing that the site says about it is dropped."""
    (found,) = arrivals(
        {
            **MESSAGE, "thread": "t7", "sent_at": "2026-11-23T10:30:00+01:00", "sequence": 3,
            "page": " Lost  property ",
        }
    )  # fmt: skip
    assert found == Incoming(
        "site-forum", "p1 t7", "m1", "hello", platform_time=datetime(2026, 11, 23, 9, 30, tzinfo=UTC),
        platform_sequence=3, page="Lost property",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "named"),
    [("image", "image"), ("voice", "voice"), ("video", "video"), ("file", "file"), ("sticker", "sticker"),
     ("other", "unsupported")],
)  # fmt: skip
def test_what_came_along_is_named(kind: str, named: str) -> None:
    """A caption stays text."""
    (found,) = arrivals({**MESSAGE, "attachments": [{"kind": kind}, {"kind": "image"}]})
    assert isinstance(found, Incoming)
    assert (found.kind, found.text) == (named, "hello")


def test_an_edit_and_a_message_taken_back_name_what_they_change() -> None:
    """Two edits are two, by their number or by their words."""
    one, two, three, gone = arrivals(
        EDIT,
        {**EDIT, "text": "other"},
        {**EDIT, "version": 4},
        {"type": "delete", "message": "m1", "person": "p1"},
    )
    assert isinstance(one, Incoming)
    assert isinstance(two, Incoming)
    assert isinstance(three, Incoming)
    assert isinstance(gone, Incoming)
    assert {one.edit_of, two.edit_of, three.edit_of, gone.edit_of} == {"m1"}
    assert len({one.message_id, two.message_id, three.message_id, gone.message_id, "m1"}) == 5
    assert (three.message_id, gone.message_id, gone.kind) == ("m1 e4", "m1 d", "deleted")


@pytest.mark.parametrize(
    ("changed", "kind", "button", "choice", "text"),
    [
        ({"text": "Yes", "choice": "17.0"}, "button", "17.0", None, "Yes"),
        ({"text": None, "choice": "17.1"}, "button", "17.1", None, "2"),
        ({"text": None, "choice": "person"}, "button", "person", None, ""),
        ({"text": " 2. "}, "text", None, 2, " 2. "),
        ({"text": "2", "reply_to": "fc-17-0a1b2c3d"}, "button", "17.1", None, "2"),
        ({"text": "2", "reply_to": "fc-17-0a1b2c3d-1"}, "button", "17.1", None, "2"),
        ({"text": "0", "reply_to": "fc-17-0a1b2c3d"}, "text", None, 0, "0"),
        ({"text": "2", "reply_to": "m0"}, "text", None, 2, "2"),
        ({"text": "200"}, "text", None, None, "200"),
        ({"text": "two"}, "text", None, None, "two"),
    ],
)
def test_a_choice_is_pressed_or_its_number_typed(
    changed: dict[str, Any], kind: str, button: str | None, choice: int | None, text: str
) -> None:
    """Under a mail, a number with a reference to what it answers says which list it was."""
    event = {key: value for key, value in {**MESSAGE, **changed}.items() if value is not None}
    (found,) = arrivals(event)
    assert isinstance(found, Incoming)
    assert (found.kind, found.button, found.choice, found.text) == (kind, button, choice, text)


def test_what_staff_said_elsewhere_is_an_echo() -> None:
    """Ours by our id; a part of a long one, and words that left past the record, say nothing."""
    staff = {**MESSAGE, "author": "staff"}
    found = arrivals(
        staff,
        {**staff, "reply": "fc-12-0a1b2c3d"},
        {**staff, "reply": "fc-12-0a1b2c3d-1"},
        {**staff, "reply": "fc-0-0a1b2c3d"},
        {**without(staff, "text"), "attachments": [{"kind": "image"}]},
    )
    assert found == [
        Echo("site-forum", "p1", "m1", "hello", None),
        Echo("site-forum", "p1", "m1", "hello", 12),
        Echo("site-forum", "p1", "m1", "(sent something that cannot be shown here)", None),
    ]


def test_a_receipt_names_our_reply() -> None:
    """By the id that we gave it: what was read has come, whether or not we heard so."""
    assert arrivals(RECEIPT, {**RECEIPT, "state": "failed"}, {**RECEIPT, "reply": "fc-1-00000000-2"}) == [
        Echo("site-forum", "", "fc-1-00000000", outbox_id=1),
        Receipt("site-forum", "fc-1-00000000", "read"),
        Receipt("site-forum", "fc-1-00000000", "failed"),
        Receipt("site-forum", "fc-1-00000000-2", "read"),
    ]


def test_a_time_that_has_not_come_is_none() -> None:
    """A clock may be five minutes ahead."""
    near, far = arrivals(
        {**MESSAGE, "sent_at": (NOW + timedelta(minutes=4)).isoformat()},
        {**MESSAGE, "sent_at": (NOW + timedelta(minutes=6)).isoformat()},
    )
    assert isinstance(near, Incoming)
    assert isinstance(far, Incoming)
    assert near.platform_time == NOW + timedelta(minutes=4)
    assert far.platform_time is None


def test_half_a_letter_does_not_cost_a_message() -> None:
    """It has a mark in its place."""
    (found,) = arrivals({**MESSAGE, "text": "fire \ud800 here"})
    assert isinstance(found, Incoming)
    assert found.text == "fire \ufffd here"
