"""Plain forms for everything that is said: which fields each kind of text has, and what was typed into them.

A field knows where its value stands in a draft's body. What the page did not ask for stays as it is.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from bot.assistant.content import CONTACT, Content

PREFIX: Final = "f-"
"""What the names of the fields begin with: nothing else of a form is one."""
LONGEST: Final = 60_000
"""Letters of a field: hundreds of phrases are pasted at once."""
LONGEST_TEXT: Final = 10_000
"""Letters of one text: more is read by nobody, and could not be checked while somebody types."""
LONGEST_WORD: Final = 300
BLANK_ROWS: Final = 2
MOST_ROWS: Final = 200
DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
GRADES: Final = (("P1", "P1"), ("P2", "P2"), ("P3", "P3"), ("P4", "P4"))

Ask = Callable[[str], str | None]
"""One field of the form by its name; None: the form does not have it."""
AskAll = Callable[[str], Sequence[str]]
"""All values of a field that can be ticked more than once."""
Choices = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form."""

    path: tuple[str, ...]
    """Where its value stands in the body."""
    label: str
    look: str = "line"
    """line, text, lines (a list, one a line), date, number, yes_no, choice, radios, ticks, times or rows."""
    hint: str = ""
    choices: Choices = ()
    hints: Mapping[str, str] | None = None
    """What the choices mean."""
    under: str = ""
    """The heading that it stands under."""
    has_contacts: bool = False
    """Contacts may be put in."""
    tall: int = 3
    known: Sequence[str] = ()
    """What others wrote here: offered while somebody types."""
    columns: tuple[Field, ...] = ()
    """Of rows: the fields of each."""
    keeps_empty: bool = True
    """An empty value is kept as such. False: the key goes."""
    fixed: bool = False
    """Shown, not changed."""

    @property
    def name(self) -> str:
        """Its name in the form, and its id on the page."""
        return PREFIX + "-".join(re.sub(r"[^\w]", "_", part) for part in self.path)


@dataclass(frozen=True, slots=True)
class Asked:
    """A field with what stands in it."""

    field: Field
    value: str = ""
    values: tuple[str, ...] = ()
    """What is ticked."""
    rows: tuple[tuple[Asked, ...], ...] = ()
    problem: str = ""


# ---- what each kind has ----------------------------------------------------------------------------

MODES: Final = (("A", "Answer"), ("H", "Answer, and offer a person"), ("E", "Pass to a person at once"))
MODE_HINTS: Final = {
    "A": "The assistant gives this answer. It is the usual choice.",
    "H": "The assistant gives this answer and asks if the writer wants a person. "
    "Choose it where each case is different.",
    "E": "The safety words go out, and a person takes over. Choose it where somebody may be in danger.",
}
CONDITIONS: Final = (
    ("", "Always"),
    ("if live", "Only if it happens now"),
    ("if now", "Only if somebody is in danger now"),
    ("if danger", "Only if there is danger"),
    ("if harm", "Only if somebody may be harmed"),
    ("if person", "Only if it is about a person"),
)


def fields_of(
    kind: str, key: str, body: Mapping[str, Any], content: Content, categories: Choices = ()
) -> list[Field]:
    """The fields of one text, in the order of the page."""
    if kind == "faq":
        return _faq(body, content, categories)
    if kind == "line":
        return [Field(("text",), "Words", "text", _places(body.get("text")), has_contacts=True, tall=6)]
    if kind == "reply":
        groups = sorted({str(said.get("group", "")) for said in content.replies.values()})
        return [
            Field(("title",), "Title", hint="What staff read in the list."),
            Field(("group",), "Group", hint="What it is listed under.", known=groups),
            Field(("text",), "Words", "text", _places(body.get("text")), has_contacts=True, tall=6),
        ]
    if kind == "contact":
        return _contact(content)
    if kind == "card":
        return [
            Field(("do",), "What to do first", "lines", "One a line, the first thing on top.", tall=6),
            Field(("never_ask",), "What must not be asked or said", "lines", "One a line.", tall=6),
            Field(("call",), "Whom to tell", "lines", "One a line.", tall=4),
        ]
    if kind == "outcome":
        return _outcome(content)
    if kind == "language":
        return _language()
    if kind == "hours":
        return _hours(key, body.get("value"))
    return [*_walk(("value",), body.get("value"), key)]


