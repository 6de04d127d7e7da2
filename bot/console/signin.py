"""Signing in and out, the lock, and the start page of roles that have no queue."""

from __future__ import annotations

from urllib.parse import urlencode

from sanic import HTTPResponse
from sanic.response import empty, redirect, text

from bot.accounts import ANSWERS, SignInRefusedError, actor_of
from bot.console.visit import EVERYBODY, STAFF, Routes, Visit, safe_next, with_cookie, without_cookie


def add(routes: Routes) -> None:
    """Add the routes."""
    routes.get("/", root, EVERYBODY, acts=False)
    routes.get("/desk", start, STAFF)
    routes.get("/desk/theme.css", theme, EVERYBODY, acts=False)
    routes.get("/desk/sign-in", sign_in_page, EVERYBODY, acts=False)
    routes.post("/desk/sign-in", sign_in, EVERYBODY, acts=False)
    routes.post("/desk/sign-out", sign_out, STAFF, while_locked=True, while_owed=True, acts=False)
    routes.get("/desk/locked", locked_page, STAFF, while_locked=True, acts=False)
    routes.post("/desk/lock", lock, STAFF, while_locked=True, acts=False)
    routes.post("/desk/unlock", unlock, STAFF, while_locked=True, acts=False)
    routes.post("/desk/here", here, STAFF, acts=False)


async def root(visit: Visit) -> HTTPResponse:
    """The desk listener has nothing else."""
    return redirect("/desk", status=303)


async def start(visit: Visit) -> HTTPResponse:
    """The queue for who answers people, a plain page for the others."""
    if visit.session.role in ANSWERS:
        return redirect("/desk/queue", status=303)
    return visit.page("start.html")


async def theme(visit: Visit) -> HTTPResponse:
    """The force's colour."""
    return text(visit.console.pages.theme(), content_type="text/css; charset=utf-8")


async def sign_in_page(visit: Visit) -> HTTPResponse:
    """The form, or straight on for who is signed in already."""
    if visit.found is not None:
        return redirect("/desk", status=303)
    return visit.page("sign-in.html", next=safe_next(visit.query("next")))


async def sign_in(visit: Visit) -> HTTPResponse:
    """Check and open a session; whatever session the browser had before ends."""
    next_page = safe_next(visit.field("next", 400))
    username = visit.field("username", 64)
    sessions = visit.console.sessions
    try:
        token = await sessions.sign_in(username, visit.field("password", 300), visit.address)
    except SignInRefusedError as error:
        return visit.page("sign-in.html", 422, problem=str(error), username=username, next=next_page)
    return await come_in(visit, token, next_page)


async def come_in(visit: Visit, token: str, next_page: str) -> HTTPResponse:
    """Hand a browser its new session; the one it had before ends. What it still owes comes first."""
    if visit.found is not None:
        await _end(visit)
    session = await visit.console.sessions.find(token)
    if session is not None and session.owes:
        next_page = owed_page(session.owes, next_page)
    response = redirect(next_page, status=303)
    return with_cookie(response, token, secure=visit.core.settings.secure_cookies, name=visit.console.cookie)


def owed_page(owes: str, next_page: str) -> str:
    """Where a session gives what it owes."""
    place = "/desk/second-factor/set-up" if owes == "enrol" else "/desk/second-factor"
    return f"{place}?{urlencode({'next': next_page})}" if next_page != "/desk" else place


async def _end(visit: Visit) -> None:
    session = visit.session
    if await visit.console.sessions.sign_out(session):
        await visit.core.desk.hand_back_all(session.staff_id, actor_of(session), "signed out")


async def sign_out(visit: Visit) -> HTTPResponse:
    """End the session. With the last open page of a person their chats go back to the queue."""
    await _end(visit)
    response = redirect("/desk/sign-in", status=303)
    return without_cookie(response, secure=visit.core.settings.secure_cookies, name=visit.console.cookie)


async def locked_page(visit: Visit) -> HTTPResponse:
    """The lock, or straight on when it is open."""
    next_page = safe_next(visit.query("next"))
    if not visit.session.locked:
        return redirect(next_page, status=303)
    return visit.page("locked.html", next=next_page)


async def lock(visit: Visit) -> HTTPResponse:
    """Lock by hand, or because the page saw nobody for a while."""
    await visit.console.sessions.lock(visit.session, "idle" if visit.field("idle") else "by hand")
    return visit.go("/desk/locked?" + urlencode({"next": safe_next(visit.field("next", 400))}))


async def unlock(visit: Visit) -> HTTPResponse:
    """Open the lock with the password of the same person."""
    next_page = safe_next(visit.field("next", 400))
    if not visit.session.locked:
        return redirect(next_page, status=303)
    try:
        token = await visit.console.sessions.unlock(
            visit.session, visit.field("password", 300), visit.address
        )
    except SignInRefusedError as error:
        return visit.page("locked.html", 422, problem=str(error), next=next_page)
    response = redirect(next_page, status=303)
    return with_cookie(response, token, secure=visit.core.settings.secure_cookies, name=visit.console.cookie)


async def here(visit: Visit) -> HTTPResponse:
    """Somebody moved a hand on an open page: no reason for what others wait for to stand back."""
    await visit.console.sessions.acted(visit.session)
    await visit.console.sessions.seen(visit.session)
    return empty()
