"""Who has a conversation open and who types there: for those alone who may read it, and never for long."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Row, func, select, update

from bot.errors import NoSuchChatError, NotAllowedError
from bot.handover.viewing import Seen, bell_of, readers_of_all
from bot.messages import Actor
from bot.store.tables import Event, StaffSession, StaffView
from tests.support.world import P3, World

pytestmark = pytest.mark.integration

ACCUSED = "the officer punched me"


async def two(world: World) -> tuple[Row[Any], Actor, Actor]:
    """A waiting conversation, and two who sit at the desk."""
    mo, jo = await world.hire("mo"), await world.hire("jo")
    await world.sit(mo)
    await world.sit(jo)
    return await world.say(P3), mo, jo


async def beat(world: World, row: Row[Any], actor: Actor, typing: bool | None = None) -> Seen:
    return await world.core.views.beat(row.id, actor, typing=typing)


def names(seen: Seen) -> list[str]:
    return [one.name for one in seen.others]


async def views(world: World) -> int:
    async with world.store.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(StaffView))).scalar_one())


async def test_those_on_one_conversation_see_each_other_and_nobody_sees_themselves(world: World) -> None:
    row, mo, jo = await two(world)
    other = await world.say(P3, "bob")
    assert names(await beat(world, row, mo)) == []
    assert names(await beat(world, row, mo)) == []
    assert names(await beat(world, row, jo)) == ["Mo"]
    assert names(await beat(world, row, mo)) == ["Jo"]
    assert names(await beat(world, other, jo)) == []
    async with world.store.read() as connection:
        assert await readers_of_all(connection, mo) == {
            row.id: [(jo.staff_id, "Jo")], other.id: [(jo.staff_id, "Jo")],
        }  # fmt: skip


async def test_a_page_that_says_nothing_more_counts_for_45_seconds(world: World) -> None:
    row, mo, jo = await two(world)
    await beat(world, row, mo)
    world.move(seconds=44)
    assert names(await beat(world, row, jo)) == ["Mo"]
    world.move(seconds=2)
    assert names(await beat(world, row, jo)) == []


async def test_typing_ends_by_itself_and_at_the_word_of_the_page(world: World) -> None:
    row, mo, jo = await two(world)
    await beat(world, row, mo, typing=True)
    (seen,) = (await beat(world, row, jo)).others
    assert seen.typing_seconds == 8
    world.move(seconds=5)
    await beat(world, row, mo)  # a beat that says nothing of it leaves it
    assert (await beat(world, row, jo)).others[0].typing_seconds == 3
    await beat(world, row, mo, typing=True)
    world.move(seconds=8)
    assert (await beat(world, row, jo)).others[0].typing_seconds == 0
    await beat(world, row, mo, typing=True)
    await beat(world, row, mo, typing=False)
    assert (await beat(world, row, jo)).others[0].typing_seconds == 0


async def test_only_a_change_rings_and_only_for_those_who_look_on(world: World) -> None:
    row, mo, jo = await two(world)
    sue = await world.hire("sue", "supervisor")
    await world.sit(sue)
    await beat(world, row, jo)
    bell = world.core.bell

    async def rings(work: Any) -> list[bool]:
        with (
            bell.subscribe(bell_of(jo.staff_id or 0)) as hers,
            bell.subscribe(bell_of(sue.staff_id or 0)) as no,
        ):
            result = await work
            del result
            return [hers.is_set(), no.is_set()]

    assert await rings(beat(world, row, mo)) == [True, False]
    assert await rings(beat(world, row, mo)) == [False, False]
    assert await rings(beat(world, row, mo, typing=True)) == [True, False]
    assert await rings(beat(world, row, mo, typing=True)) == [False, False]
    assert await rings(beat(world, row, mo, typing=False)) == [True, False]
    stamp = (await beat(world, row, mo)).stamp
    assert await rings(world.core.views.leave(row.id, mo, stamp)) == [True, False]
    assert await rings(world.core.views.leave(row.id, mo, stamp)) == [False, False]


async def test_a_page_that_goes_does_not_take_a_newer_one_with_it(world: World) -> None:
    row, mo, jo = await two(world)
    old = await beat(world, row, mo)
    world.move(seconds=1)
    new = await beat(world, row, mo)
    await world.core.views.leave(row.id, mo, old.stamp)
    assert names(await beat(world, row, jo)) == ["Mo"]
    await world.core.views.leave(row.id, mo, new.stamp)
    assert names(await beat(world, row, jo)) == []


async def test_whoever_locks_or_leaves_the_desk_looks_on_no_more(world: World) -> None:
    row, mo, jo = await two(world)
    await beat(world, row, mo)
    async with world.store.write() as connection:
        await connection.execute(
            update(StaffSession).where(StaffSession.staff_id == mo.staff_id).values(locked=True)
        )
    assert names(await beat(world, row, jo)) == []


async def test_nobody_learns_of_readers_of_what_they_may_not_read(world: World) -> None:
    mo, ada = await world.hire("mo"), await world.hire("ada", "admin")
    pat = await world.hire("pat", teams=("professional_standards",))
    for actor in (mo, pat):
        await world.sit(actor)
    row = await world.say(ACCUSED)
    assert row.sealed
    await beat(world, row, pat)
    for number in (row.id, 987654, -1, 2**63):
        with pytest.raises(NoSuchChatError):
            await world.core.views.beat(number, mo)
    with pytest.raises(NotAllowedError):
        await beat(world, row, ada)
    assert await views(world) == 1
    assert names(await beat(world, row, pat)) == []


async def test_presence_is_swept_and_leaves_no_event(world: World) -> None:
    row, mo, jo = await two(world)
    async with world.store.read() as connection:
        before = (await connection.execute(select(func.count()).select_from(Event))).scalar_one()
    await asyncio.gather(*(beat(world, row, actor, typing=True) for actor in (mo, jo) for _ in range(5)))
    assert await views(world) == 2
    async with world.store.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(Event))).scalar_one() == before
    world.move(seconds=89)
    await world.core.views.sweep()
    assert await views(world) == 2
    world.move(seconds=2)
    await world.core.views.sweep()
    assert await views(world) == 0
