"""A site calls us: the route on the public listener. docs/channels/webhook.md says what it may send."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog
from sanic import Blueprint, HTTPResponse, Request
from sanic import json as json_response

from bot.channels.sites.inbound import arrivals_of, salvaged
from bot.channels.sites.intake import Intake
from bot.channels.sites.options import Site
from bot.channels.sites.schema import Problem, Read, pieces_of, read_batch
from bot.channels.sites.signature import verify
from bot.errors import BadRequestError, TooLargeError
from bot.messages import Arrival
from bot.store.record import now

log = structlog.get_logger(__name__)

LONGEST_BODY = 500_000
"""Bytes: a full batch of ordinary messages is a tenth of it."""
USED_BEFORE = "was used before, for something else: a repeat must say the same"


def add_routes(blueprint: Blueprint, intake: Callable[[], Intake], site: Site) -> None:
    """`POST`: 401 unless the site signed it within five minutes, 200 after the commit."""

    @blueprint.post(f"/webhook/{site.name}", name="webhook")
    async def _webhook(request: Request) -> HTTPResponse:
        if len(request.body) > LONGEST_BODY:
            raise TooLargeError(f"the body is larger than {LONGEST_BODY} bytes: send fewer events at once")
        verify(site.keys, request.headers, request.body, time.time())
        try:
            read = read_batch(request.body)
        except BadRequestError:
            log.warning("site.refused_whole", channel=site.channel)
            await intake().warn(salvaged(pieces_of(request.body), site.channel))
            raise
        return await _taken(read, intake(), site.channel)


async def _taken(read: Read, intake: Intake, channel: str) -> HTTPResponse:
    """Keep the events that are right; name those that are not, without a word of theirs."""
    if read.problems:
        log.warning("site.refused", channel=channel, count=len(read.problems))
    moment = now()
    places: list[tuple[int, Arrival]] = [
        (place, arrival) for place, event in read.events for arrival in arrivals_of(event, channel, moment)
    ]
    # Side by side: a callback that hangs must not keep the right events from being stored.
    _, changed = await asyncio.gather(
        intake.warn(salvaged(read.unread, channel)), intake.take([arrival for _, arrival in places])
    )
    refused = [*read.problems]
    refused += [Problem(f"events[{place}].id", USED_BEFORE) for place, one in places if one in changed]
    taken = len(read.events) - len({place for place, one in places if one in changed})
    body: dict[str, Any] = {"taken": taken}
    if refused:
        body["refused"] = [{"at": one.at, "problem": one.says} for one in refused]
    return json_response(body, status=400 if read.problems else 409 if refused else 200)
