"""Whether a reply may leave: what the guard finds in it, who sends it all the same, and what follows.

Every path on which words of staff reach the public asks `allow` before they are accepted, and
keeps `note` in the same transaction. A reply in one conversation is put in line by `send`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.conversations import quiet
from bot.errors import GuardedError
from bot.handover.clock import staff_replied
from bot.messages import Actor, Finding, Template, Way
from bot.safety.guard import Guard, held_back, kinds_of
from bot.store.record import add_audit, add_outbox

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


async def send(
    connection: AsyncConnection,
    row: Row[Any],
    author: Actor,
    text: str,
    clock: Mapping[str, Any],
    *,
    findings: tuple[Finding, ...] = (),
    override: str = "",
    approver: Actor | None = None,
    template: Template | None = None,
    way: Way = "",
    place: str = "",
    **about: int,
) -> int:
    """Put a reply of the owner in line, with all that a reply does. Returns its outbox id.

    `row` is locked by the caller, who has made sure that it may leave. With an `approver` it is they
    who send it, and the record says so: the author may not have looked at the conversation since.
    """
    outbox_id = await add_outbox(
        connection,
        row,
        "staff",
        text,
        epoch=row.epoch,
        author_id=author.staff_id,
        template=template,
        way=way,
        place=place,
    )
    sender = approver or author
    await staff_replied(connection, row, sender)
    await quiet.watch(connection, row, clock)
    if approver is not None:
        about |= {"author": author.staff_id or 0, "approved_by": approver.staff_id or 0}
    said: dict[str, Any] = {**about, **({} if template is None else {"approved": template.name})}
    said |= {"way": way} if way else {}
    await add_audit(connection, sender, "reply", row.id, row.epoch, outbox=outbox_id, **said)
    await note(connection, row, author, findings, override, outbox=outbox_id)
    return outbox_id