def _faq(body: Mapping[str, Any], content: Content, categories: Choices) -> list[Field]:
    groups = sorted(
        {faq.group for faq in content.faqs.values() if faq.group} | {str(body.get("group") or "")}
    )
    owners = sorted({str(faq.body.get("owner", "")) for faq in content.faqs.values()} - {""})
    found = [
        Field(("title",), "Title", hint="What the public sees where it chooses. At most 72 letters."),
        Field(
            ("answer",), "Answer", "text", has_contacts=True, tall=14,
            hint="Short words, short sentences. Choose contacts below: they are not typed.",
        ),
        Field(
            ("examples",), "Example phrases", "lines", tall=10,
            hint="What people write when they mean this, one a line. Paste as many as you like. "
            "The assistant learns them at its next training.",
        ),
        Field(("mode",), "What the assistant does", "radios", choices=MODES, hints=MODE_HINTS),
        Field(("group",), "Group", "choice", choices=[(one, one or "Choose one") for one in groups]),
        Field(("owner",), "Owner", hint="Who says what is true here.", known=owners),
        Field(
            ("source",), "Sources", "lines", tall=3, keeps_empty=False,
            hint="Where the facts come from, one a line.",
        ),
        Field(("last_checked",), "Last checked", "date", keeps_empty=False),
        Field(
            ("review_by",), "Look at it again by", "date", keeps_empty=False,
            hint="The owner is reminded. The answer stays live.",
        ),
        Field(
            ("expires",), "Last day", "date", keeps_empty=False,
            hint="Only if it ends by itself: after this day it is not given. Most answers have none.",
        ),
        Field(
            ("verify",), "Still to be checked with the force", "yes_no", keeps_empty=False,
            hint="A fact in it has not been confirmed yet.",
        ),
    ]  # fmt: skip
    if body.get("mode") == "E":
        at = next(place for place, one in enumerate(found) if one.path == ("mode",)) + 1
        found[at:at] = [
            Field(("category",), "Kind of danger", "choice", choices=[("", "Choose one"), *categories]),
            Field(("condition",), "When a person takes over", "choice", choices=CONDITIONS, keeps_empty=False),
            Field(
                ("grade",), "Grade", "choice", choices=[("", "As the kind of danger says"), *GRADES],
                keeps_empty=False,
            ),
            Field(
                ("asks",), "The answer ends with a question, and yes means danger", "yes_no",
                keeps_empty=False,
            ),
        ]  # fmt: skip
    return found


def _contact(content: Content) -> list[Field]:
    groups = sorted({str(one.get("group", "")) for one in content.contacts.values()} - {""})
    return [
        Field(("name",), "Name"),
        Field(("say",), "Words in a sentence", hint="What stands in a text where this contact is named."),
        Field(
            ("tel",), "Number to dial", hint="Digits. Leave it empty if nobody can be called.",
            keeps_empty=False,
        ),
        Field(
            ("parts",), "Parts", "rows", keeps_empty=False,
            hint="Single numbers or addresses that a text can name, such as phone or web.",
            columns=(Field(("name",), "Name of the part"), Field(("words",), "Its words")),
        ),
        Field(("group",), "Group", known=groups, hint="What staff find it under."),
        Field(("owner",), "Who answers there", keeps_empty=False),
        Field(("notes",), "Notes for staff", "text", keeps_empty=False, tall=3),
        Field(("source",), "Sources", "lines", tall=2, keeps_empty=False, hint="One a line."),
        Field(
            ("status",), "How sure we are", "choice", keeps_empty=False,
            choices=[
                ("", "Not said"),
                ("S", "Seen in a source"),
                ("B", "Known in general"),
                ("V", "To be checked with the force"),
            ],
        ),
        Field(("verify",), "Still to be checked with the force", "yes_no", keeps_empty=False),
        Field(("local",), "For this force's area alone", "yes_no", keeps_empty=False),
    ]  # fmt: skip


def _outcome(content: Content) -> list[Field]:
    groups = sorted({str(one.get("group", "")) for one in content.contacts.values()} - {""})
    return [
        Field(("title",), "Title", hint="What staff read when they close a chat."),
        Field(("needs_note",), "What was done must be written down", "yes_no"),
        Field(("grades",), "Grades that may be closed with it", "ticks", choices=GRADES),
        Field(
            ("incident",), "The force's incident number", "choice", keeps_empty=False,
            choices=[("", "Where a crime or a risk was told"), ("always", "Always"), ("never", "Never")],
        ),
        Field(
            ("agency",), "Agencies to choose from", "ticks", keeps_empty=False,
            choices=[(group, group) for group in groups],
        ),
        Field(("linked",), "Names the other chat", "yes_no", keeps_empty=False),
    ]  # fmt: skip


