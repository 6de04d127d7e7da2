"""The send rule: what leaves, in which order, and what becomes of a row whose fate nobody knows."""

from __future__ import annotations

import asyncio

import pytest

from bot.conversations import outbox as outbox_module
from bot.errors import RefusedError, RejectedError, RetryLaterError, StaleError, UnsureError
from bot.store.record import add_outbox, lock_conversation
from bot.store.tables import Attempt, Outbox
from tests.support.channel import Fault
from tests.support.world import INCIDENT, ODD, P1, P2_HIDDEN, P3, PLAIN, World

pytestmark = pytest.mark.integration


async def queue(world: World, kind: str, text: str, person: str = "ann", **values: object) -> int:
    """Put one row in line, by hand."""
    row = await world.conversation(person)
    async with world.store.write() as connection:
        fresh = await lock_conversation(connection, row.id)
        assert fresh is not None
        values = {"epoch": fresh.epoch, **values}
        return await add_outbox(connection, fresh, kind, text, **values)  # type: ignore[arg-type]


async def send_and_die(world: World, person: str = "ann") -> None:
    """The gateway is cut off while a message of that person is on its way."""
    row = await world.conversation(person)
    world.channel.stuck.clear()
    world.channel.fail_next(Fault(hang=True))
    task = asyncio.create_task(world.core.outbox.send_next(row.id))
    await world.channel.stuck.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


# ---- order -------------------------------------------------------------------------------------


async def test_rows_leave_in_order_and_safety_words_overtake(world: World) -> None:
    await world.say("hello")
    world.heard()
    for kind, text in (("assistant", "1"), ("notice", "2"), ("staff", "3"), ("safety", "s"), ("notice", "4")):
        await queue(world, kind, text)
    await world.settle()
    assert world.heard() == ["s", "1", "2", "3", "4"]


async def test_a_row_that_waits_for_a_retry_holds_back_what_came_after(world: World) -> None:
    await world.say("hello")
    world.heard()
    world.channel.fail_next(Fault(RetryLaterError("busy", 40)))
    await queue(world, "assistant", "1")
    await queue(world, "staff", "2")
    await world.settle()
    assert world.heard() == []
    await queue(world, "safety", "s")
    await world.settle()
    assert world.heard() == ["s"]
    await world.tick(seconds=41)
    assert world.heard() == ["1", "2"]


async def test_nothing_overtakes_safety_words_that_the_platform_put_off(world: World) -> None:
    """The 999 block comes first, whatever the platform's moods."""
    world.channel.fail_next(Fault(RetryLaterError("busy", 5)))
    await world.say(P1)
    assert world.heard() == []
    await world.tick(seconds=6)
    assert world.heard()[0] == world.words("R09", "P1")


@pytest.mark.parametrize(
    "fault", [Fault(RejectedError("blocked")), Fault(UnsureError("?")), Fault(UnsureError("?"), arrives=True)]
)
async def test_a_failed_or_unknown_row_blocks_nothing(world: World, fault: Fault) -> None:
    await world.say("hello")
    world.heard()
    world.channel.fail_next(fault)
    first = await queue(world, "notice", "1")
    await queue(world, "staff", "2")
    await world.settle()
    assert world.heard()[-1] == "2"
    (row,) = [row for row in await world.outbox() if row.id == first]
    assert row.state in ("failed", "unknown")


async def test_one_slow_conversation_holds_up_no_other(world: World) -> None:
    world.channel.fail_next(Fault(gate=asyncio.Event()))
    await world.take(world.incoming(PLAIN, "slow"))
    await world.core.turns.drain(30)
    await world.core.outbox.look()
    await asyncio.sleep(0.05)
    await world.take(world.incoming(PLAIN, "quick"))
    await world.core.turns.drain(30)
    await world.core.outbox.look()
    for _ in range(200):
        if world.texts("quick"):
            break
        await asyncio.sleep(0.005)
    assert world.texts("quick") == [world.answer("contact-101-wait")]
    for task in world.core.outbox._busy.values():
        task.cancel()


async def test_a_row_is_sent_once_by_many_gateways(world: World, database_url: str) -> None:
    from tests.support.world import open_world

    for person in range(4):
        await world.take(world.incoming(PLAIN, f"p{person}"))
    await world.core.turns.drain(30)
    async with open_world(database_url, world.rasa, world.clock) as second:
        await asyncio.gather(world.send(), second.send(), world.send(), second.send())
        await world.settle()
        assert len(world.channel.delivered) + len(second.channel.delivered) == 4
    assert len(await world.rows(Attempt)) == 4


