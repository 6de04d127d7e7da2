"""What the studio shows: texts, drafts beside what is live, versions, releases, reviews that are due."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from sqlalchemy import Row as SqlRow
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant.content import LiveContent
from bot.errors import RefusedError
from bot.knowledge.parts import (
    HERE,
    Copy,
    DraftView,
    Editor,
    Name,
    ReleaseView,
    ReviewDue,
    Row,
    Version,
    Who,
    Withdrawn,
)
from bot.knowledge.plain import Plain
from bot.knowledge.texts import (
    Body,
    Items,
    is_id,
    is_safety,
    is_withdrawn,
    live_items,
    names_in,
    place_of,
    same,
    text_in,
    title_of,
)
from bot.store import Bell, Store
from bot.store.record import now
from bot.store.tables import (
    Release,
    ReleaseChange,
    ReleaseItem,
    Staff,
    TextAuthor,
    TextCopy,
    TextDraft,
    TextEditor,
    Withdrawal,
)

OPEN: Final = ("draft", "in_review", "approved")
NO_DRAFT: Final = "There is no such draft."


def _no_model() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Room:
    """What every part of the studio works with."""

    store: Store
    bell: Bell
    live: LiveContent
    plain: Plain
    model: Callable[[], str | None] = field(default=_no_model)
    """The model that stands beside the content now, by name, where that is known."""

    def with_phrases(self, name: Name, body: Body | None) -> Body | None:
        """A live answer with the files' phrases, where its release is from before they were kept."""
        if name.kind != "faq" or body is None or "examples" in body:
            return body
        file = self.live.files.faqs.get(name.key)
        return {**body, "examples": list(file.body.get("examples") or ()) if file is not None else []}


async def live_text(connection: AsyncConnection, room: Room, name: Name) -> tuple[Body | None, bool]:
    """What is live by that name (of a withdrawn answer what it said), and whether it is withdrawn."""
    places = place_of(name)
    rows = await connection.execute(
        select(ReleaseItem.kind, ReleaseItem.key, ReleaseItem.body)
        .join(Release, Release.id == ReleaseItem.release_id)
        .where(
            Release.live,
            ReleaseItem.kind.in_([kind for kind, _ in places]),
            ReleaseItem.key == places[0][1],
        )
    )
    items: Items = {(row.kind, row.key): row.body for row in rows}
    return room.with_phrases(name, text_in(items, name)), is_withdrawn(items, name)


# ---- drafts -----------------------------------------------------------------------------------------


async def draft_row(connection: AsyncConnection, draft_id: int) -> SqlRow[Any]:
    """One draft.

    Raises:
        RefusedError: there is none.
    """
    query = select(TextDraft.__table__).where(TextDraft.id == draft_id)
    row = (await connection.execute(query)).one_or_none() if is_id(draft_id) else None
    if row is None:
        raise RefusedError(NO_DRAFT)
    return row


async def open_row(connection: AsyncConnection, name: Name) -> SqlRow[Any] | None:
    """The open draft of a text."""
    query = select(TextDraft.__table__).where(
        TextDraft.kind == name.kind, TextDraft.key == name.key, TextDraft.state.in_(OPEN)
    )
    return (await connection.execute(query)).one_or_none()


async def view_of(connection: AsyncConnection, room: Room, draft_id: int) -> DraftView:
    """One draft as it stands, beside what is live."""
    row = await draft_row(connection, draft_id)
    live, gone = await live_text(connection, room, Name(row.kind, row.key))
    return (await _views(connection, [(row, live, gone)]))[0]


async def views_of(connection: AsyncConnection, room: Room, rows: Sequence[SqlRow[Any]]) -> list[DraftView]:
    """Several, beside one reading of what is live."""
    if not rows:
        return []
    _, items = await live_items(connection)
    told = []
    for row in rows:
        name = Name(row.kind, row.key)
        told.append((row, room.with_phrases(name, text_in(items, name)), is_withdrawn(items, name)))
    return await _views(connection, told)


