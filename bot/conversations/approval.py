"""A reply that a second person reads first: asked for, approved, given back, taken back, or risen.

`bot/handover/approval.py` says which. Until it is approved no outbox row exists. The approval checks in
one transaction what the reply itself would: the author has the conversation still, it is the text and
the conversation that the second person was shown, and the person of the public has written nothing
that they were not shown.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant.content import LiveContent
from bot.conversations import outbound
from bot.errors import NotAllowedError, RefusedError, StaleError
from bot.handover import ownership, sensitive
from bot.handover.approval import (
    ASKED,
    EVENT,
    KIND,
    Asked,
    Rule,
    asked_of,
    end_with_owner,
    may_decide,
    newest_message,
    open_of,
    settle,
    to_draft,
)
from bot.handover.queue import get_for
from bot.handover.sensitive import Sensitive
from bot.messages import CLOCK, Actor, Finding, Way
from bot.safety.guard import LiveGuard, held_back, kinds_of
from bot.store import Bell, Store
from bot.store.record import add_audit, add_due, add_event, now
from bot.store.tables import Approval, Staff, StaffTeam

SHORTEST_REASON = 3
LONGEST_REASON = 500
WAITS_ALREADY = "Your reply of before waits for a second person. Take it back first, or wait."
GONE = "This reply does not wait any more. Look at the chat again."
WROTE_SINCE = "The person has written since. Read their new message, say that you have, then approve."
CHANGED = "This chat changed meanwhile. Look at it again before you approve."
LOST = "Its writer does not have this chat any more. It was not sent. They have the text as a draft."
OWN = "Somebody else has to approve your reply."
NOT_YOURS = "Only the team of this chat or a supervisor may read this reply."
NEEDED = "A second person has to read this reply before it is sent."


async def ask(
    connection: AsyncConnection,
    row: Row[Any],
    author: Actor,
    text: str,
    findings: tuple[Finding, ...],
    override: str,
    rule: Rule,
    way: Way = "",
    place: str = "",
) -> int:
    """Keep a reply of the owner for a second person. `row` is locked, and the guard has let the text go.

    Raises:
        RefusedError: one of theirs waits already.
    """
    if await open_of(connection, row.id) is not None:
        raise RefusedError(WAITS_ALREADY)
    made = await connection.execute(
        insert(Approval)
        .values(conversation_id=row.id, author_id=author.staff_id, text=text, asked_at=now())
        .returning(Approval.id)
    )
    approval_id = int(made.scalar_one())
    about: dict[str, Any] = {
        "kinds": kinds_of(findings), "override": override.strip()[: outbound.LONGEST_REASON]
    }  # fmt: skip
    to: dict[str, Any] = {"way": way, "place": place} if way else {}
    await add_audit(
        connection, author, ASKED, row.id, row.epoch, approval=approval_id, grade=row.grade, team=row.team,
        message=await newest_message(connection, row.id), **(about if findings else {}),
        **to,
    )  # fmt: skip
    await add_due(
        connection, KIND, rule.rises_after(row.team), key=f"{KIND}:{approval_id}", conversation_id=row.id,
        data={"approval": approval_id},
    )  # fmt: skip
    await add_event(connection, row.id, EVENT, {"approval": approval_id, "decision": None})
    return approval_id


class Approvals:
    """What staff do with a reply that waits, and what the clock does."""

    def __init__(self, store: Store, bell: Bell, content: LiveContent, guard: LiveGuard) -> None:
        self._store = store
        self._bell = bell
        self._content = content
        self._guard = guard

    @property
    def rule(self) -> Rule:
        """The rule in force now."""
        return Rule.of(self._content.current.teams)

    def _ring(self) -> None:
        for name in ("event", "outbox"):
            self._bell.ring(name)

    async def approve(
        self, conversation_id: int, approval_id: int, actor: Actor, *, seen: int, epoch: int
    ) -> int:
        """Send a reply that somebody else wrote. Returns its outbox id.

        `seen` is the newest message that whoever approves has read, `epoch` that of their page.

        Raises:
            NotAllowedError: they wrote it themselves, or it is not theirs to read.
            StaleError: it was decided already, the person has written since, the conversation changed,
                or its writer does not have it any more; then the text is the writer's draft again.
            GuardedError: it holds what must not leave, and its writer gave no reason.
        """
        # Read before: to look through a text takes longer than a transaction should.
        found = held_back(self._guard.current.find(await self._text(approval_id)))
        outbox_id: int | None = None
        async with self._store.write() as connection:
            row, one, asked = await self._to_decide(connection, conversation_id, approval_id, actor)
            author = await actor_now(connection, one.author_id)
            if author is None or row.state != "human" or row.owner_id != one.author_id:
                # Told below, once it is committed: a refusal in here would undo it.
                await end_with_owner(connection, row, actor, "lost")
            else:
                if await newest_message(connection, row.id) > seen:
                    raise StaleError(WROTE_SINCE)
                if row.epoch != epoch:
                    raise StaleError(CHANGED)
                findings = outbound.decide(found, row.grade, asked.override)
                outbox_id = await outbound.send(
                    connection, row, author, one.text, self._content.current.clock, findings=findings,
                    override=asked.override, approver=actor, way=asked.way, place=asked.place,
                    approval=one.id,
                )  # fmt: skip
                if not await settle(connection, one, actor, "approved", outbox_id=outbox_id):
                    raise StaleError(GONE)
        self._ring()
        if outbox_id is None:
            raise StaleError(LOST)
        return outbox_id

    async def give_back(self, conversation_id: int, approval_id: int, actor: Actor, reason: str) -> None:
        """Give a reply back to its writer, with a reason: the text is their draft again.

        Raises:
            NotAllowedError: as `approve`.
            StaleError: it was decided already.
            RefusedError: no reason.
        """
        reason = reason.strip()
        if len(reason) < SHORTEST_REASON:
            raise RefusedError("Say why it goes back.")
        async with self._store.write() as connection:
            row, one, _ = await self._to_decide(connection, conversation_id, approval_id, actor)
            await self._back(connection, row, one, actor, "returned", reason[:LONGEST_REASON])
        self._ring()

    async def take_back(self, conversation_id: int, approval_id: int, actor: Actor) -> None:
        """The writer wants it back: the text is their draft again.

        Raises:
            StaleError: it was decided already, or it is not theirs.
        """
        async with self._store.write() as connection:
            row, one = await self._own(connection, conversation_id, approval_id, actor)
            await self._back(connection, row, one, actor, "withdrawn", "taken back")
        self._ring()

    async def send_without(self, conversation_id: int, approval_id: int, actor: Actor) -> int:
        """The writer sends it themselves: it is a P1 now, or nobody has to read it any more.

        Raises:
            StaleError: it was decided already, it is not theirs, or they do not have the conversation.
            RefusedError: a second person has to read it still.
            GuardedError: it holds what must not leave; not at P1.
        """
        found = held_back(self._guard.current.find(await self._text(approval_id)))
        async with self._store.write() as connection:
            row, one = await self._own(connection, conversation_id, approval_id, actor)
            if row.state != "human" or row.owner_id != actor.staff_id:
                raise StaleError("You do not have this chat any more.")
            asked = await asked_of(connection, one)
            if self.rule.asks(row) or asked.way == "public":
                raise RefusedError(NEEDED)
            override = asked.override
            findings = outbound.decide(found, row.grade, override)
            outbox_id = await outbound.send(
                connection, row, actor, one.text, self._content.current.clock, findings=findings,
                override=override, way=asked.way, place=asked.place, approval=one.id,
            )  # fmt: skip
            if not await settle(connection, one, actor, "sent", outbox_id=outbox_id):
                raise StaleError(GONE)
        self._ring()
        return outbox_id

    async def _text(self, approval_id: int) -> str:
        async with self._store.read() as connection:
            found = await connection.execute(select(Approval.text).where(Approval.id == approval_id))
            return found.scalar_one_or_none() or ""

    async def _to_decide(
        self, connection: AsyncConnection, conversation_id: int, approval_id: int, actor: Actor
    ) -> tuple[Row[Any], Row[Any], Asked]:
        """The conversation, locked, and the reply that waits in it, for a second person."""
        row = await get_for(connection, conversation_id, actor)
        await sensitive.must_have_reason(connection, row, actor, Sensitive.of(self._content.current.teams))
        one = await self._waiting(connection, row, approval_id)
        if one.author_id == actor.staff_id:
            raise NotAllowedError(OWN)
        if not may_decide(row, actor, one.author_id):
            raise NotAllowedError(NOT_YOURS)
        return row, one, await asked_of(connection, one)

    async def _own(
        self, connection: AsyncConnection, conversation_id: int, approval_id: int, actor: Actor
    ) -> tuple[Row[Any], Row[Any]]:
        row = await get_for(connection, conversation_id, actor)
        one = await self._waiting(connection, row, approval_id)
        if one.author_id != actor.staff_id:
            raise StaleError(GONE)
        return row, one

    async def _waiting(self, connection: AsyncConnection, row: Row[Any], approval_id: int) -> Row[Any]:
        one = await open_of(connection, row.id)
        if one is not None and one.id == approval_id:
            return one
        raise StaleError(await self._told(connection, row, approval_id))

    async def _told(self, connection: AsyncConnection, row: Row[Any], approval_id: int) -> str:
        """What became of one that waits no more, for whoever came second."""
        query = (
            select(Approval.decision, Staff.name)
            .outerjoin(Staff, Staff.id == Approval.decided_by)
            .where(Approval.id == approval_id, Approval.conversation_id == row.id)
        )
        done = (await connection.execute(query)).one_or_none()
        words = {"approved": "approved this reply already", "returned": "gave this reply back already"}
        if done is None or done.decision not in words or done.name is None:
            return GONE
        return f"{done.name} {words[done.decision]}."

    async def _back(
        self, connection: AsyncConnection, row: Row[Any], one: Row[Any], actor: Actor, decision: str, why: str
    ) -> None:
        if not await settle(connection, one, actor, decision, why):
            raise StaleError(GONE)
        await to_draft(connection, one)
        action = "approval.return" if decision == "returned" else "approval.withdraw"
        about = {"reason": why} if decision == "returned" else {"why": why}
        await add_audit(
            connection, actor, action, row.id, row.epoch, subject_id=one.author_id, approval=one.id, **about
        )

    # ---- what is due ----------------------------------------------------------------------------

    async def rise(self, due: Row[Any]) -> bool:
        """Nobody has read it in time: from now on it stands first at every supervisor's desk."""
        async with self._store.write() as connection:
            row = await ownership.get(connection, due.conversation_id)
            one = await open_of(connection, row.id)
            if one is None or one.id != due.data["approval"] or one.raised_at is not None:
                return True
            await connection.execute(update(Approval).where(Approval.id == one.id).values(raised_at=now()))
            await add_audit(
                connection, CLOCK, "approval.rise", row.id, row.epoch, subject_id=one.author_id,
                approval=one.id, grade=row.grade, team=row.team,
                seconds=int((now() - one.asked_at).total_seconds()),
            )  # fmt: skip
            # No "alert": that rings as danger does. The page of every supervisor reads it anew.
            await add_event(connection, row.id, EVENT, {"approval": one.id, "decision": None, "risen": True})
        return True


async def actor_now(connection: AsyncConnection, staff_id: int | None) -> Actor | None:
    """A member of staff as they are now; None: they may not answer people any more."""
    query = select(Staff.name, Staff.role, Staff.active).where(Staff.id == staff_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None or not row.active or row.role not in ownership.ANSWERING_ROLES:
        return None
    teams = await connection.execute(select(StaffTeam.team).where(StaffTeam.staff_id == staff_id))
    return Actor(row.name, staff_id, row.role, frozenset(teams.scalars()))
