"""The chat on a page of another origin, in a real browser: safety, privacy, and what hosts do to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, expect
from playwright.sync_api import TimeoutError as NotInTime

from bot.store.tables import Conversation
from tests.support.databases import SqliteTemplates
from tests.webchat.widgets import (
    FOCUS,
    NEUTRAL,
    P1,
    QUESTION,
    Widget,
    ask,
    closed,
    ready,
    say,
    signed,
    start,
    widget,
)

pytestmark = pytest.mark.e2e

MOST_BYTES = 30 * 1024
BUTTON = "front-counter-chat .open"
PANEL = "front-counter-chat .panel"
FRAME = "front-counter-chat iframe"


@pytest.fixture
def on_host(sqlite_templates: SqliteTemplates, browser: Browser) -> Iterator[Widget]:
    """A gateway, and a host that is on its list."""
    url = sqlite_templates.fresh()
    with widget(url, browser) as found:
        yield found
    sqlite_templates.drop(url)


def paths_to(page: Page, base: str) -> list[str]:
    """What the page asks our gateway for, from now on, by path."""
    asked: list[str] = []
    page.on(
        "request",
        lambda request: (
            asked.append(request.url[len(base) :].partition("?")[0]) if request.url.startswith(base) else None
        ),
    )
    return asked


class TestBeforeAnybodyStarts:
    """Nothing about a person leaves before they write."""

    def test_nothing_is_loaded_until_it_is_opened(self, on_host: Widget) -> None:
        """The script alone; and no cookie, neither then nor later."""
        page = on_host.device()
        asked = paths_to(page, on_host.site.base)
        page.goto(on_host.host.base)
        expect(page.locator(BUTTON)).to_be_visible()
        page.wait_for_load_state("networkidle")
        assert asked == ["/chat/widget.js"]
        assert page.locator(FRAME).count() == 0
        chat = start(page)
        expect(chat.locator("#text")).to_be_focused()
        assert set(asked) == {
            "/chat/widget.js", "/chat/frame", "/chat/static/webchat.css", "/chat/static/colour.css",
            "/chat/static/frame.js", "/chat/static/webchat.js",
        }  # fmt: skip
        assert on_host.site.people() == []
        ask(chat)
        assert page.context.cookies() == []
        assert len(on_host.site.people()) == 1

    def test_all_of_it_is_small(self, on_host: Widget, record_property: Any) -> None:
        """What comes over the line until somebody can write, by the browser's own count, heads included."""
        page = on_host.device()
        finished: list[Request] = []
        page.on("requestfinished", lambda request: finished.append(request))
        page.goto(on_host.host.base)
        expect(start(page).locator("#text")).to_be_focused()
        page.wait_for_load_state("networkidle")
        found = {
            request.url[len(on_host.site.base) :].partition("?")[0]: request.sizes()
            for request in finished
            if request.url.startswith(on_host.site.base)
        }
        sizes = {path: one["responseHeadersSize"] + one["responseBodySize"] for path, one in found.items()}
        assert len(sizes) == 6, sizes
        assert all(one["responseBodySize"] > 0 for one in found.values()), found
        total = sum(sizes.values())
        record_property("bytes", total)
        print(f"\nThe chat on another page: {total / 1024:.1f} KB of 30 KB: {sizes}")
        assert total < MOST_BYTES

    def test_the_title_and_the_history_of_the_host_stay(self, on_host: Widget) -> None:
        """Nobody who looks over a shoulder, or at the history, learns of a chat."""
        page = on_host.visit()
        before = (page.title(), page.evaluate("history.length"), page.url)
        chat = start(page)
        ask(chat)
        page.keyboard.press("Escape")
        closed(page)
        ready_again = start(page)
        expect(ready_again.locator("#veil-yes")).to_be_visible()
        assert (page.title(), page.evaluate("history.length"), page.url) == before
        assert page.locator(FRAME).get_attribute("title") == "Chat"


