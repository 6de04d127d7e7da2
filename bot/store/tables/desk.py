"""What staff do at the desk beside writing: views, approvals, measures, surges, reviews, labels."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from bot.store.tables.base import Base, Id


class StaffView(Base):
    """Who has a conversation open on a page, and who types there: others see it before they write."""

    __tablename__ = "staff_view"

    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.id"), primary_key=True)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), primary_key=True)
    seen_at: Mapped[datetime]
    typing_at: Mapped[datetime | None]


class Approval(Base):
    """A reply that a second person has to read before it is sent."""

    __tablename__ = "approval"
    __table_args__ = (
        Index(
            "approval_open", "asked_at",
            sqlite_where=text("decided_at IS NULL"), postgresql_where=text("decided_at IS NULL"),
        ),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.id"), index=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    text: Mapped[str]
    asked_at: Mapped[datetime]
    raised_at: Mapped[datetime | None]
    """When it went to a supervisor because nobody had read it in time."""
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    decision: Mapped[str | None] = mapped_column(String(12))
    """approved, returned, withdrawn, or sent (by its writer: a P1 waits for nobody)."""
    reason: Mapped[str | None]
    outbox_id: Mapped[int | None] = mapped_column(ForeignKey("outbox.id"))


class CallBack(Base):
    """A person's wish to be called, and when that is safe."""

    __tablename__ = "call_back"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.id"), index=True)
    number: Mapped[str]
    safe_from: Mapped[datetime | None]
    safe_until: Mapped[datetime | None]
    note: Mapped[str]
    asked_at: Mapped[datetime]
    asked_by: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    done_at: Mapped[datetime | None]
    done_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))


class Measure(Base):
    """What was done about a person's abuse of the service, by whom, and when it is looked at again."""

    __tablename__ = "measure"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    conversation_id: Mapped[int | None] = mapped_column(ForeignKey("conversation.id"))
    kind: Mapped[str] = mapped_column(String(8))
    """warn, limit, hide or block."""
    reason: Mapped[str]
    at: Mapped[datetime]
    by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    review_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))


class Surge(Base):
    """Many people who write nearly the same: one card, answered once for all. Never a P1 or P2."""

    __tablename__ = "surge"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    sample: Mapped[str]
    """The message that the others are like."""
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    answer: Mapped[str | None]
    outcome: Mapped[str | None] = mapped_column(String(64))
    """How each chat is closed once it is answered; None: it stays in the queue."""
    asked_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    approved_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    answered_at: Mapped[datetime | None]


class SurgeMember(Base):
    """A conversation of a surge."""

    __tablename__ = "surge_member"

    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.id"), primary_key=True)
    surge_id: Mapped[int] = mapped_column(ForeignKey("surge.id"), index=True)
    added_at: Mapped[datetime]
    compared: Mapped[int] = mapped_column(Id, default=0, server_default=text("0"))
    """The newest message that was compared: whoever writes one after it is read by a person."""
    left_at: Mapped[datetime | None]
    """When it went on by itself: graded up, taken, or taken out by hand."""


class Sample(Base):
    """A conversation that only the assistant had, drawn by lot for a person to read."""

    __tablename__ = "sample"
    __table_args__ = (UniqueConstraint("day", "conversation_id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    day: Mapped[str] = mapped_column(String(10))
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.id"))
    read_at: Mapped[datetime | None]
    read_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    verdict: Mapped[str | None] = mapped_column(String(16))
    """right, wrong or should_reach (a person should have been told)."""
    note: Mapped[str | None]


class SafetyReview(Base):
    """A message that should have reached a person and did not: what the screen has to learn."""

    __tablename__ = "safety_review"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.id"), index=True)
    message_id: Mapped[int | None] = mapped_column(ForeignKey("message.id"))
    opened_at: Mapped[datetime]
    opened_by: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    category: Mapped[str | None] = mapped_column(String(8))
    grade: Mapped[str | None] = mapped_column(String(2))
    phrase: Mapped[str | None]
    """A phrase proposed for the screen."""
    state: Mapped[str] = mapped_column(String(10), default="open")
    """open, accepted or declined."""
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    reason: Mapped[str | None]


class Label(Base):
    """A word of the force's own that staff put on a conversation."""

    __tablename__ = "label"
    __table_args__ = (Index("label_by_name", "name", "conversation_id"),)

    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime]
    by: Mapped[int] = mapped_column(ForeignKey("staff.id"))


class ReadingReason(Base):
    """Why a member of staff opened a conversation of a sensitive category; asked once a shift."""

    __tablename__ = "reading_reason"
    __table_args__ = (Index("reading_reason_of", "conversation_id", "staff_id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.id"))
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    reason: Mapped[str]
    at: Mapped[datetime]
    until: Mapped[datetime]
