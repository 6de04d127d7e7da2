"""The page in a real browser: keyboard, small screens, screen readers, lost connections."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from bot.store.tables import Conversation
from tests.support.browser import AXE, settled, sideways
from tests.webchat.serving import Served, eventually

pytestmark = pytest.mark.e2e

OpenPage = Callable[..., Page]
P1 = "there is a man with a knife in the street now"
QUESTION = "how long is the wait for 101"
CHOICE = "I would like to choose"


@pytest.fixture(autouse=True)
def a_question_with_answers(site: Served) -> None:
    """Rasa asks back, with three answers to choose from."""
    buttons = [
        {"title_key": f"triage_{key}", "payload": f"/triage_{key}"} for key in ("yes", "no", "not_sure")
    ]
    reading = {"intent": "triage", "confidence": 0.9, "certain": True, "ranking": [], "risks": []}
    site.rasa.teach("choose", reading, [{"line": "triage_ask_now", "buttons": buttons}])


def say(page: Page, text: str) -> None:
    """Type and press Enter."""
    page.locator("#text").fill(text)
    page.locator("#text").press("Enter")


def problems(page: Page) -> list[str]:
    """What axe-core finds, of any impact. It is put in past the page's own policy, by the test."""
    settled(page)
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run().then((r) => JSON.stringify(r.violations))")
    return [f"{one['id']}: {[node['html'][:90] for node in one['nodes']]}" for one in json.loads(found)]


def everything(page: Page, site: Served) -> None:
    """A page with every kind of message on it, to which nothing more is coming."""
    say(page, CHOICE)
    expect(page.locator(".answer")).to_have_count(3)
    say(page, P1)
    expect(page.locator(".message--safety").first).to_be_visible()
    expect(page.locator("#who")).to_contain_text("queue")
    moderator = site.moderator()
    site.reply(site.claim(moderator), moderator, "Hello. Where are you? Call 999 if you can.")
    expect(page.locator(".message--staff")).to_be_visible()
    all_shown(page, site)


def all_shown(page: Page, site: Served) -> None:
    """Wait until the page shows all that there is for its one person, and every message of theirs has left."""
    site.settled()
    shown = ".message:not(.message--person)"
    expect(page.locator(shown)).to_have_count(
        sum(row.state in ("sent", "delivered") for row in site.outbox())
    )
    for state in page.locator(".message__state").all():
        expect(state).to_have_text("Sent")


