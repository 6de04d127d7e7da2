"""What /metrics says after things that were counted by hand, and that it says nothing about people."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.operations.running import PATIENCE_SECONDS, Gateway, gateway
from tests.support.rasa import LoopbackRasa

pytestmark = pytest.mark.integration

DANGER = "he is at my door with a knife"
MARK = "zebrafish"


@pytest.fixture
async def one(database_url: str, rasa: LoopbackRasa, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway on each kind of database."""
    made = gateway("metrics", tmp_path, database_url, "", rasa.url)
    await made.start()
    yield made
    await asyncio.to_thread(made.process.stop)


async def figures(one: Gateway) -> dict[tuple[str, ...], float]:
    """Every figure, by its name and the values of its labels."""
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_SECONDS) as http:
        answer = await http.get(f"{one.desk}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert MARK not in answer.text
    return {
        (sample.name, *(sample.labels[key] for key in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def until(
    one: Gateway, wanted: dict[tuple[str, ...], float], least: dict[tuple[str, ...], float] | None = None
) -> dict[tuple[str, ...], float]:
    """Ask until these figures are as they should be (or as high); those of the database may be some seconds old."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = await figures(one)
        wrong = {key: found.get(key) for key, value in wanted.items() if found.get(key, 0.0) != value}
        wrong |= {key: found.get(key) for key, value in (least or {}).items() if found.get(key, 0.0) < value}
        if not wrong:
            return found
        assert time.monotonic() < deadline, wrong
        await asyncio.sleep(0.25)


def person(one: Gateway) -> httpx.AsyncClient:
    """Somebody of the public, with cookies of their own."""
    return httpx.AsyncClient(base_url=one.public, trust_env=False, timeout=PATIENCE_SECONDS)


async def test_each_thing_is_counted_where_it_happens(one: Gateway, rasa: LoopbackRasa) -> None:
    before = await figures(one)
    assert before[("frontcounter_ready",)] == 1
    assert before[("frontcounter_queue_waiting", "P1")] == 0
    async with person(one) as asks, person(one) as danger:
        message: dict[str, Any] = {"id": f"{MARK}-first", "text": f"how long is the wait on 101 {MARK}"}
        for _ in range(3):
            assert (await asks.post("/chat/messages", json=message)).status_code == 200
        assert (
            await danger.post("/chat/messages", json={"id": "second-one", "text": DANGER})
        ).status_code == 200
        assert (await asks.post("/chat/messages", content=b"{")).status_code == 400
        async with asks.stream("GET", "/chat/stream?after=0.0") as lines:
            heard = lines.aiter_lines()
            while not (await anext(heard)).startswith("event: message"):
                pass
            assert (await figures(one))[("frontcounter_event_streams", "public")] == 1
        found = await until(
            one,
            {
                ("frontcounter_messages_in_total", "webchat"): 2,
                ("frontcounter_duplicates_total", "webchat"): 2,
                ("frontcounter_screen_hits_total", "P1"): 1,
                ("frontcounter_queue_waiting", "P1"): 1,
                ("frontcounter_conversations", "bot"): 1,
                ("frontcounter_conversations", "waiting"): 1,
                ("frontcounter_owners",): 0,
                ("frontcounter_messages_unread",): 0,
                ("frontcounter_clocks_overdue",): 0,
                ("frontcounter_turns_running",): 0,
                ("frontcounter_event_streams", "public"): 0,
            },
            {
                ("frontcounter_stage_seconds_count", "in_to_sent"): 1,
                ("frontcounter_sends_total", "webchat", "sent"): 2,
                ("frontcounter_turns_total", "done"): 2,
                ("frontcounter_http_responses_total", "public", "2xx"): 4,
                ("frontcounter_http_responses_total", "public", "4xx"): 1,
            },
        )
    assert found[("frontcounter_queue_oldest_seconds", "P1")] > 0
    for stage in ("door", "understand", "turn"):
        assert found[("frontcounter_stage_seconds_count", stage)] >= 2
        assert found[("frontcounter_stage_seconds_sum", stage)] > 0
    assert found[("frontcounter_up", "store")] == found[("frontcounter_up", "assistant")] == 1
    assert found[("frontcounter_up", "redis")] == 0
    assert found[("process_resident_memory_bytes",)] > 1_000_000


async def test_an_assistant_that_is_away_is_seen(one: Gateway, rasa: LoopbackRasa) -> None:
    rasa.down = True
    async with person(one) as asks:
        for number in range(4):
            body = {"id": f"message-{number}", "text": f"how long is the wait on 101 {number}"}
            assert (await asks.post("/chat/messages", json=body)).status_code == 200
    found = await until(
        one,
        {("frontcounter_up", "assistant"): 0, ("frontcounter_queue_waiting", "P3"): 1},
        {("frontcounter_turns_total", "assistant_away"): 1},
    )
    replica = rasa.url.removeprefix("http://")
    assert ("frontcounter_assistant_resting", replica) in found


async def test_the_public_listener_has_no_figures(one: Gateway) -> None:
    async with person(one) as somebody:
        assert (await somebody.get("/metrics")).status_code == 404
        assert (await somebody.get("/healthz")).json() == {"ok": True}
