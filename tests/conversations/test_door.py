"""What arrives: kept once, screened, and answered with safety words before anything else."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

import pytest
from sqlalchemy import text as sql

from bot.conversations import door as door_module
from bot.conversations.door import DoorClosedError
from bot.conversations.transcript import read_public, read_transcript
from bot.errors import RejectedError, StoreUnavailableError
from bot.messages import Receipt
from bot.store import Store
from bot.store.record import now
from bot.store.tables import Due, Message, Outbox
from tests.support.channel import Fault
from tests.support.world import INCIDENT, P1, P1_OTHER, P2_HIDDEN, P3, PLAIN, World

pytestmark = pytest.mark.integration


async def test_a_repeat_is_acknowledged_and_dropped(world: World) -> None:
    incoming = world.incoming(P1)
    (first,) = await world.take(incoming)
    (second,) = await world.take(incoming)
    both = await world.take(incoming, incoming)
    await world.settle()
    assert not first.repeated
    assert [second.repeated, *(a.repeated for a in both)] == [True, True, True]
    assert len(await world.messages()) == 1
    assert world.heard().count(world.words("R09", "P1")) == 1


async def test_a_batch_is_kept_in_any_order_and_number(world: World) -> None:
    batch = [world.incoming(f"hello {n}", person) for n in range(6) for person in ("ann", "bob")]
    shuffled = batch * 3
    random.Random(7).shuffle(shuffled)
    for start in range(0, len(shuffled), 5):
        await world.take(*shuffled[start : start + 5])
    await world.settle()
    kept = [row.platform_id for row in await world.rows(Message)]
    assert sorted(kept) == sorted(incoming.message_id for incoming in batch)


async def test_safety_words_leave_without_a_turn(world: World) -> None:
    await world.take(world.incoming(P1))
    await world.send()
    assert world.texts()[0] == world.words("R09", "P1")
    assert world.texts()[0].startswith(world.line("block_999"))


async def test_the_truth_about_a_person_follows_the_words(world: World) -> None:
    await world.say(P1)
    assert world.heard() == [world.words("R09", "P1"), world.line("queued_off_shift")]
    mod = await world.hire("mo", teams=["control_room"])
    await world.sit(mod)
    await world.say(P1, "bob")
    handover = world.core.screen.words("R09").handover
    assert world.heard("bob") == [world.words("R09", "P1"), handover]


@pytest.mark.parametrize(
    ("earlier", "newest", "category"),
    [(["i want to end"], "my life", "R02"), (["he has got a"], "knife", "R08")],
)
async def test_a_split_sentence_is_read_as_one(
    world: World, earlier: list[str], newest: str, category: str
) -> None:
    for text in earlier:
        await world.say(text)
    assert (await world.conversation()).grade is None
    await world.say(newest)
    row = await world.conversation()
    assert (row.grade, row.state) == ("P1", "waiting")
    assert category in {reason["category"] for reason in row.reasons}


async def test_a_split_sentence_is_joined_across_conversations_for_ten_minutes(world: World) -> None:
    mod = await world.hire("mo")
    await world.say("i want to end")
    row = await world.core.desk.escalate((await world.conversation()).id, mod, "have a look")
    await world.core.desk.claim(row.id, mod, row.epoch)
    await world.core.desk.close(row.id, mod, "no_reply", incident=INCIDENT)
    world.move(minutes=9)
    await world.say("my life")
    after = await world.conversation()
    assert after.id != row.id
    assert after.grade == "P1"
    await world.say("i want to end", "bob")
    world.move(minutes=10, seconds=1)
    await world.say("my life", "bob")
    assert (await world.conversation("bob")).grade != "P1"


async def test_nobodys_words_are_joined_with_anothers(world: World) -> None:
    await world.say("i want to end", "ann")
    await world.say("my life", "bob")
    assert (await world.conversation("bob")).grade != "P1"


# ---- I6: repeats of safety words ---------------------------------------------------------------


async def test_words_are_not_repeated_for_ten_minutes_from_sending(world: World) -> None:
    words = world.words("R09", "P1")
    await world.say(P1)
    assert words in world.heard()
    world.move(minutes=9, seconds=59)
    await world.say(P1)
    assert words not in world.heard()
    world.move(minutes=10)
    await world.say(P1)
    assert words in world.heard()


async def test_ten_minutes_count_from_when_they_were_sent(world: World) -> None:
    from bot.errors import RetryLaterError

    world.channel.fail_next(Fault(RetryLaterError("busy", 300)))
    await world.say(P1)
    await world.tick(minutes=5, seconds=1)
    assert world.words("R09", "P1") in world.heard()
    world.move(minutes=6)
    await world.say(P1)
    assert world.words("R09", "P1") not in world.heard()


async def test_words_that_failed_go_again_at_once(world: World) -> None:
    world.channel.fail_next(Fault(RejectedError("no")))
    await world.say(P1)
    assert world.words("R09", "P1") not in world.heard()
    await world.say(P1)
    assert world.words("R09", "P1") in world.heard()


async def test_no_words_within_two_minutes_of_a_staff_reply(world: World) -> None:
    mod = await world.hire("mo")
    row = await world.owned(mod, P1)
    world.move(minutes=11)
    await world.core.desk.reply(row.id, mod, "We are with you.")
    await world.settle()
    world.heard()
    world.move(minutes=1, seconds=59)
    await world.say(P1)
    assert world.heard() == []
    world.move(seconds=2)
    await world.say(P1)
    assert len(world.heard()) == 1


async def test_a_new_category_gets_its_words_at_once(world: World) -> None:
    mod = await world.hire("mo")
    row = await world.owned(mod, P1)
    await world.core.desk.reply(row.id, mod, "We are with you.")
    await world.settle()
    world.heard()
    await world.say(P1_OTHER)
    heard = world.heard()
    assert len(heard) == 1
    assert all(line in heard[0] for line in world.core.screen.words("R02").safety[:1])


async def test_a_rise_gets_its_words_at_once(world: World) -> None:
    mod = await world.hire("mo", teams=["safeguarding"])
    row = await world.owned(mod, P2_HIDDEN)
    await world.core.desk.reply(row.id, mod, "We are with you.")
    await world.settle()
    world.heard()
    await world.say("my ex has a knife at my door")
    heard = world.heard()
    assert heard
    assert heard[0].startswith(world.line("block_999"))


async def test_safety_words_go_out_in_every_state(world: World) -> None:
    mod, boss = await world.hire("mo"), await world.hire("su", "supervisor")
    words = world.words("R09", "P1")
    await world.say(P1, "bot")
    await world.say(P3, "waits")
    await world.say(P1, "waits")
    await world.owned(mod, P3, "owned")
    await world.say(P1, "owned")
    row = await world.owned(mod, P3, "ended")
    await world.core.desk.close(row.id, mod, "answered", incident=INCIDENT)
    await world.say(P1, "ended")
    await world.say("hello", "blocked")
    await world.core.desk.block((await world.conversation("blocked")).id, boss, True, "rude to us")
    await world.say(P1, "blocked")
    for person in ("bot", "waits", "owned", "ended", "blocked"):
        assert words in world.texts(person), person


# ---- the store is away --------------------------------------------------------------------------


class Broken(Exception):
    pass


async def test_store_down_sends_p1_words_directly_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(**_options: object) -> None:
        raise StoreUnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "write", down)
        urgent, plain, less = (
            world.incoming(P1),
            world.incoming(PLAIN, "bob"),
            world.incoming(P2_HIDDEN, "cat"),
        )
        for _ in range(3):
            with pytest.raises(DoorClosedError) as refused:
                await world.take(urgent, plain, less)
            assert refused.value.words == {urgent.message_id: world.words("R09", "P1")}
        assert world.texts() == [world.words("R09", "P1")]
        assert world.texts("bob") == world.texts("cat") == []
    accepted = await world.take(urgent, plain, less)
    assert [a.repeated for a in accepted] == [False] * 3
    await world.settle()
    assert (await world.conversation()).grade == "P1"


async def test_direct_words_that_fail_are_tried_at_the_next_delivery(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(**_options: object) -> None:
        raise StoreUnavailableError("away")

    monkeypatch.setattr(world.store, "write", down)
    world.channel.fail_next(Fault(RejectedError("no")))
    incoming = world.incoming(P1)
    for _ in range(3):
        with pytest.raises(DoorClosedError):
            await world.take(incoming)
    assert world.texts() == [world.words("R09", "P1")]
    assert len(world.channel.calls) == 2


async def test_a_database_that_hangs_holds_back_nobody_in_danger(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words leave past it; what it takes in the end is stored once, and gets its turn."""
    monkeypatch.setattr(door_module, "PATIENCE_SECONDS", 0.2)
    await world.say(PLAIN, "bob")
    world.heard("bob")
    urgent = world.incoming(P1)
    other = Store(world.store.url.render_as_string(hide_password=False))
    try:
        async with other.write() as connection:
            if not other.is_sqlite:
                await connection.execute(sql("LOCK TABLE message IN ACCESS EXCLUSIVE MODE"))
            with pytest.raises(DoorClosedError) as refused:
                await world.take(urgent)
            assert refused.value.words == {urgent.message_id: world.words("R09", "P1")}
            assert world.texts() == [world.words("R09", "P1")]
    finally:
        await other.close()
    for _ in range(100):
        if await world.rows(Message, platform_id=urgent.message_id):
            break
        await asyncio.sleep(0.1)
    (again,) = await world.take(urgent)
    assert again.repeated
    await world.settle()
    assert (await world.conversation()).grade == "P1"
    assert len(await world.messages()) == 1


