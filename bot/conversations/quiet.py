"""A person in danger who falls silent: words of a P1 or P2, an answer of ours, and then nothing.

The clock is a due row, set anew by every safety words and every staff reply. It does nothing when the
person has written since, when the chat has ended or is urgent no more. Otherwise it alerts the owner
and every supervisor, and once more after the same time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant.content import LiveContent
from bot.handover import ownership
from bot.messages import CLOCK, URGENT
from bot.store import Store
from bot.store.record import add_audit, add_due, add_event, now

KIND = "quiet"
DEFAULT_MINUTES = 10.0
TIMES = 2
"""How often one silence is told."""


def quiet_after(clock: Mapping[str, Any]) -> timedelta:
    """How long a silence may last: `quiet_minutes` of clock.yml."""
    minutes = clock.get("quiet_minutes", DEFAULT_MINUTES)
    usable = isinstance(minutes, int | float) and not isinstance(minutes, bool) and 0 < minutes <= 24 * 60
    return timedelta(minutes=minutes if usable else DEFAULT_MINUTES)


async def watch(connection: AsyncConnection, row: Row[Any], clock: Mapping[str, Any]) -> None:
    """Something was said to somebody in danger: from now on a silence counts."""
    if row.grade in URGENT and row.state in ("waiting", "human"):
        await _set(connection, row.id, quiet_after(clock), now(), 0)


async def _set(
    connection: AsyncConnection, conversation_id: int, after: timedelta, since: datetime, told: int
) -> None:
    await add_due(
        connection, KIND, after, key=f"{KIND}:{conversation_id}", conversation_id=conversation_id,
        data={"since": since.isoformat(), "told": told},
    )  # fmt: skip


class Quiet:
    """Runs these clocks."""

    def __init__(self, store: Store, content: LiveContent) -> None:
        self._store = store
        self._content = content

    async def look(self, due: Row[Any]) -> bool:
        """Alert whoever has to know, if the person is still silent."""
        since, told = datetime.fromisoformat(due.data["since"]), int(due.data["told"]) + 1
        async with self._store.write() as connection:
            row = await ownership.get(connection, due.conversation_id)
            if row.state not in ("waiting", "human") or row.grade not in URGENT:
                return True
            if row.last_inbound_at > since:
                return True
            await add_event(
                connection, row.id, "alert",
                {"grade": row.grade, "owner": row.owner_id, "category": row.category, "reason": KIND},
            )  # fmt: skip
            await add_audit(connection, CLOCK, KIND, row.id, row.epoch, since=since.isoformat(), told=told)
            if told < TIMES:
                await _set(connection, row.id, quiet_after(self._content.current.clock), since, told)
        return True
