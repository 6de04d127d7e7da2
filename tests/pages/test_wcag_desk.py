"""WCAG 2.2 on the desk, as far as a machine can tell. docs/accessibility lists the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.console.serving import PASSWORD, TEAMS, Desk, serving
from tests.pages import wcag
from tests.support.browser import follow, go, go_on, working
from tests.support.databases import SqliteTemplates
from tests.support.world import P1, P3

pytestmark = pytest.mark.e2e

OpenDesk = Callable[..., Page]


@pytest.fixture
def desk(sqlite_templates: SqliteTemplates) -> Iterator[Desk]:
    """A desk with its staff and two chats that wait."""
    url = sqlite_templates.fresh()
    with serving(url) as served:
        served.hire(*TEAMS)
        served.say(P1, "ann")
        served.say(P3, "bob")
        yield served
    sqlite_templates.drop(url)


@pytest.fixture
def open_desk(desk: Desk, browser: Browser) -> Iterator[OpenDesk]:
    """Opens a browser, signed in unless `username` is None. Options are those of a browser context."""
    opened: list[BrowserContext] = []

    def open_one(username: str | None = "mo", width: int = 1280, height: int = 800, **options: Any) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, base_url=desk.base, **options
        )
        context.set_default_timeout(30_000)
        opened.append(context)
        page = context.new_page()
        page.goto("/desk")
        if username is not None:
            page.get_by_label("User name").fill(username)
            page.get_by_role("textbox", name="Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            give_code(desk, page, username)
            expect(page.locator("#alarms")).to_contain_text("P1")
            working(page)
        return page

    yield open_one
    for context in opened:
        context.close()


def give_code(desk: Desk, page: Page, username: str, *, paste: bool = False) -> None:
    """The second step of a sign-in."""
    page.wait_for_url("**/desk/second-factor*")
    code = page.get_by_label("Code")
    assert code.get_attribute("autocomplete") == "one-time-code"
    digits = desk.code(username)
    if paste:
        put_in(page, code, digits)
    else:
        code.fill(digits)
    page.get_by_role("button", name="Go on").click()
    page.wait_for_url("**/desk/queue")


def put_in(page: Page, field: Locator, text: str) -> None:
    """Paste, as a password manager's user does."""
    page.evaluate("(text) => navigator.clipboard.writeText(text)", text)
    field.focus()
    page.keyboard.press("Control+V")
    expect(field).to_have_value(text)


def chat_of(desk: Desk, page: Page, person: str) -> None:
    """Open a chat and take it, so that all its forms are there."""
    go(page, f"/desk/c/{desk.chat(person).id}")
    go_on(page, page.get_by_role("button", name="Take this chat").click)
    expect(page.locator("#text")).to_be_enabled()


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (640, 400), (320, 256)])
def test_the_desk_keeps_its_words_when_zoomed_and_spaced(
    desk: Desk, open_desk: OpenDesk, width: int, height: int
) -> None:
    """1.4.4, 1.4.10 and 1.4.12; 640 by 400 is 200 %, 320 by 256 is 400 %."""
    page = open_desk("mo", width, height, bypass_csp=True)

    def look() -> None:
        assert wcag.sideways(page) == []
        assert wcag.lost_text(page) == []
        wcag.widen_text(page)
        assert wcag.sideways(page) == []
        assert wcag.lost_text(page) == []

    look()
    chat_of(desk, page, "bob")
    look()
    go(page, "/desk/recent")
    look()
    follow(page, page.get_by_role("button", name="Sign out").click)
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    look()


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (320, 640)])
def test_the_focus_is_seen_and_never_covered(
    desk: Desk, open_desk: OpenDesk, width: int, height: int
) -> None:
    """2.4.3, 2.4.7, 2.4.11 and 2.1.2 on the sign-in, the queue and a chat."""
    page = open_desk("mo", width, height)
    stops, wrong = wcag.focus_walk(page)
    assert wrong == []
    assert "govuk-skip-link" in stops[0]["html"]
    assert len(stops) > 8
    chat_of(desk, page, "bob")
    stops, wrong = wcag.focus_walk(page)
    assert wrong == []
    assert any('id="text"' in stop["html"] for stop in stops)
    follow(page, page.get_by_role("button", name="Sign out").click)
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    stops, wrong = wcag.focus_walk(page)
    assert wrong == []
    assert len(stops) >= 4


