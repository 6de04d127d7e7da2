"""The knowledge studio: drafts, reviews, releases, withdrawals of everything that the public reads.

One door for the pages. Wording only: phrases for training are kept in drafts and carried in releases,
and learned at the next training. Words of risk (`data/risk/`) are files of the screen and not in here;
a system sentence that is a safety word needs a supervisor or an administrator to approve it.
Every change and its audit row are one transaction (I8); whatever went wrong, the old release serves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import select

from bot.assistant.content import LiveContent
from bot.conversations.clocks import Clocks
from bot.knowledge import drafts, review, rollback, views, withdrawal
from bot.knowledge.findings import findings, found_in
from bot.knowledge.parts import (
    KINDS,
    ChangedUnderError,
    Conflict,
    Copy,
    DraftView,
    Editor,
    FaultyError,
    Finding,
    Name,
    ReleaseView,
    ReviewDue,
    Row,
    Saved,
    Undone,
    Version,
    Who,
    Withdrawn,
    is_senior,
    may_review,
    may_write,
)
from bot.knowledge.plain import FOLDER, Plain
from bot.knowledge.releases import EXPIRY, today_of
from bot.knowledge.texts import live_items, named
from bot.knowledge.views import Room
from bot.messages import Actor
from bot.services import model_path
from bot.settings import Settings
from bot.store import Bell, Store
from bot.store.tables import TextDraft

__all__ = [
    "KINDS", "ChangedUnderError", "Conflict", "Copy", "DraftView", "Editor", "FaultyError", "Finding", "Name",
    "ReleaseView", "ReviewDue", "Row", "Saved", "Studio", "Undone", "Version", "Who", "Withdrawn", "findings",
    "is_senior", "may_review", "may_write",
]  # fmt: skip


MOST_SHOWN = 1000
"""Releases that are listed at once."""


class Studio:
    """What the pages of the studio call. Each method is a transaction of its own.

    All that write raise NotAllowedError (their role may not), StaleError (it changed since the page was
    shown: look again), RefusedError (says why, in words for the page), StoreUnavailableError.
    """

    def __init__(self, store: Store, bell: Bell, content: LiveContent, settings: Settings) -> None:
        def model() -> str | None:
            path = model_path(settings.models)
            return path.name.removesuffix(".tar.gz") if path.is_file() else None

        self._store = store
        self._room = Room(store, bell, content, Plain.load(settings.data / FOLDER), model)

    def attach(self, clocks: Clocks) -> None:
        """Let the clocks publish what waits for its time, and withdraw what has a last day."""
        room = self._room
        clocks.add_kind(drafts.PUBLISH, lambda due: review.publish_due(room, due))
        clocks.add_kind(EXPIRY, lambda due: withdrawal.expire_due(room, due))
        clocks.add_sweep(lambda: review.publish_late(room))
        clocks.add_sweep(lambda: withdrawal.expire_late(room))

    # ---- looking ------------------------------------------------------------------------------

    async def texts(self, kind: str | None = None) -> list[Row]:
        """Everything that is said, of one kind or all, with its open draft; new drafts too."""
        async with self._store.read() as connection:
            return await views.texts(connection, kind)

    async def live_body(self, kind: str, key: str) -> Mapping[str, Any] | None:
        """What is live by that name, as a draft's body would hold it; of a withdrawn answer what it said."""
        async with self._store.read() as connection:
            return (await views.live_text(connection, self._room, named(kind, key)))[0]

    async def draft(self, draft_id: int) -> DraftView:
        """One draft, open or ended. RefusedError: there is none."""
        async with self._store.read() as connection:
            return await views.view_of(connection, self._room, draft_id)

    async def open_draft_of(self, kind: str, key: str) -> DraftView | None:
        """The open draft of a text, if there is one."""
        async with self._store.read() as connection:
            row = await views.open_row(connection, named(kind, key))
            return None if row is None else await views.view_of(connection, self._room, row.id)

    async def drafts(self, *states: str) -> list[DraftView]:
        """Drafts in these states (all open ones if none is named), the longest waiting first."""
        query = select(TextDraft.__table__).where(TextDraft.state.in_(states or views.OPEN))
        async with self._store.read() as connection:
            rows = (await connection.execute(query.order_by(TextDraft.updated_at, TextDraft.id))).all()
            return await views.views_of(connection, self._room, rows)

    async def ended(self, kind: str, key: str) -> list[DraftView]:
        """Drafts of a text that went live or were discarded, newest first."""
        name = named(kind, key)
        query = select(TextDraft.__table__).where(
            TextDraft.kind == name.kind, TextDraft.key == name.key, TextDraft.state.not_in(views.OPEN)
        )
        async with self._store.read() as connection:
            rows = (await connection.execute(query.order_by(TextDraft.id.desc()))).all()
            return await views.views_of(connection, self._room, rows)

    async def findings(self, draft_id: int) -> list[Finding]:
        """Everything about a draft's text beside what is live; those that block come first."""
        async with self._store.read() as connection:
            row = await views.draft_row(connection, draft_id)
            _, items = await live_items(connection)
        return await asyncio.to_thread(review.findings_of, self._room, row, items)

    async def findings_of(self, kind: str, key: str, body: Mapping[str, Any]) -> list[Finding]:
        """The same of a text that is not saved yet."""
        async with self._store.read() as connection:
            _, items = await live_items(connection)
        return await asyncio.to_thread(
            lambda: found_in(named(kind, key), body, items, self._room.plain, today_of(items))
        )

    async def history(self, kind: str, key: str) -> list[Version]:
        """Every live version of a text, newest first: when, who wrote, who approved, why."""
        async with self._store.read() as connection:
            return await views.history(connection, self._room, named(kind, key))

    async def releases(self, limit: int = 50) -> list[ReleaseView]:
        """Releases, newest first."""
        async with self._store.read() as connection:
            return await views.releases(connection, max(0, min(limit, MOST_SHOWN)))

    async def due_reviews(self, before: date) -> list[ReviewDue]:
        """Answers whose review date is before that day, the longest overdue first. It only reminds."""
        async with self._store.read() as connection:
            return await views.due_reviews(connection, before)

    async def withdrawn(self) -> list[Withdrawn]:
        """Answers that are withdrawn now, newest first."""
        async with self._store.read() as connection:
            return await views.withdrawn_now(connection)

    # ---- drafts: comms ------------------------------------------------------------------------

    async def open_draft(self, kind: str, key: str, actor: Actor) -> DraftView:
        """The open draft of a text, made from what is live if there is none. Two editors get the same one.

        Raises:
            RefusedError: nothing is live by that name.
        """
        return await drafts.open_draft(self._room, named(kind, key), actor)

    async def new_draft(self, kind: str, key: str, actor: Actor) -> DraftView:
        """A draft of a text that does not exist yet: faq (key: the slug), reply or contact.

        Raises:
            RefusedError: it exists already, the key is not as it must be, or no such can be added.
        """
        return await drafts.new_draft(self._room, named(kind, key), actor)

    async def draft_deletion(self, kind: str, key: str, actor: Actor) -> DraftView:
        """A draft that takes a text away for good: faq, reply or contact; it is reviewed as any other.

        Raises:
            RefusedError: it has an open draft, or may not be taken away (mode E, safety words).
        """
        return await drafts.draft_deletion(self._room, named(kind, key), actor)

    async def save(
        self, draft_id: int, actor: Actor, version: int, body: Mapping[str, Any]
    ) -> Saved | Conflict:
        """Keep what was written, upon the version that the writer saw.

        A save upon an older version changes nothing and is kept as a copy (`Conflict`). Saving a draft
        that is in review or approved puts it back to draft.

        Raises:
            StaleError: the draft has ended.
        """
        return await drafts.save(self._room, draft_id, actor, version, body)

    async def copies(self, draft_id: int) -> list[Copy]:
        """Texts of a draft that were kept aside, newest first."""
        async with self._store.read() as connection:
            await views.draft_row(connection, draft_id)
            return await views.copies_of(connection, draft_id)

    async def seen(self, draft_id: int, actor: Actor) -> list[Editor]:
        """Say that they have the draft open (every ten seconds or so). Returns the others who have it open."""
        return await drafts.seen(self._room, draft_id, actor)

    async def editors(self, draft_id: int) -> list[Editor]:
        """Who was seen in it within 30 seconds."""
        async with self._store.read() as connection:
            await views.draft_row(connection, draft_id)
            return await views.editors_of(connection, draft_id)

    async def look_again(self, draft_id: int, actor: Actor, version: int) -> DraftView:
        """The writer has seen what is live now: the draft is made from that from now on, and is a draft again."""
        return await drafts.look_again(self._room, draft_id, actor, version)

    async def discard(self, draft_id: int, actor: Actor, version: int) -> None:
        """End a draft. It stays in the history."""
        await drafts.discard(self._room, draft_id, actor, version)

    async def submit(self, draft_id: int, actor: Actor, version: int, note: str) -> DraftView:
        """Ask for a review; `note` says why the text changes.

        Raises:
            ChangedUnderError: the live text changed meanwhile.
            RefusedError: no note, or nothing differs from what is live.
        """
        return await drafts.submit(self._room, draft_id, actor, version, note)

    async def take_back(self, draft_id: int, actor: Actor, version: int) -> DraftView:
        """From review, or approved for a later time, back to draft."""
        return await drafts.take_back(self._room, draft_id, actor, version)

    # ---- review: comms, supervisor, admin ------------------------------------------------------

    async def send_back(self, draft_id: int, actor: Actor, version: int, why: str) -> DraftView:
        """Give it back to its writers, with a reason; also one that is approved for a later time."""
        return await review.send_back(self._room, draft_id, actor, version, why)

    async def approve(
        self, draft_id: int, actor: Actor, version: int, *, why: str = "", at: datetime | None = None
    ) -> DraftView:
        """Make it live at once, or at a set time. The view is `live`, or `approved` with `publish_at`.

        Args:
            version: the one that was read.
            why: needed where findings warn.

        Raises:
            NotAllowedError: they wrote in it, or it needs a senior role.
            ChangedUnderError: the live text changed under it.
            FaultyError: findings that block, or findings that warn and no reason; holds them.
        """
        return await review.approve(self._room, draft_id, actor, version, why=why, at=at)

    # ---- at once: comms, supervisor, admin -------------------------------------------------------

    async def withdraw(self, slug: str, actor: Actor, why: str) -> int:
        """Take one answer away at once, alone, with a reason. Returns the id of the release.

        Raises:
            RefusedError: mode E, withdrawn already, no such answer, or no reason.
        """
        return await withdrawal.withdraw(self._room, slug, actor, why)

    async def restore(self, slug: str, actor: Actor, why: str) -> int:
        """Give a withdrawn answer again, as it was. Returns the id of the release.

        Raises:
            RefusedError: it is not withdrawn, or its date has passed: it needs a new one, by a draft.
        """
        return await withdrawal.restore(self._room, slug, actor, why)

    async def would_undo(self, release_id: int) -> list[Undone]:
        """What going back to that release would undo."""
        return await rollback.would_undo(self._room, release_id)

    async def roll_back(self, release_id: int, actor: Actor, why: str, *, live: int) -> int:
        """Make an earlier release's content live again, as a new release; withdrawn answers stay withdrawn.

        `live` is the release that the page showed as live.

        Raises:
            StaleError: another release is live now.
            NotAllowedError: it would change safety words, and they are not senior.
        """
        return await rollback.roll_back(self._room, release_id, actor, why, live)
