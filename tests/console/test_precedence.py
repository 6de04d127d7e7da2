"""Whoever waits for an answer goes before what pages fetch by themselves."""

from __future__ import annotations

import asyncio

import pytest

from bot.console.precedence import Precedence

pytestmark = pytest.mark.unit

LONG = 3600.0


async def page(precedence: Precedence, done: list[str], name: str) -> None:
    """A page that fetches by itself."""
    async with precedence.behind():
        done.append(name)


async def settle() -> None:
    """Let everything that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_pages_stand_back_while_somebody_waits() -> None:
    precedence, done = Precedence(LONG), list[str]()
    with precedence.by_hand():
        pages = [asyncio.create_task(page(precedence, done, name)) for name in "ab"]
        await settle()
        with precedence.by_hand():
            await settle()
        await settle()
        assert done == []
    async with asyncio.timeout(20):
        await asyncio.gather(*pages)
    assert done == ["a", "b"]


async def test_a_slow_request_holds_pages_back_for_a_moment_only() -> None:
    precedence, done = Precedence(0.01), list[str]()
    with precedence.by_hand():
        async with asyncio.timeout(20):
            await asyncio.gather(*(page(precedence, done, name) for name in "abc"))
        assert done == ["a", "b", "c"]


async def test_what_comes_between_two_pages_is_done_between_them() -> None:
    precedence, done = Precedence(LONG), list[str]()

    async def claim() -> None:
        with precedence.by_hand():
            for _ in range(5):
                await asyncio.sleep(0)
            done.append("claim")

    async def first() -> None:
        async with precedence.behind():
            done.append("first")
            asyncio.get_running_loop().call_soon(lambda: claims.append(asyncio.create_task(claim())))

    claims: list[asyncio.Task[None]] = []
    pages = [asyncio.create_task(first()), asyncio.create_task(page(precedence, done, "second"))]
    async with asyncio.timeout(20):
        await asyncio.gather(*pages)
        await asyncio.gather(*claims)
    assert done[0] == "first"
    assert sorted(done[1:]) == ["claim", "second"]


async def test_an_error_leaves_the_way_free() -> None:
    precedence, done = Precedence(LONG), list[str]()
    with pytest.raises(ValueError, match="a claim"), precedence.by_hand():
        raise ValueError("a claim that failed")
    with pytest.raises(ValueError, match="a page"):
        async with precedence.behind():
            raise ValueError("a page that failed")
    async with asyncio.timeout(20):
        await page(precedence, done, "next")
    assert done == ["next"]
