"""What a channel has read goes through the door: all of it at once, else each by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import structlog

from bot.conversations.door import Door
from bot.errors import StoreUnavailableError
from bot.messages import Arrival, Incoming

log = structlog.get_logger(__name__)

TRIES = 3


async def keep(door: Door, arrivals: Sequence[Arrival], channel: str) -> None:
    """Store what came in one transaction. Returns after its commit.

    Raises:
        DoorClosedError: the store is down; words for a P1 have left directly. Nothing was kept.
    """
    try:
        await door.accept(arrivals)
    except StoreUnavailableError:
        raise
    except Exception as error:
        # One of them cannot be kept as it is: it must not take the others with it.
        log.exception("channel.batch_failed", channel=channel, error=type(error).__name__)
        for arrival in arrivals:
            await _keep_one(door, arrival, channel)


async def _keep_one(door: Door, arrival: Arrival, channel: str) -> None:
    for attempt in range(TRIES):
        try:
            await door.accept([arrival])
        except StoreUnavailableError:
            raise
        except Exception as error:
            log.error("channel.not_kept", channel=channel, kind=_kind(arrival), error=type(error).__name__)
            await asyncio.sleep(0.1 * (attempt + 1))
            if attempt == TRIES - 2 and isinstance(arrival, Incoming):
                # What it was is lost; that something came, and from whom, is not. Nobody at the desk
                # will read a danger in it: whoever wrote it sees the 999 words all the same.
                await door.tell_directly([arrival])
                arrival = replace(
                    arrival, text="", kind="unsupported", button=None, latitude=None, longitude=None
                )
        else:
            return


def _kind(arrival: Arrival) -> str:
    return arrival.kind if isinstance(arrival, Incoming) else type(arrival).__name__.lower()
