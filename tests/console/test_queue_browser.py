"""The queue in a real browser: the key for the next chat, ticks that outlive a refresh, axe on the new pages."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect
from sqlalchemy import update

from bot.store.record import now
from bot.store.tables import Conversation
from tests.console.serving import Desk
from tests.console.test_browser import chromium, open_desktop  # noqa: F401  fixtures
from tests.support.browser import axe, go, go_on, working
from tests.support.world import P3

pytestmark = pytest.mark.e2e


def waiting(desk: Desk, person: str, grade: str) -> Any:
    row = desk.say(P3, person)
    desk.change(
        update(Conversation).where(Conversation.id == row.id).values(grade=grade, waiting_since=now())
    )
    return desk.chat(person)


def test_ticks_outlive_a_refresh_and_the_key_takes_the_next(desk: Desk, open_desktop: Any) -> None:  # noqa: F811
    calm, urgent = waiting(desk, "ann", "P4"), waiting(desk, "bob", "P2")
    page = open_desktop("mo").page
    page.locator(f"#choose-{calm.id}").check()
    expect(page.locator("#chosen")).to_have_text("(1 ticked)")
    expect(page.locator(f"#choose-{urgent.id}")).to_have_count(0)
    late = desk.say(P3, "cat")
    expect(page.locator(f"#row-{late.id}")).to_be_visible()
    working(page)
    expect(page.locator(f"#choose-{calm.id}")).to_be_checked()

    page.get_by_text("Hand several on").click()
    page.get_by_label("To team").select_option("control_room")
    page.get_by_label("Note for them").fill("for the night")
    assert axe(page) == []
    page.get_by_role("button", name="Hand them on").click()
    expect(page.locator("#problem")).to_contain_text("1 handed on")
    expect(page.locator(f"#choose-{calm.id}")).not_to_be_checked()
    assert desk.chat("ann").team == "control_room"

    working(page)
    page.locator("h1").click()
    go_on(page, lambda: page.keyboard.press("n"))
    page.wait_for_url(f"**/desk/c/{urgent.id}?done=claim")
    expect(page.locator("#measures")).to_contain_text("Nothing was done so far.")
    go(page, "/desk/end-shift")
    expect(page.get_by_label("Note for whoever takes over")).to_be_visible()
    assert axe(page) == []
    go(page, "/desk/queue?grade=P4")
    expect(page.locator("#rows")).to_be_visible()
    assert axe(page) == []


ANSWERS = """() => {
  window.answers = 0;
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.requestConfig.elt.id === "rows") window.answers += 1;
  });
}"""
"""Counts how often the page was given its list anew."""
NO_LONGEST_PRESS = """(() => {
  const later = window.setTimeout;
  window.setTimeout = (work, after, ...more) => (after === 1500 ? 0 : later(work, after, ...more));
})()"""
"""However slow the machine is, to the page the finger stays for a moment only."""


def test_a_list_that_comes_anew_under_the_finger_takes_no_click_away(desk: Desk, open_desktop: Any) -> None:  # noqa: F811
    first = waiting(desk, "ann", "P2")
    one = open_desktop("mo")
    one.context.add_init_script(NO_LONGEST_PRESS)
    page = one.page
    go(page, "/desk/queue")
    page.evaluate(ANSWERS)
    page.locator(f"#claim-{first.id}").hover()
    page.mouse.down()
    late = desk.say(P3, "bob")
    page.wait_for_function("() => window.answers > 0")
    expect(page.locator(f"#row-{late.id}")).to_have_count(0)
    go_on(page, page.mouse.up)
    page.wait_for_url(f"**/desk/c/{first.id}?done=claim")


def test_what_came_under_the_finger_is_shown_though_it_stays(desk: Desk, open_desktop: Any) -> None:  # noqa: F811
    first = waiting(desk, "ann", "P2")
    page = open_desktop("mo").page
    page.evaluate(ANSWERS)
    page.locator(f"#row-{first.id}").hover()
    page.mouse.down()
    late = desk.say(P3, "bob")
    page.wait_for_function("() => window.answers > 0")
    expect(page.locator(f"#row-{late.id}")).to_be_visible()
