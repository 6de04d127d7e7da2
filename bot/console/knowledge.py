"""The knowledge studio: the list of everything that is said, and how a new text is begun."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Final

from sanic import HTTPResponse

from bot.console import knowledge_edit, knowledge_releases, knowledge_review, knowledge_text
from bot.console.knowledge_words import ADDED, DONE, KIND_NAMES, STATES, title_of, zone_of
from bot.console.visit import STAFF, WRITING, Routes, Visit, status_of
from bot.errors import RefusedError
from bot.knowledge.studio import KINDS, Row, may_review, may_write
from bot.store.record import now

LIST: Final = "/desk/knowledge"
_TRIES: Final = 20
_KEY_LETTERS: Final = 56


def add(routes: Routes) -> None:
    """Add the routes of all pages of the studio."""
    routes.get(LIST, page, STAFF)
    routes.get(f"{LIST}/new", new_page, WRITING)
    routes.post(f"{LIST}/new", new, WRITING)
    knowledge_text.add(routes)
    knowledge_edit.add(routes)
    knowledge_review.add(routes)
    knowledge_releases.add(routes)


# ---- the list --------------------------------------------------------------------------------------


async def page(visit: Visit) -> HTTPResponse:
    """Everything that is said, of one kind at a time, with what can be done about each."""
    only_reads = not may_review(visit.actor)
    kind = visit.query("kind")
    kind = kind if kind in KINDS and not only_reads else "faq"
    studio = visit.console.studio
    everything = await studio.texts()
    rows = [row for row in everything if row.kind == kind]
    if only_reads:
        rows = [row for row in rows if row.is_live and not row.is_withdrawn]
    today = now().astimezone(zone_of(visit)).date().isoformat()
    wanted = {name: visit.query(name) for name in ("q", "group", "owner", "state")}
    counts = Counter(state for row in rows for state in states_of(row, today))
    shown = [row for row in rows if _fits(visit, row, wanted, today)]
    shown.sort(key=lambda row: title_of(row.kind, row.key, {"title": row.title}, visit).casefold())
    return visit.page(
        "knowledge/list.html", tab="knowledge", room="list", kind=kind, kind_names=KIND_NAMES,
        kinds=[] if only_reads else [(one, sum(row.kind == one for row in everything)) for one in KIND_NAMES],
        rows=[(row, title_of(row.kind, row.key, {"title": row.title}, visit), states_of(row, today)) for row in shown],
        total=len(rows), counts=counts, states=STATES, wanted=wanted, only_reads=only_reads,
        groups=_known(rows, "group"), owners=_known(rows, "owner"), may_write=may_write(visit.actor),
        may_add=kind in ADDED and may_write(visit.actor), done=DONE.get(visit.query("done"), ""),
    )  # fmt: skip


def states_of(row: Row, today: str) -> list[str]:
    """How a text stands: live or withdrawn, its draft, and whether somebody has to look at it again."""
    found = []
    if row.is_withdrawn:
        found.append("withdrawn")
    elif row.is_live:
        found.append("live")
    if row.draft_state in STATES:
        found.append(row.draft_state)
    if row.review_by and row.review_by < today and row.is_live:
        found.append("overdue")
    return found


def _known(rows: Sequence[Row], name: str) -> list[str]:
    return sorted({str(getattr(row, name)) for row in rows} - {""}, key=str.casefold)


def _fits(visit: Visit, row: Row, wanted: dict[str, str], today: str) -> bool:
    if wanted["group"] and row.group != wanted["group"]:
        return False
    if wanted["owner"] and row.owner != wanted["owner"]:
        return False
    if wanted["state"] in STATES and wanted["state"] not in states_of(row, today):
        return False
    words = wanted["q"].casefold().split()
    if not words:
        return True
    content = visit.core.content.current
    said = [row.title, row.key.replace("-", " ").replace("_", " "), row.group]
    said.append(title_of(row.kind, row.key, {"title": row.title}, visit))
    if row.kind == "faq" and row.key in content.faqs:
        said.append(content.faqs[row.key].answer)
    elif row.kind == "line":
        said.append(content.lines.get(row.key, ""))
    elif row.kind == "contact":
        said += map(str, content.contacts.get(row.key, {}).values())
    elif row.kind == "reply":
        said.append(str(content.replies.get(row.key, {}).get("text", "")))
    inside = " ".join(said).casefold()
    return all(word in inside for word in words)


# ---- a new one -------------------------------------------------------------------------------------


async def new_page(visit: Visit) -> HTTPResponse:
    """What is it to be, and what is it called."""
    kind = visit.query("kind")
    return _new_page(visit, kind if kind in ADDED else "faq", "")


def _new_page(visit: Visit, kind: str, title: str, status: int = 200, problem: str = "") -> HTTPResponse:
    return visit.page(
        "knowledge/new.html", status, tab="knowledge", room="list", kind=kind, title=title, problem=problem,
        kinds=[(one, KIND_NAMES[one][0]) for one in ADDED],
    )  # fmt: skip


async def new(visit: Visit) -> HTTPResponse:
    """Begin it; its name in the system is made from its title."""
    kind, title = visit.field("kind", 16), " ".join(visit.field("title", 200).split())
    kind = kind if kind in ADDED else "faq"
    studio = visit.console.studio
    try:
        key = key_from(kind, title)
        taken = {row.key for row in await studio.texts(kind)}
        free = next((one for one in _numbered(kind, key) if one not in taken), key)
        view = await studio.new_draft(kind, free, visit.actor)
        called = {"contact": "name"}.get(kind, "title")
        await studio.save(view.id, visit.actor, view.version, {**view.body, called: title})
    except RefusedError as error:
        if visit.is_part:
            raise
        return _new_page(visit, kind, title, status_of(error), str(error))
    return visit.go(f"{LIST}/drafts/{view.id}")


def key_from(kind: str, title: str) -> str:
    """The name in the system for something of that title.

    Raises:
        RefusedError: the title holds no letter of English.
    """
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    words = re.findall(r"[A-Za-z0-9]+", plain.replace("'", ""))
    joint = {"faq": "-", "reply": "_", "contact": ""}[kind]
    key = joint.join(words).lower()[:_KEY_LETTERS].rstrip("-_")
    if kind == "contact":
        key = key.upper()[:16]
    if not key or not key[0].isalpha():
        raise RefusedError("Give it a title that begins with a letter from A to Z.")
    return key


def _numbered(kind: str, key: str) -> list[str]:
    joint = {"faq": "-", "reply": "_", "contact": ""}[kind]
    return [key, *(f"{key}{joint}{number}" for number in range(2, _TRIES))]
