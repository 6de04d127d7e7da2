"""What is wrong with one text, as if it were live: what keeps it from going live, and what only warns.

The same checks as `frontcounter check` makes of the files, of one text that somebody writes.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from bot.assistant.content import Content, content_from_items
from bot.assistant.sources import FaqMetadata, Reply
from bot.conversations.comment_rule import CommentRule
from bot.conversations.samples import setting as daily_sample
from bot.conversations.silence import silent_after
from bot.errors import ContentError
from bot.handover.clock import ReplyLimits
from bot.handover.incident import IncidentRule
from bot.knowledge.examples import unfit
from bot.knowledge.parts import LEAST_EXAMPLES, LONGEST_TITLE, Finding, Name
from bot.knowledge.plain import Plain
from bot.knowledge.texts import Items, names_danger, text_in, with_text
from bot.knowledge.wording import Text, check_answer, check_texts

_BLOCKS: Final = frozenset({"typed contact", "contact key", "contact list", "offer"})
"""Checks of `wording.py` that keep a text from going live, beside the rules of disclosure."""
_QUOTED: Final = re.compile("“([^”]*)”")
ALWAYS_FILLED: Final = frozenset({"desk", "force", "hours"})
"""What the system fills into every sentence."""


def findings(
    kind: str, key: str, body: Mapping[str, Any], content: Content, plain: Plain, *, today: date | None = None
) -> list[Finding]:
    """Everything about one text, as if `content` (what is live) held it; what blocks comes first.

    `today` is the day on the force's clock, by which a last day may be past.
    """
    items = {(kind_, key_): body_ for kind_, key_, body_ in content.items()}
    return found_in(Name(kind, key), body, items, plain, today)


def found_in(
    name: Name, body: Mapping[str, Any], items: Items, plain: Plain, today: date | None
) -> list[Finding]:
    """The same, of the rows of a release."""
    live = text_in(items, name)
    found = [*_shape(name, body, live, today)]
    candidate: Content | None = None
    if not any(one.blocks for one in found):
        candidate, faults = _release(with_text(items, name, body))
        found += [Finding(True, "", "release", fault, "Mend this first.") for fault in faults]
    # What cannot be released yet is held to the register that is live.
    register = candidate or _release(items)[0]
    if register is not None:
        never = {habit.id for habit in plain.disclosure}
        for one in _words(name, body, plain, register):
            blocks = one.check in _BLOCKS or one.check in never
            found.append(
                Finding(
                    blocks, one.key, one.check, one.words, one.better, one.line, _exactly(one.words)
                )
            )  # fmt: skip
    found += _advice(name, body)
    return sorted(dict.fromkeys(found), key=lambda one: (not one.blocks, one.field, one.line))


def _exactly(words: str) -> str:
    """The words of the text that a finding begins with, between quotation marks."""
    quoted = _QUOTED.match(words)
    return quoted[1].removesuffix(" …") if quoted is not None else ""


def deletion_findings(name: Name, items: Items) -> list[Finding]:
    """What would break if a text were taken away."""
    _, faults = _release(with_text(items, name, None))
    return [Finding(True, "", "release", fault, "Mend this first.") for fault in faults]


def faults_of(content: Content) -> list[str]:
    """What the system could not run with, as sentences."""
    found = content.faults()
    for read in (
        lambda: ReplyLimits.of(content.clock, content.hours, content.teams),
        lambda: silent_after(content.clock),
        lambda: IncidentRule.of(content.force),
        lambda: CommentRule.of(content.force),
        lambda: daily_sample(content.force),
    ):
        try:
            read()
        except ContentError as error:
            found.append(str(error))
    return found


def _release(items: Items) -> tuple[Content | None, list[str]]:
    try:
        content = content_from_items([(kind, key, dict(body)) for (kind, key), body in items.items()])
        return content, faults_of(content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return None, [f"This cannot be read: {error!r} is missing or wrong."]


# ---- form -------------------------------------------------------------------------------------------


def _shape(
    name: Name, body: Mapping[str, Any], live: Mapping[str, Any] | None, today: date | None
) -> Iterator[Finding]:
    if name.kind == "faq":
        yield from _faq(body, today)
    elif name.kind == "reply":
        yield from _modelled(Reply, body)
    elif name.kind == "line":
        yield from _line(body, live)
    elif name.kind == "contact":
        yield from _contact(body)
    elif name.kind == "card":
        for part in ("do", "never_ask", "call"):
            if not _is_texts(body.get(part, [])):
                yield _block(part, "A card holds lists of short texts.", "Write one thing a line.")
        if not body.get("do"):
            yield _block("do", "The card does not say what to do.", "Write what to do first.")


def _block(field: str, words: str, better: str, line: int = 1) -> Finding:
    return Finding(True, field, "form", words, better, line)


def _faq(body: Mapping[str, Any], today: date | None) -> Iterator[Finding]:
    meta = {field: value for field, value in body.items() if field != "examples"}
    yield from _modelled(FaqMetadata, meta)
    title = body.get("title")
    if isinstance(title, str) and len(title) > LONGEST_TITLE:
        yield _block(
            "title", f"The title has {len(title)} letters. Some apps cut it off.",
            f"Use {LONGEST_TITLE} letters at most.",
        )  # fmt: skip
    if isinstance(title, str) and "\n" in title.strip():
        yield _block("title", "The title has more than one line.", "Write it on one line.")
    if not _is_texts(body.get("examples", [])):
        yield _block("examples", "The example phrases are no list of texts.", "Write one phrase a line.")
    else:
        for one in unfit(body.get("examples", [])):
            yield Finding(True, "examples", "examples", one.words, one.better, one.place + 1, one.phrase)
    expires = body.get("expires")
    if today is not None and isinstance(expires, str) and expires and expires < today.isoformat():
        yield _block("expires", "The last day of this answer has passed.", "Set a later day, or remove it.")


def _modelled(model: type[BaseModel], body: Mapping[str, Any]) -> Iterator[Finding]:
    try:
        model.model_validate(dict(body))
    except ValidationError as error:
        for one in error.errors(include_url=False):
            field = str(one["loc"][0]) if one["loc"] else ""
            known = model.model_fields.get(field)
            if one["type"] == "value_error":
                said = str(one["ctx"]["error"])
                yield _block(field, f"{said[:1].upper()}{said[1:]}.", "Mend this.")
            elif known is None:
                yield _block(field, f"'{field}' is not known here.", "Remove it.")
            elif one["type"] == "missing":
                yield _block(field, f"'{field}' is missing.", f"Add it: {_described(known)}.")
            else:
                yield _block(field, f"'{field}' is not as it must be.", f"Write {_described(known)}.")


def _described(field: Any) -> str:
    told = field.description or next(
        (one.description for one in field.metadata if getattr(one, "description", None)), "text"
    )
    return str(told)


def _line(body: Mapping[str, Any], live: Mapping[str, Any] | None) -> Iterator[Finding]:
    text = body.get("text")
    if not isinstance(text, str) or not text.strip() or set(body) != {"text"}:
        yield _block("text", "There are no words.", "Write the sentence.")
        return
    if live is None:
        yield _block("text", "The system knows no sentence of this name.", "Choose one from the list.")
        return
    before = str(live.get("text", ""))
    if names_danger(before) and not names_danger(text):
        yield _block(
            "text", "These words said what to do in danger. Now they do not.", "Say again to call 999.",
        )  # fmt: skip
    places = _places(text)
    if places is None:
        yield _block(
            "text", "A curly bracket stands alone.", "Write {desk}, {force} or {hours}, or no such bracket.",
        )  # fmt: skip
        return
    for place in sorted(places - ALWAYS_FILLED - (_places(before) or set())):
        yield _block(
            "text", f"Nothing is filled in for {{{place}}} here.",
            "Write {desk}, {force} or {hours}, or no such bracket.",
        )  # fmt: skip


def _places(text: str) -> set[str] | None:
    """The names of what is filled in; None: the text could not be filled in at all."""
    try:
        parsed = list(string.Formatter().parse(text))
    except ValueError:
        return None
    names = {name for _, name, _, _ in parsed if name is not None}
    plain = all(not spec and not conversion for _, name, spec, conversion in parsed if name is not None)
    return names if plain and all(name.isidentifier() for name in names) else None


def _contact(body: Mapping[str, Any]) -> Iterator[Finding]:
    if not isinstance(body.get("say"), str) or not str(body.get("say")).strip():
        yield _block("say", "There are no words for this contact.", "Write what stands in a sentence for it.")
    parts = body.get("parts") or {}
    if not isinstance(parts, Mapping) or not all(
        isinstance(value, str) and value.strip() for value in parts.values()
    ):
        yield _block("parts", "A part of this contact has no words.", "Write each part as text.")
    tel = body.get("tel")
    if tel is not None and not (
        isinstance(tel, str) and tel.replace(" ", "").removeprefix("+").isdecimal()
    ):  # fmt: skip
        yield _block("tel", "The number to dial holds something else than digits.", "Write digits only.")


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) and one.strip() for one in value)


# ---- words ------------------------------------------------------------------------------------------


def _words(name: Name, body: Mapping[str, Any], plain: Plain, content: Content) -> Iterator[Any]:
    texts = list(texts_of(name, body))
    yield from check_texts(texts, plain, content)
    if name.kind == "faq":
        given = body.get("contacts")
        listed = [str(one) for one in given] if isinstance(given, list) else []
        yield from check_answer(texts[0], listed, str(body.get("mode", "A")), 1)


def texts_of(name: Name, body: Mapping[str, Any]) -> Iterator[Text]:
    """The words of a text that somebody reads, by field."""

    def text(field: str, words: Any, kind: str, beside: str = "") -> Text:
        return Text("", 1, field, str(words), kind, is_block=True, beside=beside)

    if name.kind == "faq":
        yield text("answer", body.get("answer", ""), "answer")
        yield text("title", body.get("title", ""), "title", str(body.get("answer", "")))
    elif name.kind == "line":
        yield text("text", body.get("text", ""), "sentence")
    elif name.kind == "reply":
        yield text("text", body.get("text", ""), "reply")
    elif name.kind == "card":
        for part in ("do", "never_ask"):
            given = body.get(part)
            for line, words in enumerate(given if isinstance(given, list) else (), 1):
                one = text(part, words, "card" if part == "do" else "not to say")
                yield Text("", line, one.key, one.body, one.kind)
    elif name.kind == "hours" and name.key == "counters" and isinstance(body.get("value"), Mapping):
        yield text("value", body["value"].get("public_line", ""), "sentence")


def _advice(name: Name, body: Mapping[str, Any]) -> Iterator[Finding]:
    given = body.get("examples")
    examples = list(given) if isinstance(given, list) else []
    if name.kind != "faq" or not _is_texts(examples):
        return
    phrases = [" ".join(one.casefold().split()) for one in examples]
    if len(phrases) < LEAST_EXAMPLES:
        yield Finding(
            False, "examples", "examples", f"There are {len(phrases)} example phrases. The assistant may guess.",
            f"Write {LEAST_EXAMPLES} or more, as people really ask.",
        )  # fmt: skip
    for line, phrase in enumerate(phrases, 1):
        if phrase in phrases[: line - 1]:
            yield Finding(
                False, "examples", "examples", f"“{phrase}” stands here twice.", "Remove one of them.", line,
                examples[line - 1],
            )  # fmt: skip
