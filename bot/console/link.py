"""The page behind a link that works once: it sets a password, then goes on to the second factor.

The token of the link leaves the address at once, into a cookie that only this page is sent: so it
stands in no history that is looked at later and in no address that is passed on to another page.
"""

from __future__ import annotations

from sanic import HTTPResponse
from sanic.response import redirect

from bot.accounts import LinkRefusedError, links
from bot.console.signin import come_in
from bot.console.visit import EVERYBODY, Routes, Visit
from bot.errors import RefusedError

COOKIE = "desk_link"
COOKIE_PATH = "/desk/link"
COOKIE_SECONDS = 3600


def add(routes: Routes) -> None:
    """Add the routes."""
    routes.get("/desk/link/<token:str>", arrive, EVERYBODY, acts=False)
    routes.get("/desk/link", password_page, EVERYBODY, acts=False)
    routes.post("/desk/link", set_password, EVERYBODY, acts=False)


async def arrive(visit: Visit, token: str) -> HTTPResponse:
    """Take the token out of the address. Nothing is used up: a mail scanner may open links too."""
    return _with_token(visit, redirect("/desk/link", status=303), token[:128])


async def password_page(visit: Visit) -> HTTPResponse:
    """The form, or why the link does not work."""
    try:
        invitation = await links.look(visit.core.store, _token(visit))
    except LinkRefusedError as error:
        return _refused(visit, error)
    return visit.page("link.html", invitation=invitation)


async def set_password(visit: Visit) -> HTTPResponse:
    """Use the link up, set the password and sign in."""
    token, store = _token(visit), visit.core.store
    password = visit.field("password", 300)
    try:
        opened = await links.use(store, visit.console.sessions, token, password)
    except LinkRefusedError as error:
        return _refused(visit, error)
    except RefusedError as error:
        invitation = await links.look(store, token)
        return visit.page("link.html", 422, invitation=invitation, problem=str(error))
    return _with_token(visit, await come_in(visit, opened, "/desk"), "")


def _token(visit: Visit) -> str:
    return str(visit.request.cookies.get(COOKIE) or "")[:128]


def _refused(visit: Visit, error: LinkRefusedError) -> HTTPResponse:
    return _with_token(visit, visit.page("link-refused.html", 410, sentence=str(error)), "")


def _with_token(visit: Visit, response: HTTPResponse, token: str) -> HTTPResponse:
    """Keep the token for this page, or with "" forget it.

    Lax, not Strict: the link is mostly opened from a mail, and a Strict cookie would not be sent on.
    """
    response.add_cookie(
        COOKIE, token, path=COOKIE_PATH, httponly=True, samesite="Lax",
        secure=visit.core.settings.secure_cookies, max_age=COOKIE_SECONDS if token else 0,
    )  # fmt: skip
    return response
