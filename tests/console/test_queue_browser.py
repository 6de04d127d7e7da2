"""The queue in a real browser: the key for the next chat, ticks that outlive a refresh, axe on the new pages."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Route, expect
from sqlalchemy import update

from bot.store.record import now
from bot.store.tables import Conversation, Staff
from tests.console.serving import Desk
from tests.console.test_browser import chromium, open_desktop  # noqa: F401  fixtures
from tests.support.browser import PATIENCE_MS, axe, eventually, go, go_on, working
from tests.support.world import P1, P1_OTHER, P3

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
    if (event.detail.requestConfig.elt.id === "rows" && event.detail.xhr.status === 200) window.answers += 1;
  });
}"""
"""Counts how often the page was given another list than it has."""
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


def test_a_click_waits_for_no_list_that_is_under_way(desk: Desk, open_desktop: Any) -> None:  # noqa: F811
    first = waiting(desk, "ann", "P2")
    page = open_desktop("mo").page
    unanswered: list[Route] = []
    page.route("**/desk/queue/rows*", lambda route: unanswered.append(route))
    page.evaluate("htmx.trigger(document.body, 'desk:refresh')")
    eventually(page, lambda: bool(unanswered), "the page never asked for its list")
    go_on(page, page.locator(f"#claim-{first.id}").click)
    page.wait_for_url(f"**/desk/c/{first.id}?done=claim")


def test_a_list_that_comes_while_a_click_is_under_way_hides_no_answer(desk: Desk, open_desktop: Any) -> None:  # noqa: F811
    first = waiting(desk, "ann", "P2")
    page = open_desktop("mo").page
    page.evaluate(ANSWERS)
    held: list[Route] = []
    page.route("**/desk/c/*/claim", lambda route: held.append(route))
    page.locator(f"#claim-{first.id}").click()
    eventually(page, lambda: bool(held), "the click was never sent")
    jo = desk.browser("jo")
    assert jo.do(first, "claim", epoch=first.epoch).status_code == 204
    page.wait_for_function("() => window.answers > 0")
    expect(page.locator(f"#claim-{first.id}")).to_be_attached()
    held[0].continue_()
    expect(page.locator("#problem")).to_contain_text("Jo Tester")
    expect(page.get_by_role("heading", name="With somebody else (1)")).to_be_visible()
    expect(page.locator(f"#claim-{first.id}")).to_have_count(0)


def test_a_new_alarm_rings_while_another_is_being_acknowledged(desk: Desk, open_desktop: Any) -> None:  # noqa: F811
    first = desk.say(P1, "ann")
    page = open_desktop("mo").page
    held: list[Route] = []
    page.route("**/desk/c/*/acknowledge", lambda route: held.append(route))
    page.locator(f"#acknowledge-{first.id}").click()
    eventually(page, lambda: bool(held), "the click was never sent")
    second = desk.say(P1_OTHER, "bob")
    expect(page.locator(f"#alarm-{second.id}")).to_be_visible()
    held[0].continue_()
    expect(page.locator(f"#alarm-{first.id}")).to_have_count(0)
    expect(page.locator(f"#alarm-{second.id}")).to_be_visible()


KEEPS = "(one) => { one.stays = true; }"
"""Marks an element: what is read anew comes without the mark."""


def test_what_did_not_change_stays_as_it_is_and_ones_own_part_comes_by_itself(
    desk: Desk, open_desktop: Any  # noqa: F811
) -> None:  # fmt: skip
    calm = waiting(desk, "ann", "P3")
    page = open_desktop("jo").page
    go(page, "/desk/queue")
    expect(page.locator("#own-mark:not([value=''])")).to_be_attached()
    row = page.locator(f"#row-{calm.id}")

    def refreshed() -> int:
        working(page)
        with page.expect_response("**/desk/queue/rows*", timeout=PATIENCE_MS) as answer:
            page.evaluate("htmx.trigger(document.body, 'desk:refresh')")
        status = int(answer.value.status)
        working(page)
        return status

    # The first may still bring what was said as the page was opened; then nothing changes any more.
    eventually(page, lambda: refreshed() == 204, "the list came anew each time though nothing changed")
    row.evaluate(KEEPS)
    row.focus()
    assert refreshed() == 204
    expect(row).to_be_focused()
    assert row.evaluate("(one) => one.stays") is True

    # A chat that a supervisor gives is told below the alarms, once, without a reload.
    mo, sue = desk.browser("mo"), desk.browser("sue")
    assert mo.do(calm, "claim", epoch=calm.epoch).status_code == 204
    expect(page.get_by_role("heading", name="With somebody else (1)")).to_be_visible()
    sue.get("/desk/overview")
    jo = next(one.id for one in desk.rows(Staff) if one.username == "jo")
    assert sue.do(calm, "reassign", to=jo, note="for the night").status_code < 300
    expect(page.locator(f"#given-{calm.id}")).to_be_visible()
    expect(page.locator("#told")).to_contain_text("gave you")
    expect(page.get_by_role("heading", name="Yours (1)")).to_be_visible()
