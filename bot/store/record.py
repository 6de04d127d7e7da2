"""The small writes that every change is made of: event, audit row, outbox row, due row.

Each takes the open transaction of its caller, so that a change and its trace commit together (I8).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Row,
    Select,
    Table,
    bindparam,
    cast,
    func,
    insert,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from bot.messages import Actor, Button, OutboundKind, Template, Way
from bot.store.tables import Audit, Base, Conversation, Due, Event, Outbox, OutboxTemplate


def table(of: type[Base]) -> Table:
    """The plain table of a class: statements made once of it cost least."""
    found = of.__table__
    assert isinstance(found, Table)  # noqa: S101  every class of ours has one
    return found


# Made once and run with parameters: to build a statement anew costs four times what running it does.
_conversation = table(Conversation)
_event = table(Event)
_READ_CONVERSATION = select(_conversation).where(_conversation.c.id == bindparam("conversation_id"))
# NO KEY: rows that point at the conversation may be written by others meanwhile.
_LOCK_CONVERSATION = _READ_CONVERSATION.with_for_update(key_share=True)
_CHANGE_CONVERSATION = update(_conversation).where(_conversation.c.id == bindparam("which"))
_ADD_EVENT = insert(_event)
_ADD_EVENT_POSTGRESQL = insert(_event).values(xid=cast(cast(func.pg_current_xact_id(), Text), BigInteger))
_ADD_AUDIT = insert(table(Audit))
_ADD_OUTBOX = insert(table(Outbox)).returning(Outbox.id)


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


def is_sqlite(connection: AsyncConnection) -> bool:
    """Whether this connection speaks SQLite."""
    return connection.dialect.name == "sqlite"


def upsert(connection: AsyncConnection, table: Any) -> Any:
    """An INSERT that can say ON CONFLICT, in the dialect of the connection."""
    return sqlite.insert(table) if is_sqlite(connection) else postgresql.insert(table)


async def lock_conversation(connection: AsyncConnection, conversation_id: int) -> Row[Any] | None:
    """Read a conversation and keep every other writer of it out until the end (row lock).

    On SQLite the writing transaction has the whole database to itself already.
    """
    query = _READ_CONVERSATION if is_sqlite(connection) else _LOCK_CONVERSATION
    return (await connection.execute(query, {"conversation_id": conversation_id})).one_or_none()


async def change_conversation(connection: AsyncConnection, conversation_id: int, **values: Any) -> None:
    """Set columns of a conversation that the caller has locked."""
    await connection.execute(_CHANGE_CONVERSATION, {"which": conversation_id, **values})


async def add_event(
    connection: AsyncConnection,
    conversation_id: int | None,
    kind: str,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Tell the pages. `data` holds ids and states, never message text (the page fetches it)."""
    await add_events(connection, conversation_id, [(kind, data or {})])


async def add_events(
    connection: AsyncConnection,
    conversation_id: int | None,
    events: Sequence[tuple[str, Mapping[str, Any]]],
) -> None:
    """Tell the pages several things at once, in this order: pairs of kind and data."""
    at = now()
    rows: list[dict[str, Any]] = [
        {"conversation_id": conversation_id, "kind": kind, "data": dict(data), "at": at}
        for kind, data in events
    ]
    if is_sqlite(connection):
        await connection.execute(_ADD_EVENT, [{"xid": 0, **row} for row in rows])
    else:
        await connection.execute(_ADD_EVENT_POSTGRESQL, rows)


Cursor = tuple[int, int]


async def events_after(
    connection: AsyncConnection,
    cursor: Cursor,
    *,
    conversation_id: int | None = None,
    person_id: int | None = None,
    kinds: Sequence[str] = (),
    limit: int = 500,
) -> list[Row[Any]]:
    """Events after `cursor` (xid, id) in commit order, none of them ever missed.

    `person_id` takes all conversations of one person, in one query: two queries would each stop at
    a place of their own, and a shared cursor would skip what lies between.

    PostgreSQL gives ids before commit, so rows can appear behind the cursor. Reading stops below
    the oldest running transaction, and the order is by transaction first: whatever appears later
    has a higher place. Source: PostgreSQL 15 manual, 9.26.8 (transaction id and snapshot).
    """
    query = _events_query(
        is_sqlite(connection), conversation_id is not None, person_id is not None, tuple(kinds)
    )
    values: dict[str, Any] = {"after_id": cursor[1], "most": limit}
    if not is_sqlite(connection):
        values["after_xid"] = cursor[0]
    if conversation_id is not None:
        values["conversation_id"] = conversation_id
    if person_id is not None:
        values["person_id"] = person_id
    return list((await connection.execute(query, values)).all())


