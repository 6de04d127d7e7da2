"""Texts inside a release: found by name, replaced, compared. Pure: rows of a release in, rows out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant.content import WITHDRAWN
from bot.errors import RefusedError
from bot.handover.queue import LARGEST_ID
from bot.knowledge.examples import tidied
from bot.knowledge.parts import KINDS, Name
from bot.store.tables import Release, ReleaseItem

Items: TypeAlias = Mapping[tuple[str, str], Mapping[str, Any]]
"""The rows of a release: (kind, key) and body."""
Body: TypeAlias = Mapping[str, Any]

PART_OF: Final = {
    "card": "cards", "reply": "replies", "outcome": "outcomes", "language": "languages", "hours": "hours",
}  # fmt: skip
"""Texts that are one key of a single item, and the item."""
WHOLE: Final = ("force", "teams", "clock", "labels")
ADDED: Final = ("faq", "reply", "contact")
"""Kinds of which a new one can be made, and one taken away."""

SPELLED_OUT: Final = frozenset({"EMERG", "SILENT", "BSL999", "ESMS", "RELAY999", "P101", "RELAY101"})
"""Contacts of danger."""
_SAFETY_LINES: Final = frozenset({
    "ask_danger", "ask_meaning", "ask_safe", "safe_yes_title", "safe_no_title", "safe_no_reply",
    "no_need_to_tell", "may_have_to_share", "holding_line", "holding_line_off_shift", "cannot_withdraw",
    "public_comment", "silent_55", "quick_exit_title",
})  # fmt: skip
_NAMES_DANGER: Final = re.compile(
    r"(?<![\d])999(?![\d])|\b18000\b|\[(?:EMERG|SILENT|BSL999|ESMS|RELAY999)(?:\.\w+)?\]"
)
_SENIOR_KINDS: Final = frozenset({"card", "language", "force", "teams", "clock"})
"""What to do in danger, who is told and how soon."""

KEYS: Final[Mapping[str, re.Pattern[str]]] = {
    "faq": re.compile(r"[a-z0-9]+(-[a-z0-9]+)*"),
    "reply": re.compile(r"[a-z][a-z0-9_]*"),
    "contact": re.compile(r"[A-Z][A-Z0-9]*"),
}
"""How the key of a new text is written."""
LONGEST_KEY: Final = 64
LONGEST_NAME: Final = 128
NO_TEXT: Final = "There is no such text."


def named(kind: str, key: str) -> Name:
    """The name of a text, as an address gives it.

    Raises:
        RefusedError: no text can be called so.
    """
    if kind not in KINDS or not 0 < len(key) <= LONGEST_NAME or not key.isprintable():
        raise RefusedError(NO_TEXT)
    return Name(kind, key)


def is_id(number: int) -> bool:
    """Whether a row can have this number."""
    return 0 < number <= LARGEST_ID


async def live_items(connection: AsyncConnection) -> tuple[int, Items]:
    """The id of the live release and its rows. Zero and nothing: there is none yet."""
    rows = (
        await connection.execute(
            select(ReleaseItem.release_id, ReleaseItem.kind, ReleaseItem.key, ReleaseItem.body)
            .join(Release, Release.id == ReleaseItem.release_id)
            .where(Release.live)
            .order_by(ReleaseItem.id)
        )
    ).all()
    return (int(rows[0].release_id) if rows else 0), {(row.kind, row.key): row.body for row in rows}


async def items_of(connection: AsyncConnection, release_id: int) -> Items:
    """The rows of one release."""
    rows = await connection.execute(
        select(ReleaseItem.kind, ReleaseItem.key, ReleaseItem.body)
        .where(ReleaseItem.release_id == release_id)
        .order_by(ReleaseItem.id)
    )
    return {(row.kind, row.key): row.body for row in rows}


def place_of(name: Name) -> list[tuple[str, str]]:
    """The rows of a release in which a text may stand."""
    if name.kind == "faq":
        return [("faq", name.key), (WITHDRAWN, name.key)]
    if name.kind in PART_OF:
        item = PART_OF[name.kind]
        return [(item, item)]
    return [(name.kind, name.key)]


def text_in(items: Items, name: Name) -> Body | None:
    """A text as a draft's body holds it; of a withdrawn answer what it said. None: there is none."""
    if name.kind == "faq":
        return items.get(("faq", name.key)) or items.get((WITHDRAWN, name.key))
    found = items.get(place_of(name)[0])
    if found is None or name.kind == "line":
        return found
    body = found.get("body")
    if name.kind == "contact":
        return body
    if name.kind in WHOLE:
        return {"value": body} if name.key == name.kind else None
    if not isinstance(body, Mapping) or name.key not in body:
        return None
    return {"value": body[name.key]} if name.kind == "hours" else body[name.key]


def is_withdrawn(items: Items, name: Name) -> bool:
    """Whether it is an answer that is withdrawn."""
    return name.kind == "faq" and (WITHDRAWN, name.key) in items


