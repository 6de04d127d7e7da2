"""A channel on which nobody has written for longer than the force expects: shown as degraded.

Nothing tells a broken webhook from a quiet day but time. The force says how long a quiet day is
(`silent_hours` of clock.yml); a channel on which nobody has ever written is new, not silent.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant import LiveContent
from bot.conversations import standing
from bot.errors import ContentError
from bot.handover.overview import last_id_before
from bot.messages import Standing
from bot.store import Store
from bot.store.record import now
from bot.store.tables import Message

TOPIC = "silence"
ACCOUNT = "-"
"""It is said of the channel, whichever account of ours it has there."""
EVERY_SECONDS = 60.0
"""Half as long as such a word holds."""
LONGEST_HOURS = 14 * 24


def silent_after(clock: Mapping[str, Any]) -> dict[str, timedelta]:
    """How long a channel may be silent: `silent_hours` of clock.yml, by channel. Others are not watched.

    Raises:
        ContentError: it is not what it must be; says what.
    """
    given = clock.get("silent_hours") or {}
    if not isinstance(given, Mapping):
        raise ContentError("clock.yml: silent_hours holds channels, each with a number of hours.")
    found = {}
    for name, hours in given.items():
        if isinstance(hours, bool) or not isinstance(hours, int | float) or not 1 <= hours <= LONGEST_HOURS:
            raise ContentError(
                f"clock.yml: silent_hours of {name} is a number of hours from 1 to {LONGEST_HOURS}."
            )
        found[str(name)] = timedelta(hours=hours)
    return found


class Silence:
    """Looks once a minute at the channels of this gateway that the force wants watched."""

    def __init__(self, store: Store, content: LiveContent, channels: Collection[str]) -> None:
        self._store = store
        self._content = content
        self._channels = channels
        self._next = 0.0

    async def sweep(self) -> None:
        """Look, when it is time.

        Raises:
            StoreUnavailableError: the database does not answer.
        """
        if time.monotonic() < self._next:
            return
        try:
            patience = silent_after(self._content.current.clock)
        except ContentError:
            # Files that nobody has checked; `frontcounter check` and publishing refuse them.
            patience = {}
        moment = now()
        for name in sorted(self._channels):
            if name not in patience:
                continue
            async with self._store.read() as connection:
                is_silent = await _is_silent(connection, name, moment - patience[name])
            await standing.say(self._store, [_standing(name, patience[name], moment, is_silent=is_silent)])
        self._next = time.monotonic() + EVERY_SECONDS


async def _is_silent(connection: AsyncConnection, channel: str, since: datetime) -> bool:
    after = await last_id_before(connection, Message, Message.received_at, since)
    of_channel = select(Message.id).where(Message.channel == channel).limit(1)
    newer = of_channel.where(Message.id > after, Message.received_at > since)
    if (await connection.execute(newer)).first() is not None:
        return False
    return (await connection.execute(of_channel)).first() is not None


def _standing(channel: str, patience: timedelta, moment: datetime, *, is_silent: bool) -> Standing:
    hours = patience.total_seconds() / 3600
    why = (
        f"No message has come in for {hours:g} {'hour' if hours == 1 else 'hours'} or more. "
        "Ask an administrator to check the channel."
    )
    return Standing(
        channel,
        ACCOUNT,
        TOPIC,
        "silent" if is_silent else "well",
        is_silent,
        moment,
        why if is_silent else "",
    )
