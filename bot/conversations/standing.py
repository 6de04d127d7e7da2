"""How our accounts on platforms stand, by the platform's word or by what a channel sees of it.

Kept in rows, logged, shown as degraded until the next word on the same topic: on every page of the desk, to
whoever watches, and by `frontcounter ready`. It stops nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Row, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.messages import Standing
from bot.store import Store, tables
from bot.store.record import now, upsert

log = structlog.get_logger(__name__)

HOLDS = timedelta(minutes=2)
"""What a gateway sees for itself ends after so long, unless a gateway says it again."""


async def take(connection: AsyncConnection, standing: Standing) -> None:
    """Keep the newest word on one topic; an older one that comes late changes nothing."""
    await _keep(connection, standing)
    _tell(standing)


async def say(store: Store, seen: Sequence[Standing]) -> None:
    """Keep what a channel of this gateway sees for itself; what the record has already is not written again.

    A word is of the moment that it names (`at`): of two gateways the one that saw something last is right.

    Raises:
        StoreUnavailableError: the database does not answer.
    """
    if not seen:
        return
    async with store.read() as connection:
        rows = {(row.account, row.topic): row for row in await _rows_of(connection, seen[0].channel)}
    changed = [one for one in seen if _changes(one, rows.get((one.account, one.topic)))]
    if not changed:
        return
    until = now() + HOLDS
    async with store.write() as connection:
        for one in changed:
            await _keep(connection, replace(one, until=until if one.degraded else None))
    for one in changed:
        row = rows.get((one.account, one.topic))
        if row is None or (row.says, row.degraded) != (one.says, one.degraded):
            _tell(one)


async def degraded(connection: AsyncConnection) -> dict[str, list[str]]:
    """What is wrong now, by channel: the topics, in order."""
    row = tables.Standing
    found = await connection.execute(
        select(row.channel, row.topic).where(_is_degraded()).order_by(row.channel, row.topic).distinct()
    )
    wrong: dict[str, list[str]] = {}
    for channel, topic in found.all():
        wrong.setdefault(channel, []).append(topic)
    return wrong


class Standings:
    """What is wrong, as this gateway read it last: every page of the desk shows it."""

    def __init__(self, store: Store, channels: Collection[str]) -> None:
        """`channels` are those that are on: what was said of another is of no use to staff."""
        self._store = store
        self._channels = channels
        self._wrong: dict[str, list[str]] = {}

    async def sweep(self) -> None:
        """Read it anew.

        Raises:
            StoreUnavailableError: the database does not answer. What was read last stands.
        """
        row = tables.Standing
        async with self._store.read() as connection:
            found = await connection.execute(
                select(row.channel, row.topic, row.says, row.why)
                .where(_is_degraded())
                .order_by(row.channel, row.topic, row.account)
            )
        wrong: dict[str, list[str]] = {}
        for one in found.all():
            sentence = one.why or _sentence(one.topic, one.says)
            if one.channel in self._channels and sentence not in wrong.setdefault(one.channel, []):
                wrong[one.channel].append(sentence)
        self._wrong = wrong

    @property
    def wrong(self) -> Mapping[str, str]:
        """The channels that are degraded, and why."""
        return {channel: " ".join(said) for channel, said in self._wrong.items()}

    def warnings(self, titles: Mapping[str, str]) -> list[str]:
        """The same as sentences; `titles` is what staff call a channel."""
        return [f"{titles.get(name, name)} is degraded. {why}" for name, why in sorted(self.wrong.items())]


def _sentence(topic: str, says: str) -> str:
    """A platform's own word on our account, such as FLAGGED on the quality of a number."""
    about, _, name = topic.partition(":")
    word = says.replace("_", " ").lower()
    return f"The platform says of our {about}{f' {name}' if name else ''}: {word}."


def _is_degraded() -> ColumnElement[bool]:
    row = tables.Standing
    return and_(row.degraded.is_(True), or_(row.until.is_(None), row.until > now()))


async def _rows_of(connection: AsyncConnection, channel: str) -> Sequence[Row[Any]]:
    row = tables.Standing
    found = await connection.execute(select(row.__table__).where(row.channel == channel))
    return found.all()


def _changes(seen: Standing, row: Row[Any] | None) -> bool:
    if row is None:
        return seen.degraded
    if seen.at < row.at:
        return False
    if not seen.degraded:
        return bool(row.degraded)
    is_same = row.degraded and (row.says, row.why) == (seen.says, _short(seen.why))
    return not is_same or _ends_soon(row.until)


def _ends_soon(until: datetime | None) -> bool:
    return until is not None and until - now() < HOLDS / 2


def _short(why: str) -> str | None:
    return why[:400] or None


async def _keep(connection: AsyncConnection, standing: Standing) -> None:
    values = {
        "says": standing.says, "degraded": standing.degraded, "at": standing.at,
        "why": _short(standing.why), "until": standing.until,
    }  # fmt: skip
    who = {"channel": standing.channel, "account": standing.account, "topic": standing.topic}
    row = tables.Standing
    insert = upsert(connection, row).values(**who, **values)
    await connection.execute(
        insert.on_conflict_do_update(
            index_elements=list(who), set_=values, where=or_(row.at <= standing.at, row.at.is_(None))
        )
    )


def _tell(standing: Standing) -> None:
    tell = log.warning if standing.degraded else log.info
    tell("channel.standing", channel=standing.channel, kind=standing.topic, state=standing.says)
