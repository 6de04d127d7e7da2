"""Replies that a second person reads before they are sent: which, who may read them, and which wait.

The force's teams file says which: `approval` (grades) and `approval_rises_after` (minutes) of a team. A
P1 is never held, whatever the file says. One reply of a conversation waits at most. When its author
loses the conversation, it waits no more: the text is their draft again, and a private note for
whoever has the conversation next, so that nothing is lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Result, Row, and_, case, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from bot.handover.queue import ANSWERING_ROLES, OWNED, visible
from bot.messages import COMMENTS, Actor, Way
from bot.store.record import add_audit, add_event, drop_due, now, upsert
from bot.store.tables import Approval, Audit, Conversation, Draft, Message, Note, Staff

KIND = "approval"
"""The kind of its clock, and of the event that tells the pages."""
EVENT = "conversation.approval"
DEFAULT_MINUTES = 10.0
SHOWN = 100
ASKED = "approval.ask"
NOT_SENT = "This reply was not sent. It waited for a second person when its writer lost the chat."


@dataclass(frozen=True, slots=True)
class Rule:
    """The force's rule."""

    grades: Mapping[str, frozenset[str]]
    """By team."""
    minutes: Mapping[str, float]
    """How long a reply may wait before it rises to the supervisors, by team."""

    @classmethod
    def of(cls, teams_file: Mapping[str, Any]) -> Rule:
        """The rule of a teams file. `bot/assistant/content.py` refuses a file that makes no sense."""
        teams = teams_file.get("teams") or {}
        return cls(
            {key: frozenset(team.get("approval") or ()) for key, team in teams.items()},
            {key: float(team.get("approval_rises_after") or DEFAULT_MINUTES) for key, team in teams.items()},
        )

    def asks(self, row: Any) -> bool:
        """Whether a reply in this conversation is read by a second person first."""
        grade = row.grade or "P4"
        return grade != "P1" and grade in self.grades.get(row.team or "", ())

    def rises_after(self, team: str | None) -> timedelta:
        """How long a reply of this team may wait to be read."""
        return timedelta(minutes=self.minutes.get(team or "", DEFAULT_MINUTES))


def may_decide(row: Any, actor: Actor, author_id: int) -> bool:
    """Whether `actor`, who may open the conversation, may be the second person: never the author."""
    if actor.staff_id in (None, author_id) or actor.role not in ANSWERING_ROLES:
        return False
    return actor.role == "supervisor" or row.team is None or row.team in actor.teams


async def open_of(connection: AsyncConnection, conversation_id: int) -> Row[Any] | None:
    """The reply that waits in a conversation, with `author`, the name of who wrote it."""
    query = (
        select(Approval.__table__, Staff.name.label("author"))
        .join(Staff, Staff.id == Approval.author_id)
        .where(Approval.conversation_id == conversation_id, Approval.decided_at.is_(None))
        .order_by(Approval.id.desc())
        .limit(1)
    )
    return (await connection.execute(query)).one_or_none()


@dataclass(frozen=True, slots=True)
class Asked:
    """What was so when a second person was asked."""

    message: int
    """The newest message of the person then."""
    override: str
    """Why it has to leave although it holds what the guard would keep back; empty: it holds nothing."""
    way: Way = ""
    """Public or private, where the person wrote in public: a public one is always read by a second person."""
    place: str = ""


async def asked_of(connection: AsyncConnection, approval: Any) -> Asked:
    """What was so when this approval was asked for: the audit row of that moment holds it."""
    query = (
        select(Audit.detail)
        .where(Audit.conversation_id == approval.conversation_id, Audit.action == ASKED)
        .order_by(Audit.id.desc())
    )
    for detail in (await connection.execute(query)).scalars():
        if detail.get("approval") == approval.id:
            return Asked(
                int(detail.get("message") or 0), str(detail.get("override") or ""), detail.get("way") or "",
                str(detail.get("place") or ""),
            )  # fmt: skip
    return Asked(0, "")


