"""The loopback channel, through a gateway that listens, and the platform that it talks to."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from bot.errors import BadRequestError, RejectedError, RetryLaterError, SendError, UnsureError
from bot.messages import Echo, Incoming, Outgoing, Receipt
from tests.platforms.conftest import SECRET, Served
from tests.platforms.loopback import LoopbackChannel, sign
from tests.platforms.loopback.inbound import parse
from tests.support.rasa import FAQ

pytestmark = pytest.mark.integration


def message(number: int, person: str = "ann", text: str = "hello", **fields: Any) -> dict[str, Any]:
    """One event of the platform."""
    return {"type": "message", "id": f"m{number}", "person": person, "text": text, **fields}


def batch(*events: dict[str, Any]) -> bytes:
    """The body of a webhook."""
    return json.dumps({"events": list(events)}).encode()


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 60.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110  what is waited for is in a database
            await asyncio.sleep(0.05)


async def test_a_forged_signature_is_401_and_nothing_is_stored(served: Served) -> None:
    """Whoever does not hold the secret cannot speak as the public."""
    body = batch(message(1))

    assert await served.post(body, None) == 401
    assert await served.post(body, "sha256=" + "0" * 64) == 401
    assert await served.post(body, "nonsense \xe9") == 401
    assert await served.post(body, sign(body + b" ", SECRET)) == 401
    assert await served.post(body, sign(body, "another secret")) == 401
    assert await served.messages() == []
    assert await served.post(body) == 200


@pytest.mark.parametrize(
    "body", [b"{", b"", b"[1]", b'"x"', b'{"events": {}}', b'{"events": [1]}', b"\xff", b"[" * 100_000]
)
async def test_malformed_json_is_400(served: Served, body: bytes) -> None:
    """What cannot be a webhook is refused for good, so that it is not delivered again."""
    assert await served.post(body) == 400


async def test_a_batch_of_five_is_five_messages(served: Served) -> None:
    """Every event of a batch counts, whatever stands beside it."""
    body = batch(
        message(1, "ann"),
        message(2, "bob"),
        {"type": "typing", "person": "bob"},
        message(3, "cat", kind="image", text="", caption="look"),
        {"type": "receipt", "id": "unknown", "state": "read"},
        message(4, "dan", kind="location", text="", latitude=54.97, longitude=-1.61),
        message(5, "eve", kind="hologram", text=""),
    )

    assert await served.post(body) == 200

    stored = await served.messages()
    assert [(m.platform_id, m.kind, m.text) for m in stored] == [
        ("m1", "text", "hello"),
        ("m2", "text", "hello"),
        ("m3", "image", "look"),
        ("m4", "location", ""),
        ("m5", "unsupported", ""),
    ]
    assert (stored[3].latitude, stored[3].longitude) == (54.97, -1.61)


async def test_three_deliveries_in_any_order_bring_one_answer_each(served: Served) -> None:
    """At least once, as platforms deliver, is exactly once for the person."""
    people = [f"p{number}" for number in range(6)]
    events = [message(number, who, "what about 101") for number, who in enumerate(people)] * 3
    random.Random(5).shuffle(events)

    assert set(await asyncio.gather(*(served.post(batch(event)) for event in events))) == {200}

    answer = served.gateway.core.content.current.answer(FAQ)

    async def all_answered() -> bool:
        return all(served.platform.sends[who] for who in people)

    await until(all_answered)
    await asyncio.sleep(0.5)
    assert len(await served.messages()) == 6
    assert {who: [send["text"] for send in served.platform.sends[who]] for who in people} == {
        who: [answer] for who in people
    }


async def test_the_platform_delivers_again_until_it_is_taken(served: Served) -> None:
    """A webhook that met a gateway which was away comes again, here to the next address."""
    served.platform.gateways.insert(0, "http://127.0.0.1:9")
    served.platform.deliver([message(1, text="what about 101")], first=0)

    async def answered() -> bool:
        return bool(served.platform.sends["ann"]) and not served.platform.pending

    await until(answered)
    statuses = [
        json.loads(line)["status"]
        for line in served.platform.log_path.read_text("utf-8").splitlines()
        if '"delivery"' in line
    ]
    # Once it was away; a machine that stands still makes it look so more often.
    assert (statuses[0], statuses[-1], statuses.count(200)) == (0, 200, 1)
    assert len(await served.messages()) == 1


async def test_an_echo_of_ours_keeps_the_assistant_talking(served: Served) -> None:
    """What the platform tells back of our own is not somebody else's answer."""
    served.platform.mode.echoes = True
    for number in (1, 2):
        before = len(served.platform.sends["ann"])
        assert await served.post(batch(message(number, text="what about 101"))) == 200

        async def answered(before: int = before) -> bool:
            return len(served.platform.sends["ann"]) > before

        await until(answered)
        await asyncio.sleep(0.5)


