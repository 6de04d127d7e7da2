"""What leaves, in which form, and what each answer of Meta's means for a message of ours."""

from __future__ import annotations

import time
from typing import Any

import pytest

from bot.channels.render import Around, render
from bot.channels.whatsapp.codes import CODES, is_temporary
from bot.channels.whatsapp.outbound import (
    LAYOUT,
    LONGEST,
    LONGEST_ABOVE_BUTTONS,
    WhatsAppChannel,
    interactive,
)
from bot.errors import RefusedError, RejectedError, RetryLaterError, UnsureError
from bot.messages import Actor, Button, Outgoing
from bot.store.tables import Attempt
from tests.platforms.whatsapp import Writer
from tests.support.rasa import understanding
from tests.support.sides import Json
from tests.support.world import ODD, P1, P2_HIDDEN, PLAIN
from tests.whatsapp.serving import WhatsAppSide

pytestmark = pytest.mark.integration

BLOCK = "If you or someone else is in danger, call 999 now."
PERSON = "Talk to a person"
LONG = "\n\n".join(f"Paragraph {n}. " + "This is a sentence of the desk. " * 14 for n in range(19))


def channel(side: WhatsAppSide) -> WhatsAppChannel:
    """The way out."""
    found = side.whatsapp.channel
    assert isinstance(found, WhatsAppChannel)
    return found


def wrote(side: WhatsAppSide) -> Writer:
    """Somebody who has written just now."""
    side.mode(echoes=False)
    ann = side.person()
    side.inject(ann.says(ODD))
    side.hears(ann, side.line("not_understood"))
    return ann


def owned(side: WhatsAppSide) -> tuple[Writer, int, Actor]:
    """Somebody whose chat a moderator has taken."""
    ann = side.person()
    side.inject(ann.chooses("Talk to a person", "person"))
    side.becomes(ann.id, "waiting")
    side.handled(ann.id)
    mo = side.moderator()
    chat = side.claim(ann.id, mo)
    side.hears(ann, side.line("joined"))
    return ann, chat, mo


def buttons(*titles: str) -> list[Button]:
    """Choices of these titles."""
    return [Button(title, title, f"1.{n}") for n, title in enumerate(titles)]


def lay_out(text: str, offered: list[Button], person: str, opens_list: str) -> tuple[str, Json | None]:
    """The text of an answer, and what stands under it."""
    around = Around(person=person, opens_list=opens_list)
    shown = render(Outgoing(1, "assistant", text, tuple(offered)), LAYOUT, around)
    return shown.parts[-1], interactive(shown)


def are_numbered(titles: list[str], *, has_lists: bool) -> bool:
    """Whether these stand in the text."""
    return LAYOUT.has_numbers(titles, has_list=has_lists)


def rows(content: Json) -> list[Json]:
    """The lines of a list."""
    return [row for section in content["action"]["sections"] for row in section["rows"]]


# ---- choices -------------------------------------------------------------------------------------


def test_few_short_choices_are_buttons() -> None:
    """Three at most, the way to a person among them."""
    text, content = lay_out("Which?", buttons("Yes", "No"), PERSON, "Choose")
    assert text == "Which?"
    assert content is not None
    assert [one["reply"]["title"] for one in content["action"]["buttons"]] == [
        "Yes",
        "No",
        "Talk to a person",
    ]
    assert lay_out("Words.", [], "", "Choose") == ("Words.", None)


def test_more_or_longer_choices_are_a_list() -> None:
    """Ten lines at most; words that are too long for a line stand beside it, whole."""
    long = "Where can I get my bicycle marked?"
    _, content = lay_out("Which?", buttons("Yes", "No", "Not sure", long), PERSON, "Choose an answer")
    assert content is not None
    assert content["action"]["button"] == "Choose an answer"
    assert rows(content)[0] == {"id": "1.0", "title": "Yes"}
    assert rows(content)[3]["description"] == long
    assert rows(content)[3]["title"] == "Where can I get my\u2026"
    assert rows(content)[4]["id"] == "person"


@pytest.mark.parametrize("titles", [[f"choice {n}" for n in range(10)], ["x" * 73], ["a b"] * 12])
def test_what_fits_no_list_stands_in_the_text_with_numbers(titles: list[str]) -> None:
    """The way to a person is the only button then."""
    text, content = lay_out("Which?", buttons(*titles), PERSON, "Choose")
    assert text.splitlines()[2:] == [f"{n}. {title}" for n, title in enumerate(titles, 1)]
    assert content is not None
    assert [one["reply"]["id"] for one in content["action"]["buttons"]] == ["person"]
    assert are_numbered(titles, has_lists=True)


