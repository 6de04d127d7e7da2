"""Writing a text: the form, help while it is typed, saving by itself, who else writes, two texts side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from sanic import HTTPResponse

from bot.console.knowledge_forms import LONGEST, Asked, Field, asked, blank_rows, taken, with_contacts
from bot.console.knowledge_words import (
    KIND_NAMES,
    Changed,
    Help,
    changes,
    contact_choices,
    fields,
    help_with,
    known_kind,
    path_of,
    plain_changes,
    title_of,
)
from bot.console.presence import sentence
from bot.console.visit import RELEASING, WRITING, Routes, Visit, status_of
from bot.errors import NotAllowedError, RefusedError
from bot.knowledge.studio import Conflict, Copy, DraftView, Editor, Finding, may_write

LIST: Final = "/desk/knowledge"
DONE: Final = {
    "saved": "Your text is saved.",
    "inserted": "The contact stands at the end of the text. Move it to where it belongs.",
    "mine": "The draft has the words that you chose.",
    "looked": "The draft goes on from what is live now.",
    "taken": "You took it back. Change it, then send it for review again.",
}


def add(routes: Routes) -> None:
    """Add the routes."""
    one = f"{LIST}/drafts/<draft_id:int>"
    known = f"{LIST}/text/<kind:str>/<key:str>"
    routes.post(f"{known}/edit", begin, WRITING)
    routes.post(f"{known}/delete", begin_deletion, WRITING)
    routes.get(one, page, RELEASING)
    routes.post(f"{one}/save", save, WRITING)
    routes.post(f"{one}/check", check, WRITING, acts=False)
    routes.post(f"{one}/here", here, WRITING, acts=False)
    routes.get(f"{one}/both", both, WRITING)
    routes.post(f"{one}/both", choose, WRITING)
    routes.post(f"{one}/look-again", look_again, WRITING)
    routes.post(f"{one}/discard", discard, WRITING)
    routes.post(f"{one}/submit", submit, WRITING)
    routes.post(f"{one}/take-back", take_back, WRITING)


# ---- to begin --------------------------------------------------------------------------------------


async def begin(visit: Visit, kind: str, key: str) -> HTTPResponse:
    """Open the draft of a text; two editors get the same one."""
    view = await visit.console.studio.open_draft(known_kind(kind), key, visit.actor)
    return visit.go(f"{LIST}/drafts/{view.id}")


async def begin_deletion(visit: Visit, kind: str, key: str) -> HTTPResponse:
    """Begin a draft that takes a text away for good."""
    view = await visit.console.studio.draft_deletion(known_kind(kind), key, visit.actor)
    return visit.go(f"{LIST}/drafts/{view.id}")


# ---- the page --------------------------------------------------------------------------------------


async def page(visit: Visit, draft_id: int) -> HTTPResponse:
    """The form of a draft; somebody who does not write it, or one that waits, is shown its review."""
    view = await visit.console.studio.draft(draft_id)
    if view.state != "draft" or not may_write(visit.actor):
        return visit.go(f"{LIST}/review/{draft_id}")
    return await _page(visit, view, done=DONE.get(visit.query("done"), ""))


async def _page(
    visit: Visit,
    view: DraftView,
    status: int = 200,
    body: Mapping[str, Any] | None = None,
    problems: Mapping[str, str] | None = None,
    **values: Any,
) -> HTTPResponse:
    """The form, with what stands in the draft or with what was typed and refused."""
    studio = visit.console.studio
    shown = view.body if body is None else body
    named = fields(visit, view.kind, view.key, shown)
    found: Sequence[Finding] = (
        await studio.findings(view.id)
        if body is None
        else await studio.findings_of(view.kind, view.key, shown)
    )
    others = await studio.seen(view.id, visit.actor) if view.state == "draft" else []
    problems = problems or {}
    lines = [
        Asked(one.field, _typed(visit, one.field.name) or "", one.values, one.rows, problems[one.field.name])
        if one.field.name in problems
        else one
        for one in asked(named, shown)
    ]
    return visit.page(
        "knowledge/edit.html", status, tab="knowledge", room="list", view=view, kind_names=KIND_NAMES,
        title=title_of(view.kind, view.key, shown, visit), lines=lines, blank_rows=blank_rows,
        contacts=contact_choices(visit.core.content.current) if any(one.has_contacts for one in named) else [],
        help=help_with(visit, view.kind, shown, found, named), others=_others(others), at=path_of(view.kind, view.key),
        copies=await studio.copies(view.id), problems=problems, names={one.name: one.label for one in named},
        under=changes(visit, view.kind, view.key, view.base_body, view.live_body) if view.changed_under else [],
        changed=plain_changes(visit, view) if view.is_deletion or view.changed_under else [],
        **{"problem": "", "problem_field": "", "done": "", "note": view.note, **values},
    )  # fmt: skip


def _others(editors: Sequence[Editor]) -> str:
    names = [one.who.name for one in editors]
    return sentence(names, "has this draft open too", "have this draft open too")


# ---- what was typed ----------------------------------------------------------------------------------


def _typed(visit: Visit, name: str) -> str | None:
    values = cast(Any, visit.request).form
    found = values.get(name) if values else None
    return None if found is None else str(found).replace("\x00", "")[:LONGEST]


def _ticked(visit: Visit, name: str) -> Sequence[str]:
    values = cast(Any, visit.request).form
    return [str(one).replace("\x00", "")[:200] for one in (values.getlist(name) if values else None) or ()]


def _body(visit: Visit, view: DraftView) -> tuple[dict[str, Any], dict[str, str]]:
    """The draft's body with what the form says, and what could not be read."""
    base: Mapping[str, Any] = view.body
    mode = _typed(visit, "f-mode")
    if view.kind == "faq" and mode is not None:
        # The fields that belong to danger are in the form once it is chosen.
        base = {**view.body, "mode": mode}
    named: list[Field] = fields(visit, view.kind, view.key, base)
    body, problems = taken(
        named, view.body, lambda name: _typed(visit, name), lambda name: _ticked(visit, name)
    )
    return (with_contacts(body, view.body) if view.kind == "faq" else body), problems


