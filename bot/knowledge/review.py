"""A second person's word: approved and live at once, or at its time; or sent back with a reason."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import Row as SqlRow
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import ContentError, NotAllowedError, RefusedError
from bot.knowledge import drafts
from bot.knowledge.drafts import PUBLISH, due_key, must_fit, trace
from bot.knowledge.findings import deletion_findings, found_in
from bot.knowledge.parts import (
    SHORTEST_REASON,
    ChangedUnderError,
    DraftView,
    FaultyError,
    Finding,
    Name,
    is_senior,
    may_review,
)
from bot.knowledge.releases import Change, make_release, ring, today_of
from bot.knowledge.texts import Body, Items, is_safety, is_withdrawn, live_items, text_in, with_text
from bot.knowledge.views import Room, authors_of, draft_row, view_of
from bot.messages import CLOCK, Actor
from bot.store.migrate import one_at_a_time
from bot.store.record import add_due, drop_due, now
from bot.store.tables import TextDraft, Withdrawal

log = structlog.get_logger(__name__)

LONGEST_WAIT: Final = timedelta(days=366)
LATE: Final = timedelta(seconds=30)
"""So long after its time a draft is looked for without its clock: an older gateway may have dropped it."""
OWN: Final = "You wrote in this draft. Somebody else has to approve it."
SENIOR_NEEDED: Final = "These are safety words. A supervisor or an administrator has to approve them."
MAY_NOT_REVIEW: Final = "Your role may read drafts. It may not decide about them."


def reviewer(actor: Actor) -> int:
    """The id of a member of staff who may decide about a draft.

    Raises:
        NotAllowedError: they may not.
    """
    if not may_review(actor) or actor.staff_id is None:
        raise NotAllowedError(MAY_NOT_REVIEW)
    return actor.staff_id


async def send_back(room: Room, draft_id: int, actor: Actor, version: int, why: str) -> DraftView:
    """See `Studio.send_back`."""
    staff_id = reviewer(actor)
    why = drafts.reason(why, "Say why it goes back.")
    async with room.store.write() as connection:
        row = await drafts.change(
            connection, draft_id, version, ("in_review", "approved"), state="draft", sent_back_by=staff_id,
            sent_back_why=why, approved_at=None, approved_by=None, approved_why="", publish_at=None,
            trouble="",
        )  # fmt: skip
        await drop_due(connection, due_key(draft_id))
        name = Name(row.kind, row.key)
        await trace(connection, actor, "send_back", draft_id, name, row.version, "draft", why=why)
        view = await view_of(connection, room, draft_id)
    room.bell.ring("event")
    return view


async def approve(
    room: Room, draft_id: int, actor: Actor, version: int, *, why: str, at: datetime | None
) -> DraftView:
    """See `Studio.approve`."""
    staff_id = reviewer(actor)
    moment = now()
    if at is not None and not moment < at <= moment + LONGEST_WAIT:
        raise RefusedError("Choose a time that is still to come, within a year.")
    model = await asyncio.to_thread(room.model)
    async with room.store.write() as connection:
        # First: from here on nothing else can go live.
        await one_at_a_time(connection)
        live_id, items = await live_items(connection)
        row = await drafts.change(
            connection, draft_id, version, ("in_review",), state="approved", approved_by=staff_id,
            approved_at=moment, approved_why=" ".join(why.split())[:500], publish_at=at, trouble="",
        )  # fmt: skip
        name = Name(row.kind, row.key)
        live = text_in(items, name)
        if staff_id in await authors_of(connection, draft_id):
            raise NotAllowedError(OWN)
        if is_safety(name, row.body, live) and not is_senior(actor):
            raise NotAllowedError(SENIOR_NEEDED)
        must_fit(row, room.with_phrases(name, live))
        must_pass(await asyncio.to_thread(findings_of, room, row, items), why)
        await trace(
            connection, actor, "approve", draft_id, name, row.version, "approved", why=row.approved_why,
            at=None if at is None else at.isoformat(),
        )  # fmt: skip
        if at is None:
            await _go_live(connection, actor, row, live_id, items, model)
        else:
            await add_due(
                connection, PUBLISH, at - moment, key=due_key(draft_id),
                data={"draft": draft_id, "version": row.version},
            )  # fmt: skip
        view = await view_of(connection, room, draft_id)
    room.bell.ring("event")
    if at is None:
        ring(room.bell)
    return view


def findings_of(room: Room, row: SqlRow[Any], items: Items) -> list[Finding]:
    """Everything about a draft's text beside what is live."""
    name = Name(row.kind, row.key)
    if row.is_deletion:
        return deletion_findings(name, items)
    return found_in(name, row.body, items, room.plain, today_of(items))


