"""Asking X: one gateway, at the pace that X allows, and nothing is marked as read that is not stored."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest

from bot.channels.lease import PollLease
from bot.channels.x import pages, polling
from bot.channels.x.inbound import Read
from bot.channels.x.intake import Intake
from bot.conversations.door import Door
from bot.errors import StoreUnavailableError
from bot.messages import Incoming
from bot.store.record import now
from bot.store.tables import Bookmark, Lease, Message
from tests.platforms.x import events
from tests.support.rasa import FAQ
from tests.support.world import ODD, P1, PLAIN
from tests.x.serving import XSide, platform_of, x_side

pytestmark = pytest.mark.integration

BLOCK = "If you or someone else is in danger, call 999 now."


@pytest.fixture
def two(database_url: str) -> Iterator[XSide]:
    """Two gateways on one database, both ready to ask."""
    with x_side(database_url, 2, _mode="poll", lease_seconds=10.0) as found:
        yield found


def bookmark(side: XSide) -> int:
    """How far the record says that X is read."""
    found = side.rows(Bookmark, Bookmark.key == "x.poll")
    return (found[0].place or 0) if found else 0


def read_up_to(side: XSide, mid: str) -> None:
    """Wait until everything up to there is stored."""
    side.until(lambda: bookmark(side) >= int(mid), "the bookmark to move")


def asker(side: XSide) -> str | None:
    """Who asks, as the record has it."""
    rows = side.rows(Lease, Lease.key == "x.poll")
    return rows[0].holder if rows else None


def holder(side: XSide) -> int:
    """Which gateway asks, by its own word."""

    def held() -> list[int]:
        leases = [platform_of(one)._lease for one in side.gateways]
        return [n for n, lease in enumerate(leases) if lease is not None and lease.is_held]

    side.until(held, "a gateway to hold the lease")
    return held()[0]


def stop(side: XSide, number: int, *, cleanly: bool) -> None:
    """End what one gateway does by itself; uncleanly: it gives nothing back."""

    async def cancel() -> None:
        tasks = side.gateways[number].tasks
        dies = mock.patch.object(PollLease, "give_back", mock.AsyncMock())
        with contextlib.nullcontext() if cleanly else dies:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    side.run(cancel())


def test_what_x_lists_is_answered_once(asking: XSide) -> None:
    """However often it is listed; our own answers among it are ours."""
    ann = asking.person()
    asking.inject(ann.says(PLAIN))
    asking.hears(ann, asking.answer(FAQ))
    asking.inject(ann.says(ODD))
    asking.hears(ann, asking.line("not_understood"))
    last = events.new_id()
    bob = asking.person()
    asking.inject(bob.says(ODD))
    read_up_to(asking, last)

    assert [m.text for m in asking.messages(ann.id)] == [PLAIN, ODD]
    assert asking.conversation(ann.id).state == "bot"
    assert len(asking.texts(ann)) == 2
    assert asking.audited(ann.id, "echo.outside") == []


def test_somebody_elses_answer_stops_the_assistant(asking: XSide) -> None:
    """Written in X's own app; the assistant learns of it with the next look."""
    ann = asking.person()
    asking.inject(ann.says(PLAIN))
    asking.hears(ann, asking.answer(FAQ))
    asking.inject(ann.is_told("Hi, this is Pat from the desk"))
    assert asking.becomes(ann.id, "human").owner_outside


def test_a_picture_and_a_group(asking: XSide) -> None:
    """As a webhook would bring them."""
    ann, bob, cid = asking.person(), asking.person(), asking.person()
    asking.inject(ann.sends(events.PHOTO), bob.says(P1, group=True), cid.says(PLAIN, group=True))
    asking.hears(ann, asking.line("cannot_open_image"))
    asking.hears(bob, BLOCK)
    last = events.new_id()
    asking.inject(ann.says(ODD))
    read_up_to(asking, last)

    assert asking.messages(cid.id) == []


def test_the_first_look_goes_back_an_hour_and_no_further(sqlite_url: str) -> None:
    """Nobody expects an answer to last month's message from a new service."""
    with x_side(sqlite_url, _mode="poll", run=False) as side:
        ann, bob = side.person(), side.person()
        side.inject(ann.says(PLAIN, at=time.time() - 50 * 60), bob.says(PLAIN, at=time.time() - 3 * 3600))
        task = side.run(_begin(side))
        side.hears(ann, side.answer(FAQ))
        side.until(lambda: bookmark(side) > 0, "the bookmark")
        assert side.messages(bob.id) == []
        side.run(_end(task))


