"""The browser of the tests: where it is and how it is started."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.async_api import expect as expect_async
from playwright.sync_api import Browser, expect, sync_playwright

from bot.settings import ROOT
from tests.support.databases import missing

# Playwright's own five seconds are less than a busy machine may stand still.
EXPECT_MILLISECONDS = 20_000
expect.set_options(timeout=EXPECT_MILLISECONDS)
expect_async.set_options(timeout=EXPECT_MILLISECONDS)

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome")


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
        yield browser
        browser.close()
