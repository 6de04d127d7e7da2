"""What staff have typed and not sent: kept for each of them and each conversation, whoever owns it.

A draft outlives the page, the session, the gateway and the ownership. Only a send, or its author, ends
it. Whoever owns the conversation next may read the reply that somebody left unsent there, and take the
words over: once sent they are the sender's, and the audit says whose draft it was. Notes that are half
written are shown to nobody but their author.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, cast

from sqlalchemy import Row, and_, delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import RefusedError, StaleError
from bot.messages import ASIDE, Actor
from bot.store.record import add_audit, add_event, now, upsert
from bot.store.tables import Approval, Audit, Draft, Message, Note, Outbox, Staff

Kind = Literal["reply", "note", "transfer"]
"""A reply, a private note, or the note for the team that a conversation is passed to."""

_COLUMNS: Final[dict[str, str]] = {"reply": "text", "note": "note", "transfer": "transfer_note"}
KINDS: Final = tuple(_COLUMNS)
LONGEST: Final = 5000
USED: Final = "draft.use"
"""The action of the audit row that says who took whose words over."""
LEFT: Final = "draft.left"
"""The event that tells the owner's page of an unsent text."""
JUST_NOW: Final = timedelta(seconds=60)
"""A save that was under way while its very text was sent may come this much later; it is no draft."""


@dataclass(frozen=True, slots=True)
class Unsent:
    """What one member of staff has typed in one conversation."""

    reply: str = ""
    note: str = ""
    transfer: str = ""
    at: datetime | None = field(default=None, compare=False)
    """When one of them was kept last."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a save came to."""

    at: datetime | None
    """When the text was kept; None: it was ended."""
    told: bool = False
    """Somebody else owns the conversation, and an event tells their page."""


@dataclass(frozen=True, slots=True)
class Left:
    """The reply that somebody who does not own the conversation left unsent in it."""

    staff_id: int
    name: str
    text: str
    at: datetime


def kind_of(name: str) -> Kind:
    """The kind that a page names; an empty name is a reply.

    Raises:
        RefusedError: there is no such kind.
    """
    if name and name not in _COLUMNS:
        raise RefusedError("This page is not up to date. Load it again.")
    return cast(Kind, name or "reply")


def _of(actor: Actor, conversation_id: int) -> Any:
    return and_(Draft.staff_id == actor.staff_id, Draft.conversation_id == conversation_id)


async def read(connection: AsyncConnection, conversation_id: int, actor: Actor) -> Unsent:
    """What `actor` has typed there and not sent."""
    query = select(Draft.__table__).where(_of(actor, conversation_id))
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return Unsent()
    return Unsent(row.text, row.note or "", row.transfer_note or "", row.updated_at)


async def keep(connection: AsyncConnection, row: Row[Any], actor: Actor, kind: Kind, text: str) -> Kept:
    """Keep one text of `actor` in a conversation that they may read; an empty one ends it."""
    text = text[:LONGEST]
    if text.strip() and await _was_just_used(connection, row.id, actor, kind, text.strip()):
        text = ""
    if not text:
        await end(connection, row.id, actor, kind)
        return Kept(None)
    moment = now()
    values = {_COLUMNS[kind]: text, "updated_at": moment}
    await connection.execute(
        upsert(connection, Draft)
        .values(**{"staff_id": actor.staff_id, "conversation_id": row.id, "text": "", **values})
        .on_conflict_do_update(index_elements=["staff_id", "conversation_id"], set_=values)
    )
    if kind != "reply" or row.state != "human" or row.owner_id == actor.staff_id:
        return Kept(moment)
    # The last letters of somebody who has lost the conversation.
    await add_event(connection, row.id, LEFT, {})
    return Kept(moment, told=True)


async def end(connection: AsyncConnection, conversation_id: int, actor: Actor, kind: Kind) -> None:
    """One text of `actor` was sent, kept as a note, or thrown away."""
    mine = _of(actor, conversation_id)
    emptied: dict[str, Any] = {_COLUMNS[kind]: "" if kind == "reply" else None}
    await connection.execute(update(Draft).where(mine).values(**emptied))
    nothing = [func.coalesce(getattr(Draft, name), "") == "" for name in _COLUMNS.values()]
    await connection.execute(delete(Draft).where(mine, *nothing))


