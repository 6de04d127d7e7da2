"""The desk as one lives with it: keys, dark, notices, what a screen reader is told, and a long shift."""

# ruff: noqa: F811  a fixture that a test asks for by its name is not defined anew

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import CDPSession, Page, expect
from sqlalchemy import delete, insert

from bot.store.record import add_event, now
from bot.store.tables import Label, Staff
from tests.console.serving import Desk
from tests.console.test_browser import (  # noqa: F401  fixtures
    Desktop,
    chromium,
    claimed,
    enter,
    open_desktop,
)
from tests.support.browser import PATIENCE_MS, axe, go, go_on, lock_is, sideways, working
from tests.support.world import P1, P3

pytestmark = pytest.mark.e2e

OpenDesktop = Callable[..., Desktop]
ROUNDS = 40
EARLY = 10
"""After so many rounds the page has been read anew often enough: from here on it may not grow."""


def listed(page: Page) -> dict[str, str]:
    """The keys that the list shows on this page, and what it says of them."""
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    rows = page.locator("#keys dt").evaluate_all(
        "all => all.map(dt => [[...dt.querySelectorAll('kbd')].map(k => k.textContent).join('+'), dt.nextElementSibling.textContent])"
    )
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    assert len({key for key, _ in rows}) == len(rows), "a key stands twice on one page"
    return dict(rows)


# ---- keys ----------------------------------------------------------------------------------------


def test_every_key_that_the_list_shows_does_what_it_says(desk: Desk, open_desktop: OpenDesktop) -> None:
    first, second = desk.say(P1, "ann"), desk.say(P3, "bob")
    page = open_desktop("mo").page
    keys = page.keyboard
    expect(page.locator("#alarms a").first).to_be_visible()
    page.locator("h1").click()
    tried = {"?", "Enter"}

    def press(key: str) -> None:
        tried.add(key)
        keys.press(key)

    shown = listed(page)
    press("j")
    expect(page.locator(f"#row-{first.id}")).to_be_focused()
    press("j")
    expect(page.locator(f"#row-{second.id}")).to_be_focused()
    press("x")
    expect(page.locator(f"#choose-{second.id}")).to_be_checked()
    press("k")
    expect(page.locator(f"#row-{first.id}")).to_be_focused()
    press("a")
    expect(page.locator(f"#alarm-{first.id}")).to_be_focused()
    press("f")
    expect(page.get_by_label("Grade", exact=True)).to_be_focused()
    keys.press("j")  # a field that is typed in: no key of ours
    expect(page.get_by_label("Grade", exact=True)).to_be_focused()
    page.locator("h1").click()
    press("h")
    expect(page.get_by_label("To team")).to_be_focused()
    page.locator("h1").click()
    go_on(page, lambda: press("/"))
    page.wait_for_url("**/desk/find")
    keys.press("/")
    expect(page.get_by_label("Words")).to_be_focused()
    keys.type("jk?")
    expect(page.get_by_label("Words")).to_have_value("jk?")
    go(page, "/desk/queue")
    for number, path in enumerate(
        ("queue", "recent", "recent?state=closed", "find", "knowledge", "settings"), 1
    ):
        go_on(page, lambda number=number: press(str(number)))  # type: ignore[misc]
        assert page.url.endswith(f"/desk/{path}")
    go(page, "/desk/queue")
    keys.press("j")
    expect(page.locator(f"#row-{first.id}")).to_be_focused()
    go_on(page, lambda: press("c"))
    page.wait_for_url(f"**/desk/c/{first.id}?done=claim")
    go(page, "/desk/queue")
    go_on(page, lambda: press("n"))
    page.wait_for_url(f"**/desk/c/{second.id}?done=claim")
    tried.add("Shift+L")
    assert set(shown) == tried, "a key that the list shows was not tried, or is not shown"


