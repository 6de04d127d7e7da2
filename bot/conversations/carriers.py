"""Which rows of the outbox this gateway carries, and when one that no gateway takes is given up.

While a channel is switched on, one gateway knows it and another does not yet: the other leaves its rows
alone. A channel that may not go live yet (decision 0010) sends nothing but words for somebody in danger;
a gateway that knows it to be live may send the rest. What nobody takes fails, so that the desk sees it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, Select, and_, bindparam, exists, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store.record import now, table
from bot.store.tables import Attempt, Outbox

GIVE_UP_AFTER = timedelta(minutes=10)
"""How long a row may be due before its fate is put before the desk, while nobody takes it."""
LOOK_BACK = 1000
"""Newest attempts that are looked at for a gateway that has a row's channel."""

_outbox = table(Outbox)
# In these very words, or no database would know that the index of open rows serves.
_OPEN = text("outbox.state IN ('queued', 'sending')")


@dataclass(frozen=True, slots=True)
class Carries:
    """What one gateway carries."""

    channels: frozenset[str]
    """Every channel that it has."""
    held_back: frozenset[str] = frozenset()
    """Those that may not go live yet, as it knows."""

    def may(self, row: Row[Any]) -> bool:
        """Whether this row may leave by it."""
        if row.channel not in self.channels:
            return False
        return row.channel not in self.held_back or bool(row.kind == "safety")

    @property
    def names(self) -> dict[str, list[str]]:
        """The same, as the queries below are told."""
        return {"whole": sorted(self.channels - self.held_back), "danger": sorted(self.held_back)}

    def why_not(self, row: Row[Any]) -> str:
        """What the desk reads of a row that it does not carry, and nobody else either."""
        if row.channel in self.channels:
            return "this channel may not go live yet"
        return "this channel is switched off"


def ready(carried: bool = True) -> Select[Any]:
    """The conversations with a row that may leave now, the longest due first.

    Those whose first row waits for a retry are left out: however many they are, the rest is not to
    wait behind them. Not `carried`: those with a row that is due and that this gateway does not carry.
    """
    moment = bindparam("moment", type_=_outbox.c.not_before.type)
    earlier = _outbox.alias("earlier")
    waits = exists().where(
        text("earlier.state IN ('queued', 'sending')"),
        earlier.c.conversation_id == _outbox.c.conversation_id,
        earlier.c.state == "queued",
        earlier.c.id < _outbox.c.id,
        earlier.c.not_before > moment,
    )
    mine = or_(
        _outbox.c.channel.in_(bindparam("whole", expanding=True)),
        and_(_outbox.c.kind == "safety", _outbox.c.channel.in_(bindparam("danger", expanding=True))),
    )
    return (
        select(_outbox.c.conversation_id)
        .where(
            _OPEN,
            _outbox.c.state == "queued",
            _outbox.c.not_before <= moment,
            mine if carried else ~mine,
            or_(_outbox.c.kind == "safety", ~waits),
        )
        .group_by(_outbox.c.conversation_id)
        .order_by(func.min(_outbox.c.not_before), func.min(_outbox.c.id))
        .limit(bindparam("most"))
    )


async def is_tried_elsewhere(connection: AsyncConnection, row: Row[Any]) -> bool:
    """Whether some gateway has lately sent by this row's channel, or tried to.

    Words of danger say nothing: they leave by a channel that is held back as well.
    """
    newest = (
        select(Attempt.outbox_id, Attempt.started_at).order_by(Attempt.id.desc()).limit(LOOK_BACK).subquery()
    )
    found = await connection.execute(
        select(Outbox.id)
        .join(newest, newest.c.outbox_id == Outbox.id)
        .where(
            Outbox.channel == row.channel,
            Outbox.kind != "safety",
            newest.c.started_at > now() - GIVE_UP_AFTER,
        )
        .limit(1)
    )
    return found.scalar_one_or_none() is not None
