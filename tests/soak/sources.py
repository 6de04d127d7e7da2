"""Where made-up people write: each source is one way in, and keeps a log that the checker can read.

Whatever they write comes several times, to any gateway, and the repeats come between newer messages: a
platform that does not hear our 200 delivers again. Another platform joins by one class here and one line in
`SOURCES`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from bot.channels.webchat import session
from tests.drills.meta import FIRST_PERSON, MetaLog, environment_of, graph_process
from tests.drills.processes import SECRET, Process, python
from tests.drills.stack import DrillFailedError
from tests.drills.telegram import FIRST_CHAT, TOKEN, translated
from tests.platforms.graph import App
from tests.platforms.graph import Writer as GraphWriter
from tests.platforms.telegram import Writer
from tests.soak.system import SoakStack

TRY_AGAIN_SECONDS = 0.5
POLL_SECONDS = 0.05
COPIES = 5
"""How often each message is delivered and taken."""
REPEAT_SECONDS = 2.0
"""Each repeat comes up to so much later than the one before it."""
BATCH_SECONDS = 0.04
"""What is written within so short a time travels in one webhook, where the platform makes batches."""
SETTLE_SECONDS = 120.0


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

    async def begin(self) -> None:
        """Everything runs: behave as this way in does."""
        return

    @abstractmethod
    async def pending(self) -> int:
        """How many deliveries are still to come."""

    async def settle(self) -> None:
        """Wait until every message has been delivered, its repeats too.

        Raises:
            DrillFailedError: some never were.
        """
        deadline = time.monotonic() + SETTLE_SECONDS
        while await self.pending():
            if time.monotonic() > deadline:
                raise DrillFailedError(f"{await self.pending()} deliveries of {self.name} did not end")
            await asyncio.sleep(0.2)

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
                await self.stack.deliver(event, copies=COPIES)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
                # The made-up platform is busy and was not asked yet; the person's thumb still rests.
                await asyncio.sleep(TRY_AGAIN_SECONDS)
            else:
                return

    async def begin(self) -> None:
        await self.stack.platform_mode(repeat_seconds=REPEAT_SECONDS)

    async def pending(self) -> int:
        return await _pending(self.stack.platform_url)

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
        self._repeats: set[asyncio.Task[None]] = set()

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
        await self._post(person, event["id"], body)
        task = asyncio.create_task(self._repeat(person, event["id"], body))
        self._repeats.add(task)
        task.add_done_callback(self._repeats.discard)
        if person not in self._streams:
            self._streams[person] = asyncio.create_task(self._follow(person))

    async def _repeat(self, person: str, event_id: str, body: dict[str, Any]) -> None:
        """A page that has not read the answer sends the same again."""
        for _ in range(COPIES - 1):
            await asyncio.sleep(REPEAT_SECONDS * self.stack.chance.random())
            await self._post(person, event_id, body)

    async def _post(self, person: str, event_id: str, body: dict[str, Any]) -> None:
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
                what="delivery", began=began, at=time.time(), ids=[event_id],
                gateway=gateway % len(self.stack.public), status=status,
            )  # fmt: skip
            if status and status < 500 and status != 429:
                return
            # As a load balancer does: the other gateway, after a moment.
            gateway += 1
            await asyncio.sleep(TRY_AGAIN_SECONDS * (0.5 + self.stack.chance.random()))

    async def pending(self) -> int:
        return len(self._repeats)

    async def leave(self, person: str) -> None:
        task = self._streams.pop(person, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def stop(self) -> None:
        for task in list(self._repeats):
            task.cancel()
        await asyncio.gather(*self._repeats, return_exceptions=True)
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
        self._follower = asyncio.create_task(
            follow(self.stack, self._raw, self._path, partial(translated, people=self._people)),
            name=self.name,
        )

    async def begin(self) -> None:
        answer = await self._http.post(f"{self._url}/control/mode", json={"repeat_seconds": REPEAT_SECONDS})
        answer.raise_for_status()

    async def pending(self) -> int:
        return await _pending(self._url, self._follower)

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
        body = {"updates": [update], "tags": [noted["id"]], "copies": COPIES}
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


class GraphSource(Source):
    """Messenger or Instagram: signed webhooks in batches, the Send API, echoes of what we send, receipts."""

    def __init__(self, stack: SoakStack, name: str) -> None:
        super().__init__(stack)
        self.name = name
        self._app = App(name)
        raw = stack.folder / f"{name}-raw.jsonl"
        self._raw, self._path = raw, stack.folder / f"{name}.jsonl"
        port = stack.ports.take()
        self._url = f"http://127.0.0.1:{port}"
        self._process = graph_process(self._app, port, stack.folder, raw, stack.public, 0)
        self._http = httpx.AsyncClient(timeout=30.0, trust_env=False)
        self._people: dict[str, str] = {}
        self._writers: dict[str, GraphWriter] = {}
        self._follower: asyncio.Task[None] | None = None
        self._batch: list[tuple[str, dict[str, Any]]] = []
        self._leaving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        for gateway in self.stack.gateways:
            gateway.environment |= environment_of(self._app, self._url)
        self._process.start()
        await self._process.ready()
        self._follower = asyncio.create_task(
            follow(self.stack, self._raw, self._path, MetaLog(self._people)), name=self.name
        )

    async def begin(self) -> None:
        # Instagram may tell us of what we sent without our marks.
        mode = {"receipts": True, "bare_echoes": self._app.is_instagram, "repeat_seconds": REPEAT_SECONDS}
        (await self._http.post(f"{self._url}/control/mode", json=mode)).raise_for_status()

    def person(self) -> str:
        person = self.stack.person(self.name)
        writer = GraphWriter(FIRST_PERSON + len(self._people), self._app.us)
        self._people[writer.id] = person
        self._writers[person] = writer
        self.stack.known_as[person] = (self.name, writer.id)
        return person

    async def say(self, person: str, text: str, *, expects: str | None, button: bool = False) -> None:
        noted = self.stack.event(person, text, expects=expects)
        writer = self._writers[person]
        self._batch.append((noted["id"], writer.chooses(text, "person") if button else writer.says(text)))
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._leave(), name=f"{self.name}-batch")
        await asyncio.shield(self._leaving)

    async def _leave(self) -> None:
        """One webhook for what was written in this moment."""
        await asyncio.sleep(BATCH_SECONDS)
        batch, self._batch, self._leaving = self._batch, [], None
        body = {
            "events": [event for _, event in batch], "ids": [name for name, _ in batch], "batch": True,
            "copies": COPIES,
        }  # fmt: skip
        (await self._http.post(f"{self._url}/control/webhooks", json=body)).raise_for_status()

    async def pending(self) -> int:
        return await _pending(self._url, self._follower)

    async def stop(self) -> None:
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
        await asyncio.to_thread(self._process.stop)
        await self._http.aclose()

    @property
    def log(self) -> Path:
        return self._path


async def follow(
    stack: SoakStack, raw: Path, path: Path, read: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """Put a platform's log into the checker's words, line by line, for ever."""
    place, rest = 0, ""
    with path.open("w", encoding="utf-8", buffering=1) as told:
        while True:
            with raw.open(encoding="utf-8") as log:
                log.seek(place)
                new = log.read()
                place = log.tell()
            *lines, rest = (rest + new).split("\n")
            for line in lines:
                record = read(json.loads(line))
                told.write(json.dumps(record) + "\n")
                if record["what"] == "send":
                    await stack.tell(record)
            await asyncio.sleep(POLL_SECONDS)


async def _pending(url: str, follower: asyncio.Task[None] | None = None) -> int:
    if follower is not None and follower.done():
        raise DrillFailedError(
            f"the log of {follower.get_name()} could not be read: {follower.exception()!r}"
        )
    async with httpx.AsyncClient(timeout=30.0, trust_env=False) as http:
        return int((await http.get(f"{url}/control/pending")).json()["pending"])


SOURCES: dict[str, Callable[[SoakStack], Source]] = {
    "webchat": WebChatSource, "loopback": LoopbackSource, "telegram": TelegramSource,
    "messenger": partial(GraphSource, name="messenger"), "instagram": partial(GraphSource, name="instagram"),
}  # fmt: skip