def _language() -> list[Field]:
    return [
        Field(("name",), "Language"),
        Field(("danger",), "In danger, call 999", "text", "Keep 999 in digits."),
        Field(("queue",), "The message waits for a person", "text", "Keep 101 in digits."),
        Field(("no_person",), "How to say that no person is wanted", "text", keeps_empty=False),
        Field(("no",), "Words for no", "lines", "One a line.", keeps_empty=False),
        Field(("yes",), "Words for yes", "lines", "One a line.", keeps_empty=False),
        Field(("verify",), "Still to be read by somebody whose language it is", "yes_no", keeps_empty=False),
    ]


_TIMES_HINT: Final = "Such as 08:00 to 22:00. Two times with a comma between. Empty: closed."


def _days(path: tuple[str, ...], under: str = "") -> list[Field]:
    return [
        Field((*path, day), day.capitalize(), "times", _TIMES_HINT if day == "monday" else "", under=under)
        for day in DAYS
    ]


def _hours(key: str, value: Any) -> list[Field]:
    if key == "desk":
        return [
            Field(("value", "said"), "How the public reads it", hint="Such as: 8am to 10pm, every day"),
            *_days(("value", "days"), "Hours of each day"),
            Field(("value", "owner"), "Owner", keeps_empty=False),
            Field(("value", "verify"), "Still to be confirmed by the force", "yes_no", keeps_empty=False),
        ]
    if key == "exceptions":
        columns: tuple[Field, ...] = (
            Field(("date",), "Day", "date"),
            Field(("hours",), "Hours", "times", "Empty: closed"),
            Field(("reason",), "Reason"),
        )
        return [Field(("value",), "Single days that differ", "rows", columns=columns)]
    if key == "counters":
        columns = (
            Field(("name",), "Front counter"),
            Field(("address",), "Address"),
            *_days(("days",)),
            Field(("last_checked",), "Last checked", "date"),
        )
        return [
            Field(("value", "public_line"), "What the public is told", "text", has_contacts=True),
            Field(("value", "where_to_look"), "Where to look", hint="A contact in brackets."),
            Field(("value", "list"), "Front counters", "rows", columns=columns),
            Field(("value", "verify"), "Still to be confirmed by the force", "yes_no", keeps_empty=False),
        ]
    return [*_walk(("value",), value, key)]


_WORDS: Final = {
    "desk_name": "Name of the desk, as the public sees it",
    "said": "How the public reads it",
    "same_as_usual": "Open as usual on bank holidays",
    "verify": "Still to be confirmed by the force",
    "covered_by": "Covered by, while it is off shift",
    "also_at_p1": "Sees a P1 as well",
    "round_the_clock": "On shift day and night",
    "restricted": "Only its members see its chats",
    "sealed": "Only its members know of its chats",
    "approval": "A second person reads replies of these grades",
    "first_minutes": "Minutes to the first reply",
    "next_minutes": "Minutes to the next reply",
    "warn_percent": "Warn when so much of the time has passed (percent)",
    "hide": "Hide comments that hold personal data",
}


def _walk(path: tuple[str, ...], value: Any, called: str, under: str = "", depth: int = 0) -> Iterator[Field]:
    """Fields of a value that has no form of its own, by what it holds."""
    label = _WORDS.get(called) or called.replace("_", " ").strip().capitalize() or "Value"
    if isinstance(value, Mapping):
        for key, inner in value.items():
            inside = f"{under}: {label}" if under else (label if depth else "")
            yield from _walk((*path, str(key)), inner, str(key), inside, depth + 1)
    elif isinstance(value, bool):
        yield Field(path, label, "yes_no", under=under)
    elif isinstance(value, int | float):
        yield Field(path, label, "number", under=under)
    elif isinstance(value, list):
        if any(isinstance(one, Mapping | list) for one in value):
            yield Field(
                path, label, "text", "Ask whoever runs the service to change this.", under=under, fixed=True
            )
        else:
            tall = min(12, max(2, len(value)))
            yield Field(path, label, "lines", "One a line.", under=under, tall=tall)
    else:
        look = "text" if "\n" in str(value or "") or len(str(value or "")) > 90 else "line"
        yield Field(path, label, look, under=under, has_contacts=CONTACT.search(str(value or "")) is not None)


