"""Every route of the desk, for everybody: generated from the route table, so that none is left out."""

from __future__ import annotations

import re

import httpx
import pytest

from bot import console
from bot.console.visit import (
    ADMIN,
    ANSWERING,
    COMMENTING,
    HEADERS,
    MARKING,
    OVERSEEING,
    RELEASING,
    STAFF,
    SUPERVISOR,
    WRITING,
    Route,
)
from tests.console.serving import PASSWORD, TEAMS, Browser, Desk
from tests.support.world import P1

pytestmark = pytest.mark.integration

PUBLIC = {
    ("GET", "/"),
    ("GET", "/desk/theme.css"),
    ("GET", "/desk/sign-in"),
    ("POST", "/desk/sign-in"),
    ("GET", "/desk/link/<token:str>"),
    ("GET", "/desk/link"),
    ("POST", "/desk/link"),
}
OWED = {
    "/desk/sign-out",
    "/desk/second-factor",
    "/desk/second-factor/recovery",
    "/desk/second-factor/set-up",
}


def table(desk: Desk) -> list[Route]:
    return console.routes(desk.gateway.core).table


def filled(path: str, conversation_id: int) -> str:
    path = path.replace("<conversation_id:int>", str(conversation_id))
    return re.sub(
        r"<\w+>", "no-such-thing", re.sub(r"<\w+:str>", "no-such-token", re.sub(r"<\w+:int>", "1", path))
    )


def call(browser: Browser, route: Route, conversation_id: int, **fields: object) -> httpx.Response:
    path = filled(route.path, conversation_id)
    if route.path == "/desk/stream":
        with browser.client.stream("GET", path, follow_redirects=False) as answer:
            return httpx.Response(answer.status_code, headers=answer.headers)
    browser.client.follow_redirects = False
    try:
        return browser.get(path) if route.method == "GET" else browser.post(path, **fields)
    finally:
        browser.client.follow_redirects = True


def test_only_the_sign_in_is_open(desk: Desk) -> None:
    routes = table(desk)
    assert {(r.method, r.path) for r in routes if not r.roles} == PUBLIC
    assert {r.path for r in routes if r.while_locked} == {
        "/desk/sign-out", "/desk/locked", "/desk/lock", "/desk/unlock",
    }  # fmt: skip
    assert {r.path for r in routes if r.while_owed} == OWED
    for route in routes:
        assert route.roles in (
            frozenset(),
            STAFF,
            ANSWERING,
            SUPERVISOR,
            ADMIN,
            OVERSEEING,
            COMMENTING,
            MARKING,
            WRITING,
            RELEASING,
        )
        if route.path.startswith("/desk/staff"):
            assert route.roles == (OVERSEEING if route.method == "GET" else ADMIN)


def test_the_listener_has_no_other_routes(desk: Desk) -> None:
    known = {re.sub(r"<[^>]*>", "<>", r.path) for r in table(desk)}
    served = {
        "/" + re.sub(r"<[^>]*>", "<>", route.path).lstrip("/") for route in desk.gateway.desk.router.routes
    }
    assert served - known == {"/desk/static/<>", "/healthz", "/readyz", "/metrics"}


def test_nobody_sees_anything_without_signing_in(desk: Desk) -> None:
    row = desk.say(P1)
    nobody = desk.browser()
    for route in table(desk):
        if not route.roles:
            continue
        answer = call(nobody, route, row.id)
        assert answer.status_code == 303, route
        assert answer.headers["location"].startswith("/desk/sign-in")
        assert row.reference not in answer.text
    assert not desk.audit("open")


@pytest.mark.parametrize("username", sorted(TEAMS))
def test_every_route_keeps_to_its_roles_and_never_breaks(desk: Desk, username: str) -> None:
    row = desk.say(P1)
    role = TEAMS[username][0]
    browser = desk.browser(username)
    assert browser.csrf
    ending = {"/desk/sign-out", "/desk/lock", "/desk/end-shift"}
    for route in table(desk):
        if route.path in ending or not route.roles:
            continue
        answer = call(browser, route, row.id, epoch=row.epoch)
        if role in route.roles:
            assert answer.status_code < 500, (route, answer.text)
            assert answer.status_code != 403 or route.path.endswith(("/accept", "/take-over")), route
        else:
            assert answer.status_code == 403, (route, answer.text)
            assert row.reference not in answer.text
    if role not in ANSWERING:
        assert desk.chat().state == "waiting"
        assert not desk.audit("open")


@pytest.mark.parametrize("fields", [{}, {"text": "\x00"}, {"epoch": "99999999999999999999"}, {"grade": "P9"}])
def test_nonsense_never_breaks_a_route(desk: Desk, fields: dict[str, str]) -> None:
    desk.say(P1)
    browser = desk.browser("sue")
    for route in table(desk):
        if route.path in ("/desk/sign-out", "/desk/lock", "/desk/end-shift", "/desk/stream"):
            continue
        for conversation_id in (1, 987654):
            answer = call(browser, route, conversation_id, **fields)
            assert answer.status_code < 500, (route, answer.text)


