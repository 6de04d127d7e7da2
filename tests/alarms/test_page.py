"""The page of the alarm paths, and the warning on every page of the desk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import update

from bot.store.tables import Alarm, AlarmAttempt, Conversation
from tests.alarms.conftest import outside
from tests.alarms.outside import Mailbox, Receiver
from tests.console.serving import PASSWORD, TEAMS, Desk, serving
from tests.support.browser import PATIENCE_MS, axe, chromium, sideways, working
from tests.support.databases import SqliteTemplates
from tests.support.passwords import light_passwords  # noqa: F401  hashes of full cost take too long
from tests.support.world import P1

NONE = "No alarm leaves this system"


@pytest.fixture
def bare_desk(sqlite_templates: SqliteTemplates) -> Iterator[Desk]:
    """A desk without any alarm path."""
    url = sqlite_templates.fresh()
    with serving(url) as served:
        served.hire(*TEAMS)
        yield served
    sqlite_templates.drop(url)


@pytest.fixture
def desk(sqlite_templates: SqliteTemplates, mailbox: Mailbox, receiver: Receiver) -> Iterator[Desk]:
    """A desk with both paths, whose alarms leave soon."""
    url = sqlite_templates.fresh()
    with serving(url, alarm_seconds=0.3, desk_url="http://127.0.0.1", **outside(mailbox, receiver)) as served:
        served.hire(*TEAMS)
        yield served
    sqlite_templates.drop(url)


def until(true: Any, seconds: float = 60.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came to be so"
        time.sleep(0.02)


@pytest.mark.integration
def test_without_a_path_every_page_of_the_desk_says_so(bare_desk: Desk) -> None:
    row = bare_desk.say(P1)
    pages = {
        "mo": ["/desk/queue", "/desk/recent", f"/desk/c/{row.id}", "/desk/c/987654"],
        "sue": ["/desk/queue", "/desk/alarm-paths"],
        "cam": ["/desk", "/desk/queue"],
        "ada": ["/desk", "/desk/alarm-paths"],
    }
    for username, paths in pages.items():
        browser = bare_desk.browser(username)
        for path in paths:
            assert NONE in browser.get(path).text, (username, path)
    locked = bare_desk.browser("mo")
    locked.post("/desk/lock")
    assert NONE in locked.get("/desk/queue").text
    assert NONE not in bare_desk.browser().get("/desk/sign-in").text


@pytest.mark.integration
def test_a_test_really_calls_and_is_recorded(desk: Desk, mailbox: Mailbox, receiver: Receiver) -> None:
    sue = desk.browser("sue")
    page = sue.get("/desk/alarm-paths")
    assert NONE not in page.text
    answer = sue.post("/desk/alarm-paths/test", by="mail", level=2)
    assert "Control room supervisor: got through" in answer.text
    assert len(mailbox.raw) == 2
    assert all("Nobody is in danger" in subject for subject in mailbox.subjects)
    answer = sue.post("/desk/alarm-paths/test", by="webhook", level=1)
    assert "got through" in answer.text
    assert [call["kind"] for call in receiver.taken] == ["test"]
    again = sue.post("/desk/alarm-paths/test", by="webhook", level=1)
    assert again.status_code == 422 or len(receiver.taken) == 2  # two halves of a minute may meet here
    assert {row.detail["path"] for row in desk.audit("alarm.test")} == {"mail", "webhook"}
    assert {row.kind for row in desk.rows(Alarm)} == {"test"}
    assert {row.result for row in desk.rows(AlarmAttempt)} == {"taken"}


@pytest.mark.integration
def test_a_failed_test_warns_everybody(desk: Desk, receiver: Receiver) -> None:
    receiver.answers.append(404)
    ada, mo = desk.browser("ada"), desk.browser("mo")
    answer = ada.post("/desk/alarm-paths/test", by="webhook", level=1)
    assert "refused" in answer.text
    assert "HTTP 404" in answer.text
    assert "The last alarm by the webhook did not get through." in mo.get("/desk/queue").text


@pytest.mark.integration
@pytest.mark.parametrize("fields", [{}, {"by": "fax", "level": "1"}, {"by": "mail", "level": "9"}])
def test_nonsense_calls_nobody(desk: Desk, mailbox: Mailbox, fields: dict[str, str]) -> None:
    answer = desk.browser("sue").post("/desk/alarm-paths/test", **fields)
    assert answer.status_code == 422
    assert not mailbox.raw
    assert not desk.rows(Alarm)


@pytest.mark.integration
def test_moderators_and_comms_have_no_test_button(desk: Desk, mailbox: Mailbox) -> None:
    for username in ("mo", "cam"):
        browser = desk.browser(username)
        assert browser.get("/desk/alarm-paths").status_code == 403
        assert browser.post("/desk/alarm-paths/test", by="mail", level=1).status_code == 403
    assert not mailbox.raw


@pytest.mark.integration
def test_a_restricted_chat_is_not_named_to_others(desk: Desk, receiver: Receiver) -> None:
    """An alarm of a restricted team: the administrator sees that there is one, not which."""
    row = desk.say(P1)
    until(lambda: receiver.taken)
    desk.change(update(Conversation).values(team="intelligence"))
    page = desk.browser("ada").get("/desk/alarm-paths").text
    assert row.reference not in page
    assert "a chat of a restricted team" in page


@pytest.mark.integration
def test_the_alarm_of_a_sealed_chat_leaves_and_is_told_to_nobody_else(desk: Desk, receiver: Receiver) -> None:
    """Somebody accuses an officer: it is called out, and only the team finds it on the page."""
    row = desk.say("the officer punched me")
    assert (row.team, row.grade, row.sealed) == ("professional_standards", "P2", True)
    until(lambda: receiver.taken)
    said = receiver.taken[0]
    ada, sue = desk.browser("ada"), desk.browser("sue")
    page = ada.get("/desk/alarm-paths").text
    assert row.reference not in page
    assert "There were none." in page
    assert row.reference in sue.get("/desk/alarm-paths").text
    assert "R16" not in str(said)
    assert "professional" not in str(said).casefold()


@pytest.mark.integration
def test_a_running_gateway_alarms_and_a_visit_ends_it(
    desk: Desk, mailbox: Mailbox, receiver: Receiver
) -> None:
    sue = desk.browser("sue")
    row = desk.say(P1)
    sue.get("/desk/queue")
    until(lambda: receiver.taken and mailbox.raw)
    page = sue.get("/desk/alarm-paths").text
    assert row.reference in page
    assert "Nobody has looked yet" in page
    sue.get(f"/desk/c/{row.id}")
    until(lambda: desk.rows(Alarm)[0].settled_at is not None)
    assert desk.rows(Alarm)[0].settled_by == "Sue Tester"
    assert "Sue Tester" in sue.get("/desk/alarm-paths").text
    assert f"/desk/c/{row.id}" in mailbox.raw[0].decode()


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with chromium() as found:
        yield found


@pytest.fixture
def open_page(browser: Chromium) -> Iterator[Callable[..., Page]]:
    """A page of a browser of its own, which is closed at the end."""
    opened: list[BrowserContext] = []

    def one(**options: Any) -> Page:
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE_MS)
        opened.append(context)
        return context.new_page()

    yield one
    for context in opened:
        context.close()


def sign_in(page: Page, desk: Desk, username: str) -> None:
    page.goto(f"{desk.base}/desk/sign-in")
    page.fill("#username", username)
    page.fill("#password", PASSWORD)
    page.click("button:has-text('Sign in')")
    page.get_by_label("Code").fill(desk.code(username))
    page.get_by_role("button", name="Go on").click()
    page.wait_for_url("**/desk/queue")


@pytest.mark.e2e
@pytest.mark.parametrize("width", [1280, 320])
@pytest.mark.parametrize("scripts", [True, False])
def test_the_page_works_by_keyboard_wide_and_narrow(
    open_page: Callable[..., Page],
    desk: Desk,
    receiver: Receiver,
    mailbox: Mailbox,
    width: int,
    scripts: bool,
) -> None:
    row = desk.say(P1)
    until(lambda: receiver.taken and mailbox.raw)
    receiver.answers.append(404)
    page = open_page(
        viewport={"width": width, "height": 900}, java_script_enabled=scripts, bypass_csp=scripts
    )
    sign_in(page, desk, "sue")
    page.goto(f"{desk.base}/desk/alarm-paths")
    if scripts:
        working(page)
    expect(page.locator("main")).to_contain_text(row.reference)
    page.focus("#level-webhook")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".desk-tested")).to_contain_text("refused")
    expect(page.locator("#alarm-warnings")).to_contain_text("did not get through")
    if scripts:
        working(page)
        assert sideways(page) == []
        assert axe(page) == []


@pytest.mark.e2e
def test_the_warning_comes_to_a_page_that_stays_open(
    open_page: Callable[..., Page], desk: Desk, receiver: Receiver
) -> None:
    page = open_page()
    sign_in(page, desk, "mo")
    working(page)
    assert "did not get through" not in page.inner_text("body")
    # Refused for good: the alarm that leaves by itself would else take the warning back.
    receiver.answers.extend([403] * 100)
    assert "refused" in desk.browser("sue").post("/desk/alarm-paths/test", by="webhook", level=1).text
    desk.say(P1)
    expect(page.locator("#alarm-warnings")).to_contain_text("did not get through")
