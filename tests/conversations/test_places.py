"""How many requests a Rasa is given at a time, and that nobody waits long for a place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from bot.assistant import Assistant, client
from bot.errors import AssistantUnavailableError
from tests.support.rasa import SECRET, LoopbackRasa


@pytest.fixture
async def rasa() -> AsyncIterator[LoopbackRasa]:
    server = LoopbackRasa()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def assistant(rasa: LoopbackRasa) -> AsyncIterator[Assistant]:
    ours = Assistant([rasa.url], SECRET, timeout_seconds=60)
    yield ours
    await ours.close()


async def _until(rasa: LoopbackRasa, many: int) -> None:
    async with asyncio.timeout(30):
        while rasa.at_work < many:  # noqa: ASYNC110  the server tells by a count
            await asyncio.sleep(0.01)


async def test_a_rasa_works_on_few_at_a_time_and_answers_all(
    rasa: LoopbackRasa, assistant: Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "IN_LINE_SECONDS", 60.0)
    rasa.delay = asyncio.Event()
    asked = [asyncio.create_task(assistant.understand([f"question {number}"])) for number in range(8)]
    await _until(rasa, client.IN_ONE_PLACE)

    rasa.delay.set()
    await asyncio.gather(*asked)

    assert rasa.most_at_work == client.IN_ONE_PLACE
    assert sorted(rasa.understood) == [f"question {number}" for number in range(8)]


async def test_behind_a_rasa_that_hangs_the_rest_goes_in_anyway(
    rasa: LoopbackRasa, assistant: Assistant
) -> None:
    rasa.delay = asyncio.Event()
    asked = [asyncio.create_task(assistant.understand([f"question {number}"])) for number in range(8)]

    await _until(rasa, 8)

    rasa.delay.set()
    await asyncio.gather(*asked)
    assert len(rasa.understood) == 8


async def test_who_gave_up_in_line_takes_no_place(
    rasa: LoopbackRasa, assistant: Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "IN_LINE_SECONDS", 60.0)
    rasa.delay = asyncio.Event()
    held = [asyncio.create_task(assistant.understand([f"held {number}"])) for number in range(2)]
    await _until(rasa, 2)
    gone = asyncio.create_task(assistant.understand(["gone"]))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone

    rasa.delay.set()
    await asyncio.gather(*held)
    rasa.delay = asyncio.Event()
    after = [asyncio.create_task(assistant.understand([f"after {number}"])) for number in range(2)]
    await _until(rasa, 2)
    rasa.delay.set()
    await asyncio.gather(*after)
    assert "gone" not in rasa.understood


async def test_who_stood_in_line_leaves_a_rasa_alone_that_has_begun_to_rest(
    rasa: LoopbackRasa, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one answers; with none left it is said at once."""
    monkeypatch.setattr(client, "IN_LINE_SECONDS", 60.0)
    other = LoopbackRasa()
    await other.start()
    ours = Assistant([other.url, rasa.url], SECRET, timeout_seconds=60)
    try:
        second, first = ours._replicas
        rasa.delay, second.closed_until = asyncio.Event(), time.monotonic() + 3600
        held = [asyncio.create_task(ours.understand([f"held {number}"])) for number in range(2)]
        await _until(rasa, 2)
        waits = [asyncio.create_task(ours.understand([f"waits {number}"])) for number in range(2)]
        while len(first.places._waiters or ()) < 2:  # noqa: ASYNC110  a semaphore tells nobody
            await asyncio.sleep(0)
        first.closed_until = time.monotonic() + 3600
        rasa.delay.set()
        await asyncio.gather(*held)
        for one in waits:
            with pytest.raises(AssistantUnavailableError):
                await one
        assert sorted(rasa.understood) == ["held 0", "held 1"]

        second.closed_until = 0.0
        await ours.understand(["after"])
        assert other.understood == ["after"]
    finally:
        await ours.close()
        await other.stop()
