"""No way round a role, a seal or a team, and nothing that breaks: generated from the route table.

A new route is tested here without a line being added. Field names are read from the desk's own
sources, so that whatever a route asks for is sent to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Row, insert, update

import bot.console
from bot import console
from bot.console.visit import ANSWERING, BEFORE_READING, CHAT, Route
from bot.store.record import now
from bot.store.tables import (
    Approval,
    Audit,
    CallBack,
    Conversation,
    Draft,
    Measure,
    Note,
    SafetyReview,
    Sample,
    Staff,
    StaffView,
)
from tests.console.serving import TEAMS, Browser, Desk, listen, serving
from tests.support.databases import SqliteTemplates

pytestmark = pytest.mark.integration

TEAM = "professional_standards"
STAFF = {
    "ada": ("admin", [TEAM]),
    "mo": ("moderator", ["digital_desk", "control_room"]),
    "jo": ("moderator", ["safeguarding"]),
    "sue": ("supervisor", ["digital_desk", "control_room"]),
    "cam": ("comms", ["corporate_communications", TEAM]),
    "pat": ("moderator", [TEAM]),
    "boss": ("supervisor", ["digital_desk", "control_room", "safeguarding", "intelligence", TEAM]),
}
"""By name: ada has the account of number 1, so that no test of hers ends another's."""
SAID = {
    "sealed": "the officer punched me, quillwort",
    "restricted": "someone broke in last tuesday, feverfew",
    "sensitive": "my ex is stalking me, agrimony",
    "ordinary": "someone broke in last tuesday, tansy",
}
"""What people write, each with a word that no test ever asks for."""
MARKS = {kind: text.rsplit(" ", 1)[1] for kind, text in SAID.items()}
MAY_SEE = {
    "sealed": {"pat", "boss"},
    "restricted": {"boss"},
    "sensitive": {"mo", "jo", "sue", "pat", "boss"},
    "ordinary": {"mo", "jo", "sue", "pat", "boss"},
}
ASKED_WHY = {"mo", "sue", "pat"}
"""Who has to say first why they read a sensitive chat."""
ENDING = {"/desk/sign-out", "/desk/lock", "/desk/end-shift"}
NOWHERE = 987654
SOURCES = "\n".join(
    path.read_text(encoding="utf-8") for path in Path(bot.console.__file__).parent.glob("*.py")
)
FIELDS = sorted(set(re.findall(r"(?:field|whole|query)\(\s*\"([\w-]+)\"", SOURCES)) - {"csrf"})


@pytest.fixture
def every_desk(database_url: str) -> Iterator[Desk]:
    """A desk with one of everybody, on each kind of database."""
    with serving(database_url) as served:
        hire(served)
        yield served


@pytest.fixture
def one_desk(sqlite_templates: SqliteTemplates) -> Iterator[Desk]:
    """The same on SQLite."""
    url = sqlite_templates.fresh()
    with serving(url) as served:
        hire(served)
        yield served
    sqlite_templates.drop(url)


def hire(desk: Desk) -> None:
    kept = dict(TEAMS)
    TEAMS.update(STAFF)
    try:
        desk.hire(*STAFF)
    finally:
        TEAMS.clear()
        TEAMS.update(kept)


def table(desk: Desk) -> list[Route]:
    return console.routes(desk.gateway.core).table


def chats(desk: Desk) -> dict[str, Row[Any]]:
    """One chat of each kind, and everything that points at the sealed one by a number of its own."""
    for kind, text in SAID.items():
        desk.say(text, kind, name=f"Name {MARKS[kind]}")
    restricted = desk.chat("restricted").id
    desk.change(update(Conversation).where(Conversation.id == restricted).values(team="intelligence"))
    found = {kind: desk.chat(kind) for kind in SAID}
    assert [found[kind].sealed for kind in SAID] == [True, False, False, False]
    hidden, author, at = found["sealed"], desk.rows(Staff, Staff.username == "pat")[0].id, now()
    mark = MARKS["sealed"]
    for statement in (
        insert(Note).values(conversation_id=hidden.id, staff_id=author, text=mark, created_at=at),
        insert(Approval).values(conversation_id=hidden.id, author_id=author, text=mark, asked_at=at),
        insert(Draft).values(conversation_id=hidden.id, staff_id=author, text=mark, note=mark, updated_at=at),
        insert(StaffView).values(conversation_id=hidden.id, staff_id=author, seen_at=at, typing_at=at),
        insert(CallBack).values(
            conversation_id=hidden.id, number="0", note=mark, asked_at=at, asked_by=author
        ),
        insert(Measure).values(
            person_id=hidden.person_id, conversation_id=hidden.id, kind="hide", reason=mark, at=at, by=author,
            review_at=at,
        ),
        insert(Sample).values(day="2026-11-23", conversation_id=hidden.id),
        insert(SafetyReview).values(
            conversation_id=hidden.id, opened_at=at, opened_by=author, phrase=mark, state="open"
        ),
    ):  # fmt: skip
        desk.change(statement)
    return found