def test_every_field_of_an_event_is_read() -> None:
    """Nothing that the platform says about a message is dropped."""
    found = parse(
        batch(
            message(1, button="7.0", name="Ann", time=1_700_000_000, seq=4, text="Yes"),
            {"type": "echo", "id": "e1", "person": "ann", "text": "hi", "metadata": {"outbox_id": 9}},
            {"type": "receipt", "id": "s1", "state": "delivered"},
        )
    )

    first = found[0]
    assert isinstance(first, Incoming)
    assert (first.button, first.name, first.platform_sequence) == ("7.0", "Ann", 4)
    assert first.platform_time is not None
    assert first.platform_time.timestamp() == 1_700_000_000
    assert found[1:] == [
        Echo("loopback", "ann", "e1", "hi", 9),
        Receipt("loopback", "s1", "delivered"),
    ]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "message", "id": "m1"},
        {"type": "message", "person": "ann"},
        {"type": "message", "id": "", "person": "ann"},
        {"type": "message", "id": 5, "person": "ann"},
        {"type": "message", "id": "m" * 256, "person": "ann"},
        {"type": "message", "id": "m1", "person": "ann", "time": 1e300},
        {"type": "receipt", "id": "m1", "state": "lost"},
    ],
)
def test_an_event_that_cannot_be_is_refused(event: dict[str, Any]) -> None:
    """Without who, which and when there is no message."""
    with pytest.raises(BadRequestError):
        parse(batch(event))


def timed_out(request: httpx.Request) -> httpx.Response:
    """No answer in time."""
    raise httpx.ReadTimeout("too slow", request=request)


def unreachable(request: httpx.Request) -> httpx.Response:
    """Nobody there."""
    raise httpx.ConnectError("refused", request=request)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(429, headers={"Retry-After": "7"}), RetryLaterError),
        (httpx.Response(503), RetryLaterError),
        (unreachable, RetryLaterError),
        (httpx.Response(500), UnsureError),
        (httpx.Response(502), UnsureError),
        (httpx.Response(200, text="<html>"), UnsureError),
        (httpx.Response(200, json=[]), UnsureError),
        (timed_out, UnsureError),
        (httpx.Response(403), RejectedError),
        (httpx.Response(302), RejectedError),
    ],
)
async def test_each_answer_of_the_platform_says_what_became_of_a_send(
    answer: Any, error: type[SendError]
) -> None:
    """Not taken, unknown and never are three different things to the outbox."""
    handler = answer if callable(answer) else lambda _request: answer
    channel = LoopbackChannel("http://platform", SECRET)
    channel._http = httpx.AsyncClient(transport=httpx.MockTransport(handler))

    with pytest.raises(error) as caught:
        await channel.send("ann", Outgoing(1, "assistant", "hello"))

    if isinstance(caught.value, RetryLaterError) and not callable(answer):
        assert caught.value.retry_after_seconds == float(answer.headers.get("Retry-After", 1))
    await channel.close()
