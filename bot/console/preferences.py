"""What each reader sets for themselves: how the desk looks here, its keys, its sounds and notices.

The look is a cookie, so that the server can write it into the page before anything is shown. Keys,
sounds and notices are kept by the page in this browser, for each person apart.
"""

from __future__ import annotations

from sanic import HTTPResponse

from bot.console.visit import COOKIE_PATH, LOOK_COOKIE, LOOKS, STAFF, Routes, Visit
from bot.errors import RefusedError

LOOK_SECONDS = 365 * 24 * 3600


def add(routes: Routes) -> None:
    """Add the routes."""
    routes.get("/desk/settings", settings_page, STAFF)
    routes.post("/desk/settings/look", keep_look, STAFF)


async def settings_page(visit: Visit) -> HTTPResponse:
    """The page."""
    return visit.page("settings.html", tab="settings", kept=visit.query("kept") == "look")


async def keep_look(visit: Visit) -> HTTPResponse:
    """Keep a look in this browser; "device" leaves it to the device again.

    Raises:
        RefusedError: it is none of the looks there are.
    """
    look = visit.field("look", 16)
    if look != "device" and look not in LOOKS:
        raise RefusedError("Choose how the desk looks.")
    response = visit.go("/desk/settings?kept=look")
    response.add_cookie(
        LOOK_COOKIE, look, path=COOKIE_PATH, httponly=True, samesite="Strict",
        secure=visit.core.settings.secure_cookies, max_age=LOOK_SECONDS if look in LOOKS else 0,
    )  # fmt: skip
    return response
