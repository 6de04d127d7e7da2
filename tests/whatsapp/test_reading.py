"""Each kind of event becomes what the design says, and nothing private goes further."""

from __future__ import annotations

import base64
import json
import string
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.channels.whatsapp.identity import address_of, identity_of, mark
from bot.channels.whatsapp.inbound import Account, Webhook, read_body
from bot.errors import BadRequestError
from bot.messages import Echo, Incoming, Receipt, Standing
from tests.platforms.whatsapp import WhatsAppApp, Writer
from tests.platforms.whatsapp.events import DISPLAY, NEXT_YEARS, account_change
from tests.platforms.whatsapp.server import body_of
from tests.support.sides import Json

pytestmark = pytest.mark.unit

APP = WhatsAppApp()
ACCOUNT = Account(APP.account_id, frozenset(APP.numbers), frozenset({"our_text"}))
PHONE, USER = "447700900123", "GB.4477009001"
ANN = Writer(APP.numbers[0], APP.app_id, PHONE, USER)


def webhook(*given: Any) -> Webhook:
    """What is in a webhook with these changes."""
    return read_body(body_of(APP, list(given)), ACCOUNT)


def read(*given: Json) -> list[Any]:
    """Its arrivals."""
    return list(webhook(*given).arrivals)


def message(event: Json) -> Incoming:
    """Its one message."""
    (found,) = read(event)
    assert isinstance(found, Incoming)
    return found


# ---- who and which -------------------------------------------------------------------------------


def test_words_become_a_message_of_one_person_to_one_number() -> None:
    """The same whenever the event comes again; seconds, not milliseconds."""
    event = ANN.says("hello", at=1_790_000_000, mid="wamid.1")
    found = message(event)

    assert (found.channel, found.person, found.also, found.text, found.kind) == (
        "whatsapp", f"{APP.numbers[0]}:{PHONE}", f"{APP.numbers[0]}:{USER}", "hello", "text",
    )  # fmt: skip
    assert (found.name, found.button, found.edit_of, found.standby) == ("Ann", None, None, False)
    assert found.platform_time == datetime.fromtimestamp(1_790_000_000, UTC)
    assert message(event) == found


def test_an_id_of_metas_which_holds_the_phone_number_goes_no_further() -> None:
    """It is kept as a digest; the plain one stays in memory, for the sign that it was received."""
    mid = ANN.mid()
    found = webhook(ANN.says("hello", mid=mid))

    assert PHONE in base64.b64decode(mid.removeprefix("wamid.")).decode()
    assert mid not in repr(found.arrivals)
    assert found.newest == {ANN.id: mid}
    assert found.arrivals[0].message_id == identity_of(mid)  # type: ignore[union-attr]


def test_whoever_shows_a_user_name_may_come_without_a_number() -> None:
    """Known, and answered, by the id that only we are told."""
    bob = Writer(APP.numbers[1], APP.app_id, "", USER)
    found = message(bob.says("hello"))

    assert (found.person, found.also) == (f"{APP.numbers[1]}:{USER}", "")
    address = address_of(found.person)
    assert address is not None
    assert (address.number_id, address.to) == (APP.numbers[1], {"recipient": USER})
    known = address_of(ANN.id)
    assert known is not None
    assert known.to == {"to": PHONE}


def test_an_older_version_tells_the_id_among_the_contacts_alone() -> None:
    """Of several contacts the one whose message it is."""
    event = ANN.says("hello")
    del event["value"]["messages"][0]["from_user_id"]
    event["value"]["contacts"].insert(0, {"profile": {"name": "Bob"}, "wa_id": "1234567", "user_id": "US.1"})
    found = message(event)

    assert (found.person, found.also, found.name) == (ANN.id, f"{APP.numbers[0]}:{USER}", "Ann")


@pytest.mark.parametrize(
    "person", ["", "x", "1:", ":447700900123", "106540352242922:no", "447700900123", "1:2:3"]
)
def test_nobody_of_whatsapps_has_no_address(person: str) -> None:
    """Such as somebody of another channel."""
    assert address_of(person) is None


def test_another_account_and_another_number_are_none_of_ours() -> None:
    """Nothing of theirs is read."""
    event = ANN.says("hello")
    event["value"]["metadata"]["phone_number_id"] = "999999999"
    assert read(event) == []
    body = body_of(APP, [ANN.says("hello")]).replace(APP.account_id.encode(), b"999999999")
    assert read_body(body, ACCOUNT).arrivals == []


