"""What to take next, and passing on what nobody has yet.

"Take the next" tries one conversation after the other until one is taken. A press of the button is
answered once: the row that remembers it is locked in the transaction that claims.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Result, Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import NotAllowedError, RefusedError, StaleError
from bot.handover.queue import (
    ANSWERING_ROLES,
    ORDER,
    WAITING,
    any_surge,
    get_for,
    grades_of,
    in_surge,
    takeable,
)
from bot.handover.seals import is_sealed_team, sealed_targets
from bot.messages import URGENT, Actor
from bot.store.record import add_audit, add_event, change_conversation, is_sqlite, upsert
from bot.store.tables import Conversation, Lease, Team

LOOK_AT = 20


async def next_to_take(connection: AsyncConnection, actor: Actor) -> list[Row[Any]]:
    """The first of those that wait and that `actor` may take, best first: id and epoch.

    What the card of a surge holds comes only when there is nothing else.
    """
    if actor.role not in ANSWERING_ROLES:
        return []
    may = takeable(actor, await grades_of(connection, actor))
    query = select(Conversation.id, Conversation.epoch).where(WAITING, may).order_by(*ORDER).limit(LOOK_AT)
    found: Result[Any]
    if await any_surge(connection):
        found = await connection.execute(query.where(~in_surge()))
        alone = list(found.all())
        if alone:
            return alone
    found = await connection.execute(query)
    return list(found.all())


def _key(actor: Actor) -> str:
    return f"take:{actor.staff_id}"


async def taken_by_press(connection: AsyncConnection, actor: Actor, press: str) -> int | None:
    """The conversation that this press took already. From here on `actor`'s other presses wait.

    Raises:
        NotAllowedError: the caller is nobody who answers.
    """
    if actor.staff_id is None or actor.role not in ANSWERING_ROLES:
        raise NotAllowedError("Your role does not allow you to answer people.")
    await connection.execute(
        upsert(connection, Lease)
        .values(key=_key(actor), counter=0, data={})
        .on_conflict_do_nothing(index_elements=["key"])
    )
    query = select(Lease.data).where(Lease.key == _key(actor))
    if not is_sqlite(connection):
        query = query.with_for_update()
    data = (await connection.execute(query)).scalar_one()
    return int(data["conversation"]) if press and data.get("press") == press else None


async def remember_press(connection: AsyncConnection, actor: Actor, press: str, conversation_id: int) -> None:
    """Keep what a press took."""
    await connection.execute(
        update(Lease)
        .where(Lease.key == _key(actor))
        .values(data={"press": press, "conversation": conversation_id}, counter=Lease.counter + 1)
    )


async def pass_on_waiting(
    connection: AsyncConnection, conversation_id: int, actor: Actor, team: str, note: str
) -> Row[Any]:
    """Move a waiting P3 or P4 to another team. It keeps its place by first wait.

    Returns the row as it was.

    Raises:
        StaleError: it does not wait any more.
        RefusedError: it is a P1 or P2, there is no note or no such team, or it is sealed elsewhere.
        NotAllowedError: the role, or nobody whose teams may see it.
    """
    if actor.role not in ANSWERING_ROLES or actor.staff_id is None:
        raise NotAllowedError("Your role does not allow you to answer people.")
    row = await get_for(connection, conversation_id, actor)
    if row.state != "waiting":
        raise StaleError("It does not wait any more.")
    if row.grade in URGENT:
        raise RefusedError(f"A {row.grade} is not handed on this way. Take it, then offer it.")
    if len(note.strip()) < 3:
        raise RefusedError("Write a note for the team that takes over.")
    known = await connection.execute(select(Team.key).where(Team.key == team))
    if known.scalar_one_or_none() is None:
        raise RefusedError("Choose a team from the list.")
    if row.team == team:
        raise RefusedError("It is with that team already.")
    targets = await sealed_targets(connection, row)
    if targets is not None and team not in targets:
        raise RefusedError("A sealed chat stays with its team. They can open the seal, with a reason.")
    sealed = row.sealed or await is_sealed_team(connection, team)
    await change_conversation(connection, row.id, team=team, sealed=sealed)
    await add_audit(
        connection, actor, "transfer", row.id, row.epoch, team=team, was=row.team, state=["waiting"] * 2,
        sealed=sealed,
    )  # fmt: skip
    await add_event(connection, row.id, "conversation.transfer", {"team": team, "warm": False})
    return row
