"""Staff: make an account, suspend it, set its password, and the made-up staff of a demonstration."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from bot.accounts.passwords import LONGEST, SHORTEST, hash_password, new_password
from bot.accounts.roles import ROLES
from bot.errors import RefusedError
from bot.messages import Actor
from bot.store import Store
from bot.store.record import add_audit, now
from bot.store.tables import Staff, StaffSession, StaffTeam, Team

SYSTEM = Actor("accounts")
_USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,63}")

_DEMO: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("moderator1", "Moderator One", "moderator", ("digital_desk", "control_room")),
    ("moderator2", "Moderator Two", "moderator", ("digital_desk", "safeguarding")),
    (
        "supervisor",
        "Supervisor",
        "supervisor",
        ("digital_desk", "control_room", "safeguarding", "professional_standards", "intelligence"),
    ),
    ("comms", "Communications Officer", "comms", ("corporate_communications",)),
    ("admin", "Administrator", "admin", ()),
)


class HandsBack(Protocol):
    """What suspending needs of the desk."""

    async def hand_back_all(self, staff_id: int, actor: Actor, reason: str) -> int:
        """Give all conversations of one member of staff back to the queue."""
        ...


async def create_staff(
    store: Store,
    username: str,
    name: str,
    role: str,
    teams: Iterable[str],
    password: str,
    *,
    actor: Actor = SYSTEM,
) -> int:
    """Make an account. Returns its id.

    Raises:
        RefusedError: the user name is taken or not allowed, or a role, team or password is wrong.
    """
    username = username.strip().lower()
    if _USERNAME.fullmatch(username) is None:
        raise RefusedError("Use small letters, digits, dots and dashes for the user name, two at least.")
    if not name.strip():
        raise RefusedError("Give the name of the member of staff.")
    if role not in ROLES:
        raise RefusedError(f"Choose a role: {', '.join(ROLES)}.")
    _check_password(password)
    wanted = sorted(set(teams))
    hashed = await hash_password(password)
    try:
        async with store.write() as connection:
            known = set((await connection.execute(select(Team.key))).scalars())
            unknown = [team for team in wanted if team not in known]
            if unknown:
                raise RefusedError(f"There is no team {unknown[0]}.")
            staff_id = (
                await connection.execute(
                    insert(Staff)
                    .values(
                        username=username, name=name.strip(), role=role, password_hash=hashed,
                        active=True, failures=0, created_at=now(),
                    )
                    .returning(Staff.id)
                )
            ).scalar_one()  # fmt: skip
            for team in wanted:
                await connection.execute(insert(StaffTeam).values(staff_id=staff_id, team=team))
            await add_audit(connection, actor, "staff.create", staff=staff_id, role=role, teams=wanted)
    except IntegrityError as error:
        raise RefusedError("That user name is taken.") from error
    return int(staff_id)


def _check_password(password: str) -> None:
    if not SHORTEST <= len(password) <= LONGEST:
        raise RefusedError(f"Use a password of {SHORTEST} to {LONGEST} characters.")


async def set_password(store: Store, staff_id: int, password: str, *, actor: Actor = SYSTEM) -> None:
    """Set a password; whoever is signed in with the old one is signed out.

    Raises:
        RefusedError: the password is too short or too long.
    """
    _check_password(password)
    hashed = await hash_password(password)
    async with store.write() as connection:
        await connection.execute(
            update(Staff)
            .where(Staff.id == staff_id)
            .values(password_hash=hashed, failures=0, locked_until=None)
        )
        await connection.execute(delete(StaffSession).where(StaffSession.staff_id == staff_id))
        await add_audit(connection, actor, "staff.password", staff=staff_id)


async def set_active(store: Store, desk: HandsBack, staff_id: int, active: bool, *, actor: Actor) -> None:
    """Suspend an account or lift it. A suspended one is signed out and its chats are given back."""
    async with store.write() as connection:
        await connection.execute(update(Staff).where(Staff.id == staff_id).values(active=active))
        if not active:
            await connection.execute(delete(StaffSession).where(StaffSession.staff_id == staff_id))
        await add_audit(connection, actor, "staff.activate" if active else "staff.suspend", staff=staff_id)
    if not active:
        await desk.hand_back_all(staff_id, actor, "suspended")


async def demo_accounts(store: Store) -> list[tuple[str, str, str]]:
    """Made-up staff with new random passwords: (user name, password, role), to be shown once.

    Made where missing, and given new passwords at each start of a demonstration.
    """
    async with store.read() as connection:
        existing = {
            row.username: row.id for row in await connection.execute(select(Staff.username, Staff.id))
        }
        known = set((await connection.execute(select(Team.key))).scalars())
    given: list[tuple[str, str, str]] = []
    for username, name, role, teams in _DEMO:
        password = new_password()
        if username in existing:
            await set_password(store, existing[username], password)
            async with store.write() as connection:
                await connection.execute(
                    update(Staff).where(Staff.id == existing[username]).values(active=True)
                )
        else:
            here = [team for team in teams if team in known]
            await create_staff(store, username, name, role, here, password)
        given.append((username, password, role))
    return given
