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
from tests.support.browser import axe
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
    page.goto("/desk/queue")
    page.locator(f"#choose-{calm.id}").check()
    expect(page.locator("#chosen")).to_have_text("(1 ticked)")
    expect(page.locator(f"#choose-{urgent.id}")).to_have_count(0)
    late = desk.say(P3, "cat")
    expect(page.locator(f"#row-{late.id}")).to_be_visible()
    expect(page.locator(f"#choose-{calm.id}")).to_be_checked()

    page.get_by_text("Hand several on").click()
    page.get_by_label("To team").select_option("control_room")
    page.get_by_label("Note for them").fill("for the night")
    assert axe(page) == []
    page.get_by_role("button", name="Hand them on").click()
    expect(page.locator("#problem")).to_contain_text("1 handed on")
    expect(page.locator(f"#choose-{calm.id}")).not_to_be_checked()
    assert desk.chat("ann").team == "control_room"

    page.locator("h1").click()
    page.keyboard.press("n")
    page.wait_for_url(f"**/desk/c/{urgent.id}?done=claim")
    expect(page.locator("#measures")).to_contain_text("Nothing was done so far.")
    page.goto("/desk/end-shift")
    expect(page.get_by_label("Note for whoever takes over")).to_be_visible()
    assert axe(page) == []
    page.goto("/desk/queue?grade=P4")
    page.wait_for_selector("#rows")
    assert axe(page) == []
