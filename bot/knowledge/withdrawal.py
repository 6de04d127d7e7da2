"""One answer taken away at once, by one person or by its own last day, and given again.

The words stay in the release as withdrawn: whoever asks is passed to a person. An answer of mode E, which
sends people to a person, is never withdrawn, and no sentence of the system is.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from sqlalchemy import Row as SqlRow
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import RefusedError
from bot.knowledge.drafts import reason
from bot.knowledge.parts import Name
from bot.knowledge.releases import (
    Change,
    last_day,
    make_release,
    ring,
    rows_of,
    today_of,
)
from bot.knowledge.review import reviewer
from bot.knowledge.texts import Items, is_withdrawn, live_items, restore_in, text_in, withdraw_in
from bot.knowledge.views import Room
from bot.messages import CLOCK, Actor
from bot.store.migrate import one_at_a_time
from bot.store.record import add_audit, now
from bot.store.tables import Withdrawal

NEVER: Final = "This answer sends people to a person, so it is never withdrawn. Change its words in a draft."
NO_ANSWER: Final = "There is no such answer."


async def withdraw(room: Room, slug: str, actor: Actor, why: str) -> int:
    """See `Studio.withdraw`."""
    staff_id = reviewer(actor)
    why = reason(why, "Say why this answer is withdrawn.")
    model = await asyncio.to_thread(room.model)
    async with room.store.write() as connection:
        await one_at_a_time(connection)
        live_id, items = await live_items(connection)
        name = Name("faq", slug)
        if is_withdrawn(items, name):
            raise RefusedError("This answer is withdrawn already.")
        body = text_in(items, name)
        if body is None:
            raise RefusedError(NO_ANSWER)
        if str(body.get("mode", "A")) == "E":
            raise RefusedError(NEVER)
        release_id = await _take(connection, actor, slug, why, staff_id, live_id, items, model)
    ring(room.bell)
    return release_id


async def _take(
    connection: AsyncConnection, actor: Actor, slug: str, why: str, staff_id: int | None, live_id: int,
    items: Items, model: str | None,
) -> int:  # fmt: skip
    release_id = await make_release(
        connection, actor, withdraw_in(items, slug), origin="expiry" if staff_id is None else "withdrawal",
        why=why, previous_id=live_id, model=model,
        changes=[Change(Name("faq", slug), why, approved_by=staff_id)],
    )  # fmt: skip
    await connection.execute(
        insert(Withdrawal).values(slug=slug, at=now(), staff_id=staff_id, why=why, release_id=release_id)
    )
    await add_audit(
        connection, actor, "knowledge.withdraw", None, None, kind="faq", key=slug, why=why, release=release_id
    )
    return release_id


async def restore(room: Room, slug: str, actor: Actor, why: str) -> int:
    """See `Studio.restore`."""
    staff_id = reviewer(actor)
    why = reason(why, "Say why this answer is given again.")
    model = await asyncio.to_thread(room.model)
    async with room.store.write() as connection:
        await one_at_a_time(connection)
        live_id, items = await live_items(connection)
        name = Name("faq", slug)
        body = text_in(items, name)
        if body is None or not is_withdrawn(items, name):
            raise RefusedError("This answer is not withdrawn.")
        last = last_day(body)
        if last is not None and last < today_of(items):
            raise RefusedError("The last day of this answer has passed. Set a later one in a draft.")
        release_id = await make_release(
            connection, actor, restore_in(items, slug), origin="restore", why=why, previous_id=live_id,
            model=model, changes=[Change(name, why, approved_by=staff_id)],
        )  # fmt: skip
        await connection.execute(
            update(Withdrawal)
            .where(Withdrawal.slug == slug, Withdrawal.ended_at.is_(None))
            .values(ended_at=now(), ended_by=staff_id, ended_why=why, ended_release_id=release_id)
        )
        await add_audit(
            connection, actor, "knowledge.restore", None, None, kind="faq", key=slug, why=why,
            release=release_id,
        )  # fmt: skip
    ring(room.bell)
    return release_id


# ---- by its own last day ----------------------------------------------------------------------------


async def expire_due(room: Room, due: SqlRow[Any]) -> bool:
    """The last day of an answer may have passed."""
    await expire(room, str(due.data["slug"]))
    return True


async def expire(room: Room, slug: str) -> bool:
    """Withdraw an answer whose last day has passed. False: it has not, or there is nothing to do."""
    model = await asyncio.to_thread(room.model)
    async with room.store.write() as connection:
        await one_at_a_time(connection)
        live_id, items = await live_items(connection)
        name = Name("faq", slug)
        body = text_in(items, name)
        if body is None or is_withdrawn(items, name) or str(body.get("mode", "A")) == "E":
            return False
        last = last_day(body)
        if last is None or last >= today_of(items):
            return False
        why = f"Its last day was {last.isoformat()}."
        await _take(connection, CLOCK, slug, why, None, live_id, items, model)
    ring(room.bell)
    return True


async def expire_late(room: Room) -> None:
    """Find answers whose last day has passed without their clock: the first release sets none."""
    current = room.live.current
    today = today_of(rows_of(current))
    for slug, faq in current.faqs.items():
        if (last := last_day(faq.body)) is not None and last < today:
            await expire(room, slug)
