"""The knowledge studio in real browsers: an author, a second person and a member of the public."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import update

from bot.store.record import now
from bot.store.tables import Message, StaffSession, TextCopy, TextDraft
from tests.console.serving import PASSWORD, TEAMS, Desk, serving
from tests.console.test_browser import Desktop, chromium, open_desktop  # noqa: F401  fixtures
from tests.console.test_knowledge import NEW_WORDS, PAGE, SLUG, answers_of
from tests.support.browser import axe, eventually, go, go_on, sideways, working
from tests.support.databases import SqliteTemplates

pytestmark = pytest.mark.e2e

QUESTION = "how long is the wait for 101"
OpenDesktop = Callable[..., Desktop]
SHOTS = os.environ.get("FRONTCOUNTER_TEST_SHOTS")
"""A folder for pictures of every page, for whoever wants to look at them."""


@pytest.fixture
def desk(sqlite_templates: SqliteTemplates) -> Iterator[Desk]:
    """A desk with two people in communications."""
    url = sqlite_templates.fresh()
    TEAMS["cora"] = ("comms", ["corporate_communications"])
    try:
        with serving(url) as served:
            served.hire(*TEAMS)
            yield served
    finally:
        del TEAMS["cora"]
    sqlite_templates.drop(url)


@pytest.fixture
def chat(desk: Desk) -> Iterator[str]:
    """Where the same gateway's public listener serves the web chat."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    listener.setblocking(False)

    async def start() -> Any:
        server = await desk.gateway.public.create_server(sock=listener, return_asyncio_server=True)
        assert server is not None
        await server.startup()
        await server.start_serving()
        return server

    async def stop() -> None:
        server.close()
        await asyncio.sleep(0)

    server = desk.run(start())
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/chat"
    desk.run(stop())


TOP = {"x": 0, "y": 0, "height": 1500}


def ask(page: Page, words: str = QUESTION) -> None:
    """Type and press Enter, as a member of the public."""
    page.locator("#text").fill(words)
    page.locator("#text").press("Enter")


def edited(page: Page) -> None:
    """Open the draft of the answer by its button."""
    go(page, PAGE)
    go_on(page, page.get_by_role("button", name="Edit").click)


def kept(desk: Desk, words: str) -> Callable[[], bool]:
    """Whether the draft holds these words."""
    return lambda: [row.body.get("answer") for row in desk.rows(TextDraft)] == [words]


def answer_of(page: Page) -> Any:
    """The field of the answer."""
    return page.locator("#f-answer")


def test_from_an_edit_to_the_public_s_chat_by_two_people_and_back_by_one(
    desk: Desk,
    chat: str,
    chromium: Browser,  # noqa: F811
    open_desktop: OpenDesktop,  # noqa: F811
) -> None:
    public = chromium.new_context(viewport={"width": 400, "height": 800}).new_page()
    public.goto(chat)
    ask(public)
    before = str(desk.gateway.core.content.current.answer(SLUG)).splitlines()[0]
    expect(public.locator(".message").filter(has_text=before)).to_have_count(1)

    cam, cora = open_desktop("cam").page, open_desktop("cora").page
    edited(cam)
    answer_of(cam).fill("You can wait a while for an answer on ")
    expect(cam.locator("#check")).to_contain_text("You can wait a while for an answer on")
    # The contact is chosen, not typed, and stands where the cursor was.
    cam.locator("#contact-f-answer").select_option("[P101]")
    cam.get_by_role("button", name="Put it in").click()
    expect(answer_of(cam)).to_have_value("You can wait a while for an answer on [P101]")
    answer_of(cam).press("End")
    cam.keyboard.type(NEW_WORDS.removeprefix("You can wait a while for an answer on [P101]"))
    eventually(cam, kept(desk, NEW_WORDS), "the text did not save itself")
    expect(cam.locator("#saved")).to_contain_text("Saved.")
    cam.get_by_label("Why does this change?").fill("Plainer words.")
    go_on(cam, cam.get_by_role("button", name="Send for review").click)
    expect(cam.locator(".desk-done")).to_contain_text("It waits for a second person now.")
    expect(cam.locator("#why")).to_contain_text("You wrote in it.")

    go(cora, "/desk/knowledge/review")
    go_on(cora, cora.get_by_role("link", name="I have been waiting a long time on 101").click)
    expect(cora.locator("ins.desk-added").first).to_contain_text("You can wait a while")
    began = time.monotonic()
    cora.get_by_label("Why is it right with these hints?").or_(
        cora.get_by_label("What you want to note")
    ).fill("Good.")
    go_on(cora, cora.get_by_role("button", name="Approve").click)
    expect(cora.locator(".desk-done")).to_contain_text("It is live.")
    ask(public)
    expect(
        public.locator(".message").filter(has_text="You can wait a while for an answer on 101.")
    ).to_be_visible()
    assert time.monotonic() - began < 30

    # One person takes it away at once.
    cora.get_by_label("Why").fill("The wait has changed.")
    go_on(cora, cora.get_by_role("button", name="Withdraw it now").click)
    expect(cora.locator(".desk-done")).to_contain_text("It is withdrawn.")
    answers = len(answers_of(desk))
    ask(public, QUESTION + " today")
    expect(public.locator(".message--person")).to_have_count(3)
    eventually(public, lambda: all(row.handled for row in desk.rows(Message)), "the question was not read")
    assert len(answers_of(desk)) == answers
    public.context.close()


