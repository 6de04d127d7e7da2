"""The second factor: set up, given at sign-in, replaced by a recovery code, and taken away.

A code counts once: the step of the last one taken is kept, and moves on by one conditional UPDATE.
Wrong codes count with wrong passwords, and the fifth locks the account.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.accounts import codes
from bot.accounts.sessions import Session, Sessions, actor_of, is_locked, open_session
from bot.accounts.vault import Vault
from bot.errors import RefusedError, StaleError
from bot.settings import Settings
from bot.store import Store
from bot.store.record import add_audit, now
from bot.store.tables import RecoveryCode, Staff, StaffSession

CODE = "code"
ENROL = "enrol"


class CodeRefusedError(RefusedError):
    """A code that is not taken, whatever the reason."""

    def __init__(self) -> None:
        super().__init__(
            "This code is not right, or it was used before. Wait for the next code on your device. "
            "After five wrong tries, wait 15 minutes."
        )


class RecoveryRefusedError(RefusedError):
    """A recovery code that is not taken."""

    def __init__(self) -> None:
        super().__init__(
            "This recovery code is not right, or it was used before. After five wrong tries, wait 15 minutes."
        )


class NotYetError(RefusedError):
    """The first code does not fit the secret just shown."""

    def __init__(self) -> None:
        super().__init__(
            "This code does not fit. Check that the time on your device is right, and give the newest code."
        )


@dataclass(frozen=True, slots=True)
class SettingUp:
    """What a person needs to set their device up. Never logged, never audited."""

    secret: str
    uri: str

    @property
    def groups(self) -> str:
        """The secret, to be typed."""
        return codes.grouped(self.secret)


@dataclass(frozen=True, slots=True)
class Standing:
    """What one account has."""

    confirmed: bool
    codes_left: int


class SecondFactor:
    """Everything that touches the second factor of an account."""

    def __init__(self, store: Store, sessions: Sessions, settings: Settings, issuer: str) -> None:
        self._store = store
        self._sessions = sessions
        self._issuer = issuer
        key = settings.secret_key.get_secret_value()
        if not key and settings.demo:
            # A demonstration drops all second factors when it starts: this key lives as long as they.
            key = secrets.token_urlsafe(32)
        self._vault = Vault(key) if key else None

    @property
    def vault(self) -> Vault:
        """What seals the secrets.

        Raises:
            RefusedError: this installation has no key.
        """
        if self._vault is None:
            raise RefusedError(
                "This desk has no key for second factors. Ask who runs it to set FRONTCOUNTER_SECRET_KEY."
            )
        return self._vault

    async def standing(self, staff_id: int) -> Standing:
        """Whether it is set up, and how many recovery codes are left."""
        async with self._store.read() as connection:
            staff = await _read(connection, staff_id)
            return Standing(staff.totp_confirmed_at is not None, await _left(connection, staff_id))

    # ---- setting up ------------------------------------------------------------------------------

    async def begin(self, session: Session) -> SettingUp:
        """The secret to be set up; the same one until it is confirmed, so that a reload changes nothing.

        Raises:
            StaleError: one is set up already.
        """
        fresh = self.vault.seal(session.staff_id, codes.new_secret())
        async with self._store.write() as connection:
            await connection.execute(
                update(Staff)
                .where(
                    Staff.id == session.staff_id,
                    Staff.totp_secret.is_(None),
                    Staff.totp_confirmed_at.is_(None),
                )
                .values(totp_secret=fresh)
            )
            staff = await _read(connection, session.staff_id)
        if staff.totp_confirmed_at is not None:
            raise StaleError("Your second factor is set up already.")
        secret = self.vault.open(staff.id, staff.totp_secret)
        return SettingUp(secret, codes.uri(secret, staff.username, self._issuer))

    async def confirm(self, session: Session, code: str) -> tuple[str, list[str]]:
        """Take the first code. Returns a new token for the cookie, and the recovery codes.

        Raises:
            StaleError: one is set up already, or the page is an old one.
            NotYetError: the code does not fit. Not counted: the page shows the secret anyway.
        """
        async with self._store.read() as connection:
            staff = await _read(connection, session.staff_id)
        if staff.totp_confirmed_at is not None or staff.totp_secret is None:
            raise StaleError("This page is not up to date. Load it again.")
        step = codes.step_of(self.vault.open(staff.id, staff.totp_secret), code, now())
        if step is None:
            raise NotYetError
        async with self._store.write() as connection:
            done = await connection.execute(
                update(Staff)
                .where(
                    Staff.id == staff.id,
                    Staff.active,
                    Staff.totp_confirmed_at.is_(None),
                    Staff.totp_secret == staff.totp_secret,
                )
                .values(totp_confirmed_at=now(), totp_step=step)
            )
            if done.rowcount != 1:
                raise StaleError("This page is not up to date. Load it again.")
            token = await self._go_on(connection, session)
            shown = await _renew_codes(connection, staff.id)
            await add_audit(connection, actor_of(session), "second-factor.set-up", subject_id=staff.id)
            if session.owes:
                await add_audit(connection, actor_of(session), "sign-in", subject_id=staff.id, by="set-up")
            # Whoever signed in elsewhere with the password alone does so again, with a code.
            await connection.execute(
                delete(StaffSession).where(
                    StaffSession.staff_id == staff.id, StaffSession.second_factor.is_not(None)
                )
            )
        return token, shown

    # ---- at sign-in ------------------------------------------------------------------------------

    async def give(self, session: Session, code: str, address: str = "") -> str:
        """Take a code for a session that owes one. Returns a new token for the cookie.

        Raises:
            CodeRefusedError: wrong, used before, or the account is locked.
        """
        staff = await self._checked(session, address, CodeRefusedError())
        step = None
        if staff.totp_secret is not None:
            step = codes.step_of(self.vault.open(staff.id, staff.totp_secret), code, now())
        if step is not None:
            async with self._store.write() as connection:
                if await _take_step(connection, staff, step):
                    if not await self._sessions.still_open(connection, staff):
                        raise CodeRefusedError
                    return await self._signed_in(connection, session, "code")
        await self._sessions.wrong(staff.id, staff.username, "second-factor", address)
        raise CodeRefusedError

    async def recover(self, session: Session, code: str, address: str = "") -> tuple[str, int]:
        """Take a recovery code instead. Returns a new token, and how many codes are left.

        Raises:
            RecoveryRefusedError: wrong, used before, or the account is locked.
        """
        staff = await self._checked(session, address, RecoveryRefusedError())
        async with self._store.write() as connection:
            if await _use_recovery(connection, staff.id, code):
                if not await self._sessions.still_open(connection, staff):
                    raise RecoveryRefusedError
                left = await _left(connection, staff.id)
                return await self._signed_in(connection, session, "recovery code", left=left), left
        await self._sessions.wrong(staff.id, staff.username, "recovery-code", address)
        raise RecoveryRefusedError

    async def _checked(self, session: Session, address: str, refusal: RefusedError) -> Row[Any]:
        await asyncio.sleep(self._sessions.tries.seconds(address))
        async with self._store.read() as connection:
            staff = await _read(connection, session.staff_id)
        if not staff.active or is_locked(staff.locked_until) or staff.totp_confirmed_at is None:
            raise refusal
        return staff

    async def _signed_in(self, connection: AsyncConnection, session: Session, by: str, **detail: int) -> str:
        token = await self._go_on(connection, session)
        await add_audit(
            connection, actor_of(session), "sign-in", subject_id=session.staff_id, by=by, **detail
        )
        return token

    async def _go_on(self, connection: AsyncConnection, session: Session) -> str:
        """Put a new session in the place of this one, owing nothing: the token before is worth nothing."""
        gone = await connection.execute(delete(StaffSession).where(StaffSession.id == session.id))
        if gone.rowcount != 1:
            raise StaleError("Your sign-in has ended. Sign in again.")
        started = now() if session.owes else session.created_at
        return await open_session(connection, session.staff_id, started, None)

    # ---- when signed in --------------------------------------------------------------------------

    async def renew_codes(self, session: Session, code: str, address: str = "") -> list[str]:
        """Ten new recovery codes, for a code of the device; those of before are worth nothing.

        Raises:
            CodeRefusedError: the code is not taken; counted as at sign-in.
        """
        staff = await self._checked(session, address, CodeRefusedError())
        step = codes.step_of(self.vault.open(staff.id, staff.totp_secret), code, now())
        if step is not None:
            async with self._store.write() as connection:
                if await _take_step(connection, staff, step):
                    shown = await _renew_codes(connection, staff.id)
                    await add_audit(connection, actor_of(session), "second-factor.codes", subject_id=staff.id)
                    return shown
        await self._sessions.wrong(staff.id, staff.username, "second-factor", address)
        raise CodeRefusedError


async def _read(connection: AsyncConnection, staff_id: int) -> Row[Any]:
    return (await connection.execute(select(Staff.__table__).where(Staff.id == staff_id))).one()


async def _left(connection: AsyncConnection, staff_id: int) -> int:
    query = select(func.count()).where(RecoveryCode.staff_id == staff_id, RecoveryCode.used_at.is_(None))
    return int((await connection.execute(query)).scalar_one())


async def _take_step(connection: AsyncConnection, staff: Row[Any], step: int) -> bool:
    taken = await connection.execute(
        update(Staff)
        .where(
            Staff.id == staff.id,
            Staff.totp_secret == staff.totp_secret,
            or_(Staff.totp_step.is_(None), Staff.totp_step < step),
        )
        .values(totp_step=step)
    )
    return taken.rowcount == 1


async def _use_recovery(connection: AsyncConnection, staff_id: int, code: str) -> bool:
    used = await connection.execute(
        update(RecoveryCode)
        .where(
            RecoveryCode.staff_id == staff_id,
            RecoveryCode.code_hash == codes.recovery_hash(staff_id, code),
            RecoveryCode.used_at.is_(None),
        )
        .values(used_at=now())
    )
    return used.rowcount == 1


async def _renew_codes(connection: AsyncConnection, staff_id: int) -> list[str]:
    shown = codes.new_recovery_codes()
    await connection.execute(delete(RecoveryCode).where(RecoveryCode.staff_id == staff_id))
    await connection.execute(
        insert(RecoveryCode),
        [
            {
                "staff_id": staff_id,
                "code_hash": codes.recovery_hash(staff_id, code),
                "created_at": now(),
                "used_at": None,
            }
            for code in shown
        ],
    )
    return shown


async def drop(connection: AsyncConnection, staff_id: int) -> bool:
    """Take the second factor of an account away. False: there was none."""
    dropped = await connection.execute(
        update(Staff)
        .where(Staff.id == staff_id, Staff.totp_confirmed_at.is_not(None))
        .values(totp_confirmed_at=None, totp_secret=None, totp_step=None)
    )
    await connection.execute(delete(RecoveryCode).where(RecoveryCode.staff_id == staff_id))
    return dropped.rowcount == 1