def must_pass(found: list[Finding], why: str) -> None:
    """Refuse what may not be read, and what only warns where nobody says why it is right.

    Raises:
        FaultyError: holds the findings.
    """
    if any(one.blocks for one in found):
        blocking = tuple(one for one in found if one.blocks)
        raise FaultyError("This text cannot go live as it is. Mend what is marked.", blocking)
    if found and len(why.strip()) < SHORTEST_REASON:
        raise FaultyError("Say why these words are right all the same.", tuple(found))


async def _go_live(
    connection: AsyncConnection, actor: Actor, row: SqlRow[Any], live_id: int, items: Items, model: str | None
) -> int:  # fmt: skip
    """Make an approved draft live. The caller holds `one_at_a_time` and has looked at everything."""
    name = Name(row.kind, row.key)
    body: Body | None = None if row.is_deletion else row.body
    authors = await authors_of(connection, row.id)
    release_id = await make_release(
        connection, actor, with_text(items, name, body), origin="studio", why=row.note, previous_id=live_id,
        model=model,
        changes=[Change(name, row.note, tuple(sorted(authors)), row.approved_by, row.id)],
    )  # fmt: skip
    if is_withdrawn(items, name):
        await connection.execute(
            update(Withdrawal)
            .where(Withdrawal.slug == name.key, Withdrawal.ended_at.is_(None))
            .values(ended_at=now(), ended_by=row.approved_by, ended_why=row.note, ended_release_id=release_id)
        )
    live = await drafts.change(
        connection, row.id, row.version, ("approved",), state="live", release_id=release_id, ended_at=now()
    )
    await drop_due(connection, due_key(row.id))
    await trace(connection, actor, "live", row.id, name, live.version, "live", release=release_id)
    return release_id


# ---- at its time ------------------------------------------------------------------------------------


async def publish_due(room: Room, due: SqlRow[Any]) -> bool:
    """A draft's time has come. Done with once it is live, or is waiting for nobody any more."""
    await publish_at_its_time(room, int(due.data["draft"]), int(due.data["version"]))
    return True


async def publish_at_its_time(room: Room, draft_id: int, version: int) -> None:
    """Make an approved draft live, if it is still the one that was approved and still fits.

    Otherwise it goes back into review and says why. Twice is the same as once.
    """
    model = await asyncio.to_thread(room.model)
    try:
        async with room.store.write() as connection:
            await one_at_a_time(connection)
            row = await draft_row(connection, draft_id)
            if row.state != "approved" or row.version != version or row.publish_at > now():
                return
            live_id, items = await live_items(connection)
            name = Name(row.kind, row.key)
            must_fit(row, room.with_phrases(name, text_in(items, name)))
            # What warned was looked at when it was approved.
            must_pass([one for one in findings_of(room, row, items) if one.blocks], "")
            await _go_live(connection, CLOCK, row, live_id, items, model)
    except (RefusedError, ContentError) as error:
        await _back_to_review(room, draft_id, version, _told(error))
    ring(room.bell)


def _told(error: Exception) -> str:
    if isinstance(error, ChangedUnderError):
        return "It did not go live at its time: the live text changed meanwhile."
    if isinstance(error, FaultyError):
        return f"It did not go live at its time. {' '.join(one.words for one in error.findings)}"
    return f"It did not go live at its time. {error}"


async def _back_to_review(room: Room, draft_id: int, version: int, trouble: str) -> None:
    async with room.store.write() as connection:
        row = await drafts.change(
            connection, draft_id, version, ("approved",), state="in_review", approved_by=None,
            approved_at=None, approved_why="", publish_at=None, trouble=trouble,
        )  # fmt: skip
        await drop_due(connection, due_key(draft_id))
        name = Name(row.kind, row.key)
        await trace(connection, CLOCK, "not_published", draft_id, name, row.version, "in_review", why=trouble)


async def publish_late(room: Room) -> None:
    """Find drafts whose time has passed without their clock: a gateway of before dropped it."""
    query = select(TextDraft.id, TextDraft.version).where(
        TextDraft.state == "approved", TextDraft.publish_at < now() - LATE
    )
    async with room.store.read() as connection:
        late = (await connection.execute(query)).all()
    for one in late:
        log.warning("knowledge.published_late", number=one.id)
        await publish_at_its_time(room, one.id, one.version)