def test_the_keys_of_a_chat_do_what_they_say(desk: Desk, open_desktop: OpenDesktop) -> None:
    row = desk.say(P3)
    page = open_desktop("mo").page
    go(page, f"/desk/c/{row.id}")
    keys = page.keyboard
    assert listed(page)["c"] == "Take this chat"
    assert "r" not in listed(page)
    go_on(page, lambda: keys.press("c"))
    expect(page.locator("#text")).to_be_enabled()
    shown = listed(page)
    assert "c" not in shown

    boxes = {
        "p": "#note",
        "l": "#label",
        "t": "#team",
        "g": "#grade",
        "z": "#length",
        "e": "#outcome",
        "i": "#q",
    }
    for key, field in boxes.items():
        page.locator("h1").click()
        keys.press(key)
        expect(page.locator(field)).to_be_focused()
    page.locator("h1").click()
    keys.press("m")
    expect(page.locator("#transcript")).to_be_focused()
    keys.press("r")
    expect(page.locator("#text")).to_be_focused()
    keys.type("Hello, are you well? jcr")
    expect(page.locator("#text")).to_have_value("Hello, are you well? jcr")
    keys.press("Escape")
    expect(page.locator("#transcript")).to_be_focused()
    keys.press("r")
    expect(page.locator("#text")).to_be_focused()
    keys.press("Control+Enter")
    # The composer comes anew, empty and with the focus: before that every letter would go into it.
    expect(page.locator("#text")).to_have_value("")
    expect(page.locator("#text")).to_be_focused()
    expect(page.locator(".desk-line--staff")).to_contain_text("are you well")
    working(page)
    page.locator("h1").click()
    expect(page.locator("#text")).not_to_be_focused()
    go_on(page, lambda: keys.press("u"))
    expect(page.get_by_role("heading", name="Queue", exact=True)).to_be_visible()
    go_on(page, lambda: keys.press("Shift+L"))
    expect(page.get_by_role("heading", name="The desk is locked")).to_be_visible()
    everywhere = {"?", "/", "Shift+L", "1", "2", "3", "4", "5", "6"}
    assert set(shown) - everywhere == {*boxes, "m", "r", "u", "Escape", "Ctrl+Enter"}


def test_keys_are_turned_off_by_each_person_and_stay_off(desk: Desk, open_desktop: OpenDesktop) -> None:
    desk.say(P3)
    one = open_desktop("mo")
    page = one.page
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert axe(page) == []
    page.get_by_label("Use shortcuts").uncheck()
    page.get_by_role("button", name="Close this list").press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()
    go(page, "/desk/settings")
    expect(page.get_by_label("Use single keys")).not_to_be_checked()
    page.evaluate("window.stillHere = true")
    page.keyboard.press("1")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("button", name="Show all keys of this page").press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert page.evaluate("window.stillHere"), "a key that is turned off led elsewhere"
    # Somebody else at the same browser has not turned them off.
    go_on(page, page.get_by_role("button", name="Sign out").click)
    enter(desk, page, "jo")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()


# ---- dark ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [320, 1400])
def test_axe_finds_nothing_in_the_dark(desk: Desk, open_desktop: OpenDesktop, width: int) -> None:
    p1, p3 = desk.say(P1, "ann"), desk.say(P3, "bob")
    desk.say("how long is the wait for 101", "cas")
    page = open_desktop("sue", width).page
    problems: list[Any] = []

    def look(name: str) -> None:
        working(page)
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert max(map(int, ground[4:-1].split(","))) < 60, (name, ground)
        problems.extend((name, *found) for found in axe(page))
        problems.extend((name, wide) for wide in sideways(page))

    page.emulate_media(color_scheme="dark")
    expect(page.locator(".desk-alarm")).to_be_visible()
    look("queue, as the device is set")
    page.emulate_media(color_scheme="light")
    go(page, "/desk/settings")
    page.get_by_role("radio", name="Dark").check()
    go_on(page, page.get_by_role("button", name="Keep this look").click)
    look("settings")
    claimed(page, p3.id)
    page.locator("#text").fill("We will catch him. Ring 07700 900123.")
    expect(page.locator("#writing mark").first).to_be_visible()
    for name in ("Close with an outcome", "Add a private note", "Note a call back", "Block this person"):
        page.locator("#actions summary", has_text=name).click()
    look("chat")
    for path in (
        f"/desk/c/{p1.id}", "/desk/find", "/desk/overview", "/desk/figures", "/desk/recent", "/desk/staff",
        "/desk/alarm-paths", "/desk/account", "/desk/end-shift", "/desk/samples", "/desk/reviews",
    ):  # fmt: skip
        go(page, path)
        look(path)
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    look("the list of keys")
    page.keyboard.press("Escape")
    go_on(page, page.get_by_role("button", name="Sign out").click)
    look("sign-in")
    go_on(page, page.get_by_role("button", name="Sign in").click)
    look("sign-in, refused")
    assert problems == []


def test_a_dark_page_is_dark_before_any_script_and_light_on_paper(
    desk: Desk, open_desktop: OpenDesktop
) -> None:
    one = open_desktop("mo")
    go(one.page, "/desk/settings")
    one.page.get_by_role("radio", name="Dark").check()
    go_on(one.page, one.page.get_by_role("button", name="Keep this look").click)
    one.context.route("**/*.js", lambda route: route.abort())
    page = one.context.new_page()
    page.goto("/desk/queue")  # it never works: it has no scripts
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(20, 24, 28)"
    page.emulate_media(media="print")
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    one.context.unroute("**/*.js")


# ---- notices -------------------------------------------------------------------------------------

