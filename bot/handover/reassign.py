"""A supervisor gives a conversation that somebody owns to another member of staff who is there.

A P3 or P4 changes hands at once. A P1 or P2 is only offered: whoever has it keeps it until the other
accepts, so that nobody in danger is without an owner between. Either way the receiver is alerted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import NotAllowedError, RefusedError, StaleError
from bot.handover import ownership
from bot.handover.queue import get_for, grades_of, may_open, visible
from bot.handover.seals import sealed_targets, sealed_teams
from bot.handover.shift import present_staff
from bot.messages import URGENT, Actor
from bot.store.record import add_audit, add_event, change_conversation
from bot.store.tables import Audit, Conversation, Staff, StaffTeam, Team

GIVEN, OFFERED = "reassign", "reassign.offer"


async def reassign(
    connection: AsyncConnection, conversation_id: int, actor: Actor, to: int, note: str
) -> Row[Any]:
    """Give a conversation to `to`, a member of staff who is at the desk now.

    Raises:
        NotAllowedError: the caller is no supervisor.
        NoSuchChatError: there is none that the caller may see.
        StaleError: nobody at this desk has it.
        RefusedError: no note, or `to` is not there, has it already, or may not take it.
    """
    if actor.role != "supervisor" or actor.staff_id is None:
        raise NotAllowedError("Only a supervisor may give a chat to somebody else.")
    row = await get_for(connection, conversation_id, actor)
    if row.state != "human" or row.owner_id is None:
        raise StaleError("Nobody at this desk has this chat now. Look again.")
    if len(note.strip()) < 3:
        raise RefusedError("Write a note for the person who gets this chat.")
    receiver = await _receiver(connection, row, to)
    if row.grade not in URGENT:
        fresh = await ownership.give_to(connection, row, actor, to)
    else:
        team = await _team_of(connection, row, receiver)
        await change_conversation(connection, row.id, transfer_team=team)
        fresh = await ownership.get(connection, row.id)
        await add_audit(connection, actor, OFFERED, row.id, row.epoch, to=to, team=team)
        await add_event(connection, row.id, "conversation.transfer", {"team": team, "warm": True})
    await add_event(
        connection,
        row.id,
        "alert",
        {
            "reason": "offered" if row.grade in URGENT else "given",
            "owner": fresh.owner_id, "staff": to, "to": "staff",
        },
    )  # fmt: skip
    return fresh


async def _receiver(connection: AsyncConnection, row: Row[Any], to: int) -> Actor:
    if to == row.owner_id:
        raise RefusedError("They have this chat already.")
    found = next((one for one in await receivers(connection, row) if one.staff_id == to), None)
    if found is None:
        raise RefusedError("Choose somebody who is at the desk now and may take this chat.")
    return found


async def receivers(connection: AsyncConnection, row: Row[Any]) -> list[Actor]:
    """Everybody who is at the desk now and may take this conversation, without its owner, by name."""
    present = await present_staff(connection) - {row.owner_id}
    return [
        one
        for one in await actors(connection, sorted(present))
        if await may_open(connection, row, one)
        and (row.grade is None or row.grade in await grades_of(connection, one))
        and (row.grade not in URGENT or await _teams_for(connection, row, one))
    ]


async def actors(connection: AsyncConnection, ids: Sequence[int]) -> list[Actor]:
    """Members of staff with their roles and teams, by name."""
    if not ids:
        return []
    people = await connection.execute(
        select(Staff.id, Staff.name, Staff.role).where(Staff.id.in_(ids)).order_by(Staff.name, Staff.id)
    )
    members = await connection.execute(
        select(StaffTeam.staff_id, StaffTeam.team).where(StaffTeam.staff_id.in_(ids))
    )
    teams: dict[int, set[str]] = {}
    for staff_id, team in members:
        teams.setdefault(staff_id, set()).add(team)
    return [Actor(one.name, one.id, one.role, frozenset(teams.get(one.id, ()))) for one in people]


async def _team_of(connection: AsyncConnection, row: Row[Any], receiver: Actor) -> str:
    return (await _teams_for(connection, row, receiver))[0]


async def _teams_for(connection: AsyncConnection, row: Row[Any], receiver: Actor) -> list[str]:
    """The receiver's teams by which this conversation can be offered to them, the best first."""
    targets = await sealed_targets(connection, row)
    hidden = {team.key for team in await sealed_teams(connection)}
    known = await connection.execute(
        select(Team.key, Team.grades, Team.restricted)
        .where(Team.key.in_(sorted(receiver.teams)))
        .order_by(Team.key)
    )
    fitting = [
        (team.key != row.team, team.restricted, row.grade not in team.grades, team.key)
        for team in known
        # To offer a chat to a sealed team would seal it: that is never a side effect of giving it away.
        if (team.key in targets if targets is not None else team.key not in hidden)
    ]
    return [key for *_, key in sorted(fitting)]


@dataclass(frozen=True, slots=True)
class Given:
    """A conversation that a supervisor gave or offered to somebody who has not looked at it since."""

    conversation_id: int
    reference: str
    grade: str | None
    category: str | None
    by: str
    at: datetime
    is_offer: bool


LOOKS = ("open", "acknowledge", "claim", "accept", "reply", "note")


async def list_given(connection: AsyncConnection, actor: Actor) -> list[Given]:
    """What `actor` was given and has not opened since, and what is offered to them still."""
    mine = sorted(actor.teams)
    rows = {
        row.id: row
        for row in await connection.execute(
            select(
                Conversation.id, Conversation.reference, Conversation.grade, Conversation.category,
                Conversation.owner_id,
            ).where(
                Conversation.state == "human",
                or_(
                    Conversation.owner_id == actor.staff_id,
                    and_(Conversation.transfer_team.in_(mine), Conversation.owner_id != actor.staff_id),
                ),
                visible(actor),
            )
        )
    }  # fmt: skip
    if not rows:
        return []
    moves = await connection.execute(
        select(Audit.id, Audit.at, Audit.actor, Audit.action, Audit.detail, Audit.conversation_id)
        .where(Audit.conversation_id.in_(sorted(rows)), Audit.action.in_((GIVEN, OFFERED)))
        .order_by(Audit.id)
    )
    newest = {move.conversation_id: move for move in moves}
    looks = await connection.execute(
        select(Audit.conversation_id, func.max(Audit.id).label("id"))
        .where(
            Audit.conversation_id.in_(sorted(newest)), Audit.staff_id == actor.staff_id,
            Audit.action.in_(LOOKS),
        )
        .group_by(Audit.conversation_id)
    )  # fmt: skip
    looked = {row.conversation_id: row.id for row in looks}
    found = []
    for conversation_id, move in newest.items():
        if conversation_id is None or (move.detail or {}).get("to") != actor.staff_id:
            continue
        row = rows[conversation_id]
        has_it = row.owner_id == actor.staff_id
        is_offer = move.action == OFFERED
        if is_offer == has_it or (has_it and looked.get(conversation_id, 0) > move.id):
            continue
        found.append(
            Given(conversation_id, row.reference, row.grade, row.category, move.actor, move.at, is_offer)
        )
    return sorted(found, key=lambda one: (one.grade or "P4", one.at))
