"""What each kind of event comes to, in all three shapes in which X tells of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.channels.x.inbound import Read, first_id_at, id_number, read_body, read_page, time_of_id
from bot.channels.x.posts import read_posts
from bot.channels.x.texts import bare, plain
from bot.conversations.lengths import weight
from bot.errors import BadRequestError
from bot.messages import Echo, Incoming, Receipt
from tests.platforms.x import App, Writer, events

pytestmark = pytest.mark.unit

US = App().us
SHAPES = ("activity", "account", "page")
AT = datetime(2026, 7, 24, 21, 10, 24, 372000, tzinfo=UTC)


def told(shape: str, *given: dict[str, Any]) -> Read:
    """What is read of these, in one of the shapes."""
    if shape == "page":
        media = {
            f"3_{one['id']}": one["attachment"]["media"]["type"]
            for one in given
            if one.get("attachment", {}).get("type") == "media"
        }
        return read_page([events.listed(one) for one in given], media, US)
    found = Read()
    for body in (events.activity if shape == "activity" else events.account)(list(given), US):
        found.add(read_body(json.dumps(body).encode(), US))
    return found


def ann() -> Writer:
    """Somebody."""
    return Writer(2310010001, US)


@pytest.mark.parametrize("shape", SHAPES)
def test_words(shape: str) -> None:
    """The same message has the same id, time and words, however it came."""
    event = ann().says("hello there", at=AT.timestamp())
    (read,) = told(shape, event).arrivals

    assert isinstance(read, Incoming)
    assert (read.channel, read.person, read.message_id) == ("x", "2310010001", event["id"])
    assert (read.text, read.kind, read.platform_time) == ("hello there", "text", AT)
    assert read.platform_sequence == int(event["id"]) & 0x3FFFFF


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("attachment", "kind"),
    [
        (events.PHOTO, "image"), (events.GIF, "image"), (events.FILM, "video"), (events.AUDIO, "voice"),
        (events.NEXT_YEARS, "unsupported"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("text", ["", "look at this"])
def test_what_hangs_on_a_message_is_named(shape: str, attachment: Any, kind: str, text: str) -> None:
    """And the link that X adds for it is no word of theirs."""
    (read,) = told(shape, ann().sends(attachment, text)).arrivals

    assert isinstance(read, Incoming)
    assert (read.kind, read.text) == (kind, text)


@pytest.mark.parametrize("shape", ["activity", "account"])
def test_a_place_keeps_its_coordinates(shape: str) -> None:
    """X writes the longitude first."""
    (read,) = told(shape, ann().sends(events.LOCATION)).arrivals

    assert isinstance(read, Incoming)
    assert (read.kind, read.latitude, read.longitude) == ("location", 54.97, -1.61)


@pytest.mark.parametrize("point", [[-1.61], [200, 95], [float("nan"), 1], ["a", "b"], None, [True, 1], {}])
def test_what_is_no_place_has_no_coordinates(point: Any) -> None:
    """It is a location all the same."""
    attachment = {
        "type": "location",
        "location": {"shared_coordinate": {"coordinates": {"coordinates": point}}},
    }
    (read,) = told("activity", ann().sends(attachment)).arrivals

    assert isinstance(read, Incoming)
    assert (read.kind, read.latitude, read.longitude) == ("location", None, None)


@pytest.mark.parametrize("shape", SHAPES)
def test_links_and_escapes_are_undone(shape: str) -> None:
    """Staff and the screen read what the person wrote."""
    event = ann().says(
        "see https://t.co/abc &amp; say 1 &lt; 2 &amp;amp;",
        urls=[{"url": "https://t.co/abc", "expanded_url": "https://example.org/a?b=1"}],
    )
    (read,) = told(shape, event).arrivals

    assert isinstance(read, Incoming)
    assert read.text == "see https://example.org/a?b=1 & say 1 < 2 &amp;"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("typed", "button", "choice"),
    [
        ("person", "person", None), (" Person. ", "person", None), ("Talk to a person.", "person", None),
        ("a person", None, None), ("2", None, 2),
        (" 2. ", None, 2), ("12)", None, 12), ("123", None, None), ("/triage", None, None), ("start", None, None),
    ],
)  # fmt: skip
def test_what_stands_for_a_button(shape: str, typed: str, button: str | None, choice: int | None) -> None:
    """One word, or a number of a list; all else is text."""
    (read,) = told(shape, ann().says(typed)).arrivals

    assert isinstance(read, Incoming)
    assert (read.button, read.choice) == (button, choice)
    assert read.kind == ("button" if button else "text")


@pytest.mark.parametrize("shape", SHAPES)
def test_what_left_in_our_name_is_an_echo(shape: str) -> None:
    """Of whom it was for, with addresses as both sides can write them."""
    event = ann().is_told("Read https://t.co/abc.")
    event["urls"] = [{"url": "https://t.co/abc", "expanded_url": "http://www.example.org/"}]
    (read,) = told(shape, event).arrivals

    assert isinstance(read, Echo)
    assert (read.person, read.message_id) == ("2310010001", event["id"])
    assert read.at == time_of_id(event["id"])
    assert read.text == bare("Read www.example.org.") == "Read www.example.org."


@pytest.mark.parametrize("shape", SHAPES)
def test_a_group_is_kept_apart(shape: str) -> None:
    """It is nobody's own chat."""
    read = told(shape, ann().says("hi all", group=True))

    assert read.arrivals == []
    assert [one.text for one in read.groups] == ["hi all"]


