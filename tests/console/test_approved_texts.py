"""A chat whose platform takes no words of staff's own any more: what the page says, offers and keeps."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import expect
from sqlalchemy import Row, select, update

from bot.messages import ApprovedText, Place
from bot.store.record import now
from bot.store.tables import Conversation, OutboxTemplate
from tests.console.serving import Browser, Desk
from tests.console.test_browser import chromium, claimed, open_desktop  # noqa: F401  fixtures
from tests.support.browser import axe, go, go_on, working
from tests.support.channel import RecordingChannel
from tests.support.world import P3

pytestmark = pytest.mark.integration

TEXTS = (
    ApprovedText("waits", "We have an answer", "answer_waits", "en_GB", "Hello. Your chat is {{reference}}. Write to us.",
                 (Place("reference", "reference"),)),
    ApprovedText("call", "Please call", "please_call", "en_GB", "Hello. Please call about {{1}} today.",
                 (Place("1", "", "The incident number", 20),)),
)  # fmt: skip


class Approving(RecordingChannel):
    """A platform that takes words for a day, then approved texts alone."""

    title = "WhatsApp"
    reply_window = timedelta(hours=24)
    approved_texts: tuple[ApprovedText, ...] = TEXTS


def own(desk: Desk) -> tuple[Browser, Row[Any]]:
    """A moderator who has a chat there."""
    desk.gateway.core.limits._channels["test"] = Approving()  # type: ignore[index]
    row, mo = desk.say(P3), desk.browser("mo")
    assert mo.do(row, "claim", epoch=row.epoch).status_code == 204
    return mo, desk.chat()


def wrote_before(desk: Desk, row: Row[Any], **age: float) -> None:
    """They wrote so long ago."""
    at = now() - timedelta(**age)
    desk.change(update(Conversation).where(Conversation.id == row.id).values(last_inbound_at=at))


def test_the_composer_counts_down_and_then_offers_what_may_be_sent(any_desk: Desk) -> None:
    """With the exact words of each; an open page learns of it by itself."""
    desk = any_desk
    mo, row = own(desk)
    wrote_before(desk, row, hours=22, minutes=30)
    page = mo.get(f"/desk/c/{row.id}").text
    assert re.search(r'id="reply-until">.*takes a reply for <time [^>]*>1 h (29|30) min</time> more', page)
    assert "After that only approved texts" in page
    assert "approved-text" not in page
    assert 'id="send" disabled' not in page
    shape = re.search(r'name="shape" value="([^"]+)"', page)
    assert shape is not None

    wrote_before(desk, row, hours=24, minutes=1)
    late = mo.get(f"/desk/c/{row.id}").text
    assert "takes no reply of your own now" in late
    assert f"Hello. Your chat is {row.reference}. Write to us." in late
    assert "Hello. Please call about [The incident number] today." in late
    assert 'id="send" disabled data-waits' in late
    live = mo.client.get(f"/desk/c/{row.id}/live", params={"shape": shape[1]}, headers={"HX-Request": "true"})
    assert "takes no reply of your own now" in live.text


def test_words_of_ones_own_are_refused_and_kept(any_desk: Desk) -> None:
    """By the server, whatever the page looked like."""
    desk = any_desk
    mo, row = own(desk)
    wrote_before(desk, row, hours=24, minutes=1)
    answer = mo.do(row, "reply", text="Are you still there?")
    assert answer.status_code == 422
    assert "WhatsApp takes no reply of your own now" in answer.text
    assert desk.outbox("staff") == []
    assert "Are you still there?" in mo.get(f"/desk/c/{row.id}").text
    plain = mo.post(f"/desk/c/{row.id}/reply", text="Are you there?")
    assert plain.status_code == 422
    assert "takes no reply of your own now" in plain.text


def test_an_approved_text_is_sent_by_name_and_shown_as_one(any_desk: Desk) -> None:
    """The reply that was typed stays where it is."""
    desk = any_desk
    mo, row = own(desk)
    wrote_before(desk, row, hours=25)
    mo.do(row, "draft", text="What I would say", kind="reply")
    empty = mo.do(row, "approved-text", key="call", epoch=row.epoch)
    assert (empty.status_code, "Fill in: The incident number." in empty.text) == (422, True)
    assert mo.do(row, "approved-text", key="none").status_code == 422
    filled: Any = {"place-1": " NP-1 "}
    sent = mo.post(f"/desk/c/{row.id}/approved-text", key="call", epoch=row.epoch, **filled)
    assert "The text is on its way." in sent.text
    (staff,) = desk.outbox("staff")
    assert staff.text == "Hello. Please call about NP-1 today."

    async def kept() -> list[Any]:
        async with desk.gateway.core.store.read() as connection:
            query = select(OutboxTemplate.body).where(OutboxTemplate.outbox_id == staff.id)
            return list((await connection.execute(query)).scalars())

    assert desk.run(kept())[0] == {"name": "please_call", "language": "en_GB", "values": [["1", "NP-1"]]}
    page = mo.get(f"/desk/c/{row.id}").text
    assert "Approved text" in page
    assert "Mo Tester" in page
    assert "What I would say" in page


def test_who_does_not_own_the_chat_sends_none(any_desk: Desk) -> None:
    """Nor does their page offer any."""
    desk = any_desk
    _, row = own(desk)
    wrote_before(desk, row, hours=25)
    sue = desk.browser("sue")
    assert "approved-text" not in sue.get(f"/desk/c/{row.id}").text
    assert sue.do(row, "approved-text", key="waits", epoch=row.epoch).status_code == 409
    assert desk.outbox("staff") == []


def test_a_platform_without_such_texts_says_so(desk: Desk) -> None:
    """Staff wait until the person writes."""
    mo, row = own(desk)
    desk.gateway.core.limits._channels["test"].approved_texts = ()  # type: ignore[attr-defined]
    wrote_before(desk, row, hours=25)
    assert "The force has no approved texts." in mo.get(f"/desk/c/{row.id}").text
    assert mo.do(row, "reply", text="Hello?").status_code == 422


def test_in_a_browser_the_text_is_chosen_read_and_sent(desk: Desk, open_desktop: Any) -> None:  # noqa: F811  a fixture
    """By keyboard too; what is typed stays; nothing that axe finds."""
    desk.gateway.core.limits._channels["test"] = Approving()  # type: ignore[index]
    row = desk.say(P3)
    page = open_desktop("mo").page
    claimed(page, row.id)
    page.locator("#text").fill("What I would say")
    wrote_before(desk, row, hours=25)
    go(page, f"/desk/c/{row.id}")
    working(page)
    expect(page.locator("#composer-late")).to_contain_text("takes no reply of your own now")
    expect(page.locator("#send")).to_be_disabled()
    expect(page.locator("#text")).to_have_value("What I would say")
    page.locator(".desk-approved summary", has_text="Please call").press("Enter")
    page.get_by_label("The incident number").fill("NP-1")
    assert axe(page) == []
    go_on(page, page.locator(".desk-approved[open] button", has_text="Send this text").click)
    expect(page.locator("#transcript")).to_contain_text("Hello. Please call about NP-1 today.")
    expect(page.locator("#text")).to_have_value("What I would say")
