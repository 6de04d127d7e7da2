"""A practice whose desk listens on a free port; the test says when its people write."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

import bot.core
from bot.app import build
from bot.commands.practice import set_the_stage
from bot.practice import Practice, load_script, practice_settings
from bot.practice.player import Persona
from bot.settings import ROOT, Settings
from bot.store.tables import Outbox
from tests.console.serving import Browser, Desk
from tests.support.serving import in_thread, stop_gateways
from tests.support.world import read_content, read_screen

FORCE = ROOT / "force" / "northumbria"
LONGEST_WAIT = 60.0
AT_ONCE = 1e9
"""A speed at which every line is due as soon as what comes before it has happened."""


@dataclass(slots=True)
class Stage:
    """A practice, its desk, and a hand on its clock."""

    desk: Desk
    practice: Practice

    def enter(self, scenario: str) -> list[Persona]:
        """Bring a scenario on stage, with people who write as soon as they may, one line a step."""

        async def begin() -> list[Persona]:
            people = self.practice.start(scenario)
            for persona in people:
                persona.speed = AT_ONCE
                persona.begins = people[0].begins
            return people

        return self.desk.run(begin())

    def step(self, times: int = 1) -> int:
        """Let everybody say their next line, so often, and the gateway do its part."""

        async def play() -> int:
            count = 0
            for _ in range(times):
                count += await self.practice.step()
                await self.desk.gateway.core.turns.drain(30)
            return count

        return self.desk.run(play())

    def sign_in(self, username: str) -> Browser:
        """A browser of one of the accounts on the sign-in page."""
        browser = self.desk.browser()
        passwords = {name: password for name, password, _role in self.practice.accounts}
        answer = browser.sign_in(username, passwords[username])
        assert answer.status_code == 200, answer.url
        return browser

    def arrived(self, text: str) -> None:
        """Wait until this reply of staff has reached its person."""
        wait_for(lambda: [one.text for one in self.desk.rows(Outbox, Outbox.state == "sent")].count(text))

    def chat(self, persona: Persona) -> Any:
        """The newest chat of a person."""
        return self.desk.chat(persona.id)


def wait_for(is_so: Callable[[], object]) -> None:
    """Look until it is so."""
    until = time.monotonic() + LONGEST_WAIT
    while not is_so():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.05)


@contextlib.contextmanager
def practice_serving(database_url: str) -> Iterator[Stage]:
    """Serve a practice until the block ends."""

    async def serve(ready: Callable[[Stage], None], stop: asyncio.Event) -> None:
        own = practice_settings(
            Settings(
                database_url="sqlite+aiosqlite:////nowhere/record.db",
                practice_database_url=database_url,
                poll_seconds=0.2,
            )
        )
        practice = Practice(load_script(FORCE, read_content(FORCE, ROOT / "data")))
        await set_the_stage(own, practice)
        with (
            mock.patch.object(bot.core, "content_from_files", read_content),
            mock.patch.object(bot.core.Screen, "load", read_screen),
        ):
            gateway = build(own, practice=practice)
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        listener.setblocking(False)
        server = await gateway.desk.create_server(sock=listener, return_asyncio_server=True)
        assert server is not None
        await server.startup()
        await server.start_serving()
        await gateway.core.start()
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        desk = Desk(gateway, practice, base, asyncio.get_running_loop(), server)  # type: ignore[arg-type]
        ready(Stage(desk, practice))
        await stop.wait()
        server.close()
        await stop_gateways(gateway.core)

    with in_thread(serve, "practice") as (found, _loop):
        try:
            yield found
        finally:
            for client in found.desk._clients:
                client.close()