async def authors_of(connection: AsyncConnection, draft_id: int) -> frozenset[int]:
    """Everybody who may not approve a draft because they made it."""
    row = await draft_row(connection, draft_id)
    query = select(TextAuthor.staff_id).where(TextAuthor.draft_id == draft_id)
    wrote = (await connection.execute(query)).scalars()
    return frozenset({*wrote, row.created_by, *([row.submitted_by] if row.submitted_by else [])})


async def _views(
    connection: AsyncConnection, told: Sequence[tuple[SqlRow[Any], Body | None, bool]]
) -> list[DraftView]:
    ids = [row.id for row, _, _ in told]
    query = (
        select(TextAuthor.draft_id, TextAuthor.staff_id)
        .where(TextAuthor.draft_id.in_(ids))
        .order_by(TextAuthor.first_at, TextAuthor.staff_id)
    )
    wrote: dict[int, list[int]] = {}
    for one in await connection.execute(query):
        wrote.setdefault(one.draft_id, []).append(one.staff_id)
    staff = {
        getattr(row, column)
        for row, _, _ in told
        for column in ("created_by", "updated_by", "submitted_by", "sent_back_by", "approved_by")
    } | {one for ones in wrote.values() for one in ones}
    who = await names_of(connection, staff)
    return [_view(row, live, gone, wrote.get(row.id, []), who) for row, live, gone in told]


def _view(
    row: SqlRow[Any], live: Body | None, gone: bool, wrote: Sequence[int], who: Mapping[int, Who]
) -> DraftView:
    name = Name(row.kind, row.key)
    is_open = row.state in OPEN
    return DraftView(
        id=row.id, kind=row.kind, key=row.key, state=row.state, version=row.version, body=row.body,
        live_body=live, base_body=row.base, is_new=row.is_new, is_deletion=row.is_deletion,
        is_withdrawn=gone, changed_under=is_open and not same(row.base, live),
        needs_senior=is_safety(name, row.body, live),
        examples_changed=name.kind == "faq"
        and list(row.body.get("examples") or ()) != list((live or {}).get("examples") or ()),
        created_by=who[row.created_by], created_at=row.created_at,
        updated_by=who[row.updated_by], updated_at=row.updated_at,
        authors=tuple(who[one] for one in wrote),
        note=row.note, submitted_by=who.get(row.submitted_by), submitted_at=row.submitted_at,
        sent_back_by=who.get(row.sent_back_by), sent_back_why=row.sent_back_why,
        approved_by=who.get(row.approved_by), approved_at=row.approved_at, approved_why=row.approved_why,
        publish_at=row.publish_at, trouble=row.trouble, release_id=row.release_id,
    )  # fmt: skip


async def names_of(connection: AsyncConnection, ids: Iterable[int | None]) -> dict[int, Who]:
    """Members of staff by id."""
    wanted = sorted({one for one in ids if one is not None})
    if not wanted:
        return {}
    rows = await connection.execute(select(Staff.id, Staff.name).where(Staff.id.in_(wanted)))
    return {row.id: Who(row.id, row.name) for row in rows}


async def copies_of(connection: AsyncConnection, draft_id: int) -> list[Copy]:
    """Texts of a draft that were kept aside, newest first."""
    rows = await connection.execute(
        select(TextCopy.__table__, Staff.name)
        .join(Staff, Staff.id == TextCopy.staff_id)
        .where(TextCopy.draft_id == draft_id)
        .order_by(TextCopy.id.desc())
    )
    return [
        Copy(row.id, row.draft_id, row.kept, row.version, row.body, Who(row.staff_id, row.name), row.at)
        for row in rows
    ]


