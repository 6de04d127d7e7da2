"""Help with writing: ready-made replies, approved answers, and what the guard says of a text while it is typed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sanic import HTTPResponse
from sanic.response import empty

from bot.assistant.content import Content
from bot.console.reading import read_conversation
from bot.console.visit import ANSWERING, Routes, Visit, status_of
from bot.conversations.desk import LONGEST_REPLY
from bot.conversations.outbound import LONGEST_REASON
from bot.core import Core
from bot.errors import ContentError, GuardedError, NoSuchChatError
from bot.handover.queue import may_open
from bot.knowledge.plain import FOLDER, Plain, sentences
from bot.messages import Finding
from bot.safety.guard import LiveGuard, held_back

ANSWERS_SHOWN: Final = 4
REPLIES_SHOWN: Final = 6
MOST_MARKED: Final = 12
_AROUND: Final = 30
"""Letters shown on each side of a marked phrase."""


def add(routes: Routes) -> None:
    """Add the routes."""
    chat = "/desk/c/<conversation_id:int>"
    writing = Writing(routes.console.core)
    routes.get(f"{chat}/answers", find, ANSWERING)
    routes.post(f"{chat}/check", writing.check, ANSWERING, acts=False)


# ---- finding words -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ready:
    """One ready-made reply, filled in for this conversation."""

    key: str
    group: str
    title: str
    text: str


async def find(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Replies and approved answers that hold all the words searched for; without words, all replies by group."""
    async with visit.core.store.read() as connection:
        row = await read_conversation(connection, conversation_id)
        if row is None or not await may_open(connection, row, visit.actor):
            raise NoSuchChatError
    content = visit.core.content.current.for_channel(row.channel)
    words = visit.query("q").casefold().split()
    ready = list(_ready(content, row.reference))
    if not words:
        groups: dict[str, list[Ready]] = {}
        for one in ready:
            groups.setdefault(one.group, []).append(one)
        return visit.page("parts/answers.html", groups=groups, asked=False)
    replies = _best(words, [(one.title, f"{one.group} {one.text}", one) for one in ready])
    answers = _best(words, [(faq.title, faq.answer, faq) for faq in content.faqs.values()])
    shown = [(faq.title, content.answer(faq.slug)) for faq in answers[:ANSWERS_SHOWN]]
    return visit.page(
        "parts/answers.html",
        asked=True,
        replies=replies[:REPLIES_SHOWN],
        answers=[(title, text) for title, text in shown if text is not None],
        more=len(answers) > ANSWERS_SHOWN or len(replies) > REPLIES_SHOWN,
    )


def _ready(content: Content, reference: str) -> Iterator[Ready]:
    for key, said in content.replies.items():
        try:
            yield Ready(key, str(said["group"]), str(said["title"]), content.reply(key, reference))
        except (ContentError, KeyError):
            # `frontcounter check` and publishing keep such a reply out; the others still serve.
            continue


def _best(words: Sequence[str], entries: Iterable[tuple[str, str, Any]]) -> list[Any]:
    """Entries that hold every word, those with more of them in the title first."""
    found = []
    for title, text, entry in entries:
        inside, beside = title.casefold(), text.casefold()
        if all(word in inside or word in beside for word in words):
            found.append((-sum(word in inside for word in words), title, entry))
    return [entry for _, _, entry in sorted(found, key=lambda one: one[:2])]


# ---- what is wrong with a text -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Marked:
    """One finding with the words around it, as the page shows it."""

    before: str
    phrase: str
    after: str
    severity: str
    says: str
    better: str


class Writing:
    """Answers the composer while somebody types. Keeps no text."""

    def __init__(self, core: Core) -> None:
        self._plain = Plain.load(core.settings.data / FOLDER)
        self._guard = LiveGuard(
            core.guard.lists,
            lambda: core.content.current.contacts,
            lambda: core.content.current.own_names,
            self._hints,
        )

    async def check(self, visit: Visit, conversation_id: int) -> HTTPResponse:
        """What the guard finds in a text and how to write it more plainly; nothing is stored."""
        async with visit.core.store.read() as connection:
            row = await read_conversation(connection, conversation_id)
            if row is None or not await may_open(connection, row, visit.actor):
                raise NoSuchChatError
        text = visit.field("text", LONGEST_REPLY)
        values = self.look(text, row.grade)
        if values["seen"] == visit.field("seen", 64):
            return empty(status=204)
        return visit.page("parts/writing.html", writing=values)

    def look(self, text: str, grade: str | None) -> dict[str, Any]:
        """What the guard finds in a text, and how to write it more plainly, as a page shows it."""
        return shown(text, self._guard.current.find(text), grade)

    def _hints(self, text: str) -> Iterator[Finding]:
        plain = self._plain
        ends = {at: at + len(sentence) for at, sentence in sentences(text)}
        for fault in plain.faults(text):
            if fault.check == "sentence":
                yield Finding("sentence", fault.at, ends[fault.at], "hint", fault.why, fault.better)
            else:
                kind = "jargon" if fault.check == "jargon" else "wording"
                yield Finding(kind, fault.at, fault.at + len(fault.words), "hint", fault.why, fault.better)
        age = plain.age(text)
        if age is not None and age > plain.reading_age:
            yield Finding(
                "reading age", 0, len(text), "hint",
                f"A reader of {plain.reading_age} cannot read this: it takes the age of {age:.0f}.",
                f"Use shorter words and sentences. The longest words: {', '.join(plain.hardest(text))}.",
            )  # fmt: skip


def shown(text: str, found: Sequence[Finding], grade: str | None) -> dict[str, Any]:
    """What the part under the composer needs. `seen` is the same as long as it would look the same."""
    held = len(held_back(found))
    marked = [_marked(text, one) for one in sorted(found, key=lambda one: one.severity)[:MOST_MARKED]]
    digest = hashlib.sha256(repr((marked, held, grade == "P1")).encode()).hexdigest()[:32]
    return {
        "marked": marked,
        "held": held,
        "hinted": len(found) - held,
        "warns": grade == "P1",
        "seen": digest if found else "",
    }


def _marked(text: str, one: Finding) -> Marked:
    if one.kind in ("sentence", "reading age"):
        words = text[one.start : one.end].split()
        phrase = " ".join(words[:6]) + (" …" if len(words) > 6 else "")
        return Marked("", phrase if one.kind == "sentence" else "", "", one.severity, one.says, one.better)
    before = text[: one.start].rsplit("\n", 1)[-1]
    after = text[one.end :].split("\n", 1)[0]
    if len(before) > _AROUND:
        before = "… " + before[-_AROUND:].partition(" ")[2]
    if len(after) > _AROUND:
        after = after[:_AROUND].rpartition(" ")[0] + " …"
    return Marked(before, text[one.start : one.end], after, one.severity, one.says, one.better)


def refused(visit: Visit, error: GuardedError, text: str) -> dict[str, Any]:
    """What a page shows of a reply that was held back: the marks, and the question for a reason."""
    return {
        **shown(text.strip(), error.findings, None),
        "refused": str(error),
        "reason": visit.field("override", LONGEST_REASON),
        "longest_reason": LONGEST_REASON,
    }


def refusal(visit: Visit, conversation_id: int, error: GuardedError, text: str) -> HTTPResponse:
    """The same into an open page: under the composer, which keeps its text."""
    response = visit.page(
        "parts/writing-box.html",
        status_of(error),
        row={"id": conversation_id},
        writing=refused(visit, error, text),
    )
    response.headers.update({"HX-Retarget": "#writing", "HX-Reswap": "innerHTML"})
    return response
