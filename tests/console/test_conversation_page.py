"""One chat on its page: what is owed, closing with what an outcome asks for, snooze, calls, the summary."""

from __future__ import annotations

import html
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import expect
from sqlalchemy import insert, update

from bot.store.record import now
from bot.store.tables import CallBack, Conversation, Outbox
from tests.console.serving import Browser, Desk
from tests.console.test_browser import chromium, claimed, open_desktop  # noqa: F401  fixtures
from tests.support.browser import axe, go_on, working
from tests.support.world import INCIDENT, P1, P2_HIDDEN, P3

pytestmark = pytest.mark.integration


def take(browser: Browser, desk: Desk, text: str = P3, person: str = "ann") -> Any:
    """A chat of this person, taken by this member of staff."""
    desk.say(text, person)
    row = desk.chat(person)
    assert browser.do(row, "claim", epoch=row.epoch).status_code == 204
    return desk.chat(person)


def page(browser: Browser, row: Any) -> str:
    return browser.get(f"/desk/c/{row.id}").text


# ---- closing ---------------------------------------------------------------------------------


def test_the_form_asks_for_what_an_outcome_needs(desk: Desk) -> None:
    mo = desk.browser("mo")
    row = take(mo, desk)
    shown = page(mo, row)
    assert "The force&#39;s incident number" in shown
    assert "Needed: a crime or a risk was told." in shown
    assert "It looks like NP-20261123-0456." in shown
    assert '<optgroup label="Services">' in shown
    assert 'name="waiver"' not in shown
    assert "crime number" not in shown.lower()
    refused = mo.do(row, "close", outcome="answered")
    assert refused.status_code == 422
    assert "incident number" in html.unescape(refused.text)
    assert mo.do(row, "close", outcome="signposted_other_agency", incident=INCIDENT).status_code == 422
    done = mo.do(row, "close", outcome="signposted_other_agency", incident=INCIDENT, agency="COUNCIL")
    assert done.status_code == 204
    assert desk.chat().incident == INCIDENT
    assert desk.audit("close")[0].detail["agency"] == "COUNCIL"
    told = desk.outbox("notice")[-1].text
    assert f"Your chat reference is {row.reference}." in told
    assert INCIDENT not in told
    assert INCIDENT in page(mo, row)


def test_a_supervisor_lets_it_close_without_a_number(desk: Desk) -> None:
    mo, sue = desk.browser("mo"), desk.browser("sue")
    row = take(mo, desk)
    assert "Let it close without a number" in page(sue, row)
    assert "Let it close without a number" not in page(mo, row)
    assert mo.do(row, "no-incident", reason="A play at school.").status_code == 403
    assert sue.do(row, "no-incident", reason="A play at school.").status_code == 204
    assert "Needed for some outcomes." in page(mo, row)
    assert mo.do(row, "close", outcome="answered").status_code == 204


def test_the_number_can_be_kept_before_closing(desk: Desk) -> None:
    mo, jo = desk.browser("mo"), desk.browser("jo")
    row = take(mo, desk)
    assert mo.do(row, "incident", incident="nonsense").status_code == 422
    assert jo.do(row, "incident", incident=INCIDENT).status_code == 403
    assert mo.do(row, "incident", incident=INCIDENT).status_code == 204
    assert mo.do(row, "close", outcome="answered").status_code == 204


# ---- where it began --------------------------------------------------------------------------


def test_the_page_around_a_web_chat_is_shown_to_staff(desk: Desk) -> None:
    """In the head and in the summary, as text; a chat without one says nothing of it."""
    mo = desk.browser("mo")
    desk.say(P3, page="report <b>antisocial</b> behaviour")
    row = desk.say("and another thing")
    shown = page(mo, row)
    assert "Was on the page" in shown
    assert "report &lt;b&gt;antisocial&lt;/b&gt; behaviour" in shown
    summary = html.unescape(mo.get(f"/desk/c/{row.id}/summary").text)
    assert "Was on the page: report <b>antisocial</b> behaviour" in summary
    assert "Was on the page" not in page(mo, desk.say(P3, "bob"))


