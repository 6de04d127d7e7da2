"""Calls that come at the same moment are stored together: all of them, whoever is in danger first."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any
from unittest import mock

import pytest
from sqlalchemy import select

from bot.conversations.door import Door
from bot.conversations.gathering import LANES, MOST_TOGETHER, Call, Gathering, TogetherError
from bot.errors import StoreUnavailableError
from bot.messages import Incoming
from bot.store.tables import Message, Outbox
from tests.support.world import P1, World

pytestmark = pytest.mark.integration


def incoming(number: int, text: str = "what is the number for the council") -> Incoming:
    return Incoming(channel="test", person=f"person-{number}", message_id=f"m{number}", text=text)


class Held:
    """A store that keeps what it is given once it may, and notes the groups."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.may = asyncio.Event()

    async def store(self, calls: Sequence[Call[None]]) -> None:
        self.groups.append([str(call.arrivals) for call in calls])
        await self.may.wait()


def join(line: Gathering[None], *arrivals: Incoming, is_urgent: bool = False) -> Call[None]:
    return line.join(arrivals, frozenset(one.person for one in arrivals), is_urgent=is_urgent)


async def test_a_crowd_is_stored_in_few_transactions_and_nobody_is_left_out(world: World) -> None:
    with mock.patch.object(Door, "_store_batch", autospec=True, side_effect=Door._store_batch) as stored:
        accepted = await asyncio.gather(*(world.core.door.accept([incoming(n)]) for n in range(60)))
    assert stored.call_count <= LANES + 60 // MOST_TOGETHER + 1
    assert all(len(one) == 1 and not one[0].repeated for one in accepted)
    async with world.store.read() as connection:
        rows = (
            await connection.execute(select(Message.platform_id, Message.id, Message.conversation_id))
        ).all()
    assert sorted(row.platform_id for row in rows) == sorted(f"m{n}" for n in range(60))
    # Each caller is told of its own message.
    kept = {row.platform_id: (row.id, row.conversation_id) for row in rows}
    told = {f"m{n}": (one[0].message_id, one[0].conversation_id) for n, one in enumerate(accepted)}
    assert told == kept


async def test_the_same_call_three_times_at_once_is_one_message(world: World) -> None:
    accepted = await asyncio.gather(*(world.core.door.accept([incoming(n % 10)]) for n in range(30)))
    assert sum(not one[0].repeated for one in accepted) == 10
    async with world.store.read() as connection:
        assert len((await connection.execute(select(Message.id))).all()) == 10


async def test_one_that_cannot_be_kept_takes_no_other_with_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Door._incoming

    async def refuse(self: Door, connection: Any, arrival: Incoming, *rest: Any) -> None:
        if arrival.text == "unkeepable":
            raise ValueError("as a fault of ours would")
        await kept(self, connection, arrival, *rest)

    monkeypatch.setattr(Door, "_incoming", refuse)
    texts = ["hello"] * 20 + ["unkeepable"] + ["hello"] * 20
    ended = await asyncio.gather(
        *(world.core.door.accept([incoming(n, text)]) for n, text in enumerate(texts)), return_exceptions=True
    )
    assert [number for number, one in enumerate(ended) if isinstance(one, BaseException)] == [20]
    async with world.store.read() as connection:
        assert len((await connection.execute(select(Message.id))).all()) == 40


async def test_words_of_danger_are_queued_for_each_of_a_crowd(world: World) -> None:
    texts = [P1 if n % 3 == 0 else "hello there" for n in range(30)]
    await asyncio.gather(*(world.core.door.accept([incoming(n, text)]) for n, text in enumerate(texts)))
    async with world.store.read() as connection:
        rows = (await connection.execute(select(Outbox.id).where(Outbox.kind == "safety"))).all()
    assert len(rows) == 10


async def test_whoever_is_in_danger_leaves_the_line_first() -> None:
    held = Held()
    line: Gathering[None] = Gathering(held.store, lanes=1)
    calls = [join(line)]
    await asyncio.sleep(0)
    calls += [join(line, incoming(n)) for n in range(MOST_TOGETHER + 5)]
    calls += [join(line, incoming(999), is_urgent=True)]
    held.may.set()
    await asyncio.gather(*(call.done for call in calls))
    assert [len(group) for group in held.groups] == [1, 1, MOST_TOGETHER, 5]
    assert "person-999" in held.groups[1][0]


def said(person: int, number: int) -> Incoming:
    return Incoming(channel="test", person=f"person-{person}", message_id=f"{person}.{number}", text="hello")


