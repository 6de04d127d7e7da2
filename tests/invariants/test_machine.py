"""People, staff, the assistant and a failing platform do as they please; the invariants hold.

FRONTCOUNTER_TEST_EXAMPLES and FRONTCOUNTER_TEST_STEPS set how long it looks (a soak: 2000 and 60).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select
from sqlalchemy.exc import NoResultFound
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.conversations import outbox as outbox_module
from bot.errors import RefusedError, RejectedError, RetryLaterError, UnsureError
from bot.messages import Actor, Echo, Incoming, Receipt
from bot.store.record import now
from bot.store.tables import Message, Outbox
from tests.invariants.checks import Seen, check, i2_nothing_is_left, read_record
from tests.support.channel import Fault
from tests.support.rasa import LoopbackRasa
from tests.support.world import (
    INCIDENT,
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

EXAMPLES = int(os.environ.get("FRONTCOUNTER_TEST_EXAMPLES", "50"))
STEPS = int(os.environ.get("FRONTCOUNTER_TEST_STEPS", "30"))

# Shrinking a failure takes minutes; FRONTCOUNTER_TEST_SHRINK=1 asks for it.
PHASES = (
    tuple(Phase) if os.environ.get("FRONTCOUNTER_TEST_SHRINK") == "1" else (Phase.explicit, Phase.generate)
)

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
]
PEOPLE = ["ann", "bob"]
STAFF = ["mo", "jo", "su"]


class DiedError(BaseException):
    """The process stops here."""


class Machine(RuleBasedStateMachine):
    """One gateway after another on one database; `databases` hands out a fresh one."""

    databases: Any

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.seen = Seen()
        self.sent: list[Incoming] = []
        self.url = self.databases.fresh()
        self.plain = contextlib.ExitStack()
        clock = self.plain.enter_context(clock_at_noon())
        self.plain.enter_context(mock.patch.object(outbox_module, "CLAIM_WAIT_SECONDS", 0.0))
        self.rasa = LoopbackRasa()
        self.rasa.faq("zorp", "lost-property", R11=0.9)
        self.world: World = self.go(self.open(clock))

    def go(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    async def open(self, clock: Any) -> World:
        await self.rasa.start()
        self.stack.push_async_callback(self.rasa.stop)
        world = await self.stack.enter_async_context(open_world(self.url, self.rasa, clock))
        world.core.door._on_turn = lambda _conversation: None
        for name in STAFF:
            # Of the team of sensitive chats too: nobody of them is asked for a reason.
            teams = ("digital_desk", "control_room", "safeguarding")
            await world.hire(name, "supervisor" if name == "su" else "moderator", teams)
        return world

    def teardown(self) -> None:
        try:
            self.go(self.rest())
        finally:
            try:
                self.go(self.stack.aclose())
            finally:
                self.plain.close()
                self.runner.close()
                self.databases.drop(self.url)

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
        record = await read_record(world)
        check(world, record, self.seen)
        assert all(r.reply_due_at for r in record.conversations if r.state == "waiting"), (
            "a wait without a time"
        )
        i2_nothing_is_left(record)
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

        self.go(tick())

    @rule(after=st.integers(1, 4), committed=st.booleans())
    def dies_at_a_clock(self, after: int, committed: bool) -> None:
        async def work() -> None:
            async with self.dying(after, committed):
                await self.world.core.clocks.look()

        self.go(work())

    # ---- staff -----------------------------------------------------------------------------------

    @rule(name=st.sampled_from(STAFF))
    def sits_down(self, name: str) -> None:
        self.world.move(seconds=1)  # what was said at this very moment was said before
        self.go(self.world.sit(self.world.staff[name]))
        self.seen.sat.append(now())

    def act(self, person: str, work: Callable[[Any], Coroutine[Any, Any, Any]]) -> None:
        """Somebody tries; whatever is not allowed is refused with a reason."""

        async def attempt() -> None:
            row = await self.of(person)
            if row is not None:
                with contextlib.suppress(RefusedError):
                    await work(row)

        self.go(attempt())

    @rule(person=st.sampled_from(PEOPLE), name=st.sampled_from(STAFF), stale=st.sampled_from([0, 0, 0, 1]))
    def claims(self, person: str, name: str, stale: int) -> None:
        actor = self.world.staff[name]
        self.act(person, lambda row: self.world.core.desk.claim(row.id, actor, row.epoch - stale))

    @rule(person=st.sampled_from(PEOPLE))
    def both_claim(self, person: str) -> None:
        async def work(row: Any) -> None:
            results = await asyncio.gather(
                *(self.world.core.desk.claim(row.id, self.world.staff[n], row.epoch) for n in ("mo", "jo")),
                return_exceptions=True,
            )
            won = [r for r in results if not isinstance(r, BaseException)]
            assert len(won) <= 1 or row.state == "human", "two claims won"
            assert all(isinstance(r, RefusedError) for r in results if isinstance(r, BaseException)), results

        self.act(person, work)

    @rule(person=st.sampled_from(PEOPLE), name=st.sampled_from(STAFF), number=st.integers(0, 99))
    def replies(self, person: str, name: str, number: int) -> None:
        actor = self.world.staff[name]
        self.act(person, lambda row: self.world.core.desk.reply(row.id, actor, f"Reply {number}"))

    @rule(person=st.sampled_from(PEOPLE), name=st.sampled_from(STAFF))
    def sends_again(self, person: str, name: str) -> None:
        async def work(row: Any) -> None:
            for outbox_id in await self.ids(Outbox.id, Outbox.kind == "staff", Outbox.state == "unknown"):
                await self.world.core.desk.send_again(outbox_id, self.world.staff[name])

        self.act(person, work)

    @rule(person=st.sampled_from(PEOPLE), name=st.sampled_from(STAFF))
    def writes_a_note(self, person: str, name: str) -> None:
        secret = f"SECRET-{len(self.seen.secrets)}-ONLY-FOR-STAFF"
        self.seen.secrets.append(secret)
        self.act(person, lambda row: self.world.core.desk.note(row.id, self.world.staff[name], secret))

    @rule(
        person=st.sampled_from(PEOPLE),
        name=st.sampled_from(STAFF),
        what=st.sampled_from(
            ["release", "return", "escalate", "take_over", "accept", "transfer", "close", "close_done",
             "lower", "raise", "suspend", "reopen", "snooze", "incident"]
        ),
    )  # fmt: skip
    def does(self, person: str, name: str, what: str) -> None:
        desk, actor = self.world.core.desk, self.world.staff[name]
        secret = f"SECRET-{len(self.seen.secrets)}-IN-A-TRANSFER"
        self.seen.secrets.append(secret)
        boss: Actor = self.world.staff["su"]
        works: dict[str, Callable[[Any], Coroutine[Any, Any, Any]]] = {
            "release": lambda row: desk.release(row.id, actor),
            "return": lambda row: desk.return_to_assistant(row.id, actor, "can wait"),
            "escalate": lambda row: desk.escalate(row.id, actor, "look at this"),
            "take_over": lambda row: desk.take_over(row.id, actor),
            "accept": lambda row: desk.accept(row.id, actor),
            "transfer": lambda row: desk.transfer(row.id, actor, "control_room", secret),
            "close": lambda row: desk.close(row.id, actor, "no_reply", incident=INCIDENT),
            "close_done": lambda row: desk.close(
                row.id, actor, "no_reply", "called, all is well", incident=INCIDENT
            ),
            "lower": lambda row: desk.set_grade(row.id, actor, "P4", "no danger found"),
            "raise": lambda row: desk.set_grade(row.id, actor, "P1", "danger"),
            "reopen": lambda row: desk.reopen(row.id, actor),
            "snooze": lambda row: desk.snooze(row.id, actor, "4h"),
            "incident": lambda row: desk.keep_incident(row.id, actor, INCIDENT),
            "suspend": lambda row: desk.hand_back_all(actor.staff_id or 0, boss, "suspended"),
        }
        self.act(person, works[what])

    # ---- after each step -------------------------------------------------------------------------

    @invariant()
    def all_invariants_hold(self) -> None:
        async def look() -> None:
            check(self.world, await read_record(self.world), self.seen)

        self.go(look())


def run(databases: Any, examples: int) -> None:
    """Let the machine run on these databases."""
    case = type("Case", (Machine,), {"databases": databases})
    run_state_machine_as_test(
        case,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize=EXAMPLES == 50,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
            phases=PHASES,
        ),
    )


@pytest.mark.integration
def test_the_invariants_hold_on_sqlite(sqlite_templates: Any) -> None:
    run(sqlite_templates, EXAMPLES)


@pytest.mark.integration
def test_the_invariants_hold_on_postgresql(postgres_templates: Any) -> None:
    run(postgres_templates, max(1, EXAMPLES // 4))
