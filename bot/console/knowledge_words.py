"""What the pages of the knowledge studio call things, and how they show words: marked, rendered, compared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from bot.assistant.content import CONTACT, Content
from bot.console.knowledge_forms import Field, fields_of, in_words
from bot.console.visit import Visit
from bot.errors import ContentError, RefusedError
from bot.knowledge.difference import Piece, difference
from bot.knowledge.studio import KINDS, DraftView, Finding, Name

KIND_NAMES: Final = {
    "faq": ("Answer", "Answers"),
    "line": ("System sentence", "System sentences"),
    "contact": ("Contact", "Contacts"),
    "reply": ("Reply of staff", "Replies of staff"),
    "card": ("Advice card", "Advice cards"),
    "hours": ("Hours", "Hours"),
    "language": ("Language", "Languages"),
    "outcome": ("Outcome of a chat", "Outcomes of a chat"),
    "labels": ("Labels", "Labels"),
    "teams": ("Teams", "Teams"),
    "clock": ("Reply times", "Reply times"),
    "force": ("The force", "The force"),
}
STATES: Final = {
    "live": "Live",
    "draft": "Draft",
    "in_review": "In review",
    "approved": "Approved, waits for its time",
    "withdrawn": "Withdrawn",
    "overdue": "Review date passed",
    "discarded": "Discarded",
}
ORIGINS: Final = {
    "files": "Read from the files",
    "studio": "Approved here",
    "withdrawal": "An answer was withdrawn",
    "restore": "An answer was brought back",
    "expiry": "An answer's last day passed",
    "rollback": "An earlier release was made live again",
}
ADDED: Final = ("faq", "reply", "contact")
"""Kinds of which there can be new ones."""
DONE: Final = {
    "live": "It is live. New messages get these words.",
    "withdrawn": "It is withdrawn. The assistant does not give it any more.",
    "restored": "It is live again.",
    "discarded": "The draft is discarded. It stays in the history.",
    "back": "The earlier release is live again.",
}
KEY_NAMES: Final = {
    "timezone": "Time zone",
    "desk": "Hours of the desk",
    "bank_holidays": "Bank holidays",
    "exceptions": "Days that differ",
    "counters": "Front counters",
    "force": "The force",
    "teams": "Teams",
    "clock": "Reply times",
    "labels": "Labels",
}
FOR_WRITERS: Final = {
    "Put it into contacts.yml with its source, and write its key.": "Choose a contact from the list. If it is not "
    "there, write it as a new contact first.",
    "Put it into contacts.yml, or name another.": "Choose a contact from the list.",
    "Write [KEY] or [KEY.part] as contacts.yml has them.": "Choose a contact from the list.",
    "An answer of mode H ends with the offer of a person.": "Here the assistant offers a person, so the answer "
    "ends with that offer.",
}
"""What the checks of the files say, for somebody who sees no files."""
MOST_FOUND: Final = 40
"""Findings that a page shows."""
_AROUND: Final = 30
"""Letters on each side of a marked phrase."""
_QUOTED: Final = re.compile("“([^”]+)”")


def known_kind(kind: str) -> str:
    """A kind of text.

    Raises:
        RefusedError: there is none of that name.
    """
    if kind not in KINDS:
        raise RefusedError("There are no such texts. Choose a kind from the list.")
    return kind


def title_of(kind: str, key: str, body: Mapping[str, Any] | None, visit: Visit) -> str:
    """What a text is called on a page."""
    if kind == "card":
        return visit.console.pages.category_name(key)
    if kind in ("hours", "force", "teams", "clock", "labels"):
        return KEY_NAMES.get(key, key.replace("_", " ").capitalize())
    if kind == "line":
        return key.replace("_", " ").capitalize()
    return str((body or {}).get("title") or (body or {}).get("name") or key)


def path_of(kind: str, key: str) -> str:
    """The page of a text."""
    return f"/desk/knowledge/text/{kind}/{key}"


def categories(visit: Visit) -> list[tuple[str, str]]:
    """The kinds of danger, by what staff call them."""
    return [(key, f"{key}: {one.name}") for key, one in sorted(visit.core.screen.categories.items())]


def fields(visit: Visit, kind: str, key: str, body: Mapping[str, Any]) -> list[Field]:
    """The fields of one text."""
    return fields_of(kind, key, body, visit.core.content.current, categories(visit))


# ---- findings ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Marked:
    """One finding, with the words around what was found."""

    blocks: bool
    field: str
    """The id of the field on the page; empty: it is about the whole."""
    label: str
    says: str
    better: str
    before: str = ""
    phrase: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Help:
    """What a page says of a text while it is written, and how it reads."""

    marked: Sequence[Marked]
    more: int
    blocks: int
    hints: int
    preview: str
    preview_problem: str

    @property
    def told(self) -> str:
        """It in a sentence."""
        if not self.blocks and not self.hints:
            return "Nothing to mend."
        found = []
        if self.blocks:
            found.append(f"{self.blocks} to mend before this can go live")
        if self.hints:
            found.append(f"{self.hints} {'hint' if self.hints == 1 else 'hints'}")
        return f"{' and '.join(found)}."


def help_with(
    visit: Visit, kind: str, body: Mapping[str, Any], found: Sequence[Finding], named: Sequence[Field]
) -> Help:
    """The findings of a text as a page shows them, and its preview."""
    content = visit.core.content.current
    text, problem = preview(kind, body, content)
    return Help(
        marked=[_marked(one, body, named) for one in found[:MOST_FOUND]],
        more=max(0, len(found) - MOST_FOUND),
        blocks=sum(one.blocks for one in found),
        hints=sum(not one.blocks for one in found),
        preview=text,
        preview_problem=problem,
    )


def _marked(one: Finding, body: Mapping[str, Any], named: Sequence[Field]) -> Marked:
    field = next((field for field in named if field.path[0] == one.field), None)
    label, at = (field.label, field.name) if field is not None else ("", "")
    # A long sentence is quoted by its first words.
    quoted = _QUOTED.search(one.words)
    phrase = one.found or (quoted[1].removesuffix("…").strip() if quoted else "")
    says = one.words.replace(f"{quoted[0]}. ", "", 1) if quoted else one.words
    says, better = FOR_WRITERS.get(says, says), FOR_WRITERS.get(one.better, one.better)
    if one.check == "typed contact" and better.startswith("Write ["):
        better = f"Choose {better.removeprefix('Write ').removesuffix('.')} from the list of contacts."
    value = body.get(one.field)
    lines = value if isinstance(value, list) else str(value or "").split("\n")
    text = str(lines[one.line - 1]) if 0 < one.line <= len(lines) else ""
    start = text.find(phrase) if phrase else -1
    if start < 0:
        # Of a card's line, or a sentence that ends on the next one: the words alone.
        return Marked(one.blocks, at, label, says, better, "", phrase, "")
    before, after = text[:start], text[start + len(phrase) :]
    if len(before) > _AROUND:
        before = "… " + before[-_AROUND:].partition(" ")[2]
    if len(after) > _AROUND:
        after = after[:_AROUND].rpartition(" ")[0] + " …"
    return Marked(one.blocks, at, label, says, better, before, phrase, after)


def preview(kind: str, body: Mapping[str, Any], content: Content) -> tuple[str, str]:
    """How a text reads with its contacts filled in, and what cannot be filled in."""
    named = {"faq": "answer", "line": "text", "reply": "text", "contact": "say"}.get(kind)
    if named is None:
        return "", ""
    text = str(body.get(named) or "")
    known = {"{desk}": content.desk_name, "{hours}": str(content.hours.get("desk", {}).get("said", ""))}
    for place, words in known.items():
        text = text.replace(place, words)
    try:
        return content.render(text), ""
    except ContentError as error:
        return text, str(error)


# ---- contacts ----------------------------------------------------------------------------------------


def contact_choices(content: Content) -> list[tuple[str, list[tuple[str, str]]]]:
    """What can be put into a text, by group: [KEY] or [KEY.part], and what it is."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for key, contact in sorted(content.contacts.items(), key=lambda one: str(one[1].get("name", one[0]))):
        name = str(contact.get("name") or key)
        into = groups.setdefault(str(contact.get("group") or "Others"), [])
        into.append((f"[{key}]", f"{name}: {contact.get('say', '')}"))
        into += [
            (f"[{key}.{part}]", f"{name}, {str(part).replace('_', ' ')}: {words}")
            for part, words in dict(contact.get("parts") or {}).items()
            if CONTACT.fullmatch(f"[{key}.{part}]")
        ]
    return sorted(groups.items())


