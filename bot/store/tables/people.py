"""People of the public and staff: who they are, teams, and how staff sign in."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKey, Integer, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from bot.store.tables.base import Base, Id


class Person(Base):
    """Somebody of the public: one identity on one channel."""

    __tablename__ = "person"
    __table_args__ = (UniqueConstraint("channel", "platform_id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    channel: Mapped[str] = mapped_column(String(32))
    platform_id: Mapped[str] = mapped_column(String(255))
    name: Mapped[str | None]
    blocked: Mapped[bool] = mapped_column(Boolean, default=False)
    created_at: Mapped[datetime]
    left_at: Mapped[datetime | None]
    """When they blocked us on their platform; None: messages reach them."""
    reach_at: Mapped[datetime | None]
    """The platform's time of its newest word on that: an older one that comes late counts no more."""


class PersonAlso(Base):
    """Another id of a person's on their platform, which may come without the first.

    No foreign key: to make one, a migration would have to hold a table that everybody uses.
    """

    __tablename__ = "person_also"

    channel: Mapped[str] = mapped_column(String(32), primary_key=True)
    also_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    person_id: Mapped[int] = mapped_column(Id, index=True)


class Team(Base):
    """A group of staff who share a queue; seeded from the force's teams file."""

    __tablename__ = "team"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str]
    grades: Mapped[list[Any]]
    categories: Mapped[list[Any]]
    restricted: Mapped[bool] = mapped_column(Boolean, default=False)
    sealed: Mapped[bool] = mapped_column(Boolean, default=False, server_default=text("false"))
    """A conversation in which one of its categories is raised is sealed: others never learn of it."""
    also_at_p1: Mapped[str | None] = mapped_column(String(64))
    """The one small team that sees a sealed P1 as well: danger now cannot wait."""


class Staff(Base):
    """A named member of staff who can sign in to the desk."""

    __tablename__ = "staff"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    username: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str]
    role: Mapped[str] = mapped_column(String(16))
    password_hash: Mapped[str]
    active: Mapped[bool] = mapped_column(Boolean, default=True)
    failures: Mapped[int] = mapped_column(Integer, default=0)
    locked_until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    totp_secret: Mapped[str | None]
    """The second factor's secret, encrypted with the installation's key; None: not set up yet."""
    totp_confirmed_at: Mapped[datetime | None]
    """When the first code was given: from then on every sign-in asks for one."""
    totp_step: Mapped[int | None] = mapped_column(BigInteger)
    """The time step of the last code taken (RFC 6238), so that no code counts twice."""


class RecoveryCode(Base):
    """One way in without the second factor's device. Only the hash is kept; it works once."""

    __tablename__ = "recovery_code"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), index=True)
    code_hash: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class StaffLink(Base):
    """A link that works once, by which a member of staff sets a password. Kept only as a hash."""

    __tablename__ = "staff_link"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), index=True)
    purpose: Mapped[str] = mapped_column(String(8))
    """invite or reset."""
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class StaffTeam(Base):
    """Which teams a member of staff works in."""

    __tablename__ = "staff_team"

    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), primary_key=True)
    team: Mapped[str] = mapped_column(ForeignKey("team.key"), primary_key=True)


class StaffSession(Base):
    """One signed-in browser. The cookie's token is kept only as a hash."""

    __tablename__ = "staff_session"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), index=True)
    csrf: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    acted_at: Mapped[datetime]
    """The last thing done by hand; the idle lock counts from here."""
    seen_at: Mapped[datetime]
    """The last sign of life of the page; presence counts from here."""
    locked: Mapped[bool] = mapped_column(Boolean, default=False)
    second_factor: Mapped[str | None] = mapped_column(String(8))
    """What is still owed before this session opens any page: `code` or `enrol`; None: nothing."""
