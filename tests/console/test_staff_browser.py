"""Accounts in a real browser: every page for axe, wide and narrow; by keyboard alone; without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from bot.accounts.codes import code_at
from bot.store.record import now
from bot.store.tables import Staff
from tests.console.serving import PASSWORD, Desk
from tests.support.browser import axe, go, go_on, sideways, working
from tests.support.browser import chromium as running_chromium

pytestmark = pytest.mark.e2e

NEW = "violet tractor pelican"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


def context(desk: Desk, chromium: Browser, **options: object) -> BrowserContext:
    values = {"viewport": {"width": 1280, "height": 900}, **options}
    return chromium.new_context(base_url=desk.base, **values)  # type: ignore[arg-type]


def invite(desk: Desk, username: str = "new") -> str:
    """A link for somebody new, made by an administrator."""
    ada = desk.browser("ada")
    ada.get("/desk/staff")
    page = ada.post(
        "/desk/staff", username=username, name="New Person", role="moderator", team="control_room"
    )
    return page.text.split('id="link-address">')[1].split("<")[0]


@pytest.mark.parametrize("width", [320, 1280])
def test_every_page_of_accounts_passes_axe_and_fits(
    desk: Desk, chromium: Browser, tmp_path: Path, width: int
) -> None:
    wide = context(desk, chromium, viewport={"width": width, "height": 900})
    page = wide.new_page()
    problems: list[object] = []
    page.on("pageerror", lambda error: problems.append(str(error)))

    def look(name: str) -> None:
        working(page)
        problems.extend((name, wide) for wide in sideways(page))
        problems.extend((name, *found) for found in axe(page))

    def press(name: str, role: Any = "button") -> None:
        go_on(page, page.get_by_role(role, name=name, exact=True).click)

    go(page, "/desk")
    page.get_by_label("User name").fill("ada")
    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    press("Sign in")
    look("code")
    page.get_by_label("Code").fill("000000")
    press("Go on")
    expect(page.locator(".govuk-error-summary")).to_be_focused()
    look("code, refused")
    press("Use a recovery code", "link")
    look("recovery code")
    press("Use a code from the device", "link")
    page.get_by_label("Code").fill(desk.code("ada"))
    press("Go on")
    press("Staff", "link")
    look("staff")
    for field, error in (("User name", "username"), ("Name", "name")):
        press("Invite")
        look(f"staff, without {field}")
        page.locator(".govuk-error-summary a").click()
        expect(page.locator(f"#{error}")).to_be_focused()
        page.keyboard.type("newest")
    press("Invite")
    look("link")
    link = page.locator("#link-address").inner_text()
    press("Go to the account", "link")
    look("somebody invited")
    go(page, f"/desk/staff/{desk.rows(Staff, Staff.username == 'mo')[0].id}")
    look("account of another")
    press("Suspend")
    look("account of another, refused")
    page.get_by_label("Reason for a suspension").fill("left the force")
    press("Suspend")
    expect(page.get_by_role("status").filter(has_text="suspended")).to_be_visible()
    look("suspended")
    go(page, "/desk/account")
    look("own account")
    press("Sign out")

    go(page, link)
    look("password")
    page.get_by_role("textbox", name="New password").fill("short")
    press("Set the password")
    look("password, refused")
    page.get_by_role("textbox", name="New password").fill(NEW)
    press("Set the password")
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    page.wait_for_function("document.querySelector('.desk-qr').naturalWidth > 0")
    look("setting up")
    secret = page.locator("#secret").inner_text().replace(" ", "")
    page.get_by_label("Code").fill(code_at(secret, now()))
    press("Set up")
    look("recovery codes")
    shown = page.locator(".desk-codes code").all_inner_texts()
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save the codes").click()
    saved.value.save_as(tmp_path / "codes.txt")
    assert [line for line in (tmp_path / "codes.txt").read_text().splitlines() if line in shown] == shown
    go(page, link)
    look("a link that was used")
    wide.close()
    assert problems == []


def test_a_newcomer_gets_to_the_desk_by_keyboard_alone(desk: Desk, chromium: Browser) -> None:
    opened = context(desk, chromium)
    page = opened.new_page()
    go(page, invite(desk))
    keys = page.keyboard

    def tab_to(name: str) -> None:
        for _ in range(20):
            keys.press("Tab")
            if (
                page.evaluate("(document.activeElement.id || document.activeElement.innerText || '').trim()")
                == name
            ):
                return
        raise AssertionError(f"no key leads to {name}")

    tab_to("password")
    keys.type(NEW)
    go_on(page, lambda: keys.press("Enter"))
    page.wait_for_url("**/desk/second-factor/set-up")
    secret = page.locator("#secret").inner_text().replace(" ", "")
    tab_to("code")
    keys.type(code_at(secret, now()))
    go_on(page, lambda: keys.press("Enter"))
    expect(page.get_by_role("heading", name="Keep your recovery codes")).to_be_visible()
    tab_to("I have kept the codes, go on")
    go_on(page, lambda: keys.press("Enter"))
    page.wait_for_url("**/desk/queue")
    opened.close()


def test_everything_works_without_scripts(desk: Desk, chromium: Browser) -> None:
    """No page can say here that it has come: each step waits for what only the next page shows."""
    opened = context(desk, chromium, java_script_enabled=False)
    page = opened.new_page()
    page.goto("/desk")
    page.get_by_label("User name").fill("ada")
    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Code").wait_for()
    page.get_by_label("Code").fill(desk.code("ada"))
    page.get_by_role("button", name="Go on").click()
    expect(page.locator(".desk-nav")).to_be_visible()
    page.goto("/desk/staff")
    page.get_by_role("link", name="Mo Tester").click()
    expect(page.get_by_role("button", name="Save role and teams")).to_be_visible()
    page.get_by_label("Supervisor").check()
    page.get_by_role("button", name="Save role and teams").click()
    expect(page.locator(".desk-done")).to_contain_text("as shown here now")
    page.get_by_role("button", name="Make a new link").click()
    link = page.locator("#link-address").inner_text()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("User name")).to_be_visible()
    page.goto(link)
    page.get_by_label("New password").fill(NEW)
    page.get_by_role("button", name="Set the password").click()
    page.get_by_label("Code").wait_for()
    page.get_by_label("Code").fill(desk.code("mo"))
    page.get_by_role("button", name="Go on").click()
    expect(page).to_have_url(desk.base + "/desk/queue")
    expect(page.locator(".desk-header__who")).to_contain_text("Supervisor")
    opened.close()


def test_fields_say_what_browsers_may_fill_in(desk: Desk, chromium: Browser) -> None:
    opened = context(desk, chromium)
    page = opened.new_page()
    go(page, invite(desk))
    expect(page.locator("#password")).to_have_attribute("autocomplete", "new-password")
    expect(page.locator("input[autocomplete=username]")).to_have_value("new")
    page.get_by_role("textbox", name="New password").fill(NEW)
    go_on(page, page.get_by_role("button", name="Set the password").click)
    expect(page.locator("#code")).to_have_attribute("autocomplete", "one-time-code")
    expect(page.locator("#code")).to_have_attribute("inputmode", "numeric")
    opened.close()
