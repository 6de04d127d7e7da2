"""The desk in a real browser: two moderators, the alarm, the lock, a lost connection, the keyboard."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from playwright.sync_api import Error as PlaywrightError

from bot.store.tables import Draft
from tests.console.serving import PASSWORD, Desk
from tests.console.test_two_people import column
from tests.support.browser import axe, eventually, go, go_on, lock_is, sideways, working
from tests.support.browser import chromium as running_chromium
from tests.support.world import P1, P2_HIDDEN, P3

pytestmark = pytest.mark.e2e

HEARD_SECONDS = 60.0
TWO_ROUNDS = "() => new Promise((done) => setTimeout(done, 6500))"
"""Two rounds of the alarm by the page's own clock: however slow the page is, its alarm was due before."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


class Desktop:
    """One member of staff at one browser; whatever the page complains of is remembered."""

    def __init__(self, desk: Desk, chromium: Browser, username: str, width: int = 1280) -> None:
        self.desk = desk
        self.complaints: list[str] = []
        self.context: BrowserContext = chromium.new_context(
            viewport={"width": width, "height": 900}, base_url=desk.base
        )
        self.page = self.tab()
        go(self.page, "/desk")
        enter(desk, self.page, username)

    def tab(self) -> Page:
        """One more page of this browser."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self._said(said.type, said.text))
        return page

    def _said(self, kind: str, text: str) -> None:
        if "Content Security Policy" in text or (kind == "error" and "selector" in text):
            self.complaints.append(text)

    def close(self) -> None:
        """End it. What a test put in the way of requests goes first: it must not outlive the pages."""
        for page in self.context.pages:
            page.unroute_all(behavior="ignoreErrors")
        self.context.unroute_all(behavior="ignoreErrors")
        self.context.close()


def enter(desk: Desk, page: Page, username: str) -> None:
    """Sign in where the page asks for it, and wait until the first page works."""
    page.get_by_label("User name").fill(username)
    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    go_on(page, page.get_by_role("button", name="Sign in").click)
    page.get_by_label("Code").fill(desk.code(username))
    go_on(page, page.get_by_role("button", name="Go on").click)


@pytest.fixture
def open_desktop(desk: Desk, chromium: Browser) -> Iterator[Any]:
    """Opens browsers; at the end none may have complained."""
    opened: list[Desktop] = []

    def open_one(username: str, width: int = 1280) -> Desktop:
        opened.append(Desktop(desk, chromium, username, width))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()
    assert [complaint for one in opened for complaint in one.complaints] == []


def beeps(page: Page) -> int:
    return int(page.evaluate("Number(document.body.dataset.beeps || 0)"))


def heard(page: Page, times: int) -> None:
    """Wait until the alarm has sounded so often; turn the sound on where the browser waits for that."""
    until = time.monotonic() + HEARD_SECONDS
    while beeps(page) < times:
        assert time.monotonic() < until, "the alarm was not heard"
        # It may go by itself just before the click: any touch of the page turns the sound on.
        with contextlib.suppress(PlaywrightError):
            if page.locator("#sound-on").is_visible():
                page.locator("#sound-on").click(timeout=1000)
        page.wait_for_timeout(250)


def claimed(page: Page, chat: int) -> None:
    """Take a chat, and wait until somebody can type."""
    go(page, f"/desk/c/{chat}")
    go_on(page, page.get_by_role("button", name="Take this chat").click)
    expect(page.locator("#text")).to_be_enabled()


def unfold(page: Page) -> None:
    """Open all that is folded at once: one click after the other would meet what the first has brought."""
    page.locator("main details").evaluate_all("all => all.forEach((one) => { one.open = true; })")


def test_two_moderators_see_each_others_work_at_once(desk: Desk, open_desktop: Any) -> None:
    row = desk.say(P3)
    mo, jo = open_desktop("mo").page, open_desktop("jo").page
    expect(mo.get_by_text(row.reference).first).to_be_visible()
    go(jo, f"/desk/c/{row.id}")
    claimed(mo, row.id)

    expect(jo.get_by_text("Mo Tester has this chat.")).to_be_visible()
    mo.locator("#text").fill("Hello, this is the desk.")
    mo.keyboard.press("Control+Enter")
    expect(mo.locator("#text")).to_have_value("")
    expect(jo.locator(".desk-line--staff")).to_contain_text("Hello, this is the desk.")
    desk.say("thank you so much")
    expect(mo.locator(".desk-line--person").last).to_contain_text("thank you so much")
    expect(mo.locator("#news")).to_have_text("A new message from the person.")

    go(jo, "/desk/queue")
    expect(jo.get_by_role("heading", name="With somebody else (1)")).to_be_visible()
    other = desk.say("my car was stolen last week", "bob")
    expect(jo.locator("#news")).to_have_text("A new chat is waiting. 1 in the queue.")
    expect(jo.locator(f"#row-{other.id}")).to_be_visible()


def test_the_loser_of_a_claim_reads_who_has_it(desk: Desk, open_desktop: Any) -> None:
    row = desk.say(P3)
    mo, jo = open_desktop("mo").page, open_desktop("jo").page
    go(jo, f"/desk/c/{row.id}")
    expect(jo.get_by_role("button", name="Take this chat")).to_be_visible()
    jo.route("**/live*", lambda route: route.abort())
    claimed(mo, row.id)
    jo.get_by_role("button", name="Take this chat").click()
    expect(jo.get_by_role("alert")).to_have_text("Mo Tester has this chat.")


def test_a_p1_is_seen_heard_and_acknowledged(desk: Desk, open_desktop: Any) -> None:
    mo = open_desktop("mo").page
    expect(mo.get_by_text("Nobody is waiting.")).to_be_visible()
    row = desk.say(P1)

    expect(mo.locator(".desk-alarm")).to_contain_text("P1: 1 chat needs a person now")
    expect(mo).to_have_title("P1 ALARM (1) – Queue – Northumbria Police")
    assert P1 not in mo.title()
    heard(mo, 2)

    working(mo)
    mo.get_by_role("button", name=f"Acknowledge {row.reference}").click()
    expect(mo.locator(".desk-alarm")).to_have_count(0)
    expect(mo).to_have_title("Queue – Northumbria Police")
    expect(mo.get_by_text("Seen and still waiting")).to_be_visible()
    assert [one.actor for one in desk.audit("acknowledge")] == ["Mo Tester"]
    working(mo)
    lock_is(mo, "desk-sound", held=False)
    before = beeps(mo)
    mo.evaluate(TWO_ROUNDS)
    assert beeps(mo) == before


def test_an_alarm_rings_on_when_the_answer_to_the_next_look_is_broken(desk: Desk, open_desktop: Any) -> None:
    """Whatever stands between may answer with a page of its own."""
    one = open_desktop("mo")
    mo = one.page
    desk.say(P1)
    expect(mo.locator(".desk-alarm")).to_contain_text("P1: 1 chat needs a person now")
    heard(mo, 1)
    mo.route("**/desk/alarms*", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"))
    with mo.expect_response("**/desk/alarms*") as answered:
        mo.evaluate("htmx.trigger(document.body, 'desk:refresh')")
    assert answered.value.status == 502
    before = beeps(mo)
    heard(mo, before + 1)
    expect(mo.locator(".desk-alarm")).to_contain_text("P1: 1 chat needs a person now")
    expect(mo).to_have_title("P1 ALARM (1) – Queue – Northumbria Police")
    assert mo.get_by_text("Bad Gateway").count() == 0
    mo.unroute("**/desk/alarms*")
    mo.evaluate("htmx.trigger(document.body, 'desk:refresh')")
    one.complaints[:] = [told for told in one.complaints if "502" not in told]
    working(mo)


def test_nobody_types_while_the_page_is_not_connected(desk: Desk, open_desktop: Any) -> None:
    row = desk.say(P3)
    one = open_desktop("mo")
    page = one.page
    claimed(page, row.id)
    page.locator("#text").fill("half typed")
    eventually(page, lambda: column(desk, Draft.text) == ["half typed"], "the text was not kept")
    # The session's stream is cut: as a lost network does, and the server is not reachable for a while.
    one.context.set_offline(True)
    desk.run(_drop_streams(desk))
    expect(page.locator("#text")).to_be_disabled()
    expect(page.locator("#composer-reason")).to_contain_text("You cannot type")
    desk.say("are you there?")
    one.context.set_offline(False)

    expect(page.locator("#text")).to_be_enabled()
    assert "are you there?" in page.locator("#transcript").inner_text()
    expect(page.locator("#text")).to_have_value("half typed")


async def _drop_streams(desk: Desk) -> None:
    """Close every open connection to the desk, as a failing network would."""
    for connection in list(desk.server.connections):
        connection.transport.abort()


def test_the_tabs_of_a_browser_share_one_stream(desk: Desk, open_desktop: Any) -> None:
    one = open_desktop("mo")
    second, third = one.tab(), one.tab()
    for page in (second, third):
        go(page, "/desk/queue")
    row = desk.say(P3)
    for page in (one.page, second, third):
        expect(page.locator(f"#row-{row.id}")).to_be_visible()
    eventually(one.page, lambda: desk.streams() == 1, "there are several streams")


def test_the_idle_lock_hides_the_page_and_keeps_the_draft(desk: Desk, open_desktop: Any) -> None:
    row = desk.say(P3)
    page = open_desktop("mo").page
    page.clock.install()
    claimed(page, row.id)
    page.locator("#text").press_sequentially("I was about to say")
    page.clock.fast_forward("16:00")
    page.wait_for_url(re.compile("/desk/locked"))
    heading = page.get_by_role("heading", name="The desk is locked")
    expect(heading).to_be_visible()
    assert P3 not in page.content()
    page.go_back()
    expect(heading).to_be_visible()
    working(page)
    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    go_on(page, page.get_by_role("button", name="Unlock").click)
    go(page, f"/desk/c/{row.id}")
    expect(page.locator("#text")).to_have_value("I was about to say")


def test_text_survives_the_loss_of_the_chat(desk: Desk, open_desktop: Any) -> None:
    row = desk.say(P3)
    mo, sue = open_desktop("mo").page, desk.browser("sue")
    claimed(mo, row.id)
    mo.locator("#text").fill("my long reply")
    assert sue.do(row, "take-over").status_code == 204
    expect(mo.locator("#kept-text")).to_have_value("my long reply")
    expect(mo.locator("#text")).to_have_count(0)


def test_the_keyboard_reaches_everything(desk: Desk, open_desktop: Any) -> None:
    first, second = desk.say(P1, "ann"), desk.say(P3, "bob")
    page = open_desktop("mo").page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to main content")).to_be_focused()
    page.keyboard.press("j")
    expect(page.locator(f"#row-{first.id}")).to_be_focused()
    page.keyboard.press("j")
    expect(page.locator(f"#row-{second.id}")).to_be_focused()
    desk.say("and another thing", "bob")
    expect(page.get_by_text("and another thing")).to_be_visible()
    working(page)
    expect(page.locator(f"#row-{second.id}")).to_be_focused()  # a refresh does not take the focus
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator(f"#row-{second.id}")).to_be_focused()
    go_on(page, lambda: page.keyboard.press("Enter"))
    page.wait_for_url(f"**/desk/c/{second.id}")
    go_on(page, lambda: page.keyboard.press("c"))
    page.wait_for_url("**done=claim")
    expect(page.locator("#text")).to_be_enabled()
    page.keyboard.press("r")
    expect(page.locator("#text")).to_be_focused()


def test_an_approved_answer_goes_into_the_reply(desk: Desk, open_desktop: Any) -> None:
    row = desk.say(P3)
    page = open_desktop("mo").page
    claimed(page, row.id)
    whole: list[Route] = []
    page.route(re.compile("/answers$"), lambda route: whole.append(route))
    page.get_by_text("Find an approved answer").click()
    eventually(page, lambda: bool(whole), "the whole list was not asked for")
    page.get_by_label("Words in the answer").fill("101 wait")
    expect(page.get_by_role("button", name="Put into the reply").first).to_be_visible()
    # The whole list comes after what was looked for, and does not take its place: it has groups to unfold.
    whole[0].continue_()
    working(page)
    expect(page.locator("#answers details")).to_have_count(0)
    page.get_by_role("button", name="Put into the reply").first.click()
    expect(page.locator("#text")).to_have_value(re.compile(".{30,}", re.DOTALL))


@pytest.mark.parametrize("width", [320, 1400])
def test_axe_finds_nothing_and_nothing_overflows(desk: Desk, open_desktop: Any, width: int) -> None:
    """320 CSS pixels are a window of 1280 at 400 % zoom."""
    p1 = desk.say(P1, "ann")
    hidden = desk.say(P2_HIDDEN, "cas")
    plain = desk.say("how long is the wait for 101", "dan")
    sue = open_desktop("sue", width)
    page = sue.page
    expect(page.locator(".desk-alarm")).to_be_visible()
    problems: list[Any] = []

    def look(name: str) -> None:
        working(page)
        problems.extend((name, *found) for found in axe(page))
        problems.extend((name, wide) for wide in sideways(page))

    look("queue with an alarm")
    go(page, f"/desk/c/{hidden.id}")
    look("waiting chat")
    claimed(page, hidden.id)
    sue.desk.browser("sue").do(hidden, "note", note="A note.")
    expect(page.locator(".desk-line--note")).to_be_visible()
    page.locator("#text").fill("Hello")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#text")).to_have_value("")
    expect(page.locator(".desk-line--staff")).to_be_visible()
    working(page)
    unfold(page)
    expect(page.locator("#answers details").first).to_be_visible()
    page.get_by_label("Words in the answer").fill("101")
    expect(page.locator("#answers details")).to_have_count(0)
    expect(page.get_by_role("button", name="Put into the reply").first).to_be_visible()
    look("owned chat, all open")
    page.get_by_role("button", name="Close the chat").click()
    expect(page.locator("#problem").get_by_role("alert")).to_be_visible()
    look("refusal")
    for path in (
        "/desk/queue",
        "/desk/recent",
        "/desk/recent?state=closed",
        f"/desk/c/{plain.id}",
        "/desk/c/999",
    ):
        go(page, path)
        look(path)
    go(page, f"/desk/c/{p1.id}")
    go_on(page, page.get_by_role("button", name="Lock").click)
    expect(page.get_by_role("heading", name="The desk is locked")).to_be_visible()
    look("locked")
    page.get_by_role("textbox", name="Password").fill("wrong wrong wrong")
    go_on(page, page.get_by_role("button", name="Unlock").click)
    look("locked, refused")
    go_on(page, page.get_by_role("button", name="Sign out").click)
    look("sign-in")
    go_on(page, page.get_by_role("button", name="Sign in").click)
    look("sign-in, refused")
    cam = open_desktop("cam", width)
    page = cam.page
    look("plain page")

    assert problems == []