async def check(visit: Visit, draft_id: int) -> HTTPResponse:
    """What is to be mended in a text while it is typed, and how it reads. Keeps nothing."""
    view = await visit.console.studio.draft(draft_id)
    body, _ = _body(visit, view)
    found = await visit.console.studio.findings_of(view.kind, view.key, body)
    helped: Help = help_with(visit, view.kind, body, found, fields(visit, view.kind, view.key, body))
    return visit.page("knowledge/help.html", help=helped, view=view)


async def here(visit: Visit, draft_id: int) -> HTTPResponse:
    """The page says that it shows this draft; it is told who else does, and whether it has changed."""
    view = await visit.console.studio.draft(draft_id)
    others = await visit.console.studio.seen(draft_id, visit.actor)
    return visit.page("knowledge/others.html", others=_others(others), view=view)


# ---- saving ----------------------------------------------------------------------------------------


async def save(visit: Visit, draft_id: int) -> HTTPResponse:
    """Keep what is typed, by itself or by the button. A save upon an older text loses neither."""
    studio = visit.console.studio
    view = await studio.draft(draft_id)
    body, problems = _body(visit, view)
    inserted = _insert(visit, view, body)
    version = visit.whole("version")
    if view.state == "draft" and body == dict(view.body):
        kept: Any = None
    else:
        kept = await studio.save(draft_id, visit.actor, version, body)
    if isinstance(kept, Conflict):
        place = f"{LIST}/drafts/{draft_id}/both?copy={kept.yours.id}"
        if not visit.is_part:
            return visit.go(place)
        return visit.page(
            "knowledge/saved.html", 409, version=kept.theirs.version, place=place, by=kept.theirs.updated_by.name,
            problems={}, names={},
        )  # fmt: skip
    number = view.version if kept is None else kept.version
    if visit.is_part:
        names = {one.name: one.label for one in fields(visit, view.kind, view.key, body)}
        return visit.page("knowledge/saved.html", version=number, place="", problems=problems, names=names)
    if problems:
        fresh = await studio.draft(draft_id)
        first = next(iter(problems))
        return await _page(visit, fresh, 422, body, problems, problem=problems[first], problem_field=first)
    return visit.go(f"{LIST}/drafts/{draft_id}?done={'inserted' if inserted else 'saved'}#check")


def _insert(visit: Visit, view: DraftView, body: dict[str, Any]) -> bool:
    """Without a script: put the chosen contact behind the text."""
    wanted = visit.field("insert", 80)
    chosen = visit.field(f"contact-{wanted}", 80) if wanted else ""
    known = {key for _, ones in contact_choices(visit.core.content.current) for key, _ in ones}
    field = next(
        (one for one in fields(visit, view.kind, view.key, body) if one.name == wanted and one.has_contacts),
        None,
    )
    if field is None or chosen not in known:
        return False
    into: Any = body
    for part in field.path[:-1]:
        into = into[part]
    into[field.path[-1]] = f"{into.get(field.path[-1]) or ''} {chosen}".strip()
    if view.kind == "faq":
        with_contacts(body, view.body)
    return True


# ---- two texts side by side --------------------------------------------------------------------------


async def both(visit: Visit, draft_id: int) -> HTTPResponse:
    """The draft as it is beside a text of it that was kept aside."""
    return await _both(visit, draft_id, visit.query("copy"))