# ---- attempts ----------------------------------------------------------------------------------


async def test_each_retry_is_an_attempt_on_record_and_obeys_retry_after(world: World) -> None:
    world.channel.fail_next(Fault(RetryLaterError("slow down", 30)), Fault(RetryLaterError("slow down", 60)))
    await world.say(PLAIN)
    await world.tick(seconds=29)
    assert len(world.channel.calls) == 1
    await world.tick(seconds=2)
    assert len(world.channel.calls) == 2
    await world.tick(seconds=59)
    assert len(world.channel.calls) == 2
    await world.tick(seconds=2)
    assert world.heard() == [world.answer("contact-101-wait")]
    attempts = await world.rows(Attempt)
    assert [(a.number, a.result) for a in attempts] == [(1, "later"), (2, "later"), (3, "sent")]
    assert {a.outbox_id for a in attempts} == {(await world.outbox())[0].id}


async def test_the_rest_of_a_long_text_waits_while_the_platform_is_away(world: World) -> None:
    """It follows at once only after a part has left; that some left earlier says nothing of now."""
    await world.say("hello")
    world.heard()
    row = await queue(world, "staff", "long")
    away = Fault(RetryLaterError("away", 0.0, parts_sent=1))
    world.channel.fail_next(Fault(RetryLaterError("the rest follows", 0.0, parts_sent=1)), *[away] * 5)
    await world.settle()
    tries = [attempt for attempt in await world.rows(Attempt) if attempt.outbox_id == row]
    assert [attempt.result for attempt in tries] == ["later", "later"]
    world.channel.faults.clear()
    await world.tick(seconds=5)
    assert world.heard() == ["long"]


async def test_a_row_is_given_up_after_twelve_hours(world: World) -> None:
    world.channel.fail_next(*[Fault(RetryLaterError("busy", 1))] * 60)
    await world.say(PLAIN)
    for _ in range(9):
        await world.tick(minutes=90)
    (row,) = await world.outbox()
    assert row.state == "failed"


async def test_safety_words_are_tried_every_few_seconds_while_a_platform_is_away(world: World) -> None:
    world.channel.fail_next(*[Fault(RetryLaterError("away", 1))] * 12)
    await world.say(P1)
    for _ in range(20):
        await world.tick(seconds=6)
    # With the doubling pause of other rows the thirteenth call would be far off: 2 minutes have gone.
    assert world.words("R09", "P1") in world.heard()


async def test_a_platform_that_never_answers_is_not_flooded_with_safety_words(world: World) -> None:
    world.channel.fail_next(*[Fault(UnsureError("?"))] * 1000)
    await world.say(P1)
    calls = [c for c in world.channel.calls if c[1].kind == "safety"]
    assert 2 <= len(calls) <= 5
    for _ in range(10):
        await world.tick(seconds=180)
    calls = [c for c in world.channel.calls if c[1].kind == "safety"]
    assert 5 <= len(calls) <= 20
    world.channel.faults.clear()
    await world.tick(minutes=6)
    assert world.words("R09", "P1") in world.heard()


# ---- a person owns -----------------------------------------------------------------------------


async def test_an_assistant_row_is_refused_once_a_person_owns(world: World) -> None:
    mod = await world.hire("mo")
    row = await world.say(P3)
    world.heard()
    await world.take(world.incoming(PLAIN))
    await world.core.turns.drain(30)
    await world.core.desk.claim(row.id, mod, row.epoch)
    await world.settle()
    assert world.heard() == [world.line("joined")]
    (refused,) = [r for r in await world.outbox() if r.state == "refused"]
    assert refused.slug == "contact-101-wait"
    assert await world.rows(Attempt, outbox_id=refused.id) == []


async def test_a_refused_turn_runs_again_at_the_new_epoch_with_all_its_messages(world: World) -> None:
    await world.say("hello")
    world.heard()
    await world.take(world.incoming("how long is the wait"), world.incoming("for 101"))
    await world.core.turns.drain(30)
    await world.take(world.incoming("my ex is stalking me and im being blackmailed"))
    await world.core.turns.drain(30)
    await world.settle()
    await world.tick(seconds=3)
    row = await world.conversation()
    assert row.grade == "P2"
    states = [(r.slug, r.state) for r in await world.outbox() if r.slug]
    assert ("contact-101-wait", "refused") in states
    read = [set(event.data["messages"]) for event in await world.events("turn.done")]
    _, first, second, _ = [message.id for message in await world.messages()]
    assert len([ids for ids in read if {first, second} <= ids]) == 2, "both are read again"
    assert {m.handled for m in await world.messages()} == {True}