async def test_direct_words_that_break_close_the_door_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any other answer than 503, and a platform that polls would take the message for stored."""

    def down(**_options: object) -> None:
        raise StoreUnavailableError("away")

    monkeypatch.setattr(world.store, "write", down)
    world.channel.fail_next(Fault(ValueError("nobody has thought of this")))
    incoming = world.incoming(P1)
    for _ in range(2):
        with pytest.raises(DoorClosedError):
            await world.take(incoming)
    assert world.texts() == [world.words("R09", "P1")]


async def test_a_caller_who_hangs_up_does_not_cut_off_the_words(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A platform with one worker waits for our answer while we call it."""

    def down(**_options: object) -> None:
        raise StoreUnavailableError("away")

    monkeypatch.setattr(world.store, "write", down)
    opened = asyncio.Event()
    world.channel.fail_next(Fault(gate=opened))
    request = asyncio.create_task(world.take(world.incoming(P1)))
    async with asyncio.timeout(20):
        await world.channel.stuck.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert world.texts() == []

    opened.set()
    async with asyncio.timeout(20):
        while not world.texts():  # noqa: ASYNC110  the channel tells by a list
            await asyncio.sleep(0.01)
    assert world.texts() == [world.words("R09", "P1")]


# ---- odd things ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["a\x00fire\x00", "half of a pair \ud83d", "\udc00 hello", "\x00", "🔥" * 50]
)
async def test_a_text_that_no_database_takes_is_kept_all_the_same(world: World, text: str) -> None:
    await world.say(text, name="Ann \x00\ud83d")
    (kept,) = await world.messages()
    assert len(kept.text) == len(text)
    assert kept.text.replace("\ufffd", "") == "".join(
        c for c in text if c != "\x00" and not 0xD800 <= ord(c) < 0xE000
    )