class TestReading:
    """What a person sees."""

    def test_a_question_gets_its_answer_once(self, open_page: OpenPage, site: Served) -> None:
        """Also when the line is cut and comes back."""
        page = open_page()
        say(page, QUESTION)
        expect(page.locator(".message--assistant")).to_have_count(1)
        expect(page.locator(".message__state")).to_have_text("Sent")
        page.evaluate("window.dispatchEvent(new Event('online'))")
        say(page, CHOICE)
        expect(page.locator(".message--assistant")).to_have_count(2)
        site.settled()
        eventually(lambda: {row.state for row in site.outbox()} == {"delivered"})
        expect(page.locator(".message--assistant")).to_have_count(2)

    def test_words_of_a_message_are_never_markup(self, open_page: OpenPage, site: Served) -> None:
        """Neither the person's nor the desk's."""
        page = open_page()
        text = "<img src=x onerror=\"document.title='hit'\"><b>bold</b> \u202eabc 👮"
        say(page, text)
        expect(page.locator(".message--person .message__text")).to_have_text(text)
        page.locator("#person").click()
        expect(page.locator("#who")).to_contain_text("queue")
        moderator = site.moderator()
        site.reply(site.claim(moderator), moderator, "<i>Hello</i> call 999")
        staff = page.locator(".message--staff .message__text")
        expect(staff).to_have_text("<i>Hello</i> call 999")
        expect(staff.locator("a")).to_have_attribute("href", "tel:999")
        assert page.locator("#log img, #log b, #log i").count() == 0
        assert page.title() == "Chat"

    def test_a_reload_asks_before_it_shows_anything(self, open_page: OpenPage, site: Served) -> None:
        """Yes shows it all; no shows nothing of it, and the person stays the same."""
        page = open_page()
        say(page, QUESTION)
        expect(page.locator(".message--assistant")).to_have_count(1)
        page.reload()
        expect(page.locator("#earlier-title")).to_have_text(
            "You have an earlier chat on this device. Show it?"
        )
        assert QUESTION not in page.content()
        page.locator("#earlier-yes").click()
        expect(page.locator(".message--person .message__text")).to_have_text([QUESTION])
        expect(page.locator(".message--assistant")).to_have_count(1)
        page.reload()
        page.locator("#earlier-no").click()
        say(page, CHOICE)
        expect(page.locator(".answer")).to_have_count(3)
        expect(page.locator(".message--person .message__text")).to_have_text([CHOICE])
        assert len(site.people()) == 1
        assert len(site.rows(Conversation)) == 1

    def test_back_does_not_bring_the_chat_back(self, open_page: OpenPage) -> None:
        """Leaving clears the view, and Back asks again."""
        page = open_page()
        page.route("https://www.bbc.co.uk/**", lambda route: route.fulfill(body="weather"))
        say(page, QUESTION)
        expect(page.locator(".message--assistant")).to_have_count(1)
        # Within two seconds, however long this machine takes for them.
        page.clock.set_fixed_time("2026-11-24T12:00:00Z")
        for _ in range(3):
            page.keyboard.press("Escape")
        page.wait_for_url("https://www.bbc.co.uk/**")
        assert page.evaluate("history.length") <= 2

    def test_the_exit_is_a_link_too(self, open_page: OpenPage) -> None:
        """A click leaves; two presses of Escape do not."""
        page = open_page()
        page.route("https://www.bbc.co.uk/**", lambda route: route.fulfill(body="weather"))
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        page.keyboard.press("a")
        page.keyboard.press("Escape")
        assert page.url == page.url.partition("/chat")[0] + "/chat"
        page.get_by_role("link", name="Leave this page").click()
        page.wait_for_url("https://www.bbc.co.uk/**")


class TestKeyboard:
    """Nothing needs a mouse."""

    def test_from_the_first_tab_to_a_person(self, open_page: OpenPage, site: Served) -> None:
        """Skip link, message, answer, person; the focus is always somewhere and can be seen."""
        page = open_page()

        def focused() -> str:
            return str(
                page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()")
            )

        def tab_to(wanted: str, key: str = "Tab") -> None:
            for _ in range(30):
                page.keyboard.press(key)
                outline = page.evaluate(
                    "(() => { const s = getComputedStyle(document.activeElement);"
                    "return s.outlineStyle + s.boxShadow + s.backgroundColor; })()"
                )
                assert outline
                if focused() == wanted:
                    return
            raise AssertionError(f"the keyboard does not reach {wanted}")

        page.keyboard.press("Tab")
        assert focused() == "Skip to main content"
        tab_to("quick-exit")
        tab_to("text")
        page.keyboard.type("I would like to choose")
        page.keyboard.press("Shift+Enter")
        page.keyboard.type("one")
        page.keyboard.press("Enter")
        expect(page.locator(".message--person .message__text")).to_have_text("I would like to choose\none")
        expect(page.locator(".answer")).to_have_count(3)
        assert focused() == "text"
        tab_to("Not sure", "Shift+Tab")
        page.keyboard.press("Enter")
        expect(page.locator(".message--person")).to_have_count(2)
        assert focused() == "text"
        tab_to("person")
        page.keyboard.press("Space")
        expect(page.locator("#who")).to_contain_text("queue")
        assert [row.kind for row in site.messages()] == ["text", "button", "button"]

    def test_an_empty_message_and_a_long_one_are_refused_in_words(self, open_page: OpenPage) -> None:
        """The error is tied to the field; the counter shows near the limit only."""
        page = open_page()
        text = page.locator("#text")
        text.press("Enter")
        expect(page.locator("#text-error")).to_have_text("Type your message.")
        expect(text).to_have_attribute("aria-invalid", "true")
        text.fill("a")
        expect(page.locator("#text-error")).to_be_hidden()
        expect(page.locator("#count")).to_be_empty()
        text.fill("😀" * 19_999)
        expect(page.locator("#count")).to_have_text("1 characters left")
        text.fill("x" * 20_001)
        expect(page.locator("#count")).to_have_text("1 characters too many")
        text.press("Enter")
        expect(page.locator("#text-error")).to_contain_text("too many")
        expect(page.locator(".message--person")).to_have_count(0)
        text.fill("x" * 20_000)
        text.press("Enter")
        expect(page.locator(".message__state")).to_have_text("Sent")


