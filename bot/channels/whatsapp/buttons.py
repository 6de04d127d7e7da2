"""Choices: up to three reply buttons, else a list of up to ten, else numbers in the text.

.../whatsapp/messages/interactive-reply-buttons-messages (three buttons of 20 letters) and
.../interactive-list-messages (ten rows: 24 letters, and 72 beside them; the button that opens it: 20),
under developers.facebook.com/documentation/business-messaging. A number can be typed:
`bot/conversations/choices.py` knows what it stands for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.messages import Button

MOST_BUTTONS = 3
LONGEST_TITLE = 20
MOST_ROWS = 10
LONGEST_ROW = 24
LONGEST_BESIDE = 72

Interactive = dict[str, Any]


def are_numbered(titles: Sequence[str], *, has_lists: bool) -> bool:
    """Whether choices of these titles stand in the text. One place is kept for the way to a person."""
    if _fit_buttons(titles, 1):
        return False
    return not has_lists or len(titles) >= MOST_ROWS or any(len(title) > LONGEST_BESIDE for title in titles)


def lay_out(
    text: str, buttons: Sequence[Button], person: Button | None, opens_list: str
) -> tuple[str, Interactive | None]:
    """The text as it is sent, and what stands under its last part.

    Args:
        text: the words.
        buttons: what was offered.
        person: the way to a person, after the others.
        opens_list: what the button says that opens a list; without it there are no lists.
    """
    titles = [button.title for button in buttons]
    if titles and are_numbered(titles, has_lists=bool(opens_list)):
        text = "\n".join([text, "", *(f"{n}. {title}" for n, title in enumerate(titles, 1))])
        buttons = []
    offered = [*buttons, *([person] if person is not None else [])]
    if not offered:
        return text, None
    if len(offered) <= MOST_BUTTONS and _fit_buttons([one.title for one in offered], 0):
        return text, {"type": "button", "action": {"buttons": [_button(one) for one in offered]}}
    if not opens_list:
        # The numbers stand in the text already, or the words on the last button are too long for one.
        return text, None
    rows = [_row(one) for one in offered]
    return text, {
        "type": "list",
        "action": {"button": opens_list[:LONGEST_TITLE], "sections": [{"rows": rows}]},
    }


def _fit_buttons(titles: Sequence[str], kept: int) -> bool:
    return len(titles) + kept <= MOST_BUTTONS and all(len(title) <= LONGEST_TITLE for title in titles)


def _button(button: Button) -> Interactive:
    return {"type": "reply", "reply": {"id": button.token, "title": button.title}}


def _row(button: Button) -> Interactive:
    """One line of a list; words that are too long for it stand beside it, whole."""
    if len(button.title) <= LONGEST_ROW:
        return {"id": button.token, "title": button.title}
    return {
        "id": button.token,
        "title": _short(button.title),
        "description": button.title[:LONGEST_BESIDE],
    }


def _short(title: str) -> str:
    """As many whole words as fit, and a sign that there are more."""
    cut = title[: LONGEST_ROW - 1]
    return (cut.rsplit(" ", 1)[0] if " " in cut else cut).rstrip() + "\u2026"
