"""Many who ask at once are answered by one reading, and nobody by one that began before they asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from bot.store.together import Lanes, Pace, Together

pytestmark = pytest.mark.unit


class Source:
    """Something to read that changes; each reading takes as long as the test lets it."""

    def __init__(self) -> None:
        self.value = 0
        self.readings: list[list[str]] = []
        self._news = asyncio.Condition()
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def read(self, keys: Iterable[str]) -> dict[str, int]:
        """What it is when the reading begins."""
        value, wanted = self.value, sorted(keys)
        self.readings.append(wanted)
        async with self._news:
            self._news.notify_all()
        await self.may_end.wait()
        return dict.fromkeys(wanted, value)

    async def read_one(self, key: str) -> int:
        """The same for one key."""
        return (await self.read([key]))[key]

    async def begun(self, number: int) -> None:
        """Wait until so many readings have begun."""
        async with asyncio.timeout(20), self._news:
            await self._news.wait_for(lambda: len(self.readings) >= number)


async def test_all_who_ask_at_once_are_answered_by_one_reading() -> None:
    source = Source()
    together = Together(source.read)
    found = await asyncio.gather(*(together.ask(key) for key in "abca"))
    assert found == [0, 0, 0, 0]
    assert source.readings == [["a", "b", "c"]]


async def test_who_asks_while_a_reading_runs_gets_the_next_one() -> None:
    source = Source()
    source.may_end.clear()
    together = Together(source.read)
    early = asyncio.create_task(together.ask("a"))
    await source.begun(1)
    source.value = 1
    late = [asyncio.create_task(together.ask(key)) for key in "ab"]
    await asyncio.sleep(0)
    assert len(source.readings) == 1, "one reading after the other"
    source.may_end.set()
    assert [await early, *[await one for one in late]] == [0, 1, 1]
    assert source.readings == [["a"], ["a", "b"]]


async def test_who_goes_away_takes_the_answer_from_nobody() -> None:
    source = Source()
    source.may_end.clear()
    together = Together(source.read)
    first, second = (asyncio.create_task(together.ask("a")) for _ in range(2))
    await source.begun(1)
    first.cancel()
    source.may_end.set()
    assert await second == 0
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_an_error_is_everybodys_and_the_next_reading_is_a_new_one() -> None:
    broken = [True]

    async def read(keys: Iterable[str]) -> dict[str, int]:
        if broken[0]:
            raise OSError("away")
        return dict.fromkeys(keys, 1)

    together = Together(read)
    found = await asyncio.gather(together.ask("a"), together.ask("b"), return_exceptions=True)
    assert [type(one) for one in found] == [OSError, OSError]
    broken[0] = False
    assert await together.ask("a") == 1


async def test_lanes_do_not_wait_for_each_other_and_leave_nothing_behind() -> None:
    source = Source()
    source.may_end.clear()
    lanes = Lanes(source.read_one)
    waiting = [asyncio.create_task(lanes.ask(key)) for key in "aab"]
    await source.begun(2)
    assert sorted(source.readings) == [["a"], ["b"]]
    source.may_end.set()
    assert [await one for one in waiting] == [0, 0, 0]
    assert not lanes._lanes


LONG = 3600.0
"""A pause that no test waits for."""


async def test_the_first_who_ask_never_wait_and_the_next_share_one_reading_after_the_pause() -> None:
    source, pace = Source(), Pace(LONG)
    together = Together(source.read, pace)
    assert await together.ask("a") == 0
    waiting = [asyncio.create_task(together.ask(key)) for key in "ab"]
    await asyncio.sleep(0)
    source.value = 1
    assert await asyncio.wait(waiting, timeout=0.05) == (set(), set(waiting))
    assert source.readings == [["a"]]
    pace.hurry(LONG)
    async with asyncio.timeout(20):
        assert await asyncio.gather(*waiting) == [1, 1], "read after the pause, not before it"
        assert source.readings == [["a"], ["a", "b"]]
        # While there is a hurry nobody waits for long.
        assert await together.ask("c") == 1


async def test_a_short_pause_ends_by_itself() -> None:
    source = Source()
    together = Together(source.read, Pace(0.01))
    async with asyncio.timeout(20):
        assert [await together.ask("a") for _ in range(3)] == [0, 0, 0]
    assert len(source.readings) == 3


async def test_lanes_with_a_pause_remember_when_they_read() -> None:
    source, pace = Source(), Pace(LONG)
    lanes = Lanes(source.read_one, pace)
    assert await lanes.ask("a") == 0
    again = asyncio.create_task(lanes.ask("a"))
    assert await lanes.ask("b") == 0, "another lane waits for nothing"
    assert not again.done()
    pace.hurry(LONG)
    async with asyncio.timeout(20):
        assert await again == 0
    assert source.readings == [["a"], ["b"], ["a"]]


async def test_a_lane_that_nobody_asks_is_forgotten() -> None:
    source = Source()
    lanes = Lanes(source.read_one, Pace(0.01))
    for key in "abc":
        await lanes.ask(key)
    for _ in range(2000):
        if not lanes._lanes:
            break
        await asyncio.sleep(0.01)
    assert lanes._lanes == lanes._busy == {}
    assert await lanes.ask("a") == 0