async def _both(
    visit: Visit, draft_id: int, wanted: str, status: int = 200, problem: str = ""
) -> HTTPResponse:
    studio = visit.console.studio
    view = await studio.draft(draft_id)
    copies = await studio.copies(draft_id)
    copy = _copy(copies, wanted)
    return visit.page(
        "knowledge/both.html", status, tab="knowledge", room="list", view=view, copy=copy, copies=copies,
        kept=KEPT, title=title_of(view.kind, view.key, view.body, visit), problem=problem,
        differ=changes(visit, view.kind, view.key, view.body, copy.body),
        may_choose=view.state == "draft",
    )  # fmt: skip


KEPT: Final = {
    "refused": "Somebody else had saved meanwhile",
    "before": "As it was before another person went on",
    "submitted": "As it was sent for review",
}


def _copy(copies: Sequence[Copy], wanted: str) -> Copy:
    found = next((one for one in copies if str(one.id) == wanted), None)
    if found is None:
        raise RefusedError("There is no such text. Open the draft again.")
    return found


async def choose(visit: Visit, draft_id: int) -> HTTPResponse:
    """Make the draft of the words that somebody chose, field by field."""
    studio = visit.console.studio
    view = await studio.draft(draft_id)
    wanted, version = visit.field("copy", 20), visit.whole("version")
    copy = _copy(await studio.copies(draft_id), wanted)
    if version != view.version:
        problem = "The draft changed again while you looked. Here is what it says now."
        return await _both(visit, draft_id, wanted, 409, problem)
    differ: list[Changed] = changes(visit, view.kind, view.key, view.body, copy.body)
    mine = {one.name for one in differ if visit.field(f"take-{one.name}", 8) == "mine"}
    if not mine:
        return visit.go(f"{LIST}/drafts/{draft_id}")
    body = dict(view.body)
    for field in fields(visit, view.kind, view.key, {**view.body, **copy.body}):
        if field.name in mine:
            # A field within a value is taken with the whole of it: they belong together.
            _take(body, copy.body, field.path)
    kept = await studio.save(
        draft_id, visit.actor, version, with_contacts(body, view.body) if view.kind == "faq" else body
    )
    if isinstance(kept, Conflict):
        return visit.go(f"{LIST}/drafts/{draft_id}/both?copy={kept.yours.id}")
    return visit.go(f"{LIST}/drafts/{draft_id}?done=mine")


def _take(body: dict[str, Any], other: Mapping[str, Any], path: Sequence[str]) -> None:
    for part in path[:-1]:
        inner = body.get(part)
        body[part] = dict(inner) if isinstance(inner, Mapping) else {}
        body, other = body[part], other.get(part) or {}
    if path[-1] in other:
        body[path[-1]] = other[path[-1]]
    else:
        body.pop(path[-1], None)


# ---- what happens to a draft -------------------------------------------------------------------------


async def look_again(visit: Visit, draft_id: int) -> HTTPResponse:
    """Go on from what is live now."""
    await visit.console.studio.look_again(draft_id, visit.actor, visit.whole("version"))
    return visit.go(f"{LIST}/drafts/{draft_id}?done=looked")


async def discard(visit: Visit, draft_id: int) -> HTTPResponse:
    """End a draft."""
    studio = visit.console.studio
    view = await studio.draft(draft_id)
    await studio.discard(draft_id, visit.actor, visit.whole("version"))
    if view.live_body is None:
        return visit.go(f"{LIST}?kind={view.kind}&done=discarded")
    return visit.go(f"{path_of(view.kind, view.key)}?done=discarded")


async def submit(visit: Visit, draft_id: int) -> HTTPResponse:
    """Keep what is typed, and ask for a review."""
    studio = visit.console.studio
    view = await studio.draft(draft_id)
    body, problems = _body(visit, view)
    note, version = visit.field("note", 600), visit.whole("version")
    if problems:
        first = next(iter(problems))
        return await _page(
            visit, view, 422, body, problems, problem=problems[first], problem_field=first, note=note
        )
    try:
        if body == dict(view.body):
            version = view.version  # the draft says what the writer sees
        else:
            kept = await studio.save(draft_id, visit.actor, version, body)
            if isinstance(kept, Conflict):
                return visit.go(f"{LIST}/drafts/{draft_id}/both?copy={kept.yours.id}")
            version = kept.version
        await studio.submit(draft_id, visit.actor, version, note)
    except NotAllowedError:
        raise
    except RefusedError as error:
        if visit.is_part:
            raise
        fresh = await studio.draft(draft_id)
        if fresh.state != "draft":
            raise
        return await _page(
            visit, fresh, status_of(error), problem=str(error), problem_field="note", note=note
        )
    return visit.go(f"{LIST}/review/{draft_id}?done=sent")


async def take_back(visit: Visit, draft_id: int) -> HTTPResponse:
    """From review, or approved for later, back to its writers."""
    await visit.console.studio.take_back(draft_id, visit.actor, visit.whole("version"))
    return visit.go(f"{LIST}/drafts/{draft_id}?done=taken")