async def _begin(side: XSide) -> asyncio.Task[None]:
    return asyncio.create_task(side.platform.run(side.first.gateway.parts))


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_one_of_two_gateways_asks(two: XSide) -> None:
    """Every message is answered once."""
    ann = two.person()
    two.inject(ann.says(PLAIN))
    two.hears(ann, two.answer(FAQ))
    two.until(lambda: len(two.asked()) >= 4, "some looks")
    leases = [platform_of(one)._lease for one in two.gateways]

    assert sum(lease is not None and lease.is_held for lease in leases) == 1
    assert len(two.messages(ann.id)) == 1
    assert len(two.texts(ann)) == 1


@pytest.mark.parametrize("cleanly", [True, False], ids=["stopped", "died"])
def test_another_gateway_goes_on_at_the_bookmark(two: XSide, cleanly: bool) -> None:
    """At once after a clean stop, after the lease otherwise; nothing is lost or doubled."""
    ann = two.person()
    before = ann.says("before")
    two.inject(before)
    read_up_to(two, before["id"])
    asked_before = asker(two)
    stop(two, holder(two), cleanly=cleanly)
    two.inject(ann.says(PLAIN))
    two.hears(ann, two.answer(FAQ))

    assert asker(two) != asked_before
    assert [m.text for m in two.messages(ann.id)] == ["before", PLAIN]


def test_no_bookmark_moves_before_the_commit(two: XSide) -> None:
    """A gateway that dies with a message in its hands loses nothing."""
    ann = two.person()
    number = holder(two)
    accept, dead = Door.accept, two.gateways[number].gateway.core.door

    async def dies(door: Door, arrivals: list[Incoming]) -> object:
        if door is dead:
            await asyncio.Event().wait()
        return await accept(door, arrivals)

    with mock.patch.object(Door, "accept", dies):
        event = ann.says(PLAIN)
        two.inject(event)
        two.until(lambda: len([c for c in two.asked() if c["at"] > event["at"]]) >= 1, "a look")
        time.sleep(0.5)
        assert bookmark(two) < int(event["id"])
        stop(two, number, cleanly=False)
        two.hears(ann, two.answer(FAQ))
    read_up_to(two, event["id"])
    assert len(two.messages(ann.id)) == 1


def test_many_pages_come_in_their_order(sqlite_url: str) -> None:
    """X lists the newest first."""
    with mock.patch.object(pages, "PAGE", 3), mock.patch.dict(pages.FIELDS, {"max_results": "3"}):
        with x_side(sqlite_url, _mode="poll", run=False) as side:
            ann = side.person()
            at = time.time() - 60
            side.inject(*(ann.says(f"number {n}", at=at + n) for n in range(10)))
            task = side.run(_begin(side))
            stored = side.stored(ann.id, 10)
            assert [m.text for m in stored] == [f"number {n}" for n in range(10)]
            assert not any(m.late for m in stored)
            side.run(_end(task))


def test_a_limit_in_the_middle_leaves_a_gap_that_is_read_later(sqlite_url: str) -> None:
    """What was read counts at once, for somebody may be in danger; the bookmark waits for the rest."""
    with mock.patch.dict(pages.FIELDS, {"max_results": "3"}):
        with x_side(sqlite_url, _mode="poll", run=False) as side:
            ann, bob = side.person(), side.person()
            at = time.time() - 60
            old = [ann.says(f"text {n}", at=at + n) for n in range(8)]
            side.inject(*old, bob.says(P1, at=at + 9))
            side.mode(echoes=False)
            side.limit("2/dm_events", 3, 2, 8)
            task = side.run(_begin(side))
            side.hears(bob, BLOCK)
            first = [m.text for m in side.messages(ann.id)]
            assert "text 0" not in first
            assert bookmark(side) < int(old[0]["id"])

            side.until(lambda: len(side.messages(ann.id)) == 8, "the rest")
            assert sorted(m.text for m in side.messages(ann.id)) == [f"text {n}" for n in range(8)]
            read_up_to(side, old[-1]["id"])
            side.run(_end(task))