@pytest.mark.parametrize("token", ["99999999999999999999.0", "1." + "9" * 20, "9" * 18 + ".999"])
async def test_a_button_with_a_number_that_no_database_holds_is_none_of_ours(
    world: World, token: str
) -> None:
    """It comes from outside: the others in its batch must not be kept out with it."""
    await world.take(world.incoming("x", kind="button", button=token), world.incoming(PLAIN, "bob"))
    assert [message.button for message in await world.messages()] == [None]
    assert len(await world.messages("bob")) == 1


async def test_a_poisoned_message_takes_no_other_with_it(world: World) -> None:
    await world.take(world.incoming("\ud800\x00", "eve"), world.incoming(P1, "ann"))
    await world.settle()
    assert world.words("R09", "P1") in world.texts("ann")


@pytest.mark.parametrize("kind", ["image", "voice", "video", "sticker", "file", "unsupported"])
async def test_what_cannot_be_opened_is_handed_over_with_999(world: World, kind: str) -> None:
    await world.say("", kind=kind)
    row = await world.conversation()
    assert (row.state, row.grade) == ("waiting", "P3")
    heard = world.heard()
    assert len(heard) == 1
    assert "999" in heard[0]
    assert heard[0].startswith(world.line("cannot_open" if kind == "unsupported" else f"cannot_open_{kind}"))