class TestAConversation:
    """On a host with the strictest policy and the worst of styles."""

    def test_works_whole(self, on_host: Widget) -> None:
        """Question, danger, a person, a reply with a number to press."""
        page = on_host.visit("/hostile")
        chat = start(page)
        ask(chat)
        expect(chat.locator(".message__state")).to_have_text("Sent")
        say(chat, P1)
        safety = chat.locator(".message--safety").first
        expect(safety).to_contain_text("Do not wait for a reply here.")
        expect(safety.locator("a").first).to_have_attribute("href", "tel:999")
        expect(chat.locator("#who")).to_contain_text("queue")
        on_host.site.answer_as_staff("Hello. Call 999 if you can.")
        expect(chat.locator(".message--staff")).to_contain_text("Hello.")
        assert [row.text for row in on_host.site.messages()] == [QUESTION, P1]
        assert len(on_host.site.people()) == 1

    def test_danger_gets_its_words_while_assistant_and_store_are_away(self, on_host: Widget) -> None:
        """The words come from the door, and the message leaves later, once."""
        page = on_host.visit()
        chat = start(page)
        on_host.site.rasa.down = True
        on_host.site.break_store()
        say(chat, P1)
        expect(chat.locator(".message--safety")).to_contain_text("Do not wait for a reply here.")
        on_host.site.mend_store()
        expect(chat.locator(".message__state")).to_have_text("Sent")
        assert [row.text for row in on_host.site.messages()] == [P1]
        assert len(on_host.site.people()) == 1

    def test_no_rule_of_the_host_gets_in(self, on_host: Widget) -> None:
        """Button and panel look and stand as on a page without styles, and can be pressed."""
        looks = """(selector) => {
          const e = document.querySelector('front-counter-chat').shadowRoot.querySelector(selector);
          const s = getComputedStyle(e), box = e.getBoundingClientRect();
          return [s.color, s.backgroundColor, s.fontSize, s.fontFamily, s.textTransform, s.letterSpacing,
                  s.pointerEvents, s.visibility, s.transform, s.whiteSpace, Math.round(box.width),
                  Math.round(box.height), Math.round(innerWidth - box.right), Math.round(innerHeight - box.bottom)];
        }"""
        seen = []
        for path in ("/hostile", "/"):
            page = on_host.visit(path)
            button = page.evaluate(looks, ".open")
            start(page)
            seen.append((button, page.evaluate(looks, ".panel"), page.evaluate(looks, ".close")))
        hostile, plain = seen
        assert hostile == plain
        assert hostile[0][12:] == [16, 16]

    def test_the_script_of_the_host_reads_nothing(self, on_host: Widget) -> None:
        """The words are in a frame of another origin: not in the page, not in its storage."""
        page = on_host.visit(near=True)
        chat = start(page)
        ask(chat)
        chat.locator("#keep-yes").click()
        expect(chat.locator("#keep")).to_contain_text("kept until")
        found = page.evaluate(
            """() => {
              const element = document.querySelector('front-counter-chat');
              const frame = element.shadowRoot.querySelector('iframe');
              let inside = 'closed';
              try { inside = frame.contentWindow.document.body.innerText; } catch { /* another origin */ }
              return { inside, page: document.documentElement.outerHTML + element.shadowRoot.textContent,
                       kept: JSON.stringify([{ ...sessionStorage }, { ...localStorage }]) };
            }"""
        )
        assert found["inside"] == "closed"
        assert QUESTION not in found["page"]
        assert found["kept"] == "[{},{}]"

    def test_what_the_page_is_about_reaches_staff(self, on_host: Widget) -> None:
        """And a forged one reaches nobody, while the person is answered."""
        on_host.host.page = signed("report antisocial behaviour")
        ask(start(on_host.visit()))
        on_host.host.page = signed("lost property")[:-3] + "AAA"
        ask(start(on_host.visit()))
        assert [row.page for row in on_host.site.rows(Conversation)] == ["report antisocial behaviour", None]

    def test_words_from_right_to_left(self, on_host: Widget) -> None:
        """Each message runs in its own direction, on a host of either."""
        page = on_host.visit()
        page.evaluate("document.documentElement.dir = 'rtl'")
        chat = start(page)
        say(chat, "مرحبا، أحتاج إلى مساعدة")
        text = chat.locator(".message--person .message__text")
        expect(text).to_have_css("direction", "rtl")
        expect(chat.locator(".danger__first").last).to_have_css("direction", "ltr")
        assert page.locator(PANEL).evaluate("(e) => getComputedStyle(e).direction") == "ltr"


