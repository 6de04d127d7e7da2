"""People who write by Messenger at given moments, whatever comes back, and what became of each of them."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx

from benchmarks.burst.system import System
from benchmarks.wire import Line
from tests.platforms.graph import Writer, sign
from tests.platforms.graph.server import HEADER

ANSWER_SECONDS = 20.0
"""As long as Meta waits for an answer; what has none by then is delivered again."""
AGAIN_SECONDS = 1.0
TRIES = 120
LOOK_SECONDS = 0.2
_numbers = itertools.count(7_510_000_001)


@dataclass(slots=True)
class Visit:
    """One person, their one message, and what they saw. Times are Unix times in seconds."""

    person: str
    danger: bool
    due: float
    answered: float | None = None
    """When the webhook was answered 200, at the first try."""
    late: float = 0.0
    """How much later than due this program sent it."""
    tries: int = 0
    heard: float | None = None
    """When the first words for them arrived at Messenger."""
    helped: float | None = None
    """When the words for somebody in danger did."""
    passed_on: bool = False
    """They were told that the assistant does not answer, and wait for a person."""

    @property
    def wait(self) -> float:
        """Seconds from the moment at which it was due to the answer; for ever, if the first try had none."""
        return float("inf") if self.answered is None else self.answered - self.due


class Crowd:
    """Calls the gateways as Meta does, over as many connections as are needed."""

    def __init__(self, system: System, block: str, down: str) -> None:
        """`block`: how the words for somebody in danger begin; `down`: what says that the assistant is away."""
        self._system = system
        self._block = block
        self._down = down
        self._free: list[list[Line]] = [[] for _ in system.public]
        self._visits: dict[str, Visit] = {}
        self._place = 0
        self._rest = b""

    async def write(self, texts: Sequence[tuple[str, bool]], rate: float) -> list[Visit]:
        """Let each of these texts (and whether it is of danger) be written by somebody new, so many a second.

        Returns when every webhook has been taken.
        """
        made = [(Writer(next(_numbers), self._system.app.us), *text) for text in texts]
        bodies = [self._body(writer.says(words)) for writer, words, _ in made]
        await self._let_write([writer.id for writer, _, _ in made])
        begin = time.time() + 0.5
        visits = [Visit(one.id, danger, begin + n / rate) for n, (one, _, danger) in enumerate(made)]
        self._visits.update((visit.person, visit) for visit in visits)
        async with asyncio.TaskGroup() as group:
            for number, (visit, body) in enumerate(zip(visits, bodies, strict=True)):
                await asyncio.sleep(max(0.0, visit.due - time.time()))
                group.create_task(self._deliver(visit, body, number))
        return visits

    async def hear(self, visits: Sequence[Visit], seconds: float) -> bool:
        """Wait until each of them has heard something. False: somebody did not in that time."""
        deadline = time.monotonic() + seconds
        while True:
            self.look()
            if all(visit.heard is not None for visit in visits):
                return True
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Read on in Messenger's log."""
        with self._system.log.open("rb") as log:
            log.seek(self._place)
            new = log.read()
        self._place += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        for line in lines:
            if line.startswith(b'{"what": "send"'):
                record = json.loads(line)
                visit = self._visits.get(str(record["person"]))
                if visit is not None:
                    self._note(visit, str(record["text"]), float(record["at"]))

    def close(self) -> None:
        """Hang up."""
        for line in itertools.chain.from_iterable(self._free):
            line.close()

    def _note(self, visit: Visit, text: str, at: float) -> None:
        if visit.heard is None:
            visit.heard = at
        visit.passed_on = visit.passed_on or self._down in text
        if visit.helped is None and text.startswith(self._block):
            visit.helped = at

    async def _let_write(self, people: list[str]) -> None:
        """Messenger takes a reply to nobody who has not written; here it does not see who does."""
        now = time.time()
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            body = {"wrote": dict.fromkeys(people, now)}
            (await http.post(f"{self._system.graph}/control/state", json=body)).raise_for_status()

    def _body(self, event: dict[str, object]) -> bytes:
        entry = {"id": self._system.app.us, "time": int(time.time() * 1000), "messaging": [event]}
        return json.dumps({"object": "page", "entry": [entry]}).encode()

    async def _deliver(self, visit: Visit, body: bytes, number: int) -> None:
        headers = {HEADER: sign(body, self._system.app.app_secret)}
        visit.late = time.time() - visit.due
        for attempt in range(TRIES):
            visit.tries += 1
            taken = await self._call((number + attempt) % len(self._free), body, headers)
            if taken:
                if not attempt:
                    visit.answered = time.time()
                return
            await asyncio.sleep(AGAIN_SECONDS)

    async def _call(self, gateway: int, body: bytes, headers: dict[str, str]) -> bool:
        free = self._free[gateway]
        line = free.pop() if free else Line(self._system.public[gateway])
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await line.post_bytes(self._system.app.path, body, headers)
        except (OSError, EOFError, ValueError):
            line.close()
            return False
        free.append(line)
        return answer.status == 200


def mixed(plain: Iterator[str], danger: Iterator[str], count: int, share: float) -> list[tuple[str, bool]]:
    """So many texts; those of danger are spread evenly among them."""
    found = []
    for number in range(count):
        is_danger = int((number + 1) * share) > int(number * share)
        found.append((next(danger if is_danger else plain), is_danger))
    return found