async def _was_just_used(
    connection: AsyncConnection, conversation_id: int, actor: Actor, kind: Kind, text: str
) -> bool:
    since = now() - JUST_NOW
    if kind != "reply":
        query = select(Note.text).where(
            Note.conversation_id == conversation_id, Note.staff_id == actor.staff_id, Note.created_at > since
        )
        return text in (await connection.execute(query)).scalars()
    sent = select(Outbox.text).where(
        Outbox.conversation_id == conversation_id, Outbox.author_id == actor.staff_id,
        Outbox.kind == "staff", Outbox.created_at > since,
    )  # fmt: skip
    # One that a second person reads was sent as far as its author goes; given back it is a draft again.
    asked = select(Approval.text).where(
        Approval.conversation_id == conversation_id, Approval.author_id == actor.staff_id,
        Approval.asked_at > since, Approval.decided_at.is_(None),
    )  # fmt: skip
    return text in (await connection.execute(sent.union_all(asked))).scalars()


# ---- words that somebody left ------------------------------------------------------------------


async def left_by_others(connection: AsyncConnection, row: Row[Any], actor: Actor) -> list[Left]:
    """The unsent replies of others, for the owner alone; those whose words the owner took are left out."""
    if row.state != "human" or row.owner_id is None or row.owner_id != actor.staff_id:
        return []
    used = exists().where(
        Audit.conversation_id == row.id, Audit.action == USED, Audit.staff_id == actor.staff_id,
        Audit.subject_id == Draft.staff_id, Audit.at >= Draft.updated_at,
    )  # fmt: skip
    rows = await connection.execute(
        select(Draft.staff_id, Staff.name, Draft.text, Draft.updated_at)
        .join(Staff, Staff.id == Draft.staff_id)
        .where(Draft.conversation_id == row.id, Draft.staff_id != actor.staff_id, Draft.text != "", ~used)
        .order_by(Draft.updated_at.desc(), Draft.staff_id)
    )
    return [Left(*one) for one in rows]


async def use(connection: AsyncConnection, row: Row[Any], actor: Actor, author_id: int, typed: str) -> None:
    """Put the words that somebody left behind what the owner has typed. The conversation is locked.

    Their author keeps them too.

    Raises:
        StaleError: the caller does not own the conversation (any more).
        RefusedError: there is no such text, or both together are too long.
    """
    if row.state != "human" or row.owner_id != actor.staff_id:
        raise StaleError("You do not have this chat any more.")
    found = [one for one in await left_by_others(connection, row, actor) if one.staff_id == author_id]
    if not found:
        raise RefusedError("This text is not there any more.")
    text = "\n\n".join(part for part in (typed.rstrip(), found[0].text) if part)
    if len(text) > LONGEST:
        raise RefusedError("Both texts together are too long. Copy what you need.")
    await keep(connection, row, actor, "reply", text)
    await add_audit(connection, actor, USED, row.id, row.epoch, subject_id=author_id)


# ---- a page that is behind ---------------------------------------------------------------------

WROTE = "The person has written again. Read it, then send your reply. Your text is kept."
CHANGED = "This chat changed while you wrote. Look at it, then send your reply. Your text is kept."


async def must_be_current(
    connection: AsyncConnection, row: Row[Any], *, seen: int | None, epoch: int | None
) -> None:
    """Let nobody send from a page that shows less than there is.

    `seen` is the newest message of the person on that page, `epoch` the conversation's there; None:
    whoever calls has no page. The conversation is locked.

    Raises:
        StaleError: the person has written since, or owner or danger have changed.
    """
    if seen is not None:
        newer = (
            select(Message.id)
            .where(
                Message.conversation_id == row.id,
                Message.id > seen,
                Message.kind.not_in(sorted(ASIDE)),
            )
            .limit(1)
        )
        if (await connection.execute(newer)).scalar_one_or_none() is not None:
            raise StaleError(WROTE)
    if epoch is not None and epoch != row.epoch:
        raise StaleError(CHANGED)
