"""Finding a chat in a real browser: by the keyboard, narrow and wide, and clean for axe."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import expect

from tests.console.serving import Desk
from tests.console.test_browser import Desktop
from tests.support.browser import axe, go, go_on, sideways
from tests.support.browser import chromium as running_chromium

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with running_chromium() as browser:
        yield browser


@pytest.mark.parametrize("width", [320, 1280])
def test_a_chat_is_found_labelled_and_found_again_by_the_keyboard(
    desk: Desk, chromium: Chromium, width: int
) -> None:
    row = desk.say("my umbrella was left on the bus to Alnwick, " + "a" * 200)
    mo = Desktop(desk, chromium, "mo", width)
    page = mo.page
    go_on(page, lambda: page.keyboard.press("/"))
    page.wait_for_url("**/desk/find")
    page.keyboard.press("/")
    expect(page.get_by_label("Words")).to_be_focused()
    assert axe(page) == []
    page.keyboard.type("umbrellas")
    go_on(page, lambda: page.keyboard.press("Enter"))
    page.wait_for_url("**/desk/find?of=*")
    expect(page.locator("mark")).to_have_text("umbrella")
    assert "umbrella" not in page.url
    assert axe(page) == []
    assert sideways(page) == []

    go_on(page, page.get_by_role("link", name=row.reference).click)
    page.wait_for_url(f"**/desk/c/{row.id}")
    page.get_by_text("Put a label on").click()
    page.get_by_label("Or a label of your own").fill("Lost things")
    go_on(page, page.get_by_role("button", name="Put it on").click)
    expect(page.get_by_role("button", name="Take off the label lost things")).to_be_visible()
    assert axe(page) == []
    go(page, "/desk/find")
    page.get_by_text("More ways to find a chat").click()
    assert axe(page) == []
    page.get_by_label("Label").fill("lost things")
    go_on(page, lambda: page.get_by_label("Label").press("Enter"))
    page.wait_for_url("**/desk/find?of=*")
    expect(page.get_by_role("link", name=row.reference)).to_be_visible()
    assert sideways(page) == []
    go_on(page, page.get_by_role("link", name=row.reference).click)
    page.wait_for_url(f"**/desk/c/{row.id}")
    go_on(page, page.get_by_role("button", name="Take off the label lost things").click)
    expect(page.get_by_role("button", name="Take off the label lost things")).to_have_count(0)
    mo.close()
    assert mo.complaints == []
