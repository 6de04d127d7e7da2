"""Releases: an empty database is seeded from the files; exactly one release is live.

Every release is made here, by one transaction that holds `one_at_a_time`: what it is made from is read
in it, so that of two who publish at once the second builds upon the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant.content import RING, WITHDRAWN, Content, content_from_items
from bot.errors import ContentError, RefusedError
from bot.knowledge.parts import Name, Origin
from bot.knowledge.texts import (
    Items,
    differences,
    is_withdrawn,
    items_of,
    live_items,
    same,
    text_in,
    with_text,
    withdraw_in,
)
from bot.messages import Actor
from bot.store import Bell, Store
from bot.store.migrate import one_at_a_time
from bot.store.record import add_audit, add_due, add_event, now, upsert
from bot.store.tables import Release, ReleaseChange, ReleaseItem, Team, Withdrawal

EXPIRY: Final = "knowledge.expiry"
"""The kind of the clock by which an answer with a last day is withdrawn."""
EVENT: Final = "knowledge.release"
RINGS: Final = (RING, "event", "due")
"""Bells that ring once a release is live."""
SHOWN: Final = 20
"""Texts that a refusal names."""
Edits = Literal["refuse", "keep", "overwrite"]
"""What becomes of edits of the studio when files are published."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a release changes in one text, and by whose word."""

    name: Name
    why: str = ""
    wrote: tuple[int, ...] = ()
    approved_by: int | None = None
    draft_id: int | None = None


class OverwritesError(RefusedError):
    """The files would overwrite what was changed in the studio since."""

    def __init__(self, names: Sequence[Name]) -> None:
        shown = ", ".join(map(str, names[:SHOWN])) + (" and more" if len(names) > SHOWN else "")
        super().__init__(
            f"Nothing was published. The files would overwrite {len(names)} live texts that were changed in"
            f" the studio: {shown}. Repeat with --keep-edits to keep those, or with --over-edits to lose them."
        )
        self.names = tuple(names)


async def seed(store: Store, content: Content, actor: Actor) -> bool:
    """Make the files' content the first release of an empty database. False: there is one already."""
    async with store.write() as connection:
        # Two gateways that start together on an empty database: the second finds a release.
        await one_at_a_time(connection)
        existing = await connection.execute(select(Release.id).limit(1))
        if existing.scalar_one_or_none() is not None:
            return False
        await make_release(connection, actor, rows_of(content), origin="files", changes=())
    return True


async def publish(
    store: Store, content: Content, actor: Actor, *, edits: Edits = "refuse", bell: Bell | None = None
) -> int:
    """Make this content, which files hold, live in one transaction. Returns the id of the release.

    `edits` says what becomes of texts that were changed in the studio since files were last published:
    they keep the whole from being published, stay as they are, or are overwritten. An answer that is
    withdrawn stays withdrawn whatever is chosen.

    Raises:
        ContentError: it names contacts or teams that are not there.
        OverwritesError: it would overwrite live edits of the studio.
    """
    async with store.write() as connection:
        await one_at_a_time(connection)
        before, live = await live_items(connection)
        items = await still_withdrawn(connection, rows_of(content))
        names = [] if edits == "overwrite" else await _overwritten(connection, before, live, items)
        if names and edits == "refuse":
            raise OverwritesError(names)
        for name in names:
            items = with_text(items, name, text_in(live, name))
        items = await still_withdrawn(connection, items)
        wrote = () if actor.staff_id is None else (actor.staff_id,)
        changes = [Change(name, "", wrote) for name in differences(live, items)] if live else []
        release_id = await make_release(
            connection, actor, items, origin="files", changes=changes, previous_id=before or None
        )
    ring(bell)
    return release_id


async def live_content(store: Store) -> Content:
    """The live release as it stands in the database: what an export writes out.

    Raises:
        ContentError: there is none yet.
    """
    async with store.read() as connection:
        release_id, items = await live_items(connection)
    if not release_id:
        raise ContentError("There is no live release yet. Start the gateway once, then repeat.")
    return replace(content_of(items), release_id=release_id)


def rows_of(content: Content) -> Items:
    """The rows of a release that holds this content."""
    return {(kind, key): body for kind, key, body in content.items()}


def content_of(items: Items) -> Content:
    """The content that these rows are."""
    return content_from_items([(kind, key, dict(body)) for (kind, key), body in items.items()])


def ring(bell: Bell | None) -> None:
    """Tell every gateway that another release is live."""
    for name in RINGS if bell is not None else ():
        assert bell is not None  # noqa: S101  said above
        bell.ring(name)


