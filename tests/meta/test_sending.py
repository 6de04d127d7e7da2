"""What leaves, in which form, and what each answer of Meta's means for a message of ours."""

from __future__ import annotations

import dataclasses
import socket
import time
from datetime import UTC, datetime, timedelta
from unittest import mock

import httpx
import pytest
from sqlalchemy import update

from bot.channels.cut import cut, size, utf8_bytes, utf16_units
from bot.channels.messenger import TRAITS
from bot.channels.meta.api import BUSY_SECONDS, LONGEST_WAIT_SECONDS, seconds_to_wait
from bot.channels.meta.outbound import MetaChannel
from bot.channels.render import Around, render
from bot.errors import RejectedError, RetryLaterError, UnsureError
from bot.messages import Button, Outgoing
from bot.store.tables import Attempt, Conversation, Person
from tests.meta.serving import NAMES, MetaSide, meta_side
from tests.platforms.graph import Writer
from tests.support.rasa import understanding
from tests.support.world import ODD, P1, P2_HIDDEN, PLAIN

pytestmark = pytest.mark.integration

LONG = "\n\n".join(f"Paragraph {n}. " + "This is a sentence of the desk. " * 14 for n in range(9))


def channel(side: MetaSide) -> MetaChannel:
    """The way out."""
    found = side.platform.channel
    assert isinstance(found, MetaChannel)
    return found


def wrote(side: MetaSide) -> Writer:
    """Somebody who has written just now."""
    side.mode(echoes=False)
    ann = side.person()
    side.inject(ann.says(ODD))
    side.hears(ann, side.line("not_understood"))
    return ann


def send(side: MetaSide, person: str, text: str = "hello", **values: object) -> str:
    """Send one message by hand. Returns its id."""
    outgoing = Outgoing(1, values.pop("kind", "staff"), text, **values)  # type: ignore[arg-type]
    return side.run(channel(side).send(person, outgoing)).message_id


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("429", RetryLaterError),
        ("4:99", RetryLaterError),
        ("613:1", RetryLaterError),
        ("80006:1", RetryLaterError),
        ("80002:1", RetryLaterError),
        ("503", RetryLaterError),
        ("1200:1", RetryLaterError),
        ("190:463", RetryLaterError),
        ("500", UnsureError),
        ("502", UnsureError),
        ("504", UnsureError),
        ("1:99", UnsureError),
        ("2:1", UnsureError),
        ("cut", UnsureError),
        ("garbage", UnsureError),
        ("551:1545041", RejectedError),
        ("100:2018001", RejectedError),
        ("10:2018278", RejectedError),
        ("10:2534022", RejectedError),
        ("200:1", RejectedError),
        ("100:1", RejectedError),
        ("404", RejectedError),
    ],
)
def test_each_failure_is_told_apart(side: MetaSide, kind: str, error: type[Exception]) -> None:
    """Try again, nobody can say, or never; and no text of Meta's goes on record."""
    ann = wrote(side)
    side.fault(kind, seconds=7)
    with pytest.raises(error) as caught:
        send(side, ann.id)

    said = str(caught.value)
    assert side.app.token not in said
    assert "secret words" not in said
    assert "html" not in said
    assert caught.value.__cause__ is None
    if kind == "429":
        assert isinstance(caught.value, RetryLaterError)
        assert caught.value.retry_after_seconds == 7


def test_the_time_to_wait_is_read_from_either_header() -> None:
    """Seconds in one, minutes in the other; rubbish asks for nothing."""
    usage = '{"1": [{"type": "messenger", "estimated_time_to_regain_access": 3}]}'

    assert seconds_to_wait(httpx.Headers({"Retry-After": "9"})) == 9
    assert seconds_to_wait(httpx.Headers({"X-Business-Use-Case-Usage": usage})) == 180
    assert seconds_to_wait(httpx.Headers({"Retry-After": "99999999"})) == LONGEST_WAIT_SECONDS
    for value in ("soon", "-5", "nan", "inf", ""):
        headers = httpx.Headers({"Retry-After": value, "X-Business-Use-Case-Usage": "[1"})
        assert seconds_to_wait(headers) == BUSY_SECONDS
    for odd in ("[1]", '{"1": 5}', '{"1": [5]}', "null"):
        assert seconds_to_wait(httpx.Headers({"X-Business-Use-Case-Usage": odd})) == BUSY_SECONDS


