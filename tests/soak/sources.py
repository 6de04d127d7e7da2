"""Where made-up people write: each source is one way in, and keeps a log that the checker can read.

Another platform joins by one class here and one line in `SOURCES`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import httpx

from bot.channels.webchat import session
from tests.drills.processes import SECRET, Process, python
from tests.drills.telegram import FIRST_CHAT, TOKEN, Kinds
from tests.platforms.telegram import Writer
from tests.soak.system import SoakStack

TRY_AGAIN_SECONDS = 0.5
POLL_SECONDS = 0.05


class Source(ABC):
    """One way in."""

    name: str

    def __init__(self, stack: SoakStack) -> None:
        self.stack = stack

    @abstractmethod
    def person(self) -> str:
        """A new person; the first part of their name is the source's."""

    @abstractmethod
    async def say(self, person: str, text: str, *, expects: str | None, button: bool = False) -> None:
        """Let them write, or press "talk to a person"; returns once the message is under way."""

    async def start(self) -> None:
        """Before the gateways start: run what they need, and tell them of it."""
        return

    async def leave(self, person: str) -> None:
        """They close the page."""
        return

    async def stop(self) -> None:
        """Nothing more comes."""
        return

    @property
    @abstractmethod
    def log(self) -> Path:
        """What was taken and what was sent, in the loopback platform's form."""


class LoopbackSource(Source):
    """A platform with webhooks and sends: signed, repeated until taken, in a process of its own."""

    name = "loopback"

    def person(self) -> str:
        return self.stack.person(self.name)

    async def say(self, person: str, text: str, *, expects: str | None, button: bool = False) -> None:
        more = {"kind": "button", "button": "person"} if button else {}
        event = self.stack.event(person, text, expects=expects, **more)
        while True:
            try:
                await self.stack.deliver(event)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
                # The made-up platform is busy and was not asked yet; the person's thumb still rests.
                await asyncio.sleep(TRY_AGAIN_SECONDS)
            else:
                return

    @property
    def log(self) -> Path:
        return self.stack.platform_log