class TestEveryone:
    """Screen readers, small windows, zoom."""

    @pytest.mark.parametrize(("width", "height"), [(1280, 800), (320, 640), (320, 256)])
    def test_axe_finds_nothing_and_nothing_scrolls_sideways(
        self, open_page: OpenPage, site: Served, width: int, height: int
    ) -> None:
        """320 by 256 is a 1280 by 1024 window at 400 %."""
        page = open_page(width, height)

        def check() -> None:
            assert problems(page) == []
            assert sideways(page) == []

        check()
        everything(page, site)
        check()
        page.locator("#text").fill("")
        page.locator("#text").press("Enter")
        check()
        page.reload()
        check()
        page.goto(site.base + "/privacy")
        check()

    def test_axe_finds_nothing_in_the_dark_corners(self, open_page: OpenPage, site: Served) -> None:
        """The frame of new replies, and a page that is told the store is down."""
        page = open_page(path="/chat/replies?after=0")
        assert problems(page) == []
        page.goto(site.base + "/chat")
        site.break_store()
        say(page, P1)
        expect(page.locator(".message--safety")).to_be_visible()
        found = problems(page)
        site.mend_store()
        assert found == []

    def test_new_messages_are_announced_politely_and_nothing_else_calls(
        self, open_page: OpenPage, site: Served
    ) -> None:
        """A log region; no sound, no change of title, no notification."""
        page = open_page()
        log = page.get_by_role("log")
        expect(log).to_have_attribute("aria-live", "polite")
        everything(page, site)
        assert page.title() == "Chat"
        assert page.locator("audio, video").count() == 0
        assert page.evaluate("Notification.permission") != "granted"

    def test_a_short_window_keeps_nothing_in_the_way(self, open_page: OpenPage) -> None:
        """At 400 % the header and the composer scroll with the page."""
        page = open_page(320, 256)
        for part in (".top", ".composer"):
            assert page.locator(part).evaluate("(e) => getComputedStyle(e).position") == "static"

    def test_targets_are_large_enough(self, open_page: OpenPage, site: Served) -> None:
        """24 CSS pixels at least (WCAG 2.2, 2.5.8)."""
        page = open_page(320, 640)
        say(page, CHOICE)
        expect(page.locator(".answer")).to_have_count(3)
        for button in page.locator("button:visible, a.govuk-button:visible").all():
            box = button.bounding_box()
            assert box is not None
            assert box["height"] >= 24
            assert box["width"] >= 24

    def test_motion_is_off_where_it_is_not_wanted(self, open_page: OpenPage) -> None:
        """prefers-reduced-motion."""
        page = open_page(reduced_motion="reduce")
        moving = page.evaluate(
            "[...document.querySelectorAll('*')].filter((e) => {"
            "const s = getComputedStyle(e);"
            "return s.animationName !== 'none' || !['0s', ''].includes(s.transitionDuration);"
            "}).length"
        )
        assert moving == 0


