"""The same drills with Messenger or Instagram in the loopback platform's place: a Graph API of our own.

People, what they write and what they are told keep their names; only here are they numbers and events.
What kind a message is and which row it was stands in the platform's log: the row in our own metadata, both in
the mark that the drill's gateway puts beside it (`marking`).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.drills.checker import Record
from tests.drills.processes import Ports, Process, Valkey, python
from tests.drills.questions import Questions
from tests.drills.stack import Stack
from tests.platforms.graph import App, Writer
from tests.platforms.graph.events import AUDIO, IMAGE, LOCATION
from tests.platforms.graph.server import VERSION
from tests.platforms.marks import read_mark

FIRST_PERSON = 7_410_000_001
_METADATA = re.compile(r"fc:(\d+)(\.part)?")
_SHOWN = {"image": IMAGE, "voice": AUDIO, "location": LOCATION}
_MODES = frozenset({
    "echoes", "echo_first", "receipts", "copies", "scatter_seconds", "repeat_seconds", "busy_share",
    "down_share", "slow_share", "slow_seconds",
})  # fmt: skip


def environment_of(app: App, url: str) -> dict[str, str]:
    """The settings that switch the channel on, as a force would give them."""
    name = f"FRONTCOUNTER_{app.name.upper()}_"
    return {
        f"{name}TOKEN": app.token,
        f"{name}APP_SECRET": app.app_secret,
        f"{name}VERIFY_TOKEN": app.verify_token,
        f"{name}APP_ID": app.app_id,
        f"{name}ACCOUNT_ID" if app.is_instagram else f"{name}PAGE_ID": app.us,
        f"{name}API_URL": f"{url}/{VERSION}",
    }


def graph_process(
    app: App, port: int, folder: Path, log: Path, gateways: Sequence[str], seed: int, *words: str
) -> Process:
    """The Graph API of one app, not yet started."""
    log.touch()
    return Process(
        app.name,
        python(
            "tests.platforms.graph.server", "--port", str(port), "--name", app.name, "--log", str(log),
            "--seed", str(seed), *(word for url in gateways for word in ("--gateway", url)), *words,
        ),
        folder,
        health=f"http://127.0.0.1:{port}/control/pending",
    )  # fmt: skip


class MetaLog:
    """Reads the platform's log line by line, in the words of the loopback platform's.

    A long text leaves in parts; it is one message, told when its last part has come.
    """

    def __init__(self, people: Mapping[str, str]) -> None:
        """`people`: their numbers on the platform, and what they are called here."""
        self._people = people
        self._parts: dict[tuple[str, int], list[str]] = {}

    def __call__(self, record: Record) -> Record:
        """One line.

        Raises:
            ValueError: a message without a mark, or with the metadata of another.
        """
        if "person" not in record:
            return record
        person = self._people.get(str(record["person"]), "nobody.0")
        if record["what"] != "send":
            return {**record, "person": person}
        kind, row = read_mark(str(record["mark"]))
        found = _METADATA.fullmatch(str(record["metadata"]))
        if found is None or int(found[1]) != row:
            raise ValueError(f"row {row} left with the metadata {record['metadata']!r}")
        parts = self._parts.setdefault((person, row), [])
        parts.append(str(record["text"]))
        told = {**record, "person": person, "kind": kind, "outbox": row or None}
        if found[2]:
            return {**told, "what": "part"}
        del self._parts[person, row]
        return {**told, "text": "\n\n".join(parts)}


class MetaStack(Stack):
    """A system whose people write by Messenger or Instagram; its other parts are those of every drill."""

    def __init__(
        self,
        name: str,
        folder: Path,
        ports: Ports,
        questions: Questions,
        *,
        app: App,
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
        self.app = app
        self._names: dict[str, str] = {}
        self._writers: dict[str, Writer] = {}
        self.followed_log = self.folder / f"{app.name}.jsonl"
        port = ports.take()
        self.graph_url = f"http://127.0.0.1:{port}"
        self.graph = graph_process(app, port, self.folder, self.followed_log, self.public, seed)
        for gateway in self.gateways:
            gateway.environment |= environment_of(app, self.graph_url)

    # ---- starting and stopping -----------------------------------------------------------------

    async def start(self) -> None:
        """Start the Graph API first: it was there before us."""
        self.graph.start()
        await self.graph.ready()
        await self.platform_mode()
        await super().start()

    async def stop(self) -> None:
        """Stop the Graph API last."""
        await super().stop()
        await asyncio.to_thread(self.graph.stop)

    # ---- people --------------------------------------------------------------------------------

    def person(self, drill: str) -> str:
        """A new person, with a number of their own."""
        name = super().person(f"{self.app.name}_{drill}")
        number = FIRST_PERSON + len(self._names)
        self._names[str(number)] = name
        self._writers[name] = Writer(number, self.app.us)
        return name

    def writer(self, person: str) -> Writer:
        """The person as the platform knows them."""
        return self._writers[person]

    def event(self, person: str, text: str = "", **options: Any) -> dict[str, Any]:
        """One event of a webhook. A button is one that the person was offered, or the menu's."""
        kind, button = options.pop("kind", "text"), options.pop("button", None)
        caption = options.pop("caption", "")
        noted = super().event(person, text or caption, **options)
        writer = self._writers[person]
        if kind == "button" and button == "person":
            made = writer.chooses(text, button)
        elif kind in _SHOWN:
            made = writer.sends(_SHOWN[kind], **({"text": caption} if caption else {}))
        else:
            made = writer.says(text)
        return {"id": noted["id"], "event": made}

    async def deliver(self, *events: dict[str, Any], first: int | None = None, copies: int = 1) -> None:
        """Let it happen on the platform: all of it in one webhook."""
        body: dict[str, Any] = {
            "events": [event["event"] for event in events],
            "ids": [event["id"] for event in events if "id" in event],
            "batch": True, "copies": copies, "first": first,
        }  # fmt: skip
        await self._control("webhooks", body)

    def reader(self) -> Callable[[Record], Record]:
        """What puts the platform's log into the words of the loopback platform's."""
        return MetaLog(self._names)

    # ---- the gateways' side --------------------------------------------------------------------

    async def door(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, gateway: int = 0, **query: str
    ) -> httpx.Response:
        """Ask a gateway's drill door, which knows people by their number."""
        if "person" in query:
            query |= {"person": self._writers[query["person"]].id, "channel": self.app.name}
        return await super().door(method, path, body, gateway=gateway, **query)

    async def settle(self, seconds: float = 60.0) -> None:
        """Wait until the platform has nothing to deliver."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            answer = await self._http.get(f"{self.graph_url}/control/pending")
            if answer.json()["pending"] == 0:
                return
            await asyncio.sleep(0.2)
        await super().settle(0.0)

    async def platform_mode(self, **mode: Any) -> None:
        """How the platform behaves from now on. It tells us of what we send; Instagram without our marks."""
        chosen = {key: value for key, value in mode.items() if key in _MODES}
        chosen |= {"echoes": True, "bare_echoes": self.app.is_instagram}
        if "retry_after" in mode:
            chosen["retry_after"] = max(1, round(mode["retry_after"]))
        await self._control("mode", chosen)

    async def faults(self, *faults: dict[str, Any]) -> None:
        """What the next calls do."""
        await self._control("faults", list(faults))

    async def outside(self, person: str, text: str) -> None:
        """Somebody answers in the Page's own inbox."""
        writer = self._writers[person]
        bare = {"app_id": None} if self.app.is_instagram else {}
        await self._control("webhooks", {"events": [writer.is_told(text, **bare)]})

    async def seen(self) -> dict[str, Any]:
        """What the platform was asked."""
        loaded: dict[str, Any] = (await self._http.get(f"{self.graph_url}/control/state")).json()
        return loaded

    async def _control(self, what: str, body: Any) -> None:
        answer = await self._http.post(f"{self.graph_url}/control/{what}", json=body)
        answer.raise_for_status()
