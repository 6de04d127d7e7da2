"""Gateways that really listen, and a Telegram that really answers, in a thread of their own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar
from unittest import mock

import httpx
from sanic import Sanic
from sqlalchemy import Row, insert, select

import bot.core
from bot.app import Gateway
from bot.app import build as build_gateway
from bot.channels.telegram import Telegram
from bot.messages import Actor
from bot.settings import Settings
from bot.store.record import now
from bot.store.tables import Conversation, Message, Outbox, Staff, StaffTeam
from tests.platforms.telegram import TelegramServer, Writer
from tests.platforms.telegram import build as build_telegram
from tests.support.databases import break_store, mend_store
from tests.support.rasa import SECRET as RASA_SECRET
from tests.support.rasa import LoopbackRasa
from tests.support.serving import in_thread, stop_gateways
from tests.support.world import read_content, read_screen

T = TypeVar("T")
Json = dict[str, Any]

TOKEN = "4242424242:AAH-loopback_token_that_nobody_may_see"
SECRET = "loopback-webhook_secret"
BOT_ID = TOKEN.partition(":")[0]
PATIENCE_SECONDS = 90.0
_chats = itertools.count(7_310_010_001)


@dataclass(slots=True)
class OneGateway:
    """One gateway, its address, and whatever its channels do by themselves."""

    gateway: Gateway
    base: str
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def telegram(self) -> Telegram:
        """Its Telegram."""
        found = next(p for p in self.gateway.platforms if p.channel.name == "telegram")
        assert isinstance(found, Telegram)
        return found

    def break_store(self) -> None:
        """From now on the database does not answer this gateway."""
        break_store(self.gateway.core.store)

    def mend_store(self) -> None:
        """The database answers again."""
        mend_store(self.gateway.core.store)


@dataclass(slots=True)
class Side:
    """Telegram, the gateways, their database, and a stand-in for Rasa."""

    gateways: list[OneGateway]
    rasa: LoopbackRasa
    api: str
    loop: asyncio.AbstractEventLoop
    http: httpx.Client
    start_another: Callable[[], Coroutine[Any, Any, OneGateway]]

    @property
    def first(self) -> OneGateway:
        """The first gateway."""
        return self.gateways[0]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something inside the gateways' own loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE_SECONDS)

    def line(self, key: str, **values: object) -> str:
        """An approved sentence."""
        return self.first.gateway.core.content.current.line(key, **values)

    def answer(self, slug: str) -> str:
        """An approved answer."""
        text = self.first.gateway.core.content.current.answer(slug)
        assert text is not None
        return text

    # ---- people --------------------------------------------------------------------------------

    def person(self, **values: Any) -> Writer:
        """Somebody new."""
        return Writer(next(_chats), **values)

    def inject(self, *updates: Json, **options: Any) -> list[int]:
        """Let this happen in Telegram. Returns the numbers of the updates."""
        answer = self.http.post("/control/updates", json={"updates": list(updates), **options})
        assert answer.status_code == 200, answer.text
        return list(answer.json())

    def state(self) -> Json:
        """What Telegram has seen so far."""
        return dict(self.http.get("/control/state").json())

    def sent(self, person: Writer | int) -> list[Json]:
        """The messages that reached a chat, in order."""
        chat = person if isinstance(person, int) else person.chat
        return [m for m in self.state()["messages"] if m["chat"]["id"] == chat]

    def texts(self, person: Writer | int) -> list[str]:
        """Their texts."""
        return [message["text"] for message in self.sent(person)]

    def calls(self, method: str) -> list[Json]:
        """The calls of one method."""
        return [call for call in self.state()["calls"] if call["method"] == method]

    def hears(self, person: Writer | int, part: str, times: int = 1) -> Json:
        """Wait until a chat has got a message with these words in it, so often; return the last."""

        def found() -> list[Json]:
            return [message for message in self.sent(person) if part in message["text"]]

        self.until(lambda: len(found()) >= times, f"{part!r} to arrive")
        return found()[-1]

    def until(self, is_so: Callable[[], object], what: str) -> None:
        """Wait until it is so."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if is_so():
                return
            time.sleep(0.05)
        raise AssertionError(f"waited in vain for {what}")

    def taken(self, *numbers: int) -> None:
        """Wait until Telegram need not deliver anything again."""
        self.until(lambda: self.state()["pending"] == 0, f"updates {numbers} to be taken")

    # ---- misbehaviour --------------------------------------------------------------------------

    def fault(self, method: str, kind: str, **options: Any) -> None:
        """What the next calls of one method do."""
        fault = {"method": method, "kind": kind, **options}
        self.http.post("/control/faults", json=[fault]).raise_for_status()

    def mode(self, **mode: Any) -> None:
        """How Telegram behaves from now on."""
        self.http.post("/control/mode", json=mode).raise_for_status()

    def set_state(self, **state: Any) -> None:
        """Who has blocked us, which token is right, where the gateways are."""
        self.http.post("/control/state", json=state).raise_for_status()

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

    def messages(self, person: Writer) -> list[Row[Any]]:
        """What is stored of a person's messages."""
        return [m for m in self.rows(Message) if m.platform_id.startswith(f"{BOT_ID}:{person.chat}.")]

    def stored(self, person: Writer, count: int = 1) -> list[Row[Any]]:
        """The same, once there are so many."""
        self.until(lambda: len(self.messages(person)) >= count, f"{count} messages to be stored")
        return self.messages(person)

    def outbox(self, person: Writer) -> list[Row[Any]]:
        """Everything meant for a person."""
        mine = {m.conversation_id for m in self.messages(person)}
        return [row for row in self.rows(Outbox) if row.conversation_id in mine]

    def conversation(self, person: Writer) -> Row[Any]:
        """Their newest conversation."""
        found = self.rows(Conversation, Conversation.id == self.stored(person)[-1].conversation_id)
        return found[0]

    def moderator(self, name: str = "mo") -> Actor:
        """A member of staff at the desk."""

        async def add() -> int:
            async with self.first.gateway.core.store.write() as connection:
                staff_id = (
                    await connection.execute(
                        insert(Staff)
                        .values(
                            username=name, name="Mo Tester", role="moderator", password_hash="x",
                            active=True, created_at=now(),
                        )
                        .returning(Staff.id)
                    )
                ).scalar_one()  # fmt: skip
                for team in ("digital_desk", "control_room"):
                    await connection.execute(insert(StaffTeam).values(staff_id=staff_id, team=team))
                return int(staff_id)

        teams = frozenset({"digital_desk", "control_room"})
        return Actor("Mo Tester", self.run(add()), "moderator", teams)

    def claim(self, person: Writer, actor: Actor) -> int:
        """Let staff take a person's conversation, once every turn of it has ended. Returns its id."""
        self.until(lambda: all(m.handled for m in self.messages(person)), "the turns to end")
        row = self.conversation(person)
        self.run(self.first.gateway.core.desk.claim(row.id, actor, row.epoch))
        return int(row.id)

    def reply(self, conversation_id: int, actor: Actor, text: str) -> int:
        """Let staff answer. Returns the row's id."""
        return int(self.run(self.first.gateway.core.desk.reply(conversation_id, actor, text)))

    def row(self, outbox_id: int) -> Row[Any]:
        """One row of the outbox."""
        return self.rows(Outbox, Outbox.id == outbox_id)[0]


