"""Whether a reply may leave: what the guard finds in it, and who sends it all the same.

Every path on which words of staff reach the public asks `allow` before they are accepted, and
keeps `note` in the same transaction.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import GuardedError
from bot.messages import Actor, Finding
from bot.safety.guard import Guard, held_back, kinds_of
from bot.store.record import add_audit

SHORTEST_REASON = 3
LONGEST_REASON = 300
HELD_BACK = "This was not sent. Look at the marked words. Change them, or say why it has to go as it is."


def allow(guard: Guard, text: str, grade: str | None, override: str = "") -> tuple[Finding, ...]:
    """What is found in a reply that may leave all the same: at P1 nothing is held back.

    Raises:
        GuardedError: it holds what must not leave, and there is no reason.
    """
    return decide(held_back(guard.find(text)), grade, override)


def decide(found: tuple[Finding, ...], grade: str | None, override: str = "") -> tuple[Finding, ...]:
    """The same for what was found already: reading a text takes longer than a transaction should.

    Raises:
        GuardedError: as `allow`.
    """
    if found and grade != "P1" and len(override.strip()) < SHORTEST_REASON:
        raise GuardedError(HELD_BACK, found)
    return found


async def note(
    connection: AsyncConnection,
    row: Row[Any],
    actor: Actor,
    findings: tuple[Finding, ...],
    override: str = "",
    **about: int,
) -> None:
    """Record that a reply left with findings: their kinds and the reason, never the words."""
    if not findings:
        return
    reason = override.strip()[:LONGEST_REASON]
    action = "reply.override" if reason and row.grade != "P1" else "reply.warned"
    await add_audit(
        connection, actor, action, row.id, row.epoch,
        grade=row.grade, kinds=kinds_of(findings), reason=reason, **about,
    )  # fmt: skip