# ---- what is owed ----------------------------------------------------------------------------


def test_row_and_head_say_when_a_reply_is_due_and_late(desk: Desk) -> None:
    mo = desk.browser("mo")
    row = desk.say(P1)
    assert "Reply <time" in mo.get("/desk/queue").text
    assert "due in" in page(mo, row)
    late = now() - timedelta(minutes=7, seconds=5)
    desk.change(update(Conversation).where(Conversation.id == row.id).values(reply_due_at=late))
    assert "late by 7 min" in mo.get("/desk/queue").text
    assert "late by 7 min" in page(mo, row)
    assert "Incident number <time" in page(mo, row)  # by when it is due
    assert "Incident number <time" not in mo.get("/desk/queue").text  # not yet
    old = [{**reason, "at": (now() - timedelta(hours=21)).isoformat()} for reason in row.reasons]
    desk.change(update(Conversation).where(Conversation.id == row.id).values(reasons=old))
    assert "Incident number <time" in mo.get("/desk/queue").text


def test_the_page_tells_assistant_time_and_staff_time_apart(desk: Desk) -> None:
    mo = desk.browser("mo")
    row = take(mo, desk)
    shown = page(mo, row)
    assert "<dt>With the assistant</dt>" in shown
    assert "<dt>With staff</dt>" in shown


# ---- snooze and reopening --------------------------------------------------------------------


def test_a_snoozed_chat_leaves_the_list_until_the_person_writes(desk: Desk) -> None:
    mo = desk.browser("mo")
    row = take(mo, desk)
    urgent = take(mo, desk, P1, "bob")
    assert f'action="/desk/c/{row.id}/snooze"' in page(mo, row)
    assert f'action="/desk/c/{urgent.id}/snooze"' not in page(mo, urgent)
    assert mo.do(urgent, "snooze", length="1h").status_code == 422
    assert mo.do(row, "snooze", length="1h").status_code == 204
    queue = mo.get("/desk/queue").text
    assert "snoozed (1)" in queue
    assert "Yours (1)" in queue
    desk.say("are you there")
    queue = mo.get("/desk/queue").text
    assert "snoozed (1)" not in queue
    assert "Yours (2)" in queue
    assert mo.do(row, "snooze", length="4h").status_code == 204
    assert mo.do(row, "wake").status_code == 204
    assert mo.do(row, "wake").status_code == 409


def test_a_closed_chat_is_opened_again_in_silence(desk: Desk) -> None:
    mo, jo = desk.browser("mo"), desk.browser("jo")
    row = take(mo, desk)
    assert mo.do(row, "close", outcome="answered", incident=INCIDENT).status_code == 204
    before = len(desk.rows(Outbox))
    assert "Open this chat again" in page(jo, row)
    assert jo.do(row, "reopen").status_code == 204
    assert desk.chat().state == "human"
    assert "You have it then." not in page(jo, row)
    assert len(desk.rows(Outbox)) == before
    assert mo.do(row, "reopen").status_code == 409


def test_another_open_chat_of_the_person_is_a_clear_refusal(desk: Desk) -> None:
    mo = desk.browser("mo")
    row = take(mo, desk)
    assert mo.do(row, "close", outcome="answered", incident=INCIDENT).status_code == 204
    desk.say(P3)
    refused = mo.do(row, "reopen")
    assert refused.status_code == 422
    assert "This person has another chat open." in refused.text


# ---- call backs ------------------------------------------------------------------------------


