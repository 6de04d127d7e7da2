"""Drafts: opened, saved, looked at again, submitted, discarded. Each change is one conditional UPDATE."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Row as SqlRow
from sqlalchemy import insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import NotAllowedError, RefusedError, StaleError
from bot.knowledge.parts import (
    KINDS,
    LONGEST_REASON,
    SHORTEST_REASON,
    ChangedUnderError,
    Conflict,
    Copy,
    DraftView,
    Editor,
    Name,
    Saved,
    Who,
    may_review,
    may_write,
)
from bot.knowledge.texts import (
    ADDED,
    KEYS,
    LONGEST_KEY,
    Body,
    cleaned,
    kept_from_going,
    plain_json,
    same,
    settled,
)
from bot.knowledge.views import OPEN, Room, draft_row, editors_of, live_text, open_row, view_of
from bot.messages import Actor
from bot.store.record import add_audit, add_event, drop_due, now, upsert
from bot.store.tables import Staff, TextAuthor, TextCopy, TextDraft, TextEditor

EVENT: Final = "knowledge.draft"
"""Tells the pages that a draft changed."""
PUBLISH: Final = "knowledge.publish"
"""The kind of the clock by which an approved draft goes live."""
MOST_VERSIONS: Final = 2**31 - 1
"""What the column holds: an address may name any number."""
LONGEST_BODY: Final = 200_000
"""Letters of a draft with everything that belongs to it."""
SAID_ANEW: Final = timedelta(seconds=10)
"""A presence younger than that is not written again."""
MAY_NOT_WRITE: Final = "Only the communications team writes texts."
ENDED: Final = {
    "live": "This draft went live. Open the text again to change it.",
    "discarded": "This draft was discarded. Open the text again to change it.",
}
CHANGED_UNDER: Final = "The live text changed since this draft was made. Look at both, then go on."


def writer(actor: Actor) -> int:
    """The id of a member of staff who may write.

    Raises:
        NotAllowedError: they may not.
    """
    if not may_write(actor) or actor.staff_id is None:
        raise NotAllowedError(MAY_NOT_WRITE)
    return actor.staff_id


def reason(words: str, needed: str) -> str:
    """A reason that says something.

    Raises:
        RefusedError: it is too short.
    """
    words = " ".join(str(cleaned(words)).split())
    if len(words) < SHORTEST_REASON:
        raise RefusedError(needed)
    return words[:LONGEST_REASON]


# ---- to begin ---------------------------------------------------------------------------------------


async def open_draft(room: Room, name: Name, actor: Actor) -> DraftView:
    """See `Studio.open_draft`."""
    staff_id = writer(actor)
    return await _begin(room, name, actor, staff_id, deletion=False, new=False)


async def new_draft(room: Room, name: Name, actor: Actor) -> DraftView:
    """See `Studio.new_draft`."""
    staff_id = writer(actor)
    if name.kind not in ADDED:
        raise RefusedError("The system has all texts of this kind. You can change their words.")
    if not KEYS[name.kind].fullmatch(name.key) or len(name.key) > LONGEST_KEY:
        told = {
            "faq": "Use small letters and digits for the name, with hyphens between words.",
            "reply": "Use small letters and digits for the name, with _ between words.",
            "contact": "Use capital letters and digits for the key, such as CAB2.",
        }
        raise RefusedError(told[name.kind])
    return await _begin(room, name, actor, staff_id, deletion=False, new=True)


async def draft_deletion(room: Room, name: Name, actor: Actor) -> DraftView:
    """See `Studio.draft_deletion`."""
    staff_id = writer(actor)
    return await _begin(room, name, actor, staff_id, deletion=True, new=False)


async def _begin(
    room: Room, name: Name, actor: Actor, staff_id: int, *, deletion: bool, new: bool
) -> DraftView:
    if name.kind not in KINDS:
        raise RefusedError("There are no such texts.")
    try:
        async with room.store.write() as connection:
            return await _made(connection, room, name, actor, staff_id, deletion=deletion, new=new)
    except IntegrityError:
        # Two at the same moment: the other one's draft is there now.
        async with room.store.write() as connection:
            return await _made(connection, room, name, actor, staff_id, deletion=deletion, new=new)


async def _made(
    connection: AsyncConnection, room: Room, name: Name, actor: Actor, staff_id: int, *, deletion: bool, new: bool
) -> DraftView:  # fmt: skip
    there = await open_row(connection, name)
    if there is not None and (deletion or new):
        raise RefusedError("Somebody works on this text already. Open their draft, or let them end it.")
    if there is not None:
        return await view_of(connection, room, there.id)
    live, _ = await live_text(connection, room, name)
    if new and live is not None:
        raise RefusedError("There is a text of this name already. Open it, or choose another name.")
    if not new and live is None:
        raise RefusedError("There is no live text of this name.")
    if deletion and (why := kept_from_going(name, live or {})) is not None:
        raise RefusedError(why)
    moment = now()
    made = await connection.execute(
        insert(TextDraft)
        .values(
            kind=name.kind, key=name.key, body=plain_json(live if live is not None else _blank(name)),
            base=None if live is None else plain_json(live), is_new=new, is_deletion=deletion,
            created_at=moment, created_by=staff_id, updated_at=moment, updated_by=staff_id,
        )
        .returning(TextDraft.id)
    )  # fmt: skip
    draft_id = int(made.scalar_one())
    about = {"deletion": True} if deletion else {"new": True} if new else {}
    await trace(connection, actor, "begin", draft_id, name, 1, "draft", **about)
    return await view_of(connection, room, draft_id)


def _blank(name: Name) -> Body:
    """What a text of that kind begins with."""
    today = now().date()
    if name.kind == "faq":
        later = today + timedelta(days=182)
        return {
            "title": "", "group": "", "owner": "", "mode": "A", "contacts": [], "source": [],
            "last_checked": today.isoformat(), "review_by": later.isoformat(), "answer": "", "examples": [],
        }  # fmt: skip
    if name.kind == "reply":
        return {"group": "", "title": "", "text": ""}
    return {"name": "", "group": "", "say": "", "parts": {}, "notes": "", "owner": "", "source": [], "status": "V",
            "verify": True}  # fmt: skip


# ---- to write ---------------------------------------------------------------------------------------


async def save(
    room: Room, draft_id: int, actor: Actor, version: int, body: Mapping[str, Any]
) -> Saved | Conflict:
    """See `Studio.save`."""
    staff_id = writer(actor)
    said = settled(plain_json(cleaned(body)))
    version = min(max(version, 0), MOST_VERSIONS)
    if sum(len(str(value)) for value in said.values()) > LONGEST_BODY:
        raise RefusedError("This is too long to keep. Make it shorter.")
    async with room.store.write() as connection:
        row = await draft_row(connection, draft_id)
        if row.state not in OPEN:
            raise StaleError(ENDED[row.state])
        if row.is_deletion:
            raise RefusedError("This draft takes the text away. Discard it to change the words.")
        if row.body == said:
            # A save that came twice, or nothing new.
            return Saved(row.version, row.state)
        moment = now()
        changed = await connection.execute(
            update(TextDraft)
            .where(TextDraft.id == draft_id, TextDraft.version == version, TextDraft.state.in_(OPEN))
            .values(
                body=said, version=TextDraft.version + 1, state="draft", updated_at=moment,
                updated_by=staff_id, approved_at=None, approved_by=None, approved_why="", publish_at=None,
                trouble="",
            )
            .returning(TextDraft.version)
        )  # fmt: skip
        new_version = changed.scalar_one_or_none()
        await connection.execute(
            upsert(connection, TextAuthor)
            .values(draft_id=draft_id, staff_id=staff_id, first_at=moment)
            .on_conflict_do_nothing()
        )
        if new_version is None:
            copy_id = await keep(connection, draft_id, "refused", version, said, staff_id)
            theirs = await view_of(connection, room, draft_id)
            yours = Copy(copy_id, draft_id, "refused", version, said, Who(staff_id, actor.name), moment)
            return Conflict(theirs, yours)
        if row.updated_by != staff_id:
            # Somebody goes on where another stopped: what that one wrote is not lost.
            await keep(connection, draft_id, "before", row.version, row.body, row.updated_by)
        if row.state != "draft":
            await drop_due(connection, due_key(draft_id))
            await trace(
                connection, actor, "reopen", draft_id, Name(row.kind, row.key), new_version, "draft",
                was=row.state,
            )  # fmt: skip
    if row.state != "draft":
        # A plain save tells nobody: every page of the desk would look, each second of somebody's typing.
        room.bell.ring("event")
    return Saved(int(new_version), "draft")


async def keep(
    connection: AsyncConnection, draft_id: int, kept: str, version: int, body: Mapping[str, Any], staff_id: int
) -> int:  # fmt: skip
    """Keep a text of a draft aside. Returns its id."""
    made = await connection.execute(
        insert(TextCopy)
        .values(draft_id=draft_id, kept=kept, version=version, body=dict(body), staff_id=staff_id, at=now())
        .returning(TextCopy.id)
    )
    return int(made.scalar_one())


async def seen(room: Room, draft_id: int, actor: Actor) -> list[Editor]:
    """See `Studio.seen`."""
    staff_id = actor.staff_id
    if staff_id is None or not (may_write(actor) or may_review(actor)):
        raise NotAllowedError(MAY_NOT_WRITE)
    async with room.store.write() as connection:
        row = await draft_row(connection, draft_id)
        moment = now()
        if row.state in OPEN:
            await connection.execute(
                upsert(connection, TextEditor)
                .values(draft_id=draft_id, staff_id=staff_id, seen_at=moment)
                .on_conflict_do_update(
                    index_elements=["draft_id", "staff_id"],
                    set_={"seen_at": moment},
                    where=TextEditor.seen_at < moment - SAID_ANEW,
                )
            )
        return [one for one in await editors_of(connection, draft_id) if one.who.id != staff_id]


# ---- to end, to hand on -----------------------------------------------------------------------------


async def change(
    connection: AsyncConnection, draft_id: int, version: int, states: tuple[str, ...], **values: Any
) -> SqlRow[Any]:
    """Change a draft that is as the caller saw it. Returns it as it is then.

    Raises:
        StaleError: it changed meanwhile; says how.
        RefusedError: there is none.
    """
    version = min(max(version, 0), MOST_VERSIONS)
    await draft_row(connection, draft_id)
    changed = await connection.execute(
        update(TextDraft)
        .where(TextDraft.id == draft_id, TextDraft.version == version, TextDraft.state.in_(states))
        .values(version=TextDraft.version + 1, **values)
        .returning(*TextDraft.__table__.columns)
    )
    row = changed.one_or_none()
    if row is not None:
        return row
    there = await draft_row(connection, draft_id)
    if there.state in ENDED:
        raise StaleError(ENDED[there.state])
    if there.version != version:
        query = select(Staff.name).where(
            or_(Staff.id == there.updated_by, Staff.id == there.sent_back_by, Staff.id == there.approved_by)
        )
        names = sorted((await connection.execute(query)).scalars())
        raise StaleError(f"This draft changed meanwhile ({', '.join(names)}). Look at it again.")
    told = {
        "draft": "This draft is not in review. Its writer has to ask for a review first.",
        "in_review": "This draft waits for a review.",
        "approved": "This draft is approved and waits for its time.",
    }
    raise StaleError(told[there.state])


async def look_again(room: Room, draft_id: int, actor: Actor, version: int) -> DraftView:
    """See `Studio.look_again`."""
    writer(actor)
    async with room.store.write() as connection:
        row = await draft_row(connection, draft_id)
        name = Name(row.kind, row.key)
        live, _ = await live_text(connection, room, name)
        if row.is_deletion and live is None:
            raise RefusedError("This text is gone already. Discard the draft.")
        values: dict[str, Any] = {"is_new": live is None, "base": None if live is None else plain_json(live)}
        if row.is_deletion:
            values["body"] = values["base"]
        changed = await change(
            connection, draft_id, version, OPEN, state="draft", approved_at=None, approved_by=None,
            approved_why="", publish_at=None, trouble="", **values,
        )  # fmt: skip
        await drop_due(connection, due_key(draft_id))
        await trace(connection, actor, "look_again", draft_id, name, changed.version, "draft", was=row.state)
        view = await view_of(connection, room, draft_id)
    room.bell.ring("event")
    return view


async def discard(room: Room, draft_id: int, actor: Actor, version: int) -> None:
    """See `Studio.discard`."""
    writer(actor)
    async with room.store.write() as connection:
        row = await change(
            connection, draft_id, version, OPEN, state="discarded", ended_at=now(), publish_at=None
        )
        await drop_due(connection, due_key(draft_id))
        await trace(connection, actor, "discard", draft_id, Name(row.kind, row.key), row.version, "discarded")
    room.bell.ring("event")


async def submit(room: Room, draft_id: int, actor: Actor, version: int, note: str) -> DraftView:
    """See `Studio.submit`."""
    staff_id = writer(actor)
    note = reason(note, "Say why this text changes.")
    async with room.store.write() as connection:
        row = await change(
            connection, draft_id, version, ("draft",), state="in_review", note=note, submitted_at=now(),
            submitted_by=staff_id, sent_back_by=None, sent_back_why="", trouble="",
        )  # fmt: skip
        name = Name(row.kind, row.key)
        live, gone = await live_text(connection, room, name)
        must_fit(row, live)
        if not row.is_deletion and not gone and same(row.body, live):
            raise RefusedError("Nothing differs from what is live.")
        await keep(connection, draft_id, "submitted", row.version, row.body, staff_id)
        await trace(connection, actor, "submit", draft_id, name, row.version, "in_review", why=note)
        view = await view_of(connection, room, draft_id)
    room.bell.ring("event")
    return view


def must_fit(row: SqlRow[Any], live: Body | None) -> None:
    """Refuse a draft that was made from another text than the live one.

    Raises:
        ChangedUnderError: the live text changed meanwhile.
    """
    if not same(row.base, live):
        raise ChangedUnderError(CHANGED_UNDER)


async def take_back(room: Room, draft_id: int, actor: Actor, version: int) -> DraftView:
    """See `Studio.take_back`."""
    writer(actor)
    async with room.store.write() as connection:
        row = await change(
            connection, draft_id, version, ("in_review", "approved"), state="draft", approved_at=None,
            approved_by=None, approved_why="", publish_at=None, trouble="",
        )  # fmt: skip
        await drop_due(connection, due_key(draft_id))
        await trace(connection, actor, "take_back", draft_id, Name(row.kind, row.key), row.version, "draft")
        view = await view_of(connection, room, draft_id)
    room.bell.ring("event")
    return view


# ---- traces -----------------------------------------------------------------------------------------


def due_key(draft_id: int) -> str:
    """The clock of a draft that waits for its time."""
    return f"{PUBLISH}:{draft_id}"


async def trace(
    connection: AsyncConnection, actor: Actor, what: str, draft_id: int, name: Name, version: int, state: str,
    **about: Any,
) -> None:  # fmt: skip
    """The audit row and the event of one change of a draft, in its transaction."""
    await add_audit(
        connection, actor, f"knowledge.{what}", None, None, draft=draft_id, kind=name.kind, key=name.key,
        version=version, **about,
    )  # fmt: skip
    await add_event(connection, None, EVENT, {"draft": draft_id, "version": version, "state": state})
