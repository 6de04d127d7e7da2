"""Meta calls us: the routes on the public listener.

developers.facebook.com/docs/messenger-platform/webhooks. Meta repeats what was not answered 200, with
longer and longer pauses, for a day and a half. Its largest are of 3 MB
(developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview, "payload size"), more
than other callers of ours may send: so these routes read their body themselves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sanic import Blueprint, HTTPResponse, Request
from sanic import text as text_response

from bot.channels.meta.signature import HEADER, challenge, verify
from bot.errors import ForgedError, TooLargeError

LARGEST_BODY = 3_200_000
"""Bytes."""


def add_routes(
    blueprint: Blueprint,
    path: str,
    take: Callable[[bytes], Awaitable[None]],
    *,
    app_secret: str,
    verify_token: str,
) -> None:
    """`GET`: is this address ours? `POST`: 403 unless Meta signed it, 200 after the commit.

    `take` reads a body and keeps what is in it.
    """

    @blueprint.get(path, name="verify")
    async def _verify(request: Request) -> HTTPResponse:
        said = challenge(
            request.args.get("hub.mode"),
            request.args.get("hub.verify_token"),
            request.args.get("hub.challenge"),
            verify_token,
        )
        return text_response(said, headers={"X-Content-Type-Options": "nosniff"})

    @blueprint.post(path, name="webhook", stream=True)
    async def _webhook(request: Request) -> HTTPResponse:
        signed = request.headers.get(HEADER)
        if signed is None:
            raise ForgedError("the signature is missing or wrong")
        body = await _read(request)
        verify(body, app_secret, signed)
        await take(body)
        return text_response("EVENT_RECEIVED")


async def _read(request: Request) -> bytes:
    """The body, if it is no larger than Meta's own, or than the force's setting for every caller.

    Raises:
        TooLargeError: it is.
    """
    most = max(LARGEST_BODY, int(request.app.config.REQUEST_MAX_SIZE))
    told = request.headers.getone("content-length", "")
    size = int(told) if told.isdecimal() else 0
    too_large = TooLargeError(f"the body is larger than {most} bytes")
    if size > most:
        raise too_large
    body = bytearray()
    stream: Any = request.stream
    async for part in stream:
        body += part
        if len(body) > most:
            raise too_large
    return bytes(body)
