"""Twenty-four hours: what staff may send in them, and after them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from bot.conversations.approved import NO_SUCH_TEXT, NOT_YOURS, SECOND_PERSON
from bot.errors import GuardedError, RefusedError, StaleError
from bot.messages import Actor
from bot.store.tables import Audit, Outbox, OutboxTemplate
from tests.platforms.whatsapp import Writer
from tests.support.approval import second_person
from tests.whatsapp.serving import WhatsAppSide, whatsapp_side

pytestmark = pytest.mark.integration

IN_TIME = timedelta(hours=23, minutes=59)
TOO_LATE = timedelta(hours=24, minutes=1)


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


def send(side: WhatsAppSide, chat: int, actor: Actor, key: str, **given: str) -> int:
    """Send an approved text. Returns the row's id."""
    return side.run(side.first.gateway.core.approved.send(chat, actor, key, given))


def offered(side: WhatsAppSide, ann: Writer) -> list[str]:
    """What a page would offer in their chat."""
    core, row = side.first.gateway.core, side.conversation(ann.id)

    async def read() -> list[str]:
        async with core.store.read() as connection:
            return [one.key for one in await core.approved.offered(connection, row)]

    return side.run(read())


def templates(side: WhatsAppSide, outbox_id: int) -> list[object]:
    """The approved text that a row is, as its platform is told."""
    return [one.body for one in side.rows(OutboxTemplate, OutboxTemplate.outbox_id == outbox_id)]


def refusal(work: Callable[[], object]) -> str:
    """Why it was refused."""
    with pytest.raises(RefusedError) as caught:
        work()
    return str(caught.value)


def test_a_minute_before_the_end_words_leave_and_a_minute_after_it_they_do_not(each: WhatsAppSide) -> None:
    """The server says why, and nothing is sent; no approved text is offered before."""
    side = each
    ann, chat, mo = owned(side)
    side.wrote_before(ann, IN_TIME)
    assert offered(side, ann) == []
    side.is_row(side.reply(chat, mo, "in time"), "sent")

    side.wrote_before(ann, TOO_LATE)
    assert offered(side, ann) == ["answer_waits", "please_call"]
    said = refusal(lambda: side.reply(chat, mo, "too late"))
    assert said.startswith("WhatsApp takes no reply of your own now")
    assert "kept here, not sent" in said
    assert not any("too late" in row.text for row in side.outbox(ann.id))


def test_a_person_who_writes_again_opens_it_anew(side: WhatsAppSide) -> None:
    """From then on words leave as before."""
    ann, chat, mo = owned(side)
    side.wrote_before(ann, TOO_LATE)
    refusal(lambda: side.reply(chat, mo, "too late"))
    side.inject(ann.says("I am here"))
    side.stored(ann.id, 2)
    assert offered(side, ann) == []
    side.is_row(side.reply(chat, mo, "hello again"), "sent")


def test_an_approved_text_leaves_as_a_reply_of_staff_in_its_very_words(each: WhatsAppSide) -> None:
    """By its name at Meta, with what fills its places; named to staff, and known as approved."""
    side = each
    ann, chat, mo = owned(side)
    side.wrote_before(ann, TOO_LATE)
    reference = side.conversation(ann.id).reference
    row = send(side, chat, mo, "answer_waits")
    heard = side.hears(ann, reference)
    side.is_row(row, "sent")

    stored = side.row(row)
    assert heard["text"] == stored.text
    assert heard["raw"]["template"] == {
        "name": "front_counter_answer_waits", "language": {"code": "en_GB"},
        "components": [{"type": "body", "parameters": [
            {"type": "text", "text": "Northumbria Police digital desk", "parameter_name": "desk"},
            {"type": "text", "text": reference, "parameter_name": "reference"},
        ]}],
    }  # fmt: skip
    assert (stored.kind, stored.author_id) == ("staff", mo.staff_id)
    (audit,) = side.rows(Audit, Audit.conversation_id == chat, Audit.action == "reply")
    assert (audit.staff_id, audit.detail["approved"]) == (mo.staff_id, "front_counter_answer_waits")


def test_what_staff_fill_in_is_on_one_line_and_passes_the_guard(side: WhatsAppSide) -> None:
    """The approved words around it need no guard."""
    ann, chat, mo = owned(side)
    side.wrote_before(ann, TOO_LATE)
    assert "Fill in: The incident number." in refusal(
        lambda: send(side, chat, mo, "please_call", number="  ")
    )
    assert "too long" in refusal(lambda: send(side, chat, mo, "please_call", number="x" * 41))
    with pytest.raises(GuardedError):
        send(side, chat, mo, "please_call", number="07700 900123")
    row = send(side, chat, mo, "please_call", number="NP-20261124-0001\n or  so", other="ignored")
    side.is_row(row, "sent")
    assert "NP-20261124-0001 or so" in side.sent(ann)[-1]["text"]
    assert len(templates(side, row)) == 1


