"""Who writes: one row for each person on a platform, whichever of their ids it tells.

A platform may know somebody by two ids and leave one of them out later (WhatsApp: a phone number, and
an id that only we are told). A message that carries both ties them together; from then on either finds
the person, and their conversation goes on.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, delete, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.messages import Incoming
from bot.store.record import is_sqlite, now, table, upsert
from bot.store.tables import Person, PersonAlso

_person, _also = table(Person), table(PersonAlso)
_PERSON = select(_person).where(
    _person.c.channel == bindparam("channel"), _person.c.platform_id == bindparam("platform_id")
)
# NO KEY: a foreign key's own check of this row, in a turn under way, must not wait for us.
_LOCK_PERSON = _PERSON.with_for_update(key_share=True)
_OWNER = select(_also.c.person_id).where(
    _also.c.channel == bindparam("channel"), _also.c.also_id == bindparam("also_id")
)


def is_known_as(channel: str, person: str) -> ColumnElement[bool]:
    """The condition that finds a person of a channel by either of their ids, each by its own index."""
    return Person.id.in_(
        union_all(
            select(_person.c.id).where(_person.c.channel == channel, _person.c.platform_id == person),
            select(_also.c.person_id).where(_also.c.channel == channel, _also.c.also_id == person),
        )
    )


async def find(connection: AsyncConnection, incoming: Incoming) -> Row[Any] | None:
    """Who wrote it, locked, by whichever of their ids; None: nobody whom we know."""
    found = await _by_id(connection, incoming.channel, incoming.person)
    if found is None:
        found = await _by_another_id(connection, incoming)
    if found is None or not incoming.also:
        return found
    if await _owner(connection, incoming.channel, incoming.also) != found.id:
        await tie(connection, found.id, incoming.channel, incoming.also)
    if found.platform_id == incoming.person:
        return found
    await connection.execute(update(Person).where(Person.id == found.id).values(platform_id=incoming.person))
    return await _by_id(connection, incoming.channel, incoming.person)


async def lock(connection: AsyncConnection, incoming: Incoming) -> Row[Any]:
    """The same; whoever is new is added."""
    found = await find(connection, incoming)
    if found is not None:
        return found
    who = {"channel": incoming.channel, "platform_id": incoming.person}
    await connection.execute(
        upsert(connection, Person)
        .values(**who, name=incoming.name, blocked=False, created_at=now())
        .on_conflict_do_nothing(index_elements=["channel", "platform_id"])
    )
    row = (await connection.execute(_query(connection), who)).one()
    if incoming.also:
        await tie(connection, row.id, incoming.channel, incoming.also)
    return row


async def tie(connection: AsyncConnection, person_id: int, channel: str, also: str) -> None:
    """Let a person be known by that id too, and by no other beside their first."""
    await connection.execute(delete(PersonAlso).where(PersonAlso.person_id == person_id))
    if also:
        await connection.execute(
            upsert(connection, PersonAlso)
            .values(channel=channel, also_id=also, person_id=person_id)
            .on_conflict_do_update(index_elements=["channel", "also_id"], set_={"person_id": person_id})
        )


def _query(connection: AsyncConnection) -> Any:
    return _PERSON if is_sqlite(connection) else _LOCK_PERSON


async def _by_id(connection: AsyncConnection, channel: str, person: str) -> Row[Any] | None:
    found = await connection.execute(_query(connection), {"channel": channel, "platform_id": person})
    return found.one_or_none()


async def _owner(connection: AsyncConnection, channel: str, also: str) -> int | None:
    found = await connection.execute(_OWNER, {"channel": channel, "also_id": also})
    return found.scalar_one_or_none()


async def _by_another_id(connection: AsyncConnection, incoming: Incoming) -> Row[Any] | None:
    """Somebody who is known by the id that came, as their second one, or by the second one that came."""
    for other in (incoming.person, incoming.also):
        person_id = await _owner(connection, incoming.channel, other) if other else None
        if person_id is not None:
            query = select(_person).where(_person.c.id == person_id)
            if not is_sqlite(connection):
                query = query.with_for_update(key_share=True)
            return (await connection.execute(query)).one_or_none()
    return await _by_id(connection, incoming.channel, incoming.also) if incoming.also else None