async def test_danger_does_not_overtake_what_the_same_person_wrote_before() -> None:
    """Nor does it make anybody else's words change places who stands in a call with theirs."""
    held = Held()
    line: Gathering[None] = Gathering(held.store, lanes=1)
    calls = [join(line)]
    await asyncio.sleep(0)
    calls += [join(line, said(3, 1)), join(line, said(2, 1)), join(line, said(2, 2), said(1, 1))]
    calls += [join(line, said(4, 1)), join(line, said(1, 2), is_urgent=True), join(line, said(1, 3))]
    held.may.set()
    await asyncio.gather(*(call.done for call in calls))
    order = [[f"{person}.{number}" for person, number in _numbers(group)] for group in held.groups]
    assert order == [[], ["2.1", "2.2", "1.1", "1.2"], ["3.1", "4.1", "1.3"]]


def _numbers(group: list[str]) -> list[tuple[str, str]]:
    return [(found[1], found[2]) for one in group for found in re.finditer(r"'(\d)\.(\d)'", one)]


async def test_two_groups_at_a_time_never_hold_the_same_person() -> None:
    open_now: set[str] = set()
    order: list[str] = []

    async def store(calls: Sequence[Call[None]]) -> None:
        people = {one.person for call in calls for one in call.arrivals}
        assert not people & open_now
        open_now.update(people)
        # The later, the quicker: what is stored beside it would overtake it.
        await asyncio.sleep(0.02 / (1 + len(order)))
        order.extend(one.message_id for call in calls for one in call.arrivals)
        open_now.difference_update(people)

    line: Gathering[None] = Gathering(store)
    calls = []
    for number in range(40):
        calls.append(join(line, said(number % 3, number), is_urgent=number % 5 == 0))
        if number % 4 == 0:
            await asyncio.sleep(0)
    await asyncio.gather(*(call.done for call in calls))
    for person in "012":
        mine = [one for one in order if one.startswith(person)]
        assert mine == [f"{person}.{number}" for number in range(40) if number % 3 == int(person)]


async def test_who_writes_again_in_danger_is_stored_in_the_order_of_writing(world: World) -> None:
    texts = ["all is well", P1]
    await asyncio.gather(
        *(world.core.door.accept([incoming(n)]) for n in range(2 * MOST_TOGETHER)),
        *(
            world.core.door.accept([Incoming("test", "ann", f"ann-{number}", text=one)])
            for number, one in enumerate(texts)
        ),
    )
    async with world.store.read() as connection:
        rows = await connection.execute(
            select(Message.text).where(Message.platform_id.like("ann-%")).order_by(Message.id)
        )
    assert list(rows.scalars()) == texts


async def test_who_hangs_up_before_their_turn_is_not_stored_and_nobody_else_is_lost() -> None:
    held = Held()
    line: Gathering[None] = Gathering(held.store, lanes=1)
    first = join(line)
    await asyncio.sleep(0)
    gone, stays = join(line, incoming(1)), join(line, incoming(2))
    line.leave(gone)
    line.leave(first)  # it has begun: it is stored, and nobody hears of it
    held.may.set()
    await stays.done
    assert [len(group) for group in held.groups] == [1, 1]
    assert "person-2" in held.groups[1][0]


@pytest.mark.parametrize(
    ("error", "alone"),
    [(TogetherError("refused"), True), (ValueError("ours"), True), (StoreUnavailableError("away"), False)],
)
async def test_a_group_is_taken_apart_unless_the_store_is_away(error: Exception, alone: bool) -> None:
    groups: list[int] = []
    may = asyncio.Event()

    async def store(calls: Sequence[Call[None]]) -> None:
        groups.append(len(calls))
        await may.wait()
        if len(calls) > 1:
            raise error

    line: Gathering[None] = Gathering(store, lanes=1)
    calls = [join(line)]
    await asyncio.sleep(0)
    calls += [join(line) for _ in range(3)]
    may.set()
    ended = await asyncio.gather(*(call.done for call in calls), return_exceptions=True)
    assert groups == ([1, 3, 1, 1, 1] if alone else [1, 3])
    assert [one is None for one in ended] == ([True] * 4 if alone else [True, False, False, False])


async def test_answers_stand_back_while_somebody_waits_to_be_stored() -> None:
    held = Held()
    line: Gathering[None] = Gathering(held.store)
    await line.until_calm(60)  # nobody is there
    for _ in range(LANES):
        join(line)
    await asyncio.sleep(0)
    await line.until_calm(60)  # all are being stored, nobody waits
    last = join(line)
    waiting = asyncio.create_task(line.until_calm(60))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await line.until_calm(0.01)  # and for so long at most
    held.may.set()
    await waiting
    await last.done
