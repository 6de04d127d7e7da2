"""Fixtures of the alarms' tests: a mail server, a receiver, and alarms that use both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.handover.alarms import Alarms, read_rota
from bot.handover.alarms.plan import Pace
from bot.settings import load_settings
from tests.alarms.outside import PATIENCE_SECONDS, SECRET, Mailbox, Receiver
from tests.support.world import World

ROTA = """
repeat_minutes: 5
levels:
  - name: First
    after_seconds: 0
    hours: always
    contacts:
      - {name: Duty desk, mail: duty@force.example, target: duty}
  - name: Second
    after_seconds: 120
    hours: always
    contacts:
      - {name: Supervisor, mail: supervisor@force.example, target: supervisor}
"""


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """A mail server that listens."""
    box = Mailbox().start()
    yield box
    box.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook receiver that listens."""
    one = Receiver().start()
    yield one
    one.stop()


def force(folder: Path, rota: str = ROTA) -> Path:
    """A force's folder with this rota."""
    made = folder / "ourforce"
    made.mkdir(exist_ok=True)
    (made / "alarms.yml").write_text(rota, "utf-8")
    return made


def outside(mailbox: Mailbox | None, receiver: Receiver | None) -> dict[str, Any]:
    """The settings by which alarms reach them."""
    found: dict[str, Any] = {}
    if mailbox is not None:
        found |= {"smtp_host": "127.0.0.1", "smtp_port": mailbox.port, "smtp_from": "alarms@desk.example"}
        found |= {"smtp_tls": "none"}
    if receiver is not None:
        found |= {"alarm_webhook_url": receiver.url, "alarm_webhook_secret": SECRET}
    return found


Make = Callable[..., Alarms]


@pytest.fixture
async def make(world: World, tmp_path: Path, mailbox: Mailbox, receiver: Receiver) -> AsyncIterator[Make]:
    """Make one gateway's alarms on the world's database; both paths are set up if not said otherwise."""
    made: list[Alarms] = []

    def one(
        name: str = "g1", *, mail: bool = True, webhook: bool = True, rota: str = ROTA, **settings: Any
    ) -> Alarms:
        chosen = load_settings(
            force=force(tmp_path, rota),
            **{**outside(mailbox if mail else None, receiver if webhook else None), **settings},
        )
        alarms = Alarms(
            world.store,
            chosen,
            read_rota(chosen),
            gateway=name,
            category_name=lambda key: f"name of {key}",
            team_name=lambda key: f"team {key}",
            pace=Pace(2.0, 60.0),
        )
        made.append(alarms)
        return alarms

    yield one
    for alarms in made:
        await alarms.stop(2)


async def calls_end(*gateways: Alarms) -> None:
    """Wait until no call is under way."""
    for alarms in gateways:
        while tasks := [task for each in alarms._calling.values() for task in each]:
            await asyncio.gather(*tasks)


async def until(is_so: Callable[[], Any]) -> None:
    """Wait until something is so that another thread does, or another task."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_so():  # noqa: ASYNC110  what is waited for is another thread's
            await asyncio.sleep(0.02)


async def look(*gateways: Alarms) -> None:
    """One look of each, at the same time, and the calls that follow."""
    await asyncio.gather(*(alarms.look() for alarms in gateways))
    await calls_end(*gateways)
