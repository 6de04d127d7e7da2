"""A person in danger who falls silent: the owner and the supervisors are alerted, twice."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from bot.console.reading import list_alarms, list_quiet
from bot.conversations.quiet import quiet_after
from bot.messages import Actor
from bot.store.tables import Conversation, Due
from tests.support.world import INCIDENT, P1, P1_OTHER, P3, PLAIN, World

pytestmark = pytest.mark.integration


async def alerts(world: World) -> list[Any]:
    return [event for event in await world.events("alert") if event.data.get("reason") == "quiet"]


async def told(world: World, actor: Actor) -> list[int]:
    async with world.store.read() as connection:
        return [one.conversation_id for one in await list_quiet(connection, actor)]


async def test_silence_after_the_safety_words_of_a_waiting_p1(world: World) -> None:
    row = await world.say(P1)
    await world.tick(minutes=9, seconds=59)
    assert await alerts(world) == []
    await world.tick(seconds=1)
    (alert,) = await alerts(world)
    assert alert.conversation_id == row.id
    assert alert.data == {"grade": "P1", "owner": None, "category": "R09", "reason": "quiet"}
    await world.tick(minutes=10)
    assert len(await alerts(world)) == 2
    await world.tick(minutes=60)
    assert len(await alerts(world)) == 2
    assert [row.detail["told"] for row in await world.audit("quiet")] == [1, 2]


async def test_silence_after_a_reply_reaches_the_owner_and_supervisors(world: World) -> None:
    mo, jo, sue = await world.hire("mo"), await world.hire("jo"), await world.hire("sue", "supervisor")

    async def wait(**units: float) -> None:
        world.move(**units)
        await world.sit(mo)
        await world.core.clocks.look()

    row = await world.owned(mo, P1)
    await wait(minutes=5)
    await world.core.desk.reply(row.id, mo, "Are you safe now?")
    await world.settle()
    await wait(minutes=9)
    assert await alerts(world) == []  # the reply set the clock anew
    await wait(minutes=1)
    (alert,) = await alerts(world)
    assert alert.data["owner"] == mo.staff_id
    assert [await told(world, actor) for actor in (mo, jo, sue)] == [[row.id], [], [row.id]]
    async with world.store.read() as connection:
        assert [alarm.rings for alarm in await list_alarms(connection, mo)] == [True]
    world.move(seconds=1)
    await world.core.desk.opened(row.id, sue)
    assert [await told(world, actor) for actor in (mo, sue)] == [[row.id], []]
    await wait(minutes=10)
    assert [await told(world, actor) for actor in (mo, sue)] == [[row.id], [row.id]]


async def test_a_message_cancels_it(world: World) -> None:
    sue = await world.hire("sue", "supervisor")
    row = await world.say(P1)
    await world.tick(minutes=10)
    assert await told(world, sue) == [row.id]
    await world.say("i am here")
    assert await told(world, sue) == []
    await world.tick(minutes=30)
    assert len(await alerts(world)) == 1


async def test_new_risk_words_set_the_clock_anew(world: World) -> None:
    await world.say(P1)
    world.move(minutes=8)
    await world.say(P1_OTHER)
    await world.tick(minutes=8)
    assert await alerts(world) == []
    await world.tick(minutes=2)
    assert len(await alerts(world)) == 1
    assert len(await world.rows(Due, kind="quiet")) == 1


async def test_a_close_cancels_it(world: World) -> None:
    mo = await world.hire("mo")
    row = await world.owned(mo, P1)
    await world.core.desk.close(row.id, mo, "no_reply", "The fire service is there.", incident=INCIDENT)
    await world.tick(minutes=30)
    assert await alerts(world) == []


async def test_a_grade_that_is_lowered_cancels_it(world: World) -> None:
    await world.say(P1)
    async with world.store.write() as connection:
        await connection.execute(update(Conversation).values(grade="P3"))
    await world.tick(minutes=30)
    assert await alerts(world) == []


async def test_nobody_waits_for_who_is_in_no_danger(world: World) -> None:
    mo = await world.hire("mo")
    await world.say(P3, "ann")
    await world.say(PLAIN, "bob")
    row = await world.owned(mo, P3, "cat")
    await world.core.desk.reply(row.id, mo, "Hello")
    assert await world.rows(Due, kind="quiet") == []


async def test_a_staff_reply_that_falls_silent_on_a_sealed_chat_tells_its_team_only(world: World) -> None:
    sue = await world.hire("sue", "supervisor", ["digital_desk", "control_room"])
    head = await world.hire("pia", "supervisor", ["professional_standards"])
    row = await world.say("the officer punched me")
    await world.tick(minutes=10)
    assert await told(world, head) == [row.id]
    assert await told(world, sue) == []


@pytest.mark.parametrize(
    ("clock", "minutes"),
    [({}, 10), ({"quiet_minutes": 4}, 4), ({"quiet_minutes": 0.5}, 0.5), ({"quiet_minutes": "soon"}, 10),
     ({"quiet_minutes": 0}, 10), ({"quiet_minutes": True}, 10)],
)  # fmt: skip
def test_the_force_sets_how_long(clock: dict[str, Any], minutes: float) -> None:
    assert quiet_after(clock).total_seconds() == minutes * 60
