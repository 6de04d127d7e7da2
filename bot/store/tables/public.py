"""What people write in public, under posts: the posts, the comments, and what was hidden of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from bot.store.tables.base import Base, Id


class Post(Base):
    """A post that somebody has commented on, or a post of the force's."""

    __tablename__ = "post"
    __table_args__ = (UniqueConstraint("channel", "platform_id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    channel: Mapped[str] = mapped_column(String(32))
    platform_id: Mapped[str] = mapped_column(String(255))
    text: Mapped[str | None]
    """None: nobody knows yet what it says."""
    link: Mapped[str | None]
    is_ours: Mapped[bool] = mapped_column(Boolean, default=True)
    author: Mapped[str | None] = mapped_column(String(64))
    """Who wrote it, on a platform where anybody's post may name us; None: not known, or it needs no saying."""
    kind: Mapped[str | None] = mapped_column(String(12))
    """memorial, appeal or ordinary, as staff have marked it; None: its words decide."""
    seen_at: Mapped[datetime]
    marked_at: Mapped[datetime | None]
    marked_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))


class Commenter(Base):
    """Who a person of a channel of comments is: an account under one post."""

    __tablename__ = "commenter"
    __table_args__ = (
        Index("commenter_by_account", "channel", "account"),
        Index("commenter_by_private_id", "channel", "private_id"),
    )

    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(String(32))
    post_id: Mapped[int] = mapped_column(ForeignKey("post.id"))
    account: Mapped[str | None] = mapped_column(String(64))
    private_id: Mapped[str | None] = mapped_column(String(64))
    """Who they are in private chats, as the platform said when a private reply reached them."""


class PublicComment(Base):
    """One comment, whatever its versions say: they are messages."""

    __tablename__ = "public_comment"
    __table_args__ = (UniqueConstraint("channel", "platform_id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    channel: Mapped[str] = mapped_column(String(32))
    platform_id: Mapped[str] = mapped_column(String(255))
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.id"), index=True)
    place: Mapped[str] = mapped_column(String(255))
    link: Mapped[str | None]
    takes_public: Mapped[bool] = mapped_column(Boolean, default=True)
    takes_private: Mapped[bool] = mapped_column(Boolean, default=True)
    at: Mapped[datetime]
    removed: Mapped[bool] = mapped_column(Boolean, default=False)
    wanted_hidden: Mapped[bool] = mapped_column(Boolean, default=False)
    """What we want it to be on the platform."""
    hidden: Mapped[bool] = mapped_column(Boolean, default=False)
    """What the platform has said that it is."""
    problem: Mapped[str | None]
    """Why the platform did not do what we want."""


class HiddenReview(Base):
    """Somebody has to look at a comment again: it was hidden, or holds what should perhaps be hidden."""

    __tablename__ = "hidden_review"
    __table_args__ = (
        Index(
            "hidden_review_open", "due_at",
            sqlite_where=text("decided_at IS NULL"), postgresql_where=text("decided_at IS NULL"),
        ),
        Index("hidden_review_of_comment", "comment_id", "id"),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    comment_id: Mapped[int] = mapped_column(ForeignKey("public_comment.id"))
    was_hidden: Mapped[bool] = mapped_column(Boolean)
    """False: it is shown still, and whoever looks decides."""
    rules: Mapped[list[Any]] = mapped_column(default=list)
    """Which rules it breaks, by their keys; the worst first."""
    copy: Mapped[str]
    """Its exact words at that moment."""
    reason: Mapped[str | None]
    """Of whoever hid it by hand."""
    opened_at: Mapped[datetime]
    opened_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    """None: the system did."""
    due_at: Mapped[datetime]
    raised_at: Mapped[datetime | None]
    """When it went to the supervisors because nobody had looked in time."""
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    decision: Mapped[str | None] = mapped_column(String(12))
    """hidden or shown; outside: the platform told us that somebody did it there; removed: it is gone."""
    why: Mapped[str | None]
    """The reason of whoever decided."""
