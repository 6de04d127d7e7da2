"""Each kind of update becomes what the design says, and nothing private goes further."""

from __future__ import annotations

from typing import Any

import pytest

from bot.channels.telegram.inbound import Parsed, parse
from bot.errors import BadRequestError
from bot.messages import Incoming, Reach
from tests.platforms.telegram import updates
from tests.platforms.telegram.updates import Json, Writer

pytestmark = pytest.mark.unit

ANN = Writer(77, "Ann")


def read(update: Json, number: int = 900) -> Parsed:
    """What is in one update."""
    return parse({"update_id": number, **update}, "9")


def message(update: Json) -> Incoming:
    """Its one message."""
    (found,) = read(update).arrivals
    assert isinstance(found, Incoming)
    return found


def test_words_become_a_message_of_one_person() -> None:
    """The chat is the person; the id is the same whenever the update comes again."""
    update = ANN.says("hello", message_id=5, date=1_790_000_000)
    found = message(update)

    assert (found.channel, found.person, found.message_id, found.text) == (
        "telegram",
        "77",
        "9:77.5",
        "hello",
    )
    assert (found.kind, found.button, found.edit_of, found.platform_sequence) == ("text", None, None, 900)
    assert found.platform_time is not None
    assert found.platform_time.timestamp() == 1_790_000_000
    assert message(update) == found


def test_another_bot_counts_anew() -> None:
    """A force that changes its bot loses no message to an id of before."""
    update = {"update_id": 1, **ANN.says("hello", message_id=5)}

    (one,), (other,) = parse(update, "9").arrivals, parse(update, "10").arrivals
    assert isinstance(one, Incoming)
    assert isinstance(other, Incoming)
    assert one.message_id != other.message_id


def test_only_the_first_name_is_kept() -> None:
    """No family name, no handle."""
    found = message(ANN.says("hello"))

    assert found.name == "Ann"
    assert "Secretname" not in repr(found)
    assert "secret_handle" not in repr(found)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (updates.PHOTO, "image"),
        (updates.VOICE, "voice"),
        (updates.VIDEO, "video"),
        (updates.VIDEO_NOTE, "video"),
        (updates.ANIMATION, "video"),
        (updates.STICKER, "sticker"),
        (updates.DOCUMENT, "file"),
        (updates.AUDIO, "file"),
        (updates.LOCATION, "location"),
        (updates.LIVE_LOCATION, "location"),
        (updates.VENUE, "location"),
        (updates.CONTACT, "unsupported"),
        (updates.DICE, "unsupported"),
        (updates.POLL, "unsupported"),
        ({"paid_media": {"star_count": 1, "paid_media": []}}, "unsupported"),
        ({"something_of_next_year": {"a": 1}}, "unsupported"),
    ],
)
def test_what_cannot_be_opened_is_named(content: Json, kind: str) -> None:
    """By its kind alone: no file's id or name goes further."""
    found = message(ANN.message(**content))

    assert found.kind == kind
    assert not any(word in repr(found) for word in ("f1", "u1", "secret.pdf", "447700900123", "Bob", "cafe"))


def test_a_caption_and_the_question_of_a_poll_are_words() -> None:
    """They are screened as words are."""
    assert message(ANN.message(**updates.PHOTO, caption="he has a knife")).text == "he has a knife"
    assert message(ANN.message(**updates.POLL)).text == "Which day?"


def test_a_location_keeps_its_coordinates() -> None:
    """For the desk."""
    found = message(ANN.message(**updates.LOCATION))

    assert (found.latitude, found.longitude) == (54.97, -1.61)


def test_forwarded_words_and_replies_count_as_words() -> None:
    """Whoever wrote them first."""
    reply = {"reply_to_message": ANN.says("earlier")["message"]}

    assert message(ANN.says("there is a fire", **updates.FORWARDED)).text == "there is a fire"
    assert message(ANN.says("this one", **reply)).text == "this one"


def test_an_edit_is_a_new_version() -> None:
    """It names the message that it changes. Two edits of one second are two; the same edit is one."""
    one = message(ANN.edits(5, "first", 1_790_000_100))
    two = message(ANN.edits(5, "second", 1_790_000_100))

    assert one.edit_of == two.edit_of == "9:77.5"
    assert one.message_id != two.message_id
    assert message(ANN.edits(5, "first", 1_790_000_100)) == one
    assert one.platform_time is not None
    assert one.platform_time.timestamp() == 1_790_000_100


def test_a_position_that_moves_is_kept_once_a_minute() -> None:
    """The same minute has the same id; the door keeps the first."""

    def at(second: int) -> Incoming:
        body = ANN.message(message_id=8, **updates.LIVE_LOCATION)["message"]
        return message({"edited_message": {**body, "edit_date": 1_790_000_040 + second}})

    assert at(0).message_id == at(59).message_id != at(60).message_id
    assert at(0).edit_of == "9:77.8"


