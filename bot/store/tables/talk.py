"""What was said and done in conversations, and the clocks that drive them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Float, ForeignKey, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from bot.store.tables.base import Base, Id


class Conversation(Base):
    """One conversation with one person, and who may answer in it."""

    __tablename__ = "conversation"
    __table_args__ = (
        Index(
            "one_open_conversation_per_person",
            "person_id",
            unique=True,
            sqlite_where=text("state != 'closed'"),
            postgresql_where=text("state != 'closed'"),
        ),
        Index("conversation_by_state", "state", "grade", "waiting_since"),
        Index(
            "conversation_in_line",
            "grade",
            "waiting_since",
            "id",
            sqlite_where=text("state = 'waiting'"),
            postgresql_where=text("state = 'waiting'"),
        ),
        Index(
            "conversation_of_owner",
            "owner_id",
            "id",
            sqlite_where=text("state = 'human'"),
            postgresql_where=text("state = 'human'"),
        ),
        Index("conversation_by_opening", "opened_at", "id"),
        Index(
            "conversation_by_closing",
            "closed_at",
            "id",
            sqlite_where=text("closed_at IS NOT NULL"),
            postgresql_where=text("closed_at IS NOT NULL"),
        ),
        Index(
            "conversation_by_incident",
            "incident",
            sqlite_where=text("incident IS NOT NULL"),
            postgresql_where=text("incident IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    reference: Mapped[str] = mapped_column(String(24), unique=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    channel: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(8), default="bot")
    epoch: Mapped[int] = mapped_column(Integer, default=0)
    grade: Mapped[str | None] = mapped_column(String(2))
    category: Mapped[str | None] = mapped_column(String(8))
    reasons: Mapped[list[Any]] = mapped_column(default=list)
    """Why it is here: [{category, grade, net, words, at}], oldest first."""
    team: Mapped[str | None] = mapped_column(String(64))
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    owner_outside: Mapped[bool] = mapped_column(Boolean, default=False)
    answered_outside: Mapped[bool] = mapped_column(Boolean, default=False)
    transfer_team: Mapped[str | None] = mapped_column(String(64))
    """A warm transfer of a P1/P2 offered to this team: the sender owns until one accepts."""
    waiting_since: Mapped[datetime | None]
    """The first moment of the present wait; a transfer or a return keeps it."""
    front: Mapped[bool] = mapped_column(Boolean, default=False)
    """In front of its band: the owner was lost through no fault of the person's."""
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    last_inbound_at: Mapped[datetime]
    last_staff_at: Mapped[datetime | None]
    closed_owner_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    outcome: Mapped[str | None] = mapped_column(String(64))
    misses: Mapped[int] = mapped_column(Integer, default=0)
    """Turns not understood in a row."""
    form: Mapped[str | None] = mapped_column(String(64))
    safe_check: Mapped[str | None] = mapped_column(String(8))
    """None, asked, yes or no: the answer to "Is it safe for you to chat here?"."""
    safe_category: Mapped[str | None] = mapped_column(String(8))
    pending_answer: Mapped[str | None] = mapped_column(String(128))
    ask: Mapped[dict[str, Any] | None]
    """The one question asked of an ambiguous message, and what silence will mean."""
    withdrawable: Mapped[bool] = mapped_column(Boolean, default=False)
    language: Mapped[str | None] = mapped_column(String(8))
    """The code of the language that the person probably writes, if it is not English."""
    page: Mapped[str | None] = mapped_column(String(160))
    """What the force's page around the chat was about when the person last wrote, by its signature."""
    sealed: Mapped[bool] = mapped_column(Boolean, default=False, server_default=text("false"))
    """Its existence is hidden from everybody but the team that it is sealed for."""
    snoozed_until: Mapped[datetime | None]
    """The owner's list leaves it out until then, or until the person writes."""
    incident: Mapped[str | None] = mapped_column(String(64))
    """The force's own incident number; ours is only a chat reference."""
    reply_due_at: Mapped[datetime | None]
    """When the next reply of a person is due; None while none is owed."""
    first_reply_at: Mapped[datetime | None]
    """When a member of staff first answered in the present wait."""
    lease_holder: Mapped[str | None] = mapped_column(String(64))
    lease_expires: Mapped[datetime | None]
    lease_counter: Mapped[int] = mapped_column(Integer, default=0)