class WebChatSource(Source):
    """The page: it posts each message until it is taken, and reads its own stream of events."""

    name = "webchat"

    def __init__(self, stack: SoakStack) -> None:
        super().__init__(stack)
        self._path = stack.folder / "webchat.jsonl"
        self._log = self._path.open("w", encoding="utf-8", buffering=1)
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(30.0, connect=2.0), trust_env=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=50),
        )  # fmt: skip
        self._tokens: dict[str, str] = {}
        self._streams: dict[str, asyncio.Task[None]] = {}
        self._numbers = itertools.count(1)

    def person(self) -> str:
        person = self.stack.person(self.name)
        token = session.new_token()
        self._tokens[person] = token
        self.stack.known_as[person] = ("webchat", session.person_of(token))
        return person

    async def say(self, person: str, text: str, *, expects: str | None, button: bool = False) -> None:
        event = self.stack.event(person, text, expects=expects)
        body: dict[str, Any] = {"id": hashlib.sha256(event["id"].encode()).hexdigest()[:32]}
        body |= {"button": "person"} if button else {"text": text}
        gateway = self.stack.chance.randrange(len(self.stack.public))
        while True:
            url = self.stack.public[gateway % len(self.stack.public)]
            began = time.time()
            status = 0
            with contextlib.suppress(httpx.HTTPError):
                answer = await self._http.post(
                    f"{url}/chat/messages", json=body, headers=self._headers(person)
                )
                status = answer.status_code
            self._note(
                what="delivery", began=began, at=time.time(), ids=[event["id"]],
                gateway=gateway % len(self.stack.public), status=status,
            )  # fmt: skip
            if status and status < 500 and status != 429:
                break
            # As a load balancer does: the other gateway, after a moment.
            gateway += 1
            await asyncio.sleep(TRY_AGAIN_SECONDS * (0.5 + self.stack.chance.random()))
        if person not in self._streams:
            self._streams[person] = asyncio.create_task(self._follow(person))

    async def leave(self, person: str) -> None:
        task = self._streams.pop(person, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def stop(self) -> None:
        for person in list(self._streams):
            await self.leave(person)
        await self._http.aclose()
        self._log.close()

    @property
    def log(self) -> Path:
        return self._path

    def _headers(self, person: str) -> dict[str, str]:
        return {"Cookie": f"{session.COOKIE}={self._tokens[person]}"}

    def _note(self, **record: Any) -> None:
        self._log.write(json.dumps(record) + "\n")

    async def _follow(self, person: str) -> None:
        """Read the stream for as long as the page is open; after a break from the last place on."""
        place = "0.0"
        seen: set[int] = set()
        gateway = self.stack.chance.randrange(len(self.stack.public))
        while True:
            url = self.stack.public[gateway % len(self.stack.public)]
            with contextlib.suppress(httpx.HTTPError):
                async with self._http.stream(
                    "GET", f"{url}/chat/stream", params={"after": place}, headers=self._headers(person)
                ) as answer:
                    kind, data = "", ""
                    async for line in answer.aiter_lines():
                        if line.startswith("id:"):
                            place = line[3:].strip()
                        elif line.startswith("event:"):
                            kind = line[6:].strip()
                        elif line.startswith("data:"):
                            data = line[5:].strip()
                        elif not line:
                            if kind == "message":
                                await self._show(person, json.loads(data), seen)
                            kind, data = "", ""
            gateway += 1
            await asyncio.sleep(TRY_AGAIN_SECONDS)

    async def _show(self, person: str, row: dict[str, Any], seen: set[int]) -> None:
        # The page shows a row once, whatever comes again after a break; so does this one.
        if row["id"] in seen:
            return
        seen.add(row["id"])
        record = {
            "what": "send", "n": next(self._numbers), "at": time.time(), "person": person,
            "text": row["text"], "kind": row["side"], "outbox": row["id"],
        }  # fmt: skip
        self._note(**record)
        await self.stack.tell(record)


class TelegramSource(Source):
    """Telegram: webhooks with the secret header, and a Bot API of our own to send to."""

    name = "telegram"

    def __init__(self, stack: SoakStack) -> None:
        super().__init__(stack)
        self._raw = stack.folder / "telegram-raw.jsonl"
        self._path = stack.folder / "telegram.jsonl"
        port = stack.ports.take()
        self._url = f"http://127.0.0.1:{port}"
        self._process = Process(
            "telegram",
            python(
                "tests.platforms.telegram.server", "--port", str(port), "--token", TOKEN, "--log",
                str(self._raw), "--seed", "0", *(word for url in stack.public for word in ("--gateway", url)),
            ),
            stack.folder,
            health=f"{self._url}/control/pending",
        )  # fmt: skip
        self._http = httpx.AsyncClient(timeout=30.0, trust_env=False)
        self._people: dict[int, str] = {}
        self._writers: dict[str, Writer] = {}
        self._follower: asyncio.Task[None] | None = None
        self._kinds = Kinds(stack.questions)

    async def start(self) -> None:
        for gateway in self.stack.gateways:
            gateway.environment |= {
                "FRONTCOUNTER_TELEGRAM_TOKEN": TOKEN,
                "FRONTCOUNTER_TELEGRAM_MODE": "webhook",
                "FRONTCOUNTER_TELEGRAM_SECRET": SECRET,
                "FRONTCOUNTER_TELEGRAM_API_URL": self._url,
                "FRONTCOUNTER_PUBLIC_URL": "https://chat.force.example",
            }
        self._raw.touch()
        self._process.start()
        await self._process.ready()
        self._follower = asyncio.create_task(self._follow())

    def person(self) -> str:
        person = self.stack.person(self.name)
        chat = FIRST_CHAT + len(self._people)
        self._people[chat] = person
        self._writers[person] = Writer(chat)
        self.stack.known_as[person] = (self.name, str(chat))
        return person

    async def say(self, person: str, text: str, *, expects: str | None, button: bool = False) -> None:
        noted = self.stack.event(person, text, expects=expects)
        update = self._writers[person].says("/person" if button else text)
        body = {"updates": [update], "tags": [noted["id"]], "copies": 1}
        answer = await self._http.post(f"{self._url}/control/updates", json=body)
        answer.raise_for_status()

    async def stop(self) -> None:
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
        await asyncio.to_thread(self._process.stop)
        await self._http.aclose()

    @property
    def log(self) -> Path:
        return self._path

    async def _follow(self) -> None:
        """Put Telegram's log into the checker's words, line by line."""
        place, rest = 0, ""
        with self._path.open("w", encoding="utf-8", buffering=1) as told:
            while True:
                with self._raw.open(encoding="utf-8") as log:
                    log.seek(place)
                    new = log.read()
                    place = log.tell()
                *lines, rest = (rest + new).split("\n")
                for line in lines:
                    record = self._translated(json.loads(line))
                    told.write(json.dumps(record) + "\n")
                    if record["what"] == "send":
                        await self.stack.tell(record)
                await asyncio.sleep(POLL_SECONDS)

    def _translated(self, record: dict[str, Any]) -> dict[str, Any]:
        if record["what"] != "send":
            return record
        kind = self._kinds.of(str(record["text"]))
        return {**record, "person": self._people[int(record["chat"])], "kind": kind, "outbox": None}


SOURCES: dict[str, type[Source]] = {
    "webchat": WebChatSource, "loopback": LoopbackSource, "telegram": TelegramSource,
}  # fmt: skip
