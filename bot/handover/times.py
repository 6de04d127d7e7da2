"""How long a chat was with the assistant, waited, and was with a person: told apart, from the audit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store.record import now
from bot.store.tables import Audit, Conversation


class Change(Protocol):
    """What is read of an audit row; `detail["state"]` is [before, after] where the state changed."""

    @property
    def at(self) -> datetime: ...
    @property
    def detail(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds that one chat spent in each state. Time in which it was closed counts nowhere."""

    bot: float = 0.0
    waiting: float = 0.0
    human: float = 0.0


def time_in_states(opened_at: datetime, rows: Iterable[Change], until: datetime) -> Times:
    """Add up the time in each state, from the opening to `until`.

    Args:
        opened_at: when the chat began; the assistant has it then.
        rows: its audit rows, oldest first; those that change no state are passed over.
        until: now, or the moment at which the count ends.
    """
    spent = {"bot": 0.0, "waiting": 0.0, "human": 0.0}
    state, since = "bot", opened_at
    for row in rows:
        change = (row.detail or {}).get("state")
        if not isinstance(change, list) or len(change) != 2 or change[1] == state:
            continue
        at = min(max(row.at, since), until)
        if state in spent:
            spent[state] += (at - since).total_seconds()
        state, since = str(change[1]), at
    if state in spent and until > since:
        spent[state] += (until - since).total_seconds()
    return Times(**spent)


async def read_times(connection: AsyncConnection, conversation_id: int) -> Times:
    """The times of one chat as it stands."""
    opened_at = (
        await connection.execute(select(Conversation.opened_at).where(Conversation.id == conversation_id))
    ).scalar_one()
    rows = await connection.execute(
        select(Audit.at, Audit.detail).where(Audit.conversation_id == conversation_id).order_by(Audit.id)
    )
    return time_in_states(opened_at, rows.all(), now())