def settings_for(database_url: str, api: str, mode: str, **values: Any) -> Settings:
    """The settings of a gateway with Telegram switched on."""
    return Settings(
        **{
            "database_url": database_url,
            "assistant_secret": RASA_SECRET,
            "poll_seconds": 0.2,
            "lease_seconds": 3.0,
            "telegram_token": TOKEN,
            "telegram_mode": mode,
            "telegram_secret": SECRET,
            "telegram_api_url": api,
            "public_url": "https://chat.force.example",
            **values,
        }
    )


async def _listen(app: Sanic[Any, Any]) -> tuple[Any, str]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    listener.setblocking(False)
    server = await app.create_server(sock=listener, return_asyncio_server=True)
    assert server is not None
    await server.startup()  # type: ignore[no-untyped-call]
    await server.start_serving()  # type: ignore[no-untyped-call]
    return server, f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def telegram_side(
    database_url: str, mode: str = "webhook", gateways: int = 1, *, run: bool = True, **values: Any
) -> Iterator[Side]:
    """Serve until the block ends. Without `run` the channels do nothing by themselves."""

    async def serve(ready: Callable[[Side], None], stop: asyncio.Event) -> None:
        rasa = LoopbackRasa()
        await rasa.start()
        telegram = TelegramServer(TOKEN, [])
        api_server, api = await _listen(build_telegram(telegram, f"telegram-{id(telegram)}"))
        servers: list[Any] = []
        found: list[OneGateway] = []

        async def another() -> OneGateway:
            chosen = settings_for(database_url, api, mode, assistant_urls=(rasa.url,), **values)
            with (
                mock.patch.object(bot.core, "content_from_files", read_content),
                mock.patch.object(bot.core.Screen, "load", read_screen),
            ):
                gateway = build_gateway(chosen)
            server, base = await _listen(gateway.public)
            servers.append(server)
            one = OneGateway(gateway, base)
            telegram.gateways.append(base)
            if run:
                one.tasks = [
                    asyncio.create_task(platform.run(gateway.parts)) for platform in gateway.platforms
                ]
            await gateway.core.start()
            found.append(one)
            return one

        for _ in range(gateways):
            await another()
        http = httpx.Client(base_url=api, trust_env=False, timeout=PATIENCE_SECONDS)
        ready(Side(found, rasa, api, asyncio.get_running_loop(), http, another))
        await stop.wait()
        await telegram.close()
        for one in found:
            one.mend_store()
            for task in one.tasks:
                task.cancel()
            await asyncio.gather(*one.tasks, return_exceptions=True)
            await one.telegram.close()
        for server in [*servers, api_server]:
            server.close()
        await stop_gateways(*(one.gateway.core for one in found), rasa=rasa)

    with in_thread(serve, "telegram-side") as (side, _loop):
        try:
            yield side
        finally:
            side.http.close()