class TestWhenThingsFail:
    """The line, the store."""

    def test_offline_and_back(self, open_page: OpenPage, site: Served) -> None:
        """The text stays, says so, and leaves by itself, once."""
        page = open_page()
        say(page, QUESTION)
        expect(page.locator(".message--assistant")).to_have_count(1)
        page.context.set_offline(True)
        expect(page.locator("#line-lost")).to_contain_text("The connection is lost")
        say(page, CHOICE)
        state = page.locator(".message--person").nth(1).locator(".message__state")
        expect(state).to_have_text("Not sent yet. We keep trying.")
        expect(page.locator(".message--safety")).to_contain_text(site.line("store_down"))
        expect(page.locator(".message--safety a")).to_have_attribute("href", "tel:999")
        page.context.set_offline(False)
        expect(state).to_have_text("Sent")
        expect(page.locator("#line-lost")).to_be_empty()
        expect(page.get_by_role("button", name="Not sure")).to_be_visible()
        assert [row.text for row in site.messages()] == [QUESTION, CHOICE]

    def test_store_down_shows_the_words_and_sends_later(self, open_page: OpenPage, site: Served) -> None:
        """Danger written behind a stuck message still gets its words at once."""
        page = open_page()
        site.break_store()
        say(page, "hello there")
        expect(page.locator(".message--safety").first).to_contain_text(site.line("store_down"))
        say(page, P1)
        danger = page.locator(".message--safety").nth(1)
        expect(danger).to_contain_text("Do not wait for a reply here.")
        expect(danger.locator("a").first).to_have_attribute("href", "tel:999")
        site.mend_store()
        for number in range(2):
            expect(page.locator(".message__state").nth(number)).to_have_text("Sent")
        # Each once. It may be mended between the two tries: then danger is first.
        assert sorted(row.text for row in site.messages()) == ["hello there", P1]
        assert len(site.people()) == 1

    def test_a_server_error_of_something_between_is_tried_again(
        self, open_page: OpenPage, site: Served
    ) -> None:
        """A proxy's page is not an answer of ours, and the stored message is not doubled."""
        page = open_page()
        tries: list[str] = []

        def meddle(route: Any) -> None:
            tries.append(json.loads(route.request.post_data)["id"])
            if len(tries) == 1:
                route.fetch()
                route.fulfill(status=502, body="<html>bad gateway</html>")
            else:
                route.continue_()

        page.route("**/chat/messages", meddle)
        say(page, QUESTION)
        expect(page.locator(".message__state")).to_have_text("Sent")
        assert len(set(tries)) == 1
        assert len(site.messages()) == 1
        assert len(site.people()) == 1


class TestWithoutScripts:
    """The same page as a plain form."""

    @pytest.fixture
    def plain(self, open_page: OpenPage) -> Page:
        """A browser whose scripts are off."""
        return open_page(320, 640, java_script_enabled=False)

    def test_works_whole(self, plain: Page, site: Served) -> None:
        """A question, an answer to choose, a person, a late reply, a reload."""
        plain.locator("#text").fill(CHOICE)
        plain.locator("#send").click()
        expect(plain.locator(".message--person .message__text")).to_have_text([CHOICE])
        plain.get_by_role("button", name="Not sure").click()
        expect(plain.locator(".message--person")).to_have_count(2)
        plain.reload()
        assert len(site.messages()) == 2
        plain.get_by_role("button", name="Talk to a person").first.click()
        expect(plain.locator(".message--person")).to_have_count(3)
        moderator = site.moderator()
        site.reply(site.claim(moderator), moderator, "A late answer. Call 999.")
        plain.get_by_role("button", name="Check for replies").click()
        expect(plain.locator("#log .message--staff")).to_contain_text("A late answer.")
        expect(plain.locator("#log .message--staff a")).to_have_attribute("href", "tel:999")

    def test_a_late_reply_comes_into_the_frame_without_touching_what_is_typed(
        self, plain: Page, site: Served
    ) -> None:
        """Only the frame renews itself."""
        plain.get_by_role("button", name="Talk to a person").click()
        expect(plain.locator(".message--person")).to_have_count(1)
        frame = plain.frame_locator("iframe.replies")
        expect(frame.locator("main")).to_contain_text("No new replies")
        plain.locator("#text").fill("half a sente")
        moderator = site.moderator()
        site.reply(site.claim(moderator), moderator, "A late answer.")
        expect(frame.locator("main")).to_contain_text("A late answer.", timeout=90_000)
        expect(plain.locator("#text")).to_have_value("half a sente")

    def test_store_down_keeps_the_text_and_shows_the_words(self, plain: Page, site: Served) -> None:
        """The page of the 503 is the page, with the words on it."""
        site.break_store()
        plain.locator("#text").fill(P1)
        plain.locator("#send").click()
        expect(plain.locator(".message--safety")).to_contain_text("Do not wait for a reply here.")
        expect(plain.locator("#text")).to_have_value(P1)
        site.mend_store()
        plain.locator("#send").click()
        expect(plain.locator(".message--person .message__text")).to_have_text([P1])
        assert len(site.messages()) == 1
