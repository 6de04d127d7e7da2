"""Who is at the page: a random token, of which the record holds only a hash.

The chat's own page keeps it in a cookie. A frame on another page keeps it to itself and sends it in a
header: a browser gives a frame of another site no cookies, or not for long.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from urllib.parse import urlsplit

from sanic import HTTPResponse, Request

from bot.errors import BadRequestError

COOKIE = "frontcounter_chat"
HEADER = "x-chat-token"
"""No page of another site can send it: a browser would ask us first, and we allow nobody."""
KEEP_SECONDS = 7 * 24 * 3600
"""How long a device stays known after the last message: staff may answer on another day."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def new_token() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def is_framed(request: Request) -> bool:
    """Whether the frame on another page asks: then cookies count for nothing, and none is set."""
    return HEADER in request.headers


def token_in(request: Request) -> str | None:
    """The token that this device holds, if it is one that we could have made.

    Raises:
        BadRequestError: the frame sent something else.
    """
    if is_framed(request):
        sent = str(request.headers[HEADER])
        if not _TOKEN.fullmatch(sent):
            raise BadRequestError("The chat is not complete. Open the page again.")
        return sent
    value = request.cookies.get(COOKIE)
    return value if value and _TOKEN.fullmatch(value) else None


def token_from(start: str | None) -> str:
    """The token of a first message.

    The page carries a random `start`, and its first message makes the token from that. So a first
    message whose answer was lost comes from the same person when it is sent again.
    """
    if start is None or not _TOKEN.fullmatch(start):
        return new_token()
    digest = hashlib.sha256(b"webchat-first:" + start.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def person_of(token: str) -> str:
    """The person's id on this channel. The token cannot be found from it."""
    return "w" + hashlib.sha256(b"webchat-person:" + token.encode()).hexdigest()[:40]


def remember(request: Request, response: HTTPResponse, token: str, *, secure: bool) -> None:
    """Give the token to the device, or keep it there for longer. A frame keeps its own."""
    if is_framed(request):
        return
    response.add_cookie(
        COOKIE,
        token,
        path="/chat",
        httponly=True,
        secure=secure,
        samesite="Lax",
        max_age=KEEP_SECONDS,
    )


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a POST comes from our own page, as the browser tells.

    `Sec-Fetch-Site` decides where the browser sends it: under our Referrer-Policy the `Origin` of a
    plain form is "null". Neither header means that no browser sent it, and so nobody's cookie.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    if origin is None:
        return True
    return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
