"""One test for each invariant, I1 to I11; and for each question of `checks.py`, that it can fail."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any

import pytest
from sqlalchemy import insert, update

from bot.conversations import outbox as outbox_module
from bot.conversations import words as words_module
from bot.errors import StaleError
from bot.handover import measures, ownership, queue
from bot.store.record import events_after, now
from bot.store.tables import Approval, Base, Conversation, Message, Note, Outbox, Surge, SurgeMember
from tests.invariants import outside
from tests.invariants.checks import Seen, check, i2_nothing_is_left, read_record
from tests.support.databases import all_visible
from tests.support.world import INCIDENT, ODD, P1, P3, PLAIN, World

pytestmark = pytest.mark.integration


async def holds(world: World, seen: Seen | None = None) -> None:
    """All invariants hold now."""
    check(world, await read_record(world), seen or Seen())


async def test_i1_shuffled_and_repeated_webhooks(world: World) -> None:
    chance = random.Random(11)
    batch = [world.incoming(f"{text} {n}", f"p{n % 3}") for n, text in enumerate([PLAIN, P1, P3, ODD] * 4)]
    webhooks = [chance.sample(batch, chance.randint(1, 5)) for _ in range(20)] + [[one] for one in batch]
    chance.shuffle(webhooks)
    await asyncio.gather(*(world.take(*webhook) for webhook in webhooks))
    await world.settle()
    await holds(world, Seen([(one.message_id, one.person) for one in batch]))
    assert len(await world.rows(Message)) == len(batch)


async def test_i2_everything_is_answered_queued_or_in_front_of_its_owner(world: World) -> None:
    mod = await world.hire("mo")
    for person, text in (("a", PLAIN), ("b", ODD), ("c", P3), ("d", P1), ("e", "")):
        await world.say(text, person, kind="text" if text else "image")
    await world.owned(mod, P3, "f")
    await world.say(PLAIN, "f")
    record = await read_record(world)
    i2_nothing_is_left(record)
    await holds(world)


async def test_i3_no_assistant_row_enters_sending_while_a_person_owns(world: World) -> None:
    mod = await world.hire("mo")
    row = await world.say(P3)
    for _ in range(3):
        await world.take(world.incoming(PLAIN))
    await world.core.turns.drain(30)
    await asyncio.gather(world.core.desk.claim(row.id, mod, row.epoch), world.send())
    await world.settle()
    await holds(world)
    owned_at = (await world.events("conversation.owner"))[-1]
    kinds = {r.id: r.kind for r in await world.outbox()}
    for event in await world.events("outbox.state"):
        if event.data["state"] == "sending" and (event.xid, event.id) > (owned_at.xid, owned_at.id):
            assert kinds[event.data["outbox"]] != "assistant"


async def test_i4_fifty_claims_at_once_have_one_winner(world: World) -> None:
    staff = [await world.hire(f"mod{n}") for n in range(10)]
    row = await world.say(P1)
    results = await asyncio.gather(
        *(world.core.desk.claim(row.id, staff[n % 10], row.epoch) for n in range(50)), return_exceptions=True
    )
    owners = {r.owner_id for r in results if not isinstance(r, BaseException)}
    assert len(owners) == 1
    assert len([r for r in results if isinstance(r, StaleError)]) == 45
    assert (await world.conversation()).owner_id in owners
    assert len(await world.audit("claim")) == 1
    await world.settle()
    assert world.texts().count(world.line("joined")) == 1
    await holds(world)


async def test_i5_waiting_ends_only_by_the_table(world: World) -> None:
    await world.say(P1)
    for text in ("no", "never mind", "goodbye", "thanks", "start again", PLAIN):
        await world.say(text)
    for _ in range(4):
        await world.tick(hours=13)
    row = await world.conversation()
    assert (row.state, row.grade) == ("waiting", "P1")
    await holds(world)


async def test_i6_safety_words_in_time_and_not_too_often(world: World) -> None:
    for _ in range(8):
        await world.say(P1)
        world.move(minutes=3)
    sent = [r.sent_at for r in await world.outbox() if r.kind == "safety"]
    assert all((b - a).total_seconds() >= 600 for a, b in itertools.pairwise(sent))
    assert len(sent) == 2
    await holds(world)


async def test_i7_committed_order(world: World) -> None:
    mod = await world.hire("mo")
    row = await world.owned(mod)
    world.heard()
    for number in range(12):
        await world.core.desk.reply(row.id, mod, f"Reply {number}")
    await asyncio.gather(*(world.send() for _ in range(5)))
    await world.settle()
    assert world.heard() == [f"Reply {number}" for number in range(12)]


async def test_i8_every_change_has_its_audit_row_in_the_same_transaction(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    mod = await world.hire("mo")
    row = await world.say(P3)

    async def crash(*_: object, **__: object) -> None:
        raise RuntimeError("no audit row can be written")

    monkeypatch.setattr(ownership, "add_audit", crash)
    with pytest.raises(RuntimeError):
        await world.core.desk.claim(row.id, mod, row.epoch)
    with pytest.raises(RuntimeError):
        await world.take(world.incoming(P1, "bob"))
    assert (await world.conversation()).state == "waiting"
    assert len(await world.rows(Message)) == 1, "the message is not acknowledged either"
    await holds(world)


async def test_i9_a_private_note_can_leave_by_no_path(world: World) -> None:
    mod, other = await world.hire("mo"), await world.hire("jo")
    row = await world.owned(mod)
    secret = "SECRET his brother told us"
    await world.core.desk.note(row.id, mod, secret)
    await world.core.desk.draft(row.id, mod, secret + " draft")
    await world.core.desk.transfer(row.id, mod, "control_room", secret + " transfer")
    row = await world.conversation()
    await world.core.desk.claim(row.id, other, row.epoch)
    await world.core.desk.reply(row.id, other, "Hello")
    await world.core.desk.close(row.id, other, "answered", secret + " done", incident=INCIDENT)
    await world.settle()
    assert not any("SECRET" in call[1].text for call in world.channel.calls)
    assert not any("SECRET" in r.text for r in await world.rows(Outbox))
    assert not any("SECRET" in str(e.data) for e in await world.events()), "pages of the public read events"
    pointing = [
        key.parent.name
        for table in Base.metadata.tables.values()
        for key in table.foreign_keys
        if key.column.table is Note.__table__
    ]
    assert pointing == [], "nothing refers to a note"
    await holds(world, Seen(secrets=["SECRET"]))


async def test_i10_a_reader_that_comes_back_is_shown_all_it_missed(world: World) -> None:
    mod = await world.hire("mo")
    shown: list[tuple[int, int]] = []

    async def look() -> None:
        async with world.store.read() as connection:
            cursor = shown[-1] if shown else (0, 0)
            shown.extend((e.xid, e.id) for e in await events_after(connection, cursor, limit=5000))

    await world.say(PLAIN)
    await look()
    await world.owned(mod, P3)
    await look()
    await asyncio.gather(*(world.take(world.incoming(P1, f"p{n}")) for n in range(8)))
    await look()
    await world.settle()
    await all_visible(world.store)
    await look()
    assert shown == sorted({(e.xid, e.id) for e in await world.events()})


async def test_i11_a_person_is_promised_only_when_one_is_there(world: World) -> None:
    mod = await world.hire("mo")
    seen = Seen()
    await world.say(P1, "early")
    assert world.line("queued_off_shift") in world.texts("early")
    world.move(seconds=1)
    await world.sit(mod)
    seen.sat.append((now(), "mo"))
    await world.say(P1, "there")
    assert world.core.screen.words("R09").handover in world.texts("there")
    world.move(minutes=2)
    await world.say(P1, "late")
    assert world.line("queued_off_shift") in world.texts("late")
    await holds(world, seen)


# ---- the questions can fail ----------------------------------------------------------------------


async def broken(world: World, expected: str, seen: Seen | None = None) -> None:
    with pytest.raises(AssertionError, match=expected):
        await holds(world, seen)


async def test_the_checks_notice_a_lost_message(world: World) -> None:
    await world.say(PLAIN)
    await broken(world, "I1", Seen([("in-of-nobody", "ann")]))


async def test_the_checks_notice_a_talked_over_person(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "may_send", lambda row, conversation: True)
    mod = await world.hire("mo")
    row = await world.say(P3)
    await world.take(world.incoming(PLAIN))
    await world.core.turns.drain(30)
    await world.core.desk.claim(row.id, mod, row.epoch)
    await world.settle()
    await broken(world, "I3")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"owner_outside": True}, "I4"),
        ({"state": "bot", "grade": None}, "I8"),
        ({"state": "closed"}, "I8"),
        ({"grade": "P4"}, "I8"),
    ],
)
async def test_the_checks_notice_a_change_without_a_trace(
    world: World, values: dict[str, Any], expected: str
) -> None:
    await world.say(P1)
    async with world.store.write() as connection:
        await connection.execute(update(Conversation).values(**values))
    await broken(world, expected)


async def test_the_checks_notice_words_repeated_too_soon(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.say(P1)
    world.move(minutes=1)

    async def always(*_: object) -> bool:
        return True

    monkeypatch.setattr(words_module.Words, "is_due", always)
    await world.say("there is a fire in the house")
    await broken(world, "I6")


async def test_the_checks_notice_a_state_that_went_back(world: World) -> None:
    seen = Seen()
    await world.say(PLAIN)
    await holds(world, seen)
    async with world.store.write() as connection:
        await connection.execute(update(Outbox).values(state="queued"))
    await broken(world, "I7", seen)


async def test_the_checks_notice_a_note_that_left(world: World) -> None:
    await world.say(PLAIN)
    await broken(world, "I9", Seen(secrets=[world.texts()[0]]))


async def test_the_checks_notice_a_false_promise(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def always(*_: object, **__: object) -> bool:
        return True

    monkeypatch.setattr(words_module, "is_on_shift", always)
    await world.say(P1)
    await broken(world, "I11")


ACCUSED = "the officer punched me"


async def test_the_checks_notice_a_seal_that_went_by_itself(world: World) -> None:
    await world.say(ACCUSED)
    seen = Seen()
    await holds(world, seen)
    async with world.store.write() as connection:
        await connection.execute(update(Conversation).values(sealed=False))
    await broken(world, "sealed", seen)


async def test_the_checks_notice_a_list_that_shows_a_sealed_chat(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    boss = await world.hire("su", "supervisor")
    await world.say(ACCUSED)
    rows = await world.rows(Conversation)
    await outside.lists_hold_what_they_may(world, rows, [boss])
    await outside.nobody_outside_learns(world, rows, [boss])
    monkeypatch.setattr(queue, "visible", lambda _actor: Conversation.id > 0)
    with pytest.raises(AssertionError, match="learns of"):
        await outside.nobody_outside_learns(world, rows, [boss])


@pytest.mark.parametrize("how", ["card", "measure"])
async def test_the_checks_notice_danger_that_is_hidden(
    world: World, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    boss = await world.hire("su", "supervisor")
    row = await world.say(P1)
    async with world.store.write() as connection:
        if how == "card":
            surge = insert(Surge).values(sample="a fire", opened_at=now()).returning(Surge.id)
            surge_id = (await connection.execute(surge)).scalar_one()
            values = {"conversation_id": row.id, "surge_id": surge_id, "added_at": now(), "compared": 10**9}
            await connection.execute(insert(SurgeMember).values(**values))
        else:
            await measures.add_measure(connection, row.id, boss, "hide", "they swear at us")
    await outside.danger_is_in_the_list(world, await world.rows(Conversation), boss)
    if how == "card":
        monkeypatch.setattr(queue, "in_surge", lambda: Conversation.grade == "P1")
    else:
        monkeypatch.setattr(queue, "URGENT", frozenset({"P2"}))
    with pytest.raises(AssertionError, match="hidden"):
        await outside.danger_is_in_the_list(world, await world.rows(Conversation), boss)


async def test_the_checks_notice_a_reply_that_nobody_else_has_read(world: World) -> None:
    mod = await world.hire("mo", teams=["corporate_communications", "digital_desk"])
    row = await world.owned(mod, "i am a reporter, can i have a comment for the paper")
    assert await world.core.desk.reply(row.id, mod, "No comment.") is None
    await holds(world)
    async with world.store.write() as connection:
        await connection.execute(update(Approval).values(decision="approved", decided_by=mod.staff_id))
    await broken(world, "approval")
