"""X calls us: the routes on the public listener (docs.x.com/x-api/webhooks/introduction).

X waits ten seconds for 200. What it does not get answered so, the looks of `polling.py` find.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from sanic import Blueprint, HTTPResponse, Request
from sanic import json as json_response

from bot.channels.x.inbound import read_body
from bot.channels.x.intake import Intake
from bot.channels.x.options import WEBHOOK_PATH, Options
from bot.channels.x.signature import answer, verify
from bot.channels.x.state import State
from bot.errors import StoreUnavailableError

log = structlog.get_logger(__name__)

NOTE_SECONDS = 60.0
"""That X calls is written down once in so long: it may call many times a second."""


def add_routes(
    blueprint: Blueprint, intake: Callable[[], Intake], state: Callable[[], State], options: Options
) -> None:
    """`GET`: the challenge. `POST`: 403 unless X signed it, 200 after the commit."""
    noted = {"at": -NOTE_SECONDS}

    async def note() -> None:
        if time.monotonic() - noted["at"] < NOTE_SECONDS:
            return
        noted["at"] = time.monotonic()
        try:
            await state().called()
        except StoreUnavailableError:
            noted["at"] = -NOTE_SECONDS

    @blueprint.get(WEBHOOK_PATH, name="challenge")
    async def _challenge(request: Request) -> HTTPResponse:
        said = answer(request.args.get("crc_token"), options.consumer_secret, options.client_secret)
        return json_response(said, headers={"Cache-Control": "no-store"})

    @blueprint.post(WEBHOOK_PATH, name="webhook")
    async def _webhook(request: Request) -> HTTPResponse:
        verify(request.body, request.headers, options.consumer_secret, options.client_secret)
        await intake().take(read_body(request.body, options.user_id))
        await note()
        return json_response({})