class Message(Base):
    """One message of a person, exactly once."""

    __tablename__ = "message"
    __table_args__ = (
        Index("message_once", "channel", "platform_id", unique=True),
        Index("message_of_conversation", "conversation_id", "id"),
        Index("message_of_person", "person_id", "received_at"),
        Index(
            "message_unhandled",
            "conversation_id",
            sqlite_where=text("handled = 0"),
            postgresql_where=text("NOT handled"),
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    channel: Mapped[str] = mapped_column(String(32))
    platform_id: Mapped[str] = mapped_column(String(255))
    kind: Mapped[str] = mapped_column(String(16))
    text: Mapped[str]
    edit_of: Mapped[str | None] = mapped_column(String(255))
    """The platform id of the message that this is a new version of."""
    button: Mapped[str | None]
    latitude: Mapped[float | None] = mapped_column(Float)
    longitude: Mapped[float | None] = mapped_column(Float)
    place: Mapped[str | None] = mapped_column(String(300))
    """What a map calls that location, as its platform says."""
    reply_to: Mapped[str | None] = mapped_column(String(255))
    """The platform id of the message, theirs or ours, that this one answers."""
    platform_time: Mapped[datetime]
    platform_sequence: Mapped[int] = mapped_column(BigInteger, default=0)
    received_at: Mapped[datetime]
    late: Mapped[bool] = mapped_column(Boolean, default=False)
    handled: Mapped[bool] = mapped_column(Boolean, default=False)
    raised: Mapped[str | None] = mapped_column(String(2))
    """The grade to which the door's screen raised the conversation on this message."""
    hits: Mapped[list[Any]] = mapped_column(default=list)
    decision: Mapped[dict[str, Any] | None]


class Outbox(Base):
    """One message of ours to a person: what it says, who says it, how far it got."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index("outbox_of_conversation", "conversation_id", "id"),
        Index(
            "outbox_open",
            "state",
            "not_before",
            sqlite_where=text("state IN ('queued', 'sending')"),
            postgresql_where=text("state IN ('queued', 'sending')"),
        ),
        Index(
            "outbox_open_of_conversation",
            "conversation_id",
            "id",
            sqlite_where=text("state IN ('queued', 'sending')"),
            postgresql_where=text("state IN ('queued', 'sending')"),
        ),
        Index("outbox_by_platform_id", "channel", "platform_id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.id"))
    channel: Mapped[str] = mapped_column(String(32))
    kind: Mapped[str] = mapped_column(String(12))
    text: Mapped[str]
    buttons: Mapped[list[Any]] = mapped_column(default=list)
    slug: Mapped[str | None] = mapped_column(String(128))
    category: Mapped[str | None] = mapped_column(String(8))
    grade: Mapped[str | None] = mapped_column(String(2))
    epoch: Mapped[int] = mapped_column(Integer)
    turn: Mapped[str | None] = mapped_column(String(64))
    author_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    state: Mapped[str] = mapped_column(String(12), default="queued")
    detail: Mapped[str | None]
    holder: Mapped[str | None] = mapped_column(String(64))
    sending_until: Mapped[datetime | None]
    not_before: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    parts_sent: Mapped[int | None] = mapped_column(Integer)
    """How many parts of a text that leaves in parts have left."""
    platform_id: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    way: Mapped[str | None] = mapped_column(String(8))
    """public or private, where the person wrote in public; None everywhere else."""
    place: Mapped[str | None] = mapped_column(String(255))
    """The comment that it answers, as its channel finds it."""


class OutboxTemplate(Base):
    """That a row of the outbox is a text which its platform has approved: by which name it is sent there.

    No foreign key: to make one, a migration would have to hold a table that everybody uses.
    """

    __tablename__ = "outbox_template"

    outbox_id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    body: Mapped[dict[str, Any]]
    """Name, language, and what fills its places."""


class Attempt(Base):
    """One real call to a platform for one outbox row."""

    __tablename__ = "attempt"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    outbox_id: Mapped[int] = mapped_column(ForeignKey("outbox.id"), index=True)
    number: Mapped[int] = mapped_column(Integer)
    gateway: Mapped[str] = mapped_column(String(64))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    result: Mapped[str | None] = mapped_column(String(16))
    detail: Mapped[str | None]


class Note(Base):
    """A private note of staff. No path leads from here to the outbox."""

    __tablename__ = "note"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.id"), index=True)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    text: Mapped[str]
    created_at: Mapped[datetime]


class Draft(Base):
    """What a member of staff has typed in a conversation and not yet sent or kept."""

    __tablename__ = "draft"

    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), primary_key=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.id"), primary_key=True)
    text: Mapped[str]
    """Of the reply; empty while only a note is half written."""
    note: Mapped[str | None]
    """Of a private note."""
    transfer_note: Mapped[str | None]
    """Of the note for the team that it is to be passed to."""
    updated_at: Mapped[datetime]


class Event(Base):
    """Something that pages show, in commit order: (`xid`, `id`). See `events.py`."""

    __tablename__ = "event"
    __table_args__ = (
        Index("event_order", "xid", "id"),
        Index("event_of_conversation", "conversation_id", "xid", "id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    xid: Mapped[int] = mapped_column(BigInteger, default=0)
    conversation_id: Mapped[int | None] = mapped_column(ForeignKey("conversation.id"))
    kind: Mapped[str] = mapped_column(String(32))
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
    at: Mapped[datetime]


class Due(Base):
    """A clock: something to be done at a time, by whichever gateway comes first."""

    __tablename__ = "due"
    __table_args__ = (
        Index(
            "due_open", "due_at",
            sqlite_where=text("done_at IS NULL"), postgresql_where=text("done_at IS NULL"),
        ),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    key: Mapped[str | None] = mapped_column(String(255), unique=True)
    conversation_id: Mapped[int | None] = mapped_column(ForeignKey("conversation.id"))
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
    due_at: Mapped[datetime]
    holder: Mapped[str | None] = mapped_column(String(64))
    held_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    done_at: Mapped[datetime | None]


class Audit(Base):
    """Who changed what, when: one row for every change of owner, grade or content."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("audit_of_conversation", "conversation_id", "id"),
        Index("audit_of_subject", "subject_id", "id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str]
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    action: Mapped[str] = mapped_column(String(48))
    conversation_id: Mapped[int | None] = mapped_column(ForeignKey("conversation.id"))
    epoch: Mapped[int | None] = mapped_column(Integer)
    subject_id: Mapped[int | None] = mapped_column(Id)
    """The member of staff whose account it was done to; no foreign key, which SQLite cannot add later."""
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Lease(Base):
    """Something that one gateway at a time may do, such as asking Telegram for news."""

    __tablename__ = "lease"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str | None] = mapped_column(String(64))
    expires: Mapped[datetime | None]
    counter: Mapped[int] = mapped_column(Integer, default=0)
    """Grows with each change of holder: who wrote with an older one has lost the lease."""
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