@pytest.mark.parametrize("shape", ["activity", "account"])
def test_read_up_to_a_message(shape: str) -> None:
    """That one by its id, those before it by its time."""
    mid = events.new_id(AT.timestamp())
    one, rest = told(shape, ann().sees(mid)).arrivals

    assert one == Receipt("x", mid, "read")
    assert rest == Receipt("x", "", "read", person="2310010001", up_to=AT)


@pytest.mark.parametrize("shape", ["activity", "account"])
def test_somebody_types(shape: str) -> None:
    """Nobody has said anything."""
    assert told(shape, ann().gets()) == Read()


def test_an_encrypted_message_is_there_and_holds_no_words() -> None:
    """Somebody wrote to the police: that much is known. One in our name is somebody else's."""
    (theirs,) = told("activity", ann().says_in_secret("e4f4d3fc")).arrivals
    (ours,) = told("activity", ann().is_told_in_secret()).arrivals

    assert isinstance(theirs, Incoming)
    assert (theirs.person, theirs.message_id, theirs.kind, theirs.text) == (
        "2310010001", "e4f4d3fc", "unsupported", "",
    )  # fmt: skip
    assert isinstance(ours, Echo)
    assert ours.person == "2310010001"


def test_numbers_that_are_no_words_are_read_all_the_same() -> None:
    """X writes its numbers as words, since a browser cannot count so far."""
    event = ann().says("hello")
    body = events.activity([event], US)[0]
    one = body["data"]["payload"]["direct_message_events"][0]
    one["id"] = int(one["id"])
    one["message_create"]["sender_id"] = int(one["message_create"]["sender_id"])
    one["message_create"]["target"]["recipient_id"] = int(US)
    shown = {**events.listed(event), "id": int(event["id"]), "sender_id": int(event["sender"])}
    by_call, by_look = read_body(json.dumps(body).encode(), US), read_page([shown], {}, US)

    assert [(i.person, i.message_id, i.text) for i in by_call.arrivals + by_look.arrivals if isinstance(i, Incoming)] == [
        ("2310010001", event["id"], "hello")
    ] * 2  # fmt: skip
    assert id_number(shown) == int(event["id"])


def test_what_is_another_accounts_is_passed_over() -> None:
    """One app may serve two accounts of the force's."""
    body = events.activity([ann().says("hello")], US)[0]
    body["data"]["filter"]["user_id"] = "5"
    assert read_body(json.dumps(body).encode(), US) == Read()
    body["data"]["filter"] = {"keyword": "anything"}
    assert len(read_body(json.dumps(body).encode(), US).arrivals) == 1


