"""Who is on shift: members of staff whose page gave a sign of life a moment ago."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.handover.queue import ANSWERING_ROLES
from bot.store.record import now
from bot.store.tables import Staff, StaffSession, StaffTeam, Team

PRESENT = timedelta(seconds=60)
WAIT_LIMITS: dict[str, timedelta] = {
    "P1": timedelta(minutes=1),
    "P2": timedelta(minutes=5),
    "P3": timedelta(minutes=15),
    "P4": timedelta(minutes=15),
}
"""How long a person may write to an owner who is gone from the desk."""


async def present_staff(connection: AsyncConnection) -> set[int]:
    """The ids of staff whose desk page is open and unlocked, their second factor given."""
    rows = await connection.execute(
        select(StaffSession.staff_id)
        .join(Staff, Staff.id == StaffSession.staff_id)
        .where(
            StaffSession.seen_at > now() - PRESENT,
            StaffSession.locked.is_(False),
            StaffSession.second_factor.is_(None),
            Staff.active,
            Staff.role.in_(ANSWERING_ROLES),
        )
    )
    return set(rows.scalars())


async def able_staff(connection: AsyncConnection) -> set[int]:
    """The ids of staff who may answer people at all: neither suspended nor in another role."""
    rows = await connection.execute(select(Staff.id).where(Staff.active, Staff.role.in_(ANSWERING_ROLES)))
    return set(rows.scalars())


async def is_on_shift(
    connection: AsyncConnection,
    grade: str | None,
    team: str | None,
    *,
    own_members_only: bool = False,
    without: int | None = None,
) -> bool:
    """Whether somebody who may take that grade for that team is at the desk now (I11).

    A restricted team counts its own members only, as does any team with `own_members_only`; for a
    P1 of a sealed team the one team that sees it as well counts too. An open team counts everybody
    present whose own teams take the grade. `without` leaves out one who is about to go.
    """
    present = await present_staff(connection) - {without}
    if not present:
        return False
    rows = await connection.execute(
        select(StaffTeam.staff_id, StaffTeam.team, Team.grades)
        .join(Team, Team.key == StaffTeam.team)
        .where(StaffTeam.staff_id.in_(present))
    )
    known = (await connection.execute(select(Team.key, Team.restricted, Team.sealed, Team.also_at_p1))).all()
    closed = own_members_only or any(one.restricted for one in known if one.key == team)
    counted = {team}
    if grade == "P1":
        counted |= {one.also_at_p1 for one in known if one.key == team and one.sealed and one.also_at_p1}
    for row in rows:
        if closed and row.team not in counted:
            continue
        if grade is None or grade in row.grades:
            return True
    return False