def test_two_editors_see_each_other_and_neither_loses_a_word(
    desk: Desk,
    open_desktop: OpenDesktop,  # noqa: F811
) -> None:
    cam, cora = open_desktop("cam").page, open_desktop("cora", 360).page
    edited(cam)
    go(cora, PAGE)
    go_on(cora, cora.get_by_role("button", name="Go on with the draft").click)
    expect(cora.locator("#others")).to_have_text("Cam Tester has this draft open too.")
    expect(cam.locator("#others")).to_have_text("Cora Tester has this draft open too.")
    answer_of(cam).fill("What Cam writes.")
    eventually(cam, kept(desk, "What Cam writes."), "Cam's text was not kept")
    answer_of(cora).fill("What Cora writes.")
    expect(cora.locator("#saved")).to_contain_text("Cam Tester saved this text while you wrote.")
    assert kept(desk, "What Cam writes.")()
    assert "What Cora writes." in [row.body["answer"] for row in desk.rows(TextCopy)]
    assert axe(cora) == []
    go_on(cora, cora.get_by_role("link", name="Look at both side by side").click)
    expect(cora.locator(".desk-two__side").nth(0)).to_contain_text("What Cam writes.")
    expect(cora.locator(".desk-two__side").nth(1)).to_contain_text("What Cora writes.")
    assert axe(cora) == []
    assert sideways(cora) == []
    cora.locator(".desk-two input[value=mine]").first.check()
    go_on(cora, cora.get_by_role("button", name="Go on with these words").click)
    expect(answer_of(cora)).to_have_value("What Cora writes.")
    # Cam, who has typed nothing since, is told; and what Cam wrote is still there to be looked at.
    expect(cam.locator("#saved")).to_contain_text("Somebody else changed this draft.")
    go_on(cam, cam.locator("#load-again").click)
    expect(answer_of(cam)).to_have_value("What Cora writes.")


