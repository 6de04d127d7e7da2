"""Who is on shift: members of staff whose page gave a sign of life a moment ago."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.handover.ownership import ANSWERING_ROLES
from bot.store.record import now
from bot.store.tables import Staff, StaffSession, StaffTeam, Team

PRESENT = timedelta(seconds=60)


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
) -> bool:
    """Whether somebody who may take that grade for that team is at the desk now (I11).

    A restricted team counts its own members only, as does any team with `own_members_only`. An
    open team counts everybody present whose own teams take the grade.
    """
    present = await present_staff(connection)
    if not present:
        return False
    rows = await connection.execute(
        select(StaffTeam.staff_id, StaffTeam.team, Team.grades)
        .join(Team, Team.key == StaffTeam.team)
        .where(StaffTeam.staff_id.in_(present))
    )
    restricted = set((await connection.execute(select(Team.key).where(Team.restricted))).scalars())
    for row in rows:
        if (own_members_only or team in restricted) and row.team != team:
            continue
        if grade is None or grade in row.grades:
            return True
    return False