@pytest.mark.parametrize("width", [1280, 320])
def test_all_targets_can_be_hit(desk: Desk, open_desk: OpenDesk, width: int) -> None:
    """2.5.8."""
    page = open_desk("mo", width, 640)
    assert wcag.small_targets(page) == []
    chat_of(desk, page, "bob")
    assert wcag.small_targets(page) == []
    follow(page, page.get_by_role("button", name="Sign out").click)
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert wcag.small_targets(page) == []


def test_a_password_may_be_pasted_and_filled_in_by_a_manager(desk: Desk, open_desk: OpenDesk) -> None:
    """3.3.8: signing in asks nobody to remember or to type."""
    page = open_desk(None, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_label("User name").fill("mo")
    password = page.get_by_role("textbox", name="Password")
    assert password.get_attribute("autocomplete") == "current-password"
    assert page.get_by_label("User name").get_attribute("autocomplete") == "username"
    put_in(page, password, PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    give_code(desk, page, "mo", paste=True)


def test_colours_of_the_readers_own_choice_keep_the_shapes(desk: Desk, open_desk: OpenDesk) -> None:
    """Forced colours: the focus stays marked and buttons keep an edge."""
    page = open_desk("mo", forced_colors="active")
    _, wrong = wcag.focus_walk(page)
    assert wrong == []
    chat_of(desk, page, "bob")
    _, wrong = wcag.focus_walk(page)
    assert wrong == []
    for button in page.locator("button.govuk-button:visible").all():
        edge = button.evaluate(
            "(e) => parseFloat(getComputedStyle(e).borderTopWidth) + parseFloat(getComputedStyle(e).outlineWidth)"
        )
        assert edge > 0


def test_nothing_moves_where_it_is_not_wanted(desk: Desk, open_desk: OpenDesk) -> None:
    """prefers-reduced-motion, with an alarm on the page (2.2.2, 2.3.1)."""
    page = open_desk("mo", reduced_motion="reduce")
    moving = page.evaluate(
        "[...document.querySelectorAll('*')].filter((e) => getComputedStyle(e).animationName !== 'none')"
        ".map((e) => e.outerHTML.slice(0, 80))"
    )
    assert moving == []


def test_what_changes_by_itself_is_told(desk: Desk, open_desk: OpenDesk) -> None:
    """4.1.3: an alarm is an alert, a new chat and the connection are statuses, and the focus stays."""
    page = open_desk("mo")
    expect(page.locator("#told-now")).to_contain_text("P1: 1 chat needs a person now")
    expect(page.locator("#told-now")).to_have_attribute("aria-live", "assertive")
    expect(page.locator("#link")).to_have_attribute("role", "status")
    first = page.locator("#main-content a").first
    first.focus()
    desk.say("my car was stolen last week", "cas")
    expect(page.locator("#news")).to_contain_text("A new chat is waiting")
    expect(first).to_be_focused()
    live = page.locator("#news").evaluate("(e) => e.getAttribute('role') || e.getAttribute('aria-live')")
    assert live in ("status", "polite")


def test_single_keys_can_be_turned_off(desk: Desk, open_desk: OpenDesk) -> None:
    """2.1.4."""
    page = open_desk("mo")
    page.keyboard.press("j")
    expect(page.locator(".desk-row__link:focus")).to_have_count(1)
    page.locator("#keys-open").click()
    page.get_by_label("Use shortcuts").uncheck()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.locator("#main-content").focus()
    page.keyboard.press("j")
    page.wait_for_timeout(200)
    assert page.evaluate("!document.activeElement.closest('.desk-row')")
    go(page, "/desk/queue")
    page.keyboard.press("?")
    page.wait_for_timeout(200)
    expect(page.get_by_role("dialog")).to_be_hidden()
