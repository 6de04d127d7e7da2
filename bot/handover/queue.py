"""The queue as staff see it: what waits, what is owned, the most urgent and longest waiting first."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.messages import Actor
from bot.store.tables import Conversation, Message, Person, Staff, Team


def visible(actor: Actor) -> Any:
    """The condition that `actor` may see a conversation; `may_open` says the same of one row.

    A restricted team's conversations are seen by its members, and by the team that one is being
    passed to: nobody can accept unread.
    """
    restricted = select(Team.key).where(Team.restricted)
    return or_(
        Conversation.team.is_(None),
        Conversation.team.not_in(restricted),
        Conversation.team.in_(sorted(actor.teams)),
        Conversation.transfer_team.in_(sorted(actor.teams)),
    )


async def list_queue(connection: AsyncConnection, actor: Actor, *, limit: int = 200) -> list[Row[Any]]:
    """Waiting and owned conversations that `actor` may see.

    Order: waiting before owned, P1 to P4, those whose owner was lost, then by first wait.
    Columns: those of the conversation, `owner_name`, `person_name`, `last_text`.
    """
    newest = (
        select(Message.conversation_id, func.max(Message.id).label("message_id"))
        .group_by(Message.conversation_id)
        .subquery()
    )
    query = (
        select(
            Conversation.__table__,
            Staff.name.label("owner_name"),
            Person.name.label("person_name"),
            Message.text.label("last_text"),
        )
        .join(Person, Person.id == Conversation.person_id)
        .outerjoin(Staff, Staff.id == Conversation.owner_id)
        .outerjoin(newest, newest.c.conversation_id == Conversation.id)
        .outerjoin(Message, Message.id == newest.c.message_id)
        .where(Conversation.state.in_(("waiting", "human")), visible(actor))
        .order_by(
            Conversation.state.desc(),
            Conversation.grade,
            Conversation.front.desc(),
            Conversation.waiting_since,
            Conversation.id,
        )
        .limit(limit)
    )
    return list((await connection.execute(query)).all())


async def count_waiting(connection: AsyncConnection, actor: Actor) -> dict[str, int]:
    """How many wait, by grade."""
    rows = await connection.execute(
        select(Conversation.grade, func.count())
        .where(and_(Conversation.state == "waiting", visible(actor)))
        .group_by(Conversation.grade)
    )
    return {str(row[0]): int(row[1]) for row in rows}


async def may_open(connection: AsyncConnection, conversation: Row[Any], actor: Actor) -> bool:
    """Whether `actor` may read this conversation."""
    if conversation.team is None or {conversation.team, conversation.transfer_team} & actor.teams:
        return True
    restricted = await connection.execute(select(Team.restricted).where(Team.key == conversation.team))
    return not restricted.scalar_one_or_none()