def test_a_form_without_the_sessions_own_token_does_nothing(desk: Desk) -> None:
    row = desk.say(P1)
    mo, jo = desk.browser("mo"), desk.browser("jo")
    for token in ("", "x", jo.csrf):
        mo.csrf = token
        for route in table(desk):
            if route.method == "POST" and route.roles:
                answer = call(mo, route, row.id, epoch=row.epoch)
                assert answer.status_code == 403, route
    assert desk.chat().state == "waiting"
    assert len(desk.audit("sign-out")) == 0


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}],
)
def test_a_form_from_another_site_does_nothing(desk: Desk, headers: dict[str, str]) -> None:
    row = desk.say(P1)
    mo = desk.browser("mo")
    mo.client.headers.update(headers)
    for route in table(desk):
        if route.method == "POST":
            answer = call(mo, route, row.id, epoch=row.epoch, username="mo", password="x")
            assert answer.status_code == 403, route
    assert desk.chat().state == "waiting"


def test_a_locked_session_can_only_unlock_or_sign_out(desk: Desk) -> None:
    row = desk.say(P1)
    mo = desk.browser("mo")
    desk.go_idle()
    for route in table(desk):
        if not route.roles or route.while_locked:
            continue
        answer = call(mo, route, row.id, epoch=row.epoch)
        assert answer.status_code == 303, route
        assert answer.headers["location"].startswith("/desk/locked")
        assert row.reference not in answer.text
    assert desk.chat().state == "waiting"


def test_a_session_that_owes_its_second_factor_reaches_nothing_else(desk: Desk) -> None:
    row = desk.say(P1)
    for username in ("mo", "ada"):
        browser = desk.browser()
        browser.client.post("/desk/sign-in", data={"username": username, "password": PASSWORD})
        page = browser.get("/desk/second-factor")
        assert browser.csrf
        assert "/desk/queue" not in page.text
        assert "/desk/staff" not in page.text
        for route in table(desk):
            if not route.roles or route.while_owed:
                continue
            answer = call(browser, route, row.id, epoch=row.epoch)
            assert answer.status_code == 303, route
            assert answer.headers["location"].startswith("/desk/second-factor"), route
            assert row.reference not in answer.text
    assert desk.chat().state == "waiting"
    assert not desk.audit("open")


def test_every_answer_carries_the_headers(desk: Desk) -> None:
    row = desk.say(P1)
    mo = desk.browser("mo")
    for route in table(desk):
        if route.method != "GET":
            continue
        answer = call(mo, route, row.id)
        for name in HEADERS:
            assert name in answer.headers, (route, name)
        assert answer.headers["Cache-Control"] == "no-store"
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
    static = mo.client.get("/desk/static/desk.js")
    assert static.status_code == 200
    assert "Content-Security-Policy" in static.headers


@pytest.mark.parametrize("path", ["../visit.py", "..%2fvisit.py", "%2e%2e/visit.py", "build/../../visit.py"])
def test_static_files_stay_in_their_folder(desk: Desk, path: str) -> None:
    answer = desk.browser().client.get(f"/desk/static/{path}")
    assert answer.status_code in (400, 404)


def test_no_page_has_inline_script_or_style(desk: Desk) -> None:
    row = desk.say(P1)
    mo = desk.browser("mo")
    row_claimed = mo.do(row, "claim", epoch=row.epoch)
    assert row_claimed.status_code == 204
    for path in (
        "/desk/queue",
        "/desk/recent",
        f"/desk/c/{row.id}",
        "/desk/alarms",
        "/desk/own",
        f"/desk/c/{row.id}/live",
    ):
        text = mo.get(path).text
        assert not re.search(r"<script(?![^>]*\bsrc=)", text)
        assert not re.search(r"\sstyle=|\son[a-z]+=|javascript:|hx-on|js:", text)


def test_the_next_page_is_always_one_of_ours(desk: Desk) -> None:
    for wanted in (
        "https://evil.example",
        "//evil.example",
        "/\\evil",
        "/desk/x\n",
        "javascript:1",
        "/desks",
    ):
        browser = desk.browser()
        browser.client.follow_redirects = False
        answer = browser.client.post(
            "/desk/sign-in", data={"username": "mo", "password": PASSWORD, "next": wanted}
        )
        assert answer.status_code == 303
        assert answer.headers["location"] == "/desk/second-factor", wanted
        browser.get("/desk/second-factor")
        answer = browser.post("/desk/second-factor", code=desk.code("mo"), next=wanted)
        assert answer.headers["location"] == "/desk", wanted


def _cookie(answer: httpx.Response) -> str:
    return str(answer.headers["set-cookie"])


def test_the_cookie_is_closed(desk: Desk) -> None:
    client = desk.browser().client
    answer = client.post(
        "/desk/sign-in",
        data={"username": "mo", "password": "correct horse battery"},
        follow_redirects=False,
    )
    cookie = _cookie(answer)
    for part in ("HttpOnly", "SameSite=Strict", "Path=/desk", "Max-Age=43200"):
        assert part.casefold() in cookie.casefold()
