"""Links that work once, by which a member of staff sets a password.

The link carries a random token; only its SHA-256 is kept. Looking at a link does not use it up, so
that a mail scanner that opens it does no harm; setting the password does, by one conditional UPDATE.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.accounts.passwords import check_password, hash_password
from bot.accounts.sessions import Sessions
from bot.errors import RefusedError
from bot.messages import Actor
from bot.settings import Settings
from bot.store import Store
from bot.store.record import add_audit, now
from bot.store.tables import Staff, StaffLink, StaffSession

LINK_LIFE = timedelta(hours=72)
INVITE = "invite"
RESET = "reset"
PATH = "/desk/link/"


class LinkRefusedError(RefusedError):
    """A link that opens nothing (any more)."""


UNKNOWN = "This link is not one of ours. Copy the whole link, then open it again."
USED = "This link was used before, or a newer link took its place. Ask your administrator for a new one."
EXPIRED = "This link is too old. A link works for 72 hours. Ask your administrator for a new one."
SUSPENDED = "This account is suspended, so the link does not work. Ask your administrator."


@dataclass(frozen=True, slots=True)
class Invitation:
    """Whose password a link sets."""

    staff_id: int
    username: str
    name: str
    purpose: str


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def address_of(settings: Settings, token: str) -> str:
    """The link as it is handed over: a whole address where the desk's own is known, else its path."""
    base = settings.desk_url.rstrip("/")
    if not base and settings.demo:
        base = f"http://{settings.desk_host}:{settings.desk_port}"
    return f"{base}{PATH}{token}"


async def make_link(connection: AsyncConnection, staff_id: int, purpose: str, actor: Actor) -> str:
    """A new link; older ones of that account stop working. Returns the token, which is kept nowhere."""
    await void_links(connection, staff_id)
    token = secrets.token_urlsafe(32)
    await connection.execute(
        insert(StaffLink).values(
            id=_hash(token),
            staff_id=staff_id,
            purpose=purpose,
            created_at=now(),
            created_by=actor.name,
            expires_at=now() + LINK_LIFE,
        )
    )
    return token


async def void_links(connection: AsyncConnection, staff_id: int) -> None:
    """Let no older link of that account work."""
    await connection.execute(
        update(StaffLink)
        .where(StaffLink.staff_id == staff_id, StaffLink.used_at.is_(None))
        .values(used_at=now())
    )


async def look(store: Store, token: str) -> Invitation:
    """Whose link this is, if it still works.

    Raises:
        LinkRefusedError: unknown, used, too old, or the account is suspended; says which.
    """
    async with store.read() as connection:
        row = (
            await connection.execute(
                select(StaffLink.__table__, Staff.username, Staff.name, Staff.active)
                .join(Staff, Staff.id == StaffLink.staff_id)
                .where(StaffLink.id == _hash(token))
            )
        ).one_or_none()
    if row is None:
        raise LinkRefusedError(UNKNOWN)
    _must_work(row.used_at, row.expires_at, row.active)
    return Invitation(row.staff_id, row.username, row.name, row.purpose)


def _must_work(used_at: datetime | None, expires_at: datetime, active: bool) -> None:
    if not active:
        raise LinkRefusedError(SUSPENDED)
    if used_at is not None:
        raise LinkRefusedError(USED)
    if expires_at <= now():
        raise LinkRefusedError(EXPIRED)


async def use(store: Store, sessions: Sessions, token: str, password: str) -> str:
    """Set the password and sign in. Returns the token for the cookie; the second factor is still owed.

    Raises:
        LinkRefusedError: the link does not work (any more).
        RefusedError: the password is too easy to guess; the link still works.
    """
    invitation = await look(store, token)
    check_password(password, invitation.username)
    hashed = await hash_password(password)
    async with store.write() as connection:
        used = await connection.execute(
            update(StaffLink)
            .where(StaffLink.id == _hash(token), StaffLink.used_at.is_(None), StaffLink.expires_at > now())
            .values(used_at=now())
        )
        if used.rowcount != 1:
            raise LinkRefusedError(USED)
        changed = await connection.execute(
            update(Staff)
            .where(Staff.id == invitation.staff_id, Staff.active)
            .values(password_hash=hashed, failures=0, locked_until=None)
            .returning(*Staff.__table__.columns)
        )
        staff = changed.one_or_none()
        if staff is None:
            raise LinkRefusedError(SUSPENDED)
        await connection.execute(delete(StaffSession).where(StaffSession.staff_id == staff.id))
        actor = Actor(staff.name, staff.id, staff.role)
        await add_audit(
            connection, actor, "staff.password", subject_id=staff.id, by=invitation.purpose + " link"
        )
        return await sessions.enter(connection, staff, actor)
