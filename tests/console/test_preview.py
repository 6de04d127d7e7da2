"""How an answer looks on each channel: what the page says is what the channels send."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, expect

from bot.channels.cut import size, utf8_bytes
from bot.channels.layouts import LAYOUTS
from bot.channels.render import Around, render
from bot.conversations.words import PERSON
from bot.messages import CHANNELS, COMMENTS, Button, Outgoing
from bot.store.tables import Audit, Message, Outbox
from tests.console.serving import Browser, Desk
from tests.support.browser import axe, sideways, working
from tests.support.browser import chromium as running_chromium

LONG = "This is a plain sentence about nothing. " * 60 + "In danger, call 999."


def cards(text: str) -> dict[str, str]:
    """What the page shows of each channel, by its name, with the tags."""
    found = re.findall(
        r'<li class="desk-preview" id="on-([\w-]+)">(.*?)(?=<li class="desk-preview"|</main>)',
        text,
        re.DOTALL,
    )
    return {name: html.unescape(inner) for name, inner in found}


def words(card: str) -> list[str]:
    """The messages of a card."""
    found = re.findall(r'<p class="desk-preview__words" dir="auto">(.*?)</p>', card, re.DOTALL)
    return [re.sub(r"<[^>]+>", "", one) for one in found]


def pressed(card: str) -> list[str]:
    """The buttons of a card."""
    found = re.search(r'desk-preview__choices".*?>(.*?)</ul>', card, re.DOTALL)
    return re.findall(r"<li>(.*?)</li>", found[1]) if found else []


@pytest.fixture
def cam(desk: Desk) -> Browser:
    """Somebody of communications."""
    return desk.browser("cam")


@pytest.mark.integration
class TestPage:
    """Without a script."""

    def test_communications_and_supervisors_have_it(self, desk: Desk) -> None:
        """It stands in their navigation, and in nobody else's."""
        for username, status in (("cam", 200), ("sue", 200), ("mo", 403), ("ada", 403)):
            browser = desk.browser(username)
            answer = browser.get("/desk/preview")
            assert answer.status_code == status
            assert ('href="/desk/preview"' in answer.text) == (status == 200)
        assert desk.browser().get("/desk/preview").url.path == "/desk/sign-in"

    def test_every_channel_is_shown_as_it_sends(self, desk: Desk, cam: Browser) -> None:
        """Part by part, with the buttons."""
        content = desk.gateway.core.content.current
        slug = next(slug for slug, faq in content.faqs.items() if faq.mode == "H")
        shown = cards(cam.get(f"/desk/preview?answer={slug}").text)
        assert set(shown) == set(CHANNELS)
        for name in set(CHANNELS) - set(COMMENTS):
            own, layout = content.for_channel(name), LAYOUTS[name]
            row = Outgoing(
                1, "assistant", own.answer(slug) or "", (Button(own.line("talk_to_person"), PERSON, "1.0"),)
            )
            sent = render(row, layout, Around.of(content, layout))
            assert words(shown[name]) == list(sent.parts), name
            assert pressed(shown[name]) == [one.title for one in sent.choices], name

    def test_a_channel_has_its_own_words(self, desk: Desk, cam: Browser) -> None:
        """The window is closed in web chat, and nowhere else."""
        shown = cards(cam.get("/desk/preview?sentence=safe_no_reply").text)
        window = [name for name, card in shown.items() if "window" in card]
        assert window == ["webchat"]
        shown = cards(cam.get("/desk/preview?danger=R03").text)
        assert [name for name, card in shown.items() if "window" in card] == ["webchat"]
        assert "After a yes" in shown["whatsapp"]
        assert words(shown["whatsapp"])[0].startswith("If you or someone else is in danger, call 999")

    def test_under_a_post_one_line_is_public_and_one_message_private(self, desk: Desk, cam: Browser) -> None:
        """What does not fit is named."""
        content = desk.gateway.core.content.current
        shown = cards(cam.get("/desk/preview?danger=R01").text)["facebook-comments"]
        assert words(shown)[0] == content.line("public_danger")
        assert words(shown)[1].startswith(content.line("block_999"))

        cam.get("/desk/preview")
        shown = cards(cam.post("/desk/preview", text=LONG).text)["instagram-comments"]
        public, private = words(shown)
        assert public == content.line("public_comment")
        # The 999 line does not get lost with the end of the text.
        assert private.startswith(content.line("danger_line"))
        assert size(private, utf8_bytes) <= 1000
        assert "Not sent, because it does not fit" in shown
        assert (
            cards(cam.get("/desk/preview?sentence=joined").text)["facebook-comments"].count("not said") == 1
        )
        assert "posts only" in cards(cam.get("/desk/preview?sentence=public_comment").text)["x"]

    def test_a_text_of_ones_own_with_choices(self, cam: Browser) -> None:
        """Buttons, a list that opens, or numbers; contacts by key; the length against the limit."""
        cam.get("/desk/preview")
        titles = [f"A choice of a few words, number {n}" for n in range(1, 5)]
        answer = cam.post(
            "/desk/preview", text="Call [P101]. Which?", choices="\r\n".join(titles), first="yes"
        )
        shown = cards(answer.text)
        assert pressed(shown["webchat"]) == titles
        assert pressed(shown["telegram"])[:4] == titles
        assert pressed(shown["messenger"])[:4] == ["1", "2", "3", "4"]
        assert f"4. {titles[3]}" in words(shown["messenger"])[0]
        assert "Choose an answer" in shown["whatsapp"]
        assert titles[3] in shown["whatsapp"]
        assert f"4. {titles[3]}" in words(shown["x"])[0]
        assert "Call 101." in words(shown["x"])[0]
        assert "People can tap or click: 101" in shown["webchat"]
        assert "may let people tap: 101" in shown["x"]
        assert [name for name, card in shown.items() if words(card)[-1].startswith("I'm an automated")] == [
            "messenger", "instagram", "whatsapp", "x", "x-mentions", "facebook-comments", "instagram-comments",
        ]  # fmt: skip
        assert re.search(
            r"Message 1 of 3: \d+ of 1,000 bytes",
            cards(cam.post("/desk/preview", text=LONG).text)["instagram"],
        )

    def test_nothing_is_stored(self, desk: Desk, cam: Browser) -> None:
        """No row of any kind, and no address that holds the words."""
        cam.get("/desk/preview")

        before = [len(desk.rows(table)) for table in (Message, Outbox)]
        answer = cam.post("/desk/preview", text="A quillwort text.", choices="Yes\nNo")
        assert "A quillwort text." in answer.text
        assert "quillwort" not in str(answer.url)
        assert [len(desk.rows(table)) for table in (Message, Outbox)] == before
        assert "quillwort" not in str(desk.rows(Audit))
        assert "quillwort" not in cam.get("/desk/preview").text

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"text": "  "}, "Write the text"),
            ({"text": "Call [NOSUCH]."}, "No contact NOSUCH"),
            ({"text": "Which?", "choices": "\n".join("abcdefghijklm")}, "12 choices at most"),
            ({"text": "Which?", "choices": "x" * 81}, "80 letters at most"),
        ],
    )
    def test_what_cannot_be_shown_is_said(self, cam: Browser, fields: dict[str, Any], says: str) -> None:
        """And what was typed stays in its field."""
        cam.get("/desk/preview")
        answer = cam.post("/desk/preview", **fields)
        assert answer.status_code == 422
        assert says in answer.text
        assert fields["text"].strip() in answer.text
        assert cards(answer.text) == {}

    @pytest.mark.parametrize("asked", ["answer=nothing", "sentence=chat_title", "danger=R99", "sentence=<b>"])
    def test_what_is_not_in_the_list_is_not_shown(self, cam: Browser, asked: str) -> None:
        answer = cam.get(f"/desk/preview?{asked}")
        assert answer.status_code == 422
        assert "Choose one from the list." in answer.text

    def test_every_answer_sentence_and_danger_can_be_looked_at(self, cam: Browser) -> None:
        """Each option of each list."""
        page = cam.get("/desk/preview").text
        for name in ("answer", "sentence", "danger"):
            options = re.search(rf'name="{name}".*?</select>', page, re.DOTALL)
            assert options
            keys = re.findall(r'<option value="([^"]+)"', options[0])
            assert len(keys) > 15
            for key in keys if name == "danger" else keys[::12]:
                answer = cam.get(f"/desk/preview?{name}={key}")
                assert answer.status_code == 200, key
                assert len(cards(answer.text)) == len(CHANNELS), key


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with running_chromium() as browser:
        yield browser