def filled(route: Route, chat: object, other: object = 1) -> str:
    path = route.path.replace("<conversation_id:int>", str(chat))
    return re.sub(r"<\w+(:str)?>", "nothing", re.sub(r"<\w+:int>", str(other), path))


def sensible(row: Row[Any]) -> dict[str, str]:
    """Fields that let an action succeed, if the caller may do it."""
    known = {
        "epoch": str(row.epoch), "grade": "P2", "team": "control_room", "outcome": "answered",
        "blocked": "yes", "state": "closed",
    }  # fmt: skip
    return {name: known.get(name, "a reason for it") for name in FIELDS}


def call(
    browser: Browser, route: Route, path: str, fields: dict[str, str], *, part: bool = False
) -> httpx.Response:
    if route.path == "/desk/stream":
        with browser.client.stream("GET", path, follow_redirects=False) as answer:
            return httpx.Response(answer.status_code, headers=answer.headers)
    browser.client.follow_redirects = False
    try:
        if route.method == "POST":
            return browser.post(path, part, **fields)
        headers = {"HX-Request": "true"} if part else {}
        return browser.client.get(path, params={"q": "a"}, headers=headers)
    finally:
        browser.client.follow_redirects = True


def said(answer: httpx.Response, chat: int, page: str) -> tuple[Any, ...]:
    """Everything by which two answers could be told apart, but for the number that was asked for."""
    text = re.sub(r'name="csrf" value="[^"]*"', "", answer.text.replace(page, "PAGE"))
    headers = {
        name: value.replace(f"/{chat}", "/N")
        for name, value in answer.headers.items()
        if name not in ("date", "content-length", "set-cookie")
    }
    return answer.status_code, sorted(headers.items()), text.replace(f"/c/{chat}", "/c/N")


def of_chats(desk: Desk) -> list[Route]:
    return [route for route in table(desk) if "conversation_id" in route.path]


def no_trace(desk: Desk, found: dict[str, Row[Any]], who: str, answer: httpx.Response, route: Route) -> None:
    """Nothing of what `who` may not see is in an answer."""
    for kind, row in found.items():
        if who not in MAY_SEE[kind]:
            for mark in (row.reference, MARKS[kind]):
                assert mark not in answer.text, (who, kind, route)
                assert mark not in str(answer.headers), (who, kind, route)
        elif kind == "sensitive" and who in ASKED_WHY:
            assert MARKS[kind] not in re.sub(r"Name \w+", "", answer.text), (who, route)


def standing(desk: Desk, row: Row[Any]) -> tuple[Any, ...]:
    """The chat and how much was recorded of it."""
    (chat,) = desk.rows(Conversation, Conversation.id == row.id)
    return tuple(chat), len(desk.rows(Audit, Audit.conversation_id == row.id))


@pytest.mark.parametrize("who", ["mo", "jo", "sue"])
def test_what_one_may_not_see_answers_as_if_it_were_not_there(every_desk: Desk, who: str) -> None:
    desk = every_desk
    found = chats(desk)
    browser = desk.browser(who)
    hidden = [kind for kind in found if who not in MAY_SEE[kind]]
    assert "sealed" in hidden
    before = {kind: standing(desk, found[kind]) for kind in hidden}
    for number, route in enumerate(of_chats(desk)):
        for kind in hidden:
            row, part = found[kind], (number % 2 == 0) == (kind == "sealed")
            answers = []
            for chat in (row.id, NOWHERE):
                path = filled(route, chat)
                answer = call(browser, route, path, sensible(row), part=part)
                answers.append(said(answer, chat, path))
            assert answers[0] == answers[1], (who, kind, route, part)
            assert answers[0][0] == (404 if STAFF[who][0] in route.roles else 403), (kind, route)
    for kind in hidden:
        assert standing(desk, found[kind]) == before[kind], (who, kind)


