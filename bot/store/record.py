"""The small writes that every change is made of: event, audit row, outbox row, due row.

Each takes the open transaction of its caller, so that a change and its trace commit together (I8).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Row, cast, func, insert, literal_column, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from bot.messages import Actor, Button, OutboundKind
from bot.store.tables import Audit, Conversation, Due, Event, Outbox


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
    query = select(Conversation.__table__).where(Conversation.id == conversation_id)
    if not is_sqlite(connection):
        # NO KEY: rows that point at the conversation may be written by others meanwhile.
        query = query.with_for_update(key_share=True)
    return (await connection.execute(query)).one_or_none()


async def change_conversation(connection: AsyncConnection, conversation_id: int, **values: Any) -> None:
    """Set columns of a conversation that the caller has locked."""
    await connection.execute(update(Conversation).where(Conversation.id == conversation_id).values(**values))


async def add_event(
    connection: AsyncConnection,
    conversation_id: int | None,
    kind: str,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Tell the pages. `data` holds ids and states, never message text (the page fetches it)."""
    xid: Any = 0
    if not is_sqlite(connection):
        xid = cast(cast(func.pg_current_xact_id(), Text), BigInteger)
    await connection.execute(
        insert(Event).values(
            xid=xid, conversation_id=conversation_id, kind=kind, data=dict(data or {}), at=now()
        )
    )


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
    query = select(Event.__table__).where(
        tuple_(Event.xid, Event.id) > tuple_(literal_column(str(cursor[0])), literal_column(str(cursor[1])))
    )
    if conversation_id is not None:
        query = query.where(Event.conversation_id == conversation_id)
    if person_id is not None:
        mine = select(Conversation.id).where(Conversation.person_id == person_id)
        query = query.where(Event.conversation_id.in_(mine))
    if kinds:
        query = query.where(Event.kind.in_(kinds))
    if not is_sqlite(connection):
        query = query.where(Event.xid < _fence())
    query = query.order_by(Event.xid, Event.id).limit(limit)
    return list((await connection.execute(query)).all())


def _fence() -> Any:
    return cast(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), Text), BigInteger)


async def latest_cursor(connection: AsyncConnection) -> Cursor:
    """The place of the newest event that `events_after` would show."""
    query = select(Event.xid, Event.id)
    if not is_sqlite(connection):
        query = query.where(Event.xid < _fence())
    row = (await connection.execute(query.order_by(Event.xid.desc(), Event.id.desc()).limit(1))).one_or_none()
    return (row.xid, row.id) if row else (0, 0)


async def add_audit(
    connection: AsyncConnection,
    actor: Actor,
    action: str,
    conversation_id: int | None = None,
    epoch: int | None = None,
    **detail: Any,
) -> None:
    """Write down who did what. `detail` holds no message text."""
    await connection.execute(
        insert(Audit).values(
            at=now(),
            actor=actor.name,
            staff_id=actor.staff_id,
            action=action,
            conversation_id=conversation_id,
            epoch=epoch,
            detail=detail,
        )
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
) -> int:
    """Put one message in line to be sent. Returns its id: the order within the conversation."""
    result = await connection.execute(
        insert(Outbox)
        .values(
            conversation_id=conversation.id,
            channel=conversation.channel,
            kind=kind,
            text=text,
            buttons=[{"title": button.title, "payload": button.payload} for button in buttons],
            slug=slug,
            category=category,
            grade=grade,
            epoch=epoch,
            turn=turn,
            author_id=author_id,
            state="queued",
            not_before=now(),
            created_at=now(),
        )
        .returning(Outbox.id)
    )
    outbox_id = int(result.scalar_one())
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