def test_without_words_for_a_list_there_is_none() -> None:
    """A release of before has none: then what fits no buttons stands in the text."""
    text, content = lay_out("Which?", buttons("Yes", "No", "Not sure"), PERSON, "")
    assert "3. Not sure" in text
    assert content is not None
    assert content["type"] == "button"
    assert are_numbered(["Yes", "No", "Not sure"], has_lists=False)
    assert not are_numbered(["Yes", "No"], has_lists=False)
    assert not are_numbered(["Yes", "No", "Not sure"], has_lists=True)


def test_a_line_of_a_list_is_chosen_with_its_whole_words(side: WhatsAppSide) -> None:
    """As they were offered."""
    ann = side.person()
    faqs = side.first.gateway.core.content.current.faqs
    slugs = [slug for slug, faq in faqs.items() if 24 < len(faq.title) <= 72 and faq.mode == "A"][:2]
    side.rasa.teach("bike", understanding(), [{"offer": slugs}])
    side.inject(ann.says("something about a bike"))
    heard = side.hears(ann, side.line("did_you_mean"))
    title = faqs[slugs[1]].title
    assert heard["raw"]["interactive"]["type"] == "list"
    token = side.buttons(heard)[title]
    row = {
        "type": "list_reply",
        "list_reply": {"id": token, "title": title[:20] + "\u2026", "description": title},
    }
    side.inject(ann.message("interactive", row))
    stored = side.stored(ann.id, 2)

    assert (stored[1].kind, stored[1].button, stored[1].text) == ("button", f"fc:faq:{slugs[1]}", title)
    side.hears(ann, side.answer(slugs[1])[:60])


# ---- form ----------------------------------------------------------------------------------------


def test_a_text_is_plain_and_has_no_preview(side: WhatsAppSide) -> None:
    """From the number that the person wrote to; with our mark."""
    ann = side.person(number=1)
    side.inject(ann.says(P1))
    side.hears(ann, BLOCK)
    heard = next(message for message in side.sent(ann) if BLOCK in message["text"])

    assert heard["raw"]["text"]["preview_url"] is False
    assert heard["raw"]["to"] == ann.phone
    row = next(r for r in side.outbox(ann.id) if r.kind == "safety")
    assert heard["metadata"] == f"fc:{row.id}"
    assert side.calls(ann)[0]["recipient"]["id"] == ann.id


def test_whoever_shows_no_number_is_answered_all_the_same(side: WhatsAppSide) -> None:
    """By the id that only we are told."""
    ann = side.person(phone="")
    side.inject(ann.says(PLAIN))
    heard = side.hears(ann, "101")

    assert heard["raw"]["recipient"] == ann.user
    assert "to" not in heard["raw"]


def test_a_long_reply_leaves_in_parts_each_of_them_once(side: WhatsAppSide) -> None:
    """Cut at sentences; the row keeps the last part's id."""
    ann, chat, mo = owned(side)
    before = len(side.texts(ann))
    row = side.reply(chat, mo, LONG[:5000])
    side.is_row(row, "sent")
    texts = side.texts(ann)[before:]

    assert len(texts) == 2
    assert all(len(text) <= LONGEST for text in texts)
    assert " ".join(" ".join(texts).split()) == " ".join(
        f"Northumbria Police digital desk:\n\n{LONG[:5000]}".split()
    )
    marks = [message["metadata"] for message in side.sent(ann)[before:]]
    assert marks == [f"fc:{row}.part", f"fc:{row}"]


def test_the_words_above_buttons_are_short(side: WhatsAppSide) -> None:
    """What is too long for them leaves before."""
    way_out = channel(side)
    outgoing = Outgoing(1, "assistant", LONG[:5000], tuple(buttons("Yes", "No")))
    pieces = way_out.pieces(outgoing)

    assert len(pieces) >= 2
    assert len(pieces[-1]) <= LONGEST_ABOVE_BUTTONS
    assert all(len(piece) <= LONGEST for piece in pieces)
    assert " ".join(" ".join(pieces).split()) == " ".join(LONG[:5000].split())