def test_a_page_whose_mark_x_has_forgotten_is_read_from_the_start(sqlite_url: str) -> None:
    """Nothing below it is lost, and the bookmark has waited."""
    with mock.patch.dict(pages.FIELDS, {"max_results": "3"}):
        with x_side(sqlite_url, _mode="poll", run=False) as side:
            ann = side.person()
            at = time.time() - 60
            old = [ann.says(f"text {n}", at=at + n) for n in range(8)]
            side.inject(*old)
            side.mode(echoes=False, stale_pages=True)
            side.limit("2/dm_events", 3, 2, 3)
            task = side.run(_begin(side))
            side.stored(ann.id, 6)
            side.until(lambda: len(side.asked()) >= 3, "the limit")
            assert bookmark(side) == 0
            side.set_state(limits={})

            side.stored(ann.id, 8)
            read_up_to(side, old[-1]["id"])
            assert sorted(m.text for m in side.messages(ann.id)) == [f"text {n}" for n in range(8)]
            side.run(_end(task))


def test_an_answer_of_somebody_else_s_in_the_same_look_counts_before_ours(sqlite_url: str) -> None:
    """After an outage a look finds hundreds: theirs may stand far behind the question that it answers."""
    take = Intake.take

    async def slowly(intake: Intake, read: Read) -> None:
        await take(intake, read)
        await asyncio.sleep(1)

    with mock.patch.object(polling, "TOGETHER", 2), mock.patch.object(Intake, "take", slowly):
        with x_side(sqlite_url, _mode="poll", run=False) as side:
            ann, others = side.person(), [side.person() for _ in range(4)]
            at = time.time() - 60
            side.inject(ann.says(PLAIN, at=at), *(one.says(ODD, at=at + 1) for one in others))
            side.inject(
                {**ann.is_told("Hi, this is Pat from the desk"), "id": events.new_id(at + 2), "at": at + 2}
            )
            task = side.run(_begin(side))
            row = side.becomes(ann.id, "human")
            side.until(lambda: all(side.messages(one.id) for one in others), "all to be stored")
            side.handled(ann.id)
            assert row.owner_outside
            assert side.texts(ann) == []
            side.run(_end(task))


def test_the_looks_that_are_left_are_spread(sqlite_url: str) -> None:
    """And a window that is used up is waited for."""
    with x_side(sqlite_url, _mode="poll", run=False) as side:
        side.limit("2/dm_events", 4, 4, 12)
        task = side.run(_begin(side))
        side.until(lambda: len(side.asked()) >= 4, "four looks")
        at = [call["at"] for call in side.asked()]
        # Twelve seconds, four looks: about three seconds between two of them.
        assert all(later - earlier >= 2 for earlier, later in itertools.pairwise(at))
        side.run(_end(task))


def test_store_down_the_words_leave_once_and_no_bookmark_moves(asking: XSide) -> None:
    """The gateway that looked last reads on; it is all stored when the database is back."""
    ann, bob, first = asking.person(), asking.person(), asking.person()
    event = first.says("hello there")
    asking.inject(event)
    read_up_to(asking, event["id"])
    asking.first.break_store()
    danger = ann.says(P1)
    asking.inject(danger, bob.says(PLAIN))
    asking.hears(ann, BLOCK)
    seen = len(asking.asked())
    asking.until(lambda: len(asking.asked()) >= seen + 3, "more looks")
    assert len([t for t in asking.texts(ann) if BLOCK in t]) == 1
    assert asking.texts(bob) == []

    asking.first.mend_store()
    asking.hears(bob, asking.answer(FAQ))
    asking.until(lambda: [m.text for m in asking.messages(ann.id)] == [P1], "it to be stored")
    read_up_to(asking, danger["id"])
    assert asking.audited(ann.id, "echo.outside") == asking.audited(bob.id, "echo.outside") == []


def test_without_the_database_danger_behind_many_others_is_found(sqlite_url: str) -> None:
    """That the first of them cannot be kept says nothing of who comes behind."""
    with mock.patch.object(polling, "TOGETHER", 2), x_side(sqlite_url, _mode="poll", run=False) as side:
        side.first.break_store()
        many, ann = [side.person() for _ in range(5)], side.person()
        side.inject(*(one.says(PLAIN) for one in many), ann.says(P1))
        task = side.run(_begin(side))
        side.hears(ann, BLOCK)
        side.first.mend_store()
        side.until(lambda: all(side.messages(one.id) for one in [*many, ann]), "all to be stored")
        side.run(_end(task))


