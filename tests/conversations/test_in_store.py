"""A page that reads the store has its rows with the commit that queues them; and whose turn it is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import insert, update

from bot.conversations import outbox as outbox_module
from bot.store.record import now
from bot.store.tables import Attempt, Conversation, Event, Outbox
from tests.support.world import P1, P3, PLAIN, World

pytestmark = pytest.mark.integration


async def test_safety_words_are_there_with_the_message(world: World) -> None:
    """Without a turn, and without a round of the outbox."""
    world.channel.in_store = True
    world.core.door._on_turn = lambda _conversation: None
    await world.take(world.incoming(P1))
    rows = await world.outbox()
    assert [(row.kind, row.state, row.attempts) for row in rows] == [
        ("safety", "sent", 1),
        ("assistant", "sent", 1),
    ]
    assert all(row.sent_at is not None and row.platform_id == str(row.id) for row in rows)
    assert [(a.outbox_id, a.number, a.result) for a in await world.rows(Attempt)] == [
        (row.id, 1, "sent") for row in rows
    ]
    sent = [event.data["outbox"] for event in await world.events("outbox.state")]
    assert sent == [row.id for row in rows], "safety words come first"
    assert world.channel.calls == [], "nothing is sent to a page"


async def test_an_answer_is_there_with_its_turn(world: World) -> None:
    world.channel.in_store = True
    await world.take(world.incoming(PLAIN))
    await world.core.turns.drain(30)
    assert [(row.kind, row.state) for row in await world.outbox()] == [("assistant", "sent")]
    kinds = [event.kind for event in await world.rows(Event)]
    assert kinds.index("turn.done") < kinds.index("outbox.state")


async def test_the_send_rule_holds_in_the_same_transaction(world: World) -> None:
    """An answer of an old epoch that still stands in line is refused, not sent, with the next commit."""
    world.channel.in_store = True
    await world.say(PLAIN)
    conversation = await world.conversation()
    async with world.store.write() as connection:
        await connection.execute(
            insert(Outbox).values(
                conversation_id=conversation.id, channel="test", kind="assistant", text="old", buttons=[],
                epoch=conversation.epoch, state="queued", not_before=now(), created_at=now(),
            )
        )  # fmt: skip
        await connection.execute(
            update(Conversation).where(Conversation.id == conversation.id).values(epoch=7)
        )
    await world.say(P3)
    states = {row.text: row.state for row in await world.outbox()}
    assert states.pop("old") == "refused"
    assert set(states.values()) == {"sent"}


async def test_what_waits_for_a_retry_keeps_nobody_else_from_being_looked_at(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many stand before: each look takes the longest due of those that may leave."""
    monkeypatch.setattr(outbox_module, "BATCH", 3)
    for number in range(8):
        await world.take(world.incoming(PLAIN, f"p{number}"))
    await world.core.turns.drain(30)
    stuck = {(await world.conversation(f"p{number}")).id for number in range(7)}
    async with world.store.write() as connection:
        # The first row of seven of them waits for a retry; a second one stands behind it.
        for conversation_id in stuck:
            await connection.execute(
                insert(Outbox).values(
                    conversation_id=conversation_id, channel="test", kind="notice", text="second",
                    buttons=[], epoch=0, state="queued", not_before=now(), created_at=now(),
                )
            )  # fmt: skip
        await connection.execute(
            update(Outbox)
            .where(Outbox.conversation_id.in_(stuck), Outbox.kind == "assistant")
            .values(not_before=now() + timedelta(minutes=5))
        )
    await world.send()
    assert world.texts("p7") == [world.answer("contact-101-wait")]
    assert all(world.texts(f"p{number}") == [] for number in range(7))
