"""A host page with the chat on it, open in a real browser, and what a person does there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page, expect

from bot.channels.webchat.context import sign
from tests.webchat.hostpage import HostPage, host_page
from tests.webchat.serving import Served, served

KEY = "a key of thirty-two letters or more"
QUESTION = "how long is the wait for 101"
P1 = "there is a man with a knife in the street now"
NEUTRAL = "https://www.bbc.co.uk/**"
FOCUS = """() => {
  let at = document.activeElement;
  while (at && at.shadowRoot && at.shadowRoot.activeElement) at = at.shadowRoot.activeElement;
  return at ? at.className || at.id || at.tagName : "";
}"""


@dataclass(slots=True)
class Widget:
    """One gateway, one host, and the pages that are open."""

    site: Served
    host: HostPage
    """Another site than the chat's: this browser keeps nothing for a frame there."""
    near: HostPage
    """Another origin of the same site."""
    browser: Browser
    contexts: list[BrowserContext] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def visit(
        self, path: str = "/", width: int = 1280, height: int = 800, *, near: bool = False, **options: Any
    ) -> Page:
        """A device of its own on a page of the host, whose script is at work."""
        page = self.device(width, height, **options)
        page.goto((self.near.foreign if near else self.host.base) + path)
        expect(page.locator("front-counter-chat .open")).to_be_visible()
        return page

    def device(self, width: int = 1280, height: int = 800, **options: Any) -> Page:
        """A browser of its own, whose failures count, with a neutral page on the way out."""
        context = self.browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(30_000)
        self.contexts.append(context)
        context.route(NEUTRAL, lambda route: route.fulfill(body="weather", content_type="text/html"))
        page = context.new_page()
        page.on("pageerror", lambda error: self.failures.append(str(error)))
        page.on(
            "console",
            lambda message: (
                self.failures.append(message.text) if "Content Security Policy" in message.text else None
            ),
        )
        return page


def start(page: Page) -> FrameLocator:
    """Press the button, and wait until the frame is there and its scripts are."""
    page.locator("front-counter-chat .open").click()
    return ready(page)


def ready(page: Page) -> FrameLocator:
    """The chat in its frame. It is shown only once both sides have spoken."""
    chat = page.frame_locator("front-counter-chat iframe")
    expect(page.locator("front-counter-chat iframe")).to_be_visible()
    return chat


def say(chat: FrameLocator, text: str) -> None:
    """Type and press Enter."""
    chat.locator("#text").fill(text)
    chat.locator("#text").press("Enter")


def ask(chat: FrameLocator) -> None:
    """A question, and its answer: the stream is up once that has come."""
    say(chat, QUESTION)
    expect(chat.locator(".message--assistant")).to_have_count(1)


def closed(page: Page) -> None:
    """The panel is gone, and the focus is on the button."""
    expect(page.locator("front-counter-chat .panel")).to_be_hidden()
    expect(page.locator("front-counter-chat .open")).to_be_visible()
    page.wait_for_function(f"({FOCUS})() === 'open floats'")


def signed(topic: str, days: float = 30) -> str:
    """What a page says of itself."""
    return sign(KEY, topic, datetime.now(UTC) + timedelta(days=days))


@contextmanager
def widget(database_url: str, browser: Browser) -> Iterator[Widget]:
    """A gateway and a host that is on its list. Ends with every page, and with no failure on one."""
    with ExitStack() as stack:
        host = stack.enter_context(host_page())
        near = stack.enter_context(host_page())
        listed = (host.base, near.foreign)
        site = stack.enter_context(served(database_url, webchat_origins=listed, webchat_page_key=KEY))
        host.home = near.home = site.base
        found = Widget(site, host, near, browser)
        stack.callback(lambda: [context.close() for context in found.contexts])
        yield found
    if found.failures:
        raise AssertionError(found.failures)


Open = Callable[..., Page]