def test_a_refused_token_waits_and_is_not_lost(side: MetaSide) -> None:
    """The force has to mend it; until then the channel says what is wrong, and nothing is thrown away."""
    ann = side.person()
    side.inject(ann.says(ODD))
    side.hears(ann, side.line("not_understood"))
    side.set_state(token="another")
    assert side.run(side.platform.reachable()) == f"{channel(side)._traits.title} refuses the token"
    side.inject(ann.says(P1))
    side.until(lambda: any(r.kind == "safety" and r.attempts for r in side.outbox(ann.id)), "an attempt")
    (row,) = [r for r in side.outbox(ann.id) if r.kind == "safety"]
    side.until(lambda: side.row(row.id).state == "queued", "it to be put back in line")

    assert side.row(row.id).not_before > datetime.now(UTC)
    side.set_state(token=side.app.token)
    assert side.run(side.platform.reachable()) is None


def test_a_token_of_another_page_is_named(side: MetaSide) -> None:
    """It would send in somebody else's name."""
    with mock.patch.object(
        side.platform, "_options", dataclasses.replace(side.platform._options, account_id="1")
    ):
        said = side.run(side.platform.reachable())

    assert said is not None
    assert "another account" in said
    assert side.app.us not in said


def test_no_connection_means_not_sent(sqlite_url: str) -> None:
    """Nobody listens there."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}/v23.0"
        with meta_side("messenger", sqlite_url, run=False, _api_url=address) as side:
            with pytest.raises(RetryLaterError):
                send(side, "77")
            assert side.run(side.platform.reachable()) == "Messenger cannot be reached"


def test_the_token_is_in_no_address(side: MetaSide) -> None:
    """It travels in a header; beside it the proof that we hold the app's secret."""
    ann = wrote(side)
    send(side, ann.id)
    call = side.calls(ann)[-1]

    assert set(call["query"]) == {"appsecret_proof"}
    assert side.app.token not in str(call["query"])
    assert call["messaging_type"] == "RESPONSE"
    assert call["message"]["metadata"] == "fc:1"


def test_who_cannot_be_reached_is_never_tried(side: MetaSide) -> None:
    """Each is said in words for the desk."""
    ann = wrote(side)
    with pytest.raises(RejectedError, match="no person"):
        send(side, "@somebody")
    with pytest.raises(RejectedError, match="nothing to send"):
        send(side, ann.id, "   ")
    with pytest.raises(RejectedError, match="blocked us"):
        send(side, "123456")


def test_whoever_blocks_us_is_told_apart_at_the_desk_and_may_come_back(side: MetaSide) -> None:
    """The next reply fails without a call; safety words are tried; a message takes it back."""
    ann = side.person()
    side.inject(ann.chooses("Talk to a person", "person"))
    side.becomes(ann.id, "waiting")
    side.handled(ann.id)
    mo = side.moderator()
    chat = side.claim(ann.id, mo)
    side.hears(ann, side.line("joined"))
    side.set_state(blocked=[ann.id])
    side.is_row(side.reply(chat, mo, "are you there?"), "failed")

    def left() -> object:
        return side.rows(Person, Person.platform_id == ann.id)[0].left_at

    side.until(left, "the block to be on record")
    calls = len(side.calls(ann))
    row = side.reply(chat, mo, "and now?")
    side.is_row(row, "failed")
    assert "blocked us" in side.row(row).detail
    assert len(side.calls(ann)) == calls

    side.set_state(blocked=[])
    side.inject(ann.says("sorry", at=time.time() + 5))
    side.until(lambda: left() is None, "the block to be gone")
    side.is_row(side.reply(chat, mo, "good to see you"), "sent")


# ---- long texts ------------------------------------------------------------------------------------


def test_parts_are_measured_as_the_platform_counts() -> None:
    """Messenger in letters, Instagram in bytes of UTF-8; no letter is cut in half."""
    text = "\U0001f600é " * 500
    for of_letter, limit in ((utf8_bytes, 1000), (utf16_units, 1999)):
        parts = cut(text, limit, of_letter)
        assert all(size(part, of_letter) <= limit for part in parts)
        assert "".join("".join(parts).split()) == "".join(text.split())
    assert len(cut("é" * 1000, 1000, utf8_bytes)) == 2
    assert len(cut("é" * 1000, 1999, utf16_units)) == 1


