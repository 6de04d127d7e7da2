"""Both windows in a real browser: the public's chat and the desk, and axe on every page."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.e2e.demo import Demo
from tests.support.browser import (
    ARGUMENTS,
    AXE,
    PATIENCE_MS,
    WORKING,
    chromium_path,
    settled_async,
)

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]
LONG_MS = 3 * PATIENCE_MS
"""For what the real Rasa has to answer."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Headless Chromium."""
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        try:
            yield running
        finally:
            await running.close()


async def working(page: Page) -> None:
    """Wait until a page of the desk does what it is told."""
    await page.wait_for_function(WORKING, timeout=PATIENCE_MS)


async def axe(page: Page) -> list[dict[str, Any]]:
    """The violations that axe finds on a page, of every impact."""
    await settled_async(page)
    script = AXE.read_text("utf-8")
    # Our content security policy forbids scripts of others: the debugger's door is not bound by it.
    session = await page.context.new_cdp_session(page)
    await session.send("Runtime.evaluate", {"expression": script})
    result = await session.send(
        "Runtime.evaluate",
        {
            "expression": "axe.run().then(r => JSON.stringify(r.violations))",
            "awaitPromise": True,
            "returnByValue": True,
        },
    )
    violations = json.loads(result["result"]["value"])
    return [
        {"id": v["id"], "impact": v["impact"], "nodes": [n["html"][:120] for n in v["nodes"]]}
        for v in violations
    ]


@pytest.mark.parametrize(("width", "height"), [(360, 740), (1280, 900)])
async def test_a_person_and_a_moderator_in_two_windows(
    demo: Demo, browser: Browser, tmp_path: Path, width: int, height: int
) -> None:
    public, staff = [
        await (await browser.new_context(viewport={"width": width, "height": height})).new_page()
        for _ in range(2)
    ]
    for page in (public, staff):
        page.set_default_timeout(PATIENCE_MS)
    flat = f"flat {secrets.randbelow(7000) + 2000}"
    await public.goto(f"{demo.public}/chat")
    assert not await axe(public)
    await expect(public.get_by_text("call 999 now").first).to_be_visible()
    await public.get_by_label("Your message").fill("how do i report a stolen bike")
    await public.keyboard.press("Enter")
    await expect(public.get_by_role("log")).to_contain_text("northumbria.police.uk", timeout=LONG_MS)
    await public.get_by_label("Your message").fill(f"someone is breaking in to my house right now, {flat}")
    await public.keyboard.press("Enter")
    await expect(public.get_by_role("log")).to_contain_text("Do not wait for a reply here", timeout=LONG_MS)
    assert not await axe(public)

    await staff.goto(f"{demo.desk}/desk")
    assert not await axe(staff)
    await staff.get_by_label("User name").fill("moderator2")
    await staff.locator("#password").fill(demo.passwords["moderator2"])
    await staff.keyboard.press("Enter")
    await expect(staff.get_by_text("Demonstration: nobody is watching").first).to_be_visible()
    await expect(staff.get_by_text(flat).first).to_be_visible(timeout=LONG_MS)
    await working(staff)
    assert not await axe(staff)
    row = staff.locator("li.desk-row", has_text=flat).first
    await row.get_by_role("link").first.click()
    await expect(staff.get_by_text("Why it is here")).to_be_visible()
    await working(staff)
    assert not await axe(staff)
    await staff.get_by_role("button", name=re.compile("^Take")).first.click()
    await expect(public.get_by_role("log")).to_contain_text("has joined this chat", timeout=LONG_MS)
    await expect(staff.locator("#text")).to_be_editable()
    await working(staff)
    await staff.locator("#text").fill("Hello, this is the desk.")
    await staff.get_by_role("button", name="Send", exact=True).click()
    await expect(public.get_by_role("log")).to_contain_text("Hello, this is the desk.", timeout=LONG_MS)
    assert not await axe(staff)
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    await working(staff)
    await settled_async(public)
    await settled_async(staff)
    assert await public.evaluate(overflow) <= 0
    assert await staff.evaluate(overflow) <= 0
    await public.context.close()
    await staff.context.close()
