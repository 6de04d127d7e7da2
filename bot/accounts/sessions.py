"""Signed-in browsers: sign-in with lockout, the idle lock, and what ends a session.

A right password opens a session that may still owe the second factor: `code`, or `enrol` where none
is set up and one is asked for. Until that is given, it opens no other page and is no sign of anybody.

The cookie carries a random token; only its SHA-256 is kept, so that a stolen table signs nobody in.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.accounts.passwords import is_right
from bot.errors import RefusedError
from bot.handover.shift import PRESENT
from bot.messages import Actor
from bot.store import Store
from bot.store.record import add_audit, now
from bot.store.tables import Staff, StaffSession, StaffTeam
from bot.store.together import Together

LIFE = timedelta(hours=12)
OWED_LIFE = timedelta(minutes=30)
"""How long a session may owe its second factor; it ends then, instead of being locked."""
WRONG_TRIES = 5
LOCKED_FOR = timedelta(minutes=15)
SEEN_EVERY = timedelta(seconds=15)
"""A sign of life is written no more often than this; presence needs one a minute."""
ACTED_EVERY = timedelta(seconds=5)

FREE_TRIES = 10
TRIES_WINDOW_SECONDS = 600.0
SLOWEST_SECONDS = 5.0
MOST_ADDRESSES = 5000

REFUSAL = (
    "The user name or the password is not right, or there were too many tries. "
    "After five wrong tries, wait 15 minutes."
)
"""One sentence for every case: it does not tell whether the account exists."""


class SignInRefusedError(RefusedError):
    """A sign-in or an unlock that is not taken, whatever the reason."""

    def __init__(self) -> None:
        super().__init__(REFUSAL)


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in browser, as it stands now."""

    id: str
    staff_id: int
    username: str
    name: str
    role: str
    teams: frozenset[str]
    csrf: str
    locked: bool
    created_at: datetime
    acted_at: datetime
    owes: str | None = None
    """What is still to be given before any other page opens: `code` or `enrol`."""


def actor_of(session: Session) -> Actor:
    """Who acts when this browser does something."""
    return Actor(session.name, session.staff_id, session.role, session.teams)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


