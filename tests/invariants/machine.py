"""People, the assistant, a failing platform and time do as they please: the half of the machine without staff."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from unittest import mock

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select
from sqlalchemy.exc import NoResultFound
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.conversations import outbox as outbox_module
from bot.errors import RejectedError, RetryLaterError, UnsureError
from bot.handover import surges
from bot.messages import Echo, Incoming, Receipt
from bot.store.record import now
from bot.store.tables import Due, Message, Outbox
from tests.invariants.checks import Record, Seen, check, i2_nothing_is_left, read_record
from tests.invariants.ground import Ground
from tests.invariants.outside import (
    LEAD_TEAM,
    RESTRICTED,
    SEALED_TEAM,
    danger_is_in_the_list,
    lists_hold_what_they_may,
    nobody_outside_learns,
)
from tests.support.channel import Fault
from tests.support.rasa import LoopbackRasa
from tests.support.world import (
    ODD,
    P1,
    P1_OTHER,
    P2_HIDDEN,
    P3,
    PLAIN,
    World,
    clock_at_noon,
    open_world,
)

RUMOUR = "is it true that the old bridge at wylam is shut for the whole of sunday"
ACCUSED = "the officer punched me"  # R16, P2: sealed
COMPLAINT = (
    "i want to make a complaint about how i was treated"  # R16, P3: sealed, but not taken from an owner
)
PRESS = "i am a reporter, can i have a comment for the paper"  # R17, P3: a second person reads each reply

TEXTS = [
    PLAIN,
    ODD,
    P1,
    P1_OTHER,
    P2_HIDDEN,
    P3,
    "yes",
    "no",
    "never mind",
    "it went zorp",
    ".",
    "thanks",
    "",
    ACCUSED,
    COMPLAINT,
    RUMOUR,
    PRESS,
]
PEOPLE = ["ann", "bob", "cat", "dan"]
CROWD = ("cat", "dan")
"""Two are a surge here: five would need a longer game than is played."""
OPEN_TEAMS = ("digital_desk", "control_room", "safeguarding", "corporate_communications")
STAFF: dict[str, tuple[str, tuple[str, ...]]] = {
    # Of the team of sensitive chats too: these are not asked for a reason.
    "mo": ("moderator", OPEN_TEAMS),
    "jo": ("moderator", OPEN_TEAMS),
    "su": ("supervisor", OPEN_TEAMS),
    "pat": ("moderator", (SEALED_TEAM,)),
    "lee": ("moderator", ("control_room", LEAD_TEAM)),
    # Who never answers learns of no sealed chat, whatever team they are in.
    "ada": ("admin", (SEALED_TEAM, LEAD_TEAM)),
}


class DiedError(BaseException):
    """The process stops here."""


class Public(RuleBasedStateMachine):
    """One gateway on a database as new."""

    ground: Ground
    record: Record
    forbidden: tuple[str, dict[int, Any], int] | None = None
    """Who tries something, the rows that they may not know of, and how many audit rows there were."""
    looked_at: list[Any] | None = None

    def __init__(self) -> None:
        super().__init__()
        self.stack = AsyncExitStack()
        self.seen = Seen()
        self.sent: list[Incoming] = []
        self.plain = contextlib.ExitStack()
        self.plain.enter_context(self.ground.played_on())
        clock = self.plain.enter_context(clock_at_noon())
        self.plain.enter_context(mock.patch.object(outbox_module, "CLAIM_WAIT_SECONDS", 0.0))
        self.plain.enter_context(mock.patch.object(surges, "LEAST_PEOPLE", len(CROWD)))
        self.rasa = LoopbackRasa()
        self.rasa.faq("zorp", "lost-property", R11=0.9)
        self.world: World = self.go(self.open(clock))

    def go(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.ground.runner.run(work)

    async def open(self, clock: Any) -> World:
        await self.rasa.start()
        self.stack.push_async_callback(self.rasa.stop)
        world = await self.stack.enter_async_context(open_world(self.ground.url, self.rasa, clock))
        world.core.door._on_turn = lambda _conversation: None
        for name, (role, teams) in STAFF.items():
            await world.hire(name, role, teams)
        self.record = await read_record(world)
        return world

    def teardown(self) -> None:
        try:
            self.go(self.rest())
        finally:
            try:
                self.go(self.stack.aclose())
            finally:
                self.plain.close()

    async def rest(self) -> None:
        """Nothing fails any more and time goes by: at the end nothing may be left undone."""
        world = self.world
        world.channel.faults.clear()
        self.rasa.down = False
        world.rested()
        for seconds in (14, 31, 62, 310, 310):
            world.move(seconds=seconds)
            await world.core.clocks.look()
            for conversation_id in await self.ids(Message.conversation_id, Message.handled.is_(False)):
                while await world.core.turns.run(conversation_id):
                    pass
            await world.settle()
        await world.core.limits.sweep()
        await world.core.grouping.sweep()
        record = await read_record(world)
        check(world, record, self.seen)
        if len(record.audit) % 4 == 0:
            # One of them, in some games: to look everywhere takes as long as ten steps.
            name = sorted(STAFF)[len(record.events) % len(STAFF)]
            await nobody_outside_learns(world, record.conversations, [world.staff[name]])
        assert all(r.reply_due_at for r in record.conversations if r.state == "waiting"), (
            "a wait without a time"
        )
        i2_nothing_is_left(record, self.seen)
        assert not await self.ids(Due.id, Due.kind == "surge_answer", Due.done_at.is_(None)), "unanswered"
        assert not [row for row in record.outbox if row.state in ("queued", "sending")], "left in line"

    async def ids(self, column: Any, *conditions: Any) -> list[int]:
        async with self.world.store.read() as connection:
            found = await connection.execute(select(column).where(*conditions).distinct().order_by(column))
            return list(found.scalars())

    async def of(self, person: str) -> Any:
        try:
            return await self.world.conversation(person)
        except NoResultFound:
            return None

    # ---- the ways to die -----------------------------------------------------------------------

    @asynccontextmanager
    async def dying(self, after: int, committed: bool) -> AsyncIterator[None]:
        """The process stops at that writing transaction, before or after it commits."""
        store = self.world.store
        real: Callable[..., Any] = store.write
        count = 0

        @asynccontextmanager
        async def write(**options: Any) -> AsyncIterator[AsyncConnection]:
            nonlocal count
            count += 1
            async with real(**options) as connection:
                yield connection
                if count == after and not committed:
                    raise DiedError
            if count == after and committed:
                raise DiedError

        with mock.patch.object(store, "write", write), contextlib.suppress(DiedError):
            yield

    # ---- people --------------------------------------------------------------------------------

    @initialize(person=st.sampled_from(PEOPLE), text=st.sampled_from(TEXTS))
    def first(self, person: str, text: str) -> None:
        self.says(person, text)

    @rule(person=st.sampled_from(PEOPLE), text=st.sampled_from(TEXTS))
    def says(self, person: str, text: str) -> None:
        incoming = self.world.incoming(text, person, kind="text" if text else "image")
        self.sent.append(incoming)
        self.go(self.accept([incoming]))

    @rule(data=st.data())
    def is_delivered_again(self, data: st.DataObject) -> None:
        self.go(self.accept(data.draw(st.lists(st.sampled_from(self.sent), min_size=1, max_size=4))))

    async def accept(self, batch: list[Incoming]) -> None:
        known = {platform_id for platform_id, _ in self.seen.accepted}
        await self.world.take(*batch)
        for incoming in batch:
            if incoming.message_id in known:
                continue
            known.add(incoming.message_id)
            self.seen.accepted.append((incoming.message_id, incoming.person))
            worst = self.world.core.screen.check(incoming.text).worst
            if worst is not None and worst.priority == "P1":
                self.seen.danger.append((incoming.person, worst.category, now()))

    @rule(person=st.sampled_from(PEOPLE), data=st.data())
    def presses(self, person: str, data: st.DataObject) -> None:
        offered = [b for o in self.world.channel.outgoing(person) for b in o.buttons]
        token = data.draw(st.sampled_from([b.token for b in offered])) if offered else "person"
        incoming = self.world.incoming("pressed", person, kind="button", button=token)
        self.sent.append(incoming)
        self.go(self.accept([incoming]))

    # ---- the assistant and the platform ----------------------------------------------------------

    @rule(person=st.sampled_from(PEOPLE))
    def has_a_turn(self, person: str) -> None:
        async def work() -> None:
            row = await self.of(person)
            if row is not None:
                await self.world.core.turns.run(row.id)

        self.go(work())

    @rule(person=st.sampled_from(PEOPLE), after=st.integers(1, 3), committed=st.booleans())
    def dies_in_a_turn(self, person: str, after: int, committed: bool) -> None:
        async def work() -> None:
            row = await self.of(person)
            if row is not None:
                async with self.dying(after, committed):
                    await self.world.core.turns.run(row.id)

        self.go(work())

    @rule()
    def everything_is_sent(self) -> None:
        self.go(self.world.send())

    @rule(person=st.sampled_from(PEOPLE))
    def one_row_is_sent(self, person: str) -> None:
        async def work() -> None:
            row = await self.of(person)
            if row is not None:
                await self.world.core.outbox.send_next(row.id)

        self.go(work())

    @rule(person=st.sampled_from(PEOPLE), after=st.integers(1, 3), committed=st.booleans())
    def dies_while_sending(self, person: str, after: int, committed: bool) -> None:
        async def work() -> None:
            row = await self.of(person)
            if row is not None:
                async with self.dying(after, committed):
                    while await self.world.core.outbox.send_next(row.id):
                        pass

        self.go(work())

    @rule(after=st.integers(1, 3), committed=st.booleans())
    def dies_while_mending(self, after: int, committed: bool) -> None:
        async def work() -> None:
            lost = await self.ids(Outbox.id, Outbox.state == "sending", Outbox.sending_until < now())
            async with self.dying(after, committed):
                for outbox_id in lost:
                    await self.world.core.outbox.mark_unknown(outbox_id)

        self.go(work())

    @rule(
        fault=st.sampled_from(
            [
                Fault(RetryLaterError("busy", 5)),
                Fault(RetryLaterError("busy", 90)),
                Fault(UnsureError("?")),
                Fault(UnsureError("?"), arrives=True),
                Fault(RejectedError("no")),
            ]
        )
    )
    def the_platform_will_fail(self, fault: Fault) -> None:
        self.world.channel.fail_next(fault)

    @rule(down=st.booleans())
    def rasa_goes_or_comes(self, down: bool) -> None:
        self.rasa.down = down
        self.world.rested()

    @rule(data=st.data(), state=st.sampled_from(["sent", "delivered", "read", "failed"]))
    def the_platform_tells(self, data: st.DataObject, state: Any) -> None:
        delivered = self.world.channel.delivered
        if delivered:
            told = data.draw(st.sampled_from(delivered))
            self.go(self.world.take(Receipt("test", told.message_id, state)))

    @rule(person=st.sampled_from(PEOPLE), text=st.sampled_from(["Hello, police here", "ours", "same"]))
    def an_echo_comes(self, person: str, text: str) -> None:
        delivered = [d for d in self.world.channel.delivered if d.person == person]
        message_id = f"echo-{len(self.sent)}"
        if text != "Hello, police here" and delivered:
            last = delivered[-1]
            message_id = last.message_id if text == "ours" else message_id
            text = last.outgoing.text
        self.go(self.world.take(Echo("test", person, message_id, text)))

    # ---- time ------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 3, 13, 31, 61, 125, 605, 1000, 90_000]), work=st.booleans())
    def time_goes_by(self, seconds: int, work: bool) -> None:
        async def tick() -> None:
            self.world.move(seconds=seconds)
            if work:
                await self.world.core.clocks.look()
                await self.world.core.clocks.close_silent()
                await self.world.core.clocks.owners_gone()
                await self.world.core.grouping.sweep()
                await self.world.core.limits.sweep()

        self.go(tick())

    @rule(after=st.integers(1, 4), committed=st.booleans())
    def dies_at_a_clock(self, after: int, committed: bool) -> None:
        async def work() -> None:
            async with self.dying(after, committed):
                await self.world.core.clocks.look()

        self.go(work())

    # ---- after each step -------------------------------------------------------------------------

    @invariant()
    def all_invariants_hold(self) -> None:
        async def look() -> None:
            self.record = await read_record(self.world)
            check(self.world, self.record, self.seen)
            self.nobody_touched_what_is_hidden()
            await self.lists_are_right()

        self.go(look())

    async def lists_are_right(self) -> None:
        """What is listed follows from the rows: looked at again whenever one has changed."""
        rows, staff = self.record.conversations, self.world.staff
        if rows == self.looked_at:
            return
        self.looked_at = rows
        if any(row.state == "waiting" for row in rows):
            await danger_is_in_the_list(self.world, rows, staff["su"])
        if any(row.sealed or row.team in RESTRICTED for row in rows):
            await danger_is_in_the_list(self.world, rows, staff["pat"])
            await lists_hold_what_they_may(self.world, rows, list(staff.values()))

    def nobody_touched_what_is_hidden(self) -> None:
        """Whoever tried something last has changed nothing that they may not know of."""
        if self.forbidden is None:
            return
        name, hidden, before = self.forbidden
        self.forbidden = None
        for row in self.record.conversations:
            if row.id in hidden:
                assert row == hidden[row.id], f"sealed: {name} changed a conversation of others"
        staff_id = self.world.staff[name].staff_id
        for audit in self.record.audit[before:]:
            if audit.staff_id == staff_id:
                assert audit.conversation_id not in hidden, f"sealed: {name} did {audit.action}"

    @rule(name=st.sampled_from(sorted(STAFF)))
    def looks_everywhere(self, name: str) -> None:
        """Every list, count, search and notice, as somebody who signs in."""

        async def look() -> None:
            await self.world.core.alarms.look()
            rows = (await read_record(self.world)).conversations
            await nobody_outside_learns(self.world, rows, [self.world.staff[name]])

        self.go(look())