class TestClosingAndComingBack:
    """Nothing is shown again unless the person says so."""

    def test_opened_again_it_asks_first(self, on_host: Widget) -> None:
        """Yes brings all of it back, with what was not yet sent; nobody else's answer is lost."""
        page = on_host.visit()
        chat = start(page)
        ask(chat)
        chat.locator("#text").fill("half a sente")
        page.locator("front-counter-chat .close").click()
        closed(page)
        chat = start(page)
        expect(chat.locator("#veil")).to_contain_text("Show it?")
        expect(chat.locator("#veil")).to_contain_text("call 999")
        expect(chat.locator("#veil-yes")).to_be_focused()
        for hidden in ("#log", "#text", ".message", "#keep"):
            expect(chat.locator(hidden).first).to_be_hidden()
        chat.locator("#veil-yes").click()
        expect(chat.locator(".message--person .message__text")).to_have_text([QUESTION])
        expect(chat.locator("#text")).to_have_value("half a sente")
        expect(chat.locator("#text")).to_be_focused()

    def test_no_hides_it_and_the_person_stays_the_same(self, on_host: Widget) -> None:
        """As on the chat's own page."""
        page = on_host.visit()
        chat = start(page)
        ask(chat)
        chat.locator("#text").fill("half a sente")
        page.keyboard.press("Escape")
        closed(page)
        chat = start(page)
        chat.locator("#veil-no").click()
        expect(chat.locator("#text")).to_be_focused()
        expect(chat.locator("#text")).to_have_value("")
        expect(chat.locator(".message")).to_have_count(0)
        say(chat, QUESTION + " please")
        expect(chat.locator(".message--assistant")).to_have_count(1)
        expect(chat.locator(".message--person .message__text")).to_have_text([QUESTION + " please"])
        assert len(on_host.site.people()) == 1

    def test_a_reply_that_came_meanwhile_is_there(self, on_host: Widget) -> None:
        """While it is closed nothing is shown as received."""
        page = on_host.visit()
        chat = start(page)
        chat.locator("#person").click()
        expect(chat.locator("#who")).to_contain_text("queue")
        page.keyboard.press("Escape")
        closed(page)
        on_host.site.answer_as_staff("Hello, I am here.")
        chat = start(page)
        chat.locator("#veil-yes").click()
        expect(chat.locator(".message--staff")).to_contain_text("Hello, I am here.")

    def test_nothing_outlives_the_page_unless_the_person_says_so(self, on_host: Widget) -> None:
        """No answer, and "no": the next page knows nobody."""
        page = on_host.visit(near=True)
        for answer in (None, "#keep-no"):
            chat = start(page)
            ask(chat)
            if answer:
                chat.locator(answer).click()
                expect(chat.locator("#keep")).to_contain_text("ends when you leave")
            page.goto(on_host.near.foreign + "/next")
            expect(page.locator(BUTTON)).to_be_visible()
        chat = start(page)
        expect(chat.locator("#text")).to_be_focused()
        expect(chat.locator("#earlier")).to_have_count(0)
        ask(chat)
        assert len(on_host.site.people()) == 3

    def test_kept_for_the_tab_it_asks_before_it_shows(self, on_host: Widget) -> None:
        """Yes: the next page of the host asks, then shows all of it; another tab knows nothing."""
        page = on_host.visit(near=True)
        chat = start(page)
        ask(chat)
        chat.locator("#keep-yes").click()
        expect(chat.locator("#keep")).to_contain_text("kept until you close this tab")
        page.locator("#next").click(force=True)
        page.wait_for_url("**/next")
        expect(page.locator(BUTTON)).to_be_visible()
        chat = start(page)
        expect(chat.locator("#earlier-yes")).to_be_focused()
        expect(chat.locator(".message")).to_have_count(0)
        chat.locator("#earlier-yes").click()
        expect(chat.locator(".message--person .message__text")).to_have_text([QUESTION])
        expect(chat.locator(".message--assistant")).to_have_count(1)
        say(chat, QUESTION + " again")
        expect(chat.locator(".message--assistant")).to_have_count(2)
        assert len(on_host.site.people()) == 1
        other = page.context.new_page()
        other.goto(on_host.near.foreign)
        expect(other.locator(BUTTON)).to_be_visible()
        expect(start(other).locator("#earlier")).to_have_count(0)

    def test_a_browser_that_keeps_nothing_for_a_frame_says_so(self, on_host: Widget) -> None:
        """The chat works; it ends with the page, and there is nothing to ask."""
        page = on_host.device()
        page.add_init_script(
            "if (window.parent !== window) Object.defineProperty(window, 'sessionStorage', "
            "{ get() { throw new DOMException('no', 'SecurityError'); } })"
        )
        page.goto(on_host.host.base)
        chat = start(page)
        ask(chat)
        expect(chat.locator("#keep")).to_contain_text("This browser cannot keep the chat.")
        expect(chat.locator("#keep-yes")).to_have_count(0)

    def test_a_page_that_the_back_button_brings_back_shows_no_chat(self, on_host: Widget) -> None:
        """The browser's memory of the page holds the button alone."""
        page = on_host.visit()
        ask(start(page))
        page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
        expect(page.locator(FRAME)).to_have_count(0)
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
        expect(page.locator(PANEL)).to_be_hidden()
        chat = start(page)
        expect(chat.locator("#text")).to_be_focused()
        expect(chat.locator(".message")).to_have_count(0)


