"""Long polling: one gateway asks, confirms only what is stored, and another takes over."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Iterator
from unittest import mock

import pytest

from bot.channels.lease import PollLease
from bot.channels.telegram import polling
from bot.conversations.door import Door
from bot.errors import StoreUnavailableError
from bot.messages import Incoming
from bot.store import Store
from bot.store.tables import Lease, Message
from tests.platforms.telegram import updates
from tests.support.databases import SqliteTemplates
from tests.support.rasa import FAQ
from tests.support.world import P1, PLAIN
from tests.telegram.serving import OneGateway, Side, telegram_side

pytestmark = pytest.mark.integration

BLOCK = "If you or someone else is in danger, call 999 now."


@pytest.fixture
def two(database_url: str) -> Iterator[Side]:
    """Two gateways on one database, both ready to ask."""
    with telegram_side(database_url, "poll", 2, lease_seconds=10.0) as found:
        yield found


@pytest.fixture
def one(sqlite_templates: SqliteTemplates) -> Iterator[Side]:
    """One gateway that polls."""
    with telegram_side(sqlite_templates.fresh(), "poll") as found:
        yield found


def holder(side: Side) -> str | None:
    """Who holds the lease."""
    rows = side.rows(Lease)
    return rows[0].holder if rows else None


def poller(side: Side) -> int:
    """Which gateway holds the lease, by its own word."""
    side.until(lambda: any(_holds(g) for g in side.gateways), "a gateway to hold the lease")
    return next(n for n, gateway in enumerate(side.gateways) if _holds(gateway))


def _holds(gateway: OneGateway) -> bool:
    lease = gateway.telegram._lease
    return lease is not None and lease.is_held


def stop(side: Side, number: int, *, cleanly: bool = True) -> None:
    """End the poller of one gateway; uncleanly: it gives nothing back."""

    async def cancel() -> None:
        tasks = side.gateways[number].tasks
        dies = mock.patch.object(PollLease, "give_back", mock.AsyncMock())
        with contextlib.nullcontext() if cleanly else dies:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    side.run(cancel())


async def test_one_of_many_holds_the_lease(store: Store) -> None:
    """And it changes hands only when it has run out or was given back; each time the counter grows."""
    leases = [PollLease(store, "telegram", f"gateway-{n}", 30) for n in range(8)]
    won = await asyncio.gather(*(lease.hold() for lease in leases))
    assert won.count(True) == 1
    first = leases[won.index(True)]
    other = leases[won.index(False)]
    assert await first.hold()
    assert not await other.hold()

    await first.give_back()
    assert not first.is_held
    assert await other.hold()
    assert not await first.hold()


async def test_a_lease_that_ran_out_is_lost(store: Store) -> None:
    """Whoever slept too long finds out when it wants to renew."""
    slow, quick = PollLease(store, "telegram", "slow", -1), PollLease(store, "telegram", "quick", 30)
    assert await slow.hold()
    assert await quick.hold()
    assert not await slow.hold()
    assert not slow.is_held


def test_one_of_two_gateways_asks(two: Side) -> None:
    """Telegram never sees two at once, and every message is answered."""
    ann = two.person()
    two.inject(ann.says(PLAIN))
    two.hears(ann, two.answer(FAQ))
    two.until(lambda: len(two.calls("getUpdates")) >= 5, "some questions")

    assert holder(two) is not None
    assert sum(_holds(gateway) for gateway in two.gateways) == 1
    assert not any(call.get("drop_pending_updates") for call in two.calls("deleteWebhook"))
    assert len(two.messages(ann)) == 1


@pytest.mark.parametrize("cleanly", [True, False], ids=["stopped", "died"])
def test_another_gateway_takes_over(two: Side, cleanly: bool) -> None:
    """At once after a clean stop, after the lease otherwise; nothing is lost or doubled."""
    ann = two.person()
    two.inject(ann.says("before"))
    two.stored(ann)
    first = holder(two)
    number = poller(two)
    stop(two, number, cleanly=cleanly)
    two.inject(ann.says(PLAIN))
    two.hears(ann, two.answer(FAQ))

    assert holder(two) != first
    assert [m.text for m in two.messages(ann)] == ["before", PLAIN]


def test_what_was_stored_and_not_confirmed_comes_again_and_is_dropped(two: Side) -> None:
    """The next gateway is given the same updates."""
    ann = two.person()
    (number,) = two.inject(ann.says(PLAIN, message_id=9))
    two.hears(ann, two.answer(FAQ))
    two.taken()
    two.inject({"update_id": number, **ann.says(PLAIN, message_id=9)})
    two.taken()

    assert len(two.messages(ann)) == 1


def test_nothing_is_confirmed_before_it_is_stored(one: Side) -> None:
    """Telegram keeps what we could not keep, in order, behind what we could."""
    ann = one.person()
    one.first.break_store()
    one.inject(*(ann.says(f"message {n}") for n in range(5)))
    asked = len(one.calls("getUpdates"))
    one.until(lambda: len(one.calls("getUpdates")) >= asked + 2, "it to be asked for again")
    offsets = {c.get("offset") for c in one.calls("getUpdates")}
    assert one.state()["pending"] == 5
    one.first.mend_store()
    one.taken()

    assert len(offsets) == 1
    assert [m.text for m in one.stored(ann, 5)] == [f"message {n}" for n in range(5)]


def test_a_quiet_week_loses_nothing(one: Side) -> None:
    """After it Telegram's numbers begin anew, and may be lower: what was asked above is not asked again."""
    ann = one.person()
    one.inject({"update_id": 900_000_000, **ann.says("before the week")})
    one.stored(ann)
    one.taken()
    asked = len(one.calls("getUpdates"))
    one.until(lambda: len(one.calls("getUpdates")) >= asked + 2, "two more questions")
    one.inject({"update_id": 5, **ann.says(PLAIN)})
    one.hears(ann, one.answer(FAQ))

    assert [m.text for m in one.messages(ann)] == ["before the week", PLAIN]


