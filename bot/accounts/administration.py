"""Who may sign in at the desk: invite, change role and teams, suspend, restore, reset, sign out.

The command line and the page both come through here. Every change is one transaction with its audit
row; what a person may no longer answer goes back in front of the queue right after.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.accounts import second_factor
from bot.accounts.links import INVITE, RESET, make_link, void_links
from bot.accounts.passwords import NONE
from bot.accounts.sessions import is_locked
from bot.accounts.staff import check_name, check_role, check_teams, check_username, taken
from bot.errors import NotAllowedError, RefusedError
from bot.messages import Actor
from bot.store import Store
from bot.store.record import add_audit, is_sqlite, now
from bot.store.tables import Audit, RecoveryCode, Staff, StaffLink, StaffSession, StaffTeam

ADMIN = "admin"
HISTORY = 50
SIGNS = ("sign-in", "unlock", "lock", "sign-out")
"""What only somebody does who is there."""
OWN = "You cannot do that to your own account. Ask another administrator."
LAST = "This is the last administrator who can sign in. Make another member of staff an administrator first."


class HandsBack(Protocol):
    """What administration needs of the desk."""

    async def hand_back_all(
        self, staff_id: int, actor: Actor, reason: str, *, keeping: Actor | None = None
    ) -> int:
        """Give conversations of one member of staff back to the queue."""
        ...


@dataclass(frozen=True, slots=True)
class Member:
    """One account, as it stands now."""

    id: int
    username: str
    name: str
    role: str
    teams: tuple[str, ...]
    state: str
    """invited, reset (a new password is still to be set), active, locked or suspended."""
    link_expires_at: datetime | None
    """Until when the newest unused link works, or worked."""
    second_factor: bool
    codes_left: int
    seen_at: datetime | None
    """The last sign of life."""
    created_at: datetime

    @property
    def link_expired(self) -> bool:
        """Whether the password can no longer be set by the link that was made."""
        waiting = self.state in ("invited", "reset")
        return waiting and (self.link_expires_at is None or self.link_expires_at <= now())


class Administration:
    """Changes accounts in somebody's name."""

    def __init__(self, store: Store, desk: HandsBack) -> None:
        self._store = store
        self._desk = desk

    # ---- reading ---------------------------------------------------------------------------------

    async def members(self) -> list[Member]:
        """Every account, by name."""
        async with self._store.read() as connection:
            return await _members(connection)

    async def member(self, staff_id: int) -> Member:
        """One account.

        Raises:
            RefusedError: there is none of that id.
        """
        async with self._store.read() as connection:
            found = await _members(connection, staff_id)
        if not found:
            raise RefusedError("There is no such member of staff.")
        return found[0]

    async def called(self, username: str) -> Member:
        """One account, by its user name.

        Raises:
            RefusedError: there is none; names what lists them.
        """
        wanted = username.strip().lower()
        for one in await self.members():
            if one.username == wanted:
                return one
        raise RefusedError(f"There is no member of staff {wanted}. `frontcounter staff list` shows them all.")

    async def history(self, staff_id: int, before: int | None = None) -> list[Row[Any]]:
        """What was done to one account, newest first."""
        query = select(Audit.__table__).where(Audit.subject_id == staff_id)
        if before is not None:
            query = query.where(Audit.id < before)
        async with self._store.read() as connection:
            return list((await connection.execute(query.order_by(Audit.id.desc()).limit(HISTORY))).all())

    # ---- changing --------------------------------------------------------------------------------

    async def invite(
        self, username: str, name: str, role: str, teams: Iterable[str], *, actor: Actor
    ) -> tuple[int, str]:
        """Make an account without a password. Returns its id and the token of its link.

        Raises:
            RefusedError: the user name is taken or not allowed, or a role or team is not known.
        """
        _must_administer(actor)
        username, name = check_username(username), check_name(name)
        check_role(role)
        try:
            async with self._store.write() as connection:
                wanted = await check_teams(connection, teams)
                staff_id = (
                    await connection.execute(
                        insert(Staff)
                        .values(
                            username=username, name=name, role=role, password_hash=NONE, active=True,
                            failures=0, created_at=now(),
                        )
                        .returning(Staff.id)
                    )
                ).scalar_one()  # fmt: skip
                await _put_into(connection, staff_id, wanted)
                token = await make_link(connection, staff_id, INVITE, actor)
                await add_audit(
                    connection, actor, "staff.invite", subject_id=staff_id, role=role, teams=wanted
                )
        except IntegrityError as error:
            raise taken(username) from error
        return int(staff_id), token

    async def set_access(
        self, staff_id: int, *, actor: Actor, role: str | None = None, teams: Iterable[str] | None = None
    ) -> None:
        """Change role, teams or both, at once for who is signed in.

        Chats that the person may no longer answer go back to the queue.

        Raises:
            RefusedError: a role or team is not known, or nobody else could administer.
        """
        _must_administer(actor)
        _not_yourself(actor, staff_id)
        if role is not None:
            check_role(role)
        async with self._store.write() as connection:
            staff = await self._locked(connection, staff_id)
            before = await _teams_of(connection, staff_id)
            wanted = before if teams is None else await check_teams(connection, teams)
            new_role = staff.role if role is None else role
            if staff.role == ADMIN and new_role != ADMIN:
                await _must_not_be_last(connection, staff)
            if new_role != staff.role:
                await connection.execute(update(Staff).where(Staff.id == staff_id).values(role=new_role))
                await add_audit(
                    connection, actor, "staff.role", subject_id=staff_id, role=[staff.role, new_role]
                )
            if wanted != before:
                await connection.execute(delete(StaffTeam).where(StaffTeam.staff_id == staff_id))
                await _put_into(connection, staff_id, wanted)
                await add_audit(
                    connection, actor, "staff.teams", subject_id=staff_id, was=before, teams=wanted
                )
        now_is = Actor(staff.name, staff_id, new_role, frozenset(wanted))
        await self._desk.hand_back_all(staff_id, actor, "role or team changed", keeping=now_is)

    async def suspend(self, staff_id: int, reason: str, *, actor: Actor) -> None:
        """Nobody signs in with this account any more; its sessions end and its chats go back at once.

        Raises:
            RefusedError: no reason, suspended already, or nobody else could administer.
        """
        _must_administer(actor)
        _not_yourself(actor, staff_id)
        reason = reason.strip()[:500]
        if len(reason) < 3:
            raise RefusedError("Give a reason for the suspension.")
        async with self._store.write() as connection:
            staff = await self._locked(connection, staff_id)
            if not staff.active:
                raise RefusedError("This account is suspended already.")
            await _must_not_be_last(connection, staff)
            await connection.execute(update(Staff).where(Staff.id == staff_id).values(active=False))
            await connection.execute(delete(StaffSession).where(StaffSession.staff_id == staff_id))
            await void_links(connection, staff_id)
            await add_audit(connection, actor, "staff.suspend", subject_id=staff_id, reason=reason)
        await self._desk.hand_back_all(staff_id, actor, "suspended")

    async def restore(self, staff_id: int, *, actor: Actor) -> None:
        """Lift a suspension; the password and the second factor are those of before.

        Raises:
            RefusedError: the account is not suspended.
        """
        _must_administer(actor)
        async with self._store.write() as connection:
            staff = await self._locked(connection, staff_id)
            if staff.active:
                raise RefusedError("This account is not suspended.")
            await connection.execute(
                update(Staff).where(Staff.id == staff_id).values(active=True, failures=0, locked_until=None)
            )
            await add_audit(connection, actor, "staff.restore", subject_id=staff_id)

    async def reset(self, staff_id: int, *, actor: Actor, drop_second_factor: bool = False) -> str:
        """Take the password away and end all sessions. Returns the token of a new link.

        Raises:
            RefusedError: the account is suspended: restore it first.
        """
        _must_administer(actor)
        _not_yourself(actor, staff_id)
        async with self._store.write() as connection:
            staff = await self._locked(connection, staff_id)
            if not staff.active:
                raise RefusedError("This account is suspended. Restore it first.")
            await connection.execute(
                update(Staff)
                .where(Staff.id == staff_id)
                .values(password_hash=NONE, failures=0, locked_until=None)
            )
            await connection.execute(delete(StaffSession).where(StaffSession.staff_id == staff_id))
            purpose = INVITE if await _was_never_in(connection, staff) else RESET
            token = await make_link(connection, staff_id, purpose, actor)
            await add_audit(connection, actor, "staff.reset", subject_id=staff_id)
            if drop_second_factor:
                await self._drop(connection, staff_id, actor)
        await self._desk.hand_back_all(staff_id, actor, "signed out")
        return token

    async def drop_second_factor(self, staff_id: int, *, actor: Actor) -> None:
        """Take the second factor away, for a device that is lost; the next sign-in sets up a new one.

        Raises:
            RefusedError: there is none.
        """
        _must_administer(actor)
        _not_yourself(actor, staff_id)
        async with self._store.write() as connection:
            await self._locked(connection, staff_id)
            if not await self._drop(connection, staff_id, actor):
                raise RefusedError("This account has no second factor.")
            await connection.execute(delete(StaffSession).where(StaffSession.staff_id == staff_id))
        await self._desk.hand_back_all(staff_id, actor, "signed out")

    async def _drop(self, connection: AsyncConnection, staff_id: int, actor: Actor) -> bool:
        dropped = await second_factor.drop(connection, staff_id)
        if dropped:
            await add_audit(connection, actor, "second-factor.remove", subject_id=staff_id)
        return dropped

    async def end_sessions(self, staff_id: int, *, actor: Actor) -> int:
        """Sign an account out everywhere. Returns how many sessions ended."""
        _must_administer(actor)
        async with self._store.write() as connection:
            await self._locked(connection, staff_id)
            ended = await connection.execute(delete(StaffSession).where(StaffSession.staff_id == staff_id))
            await add_audit(
                connection, actor, "staff.end-sessions", subject_id=staff_id, sessions=ended.rowcount
            )
        await self._desk.hand_back_all(staff_id, actor, "signed out")
        return int(ended.rowcount)

    async def _locked(self, connection: AsyncConnection, staff_id: int) -> Row[Any]:
        """The account and every administrator's, kept from others until the end of the transaction.

        All are locked in one order: two administrators who suspend each other take turns.
        """
        query = (
            select(Staff.__table__).where((Staff.id == staff_id) | (Staff.role == ADMIN)).order_by(Staff.id)
        )
        if not is_sqlite(connection):
            query = query.with_for_update(key_share=True)
        for row in (await connection.execute(query)).all():
            if row.id == staff_id:
                return row
        raise RefusedError("There is no such member of staff.")


