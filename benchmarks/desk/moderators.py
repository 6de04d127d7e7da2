"""Moderators whose queue page is open: each holds the stream of events and fetches what it announces.

As `desk.js` and `base.html` do it: at a change the rows, the alarms and the reader's own part are fetched
anew, one fetch of each at a time and one more behind it; each also by itself every 20, 15 or 30 seconds; and
every 20 seconds the page says that somebody is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.desk.rows import Badge
from benchmarks.wire import Answer, Line

ROWS_SECONDS, BANNER_SECONDS, OWN_SECONDS, HERE_SECONDS = 20.0, 15.0, 30.0, 20.0
_CLAIM = re.compile(rb'action="/desk/c/([0-9]+)/claim".{0,300}?name="epoch" value="([0-9]+)"', re.DOTALL)
_MARK = re.compile(rb'id="(?:rows|alarms|own)-mark" name="have" value="([0-9a-f]*)"')
_RINGS = re.compile(rb'data-tell-now="((?:[0-9]+/[0-9]+ )+)"')


class FailedError(Exception):
    """The desk did not answer as it should."""


@dataclass(slots=True)
class Sighting:
    """One message of the public on its way to every page."""

    pages: int
    """How many there are."""
    sent_at: float = field(default_factory=time.perf_counter)
    waits: list[float] = field(default_factory=list)
    """Seconds until it was shown, one for each page that does."""
    complete: asyncio.Event = field(default_factory=asyncio.Event)

    def seen(self) -> None:
        """One more page shows it."""
        self.waits.append(time.perf_counter() - self.sent_at)
        if len(self.waits) >= self.pages:
            self.complete.set()


@dataclass(slots=True)
class Sightings:
    """What pages look out for."""

    rows: dict[bytes, Sighting] = field(default_factory=dict)
    """Messages, by the word that tells each from all others."""
    alarm: Sighting | None = None
    """An alarm: the page rings for a chat that is newer than `newest`."""
    newest: int = 0


@dataclass(slots=True)
class Counts:
    """What all pages together fetched."""

    rows: list[float] = field(default_factory=list)
    banners: list[float] = field(default_factory=list)
    owns: list[float] = field(default_factory=list)
    kilobytes: float = 0.0
    """Of rows."""
    unchanged: int = 0
    """Rows that were as the page had them."""
    failed: int = 0

    def clear(self) -> None:
        """Begin to count anew."""
        self.rows.clear()
        self.banners.clear()
        self.owns.clear()
        self.kilobytes = 0.0
        self.unchanged = self.failed = 0


class Moderator:
    """One of them, with a page and a second connection for what they do by hand."""

    def __init__(self, badge: Badge, port: int, sightings: Sightings, counts: Counts) -> None:
        self.badge = badge
        self.claimable: list[tuple[str, str]] = []
        """Chats on the page that can be taken: id and epoch."""
        self.is_ready = asyncio.Event()
        self._hand = Line(port)
        self._port = port
        self._sightings, self._counts = sightings, counts
        self._shown: set[bytes] = set()
        self._heard: Sighting | None = None
        self._mark = {"rows": "", "alarms": "", "own": ""}
        self._cookie = {"Cookie": f"desk_session={badge.token}"}
        self._part = {
            **self._cookie, "HX-Request": "true", "X-CSRF-Token": badge.csrf,
            "HX-Current-URL": f"http://127.0.0.1:{port}/desk/queue",
        }  # fmt: skip
        self._turn = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._wanted = {part: asyncio.Event() for part in ("queue", "banner", "own")}

    # ---- what the page does by itself ----------------------------------------------------------

    async def open(self) -> None:
        """Load the page and begin to follow."""
        self._look_at((await self.get("/desk/queue")).body)
        for work in (self._follow(), self._rows(), self._banner(), self._own(), self._here()):
            self._tasks.append(asyncio.create_task(work))

    async def close(self) -> None:
        """Close the page.

        Raises:
            Exception: whatever ended one of its parts before.
        """
        ended = [task for task in self._tasks if task.done()]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._hand.close()
        for task in ended:
            task.result()

    async def _follow(self) -> None:
        line = Line(self._port)
        try:
            async for name, data in line.events("/desk/stream", self._cookie):
                if name in ("ready", "change"):
                    for part, wanted in self._wanted.items():
                        if part not in data.get("keeps", ()):
                            wanted.set()
                if name == "ready":
                    self.is_ready.set()
                if name in ("locked", "gone"):
                    raise FailedError(f"the session of {self.badge.staff_id} is {name}")
            raise FailedError("a stream ended")
        finally:
            line.close()

    async def _rows(self) -> None:
        line = Line(self._port)
        try:
            while True:
                await self._until("queue", ROWS_SECONDS)
                started = time.perf_counter()
                answer = await line.get(f"/desk/queue/rows?have={self._mark['rows']}", self._part)
                self._counts.rows.append(time.perf_counter() - started)
                self._counts.kilobytes += len(answer.body) / 1000
                if answer.status == 200:
                    self._look_at(answer.body)
                elif answer.status == 204:
                    self._counts.unchanged += 1
                else:
                    self._counts.failed += 1
        finally:
            line.close()

    async def _banner(self) -> None:
        await self._part_of("alarms", "banner", BANNER_SECONDS, self._counts.banners, self._listen_to)

    async def _own(self) -> None:
        await self._part_of("own", "own", OWN_SECONDS, self._counts.owns, lambda body: None)

    async def _part_of(
        self, name: str, event: str, seconds: float, waits: list[float], take: Callable[[bytes], None]
    ) -> None:
        line = Line(self._port)
        try:
            while True:
                started = time.perf_counter()
                answer = await line.get(f"/desk/{name}?have={self._mark[name]}", self._part)
                waits.append(time.perf_counter() - started)
                if answer.status == 200:
                    self._remember(name, answer.body)
                    take(answer.body)
                elif answer.status != 204:
                    self._counts.failed += 1
                await self._until(event, seconds)
        finally:
            line.close()

    def _remember(self, name: str, body: bytes) -> None:
        found = _MARK.search(body)
        self._mark[name] = found[1].decode() if found else ""

    async def _here(self) -> None:
        line = Line(self._port)
        try:
            while True:
                await asyncio.sleep(HERE_SECONDS)
                await line.form("/desk/here", {}, self._part)
        finally:
            line.close()

    async def _until(self, what: str, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wanted[what].wait()
        self._wanted[what].clear()

    def _look_at(self, body: bytes) -> None:
        for word, sighting in self._sightings.rows.items():
            if word not in self._shown and word in body:
                self._shown.add(word)
                sighting.seen()
        self._remember("rows", body)
        self.claimable = [(one[1].decode(), one[2].decode()) for one in _CLAIM.finditer(body)]

    def _listen_to(self, body: bytes) -> None:
        found, sighting = _RINGS.search(body), self._sightings.alarm
        if found is None or sighting is None or sighting is self._heard:
            return
        # What else rings differs: a P1 that somebody took rings on at supervisors.
        if max(int(one.partition(b"/")[0]) for one in found[1].split()) > self._sightings.newest:
            self._heard = sighting
            sighting.seen()

    # ---- what is done by hand --------------------------------------------------------------------

    @property
    def is_busy(self) -> bool:
        """Whether they wait for an answer: a person does one thing at a time."""
        return self._turn.locked()

    async def get(self, path: str) -> Answer:
        """Open a page.

        Raises:
            FailedError: it is not answered with a page.
        """
        async with self._turn:
            return self._good(await self._hand.get(path, self._cookie), 200)

    async def claim(self, chat: str, epoch: str) -> bool:
        """Take a chat. False: somebody else has.

        Raises:
            FailedError: the desk answers neither.
        """
        form = {"csrf": self.badge.csrf, "epoch": epoch}
        async with self._turn:
            answer = await self._hand.form(f"/desk/c/{chat}/claim", form, self._part)
        if answer.status == 409:
            return False
        self._good(answer, 204)
        return True

    async def find(self, fields: Mapping[str, str]) -> None:
        """Look for something, and read the first page of what was found.

        Raises:
            FailedError: there is no such page.
        """
        form = {"csrf": self.badge.csrf, **fields}
        async with self._turn:
            answer = self._good(await self._hand.form("/desk/find", form, self._cookie), 303)
            self._good(await self._hand.get(answer.headers["location"], self._cookie), 200)

    @staticmethod
    def _good(answer: Answer, status: int) -> Answer:
        if answer.status != status:
            raise FailedError(f"the desk answered {answer.status}: {answer.body[-300:]!r}")
        return answer