def test_while_the_database_is_away_the_poller_takes_its_time(one: Side) -> None:
    """Telegram gives unconfirmed updates at once every time: no circle without a pause."""
    ann = one.person()
    one.until(lambda: one.calls("getUpdates"), "the first question")
    one.first.break_store()
    one.inject(ann.says(P1))
    one.hears(ann, BLOCK)
    asked = [c["at"] for c in one.calls("getUpdates")]
    one.until(lambda: len(one.calls("getUpdates")) >= len(asked) + 3, "three more questions")
    times = [c["at"] for c in one.calls("getUpdates")][len(asked) :]

    assert all(later - earlier >= 1.5 for earlier, later in itertools.pairwise(times))
    assert len([t for t in one.texts(ann) if BLOCK in t]) == 1


def test_a_gateway_that_knows_another_holder_waits_while_the_database_is_away(two: Side) -> None:
    """One reads on; two would only end each other's questions."""
    ann = two.person()
    two.until(lambda: holder(two), "a holder")
    two.inject(ann.says("hello"))
    two.stored(ann)
    two.taken()
    for gateway in two.gateways:
        gateway.break_store()
    two.inject(ann.says(P1))
    two.hears(ann, BLOCK)
    asked = len(two.calls("getUpdates"))
    two.until(lambda: len(two.calls("getUpdates")) >= asked + 2, "more questions")
    assert len([t for t in two.texts(ann) if BLOCK in t]) == 1
    for gateway in two.gateways:
        gateway.mend_store()
    two.taken()

    assert [m.text for m in two.messages(ann)] == ["hello", P1]


def test_when_the_holder_dies_with_the_database_another_reads(two: Side) -> None:
    """Whoever is in danger must not wait for an operator."""
    ann = two.person()
    two.until(lambda: holder(two), "a holder")
    with mock.patch.object(polling, "STRANGER_SECONDS", 1.0):
        number = poller(two)
        for gateway in two.gateways:
            gateway.break_store()
        stop(two, number, cleanly=False)
        two.inject(ann.says(P1))
        two.hears(ann, BLOCK)
    for gateway in two.gateways:
        gateway.mend_store()
    two.taken()

    assert [m.text for m in two.stored(ann)] == [P1]


