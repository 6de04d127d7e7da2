"""The same drills with Telegram in the loopback platform's place: real gateways, a Bot API of our own.

People, what they write and what they are told keep their names; only here are they chats and updates.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from tests.drills.checker import Record
from tests.drills.processes import SECRET, Ports, Process, Valkey, python
from tests.drills.questions import Questions
from tests.drills.stack import Stack
from tests.platforms.marks import read_mark
from tests.platforms.telegram import Writer

TOKEN = "4242424242:AAH-loopback_token_of_the_drills_only"
FIRST_CHAT = 500_000_000


def translated(record: Record, people: Mapping[int, str]) -> Record:
    """A line of Telegram's log in the words of the loopback platform's. `people` by their chats.

    Telegram is told neither what kind a message is nor our number of it: the drill's gateway marks both.
    """
    if "chat" not in record:
        return record
    found = {**record, "person": people.get(int(record["chat"]), "nobody.0")}
    if record["what"] == "send":
        kind, row = read_mark(str(record["mark"]))
        found |= {"kind": kind, "outbox": row or None}
    return found


class TelegramStack(Stack):
    """A system whose people write by Telegram; its other parts are those of every drill."""

    channel = "telegram"

    def __init__(
        self,
        name: str,
        folder: Path,
        ports: Ports,
        questions: Questions,
        *,
        mode: str,
        database_url: str,
        gateways: int,
        redis: Valkey | None,
        seed: int,
        fault: str | None = None,
    ) -> None:
        super().__init__(
            name, folder, ports, questions, database_url=database_url, gateways=gateways, redis=redis,
            seed=seed, fault=fault,
        )  # fmt: skip
        self.mode = mode
        self._people_by_chat: dict[int, str] = {}
        self._writers: dict[str, Writer] = {}
        self.followed_log = self.telegram_log = self.folder / "telegram.jsonl"
        port = ports.take()
        self.telegram_url = f"http://127.0.0.1:{port}"
        self.telegram = Process(
            "telegram",
            python(
                "tests.platforms.telegram.server", "--port", str(port), "--token", TOKEN, "--log",
                str(self.telegram_log), "--seed", str(seed),
                *(word for url in self.public for word in ("--gateway", url)),
            ),
            self.folder,
            health=f"{self.telegram_url}/control/pending",
        )  # fmt: skip
        for gateway in self.gateways:
            gateway.environment |= {
                "FRONTCOUNTER_TELEGRAM_TOKEN": TOKEN,
                "FRONTCOUNTER_TELEGRAM_MODE": mode,
                "FRONTCOUNTER_TELEGRAM_SECRET": SECRET,
                "FRONTCOUNTER_TELEGRAM_API_URL": self.telegram_url,
                "FRONTCOUNTER_PUBLIC_URL": "https://chat.force.example",
            }

    # ---- starting and stopping -----------------------------------------------------------------

    async def start(self) -> None:
        """Start Telegram first: it was there before us."""
        self.telegram.start()
        await self.telegram.ready()
        await super().start()

    async def stop(self) -> None:
        """Stop Telegram last."""
        await super().stop()
        await asyncio.to_thread(self.telegram.stop)

    # ---- people --------------------------------------------------------------------------------

    def person(self, drill: str) -> str:
        """A new person, with a chat of their own."""
        name = super().person(f"telegram_{self.mode}_{drill}")
        chat = FIRST_CHAT + len(self._people_by_chat)
        self._people_by_chat[chat] = name
        self._writers[name] = Writer(chat)
        return name

    def writer(self, person: str) -> Writer:
        """The person as Telegram knows them."""
        return self._writers[person]

    def event(self, person: str, text: str = "", **options: Any) -> dict[str, Any]:
        """One update. A button is one that the person was offered, or the menu's."""
        kind, button = options.pop("kind", "text"), options.pop("button", None)
        noted = super().event(person, text, **options)
        writer = self._writers[person]
        if kind == "button" and button == "person":
            update = writer.says("/person")
        else:
            update = writer.says(text)
        # Each its own second would take too long; the number of the update keeps the order.
        return {"id": noted["id"], "update": update}

    async def deliver(self, *events: dict[str, Any], first: int | None = None, copies: int = 1) -> None:
        """Let it happen in Telegram."""
        body: dict[str, Any] = {
            "updates": [event["update"] for event in events],
            "tags": [event["id"] for event in events],
            "copies": copies,
        }
        if first is not None:
            body["first"] = first
        answer = await self._http.post(f"{self.telegram_url}/control/updates", content=json.dumps(body))
        answer.raise_for_status()

    def reader(self) -> Callable[[Record], Record]:
        """What puts Telegram's log into the words of the loopback platform's."""
        return partial(translated, people=self._people_by_chat)

    # ---- the gateways' side --------------------------------------------------------------------

    async def door(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, gateway: int = 0, **query: str
    ) -> httpx.Response:
        """Ask a gateway's drill door, which knows people by their chat."""
        if "person" in query:
            query |= {"person": str(self._writers[query["person"]].chat), "channel": "telegram"}
        return await super().door(method, path, body, gateway=gateway, **query)

    async def settle(self, seconds: float = 60.0) -> None:
        """Wait until Telegram has nothing to deliver."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            answer = await self._http.get(f"{self.telegram_url}/control/pending")
            if answer.json()["pending"] == 0:
                return
            await asyncio.sleep(0.2)
        await super().settle(0.0)

    async def platform_mode(self, **mode: Any) -> None:
        """How Telegram behaves from now on. It has neither echoes nor receipts."""
        mode = {
            key: value for key, value in mode.items() if key not in ("echoes", "receipts", "echo_with_id")
        }
        if "retry_after" in mode:
            mode["retry_after"] = max(1, round(mode["retry_after"]))
        answer = await self._http.post(f"{self.telegram_url}/control/mode", json=mode)
        answer.raise_for_status()

    async def seen(self) -> dict[str, Any]:
        """What Telegram was asked."""
        loaded: dict[str, Any] = (await self._http.get(f"{self.telegram_url}/control/state")).json()
        return loaded
