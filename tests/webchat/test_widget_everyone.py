"""The chat on another page for everybody: keyboard, screen readers, small windows, colours, movement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Frame, FrameLocator, Page, expect

from tests.support.browser import AXE, SETTLED, sideways
from tests.support.databases import SqliteTemplates
from tests.webchat.widgets import FOCUS, P1, Widget, ask, closed, ready, say, start, widget

pytestmark = pytest.mark.e2e

BUTTON = "front-counter-chat .open"
PANEL = "front-counter-chat .panel"
LOOKS: list[dict[str, Any]] = [
    {}, {"color_scheme": "dark"}, {"forced_colors": "active"}, {"forced_colors": "active", "color_scheme": "dark"},
]  # fmt: skip
NAMES = ["light", "dark", "contrast", "contrast-dark"]


@pytest.fixture
def on_host(sqlite_templates: SqliteTemplates, browser: Browser) -> Iterator[Widget]:
    """A gateway, and a host that is on its list."""
    url = sqlite_templates.fresh()
    with widget(url, browser) as found:
        yield found
    sqlite_templates.drop(url)


def inside(page: Page) -> Frame:
    """The document in the frame."""
    handle = page.locator("front-counter-chat iframe").element_handle()
    frame = handle.content_frame()
    assert frame is not None
    return frame


def problems(where: Page | Frame) -> list[tuple[str, str, str]]:
    """What axe-core finds in this document of every impact. The frame is asked by itself.

    In forced colours the device chooses every pair of colours: there is no contrast of ours to measure.
    """
    where.wait_for_load_state()
    where.evaluate(SETTLED)
    where.evaluate(AXE.read_text("utf-8"))
    found = where.evaluate(
        "async () => (await axe.run({ iframes: false, rules: { 'color-contrast': "
        "{ enabled: !matchMedia('(forced-colors: active)').matches } } })).violations"
    )
    return [(one["id"], one["impact"], one["nodes"][0]["html"][:200]) for one in found]


def everything(page: Page, on_host: Widget) -> FrameLocator:
    """Every kind of message, and the question whether to keep them."""
    chat = start(page)
    ask(chat)
    say(chat, P1)
    expect(chat.locator(".message--safety").first).to_be_visible()
    expect(chat.locator("#who")).to_contain_text("queue")
    expect(chat.locator("#keep")).to_be_visible()
    on_host.site.answer_as_staff("Hello. Call 999 if you can.")
    expect(chat.locator(".message--staff")).to_be_visible()
    return chat


class TestKeyboard:
    """Nothing needs a mouse."""

    @pytest.mark.parametrize(("width", "height"), [(1280, 800), (320, 640)])
    def test_goes_in_and_comes_back(self, on_host: Widget, width: int, height: int) -> None:
        """Tab to the button, Enter, write, Escape; and on from where it was."""
        page = on_host.visit("/", width, height)
        for _ in range(10):
            page.keyboard.press("Tab")
            if page.evaluate(FOCUS) == "open floats":
                break
        assert page.evaluate(FOCUS) == "open floats"
        assert page.locator(BUTTON).evaluate("(e) => getComputedStyle(e).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        chat = ready(page)
        expect(chat.locator("#text")).to_be_focused()
        page.keyboard.type("how long is the wait for 101")
        page.keyboard.press("Enter")
        expect(chat.locator(".message--assistant")).to_have_count(1)
        expect(chat.locator("#text")).to_be_focused()
        page.keyboard.press("Escape")
        closed(page)
        page.keyboard.press("Enter")
        expect(ready(page).locator("#veil-yes")).to_be_focused()

    def test_the_head_is_reached_and_pressed(self, on_host: Widget) -> None:
        """Leave and close stand before the chat; Escape works there too."""
        page = on_host.visit()
        chat = start(page)
        expect(chat.locator("#text")).to_be_focused()
        seen = []
        for _ in range(40):
            page.keyboard.press("Shift+Tab")
            seen.append(page.evaluate(FOCUS))
            if seen[-1] == "leave":
                break
        assert seen[-2:] == ["close", "leave"]
        page.keyboard.press("Escape")
        closed(page)

    def test_a_small_window_keeps_the_focus_in_the_chat(self, on_host: Widget) -> None:
        """It fills the window, so nothing behind it may be reached."""
        page = on_host.visit("/", 320, 640)
        chat = start(page)
        expect(chat.locator("#text")).to_be_focused()
        behind = ("next", "INPUT")
        for _ in range(60):
            page.keyboard.press("Tab")
            assert page.evaluate(FOCUS) not in behind


class TestScreenReaders:
    """Names, roles and what is announced."""

    def test_the_panel_is_a_dialog_with_a_name_and_999(self, on_host: Widget) -> None:
        """And the frame has a name, a log and no noise of its own."""
        page = on_host.visit()
        chat = everything(page, on_host)
        dialog = page.get_by_role("dialog", name="Chat")
        expect(dialog).to_be_visible()
        expect(dialog).to_have_accessible_description("If you or someone else is in danger, call 999 now.")
        expect(page.get_by_role("region", name="Chat")).to_have_count(1)
        log = chat.get_by_role("log")
        expect(log).to_have_attribute("aria-live", "polite")
        expect(log).to_have_accessible_name("Messages")
        assert chat.locator("audio, video").count() == 0
        assert page.title() == "Report a problem"

    def test_a_failure_is_announced(self, on_host: Widget) -> None:
        """A status, not only a change to look at."""
        page = on_host.visit()
        page.context.set_offline(True)
        page.wait_for_function("() => !navigator.onLine")
        page.locator(BUTTON).click()
        expect(page.locator("front-counter-chat").get_by_role("status")).to_have_text(
            "The chat did not open."
        )


class TestLooks:
    """Axe at every impact; small windows; colours; movement."""

    @pytest.mark.parametrize(
        ("width", "height", "looks"),
        [(1280, 800, LOOKS[0]), (320, 256, LOOKS[0]), *((320, 640, looks) for looks in LOOKS)],
        ids=["wide", "400-percent", *NAMES],
    )
    def test_axe_finds_nothing_and_nothing_scrolls_sideways(
        self, on_host: Widget, width: int, height: int, looks: dict[str, Any]
    ) -> None:
        """Closed, open, full, closed and opened again; 320 by 256 is a laptop's window at 400 %."""
        page = on_host.visit("/", width, height, near=True, **looks)

        def check() -> None:
            assert problems(page) == []
            assert sideways(page) == []
            frame = inside(page)
            assert problems(frame) == []
            wide, room = frame.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
            assert wide <= room

        assert problems(page) == []
        assert sideways(page) == []
        chat = everything(page, on_host)
        check()
        chat.locator("#keep-no").click()
        expect(chat.locator("#keep")).to_contain_text("ends when")
        page.keyboard.press("Escape")
        closed(page)
        chat = start(page)
        expect(chat.locator("#veil-yes")).to_be_focused()
        check()

    @pytest.mark.parametrize("looks", LOOKS, ids=NAMES)
    def test_axe_finds_nothing_while_it_cannot_open(self, on_host: Widget, looks: dict[str, Any]) -> None:
        """What stands there without the frame."""
        page = on_host.visit("/", 320, 640, **looks)
        page.context.set_offline(True)
        page.wait_for_function("() => !navigator.onLine")
        page.locator(BUTTON).click()
        expect(page.locator("front-counter-chat .again")).to_be_visible()
        assert problems(page) == []
        assert sideways(page) == []

    @pytest.mark.parametrize(("width", "height"), [(1280, 800), (320, 640), (320, 256), (800, 300)])
    def test_everything_to_press_is_large_enough_and_in_the_window(
        self, on_host: Widget, width: int, height: int
    ) -> None:
        """24 CSS pixels at least (WCAG 2.2, 2.5.8), and room to read between head and foot."""
        page = on_host.visit("/", width, height)
        chat = start(page)
        ask(chat)
        pressed = [*page.locator("front-counter-chat button:visible, front-counter-chat a:visible").all()]
        pressed += chat.locator("button:visible").all()
        assert len(pressed) >= 5
        for one in pressed:
            box = one.bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) >= 24
        frame = page.locator("front-counter-chat iframe").bounding_box()
        assert frame is not None
        assert frame["height"] >= 150
        assert frame["x"] >= 0
        assert frame["x"] + frame["width"] <= width
        assert frame["y"] + frame["height"] <= height

    def test_nothing_moves(self, on_host: Widget) -> None:
        """With or without the wish for it there is no animation in panel or frame."""
        page = on_host.visit(reduced_motion="reduce")
        start(page)
        moving = """(root) => [...root.querySelectorAll('*')].filter((e) => {
          const s = getComputedStyle(e);
          return s.animationName !== 'none' || !['0s', ''].includes(s.transitionDuration);
        }).length"""
        assert page.locator("front-counter-chat").evaluate(f"(e) => ({moving})(e.shadowRoot)") == 0
        assert inside(page).evaluate(f"() => ({moving})(document)") == 0

    def test_in_the_text_of_a_page(self, on_host: Widget) -> None:
        """`inline`: the button stands where the tag stands, and covers nothing."""
        on_host.host.attributes = "inline"
        page = on_host.visit()
        box = page.locator(BUTTON).bounding_box()
        assert box is not None
        assert box["x"] < 200
        assert problems(page) == []
        chat = start(page)
        expect(chat.locator("#text")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.locator(PANEL)).to_be_hidden()
        page.wait_for_function(f"({FOCUS})() === 'open'")


@pytest.mark.parametrize("path", ["/chat", "/privacy"])
def test_the_chats_own_page_is_readable_in_the_dark(on_host: Widget, path: str) -> None:
    """The same styles serve it."""
    page = on_host.device(color_scheme="dark")
    page.goto(on_host.site.base + path)
    if path == "/chat":
        page.locator("#text").fill(P1)
        page.locator("#text").press("Enter")
        expect(page.locator(".message--safety").first).to_be_visible()
    assert problems(page) == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(32, 38, 44)"