class TestLeaving:
    """Quick exit."""

    def test_the_link_leaves_no_page_in_history(self, on_host: Widget) -> None:
        """Not the host's page either; Back leads to what was before it, and nothing is kept."""
        page = on_host.visit("/before", near=True)
        page.goto(on_host.near.foreign + "/chatting")
        expect(page.locator(BUTTON)).to_be_visible()
        chat = start(page)
        ask(chat)
        chat.locator("#keep-yes").click()
        expect(chat.locator("#keep")).to_contain_text("kept until")
        # A host that wants to hold people back does not.
        held: list[str] = []
        page.on("dialog", lambda dialog: (held.append(dialog.type), dialog.accept()))
        page.evaluate("addEventListener('beforeunload', (event) => event.preventDefault())")
        length = page.evaluate("history.length")
        page.locator("front-counter-chat .leave").click()
        page.wait_for_url(NEUTRAL)
        assert page.evaluate("history.length") == length
        assert held == []
        page.go_back()
        page.wait_for_url("**/before")
        expect(page.locator(BUTTON)).to_be_visible()
        chat = start(page)
        expect(chat.locator("#text")).to_be_focused()
        expect(chat.locator("#earlier")).to_have_count(0)

    @pytest.mark.parametrize("width", [1280, 320])
    def test_three_times_escape_leaves_from_anywhere(self, on_host: Widget, width: int) -> None:
        """The first closes, so that a slip costs nothing; the third is on another page."""
        page = on_host.visit("/", width)
        chat = start(page)
        expect(chat.locator("#text")).to_be_focused()
        for _ in range(5):
            # Three within two seconds: a machine that stands still in between gets another go.
            for _ in range(3):
                page.keyboard.press("Escape")
            with contextlib.suppress(NotInTime):
                page.wait_for_url(NEUTRAL, timeout=10_000)
                break
        page.wait_for_url(NEUTRAL)

    def test_leaves_before_the_frame_is_there(self, on_host: Widget) -> None:
        """The way out waits for nothing."""
        page = on_host.visit()
        page.route("**/chat/frame", lambda _route: None)
        page.locator(BUTTON).click()
        expect(page.locator("front-counter-chat .meanwhile")).to_contain_text("The chat is opening.")
        expect(page.locator("front-counter-chat .danger a")).to_have_attribute("href", "tel:999")
        page.locator("front-counter-chat .leave").click()
        page.wait_for_url(NEUTRAL)