def test_a_lock_loses_nothing_that_was_typed_before_or_after_it(
    desk: Desk,
    open_desktop: OpenDesktop,  # noqa: F811
) -> None:
    cam = open_desktop("cam").page
    edited(cam)
    path = cam.url
    answer_of(cam).fill("Before the lock.")
    eventually(cam, kept(desk, "Before the lock."), "it was not kept")
    # The session is locked at the server; this page does not know yet, and somebody types on.
    desk.change(update(StaffSession).values(locked=True, acted_at=now()))
    answer_of(cam).fill("Before the lock, and after it.")
    cam.wait_for_url("**/desk/locked**")
    assert kept(desk, "Before the lock.")()
    cam.get_by_role("textbox", name="Password").fill(PASSWORD)
    go_on(cam, cam.get_by_role("button", name="Unlock").click)
    assert cam.url.split("?")[0] == path.split("?")[0]
    expect(answer_of(cam)).to_have_value("Before the lock, and after it.")
    eventually(
        cam, kept(desk, "Before the lock, and after it."), "what was typed after the lock was not kept"
    )

    # By hand, with letters that are not saved yet: they go first.
    answer_of(cam).fill("The last letters")
    go_on(cam, cam.get_by_role("button", name="Lock", exact=True).click)
    assert kept(desk, "The last letters")()
    cam.get_by_role("textbox", name="Password").fill(PASSWORD)
    go_on(cam, cam.get_by_role("button", name="Unlock").click)
    expect(answer_of(cam)).to_have_value("The last letters")

    # The network is away: the text stays on the page, and is saved once it is back.
    cam.context.set_offline(True)
    answer_of(cam).fill("Written in a tunnel.")
    expect(cam.locator("#saved")).to_contain_text("Your text stays on this page.")
    cam.context.set_offline(False)
    eventually(cam, kept(desk, "Written in a tunnel."), "it was not saved later")


PAGES = [
    "/desk/knowledge", "/desk/knowledge?kind=line", "/desk/knowledge?kind=contact", "/desk/knowledge?q=zebrafish",
    PAGE, "/desk/knowledge/text/line/opening_message", "/desk/knowledge/text/teams/teams",
    "/desk/knowledge/new", "/desk/knowledge/review", "/desk/knowledge/releases",
]  # fmt: skip
FORMS = [
    ("faq", "da-help"), ("line", "opening_message"), ("contact", "P101"), ("reply", "hello"), ("card", "R02"),
    ("outcome", "signposted_other_agency"), ("language", "ar"), ("hours", "desk"), ("hours", "exceptions"),
    ("hours", "counters"), ("teams", "teams"), ("clock", "clock"), ("labels", "labels"), ("force", "force"),
]  # fmt: skip


@pytest.mark.parametrize("width", [320, 360, 1280])
def test_every_page_passes_axe_and_fits(
    desk: Desk,
    open_desktop: OpenDesktop,  # noqa: F811
    width: int,
) -> None:
    page = open_desktop("cam", width).page
    cora = open_desktop("cora", width).page
    problems: list[object] = []

    def look(at: Page, name: str) -> None:
        working(at)
        problems.extend((name, wide) for wide in sideways(at))
        problems.extend((name, *found) for found in axe(at))
        if SHOTS:
            at.screenshot(
                path=str(Path(SHOTS) / f"{width}-{name.replace('/', '_')}.png"),
                full_page=True,
                clip=TOP | {"width": width},
            )

    for path in PAGES:
        go(page, path)
        look(page, path.removeprefix("/desk/knowledge").replace("?", "_") or "list")
    for kind, key in FORMS:
        go(page, f"/desk/knowledge/text/{kind}/{key}")
        go_on(page, page.get_by_role("button", name="Edit").click)
        look(page, f"edit-{kind}-{key}")
    edited(page)
    words = "We will utilise 0191 496 0000 and an officer will visit you within 24 hours. Do not worry, call [P101]."
    answer_of(page).fill(words)
    expect(page.locator("#check mark").first).to_be_visible()
    eventually(page, lambda: desk.rows(TextDraft)[-1].body.get("answer") == words, "it was not kept")
    look(page, "edit-with-findings")
    go_on(page, page.get_by_role("button", name="Send for review").click)
    look(page, "submit-refused")
    answer_of(page).fill(NEW_WORDS)
    page.get_by_label("Why does this change?").fill("Plainer words.")
    go_on(page, page.get_by_role("button", name="Send for review").click)
    look(page, "review-own")
    number = desk.rows(TextDraft)[-1].id
    go(cora, "/desk/knowledge/review")
    look(cora, "reviews")
    go(cora, f"/desk/knowledge/review/{number}")
    look(cora, "review")
    cora.locator("input[name=when][value=later]").check()
    cora.locator("#time").fill("00:00")
    go_on(cora, cora.get_by_role("button", name="Approve").click)
    look(cora, "review-refused")
    cora.locator("input[name=when][value=now]").check()
    cora.locator("#why").fill("Good.")
    go_on(cora, cora.get_by_role("button", name="Approve").click)
    expect(cora.locator(".desk-done")).to_contain_text("It is live.")
    go(cora, f"{PAGE}/history")
    look(cora, "history")
    go(cora, "/desk/knowledge/releases")
    look(cora, "releases")
    go_on(cora, cora.get_by_role("link", name="Release", exact=False).last.click)
    look(cora, "release-old")
    go(cora, "/desk/knowledge/releases")
    go_on(cora, cora.locator("main").get_by_role("link", name="Release 2").click)
    look(cora, "release-live")
    go(cora, PAGE)
    go_on(cora, cora.get_by_role("button", name="Withdraw it now").click)
    look(cora, "withdraw-refused")
    cora.locator("#withdraw").fill("It is wrong.")
    go_on(cora, cora.get_by_role("button", name="Withdraw it now").click)
    look(cora, "withdrawn")
    assert problems == []


