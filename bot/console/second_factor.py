"""The second factor's pages: set up, give a code, give a recovery code, and one's own account.

Recovery codes and the secret are shown in the answer to a form or to who has still to confirm them,
never at an address that shows them again.
"""

from __future__ import annotations

from urllib.parse import quote

import segno
from sanic import HTTPResponse
from sanic.response import redirect

from bot.accounts import SettingUp
from bot.console.signin import owed_page
from bot.console.visit import STAFF, Routes, Visit, safe_next, with_cookie
from bot.errors import RefusedError, StaleError


def add(routes: Routes) -> None:
    """Add the routes."""
    routes.get("/desk/second-factor", code_page, STAFF, while_owed=True, acts=False)
    routes.post("/desk/second-factor", give_code, STAFF, while_owed=True, acts=False)
    routes.get("/desk/second-factor/recovery", recovery_page, STAFF, while_owed=True, acts=False)
    routes.post("/desk/second-factor/recovery", give_recovery, STAFF, while_owed=True, acts=False)
    routes.get("/desk/second-factor/set-up", set_up_page, STAFF, while_owed=True, acts=False)
    routes.post("/desk/second-factor/set-up", set_up, STAFF, while_owed=True, acts=False)
    routes.get("/desk/account", account, STAFF)
    routes.post("/desk/account/codes", new_codes, STAFF)


def _elsewhere(visit: Visit, owes: str | None, next_page: str) -> HTTPResponse:
    """The page that this session has to see instead."""
    owed = visit.session.owes
    if owed is None:
        return redirect(next_page if owes else "/desk/account", status=303)
    return redirect(owed_page(owed, next_page), status=303)


async def code_page(visit: Visit) -> HTTPResponse:
    """Where a code is asked for."""
    next_page = safe_next(visit.query("next"))
    if visit.session.owes != "code":
        return _elsewhere(visit, "code", next_page)
    return visit.page("second-factor.html", next=next_page)


async def give_code(visit: Visit) -> HTTPResponse:
    """Take a code of the device."""
    next_page = safe_next(visit.field("next", 400))
    if visit.session.owes != "code":
        return _elsewhere(visit, "code", next_page)
    try:
        token = await visit.console.second_factor.give(visit.session, visit.field("code", 40), visit.address)
    except StaleError:
        raise
    except RefusedError as error:
        return visit.page("second-factor.html", 422, problem=str(error), next=next_page)
    return with_cookie(
        redirect(next_page, status=303),
        token,
        secure=visit.core.settings.secure_cookies,
        name=visit.console.cookie,
    )


async def recovery_page(visit: Visit) -> HTTPResponse:
    """Where a recovery code is asked for."""
    next_page = safe_next(visit.query("next"))
    if visit.session.owes != "code":
        return _elsewhere(visit, "code", next_page)
    return visit.page("second-factor-recovery.html", next=next_page)


async def give_recovery(visit: Visit) -> HTTPResponse:
    """Take a recovery code, and tell how many are left."""
    next_page = safe_next(visit.field("next", 400))
    if visit.session.owes != "code":
        return _elsewhere(visit, "code", next_page)
    second_factor = visit.console.second_factor
    try:
        token, _ = await second_factor.recover(visit.session, visit.field("code", 80), visit.address)
    except StaleError:
        raise
    except RefusedError as error:
        return visit.page("second-factor-recovery.html", 422, problem=str(error), next=next_page)
    response = redirect("/desk/account?used=1", status=303)
    return with_cookie(response, token, secure=visit.core.settings.secure_cookies, name=visit.console.cookie)


async def set_up_page(visit: Visit) -> HTTPResponse:
    """The QR code, the secret to type, and the field for the first code."""
    next_page = safe_next(visit.query("next"))
    if visit.session.owes == "code":
        return _elsewhere(visit, "enrol", next_page)
    try:
        setting_up = await visit.console.second_factor.begin(visit.session)
    except StaleError:
        return _elsewhere(visit, None, next_page)
    return _set_up(visit, setting_up, next_page)


async def set_up(visit: Visit) -> HTTPResponse:
    """Take the first code; from then on every sign-in asks for one. Shows the recovery codes, once."""
    next_page = safe_next(visit.field("next", 400))
    if visit.session.owes == "code":
        return _elsewhere(visit, "enrol", next_page)
    second_factor = visit.console.second_factor
    try:
        token, codes = await second_factor.confirm(visit.session, visit.field("code", 40))
    except StaleError:
        raise
    except RefusedError as error:
        return _set_up(visit, await second_factor.begin(visit.session), next_page, str(error))
    visit.found = await visit.console.sessions.find(token)
    return with_cookie(
        _codes(visit, codes, next_page),
        token,
        secure=visit.core.settings.secure_cookies,
        name=visit.console.cookie,
    )


def _set_up(visit: Visit, setting_up: SettingUp, next_page: str, problem: str = "") -> HTTPResponse:
    image = segno.make(setting_up.uri, error="m", micro=False).svg_data_uri(scale=5, border=4)
    return visit.page(
        "second-factor-set-up.html",
        422 if problem else 200,
        problem=problem,
        groups=setting_up.groups,
        image=image,
        next=next_page,
    )


def _codes(visit: Visit, codes: list[str], next_page: str) -> HTTPResponse:
    text = "\n".join([f"Recovery codes of {visit.session.username}. Each works once.", "", *codes, ""])
    file = "data:text/plain;charset=utf-8," + quote(text)
    return visit.page("second-factor-codes.html", codes=codes, file=file, next=next_page)


async def account(visit: Visit) -> HTTPResponse:
    """One's own account: what one may do, and how the second factor stands."""
    standing = await visit.console.second_factor.standing(visit.session.staff_id)
    return visit.page("account.html", standing=standing, used=bool(visit.query("used")), tab="account")


async def new_codes(visit: Visit) -> HTTPResponse:
    """Ten new recovery codes for a code of the device; shown once."""
    second_factor = visit.console.second_factor
    try:
        codes = await second_factor.renew_codes(visit.session, visit.field("code", 40), visit.address)
    except RefusedError as error:
        standing = await second_factor.standing(visit.session.staff_id)
        return visit.page("account.html", 422, problem=str(error), standing=standing, tab="account")
    return _codes(visit, codes, "/desk/account")
