"""The loopback site: takes our calls, sends its own, misbehaves as it is told.

How it delivers, repeats and shuffles is the loopback Graph API's. It checks our signatures by its own
few lines, and shows a reply once however often it comes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import httpx
from sanic import HTTPResponse, Request, Sanic, raw

from tests.platforms.graph import App, GraphServer
from tests.platforms.graph import build as build_graph

Json = dict[str, Any]

SECRET = "whsec_" + base64.b64encode(bytes(range(7, 39))).decode()
OTHER_SECRET = "whsec_" + base64.b64encode(bytes(range(101, 133))).decode()
CALLBACK = "/front-counter"


@dataclass(frozen=True, slots=True)
class Board(App):
    """A message board, and the key that it shares with us."""

    name: str = "forum"
    app_secret: str = SECRET


def headers_of(body: bytes, secret: str = SECRET, identity: str = "call-1", at: float | None = None) -> Json:
    """The headers of a call, as Standard Webhooks says."""
    seconds = str(int(time.time() if at is None else at))
    return {
        "webhook-id": identity,
        "webhook-timestamp": seconds,
        "webhook-signature": "v1," + signature_of(body, secret, identity, seconds),
        "content-type": "application/json",
    }


def signature_of(body: bytes, secret: str, identity: str, seconds: str) -> str:
    """The signature alone."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b".".join([identity.encode(), seconds.encode(), body])
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


class SiteServer(GraphServer):
    """The state of one board."""

    def __init__(self, board: Board, gateways: list[str]) -> None:
        super().__init__(board, gateways)
        self.secret = board.app_secret
        self.forged: deque[Json] = deque(maxlen=100)
        """Calls whose signature was not ours."""
        self.repeats: list[str] = []
        """Ids that came again."""
        self.pings = 0
        self._shown: set[str] = set()
        self._calls = itertools.count(1)

    # ---- what it sends -------------------------------------------------------------------------

    def _note_written(self, event: Json) -> None:
        """It keeps no count of who wrote when: a board takes a reply at any time."""

    def _body(self, events: list[Json], *, standby: bool) -> bytes:
        return json.dumps({"version": 1, "events": events}).encode()

    async def _post(self, index: int, body: bytes) -> int:
        headers = headers_of(body, self.secret, f"call-{next(self._calls)}")
        try:
            answer = await self._client().post(
                f"{self.gateways[index]}/webhook/{self.app.name}", content=body, headers=headers
            )
        except httpx.HTTPError:
            return 0
        return answer.status_code

    # ---- what it takes -------------------------------------------------------------------------

    async def take(self, body: bytes, headers: Json) -> tuple[int, Any, dict[str, str]]:
        """One call. Returns status, body and headers; status 0 closes the connection."""
        if not self._is_ours(body, headers):
            self.forged.append(dict(headers))
            return 401, b"", {}
        told = dict(json.loads(body))
        self.calls.append(
            {
                "path": told["type"], "at": time.time(), "recipient": {"id": told.get("person")},
                "message": told, "headers": dict(headers),
            }
        )  # fmt: skip
        fault = self._fault("callback", told)
        if fault is not None and not fault.take:
            return await self._misbehave(fault)
        if told["type"] == "ping":
            self.pings += 1
        else:
            await self._show(told)
        if fault is not None:
            return await self._misbehave(fault)
        return 204, b"", {}

    def _is_ours(self, body: bytes, headers: Json) -> bool:
        identity, seconds = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        wanted = "v1," + signature_of(body, self.secret, identity, seconds)
        fresh = seconds.isdecimal() and abs(time.time() - int(seconds)) < 300
        return fresh and wanted in headers.get("webhook-signature", "").split(" ")

    async def _show(self, told: Json) -> None:
        if told["id"] in self._shown:
            self.repeats.append(told["id"])
            return
        self._shown.add(told["id"])
        sent = {
            **told, "mid": told["id"], "quick_replies": told["choices"], "at": time.time(),
            "type": told["type"], "tag": None,
        }  # fmt: skip
        self.messages.append(sent)
        self.note(what="send", n=len(self.messages), **sent)
        if self.mode.echoes:
            thread = {"thread": told["thread"]} if told["thread"] else {}
            echo = {
                "type": "message", "id": f"shown-{told['id']}", "author": "staff", "person": told["person"],
                **thread, "text": told["text"],
            }  # fmt: skip
            self.inject([echo if self.mode.bare_echoes else {**echo, "reply": told["id"]}])
        if self.mode.receipts:
            for state in ("read", "delivered"):
                self.inject([{"type": "receipt", "reply": told["id"], "state": state}])


def build(server: SiteServer, name: str) -> Sanic[Any, Any]:
    """The HTTP side. `name` must be another for each in one process."""
    app = build_graph(server, name)

    @app.post(CALLBACK, name="callback")
    async def _callback(request: Request) -> HTTPResponse:
        headers = {key.lower(): value for key, value in request.headers.items()}
        status, answer, given = await server.take(request.body, headers)
        if status == 0:
            if request.transport is not None:
                request.transport.close()
            return raw(b"", status=204)
        return raw(answer, status=status, content_type="text/plain", headers=given)

    return app
