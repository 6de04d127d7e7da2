"""P1 messages that the door cannot store leave at once, from memory, and are put on record later."""

from __future__ import annotations

import threading
from typing import Any, NoReturn

import pytest

from bot.conversations.door import DoorClosedError
from bot.errors import StoreUnavailableError
from bot.store.tables import Alarm, AlarmAttempt
from tests.alarms.conftest import Make, calls_end, look, until
from tests.alarms.outside import Mailbox, Receiver
from tests.support.world import P1, P1_OTHER, P3, World

pytestmark = pytest.mark.integration


class Away:
    """The database: gone, until it is back."""

    def __init__(self, world: World, patch: pytest.MonkeyPatch) -> None:
        def down(**_options: object) -> NoReturn:
            raise StoreUnavailableError("away")

        self._patch = patch
        patch.setattr(world.store, "write", down)
        patch.setattr(world.store, "read", down)

    def back(self) -> None:
        """It answers again."""
        self._patch.undo()


async def knock(world: World, *texts: str, person: str = "ann") -> None:
    """Messages that the door has to turn away."""
    for text in texts:
        with pytest.raises(DoorClosedError):
            await world.take(world.incoming(text, person))


def plug(world: World, alarms: Any) -> None:
    """Let the world's door tell these alarms."""
    world.core.door._on_unstored = alarms.unstored


async def told(alarms: Any) -> None:
    alarms.tell_unstored()
    await calls_end(alarms)


async def test_it_leaves_at_once_by_both_paths_and_is_recorded_later(
    world: World, make: Make, receiver: Receiver, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarms = make()
    plug(world, alarms)
    database = Away(world, monkeypatch)
    await knock(world, P1)
    await told(alarms)
    assert [(call["kind"], call["count"], call["grade"]) for call in receiver.taken] == [
        ("unstored", 1, "P1")
    ]
    assert mailbox.subjects == ["ALARM: 1 P1 message that no desk can see"]
    database.back()
    await look(alarms)
    assert not await world.rows(Alarm)  # the minute is not calm yet
    world.move(seconds=61)
    await look(alarms)
    await look(alarms)
    (alarm,) = await world.rows(Alarm)
    assert (alarm.kind, alarm.detail["count"], alarm.detail["categories"]) == ("unstored", 1, {"R09": 1})
    assert alarm.settled_at is not None
    assert {(a.path, a.result) for a in await world.rows(AlarmAttempt)} == {
        ("mail", "taken"),
        ("webhook", "taken"),
    }
    assert len(receiver.taken) == 1


async def test_the_same_message_again_is_told_once(
    world: World, make: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarms = make()
    plug(world, alarms)
    Away(world, monkeypatch)
    message = world.incoming(P1)
    for _ in range(5):
        with pytest.raises(DoorClosedError):
            await world.take(message)
        await told(alarms)
    world.move(seconds=90)
    await told(alarms)
    assert [call["count"] for call in receiver.taken] == [1]


async def test_what_is_no_p1_rings_nowhere(
    world: World, make: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarms = make()
    plug(world, alarms)
    Away(world, monkeypatch)
    await knock(world, P3)
    await told(alarms)
    assert not receiver.taken


async def test_an_hour_of_outage_makes_digests_and_never_silence(
    world: World, make: Make, receiver: Receiver, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three hundred messages in an hour; 60 minutes, and no more calls than a digest a minute each."""
    alarms = make()
    plug(world, alarms)
    Away(world, monkeypatch)
    for number in range(300):
        alarms.unstored("test", "R09" if number % 2 else "R02", number)
        await told(alarms)
        world.move(seconds=12)
    await told(alarms)
    first = [call for call in receiver.taken if call["level"] == 1]
    second = [call for call in receiver.taken if call["level"] == 2]
    for calls in (first, second):
        assert 55 <= len(calls) <= 62
        counts = [call["count"] for call in calls]
        assert counts == sorted(counts)
        assert counts[-1] >= 295
    assert first[0]["count"] == 1
    assert len(mailbox.raw) == len(receiver.taken)
    # With no new message, the last level goes on hearing of it.
    before = len(receiver.taken)
    for _ in range(4):
        world.move(minutes=5)
        await told(alarms)
    assert len(receiver.taken) >= before + 4


async def test_it_is_tried_until_taken_while_all_is_down(
    world: World, make: Make, receiver: Receiver, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarms = make()
    plug(world, alarms)
    Away(world, monkeypatch)
    mailbox.stop()
    receiver.answers.extend([503, 503, 503])
    await knock(world, P1, P1_OTHER)
    for _ in range(10):
        await told(alarms)
        world.move(seconds=5)
    assert [call["count"] for call in receiver.taken] == [2]
    assert not mailbox.raw
    mailbox.start()
    world.move(seconds=61)
    await told(alarms)
    assert mailbox.subjects == ["ALARM: 2 P1 messages that no desk can see"]


async def test_what_memory_could_not_tell_is_told_from_the_record(
    world: World, make: Make, receiver: Receiver, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mail server comes back after the database; by then another gateway does it."""
    alarms, other = make("g1"), make("g2")
    plug(world, alarms)
    database = Away(world, monkeypatch)
    mailbox.stop()
    await knock(world, P1)
    await told(alarms)
    database.back()
    world.move(seconds=61)
    await look(alarms)
    (alarm,) = await world.rows(Alarm)
    assert alarm.settled_at is None
    await alarms.stop(1)
    mailbox.start()
    world.move(seconds=30)
    await look(other)
    await look(other)
    assert mailbox.subjects == ["ALARM: 1 P1 message that no desk can see"]
    assert (await world.rows(Alarm))[0].settled_at is not None


async def test_chats_that_waited_unseen_are_told_when_the_database_goes(
    world: World, make: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarms = make(poll_seconds=0.05)
    await world.say(P1)
    await look(alarms)
    Away(world, monkeypatch)
    alarms.start(scan=True)
    await until(lambda: alarms._away_since is not None)
    assert not receiver.taken
    world.move(seconds=61)
    await until(lambda: receiver.taken)
    assert [call["kind"] for call in receiver.taken] == ["unstored"]


async def test_safety_words_do_not_wait_for_an_alarm(
    world: World, make: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receiver takes its time; the words are with the person before it answers."""
    alarms = make(poll_seconds=0.05)
    plug(world, alarms)
    Away(world, monkeypatch)
    slow = threading.Event()
    receiver.answers.append(slow)
    alarms.start(scan=False)
    await knock(world, P1)
    assert world.texts() == [world.words("R09", "P1")]
    assert not receiver.taken
    slow.set()
    await until(lambda: receiver.taken)