async def newest_message(connection: AsyncConnection, conversation_id: int) -> int:
    """The newest message of a conversation that the caller has locked; 0: there is none."""
    query = select(func.max(Message.id)).where(Message.conversation_id == conversation_id)
    return int((await connection.execute(query)).scalar_one() or 0)


async def settle(
    connection: AsyncConnection,
    approval: Any,
    actor: Actor,
    decision: str,
    reason: str = "",
    outbox_id: int | None = None,
) -> bool:
    """Decide one that waits: of two who try at once, one does. False: somebody else has decided."""
    decided = await connection.execute(
        update(Approval)
        .where(Approval.id == approval.id, Approval.decided_at.is_(None))
        .values(
            decided_at=now(), decided_by=actor.staff_id, decision=decision, reason=reason or None,
            outbox_id=outbox_id,
        )
    )  # fmt: skip
    if decided.rowcount != 1:
        return False
    await drop_due(connection, f"{KIND}:{approval.id}")
    await add_event(
        connection, approval.conversation_id, EVENT, {"approval": approval.id, "decision": decision}
    )
    return True


async def to_draft(connection: AsyncConnection, approval: Any) -> None:
    """Give the text back to its author, in front of what they have typed since."""
    query = select(Draft.text).where(
        Draft.staff_id == approval.author_id, Draft.conversation_id == approval.conversation_id
    )
    typed = (await connection.execute(query)).scalar_one_or_none() or ""
    text = approval.text if not typed.strip() else f"{approval.text}\n\n{typed}"
    await connection.execute(
        upsert(connection, Draft)
        .values(
            staff_id=approval.author_id, conversation_id=approval.conversation_id, text=text, updated_at=now()
        )
        .on_conflict_do_update(
            index_elements=["staff_id", "conversation_id"], set_={"text": text, "updated_at": now()}
        )
    )


async def end_with_owner(connection: AsyncConnection, after: Row[Any], actor: Actor, why: str) -> None:
    """The owner of this conversation has changed: a reply that waits in it is not sent any more.

    `why` is what changed the owner. The caller holds the conversation.
    """
    one = await open_of(connection, after.id)
    if one is None or not await settle(connection, one, actor, "withdrawn", why):
        return
    await to_draft(connection, one)
    await connection.execute(
        insert(Note).values(
            conversation_id=after.id, staff_id=one.author_id, text=f"{NOT_SENT}\n\n{one.text}",
            created_at=now(),
        )
    )  # fmt: skip
    await add_audit(
        connection, actor, "approval.withdraw", after.id, after.epoch, subject_id=one.author_id,
        approval=one.id, why=why,
    )  # fmt: skip
    await add_event(connection, after.id, "note.added", {})


# ---- what pages show -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands in one conversation, for one reader."""

    needed: bool
    """A reply there is read by a second person first."""
    waits: Row[Any] | None
    """The reply that waits."""
    back: Row[Any] | None
    """The reader's own that was given back last, with `decider`; None once they have replied since."""

    @property
    def mark(self) -> str:
        """Changes when the composer has to look different."""
        waits, back = self.waits.id if self.waits else "", self.back.id if self.back else ""
        return f"{self.needed}/{waits}/{back}"


async def standing(connection: AsyncConnection, row: Any, actor: Actor, rule: Rule) -> Standing:
    """How it stands in a conversation that `actor` may read."""
    needed, own = rule.asks(row), row.state == "human" and row.owner_id == actor.staff_id
    waits = await open_of(connection, row.id) if row.state == "human" else None
    needed = needed or (waits is not None and await _is_public(connection, row.channel, waits))
    back = await _given_back(connection, row, actor) if own and waits is None else None
    return Standing(needed, waits, back)


async def _is_public(connection: AsyncConnection, channel: str, one: Any) -> bool:
    """Whether a reply that waits is to stand in public: such a one never goes without a second person."""
    return channel in COMMENTS and (await asked_of(connection, one)).way == "public"


