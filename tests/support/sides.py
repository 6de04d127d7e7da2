"""A channel's tests: gateways that really listen, a platform that really answers, in a thread of their own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from unittest import mock

import httpx
from sanic import Sanic
from sqlalchemy import Row, insert, select

import bot.core
from bot.app import Gateway
from bot.app import build as build_gateway
from bot.messages import Actor
from bot.settings import Settings
from bot.store.record import now
from bot.store.tables import Audit, Conversation, Message, Outbox, Person, Staff, StaffTeam
from tests.support.databases import break_store, mend_store
from tests.support.rasa import SECRET as RASA_SECRET
from tests.support.rasa import LoopbackRasa
from tests.support.serving import in_thread
from tests.support.world import read_content, read_screen

T = TypeVar("T")
Json = dict[str, Any]

PATIENCE_SECONDS = 90.0
_staff = itertools.count(1)


@dataclass(slots=True)
class OneGateway:
    """One gateway, its address, and whatever its channels do by themselves."""

    gateway: Gateway
    base: str
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def break_store(self) -> None:
        """From now on the database does not answer this gateway."""
        break_store(self.gateway.core.store)

    def mend_store(self) -> None:
        """The database answers again."""
        mend_store(self.gateway.core.store)


@dataclass(slots=True)
class Side:
    """The platform, the gateways, their database, and a stand-in for Rasa."""

    channel: str
    gateways: list[OneGateway]
    rasa: LoopbackRasa
    loop: asyncio.AbstractEventLoop
    http: httpx.Client
    """The platform's own address: to tell it what to do, and to see what it saw."""

    @property
    def first(self) -> OneGateway:
        """The first gateway."""
        return self.gateways[0]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something inside the gateways' own loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def line(self, key: str, **values: object) -> str:
        """An approved sentence."""
        return self.first.gateway.core.content.current.line(key, **values)

    def answer(self, slug: str) -> str:
        """An approved answer."""
        text = self.first.gateway.core.content.current.answer(slug)
        assert text is not None
        return text

    def until(self, is_so: Callable[[], object], what: str) -> None:
        """Wait until it is so."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if is_so():
                return
            time.sleep(0.05)
        raise AssertionError(f"waited in vain for {what}")

    # ---- the record ----------------------------------------------------------------------------

    def rows(self, table: Any, *where: Any) -> list[Row[Any]]:
        """Rows of a table, oldest first."""

        async def read() -> list[Row[Any]]:
            async with self.first.gateway.core.store.read() as connection:
                query = select(table.__table__).where(*where)
                if hasattr(table, "id"):
                    query = query.order_by(table.id)
                return list((await connection.execute(query)).all())

        return self.run(read())

    def messages(self, person: str) -> list[Row[Any]]:
        """What is stored of a person's messages."""
        known = self.rows(Person, Person.platform_id == person, Person.channel == self.channel)
        return self.rows(Message, Message.person_id == known[0].id) if known else []

    def stored(self, person: str, count: int = 1) -> list[Row[Any]]:
        """The same, once there are so many."""
        self.until(lambda: len(self.messages(person)) >= count, f"{count} messages to be stored")
        return self.messages(person)

    def handled(self, person: str) -> None:
        """Wait until every message of a person has had its turn."""
        self.until(lambda: all(m.handled for m in self.messages(person)), "the turns to end")

    def conversation(self, person: str) -> Row[Any]:
        """Their newest conversation."""
        newest = max(m.conversation_id for m in self.stored(person))
        return self.rows(Conversation, Conversation.id == newest)[0]

    def becomes(self, person: str, state: str) -> Row[Any]:
        """Wait until their conversation is in that state."""
        self.until(lambda: self.conversation(person).state == state, f"the conversation to be {state}")
        return self.conversation(person)

    def outbox(self, person: str) -> list[Row[Any]]:
        """Everything meant for a person."""
        mine = {m.conversation_id for m in self.messages(person)}
        return [row for row in self.rows(Outbox) if row.conversation_id in mine]

    def row(self, outbox_id: int) -> Row[Any]:
        """One row of the outbox."""
        return self.rows(Outbox, Outbox.id == outbox_id)[0]

    def is_row(self, outbox_id: int, state: str) -> None:
        """Wait until a row is in that state."""
        self.until(
            lambda: self.row(outbox_id).state == state,
            f"row {outbox_id} to be {state}",
        )

    def audited(self, person: str, *actions: str) -> list[str]:
        """What the record of their conversations says, of these actions."""
        mine = {m.conversation_id for m in self.messages(person)}
        return [a.action for a in self.rows(Audit, Audit.action.in_(actions)) if a.conversation_id in mine]

    # ---- the desk ------------------------------------------------------------------------------

    def moderator(self) -> Actor:
        """A new member of staff at the desk."""
        name = f"mo{next(_staff)}"
        teams = ("digital_desk", "control_room")

        async def add() -> int:
            async with self.first.gateway.core.store.write() as connection:
                values = {
                    "username": name, "name": "Mo Tester", "role": "moderator", "password_hash": "x",
                    "active": True, "created_at": now(),
                }  # fmt: skip
                made = await connection.execute(insert(Staff).values(**values).returning(Staff.id))
                staff_id = int(made.scalar_one())
                for team in teams:
                    await connection.execute(insert(StaffTeam).values(staff_id=staff_id, team=team))
                return staff_id

        return Actor("Mo Tester", self.run(add()), "moderator", frozenset(teams))

    def claim(self, person: str, actor: Actor) -> int:
        """Let staff take a person's conversation. Returns its id."""
        row = self.conversation(person)
        self.run(self.first.gateway.core.desk.claim(row.id, actor, row.epoch))
        return int(row.id)

    def reply(self, conversation_id: int, actor: Actor, text: str) -> int:
        """Let staff answer. Returns the row's id."""
        return int(self.run(self.first.gateway.core.desk.reply(conversation_id, actor, text)))


