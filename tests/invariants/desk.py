"""The other half of the machine: moderators, supervisors and who is outside do everything that a desk can do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule
from sqlalchemy import delete, select

from bot.accounts.administration import Administration
from bot.conversations.calls import Call
from bot.errors import RefusedError
from bot.handover import measures
from bot.handover import surges as cards
from bot.messages import GRADES, Actor
from bot.store.record import now
from bot.store.tables import Approval, CallBack, Conversation, Measure, Message, Outbox, StaffSession
from tests.invariants.machine import CROWD, OPEN_TEAMS, PEOPLE, RUMOUR, STAFF, Public
from tests.invariants.outside import SEALED_TEAM, may_learn
from tests.support.world import INCIDENT

Work = Callable[[Any], Coroutine[Any, Any, Any]]

ANSWERING = [name for name, (role, _) in STAFF.items() if role != "admin"]
TARGETS = (*OPEN_TEAMS, SEALED_TEAM)
ANSWER = "The bridge is open. The council's page says when work is planned."
LENGTHS = ("1h", "4h", "morning")


class Machine(Public):
    """Everybody at once."""

    def __init__(self) -> None:
        super().__init__()
        self.suspended: set[str] = set()
        self.presses = 0
        self.written = 0

    # ---- coming and going ------------------------------------------------------------------------

    @rule(name=st.sampled_from(ANSWERING))
    def sits_down(self, name: str) -> None:
        if name in self.suspended:
            return
        self.world.move(seconds=1)  # what was said at this very moment was said before
        self.go(self.world.sit(self.world.staff[name]))
        self.seen.sat.append((now(), name))

    def signed_out(self, name: str) -> None:
        self.seen.left.append((now(), name))
        self.world.move(seconds=1)

    @rule(name=st.sampled_from(ANSWERING))
    def ends_the_shift(self, name: str) -> None:
        """Hands everything on; who has nothing left is signed out, as the page does it."""
        actor = self.world.staff[name]

        async def work(_row: Any) -> None:
            await self.world.core.moves.end_shift(actor, self.secret("shift"), {})

        self.world.move(seconds=1)
        self.act("ann", name, work)
        if name not in self.suspended and not self.go(self.world.core.moves.owned_by(actor)):
            self.go(self._end_session(actor))
            self.signed_out(name)

    async def _end_session(self, actor: Actor) -> None:
        async with self.world.store.write() as connection:
            await connection.execute(delete(StaffSession).where(StaffSession.staff_id == actor.staff_id))
        await self.world.core.desk.hand_back_all(actor.staff_id or 0, actor, "signed out")

    @rule(name=st.sampled_from(["mo", "jo", "pat"]), dies=st.sampled_from([0, 0, 0, 1, 2]))
    def is_suspended_or_restored(self, name: str, dies: int) -> None:
        boss, staff_id = self.world.staff["ada"], self.world.staff[name].staff_id or 0
        accounts = Administration(self.world.store, self.world.core.desk)

        async def suspend() -> None:
            async with self.dying(dies, committed=True):
                await accounts.suspend(staff_id, self.secret("suspended"), actor=boss)

        if name in self.suspended:
            self.go(accounts.restore(staff_id, actor=boss))
            self.suspended.discard(name)
            return
        self.world.move(seconds=1)
        self.suspended.add(name)
        self.go(suspend())
        self.signed_out(name)

    # ---- one at a time ---------------------------------------------------------------------------

    def secret(self, what: str) -> str:
        """Words that only staff may ever read."""
        self.seen.secrets.append(f"SECRET-{len(self.seen.secrets)}-{what}")
        return self.seen.secrets[-1]

    def act(self, person: str, name: str, work: Work, dies: int = 0, committed: bool = True) -> None:
        """Somebody tries; whatever is not allowed is refused with a reason, and changes nothing."""
        if name in self.suspended:
            return
        actor = self.world.staff[name]
        hidden = {row.id: row for row in self.record.conversations if not may_learn(row, actor)}
        self.forbidden = (name, hidden, len(self.record.audit))

        async def attempt() -> None:
            row = await self.of(person)
            if row is None:
                return
            with contextlib.suppress(RefusedError):
                async with self.dying(dies, committed):
                    await work(row)

        self.go(attempt())

    @rule(
        person=st.sampled_from(PEOPLE), name=st.sampled_from(ANSWERING), stale=st.sampled_from([0, 0, 0, 1])
    )
    def claims(self, person: str, name: str, stale: int) -> None:
        actor = self.world.staff[name]
        self.act(person, name, lambda row: self.world.core.desk.claim(row.id, actor, row.epoch - stale))

    @rule(person=st.sampled_from(PEOPLE))
    def both_claim(self, person: str) -> None:
        able = [name for name in ("mo", "jo") if name not in self.suspended]

        async def work(row: Any) -> None:
            results = await asyncio.gather(
                *(self.world.core.desk.claim(row.id, self.world.staff[n], row.epoch) for n in able),
                return_exceptions=True,
            )
            won = [r for r in results if not isinstance(r, BaseException)]
            assert len(won) <= 1 or row.state == "human", "two claims won"
            assert all(isinstance(r, RefusedError) for r in results if isinstance(r, BaseException)), results

        self.act(person, "su", work)
        self.forbidden = None  # they were two, and neither of them the supervisor

    @rule(
        name=st.sampled_from(ANSWERING),
        again=st.booleans(),
        dies=st.sampled_from([0, 0, 0, 1]),
        committed=st.booleans(),
    )
    def takes_the_next(self, name: str, again: bool, dies: int, committed: bool) -> None:
        self.presses += not again
        press = f"press {self.presses}"
        actor = self.world.staff[name]
        self.act("ann", name, lambda _row: self.world.core.moves.take_next(actor, press), dies, committed)

    @rule(
        person=st.sampled_from(PEOPLE),
        name=st.sampled_from(ANSWERING),
        dies=st.sampled_from([0, 0, 0, 1]),
        committed=st.booleans(),
    )
    def replies(self, person: str, name: str, dies: int, committed: bool) -> None:
        """Each reply in other words, so that none can pass for another."""
        self.written += 1
        actor, text = self.world.staff[name], f"Reply {self.written}."
        self.act(person, name, lambda row: self.world.core.desk.reply(row.id, actor, text), dies, committed)

    @rule(
        person=st.sampled_from(PEOPLE),
        name=st.sampled_from(ANSWERING),
        how=st.sampled_from(["approve", "approve", "give back", "take back", "send without"]),
        has_read=st.sampled_from([True, True, False]),
        dies=st.sampled_from([0, 0, 0, 1]),
        committed=st.booleans(),
    )
    def a_reply_is_read(
        self, person: str, name: str, how: str, has_read: bool, dies: int, committed: bool
    ) -> None:
        """Somebody, or its writer, decides on a reply that waits for a second person."""
        approvals, actor, secret = self.world.core.approvals, self.world.staff[name], self.secret("a reply")

        async def work(row: Any) -> None:
            waits = (Approval.conversation_id == row.id, Approval.decided_at.is_(None))
            for one in await self.ids(Approval.id, *waits):
                if how == "approve":
                    seen = max(await self.ids(Message.id, Message.conversation_id == row.id), default=0)
                    epoch = row.epoch if has_read else row.epoch - 1
                    await approvals.approve(row.id, one, actor, seen=seen, epoch=epoch)
                    assert has_read, "somebody approved what they had not read"
                elif how == "give back":
                    await approvals.give_back(row.id, one, actor, secret)
                elif how == "take back":
                    await approvals.take_back(row.id, one, actor)
                else:
                    await approvals.send_without(row.id, one, actor)

        self.act(person, name, work, dies, committed)

    @rule(person=st.sampled_from(PEOPLE), name=st.sampled_from(ANSWERING))
    def sends_again(self, person: str, name: str) -> None:
        async def work(_row: Any) -> None:
            for outbox_id in await self.ids(Outbox.id, Outbox.kind == "staff", Outbox.state == "unknown"):
                await self.world.core.desk.send_again(outbox_id, self.world.staff[name])

        self.act(person, name, work)

    @rule(person=st.sampled_from(PEOPLE), name=st.sampled_from(list(STAFF)))
    def writes_a_note(self, person: str, name: str) -> None:
        secret = self.secret("a note")
        self.act(person, name, lambda row: self.world.core.desk.note(row.id, self.world.staff[name], secret))

    # ---- everything else: one table, so that each of the staff tries each of it ------------------------

    def acts(self, actor: Actor, pick: int) -> dict[str, Work]:
        """What staff do with one conversation; `pick` chooses whatever there is to choose."""
        desk, secret = self.world.core.desk, self.secret("a reason")
        team, grade = TARGETS[pick % len(TARGETS)], GRADES[pick % len(GRADES)]
        closing: dict[str, Any] = (
            {"incident": INCIDENT},
            {"incident": INCIDENT, "done": secret},
            {"waiver": secret, "done": secret},
            {"done": secret},
        )[pick % 4]
        return {
            "release": lambda row: desk.release(row.id, actor),
            "return": lambda row: desk.return_to_assistant(row.id, actor, secret),
            "escalate": lambda row: desk.escalate(row.id, actor, secret),
            "take over": lambda row: desk.take_over(row.id, actor),
            "accept": lambda row: desk.accept(row.id, actor),
            "transfer": lambda row: desk.transfer(row.id, actor, team, secret),
            "close": lambda row: desk.close(row.id, actor, "no_reply", **closing),
            "grade": lambda row: desk.set_grade(row.id, actor, grade, secret),
            "reopen": lambda row: desk.reopen(row.id, actor),
            "snooze": lambda row: desk.snooze(row.id, actor, LENGTHS[pick % 3]),
            "end snooze": lambda row: desk.end_snooze(row.id, actor),
            "incident": lambda row: desk.keep_incident(row.id, actor, INCIDENT),
            "waive": lambda row: desk.waive_incident(row.id, actor, secret),
            "seal": lambda row: desk.seal(row.id, actor, SEALED_TEAM, secret),
            "unseal": lambda row: desk.unseal(row.id, actor, secret),
            "open": lambda row: desk.opened(row.id, actor),
            "reason": lambda row: desk.give_reason(row.id, actor, secret),
            "copy": lambda row: desk.copied(row.id, actor),
            "draft": lambda row: desk.draft(row.id, actor, secret),
            "ask a call": lambda row: desk.ask_call(row.id, actor, self._call(pick, secret)),
            "reassign": lambda row: desk.reassign(row.id, actor, 1 + pick % len(STAFF), secret),
        }

    @staticmethod
    def _call(pick: int, note: str) -> Call:
        later = now() + timedelta(minutes=pick + 1)
        return Call("07700 900123", later if pick % 2 else None, None, note)

    @rule(
        person=st.sampled_from(PEOPLE),
        name=st.sampled_from(ANSWERING),
        what=st.sampled_from(
            [
                "release", "return", "escalate", "take over", "accept", "transfer", "transfer", "close", "close",
                "grade", "grade", "reopen", "snooze", "end snooze", "incident", "waive", "seal", "unseal", "open",
                "reason", "copy", "draft", "ask a call", "reassign",
            ]
        ),
        pick=st.integers(0, 11),
        dies=st.sampled_from([0, 0, 0, 0, 1, 2]),
        committed=st.booleans(),
    )  # fmt: skip
    def does(self, person: str, name: str, what: str, pick: int, dies: int, committed: bool) -> None:
        self.act(person, name, self.acts(self.world.staff[name], pick)[what], dies, committed)

    @rule(person=st.sampled_from(PEOPLE), name=st.sampled_from(list(STAFF)), pick=st.integers(0, 11))
    def tries_everything(self, person: str, name: str, pick: int) -> None:
        """Somebody who may not know of a conversation tries all there is: as if there were none."""
        actor = self.world.staff[name]

        async def work(row: Any) -> None:
            if may_learn(row, actor):
                return
            acts = self.acts(actor, pick)
            acts["claim"] = lambda row: self.world.core.desk.claim(row.id, actor, row.epoch)
            acts["reply"] = lambda row: self.world.core.desk.reply(row.id, actor, "Hello")
            acts["note"] = lambda row: self.world.core.desk.note(row.id, actor, "Seen")
            acts["measure"] = lambda row: self._measure(row.id, actor, measures.KINDS[pick % 4])
            acts["card"] = lambda row: self.world.core.surges.take_out(row.id, actor)
            for what, attempt in acts.items():
                try:
                    await attempt(row)
                except RefusedError:
                    continue
                raise AssertionError(f"sealed: {name} could {what}")

        self.act(person, name, work)

    @rule(name=st.sampled_from(ANSWERING), pick=st.integers(0, 11), dies=st.sampled_from([0, 0, 1, 3]))
    def hands_several_on(self, name: str, pick: int, dies: int) -> None:
        actor, note = self.world.staff[name], self.secret("handed on")
        urgent = {row.id: row.team for row in self.record.conversations if row.grade in ("P1", "P2")}

        async def work(_row: Any) -> None:
            ids = await self.ids(Conversation.id)
            await self.world.core.moves.hand_on(ids, actor, TARGETS[pick % len(TARGETS)], note)

        self.act("ann", name, work, dies)
        for conversation_id in urgent:
            row = self.go(self._row(conversation_id))
            assert row.team == urgent[conversation_id], "a P1 or P2 was handed on with others"

    async def _row(self, conversation_id: int) -> Any:
        async with self.world.store.read() as connection:
            query = select(Conversation.__table__).where(Conversation.id == conversation_id)
            return (await connection.execute(query)).one()

    @rule(person=st.sampled_from(PEOPLE), name=st.sampled_from(ANSWERING))
    def settles_a_call(self, person: str, name: str) -> None:
        async def work(row: Any) -> None:
            wanted = (CallBack.conversation_id == row.id, CallBack.done_at.is_(None))
            for call_id in await self.ids(CallBack.id, *wanted):
                await self.world.core.desk.settle_call(row.id, self.world.staff[name], call_id, done=True)

        self.act(person, name, work)

    # ---- measures ----------------------------------------------------------------------------------------

    async def _measure(self, conversation_id: int, actor: Actor, kind: str) -> None:
        warning = self.world.line("warned") if kind == "warn" else ""
        reason = self.secret("a measure")
        async with self.world.store.write() as connection:
            await measures.add_measure(connection, conversation_id, actor, kind, reason, warning=warning)

    @rule(
        person=st.sampled_from(PEOPLE),
        name=st.sampled_from(ANSWERING),
        kind=st.sampled_from(measures.KINDS),
    )
    def takes_a_measure(self, person: str, name: str, kind: str) -> None:
        actor = self.world.staff[name]
        if kind in ("limit", "block"):
            self.seen.quieted.add(person)
        self.act(person, name, lambda row: self._measure(row.id, actor, kind))

    @rule(person=st.sampled_from(PEOPLE), kind=st.sampled_from(measures.KINDS[1:]), renew=st.booleans())
    def ends_or_renews_a_measure(self, person: str, kind: str, renew: bool) -> None:
        actor, reason = self.world.staff["su"], self.secret("a review")

        async def work(row: Any) -> None:
            standing = await self.ids(
                Measure.id, Measure.person_id == row.person_id, Measure.ended_at.is_(None)
            )
            async with self.world.store.write() as connection:
                if not renew:
                    await measures.end_standing(connection, row.id, actor, kind, reason)
                elif standing:
                    await measures.renew(connection, standing[0], actor, reason)

        self.act(person, "su", work)

    # ---- many who write the same ----------------------------------------------------------------------------

    @rule()
    def a_rumour_spreads(self) -> None:
        """All of the crowd write the same and are put into the queue; a sweep makes a card of those alone in it."""
        for person in CROWD:
            self.says(person, RUMOUR)
            self.act(
                person,
                "su",
                lambda row: self.world.core.desk.escalate(row.id, self.world.staff["su"], "asked"),
            )
            self.forbidden = None
        self.go(self.world.core.grouping.sweep())

    @rule(
        writer=st.sampled_from(ANSWERING),
        reader=st.sampled_from(ANSWERING),
        back=st.sampled_from([False, False, True]),
        outcome=st.sampled_from(["", "no_reply"]),
        dies=st.sampled_from([0, 0, 0, 1]),
    )
    def many_are_answered(self, writer: str, reader: str, back: bool, outcome: str, dies: int) -> None:
        """One writes, another reads and approves; the clock then sends it to each."""
        if {writer, reader} & self.suspended:
            return
        answers, staff = self.world.core.surges, self.world.staff

        async def work(_row: Any) -> None:
            async with self.world.store.read() as connection:
                found = await cards.list_cards(connection, staff[writer])
            for card in found:
                await answers.write(card.id, staff[writer], ANSWER, outcome)
                if back:
                    await answers.give_back(card.id, staff[reader], self.secret("given back"))
                else:
                    await answers.approve(card.id, staff[reader], ANSWER)
                    assert writer != reader, "somebody approved their own answer"

        self.act(CROWD[0], writer, work, dies)

    @rule(person=st.sampled_from(CROWD), name=st.sampled_from(ANSWERING))
    def is_taken_out_of_the_card(self, person: str, name: str) -> None:
        self.act(person, name, lambda row: self.world.core.surges.take_out(row.id, self.world.staff[name]))
