"""Content that is live, alarms, and what going live needs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from bot.store.tables.base import Base, Id


class Release(Base):
    """One approved set of content; exactly one is live."""

    __tablename__ = "release"
    __table_args__ = (
        Index(
            "one_live_release", "live", unique=True,
            sqlite_where=text("live = 1"), postgresql_where=text("live"),
        ),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    live: Mapped[bool] = mapped_column(Boolean, default=False)
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    origin: Mapped[str | None] = mapped_column(String(12))
    """files, studio, withdrawal, restore, expiry or rollback; None: from before that was kept."""
    why: Mapped[str | None]
    previous_id: Mapped[int | None] = mapped_column(Id)
    """The release that was live before; no foreign key, which SQLite cannot add later."""
    back_to: Mapped[int | None] = mapped_column(Id)
    """Of a rollback: the release whose content came back."""
    model: Mapped[str | None] = mapped_column(String(64))
    """The model that it was made beside, where that is known."""


class ReleaseItem(Base):
    """One piece of content of a release: an FAQ answer, a system sentence, a contact."""

    __tablename__ = "release_item"
    __table_args__ = (UniqueConstraint("release_id", "kind", "key"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    release_id: Mapped[int] = mapped_column(ForeignKey("release.id"))
    kind: Mapped[str] = mapped_column(String(16))
    key: Mapped[str] = mapped_column(String(128))
    body: Mapped[dict[str, Any]]


class Alarm(Base):
    """Something that has to reach a person outside the browser, until one has acted."""

    __tablename__ = "alarm"
    __table_args__ = (
        Index(
            "alarm_open", "raised_at",
            sqlite_where=text("settled_at IS NULL"), postgresql_where=text("settled_at IS NULL"),
        ),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    key: Mapped[str] = mapped_column(String(128), unique=True)
    """What it is about: one alarm for each, however many gateways notice."""
    kind: Mapped[str] = mapped_column(String(16))
    """p1, p2, unstored (a P1 that the door could not keep) or test."""
    conversation_id: Mapped[int | None] = mapped_column(ForeignKey("conversation.id"), index=True)
    reference: Mapped[str | None] = mapped_column(String(24))
    grade: Mapped[str | None] = mapped_column(String(2))
    category: Mapped[str | None] = mapped_column(String(8))
    team: Mapped[str | None] = mapped_column(String(64))
    level: Mapped[int] = mapped_column(Integer, default=0)
    """How far it has risen on the rota: 0 is the first to be told."""
    raised_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    settled_by: Mapped[str | None]
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)


class AlarmAttempt(Base):
    """One real call to one path for one alarm. Holds no text of a message and no address."""

    __tablename__ = "alarm_attempt"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    alarm_id: Mapped[int] = mapped_column(ForeignKey("alarm.id"), index=True)
    path: Mapped[str] = mapped_column(String(16))
    """mail or webhook."""
    level: Mapped[int] = mapped_column(Integer)
    number: Mapped[int] = mapped_column(Integer)
    contact: Mapped[str]
    """The rota's name for who was called, never the address or number itself."""
    gateway: Mapped[str] = mapped_column(String(64))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    result: Mapped[str | None] = mapped_column(String(16))
    detail: Mapped[str | None]


class SignOff(Base):
    """A named person takes responsibility for one thing that would keep this force from going live."""

    __tablename__ = "sign_off"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    item: Mapped[str] = mapped_column(String(255), unique=True)
    name: Mapped[str]
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    reason: Mapped[str]
    digest: Mapped[str | None] = mapped_column(String(64))
    """A hash of what was signed off: once that changes, the word given no longer counts."""
    at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]


class Live(Base):
    """A channel that has gone live: when, and by whose word. Later findings warn, and do not stop it."""

    __tablename__ = "live"

    channel: Mapped[str] = mapped_column(String(32), primary_key=True)
    at: Mapped[datetime]
    by: Mapped[str]


class Standing(Base):
    """What a platform last said of an account of ours there, one row for each topic. No person's."""

    __tablename__ = "standing"

    channel: Mapped[str] = mapped_column(String(32), primary_key=True)
    account: Mapped[str] = mapped_column(String(64), primary_key=True)
    topic: Mapped[str] = mapped_column(String(160), primary_key=True)
    says: Mapped[str] = mapped_column(String(64))
    degraded: Mapped[bool] = mapped_column(Boolean, default=False)
    at: Mapped[datetime]
    why: Mapped[str | None] = mapped_column(String(400))
    """The same in sentences for staff, where there are any."""
    until: Mapped[datetime | None]
    """When it ends by itself."""


class Bookmark(Base):
    """How far a platform that is asked for its news was read, and whether each way to it works."""

    __tablename__ = "bookmark"

    key: Mapped[str] = mapped_column(String(32), primary_key=True)
    """The channel and the way, such as x.poll and x.webhook."""
    place: Mapped[int | None] = mapped_column(BigInteger)
    """The number of the newest message up to which everything is stored."""
    good_at: Mapped[datetime | None]
    """When it last worked."""
    trouble: Mapped[str | None] = mapped_column(String(200))
    """Why it does not work now. `standing` says when that is too long."""
    trouble_at: Mapped[datetime | None]
    """Since when."""
