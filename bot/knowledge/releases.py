"""Releases: an empty database is seeded from the files; exactly one release is live."""

from __future__ import annotations

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant.content import Content
from bot.errors import ContentError
from bot.messages import Actor
from bot.store import Store
from bot.store.migrate import one_at_a_time
from bot.store.record import add_audit, now, upsert
from bot.store.tables import Release, ReleaseItem, Team


async def seed(store: Store, content: Content, actor: Actor) -> bool:
    """Make the files' content the first release of an empty database. False: there is one already."""
    async with store.write() as connection:
        # Two gateways that start together on an empty database: the second finds a release.
        await one_at_a_time(connection)
        existing = await connection.execute(select(Release.id).limit(1))
        if existing.scalar_one_or_none() is not None:
            return False
        await _publish(connection, content, actor)
    return True


async def publish(store: Store, content: Content, actor: Actor) -> int:
    """Make this content live, in one transaction. Returns the id of the release.

    Raises:
        ContentError: it names contacts or teams that are not there.
    """
    async with store.write() as connection:
        await one_at_a_time(connection)
        return await _publish(connection, content, actor)


async def _publish(connection: AsyncConnection, content: Content, actor: Actor) -> int:
    if faults := content.faults():
        raise ContentError(f"Nothing was published. Mend this first: {' '.join(faults)}")
    await connection.execute(update(Release).where(Release.live).values(live=False))
    release_id = (
        await connection.execute(
            insert(Release)
            .values(sha256=content.sha256, live=True, created_at=now(), created_by=actor.name)
            .returning(Release.id)
        )
    ).scalar_one()
    await connection.execute(
        insert(ReleaseItem),
        [
            {"release_id": release_id, "kind": kind, "key": key, "body": body}
            for kind, key, body in content.items()
        ],
    )
    for key, team in content.teams["teams"].items():
        values = {
            "name": team["name"],
            "grades": list(team.get("grades", [])),
            "categories": list(team.get("categories", [])),
            "restricted": bool(team.get("restricted", False)) or bool(team.get("sealed", False)),
            "sealed": bool(team.get("sealed", False)),
            "also_at_p1": team.get("also_at_p1"),
        }
        await connection.execute(
            upsert(connection, Team)
            .values(key=key, **values)
            .on_conflict_do_update(index_elements=["key"], set_=values)
        )
    await add_audit(connection, actor, "release", None, None, release=release_id, sha256=content.sha256)
    return int(release_id)