@pytest.mark.parametrize("who", sorted(STAFF))
def test_no_page_list_count_or_stream_shows_what_one_may_not_see(every_desk: Desk, who: str) -> None:
    desk = every_desk
    found = chats(desk)
    browser = desk.browser(who)
    role = STAFF[who][0]
    for route in table(desk):
        if route.method != "GET" or not route.roles or route.path in (*ENDING, "/desk/stream"):
            continue
        for row in found.values():
            for query in ({"state": "bot"}, {"q": "officer", "state": "closed"}, {"q": "tuesday"}):
                answer = browser.client.get(filled(route, row.id), params=query)
                assert answer.status_code < 500, (route, answer.text)
                no_trace(desk, found, who, answer, route)
                if role not in route.roles:
                    assert answer.status_code in (403, 404), (who, route)
            if "conversation_id" not in route.path:
                break
    if role in ANSWERING:
        told = {one.data["chat"] for one in listen(browser, after="0.0") if one.name == "change"}
        assert told == {row.id for kind, row in found.items() if who in MAY_SEE[kind]}


def test_counts_leave_out_what_is_hidden(every_desk: Desk) -> None:
    desk = every_desk
    found = chats(desk)
    urgent = {kind for kind, row in found.items() if row.grade == "P2"}
    assert urgent == {"sealed", "sensitive"}
    for who, expected in (("mo", 1), ("sue", 1), ("pat", 2), ("boss", 2)):
        page = desk.browser(who).get("/desk/queue/rows").text
        shown = re.search(r'desk-grade--p2">P2</span> <strong>(\d+)</strong>', page)
        assert shown is not None
        assert int(shown[1]) == expected, who


@pytest.mark.parametrize("who", ["mo", "sue"])
def test_a_sensitive_chat_is_not_read_or_changed_without_a_reason(every_desk: Desk, who: str) -> None:
    desk = every_desk
    row = chats(desk)["sensitive"]
    browser = desk.browser(who)
    before = standing(desk, row)
    for route in of_chats(desk):
        if STAFF[who][0] not in route.roles or route.path in BEFORE_READING - {CHAT, f"{CHAT}/claim"}:
            continue
        answer = call(browser, route, filled(route, row.id), sensible(row))
        assert answer.status_code == (200 if route.path == CHAT else 403), route
        assert MARKS["sensitive"] not in re.sub(r"Name \w+", "", answer.text), route
    assert standing(desk, row) == before
    browser.post(f"/desk/c/{row.id}/reason", reason="The caller rang us about it.")
    assert MARKS["sensitive"] in browser.get(f"/desk/c/{row.id}").text
    assert MARKS["sensitive"] in browser.get(f"/desk/c/{row.id}/live").text


@pytest.mark.parametrize("who", [*sorted(STAFF), None])
def test_every_route_keeps_to_its_roles(every_desk: Desk, who: str | None) -> None:
    desk = every_desk
    found = chats(desk)
    browser = desk.browser(who)
    own = [STAFF[who][0]] if who else []
    before = {kind: standing(desk, row) for kind, row in found.items()}
    for route in table(desk):
        if not route.roles or route.path in ENDING or set(own) & route.roles:
            continue
        for row in (
            (found["sealed"], found["ordinary"]) if "conversation_id" in route.path else [found["sealed"]]
        ):
            answer = call(browser, route, filled(route, row.id), sensible(row))
            assert answer.status_code == (403 if who else 303), (who, route)
            for kind, one in found.items():
                assert one.reference not in answer.text, (who, route)
                assert MARKS[kind] not in answer.text, (who, route)
    assert {kind: standing(desk, row) for kind, row in found.items()} == before


def actor_for(route: Route) -> str | None:
    """Somebody who may use a route."""
    if not route.roles:
        return None
    return next(who for who in ("boss", "ada", "cam") if STAFF[who][0] in route.roles)


def browsers(desk: Desk) -> dict[str | None, Browser]:
    return {who: desk.browser(who) for who in ("boss", "ada", "cam", None)}


def unlock_all(desk: Desk) -> None:
    """Wrong passwords lock an account: that is tested elsewhere."""
    desk.change(update(Staff).values(failures=0, locked_until=None))


def reached(answer: httpx.Response, route: Route, *how: object) -> None:
    assert answer.status_code < 500, (route, *how, answer.text[:300])


def test_field_names_are_found(one_desk: Desk) -> None:
    assert {"text", "note", "reason", "grade", "team", "epoch", "outcome", "q", "after"} <= set(FIELDS)


