"""What `frontcounter channels check` finds out about a channel: its token, its rights, its webhook.

Each platform may have `checks()`; of one that has none, `reachable()` is all that can be asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from bot.channels.parts import Platform

CHECK_SECONDS = 15.0
"""For all that is asked of one channel."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `wrong` is empty where all is well."""

    what: str
    wrong: str = ""
    """What is wrong, as a sentence without any secret."""
    do: str = ""
    """What to do about it, as a sentence."""
    unsure: bool = False
    """It could not be found out; `wrong` says why. It need not be wrong."""


@runtime_checkable
class Checks(Protocol):
    """A platform that can say more than whether it is reached."""

    async def checks(self) -> Sequence[Check]:
        """Look at everything that can be asked. Changes nothing at the platform."""
        ...


async def checks_of(platform: Platform) -> list[Check]:
    """Everything that can be asked about one channel. Needs no running gateway and no database."""
    if not isinstance(platform, Checks):
        return [account(await platform.reachable())]
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return list(await platform.checks())
    except TimeoutError:
        return [account("no answer in time")]


def account(wrong: str | None) -> Check:
    """What `reachable()` said, as a check."""
    if wrong is None:
        return Check("account")
    return Check(
        "account",
        sentence(wrong),
        "Check its token, its id and its address in the settings, and the way out of this network.",
    )


async def unless(what: str, look: Awaitable[Check], *errors: type[Exception]) -> Check:
    """What `look` finds; where it ends with one of `errors`, that nobody can say."""
    try:
        return await look
    except errors as error:
        return unknown(what, str(error))


def unknown(what: str, why: str) -> Check:
    """Something that could not be found out just now."""
    return Check(what, sentence(why), "Repeat this later.", unsure=True)


def sentence(words: str) -> str:
    """A short reason as a sentence."""
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."