async def test_two_refused_rows_of_one_turn_are_answered_once(world: World) -> None:
    """The second refusal must not undo the turn that the first one started."""
    world.rasa.faq("zorp", "contact-101-wait", R13=0.9)
    await world.take(world.incoming("it went zorp"))
    await world.core.turns.drain(30)
    row = await world.conversation()
    assert len(await world.rows(Outbox, conversation_id=row.id, state="queued")) >= 2
    boss = await world.hire("su", "supervisor")
    await world.core.desk.set_grade(row.id, boss, "P2", "looks worse")
    # The safety words of the new grade leave first; then the answers of before are refused.
    await world.core.outbox.send_next(row.id)
    await world.core.outbox.send_next(row.id)
    assert [m.handled for m in await world.messages()] == [False]
    await world.core.turns.sweep()
    world.move(seconds=3)
    await world.core.turns.sweep()
    await world.core.turns.drain(30)
    assert [m.handled for m in await world.messages()] == [True]
    await world.settle()
    await world.tick(seconds=3)
    await world.tick(seconds=3)
    assert world.heard().count(world.answer("contact-101-wait")) <= 1
    fresh = [r for r in await world.outbox() if r.state == "sent" and r.kind == "assistant"]
    assert len({r.text for r in fresh}) == len(fresh), "no line is said twice"


async def test_a_partly_sent_turn_is_not_run_again(world: World) -> None:
    mod, boss = await world.hire("mo"), await world.hire("su", "supervisor")
    world.rasa.teach(
        "pair", {**_faq(), "risks": []}, [{"answer": "contact-101-wait"}, {"answer": "lost-property"}]
    )
    await world.take(world.incoming("a pair"))
    await world.core.turns.drain(30)
    row = await world.conversation()
    await world.core.outbox.send_next(row.id)
    await world.core.desk.escalate(row.id, mod, "look at this")
    await world.core.desk.set_grade(row.id, boss, "P1", "danger")
    await world.settle()
    await world.tick(seconds=5)
    heard = world.heard()
    assert heard.count(world.answer("contact-101-wait")) == 1
    assert {m.handled for m in await world.messages()} == {True}
    assert len(world.rasa.turns) == 1


def _faq() -> dict[str, object]:
    return {"intent": "faq/contact-101-wait", "confidence": 0.9, "certain": True, "ranking": []}


async def test_a_staff_reply_leaves_ahead_of_the_closing_sentence(world: World) -> None:
    mod = await world.hire("mo")
    row = await world.owned(mod)
    world.heard()
    await world.core.desk.reply(row.id, mod, "Goodbye then.")
    await world.core.desk.close(row.id, mod, "answered", incident=INCIDENT)
    await world.settle()
    assert world.heard() == ["Goodbye then.", world.line("closed", reference=row.reference)]


async def test_a_reply_too_long_or_empty_is_refused(world: World) -> None:
    mod = await world.hire("mo")
    row = await world.owned(mod)
    for text in ("", "   ", "x" * 5001):
        with pytest.raises(RefusedError):
            await world.core.desk.reply(row.id, mod, text)


async def test_a_claim_is_answered_when_nothing_of_the_assistants_is_under_way(world: World) -> None:
    mod = await world.hire("mo")
    row = await world.say(P3)
    gate = asyncio.Event()
    world.channel.fail_next(Fault(gate=gate))
    await world.take(world.incoming(PLAIN))
    await world.core.turns.drain(30)
    await world.core.outbox.look()
    await world.channel.stuck.wait()
    claim = asyncio.create_task(world.core.desk.claim(row.id, mod, row.epoch))
    done, _ = await asyncio.wait([claim], timeout=0.3)
    assert not done
    assert (await world.conversation()).owner_id == mod.staff_id, "it is committed all the same"
    gate.set()
    await claim
    sending = await world.rows(Outbox, state="sending", kind="assistant")
    assert sending == []
    await world.settle()


