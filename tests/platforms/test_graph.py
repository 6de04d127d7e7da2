"""What the loopback Graph API does beyond the conformance suite: shown without any gateway of ours."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.platforms.graph import App, GraphServer, Writer, sign
from tests.platforms.graph.server import HEADER, OLD_HEADER, Mode

Calls = list[tuple[str, dict[str, str], bytes]]


@pytest.fixture
async def called() -> AsyncIterator[tuple[str, Calls]]:
    """A server that takes every webhook, and what it was called with."""
    calls: Calls = []

    async def take(request: web.Request) -> web.Response:
        calls.append((request.path, dict(request.headers), await request.read()))
        return web.Response(text="EVENT_RECEIVED")

    app = web.Application()
    app.add_routes([web.post("/{path:.*}", take)])
    async with TestServer(app, host="127.0.0.1") as server:
        yield f"http://127.0.0.1:{server.port}", calls


async def taken(server: GraphServer) -> None:
    """Wait until every webhook was taken."""
    for _ in range(3000):
        if not server.pending:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("some webhooks were never taken")


def says(app: App, number: int, text: str = "hello") -> dict[str, Any]:
    """A message of somebody."""
    return Writer(number, app.us).says(text)


async def test_repeats_come_between_newer_messages(called: tuple[str, Calls], tmp_path: Path) -> None:
    """Each as often as asked for, each in the log."""
    url, calls = called
    log = tmp_path / "log.jsonl"
    server = GraphServer(App(), [url], log, seed=1)
    server.mode = Mode(repeat_seconds=0.3)
    for number in range(6):
        server.inject([says(server.app, 75 + number, f"n{number}")], copies=3, ids=[f"m{number}"])
        await asyncio.sleep(0.05)
    await taken(server)
    await server.close()

    bodies = [json.loads(body)["entry"][0]["messaging"][0]["message"]["text"] for _, _, body in calls]
    assert sorted(bodies) == sorted([f"n{number}" for number in range(6)] * 3)
    assert bodies != sorted(bodies)
    noted = [json.loads(line) for line in log.read_text().splitlines()]
    assert [record["what"] for record in noted] == ["delivery"] * 18


async def test_each_webhook_carries_both_signatures_to_the_apps_own_path(called: tuple[str, Calls]) -> None:
    """SHA-256, and the SHA-1 that older apps look at."""
    url, calls = called
    app = App(webhook_path="/webhooks/facebook/webhook")
    server = GraphServer(app, [url])
    server.inject([says(app, 75)])
    await taken(server)
    await server.close()

    ((path, headers, body),) = calls
    assert path == "/webhooks/facebook/webhook"
    assert headers[HEADER] == sign(body, app.app_secret)
    assert headers[OLD_HEADER] == sign(body, app.app_secret, "sha1")
    assert headers[OLD_HEADER].startswith("sha1=")


async def test_a_token_in_the_address_needs_no_proof_only_where_the_app_says_so(tmp_path: Path) -> None:
    """And the mark of a test's gateway is in the log beside the message."""
    message = {"recipient": {"id": "75"}, "messaging_type": "RESPONSE", "message": {"text": "hello"}}
    statuses = []
    for requires_proof in (True, False):
        app = App(requires_proof=requires_proof)
        server = GraphServer(app, [], tmp_path / f"{requires_proof}.jsonl")
        server.mode = Mode(echoes=False)
        server.wrote["75"] = time.time()
        for token in (app.token, "another"):
            query = {"access_token": token}
            status, _, _ = await server.answer("POST", "me/messages", query, "", dict(message), "safety")
            statuses.append(status)
        await server.close()

    assert statuses == [400, 400, 200, 400]
    (sent,) = [
        record
        for record in map(json.loads, (tmp_path / "False.jsonl").read_text().splitlines())
        if record["what"] == "send"
    ]
    assert (sent["person"], sent["mark"]) == ("75", "safety")
