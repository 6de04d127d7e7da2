"""Who writes and who answers: made-up people in conversations, and a few made-up staff."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.drills.stack import DrillFailedError
from tests.soak.sources import Source
from tests.soak.system import SoakStack

STAFF = 6
QUESTIONS = (3, 6)
PAUSE_SECONDS = (0.4, 2.0)
PERSON_SHARE = 0.12
DANGER_SHARE = 0.04
PATIENCE_SECONDS = 90.0
LATER_SECONDS = 4.0
MESSAGES_EACH = 5.0
"""Of a conversation, on the average: questions, the wish for a person, and what follows."""
MOST_AT_ONCE = 300
"""More conversations than this mean that the system does not keep up; they are counted, not begun."""
RAMP = (2, 4, 8, 16, 32)


@dataclass(slots=True)
class Tally:
    """What the people themselves saw."""

    conversations: int = 0
    not_begun: int = 0
    gave_up: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    latencies: list[tuple[float, str, float]] = field(default_factory=list)
    """(when it was sent, source, seconds until the first words came)."""


class Traffic:
    """All the people of one soak."""

    def __init__(self, stack: SoakStack, sources: Sequence[Source]) -> None:
        self._stack = stack
        self._sources = sources
        self._chance = stack.chance
        self._slugs: list[str] = []
        self._staff: asyncio.Queue[int] = asyncio.Queue()
        for number in range(1, STAFF + 1):
            self._staff.put_nowait(number)
        self._talking: set[asyncio.Task[None]] = set()
        self._turn = 0
        self.tally = Tally()

    @property
    def people(self) -> int:
        """Conversations under way."""
        return len(self._talking)

    @property
    def staff_busy(self) -> int:
        """Members of staff who have a chat."""
        return STAFF - self._staff.qsize()

    # ---- before -------------------------------------------------------------------------------

    async def learn(self) -> int:
        """Find out which questions the assistant answers as the checker expects; only those are asked.

        Raises:
            DrillFailedError: too few.
        """
        places = asyncio.Semaphore(4)

        async def one(slug: str) -> None:
            async with places:
                source = self._next()
                person = source.person()
                told = await self._ask(source, person, slug, expects="anything")
                if any(self._stack.questions.answers[slug] in record["text"] for record in told):
                    self._slugs.append(slug)
                await source.leave(person)

        async with asyncio.TaskGroup() as group:
            for slug in self._stack.questions.slugs:
                group.create_task(one(slug))
        if len(self._slugs) < QUESTIONS[1]:
            raise DrillFailedError(f"only {len(self._slugs)} questions were answered as expected")
        self._slugs.sort()
        return len(self._slugs)

    async def capacity(self, stage_seconds: float) -> float:
        """Messages a second that are answered when more and more people write without a pause."""
        best = 0.0
        for people in RAMP:
            begun, until = time.monotonic(), time.monotonic() + stage_seconds
            before = len(self.tally.latencies)
            async with asyncio.TaskGroup() as group:
                for _ in range(people):
                    group.create_task(self._without_pause(until))
            rate = (len(self.tally.latencies) - before) / (time.monotonic() - begun)
            if rate < best * 1.1:
                return max(best, rate)
            best = rate
        return best

    async def _without_pause(self, until: float) -> None:
        while time.monotonic() < until:
            source = self._next()
            person = source.person()
            for slug in self._some(4):
                if time.monotonic() < until:
                    await self._ask(source, person, slug)
            await source.leave(person)

    # ---- the soak itself ----------------------------------------------------------------------

    async def flow(self, rate: float, is_enough: Callable[[], bool], restarts: asyncio.Task[None]) -> None:
        """Begin conversations at random moments, so many messages a second, whatever comes back.

        It flows until that is enough and the last restart is over too: a slow machine may take longer.
        """
        while not is_enough() or not restarts.done():
            await asyncio.sleep(self._chance.expovariate(rate / MESSAGES_EACH))
            if len(self._talking) >= MOST_AT_ONCE:
                self.tally.not_begun += 1
                continue
            task = asyncio.create_task(self._conversation(self._next()))
            self._talking.add(task)
            task.add_done_callback(self._talking.discard)

    async def drain(self, seconds: float = 180.0) -> None:
        """Wait until everybody has finished; whoever has not is a problem."""
        if self._talking:
            _, late = await asyncio.wait(set(self._talking), timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                self.tally.problems.append(f"{len(late)} conversations did not end")

    async def _conversation(self, source: Source) -> None:
        self.tally.conversations += 1
        person = source.person()
        dice = self._chance.random()
        try:
            for slug in self._some(self._chance.randint(*QUESTIONS)):
                if not await self._ask(source, person, slug):
                    self.tally.gave_up.append(f"{person}: {slug}")
                    return
                await asyncio.sleep(self._chance.uniform(*PAUSE_SECONDS))
            if dice < DANGER_SHARE:
                await self._hear_after(source, person, self._stack.questions.danger)
                await self._with_staff(source, person, is_danger=True)
            elif dice < DANGER_SHARE + PERSON_SHARE:
                await self._hear_after(source, person, "talk to a person", button=True)
                await self._with_staff(source, person, is_danger=False)
            else:
                chat = await self._stack.chat(person)
                if chat is not None and chat["state"] == "waiting":
                    # The assistant was away for a moment: a person looks after whoever it left.
                    await self._with_staff(source, person, is_danger=chat["grade"] in ("P1", "P2"))
        except DrillFailedError as error:
            self.tally.problems.append(str(error))
        except Exception as error:
            self.tally.problems.append(f"{person}: {error!r}")
        finally:
            await source.leave(person)

    async def _with_staff(self, source: Source, person: str, *, is_danger: bool) -> None:
        """A member of staff takes the chat, answers, and lets it go again."""
        stack = self._stack
        staff = await self._staff.get()
        try:
            chat = await stack.wait_for_state(person, "waiting", "human", seconds=PATIENCE_SECONDS)
            chat = await self._claim(person, staff, chat)
            gateway = self._chance.randrange(2)
            await stack.reply(person, staff, chat["id"], gateway=gateway)
            await asyncio.sleep(self._chance.uniform(*PAUSE_SECONDS))
            await source.say(person, "thank you", expects=None)
            await stack.reply(person, staff, chat["id"], gateway=gateway + 1)
            await asyncio.sleep(self._chance.uniform(*PAUSE_SECONDS))
            if is_danger or self._chance.random() < 0.5:
                if not await stack.finish(person, staff, chat["id"]):
                    raise DrillFailedError(f"{person} could not be closed")
            elif not await stack.let_go(person, staff, chat["id"], "release"):
                raise DrillFailedError(f"{person} could not be released")
        finally:
            self._staff.put_nowait(staff)

    async def _claim(self, person: str, staff: int, chat: dict[str, Any]) -> dict[str, Any]:
        for attempt in range(60):
            if await self._stack.claim(person, staff, chat, gateway=attempt):
                return chat
            chat = await self._stack.wait_for_state(person, "waiting", "human", seconds=PATIENCE_SECONDS)
            await asyncio.sleep(0.3)
        raise DrillFailedError(f"{person} could not be claimed")

    # ---- one message --------------------------------------------------------------------------

    async def _ask(
        self, source: Source, person: str, slug: str, *, expects: str | None = None
    ) -> list[dict[str, Any]]:
        """Ask, and wait for what is said to it. Empty when nothing was."""
        stack = self._stack
        before = len(stack.heard(person))
        answer = stack.questions.answers[slug]
        told = await self._hear_after(source, person, stack.questions.text(slug), expects=expects or slug)
        if told and not any(answer in record["text"] for record in told):
            # Words about a person came first, or instead: the answer may yet follow.
            told = await stack.hear(person, before, LATER_SECONDS, text=answer) or told
        return told

    async def _hear_after(
        self, source: Source, person: str, text: str, *, expects: str = "anything", button: bool = False
    ) -> list[dict[str, Any]]:
        stack = self._stack
        before = len(stack.heard(person))
        began = time.time()
        await source.say(person, text, expects=expects, button=button)
        told = await stack.hear(person, before, PATIENCE_SECONDS)
        first = next((record["at"] for record in told if record["kind"] != "notice"), None)
        if first is not None:
            self.tally.latencies.append((began, source.name, first - began))
        return told

    def _next(self) -> Source:
        self._turn += 1
        return self._sources[self._turn % len(self._sources)]

    def _some(self, count: int) -> list[str]:
        """Different questions that raise nothing when they are read together."""
        fits = set(self._slugs)
        found = [slug for slug in self._stack.questions.some(self._chance, 4 * count) if slug in fits]
        return found[:count]
