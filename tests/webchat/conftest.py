"""A served gateway and a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.support.browser import chromium
from tests.support.databases import SqliteTemplates
from tests.webchat.serving import Served, served


@pytest.fixture
def site(sqlite_templates: SqliteTemplates) -> Iterator[Served]:
    """A gateway on a fresh SQLite file."""
    url = sqlite_templates.fresh()
    with served(url) as found:
        yield found
    sqlite_templates.drop(url)


@pytest.fixture
def any_site(database_url: str) -> Iterator[Served]:
    """A gateway on each kind of database."""
    with served(database_url) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, without a window."""
    with chromium() as running:
        yield running


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, site: Served) -> Iterator[OpenPage]:
    """Opens the chat on a device of its own. Options are those of a browser context."""
    contexts: list[BrowserContext] = []
    failures: list[str] = []

    def open_one(width: int = 1280, height: int = 800, path: str = "/chat", **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(30_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on(
            "console",
            lambda message: (
                failures.append(message.text) if "Content Security Policy" in message.text else None
            ),
        )
        page.goto(site.base + path)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert failures == []