def test_every_message_of_every_change_of_every_entry() -> None:
    """In the order in which they stand there, with the statuses among them."""
    bob = Writer(APP.numbers[1], APP.app_id, "447700900999")
    body = json.loads(body_of(APP, [ANN.says("1"), ANN.says("2"), bob.says("3"), ANN.status("read", "m")]))
    more = json.loads(body_of(APP, [ANN.says("4")]))
    body["entry"] += more["entry"]
    assert len(body["entry"][0]["changes"][0]["value"]["messages"]) == 2
    found = read_body(json.dumps(body).encode(), ACCOUNT).arrivals

    assert [getattr(one, "text", "status") for one in found] == ["1", "2", "3", "status", "4"]


# ---- kinds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (ANN.sends("image"), "image"),
        (ANN.sends("audio"), "voice"),
        (ANN.message("audio", {"id": "secret-media", "mime_type": "audio/mpeg"}), "file"),
        (ANN.sends("video"), "video"),
        (ANN.sends("document"), "file"),
        (ANN.sends("sticker"), "sticker"),
        (ANN.message("contacts", [{"name": {"formatted_name": "secret"}, "phones": [{"phone": "secret"}]}]), "contact"),
        (ANN.message("order", {"catalog_id": "secret", "product_items": []}), "unsupported"),
        (ANN.message("unsupported", {"type": "poll_creation"}, errors=[{"code": 131051}]), "unsupported"),
        (ANN.message("unknown", None), "unsupported"),
        (ANN.message(NEXT_YEARS, {"url": "https://x/secret"}), "unsupported"),
        (ANN.message("text", {"body": "  "}), "unsupported"),
        (ANN.message("text", 5), "unsupported"),
        (ANN.message("interactive", {"type": "nfm_reply", "nfm_reply": {"name": "flow"}}), "unsupported"),
    ],
)  # fmt: skip
def test_what_cannot_be_opened_is_named(event: Json, kind: str) -> None:
    """By its kind alone: no address, no file, no contact goes further."""
    found = message(event)

    assert (found.kind, found.text.strip()) == (kind, "")
    assert "secret" not in repr(found)


@pytest.mark.parametrize("kind", ["image", "video", "document"])
def test_a_caption_is_words(kind: str) -> None:
    """Danger may stand in it."""
    found = message(ANN.sends(kind, "he has a knife"))

    assert found.text == "he has a knife"
    assert found.kind != "text"


@pytest.mark.parametrize("type_", ["pin", "keep_in_chat", "poll_update", "reaction"])
def test_what_nobody_said_is_passed_over(type_: str) -> None:
    """Meta calls it a message that it does not support."""
    assert read(ANN.message("unsupported", {"type": type_})) == []
    assert read(ANN.message("request_welcome", {})) == []


def test_a_place_keeps_its_coordinates_and_what_the_map_calls_it() -> None:
    """The name is no words of the person's."""
    found = message(ANN.is_at())
    assert (found.kind, found.text, found.latitude, found.longitude) == ("location", "", 54.97, -1.61)
    assert found.place == "Grey's Monument, Grainger Street"
    assert "secret" not in repr(found)
    assert message(ANN.is_at("54.97", "-1.61")).latitude == 54.97


@pytest.mark.parametrize("latitude", [91, "x", float("nan"), None, True, [], "inf"])
def test_a_place_that_is_none_has_no_coordinates(latitude: Any) -> None:
    """It stays a location, to be looked at."""
    found = message(ANN.is_at(latitude))
    assert (found.kind, found.latitude, found.longitude) == ("location", None, None)


def test_choices_are_our_buttons_with_their_whole_words() -> None:
    """A line of a list has its words beside it, where they are long."""
    pressed = message(ANN.presses("Yes", "12.0"))
    row = {
        "type": "list_reply",
        "list_reply": {"id": "12.1", "title": "Where can I\u2026", "description": "Where can I go?"},
    }
    chosen = message(ANN.message("interactive", row))

    assert (pressed.kind, pressed.button, pressed.text) == ("button", "12.0", "Yes")
    assert (chosen.kind, chosen.button, chosen.text) == ("button", "12.1", "Where can I go?")