def settings_for(database_url: str, **values: Any) -> Settings:
    """The settings of a gateway that looks often, without any channel beyond web chat."""
    return Settings(
        **{
            "database_url": database_url, "assistant_secret": RASA_SECRET, "poll_seconds": 0.2,
            "lease_seconds": 3.0, "assistant_timeout_seconds": 60.0, "public_url": "https://chat.force.example", **values,
        }
    )  # fmt: skip


async def listen(app: Sanic[Any, Any]) -> tuple[Any, str]:
    """Serve an application on a free port. Returns the server and its address."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    listener.setblocking(False)
    server = await app.create_server(sock=listener, return_asyncio_server=True)
    assert server is not None
    await server.startup()  # type: ignore[no-untyped-call]
    await server.start_serving()  # type: ignore[no-untyped-call]
    return server, f"http://127.0.0.1:{listener.getsockname()[1]}"


@dataclass(slots=True)
class Served:
    """A platform that listens: its application, the settings that name it, how it learns of gateways."""

    app: Sanic[Any, Any]
    settings: Callable[[str], Mapping[str, Any]]
    on_gateway: Callable[[str], None]
    close: Callable[[], Coroutine[Any, Any, None]]


@contextlib.contextmanager
def side_of(
    make: Callable[..., Side],
    platform: Callable[[], Served],
    database_url: str,
    gateways: int = 1,
    *,
    run: bool = True,
    **values: Any,
) -> Iterator[Any]:
    """Serve until the block ends. `make` builds the side; without `run` channels do nothing by themselves."""

    async def serve(ready: Callable[[Side], None], stop: asyncio.Event) -> None:
        rasa = LoopbackRasa()
        await rasa.start()
        served = platform()
        platform_server, api = await listen(served.app)
        servers: list[Any] = []
        found: list[OneGateway] = []
        for _ in range(gateways):
            chosen = settings_for(
                database_url, assistant_urls=(rasa.url,), **{**served.settings(api), **values}
            )
            with (
                mock.patch.object(bot.core, "content_from_files", read_content),
                mock.patch.object(bot.core.Screen, "load", read_screen),
            ):
                gateway = build_gateway(chosen)
            # Else the first turn waits for it, and on a busy machine gives Rasa up meanwhile.
            await asyncio.to_thread(gateway.core.languages.load)
            server, base = await listen(gateway.public)
            servers.append(server)
            served.on_gateway(base)
            tasks = [asyncio.create_task(p.run(gateway.parts)) for p in gateway.platforms] if run else []
            await gateway.core.start()
            found.append(OneGateway(gateway, base, tasks))
        http = httpx.Client(base_url=api, trust_env=False, timeout=30)
        ready(make(gateways=found, rasa=rasa, loop=asyncio.get_running_loop(), http=http))
        await stop.wait()
        await served.close()
        for one in found:
            one.mend_store()
            for task in one.tasks:
                task.cancel()
            await asyncio.gather(*one.tasks, return_exceptions=True)
            for channel in one.gateway.platforms:
                close = getattr(channel, "close", None)
                if close is not None:
                    await close()
        for server in [*servers, platform_server]:
            server.close()
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task() and task.get_name() == "webchat-wakes":
                task.cancel()
        for one in found:
            await one.gateway.core.stop(2)
        await rasa.stop()

    with in_thread(serve, "channel-side") as (side, _loop):
        try:
            yield side
        finally:
            side.http.close()