def test_a_long_reply_leaves_in_parts_and_its_echoes_are_ours(side: MetaSide) -> None:
    """Cut at sentences, in order, each once; the desk's name only in the first."""
    side.bare()
    ann = side.person()
    side.inject(ann.chooses("Talk to a person", "person"))
    side.becomes(ann.id, "waiting")
    side.handled(ann.id)
    mo = side.moderator()
    chat = side.claim(ann.id, mo)
    side.hears(ann, side.line("joined"))
    row = side.reply(chat, mo, LONG)
    side.is_row(row, "sent")
    side.taken()
    parts = [t for t in side.texts(ann) if "sentence of the desk" in t]

    assert len(parts) >= 3
    assert parts[0].startswith("Northumbria Police digital desk:\n\nParagraph 0.")
    assert all(part.rstrip().endswith(".") for part in parts)
    whole = f"Northumbria Police digital desk: {LONG}"
    assert "".join("".join(parts).split()) == "".join(whole.split())
    assert side.row(row).platform_id == side.sent(ann)[-1]["mid"]
    # Held echoes are looked at again for ten seconds; then somebody outside would have answered.
    side.inject(ann.says(ODD))
    side.stored(ann.id, 2)
    assert side.conversation(ann.id).owner_id == mo.staff_id
    assert [r for r in side.outbox(ann.id) if r.detail == "outside"] == []


def test_a_long_reply_goes_on_where_it_was_stopped(side: MetaSide) -> None:
    """No part leaves twice, and the echo of the first one does not end the row."""
    side.bare()
    ann = side.person()
    side.inject(ann.chooses("Talk to a person", "person"))
    side.becomes(ann.id, "waiting")
    side.handled(ann.id)
    mo = side.moderator()
    chat = side.claim(ann.id, mo)
    side.hears(ann, side.line("joined"))
    side.faults({"path": "me/messages", "kind": "pass"}, {"path": "me/messages", "kind": "429", "seconds": 2})
    row = side.reply(chat, mo, LONG)
    side.is_row(row, "sent")
    side.taken()
    parts = [t for t in side.texts(ann) if "sentence of the desk" in t]

    assert len(parts) == len(set(parts))
    assert "".join("".join(parts).split()).endswith("".join(LONG.split()[-40:]))
    assert [a.result for a in side.rows(Attempt, Attempt.outbox_id == row)] == ["later", "sent"]
    assert side.conversation(ann.id).owner_id == mo.staff_id


# ---- buttons ---------------------------------------------------------------------------------------


def test_short_buttons_are_quick_replies() -> None:
    """As they are, with the way to a person after them."""
    buttons = (Button("Yes", "y", "1.0"), Button("No", "n", "1.1"))
    shown = render(Outgoing(1, "assistant", "Safe?", buttons), TRAITS.layout, Around("Talk to a person"))

    assert shown.parts == ("Safe?",)
    assert [(one.title, one.token) for one in shown.choices] == [
        ("Yes", "1.0"), ("No", "1.1"), ("Talk to a person", "person"),
    ]  # fmt: skip


def test_long_or_many_buttons_are_a_numbered_list() -> None:
    """Thirteen at most, the last one the way to a person; all of them stand in the text."""
    layout = TRAITS.layout
    titles = [f"Where can I get my bike number {n} marked?" for n in range(15)]
    buttons = tuple(Button(t, t, f"1.{n}") for n, t in enumerate(titles))
    shown = render(Outgoing(1, "assistant", "Which?", buttons), layout, Around("Talk to a person"))

    assert shown.parts[0].splitlines()[2:] == [f"{n}. {title}" for n, title in enumerate(titles, 1)]
    assert [one.title for one in shown.choices] == [str(n) for n in range(1, 13)] + ["Talk to a person"]
    assert layout.has_numbers(titles, has_list=False)
    assert not layout.has_numbers(["Yes", "No"], has_list=False)


@pytest.mark.parametrize("how", ["types", "presses"])
def test_a_number_chooses_from_the_list(side: MetaSide, how: str) -> None:
    """Typed or pressed, it is that button, with its words."""
    ann = side.person()
    faqs = side.first.gateway.core.content.current.faqs
    slugs = [slug for slug, faq in faqs.items() if len(faq.title) > 20 and faq.mode == "A"][:2]
    side.rasa.teach("bike", understanding(), [{"offer": slugs}])
    side.inject(ann.says("something about a bike"))
    heard = side.hears(ann, side.line("did_you_mean"))
    title = faqs[slugs[1]].title
    assert f"2. {title}" in heard["text"]
    token = side.buttons(heard)["2"]
    side.inject(ann.says(" 2. ") if how == "types" else ann.presses("2", token))
    stored = side.stored(ann.id, 2)

    assert (stored[1].kind, stored[1].button, stored[1].text) == ("button", f"fc:faq:{slugs[1]}", title)
    side.hears(ann, side.answer(slugs[1])[:60])


