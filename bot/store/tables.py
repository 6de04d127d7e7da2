"""Every table. Migrations in `migrations/` make them; these classes only describe them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcDateTime(TypeDecorator[datetime]):
    """A time that is always aware and in UTC; SQLite would forget the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a time without a zone; keep UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give UTC back."""
        if value is not None and value.tzinfo is None:
            return value.replace(tzinfo=UTC)
        return value


Id = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """Common types of all tables."""

    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON, list[Any]: JSON, str: Text}  # noqa: RUF012  SQLAlchemy reads it as a plain class attribute


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
    """What a member of staff has typed and not yet sent."""

    __tablename__ = "draft"

    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), primary_key=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.id"), primary_key=True)
    text: Mapped[str]
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


class ReleaseItem(Base):
    """One piece of content of a release: an FAQ answer, a system sentence, a contact."""

    __tablename__ = "release_item"
    __table_args__ = (UniqueConstraint("release_id", "kind", "key"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    release_id: Mapped[int] = mapped_column(ForeignKey("release.id"))
    kind: Mapped[str] = mapped_column(String(16))
    key: Mapped[str] = mapped_column(String(128))
    body: Mapped[dict[str, Any]]


class Lease(Base):
    """Something that one gateway at a time may do, such as asking Telegram for news."""

    __tablename__ = "lease"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str | None] = mapped_column(String(64))
    expires: Mapped[datetime | None]
    counter: Mapped[int] = mapped_column(Integer, default=0)
    """Grows with each change of holder: who wrote with an older one has lost the lease."""
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)


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
    """approved, returned or withdrawn."""
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