# ---- differences -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Changed:
    """One field in which two texts differ, word by word."""

    name: str
    label: str
    pieces: Sequence[Piece]
    old: str
    new: str

    @property
    def told(self) -> str:
        """How much it is, for somebody who does not see colours."""
        added = sum(piece.change == "added" for piece in self.pieces)
        taken = sum(piece.change == "taken" for piece in self.pieces)
        return f"{added} added, {taken} taken away"


def changes(
    visit: Visit, kind: str, key: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None
) -> list[Changed]:
    """The fields in which two bodies differ, in the order of the form."""
    merged = {**(old or {}), **(new or {})}
    if kind == "faq" and "E" in ((old or {}).get("mode"), (new or {}).get("mode")):
        merged["mode"] = "E"
    named = fields(visit, kind, key, merged)
    # Fields of a value that has no form of its own: what either of them holds.
    for body in (old, new):
        have = {field.name for field in named}
        named += [field for field in fields(visit, kind, key, body or {}) if field.name not in have]
    before, after = in_words(named, old), in_words(named, new)
    found = []
    for (field, was), (_, is_) in zip(before, after, strict=True):
        if was != is_ and not (not was and is_ == "No" and field.look == "yes_no"):
            label = f"{field.under}: {field.label}" if field.under else field.label
            found.append(Changed(field.name, label, difference(was, is_), was, is_))
    return found