NOTICES = """(() => {
  window.notices = [];
  const Real = window.Notification;
  window.Notification = class extends Real {
    constructor(title, options) { super(title, options); window.notices.push([title, options.body]); }
  };
})()"""
"""Remembers what the browser is asked to show."""
AWAY = """(away) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => away });
  document.hasFocus = () => !away;
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def look_away(page: Page, away: bool) -> None:
    """Look at something else than the only page of this browser, or come back to it."""
    page.evaluate(AWAY, away)
    lock_is(page, "desk-front", held=not away)


def test_notices_are_asked_for_by_hand_and_tell_no_more_than_the_grade(
    desk: Desk, open_desktop: OpenDesktop
) -> None:
    one = open_desktop("mo")
    one.context.grant_permissions(["notifications"], origin=desk.base)
    one.context.add_init_script(NOTICES)
    page = one.page
    go(page, "/desk/settings")
    expect(page.locator("#notices-state")).to_have_text("Notices are off in this browser.")
    look_away(page, True)
    desk.say(P3, "ann", name="Ann Other")
    expect(page).to_have_title("(1) Settings – Northumbria Police")
    expect(page.locator("#strip-words")).to_have_text("A new chat waits, grade P3.")

    look_away(page, False)
    expect(page).to_have_title("Settings – Northumbria Police")
    page.get_by_label("A soft sound").check()
    # It sounds once as it is turned on, as soon as the browser can, and then not for a moment.
    page.wait_for_function("() => document.body.dataset.softly === '1'")
    page.get_by_role("button", name="Turn notices on").click()
    expect(page.locator("#notices-state")).to_have_text("Notices are on in this browser.")
    assert axe(page) == []
    look_away(page, True)
    desk.say(P1, "bob", name="Bob Other")
    page.wait_for_function("() => window.notices.length > 0")
    desk.say("the officer punched me, quillwort", "cas")
    lock_is(page, "desk-soft", held=False)
    desk.say("my car was stolen last week", "dan")
    page.wait_for_function("() => window.notices.length > 1")
    page.wait_for_function("() => document.body.dataset.softly === '2'")
    expect(page).to_have_title("P1 ALARM (1) – Settings – Northumbria Police")
    # None while they were off, and none of the chat that is sealed.
    assert page.evaluate("window.notices") == [
        ["Digital desk", "A new chat waits, grade P1."],
        ["Digital desk", "A new chat waits, grade P3."],
    ]
    look_away(page, False)


# ---- what a screen reader is told ----------------------------------------------------------------

WATCH = """() => {
  window.said = [];
  for (const id of ["told", "told-now", "news"]) {
    const region = document.getElementById(id);
    if (!region) continue;
    new MutationObserver(() => { if (region.textContent) window.said.push([id, region.textContent]); })
      .observe(region, { childList: true, characterData: true, subtree: true });
  }
}"""
ALARMS = """() => {
  window.alarms = 0;
  document.body.addEventListener("htmx:afterSettle", (event) => { if (event.target.id === "alarms") window.alarms += 1; });
}"""
"""Counts how often that part of the page came anew."""
ALARMS_ANEW = """() => {
  document.getElementById("alarms-mark").value = "";
  htmx.trigger(document.body, "desk:refresh");
  return window.alarms;
}"""
"""Makes the page read its alarms once more, as if it showed none."""


def test_a_p1_is_told_at_once_and_once_and_the_rest_politely(desk: Desk, open_desktop: OpenDesktop) -> None:
    page = open_desktop("sue").page
    text = page.request.get("/desk/queue").text()
    assert 'id="told-now" aria-live="assertive"' in text
    assert 'id="told" aria-live="polite"' in text
    page.evaluate(WATCH)
    one = desk.say(P3, "ann")
    expect(page.locator("#news")).to_have_text("A new chat is waiting. 1 in the queue.")
    desk.say(P1, "bob")
    now = page.locator("#told-now")
    expect(now).to_have_text("P1: 1 chat needs a person now")
    # What else changes in that part of the page does not say it again.
    desk.browser("mo").do(one, "claim", epoch=one.epoch)
    expect(page.get_by_role("heading", name="With somebody else (1)")).to_be_visible()
    page.evaluate(ALARMS)
    for _ in range(3):
        working(page)
        before = page.evaluate(ALARMS_ANEW)
        page.wait_for_function("(before) => window.alarms > before", arg=before)
    desk.say(P1, "cas")
    expect(now).to_have_text("P1: 2 chats need a person now")
    said = [words for region, words in page.evaluate("window.said") if region == "told-now"]
    assert said == ["P1: 1 chat needs a person now", "P1: 2 chats need a person now"]
    assert not [words for region, words in page.evaluate("window.said") if region == "told" and "P1" in words]

    go(page, "/desk/overview")
    desk.say("my car was stolen last week", "dan")
    expect(page.locator("#told")).to_contain_text("A new chat waits, grade P3.")
    page.get_by_role("button", name="Hide").click()
    expect(page.locator("#strip")).to_be_hidden()
    expect(page.locator("#main-content")).to_be_focused()


def test_the_desk_says_so_before_it_locks_by_itself(desk: Desk, open_desktop: OpenDesktop) -> None:
    one = open_desktop("mo")
    page = one.page
    page.clock.install()
    go(page, "/desk/queue")
    expect(page.locator("#idle")).to_be_hidden()
    # The clock runs on: most of the last minute is left for a machine that stands still.
    page.clock.fast_forward("14:03")
    expect(page.locator("#idle")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="The desk locks in a minute.")).to_be_visible()
    page.keyboard.press("Shift")
    expect(page.locator("#idle")).to_be_hidden()
    page.clock.fast_forward("15:30")
    expect(page.get_by_role("heading", name="The desk is locked")).to_be_visible()


# ---- a long shift --------------------------------------------------------------------------------

Counts = dict[str, float]


def counts(page: Page, cdp: CDPSession) -> Counts:
    """What the page holds after its rubbish was taken out."""
    working(page)
    for _ in range(2):
        cdp.send("HeapProfiler.collectGarbage")
    found = {one["name"]: one["value"] for one in cdp.send("Performance.getMetrics")["metrics"]}
    return {name: found[name] for name in ("Nodes", "JSEventListeners", "Documents")}


def counts_once(page: Page, cdp: CDPSession, is_so: Callable[[Counts], bool]) -> Counts:
    """The counts once they are so, or the last ones of a page that never comes to it.

    A document that an answer was read into lives on for a while, and so do its nodes.
    """
    until = time.monotonic() + PATIENCE_MS / 1000
    while not is_so(found := counts(page, cdp)) and time.monotonic() < until:
        page.wait_for_timeout(500)
    return found


def steady(page: Page, cdp: CDPSession) -> Counts:
    """The counts once two in a row are the same."""
    before: list[Counts] = []

    def is_same(found: Counts) -> bool:
        before.append(found)
        return before[-2:-1] == [found]

    return counts_once(page, cdp, is_same)


def most(early: Counts) -> Counts:
    """What a page may hold that held so much early on."""
    return {
        "Nodes": early["Nodes"] * 1.25 + 300,
        "JSEventListeners": early["JSEventListeners"] * 1.25 + 60,
        "Documents": early["Documents"] + 1,
    }


def fits(found: Counts, limits: Counts) -> bool:
    return all(found[name] <= limit for name, limit in limits.items())


async def _tell(desk: Desk, chats: list[int], label: str, by: int) -> None:
    """Another label on each chat, told twice: a page that had nothing new to show would not come anew."""
    store = desk.gateway.core.store
    labels = [{"conversation_id": chat, "name": label, "at": now(), "by": by} for chat in chats]
    async with store.write() as connection:
        await connection.execute(delete(Label))
        await connection.execute(insert(Label), labels)
        for chat in chats * 2:
            await add_event(connection, chat, "label.changed")
    desk.gateway.core.bell.ring("event")


def test_a_page_that_stays_open_all_shift_does_not_grow(desk: Desk, open_desktop: OpenDesktop) -> None:
    """Thousands of events reach two pages, which read themselves anew each time."""
    chats = [desk.say(P3, f"person-{number}").id for number in range(25)]
    by = desk.rows(Staff)[0].id
    one = open_desktop("mo")
    queue, chat = one.page, one.tab()
    claimed(chat, chats[0])
    chats = chats[1:] + chats[:1]
    doors = []
    for page in (queue, chat):
        working(page)
        page.evaluate(
            "() => { window.read = 0; document.body.addEventListener('htmx:afterSettle', () => { window.read += 1; }); }"
        )
        cdp = one.context.new_cdp_session(page)
        cdp.send("Performance.enable")
        doors.append((page, cdp))
    early: list[Counts] = []
    for number in range(ROUNDS):
        if number == EARLY:
            early = [steady(page, cdp) for page, cdp in doors]
        before = [page.evaluate("window.read") for page, _ in doors]
        desk.run(_tell(desk, chats, f"round {number}", by))
        for (page, _), count in zip(doors, before, strict=True):
            page.wait_for_function("(count) => window.read > count", arg=count)
    for name, (page, cdp), was in zip(("queue", "chat"), doors, early, strict=True):
        limits = most(was)
        late = counts_once(page, cdp, lambda found, limits=limits: fits(found, limits))  # type: ignore[misc]
        assert fits(late, limits), (name, was, late)
