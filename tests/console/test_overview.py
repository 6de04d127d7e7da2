"""The supervisor's overview, and giving a chat to another member of staff."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import expect
from sqlalchemy import insert, update

from bot.accounts import create_staff
from bot.console.pages import waited
from bot.errors import NoSuchChatError, NotAllowedError, RefusedError, StaleError
from bot.messages import Actor
from bot.store.record import now
from bot.store.tables import (
    Alarm,
    Approval,
    Audit,
    Conversation,
    Note,
    Outbox,
    SafetyReview,
    Sample,
    Staff,
    StaffSession,
)
from tests.console.serving import PASSWORD, TEAMS, Browser, Desk
from tests.console.test_browser import Desktop, unfold
from tests.support.browser import axe, go, go_on, sideways, working
from tests.support.browser import chromium as running_chromium
from tests.support.world import P1, P3

pytestmark = pytest.mark.integration

ACCUSED = "an officer hit me when i was arrested last week"


def staff_id(desk: Desk, username: str) -> int:
    return int(desk.rows(Staff, Staff.username == username)[0].id)


def actor(desk: Desk, username: str) -> Actor:
    role, teams = TEAMS[username]
    return Actor(f"{username.title()} Tester", staff_id(desk, username), role, frozenset(teams))


def taken(browser: Browser, person: str = "ann") -> Any:
    row = browser.desk.chat(person)
    assert browser.do(row, "claim", epoch=row.epoch).status_code == 204
    return browser.desk.chat(person)


def cells(page: str, caption: str) -> list[list[str]]:
    """The body of a table, as words."""
    table = re.search(rf"<caption[^>]*>{caption}</caption>(.*?)</table>", page, re.S)
    assert table is not None, caption
    body = table[1].partition("<tbody>")[2]
    return [
        [
            " ".join(re.sub("<[^>]+>", " ", cell).split())
            for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.S)
        ]
        for row in re.findall(r"<tr>.*?</tr>", body, re.S)
    ]


def outsider(desk: Desk) -> Browser:
    """A supervisor of the digital desk alone."""
    store = desk.gateway.core.store
    desk.run(create_staff(store, "sam", "Sam Tester", "supervisor", ["digital_desk"], PASSWORD))
    return browser_of(desk, "sam")


def browser_of(desk: Desk, username: str) -> Browser:
    """A browser that is signed in without its second factor having been asked for."""
    browser = desk.browser()
    browser.client.post("/desk/sign-in", data={"username": username, "password": PASSWORD})
    desk.change(
        update(StaffSession)
        .where(StaffSession.staff_id == staff_id(desk, username))
        .values(second_factor=None)
    )
    browser.get("/desk/queue")
    return browser


# ---- what it shows ---------------------------------------------------------------------------------


def test_waiting_staff_and_load_are_shown(any_desk: Desk) -> None:
    any_desk.say(P1, "ann")
    any_desk.say(P3, "bob")
    mo, sue = any_desk.browser("mo"), any_desk.browser("sue")
    taken(mo, "bob")
    hour_ago = now() - timedelta(hours=1)
    any_desk.change(
        update(Conversation).where(Conversation.state == "waiting").values(waiting_since=hour_ago)
    )
    page = sue.get("/desk/overview").text
    waiting = {row[0]: row[1:3] for row in cells(page, "Waiting by grade")}
    assert waiting["P1"] == ["1 P1 waiting", waited(hour_ago)]
    assert waiting["P3"] == ["0 P3 waiting", "–"]
    staff = {row[0]: row for row in cells(page, "Staff at the desk and the chats that they have")}
    assert staff.keys() == {"Mo Tester", "Sue Tester"}
    assert staff["Mo Tester"][3:9] == ["Yes", "1", "0", "0", "1", "0"]
    assert staff["Sue Tester"][4] == "0"
    assert "under 1 min ago" in staff["Mo Tester"][9]


def test_who_has_gone_and_still_owns_a_chat_stands_out(desk: Desk) -> None:
    desk.say(P3)
    mo, sue = desk.browser("mo"), desk.browser("sue")
    taken(mo)
    desk.change(
        update(StaffSession)
        .where(StaffSession.staff_id == staff_id(desk, "mo"))
        .values(seen_at=now() - timedelta(minutes=5))
    )
    staff = cells(sue.get("/desk/overview").text, "Staff at the desk and the chats that they have")
    assert staff[0][0] == "Mo Tester"
    assert staff[0][3] == "Gone, still has chats"


def test_breaches_of_today_are_counted_by_grade_whatever_else_they_hold(any_desk: Desk) -> None:
    row = any_desk.say(P3)
    common = {"at": now(), "actor": "clock", "action": "breach", "conversation_id": row.id}
    for detail in (
        {"grade": "P2", "team": "control_room", "seconds_late": 60},
        {"grade": "P2", "team": None, "seconds": 5},
        {"grade": 7, "team": ["odd"]},
        {},
    ):
        any_desk.change(insert(Audit).values(**common, detail=detail))
    sue = any_desk.browser("sue")
    late = {one[0]: one[3] for one in cells(sue.get("/desk/overview").text, "Waiting by grade")}
    assert late == {"P1": "0", "P2": "2", "P3": "2", "P4": "0"}
    any_desk.change(update(Audit).where(Audit.action == "breach").values(at=now() - timedelta(days=2)))
    late = {one[0]: one[3] for one in cells(sue.get("/desk/overview").text, "Waiting by grade")}
    assert set(late.values()) == {"0"}


def test_what_is_due_soon_and_what_waits_for_a_supervisor_is_listed(any_desk: Desk) -> None:
    row = any_desk.say(P3)
    mo, sue = any_desk.browser("mo"), any_desk.browser("sue")
    mo_id = staff_id(any_desk, "mo")
    page = sue.get("/desk/overview").text
    any_desk.change(update(Conversation).values(reply_due_at=now() + timedelta(hours=3)))
    page = sue.get("/desk/overview").text
    assert "Nothing is late" in page
    any_desk.change(update(Conversation).values(reply_due_at=now() - timedelta(minutes=4)))
    any_desk.change(
        insert(Approval).values(conversation_id=row.id, author_id=mo_id, text="hidden words", asked_at=now())
    )
    any_desk.change(insert(Sample).values(day="2026-11-22", conversation_id=row.id))
    any_desk.change(
        insert(SafetyReview).values(conversation_id=row.id, opened_at=now(), opened_by=mo_id, state="open")
    )
    page = sue.get("/desk/overview").text
    assert "late by" in page
    assert "reply of Mo Tester" in page
    assert "hidden words" not in page
    assert "<strong>1</strong> of the daily sample" in page
    assert "<strong>1</strong> safety review open" in page
    assert mo.get("/desk/overview").status_code == 403


def test_channels_say_when_the_last_message_came_and_what_did_not_leave(any_desk: Desk) -> None:
    any_desk.say("how long is the wait for 101")
    sue = any_desk.browser("sue")
    channels = {row[0]: row[1:] for row in cells(sue.get("/desk/overview").text, "How each channel does")}
    assert channels["Test"][0] == "under 1 min ago"
    assert channels["Test"][1:] == ["under 1 min ago", "0", "–", "0 of 1"]
    assert channels["Web chat"] == ["None in 24 hours", "None in 24 hours", "0", "–", "0 of 0"]
    row = any_desk.outbox("assistant")[-1]
    any_desk.change(update(Outbox).where(Outbox.id == row.id).values(state="failed"))
    channels = {row[0]: row[1:] for row in cells(sue.get("/desk/overview").text, "How each channel does")}
    assert channels["Test"][-1] == "1 of 1"


def test_what_a_supervisor_may_not_know_of_is_nowhere_on_it(any_desk: Desk) -> None:
    hidden = any_desk.say("i want to complain about an officer who hit me", "ann")
    any_desk.change(
        update(Conversation)
        .where(Conversation.id == hidden.id)
        .values(
            sealed=True, team="professional_standards", state="human", grade="P2", category="R16",
            owner_id=staff_id(any_desk, "sue"), reply_due_at=now(),
        )
    )  # fmt: skip
    any_desk.change(
        insert(Audit).values(
            at=now(), actor="clock", action="breach", conversation_id=hidden.id, detail={"grade": "P2"}
        )
    )
    any_desk.change(
        insert(Alarm).values(
            key="x", kind="p2", conversation_id=hidden.id, reference=hidden.reference, raised_at=now(),
            level=0, detail={},
        )
    )  # fmt: skip
    for table in (Sample, SafetyReview):
        own: dict[str, Any] = {"day": "2026-11-22"}
        if table is SafetyReview:
            own = {"opened_at": now(), "opened_by": 1, "state": "open"}
        any_desk.change(insert(table).values(conversation_id=hidden.id, **own))
    sam, sue = outsider(any_desk), any_desk.browser("sue")
    for path in ("/desk/overview", "/desk/overview/live"):
        page = sam.get(path).text
        assert hidden.reference not in page
        assert "<strong>0</strong> open alarms" in page
        assert "<strong>0</strong> of the daily sample" in page
        assert "<strong>0</strong> safety reviews open" in page
        assert {row[3] for row in cells(page, "Waiting by grade")} == {"0"}
        loads = {row[0]: row[4] for row in cells(page, "Staff at the desk and the chats that they have")}
        assert set(loads.values()) == {"0"}
        assert cells(page, "How each channel does") == [
            ["Web chat", "None in 24 hours", "None in 24 hours", "0", "–", "0 of 0"]
        ]
    page = sue.get("/desk/overview").text
    assert hidden.reference in page
    assert "<strong>1</strong> open alarm " in page
    assert sam.get(f"/desk/c/{hidden.id}/reassign").status_code == 404
    assert hidden.reference not in sam.get("/desk/reviews").text


# ---- giving a chat to somebody -------------------------------------------------------------------


def test_a_p3_changes_hands_and_the_receiver_is_alerted_until_they_look(any_desk: Desk) -> None:
    any_desk.say(P3)
    mo, jo, sue = (any_desk.browser(name) for name in ("mo", "jo", "sue"))
    row = taken(mo)
    asked = sue.get(f"/desk/c/{row.id}/reassign").text
    assert "Jo Tester" in asked
    assert "It changes hands at once" in asked
    answer = sue.post(f"/desk/c/{row.id}/reassign", to=staff_id(any_desk, "jo"), note="You know the street.")
    assert answer.url.path == "/desk/overview"
    after = any_desk.chat()
    assert (after.state, after.owner_id, after.epoch) == ("human", staff_id(any_desk, "jo"), row.epoch + 1)
    (audit,) = any_desk.audit("reassign")
    assert audit.detail["owner"] == [staff_id(any_desk, "mo"), staff_id(any_desk, "jo")]
    assert audit.actor == "Sue Tester"
    assert [note.text for note in any_desk.rows(Note, Note.conversation_id == row.id)] == [
        "You know the street."
    ]
    assert "Sue Tester gave you" in jo.get("/desk/own").text
    assert "gave you" not in mo.get("/desk/own").text
    assert mo.do(row, "reply", text="Too late").status_code == 409
    jo.get(f"/desk/c/{row.id}")
    assert "gave you" not in jo.get("/desk/own").text
    assert any_desk.outbox("staff") == []


def test_a_p1_stays_with_its_owner_until_the_other_accepts(any_desk: Desk) -> None:
    any_desk.say(P1)
    mo, jo, sue = (any_desk.browser(name) for name in ("mo", "jo", "sue"))
    row = taken(mo)
    sue.post(f"/desk/c/{row.id}/reassign", to=staff_id(any_desk, "jo"), note="Please take this one.")
    offered = any_desk.chat()
    assert offered.owner_id == staff_id(any_desk, "mo")
    assert offered.transfer_team == "safeguarding"
    assert offered.epoch == row.epoch
    alarms = jo.get("/desk/own").text
    assert "Sue Tester offers you" in alarms
    jo.get(f"/desk/c/{row.id}")
    assert "offers you" in jo.get("/desk/own").text  # to look is not to accept
    assert jo.do(row, "accept").status_code == 204
    assert any_desk.chat().owner_id == staff_id(any_desk, "jo")
    assert "offers you" not in jo.get("/desk/own").text


def test_the_server_refuses_whoever_may_not_give_or_get_a_chat(any_desk: Desk) -> None:
    any_desk.say(P3)
    mo, sue = any_desk.browser("mo"), any_desk.browser("sue")
    row = any_desk.chat()
    core = any_desk.gateway.core
    mo_id, jo_id, sue_id = (staff_id(any_desk, name) for name in ("mo", "jo", "sue"))

    def give(by: str, to: int, note: str = "A note.") -> Any:
        return any_desk.run(core.desk.reassign(row.id, actor(any_desk, by), to, note))

    with pytest.raises(StaleError):  # nobody has it
        give("sue", mo_id)
    taken(mo)
    for by in ("mo", "cam", "ada"):
        with pytest.raises(NotAllowedError):
            give(by, sue_id)
    for to, note in ((jo_id, "A note."), (mo_id, "A note."), (999, "A note."), (sue_id, " ")):
        with pytest.raises(RefusedError):  # away, has it already, nobody, no note
            give("sue", to, note)
    any_desk.browser("jo")
    any_desk.change(
        update(Conversation)
        .where(Conversation.id == row.id)
        .values(team="professional_standards", sealed=True)
    )
    with pytest.raises(RefusedError):  # here, and may not know of it
        give("sue", jo_id)
    stranger = Actor("Sam", 999, "supervisor", frozenset({"digital_desk"}))
    with pytest.raises(NoSuchChatError):
        any_desk.run(core.desk.reassign(row.id, stranger, jo_id, "A note."))
    assert any_desk.chat().owner_id == mo_id
    assert any_desk.audit("reassign") == []
    refused = sue.post(f"/desk/c/{row.id}/reassign", to="x", note="Kept words")
    assert refused.status_code == 422
    assert any_desk.audit("reassign.offer") == []


# ---- in a browser ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with running_chromium() as browser:
        yield browser


@pytest.mark.e2e
def test_the_overview_changes_by_itself(desk: Desk, chromium: Chromium) -> None:
    one = Desktop(desk, chromium, "sue")
    page = one.page
    go(page, "/desk/overview")
    expect(page.locator("#waiting-P3")).to_have_text("0 P3 waiting")
    desk.say(P3)
    expect(page.locator("#waiting-P3")).to_have_text("1 P3 waiting")
    mo = desk.browser("mo")
    row = taken(mo)
    take_over = page.get_by_role("button", name=f"Take over {row.reference}")
    expect(take_over).to_be_visible()
    working(page)
    go_on(page, take_over.click)
    page.wait_for_url(f"**/desk/c/{row.id}**")
    assert desk.chat().owner_id == staff_id(desk, "sue")
    one.close()
    assert one.complaints == []


@pytest.mark.e2e
@pytest.mark.parametrize("width", [320, 1280])
def test_axe_finds_nothing_in_the_rooms_of_supervision(desk: Desk, chromium: Chromium, width: int) -> None:
    desk.say(P1, "ann")
    desk.say(P3, "bob")
    answered = desk.say("how long is the wait for 101", "cas")
    mo = desk.browser("mo")
    owned = taken(mo, "bob")
    desk.change(insert(Sample).values(day="2026-11-22", conversation_id=answered.id))
    sue = desk.browser("sue")
    sue.post(f"/desk/c/{answered.id}/should-reach", note="It was missed.")
    one = Desktop(desk, chromium, "sue", width)
    problems: list[Any] = []
    for path in (
        "/desk/overview",
        f"/desk/c/{owned.id}/reassign",
        "/desk/samples",
        "/desk/samples/1",
        "/desk/reviews",
        "/desk/reviews/1",
        "/desk/reviews/phrases",
        "/desk/figures",
        "/desk/figures?by=hour",
        "/desk/figures?first=2026-11-23&last=2026-11-01",
        f"/desk/c/{answered.id}",
    ):
        go(one.page, path)
        unfold(one.page)
        working(one.page)
        problems.extend((path, *found) for found in axe(one.page))
        problems.extend((path, wide) for wide in sideways(one.page))
    one.close()
    assert problems == []
    assert one.complaints == []