def test_every_event_of_a_body_is_read_in_its_order() -> None:
    """Whatever stands beside it."""
    body = events.account([ann().says("one"), ann().says("two"), ann().sees("5")], US)[0]
    body["favorite_events"] = [{"id": "1"}]
    body["direct_message_events"][1:1] = [
        None, {"type": "message_create"}, {"type": "x", "message_create": []}, 7,
        {"id": {}, "message_create": {"sender_id": "1"}},
    ]  # fmt: skip
    read = read_body(json.dumps(body).encode(), US)

    assert [one.text for one in read.arrivals if isinstance(one, Incoming)] == ["one", "two"]


def test_what_is_no_event_costs_the_others_nothing() -> None:
    """Nor a letter that is none, nor an endless number."""
    (body,) = events.activity([ann().says("one")], US)
    body["data"] = (
        [7, {"event_type": []}, body["data"]] if isinstance(body["data"], dict) else [7, *body["data"]]
    )
    body["more"] = "BROKEN"
    raw = json.dumps(body).encode().replace(b'"BROKEN"', b'"\xff"')
    endless = json.dumps(body).encode().replace(b'"BROKEN"', b"9" * 6_000)

    for one in (raw, endless):
        assert [each.text for each in read_body(one, US).arrivals if isinstance(each, Incoming)] == ["one"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b"null", b'"x"', b"{", b"\xff", b"[" * 50_000, b'{"data":"x"}', b'{"data":7}',
        b'{"data":{}}', b'{"data":[1]}', b'{"data":{"event_type":7,"payload":{}}}', b'{"crc_token":"x"}',
    ],
)  # fmt: skip
def test_what_is_no_webhook_is_refused(body: bytes) -> None:
    """With 4xx, since it cannot be X's."""
    with pytest.raises(BadRequestError):
        read_body(body, US)


def test_another_accounts_events_are_none_of_ours() -> None:
    """An app may serve several."""
    body = events.account([ann().says("hello")], US)[0]
    body["for_user_id"] = "5"

    assert read_body(json.dumps(body).encode(), US) == Read()


def test_a_mention_is_no_message() -> None:
    """It is read where posts are read at all; the older webhook's say not in which thread they stand."""
    post = {"text": "hey @force", "id": "1"}
    activity = {"data": {"event_type": "post.mention.create", "payload": post}}
    account = {"for_user_id": US, "tweet_create_events": [{"text": "hey @force", "id_str": "1"}]}

    assert read_body(json.dumps(activity).encode(), US) == Read(posts=[post])
    assert read_body(json.dumps(account).encode(), US) == Read()
    assert read_posts([post], {}, US) == [], "nobody wrote it"


def test_a_post_in_a_thread() -> None:
    """Whose thread it is, as far as it says so; whom it calls first is none of its words."""
    post = {
        "id": "30", "author_id": "7", "conversation_id": "10", "text": "@a @force help &amp; more https://t.co/x",
        "in_reply_to_user_id": US, "referenced_tweets": [{"type": "replied_to", "id": "10"}],
        "entities": {"urls": [{"url": "https://t.co/x", "expanded_url": "https://a.example/"}]},
    }  # fmt: skip
    (found,) = read_posts([post], {}, US)
    assert isinstance(found, Incoming)
    assert found.comment is not None
    assert (found.person, found.message_id, found.text) == ("10/7", "30", "help & more https://a.example/")
    assert (found.comment.is_ours, found.comment.post_author, found.comment.private_id) == (True, US, "7")

    deeper = {**post, "referenced_tweets": [{"type": "replied_to", "id": "20"}]}
    (found,) = read_posts([deeper], {}, US)
    assert isinstance(found, Incoming)
    assert found.comment is not None
    assert (found.comment.is_ours, found.comment.post_author) == (False, "")


def test_a_post_of_their_own_an_edit_and_a_long_one() -> None:
    """The first version names the thread; a long post has all its words in a note."""
    post = {"id": "31", "author_id": "7", "conversation_id": "30", "edit_history_tweet_ids": ["30", "31"],
            "text": "@force the beg", "note_tweet": {"text": "@force the beginning and the end"}}  # fmt: skip
    (found,) = read_posts([post], {}, US)
    assert isinstance(found, Incoming)
    assert found.comment is not None
    assert (found.person, found.message_id, found.edit_of) == ("30/7", "31", "30")
    assert found.text == found.comment.post_text == "the beginning and the end"
    assert (found.comment.id, found.comment.post_author, found.comment.is_ours) == ("30", "7", False)


