"""A desk that really listens, in a thread of its own, and browsers that talk to it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar
from unittest import mock

import httpx
from sanic import Blueprint
from sqlalchemy import Row, func, select, update

import bot.core
from bot.accounts import create_staff
from bot.accounts.codes import code_at
from bot.accounts.vault import Vault
from bot.app import Gateway, build
from bot.channels.parts import Parts
from bot.messages import Incoming
from bot.settings import Settings
from bot.store.record import latest_cursor, now
from bot.store.tables import Audit, Conversation, Event, Outbox, Person, Staff, StaffSession
from tests.support.channel import RecordingChannel
from tests.support.rasa import SECRET, LoopbackRasa
from tests.support.serving import in_thread, stop_gateways
from tests.support.world import read_content, read_screen

T = TypeVar("T")

PASSWORD = "correct horse battery"
KEY = "the key of the desk in these tests, 32 letters or more"
DEVICE = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
"""The secret that every authenticator app of the tests holds."""
TEAMS = {
    "mo": ("moderator", ["digital_desk", "control_room"]),
    "jo": ("moderator", ["digital_desk", "safeguarding"]),
    "sue": ("supervisor", ["digital_desk", "control_room", "safeguarding", "professional_standards"]),
    "cam": ("comms", ["corporate_communications"]),
    "ada": ("admin", []),
}


@dataclass(slots=True)
class Test:
    """The platform of the tests, as `app.build` takes it."""

    __test__ = False

    channel: RecordingChannel = field(default_factory=RecordingChannel)

    def blueprint(self, parts: Parts) -> Blueprint:
        """It has no way in: tests go through the door."""
        return Blueprint("test-platform")

    async def run(self, parts: Parts) -> None:
        """Nothing by itself."""

    async def reachable(self) -> str | None:
        """It is in this process."""
        return None


@dataclass(slots=True)
class Browser:
    """One signed-in browser without scripts: forms, cookies, and the token of its last page."""

    desk: Desk
    client: httpx.Client
    csrf: str = ""

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Open a page."""
        answer = self.client.get(path, headers=headers)
        found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
        if found:
            self.csrf = found[1]
        return answer

    def post(self, path: str, part: bool = False, **fields: object) -> httpx.Response:
        """Send a form; `part` as htmx would."""
        headers = {"HX-Request": "true"} if part else {}
        data = {"csrf": self.csrf, **{key: str(value) for key, value in fields.items()}}
        return self.client.post(path, data=data, headers=headers)

    def sign_in(self, username: str, password: str = PASSWORD) -> httpx.Response:
        """Sign in, with a code of the person's device where one is asked for, and open the first page."""
        answer = self.client.post("/desk/sign-in", data={"username": username, "password": password})
        if answer.url.path == "/desk/second-factor":
            self.get("/desk/second-factor")
            answer = self.post("/desk/second-factor", code=self.desk.code(username))
        self.get("/desk")
        return answer

    def do(self, row: Row[Any], action: str, **fields: object) -> httpx.Response:
        """Do something with a conversation."""
        return self.post(f"/desk/c/{row.id}/{action}", part=True, **fields)