def test_a_call_back_stands_in_a_box_until_it_is_done(desk: Desk) -> None:
    mo = desk.browser("mo")
    row = take(mo, desk)
    asked = mo.do(
        row, "call-back", number="07700 900123", safe_from="2030-01-02T17:30", safe_until="2030-01-02T19:00",
        note="Leave no message.",
    )  # fmt: skip
    assert asked.status_code == 204
    shown = page(mo, row)
    assert "07700 900123" in shown
    assert "Safe from 2 Jan, 17:30 until 2 Jan, 19:00." in shown
    assert "Leave no message." in shown
    assert "Noted by Mo Tester" in shown
    assert mo.do(row, "close", outcome="answered", incident=INCIDENT).status_code == 422
    (call,) = desk.rows(CallBack)
    assert mo.do(row, "called", call=call.id, done="yes").status_code == 204
    assert "Done by Mo Tester" in page(mo, row)
    assert mo.do(row, "called", call=call.id, done="no").status_code == 204
    assert "Mark as done" in page(mo, row)
    other = take(mo, desk, P3, "bob")
    assert mo.do(other, "called", call=call.id, done="yes").status_code == 422
    for wrong in ("tomorrow", "0001-01-01T00:00"):
        assert mo.do(row, "call-back", number="07700 900123", safe_from=wrong).status_code == 422


def test_no_call_is_offered_where_the_subject_is_hidden(desk: Desk) -> None:
    jo = desk.browser("jo")
    row = take(jo, desk, P2_HIDDEN)
    shown = page(jo, row)
    assert "Do not call. First the person has to say that it is safe to chat." in shown
    assert "Note a call back" not in shown
    assert jo.do(row, "call-back", number="07700 900123").status_code == 422
    desk.change(update(Conversation).where(Conversation.id == row.id).values(safe_check="yes"))
    assert "Note a call back" in page(jo, row)


# ---- why it is here, and what came before ----------------------------------------------------


def test_the_page_says_what_both_nets_found_and_what_the_assistant_said(desk: Desk) -> None:
    mo = desk.browser("mo")
    row = desk.say(P1)
    shown = html.unescape(page(mo, row))
    assert "the safety words list" in shown
    assert "The assistant's understanding found nothing." in shown
    assert "What the assistant said (" in shown
    reasons = [*row.reasons, {**row.reasons[0], "net": "understanding", "words": ["0.83"]}]
    desk.change(update(Conversation).where(Conversation.id == row.id).values(reasons=reasons))
    assert "the assistant's understanding: fairly sure (0.83)" in html.unescape(page(mo, row))


def test_earlier_chats_are_listed_for_who_may_see_them(desk: Desk) -> None:
    mo, jo = desk.browser("mo"), desk.browser("jo")
    first = take(mo, desk)
    assert mo.do(first, "close", outcome="answered", incident=INCIDENT).status_code == 204
    desk.change(
        update(Conversation)
        .where(Conversation.id == first.id)
        .values(closed_at=now() - timedelta(days=2), opened_at=now() - timedelta(days=2))
    )
    row = desk.say(P3)
    assert row.id != first.id
    shown = page(mo, row)
    assert f'href="/desk/c/{first.id}">{first.reference}</a>' in shown
    assert "P3, answered" in shown
    desk.change(update(Conversation).where(Conversation.id == first.id).values(team="professional_standards"))
    assert first.reference not in page(jo, row)


# ---- the summary -----------------------------------------------------------------------------


def test_the_summary_is_plain_text_and_copying_is_on_record(desk: Desk) -> None:
    mo, cam = desk.browser("mo"), desk.browser("cam")
    row = take(mo, desk)
    assert mo.do(row, "reply", text="Hello <there>, this is the desk.").status_code == 200
    assert f"/desk/c/{row.id}/summary" in page(mo, row)
    text = html.unescape(mo.get(f"/desk/c/{row.id}/summary").text)
    for part in (f"CHAT REFERENCE {row.reference}", P3, "Hello <there>, this is the desk.", "WHO DID WHAT"):
        assert part in text
    assert not desk.audit("summary.copy")
    assert mo.do(row, "copied").status_code in (200, 204)
    assert len(desk.audit("summary.copy")) == 1
    assert cam.get(f"/desk/c/{row.id}/summary").status_code == 403
    desk.change(
        update(Conversation)
        .where(Conversation.id == row.id)
        .values(team="professional_standards", owner_id=None)
    )
    assert mo.get(f"/desk/c/{row.id}/summary").status_code in (403, 404)


