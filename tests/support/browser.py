"""The browser of the tests: where it is, how it is started, and how a page is looked at once it stands still."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.async_api import Page as AsyncPage
from playwright.async_api import expect as expect_async
from playwright.sync_api import Browser, Page, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from bot.settings import ROOT
from tests.support.databases import missing

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome")
MOST_TRIES = 5
PATIENCE_MS = 30_000
"""How long a page may take to come. Playwright's own five seconds are less than a busy machine may stand still."""
expect.set_options(timeout=PATIENCE_MS)
expect_async.set_options(timeout=PATIENCE_MS)

SETTLED = """async () => {
  if (document.readyState !== "complete")
    await new Promise((done) => addEventListener("load", done, { once: true }));
  await Promise.all([...document.querySelectorAll("link[rel~=stylesheet]")].map((link) => link.sheet
    || new Promise((done) => { for (const end of ["load", "error"]) link.addEventListener(end, done); })));
  await document.fonts.ready;
}"""
"""Resolves when the page, its style sheets and its fonts are there."""

WORKING = """() => document.readyState === "complete" && document.body.classList.contains("js-enabled")
  && (!document.body.dataset.stream || document.body.dataset.live === "fresh")
  && !document.querySelector(".htmx-request, .htmx-settling")"""
"""True when a page of the desk has bound its scripts, hears its stream, has read what it missed, and neither asks
for anything nor puts anything in place."""

LOCK = """async ([name, wanted, patience]) => {
  const until = performance.now() + patience;
  for (;;) {
    const { held, pending } = await navigator.locks.query();
    const found = (wanted ? held : [...held, ...pending]).some((lock) => lock.name === name);
    if (found === wanted) return true;
    if (performance.now() > until) return false;
    await new Promise((done) => setTimeout(done, 50));
  }
}"""
"""Whether a lock is held, or free, before the patience (ms) is over. `wait_for_function` takes no promise."""

_WIDTHS = "[document.documentElement.scrollWidth, window.innerWidth]"


def chromium_path() -> str:
    """The path of a browser: CHROMIUM, or one on the PATH. Skips (in CI: fails) where there is none."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        missing("install chromium, or name a browser in CHROMIUM")
    return str(found)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Headless Chromium. Never hold it for a whole session: its loop would be in the way of others."""
    path = chromium_path()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def follow(page: Page, act: Callable[[], None]) -> None:
    """Do what leads to another page, and wait until that page has come: a click alone does not."""
    # Not `expect_navigation`: one that another overtakes (the stream says "gone") would be an error.
    page.evaluate("window.wasHere = true")
    act()
    page.wait_for_function("() => !window.wasHere && document.readyState === 'complete'", timeout=PATIENCE_MS)


def working(page: Page) -> None:
    """Wait until a page of the desk does what it is told: what comes or is pressed before that is not heard."""
    page.wait_for_function(WORKING, timeout=PATIENCE_MS)


def go(page: Page, path: str) -> None:
    """Open a page of the desk, and wait until it works."""
    page.goto(path)
    working(page)


def go_on(page: Page, act: Callable[[], None]) -> None:
    """Do what leads to another page of the desk, and wait until that page works."""
    follow(page, act)
    working(page)


def lock_is(page: Page, name: str, *, held: bool) -> None:
    """Wait until some page of this browser holds a lock, or until none holds it nor waits for it."""
    assert page.evaluate(LOCK, [name, held, PATIENCE_MS]), f"{name} was never {'held' if held else 'free'}"


def eventually(page: Page, check: Callable[[], bool], otherwise: str) -> None:
    """Wait until something holds that no page shows; `otherwise` says what is wrong if it never does."""
    until = time.monotonic() + PATIENCE_MS / 1000
    while not check():
        assert time.monotonic() < until, otherwise
        # Not `time.sleep`: what the page asks for meanwhile has to be answered.
        page.wait_for_timeout(100)


def settled(page: Page) -> None:
    """Wait until the page stands with its style sheets and fonts; only then has it a width."""
    for _ in range(MOST_TRIES):
        page.wait_for_load_state()
        try:
            page.evaluate(SETTLED)
        except PlaywrightError as error:
            if "context was destroyed" not in str(error):
                raise
        else:
            return
    raise AssertionError("the page never stood still")


async def settled_async(page: AsyncPage) -> None:
    """The same for the browser of asynchronous tests."""
    await page.wait_for_load_state()
    await page.evaluate(SETTLED)


def axe(page: Page) -> list[tuple[str, str, str]]:
    """What axe-core finds on a page that stands, of every impact: rule, impact, the first place.

    Put in by the debugger's door, which our content security policy does not bind.
    """
    settled(page)
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("async () => (await axe.run()).violations")
    return [(one["id"], one["impact"], one["nodes"][0]["html"][:200]) for one in found]


def sideways(page: Page) -> list[str]:
    """Whether a page that stands has to be scrolled sideways too (WCAG 2.2, 1.4.10)."""
    settled(page)
    wide, room = page.evaluate(_WIDTHS)
    return [f"{wide} pixels wide in a window of {room}"] if wide > room else []