def _places(text: Any) -> str:
    places = sorted(set(re.findall(r"\{\w+\}", str(text or ""))))
    if not places:
        return ""
    return f"Leave {' and '.join(places)} as {'it is' if len(places) == 1 else 'they are'}: the system fills it in."


# ---- from a body into a form -------------------------------------------------------------------------


def asked(fields: Sequence[Field], body: Mapping[str, Any]) -> list[Asked]:
    """The fields with what stands in a body."""
    return [_asked(field, at(body, field.path)) for field in fields]


def at(body: Any, path: Sequence[str]) -> Any:
    """The value at a place; None: there is none."""
    for part in path:
        if not isinstance(body, Mapping):
            return None
        body = body.get(part)
    return body


def _asked(field: Field, value: Any) -> Asked:
    if field.look == "rows":
        lines = _rows_of(value)
        return Asked(field, rows=tuple(_row(field, number, line) for number, line in enumerate(lines)))
    if field.look == "ticks":
        return Asked(field, values=tuple(map(str, value)) if isinstance(value, list) else ())
    return Asked(field, shown(field, value))


def _rows_of(value: Any) -> list[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        return [{"name": name, "words": words} for name, words in value.items()]
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _row(field: Field, number: int, line: Mapping[str, Any]) -> tuple[Asked, ...]:
    return tuple(
        Asked(
            replace(column, path=(*field.path, str(number), *column.path)),
            shown(column, at(line, column.path)),
        )
        for column in field.columns
    )


def blank_rows(field: Field, have: int) -> list[tuple[Asked, ...]]:
    """Empty rows to fill in."""
    return [_row(field, have + number, {}) for number in range(BLANK_ROWS)]


def shown(field: Field, value: Any) -> str:
    """A value as words of the page."""
    if value is None:
        return ""
    if field.look == "yes_no":
        return "yes" if value is True else ""
    if field.look == "times":
        return times_in_words(value)
    if isinstance(value, list):
        return "\n".join(map(str, value))
    if isinstance(value, Mapping):
        return "\n".join(f"{name}: {words}" for name, words in value.items())
    return str(value)


def times_in_words(value: Any) -> str:
    """Opening times as somebody writes them; empty: closed."""
    if not isinstance(value, list):
        return ""
    return ", ".join(
        f"{one.get('opens')} to {one.get('closes')}" for one in value if isinstance(one, Mapping)
    )


def in_words(fields: Sequence[Field], body: Mapping[str, Any] | None) -> list[tuple[Field, str]]:
    """Everything that a body holds, field by field, as text: for reading, and for a comparison."""
    found = []
    for one in asked(fields, body or {}):
        if one.field.look == "rows":
            rows = (
                ", ".join(f"{cell.field.label}: {cell.value}" for cell in row if cell.value)
                for row in one.rows
            )
            found.append((one.field, "\n".join(rows)))
        elif one.field.look == "ticks":
            found.append((one.field, ", ".join(one.values)))
        elif one.field.look == "yes_no":
            found.append((one.field, "Yes" if one.value else "No"))
        elif one.field.look in ("choice", "radios"):
            found.append((one.field, dict(one.field.choices).get(one.value, one.value)))
        else:
            found.append((one.field, one.value))
    return found


# ---- from a form into a body -------------------------------------------------------------------------


def taken(
    fields: Sequence[Field], body: Mapping[str, Any], ask: Ask, ask_all: AskAll
) -> tuple[dict[str, Any], dict[str, str]]:
    """The body with what the form says, and what could not be read of it, by the fields' names.

    Only fields that the form has are changed; one that cannot be read keeps what stood there.
    """
    new: dict[str, Any] = copy.deepcopy(dict(body))
    problems: dict[str, str] = {}
    for field in fields:
        # An emptied field is not sent along: the form says beside each that it has it.
        if field.fixed or ask(f"{field.name}-here") is None:
            continue
        before = at(new, field.path)
        if field.look not in ("rows", "ticks") and _same(ask(field.name) or "", shown(field, before)):
            # To open a page and save it changes nothing: neither a space nor an empty key.
            continue
        try:
            value = _taken(field, before, ask, ask_all)
        except ValueError as error:
            problems[field.name] = str(error)
            continue
        _put(new, field.path, value, keep=field.keeps_empty)
    return new, problems


def _same(typed: str, stood: str) -> bool:
    return typed.replace("\r\n", "\n").strip() == stood.strip()


def _taken(field: Field, before: Any, ask: Ask, ask_all: AskAll) -> Any:
    if field.look == "rows":
        return _taken_rows(field, before, ask)
    if field.look == "ticks":
        ticked = [value for value in ask_all(field.name) if value in dict(field.choices)]
        had = [value for value in map(str, before or ()) if value in ticked]
        return [*had, *(value for value in ticked if value not in had)]
    return _read(field, ask(field.name) or "", before)


def _taken_rows(field: Field, before: Any, ask: Ask) -> Any:
    lines = []
    many = ask(f"{field.name}-here") or ""
    for number in range(min(int(many), MOST_ROWS) if re.fullmatch(r"[0-9]{1,4}", many) else 0):
        cells = _row(field, number, {})
        typed = {cell.field.name: ask(cell.field.name) or "" for cell in cells}
        if not any(value.strip() for value in typed.values()):
            continue
        line: dict[str, Any] = {}
        for cell, column in zip(cells, field.columns, strict=True):
            value = _read(column, typed[cell.field.name], None)
            if value or column.look == "times":
                _put(line, column.path, value, keep=True)
        lines.append(line)
    if not any(column.path == ("words",) for column in field.columns):
        return lines
    if any(not line.get("name") or not line.get("words") for line in lines):
        raise ValueError("Give each part a name and its words, or empty both.")
    return {line["name"]: line["words"] for line in lines}


def _read(field: Field, typed: str, before: Any) -> Any:
    text = typed.replace("\r\n", "\n").replace("\r", "\n")
    if re.search(rf"\S{{{LONGEST_WORD + 1}}}", text):
        raise ValueError(f"One word has more than {LONGEST_WORD} letters. Put spaces in, or take it out.")
    if field.look != "lines" and len(text) > LONGEST_TEXT:
        raise ValueError(f"This has {len(text)} letters. Use {LONGEST_TEXT} at most.")
    if field.look == "lines":
        return [line.strip() for line in text.split("\n") if line.strip()]
    if field.look == "yes_no":
        return text == "yes"
    if field.look == "times":
        return read_times(text)
    if field.look == "number":
        return _number(text.strip(), before)
    if field.look == "text":
        return text.rstrip()
    return " ".join(text.split())


def _number(text: str, before: Any) -> int | float:
    if not re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,4})?", text):
        raise ValueError("Write a number, such as 30.")
    number = float(text)
    return int(number) if number.is_integer() and not isinstance(before, float) else number