async def make_release(
    connection: AsyncConnection,
    actor: Actor,
    items: Items,
    *,
    origin: Origin,
    changes: Iterable[Change],
    why: str = "",
    previous_id: int | None = None,
    back_to: int | None = None,
    model: str | None = None,
) -> int:
    """Make these rows the live release, with their audit row. The caller holds `one_at_a_time`.

    Raises:
        ContentError: contacts or teams that are named are not there.
    """
    content = content_of(items)
    if faults := content.faults():
        raise ContentError(f"Nothing was published. Mend this first: {' '.join(faults)}")
    await connection.execute(update(Release).where(Release.live).values(live=False))
    made = await connection.execute(
        insert(Release)
        .values(
            sha256=content.sha256, live=True, created_at=now(), created_by=actor.name, origin=origin,
            why=why or None, previous_id=previous_id, back_to=back_to, model=model,
        )
        .returning(Release.id)
    )  # fmt: skip
    release_id = int(made.scalar_one())
    await connection.execute(
        insert(ReleaseItem),
        [
            {"release_id": release_id, "kind": kind, "key": key, "body": dict(body)}
            for (kind, key), body in items.items()
        ],
    )
    changed = list(changes)
    if changed:
        await connection.execute(
            insert(ReleaseChange),
            [
                {
                    "release_id": release_id, "kind": one.name.kind, "key": one.name.key,
                    "draft_id": one.draft_id, "wrote": list(one.wrote), "approved_by": one.approved_by,
                    "why": one.why,
                }
                for one in changed
            ],
        )  # fmt: skip
    await _teams(connection, content)
    if previous_id is not None:
        # Not at the first start: a fresh database holds no more than what a restore may replace.
        await _expiries(connection, items, content)
        await add_event(connection, None, EVENT, {"release": release_id, "origin": origin})
    await add_audit(
        connection, actor, "release", None, None, release=release_id, sha256=content.sha256, origin=origin,
        previous=previous_id, back_to=back_to, model=model, why=why,
        changed=[str(one.name) for one in changed[:SHOWN]], changes=len(changed),
        approved_by=sorted({one.approved_by for one in changed if one.approved_by is not None}),
        wrote=sorted({staff for one in changed for staff in one.wrote}),
    )  # fmt: skip
    return release_id


async def still_withdrawn(connection: AsyncConnection, items: Items) -> Items:
    """The rows with every answer withdrawn that is withdrawn now, and none else."""
    query = select(Withdrawal.slug).where(Withdrawal.ended_at.is_(None))
    slugs = set((await connection.execute(query)).scalars())
    changed: dict[tuple[str, str], Mapping[str, Any]] = {
        (("faq", key) if kind == WITHDRAWN else (kind, key)): body for (kind, key), body in items.items()
    }
    found: Items = changed
    for slug in sorted(slugs):
        found = withdraw_in(found, slug)
    return found


def timezone_of(items: Items) -> ZoneInfo:
    """The force's own clock."""
    hours = items.get(("hours", "hours"), {}).get("body") or {}
    return ZoneInfo(str(hours.get("timezone") or "Europe/London"))


def today_of(items: Items) -> date:
    """The day on the force's clock."""
    return now().astimezone(timezone_of(items)).date()


async def _expiries(connection: AsyncConnection, items: Items, content: Content) -> None:
    """Set the clock of every answer with a last day: it runs at the midnight after it."""
    zone = timezone_of(items)
    for slug, faq in content.faqs.items():
        if (last := last_day(faq.body)) is not None and faq.mode != "E":
            midnight = datetime.combine(last + timedelta(days=1), time(), zone).astimezone(UTC)
            await add_due(connection, EXPIRY, midnight - now(), key=f"{EXPIRY}:{slug}", data={"slug": slug})


def last_day(body: Mapping[str, Any]) -> date | None:
    """The last day on which an answer is given, if it has one."""
    try:
        return date.fromisoformat(str(body.get("expires") or ""))
    except ValueError:
        return None


async def _overwritten(connection: AsyncConnection, live_id: int, live: Items, items: Items) -> list[Name]:
    """Texts that were changed in the studio since files were last published, and that the files have otherwise."""
    query = select(Release.id, Release.origin).where(Release.id <= live_id).order_by(Release.id.desc())
    for row in (await connection.execute(query)).all():
        if row.origin in (None, "files"):
            from_files = await items_of(connection, row.id)
            break
    else:
        return []
    if from_files == live:
        return []
    return [
        name
        for name in differences(from_files, live)
        if not same(text_in(items, name), text_in(live, name))
        or is_withdrawn(items, name) != is_withdrawn(live, name)
    ]


async def _teams(connection: AsyncConnection, content: Content) -> None:
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
