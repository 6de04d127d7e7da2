"""Sealed conversations: who they are sealed for, and when the seal is set.

An accusation of an officer, or whatever else a force's teams file names, belongs to a team that is
`sealed`. A conversation in which such a category is raised is sealed by whoever raises it: the door,
a turn, a clock or staff. From then on nobody outside the team learns of it (`queue.visible`); a P1
is seen as well by the one small team named `also_at_p1`, since danger now cannot wait.

No seal is ever lifted by itself. A member of the team may lift it, with a reason.

An owner outside the team loses the conversation to the team's queue when the accusation is a P1 or
P2, or when somebody seals by hand: the message that seals is never shown to them. A plain complaint
(P3, P4) to somebody who is writing with the person leaves it with them: they pass it on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import NotAllowedError, RefusedError
from bot.handover.queue import get_for
from bot.messages import URGENT, Actor, Hit
from bot.store.record import add_audit, add_event
from bot.store.tables import Conversation, StaffTeam, Team


@dataclass(frozen=True, slots=True)
class Sealing:
    """A seal that is to be set now."""

    team: str
    takes_from_owner: bool
    """Whoever has the conversation may not see it any more."""


async def sealed_teams(connection: AsyncConnection) -> list[Row[Any]]:
    """The teams whose conversations are sealed: key, categories, also_at_p1."""
    query = select(Team.key, Team.name, Team.categories, Team.also_at_p1).where(Team.sealed)
    return list((await connection.execute(query.order_by(Team.key))).all())


async def is_sealed_team(connection: AsyncConnection, team: str | None) -> bool:
    """Whether what goes to this team is sealed."""
    return any(row.key == team for row in await sealed_teams(connection))


async def sealing_of(
    connection: AsyncConnection,
    conversation: Row[Any],
    hits: Sequence[Hit],
    team: str,
    *,
    by_hand: bool = False,
) -> Sealing | None:
    """The seal that these hits set, on their way to `team`; None where there is none to set."""
    if conversation.sealed:
        return None
    teams = await sealed_teams(connection)
    found = {row.key: [hit for hit in hits if hit.category in row.categories] for row in teams}
    chosen = [row for row in teams if row.key == team] or [row for row in teams if found[row.key]]
    if not chosen:
        return None
    one = chosen[0]
    if conversation.state != "human" or conversation.owner_id is None:
        return Sealing(one.key, False)
    members = {one.key}
    if one.also_at_p1 and "P1" in (conversation.grade, *(hit.grade for hit in hits)):
        members.add(one.also_at_p1)
    own = await connection.execute(
        select(StaffTeam.team).where(
            StaffTeam.staff_id == conversation.owner_id, StaffTeam.team.in_(sorted(members))
        )
    )
    if own.first() is not None:
        return Sealing(one.key, False)
    if by_hand or any(hit.grade in URGENT for hit in found[one.key]):
        return Sealing(one.key, True)
    return None


async def sealed_targets(connection: AsyncConnection, row: Row[Any]) -> set[str] | None:
    """The teams to which a sealed conversation may be passed; None: it is not sealed."""
    if not row.sealed:
        return None
    teams = await sealed_teams(connection)
    found = {team.key for team in teams}
    if row.grade == "P1":
        found |= {team.also_at_p1 for team in teams if team.key == row.team and team.also_at_p1}
    return found


async def team_to_name(connection: AsyncConnection, row: Row[Any]) -> str | None:
    """The team that an alarm outside the desk may name: of a sealed P1 the one that sees it as well."""
    if not row.sealed:
        return str(row.team) if row.team else None
    teams = await sealed_teams(connection)
    also = next((one.also_at_p1 for one in teams if one.key == row.team), None)
    return str(also) if also and row.grade == "P1" else None


async def unseal(connection: AsyncConnection, conversation_id: int, actor: Actor, reason: str) -> Row[Any]:
    """Lift a seal. The conversation stays with its team until somebody passes it on.

    Raises:
        NoSuchChatError: there is none that the caller may see.
        NotAllowedError: the caller is no member of the team.
        RefusedError: it is not sealed, or there is no reason.
    """
    row = await get_for(connection, conversation_id, actor)
    if not row.sealed:
        raise RefusedError("This chat is not sealed.")
    if row.team not in actor.teams or actor.staff_id is None:
        raise NotAllowedError("Only the team of this chat may open its seal.")
    if len(reason.strip()) < 3:
        raise RefusedError("Give a reason.")
    await connection.execute(update(Conversation).where(Conversation.id == row.id).values(sealed=False))
    await add_audit(
        connection, actor, "unseal", row.id, row.epoch, team=row.team, reason=reason.strip()[:500]
    )
    await add_event(connection, row.id, "conversation.unsealed", {})
    return await get_for(connection, conversation_id, actor)
