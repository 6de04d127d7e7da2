"""The database of practice: never the force's own, emptied at each start, made by practice alone."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import delete, inspect, select, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import SettingError
from bot.handover import ownership
from bot.messages import Actor
from bot.practice.script import USERNAME
from bot.settings import Settings
from bot.store import Store
from bot.store.record import add_audit, add_event, change_conversation, now
from bot.store.tables import (
    Alarm,
    Base,
    CallBack,
    Conversation,
    Due,
    Live,
    Person,
    Release,
    SignOff,
    Staff,
    Surge,
)

CHANNEL = "practice"
CLEARED = "test"
"""The outcome of a chat that a new beginning has cut off."""
NOBODY = "http://127.0.0.1:9"
"""Where nothing listens (the discard port): practice has no assistant, and must never reach the force's."""
PRACTICE = Actor("practice")
_KEPT = (
    "force", "data", "models", "static", "desk_host", "secure_cookies", "behind_proxy", "idle_lock_minutes",
    "max_body_bytes", "poll_seconds", "stop_seconds", "stop_wait_seconds", "log_level",
)  # fmt: skip
"""All that practice takes over from the force's settings. Tokens, mail, webhooks, Redis, the assistant and
the keys are not among them, nor will be whatever is added one day."""
_NOT_OURS = (
    "FRONTCOUNTER_PRACTICE_DATABASE_URL: this database holds a record that practice has not made. "
    "Nothing was changed. Name an empty database."
)


def practice_settings(settings: Settings) -> Settings:
    """The settings of a practice: its own database and port, and no way to the public or to an alarm.

    Raises:
        SettingError: the database is the force's own.
    """
    url = settings.practice_database_url or f"sqlite+aiosqlite:///{settings.var.resolve() / 'practice.db'}"
    if is_same_database(url, settings.database_url):
        raise SettingError(
            "FRONTCOUNTER_PRACTICE_DATABASE_URL names the database of the real record. Name another one."
        )
    return Settings.model_construct(
        **{name: getattr(settings, name) for name in _KEPT},
        database_url=url,
        desk_port=settings.practice_port,
        assistant_urls=(NOBODY,),
        assistant_secret=CHANNEL,
        var=settings.var / CHANNEL,
        demo=True,  # no second factor: these accounts are nobody's
    )


def is_same_database(one: str, other: str) -> bool:
    """Whether two addresses may mean the same database.

    Two servers of PostgreSQL can be the same under different names: there the database's name decides.
    """
    first, second = make_url(one), make_url(other)
    if first.get_backend_name() != second.get_backend_name():
        return False
    if first.get_backend_name() == "sqlite":
        return _file(first) == _file(second)
    return first.database == second.database


def _file(url: URL) -> Path:
    return Path(str(url.database)).resolve()


async def must_be_practice(store: Store) -> None:
    """Refuse a database that anybody else has used, before anything in it is touched.

    Raises:
        SettingError: it holds staff, people or a live channel that practice has not made.
        StoreUnavailableError: it does not answer.
    """
    async with store.read() as connection:
        tables = await connection.run_sync(lambda sync: set(inspect(sync).get_table_names()))
        if tables and not await _is_ours(connection, tables):
            raise SettingError(_NOT_OURS)


async def _is_ours(connection: AsyncConnection, tables: set[str]) -> bool:
    """Whether nothing in it is anybody's: an emptied database of practice, or one that was only migrated."""
    if not {"staff", "person", "release"} <= tables:
        return False
    usernames = list((await connection.execute(select(Staff.username))).scalars())
    if any(not username.startswith(USERNAME) for username in usernames):
        return False
    others = await connection.execute(select(Person.id).where(Person.channel != CHANNEL).limit(1))
    if others.scalar_one_or_none() is not None:
        return False
    for table in (Live, SignOff):
        if table.__tablename__ not in tables:
            continue
        if (await connection.execute(select(table.__table__).limit(1))).first() is not None:
            return False
    if usernames:
        return True
    # Nobody works in it: then nothing of a force may be in it either, such as its first release.
    return (await connection.execute(select(Release.id).limit(1))).first() is None


async def wipe(store: Store) -> None:
    """Empty every table, the accounts and the words too. The caller has asked `must_be_practice`."""
    async with store.write() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            await connection.execute(delete(table))


async def end_everything(store: Store) -> int:
    """End every open chat, call and alarm, so that the next practice begins with an empty queue.

    Rows stay: pages that are open go by their numbers. Returns how many chats were ended.
    """
    async with store.write() as connection:
        query = select(Conversation.id).where(Conversation.state != "closed").order_by(Conversation.id)
        ids = list((await connection.execute(query)).scalars())
        for conversation_id in ids:
            await _end(connection, conversation_id)
        await connection.execute(
            update(Due).where(Due.conversation_id.is_not(None), Due.done_at.is_(None)).values(done_at=now())
        )
        await connection.execute(update(CallBack).where(CallBack.done_at.is_(None)).values(done_at=now()))
        await connection.execute(update(Surge).where(Surge.closed_at.is_(None)).values(closed_at=now()))
        await connection.execute(
            update(Alarm).where(Alarm.settled_at.is_(None)).values(settled_at=now(), settled_by=PRACTICE.name)
        )
    return len(ids)


async def _end(connection: AsyncConnection, conversation_id: int) -> None:
    row = await ownership.get(connection, conversation_id)
    await change_conversation(
        connection, row.id, state="closed", owner_id=None, owner_outside=False, transfer_team=None,
        epoch=row.epoch + 1, closed_at=now(), outcome=CLEARED, ask=None, snoozed_until=None,
        reply_due_at=None,
    )  # fmt: skip
    await add_audit(
        connection, PRACTICE, "close", row.id, row.epoch + 1,
        state=[row.state, "closed"], owner=[row.owner_id, None], outcome=CLEARED,
    )  # fmt: skip
    await add_event(
        connection, row.id, "conversation.owner",
        {"action": "close", "state": "closed", "owner": None, "was": row.owner_id},
    )  # fmt: skip
