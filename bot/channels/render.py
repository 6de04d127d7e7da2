"""One voice: what a row of the outbox says becomes the parts that a channel sends. Pure: nothing is asked or sent.

An answer is written once. Each channel states its limits as a `Layout`; what differs between two of
them is there, and nowhere else. Choices that do not fit as buttons become a list where the platform has
one, else they stand in the text with numbers: `bot/conversations/choices.py` knows what a number, or the
words, then stand for. The desk shows the same under /desk/preview.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bot.assistant.content import Content
from bot.channels.cut import OfLetter, cut, one_each, size
from bot.conversations.words import PERSON, WITHDRAW
from bot.errors import ContentError
from bot.messages import Outgoing

PERSON_TOKEN = "person"  # noqa: S105  a button's name, not a secret
_EMERGENCY = re.compile(r"(?<![\w£.+-])(?<!\btext )999(?![\w-]|[.,:]\d| ?BSL)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rows:
    """A list that opens by a button: how many lines it has, and how long they are."""

    most: int
    longest: int
    beside: int
    """Letters that may stand beside a line, where its own words do not fit."""
    opener: int
    """Letters on the button that opens it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a channel can show. `of_letter` says how it counts a text, `unit` what it counts."""

    name: str
    longest: int | None
    """Of one message; None: as long as it is."""
    of_letter: OfLetter = one_each
    unit: str = "characters"
    most_parts: int | None = None
    """How many messages an answer may take; what is left then is not sent."""
    most_buttons: int = 0
    longest_button: int | None = None
    """Letters on a button; None: any words fit."""
    rows: Rows | None = None
    longest_above: int | None = None
    """Of the words above buttons or a list, where they are fewer than a message takes."""
    always_numbered: bool = False
    """Choices stand in the text, whether they can be pressed as well or not."""
    beside_numbers: Literal["nothing", "numbers", "titles"] = "nothing"
    """What can be pressed beside choices that stand in the text."""
    person_button: bool = False
    """Under the assistant's answers stands a button that asks for a person, ..."""
    person_line: bool = False
    """... and a sentence that says which words do."""
    discloses: bool = False
    """A person may write first here and has seen nothing of ours: the first answer says what it is."""
    tapped: Literal["ours", "app", "unknown"] = "app"
    """Addresses and telephone numbers can be pressed: we make them so, the person's app may, or nobody knows.
    Everywhere they stand in the text, whole; no button leads to one."""

    def counted(self, text: str) -> int:
        """The length of a text, as this channel counts it."""
        return size(text, self.of_letter)

    def has_numbers(self, titles: Sequence[str], *, has_list: bool) -> bool:
        """Whether choices of these titles stand in the text. One place is kept for the way to a person."""
        if not titles:
            return False
        if not self.always_numbered and self._fit_buttons(titles, 1):
            return False
        if self.always_numbered or self.rows is None or not has_list:
            return True
        return len(titles) >= self.rows.most or any(len(title) > self.rows.beside for title in titles)

    def fits_button(self, title: str) -> bool:
        """Whether these words fit on a button."""
        return self.longest_button is None or len(title) <= self.longest_button

    def _fit_buttons(self, titles: Sequence[str], kept: int) -> bool:
        return len(titles) + kept <= self.most_buttons and all(map(self.fits_button, titles))

    def can_press(self, choices: Sequence[Choice]) -> bool:
        """Whether all of these fit as buttons, with no place kept."""
        return self._fit_buttons([one.title for one in choices], 0)


@dataclass(frozen=True, slots=True)
class Around:
    """Words that a channel adds by itself, those of the live release; empty: it adds none."""

    person: str = ""
    """On the button that asks for a person."""
    person_line: str = ""
    opens_list: str = ""
    """On the button that opens a list; without it there are no lists."""
    danger: str = ""
    """The 999 line, for a long answer that names 999 after its first part only."""

    @classmethod
    def of(cls, content: Content, layout: Layout) -> Around:
        """Those of a release, for a channel. A release of before may lack a sentence: then it is not added."""
        content = content.for_channel(layout.name)

        def line(key: str) -> str:
            try:
                return content.line(key)
            except ContentError:
                # What was to be said does not wait for what stands beside it.
                return ""

        return cls(
            person=line("talk_to_person"),
            person_line=line("write_for_person"),
            opens_list=line("choose_from_list"),
            danger=line("danger_line"),
        )