def test_a_button_of_an_approved_text_counts_by_its_words() -> None:
    """What it gives back was not made up by us."""
    found = message(ANN.answers_text("Stop these messages", "fc:person"))
    assert (found.kind, found.button, found.text) == ("text", None, "Stop these messages")


def test_a_number_alone_may_choose() -> None:
    """As from a numbered list."""
    assert message(ANN.says(" 2. ")).choice == 2
    assert message(ANN.says("2 men")).choice is None


def test_an_answer_names_what_it_answers() -> None:
    """By the id as it is kept; an advertisement that led here is not kept."""
    found = message(
        ANN.says("this one", context={"from": DISPLAY, "id": "wamid.0"}, referral={"body": "secret"})
    )
    assert (found.reply_to, found.text) == (identity_of("wamid.0"), "this one")
    assert "secret" not in repr(found)


# ---- versions, signs, numbers --------------------------------------------------------------------


def test_an_edit_is_a_new_version() -> None:
    """Of words, or of the words beside a picture; under whatever id it comes again."""
    edit = message(ANN.edits("wamid.1", "no, tomorrow", at=1_790_000_000))
    again = message(ANN.edits("wamid.1", "no, tomorrow", at=1_790_000_000))
    caption = message(ANN.edits("wamid.2", "he has a knife", kind="image"))

    assert (edit.kind, edit.text, edit.edit_of) == ("text", "no, tomorrow", identity_of("wamid.1"))
    assert edit.message_id == again.message_id
    assert (caption.kind, caption.text, caption.edit_of) == ("text", "he has a knife", identity_of("wamid.2"))


def test_a_message_taken_back_is_told() -> None:
    """Once, under whatever id it comes again."""
    first, again = message(ANN.takes_back("wamid.1")), message(ANN.takes_back("wamid.1"))
    assert (first.kind, first.text, first.edit_of) == ("deleted", "", identity_of("wamid.1"))
    assert first.message_id == again.message_id


def test_a_reaction_is_a_sign_under_a_message() -> None:
    """Without one it was taken away; it never asks for the sign that it was received."""
    found = webhook(ANN.reacts("wamid.1"))
    (sign,) = found.arrivals
    assert isinstance(sign, Incoming)
    assert (sign.kind, sign.text, sign.reply_to) == ("reaction", "\U0001f44d", identity_of("wamid.1"))
    assert found.newest == {}
    assert message(ANN.reacts("wamid.1", "")).text == ""
    assert len(message(ANN.reacts("wamid.1", "x" * 5000)).text) <= 16


def test_a_new_number_is_told_with_both() -> None:
    """By the number, or by the id where WhatsApp tells no number."""
    moved = message(ANN.moves("447700900555", "GB.5"))
    assert (moved.kind, moved.person, moved.moved_to, moved.also) == (
        "moved", ANN.id, f"{APP.numbers[0]}:447700900555", f"{APP.numbers[0]}:GB.5",
    )  # fmt: skip
    hidden = Writer(APP.numbers[0], APP.app_id, "", USER)
    assert message(hidden.moves("", "GB.6")).moved_to == f"{APP.numbers[0]}:GB.6"
    other = ANN.moves("447700900555")
    other["value"]["messages"][0]["system"]["type"] = "customer_identity_changed"
    assert read(other) == []


def test_a_group_is_no_conversation() -> None:
    """Nothing of it is kept."""
    assert read(ANN.says("hello", group_id="g")) == []


# ---- what became of ours -------------------------------------------------------------------------


def test_a_status_is_known_by_the_id_and_by_our_mark() -> None:
    """A part of a long text says so; words past the record have no row."""
    assert read(ANN.status("sent", "m", mark(12, last=True))) == [
        Receipt("whatsapp", str(identity_of("m")), "sent", outbox_id=12)
    ]
    (part,) = read(ANN.status("delivered", "m", mark(12, last=False)))
    assert (part.outbox_id, part.part) == (12, True)
    assert read(ANN.status("sent", "m", mark(0, last=True))) == []
    assert read(ANN.status("played", "m"))[0].state == "read"
    assert read(ANN.status("warning", "m")) == []
    assert read(ANN.status("sent", "m", "somebody else's"))[0].outbox_id is None