def with_text(items: Items, name: Name, body: Body | None) -> Items:
    """The rows with that text put in place of what there was; None takes it away."""
    changed = dict(items)
    if name.kind in PART_OF:
        item = PART_OF[name.kind]
        parts = dict(changed.get((item, item), {}).get("body") or {})
        if body is None:
            parts.pop(name.key, None)
        else:
            parts[name.key] = body.get("value") if name.kind == "hours" else body
        changed[item, item] = {"body": parts}
        return changed
    for place in place_of(name):
        if place[0] == WITHDRAWN or body is None:
            changed.pop(place, None)
    if body is not None:
        place = place_of(name)[0]
        if name.kind in ("faq", "line"):
            changed[place] = body
        else:
            changed[place] = {"body": body if name.kind == "contact" else body.get("value")}
    return changed


def withdraw_in(items: Items, slug: str) -> Items:
    """The rows with that answer withdrawn; its words stay among them."""
    changed = dict(items)
    body = changed.pop(("faq", slug), None)
    if body is not None:
        changed[WITHDRAWN, slug] = body
    return changed


def restore_in(items: Items, slug: str) -> Items:
    """The rows with that withdrawn answer given again."""
    changed = dict(items)
    body = changed.pop((WITHDRAWN, slug), None)
    if body is not None:
        changed["faq", slug] = body
    return changed


def names_in(items: Items) -> Iterator[Name]:
    """Every text of a release, in the order of its rows."""
    kinds = {item: kind for kind, item in PART_OF.items()}
    for (kind, key), body in items.items():
        if kind == WITHDRAWN:
            yield Name("faq", key)
        elif kind in kinds:
            for part in body.get("body") or {}:
                yield Name(kinds[kind], str(part))
        elif kind in KINDS:
            yield Name(kind, key)


def differences(before: Items, after: Items) -> list[Name]:
    """Texts that the two do not share: changed, added, taken away, withdrawn or restored."""
    names = dict.fromkeys((*names_in(before), *names_in(after)))
    return [
        name
        for name in names
        if is_withdrawn(before, name) != is_withdrawn(after, name)
        or not same(text_in(before, name), text_in(after, name))
    ]


def same(one: Body | None, other: Body | None) -> bool:
    """Whether two bodies say the same. A release of before the phrases were kept has none to compare."""
    if one is None or other is None:
        return one is other
    left, right = plain_json(one), plain_json(other)
    if "examples" not in left or "examples" not in right:
        left.pop("examples", None)
        right.pop("examples", None)
    return bool(left == right)


def plain_json(body: Body) -> dict[str, Any]:
    """The body as the database gives it back: text keys, no days."""
    return dict(json.loads(json.dumps(dict(body), default=str)))


def cleaned(value: Any) -> Any:
    """The same without what no database, file or platform takes: NUL and halves of letters."""
    if isinstance(value, str):
        return value.replace("\x00", "").replace("\r\n", "\n").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {str(cleaned(str(key))): cleaned(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(inner) for inner in value]
    return value


def settled(body: Body) -> dict[str, Any]:
    """A body as files hold it: without space around the words, and without empty phrases."""
    said = dict(body)
    for field in ("answer", "text", "title"):
        if isinstance(said.get(field), str):
            said[field] = said[field].strip()
    if isinstance(said.get("examples"), list):
        said["examples"] = [
            tidied(one) if isinstance(one, str) else one
            for one in said["examples"]
            if not isinstance(one, str) or one.strip()
        ]
    return said


def title_of(name: Name, body: Body) -> str:
    """What a text is called in a list."""
    if name.kind == "line":
        return " ".join(str(body.get("text", "")).split())[:100]
    for field in ("title", "name", "say", "label"):
        if isinstance(body.get(field), str) and body[field].strip():
            return str(body[field]).strip()
    return name.key.replace("_", " ")


def is_safety(name: Name, *bodies: Body | None) -> bool:
    """Whether a text, as it is or is to be, holds safety words: then a senior role approves it.

    An answer of mode E sends people to a person, so it counts.
    """
    if name.kind in _SENIOR_KINDS:
        return True
    if name.kind == "contact":
        return name.key in SPELLED_OUT
    if name.kind == "faq":
        return any(body is not None and str(body.get("mode", "A")) == "E" for body in bodies)
    if name.kind == "line":
        return name.key in _SAFETY_LINES or any(
            body is not None and names_danger(str(body.get("text", ""))) for body in bodies
        )
    return False


def names_danger(text: str) -> bool:
    """Whether a text says what to do in danger."""
    return _NAMES_DANGER.search(text) is not None


def kept_from_going(name: Name, body: Body) -> str | None:
    """Why a text may not be taken away, as a sentence; None: it may."""
    if name.kind not in ADDED:
        return "The system needs this text. You can change its words."
    if name.kind == "faq" and str(body.get("mode", "A")) == "E":
        return "This answer sends people to a person, so it is never taken away. You can change its words."
    if name.kind == "contact" and name.key in SPELLED_OUT:
        return "This contact is for people in danger, so it is never taken away."
    return None