def plain_changes(visit: Visit, view: DraftView) -> list[Changed]:
    """What a draft changes of what is live."""
    return changes(visit, view.kind, view.key, view.live_body, None if view.is_deletion else view.body)


# ---- small things ------------------------------------------------------------------------------------


def zone_of(visit: Visit) -> ZoneInfo:
    """The force's clock."""
    return ZoneInfo(str(visit.core.content.current.hours.get("timezone", "Europe/London")))


def told_at(visit: Visit) -> datetime | None:
    """The moment that a form names by day and time on the force's clock; None: it names none.

    Raises:
        RefusedError: it cannot be read.
    """
    if visit.field("when", 8) != "later":
        return None
    try:
        moment = datetime.fromisoformat(f"{visit.field('day', 10)}T{visit.field('time', 5)}")
        return moment.replace(tzinfo=zone_of(visit))
    except (ValueError, OverflowError) as error:
        raise RefusedError("Choose a day and a time at which it goes live, or choose now.") from error


def named_in(visit: Visit, names: Sequence[Name]) -> Iterator[tuple[str, str]]:
    """Texts by what staff call them, with their pages."""
    content = visit.core.content.current
    for name in names:
        known: Mapping[str, Any] = {}
        if name.kind == "faq" and name.key in content.faqs:
            known = {"title": content.faqs[name.key].title}
        elif name.kind == "contact":
            known = content.contacts.get(name.key, {})
        elif name.kind == "reply":
            known = content.replies.get(name.key, {})
        title = title_of(name.kind, name.key, known, visit)
        yield (
            f"{KIND_NAMES[name.kind][0] if name.kind in KIND_NAMES else name.kind}: {title}",
            path_of(*_pair(name)),
        )


def _pair(name: Name) -> tuple[str, str]:
    return name.kind, name.key