@dataclass(slots=True)
class Desk:
    """One gateway whose desk listens on a free port."""

    gateway: Gateway
    platform: Test
    base: str
    loop: asyncio.AbstractEventLoop
    server: Any = None
    rasa: Any = None
    """The stand-in for Rasa, which remembers what it was asked."""
    _clients: list[httpx.Client] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something inside the gateway's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(90)

    def hire(self, *usernames: str) -> None:
        """Make accounts whose second factor is set up, on devices that hold `DEVICE`."""
        for username in usernames:
            role, teams = TEAMS[username]
            store = self.gateway.core.store
            staff_id = self.run(
                create_staff(store, username, f"{username.title()} Tester", role, teams, PASSWORD)
            )
            sealed = Vault(KEY).seal(staff_id, DEVICE)
            values = {"totp_secret": sealed, "totp_confirmed_at": now()}
            self.change(update(Staff).where(Staff.id == staff_id).values(**values))

    def code(self, username: str) -> str:
        """What the person's device shows, half a minute after the last code was used."""
        self.change(update(Staff).where(Staff.username == username).values(totp_step=None))
        return code_at(DEVICE, now())

    def browser(self, username: str | None = None, **headers: str) -> Browser:
        """A browser of its own, signed in if a name is given."""
        client = httpx.Client(
            base_url=self.base, trust_env=False, timeout=20, follow_redirects=True, headers=headers
        )
        self._clients.append(client)
        browser = Browser(self, client)
        if username is not None:
            browser.sign_in(username)
        return browser

    def say(self, text: str = "", person: str = "ann", **values: Any) -> Row[Any]:
        """Let a person of the public write, and wait until the gateway has done its part."""
        core = self.gateway.core

        async def arrive() -> None:
            await core.door.accept(
                [Incoming("test", person, f"in-{next(self._numbers)}", text=text, **values)]
            )
            await core.turns.drain(90)

        self.run(arrive())
        return self.chat(person)

    def rows(self, table: Any, *where: Any) -> list[Row[Any]]:
        """Rows of a table, oldest first."""

        async def read() -> list[Row[Any]]:
            async with self.gateway.core.store.read() as connection:
                query = select(table.__table__).where(*where).order_by(table.id)
                return list((await connection.execute(query)).all())

        return self.run(read())

    def chat(self, person: str = "ann") -> Row[Any]:
        """The newest conversation of a person."""
        people = select(Person.id).where(Person.platform_id == person).scalar_subquery()
        return self.rows(Conversation, Conversation.person_id == people)[-1]

    def outbox(self, kind: str) -> list[Row[Any]]:
        """What goes to the public, of one kind."""
        return self.rows(Outbox, Outbox.kind == kind)

    def audit(self, action: str) -> list[Row[Any]]:
        """What was recorded of one action."""
        return self.rows(Audit, Audit.action == action)

    def change(self, statement: Any) -> None:
        """Change the database behind the gateway's back."""

        async def write() -> None:
            async with self.gateway.core.store.write() as connection:
                await connection.execute(statement)

        self.run(write())

    def streams(self) -> int:
        """How many streams of events are open."""
        waiting: dict[str, set[asyncio.Event]] = self.gateway.core.bell._waiting
        return len(waiting.get("event", ()))

    def settled(self) -> None:
        """Wait until every event may be seen: PostgreSQL holds them back behind a transaction that began
        before, in any of its databases."""

        async def is_seen() -> bool:
            async with self.gateway.core.store.read() as connection:
                newest = await connection.scalar(select(func.max(Event.id)))
                return newest is None or (await latest_cursor(connection))[1] >= newest

        deadline = time.monotonic() + 60
        while not self.run(is_seen()):
            assert time.monotonic() < deadline, "a transaction stays open"
            time.sleep(0.02)

    def go_idle(self) -> None:
        """Nobody has touched any page for a day's quarter."""
        self.change(update(StaffSession).values(acted_at=now() - timedelta(hours=6)))


@contextlib.contextmanager
def serving(database_url: str, *, port: int = 0, **settings: Any) -> Iterator[Desk]:
    """Serve the desk until the block ends."""

    async def serve(ready: Callable[[Desk], None], stop: asyncio.Event) -> None:
        rasa = LoopbackRasa()
        await rasa.start()
        platform = Test()
        options = {"poll_seconds": 0.2, "assistant_urls": (rasa.url,), "secret_key": KEY, **settings}
        with (
            mock.patch.object(bot.core, "content_from_files", read_content),
            mock.patch.object(bot.core.Screen, "load", read_screen),
        ):
            gateway = build(
                Settings(database_url=database_url, assistant_secret=SECRET, **options), extra=[platform]
            )
        listener = socket.socket()
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
        listener.setblocking(False)
        server = await gateway.desk.create_server(sock=listener, return_asyncio_server=True)
        assert server is not None
        await server.startup()
        await server.start_serving()
        await gateway.core.start()
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        ready(Desk(gateway, platform, base, asyncio.get_running_loop(), server, rasa))
        await stop.wait()
        server.close()
        await stop_gateways(gateway.core, rasa=rasa)

    with in_thread(serve, "desk") as (found, _loop):
        try:
            yield found
        finally:
            for client in found._clients:
                client.close()


@dataclass(slots=True)
class Heard:
    """One event of a stream."""

    name: str
    data: dict[str, Any]
    id: str


def listen(browser: Browser, *, after: str = "", until: str = "ready", most: int = 200) -> list[Heard]:
    """Read a stream from its start up to an event of that name."""
    headers = {"Last-Event-ID": after} if after else {}
    heard: list[Heard] = []
    if until == "ready":
        browser.desk.settled()
    with browser.client.stream("GET", "/desk/stream", headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        name, data, place = "", "{}", ""
        for line in answer.iter_lines():
            if line.startswith("event:"):
                name = line[6:].strip()
            elif line.startswith("data:"):
                data = line[5:].strip()
            elif line.startswith("id:"):
                place = line[3:].strip()
            elif not line and name:
                heard.append(Heard(name, json.loads(data), place))
                if name == until or len(heard) >= most:
                    return heard
                name, data, place = "", "{}", ""
    return heard