def test_a_number_without_a_list_is_words(side: MetaSide) -> None:
    """Nothing was offered with numbers."""
    ann = side.person()
    side.inject(ann.says(P2_HIDDEN))
    side.until(lambda: any(side.buttons(m).get("Yes") for m in side.sent(ann)), "the question")
    side.inject(ann.says("1"))
    stored = side.stored(ann.id, 2)

    assert (stored[1].kind, stored[1].button, stored[1].text) == ("text", None, "1")


def test_a_hidden_subject_makes_no_sound(side: MetaSide) -> None:
    """Somebody else may be near the telephone; Instagram has no such way."""
    ann = side.person()
    side.inject(ann.says(P2_HIDDEN))
    side.until(lambda: any(side.buttons(m).get("Yes") for m in side.sent(ann)), "the question")
    asked = next(m for m in side.sent(ann) if "Yes" in side.buttons(m))

    assert asked["silent"] == (None if side.app.is_instagram else "NO_PUSH")


# ---- the window, seen from here --------------------------------------------------------------------


def wrote_before(side: MetaSide, person: Writer, age: timedelta) -> None:
    """Let our own record say that they wrote so long ago."""

    async def change() -> None:
        async with side.first.gateway.core.store.write() as connection:
            await connection.execute(
                update(Conversation)
                .where(Conversation.id == side_id)
                .values(last_inbound_at=datetime.now(UTC) - age)
            )

    side_id = side.conversation(person.id).id
    side.run(change())


@pytest.mark.parametrize("granted", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_out_of_time_for_sure_is_not_tried(name: str, sqlite_url: str, granted: bool) -> None:
    """Staff get the tag at once, where it is granted; nobody asks the platform in vain."""
    with meta_side(name, sqlite_url, _human_agent=granted) as side:
        ann = side.person()
        side.inject(ann.chooses("Talk to a person", "person"))
        side.becomes(ann.id, "waiting")
        side.handled(ann.id)
        mo = side.moderator()
        chat = side.claim(ann.id, mo)
        side.hears(ann, side.line("joined"))
        assert channel(side).reply_window == (timedelta(days=7) if granted else timedelta(hours=24))
        calls = len(side.calls(ann))
        wrote_before(side, ann, timedelta(hours=24, minutes=1))
        row = side.reply(chat, mo, "after a day")
        if granted:
            side.is_row(row, "sent")
            assert side.sent(ann)[-1]["tag"] == "HUMAN_AGENT"
            assert len(side.calls(ann)) == calls + 1
        else:
            side.is_row(row, "failed")
            assert len(side.calls(ann)) == calls
        wrote_before(side, ann, timedelta(days=7, minutes=1))
        side.is_row(side.reply(chat, mo, "after a week"), "failed")


# ---- delivered and read ----------------------------------------------------------------------------


def test_delivered_and_read_are_shown_and_never_go_back(side: MetaSide) -> None:
    """Read may come before delivered, and either again."""
    side.mode(receipts=True, copies=2, scatter_seconds=0.4)
    ann = side.person()
    side.inject(ann.says(PLAIN))
    side.until(lambda: [r.state for r in side.outbox(ann.id)] == ["read"], "it to be read")
    side.taken()

    assert [r.state for r in side.outbox(ann.id)] == ["read"]


def test_a_watermark_says_nothing_of_what_was_sent_later(messenger: MetaSide) -> None:
    """Nor of what never left."""
    ann = messenger.person()
    before = int(time.time() * 1000) - 60_000
    messenger.inject(ann.says(ODD))
    messenger.hears(ann, messenger.line("not_understood"))
    messenger.until(lambda: [r.state for r in messenger.outbox(ann.id)] == ["sent"], "it to be sent")
    messenger.inject(ann.reads(before))
    messenger.taken()
    assert [r.state for r in messenger.outbox(ann.id)] == ["sent"]

    messenger.inject(ann.gets(watermark=int(time.time() * 1000)))
    messenger.until(lambda: [r.state for r in messenger.outbox(ann.id)] == ["delivered"], "delivered")
    messenger.inject(ann.reads(int(time.time() * 1000)))
    messenger.until(lambda: [r.state for r in messenger.outbox(ann.id)] == ["read"], "read")
