"""Echoes: is it ours, or did somebody answer outside our desk?"""

from __future__ import annotations

import asyncio

import pytest

from bot.errors import UnsureError
from bot.messages import Echo
from bot.store.record import now
from bot.store.tables import Outbox
from tests.support.channel import Fault
from tests.support.world import P1, P3, PLAIN, World

pytestmark = pytest.mark.integration


def echo(text: str = "", message_id: str = "echo-1", outbox_id: int | None = None) -> Echo:
    return Echo("test", "ann", message_id, text, outbox_id)


async def test_ours_by_its_id_or_by_what_we_gave_it(world: World) -> None:
    await world.say(PLAIN)
    (row,) = await world.outbox()
    await world.take(echo(row.text, row.platform_id), echo("rewritten", "another", row.id))
    await world.tick(seconds=15)
    assert (await world.conversation()).state == "bot"
    assert len(await world.outbox()) == 1


async def test_not_ours_silences_the_assistant_and_is_in_the_transcript(world: World) -> None:
    await world.say(PLAIN)
    await world.take(echo("Hi, this is Pat from the desk", "x1"), echo("Hi, this is Pat from the desk", "x1"))
    row = await world.conversation()
    assert (row.state, row.owner_outside) == ("human", True)
    outside = [r for r in await world.outbox() if r.detail == "outside"]
    assert [(r.kind, r.text, r.state) for r in outside] == [
        ("staff", "Hi, this is Pat from the desk", "sent")
    ]
    assert (await world.events("outbox.state"))[-1].data == {"outbox": outside[0].id, "state": "sent"}
    await world.settle()
    assert len(world.channel.calls) == 1, "what was told to us is not sent again"


async def test_a_waiting_p1_stays_waiting(world: World) -> None:
    await world.say(P1)
    await world.take(echo("Hi, this is Pat"))
    row = await world.conversation()
    assert (row.state, row.grade, row.answered_outside) == ("waiting", "P1", True)


async def test_an_owner_of_ours_stays_the_owner(world: World) -> None:
    mod = await world.hire("mo")
    await world.owned(mod, P3)
    await world.take(echo("Hi, this is Pat"))
    assert (await world.conversation()).owner_id == mod.staff_id


async def test_an_echo_during_a_send_is_held_and_is_ours_by_its_id(world: World) -> None:
    await world.take(world.incoming(PLAIN))
    await world.core.turns.drain(30)
    gate = asyncio.Event()
    world.channel.fail_next(Fault(gate=gate))
    await world.core.outbox.look()
    await world.channel.stuck.wait()
    await world.take(echo(world.answer("contact-101-wait"), "out-1"))
    assert (await world.conversation()).state == "bot", "held"
    gate.set()
    await world.settle()
    await world.tick(seconds=2)
    await world.tick(seconds=15)
    assert (await world.conversation()).state == "bot"
    assert len(await world.rows(Outbox)) == 1


async def test_an_echo_of_a_row_of_unknown_fate_is_matched_by_text(world: World) -> None:
    await world.say(P3)
    world.channel.fail_next(Fault(UnsureError("?"), arrives=True))
    await world.say(PLAIN)
    (lost,) = [r for r in await world.outbox() if r.state == "unknown"]
    await world.take(echo(lost.text, "late-id"))
    await world.tick(seconds=2)
    (found,) = [r for r in await world.outbox() if r.id == lost.id]
    assert (found.state, found.platform_id) == ("sent", "late-id")
    assert (await world.conversation()).state == "waiting"


async def test_an_echo_that_is_told_long_after_is_matched_by_when_it_left(world: World) -> None:
    """A platform that we ask for its news could not be asked for an hour. Of now, the words are somebody's."""
    for person, told_when in (("ann", True), ("bob", False)):
        await world.say(P3, person)
        world.channel.fail_next(Fault(UnsureError("?"), arrives=True))
        await world.say(PLAIN, person)
        (lost,) = [r for r in await world.outbox(person) if r.state == "unknown"]
        left = now() if told_when else None
        world.move(hours=1)
        await world.take(Echo("test", person, f"of-{person}", lost.text, at=left))
        await world.tick(seconds=2)
        await world.tick(seconds=15)
        (found,) = [r for r in await world.outbox(person) if r.id == lost.id]
        assert (found.state, found.platform_id) == (("sent", "of-ann") if told_when else ("unknown", None))
        assert (await world.conversation(person)).state == ("waiting" if told_when else "human")


async def test_an_echo_is_held_ten_seconds_at_most(world: World) -> None:
    await world.say(P3)
    world.channel.fail_next(Fault(UnsureError("?")))
    await world.say(PLAIN)
    await world.take(echo("Hi, this is Pat"))
    for _ in range(4):
        await world.tick(seconds=2)
    assert (await world.conversation()).state == "waiting"
    await world.tick(seconds=2)
    await world.tick(seconds=1)
    assert (await world.conversation()).state == "human"


async def test_an_echo_for_nobody_we_know_changes_nothing(world: World) -> None:
    await world.take(echo("Hello"))
    assert await world.rows(Outbox) == []