_TIME: Final = re.compile(
    r"([01]?[0-9]|2[0-4])[:.]([0-5][0-9])\s*(?:to|until|-|–)\s*([01]?[0-9]|2[0-4])[:.]([0-5][0-9])"
)


def read_times(text: str) -> list[dict[str, str]]:
    """Opening times that somebody wrote; none: closed.

    Raises:
        ValueError: they cannot be read; says how to write them.
    """
    found = []
    for part in re.split(r"[,;\n]| and ", text):
        words = part.strip().casefold()
        if words in ("", "closed"):
            continue
        read = _TIME.fullmatch(words)
        if read is None:
            raise ValueError("Write the hours as in 08:00 to 22:00, or leave them empty for a closed day.")
        opens, closes = f"{int(read[1]):02}:{read[2]}", f"{int(read[3]):02}:{read[4]}"
        if max(opens, closes) > "24:00":
            raise ValueError("Write times of one day, from 00:00 to 24:00.")
        found.append({"opens": opens, "closes": closes})
    return found


def _put(body: dict[str, Any], path: Sequence[str], value: Any, *, keep: bool) -> None:
    for part in path[:-1]:
        inner = body.get(part)
        if not isinstance(inner, dict):
            inner = body[part] = {}
        body = inner
    if keep or value:
        body[path[-1]] = value
    elif body.get(path[-1]):
        body.pop(path[-1], None)


def with_contacts(body: dict[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """An answer's body: its list of contacts is what the answer names, where that changed; what belongs to
    danger alone stays with danger.
    """
    if body.get("answer") != before.get("answer"):
        named = list(dict.fromkeys(found[1] for found in CONTACT.finditer(str(body.get("answer") or ""))))
        had = [str(key) for key in body.get("contacts") or [] if str(key) in named]
        body["contacts"] = [*had, *(key for key in named if key not in had)]
    if body.get("mode") != "E":
        for key in ("category", "condition", "grade", "asks"):
            body.pop(key, None)
    return body