async def test_a_location_is_kept_and_handed_over(world: World) -> None:
    await world.say("", kind="location", latitude=54.97, longitude=-1.61)
    row = await world.conversation()
    assert (row.state, row.grade) == ("waiting", "P3")
    async with world.store.read() as connection:
        first = (await read_transcript(connection, row.id))[0]
    assert (first.kind, first.latitude, first.longitude) == ("location", 54.97, -1.61)
    heard = world.heard()
    assert len(heard) == 1
    assert heard[0].startswith(world.line("location_received"))


async def test_a_caption_is_screened_as_text(world: World) -> None:
    await world.say(P1, kind="image")
    heard = world.heard()
    assert heard[0] == world.words("R09", "P1")
    assert world.line("cannot_open_image") in heard


async def test_an_attachment_with_words_is_answered_too(world: World) -> None:
    await world.say(PLAIN, kind="image")
    heard = world.heard()
    assert heard == [world.line("cannot_open_image"), world.answer("contact-101-wait")]
    assert (await world.conversation()).state == "bot"


@pytest.mark.parametrize("kind", ["image", "location"])
async def test_to_an_owner_it_is_only_shown(world: World, kind: str) -> None:
    mod = await world.hire("mo")
    await world.owned(mod)
    world.heard()
    await world.say("", kind=kind)
    assert world.heard() == []
    assert (await world.conversation()).state == "human"


async def test_late_messages_stand_where_they_were_written(world: World) -> None:
    start = now()
    for text, seconds, sequence in (("second", 20, 0), ("first", 10, 0), ("fourth", 30, 2), ("third", 30, 1)):
        await world.say(text, platform_time=start + timedelta(seconds=seconds), platform_sequence=sequence)
    row = await world.conversation()
    async with world.store.read() as connection:
        lines = [line for line in await read_transcript(connection, row.id) if line.side == "person"]
    assert [line.text for line in lines] == ["first", "second", "third", "fourth"]
    assert [line.late for line in lines] == [True, False, False, False]


# ---- receipts -----------------------------------------------------------------------------------


async def test_a_delivery_state_never_goes_back(world: World) -> None:
    await world.say(PLAIN)
    platform_id = world.channel.delivered[0].message_id
    seen = []
    for state in ("delivered", "sent", "read", "delivered", "sent", "read"):
        await world.take(Receipt("test", platform_id, state))
        seen.append((await world.outbox())[0].state)
    assert seen == ["delivered", "delivered", "read", "read", "read", "read"]
    await world.take(Receipt("test", "of nobody", "read"), Receipt("other", platform_id, "failed"))
    assert (await world.outbox())[0].state == "read"


async def test_a_mark_of_a_row_that_never_left_is_another_records(world: World) -> None:
    """Row numbers come again after a restore, and old messages are still read."""
    mod = await world.hire("mo")
    row = await world.owned(mod)
    waits = await world.core.desk.reply(row.id, mod, "this one has not left yet")
    for state in ("read", "failed"):
        await world.take(Receipt("test", "of before", state, outbox_id=waits))
        assert [one.state for one in await world.rows(Outbox, id=waits)] == ["queued"]
    await world.settle()
    assert "this one has not left yet" in world.texts()


async def test_the_public_sees_what_was_sent_and_no_names(world: World) -> None:
    mod = await world.hire("mo")
    row = await world.owned(mod)
    await world.core.desk.note(row.id, mod, "a secret thought")
    world.channel.fail_next(Fault(RejectedError("no")))
    await world.core.desk.reply(row.id, mod, "this one fails")
    await world.settle()
    await world.core.desk.reply(row.id, mod, "this one arrives")
    await world.settle()
    async with world.store.read() as connection:
        lines = await read_public(connection, row.person_id)
    texts = [line.text for line in lines]
    assert "this one arrives" in texts
    assert "this one fails" not in texts
    assert not any("secret" in text for text in texts)
    assert {line.author for line in lines} == {None}


async def test_two_gateways_take_the_same_webhook(world: World, database_url: str) -> None:
    import asyncio

    from tests.support.world import open_world

    async with open_world(database_url, world.rasa, world.clock) as second:
        batch = [world.incoming(P1, f"p{n}") for n in range(5)]
        other = list(reversed(batch))
        await asyncio.gather(
            *(gateway.core.door.accept(list(b)) for gateway in (world, second) for b in (batch, other))
        )
        await world.settle()
        await second.settle()
    assert len(await world.rows(Message)) == 5
    safety = await world.rows(Outbox, kind="safety")
    assert len(safety) == 5
    assert await world.rows(Due, kind="nothing of this kind") == []