@pytest.mark.parametrize("text", ["/start", "/start from-a-poster_1"])
def test_start_begins_a_chat(text: str) -> None:
    """What a deep link carries means nothing to us."""
    found = message(ANN.says(text))

    assert (found.kind, found.button, found.text) == ("button", "start", text)


def test_the_menu_asks_for_a_person() -> None:
    """By our own button."""
    assert message(ANN.says("/person")).button == "person"


@pytest.mark.parametrize(
    "text", ["/stop", "/restart", '/triage{"a": 1}', "/personal", "/start he has a knife", "/faq/noise", "/"]
)
def test_any_other_slash_is_text(text: str) -> None:
    """It carries no intent."""
    found = message(ANN.says(text))

    assert (found.kind, found.button, found.text) == ("text", None, text)


def pressed(data: str, **message_values: Any) -> Json:
    """A press under a message with that one button."""
    body = {
        **ANN.message(text="Which one?", message_id=50)["message"],
        "from": updates.BOT,
        "reply_markup": {"inline_keyboard": [[{"text": "The first", "callback_data": "12.0"}]]},
        **message_values,
    }
    return ANN.presses(body, data)


def test_a_press_is_our_button_with_its_words() -> None:
    """A second press of it has another number at Telegram, and the same id here."""
    first, second = message(pressed("12.0")), message(pressed("12.0"))

    assert (first.kind, first.button, first.text) == ("button", "12.0", "The first")
    assert first.message_id == second.message_id == "9:77.50.b12.0"
    assert first.platform_time is not None
    assert first.platform_time.microsecond == 0


def test_a_press_under_a_message_too_old_to_be_shown_counts() -> None:
    """Telegram sends no more than its number then."""
    update = pressed("12.0")
    update["callback_query"]["message"] = {"message_id": 50, "chat": ANN.private(), "date": 0}

    assert message(update).button == "12.0"


@pytest.mark.parametrize(
    "update",
    [
        ANN.says("hi", sender={**updates.BOT, "id": 9}),
        ANN.message(text="hi", chat={"id": -100, "type": "channel", "title": "News"}),
        {
            "channel_post": ANN.message(text="hi", chat={"id": -100, "type": "channel", "title": "x"})[
                "message"
            ]
        },
        {"inline_query": {"id": "1", "from": ANN.user(), "query": "x", "offset": ""}},
        ANN.message(pinned_message=ANN.says("x")["message"]),
        ANN.message(message_auto_delete_timer_changed={"message_auto_delete_time": 60}),
        {"update_kind_of_next_year": {"a": 1}},
    ],
)
def test_what_nobody_said_is_passed_over(update: Json) -> None:
    """Other bots, channels, Telegram's own notes."""
    assert read(update) == Parsed()


def test_a_group_is_no_conversation() -> None:
    """Nothing of it becomes a message."""
    for update in (ANN.in_group("hello"), ANN.adds_to_group(), ANN.in_group("x", reply_markup=None)):
        found = read(update)
        assert found.arrivals == ()
        assert [group.chat for group in found.groups] == [-1001]


def test_a_block_is_told() -> None:
    """And that it was taken back."""
    (blocked,) = read(ANN.blocks()).arrivals
    (back,) = read(ANN.blocks(False)).arrivals

    assert isinstance(blocked, Reach)
    assert isinstance(back, Reach)
    assert (blocked.person, blocked.reachable, back.reachable) == ("77", False, True)


@pytest.mark.parametrize("broken", [{"entities": 5}, {"date": "yesterday"}, {"photo": [7]}, {"from": "Ann"}])
def test_an_update_that_cannot_be_read_keeps_its_words(broken: Json) -> None:
    """Somebody in danger may have written them."""
    update = ANN.message(message_id=6, text="there is a fire")
    update["message"].update(broken)
    found = message(update)

    assert (found.person, found.message_id, found.text, found.kind) == (
        "77",
        "9:77.6",
        "there is a fire",
        "text",
    )


def test_one_without_words_is_named_unsupported() -> None:
    """So that a person may see that something came."""
    update = ANN.message(message_id=6, photo="broken")

    assert message(update).kind == "unsupported"


@pytest.mark.parametrize(
    "broken", [{}, {"chat": 5}, {"chat": {"id": "x", "type": "private"}}, {"message_id": None}]
)
def test_one_without_a_person_is_passed_over(broken: Json) -> None:
    """There is nobody to keep it for."""
    body = {"photo": 5, **broken} if not broken else {**ANN.message(photo=5)["message"], **broken}

    assert read({"message": body}) == Parsed()


@pytest.mark.parametrize("raw", [{}, {"update_id": "5"}, {"update_id": None}, {"update_id": True}])
def test_what_has_no_number_is_no_update(raw: Json) -> None:
    """It is refused."""
    with pytest.raises(BadRequestError):
        parse(raw, "9")