async def editors_of(connection: AsyncConnection, draft_id: int) -> list[Editor]:
    """Who was seen in a draft just now."""
    rows = await connection.execute(
        select(TextEditor.staff_id, TextEditor.seen_at, Staff.name)
        .join(Staff, Staff.id == TextEditor.staff_id)
        .where(TextEditor.draft_id == draft_id, TextEditor.seen_at >= now() - HERE)
        .order_by(Staff.name, TextEditor.staff_id)
    )
    return [Editor(Who(row.staff_id, row.name), row.seen_at) for row in rows]


# ---- lists ------------------------------------------------------------------------------------------


async def texts(connection: AsyncConnection, kind: str | None) -> list[Row]:
    """Everything that is said, with its open draft; new drafts too."""
    _, items = await live_items(connection)
    rows = await connection.execute(
        select(TextDraft.__table__).where(TextDraft.state.in_(OPEN)).order_by(TextDraft.id)
    )
    drafts = {Name(row.kind, row.key): row for row in rows}
    found: list[Row] = []
    for name in names_in(items):
        if kind in (None, name.kind):
            body = text_in(items, name) or {}
            draft = drafts.pop(name, None)
            found.append(_listed(name, body, draft, gone=is_withdrawn(items, name), live=True))
    for name, draft in drafts.items():
        if kind in (None, name.kind):
            found.append(_listed(name, draft.body, draft, gone=False, live=False))
    return found


def _listed(name: Name, body: Body, draft: SqlRow[Any] | None, *, gone: bool, live: bool) -> Row:
    def said(field: str) -> str:
        return str(body.get(field) or "") if name.kind in ("faq", "reply", "contact") else ""

    return Row(
        kind=name.kind, key=name.key, title=title_of(name, body), group=said("group"), owner=said("owner"),
        mode=said("mode"), review_by=said("review_by"), expires=said("expires"), is_withdrawn=gone,
        is_live=live, draft_id=None if draft is None else draft.id,
        draft_state="" if draft is None else draft.state,
    )  # fmt: skip


async def withdrawn_now(connection: AsyncConnection) -> list[Withdrawn]:
    """Answers that are withdrawn now, newest first."""
    _, items = await live_items(connection)
    rows = await connection.execute(
        select(Withdrawal.__table__, Staff.name)
        .outerjoin(Staff, Staff.id == Withdrawal.staff_id)
        .where(Withdrawal.ended_at.is_(None))
        .order_by(Withdrawal.id.desc())
    )
    return [
        Withdrawn(
            row.slug, title_of(Name("faq", row.slug), text_in(items, Name("faq", row.slug)) or {}), row.at,
            row.name or "", row.why, row.staff_id is None,
        )
        for row in rows
        if is_withdrawn(items, Name("faq", row.slug))
    ]  # fmt: skip


async def due_reviews(connection: AsyncConnection, before: date) -> list[ReviewDue]:
    """Answers whose review date is before that day, the longest overdue first."""
    _, items = await live_items(connection)
    found = []
    for name in names_in(items):
        body = text_in(items, name) or {}
        if name.kind != "faq":
            continue
        try:
            due = date.fromisoformat(str(body.get("review_by") or ""))
        except ValueError:
            continue
        if due < before:
            found.append(
                ReviewDue(
                    name.key, title_of(name, body), str(body.get("owner") or ""), due,
                    is_withdrawn(items, name),
                )
            )  # fmt: skip
    return sorted(found, key=lambda one: (one.review_by, one.slug))


# ---- releases ---------------------------------------------------------------------------------------


