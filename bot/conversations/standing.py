"""What a platform says of our own account there: kept, logged, shown as degraded until it says otherwise."""

from __future__ import annotations

import structlog
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.messages import Standing
from bot.store import tables
from bot.store.record import upsert

log = structlog.get_logger(__name__)


async def take(connection: AsyncConnection, standing: Standing) -> None:
    """Keep the newest word on one topic; an older one that comes late changes nothing."""
    values = {"says": standing.says, "degraded": standing.degraded, "at": standing.at}
    who = {"channel": standing.channel, "account": standing.account, "topic": standing.topic}
    row = tables.Standing
    insert = upsert(connection, row).values(**who, **values)
    await connection.execute(
        insert.on_conflict_do_update(
            index_elements=list(who), set_=values, where=or_(row.at <= standing.at, row.at.is_(None))
        )
    )
    tell = log.warning if standing.degraded else log.info
    tell("channel.standing", channel=standing.channel, kind=standing.topic, state=standing.says)


async def degraded(connection: AsyncConnection) -> dict[str, list[str]]:
    """What is wrong now, by channel: the topics, in order."""
    row = tables.Standing
    found = await connection.execute(
        select(row.channel, row.topic)
        .where(row.degraded.is_(True))
        .order_by(row.channel, row.topic)
        .distinct()
    )
    wrong: dict[str, list[str]] = {}
    for channel, topic in found.all():
        wrong.setdefault(channel, []).append(topic)
    return wrong
