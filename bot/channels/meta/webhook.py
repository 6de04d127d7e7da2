"""Meta calls us: the routes on the public listener.

developers.facebook.com/docs/messenger-platform/webhooks. Meta repeats what was not answered 200, with
longer and longer pauses, for a day and a half.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sanic import Blueprint, HTTPResponse, Request
from sanic import text as text_response

from bot.channels.meta.signature import HEADER, challenge, verify


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

    @blueprint.post(path, name="webhook")
    async def _webhook(request: Request) -> HTTPResponse:
        verify(request.body, app_secret, request.headers.get(HEADER))
        await take(request.body)
        return text_response("EVENT_RECEIVED")