@pytest.mark.parametrize(
    ("code", "part", "temporary"),
    [
        (131047, "takes a reply is over", False),
        (131026, "cannot deliver it", False),
        (131056, "for now", True),
        (131016, "for now", True),
        (131031, "locked our account", True),
        (132001, "approved text", False),
        (99999, "refused it (code 99999)", False),
    ],
)
def test_why_it_failed_is_said_in_our_words(code: int, part: str, temporary: bool) -> None:
    """Meta's own may hold a number."""
    (found,) = read(ANN.status("failed", "m", code=code))
    assert isinstance(found, Receipt)
    assert part in found.detail
    assert found.temporary is temporary
    assert PHONE not in found.detail
    assert "secret" not in found.detail


def test_words_from_the_forces_telephone_are_somebody_elses() -> None:
    """What cannot be shown is named; what was taken back there is passed over."""
    (found,) = read(ANN.is_told("Hi, this is Pat", mid="wamid.9"))
    also = f"{APP.numbers[0]}:{USER}"
    assert found == Echo("whatsapp", ANN.id, str(identity_of("wamid.9")), "Hi, this is Pat", also=also)
    picture = ANN.is_told("x")
    picture["value"]["message_echoes"][0] |= {"type": "image", "image": {"id": "secret"}}
    (shown,) = read(picture)
    assert "cannot be shown" in shown.text
    gone = ANN.is_told("x")
    gone["value"]["message_echoes"][0] |= {"type": "revoke", "revoke": {"original_message_id": "m"}}
    assert read(gone) == []


def test_on_standby_somebody_else_answers() -> None:
    """Their words are echoes; the person's are read, and asked no sign for."""
    event = ANN.says("hello", field="standby")
    told = ANN.is_told("I am Meta's own agent")
    told["field"] = "standby"
    found = webhook(event, told)

    assert [type(one) for one in found.arrivals] == [Incoming, Echo]
    assert found.arrivals[0].standby  # type: ignore[union-attr]
    assert found.newest == {}


# ---- what Meta says of us ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "topic", "says", "degraded"),
    [
        ("phone_number_quality_update", {"event": "FLAGGED"}, "quality", "FLAGGED", True),
        ("phone_number_quality_update", {"event": "UNFLAGGED"}, "quality", "UNFLAGGED", False),
        ("account_update", {"event": "ACCOUNT_RESTRICTION"}, "account", "ACCOUNT_RESTRICTION", True),
        ("account_update", {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE"}}, "account", "DISABLE", True),
        ("account_update", {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "REINSTATE"}}, "account", "REINSTATE", False),
        ("message_template_status_update", {"event": "PAUSED", "message_template_name": "our_text"}, "text:our_text", "PAUSED", True),
        ("message_template_status_update", {"event": "APPROVED", "message_template_name": "our_text"}, "text:our_text", "APPROVED", False),
    ],
)  # fmt: skip
def test_what_meta_says_of_our_account(
    field: str, value: Json, topic: str, says: str, degraded: bool
) -> None:
    """One word on one topic; our own number is kept as a digest."""
    (found,) = read(account_change(field, **value))
    assert isinstance(found, Standing)
    assert (found.topic, found.says, found.degraded) == (topic, says, degraded)
    assert DISPLAY not in repr(found)


@pytest.mark.parametrize(
    "change",
    [
        account_change("account_update", event="PARTNER_ADDED"),
        account_change("account_update", event="somebody's words"),
        account_change("account_alerts", event="X"),
        account_change("message_template_status_update", event="PAUSED", message_template_name="of_others"),
        account_change("messages"),
        {"field": "messages", "value": []},
        {"field": 5},
        5,
    ],
)
def test_what_means_nothing_to_us_is_passed_over(change: Any) -> None:
    """Taken, so that it does not come again."""
    body = json.dumps(
        {"object": "whatsapp_business_account", "entry": [{"id": APP.account_id, "changes": [change]}]}
    )
    assert read_body(body.encode(), ACCOUNT).arrivals == []


# ---- rubbish -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [b"", b"x", b"[]", b"5", b"null", b"{}", b'{"object":"page","entry":[]}', b"[" * 50_000, b"\xff",
     b'{"object":"whatsapp_business_account"}', b'{"object":"whatsapp_business_account","entry":[[]]}'],
)  # fmt: skip
def test_what_is_no_webhook_of_whatsapps_is_refused(body: bytes) -> None:
    """Whoever signed it."""
    with pytest.raises(BadRequestError):
        read_body(body, ACCOUNT)