def test_only_the_owner_sends_one_and_only_one_that_there_is(side: WhatsAppSide) -> None:
    """As with any reply."""
    ann, chat, mo = owned(side)
    side.wrote_before(ann, TOO_LATE)
    other = side.moderator()
    with pytest.raises(StaleError, match=NOT_YOURS):
        send(side, chat, other, "answer_waits")
    assert refusal(lambda: send(side, chat, mo, "made_up")) == NO_SUCH_TEXT
    core = side.first.gateway.core
    side.inject(ann.says("I am here"))
    side.stored(ann.id, 2)
    with pytest.raises(StaleError):
        side.run(core.approved.send(chat, mo, "answer_waits", {}, seen=1))


def test_a_second_person_would_have_to_read_what_was_filled_in(sqlite_url: str) -> None:
    """A text that is approved to the last word needs nobody."""
    with whatsapp_side(sqlite_url) as side:
        ann, chat, mo = owned(side)
        second_person(side.first.gateway.core)
        side.wrote_before(ann, TOO_LATE)
        refused = refusal(lambda: send(side, chat, mo, "please_call", number="NP-20261124-0001"))
        assert refused == SECOND_PERSON
        side.is_row(send(side, chat, mo, "answer_waits"), "sent")


@pytest.mark.parametrize(("code", "part"), [(132001, "approved text"), (131026, "cannot deliver")])
def test_one_that_meta_does_not_take_says_why_and_can_be_sent_again(
    side: WhatsAppSide, code: int, part: str
) -> None:
    """As the same approved text; words of one's own cannot."""
    ann, chat, mo = owned(side)
    side.fault(f"{code}:1")
    words = side.reply(chat, mo, "these are words")
    side.is_row(words, "failed")
    side.wrote_before(ann, TOO_LATE)
    side.fault(f"{code}:1")
    row = send(side, chat, mo, "answer_waits")
    side.is_row(row, "failed")
    assert part in str(side.row(row).detail)

    core = side.first.gateway.core
    assert "takes no reply" in refusal(lambda: side.run(core.desk.send_again(words, mo)))
    again = side.run(core.desk.send_again(row, mo))
    side.is_row(again, "sent")
    assert side.sent(ann)[-1]["type"] == "template"
    assert templates(side, again) == templates(side, row) != []


def test_the_minute_is_metas_to_know(side: WhatsAppSide) -> None:
    """By our own record it was in time: Meta's refusal says why, at once or later."""
    _, chat, mo = owned(side)
    side.fault("131047:1")
    row = side.reply(chat, mo, "a second late")
    side.is_row(row, "failed")
    assert side.row(row).detail == "the time in which WhatsApp takes a reply is over"


def test_once_meta_says_that_the_time_is_over_approved_texts_are_offered(each: WhatsAppSide) -> None:
    """After an outage a message arrives long after it was written: by our own count there is time left."""
    side = each
    ann, chat, mo = owned(side)
    assert offered(side, ann) == []
    side.fault("131047:1")
    side.is_row(side.reply(chat, mo, "after the outage"), "failed")
    assert offered(side, ann) == ["answer_waits", "please_call"]
    said = refusal(lambda: side.reply(chat, mo, "too late"))
    assert said.startswith("WhatsApp takes no reply of your own now: by its own count")
    side.is_row(send(side, chat, mo, "answer_waits"), "sent")

    side.inject(ann.says("I am here"))
    side.stored(ann.id, 2)
    assert offered(side, ann) == []
    side.is_row(side.reply(chat, mo, "hello again"), "sent")


def test_another_failure_offers_no_approved_text(side: WhatsAppSide) -> None:
    """Words of one's own may still arrive."""
    ann, chat, mo = owned(side)
    side.fault("131026:1")
    side.is_row(side.reply(chat, mo, "somebody without the app"), "failed")
    assert offered(side, ann) == []
    side.is_row(side.reply(chat, mo, "once more"), "sent")


def test_of_two_who_send_at_once_each_text_leaves_once(side: WhatsAppSide) -> None:
    """Two presses are two texts, no more: the page is locked meanwhile."""
    ann, chat, mo = owned(side)
    side.wrote_before(ann, TOO_LATE)
    core = side.first.gateway.core

    async def both() -> list[int]:
        return list(
            await asyncio.gather(*(core.approved.send(chat, mo, "answer_waits", {}) for _ in range(2)))
        )

    for row in side.run(both()):
        side.is_row(row, "sent")
    assert len([m for m in side.sent(ann) if m["type"] == "template"]) == 2
    assert len(side.rows(Outbox, Outbox.conversation_id == chat, Outbox.kind == "staff")) == 2