def _must_administer(actor: Actor) -> None:
    if actor.role != ADMIN:
        raise NotAllowedError("Only an administrator may change accounts.")


def _not_yourself(actor: Actor, staff_id: int) -> None:
    if actor.staff_id == staff_id:
        raise RefusedError(OWN)


async def _must_not_be_last(connection: AsyncConnection, staff: Row[Any]) -> None:
    """Refuse to take away the last administrator who can sign in; the caller has locked them all."""
    if staff.role != ADMIN or not staff.active or staff.password_hash == NONE:
        return
    others = select(func.count()).where(
        Staff.role == ADMIN, Staff.active, Staff.password_hash != NONE, Staff.id != staff.id
    )
    if not (await connection.execute(others)).scalar_one():
        raise RefusedError(LAST)


async def _was_never_in(connection: AsyncConnection, staff: Row[Any]) -> bool:
    """Whether the password was never set: a second invitation, not a reset."""
    if staff.password_hash != NONE:
        return False
    newest = select(StaffLink.purpose).where(StaffLink.staff_id == staff.id)
    found = await connection.execute(newest.order_by(StaffLink.created_at.desc()).limit(1))
    return found.scalar_one_or_none() == INVITE


async def _put_into(connection: AsyncConnection, staff_id: int, teams: Sequence[str]) -> None:
    for team in teams:
        await connection.execute(insert(StaffTeam).values(staff_id=staff_id, team=team))


