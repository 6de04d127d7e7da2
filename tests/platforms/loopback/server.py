"""The loopback platform itself: delivers webhooks until they are taken, takes sends, logs both.

    python -m tests.platforms.loopback.server --port 6300 --secret … --log file --gateway URL [--gateway URL]

It behaves as real platforms do: a webhook is delivered again after anything but a final answer, to
any of the gateways, so at least once; sends are taken once for each call, however often the same
message is sent. Its log is one JSON object a line, written before the answer leaves:

    {"what": "send", "n", "at", "person", "text", "buttons", "kind", "outbox", "id", "took"}
    {"what": "refusal", "at", "person", "kind", "outbox", "status"}
    {"what": "delivery", "began", "at", "ids", "gateway", "status", "try"}

`/control/…` is for whoever runs the test: what to deliver, and how to misbehave.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sanic import HTTPResponse, Request, Sanic
from sanic import json as json_response

from tests.platforms.loopback.signature import HEADER, sign

ATTEMPT_SECONDS = 6.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 1.0
FINAL = frozenset({200, 400, 401, 413})
"""Answers after which a webhook is not delivered again."""


@dataclass(slots=True)
class Mode:
    """How the platform treats sends: each share is a chance from 0 to 1."""

    busy_share: float = 0.0
    """429 with Retry-After."""
    down_share: float = 0.0
    """503, nothing taken."""
    slow_share: float = 0.0
    """Taken at once, answered after `slow_seconds`."""
    slow_seconds: float = 0.0
    retry_after: float = 1.0
    echoes: bool = False
    echo_with_id: bool = True
    receipts: bool = False
    reject: list[str] = field(default_factory=list)
    """People who have blocked the force: 403."""
    repeat_seconds: float = 0.0
    """Each repeat of a webhook comes up to so much later than the one before it: between newer ones."""


class LoopbackServer:
    """The state of the platform, and what it does with webhooks and sends."""

    def __init__(self, gateways: list[str], secret: str, log_path: Path, seed: int = 0) -> None:
        self.gateways = gateways
        self._secret = secret
        self.log_path = log_path
        self._log = log_path.open("a", encoding="utf-8", buffering=1)
        self.mode = Mode()
        self._chance = random.Random(seed)
        self._number = 0
        self._told = 0
        self.sends: dict[str, deque[dict[str, Any]]] = defaultdict(lambda: deque(maxlen=200))
        self.pending: set[asyncio.Task[None]] = set()
        self._http: httpx.AsyncClient | None = None

    def note(self, **record: Any) -> None:
        """Write one line of the log."""
        self._log.write(json.dumps(record) + "\n")

    # ---- webhooks ----------------------------------------------------------------------------

    def deliver(self, events: list[dict[str, Any]], *, first: int | None = None, copies: int = 1) -> None:
        """Deliver a batch to the gateways until one takes it; `copies` times, as platforms may."""
        for copy in range(copies):
            start = (first if first is not None else self._chance.randrange(len(self.gateways))) + copy
            wait = copy * self.mode.repeat_seconds * self._chance.random()
            task = asyncio.create_task(self._until_taken(events, start, wait))
            self.pending.add(task)
            task.add_done_callback(self.pending.discard)

    async def _until_taken(self, events: list[dict[str, Any]], gateway: int, wait: float = 0.0) -> None:
        if wait:
            await asyncio.sleep(wait)
        body = json.dumps({"events": events}, ensure_ascii=True).encode()
        headers = {HEADER: sign(body, self._secret), "Content-Type": "application/json"}
        pause = FIRST_PAUSE_SECONDS
        tries = 0
        while True:
            index = gateway % len(self.gateways)
            tries += 1
            began = time.time()
            try:
                answer = await self._client().post(
                    f"{self.gateways[index]}/loopback/webhook", content=body, headers=headers
                )
                status = answer.status_code
            except httpx.HTTPError:
                status = 0
            self.note(
                what="delivery", began=began, at=time.time(), ids=[e.get("id") for e in events],
                gateway=index, status=status, **{"try": tries},
            )  # fmt: skip
            if status in FINAL:
                return
            gateway += 1
            await asyncio.sleep(pause * (0.5 + self._chance.random()))
            pause = min(LONGEST_PAUSE_SECONDS, pause * 2)

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = httpx.AsyncClient(
                timeout=httpx.Timeout(ATTEMPT_SECONDS, connect=1.0),
                limits=httpx.Limits(max_connections=100, max_keepalive_connections=20),
                trust_env=False,
            )
        return self._http

    async def close(self) -> None:
        """Stop delivering."""
        for task in list(self.pending):
            task.cancel()
        await asyncio.gather(*self.pending, return_exceptions=True)
        if self._http is not None:
            await self._http.aclose()
        self._log.close()

    # ---- sends -------------------------------------------------------------------------------

    async def take(self, message: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
        """Take one send, or not, as the mode says. Returns body, status and headers."""
        mode = self.mode
        person = str(message["person"])
        metadata = message.get("metadata") or {}
        kind, outbox = metadata.get("kind"), metadata.get("outbox_id")
        dice = self._chance.random()
        status = 0
        if person in mode.reject:
            status = 403
        elif dice < mode.busy_share:
            status = 429
        elif dice < mode.busy_share + mode.down_share:
            status = 503
        if status:
            self.note(what="refusal", at=time.time(), person=person, kind=kind, outbox=outbox, status=status)
            headers = {"Retry-After": str(mode.retry_after)} if status == 429 else {}
            return {"error": "not now"}, status, headers
        self._number += 1
        slow = dice < mode.busy_share + mode.down_share + mode.slow_share
        record = {
            "what": "send",
            "n": self._number,
            "at": time.time(),
            "person": person,
            "text": message.get("text", ""),
            "buttons": message.get("buttons") or [],
            "kind": kind,
            "outbox": outbox,
            "id": f"lb{self._number}",
            "took": mode.slow_seconds if slow else 0.0,
        }
        self.note(**record)
        self.sends[person].append(record)
        self._tell_back(record)
        if slow:
            await asyncio.sleep(mode.slow_seconds)
        return {"id": record["id"]}, 200, {}

    def _tell_back(self, record: dict[str, Any]) -> None:
        """Echo a send, and say that it was delivered and read, in any order."""
        events: list[dict[str, Any]] = []
        if self.mode.echoes:
            events.append(
                {
                    "type": "echo",
                    "id": record["id"],
                    "person": record["person"],
                    "text": record["text"],
                    "metadata": {"outbox_id": record["outbox"]} if self.mode.echo_with_id else {},
                }
            )
        if self.mode.receipts:
            events += [
                {"type": "receipt", "id": record["id"], "state": state} for state in ("delivered", "read")
            ]
        self._chance.shuffle(events)
        for event in events:
            self.deliver([event])

    def outside(self, person: str, text: str) -> str:
        """Somebody answers in the platform's own app: nothing of ours, only its echo."""
        self._told += 1
        message_id = f"out{self._told}"
        self.note(what="outside", at=time.time(), person=person, text=text, id=message_id)
        self.deliver([{"type": "echo", "id": message_id, "person": person, "text": text}])
        return message_id


