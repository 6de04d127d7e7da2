"""One running system for drills: gateways, a stand-in for Rasa, Redis and the loopback platform."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.drills.processes import SECRET, Ports, Process, Valkey, python
from tests.drills.questions import Questions

POLL_SECONDS = 0.05
PATIENCE_SECONDS = 60.0
"""How long a made-up person waits for an answer before they give up."""
AFTERWARDS_SECONDS = 4.0


class DrillFailedError(Exception):
    """A drill saw what must not be."""


def expect(condition: object, what: str) -> None:
    """Go on only if it is so.

    Raises:
        DrillFailedError: with the sentence that says what should have been.
    """
    if not condition:
        raise DrillFailedError(what)


class Stack:
    """Everything of one system, and the generator that makes people write to it."""

    def __init__(
        self,
        name: str,
        folder: Path,
        ports: Ports,
        questions: Questions,
        *,
        database_url: str,
        gateways: int,
        redis: Valkey | None,
        seed: int,
        fault: str | None = None,
        assistant_urls: str = "",
        assistant_secret: str = SECRET,
        assistant_timeout: float = 2.0,
    ) -> None:
        self.name = name
        self.questions = questions
        self.redis = redis
        self.chance = random.Random(f"{name} {seed}")
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self._log = (self.folder / "generator.jsonl").open("w", encoding="utf-8", buffering=1)
        self.platform_log = self.folder / "platform.jsonl"
        self.followed_log = self.platform_log
        """The log of the platform on which the people of this system are."""
        platform_port, rasa_port = ports.take(), ports.take()
        self.public = [f"http://127.0.0.1:{ports.take()}" for _ in range(gateways)]
        self.desk = [f"http://127.0.0.1:{ports.take()}" for _ in range(gateways)]
        self.platform_url = f"http://127.0.0.1:{platform_port}"
        self.rasa_url = f"http://127.0.0.1:{rasa_port}"
        self.platform = Process(
            "platform",
            python(
                "tests.platforms.loopback.server", "--port", str(platform_port), "--secret", SECRET,
                "--log", str(self.platform_log), "--seed", str(seed),
                *(word for url in self.public for word in ("--gateway", url)),
            ),
            self.folder,
            health=f"{self.platform_url}/control/pending",
        )  # fmt: skip
        phrases = self.folder / "phrases.json"
        phrases.write_text(json.dumps(questions.phrases), "utf-8")
        self.stand_in: Process | None = None
        if not assistant_urls:
            self.stand_in = Process(
                "rasa",
                python(
                    "tests.loopback_rasa", "--port", str(rasa_port), "--secret", SECRET, "--phrases",
                    str(phrases), "--redis", redis.url if redis else "",
                ),
                self.folder,
                health=f"{self.rasa_url}/webhooks/gateway/status",
                headers={"X-Front-Counter-Secret": SECRET},
            )  # fmt: skip
        self.gateways = [
            Process(
                f"gateway{number}",
                python(
                    "tests.drills.gateway", "--platform", self.platform_url, "--secret", SECRET,
                    *(("--fault", fault) if fault else ()),
                ),
                self.folder,
                {
                    "FRONTCOUNTER_DATABASE_URL": database_url,
                    "FRONTCOUNTER_REDIS_URL": redis.url if redis else "",
                    "FRONTCOUNTER_ASSISTANT_URLS": assistant_urls or self.rasa_url,
                    "FRONTCOUNTER_ASSISTANT_SECRET": assistant_secret,
                    "FRONTCOUNTER_ASSISTANT_TIMEOUT_SECONDS": str(assistant_timeout),
                    "FRONTCOUNTER_PUBLIC_PORT": url.rpartition(":")[2],
                    "FRONTCOUNTER_DESK_PORT": self.desk[number].rpartition(":")[2],
                    # Short, so that what a kill leaves behind is picked up within the drill.
                    "FRONTCOUNTER_LEASE_SECONDS": "8",
                    "FRONTCOUNTER_SEND_TIMEOUT_SECONDS": "2",
                    "FRONTCOUNTER_POLL_SECONDS": "0.5",
                },
                health=f"{url}/readyz",
            )
            for number, url in enumerate(self.public)
        ]  # fmt: skip
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(30.0, connect=2.0),
            limits=httpx.Limits(max_connections=200, max_keepalive_connections=20),
            trust_env=False,
        )
        self._order = itertools.count(1)
        self._people = itertools.count(1)
        self._heard: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._news = asyncio.Condition()
        self._reader: asyncio.Task[None] | None = None
        self._numbers: dict[str, itertools.count[int]] = {}
        self.said = 0

    # ---- starting and stopping ---------------------------------------------------------------

    async def start(self) -> None:
        """Start everything, and wait until it answers."""
        self.note(what="wording", **self.questions.wording)
        self.platform.start()
        if self.stand_in is not None:
            self.stand_in.start()
        for gateway in self.gateways:
            gateway.start()
        await self.platform.ready()
        if self.stand_in is not None:
            await self.stand_in.ready()
        for gateway in self.gateways:
            await gateway.ready()
        self._reader = asyncio.create_task(self._listen())
        for _ in range(100):
            # A gateway is there before its database is.
            if (await self.door("POST", "/drill/staff", {})).status_code == 200:
                return
            await asyncio.sleep(0.2)
        raise RuntimeError(f"no staff could be made:\n{self.gateways[0].tail()}")

    async def stop(self) -> None:
        """Stop everything, the gateways first."""
        for process in self.gateways:
            process.signal(15)
        for process in [*self.gateways, *([self.stand_in] if self.stand_in else []), self.platform]:
            await asyncio.to_thread(process.stop)
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        await self._http.aclose()
        self._log.close()

    def kill_gateway(self, number: int) -> None:
        """End a gateway with -9, and write it down."""
        self.note(what="kill", target=self.gateways[number].name, at=time.time())
        self.gateways[number].kill()

    def note(self, **record: Any) -> None:
        """Write one line of the generator's log."""
        self._log.write(json.dumps(record) + "\n")

    # ---- the public --------------------------------------------------------------------------

    def person(self, drill: str) -> str:
        """A new person, whose name says which drill they belong to."""
        return f"{drill}.{next(self._people)}"

    def event(
        self,
        person: str,
        text: str = "",
        *,
        expects: str | None = "anything",
        alone: bool = True,
        **fields: Any,
    ) -> dict[str, Any]:
        """One message of a person, written down as going to be sent.

        Args:
            person: who writes.
            text: what they write.
            expects: the slug of its answer; "anything"; or None when silence is right too.
            alone: nothing else of this person is under way.
            **fields: of the platform's event, such as kind, button or caption.
        """
        order = next(self._order)
        message_id = f"m{order}"
        self.note(
            what="inbound", person=person, id=message_id, order=order, expects=expects, alone=alone,
            text=text[:200], at=time.time(),
        )  # fmt: skip
        self.said += 1
        return {
            "type": "message", "kind": "text", "id": message_id, "person": person, "text": text,
            "time": time.time(), "seq": order, **fields,
        }  # fmt: skip

    async def deliver(self, *events: dict[str, Any], first: int | None = None, copies: int = 1) -> None:
        """Let the platform deliver one batch until it is taken."""
        batch = {"events": list(events), "first": first, "copies": copies}
        answer = await self._http.post(
            f"{self.platform_url}/control/deliver", content=json.dumps({"batches": [batch]})
        )
        answer.raise_for_status()

    async def say(self, person: str, text: str, **options: Any) -> dict[str, Any]:
        """Let a person write, and return their message's event."""
        first, copies = options.pop("first", None), options.pop("copies", 1)
        event = self.event(person, text, **options)
        await self.deliver(event, first=first, copies=copies)
        return event

    async def ask(self, person: str, slug: str, **options: Any) -> list[dict[str, Any]]:
        """Ask one question and wait for what is said to it. Empty when nothing was."""
        before = len(self._heard[person])
        await self.say(person, self.questions.text(slug), expects=slug, **options)
        told = await self.hear(person, before)
        answer = self.questions.answers[slug]
        if told and not any(answer in t["text"] for t in told):
            # Words about a person came first, or instead: the answer may yet follow.
            told = await self.hear(person, before, AFTERWARDS_SECONDS, text=answer) or told
        return told

    async def converse(
        self, person: str, slugs: Sequence[str], *, pause: float = 0.0, **options: Any
    ) -> bool:
        """Ask one question after another. False when one of them got nothing."""
        for slug in slugs:
            if not await self.ask(person, slug, **options):
                self.note(what="gave_up", person=person, slug=slug, chat=await self.chat(person))
                return False
            if pause:
                await asyncio.sleep(pause * self.chance.random())
        return True

    async def hear(
        self, person: str, after: int = 0, seconds: float = PATIENCE_SECONDS, *, text: str = ""
    ) -> list[dict[str, Any]]:
        """What the person was told since place `after`; waits until it is something (with `text` in it)."""

        def fits() -> list[dict[str, Any]]:
            told = self._heard[person][after:]
            return told if any(text in t["text"] and t["kind"] != "notice" for t in told) else []

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(fits)
        return fits()

    def heard(self, person: str) -> list[dict[str, Any]]:
        """All that the person was told so far."""
        return self._heard[person]

    async def _listen(self) -> None:
        """Follow the platform's log."""
        translated = self.reader()
        place = 0
        rest = ""
        while True:
            with self.followed_log.open(encoding="utf-8") as log:
                log.seek(place)
                new = log.read()
                place = log.tell()
            if new:
                *lines, rest = (rest + new).split("\n")
                for line in lines:
                    record = translated(json.loads(line))
                    if record["what"] == "send":
                        self._heard[record["person"]].append(record)
                async with self._news:
                    self._news.notify_all()
            await asyncio.sleep(POLL_SECONDS)

    def reader(self) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """What puts the lines of the followed log, one after the other, into words that the checker knows."""
        return lambda record: record

    async def settle(self, seconds: float = 60.0) -> None:
        """Wait until every webhook was taken, and nothing was sent for a while.

        Raises:
            DrillFailedError: a webhook is still refused.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            answer = await self._http.get(f"{self.platform_url}/control/pending")
            if answer.json()["pending"] == 0:
                return
            await asyncio.sleep(0.2)
        raise DrillFailedError("webhooks were still refused at the end")

    # ---- staff -------------------------------------------------------------------------------

    async def door(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, gateway: int = 0, **query: str
    ) -> httpx.Response:
        """Ask a gateway's drill door."""
        return await self._http.request(
            method, f"{self.desk[gateway % len(self.desk)]}{path}", json=body, params=query
        )

    async def chat(self, person: str) -> dict[str, Any] | None:
        """The person's newest conversation as the desk sees it."""
        for attempt in range(40):
            try:
                answer = await self.door("GET", "/drill/chat", gateway=attempt, person=person)
            except httpx.HTTPError:
                await asyncio.sleep(0.25)
                continue
            if answer.status_code in (200, 404):
                loaded: dict[str, Any] | None = answer.json()
                return loaded
            await asyncio.sleep(0.25)
        return None

    async def wait_for_state(self, person: str, *states: str, seconds: float = 20.0) -> dict[str, Any]:
        """The conversation, once it is in one of these states.

        Raises:
            DrillFailedError: it did not get there.
        """
        deadline = time.monotonic() + seconds
        row: dict[str, Any] | None = None
        while time.monotonic() < deadline:
            row = await self.chat(person)
            if row is not None and row["state"] in states:
                return row
            await asyncio.sleep(0.1)
        raise DrillFailedError(f"{person} should be {' or '.join(states)}, but is {row}")

    async def claim(
        self, person: str, staff: int, chat: Mapping[str, Any], *, gateway: int = 0
    ) -> bool | None:
        """Take a conversation. None: no answer came, so nobody was told anything."""
        asked = time.time()
        body = {"id": chat["id"], "epoch": chat["epoch"], "staff": staff}
        try:
            answer = await self.door("POST", "/drill/claim", body, gateway=gateway)
        except httpx.HTTPError:
            return None
        won = answer.status_code == 200
        if not won and answer.status_code != 409:
            return None
        self.note(
            what="claim", person=person, staff=staff, asked=asked, answered=time.time(), won=won,
            epoch=chat["epoch"],
        )  # fmt: skip
        return won

    async def reply(self, person: str, staff: int, chat_id: int, *, gateway: int = 0) -> bool:
        """Send the next numbered staff reply. False: refused, or nobody knows."""
        number = next(self._numbers.setdefault(person, itertools.count(1)))
        body = {"id": chat_id, "staff": staff, "text": f"This is the desk. #{number}"}
        try:
            answer = await self.door("POST", "/drill/reply", body, gateway=gateway)
        except httpx.HTTPError:
            return False
        taken = answer.status_code == 200
        self.note(what="staff", person=person, number=number, taken=taken, at=time.time())
        return taken

    async def let_go(
        self, person: str, staff: int, chat_id: int, how: str, *, gateway: int = 0, **more: str
    ) -> bool:
        """Release or close a conversation; asks again while no gateway answers. `more` is for the form."""
        asked = time.time()
        for attempt in range(40):
            try:
                answer = await self.door(
                    "POST",
                    f"/drill/{how}",
                    {"id": chat_id, "staff": staff, **more},
                    gateway=gateway + attempt,
                )
            except httpx.HTTPError:
                await asyncio.sleep(0.25)
                continue
            if answer.status_code in (200, 409):
                self.note(what="let_go", person=person, how=how, asked=asked, answered=time.time())
                return answer.status_code == 200 or attempt > 0
            await asyncio.sleep(0.25)
        return False

    # ---- misbehaviour ------------------------------------------------------------------------

    async def platform_mode(self, **mode: Any) -> None:
        """How the platform treats sends from now on; nothing: well."""
        answer = await self._http.post(f"{self.platform_url}/control/mode", json=mode)
        answer.raise_for_status()

    async def outside(self, person: str, text: str) -> None:
        """Somebody answers in the platform's own app."""
        answer = await self._http.post(
            f"{self.platform_url}/control/outside", json={"person": person, "text": text}
        )
        answer.raise_for_status()

    async def rasa_mode(self, **mode: Any) -> None:
        """How the stand-in for Rasa answers from now on; nothing: well."""
        answer = await self._http.post(f"{self.rasa_url}/control/mode", json=mode)
        answer.raise_for_status()

    async def rasa_seen(self) -> list[dict[str, Any]]:
        """What the stand-in for Rasa was asked."""
        loaded: list[dict[str, Any]] = (await self._http.get(f"{self.rasa_url}/control/seen")).json()
        return loaded