def test_it_shows_that_it_was_received_and_that_an_answer_is_written(side: WhatsAppSide) -> None:
    """One call; owed to nobody. While staff have the chat nothing pretends to be written."""
    ann, bob = side.person(), side.person()
    side.inject(ann.says(ODD))
    side.hears(ann, side.line("not_understood"))
    side.until(lambda: side.signs(ann), "the sign")
    assert set(side.signs(ann)) <= {"typing_on", "mark_seen"}

    side.fault("500", path="sender_action", times=9)
    side.inject(bob.says(ODD))
    side.hears(bob, side.line("not_understood"))
    side.faults()
    cid, _, _ = owned(side)
    before = len(side.signs(cid))
    side.inject(cid.says(ODD))
    side.until(lambda: len(side.signs(cid)) > before, "the sign")
    assert side.signs(cid)[-1] == "mark_seen"


# ---- what an answer means ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", sorted(code for code, kind in CODES.kinds.items() if kind in ("busy", "not_taken"))
)
def test_a_limits_code_is_waited_for(side: WhatsAppSide, code: int) -> None:
    """For as long as it is known to last."""
    ann = wrote(side)
    side.fault(f"{code}:1")
    with pytest.raises(RetryLaterError) as caught:
        side.run(channel(side).send(ann.id, Outgoing(1, "staff", "hello")))
    assert caught.value.retry_after_seconds >= CODES.seconds.get(code, 0.5)


@pytest.mark.parametrize("code", [131047, 131026, 131049, 132001, 368, 131031, 33, 10, 200, 100, 131009])
def test_what_will_never_arrive_is_said(side: WhatsAppSide, code: int) -> None:
    """In our words; Meta's may hold a number."""
    ann = wrote(side)
    side.fault(f"{code}:1")
    with pytest.raises(RejectedError) as caught:
        side.run(channel(side).send(ann.id, Outgoing(1, "staff", "hello")))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("kind", ["131000:1", "500", "502", "cut", "garbage"])
def test_what_nobody_can_say_is_said(side: WhatsAppSide, kind: str) -> None:
    """It may have arrived."""
    ann = wrote(side)
    side.fault(kind)
    with pytest.raises(UnsureError):
        side.run(channel(side).send(ann.id, Outgoing(1, "staff", "hello")))


@pytest.mark.parametrize("code", [368, 131031, 131042])
def test_words_of_danger_wait_for_a_locked_account(side: WhatsAppSide, code: int) -> None:
    """Those of others fail at once, so that staff know."""
    ann = wrote(side)
    side.fault(f"{code}:1")
    with pytest.raises(RetryLaterError):
        side.run(channel(side).send(ann.id, Outgoing(1, "safety", "999")))


def test_a_refused_token_waits(side: WhatsAppSide) -> None:
    """Until somebody has made a new one."""
    ann = wrote(side)
    side.set_state(token="another")
    with pytest.raises(RetryLaterError) as caught:
        side.run(channel(side).send(ann.id, Outgoing(1, "staff", "hello")))
    assert caught.value.retry_after_seconds == 60
    assert side.run(side.whatsapp.reachable()) == "WhatsApp refuses the token"


def test_one_person_is_not_sent_more_than_whatsapp_takes(side: WhatsAppSide) -> None:
    """A burst, then what is too much goes back in line; words of danger never do."""
    ann = wrote(side)
    way_out = channel(side)
    for _ in range(40):
        way_out._pacing.count(ann.id)
    with pytest.raises(RetryLaterError, match="on their way"):
        side.run(way_out.send(ann.id, Outgoing(1, "staff", "hello")))
    side.run(way_out.send(ann.id, Outgoing(1, "safety", "999 words")))
    assert side.texts(ann)[-1] == "999 words"


@pytest.mark.parametrize("person", ["5", "106540352242922:x", "999999999:447700900123"])
def test_nobody_of_whatsapps_is_not_tried(side: WhatsAppSide, person: str) -> None:
    """Such as somebody who wrote to a number that is not set up any more."""
    with pytest.raises(RejectedError):
        side.run(channel(side).send(person, Outgoing(1, "staff", "hello")))


# ---- statuses ------------------------------------------------------------------------------------


