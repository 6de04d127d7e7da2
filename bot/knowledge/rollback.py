"""One step back: an earlier release's content live again, as a new release. History stays."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import NotAllowedError, RefusedError, StaleError
from bot.knowledge.drafts import reason
from bot.knowledge.parts import Name, Undone, is_senior
from bot.knowledge.releases import Change, make_release, ring, still_withdrawn
from bot.knowledge.review import SENIOR_NEEDED, reviewer
from bot.knowledge.texts import Items, differences, is_id, is_safety, items_of, live_items, text_in
from bot.knowledge.views import Room, history
from bot.messages import Actor
from bot.store.migrate import one_at_a_time
from bot.store.tables import Release

NO_RELEASE: Final = "There is no such release."
LIVE_ALREADY: Final = "The live texts say what that release said. Nothing was changed."


async def would_undo(room: Room, release_id: int) -> list[Undone]:
    """See `Studio.would_undo`."""
    async with room.store.read() as connection:
        _, live = await live_items(connection)
        target = await _target(connection, release_id, live)
        found = []
        for name in differences(live, target):
            since = tuple(
                version
                for version in await history(connection, room, name)
                if version.release_id > release_id
            )
            found.append(Undone(name.kind, name.key, text_in(target, name) is None, since))
        return found


async def roll_back(room: Room, release_id: int, actor: Actor, why: str, live: int) -> int:
    """See `Studio.roll_back`."""
    staff_id = reviewer(actor)
    why = reason(why, "Say why the texts go back.")
    model = await asyncio.to_thread(room.model)
    async with room.store.write() as connection:
        await one_at_a_time(connection)
        live_id, items = await live_items(connection)
        if live_id != live:
            raise StaleError("Another release went live meanwhile. Look at what this would undo.")
        target = await _target(connection, release_id, items)
        names = differences(items, target)
        if not names:
            raise RefusedError(LIVE_ALREADY)
        if not is_senior(actor) and any(_is_safety(name, items, target) for name in names):
            raise NotAllowedError(SENIOR_NEEDED)
        made = await make_release(
            connection, actor, target, origin="rollback", why=why, previous_id=live_id, back_to=release_id,
            model=model, changes=[Change(name, why, approved_by=staff_id) for name in names],
        )  # fmt: skip
    ring(room.bell)
    return made


def _is_safety(name: Name, live: Items, target: Items) -> bool:
    return is_safety(name, text_in(live, name), text_in(target, name))


async def _target(connection: AsyncConnection, release_id: int, live: Items) -> Items:
    """What would be live: that release, with what is withdrawn now withdrawn.

    A release of before a kind was kept, or before the phrases of answers were, lends the live ones.

    Raises:
        RefusedError: there is no such release.
    """
    if not is_id(release_id):
        raise RefusedError(NO_RELEASE)
    known = await connection.execute(select(Release.id).where(Release.id == release_id))
    if known.scalar_one_or_none() is None:
        raise RefusedError(NO_RELEASE)
    items = await items_of(connection, release_id)
    kinds = {kind for kind, _ in items}
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for (kind, key), body in items.items():
        phrases = (text_in(live, Name("faq", key)) or {}).get("examples")
        lends = kind == "faq" and "examples" not in body and phrases is not None
        found[kind, key] = {**body, "examples": phrases} if lends else body
    for (kind, key), body in live.items():
        if kind == key and kind not in kinds:
            found[kind, key] = body
    return await still_withdrawn(connection, found)
