"""Drafts of what the public reads, who wrote them, what each release changed, and what is withdrawn."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from bot.store.tables.base import Base, Id

_OPEN = "state IN ('draft', 'in_review', 'approved')"


class TextDraft(Base):
    """One text as it is to be; each text has one open draft at most. Holds nothing of the public's."""

    __tablename__ = "text_draft"
    __table_args__ = (
        Index(
            "one_open_draft_per_text", "kind", "key", unique=True,
            sqlite_where=text(_OPEN), postgresql_where=text(_OPEN),
        ),
        Index("text_draft_of_text", "kind", "key", "id"),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    key: Mapped[str] = mapped_column(String(128))
    state: Mapped[str] = mapped_column(String(12), default="draft")
    """draft, in_review, approved (waits for its time), live or discarded."""
    version: Mapped[int] = mapped_column(Integer, default=1)
    """Grows with each change: whoever changes it names the one that they saw."""
    body: Mapped[dict[str, Any]]
    base: Mapped[dict[str, Any] | None]
    """What was live when it was made, or looked at again; None: nothing was."""
    is_new: Mapped[bool] = mapped_column(Boolean, default=False)
    is_deletion: Mapped[bool] = mapped_column(Boolean, default=False)
    created_at: Mapped[datetime]
    created_by: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    updated_at: Mapped[datetime]
    updated_by: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    note: Mapped[str] = mapped_column(default="")
    """Why it changes."""
    submitted_at: Mapped[datetime | None]
    submitted_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    sent_back_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    sent_back_why: Mapped[str] = mapped_column(default="")
    approved_at: Mapped[datetime | None]
    approved_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    approved_why: Mapped[str] = mapped_column(default="")
    publish_at: Mapped[datetime | None]
    """When it goes live, once it is approved; None: at once."""
    trouble: Mapped[str] = mapped_column(default="")
    """Why it did not go live at its time."""
    release_id: Mapped[int | None] = mapped_column(ForeignKey("release.id"))
    ended_at: Mapped[datetime | None]


class TextAuthor(Base):
    """Somebody who wrote in a draft: they may not approve it."""

    __tablename__ = "text_author"

    draft_id: Mapped[int] = mapped_column(ForeignKey("text_draft.id"), primary_key=True)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), primary_key=True)
    first_at: Mapped[datetime]


class TextCopy(Base):
    """What a draft said, or was to say, kept aside so that nothing is lost."""

    __tablename__ = "text_copy"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    draft_id: Mapped[int] = mapped_column(ForeignKey("text_draft.id"), index=True)
    kept: Mapped[str] = mapped_column(String(12))
    """refused, before or submitted."""
    version: Mapped[int] = mapped_column(Integer)
    body: Mapped[dict[str, Any]]
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    at: Mapped[datetime]


class TextEditor(Base):
    """Who has a draft open, and when they were last seen there."""

    __tablename__ = "text_editor"

    draft_id: Mapped[int] = mapped_column(ForeignKey("text_draft.id"), primary_key=True)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), primary_key=True)
    seen_at: Mapped[datetime]


class ReleaseChange(Base):
    """One text that a release changed: who wrote it, who approved it, why."""

    __tablename__ = "release_change"
    __table_args__ = (Index("release_change_of_text", "kind", "key", "release_id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    release_id: Mapped[int] = mapped_column(ForeignKey("release.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    key: Mapped[str] = mapped_column(String(128))
    draft_id: Mapped[int | None] = mapped_column(ForeignKey("text_draft.id"))
    wrote: Mapped[list[Any]] = mapped_column(default=list)
    """Ids of staff."""
    approved_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    why: Mapped[str] = mapped_column(default="")


class Withdrawal(Base):
    """An answer that is not given for now: since when, by whom and why, and until when."""

    __tablename__ = "withdrawal"
    __table_args__ = (
        Index(
            "one_withdrawal_per_answer", "slug", unique=True,
            sqlite_where=text("ended_at IS NULL"), postgresql_where=text("ended_at IS NULL"),
        ),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    slug: Mapped[str] = mapped_column(String(128))
    at: Mapped[datetime]
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    """None: its own date had passed."""
    why: Mapped[str]
    release_id: Mapped[int] = mapped_column(ForeignKey("release.id"))
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    ended_why: Mapped[str | None]
    ended_release_id: Mapped[int | None] = mapped_column(ForeignKey("release.id"))