def build(server: LoopbackServer, name: str = "loopback-platform") -> Sanic[Any, Any]:
    """The platform's HTTP side. `name` must be another for each in one process."""
    app: Sanic[Any, Any] = Sanic(name, configure_logging=False)
    app.config.KEEP_ALIVE_TIMEOUT = 900
    app.config.ACCESS_LOG = False
    app.config.MOTD = False
    app.config.AUTO_EXTEND = False
    # Sanic rewrites its own methods once for each process; a second application could not start.
    app.config.TOUCHUP = False

    @app.post("/send")
    async def _send(request: Request) -> HTTPResponse:
        if request.headers.get("Authorization") != f"Bearer {server._secret}":
            return json_response({"error": "who are you?"}, status=401)
        body, status, headers = await server.take(request.json)
        return json_response(body, status=status, headers=headers)

    @app.post("/control/deliver")
    async def _deliver(request: Request) -> HTTPResponse:
        for batch in request.json["batches"]:
            server.deliver(batch["events"], first=batch.get("first"), copies=batch.get("copies", 1))
        return json_response({"pending": len(server.pending)})

    @app.post("/control/outside")
    async def _outside(request: Request) -> HTTPResponse:
        return json_response({"id": server.outside(request.json["person"], request.json["text"])})

    @app.post("/control/mode")
    async def _mode(request: Request) -> HTTPResponse:
        server.mode = Mode(**request.json)
        return json_response({"ok": True})

    @app.get("/control/pending")
    async def _pending(_request: Request) -> HTTPResponse:
        return json_response({"pending": len(server.pending)})

    @app.get("/control/sends")
    async def _sends(request: Request) -> HTTPResponse:
        return json_response(list(server.sends.get(str(request.args.get("person")), ())))

    return app


def main() -> None:
    """Run the platform until it is stopped."""
    parser = argparse.ArgumentParser(description="The loopback platform.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--gateway", action="append", required=True)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    app = build(LoopbackServer(given.gateway, given.secret, given.log, given.seed))
    app.run(host="127.0.0.1", port=given.port, single_process=True, access_log=False, motd=False)


if __name__ == "__main__":
    main()