async def releases(connection: AsyncConnection, limit: int) -> list[ReleaseView]:
    """Releases, newest first."""
    rows = (
        await connection.execute(select(Release.__table__).order_by(Release.id.desc()).limit(limit))
    ).all()
    changed: dict[int, list[Name]] = {}
    wrote: dict[int, dict[int, None]] = {}
    approved: dict[int, dict[int, None]] = {}
    query = select(ReleaseChange.__table__).where(ReleaseChange.release_id.in_([row.id for row in rows]))
    for one in await connection.execute(query.order_by(ReleaseChange.id)):
        changed.setdefault(one.release_id, []).append(Name(one.kind, one.key))
        wrote.setdefault(one.release_id, {}).update(dict.fromkeys(one.wrote))
        if one.approved_by is not None:
            approved.setdefault(one.release_id, {})[one.approved_by] = None
    who = await names_of(
        connection, [staff for of in (wrote, approved) for ids in of.values() for staff in ids]
    )
    return [
        ReleaseView(
            id=row.id, sha256=row.sha256, at=row.created_at, by=row.created_by, origin=row.origin or "files",
            why=row.why or "", previous_id=row.previous_id, back_to=row.back_to, model=row.model or "",
            is_live=row.live, changed=tuple(changed.get(row.id, ())),
            wrote=tuple(who[staff].name for staff in wrote.get(row.id, ())),
            approved=tuple(who[staff].name for staff in approved.get(row.id, ())),
        )
        for row in rows
    ]  # fmt: skip


async def history(connection: AsyncConnection, room: Room, name: Name) -> list[Version]:
    """Every live version of a text, newest first."""
    changes = {
        row.release_id: row
        for row in await connection.execute(
            select(ReleaseChange.__table__).where(
                ReleaseChange.kind == name.kind, ReleaseChange.key == name.key
            )
        )
    }
    # A release of before the changes were kept may have changed anything, and so may the very first.
    rows = (
        await connection.execute(
            select(Release.__table__)
            .where(
                or_(
                    Release.id.in_(sorted(changes)), Release.origin.is_(None), Release.previous_id.is_(None)
                )
            )
            .order_by(Release.id)
        )
    ).all()  # fmt: skip
    items = await _items_in(connection, name, [row.id for row in rows])
    who = await names_of(
        connection,
        [staff for change in changes.values() for staff in (*change.wrote, change.approved_by)],
    )
    found: list[Version] = []
    before: tuple[Body | None, bool] = (None, False)
    for row in rows:
        own = items.get(row.id, {})
        now_is = (text_in(own, name), is_withdrawn(own, name))
        if now_is[1] == before[1] and same(now_is[0], before[0]):
            continue
        before = now_is
        change = changes.get(row.id)
        wrote = [who[one].name for one in (change.wrote if change is not None else ()) if one in who]
        approved = who.get(change.approved_by) if change is not None else None
        found.append(
            Version(
                release_id=row.id, at=row.created_at, origin=row.origin or "files",
                body=room.with_phrases(name, now_is[0]), is_withdrawn=now_is[1],
                wrote=tuple(wrote) or ((row.created_by,) if row.origin in (None, "files") else ()),
                approved=approved.name if approved is not None else "",
                why=(change.why if change is not None else "") or row.why or "", is_live=False,
            )
        )  # fmt: skip
    if found and found[-1].body is not None:
        found[-1] = _as_live(found[-1])
    return found[::-1]


def _as_live(version: Version) -> Version:
    return Version(
        version.release_id, version.at, version.origin, version.body, version.is_withdrawn, version.wrote,
        version.approved, version.why, not version.is_withdrawn,
    )  # fmt: skip


async def _items_in(connection: AsyncConnection, name: Name, ids: Sequence[int]) -> dict[int, Items]:
    """The rows of these releases in which a text may stand."""
    places = place_of(name)
    rows = await connection.execute(
        select(ReleaseItem.release_id, ReleaseItem.kind, ReleaseItem.key, ReleaseItem.body).where(
            ReleaseItem.release_id.in_(ids),
            ReleaseItem.kind.in_([kind for kind, _ in places]),
            ReleaseItem.key == places[0][1],
        )
    )
    found: dict[int, dict[tuple[str, str], Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row.release_id, {})[row.kind, row.key] = row.body
    return dict(found)
