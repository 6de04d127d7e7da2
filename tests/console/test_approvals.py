"""Replies that a second person reads, on the pages: who asks, who reads, and a browser for each of them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Row, update

from bot.store.record import now
from bot.store.tables import Approval, Conversation
from tests.console.serving import Browser, Desk
from tests.console.test_browser import chromium, claimed, open_desktop  # noqa: F401  fixtures
from tests.support.approval import second_person
from tests.support.browser import axe, go, go_on, sideways, working
from tests.support.world import P1, P3

pytestmark = pytest.mark.integration

TEXT = "You can ask for a lost thing on our website."


def own(desk: Desk) -> tuple[Browser, Row[Any]]:
    """A moderator who has a chat in which a second person reads the replies."""
    second_person(desk.gateway.core)
    row, mo = desk.say(P3), desk.browser("mo")
    assert mo.do(row, "claim", epoch=row.epoch).status_code == 204
    return mo, desk.chat()


def hidden(page: str, path: str) -> dict[str, str]:
    """The hidden fields of the form that posts there."""
    form = re.search(rf'<form method="post" action="[^"]*{path}".*?</form>', page, re.S)
    assert form is not None, page
    found = dict(re.findall(r'<input type="hidden" name="([\w-]+)" value="([^"]*)"', form[0]))
    return {name: value for name, value in found.items() if name != "csrf"}


def test_a_reply_is_asked_for_read_and_approved(any_desk: Desk) -> None:
    desk = any_desk
    mo, row = own(desk)
    chat, panel = f"/desk/c/{row.id}", f"/desk/c/{row.id}/approval"
    page = mo.get(chat).text
    assert "Ask for approval" in page
    assert "a second person reads a P3 reply before it is sent" in page
    asked = mo.do(row, "reply", text=TEXT)
    assert asked.status_code == 200
    assert 'id="send" disabled' in asked.text
    assert desk.outbox("staff") == []
    assert "waits for a second person" in mo.get(chat).text
    mine = mo.get(panel, **{"HX-Request": "true"}).text
    assert TEXT in mine
    assert "Take it back" in mine
    assert "Approve" not in mine
    mark = re.search(r'name="approval-have" value="(\w+)"', mine)
    assert mark is not None
    same = mo.client.get(panel, params={"approval-have": mark[1]}, headers={"HX-Request": "true"})
    assert same.status_code == 204

    jo, sue = desk.browser("jo"), desk.browser("sue")
    assert "Replies to read: 1" in jo.get("/desk/queue").text
    assert "Replies to read" not in mo.get("/desk/queue").text
    assert "Replies to read: 1" in sue.get("/desk/own").text
    assert "waited too long" not in sue.get("/desk/own").text
    listed = jo.get("/desk/approvals").text
    assert row.reference in listed
    assert TEXT not in listed
    own_list = mo.get("/desk/approvals").text
    assert "Yours, waiting for somebody else (1)" in own_list
    assert "There is nothing to read" in own_list

    form = hidden(jo.get(panel).text, "approve")
    assert mo.post(f"{panel}/approve", **form).status_code == 403
    assert desk.browser("cam").get(panel).status_code == 403
    desk.say("and are you there?")
    stale = jo.post(f"{panel}/approve", part=True, **form)
    assert stale.status_code == 409
    assert "The person has written since" in stale.text
    # Without scripts as well: the same refusal, and the page with the new line.
    fresh = jo.get(panel).text
    assert "and are you there?" in fresh
    unticked = jo.post(f"{panel}/approve", **hidden(fresh, "approve"))
    assert unticked.status_code == 409
    assert desk.outbox("staff") == []
    newest = re.search(r'name="seen" value="(\d+)"', fresh)
    assert newest is not None
    form = hidden(fresh, "approve") | {"seen": newest[1]}
    assert jo.post(f"{panel}/approve", **form).url.path == chat
    assert [one.text for one in desk.outbox("staff")] == [TEXT]
    again = sue.post(f"{panel}/approve", part=True, **form)
    assert again.status_code == 409
    assert "Jo Tester approved this reply already" in again.text
    assert [one.actor for one in desk.audit("reply")] == ["Jo Tester"]


def test_what_has_risen_what_is_free_and_what_came_back_is_on_every_page(desk: Desk) -> None:
    mo, row = own(desk)
    panel = f"/desk/c/{row.id}/approval"
    mo.do(row, "reply", text=TEXT)
    sue = desk.browser("sue")
    desk.change(update(Approval).values(raised_at=now()))
    assert "1 waited too long" in sue.get("/desk/own").text
    assert "Waited too long" in sue.get("/desk/approvals").text
    assert "supervisors were told" in mo.get(panel).text

    form = hidden(sue.get(panel).text, "return")
    assert sue.post(f"{panel}/return", part=True, reason="", **form).status_code == 422
    assert sue.post(f"{panel}/return", reason="Name the page.", **form).status_code == 200
    told = mo.get("/desk/own").text
    assert "Your reply was given back" in told
    assert "Sue Tester says: Name the page." in mo.get(panel).text
    page = mo.get(f"/desk/c/{row.id}").text
    assert re.search(rf'<textarea[^>]* id="text"[^>]*>{TEXT}</textarea>', page)
    assert "Your reply was given back" not in mo.get("/desk/own").text

    assert mo.post(f"/desk/c/{row.id}/reply", text=TEXT).url.query == b"done=ask"
    desk.say(P1)
    assert "Your reply may go now" in mo.get("/desk/own").text
    free = mo.get(panel).text
    assert "This is a P1 now." in free
    assert "Ask for approval" not in mo.get(f"/desk/c/{row.id}").text
    assert mo.post(f"{panel}/send", **hidden(free, "send")).status_code == 200
    assert [one.text for one in desk.outbox("staff")] == [TEXT]
    assert "No reply waits" in mo.get(panel).text


def test_nobody_who_may_not_see_the_chat_learns_of_its_reply(desk: Desk) -> None:
    mo, row = own(desk)
    mo.do(row, "reply", text=TEXT)
    desk.change(update(Conversation).values(team="intelligence"))
    sue = desk.browser("sue")
    for path in ("/desk/approvals", "/desk/alarms", "/desk/own", "/desk/queue", "/desk/overview"):
        page = sue.get(path).text
        assert row.reference not in page, path
        assert "Replies to read:" not in page, path
    assert sue.get(f"/desk/c/{row.id}/approval").status_code == 404
    assert sue.do(row, "approval/approve", approval=1, seen=99, epoch=row.epoch).status_code == 404


@pytest.mark.e2e
def test_author_second_person_and_public(desk: Desk, open_desktop: Any) -> None:  # noqa: F811
    second_person(desk.gateway.core)
    row = desk.say(P3)
    mo: Page = open_desktop("mo").page
    jo: Page = open_desktop("jo", 320).page
    claimed(mo, row.id)

    # Asked for: the second person reads of it on whatever page they have open.
    go(jo, "/desk/recent")
    mo.locator("#text").fill("You can ask for it.")
    mo.get_by_role("button", name="Ask for approval").click()
    expect(mo.get_by_role("heading", name="Your reply waits for a second person")).to_be_visible()
    expect(mo.locator("#text")).to_have_value("")
    expect(mo.locator("#send")).to_be_disabled()
    expect(jo.locator("#to-read")).to_be_visible()
    working(jo)
    go_on(jo, jo.locator("#to-read").click)
    go_on(jo, jo.get_by_role("link", name=row.reference).click)
    expect(jo.locator("#approval-text")).to_have_text("You can ask for it.")
    assert axe(jo) == []

    # Given back: the text is in the writer's box again, and the reason above it.
    jo.get_by_text("Give it back").first.click()
    jo.get_by_label("What has to change").fill("Name the page.")
    go_on(jo, jo.get_by_role("button", name="Give it back").click)
    expect(jo.get_by_text("The reply went back to its writer.")).to_be_visible()
    expect(mo.get_by_text("Jo Tester says: Name the page.")).to_be_visible()
    expect(mo.locator("#text")).to_have_value("You can ask for it.")
    working(mo)
    assert axe(mo) == []

    # Asked again; then the person writes, and approving needs a second look.
    mo.locator("#text").fill(TEXT)
    expect(mo.get_by_role("button", name="Ask for approval")).to_be_enabled()
    mo.get_by_role("button", name="Ask for approval").click()
    expect(jo.locator("#approval-text")).to_have_text(TEXT)
    desk.say("are you still there?")
    expect(jo.get_by_text("The person has written since:")).to_be_visible()
    expect(mo.get_by_text("The person has written since:")).to_be_visible()
    working(jo)
    jo.get_by_role("button", name="Approve and send").click()
    expect(jo.locator("#problem")).to_contain_text("The person has written since")
    assert desk.outbox("staff") == []
    jo.get_by_label("I have read what the person wrote since").check()
    expect(jo.locator("#approval .desk-approval__since")).to_contain_text("are you still there?")
    working(jo)
    assert axe(jo) == []
    assert sideways(jo) == []
    expect(jo.get_by_label("I have read what the person wrote since")).to_be_checked()
    go_on(jo, jo.get_by_role("button", name="Approve and send").click)
    jo.wait_for_url("**done=approve")
    expect(mo.locator(".desk-line--staff")).to_contain_text(TEXT)
    expect(mo.get_by_role("heading", name="Your reply waits")).to_have_count(0)
    expect(jo.locator(".desk-line--staff")).to_contain_text("Mo Tester")
    expect(jo.locator(".desk-line--staff .desk-line__state")).to_have_text("Sent")
    assert desk.platform.channel.texts("ann").count(TEXT) == 1
    assert "Mo Tester" not in " ".join(desk.platform.channel.texts("ann"))