async def test_a_claim_waits_ten_seconds_at_most(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert outbox_module.CLAIM_WAIT_SECONDS == 10.0
    monkeypatch.setattr(outbox_module, "CLAIM_WAIT_SECONDS", 0.1)
    mod = await world.hire("mo")
    row = await world.say(P3)
    world.channel.fail_next(Fault(gate=asyncio.Event()))
    await world.take(world.incoming(PLAIN))
    await world.core.turns.drain(30)
    await world.core.outbox.look()
    await world.channel.stuck.wait()
    await world.core.desk.claim(row.id, mod, row.epoch)
    states = [r.state for r in await world.outbox() if r.slug == "contact-101-wait"]
    assert states == ["unknown"]
    for task in world.core.outbox._busy.values():
        task.cancel()


# ---- unknown -----------------------------------------------------------------------------------


async def test_safety_words_of_unknown_fate_are_sent_again(world: World) -> None:
    await world.take(world.incoming(P1))
    await send_and_die(world)
    await world.tick(seconds=11)
    assert world.words("R09", "P1") not in world.heard()
    await world.tick(seconds=2)
    assert world.words("R09", "P1") in world.heard()
    assert [r.state for r in await world.outbox() if r.kind == "safety"] == ["unknown", "sent"]
    assert len(await world.audit("safety.again")) == 1


async def test_an_answer_of_unknown_fate_is_put_before_a_person_who_is_named(world: World) -> None:
    await world.take(world.incoming(PLAIN))
    await world.core.turns.drain(30)
    await send_and_die(world)
    await world.tick(seconds=13)
    row = await world.conversation()
    assert (row.state, row.grade) == ("waiting", "P3")
    assert world.heard() == [world.line("answer_unknown")]
    await world.tick(minutes=1)
    assert world.heard() == []


async def test_an_answer_of_unknown_fate_in_the_queue_is_told_and_changes_no_owner(world: World) -> None:
    await world.say(P3)
    before = await world.conversation()
    world.heard()
    await world.take(world.incoming(PLAIN))
    await world.core.turns.drain(30)
    await send_and_die(world)
    await world.tick(seconds=13)
    after = await world.conversation()
    assert (after.state, after.grade, after.epoch) == ("waiting", "P3", before.epoch)
    assert world.heard() == [world.line("answer_unknown")]


async def test_a_staff_reply_of_unknown_fate_waits_for_send_again(world: World) -> None:
    mod, other = await world.hire("mo"), await world.hire("jo")
    row = await world.owned(mod)
    world.heard()
    world.channel.fail_next(Fault(UnsureError("?")))
    lost = await world.core.desk.reply(row.id, mod, "Where are you?")
    await world.settle()
    await world.tick(minutes=5)
    assert world.heard() == []
    assert (await world.events("alert.unknown"))[-1].data == {"outbox": lost}
    with pytest.raises(StaleError):
        await world.core.desk.send_again(lost, other)
    await world.core.desk.reply(row.id, mod, "Second")
    again = await world.core.desk.send_again(lost, mod)
    await world.settle()
    assert again > lost
    assert world.heard() == ["Second", "Where are you?"]
    with pytest.raises(RefusedError):
        await world.core.desk.send_again(lost, mod)
    with pytest.raises(RefusedError):
        await world.core.desk.send_again(again, mod)


async def test_unknown_and_what_follows_commit_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash between the two would leave safety words unsent for good."""
    await world.take(world.incoming(P1))
    await send_and_die(world)
    world.move(seconds=13)

    async def crash(*_: object, **__: object) -> int:
        raise RuntimeError("the process is gone")

    (row,) = [r for r in await world.outbox() if r.kind == "safety"]
    with monkeypatch.context() as patch:
        patch.setattr(outbox_module, "add_outbox", crash)
        with pytest.raises(RuntimeError):
            await world.core.outbox.mark_unknown(row.id)
    await world.settle()
    assert world.words("R09", "P1") in world.heard()


async def test_a_channel_in_the_store_is_sent_by_the_commit(world: World) -> None:
    world.channel.in_store = True
    await world.say(PLAIN)
    (row,) = await world.outbox()
    assert (row.state, row.platform_id) == ("sent", str(row.id))
    assert world.channel.calls == []
    assert [a.result for a in await world.rows(Attempt)] == ["sent"]


async def test_misses_are_not_counted_twice_by_odd_texts(world: World) -> None:
    await world.say(ODD)
    await world.say(P2_HIDDEN)
    assert (await world.conversation()).grade == "P2"
