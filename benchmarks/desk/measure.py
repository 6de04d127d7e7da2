"""What is measured of a desk with all its moderators connected, one thing after the other.

Each is asked for at a pace, not in a closed loop: a slow answer does not slow the next question down.
The pages of all moderators refresh meanwhile, as they do in a shift.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import sqlite3
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from benchmarks.desk.fill import wanted
from benchmarks.desk.moderators import Counts, FailedError, Moderator, Sighting, Sightings
from benchmarks.desk.rows import Size, badge
from benchmarks.desk.system import System
from benchmarks.processes import memory_megabytes, processor_seconds
from benchmarks.wire import Line

SHOWN_SECONDS = 20.0
"""How long a message may take to every desk before it counts as not shown."""
_BARE = "SELECT * FROM conversation WHERE state = 'waiting' ORDER BY grade, waiting_since, id LIMIT 200"


@dataclass(frozen=True, slots=True)
class Plan:
    """How often each thing is asked for, and how many seconds lie between."""

    lists: int = 200
    claims: int = 120
    searches: int = 120
    messages: int = 40
    alarms: int = 10
    figures: int = 3
    list_pause: float = 0.1
    claim_pause: float = 0.5
    search_pause: float = 0.25
    message_pause: float = 1.5
    rest: float = 1.0
    """How long few pages must have fetched anything before the next thing is measured."""


@dataclass(slots=True)
class Found:
    """What came out."""

    waits: dict[str, list[float]] = field(default_factory=dict)
    """Seconds, by what was asked for."""
    failed: dict[str, int] = field(default_factory=dict)
    processor: dict[str, float] = field(default_factory=dict)
    """Seconds that the gateways spent on the processor for each thing asked for, their pages included."""
    megabytes: float = 0.0

    def milliseconds(self, what: str, share: float) -> float:
        """The wait that this share stayed below (0.5: the median)."""
        ordered = sorted(self.waits.get(what, ()))
        if not ordered:
            return float("nan")
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Shift:
    """All moderators at one desk."""

    def __init__(self, system: System, size: Size, plan: Plan, database_url: str) -> None:
        self._system, self._plan, self._url = system, plan, database_url
        self._chance = random.Random(7)
        self._sightings = Sightings()
        self._counts = Counts()
        self._people = [
            Moderator(badge(number), system.desk[number % len(system.desk)], self._sightings, self._counts)
            for number in range(1, size.moderators + 1)
        ]
        self._taken: set[tuple[str, str]] = set()
        self._opening: list[asyncio.Task[None]] = []
        self.found = Found()

    async def work(self, say: Callable[[str], None]) -> Found:
        """Open every page, measure everything, close them."""
        plan = self._plan
        try:
            await self._open()
            say(f"{len(self._people)} pages are open")
            await self._measured("bare select", self._bare_selects(), say)
            await self._measured("bare answer", self._bare_answers(), say)
            await self._measured("list", self._paced("list", plan.lists, plan.list_pause, self._list), say)
            await self._measured(
                "claim", self._paced("claim", plan.claims, plan.claim_pause, self._claim), say
            )
            search = self._paced("search", plan.searches, plan.search_pause, self._search())
            await self._measured("search", search, say)
            await self._measured("message", self._messages(), say)
            await self._measured("alarm", self._alarms(), say)
            await self._measured("figures", self._figures(), say)
            self.found.megabytes = sum(memory_megabytes(self._system.pids).values())
        finally:
            await asyncio.gather(*(one.close() for one in self._people))
        return self.found

    async def _measured(self, name: str, work: Coroutine[Any, Any, None], say: Callable[[str], None]) -> None:
        """Do one thing once all pages are at rest, and count what it cost with all that it set off."""
        await self._quiet()
        self._counts.clear()
        before = sum(processor_seconds(self._system.pids).values())
        await work
        await asyncio.gather(*self._opening)
        self._opening.clear()
        await self._quiet()
        spent = sum(processor_seconds(self._system.pids).values()) - before
        self.found.processor[name] = spent / max(1, len(self.found.waits.get(name, ())))
        self._add(f"rows refreshed during {name}", *self._counts.rows)
        self._add(f"alarms refreshed during {name}", *self._counts.banners)
        self._add(f"own part refreshed during {name}", *self._counts.owns)
        if self._counts.failed:
            self._fail(f"refresh during {name}", self._counts.failed)
        say(self._told(name))

    def _told(self, name: str) -> str:
        ways = [f"{name} to {which} desk" for which in ("first", "each", "last")]
        also = {"claim": ["open"], "message": ways, "alarm": ways}
        words = [
            f"{what} p50 {self.found.milliseconds(what, 0.5):.1f} p99 {self.found.milliseconds(what, 0.99):.1f}"
            for what in (name, *also.get(name, ()), f"rows refreshed during {name}")
        ]
        counts, spent = self._counts, 1000 * self.found.processor[name]
        each = counts.kilobytes / max(1, len(counts.rows) - counts.unchanged)
        refreshed = f"{len(counts.rows)}, {counts.unchanged} of them unchanged, else {each:.0f} kB"
        parts = f"alarms {len(counts.banners)}, own parts {len(counts.owns)}"
        return f"{'; '.join(words)} ms ({refreshed}; {parts}); gateways {spent:.0f} ms of processor each"

    async def _open(self) -> None:
        for some in _fives(self._people):
            await asyncio.gather(*(one.open() for one in some))
        async with asyncio.timeout(60):
            await asyncio.gather(*(one.is_ready.wait() for one in self._people))

    async def _quiet(self) -> None:
        """Wait until few pages have fetched their rows for a moment; a minute at most."""
        for _ in range(60):
            before = len(self._counts.rows)
            await asyncio.sleep(self._plan.rest)
            # With all pages open some refresh at any moment, by their own clock.
            if len(self._counts.rows) - before <= max(2, len(self._people) // 8):
                return

    def _anybody(self) -> Moderator:
        """Somebody who does nothing else just now, where there is one."""
        return self._chance.choice([one for one in self._people if not one.is_busy] or self._people)

    async def _paced(self, name: str, times: int, pause: float, ask: Callable[[], Awaitable[None]]) -> None:
        """Ask again and again at a pace, whether or not the last answer has come."""
        waits = self.found.waits.setdefault(name, [])
        busy = asyncio.Semaphore(50)

        async def one() -> None:
            async with busy:
                started = time.perf_counter()
                try:
                    await ask()
                except (FailedError, OSError):
                    self._fail(name)
                else:
                    waits.append(time.perf_counter() - started)

        async with asyncio.TaskGroup() as group:
            for _ in range(times):
                group.create_task(one())
                await asyncio.sleep(pause)

    # ---- baselines -----------------------------------------------------------------------------

    async def _bare_selects(self) -> None:
        """The rows of the list, asked for by nothing but the driver."""
        waits = self.found.waits.setdefault("bare select", [])
        if self._url.startswith("sqlite"):
            with closing(sqlite3.connect(self._url.partition("///")[2])) as connection:
                for _ in range(self._plan.lists):
                    started = time.perf_counter()
                    connection.execute(_BARE).fetchall()
                    waits.append(time.perf_counter() - started)
            return
        server = await asyncpg.connect(self._url.replace("+asyncpg", ""))
        try:
            for _ in range(self._plan.lists):
                started = time.perf_counter()
                await server.fetch(_BARE)
                waits.append(time.perf_counter() - started)
        finally:
            await server.close()

    async def _bare_answers(self) -> None:
        """A page of the same gateway that needs nobody signed in and no database."""
        line = Line(self._system.desk[0])
        waits = self.found.waits.setdefault("bare answer", [])
        for _ in range(self._plan.lists):
            started = time.perf_counter()
            await line.get("/desk/theme.css")
            waits.append(time.perf_counter() - started)
        line.close()

    # ---- what moderators do ------------------------------------------------------------------------

    async def _list(self) -> None:
        """Load the queue."""
        await self._anybody().get("/desk/queue")

    async def _claim(self) -> None:
        """Take one of the chats on the page, then open it (which is timed by itself)."""
        for _ in range(50):
            one = self._anybody()
            free = [chat for chat in one.claimable if chat not in self._taken]
            if free:
                chat = self._chance.choice(free)
                self._taken.add(chat)
                if not await one.claim(*chat):
                    raise FailedError("somebody else has it")
                self._opening.append(asyncio.create_task(self._open_chat(one, chat[0])))
                return
        raise FailedError("nothing on any page can be taken")

    async def _open_chat(self, one: Moderator, chat: str) -> None:
        started = time.perf_counter()
        await one.get(f"/desk/c/{chat}")
        self._add("open", time.perf_counter() - started)

    def _search(self) -> Callable[[], Awaitable[None]]:
        words = itertools.cycle(wanted(64))
        by_name = itertools.cycle((False, False, True, False))

        async def ask() -> None:
            fields: Mapping[str, str] = {"name" if next(by_name) else "words": next(words)}
            await self._anybody().find(fields)

        return ask

    async def _messages(self) -> None:
        """Somebody is missing (P2): when does each desk show the row?"""
        for number in range(self._plan.messages):
            word = f"tag{uuid.uuid4().hex[:12]}"
            sighting = self._sightings.rows[word.encode()] = Sighting(len(self._people))
            await self._say("message", number, f"my mate has gone missing since last night, {word}")
            await self._until_seen("message", sighting)
            del self._sightings.rows[word.encode()]

    async def _alarms(self) -> None:
        """There is danger now (P1): when does it ring at each desk?"""
        for number in range(1, self._plan.alarms + 1):
            self._sightings.newest = await self._newest_chat()
            sighting = self._sightings.alarm = Sighting(len(self._people))
            await self._say(
                "alarm", number, f"there is a man with a knife here now, tag{uuid.uuid4().hex[:12]}"
            )
            await self._until_seen("alarm", sighting)
        self._sightings.alarm = None

    async def _newest_chat(self) -> int:
        query = "SELECT max(id) FROM conversation"
        if self._url.startswith("sqlite"):
            with closing(sqlite3.connect(self._url.partition("///")[2])) as connection:
                return int(connection.execute(query).fetchone()[0])
        server = await asyncpg.connect(self._url.replace("+asyncpg", ""))
        try:
            return int(await server.fetchval(query))
        finally:
            await server.close()

    async def _say(self, name: str, number: int, text: str) -> None:
        """Write as somebody new at the web chat."""
        line = Line(self._system.public[number % len(self._system.public)])
        started = time.perf_counter()
        answer = await line.post("/chat/messages", {"id": uuid.uuid4().hex, "text": text})
        self._add(name, time.perf_counter() - started)
        line.close()
        if answer.status != 200:
            self._fail(name)

    async def _until_seen(self, name: str, sighting: Sighting) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SHOWN_SECONDS):
                await sighting.complete.wait()
        self._count_sightings(name, sighting)
        over = time.perf_counter() - sighting.sent_at
        await asyncio.sleep(max(0.0, self._plan.message_pause - over))

    def _count_sightings(self, name: str, sighting: Sighting) -> None:
        missing = sighting.pages - len(sighting.waits)
        if missing:
            self._fail(f"{name} to each desk", missing)
        waits = [*sighting.waits, *[SHOWN_SECONDS] * missing]
        self._add(f"{name} to each desk", *waits)
        self._add(f"{name} to first desk", min(waits))
        self._add(f"{name} to last desk", max(waits))

    def _add(self, what: str, *seconds: float) -> None:
        self.found.waits.setdefault(what, []).extend(seconds)

    def _fail(self, what: str, times: int = 1) -> None:
        self.found.failed[what] = self.found.failed.get(what, 0) + times

    async def _figures(self) -> None:
        """A supervisor's pages."""
        lead = next((one for one in self._people if one.badge.role == "supervisor"), None)
        if lead is None:
            return
        today = date.today()  # noqa: DTZ011  a day in a form
        for days in (14, 90):
            first = (today - timedelta(days=days)).isoformat()
            await self._timed(lead, f"figures of {days} days", f"/desk/figures?by=day&first={first}")
        await self._timed(lead, "overview", "/desk/overview")

    async def _timed(self, one: Moderator, name: str, path: str) -> None:
        for _ in range(self._plan.figures):
            started = time.perf_counter()
            await one.get(path)
            self._add(name, time.perf_counter() - started)
            self._add("figures", time.perf_counter() - started)


def _fives(people: Sequence[Moderator]) -> list[Sequence[Moderator]]:
    return [people[place : place + 5] for place in range(0, len(people), 5)]
