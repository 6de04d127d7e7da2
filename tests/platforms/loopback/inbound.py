"""The way in: one signed webhook carries a batch of events, and every one of them is read.

POST /loopback/webhook   {"events": [event, ...]}

{"type": "message", "id", "person", "kind", "text" | "caption", "button", "name", "time", "seq",
 "latitude", "longitude"}
{"type": "echo", "id", "person", "text", "metadata": {"outbox_id"}}
{"type": "receipt", "id", "state": "sent" | "delivered" | "read" | "failed", "detail"}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast, get_args

import structlog
from sanic import Blueprint, HTTPResponse, Request
from sanic import json as json_response

from bot.channels.parts import Parts
from bot.errors import BadRequestError
from bot.messages import Arrival, Channel, Echo, InboundKind, Incoming, Receipt
from tests.platforms.loopback.outbound import NAME, LoopbackChannel
from tests.platforms.loopback.signature import HEADER, verify

log = structlog.get_logger(__name__)

_KINDS = frozenset(get_args(InboundKind))
_RECEIPTS = frozenset({"sent", "delivered", "read", "failed"})
_LONGEST_ID = 255


class Loopback:
    """The loopback platform as a channel of the gateway."""

    def __init__(self, url: str, secret: str) -> None:
        """`url` is the platform's own address; `secret` is shared with it, both ways."""
        self._way_out = LoopbackChannel(url, secret)
        self.channel: Channel = self._way_out
        self._secret = secret

    async def close(self) -> None:
        """Give the connections to the platform back."""
        await self._way_out.close()

    async def run(self, parts: Parts) -> None:
        """Nothing by itself: this platform calls us."""

    async def reachable(self) -> str | None:
        """It is on this machine."""
        return None

    def blueprint(self, parts: Parts) -> Blueprint[Any, Any]:
        """The webhook, on the public listener."""
        routes: Blueprint[Any, Any] = Blueprint("loopback", url_prefix="/loopback")

        @routes.post("/webhook")
        async def _webhook(request: Request) -> HTTPResponse:
            verify(request.body, self._secret, request.headers.get(HEADER))
            arrivals = parse(request.body)
            await parts.door.accept(arrivals)
            return json_response({"taken": len(arrivals)})

        return routes


def parse(body: bytes) -> list[Arrival]:
    """Read every event of a batch.

    Raises:
        BadRequestError: this cannot be a webhook of the loopback platform.
    """
    try:
        loaded = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequestError("the body is not JSON") from error
    events = loaded.get("events") if isinstance(loaded, dict) else None
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise BadRequestError("the body holds no list of events")
    arrivals = [_arrival(event) for event in events]
    return [arrival for arrival in arrivals if arrival is not None]


def _arrival(event: Mapping[str, Any]) -> Arrival | None:
    kind = event.get("type")
    if kind == "message":
        return _message(event)
    if kind == "echo":
        outbox_id = (event.get("metadata") or {}).get("outbox_id")
        return Echo(
            NAME,
            _word(event, "person"),
            _word(event, "id"),
            str(event.get("text") or ""),
            outbox_id if isinstance(outbox_id, int) else None,
        )
    if kind == "receipt":
        state = event.get("state")
        if state not in _RECEIPTS:
            raise BadRequestError("a receipt of an unknown state")
        return Receipt(NAME, _word(event, "id"), state, str(event.get("detail") or ""))
    # Genuine, but nothing that we act on (typing signs and the like): taken, or it comes for ever.
    log.info("loopback.passed_over", kind=str(kind)[:40])
    return None


def _message(event: Mapping[str, Any]) -> Incoming:
    kind = str(event.get("kind", "text"))
    button = event.get("button")
    return Incoming(
        channel=NAME,
        person=_word(event, "person"),
        message_id=_word(event, "id"),
        text=str(event.get("text") or event.get("caption") or ""),
        kind=cast(InboundKind, kind if kind in _KINDS else "unsupported"),
        button=None if button is None else str(button),
        name=None if event.get("name") is None else str(event["name"]),
        platform_time=_time(event.get("time")),
        platform_sequence=event["seq"] if isinstance(event.get("seq"), int) else 0,
        latitude=_number(event.get("latitude")),
        longitude=_number(event.get("longitude")),
    )


def _word(event: Mapping[str, Any], key: str) -> str:
    value = event.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_ID:
        raise BadRequestError(f"an event without a usable {key}")
    return value


def _time(value: object) -> datetime | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise BadRequestError("a time that is none") from error


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
