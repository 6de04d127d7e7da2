"""Accounts: what a user name, a name and teams may be; accounts with a password; the made-up staff of
a demonstration. People who really work here are invited: `administration`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.accounts.passwords import check_password, hash_password, new_password
from bot.accounts.roles import ROLES
from bot.accounts.second_factor import drop
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
        (
            "digital_desk",
            "control_room",
            "control_room_lead",
            "safeguarding",
            "professional_standards",
            "intelligence",
        ),
    ),
    ("comms", "Communications Officer", "comms", ("corporate_communications",)),
    ("admin", "Administrator", "admin", ()),
)


DEMO_STAFF = frozenset((username, name) for username, name, _, _ in _DEMO)
"""User name and name of each made-up member of staff."""


class FieldRefusedError(RefusedError):
    """One thing that was given about an account cannot be; `field` names it."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


def taken(username: str) -> FieldRefusedError:
    """Somebody has that user name."""
    return FieldRefusedError("username", f"The user name {username} is taken. Choose another.")


def check_role(role: str) -> None:
    """Refuse what is no role.

    Raises:
        FieldRefusedError: lists those that are.
    """
    if role not in ROLES:
        raise FieldRefusedError("role", f"Choose a role: {', '.join(ROLES)}.")


def check_username(username: str) -> str:
    """The user name as it is kept.

    Raises:
        FieldRefusedError: it has letters that are not allowed.
    """
    username = username.strip().lower()
    if _USERNAME.fullmatch(username) is None:
        raise FieldRefusedError(
            "username", "Use small letters, digits, dots and dashes for the user name, two at least."
        )
    return username


def check_name(name: str) -> str:
    """The name that colleagues and, in a joined chat, the public read.

    Raises:
        FieldRefusedError: there is none.
    """
    name = " ".join(name.split())[:100]
    if not name:
        raise FieldRefusedError("name", "Give the name of the member of staff.")
    return name


async def check_teams(connection: AsyncConnection, teams: Iterable[str]) -> list[str]:
    """The teams, sorted, each once.

    Raises:
        FieldRefusedError: one is not known; lists those that are.
    """
    known = sorted((await connection.execute(select(Team.key))).scalars())
    wanted = sorted(set(teams))
    for team in wanted:
        if team not in known:
            raise FieldRefusedError(
                "team", f"There is no team {team[:64]}. The teams are: {', '.join(known)}."
            )
    return wanted


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
    username, name = check_username(username), check_name(name)
    check_role(role)
    check_password(password)
    hashed = await hash_password(password)
    try:
        async with store.write() as connection:
            wanted = await check_teams(connection, teams)
            staff_id = (
                await connection.execute(
                    insert(Staff)
                    .values(
                        username=username, name=name, role=role, password_hash=hashed,
                        active=True, failures=0, created_at=now(),
                    )
                    .returning(Staff.id)
                )
            ).scalar_one()  # fmt: skip
            for team in wanted:
                await connection.execute(insert(StaffTeam).values(staff_id=staff_id, team=team))
            await add_audit(connection, actor, "staff.create", subject_id=staff_id, role=role, teams=wanted)
    except IntegrityError as error:
        raise taken(username) from error
    return int(staff_id)


async def set_password(store: Store, staff_id: int, password: str, *, actor: Actor = SYSTEM) -> None:
    """Set a password; whoever is signed in with the old one is signed out.

    Raises:
        RefusedError: the password is too short or too long.
    """
    check_password(password)
    hashed = await hash_password(password)
    async with store.write() as connection:
        await connection.execute(
            update(Staff)
            .where(Staff.id == staff_id)
            .values(password_hash=hashed, failures=0, locked_until=None)
        )
        await connection.execute(delete(StaffSession).where(StaffSession.staff_id == staff_id))
        await add_audit(connection, actor, "staff.password", subject_id=staff_id)


async def demo_accounts(
    store: Store, wanted: Sequence[tuple[str, str, str, tuple[str, ...]]] = _DEMO
) -> list[tuple[str, str, str]]:
    """Made-up staff with new random passwords: (user name, password, role), to be shown once.

    Made where missing. At each start of a demonstration they are given new passwords, and no second
    factor: its key goes with the process.
    """
    async with store.read() as connection:
        existing = {
            row.username: row.id for row in await connection.execute(select(Staff.username, Staff.id))
        }
        known = set((await connection.execute(select(Team.key))).scalars())
    given: list[tuple[str, str, str]] = []
    for username, name, role, teams in wanted:
        password = new_password()
        if username in existing:
            await set_password(store, existing[username], password)
            async with store.write() as connection:
                await connection.execute(
                    update(Staff).where(Staff.id == existing[username]).values(active=True)
                )
                await drop(connection, existing[username])
        else:
            here = [team for team in teams if team in known]
            await create_staff(store, username, name, role, here, password)
        given.append((username, password, role))
    return given
