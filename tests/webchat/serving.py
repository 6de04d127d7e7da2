"""A gateway that really listens, in a thread of its own, so that tests can be plain functions."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar
from unittest import mock

import httpx
from sqlalchemy import Row, insert, select

import bot.core
from bot.app import Gateway, build
from bot.channels.webchat import routes, stream
from bot.messages import Actor
from bot.settings import Settings
from bot.store.record import now
from bot.store.tables import Conversation, Message, Outbox, Person, Staff, StaffTeam
from tests.support.databases import break_store, mend_store
from tests.support.rasa import SECRET, LoopbackRasa
from tests.support.serving import in_thread, stop_gateways
from tests.support.world import read_content, read_screen

T = TypeVar("T")

DESK = "digital_desk"
PATIENCE_SECONDS = 60.0


@dataclass(slots=True)
class Served:
    """One gateway on a free port, its stand-in for Rasa, and its database."""

    gateway: Gateway
    rasa: LoopbackRasa
    base: str
    loop: asyncio.AbstractEventLoop
    _clients: list[httpx.Client] = field(default_factory=list)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something inside the gateway's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(2 * PATIENCE_SECONDS)

    def client(self, **options: Any) -> httpx.Client:
        """A device of its own: it keeps its own cookies."""
        client = httpx.Client(base_url=self.base, trust_env=False, timeout=PATIENCE_SECONDS, **options)
        self._clients.append(client)
        return client

    def line(self, key: str, **values: object) -> str:
        """An approved sentence."""
        return self.gateway.core.content.current.line(key, **values)

    def break_store(self) -> None:
        """From now on the database does not answer."""
        break_store(self.gateway.core.store)

    def mend_store(self) -> None:
        """The database answers again."""
        mend_store(self.gateway.core.store)

    def rows(self, table: Any, *where: Any) -> list[Row[Any]]:
        """Rows of a table, oldest first."""

        async def read() -> list[Row[Any]]:
            async with self.gateway.core.store.read() as connection:
                query = select(table.__table__).where(*where).order_by(table.id)
                return list((await connection.execute(query)).all())

        return self.run(read())

    def messages(self) -> list[Row[Any]]:
        """Every stored message."""
        return self.rows(Message)

    def outbox(self) -> list[Row[Any]]:
        """Every row for the public."""
        return self.rows(Outbox)

    def people(self) -> list[Row[Any]]:
        """Everybody of the public."""
        return self.rows(Person)

    def settle(self) -> None:
        """Wait until every message was read and every answer is out: nothing changes by itself then."""
        for _ in range(600):
            is_read = all(row.handled for row in self.messages())
            if is_read and not any(row.state in ("queued", "sending") for row in self.outbox()):
                return
            time.sleep(0.1)
        raise AssertionError("the messages were not answered")

    def answer_as_staff(self, text: str, *teams: str) -> None:
        """Let a moderator take the newest conversation and answer in it."""
        self.settle()
        moderator = self.moderator(*teams)
        self.reply(self.claim(moderator), moderator, text)

    def moderator(self, *teams: str) -> Actor:
        """A member of staff at the desk, or in these teams."""
        named = teams or (DESK,)

        async def add() -> int:
            async with self.gateway.core.store.write() as connection:
                staff_id = (
                    await connection.execute(
                        insert(Staff)
                        .values(
                            username="mo", name="Mo Tester", role="moderator", password_hash="x",
                            active=True, created_at=now(),
                        )
                        .returning(Staff.id)
                    )
                ).scalar_one()  # fmt: skip
                await connection.execute(
                    insert(StaffTeam), [{"staff_id": staff_id, "team": team} for team in named]
                )
                return int(staff_id)

        return Actor("Mo Tester", self.run(add()), "moderator", frozenset(named))

    def settled(self) -> None:
        """Wait until all that people wrote was dealt with and all that is for them has left."""

        def is_so() -> bool:
            busy = any(row.state in ("queued", "sending") for row in self.outbox())
            return (
                not busy and not self.gateway.core.turns.running and all(m.handled for m in self.messages())
            )

        eventually(is_so)

    def claim(self, actor: Actor) -> int:
        """Let staff take the newest conversation, once nothing of the assistant's changes it. Returns its id."""
        self.settled()
        row = self.rows(Conversation)[-1]
        self.run(self.gateway.core.desk.claim(row.id, actor, row.epoch))
        return int(row.id)

    def reply(self, conversation_id: int, actor: Actor, text: str) -> None:
        """Let staff answer; returns once the page could have it."""
        outbox_id = self.run(self.gateway.core.desk.reply(conversation_id, actor, text))
        eventually(lambda: self.rows(Outbox, Outbox.id == outbox_id)[0].state not in ("queued", "sending"))


def eventually(check: Callable[[], Any]) -> Any:
    """The first true result of `check`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := check()):
        assert time.monotonic() < deadline, "it never came to be so"
        time.sleep(0.05)
    return found


@contextlib.contextmanager
def served(database_url: str, **settings: Any) -> Iterator[Served]:
    """Serve the public listener until the block ends."""

    async def serve(ready: Callable[[Served], None], stop: asyncio.Event) -> None:
        rasa = LoopbackRasa()
        await rasa.start()
        chosen = Settings(
            database_url=database_url,
            assistant_urls=(rasa.url,),
            assistant_secret=SECRET,
            poll_seconds=0.2,
            **settings,
        )
        with (
            mock.patch.object(bot.core, "content_from_files", read_content),
            mock.patch.object(bot.core.Screen, "load", read_screen),
        ):
            gateway = build(chosen)
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        listener.setblocking(False)
        server = await gateway.public.create_server(sock=listener, return_asyncio_server=True)
        assert server is not None
        await server.startup()
        await server.start_serving()
        await gateway.core.start()
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        ready(Served(gateway, rasa, base, asyncio.get_running_loop()))
        await stop.wait()
        server.close()
        await stop_gateways(gateway.core, rasa=rasa)

    with in_thread(serve, "served") as (found, _loop):
        try:
            with (
                # A test that waits in vain for a message finds out at the next beat.
                mock.patch.object(stream, "BEAT_SECONDS", 1.0),
                # A page without scripts is looked at once, and a busy machine may be slow with its answer.
                mock.patch.object(routes, "FIRST_REPLY_SECONDS", PATIENCE_SECONDS / 2),
            ):
                yield found
        finally:
            for client in found._clients:
                client.close()