def test_without_the_database_x_is_not_asked_before_its_time(sqlite_url: str) -> None:
    """It said how long to wait; a look in between would be refused, and counted against us."""
    with x_side(sqlite_url, _mode="poll", run=False) as side:
        ann = side.person()
        side.inject(ann.says(P1))
        side.mode(echoes=False)
        until = math.ceil(time.time()) + 12
        headers = {"x-rate-limit-remaining": "0", "x-rate-limit-reset": str(until)}
        side.faults({"path": "2/dm_events", "kind": "429", "headers": headers})
        task = side.run(_begin(side))
        side.until(lambda: len(side.asked()) >= 1, "the look that is refused")
        side.first.break_store()
        side.hears(ann, BLOCK)
        assert all(call["at"] >= until - 0.5 for call in side.asked()[1:])
        side.first.mend_store()
        side.run(_end(task))


def test_a_gateway_that_never_saw_the_database_reads_for_danger(sqlite_url: str) -> None:
    """It cannot know of anybody else who would."""
    with x_side(sqlite_url, _mode="poll", run=False) as side:
        side.first.break_store()
        ann = side.person()
        side.inject(ann.says(P1))
        task = side.run(_begin(side))
        side.hears(ann, BLOCK)
        side.first.mend_store()
        side.until(lambda: [m.text for m in side.messages(ann.id)] == [P1], "it to be stored")
        side.run(_end(task))


def test_a_gateway_that_did_not_look_waits_and_then_reads_too(two: XSide) -> None:
    """The one that did may have died with the database. A repeat is allowed, a gap is not."""
    number = holder(two)
    other = 1 - number
    with mock.patch.object(polling, "STRANGER_SECONDS", 2.0):
        stop(two, number, cleanly=False)
        two.gateways[other].break_store()
        two.gateways[number].break_store()
        ann = two.person()
        two.inject(ann.says(P1))
        two.hears(ann, BLOCK)
    two.gateways[number].mend_store()
    two.gateways[other].mend_store()
    two.until(lambda: [m.text for m in two.messages(ann.id)] == [P1], "it to be stored")


@pytest.mark.parametrize("kind", ["500", "503", "cut", "garbage", "401", "type:client-forbidden"])
def test_a_look_that_fails_is_made_again(asking: XSide, kind: str) -> None:
    """Nothing is lost meanwhile."""
    ann = asking.person()
    with mock.patch.object(polling, "REFUSED_SECONDS", 1.0):
        asking.fault(kind, path="2/dm_events", times=2)
        asking.inject(ann.says(PLAIN))
        asking.hears(ann, asking.answer(FAQ))
    assert len(asking.messages(ann.id)) == 1


def test_what_no_call_brought_is_found(sqlite_url: str) -> None:
    """X calls us, as it says; a look now and again shows whether it does."""
    short = (
        mock.patch.object(polling, "SWEEP_SECONDS", 1.0),
        mock.patch.object(polling, "CALL_WITHIN", timedelta(seconds=1)),
        mock.patch.object(polling, "REFUSED_SECONDS", 1.0),
    )
    with contextlib.ExitStack() as stack:
        for one in short:
            stack.enter_context(one)
        side = stack.enter_context(x_side(sqlite_url))
        ann = side.person()
        side.inject(ann.says(PLAIN))
        side.hears(ann, side.answer(FAQ))
        assert trouble(side) is None
        side.mode(calls=False)
        side.inject(ann.says(ODD))
        side.hears(ann, side.line("not_understood"))
        side.inject(ann.says(ODD))
        side.until(lambda: trouble(side) == polling.MISSED or _again(side, ann), "it to be noticed")
        side.mode()
        side.inject(ann.says(PLAIN))
        side.hears(ann, side.answer(FAQ), times=2)


def _again(side: XSide, ann: Any) -> bool:
    side.inject(ann.says(ODD, at=time.time() - 1.5))
    return False


def trouble(side: XSide) -> str | None:
    """What the record says of X's calls."""
    found = side.rows(Bookmark, Bookmark.key == "x.webhook")
    return found[0].trouble if found else None


async def test_a_bookmark_never_goes_back(asking: XSide) -> None:
    """Whoever was slower."""
    state = platform_of(asking.first)._state
    assert state is not None
    held = bookmark(asking)
    asking.run(state.works("poll", held + 10))
    asking.run(state.works("poll", held))
    assert bookmark(asking) >= held + 10
    asking.first.break_store()
    with pytest.raises(StoreUnavailableError):
        asking.run(state.bookmark())
    asking.first.mend_store()
    assert asking.rows(Message, Message.received_at > now()) == []