class Tries:
    """Wrong tries by network address, so that many accounts cannot be tried fast from one place.

    Kept in memory: it only slows down. The count that locks an account is in the database.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: dict[str, deque[float]] = {}

    def seconds(self, address: str) -> float:
        """How long the next try from there has to wait: nothing at first, then up to 5 s."""
        wrong = self._wrong.get(address)
        if wrong is None:
            return 0.0
        while wrong and wrong[0] < self._clock() - TRIES_WINDOW_SECONDS:
            wrong.popleft()
        if not wrong:
            del self._wrong[address]
            return 0.0
        over = len(wrong) - FREE_TRIES
        return 0.0 if over < 0 else float(min(SLOWEST_SECONDS, 0.25 * 2.0 ** min(over, 10)))

    def failed(self, address: str) -> None:
        """Count one wrong try."""
        if address not in self._wrong and len(self._wrong) >= MOST_ADDRESSES:
            self._wrong.pop(next(iter(self._wrong)))
        self._wrong.setdefault(address, deque(maxlen=100)).append(self._clock())


class Sessions:
    """Opens, finds, locks and ends sessions."""

    def __init__(self, store: Store, *, idle_minutes: float, second_factor_required: bool) -> None:
        self._store = store
        self.required = second_factor_required
        self.idle = timedelta(minutes=idle_minutes)
        # Rarer writes than acts, yet the lock never comes much earlier than the page expects it.
        self._acted_every = min(ACTED_EVERY, self.idle / 20)
        self.tries = Tries()
        self._together = Together(self._read)
        self._signs = Together(self._keep_signs)
        """All pages of a gateway ask at the same moment: at each change, each of them."""

    async def sign_in(self, username: str, password: str, address: str = "") -> str:
        """Open a session, which may owe its second factor. Returns the token for the cookie, always new.

        Raises:
            SignInRefusedError: wrong name or password, locked, or suspended; it never says which.
        """
        await asyncio.sleep(self.tries.seconds(address))
        username = username.strip().lower()[:64]
        async with self._store.read() as connection:
            staff = (
                await connection.execute(select(Staff.__table__).where(Staff.username == username))
            ).one_or_none()
        open_account = staff is not None and staff.active and not is_locked(staff.locked_until)
        right = await is_right(staff.password_hash if open_account and staff else None, password)
        if staff is None or not right:
            await self.wrong(staff.id if open_account and staff else None, username, "sign-in", address)
            raise SignInRefusedError
        async with self._store.write() as connection:
            return await self.enter(connection, staff, Actor(staff.name, staff.id, staff.role))

    async def enter(self, connection: AsyncConnection, staff: Row[Any], actor: Actor) -> str:
        """Open a session for who has just given the password of `staff`, a whole row as it was then.

        Raises:
            SignInRefusedError: suspended, locked or given another password since.
        """
        owes = "code" if staff.totp_confirmed_at else "enrol" if self.required else None
        # A right password must not clear the count while a code is owed: who knows the one could
        # try for the other without end.
        if not await self.still_open(connection, staff, forget_wrong=owes != "code"):
            raise SignInRefusedError
        if owes == "enrol":
            # Nobody confirms a secret that an earlier session was shown, and no earlier session is shown
            # the next one.
            await connection.execute(
                delete(StaffSession).where(
                    StaffSession.staff_id == staff.id, StaffSession.second_factor.is_not(None)
                )
            )
            await connection.execute(
                update(Staff)
                .where(Staff.id == staff.id, Staff.totp_confirmed_at.is_(None))
                .values(totp_secret=None)
            )
        token = await open_session(connection, staff.id, now(), owes)
        await add_audit(
            connection, actor, "sign-in.password" if owes else "sign-in", subject_id=staff.id, owes=owes
        )
        return token

    async def wrong(self, staff_id: int | None, username: str, what: str, address: str) -> None:
        """Count and record a wrong try; the fifth locks the account."""
        self.tries.failed(address)
        async with self._store.write() as connection:
            actor = Actor("sign-in")
            locked = False
            if staff_id is not None:
                row = (
                    await connection.execute(
                        update(Staff)
                        .where(Staff.id == staff_id)
                        .values(failures=Staff.failures + 1)
                        .returning(Staff.failures, Staff.name, Staff.role)
                    )
                ).one()
                actor = Actor(row.name, staff_id, row.role)
                locked = row.failures >= WRONG_TRIES
                if locked:
                    await connection.execute(
                        update(Staff)
                        .where(Staff.id == staff_id)
                        .values(failures=0, locked_until=now() + LOCKED_FOR)
                    )
                    # Whoever has the password and not the code begins again.
                    await connection.execute(
                        delete(StaffSession).where(
                            StaffSession.staff_id == staff_id, StaffSession.second_factor.is_not(None)
                        )
                    )
            # What was typed may be a password put into the wrong field: it is not kept.
            known = "known" if staff_id is not None else "unknown, locked or suspended"
            await add_audit(
                connection, actor, f"{what}.failed", subject_id=staff_id, account=known, length=len(username)
            )
            if locked:
                minutes = LOCKED_FOR.seconds // 60
                await add_audit(connection, actor, "account.locked", subject_id=staff_id, minutes=minutes)

    async def still_open(
        self, connection: AsyncConnection, staff: Row[Any], *, forget_wrong: bool = True
    ) -> bool:
        """Whether the account is as it was when it was read, in one UPDATE that keeps others out.

        False: it was suspended, locked or given another password or second factor meanwhile.
        """
        changed = await connection.execute(
            update(Staff)
            .where(
                Staff.id == staff.id,
                Staff.active,
                or_(Staff.locked_until.is_(None), Staff.locked_until <= now()),
                Staff.password_hash == staff.password_hash,
                Staff.totp_confirmed_at.is_not_distinct_from(staff.totp_confirmed_at),
            )
            .values({"failures": 0, "locked_until": None} if forget_wrong else {"failures": Staff.failures})
        )
        return changed.rowcount == 1

    async def find(self, token: str | None) -> Session | None:
        """The session of a cookie, with the idle lock applied; None when there is none any more."""
        if not token or len(token) > 128:
            return None
        return await self.by_id(_hash(token))

    async def by_id(self, session_id: str) -> Session | None:
        """The same, by the id that is kept: for a stream that goes on without a new request."""
        session, is_kept_locked = await self._together.ask(session_id)
        if session is not None and session.locked and not is_kept_locked:
            await self.lock(session, "idle")
        return session

    async def _read(self, ids: Iterable[str]) -> dict[str, tuple[Session | None, bool]]:
        """Sessions as they stand now, and whether each is locked in the database already."""
        found: dict[str, tuple[Session | None, bool]] = dict.fromkeys(ids, (None, False))
        async with self._store.read(quick=True) as connection:
            rows = (
                await connection.execute(
                    select(StaffSession.__table__, Staff.username, Staff.name, Staff.role)
                    .join(Staff, Staff.id == StaffSession.staff_id)
                    .where(StaffSession.id.in_(sorted(found)), Staff.active)
                )
            ).all()
            teams: dict[int, set[str]] = {}
            if rows:
                members = await connection.execute(
                    select(StaffTeam.staff_id, StaffTeam.team).where(
                        StaffTeam.staff_id.in_(sorted({row.staff_id for row in rows}))
                    )
                )
                for member in members:
                    teams.setdefault(member.staff_id, set()).add(member.team)
        for row in rows:
            if row.created_at + (OWED_LIFE if row.second_factor else LIFE) > now():
                found[row.id] = self._session(row, frozenset(teams.get(row.staff_id, ()))), bool(row.locked)
        return found

    def _session(self, row: Row[Any], teams: frozenset[str]) -> Session:
        return Session(
            id=row.id,
            staff_id=row.staff_id,
            username=row.username,
            name=row.name,
            role=row.role,
            teams=teams,
            csrf=row.csrf,
            locked=not row.second_factor and (row.locked or row.acted_at + self.idle <= now()),
            created_at=row.created_at,
            acted_at=row.acted_at,
            owes=row.second_factor,
        )

    async def lock(self, session: Session, why: str) -> None:
        """Lock a session: until its password is given it can do nothing but that, or sign out."""
        async with self._store.write() as connection:
            changed = await connection.execute(
                update(StaffSession)
                .where(StaffSession.id == session.id, StaffSession.locked.is_(False))
                .values(locked=True)
            )
            if changed.rowcount:
                await add_audit(connection, actor_of(session), "lock", subject_id=session.staff_id, why=why)

    async def unlock(self, session: Session, password: str, address: str = "") -> str:
        """Unlock with the password of the same person. Returns a new token; the old one ends.

        The second factor was given to this very browser at sign-in, twelve hours ago at most, and is
        not asked for again.

        Raises:
            SignInRefusedError: a wrong password; counted as at sign-in.
        """
        await asyncio.sleep(self.tries.seconds(address))
        async with self._store.read() as connection:
            staff = (
                await connection.execute(select(Staff.__table__).where(Staff.id == session.staff_id))
            ).one()
        may = staff.active and not is_locked(staff.locked_until)
        if not await is_right(staff.password_hash if may else None, password):
            await self.wrong(staff.id if may else None, staff.username, "unlock", address)
            raise SignInRefusedError
        async with self._store.write() as connection:
            if session.owes or not await self.still_open(connection, staff):
                raise SignInRefusedError
            gone = await connection.execute(delete(StaffSession).where(StaffSession.id == session.id))
            if not gone.rowcount:
                raise SignInRefusedError
            # The twelve hours go on from the sign-in.
            token = await open_session(connection, staff.id, session.created_at, None)
            await add_audit(connection, actor_of(session), "unlock", subject_id=staff.id)
        return token

    async def sign_out(self, session: Session) -> bool:
        """End a session. True when no other page of that person is open and unlocked."""
        async with self._store.write() as connection:
            await connection.execute(delete(StaffSession).where(StaffSession.id == session.id))
            await add_audit(connection, actor_of(session), "sign-out", subject_id=session.staff_id)
            left = await connection.execute(
                select(StaffSession.id)
                .where(
                    StaffSession.staff_id == session.staff_id,
                    StaffSession.seen_at > now() - PRESENT,
                    StaffSession.locked.is_(False),
                    StaffSession.second_factor.is_(None),
                )
                .limit(1)
            )
            # A session that never gave its second factor was nobody at the desk, and ends nothing.
            return session.owes is None and left.scalar_one_or_none() is None

    async def acted(self, session: Session) -> None:
        """Something was done by hand: the idle lock counts anew."""
        if session.locked or session.owes or session.acted_at > now() - self._acted_every:
            return
        async with self._store.write() as connection:
            await connection.execute(
                update(StaffSession)
                .where(StaffSession.id == session.id, StaffSession.locked.is_(False))
                .values(acted_at=now(), seen_at=now())
            )

    async def seen(self, session: Session) -> None:
        """The page is open: the person is at the desk. A locked page is no sign of anybody."""
        if not session.locked and not session.owes:
            await self._signs.ask(session.id)

    async def _keep_signs(self, ids: Iterable[str]) -> dict[str, None]:
        """Keep the signs of life of all pages that give one now, in one statement."""
        given = dict.fromkeys(ids)
        stale = (
            select(StaffSession.id)
            .where(
                StaffSession.id.in_(sorted(given)),
                StaffSession.locked.is_(False),
                StaffSession.seen_at < now() - SEEN_EVERY,
            )
            # A row that somebody writes now is no older after it, and nobody waits for it.
            .with_for_update(skip_locked=True)
        )
        async with self._store.write() as connection:
            await connection.execute(
                update(StaffSession).where(StaffSession.id.in_(stale)).values(seen_at=now())
            )
        return given

    @staticmethod
    def is_own(session: Session, token: str | None) -> bool:
        """Whether a form carries the session's own token against forged requests."""
        return token is not None and hmac.compare_digest(session.csrf.encode(), token.encode())


def is_locked(until: datetime | None) -> bool:
    """Whether an account is locked for wrong tries now."""
    return until is not None and until > now()


async def open_session(
    connection: AsyncConnection, staff_id: int, created_at: datetime, owes: str | None
) -> str:
    """Add a session. Returns the token for the cookie."""
    token = secrets.token_urlsafe(32)
    await connection.execute(delete(StaffSession).where(StaffSession.created_at < now() - LIFE))
    await connection.execute(
        insert(StaffSession).values(
            id=_hash(token),
            staff_id=staff_id,
            csrf=secrets.token_urlsafe(32),
            created_at=created_at,
            acted_at=now(),
            seen_at=now(),
            locked=False,
            second_factor=owes,
        )
    )
    return token