NOTHING = Around()


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing to press: the words on it, what comes back, and the whole words where they stand beside it."""

    title: str
    token: str
    beside: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """What leaves: texts in their order, and what can be pressed under the last of them."""

    parts: tuple[str, ...]
    choices: tuple[Choice, ...] = ()
    opens_list: str = ""
    """The words on the button that opens a list of the choices; empty: they are buttons."""
    numbered: bool = False
    """What was offered stands in the text, with numbers."""
    lost: tuple[str, ...] = ()
    """What does not fit, where a channel takes so many messages and no more."""


def render(outgoing: Outgoing, layout: Layout, around: Around = NOTHING) -> Shown:
    """How a channel shows one row of the outbox."""
    text = f"{outgoing.author}:\n\n{outgoing.text}" if outgoing.author else outgoing.text
    titles = [button.title for button in outgoing.buttons]
    numbered = layout.has_numbers(titles, has_list=bool(around.opens_list))
    if numbered:
        text = "\n".join([text, "", *(f"{number}. {title}" for number, title in enumerate(titles, 1))])
    choices = _pressed(outgoing, layout) if numbered else _whole(outgoing)
    offered = {button.payload for button in outgoing.buttons}
    if outgoing.kind == "assistant" and not offered & {PERSON, WITHDRAW}:
        if layout.person_button and around.person and layout.fits_button(around.person):
            choices.append(Choice(around.person, PERSON_TOKEN))
        if layout.person_line and around.person_line:
            text = f"{text}\n\n{around.person_line}"
    choices, opens_list = _as_list(choices, layout, around)
    danger = around.danger if outgoing.kind != "staff" else ""
    parts = _parts(text, layout, danger, above_choices=bool(choices))
    most = len(parts) if layout.most_parts is None else layout.most_parts
    return Shown(tuple(parts[:most]), tuple(choices), opens_list, numbered, tuple(parts[most:]))


def first_part(text: str, layout: Layout, danger: str = "") -> str:
    """The first message of a text, for a channel that takes one and no more."""
    parts = _parts(text, layout, danger, above_choices=False)
    return parts[0] if parts else text


def names_999(text: str) -> bool:
    """Whether a text says to call 999; "999 BSL" and "text 999" are other things."""
    return _EMERGENCY.search(text) is not None


def _whole(outgoing: Outgoing) -> list[Choice]:
    return [Choice(button.title, button.token) for button in outgoing.buttons]


def _pressed(outgoing: Outgoing, layout: Layout) -> list[Choice]:
    """What can be pressed beside a list in the text."""
    if layout.beside_numbers == "titles":
        return _whole(outgoing)
    if layout.beside_numbers == "numbers":
        numbers = [Choice(str(n), button.token) for n, button in enumerate(outgoing.buttons, 1)]
        return numbers[: layout.most_buttons - 1]
    return []


def _as_list(choices: list[Choice], layout: Layout, around: Around) -> tuple[list[Choice], str]:
    """The same as the lines of a list, where they are no buttons and the platform has lists."""
    if layout.rows is None or not choices or layout.can_press(choices):
        return choices, ""
    if not around.opens_list:
        # The numbers stand in the text already, or the words on the last button are too long for one.
        return [], ""
    return [_row(one, layout.rows) for one in choices], around.opens_list[: layout.rows.opener]


def _row(choice: Choice, rows: Rows) -> Choice:
    """One line of a list; words that are too long for it stand beside it, whole."""
    if len(choice.title) <= rows.longest:
        return choice
    short = choice.title[: rows.longest - 1]
    short = (short.rsplit(" ", 1)[0] if " " in short else short).rstrip() + "\u2026"
    return Choice(short, choice.token, choice.title[: rows.beside])


def _parts(text: str, layout: Layout, danger: str, *, above_choices: bool) -> list[str]:
    """The text in parts. Where it says to call 999 later on only, the 999 line goes before everything."""
    parts = _cut(text, layout, above_choices=above_choices)
    if danger and len(parts) > 1 and not names_999(parts[0]) and any(map(names_999, parts[1:])):
        parts = _cut(f"{danger}\n\n{text}", layout, above_choices=above_choices)
    return parts


def _cut(text: str, layout: Layout, *, above_choices: bool) -> list[str]:
    if layout.longest is None:
        return [text.strip()] if text.strip() else []
    parts = cut(text, layout.longest, layout.of_letter)
    if not parts or not above_choices or layout.longest_above is None:
        return parts
    # The last part has to be short enough to stand above what is pressed.
    tail = cut(parts[-1], layout.longest_above, layout.of_letter)[-1]
    head = parts[-1].removesuffix(tail).rstrip()
    return [*parts[:-1], *([head] if head else []), tail]
