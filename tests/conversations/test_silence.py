"""A channel on which nobody writes any more is told as degraded; a quiet or a new one is not."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot.assistant import LiveContent, content_from_files
from bot.conversations.silence import Silence, silent_after
from bot.errors import ContentError
from bot.knowledge.findings import faults_of
from bot.settings import ROOT
from tests.support.world import World

pytestmark = pytest.mark.integration


async def warnings(world: World, clock: dict[str, Any], *channels: str) -> list[str]:
    """What staff read after a look at these channels by this clock."""
    current = dataclasses.replace(world.core.content.current, clock=clock)
    content = cast(LiveContent, SimpleNamespace(current=current))
    await Silence(world.store, content, channels or ("test",)).sweep()
    await world.core.standings.sweep()
    return world.core.standings.warnings({"test": "The Platform"})


SILENT = (
    "The Platform is degraded. No message has come in for 12 hours or more. "
    "Ask an administrator to check the channel."
)
TWELVE = {"silent_hours": {"test": 12}}


async def test_a_channel_falls_silent_and_speaks_again(world: World) -> None:
    assert await warnings(world, TWELVE) == []  # it is new: nobody has ever written there
    await world.say("how long is the wait for 101")
    world.move(hours=11.9)
    assert await warnings(world, TWELVE) == []
    world.move(hours=0.2)
    assert await warnings(world, TWELVE) == [SILENT]
    world.move(seconds=100)
    assert await warnings(world, TWELVE) == [SILENT]
    await world.say("hello")
    assert await warnings(world, TWELVE) == []


async def test_only_what_the_force_names_is_watched(world: World) -> None:
    await world.say("how long is the wait for 101")
    world.move(hours=1000)
    assert await warnings(world, {}) == []
    assert await warnings(world, {"silent_hours": {"telegram": 1}}) == []
    assert await warnings(world, TWELVE, "telegram") == []


async def test_another_channel_that_speaks_does_not_hide_it(world: World) -> None:
    await world.say("how long is the wait for 101")
    world.move(hours=13)
    await world.core.door.accept([dataclasses.replace(world.incoming("hello", "bob"), channel="other")])
    assert await warnings(world, TWELVE) == [SILENT]


@pytest.mark.parametrize(
    "given", [[1], {"webchat": 0}, {"webchat": True}, {"webchat": "a day"}, {"webchat": 10**6}]
)
def test_what_is_no_number_of_hours_is_refused(given: Any) -> None:
    with pytest.raises(ContentError, match=r"^clock\.yml: silent_hours"):
        silent_after({"silent_hours": given})
    content = content_from_files(ROOT / "force" / "northumbria", ROOT / "data")
    spoilt = dataclasses.replace(content, clock={**content.clock, "silent_hours": given})
    assert [fault for fault in faults_of(spoilt) if "silent_hours" in fault]
    assert [fault for fault in faults_of(content) if "silent_hours" in fault] == []
