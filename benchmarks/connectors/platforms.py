"""Messenger and Telegram as the comparison asks them: who writes, what they heard, how it misbehaves."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import httpx

from tests.drills.processes import Process
from tests.platforms.graph import App
from tests.platforms.graph import Writer as GraphWriter
from tests.platforms.graph import sign as sign_graph
from tests.platforms.graph.server import HEADER, OLD_HEADER
from tests.platforms.telegram import Writer as TelegramWriter

_people = itertools.count(7_610_000_001)
LOOK_SECONDS = 0.1


class Platform(ABC):
    """One platform and the one server that it calls. A person is who a string of digits names."""

    name: str
    has_batches: bool

    def __init__(self, process: Process, url: str, server: str) -> None:
        """`url`: the platform's own address; `server`: that of whoever it calls."""
        self.process = process
        self._url = url
        self._server = server
        self._http = httpx.AsyncClient(trust_env=False, timeout=60)
        self._writers: dict[str, Any] = {}

    async def close(self) -> None:
        """Hang up."""
        await self._http.aclose()

    # ---- people --------------------------------------------------------------------------------

    @abstractmethod
    def person(self) -> str:
        """Somebody new."""

    @abstractmethod
    async def write(
        self, texts: Sequence[tuple[str, str]], *, copies: int = 1, batch: bool = False
    ) -> list[str]:
        """Let people write, each (person, text) in a webhook of its own unless it is a batch.

        Returns the names by which `deliveries` knows the webhooks.
        """

    @abstractmethod
    async def heard(self, person: str) -> list[str]:
        """The texts that the person was sent, in order."""

    @abstractmethod
    async def tries(self, person: str) -> list[float]:
        """When the first text for them was tried to be sent: more often than once, where it was tried again."""

    @abstractmethod
    async def forge(self, person: str, text: str) -> int:
        """Call the server as somebody would who does not know its secret. Returns what it answers."""

    async def answered(self, name: str) -> float | None:
        """Seconds until the first call of a webhook was answered 200; None if it was not."""
        calls = [c for c in (await self._state())["deliveries"] if name in c["ids"]]
        if not calls or calls[0]["status"] != 200:
            return None
        return float(calls[0]["at"] - calls[0]["began"])

    async def statuses(self, name: str) -> list[int]:
        """What each call of a webhook was answered."""
        return [c["status"] for c in (await self._state())["deliveries"] if name in c["ids"]]

    # ---- behaviour -----------------------------------------------------------------------------

    async def mode(self, **mode: Any) -> None:
        """How it behaves from now on; nothing: well."""
        await self._control("mode", mode)

    @abstractmethod
    async def fault(self, kind: str, *, seconds: float = 0.0, take: bool = False) -> None:
        """What becomes of the next message that is sent."""

    async def settled(self, seconds: float) -> bool:
        """Wait until every webhook was taken. False: one is still refused after that time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if (await self._http.get(f"{self._url}/control/pending")).json()["pending"] == 0:
                return True
            await asyncio.sleep(LOOK_SECONDS)
        return False

    async def _control(self, what: str, body: Any) -> Any:
        answer = await self._http.post(f"{self._url}/control/{what}", content=json.dumps(body))
        answer.raise_for_status()
        return answer.json()

    async def _state(self) -> dict[str, Any]:
        return dict((await self._http.get(f"{self._url}/control/state")).json())


class Messenger(Platform):
    """A Page's Messenger. What the Page's own inbox sends can be made up too."""

    name = "messenger"
    has_batches = True

    def __init__(self, process: Process, url: str, server: str, app: App) -> None:
        super().__init__(process, url, server)
        self._app = app
        self._webhooks = itertools.count(1)

    def person(self) -> str:
        writer = GraphWriter(next(_people), self._app.us)
        self._writers[writer.id] = writer
        return writer.id

    async def write(
        self, texts: Sequence[tuple[str, str]], *, copies: int = 1, batch: bool = False
    ) -> list[str]:
        events = [self._writers[person].says(text) for person, text in texts]
        groups = [events] if batch else [[event] for event in events]
        names = [f"w{next(self._webhooks)}" for _ in groups]
        for name, group in zip(names, groups, strict=True):
            await self._control("webhooks", {"events": group, "ids": [name], "batch": True, "copies": copies})
        return names

    async def told_by_inbox(self, person: str, text: str) -> None:
        """Somebody answers in the Page's own inbox."""
        await self._control("webhooks", {"events": [self._writers[person].is_told(text)]})

    async def heard(self, person: str) -> list[str]:
        answer = await self._http.get(f"{self._url}/control/state", params={"person": person})
        return [message["text"] for message in answer.json()["messages"]]

    async def tries(self, person: str) -> list[float]:
        answer = await self._http.get(f"{self._url}/control/state", params={"person": person})
        calls = [c for c in answer.json()["calls"] if c["path"] == "me/messages" and "message" in c]
        return [c["at"] for c in calls if c["message"]["text"] == calls[0]["message"]["text"]]

    async def forge(self, person: str, text: str) -> int:
        entry = {"id": self._app.us, "time": 1, "messaging": [self._writers[person].says(text)]}
        body = json.dumps({"object": "page", "entry": [entry]}).encode()
        wrong = "f" * 32
        headers = {HEADER: sign_graph(body, wrong), OLD_HEADER: sign_graph(body, wrong, "sha1")}
        answer = await self._http.post(f"{self._server}{self._app.path}", content=body, headers={
            "Content-Type": "application/json", **headers,
        })  # fmt: skip
        return answer.status_code

    async def fault(self, kind: str, *, seconds: float = 0.0, take: bool = False) -> None:
        fault = {"path": "me/messages", "kind": kind, "seconds": seconds, "take": take}
        await self._control("faults", [fault])


class Telegram(Platform):
    """A bot's Telegram. Each webhook carries one update."""

    name = "telegram"
    has_batches = False

    def __init__(self, process: Process, url: str, server: str, path: str) -> None:
        super().__init__(process, url, server)
        self._path = path
        self._webhooks = itertools.count(1)

    def person(self) -> str:
        writer = TelegramWriter(next(_people))
        self._writers[str(writer.chat)] = writer
        return str(writer.chat)

    async def write(
        self, texts: Sequence[tuple[str, str]], *, copies: int = 1, batch: bool = False
    ) -> list[str]:
        updates = [self._writers[person].says(text) for person, text in texts]
        names = [f"w{next(self._webhooks)}" for _ in updates]
        await self._control("updates", {"updates": updates, "tags": names, "copies": copies})
        return names

    async def heard(self, person: str) -> list[str]:
        messages = (await self._state())["messages"]
        return [message["text"] for message in messages if str(message["chat"]["id"]) == person]

    async def tries(self, person: str) -> list[float]:
        found = (await self._state())["calls"]
        calls = [c for c in found if c["method"] == "sendMessage" and str(c.get("chat_id")) == person]
        return [c["at"] for c in calls if c["text"] == calls[0]["text"]]

    async def forge(self, person: str, text: str) -> int:
        update = {"update_id": next(_people), **self._writers[person].says(text)}
        return (await self._http.post(f"{self._server}{self._path}", json=update)).status_code

    async def fault(self, kind: str, *, seconds: float = 0.0, take: bool = False) -> None:
        fault = {"method": "sendMessage", "kind": kind, "seconds": seconds, "take": take}
        await self._control("faults", [fault])