def test_an_answer_is_changed_by_keyboard_alone(desk: Desk, open_desktop: OpenDesktop) -> None:  # noqa: F811
    page = open_desktop("cam").page
    keys = page.keyboard

    def tab_to(selector: str) -> None:
        for _ in range(160):
            keys.press("Tab")
            if page.evaluate("(s) => document.activeElement.matches(s)", selector):
                return
        raise AssertionError(f"no key leads to {selector}")

    tab_to(".desk-nav__link[href='/desk/knowledge']")
    go_on(page, lambda: keys.press("Enter"))
    tab_to("#q")
    keys.type("wait 101")
    go_on(page, lambda: keys.press("Enter"))
    tab_to(f"a[href='{PAGE}']")
    go_on(page, lambda: keys.press("Enter"))
    tab_to(f"form[action='{PAGE}/edit'] button")
    go_on(page, lambda: keys.press("Enter"))
    tab_to("#f-answer")
    keys.press("ControlOrMeta+a")
    keys.type("You can wait a while for an answer on [P101]. If you are in danger, call ")
    tab_to("#contact-f-answer")
    keys.type("Emergency")
    tab_to("[data-put-into='f-answer']")
    keys.press("Enter")
    expect(answer_of(page)).to_be_focused()
    keys.type(".")
    tab_to("#note")
    keys.type("Plainer words.")
    tab_to("#send")
    go_on(page, lambda: keys.press("Enter"))
    expect(page.locator(".desk-done")).to_contain_text("It waits for a second person now.")
    assert "call [" in desk.rows(TextDraft)[0].body["answer"]


def test_everything_works_without_scripts(desk: Desk, chromium: Browser) -> None:  # noqa: F811
    """No page can say here that it has come: each step waits for what only the next page shows."""
    opened = chromium.new_context(base_url=desk.base, java_script_enabled=False)
    page = opened.new_page()
    page.goto("/desk")
    page.get_by_label("User name").fill("cam")
    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Code").wait_for()
    page.get_by_label("Code").fill(desk.code("cam"))
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("link", name="Answers and wording").click()
    page.get_by_label("Words").fill("wait 101")
    page.get_by_role("button", name="Show").click()
    page.locator(f"a[href='{PAGE}']").click()
    page.get_by_role("button", name="Edit").click()
    answer_of(page).fill("You can wait a while for an answer on")
    page.locator("#contact-f-answer").select_option("[P101]")
    page.get_by_role("button", name="Put it in").click()
    expect(answer_of(page)).to_have_value("You can wait a while for an answer on [P101]")
    answer_of(page).fill("We will utilise [P101].")
    page.locator("#save").click()
    expect(page.locator(".desk-done")).to_contain_text("Your text is saved.")
    expect(page.locator("#check mark").first).to_be_visible()
    answer_of(page).fill(NEW_WORDS)
    page.get_by_label("Why does this change?").fill("Plainer words.")
    page.get_by_role("button", name="Send for review").click()
    expect(page.locator(".desk-done")).to_contain_text("It waits for a second person now.")
    opened.close()