async def _given_back(connection: AsyncConnection, row: Any, actor: Actor) -> Row[Any] | None:
    query = (
        select(Approval.__table__, Staff.name.label("decider"))
        .outerjoin(Staff, Staff.id == Approval.decided_by)
        .where(Approval.conversation_id == row.id)
        .order_by(Approval.id.desc())
        .limit(1)
    )
    last = (await connection.execute(query)).one_or_none()
    if last is None or last.decision != "returned" or last.author_id != actor.staff_id:
        return None
    return None if row.last_staff_at is not None and row.last_staff_at > last.decided_at else last


@dataclass(frozen=True, slots=True)
class ToRead:
    """A reply that waits for a second person."""

    approval_id: int
    conversation_id: int
    reference: str
    grade: str | None
    category: str | None
    team: str | None
    author: str
    asked_at: datetime
    has_risen: bool
    """Nobody has read it in time: supervisors are told."""
    is_mine: bool
    is_needed: bool
    """False: nobody has to read it any more. Its author may send it without."""


@dataclass(frozen=True, slots=True)
class _Waits:
    """As much of an approval as `asked_of` needs."""

    id: int
    conversation_id: int


async def list_open(connection: AsyncConnection, actor: Actor, rule: Rule) -> list[ToRead]:
    """What `actor` wrote and what they may read as the second person; what has risen first."""
    if actor.role not in ANSWERING_ROLES:
        return []
    whose = [] if actor.role == "supervisor" else [
        or_(
            Approval.author_id == actor.staff_id, Conversation.team.is_(None),
            Conversation.team.in_(sorted(actor.teams)),
        )
    ]  # fmt: skip
    rows = await connection.execute(
        select(
            Approval.id.label("approval_id"), Approval.author_id, Approval.asked_at, Approval.raised_at,
            Conversation.id, Conversation.reference, Conversation.grade, Conversation.category,
            Conversation.team, Conversation.channel, Staff.name.label("author"),
        )
        .join(Conversation, Conversation.id == Approval.conversation_id)
        .join(Staff, Staff.id == Approval.author_id)
        .where(Approval.decided_at.is_(None), Conversation.state == "human", visible(actor), *whose)
        .order_by(
            case((Approval.raised_at.is_(None), 1), else_=0), Conversation.grade, Approval.asked_at,
            Approval.id,
        )
        .limit(SHOWN)
    )  # fmt: skip
    found = rows.all()
    public = {
        row.approval_id
        for row in found
        if row.channel in COMMENTS
        and (await asked_of(connection, _Waits(row.approval_id, row.id))).way == "public"
    }
    return [
        ToRead(
            row.approval_id, row.id, row.reference, row.grade, row.category, row.team, row.author,
            row.asked_at, row.raised_at is not None, row.author_id == actor.staff_id,
            rule.asks(row) or row.approval_id in public,
        )
        for row in found
    ]  # fmt: skip


async def list_given_back(connection: AsyncConnection, actor: Actor) -> Sequence[Row[Any]]:
    """Conversations of `actor` in which a reply was given back and which they have not opened since.

    Columns: `id` of the approval, `chat`, `reference`, `grade`.
    """
    later = aliased(Approval)
    newer = exists().where(later.conversation_id == Conversation.id, later.id > Approval.id)
    looked = exists().where(
        Audit.conversation_id == Conversation.id, Audit.staff_id == actor.staff_id, Audit.action == "open",
        Audit.at > Approval.decided_at,
    )  # fmt: skip
    answered = and_(Conversation.last_staff_at.is_not(None), Conversation.last_staff_at > Approval.decided_at)
    found: Result[Any] = await connection.execute(
        select(
            Approval.id, Conversation.id.label("chat"), Conversation.reference, Conversation.grade,
        )
        .join(Approval, Approval.conversation_id == Conversation.id)
        .where(
            OWNED, Conversation.owner_id == actor.staff_id, visible(actor),
            Approval.author_id == actor.staff_id, Approval.decision == "returned",
            ~newer, ~looked, ~answered,
        )
        .order_by(Approval.id)
    )  # fmt: skip
    return list(found.all())