def test_our_own_posts_reposts_and_pictures() -> None:
    """The first two are nobody's words; a picture is named."""
    post = {"id": "30", "author_id": "7", "text": "@force", "attachments": {"media_keys": ["3_1"]}}
    assert read_posts([{**post, "author_id": US}], {}, US) == []
    assert read_posts([{**post, "referenced_tweets": [{"type": "retweeted", "id": "9"}]}], {}, US) == []
    (found,) = read_posts([post], {"3_1": "photo"}, US)
    assert isinstance(found, Incoming)
    assert (found.kind, found.text) == ("image", "")


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(
    st.sampled_from(["id", "author_id", "text", "conversation_id", "edit_history_tweet_ids", "note_tweet",
                     "referenced_tweets", "attachments", "entities", "created_at", "in_reply_to_user_id"]),
    st.recursive(st.none() | st.integers() | st.text(max_size=9) | st.sampled_from([US, "7", "30", "\ud800"]),
                 lambda inner: st.lists(inner, max_size=3)
                 | st.dictionaries(st.sampled_from(["id", "type", "text", "urls", "media_keys"]), inner, max_size=3),
                 max_leaves=8),
    max_size=8,
), max_size=3))  # fmt: skip
def test_odd_posts_stop_no_other(posts: list[Any]) -> None:
    """Whatever stands in them."""
    good = {"id": "31", "author_id": "7", "text": "@force good"}
    found = read_posts([*posts, 5, good], {}, US)
    assert [one.text for one in found if isinstance(one, Incoming)][-1] == "good"


@pytest.mark.parametrize(
    ("text", "letters"),
    [("a" * 280, 280), ("\u65e5" * 140, 280), ("https://a.example/" + "x" * 300, 23),
     ("see www.northumbria.police.uk now", 4 + 25 + 4)],
)  # fmt: skip
def test_letters_are_counted_as_x_counts_them(text: str, letters: int) -> None:
    """A link is 23; what may be one counts as the heavier."""
    assert weight(text) == letters


def test_ids_tell_their_time() -> None:
    """In both directions; X's own example is among them."""
    found = time_of_id("2080765901528535096")
    assert found is not None
    assert found.isoformat(timespec="seconds") == "2026-07-24T21:23:44+00:00"
    assert time_of_id(str(first_id_at(AT))) == AT
    assert time_of_id("e4f4d3fc") is None


def test_the_words_of_media_and_addresses() -> None:
    """X adds a slash and a scheme, and a link for a picture."""
    media = [{"url": "https://t.co/m", "expanded_url": "https://twitter.com/messages/media/123"}]
    assert plain("look https://t.co/m", media) == "look"
    assert plain(None, "x") == ""
    assert plain("a", [7, {"url": ""}, {"url": "a"}]) == "a"
    assert bare("at https://a.example/b/ and http://www.c.example/.") == "at a.example/b and www.c.example."


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(value=_json, place=st.integers(0, 9))
def test_odd_values_anywhere_are_passed_over(value: Any, place: int) -> None:
    """And what stands behind them is read."""
    odd, good = ann().says("odd"), ann().says("good")
    body = events.activity([odd, good], US)[0]
    first = body["data"]["payload"]["direct_message_events"][0]
    data = first["message_create"]["message_data"]
    places = (
        (first, "id"), (first, "created_timestamp"), (first, "message_create"), (first["message_create"], "target"),
        (first["message_create"], "sender_id"), (first["message_create"], "message_data"), (data, "text"),
        (data, "entities"), (data["entities"], "urls"), (data, "attachment"),
    )  # fmt: skip
    holder, key = places[place]
    holder[key] = value
    read = read_body(json.dumps(body).encode(), US)
    assert "good" in [one.text for one in read.arrivals if isinstance(one, Incoming)]

    page = [events.listed(ann().says("odd")), events.listed(ann().says("good"))]
    keys = ("id", "created_at", "sender_id", "dm_conversation_id", "text", "attachments", "entities", "urls",
            "event_type", "more")  # fmt: skip
    page[0][keys[place]] = value
    listed = read_page([value, *page], {}, US)
    assert "good" in [one.text for one in listed.arrivals if isinstance(one, Incoming)]
