"""Labels: words of the force's own that staff put on a conversation, to see at a glance and to find by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import RefusedError
from bot.handover.queue import get_for
from bot.handover.sensitive import Sensitive, must_have_reason
from bot.messages import Actor
from bot.store.record import add_audit, add_event, now
from bot.store.tables import Label

LONGEST = 32
"""Letters of a label that is not on the force's list."""
MOST = 12
"""Labels on one conversation."""


def listed(file: Mapping[str, Any]) -> list[str]:
    """The force's own list, as its labels file says."""
    return [str(name) for name in file.get("labels") or ()]


def clean(written: str, known: Sequence[str]) -> str:
    """A label as it is kept: as the force's list writes it, or in small letters.

    Raises:
        RefusedError: it is empty, too long, or no word.
    """
    name = " ".join(written.split())
    for one in known:
        if one.casefold() == name.casefold():
            return one
    if not name.isprintable() or not any(map(str.isalnum, name)):
        raise RefusedError("Write a label, or choose one from the list.")
    if len(name) > LONGEST:
        raise RefusedError(f"This label is too long. Use {LONGEST} letters at most.")
    return name.lower()


async def put_on(
    connection: AsyncConnection,
    conversation_id: int,
    actor: Actor,
    written: str,
    *,
    known: Sequence[str],
    rule: Sensitive,
) -> None:
    """Put a label on a conversation. One that is there already stays as it is.

    Raises:
        NoSuchChatError: there is none that the caller may see.
        ReasonNeededError: the caller may not read it yet.
        RefusedError: the label is empty or too long, or there are too many.
    """
    row = await get_for(connection, conversation_id, actor)
    await must_have_reason(connection, row, actor, rule)
    name = clean(written, known)
    there = (await labels_of(connection, [row.id])).get(row.id, [])
    if name in there:
        return
    if len(there) >= MOST:
        raise RefusedError(f"This chat has {MOST} labels. Take one off first.")
    await connection.execute(
        insert(Label).values(conversation_id=row.id, name=name, at=now(), by=actor.staff_id)
    )
    await add_audit(connection, actor, "label.on", row.id, row.epoch, label=name)
    await add_event(connection, row.id, "label.changed")


async def take_off(
    connection: AsyncConnection, conversation_id: int, actor: Actor, name: str, *, rule: Sensitive
) -> None:
    """Take a label off a conversation; one that is not there is off already.

    Raises:
        NoSuchChatError: there is none that the caller may see.
        ReasonNeededError: the caller may not read it yet.
    """
    row = await get_for(connection, conversation_id, actor)
    await must_have_reason(connection, row, actor, rule)
    gone = await connection.execute(
        delete(Label).where(Label.conversation_id == row.id, Label.name == name).returning(Label.name)
    )
    if gone.first() is None:
        return
    await add_audit(connection, actor, "label.off", row.id, row.epoch, label=name)
    await add_event(connection, row.id, "label.changed")


async def labels_of(connection: AsyncConnection, ids: Iterable[int]) -> dict[int, list[str]]:
    """The labels of these conversations. The caller has asked whether they may be seen."""
    wanted = sorted(set(ids))
    found: dict[int, list[str]] = {}
    if wanted:
        rows = await connection.execute(
            select(Label.conversation_id, Label.name)
            .where(Label.conversation_id.in_(wanted))
            .order_by(Label.conversation_id, func.lower(Label.name))
        )
        for row in rows:
            found.setdefault(row[0], []).append(row[1])
    return found