class TestWhenThingsFail:
    """The line, the gateway."""

    def test_offline_keeps_the_text_and_sends_it_once(self, on_host: Widget) -> None:
        """It says so; one id, whatever came of the first try."""
        page = on_host.visit()
        chat = start(page)
        ask(chat)
        page.context.set_offline(True)
        expect(chat.locator("#line-lost")).to_contain_text("The connection is lost")
        expect(chat.locator("#line-lost a")).to_have_attribute("href", "tel:999")
        say(chat, "still there please")
        state = chat.locator(".message--person").nth(1).locator(".message__state")
        expect(state).to_have_text("Not sent yet. We keep trying.")
        page.keyboard.press("Escape")
        closed(page)
        page.context.set_offline(False)
        chat = start(page)
        chat.locator("#veil-yes").click()
        expect(state).to_have_text("Sent")
        expect(chat.locator("#line-lost")).to_be_empty()
        assert [row.text for row in on_host.site.messages()] == [QUESTION, "still there please"]
        assert len(on_host.site.people()) == 1

    def test_an_answer_lost_on_the_way_doubles_nothing(self, on_host: Widget) -> None:
        """The same id and the same person, also for the very first message."""
        page = on_host.visit()
        tries: list[str] = []

        def lose_the_first(route: Any) -> None:
            tries.append(route.request.headers["x-chat-token"])
            if len(tries) == 1:
                route.fetch()
                route.abort()
            else:
                route.continue_()

        page.route("**/chat/messages", lose_the_first)
        chat = start(page)
        say(chat, QUESTION)
        expect(chat.locator(".message__state")).to_have_text("Sent")
        assert len(tries) == 2
        assert len(set(tries)) == 1
        assert len(on_host.site.messages()) == 1
        assert len(on_host.site.people()) == 1

    def test_opened_offline_it_says_so_and_tries_again(self, on_host: Widget) -> None:
        """With 999 to press, and the chat's own page to go to."""
        page = on_host.visit()
        page.context.set_offline(True)
        page.wait_for_function("() => !navigator.onLine")
        page.locator(BUTTON).click()
        meanwhile = page.locator("front-counter-chat .meanwhile")
        expect(meanwhile).to_contain_text("The chat did not open.")
        expect(meanwhile.locator(".danger a")).to_have_attribute("href", "tel:999")
        expect(meanwhile.get_by_role("link", name="its own page")).to_have_attribute(
            "href", on_host.site.base + "/chat"
        )
        page.context.set_offline(False)
        page.wait_for_function("() => navigator.onLine")
        meanwhile.get_by_role("button", name="Try again").click()
        ask(ready(page))


class TestPagesThatMayNot:
    """Foreign origins, and browsers without scripts."""

    def test_a_foreign_page_gets_no_chat_but_keeps_its_link(self, on_host: Widget) -> None:
        """The browser itself refuses the script, and its tools show the reason."""
        page = on_host.device()
        reasons: list[str] = []
        page.on("console", lambda message: reasons.append(message.text))
        with page.expect_console_message(lambda message: "widget.js" in message.text):
            page.goto(on_host.host.foreign)
        expect(page.get_by_role("link", name="Chat with us")).to_be_visible()
        assert page.locator(BUTTON).count() == 0
        assert any("CORS policy" in reason for reason in reasons)

    def test_a_foreign_page_gets_no_frame_however_it_asks(self, on_host: Widget) -> None:
        """Without a referrer the gateway cannot know; `frame-ancestors` lets the browser refuse."""
        page = on_host.device()
        # The console says that the policy refused it: that is what is to be shown here.
        page.goto(on_host.host.foreign + "/framing")
        page.wait_for_load_state("networkidle")
        expect(page.locator("#stolen")).to_be_visible()
        frame = page.locator("#stolen").element_handle().content_frame()
        assert frame is not None
        assert frame.locator("#composer, .danger").count() == 0
        refused = [text for text in on_host.failures if "frame-ancestors" in text]
        assert refused
        on_host.failures[:] = [text for text in on_host.failures if text not in refused]

    def test_without_scripts_the_link_leads_to_the_chat(self, on_host: Widget) -> None:
        """And that works without scripts too."""
        page = on_host.device(320, 640, java_script_enabled=False)
        page.goto(on_host.host.base)
        page.get_by_role("link", name="Chat with us").click()
        page.wait_for_url("**/chat")
        page.locator("#text").fill(QUESTION)
        page.locator("#send").click()
        expect(page.locator(".message--person .message__text")).to_have_text([QUESTION])
        assert [row.text for row in on_host.site.messages()] == [QUESTION]

    def test_the_frame_by_itself_is_the_chats_own_page(self, on_host: Widget) -> None:
        """Whoever opens its address sees what the address of the chat shows."""
        page = on_host.device()
        page.goto(on_host.site.base + "/chat/frame")
        page.wait_for_url("**/chat")
        expect(page.locator("#quick-exit")).to_be_visible()
        assert page.evaluate(FOCUS) is not None
