"""Calling a person back: at which number, and when that is safe."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.conversations.words import Words
from bot.errors import RefusedError
from bot.messages import Actor
from bot.store.record import add_audit, add_due, add_event, drop_due, now
from bot.store.tables import CallBack, Staff

LONGEST_NOTE = 1000
_NUMBER = re.compile(r"\+?[0-9][0-9 ()-]{4,30}")


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked for. A number stays in this table: no record, event or log holds it."""

    number: str
    safe_from: datetime | None = None
    safe_until: datetime | None = None
    note: str = ""


def may_call(row: Row[Any], words: Words) -> bool:
    """Whether a call may be offered at all.

    Where the subject is hidden (abuse at home, a child, stalking, rape) whoever is feared may pick
    the phone up: only after the person has said that it is safe to chat.
    """
    categories = {reason.get("category") for reason in row.reasons or ()} | {row.category}
    if not any(is_hidden(words, category) for category in categories):
        return True
    return bool(row.safe_check == "yes")


def is_hidden(words: Words, category: str | None) -> bool:
    """Whether a category's subject is not named before the person said that it is safe."""
    if category is None:
        return False
    try:
        return words.screen.words(category).subject_hidden
    except KeyError:
        return False


async def ask(connection: AsyncConnection, row: Row[Any], actor: Actor, call: Call, words: Words) -> int:
    """Keep a wish to be called; an alert goes out when the safe time begins. `row` is locked.

    Raises:
        RefusedError: it is not safe to call, or number or times are wrong.
    """
    if not may_call(row, words):
        raise RefusedError("Do not call. First the person has to say that it is safe to chat.")
    number = " ".join(call.number.split())
    if not _NUMBER.fullmatch(number):
        raise RefusedError("Write the number in digits, as 07700 900123.")
    if call.safe_until is not None and call.safe_until <= max(call.safe_from or now(), now()):
        raise RefusedError("The safe time ends before it begins, or is over. Change the times.")
    call_id = (
        await connection.execute(
            insert(CallBack)
            .values(
                conversation_id=row.id, number=number, safe_from=call.safe_from,
                safe_until=call.safe_until, note=call.note.strip()[:LONGEST_NOTE], asked_at=now(),
                asked_by=actor.staff_id,
            )
            .returning(CallBack.id)
        )
    ).scalar_one()  # fmt: skip
    await add_audit(connection, actor, "call_back", row.id, row.epoch, call_back=call_id)
    await add_event(connection, row.id, "call_back", {"call_back": call_id})
    if call.safe_from is not None and call.safe_from > now():
        await add_due(
            connection, "call_back", call.safe_from - now(), key=f"call_back:{call_id}",
            conversation_id=row.id, data={"call_back": call_id},
        )  # fmt: skip
    return int(call_id)


async def settle(
    connection: AsyncConnection, row: Row[Any], actor: Actor, call_id: int, *, done: bool
) -> None:
    """Mark a call as done, or as not done after all. `row` is its chat, locked.

    Raises:
        RefusedError: there is no such call in this chat, or it stands so already.
    """
    changed = await connection.execute(
        update(CallBack)
        .where(
            CallBack.id == call_id,
            CallBack.conversation_id == row.id,
            CallBack.done_at.is_(None) if done else CallBack.done_at.is_not(None),
        )
        .values(done_at=now() if done else None, done_by=actor.staff_id if done else None)
    )
    if changed.rowcount != 1:
        raise RefusedError("This call back has changed meanwhile. Look again.")
    if done:
        await drop_due(connection, f"call_back:{call_id}")
    await add_audit(
        connection, actor, "call_back.done" if done else "call_back.undone", row.id, row.epoch,
        call_back=call_id,
    )  # fmt: skip
    await add_event(connection, row.id, "call_back", {"call_back": call_id})


async def read_calls(connection: AsyncConnection, conversation_id: int) -> list[Row[Any]]:
    """The calls of one chat, oldest first, with `by`: who asked, and `done_name`: who called."""
    caller = Staff.__table__.alias("caller")
    query = (
        select(CallBack.__table__, Staff.name.label("by"), caller.c.name.label("done_name"))
        .join(Staff, Staff.id == CallBack.asked_by)
        .outerjoin(caller, caller.c.id == CallBack.done_by)
        .where(CallBack.conversation_id == conversation_id)
        .order_by(CallBack.id)
    )
    return list((await connection.execute(query)).all())
