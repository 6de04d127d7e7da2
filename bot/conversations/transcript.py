"""One conversation as it is read: what came in and what went out, in the order it was written."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store.tables import Conversation, Message, Note, Outbox, OutboxTemplate, Staff

QUOTED = 80
"""Letters shown of the line that another one answers."""
PUBLIC_STATES = ("sent", "delivered", "read")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a transcript.

    `side` is person, assistant, safety, staff, notice or note. `author` is the member of staff
    whom the record names; the public is shown the desk's name instead.
    """

    side: str
    id: int
    text: str
    at: datetime
    conversation_id: int
    author: str | None = None
    state: str | None = None
    detail: str | None = None
    kind: str = "text"
    late: bool = False
    edited: bool = False
    """A new version of an earlier line, which stays where it was."""
    buttons: tuple[dict[str, str], ...] = ()
    slug: str | None = None
    category: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    hits: tuple[dict[str, Any], ...] = ()
    decision: dict[str, Any] = field(default_factory=dict)
    platform_id: str | None = None
    place: str | None = None
    """What a map calls the location."""
    reply_to: str | None = None
    """The first words of the line that this one answers, where the platform says which."""
    approved: bool = False
    """A text that the platform has approved, word by word."""
    way: str = ""
    """public or private, where the person wrote in public."""


async def read_transcript(
    connection: AsyncConnection, conversation_id: int, *, notes: bool = True
) -> list[Line]:
    """Everything of one conversation, for staff.

    Sorted by platform time, then platform sequence, then arrival; a late message stands where it
    was written and says that it came late.
    """
    lines: list[tuple[tuple[Any, ...], Line]] = []
    messages = await connection.execute(
        select(Message.__table__).where(Message.conversation_id == conversation_id)
    )
    for m in messages:
        lines.append(
            (
                (m.platform_time, 0, m.platform_sequence, m.id),
                Line(
                    "person", m.id, m.text, m.platform_time, conversation_id, kind=m.kind,
                    late=m.late, edited=m.edit_of is not None, latitude=m.latitude, longitude=m.longitude,
                    hits=tuple(m.hits or ()), decision=m.decision or {}, platform_id=m.platform_id,
                    place=m.place, reply_to=m.reply_to,
                ),
            )
        )  # fmt: skip
    sent = await connection.execute(
        select(Outbox.__table__, Staff.name.label("author"), OutboxTemplate.outbox_id.label("template_id"))
        .outerjoin(Staff, Staff.id == Outbox.author_id)
        .outerjoin(OutboxTemplate, OutboxTemplate.outbox_id == Outbox.id)
        .where(Outbox.conversation_id == conversation_id)
    )
    for o in sent:
        lines.append(
            ((o.created_at, 1, 0, o.id), _outbox_line(o, o.author, approved=o.template_id is not None))
        )
    if notes:
        written = await connection.execute(
            select(Note.__table__, Staff.name.label("author"))
            .join(Staff, Staff.id == Note.staff_id)
            .where(Note.conversation_id == conversation_id)
        )
        for n in written:
            line = Line("note", n.id, n.text, n.created_at, conversation_id, author=n.author)
            lines.append(((n.created_at, 2, 0, n.id), line))
    return _quoted([line for _, line in sorted(lines, key=lambda pair: pair[0])])


def _quoted(lines: list[Line]) -> list[Line]:
    """Put the words in the place of the id of what a line answers; nothing where we do not know them."""
    said = {line.platform_id: line.text for line in lines if line.platform_id and line.text}
    return [
        line if line.reply_to is None else replace(line, reply_to=_short(said.get(line.reply_to, "")))
        for line in lines
    ]


def _short(text: str) -> str | None:
    flat = " ".join(text.split())
    return (flat if len(flat) <= QUOTED else flat[: QUOTED - 1].rstrip() + "\u2026") or None


def _outbox_line(row: Any, author: str | None, *, approved: bool = False) -> Line:
    return Line(
        row.kind,
        row.id,
        row.text,
        row.sent_at or row.created_at,
        row.conversation_id,
        author=author,
        state=row.state,
        detail=row.detail,
        buttons=tuple({"title": b["title"], "token": f"{row.id}.{i}"} for i, b in enumerate(row.buttons)),
        slug=row.slug,
        category=row.category,
        platform_id=row.platform_id,
        approved=approved,
        way=row.way or "",
    )


async def read_public(connection: AsyncConnection, person_id: int, *, outbox_after: int = 0) -> list[Line]:
    """What a person may see of their own conversations: their words, and what was sent to them.

    Notes and whatever was not sent are left out; nobody of the staff is named.
    """
    lines: list[tuple[tuple[Any, ...], Line]] = []
    mine = select(Conversation.id).where(Conversation.person_id == person_id)
    if outbox_after == 0:
        messages = await connection.execute(
            select(Message.__table__).where(Message.conversation_id.in_(mine))
        )
        for m in messages:
            line = Line(
                "person", m.id, m.text, m.received_at, m.conversation_id, kind=m.kind,
                platform_id=m.platform_id,
            )  # fmt: skip
            lines.append(((m.received_at, 0, m.id), line))
    sent = await connection.execute(
        select(Outbox.__table__).where(
            Outbox.conversation_id.in_(mine),
            Outbox.id > outbox_after,
            Outbox.state.in_(PUBLIC_STATES),
        )
    )
    for o in sent:
        line = _outbox_line(o, None)
        lines.append(((o.sent_at or o.created_at, 1, o.id), line))
    return [line for _, line in sorted(lines, key=lambda pair: pair[0])]
