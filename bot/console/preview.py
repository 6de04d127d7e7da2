"""How an answer looks on each channel: for who writes the words, before anybody reads them.

The very renderer of the channels shows it (`bot/channels/render.py`). Nothing is stored, nothing is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from sanic import HTTPResponse

from bot.assistant import Content
from bot.channels.layouts import LAYOUTS
from bot.channels.render import Around, Choice, Layout, Shown, render
from bot.channels.webchat.links import Linker, Piece
from bot.console.visit import Routes, Visit
from bot.conversations.comment_words import opening
from bot.conversations.words import NONE_OF_THESE, PERSON, SAFE_NO, SAFE_YES, WITHDRAW
from bot.core import Core
from bot.errors import ContentError, RefusedError
from bot.messages import COMMENTS, SITE, URGENT, Button, OutboundKind, Outgoing

PREVIEWING = frozenset({"comms", "supervisor"})
LONGEST_TEXT = 5000
MOST_CHOICES = 12
LONGEST_CHOICE = 80
SHOWN_OF_A_SENTENCE = 70

_REFERENCE = "FC-ABCD2345"
"""Stands where a chat has its reference."""
_OF_THE_PAGE = frozenset(
    {"opening_danger", "opening_silent", "opening_can", "opening_hours", "opening_privacy", "opening_description",
     "ask_something", "demo_banner"}
)  # fmt: skip
_PUBLIC = frozenset({"public_danger", "public_comment"})
_UNDER_POSTS = ("public_", "comment_")
_IN_PRIVATE = frozenset(
    {"automated_mark", "block_999", "danger_line", "handed_over_default", "holding_line",
     "holding_line_off_shift", "not_english", "queued_off_shift"}
)  # fmt: skip
"""Sentences that a private reply to a comment may hold, beside its own."""
_NOTICES = frozenset({"closed", "joined", "released", "requeued", "transferred", "warned"})
_SAFETY = frozenset({"block_999", "danger_line", "public_danger"})
_OFFERED: dict[str, tuple[tuple[str, str], ...]] = {
    "not_understood": (("talk_to_person", PERSON),),
    "out_of_scope": (("talk_to_person", PERSON),),
    "did_you_mean": (("none_of_these", NONE_OF_THESE),),
    "withdraw_offer": (("withdraw_title", WITHDRAW),),
    "triage_ask_now": (("triage_yes", "y"), ("triage_no", "n"), ("triage_not_sure", "u")),
    "triage_ask_hurt": (("triage_yes", "y"), ("triage_no", "n"), ("triage_not_sure", "u")),
    "thumbs_ask": (("thumbs_up_title", "y"), ("thumbs_down_title", "n")),
}
"""What stands under a sentence, by the key of its words."""


@dataclass(frozen=True, slots=True)
class Said:
    """One message, as the record would have it."""

    text: str
    kind: OutboundKind = "assistant"
    buttons: tuple[Button, ...] = ()
    heading: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is looked at. `say` gives its messages in a channel's own words; `key`: it is this sentence."""

    title: str
    say: Callable[[Content, str], list[Said]]
    key: str = ""
    in_danger: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One message that leaves, cut where links and numbers stand in it."""

    pieces: list[Piece]
    length: int
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """All that leaves for one row."""

    heading: str
    parts: list[Part]
    unit: str
    choices: tuple[Choice, ...] = ()
    opens_list: str = ""
    lost: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """One channel: what it shows, and what it cannot do."""

    name: str
    title: str
    is_on: bool
    messages: list[Message] = field(default_factory=list)
    tapped: str = ""
    notes: list[str] = field(default_factory=list)
    absent: str = ""


def add(routes: Routes) -> None:
    """Add the routes."""
    routes.get("/desk/preview", page, PREVIEWING)
    routes.post("/desk/preview", own_text, PREVIEWING)


async def page(visit: Visit) -> HTTPResponse:
    """An answer, a sentence or the words of a danger, chosen from the live release."""
    core, content = visit.core, visit.core.content.current
    slug, key, category = visit.query("answer"), visit.query("sentence"), visit.query("danger")
    if not (slug or key or category):
        return _page(visit)
    if content.answer(slug) is not None:
        asked = _answer(content, slug)
    elif key in dict(_sentences(content)):
        asked = _sentence(content, key)
    elif category in core.screen.categories:
        asked = _danger(core, category)
    else:
        return _page(visit, status=422, problem="Choose one from the list.")
    return _page(visit, asked, first=visit.query("first") == "yes")


async def own_text(visit: Visit) -> HTTPResponse:
    """A text that somebody has typed. It is shown once more, and kept nowhere."""
    text, lines = visit.field("text", LONGEST_TEXT).strip(), visit.field("choices", 2000).splitlines()
    titles = [line.strip() for line in lines if line.strip()]
    try:
        if not text:
            raise RefusedError("Write the text that you want to see.")
        if len(titles) > MOST_CHOICES or any(len(title) > LONGEST_CHOICE for title in titles):
            raise RefusedError(
                f"Write {MOST_CHOICES} choices at most, each of {LONGEST_CHOICE} letters at most."
            )
        words = visit.core.content.current.render(text.replace("\r\n", "\n"))
    except (ContentError, RefusedError) as error:
        return _page(visit, status=422, problem=str(error))
    buttons = tuple(Button(title, f"fc:preview:{n}", f"0.{n}") for n, title in enumerate(titles))
    asked = Asked("Your own text", lambda _content, _channel: [Said(words, buttons=buttons)])
    return _page(visit, asked, first=visit.field("first", 3) == "yes")


def _page(
    visit: Visit, asked: Asked | None = None, *, first: bool = False, status: int = 200, problem: str = ""
) -> HTTPResponse:
    content, screen = visit.core.content.current, visit.core.screen
    answers = sorted(
        (faq.title, slug) for slug, faq in content.faqs.items() if content.answer(slug) is not None
    )
    return visit.page(
        "preview.html",
        status,
        tab="preview",
        problem=problem,
        answers=[(slug, title) for title, slug in answers],
        sentences=[(key, _short(words)) for key, words in _sentences(content)],
        dangers=[(key, category.name) for key, category in screen.categories.items()],
        chosen={name: visit.query(name) for name in ("answer", "sentence", "danger")},
        text=visit.field("text", LONGEST_TEXT),
        choices=visit.field("choices", 2000),
        first=first,
        longest=LONGEST_TEXT,
        asked=asked.title if asked is not None else "",
        views=_views(visit, asked, first=first) if asked is not None else [],
    )


# ---- what can be looked at ---------------------------------------------------------------------


def _sentences(content: Content) -> Iterator[tuple[str, str]]:
    """The sentences that are said in a chat: not the titles and signs of a page of ours."""
    for key in content.lines:
        if key.startswith(("chat_", "page_")) or key.endswith("_title") or key in _OF_THE_PAGE or "@" in key:
            continue
        try:
            yield key, content.line(key, reference=_REFERENCE)
        except ContentError:
            # Publishing keeps such a sentence out; the others can be looked at.
            continue


def _short(words: str) -> str:
    plain = " ".join(words.split())
    return (
        plain if len(plain) <= SHOWN_OF_A_SENTENCE else plain[: SHOWN_OF_A_SENTENCE - 1].rstrip() + "\u2026"
    )


def _answer(content: Content, slug: str) -> Asked:
    faq = content.faqs[slug]

    def say(own: Content, channel: str) -> list[Said]:
        buttons = (Button(own.line("talk_to_person"), PERSON, "0.0"),) if faq.mode != "A" else ()
        return [Said(own.answer(slug) or "", buttons=() if channel in COMMENTS else buttons)]

    return Asked(faq.title, say)


def _sentence(content: Content, key: str) -> Asked:
    kind: OutboundKind = "notice" if key in _NOTICES else "safety" if key in _SAFETY else "assistant"
    guessed = [faq.title for faq in content.faqs.values() if faq.mode == "A"]
    samples = {"did_you_mean": guessed[:2], "also_asked": guessed[:1]}.get(key, [])

    def say(own: Content, _channel: str) -> list[Said]:
        titles = [(title, f"fc:preview:{title}") for title in samples]
        titles += [(own.line(words), payload) for words, payload in _OFFERED.get(key, ())]
        buttons = tuple(Button(title, payload, f"0.{n}") for n, (title, payload) in enumerate(titles))
        return [Said(own.line(key, reference=_REFERENCE), kind, buttons)]

    return Asked(_short(content.line(key, reference=_REFERENCE)), say, key=key)


def _danger(core: Core, category: str) -> Asked:
    """The words of a category, at its most urgent; where its subject is hidden, what follows a yes and a no too."""
    known = core.screen.categories[category]
    urgent = known.priority in URGENT

    def say(own: Content, channel: str) -> list[Said]:
        text = core.words.safety_text(category, "P1" if urgent else known.priority)
        if not known.subject_hidden or channel in COMMENTS:
            return [Said(text, "safety" if urgent else "assistant")]
        buttons = (
            Button(own.line("safe_yes_title"), SAFE_YES, "0.0"),
            Button(own.line("safe_no_title"), SAFE_NO, "0.1"),
        )
        after = "\n".join(core.screen.words(category, channel).after_safe_check)
        return [
            Said(text, "safety" if urgent else "assistant", buttons),
            *([Said(after, heading="After a yes")] if after else []),
            Said(own.line("safe_no_reply"), heading="After a no"),
        ]

    return Asked(known.name, say, in_danger=urgent)


# ---- how each channel shows it --------------------------------------------------------------------


def _views(visit: Visit, asked: Asked, *, first: bool) -> list[View]:
    core = visit.core
    joined = {name: one.layout for name, one in core.channels.items() if name.startswith(f"{SITE}-")}  # type: ignore[attr-defined]
    linker = Linker(core.content.current)
    return [
        _view(visit, asked, layout, linker, first=first, is_on=name in core.channels)
        for name, layout in {**LAYOUTS, **joined}.items()
    ]


def _view(visit: Visit, asked: Asked, layout: Layout, linker: Linker, *, first: bool, is_on: bool) -> View:
    own = visit.core.content.current.for_channel(layout.name)
    title = visit.console.pages.channel_name(layout.name)
    if absent := _absent(asked, layout.name):
        return View(layout.name, title, is_on, absent=absent)
    said = asked.say(own, layout.name)
    messages: list[Message] = []
    if layout.name in COMMENTS:
        messages, said = _under_a_post(asked, own, layout, linker, said)
    elif first and layout.discloses and said[0].kind == "assistant":
        opening = own.line("opening_automated")
        if opening not in said[0].text:
            said[0] = Said(f"{opening}\n\n{said[0].text}", said[0].kind, said[0].buttons, said[0].heading)
    around = Around.of(visit.core.content.current, layout)
    messages += [_message(one, render(Outgoing(0, one.kind, one.text, one.buttons), layout, around), layout, linker)
                 for one in said]  # fmt: skip
    return View(layout.name, title, is_on, messages, _tapped(messages, layout), _notes(layout))


def _absent(asked: Asked, channel: str) -> str:
    """Why a sentence is not said on a channel at all; empty: it is."""
    key = asked.key
    if channel not in COMMENTS:
        return "This is said under posts only." if key.startswith(_UNDER_POSTS) else ""
    known = key in _IN_PRIVATE or key.startswith(_UNDER_POSTS)
    return "" if not key or known else "This is not said to somebody who wrote under a post."


def _under_a_post(
    asked: Asked, own: Content, layout: Layout, linker: Linker, said: list[Said]
) -> tuple[list[Message], list[Said]]:
    """The one line in public, and what is left to be said in private."""
    if asked.key in _PUBLIC:
        return [_in_public(said[0].text, layout, linker)], []
    heading = "In private"
    if asked.key:
        return [], [Said(said[0].text, said[0].kind, heading=heading)]
    public = _in_public(own.line("public_danger" if asked.in_danger else "public_comment"), layout, linker)
    text = said[0].text if said[0].kind == "safety" else f"{opening(own, layout.name)}\n\n{said[0].text}"
    return [public], [Said(text, said[0].kind, heading=heading)]


def _in_public(text: str, layout: Layout, linker: Linker) -> Message:
    return Message(
        "In public, under the post", [Part(linker.pieces(text), layout.counted(text))], layout.unit
    )


def _message(said: Said, shown: Shown, layout: Layout, linker: Linker) -> Message:
    parts = [Part(linker.pieces(text), layout.counted(text), layout.longest) for text in shown.parts]
    if parts and shown.choices and layout.longest_above is not None:
        parts[-1] = replace(parts[-1], limit=layout.longest_above)
    return Message(said.heading, parts, layout.unit, shown.choices, shown.opens_list, "\n\n".join(shown.lost))


def _tapped(messages: Sequence[Message], layout: Layout) -> str:
    """Whether the numbers and addresses in these words can be pressed there."""
    found = [piece for message in messages for part in message.parts for piece in part.pieces if piece.href]
    if not found:
        return ""
    words = ", ".join(dict.fromkeys(piece.text for piece in found))
    return {
        "ours": f"People can tap or click: {words}.",
        "app": f"The app may let people tap: {words}. We cannot make sure.",
        "unknown": f"People may have to copy: {words}. We do not know what the site makes of it.",
    }[layout.tapped]


def _notes(layout: Layout) -> list[str]:
    """What a channel cannot do, and what it does instead."""
    found = []
    if layout.most_parts == 1:
        found += [
            "In public only one line is said, once to each person under a post.",
            "In private one message goes to each comment. What does not fit is not sent.",
            "Nothing can be pressed there. People answer in the private chat.",
        ]
        return found
    if layout.always_numbered:
        found.append("The site decides how it shows choices. So they stand in the text, with numbers.")
    elif not layout.most_buttons:
        found.append(
            "There are no buttons. Choices stand in the text, and people type the number or the words."
        )
    elif layout.longest_button is not None:
        most, longest = layout.most_buttons - 1, layout.longest_button
        rows = "a list opens" if layout.rows is not None else "they stand in the text with numbers"
        found.append(f"With more than {most} choices, or with words over {longest} letters, {rows}.")
    else:
        found.append("Any choice is a button. A long one may be hard to read on a small phone.")
    if layout.rows is not None:
        rows_most, beside = layout.rows.most - 1, layout.rows.beside
        found.append(
            f"The list takes {rows_most} choices of {beside} letters. More stand in the text with numbers."
        )
    if layout.longest is None:
        found.append("A text of any length is one message.")
    if layout.person_line and not layout.person_button:
        found.append("A sentence says how to ask for a person.")
    found.append(
        "The first answer in a chat begins with who we are."
        if layout.discloses
        else "Who we are is shown before anybody writes."
    )
    return found
