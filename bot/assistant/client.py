"""The only caller of Rasa: our own channel in it, over HTTP, with a limit on everything.

A failure is always `AssistantUnavailableError`, never silence. Nothing is repeated once a request
has left, except by its turn id, for which the channel gives the stored answer.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import structlog

from bot.errors import AssistantUnavailableError
from bot.messages import Button

log = structlog.get_logger(__name__)

PIECE = 1000
"""Characters of one piece of text as the model reads it."""
OVERLAP = 200
TEXTS_AT_ONCE = 32
"""Texts of one request; our channel in Rasa takes 64."""
CONNECT_SECONDS = 1.0
CONNECTIONS = 64
BREAK_AFTER = 3
"""Failures in a row after which a replica is left alone for a while."""
BREAK_SECONDS = 5.0
IN_ONE_PLACE = 2
"""Requests that a replica works on at a time: it has one processor, and works on all that it has in turns,
so that of eight begun together all end late. One is read while the other waits for the trackers."""
IN_LINE_SECONDS = 0.5
"""Who has stood in line for so long goes in anyway: behind a replica that hangs nobody waits twice."""
_STATUS_TIMEOUT = aiohttp.ClientTimeout(total=2.0)


def tracker_name(conversation_id: int, reference: str) -> str:
    """What Rasa calls a conversation. The reference is drawn by chance, so that a database that was
    restored, or one that only measures, never finds what Rasa remembers of somebody else."""
    return f"c{conversation_id}-{reference}"


@dataclass(frozen=True, slots=True)
class Reading:
    """What the model makes of one text."""

    intent: str
    confidence: float
    certain: bool
    ranking: tuple[tuple[str, float], ...] = ()
    risks: tuple[tuple[str, float, str | None], ...] = ()
    """(category, probability, grade) of the risk intents, highest first; the grade where one was learned."""

    def best_faq(self) -> tuple[str, float] | None:
        """The likeliest FAQ slug and its probability."""
        for name, confidence in self.ranking:
            if name.startswith("faq/"):
                return name.removeprefix("faq/"), confidence
        return None


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that Rasa wants said: `kind` is answer, also, line, offer, hand_over or not_understood."""

    kind: str
    key: str = ""
    slugs: tuple[str, ...] = ()
    buttons: tuple[Button, ...] = ()
    """Titles are still keys of the wording."""
    category: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answered turn."""

    reading: Reading
    parts: tuple[Part, ...]
    form: str | None
    fresh: bool
    """Rasa had no memory of this conversation before the turn."""
    release: str


@dataclass(slots=True)
class _Replica:
    url: str
    failures: int = 0
    closed_until: float = 0.0
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(IN_ONE_PLACE))

    @property
    def name(self) -> str:
        """Host and port, for logs and figures: a password may stand before them."""
        return self.url.partition("://")[2].partition("/")[0].rpartition("@")[2]

    @property
    def is_resting(self) -> bool:
        """Whether it is left alone after failures."""
        return self.closed_until > time.monotonic()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """One of the requests that it works on, first come, first served."""
        try:
            async with asyncio.timeout(IN_LINE_SECONDS):
                await self.places.acquire()
        except TimeoutError:
            yield
            return
        try:
            yield
        finally:
            self.places.release()


def pieces(text: str) -> list[str]:
    """A long text in overlapping pieces of 1,000 characters, so that nothing escapes the model."""
    if len(text) <= PIECE:
        return [text]
    step = PIECE - OVERLAP
    return [text[start : start + PIECE] for start in range(0, max(1, len(text) - OVERLAP), step)]


class Assistant:
    """Asks Rasa. Any replica may run any turn; one that fails is left alone for five seconds."""

    def __init__(self, urls: Sequence[str], secret: str, *, timeout_seconds: float = 10.0) -> None:
        self._replicas = [_Replica(url) for url in urls]
        self._next = 0
        self._headers = {"X-Front-Counter-Secret": secret}
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=CONNECT_SECONDS)
        self._made: aiohttp.ClientSession | None = None

    @property
    def _http(self) -> aiohttp.ClientSession:
        if self._made is None:
            # Here, because it belongs to the loop that runs.
            self._made = aiohttp.ClientSession(
                headers=self._headers,
                timeout=self._timeout,
                connector=aiohttp.TCPConnector(limit=CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._made

    async def close(self) -> None:
        """Close the connections."""
        if self._made is not None:
            await self._made.close()
            self._made = None

    async def turn(self, conversation: str, turn: str, text: str, button: str | None = None) -> Reply:
        """Let Rasa answer one turn.

        Raises:
            AssistantUnavailableError: no replica answered as it should.
        """
        body = {
            "conversation": conversation,
            "turn": turn,
            "text": text[:PIECE],
            "button": button,
        }
        answer = await self._post("turn", body)
        try:
            return Reply(
                reading=_reading(answer),
                parts=tuple(_part(part) for part in answer["messages"]),
                form=answer.get("form") or None,
                fresh=bool(answer.get("fresh", False)),
                release=str(answer.get("release", "")),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AssistantUnavailableError("Rasa answered in a way we do not know") from error

    async def understand(self, texts: Sequence[str]) -> list[Reading]:
        """What each text means, without touching any memory of Rasa's.

        Raises:
            AssistantUnavailableError: no replica answered as it should.
        """
        readings: list[Reading] = []
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            answer = await self._post("understand", {"texts": list(texts[start : start + TEXTS_AT_ONCE])})
            try:
                readings += [_reading(result) for result in answer["results"]]
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise AssistantUnavailableError("Rasa answered in a way we do not know") from error
        if len(readings) != len(texts):
            raise AssistantUnavailableError("Rasa left a text out")
        return readings

    async def forget(self, conversation: str) -> None:
        """Wipe Rasa's memory of a conversation.

        Raises:
            AssistantUnavailableError: no replica answered as it should.
        """
        await self._post("forget", {"conversation": conversation})

    async def is_ready(self) -> bool:
        """Whether at least one replica has a model loaded."""
        for replica in self._replicas:
            try:
                status, body = await self._ask("GET", replica, "status", timeout=_STATUS_TIMEOUT)
                if status == 200 and json.loads(body).get("ready"):
                    return True
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError, AttributeError):
                continue
        return False

    def resting(self) -> dict[str, bool]:
        """For each replica (host and port): whether it is left alone after failures."""
        return {replica.name: replica.is_resting for replica in self._replicas}

    async def _post(self, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        last: Exception | None = None
        for replica in self._candidates():
            try:
                async with replica.place():
                    if replica.is_resting:
                        # It began to while this stood in line for it.
                        continue
                    status, answer = await self._ask("POST", replica, verb, json=body)
                if status != 200:
                    raise AssistantUnavailableError(f"Rasa answered {status}")
                loaded = json.loads(answer)
                if not isinstance(loaded, dict):
                    raise AssistantUnavailableError("Rasa answered no object")
            except (
                aiohttp.ClientError,
                TimeoutError,
                OSError,
                ValueError,
                AssistantUnavailableError,
            ) as error:
                last = error
                self._failed(replica, error)
                continue
            replica.failures = 0
            return loaded
        if last is None:
            raise AssistantUnavailableError("every replica of Rasa is resting after failures")
        raise AssistantUnavailableError(f"Rasa does not answer: {type(last).__name__}") from last

    async def _ask(self, method: str, replica: _Replica, verb: str, **options: Any) -> tuple[int, bytes]:
        url = f"{replica.url}/webhooks/gateway/{verb}"
        for attempt in range(2):
            try:
                async with self._http.request(method, url, allow_redirects=False, **options) as answer:
                    return answer.status, await answer.read()
            except (aiohttp.ServerDisconnectedError, ConnectionResetError):
                # Rasa closes what is idle, maybe just as we write. All that we ask can be asked again.
                if attempt:
                    raise
        raise AssertionError("unreachable")

    def _candidates(self) -> list[_Replica]:
        self._next = (self._next + 1) % len(self._replicas)
        turned = self._replicas[self._next :] + self._replicas[: self._next]
        return [replica for replica in turned if not replica.is_resting]

    def _failed(self, replica: _Replica, error: Exception) -> None:
        replica.failures += 1
        if replica.failures >= BREAK_AFTER:
            replica.closed_until = time.monotonic() + BREAK_SECONDS
            log.warning("assistant.resting", replica=replica.name, error=type(error).__name__)


def _reading(answer: dict[str, Any]) -> Reading:
    return Reading(
        intent=str(answer["intent"]),
        confidence=float(answer["confidence"]),
        certain=bool(answer["certain"]),
        ranking=tuple((str(r["name"]), float(r["confidence"])) for r in answer.get("ranking", ())),
        risks=tuple(
            (str(r["category"]), float(r["confidence"]), r.get("grade")) for r in answer.get("risks", ())
        ),
    )


def _part(part: dict[str, Any]) -> Part:
    if "answer" in part:
        return Part("answer", key=str(part["answer"]))
    if "line" in part or "small_talk" in part:
        buttons = tuple(
            Button(title=str(b["title_key"]), payload=str(b["payload"])) for b in part.get("buttons") or ()
        )
        return Part("line", key=str(part.get("line") or part["small_talk"]), buttons=buttons)
    if "hand_over" in part:
        wanted = part["hand_over"]
        return Part("hand_over", category=wanted.get("category"), reason=str(wanted.get("reason", "asked")))
    if "offer" in part:
        return Part("offer", slugs=tuple(str(slug) for slug in part["offer"])[:3])
    if "also" in part:
        return Part("also", slugs=tuple(str(slug) for slug in part["also"])[:2])
    if part.get("not_understood"):
        return Part("not_understood")
    raise ValueError("unknown part")