@cache
def _events_query(
    on_sqlite: bool, of_conversation: bool, of_person: bool, kinds: tuple[str, ...]
) -> Select[Any]:
    query = select(_event)
    after_xid = bindparam("after_xid", type_=BigInteger)
    after_id = bindparam("after_id", type_=BigInteger)
    order: tuple[Any, ...] = (Event.xid, Event.id)
    if on_sqlite:
        # There the xid is always 0. SQLite would find the place of a pair by its first half alone,
        # and so read every event there is.
        query = query.where(Event.xid == 0, Event.id > after_id)
        if of_conversation or of_person:
            # The plus keeps it from walking through the events of all others, in their order.
            order = (literal_column("+event.id"),)
    else:
        # Stop below the oldest transaction that still runs.
        query = query.where(tuple_(Event.xid, Event.id) > tuple_(after_xid, after_id), Event.xid < _fence())
    if of_conversation:
        query = query.where(Event.conversation_id == bindparam("conversation_id"))
    if of_person:
        mine = select(Conversation.id).where(Conversation.person_id == bindparam("person_id"))
        query = query.where(Event.conversation_id.in_(mine))
    if kinds:
        query = query.where(Event.kind.in_(kinds))
    return query.order_by(*order).limit(bindparam("most"))


def _fence() -> Any:
    return cast(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), Text), BigInteger)


async def latest_cursor(connection: AsyncConnection) -> Cursor:
    """The place of the newest event that `events_after` would show."""
    query = select(Event.xid, Event.id)
    if not is_sqlite(connection):
        query = query.where(Event.xid < _fence())
    query = query.order_by(Event.xid.desc(), Event.id.desc()).limit(1)
    row = (await connection.execute(query)).one_or_none()
    return (row.xid, row.id) if row else (0, 0)


async def add_audit(
    connection: AsyncConnection,
    actor: Actor,
    action: str,
    conversation_id: int | None = None,
    epoch: int | None = None,
    *,
    subject_id: int | None = None,
    **detail: Any,
) -> None:
    """Write down who did what; `subject_id` is the member of staff to whom. `detail` holds no message text."""
    await connection.execute(
        _ADD_AUDIT,
        {
            "at": now(),
            "actor": actor.name,
            "staff_id": actor.staff_id,
            "action": action,
            "conversation_id": conversation_id,
            "epoch": epoch,
            "subject_id": subject_id,
            "detail": detail,
        },
    )


async def add_outbox(
    connection: AsyncConnection,
    conversation: Row[Any],
    kind: OutboundKind,
    text: str,
    *,
    epoch: int,
    buttons: Sequence[Button] = (),
    slug: str | None = None,
    category: str | None = None,
    grade: str | None = None,
    turn: str | None = None,
    author_id: int | None = None,
    template: Template | None = None,
    way: Way = "",
    place: str = "",
) -> int:
    """Put one message in line to be sent. Returns its id: the order within the conversation."""
    moment = now()
    result = await connection.execute(
        _ADD_OUTBOX,
        {
            "conversation_id": conversation.id,
            "channel": conversation.channel,
            "kind": kind,
            "text": text,
            "buttons": [{"title": button.title, "payload": button.payload} for button in buttons],
            "slug": slug,
            "category": category,
            "grade": grade,
            "epoch": epoch,
            "turn": turn,
            "author_id": author_id,
            "way": way or None,
            "place": place or None,
            "state": "queued",
            "not_before": moment,
            "created_at": moment,
        },
    )
    outbox_id = int(result.scalar_one())
    if template is not None:
        values = {"outbox_id": outbox_id, "body": template.as_json()}
        await connection.execute(insert(OutboxTemplate).values(**values))
    await add_event(connection, conversation.id, "outbox.queued", {"outbox": outbox_id})
    return outbox_id


async def add_due(
    connection: AsyncConnection,
    kind: str,
    after: timedelta,
    *,
    key: str | None = None,
    conversation_id: int | None = None,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Set a clock. With a `key`, an open clock of that key is moved instead of doubled."""
    values = {
        "kind": kind,
        "key": key,
        "conversation_id": conversation_id,
        "data": dict(data or {}),
        "due_at": now() + after,
    }
    statement = upsert(connection, Due).values(**values)
    if key is not None:
        statement = statement.on_conflict_do_update(
            index_elements=["key"],
            set_={
                "due_at": values["due_at"],
                "data": values["data"],
                "done_at": None,
                "holder": None,
                "held_until": None,
                "attempts": 0,
            },
        )
    await connection.execute(statement)


async def drop_due(connection: AsyncConnection, key: str) -> None:
    """Stop the clock of that key, if it still runs."""
    await connection.execute(update(Due).where(Due.key == key, Due.done_at.is_(None)).values(done_at=now()))
