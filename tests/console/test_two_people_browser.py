"""Two moderators, a supervisor and a member of the public at one chat, in real browsers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Row, insert

from bot.store.record import add_event, now
from bot.store.tables import Draft, Message, StaffView
from tests.console.serving import TEAMS, Desk, serving
from tests.console.test_browser import (  # noqa: F401  fixtures
    Desktop,
    chromium,
    claimed,
    enter,
    open_desktop,
)
from tests.console.test_two_people import column
from tests.support.browser import axe, eventually, go, go_on, sideways, working
from tests.support.databases import PostgresTemplates
from tests.support.world import P1, P3

pytestmark = pytest.mark.e2e

NO_POLLS = """(() => {
  const later = window.setTimeout;
  window.setTimeout = (work, after, ...more) => (after === 20000 ? 0 : later(work, after, ...more));
})()"""
"""What a page reads every 20 seconds would hide that its stream has missed something."""
AT_UNLOCK = """() => {
  const said = () => [...document.querySelectorAll(".desk-line--person .desk-line__text")].map((one) => one.textContent);
  new MutationObserver((_changes, watch) => {
    const fields = document.getElementById("composer-fields");
    if (!fields || fields.hasAttribute("aria-disabled")) return;
    window.shownAtUnlock = said();
    watch.disconnect();
  }).observe(document.body, { attributes: true, childList: true, subtree: true });
}"""
"""Remembers what the page showed of the person at the moment when somebody could type again."""

TYPES = """() => {
  const look = () => { if (document.getElementById("viewers").textContent.includes("is typing")) window.sawTyping = true; };
  new MutationObserver(look).observe(document.getElementById("viewers"), { childList: true, subtree: true });
}"""
"""Remembers that the page said of somebody that they type: seconds later it says so no more."""

AWAY = {"HX-Retarget": "#problem", "HX-Reswap": "innerHTML", "Content-Type": "text/html"}
"""What the desk answers with while it cannot reach its records."""


def said(page: Page) -> list[str]:
    """What the page shows of the person."""
    return page.locator(".desk-line--person .desk-line__text").all_text_contents()


def ready(page: Page) -> None:
    """Wait until the page shows everything and somebody can type."""
    working(page)
    expect(page.locator("#text")).to_be_editable()


def kept(desk: Desk, text: str) -> Callable[[], bool]:
    """Whether the desk keeps just this as the reply that somebody has not sent."""
    return lambda: column(desk, Draft.text) == [text]


def test_a_p1_is_passed_on_warm_with_its_unsent_text(desk: Desk, open_desktop: Any) -> None:  # noqa: F811
    row = desk.say(P1)
    mo, jo, sue = open_desktop("mo").page, open_desktop("jo", 320).page, desk.browser("sue")
    go(jo, f"/desk/c/{row.id}")
    claimed(mo, row.id)
    expect(mo.locator("#viewers")).to_have_text("Jo Tester has this chat open.")
    expect(mo.locator("#viewers-news")).to_have_text("Jo Tester has this chat open too.")
    jo.evaluate(TYPES)

    def jo_saw_it() -> bool:
        mo.locator("#text").press_sequentially("x")
        return bool(jo.evaluate("window.sawTyping"))

    eventually(jo, jo_saw_it, "nobody was told that Mo types")
    mo.locator("#text").fill("Stay where you are")
    expect(jo.locator("#viewers-news")).to_have_text("Mo Tester has this chat open too.")
    expect(jo.locator("#viewers[aria-live], #viewers [aria-live], #viewers [role]")).to_have_count(0)

    # A change of grade brings the composer and the actions anew: nothing typed is lost, nor the place in it.
    mo.get_by_text("Pass to another team").click()
    mo.get_by_label("Note for them").fill("A child is there")
    working(mo)
    mo.locator("#text").focus()
    mo.keyboard.press("Home")
    sue.get(f"/desk/c/{row.id}")
    assert sue.do(row, "grade", grade="P2", reason="It is out.").status_code == 204
    expect(mo.locator(".desk-grade--big")).to_have_text("P2")
    ready(mo)
    expect(mo.locator("#text")).to_be_focused()
    mo.keyboard.type("Please: ")
    expect(mo.locator("#text")).to_have_value("Please: Stay where you are")
    expect(mo.get_by_label("Note for them")).to_have_value("A child is there")
    assert sue.do(row, "grade", grade="P1", reason="It burns again.").status_code == 204
    expect(mo.locator(".desk-grade--big")).to_have_text("P1")
    ready(mo)
    expect(mo.locator("#text")).to_have_value("Please: Stay where you are")

    mo.get_by_label("Team", exact=True).select_option("safeguarding")
    go_on(mo, mo.get_by_role("button", name="Offer it").click)
    ready(mo)
    expect(mo.locator("#text")).to_have_value("Please: Stay where you are")
    expect(jo.get_by_role("button", name="Accept this chat")).to_be_visible()
    working(jo)
    go_on(jo, jo.get_by_role("button", name="Accept this chat").click)
    expect(mo.locator("[data-lost]")).to_have_text("Jo Tester accepted this chat from you.")
    expect(mo.locator("#news")).to_have_text("Jo Tester accepted this chat from you.")
    expect(mo.locator("#kept-text")).to_have_value("Please: Stay where you are")
    expect(mo.get_by_role("button", name="Copy your unsent text")).to_be_visible()
    working(mo)
    assert axe(mo) == []

    ready(jo)
    jo.get_by_text("Mo Tester left an unsent text").click()
    assert axe(jo) == []
    assert sideways(jo) == []
    jo.locator("#text").fill("I am Jo.")
    eventually(jo, lambda: "I am Jo." in column(desk, Draft.text), "Jo's text was not kept")
    go_on(jo, jo.get_by_role("button", name="Put it into my reply").click)
    ready(jo)
    expect(jo.locator("#text")).to_have_value("I am Jo.\n\nPlease: Stay where you are")
    jo.get_by_role("button", name="Send", exact=True).click()
    expect(jo.locator("#text")).to_have_value("")
    expect(mo.locator(".desk-line--staff")).to_contain_text("I am Jo.")
    assert [one.text for one in desk.outbox("staff")] == ["I am Jo.\n\nPlease: Stay where you are"]
    assert len(desk.audit("draft.use")) == 1


def test_what_is_typed_outlives_reload_sign_out_and_another_s_claim(
    desk: Desk,
    open_desktop: Any,  # noqa: F811
) -> None:
    row = desk.say(P3)
    mo, sue = open_desktop("mo").page, desk.browser("sue")
    claimed(mo, row.id)
    mo.locator("#text").fill("first words")
    go_on(mo, mo.reload)
    ready(mo)
    expect(mo.locator("#text")).to_have_value("first words")
    mo.get_by_text("Add a private note").click()
    mo.locator("#note").fill("half a note")
    mo.locator("#text").fill("first words, and more")
    go_on(mo, mo.get_by_role("button", name="Sign out").click)
    enter(desk, mo, "mo")
    go(mo, f"/desk/c/{row.id}")
    expect(mo.locator("#kept-text")).to_have_value("first words, and more")
    expect(mo.locator("#note")).to_have_value("half a note")
    claimed(mo, row.id)
    expect(mo.locator("#text")).to_have_value("first words, and more")

    sue.get(f"/desk/c/{row.id}")
    mo.locator("#text").fill("first words, and the last")
    assert sue.do(row, "take-over").status_code == 204
    expect(mo.locator("[data-lost]")).to_have_text("Sue Tester took this chat over from you.")
    expect(mo.locator("#kept-text")).to_have_value("first words, and the last")
    expect(mo.locator("#text")).to_have_count(0)
    chat = f"/desk/c/{row.id}"
    shown = lambda: "first words, and the last" in sue.get(chat).text  # noqa: E731  a condition
    eventually(mo, shown, "the last letters never reached the new owner")
    mo.get_by_role("button", name="Throw away").click()
    expect(mo.locator("#kept")).to_be_hidden()
    go_on(mo, mo.reload)
    expect(mo.locator("#kept")).to_be_hidden()
    # Only a page whose first beat was answered can say that it goes.
    expect(mo.locator("#viewers [data-stamp]")).to_have_count(1)
    go(mo, "/desk/queue")
    eventually(mo, lambda: not column(desk, StaffView.staff_id), "a page that is gone still counts as open")


def test_a_text_that_reached_the_desk_late_is_shown_until_somebody_types(
    desk: Desk,
    open_desktop: Any,  # noqa: F811
) -> None:
    """The last letters may be on their way still when the next page is read; another tab may keep newer ones."""
    row = desk.say(P3)
    page = open_desktop("mo").page
    claimed(page, row.id)

    def comes_late(text: str) -> None:
        csrf = page.evaluate("document.body.dataset.csrf")
        late = page.request.post(
            f"/desk/c/{row.id}/draft", form={"csrf": csrf, "kind": "reply", "text": text}
        )
        assert late.status == 204

    comes_late("first words")
    desk.say("are you there?")
    expect(page.locator("#text")).to_have_value("first words")
    comes_late("first words, and more")
    desk.say("hello?")
    expect(page.locator("#text")).to_have_value("first words, and more")
    page.locator("#text").fill("first words, and my own")
    eventually(page, kept(desk, "first words, and my own"), "the text was not kept")
    comes_late("of another tab")
    desk.say("please")
    expect(page.locator(".desk-line--person").last).to_contain_text("please")
    working(page)
    expect(page.locator("#text")).to_have_value("first words, and my own")


def test_a_tab_that_is_behind_sends_nothing(desk: Desk, open_desktop: Any) -> None:  # noqa: F811
    row = desk.say(P3)
    one = open_desktop("mo")
    page, sue = one.page, desk.browser("sue")
    claimed(page, row.id)
    shape = page.locator("#shape").input_value()
    old = page.request.get(f"/desk/c/{row.id}/live", params={"shape": shape}).text()
    page.route("**/live*", lambda route: route.fulfill(body=old, content_type="text/html"))
    desk.say("my little brother did it")
    page.locator("#text").fill("What did they take?")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#problem").get_by_role("alert")).to_contain_text("The person has written again.")
    expect(page.locator("#text")).to_have_value("What did they take?")
    assert said(page) == [P3]
    assert not desk.outbox("staff")

    page.unroute("**/live*")
    desk.say("please help")
    expect(page.locator(".desk-line--person .desk-line__text")).to_have_text(
        [P3, "my little brother did it", "please help"]
    )
    ready(page)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#text")).to_have_value("")
    expect(page.locator("#problem")).to_be_empty()
    assert [sent.text for sent in desk.outbox("staff")] == ["What did they take?"]

    expect(page.locator(".desk-line--staff")).to_be_visible()
    ready(page)
    shape = page.locator("#shape").input_value()
    old = page.request.get(f"/desk/c/{row.id}/live", params={"shape": shape}).text()
    page.route("**/live*", lambda route: route.fulfill(body=old, content_type="text/html"))
    assert sue.do(row, "take-over").status_code == 204
    page.locator("#text").fill("Hello?")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#problem").get_by_role("alert")).to_contain_text("You do not have this chat.")
    expect(page.locator("#text")).to_have_value("Hello?")
    assert len(desk.outbox("staff")) == 1


def test_after_a_lost_connection_all_that_was_missed_comes_before_a_letter(
    desk: Desk,
    open_desktop: Any,  # noqa: F811
) -> None:
    row = desk.say(P3)
    one = open_desktop("mo")
    page = one.page
    claimed(page, row.id)
    page.locator("#text").fill("half typed")
    one.context.set_offline(True)
    expect(page.locator("#composer-reason")).to_contain_text("Connection lost. Your text is kept.")
    desk.run(_drop_connections(desk))
    expect(page.locator("#text")).to_be_disabled()
    expect(page.locator("#text")).not_to_be_editable()
    # It can be read and marked all the same.
    marked = "(one) => { one.select(); return one.value.slice(one.selectionStart, one.selectionEnd); }"
    assert page.locator("#text").evaluate(marked) == "half typed"
    missed = [f"message number {number}" for number in range(1, 21)]
    for text in missed:
        desk.say(text)
    page.evaluate(AT_UNLOCK)
    one.context.set_offline(False)
    expect(page.locator("#text")).to_be_enabled()
    assert page.evaluate("window.shownAtUnlock") == [P3, *missed]
    assert said(page) == [P3, *missed]
    expect(page.locator("#text")).to_have_value("half typed")
    expect(page.locator("#composer-reason")).to_be_empty()

    page.route("**/live*", lambda route: route.fulfill(status=503, body="away", headers=AWAY))
    desk.say("are you there?")
    expect(page.locator("#composer-reason")).to_contain_text("Connection lost. Your text is kept.")
    page.unroute("**/live*")
    expect(page.locator("#text")).to_be_enabled()
    expect(page.locator("#problem")).to_be_empty()
    assert said(page) == [P3, *missed, "are you there?"]
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#text")).to_have_value("")
    assert [sent.text for sent in desk.outbox("staff")] == ["half typed"]


async def _drop_connections(desk: Desk) -> None:
    """Close every open connection to the desk, as a failing network would."""
    for connection in list(desk.server.connections):
        connection.transport.abort()


@pytest.fixture
def postgres_desk(postgres_templates: PostgresTemplates) -> Iterator[Desk]:
    """A desk on PostgreSQL, where transactions run side by side."""
    url = postgres_templates.fresh()
    with serving(url) as served:
        served.hire(*TEAMS)
        yield served
    postgres_templates.drop(url)


def held_message(desk: Desk, row: Row[Any], text: str) -> Callable[[], None]:
    """Begin to store a message and stop before the commit. Returns what lets it commit."""
    began, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with desk.gateway.core.store.write() as connection:
            await connection.execute(
                insert(Message).values(
                    conversation_id=row.id, person_id=row.person_id, channel="test", platform_id="held",
                    kind="text", text=text, platform_time=now(), received_at=now(), handled=True,
                )
            )  # fmt: skip
            await add_event(connection, row.id, "message.received", {})
            began.set()
            await go_on.wait()

    async def begun() -> None:
        await began.wait()

    under_way = asyncio.run_coroutine_threadsafe(hold(), desk.loop)
    desk.run(begun())

    def commit() -> None:
        desk.loop.call_soon_threadsafe(go_on.set)
        under_way.result(30)

    return commit


def test_a_transaction_that_stays_open_while_later_ones_commit_is_not_missed(
    postgres_desk: Desk,
    chromium: Browser,  # noqa: F811
) -> None:
    desk = postgres_desk
    row = desk.say(P3)
    one = Desktop(desk, chromium, "mo")
    one.context.add_init_script(NO_POLLS)
    page = one.page
    claimed(page, row.id)
    commit = held_message(desk, row, "I was first")
    later = [f"later {number}" for number in range(1, 4)]
    for text in later:
        desk.say(text)
    assert "I was first" not in said(page)
    commit()
    # PostgreSQL counts the transactions of its whole server, so those of tests beside this one too.
    lines = page.locator(".desk-line--person .desk-line__text")
    expect(lines).to_have_text([P3, "I was first", *later], timeout=90_000)
    page.locator("#text").fill("I have read all of it.")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#text")).to_have_value("")
    one.close()
    assert one.complaints == []