async def _teams_of(connection: AsyncConnection, staff_id: int) -> list[str]:
    rows = await connection.execute(select(StaffTeam.team).where(StaffTeam.staff_id == staff_id))
    return sorted(rows.scalars())


async def _members(connection: AsyncConnection, staff_id: int | None = None) -> list[Member]:
    query = select(Staff.__table__).order_by(Staff.name, Staff.id)
    if staff_id is not None:
        query = query.where(Staff.id == staff_id)
    rows = (await connection.execute(query)).all()
    teams: dict[int, list[str]] = {}
    for row in await connection.execute(select(StaffTeam.staff_id, StaffTeam.team).order_by(StaffTeam.team)):
        teams.setdefault(row.staff_id, []).append(row.team)
    seen: dict[int, datetime] = {}
    for page in await connection.execute(
        select(StaffSession.staff_id, func.max(StaffSession.seen_at).label("at"))
        .where(StaffSession.second_factor.is_(None))
        .group_by(StaffSession.staff_id)
    ):
        seen[page.staff_id] = page.at
    # A session that was ended is gone: what it left in the record says when the person was last here.
    for one in await connection.execute(
        select(Audit.subject_id, func.max(Audit.at).label("at"))
        .where(Audit.subject_id.is_not(None), Audit.staff_id == Audit.subject_id, Audit.action.in_(SIGNS))
        .group_by(Audit.subject_id)
    ):
        seen[one.subject_id] = max(one.at, seen.get(one.subject_id, one.at))
    left: dict[int, int] = {}
    for codes in await connection.execute(
        select(RecoveryCode.staff_id, func.count().label("number"))
        .where(RecoveryCode.used_at.is_(None))
        .group_by(RecoveryCode.staff_id)
    ):
        left[codes.staff_id] = codes.number
    links: dict[int, Row[Any]] = {}
    for link in (await connection.execute(select(StaffLink.__table__).order_by(StaffLink.created_at))).all():
        links[link.staff_id] = link
    return [
        Member(
            id=row.id,
            username=row.username,
            name=row.name,
            role=row.role,
            teams=tuple(teams.get(row.id, ())),
            state=_state(row, links.get(row.id)),
            link_expires_at=_works_until(links.get(row.id)),
            second_factor=row.totp_confirmed_at is not None,
            codes_left=left.get(row.id, 0),
            seen_at=seen.get(row.id),
            created_at=row.created_at,
        )
        for row in rows
    ]


def _state(row: Row[Any], link: Row[Any] | None) -> str:
    if not row.active:
        return "suspended"
    if row.password_hash == NONE:
        return "reset" if link is not None and link.purpose == RESET else "invited"
    return "locked" if is_locked(row.locked_until) else "active"


def _works_until(link: Row[Any] | None) -> datetime | None:
    return link.expires_at if link is not None and link.used_at is None else None