def opened(desk: Desk, chromium: Chromium, username: str, **options: Any) -> Page:
    """A page of somebody who is signed in."""
    context = chromium.new_context(base_url=desk.base, **options)
    cookies = desk.browser(username).client.cookies
    context.add_cookies([{"name": c.name, "value": c.value or "", "url": desk.base} for c in cookies.jar])
    return context.new_page()


@pytest.mark.e2e
class TestBrowser:
    """In a real browser."""

    @pytest.mark.parametrize("width", [320, 360, 1280])
    @pytest.mark.parametrize("look", ["light", "dark"])
    def test_it_passes_axe_and_fits(
        self, desk: Desk, chromium: Chromium, tmp_path: Path, width: int, look: str
    ) -> None:
        page = opened(desk, chromium, "cam", viewport={"width": width, "height": 900}, color_scheme=look)
        for path in ("", "?answer=da-help&first=yes", "?danger=R03", "?sentence=did_you_mean"):
            page.goto(f"/desk/preview{path}")
            working(page)
            assert sideways(page) == []
            assert axe(page) == []
            page.screenshot(path=tmp_path / f"preview-{width}-{look}{len(path)}.png", full_page=True)
        page.context.close()

    def test_by_keyboard_alone(self, desk: Desk, chromium: Chromium) -> None:
        """Choose, press, and stand at what is shown."""
        page = opened(desk, chromium, "sue", viewport={"width": 1280, "height": 900})
        page.goto("/desk/preview")
        working(page)
        page.get_by_label("The words of a danger").focus()
        page.keyboard.type("Suicide")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#shown")).to_contain_text("Suicide")
        assert page.url.endswith("?danger=R02#shown")
        expect(page.locator("#on-whatsapp")).to_contain_text("Samaritans")
        page.context.close()

    def test_without_scripts(self, desk: Desk, chromium: Chromium) -> None:
        """Forms are enough."""
        page = opened(
            desk, chromium, "cam", java_script_enabled=False, viewport={"width": 360, "height": 800}
        )
        page.goto("/desk/preview")
        page.get_by_label("A text of your own").fill("Hello. Call [P101].")
        page.get_by_label("Choices under it").fill("Yes\nNo")
        page.get_by_role("button", name="Show my text").click()
        expect(page.locator("#on-x")).to_contain_text("2. No")
        expect(page.get_by_label("A text of your own")).to_have_value("Hello. Call [P101].")
        page.context.close()