NONSENSE = {
    "nothing": {},
    "zero bytes": dict.fromkeys(FIELDS, "\x00"),
    "halves of pairs": dict.fromkeys(FIELDS, "a\x00b\ufffd\u202e"),
    "huge": dict.fromkeys(FIELDS, "x" * 12_000),
    "large numbers": dict.fromkeys(FIELDS, "9" * 18),
    "larger numbers": dict.fromkeys(FIELDS, "9" * 30),
    "negative": dict.fromkeys(FIELDS, "-1"),
    "other digits": dict.fromkeys(FIELDS, "１２"),
    "quotes": dict.fromkeys(FIELDS, "'\"; -- <b>{{7*7}}%s%n\\"),
    "dates": dict.fromkeys(FIELDS, "2026-13-45T99:99"),
    "early dates": dict.fromkeys(FIELDS, "0001-01-01"),
    "late dates": dict.fromkeys(FIELDS, "9999-12-31"),
}


def test_nonsense_in_every_field_breaks_nothing(every_desk: Desk) -> None:
    desk = every_desk
    row = chats(desk)["ordinary"]
    by = browsers(desk)
    for place, (name, fields) in enumerate(NONSENSE.items()):
        # An address has its own limit.
        query = {key: value[:100] for key, value in fields.items()}
        for number, route in enumerate(table(desk)):
            if route.path in ENDING or route.path == "/desk/stream":
                continue
            browser, path, part = by[actor_for(route)], filled(route, row.id), (number + place) % 2 == 0
            browser.client.follow_redirects = False
            if route.method == "POST":
                answer = browser.post(path, part, **fields)
            else:
                headers = {"HX-Request": "true"} if part else {}
                answer = browser.client.get(path, params=query, headers=headers)
            reached(answer, route, name, part)
        unlock_all(desk)
    assert desk.browser("boss").get("/desk/queue").status_code == 200


NUMBERS = [0, -1, NOWHERE, 2**31, 2**63 - 1, 2**63, 2**80, "x", "%00", "1%27", "1.0", "%ff", "１", " "]


def test_every_number_in_an_address_is_answered(every_desk: Desk) -> None:
    desk = every_desk
    row = chats(desk)["ordinary"]
    by = browsers(desk)
    for route in table(desk):
        if "<" not in route.path:
            continue
        browser = by[actor_for(route)]
        for number in NUMBERS:
            for path in {filled(route, number, number), filled(route, row.id, number)}:
                answer = call(browser, route, path, sensible(row))
                reached(answer, route, number)
                if "conversation_id" in route.path and path == filled(route, number, number):
                    assert answer.status_code in (400, 404), (route, number)
        unlock_all(desk)


def test_every_kind_of_body_is_answered(every_desk: Desk) -> None:
    desk = every_desk
    row = chats(desk)["ordinary"]
    by = browsers(desk)
    bodies: list[dict[str, Any]] = [
        {"json": {"text": ["a"], "epoch": {"a": 1}}},
        {"json": [1, 2]},
        {
            "content": b"\xff\xfe\x00&=&&==%zz",
            "headers": {"Content-Type": "application/x-www-form-urlencoded"},
        },
        {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
        {"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=\x7f"}},
        {"content": b"{", "headers": {"Content-Type": "application/json"}},
        {"content": b""},
        {"data": {"text": ["one", "two"], "epoch": ["1", "2"], "team": ["a", "a"]}},
        {"files": {"text": ("a.exe", b"\x00MZ"), "epoch": ("b", b"1"), "reason": ("c", b"c")}},
    ]
    for route in table(desk):
        if route.method != "POST" or route.path in ENDING:
            continue
        browser = by[actor_for(route)]
        browser.client.follow_redirects = False
        for number, body in enumerate(bodies):
            headers = {**body.get("headers", {}), "X-CSRF-Token": browser.csrf}
            answer = browser.client.post(filled(route, row.id), **{**body, "headers": headers})
            reached(answer, route, number)
        unlock_all(desk)


def test_no_form_works_without_the_token_of_its_session(every_desk: Desk) -> None:
    desk = every_desk
    found = chats(desk)
    by = browsers(desk)
    other = desk.browser("pat").csrf
    before = {kind: standing(desk, row) for kind, row in found.items()}
    for route in table(desk):
        if route.method != "POST" or not route.roles:
            continue
        browser = by[actor_for(route)]
        for token in ("", "\x00", "x" * 5000, other, "é"):
            for row in (found["sealed"], found["ordinary"]):
                fields = {**sensible(row), "csrf": token}
                answer = call(browser, route, filled(route, row.id), fields)
                assert answer.status_code == 403, (route, token[:5])
    assert {kind: standing(desk, row) for kind, row in found.items()} == before
