"""Moderators whose queue page is open: each holds the stream of events and fetches what it announces.

As `desk.js` and `base.html` do it: at a change the rows and the banner are fetched anew, one fetch of
each at a time and one more behind it; each also by itself every 20 and 15 seconds; and every 20 seconds
the page says that somebody is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.desk.rows import Badge
from benchmarks.wire import Answer, Line

ROWS_SECONDS, BANNER_SECONDS, HERE_SECONDS = 20.0, 15.0, 20.0
_CLAIM = re.compile(rb'action="/desk/c/([0-9]+)/claim".{0,300}?name="epoch" value="([0-9]+)"', re.DOTALL)
_MARK = re.compile(rb'id="alarms-mark" name="have" value="([0-9a-f]*)" data-ring="([0-9]+)"')


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
    alarms: dict[int, Sighting] = field(default_factory=dict)
    """Alarms, by how many ring once this one does."""


@dataclass(slots=True)
class Counts:
    """What all pages together fetched."""

    rows: list[float] = field(default_factory=list)
    banners: list[float] = field(default_factory=list)
    failed: int = 0

    def clear(self) -> None:
        """Begin to count anew."""
        self.rows.clear()
        self.banners.clear()
        self.failed = 0


class Moderator:
    """One of them, with a page and a second connection for what they do by hand."""

    def __init__(self, badge: Badge, port: int, sightings: Sightings, counts: Counts) -> None:
        self.badge = badge
        self.claimable: list[tuple[str, str]] = []
        """Chats on the page that can be taken: id and epoch."""
        self.rings = 0
        """Alarms that ring on the page."""
        self.is_ready = asyncio.Event()
        self._hand = Line(port)
        self._port = port
        self._sightings, self._counts = sightings, counts
        self._shown: set[bytes] = set()
        self._mark = ""
        self._cookie = {"Cookie": f"desk_session={badge.token}"}
        self._part = {
            **self._cookie, "HX-Request": "true", "X-CSRF-Token": badge.csrf,
            "HX-Current-URL": f"http://127.0.0.1:{port}/desk/queue",
        }  # fmt: skip
        self._turn = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._wanted = {"queue": asyncio.Event(), "banner": asyncio.Event()}

    # ---- what the page does by itself ----------------------------------------------------------

    async def open(self) -> None:
        """Load the page and begin to follow."""
        self._look_at((await self.get("/desk/queue")).body)
        for work in (self._follow(), self._rows(), self._banner(), self._here()):
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
                answer = await line.get("/desk/queue/rows", self._part)
                self._counts.rows.append(time.perf_counter() - started)
                if answer.status == 200:
                    self._look_at(answer.body)
                else:
                    self._counts.failed += 1
        finally:
            line.close()

    async def _banner(self) -> None:
        line = Line(self._port)
        try:
            while True:
                started = time.perf_counter()
                answer = await line.get(f"/desk/alarms?have={self._mark}", self._part)
                self._counts.banners.append(time.perf_counter() - started)
                if answer.status == 200:
                    self._listen_to(answer.body)
                elif answer.status != 204:
                    self._counts.failed += 1
                await self._until("banner", BANNER_SECONDS)
        finally:
            line.close()

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
        self.claimable = [(one[1].decode(), one[2].decode()) for one in _CLAIM.finditer(body)]

    def _listen_to(self, body: bytes) -> None:
        found = _MARK.search(body)
        if found is None:
            return
        self._mark, rings = found[1].decode(), int(found[2])
        for number, sighting in self._sightings.alarms.items():
            if self.rings < number <= rings:
                sighting.seen()
        self.rings = rings

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
