"""`make screenshots`: takes the pictures of the README from the running demonstration."""

from __future__ import annotations

import asyncio

from playwright.async_api import async_playwright, expect

from bot.settings import ROOT
from tests.e2e.demo import running_demo
from tests.support.browser import ARGUMENTS, chromium_path

FOLDER = ROOT / "docs" / "screenshots"


async def main() -> None:
    """Hold a short conversation in two windows and save both."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    async with running_demo() as demo, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        public = await browser.new_page(viewport={"width": 900, "height": 860})
        staff = await browser.new_page(viewport={"width": 1200, "height": 860})
        await staff.goto(f"{demo.desk}/desk")
        await staff.get_by_label("User name").fill("moderator1")
        await staff.locator("#password").fill(demo.passwords["moderator1"])
        await staff.keyboard.press("Enter")
        await expect(staff.get_by_text("Nobody is waiting")).to_be_visible()
        for text in ("how do i report a stolen bike", "he keeps following me home and i am scared"):
            other = await browser.new_page()
            await other.goto(f"{demo.public}/chat")
            await other.get_by_label("Your message").fill(text)
            await other.keyboard.press("Enter")
            await expect(other.locator(".message").nth(1)).to_be_visible(timeout=15_000)
            await other.close()
        await public.goto(f"{demo.public}/chat")
        await public.get_by_label("Your message").fill("how do i report a stolen bike")
        await public.keyboard.press("Enter")
        await expect(public.get_by_role("log")).to_contain_text("bikeregister", timeout=15_000)
        await public.screenshot(path=FOLDER / "chat.png")
        await public.get_by_label("Your message").fill(
            "the lads who took it are outside my house now with a knife"
        )
        await public.keyboard.press("Enter")
        await expect(public.get_by_role("log")).to_contain_text("Do not wait for a reply", timeout=15_000)
        await public.wait_for_timeout(1000)
        await public.screenshot(path=FOLDER / "chat-danger.png")
        await staff.wait_for_timeout(1500)
        await staff.screenshot(path=FOLDER / "queue.png")
        await staff.locator("li.desk-row", has_text="with a knife").get_by_role("link").first.click()
        await staff.get_by_role("button", name="Take this chat").click()
        await expect(staff.locator("textarea[name=text]").first).to_be_visible()
        await staff.locator("textarea[name=text]").first.fill(
            "Officers know. Lock the door and stay on the line to 999."
        )
        await staff.wait_for_timeout(800)
        await staff.screenshot(path=FOLDER / "desk.png")
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
