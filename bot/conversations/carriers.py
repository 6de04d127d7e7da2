"""Which rows of the outbox this gateway carries, and when one that no gateway takes is given up.

While a channel is switched on, one gateway knows it and another does not yet: the other leaves its rows
alone. A channel that may not go live yet (decision 0010) sends nothing but words for somebody in danger;
a gateway that knows it to be live may send the rest. What nobody takes fails, so that the desk sees it.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, and_, bindparam, case, exists, func, or_, select, text, true
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.conversations import receipts
from bot.store.record import now, table
from bot.store.tables import Attempt, Outbox

GIVE_UP_AFTER = timedelta(minutes=10)
"""How long a row may be due before its fate is put before the desk, while nobody takes it."""
DANGER_GIVE_UP_AFTER = receipts.GIVE_UP_AFTER
"""The same for words of danger: whoever carries the channel has to come back first, as long as they are tried."""
LOOK_BACK = 1000
"""Attempts that are looked at in one go for a gateway that has a row's channel.

Those of all channels stand in one table, and a busy one must not hide the others: so as many are looked at as
were made in the time that counts.
"""

GAP_SECONDS = 60.0
"""A gateway that has not looked for so long was away itself."""

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


class Watch:
    """For how long this gateway has looked without a gap.

    Whoever comes back after an outage, at the same moment as those that carry a row, gives nothing up:
    they have to have had the time to take it.
    """

    def __init__(self) -> None:
        self._since = now()
        self._looked = -math.inf

    def is_long_enough(self) -> bool:
        """Whether nobody has taken a row in a time in which they could. Called at each look that succeeds."""
        moment = time.monotonic()
        if moment - self._looked > GAP_SECONDS:
            self._since = now()
        self._looked = moment
        return now() - self._since >= GIVE_UP_AFTER


def ready(carried: bool = True) -> Select[Any]:
    """The conversations with a row that may leave now, the longest due first.

    Those whose first row waits for a retry are left out: however many they are, the rest is not to
    wait behind them. Not `carried`: those with a row that is due and that this gateway does not carry;
    words of danger only if they are due since `danger_moment`.
    """
    moment = bindparam("moment", type_=_outbox.c.not_before.type)
    long_ago = bindparam("danger_moment", type_=_outbox.c.not_before.type)
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
            mine
            if carried
            else and_(~mine, or_(_outbox.c.kind != "safety", _outbox.c.not_before <= long_ago)),
            or_(_outbox.c.kind == "safety", ~waits),
        )
        .group_by(_outbox.c.conversation_id)
        .order_by(func.min(_outbox.c.not_before), func.min(_outbox.c.id))
        .limit(bindparam("most"))
    )


def due_since(moment: datetime) -> dict[str, datetime]:
    """What `ready(carried=False)` is asked for: rows that are due for so long that nobody takes them."""
    return {"moment": moment - GIVE_UP_AFTER, "danger_moment": moment - DANGER_GIVE_UP_AFTER}


async def is_nobodys(connection: AsyncConnection, row: Row[Any], ours: Carries) -> bool:
    """Whether a row is neither ours to send nor, for so long, anybody else's."""
    if ours.may(row):
        return False
    since = due_since(now())["danger_moment" if row.kind == "safety" else "moment"]
    return row.not_before <= since and not await is_tried_elsewhere(connection, row, ours)


async def is_tried_elsewhere(connection: AsyncConnection, row: Row[Any], ours: Carries) -> bool:
    """Whether some gateway has lately sent by this row's channel, or tried to.

    Of a channel that is held back, words of danger say nothing: they leave by it as well.
    """
    says_something = true() if row.channel not in ours.channels else Outbox.kind != "safety"
    since, below = now() - GIVE_UP_AFTER, None
    while True:
        newest = select(Attempt.id, Attempt.outbox_id, Attempt.started_at).order_by(Attempt.id.desc())
        if below is not None:
            newest = newest.where(Attempt.id < below)
        some = newest.limit(LOOK_BACK).subquery()
        tried = case((and_(Outbox.channel == row.channel, says_something), some.c.started_at))
        seen = (
            await connection.execute(
                select(func.min(some.c.id), func.min(some.c.started_at), func.max(tried)).select_from(
                    some.join(_outbox, _outbox.c.id == some.c.outbox_id)
                )
            )
        ).one()
        below, earliest, latest = seen
        if latest is not None and latest > since:
            return True
        if below is None or earliest <= since:
            return False