def test_a_start_without_a_database_reads_for_words_of_danger(sqlite_templates: SqliteTemplates) -> None:
    """Nobody can hold a lease then; several gateways sort it out by 409, and nothing is confirmed."""
    broken = [mock.patch.object(Store, way, side_effect=_away) for way in ("read", "write")]
    url = sqlite_templates.fresh()
    for patch in broken:
        patch.start()
    try:
        with telegram_side(url, "poll", 2) as side:
            ann = side.person()
            side.inject(ann.says(P1))
            side.hears(ann, BLOCK)
            assert side.state()["pending"] == 1
            mock.patch.stopall()
            side.taken()
            assert [m.text for m in side.stored(ann)] == [P1]
    finally:
        mock.patch.stopall()


def _away(*_args: object, **_options: object) -> object:
    raise StoreUnavailableError("away for a test")


def test_a_webhook_of_before_is_ended_without_dropping_anything(one: Side) -> None:
    """Somebody set one again: 409 says so, and what waits there arrives."""
    one.until(lambda: one.calls("getUpdates"), "the first question")
    one.http.post("/bot4242424242:AAH-loopback_token_that_nobody_may_see/setWebhook",
                  json={"url": "https://elsewhere.example/hook"}).raise_for_status()  # fmt: skip
    ann = one.person()
    one.inject(ann.says(PLAIN))
    one.hears(ann, one.answer(FAQ))

    assert len(one.calls("deleteWebhook")) >= 2


def test_somebody_else_who_polls_does_not_stop_us_for_good(one: Side) -> None:
    """409 now and then: we step back a little, and go on."""
    one.fault("getUpdates", "409", times=3)
    ann = one.person()
    one.inject(ann.says(PLAIN))
    one.hears(ann, one.answer(FAQ))

    assert len(one.messages(ann)) == 1


@pytest.mark.parametrize("kind", ["502", "429", "cut", "garbage", "hang"])
def test_telegram_away_is_waited_for(one: Side, kind: str) -> None:
    """And what was written meanwhile arrives."""
    one.fault("getUpdates", kind, times=2, seconds=1)
    ann = one.person()
    one.inject(ann.says(PLAIN))
    one.hears(ann, one.answer(FAQ))

    assert len(one.messages(ann)) == 1


def test_a_poison_update_does_not_block_the_line(one: Side) -> None:
    """One that the library cannot read, one that is none, one that the door cannot take."""
    ann, bob = one.person(), one.person()
    broken = ann.message(message_id=3, text="entities are wrong")
    broken["message"]["entities"] = 7
    accept = Door.accept

    async def choke(self: Door, arrivals: list[Incoming]) -> object:
        if any(getattr(a, "text", "") == "choke" for a in arrivals):
            raise ValueError("something of the door's")
        return await accept(self, arrivals)

    with mock.patch.object(Door, "accept", choke):
        one.inject(broken, {"message": {"nonsense": True}}, bob.says("choke"), ann.says(PLAIN))
        one.hears(ann, one.answer(FAQ))
        one.taken()

    assert [m.text for m in one.messages(ann)] == ["entities are wrong", PLAIN]
    assert [(m.kind, m.text) for m in one.messages(bob)] == [("unsupported", "")]


def test_words_of_danger_leave_for_a_message_that_the_door_cannot_take(one: Side) -> None:
    bob = one.person()
    accept = Door.accept

    async def choke(self: Door, arrivals: list[Incoming]) -> object:
        if any(getattr(a, "text", "") == P1 for a in arrivals):
            raise ValueError("something of the door's")
        return await accept(self, arrivals)

    with mock.patch.object(Door, "accept", choke):
        one.inject(bob.says(P1))
        # The words of its category: the line on 999 alone stands in other answers too.
        one.hears(bob, "can all be reached on 999")
        one.taken()
    assert [(m.kind, m.text) for m in one.stored(bob)] == [("unsupported", "")]


def test_a_backlog_is_read_through(one: Side) -> None:
    """More than one answer of Telegram's holds."""
    people = [one.person() for _ in range(30)]
    one.inject(*(p.message(**updates.STICKER) for p in people for _ in range(8)))
    one.taken()

    assert len(one.rows(Message)) == 240