@pytest.mark.parametrize("bad", [b"5", b"[]", b"null", b'{"id": "\xe9"}', b"9" * 6000])
def test_an_entry_that_cannot_be_read_takes_no_other_with_it(bad: bytes) -> None:
    """Neither before it nor behind it."""
    body = body_of(APP, [ANN.says("hello")]).replace(b'"entry": [', b'"entry": [' + bad + b", ", 1)
    (found,) = read_body(body[:-2] + b", " + bad + b"]}", ACCOUNT).arrivals
    assert isinstance(found, Incoming)
    assert found.text == "hello"


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": "there is a fire"},
        {"text": {"body": ["there is a fire"]}},
        {"text": {"words": "there is a fire"}},
        {"type": "image", "image": {"caption": {"text": "there is a fire"}}},
        {"id": None},
        {"id": 5},
    ],
)
def test_words_that_stand_where_none_should_are_read(wrong: Json) -> None:
    """So that the screen sees them; the same again is a repeat."""
    event = ANN.says("there is a fire")
    event["value"]["messages"][0] |= wrong
    first, again = message(event), message(event)
    assert "there is a fire" in first.text
    assert first.message_id == again.message_id


def test_what_has_neither_an_id_nor_words_is_passed_over() -> None:
    """There is nothing to keep."""
    event = ANN.says(" ")
    del event["value"]["messages"][0]["id"]
    assert read(event) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(string.printable, max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)
KEYS = st.sampled_from(
    ["from", "from_user_id", "id", "timestamp", "type", "text", "context", "errors", "group_id", "image",
     "interactive", "location", "edit", "revoke", "reaction", "system", "button", "audio", "contacts"]
)  # fmt: skip


def test_an_odd_word_about_the_account_takes_no_message_with_it() -> None:
    body = json.dumps({
        "object": "whatsapp_business_account",
        "entry": [{"id": APP.account_id, "time": 10**400, "changes": [
            {"field": "phone_number_quality_update", "value": {"event": "FLAGGED"}}, ANN.says("behind it")]}],
    }).encode()  # fmt: skip
    found = read_body(body, ACCOUNT).arrivals
    assert found[-1].text == "behind it"  # type: ignore[union-attr]


# A machine that stands still for a moment is no reason to call the making of examples slow.
PATIENT = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@PATIENT
@given(
    st.dictionaries(KEYS, JSON, max_size=8),
    st.sampled_from(["messages", "statuses", "message_echoes", "errors"]),
)
def test_no_event_ever_breaks_the_reader_or_takes_the_others_with_it(event: Json, where: str) -> None:
    """Whatever stands in it, the message behind it is read."""
    what: Any = {where: [event]}
    odd = ANN.change(**what)
    body = json.dumps({
        "object": "whatsapp_business_account",
        "entry": [{"id": APP.account_id, "changes": [odd, ANN.says("behind it")]}],
    }).encode()  # fmt: skip
    found = read_body(body, ACCOUNT).arrivals
    assert found[-1].text == "behind it"  # type: ignore[union-attr]


@PATIENT
@given(
    st.dictionaries(KEYS, JSON, max_size=6),
    st.sampled_from(["type", "text", "interactive", "edit", "timestamp"]),
    JSON,
)
def test_a_message_that_is_odd_somewhere_is_not_lost(more: Json, key: str, value: Any) -> None:
    """Person and id are where they should be: something is kept of it, or it was nobody's words."""
    event = ANN.says("hello", mid="wamid.odd")
    message_ = event["value"]["messages"][0]
    message_ |= {
        name: one for name, one in more.items() if name not in ("from", "from_user_id", "id", "group_id")
    }
    message_[key] = value
    for one in read(event):
        assert one.person == ANN.id


@PATIENT
@given(JSON)
def test_no_value_ever_breaks_the_reader(value: Any) -> None:
    """In the place of a change, of a value, of an entry's list."""
    for entry in ({"id": APP.account_id, "changes": value}, {"id": APP.account_id, "changes": [value]},
                  {"id": APP.account_id, "changes": [{"field": "messages", "value": value}]}):  # fmt: skip
        read_body(json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode(), ACCOUNT)