def test_delivered_and_read_never_go_back(each: WhatsAppSide) -> None:
    """Read may come before delivered, and either again, and before the answer of the call."""
    side = each
    side.mode(receipts=True, copies=2, scatter_seconds=0.4, echo_first=True)
    ann = side.person()
    side.inject(ann.says(PLAIN))
    side.until(lambda: [r.state for r in side.outbox(ann.id)] == ["read"], "it to be read")
    side.taken()
    mid = side.sent(ann)[-1]["mid"]
    side.inject(ann.status("sent", mid), ann.status("delivered", mid))
    side.taken()
    assert [r.state for r in side.outbox(ann.id)] == ["read"]


@pytest.mark.parametrize("code", [131047, 131026, 131056])
def test_a_reply_that_fails_later_says_why_and_stays_failed(each: WhatsAppSide, code: int) -> None:
    """Whatever is said of it after that."""
    side = each
    ann, chat, mo = owned(side)
    side.mode(fails=code)
    row = side.reply(chat, mo, "this one fails")
    side.is_row(row, "failed")
    mid = side.sent(ann)[-1]["mid"]
    side.inject(ann.status("sent", mid), ann.status("delivered", mid), ann.status("read", mid))
    side.taken()
    assert side.row(row).state == "failed"
    assert side.row(row).detail
    assert is_temporary(code) is ("for now" in str(side.row(row).detail))
    again = side.first.gateway.core.desk.send_again(row, mo)
    if code != 131047:
        assert side.run(again)
        return
    # By WhatsApp's own count the 24 hours are over: the same words would fail again.
    with pytest.raises(RefusedError):
        side.run(again)


def test_words_of_danger_that_fail_later_leave_again(each: WhatsAppSide) -> None:
    """A repeat is allowed, a gap is not; what will never arrive is not repeated."""
    side = each
    ann = side.person()
    side.mode(fails=131016)
    side.inject(ann.says(P1))
    side.until(lambda: any(r.state == "failed" for r in side.outbox(ann.id)), "them to fail")
    side.mode()
    side.until(
        lambda: any(r.kind == "safety" and r.state == "sent" for r in side.outbox(ann.id)), "them to be sent"
    )
    assert "safety.again" in side.audited(ann.id, "safety.again")

    bob = side.person()
    side.mode(fails=131026)
    side.inject(bob.says(P1))
    side.until(
        lambda: any(r.kind == "safety" and r.state == "failed" for r in side.outbox(bob.id)), "the end"
    )
    side.taken()
    assert len([r for r in side.outbox(bob.id) if r.kind == "safety"]) == 1


def test_a_part_that_fails_fails_the_whole(side: WhatsAppSide) -> None:
    """What was delivered of it does not make it arrive."""
    ann, chat, mo = owned(side)
    side.mode(echoes=False)
    row = side.reply(chat, mo, LONG[:5000])
    side.is_row(row, "sent")
    first, last = side.sent(ann)[-2:]
    side.inject(ann.status("delivered", first["mid"], first["metadata"]))
    side.taken()
    assert side.row(row).state == "sent"
    side.inject(ann.status("failed", first["mid"], first["metadata"], 131026))
    side.inject(ann.status("read", last["mid"], last["metadata"]))
    side.is_row(row, "failed")


def test_a_send_that_was_taken_without_an_answer_is_known_by_our_mark(each: WhatsAppSide) -> None:
    """By the first status that comes; nothing is sent again."""
    side = each
    ann, chat, mo = owned(side)
    side.fault("hang", seconds=30, take=True)
    row = side.reply(chat, mo, "did it arrive?")
    side.is_row(row, "sent")

    assert len([t for t in side.texts(ann) if "did it arrive?" in t]) == 1
    assert side.row(row).platform_id is not None
    attempts: list[Any] = side.rows(Attempt, Attempt.outbox_id == row)
    assert len(attempts) == 1


def test_a_hidden_subject_is_asked_first(side: WhatsAppSide) -> None:
    """With buttons that need no typing."""
    ann = side.person()
    side.inject(ann.says(P2_HIDDEN, at=time.time()))
    side.until(lambda: any(side.buttons(m).get("Yes") for m in side.sent(ann)), "the question")
    asked = next(m for m in side.sent(ann) if "Yes" in side.buttons(m))
    side.inject(ann.presses("Yes", side.buttons(asked)["Yes"]))
    assert side.stored(ann.id, 2)[1].kind == "button"
