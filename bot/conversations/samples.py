"""The daily sample: conversations of the day before that only the assistant had, for a person to read.

A due row of each day draws them by lot. The lot is a hash of the day and of each chat reference, so it
comes out the same however often it is drawn, and nobody can draw until it suits them. What was drawn,
and out of how many, is in the audit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Row, exists, select
from sqlalchemy import update as sql_update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant.content import Content, LiveContent
from bot.errors import ContentError
from bot.messages import CLOCK
from bot.store import Store
from bot.store.record import add_audit, now, upsert
from bot.store.tables import Audit, Conversation, Due, Message
from bot.store.tables import Sample as SampleRow

KIND: Final = "sample"
DEFAULT_NUMBER: Final = 20
DEFAULT_AT: Final = "06:00"
MOST: Final = 500
LEAVING: Final = ("escalate", "outside_reply", "answered_outside", "claim", "reopen")
"""Audit actions of which a conversation that only ever was the assistant's has none."""


class Samples:
    """Sets the clock of each day, and draws when it is due. One for each gateway."""

    def __init__(self, store: Store, content: LiveContent) -> None:
        self._store = store
        self._content = content
        self._set_for: date | None = None
        self.kinds: dict[str, Callable[[Row[Any]], Awaitable[bool]]] = {KIND: self._draw}
        """What the clocks run, by the kind of due row."""

    async def sweep(self) -> None:
        """See that today has its clock. It is set once, for good: a day is never drawn anew."""
        zone = _zone(self._content.current)
        today = now().astimezone(zone).date()
        if self._set_for == today:
            return
        number, at = setting(self._content.current.force)
        values = {
            "kind": KIND, "key": f"{KIND}:{today.isoformat()}", "conversation_id": None,
            "data": {"day": (today - timedelta(days=1)).isoformat(), "number": number},
            "due_at": datetime.combine(today, at, zone),
        }  # fmt: skip
        async with self._store.write() as connection:
            await connection.execute(
                upsert(connection, Due).values(**values).on_conflict_do_nothing(index_elements=["key"])
            )
        self._set_for = today

    async def _draw(self, due: Row[Any]) -> bool:
        day = date.fromisoformat(due.data["day"])
        number = int(due.data.get("number", DEFAULT_NUMBER))
        async with self._store.write() as connection:
            await draw(connection, due.id, day, number, _zone(self._content.current))
        return True


def setting(force: Mapping[str, Any]) -> tuple[int, time]:
    """How many are drawn, and when on the force's clock: `daily_sample` of force.yml.

    Raises:
        ContentError: it cannot be read.
    """
    given = force.get("daily_sample") or {}
    number = given.get("number", DEFAULT_NUMBER) if isinstance(given, Mapping) else None
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MOST:
        raise ContentError(f"force.yml: daily_sample needs a number from 0 to {MOST}.")
    try:
        at = time.fromisoformat(str(given.get("at", DEFAULT_AT)))
    except ValueError as error:
        raise ContentError('force.yml: daily_sample: write `at` as a time, such as "06:00".') from error
    return number, at.replace(tzinfo=None)


def _zone(content: Content) -> ZoneInfo:
    return ZoneInfo(str(content.hours.get("timezone", "Europe/London")))


def lot(day: str, reference: str) -> bytes:
    """The lot of one conversation on one day: the lowest are drawn."""
    return hashlib.sha256(f"{day} {reference}".encode()).digest()


async def draw(connection: AsyncConnection, due_id: int, day: date, number: int, zone: ZoneInfo) -> int:
    """Draw the sample of a day, once. Returns how many were drawn now.

    The due row is locked and marked in the same transaction: a second gateway, or the same one after a
    crash, draws nothing more, even if there are other conversations by then.
    """
    marked = (
        await connection.execute(select(Due.__table__).where(Due.id == due_id).with_for_update())
    ).one_or_none()
    if marked is None or "drawn" in (marked.data or {}):
        return 0
    named = day.isoformat()
    pool = await _pool(connection, day, zone)
    drawn = sorted(pool, key=lambda one: lot(named, one[1]))[:number]
    for conversation_id, _reference in drawn:
        await connection.execute(
            upsert(connection, SampleRow)
            .values(day=named, conversation_id=conversation_id)
            .on_conflict_do_nothing(index_elements=["day", "conversation_id"])
        )
    await connection.execute(
        sql_update(Due).where(Due.id == due_id).values(data={**marked.data, "drawn": len(drawn)})
    )
    await add_audit(connection, CLOCK, "sample.draw", day=named, drawn=len(drawn), of=len(pool))
    return len(drawn)


async def _pool(connection: AsyncConnection, day: date, zone: ZoneInfo) -> list[tuple[int, str]]:
    """Conversations whose newest message is of that day, and that no person of the staff ever had."""
    begins = datetime.combine(day, time(), zone)
    ends = datetime.combine(day + timedelta(days=1), time(), zone)
    left = exists().where(Audit.conversation_id == Conversation.id, Audit.action.in_(LEAVING))
    wrote = exists().where(Message.conversation_id == Conversation.id)
    rows = await connection.execute(
        select(Conversation.id, Conversation.reference).where(
            Conversation.last_inbound_at >= begins,
            Conversation.last_inbound_at < ends,
            Conversation.state.in_(("bot", "closed")),
            Conversation.closed_owner_id.is_(None),
            Conversation.sealed.is_(False),
            ~left,
            wrote,
        )
    )
    return [(row.id, row.reference) for row in rows]