# ---- in a browser ----------------------------------------------------------------------------


SAID = """() => {
  window.said = [];
  new MutationObserver((changes) => { for (const one of changes) window.said.push(one.target.textContent); })
    .observe(document.getElementById("transcript"), { childList: true, subtree: true });
}"""
"""Remembers what stood in the transcript: a button that says "Copied" says so for two seconds."""


@pytest.mark.e2e
def test_copying_and_closing_in_a_browser(desk: Desk, open_desktop: Any) -> None:  # noqa: F811  a fixture
    row = desk.say(P3, kind="location", latitude=54.97, longitude=-1.61)
    mo = open_desktop("mo")
    mo.context.grant_permissions(["clipboard-read", "clipboard-write"])
    claimed(mo.page, row.id)
    mo.page.evaluate(SAID)
    mo.page.get_by_role("button", name="Copy the location").click()
    mo.page.wait_for_function("() => window.said.includes('Copied')")
    assert mo.page.evaluate("navigator.clipboard.readText()") == "54.97000, -1.61000"
    mo.page.get_by_text("Close with an outcome").click()
    outcome = mo.page.get_by_label("Outcome")
    outcome.select_option("signposted_other_agency")
    expect(mo.page.locator("#agency")).to_be_visible()
    expect(mo.page.locator("#linked")).to_be_hidden()
    expect(mo.page.locator("#close-incident")).to_be_visible()
    outcome.select_option("duplicate")
    expect(mo.page.locator("#agency")).to_be_hidden()
    expect(mo.page.locator("#linked")).to_be_visible()
    expect(mo.page.locator("#close-incident")).to_be_hidden()
    for box in ("Note a call back", "Snooze", "Incident number"):
        mo.page.locator("#actions summary", has_text=box).click()
    working(mo.page)
    assert axe(mo.page) == []
    go_on(mo.page, mo.page.get_by_role("link", name="Handover summary to copy").click)
    with mo.page.expect_response("**/copied"):
        mo.page.get_by_role("button", name="Copy all of it").click()
    expect(mo.page.locator("#copied")).to_have_text("Copied.")
    assert row.reference in mo.page.evaluate("navigator.clipboard.readText()")
    assert axe(mo.page) == []
    assert len(desk.audit("summary.copy")) == 1


# ---- what is owed, on every page -------------------------------------------------------------


def test_owner_and_supervisor_are_told_what_is_owed_on_every_page(desk: Desk) -> None:
    mo, jo, sue = desk.browser("mo"), desk.browser("jo"), desk.browser("sue")
    row = take(mo, desk)
    for browser in (mo, jo, sue):
        assert 'id="owed"' not in browser.get("/desk/own").text
    old = [{**reason, "at": (now() - timedelta(hours=21)).isoformat()} for reason in row.reasons]
    desk.change(
        update(Conversation)
        .where(Conversation.id == row.id)
        .values(reasons=old, opened_at=now() - timedelta(hours=21), reply_due_at=now() - timedelta(minutes=3))
    )
    desk.run(_add_call(desk, row.id))
    for browser in (mo, sue):
        told = browser.get("/desk/own").text
        assert "3 things are owed, 1 late" in told
        assert "incident number" in told
        assert "call back" in told
        assert P3 not in told
    assert 'id="owed"' not in jo.get("/desk/own").text
    assert mo.do(row, "reply", text="Here we are.").status_code == 200
    assert mo.do(row, "incident", incident=INCIDENT).status_code == 204
    assert "1 thing is owed<" in mo.get("/desk/own").text


async def _add_call(desk: Desk, conversation_id: int) -> None:
    async with desk.gateway.core.store.write() as connection:
        await connection.execute(
            insert(CallBack).values(
                conversation_id=conversation_id, number="07700 900123", note="", asked_at=now(), asked_by=1,
                safe_from=now() - timedelta(minutes=1),
            )
        )  # fmt: skip
