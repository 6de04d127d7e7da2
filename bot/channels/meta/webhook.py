"""Meta calls us: the routes on the public listener.

developers.facebook.com/docs/messenger-platform/webhooks. Meta repeats what was not answered 200, with
longer and longer pauses, for a day and a half.
"""

from __future__ import annotations

from collections.abc import Callable

from sanic import Blueprint, HTTPResponse, Request
from sanic import text as text_response

from bot.channels.meta.inbound import Account, read_body
from bot.channels.meta.intake import Intake
from bot.channels.meta.options import Options
from bot.channels.meta.signature import HEADER, challenge, verify


def add_routes(blueprint: Blueprint, intake: Callable[[], Intake], options: Options) -> None:
    """`GET`: is this address ours? `POST`: 403 unless Meta signed it, 200 after the commit."""
    traits = options.traits
    account = Account(traits, options.account_id, options.app_id)

    @blueprint.get(traits.path, name="verify")
    async def _verify(request: Request) -> HTTPResponse:
        said = challenge(
            request.args.get("hub.mode"),
            request.args.get("hub.verify_token"),
            request.args.get("hub.challenge"),
            options.verify_token,
        )
        return text_response(said, headers={"X-Content-Type-Options": "nosniff"})

    @blueprint.post(traits.path, name="webhook")
    async def _webhook(request: Request) -> HTTPResponse:
        verify(request.body, options.app_secret, request.headers.get(HEADER))
        await intake().take(read_body(request.body, account))
        return text_response("EVENT_RECEIVED")
