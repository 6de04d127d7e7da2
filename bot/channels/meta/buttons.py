"""Buttons as quick replies, which are few and short: longer ones stand in the text, with numbers.

At most thirteen, of twenty letters each
(developers.facebook.com/docs/messenger-platform/send-messages/quick-replies; Instagram has the same). A
number can be pressed, and typed: `bot/conversations/choices.py` knows what it stands for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.messages import Button

MOST = 13
LONGEST_TITLE = 20

QuickReply = dict[str, Any]


def are_numbered(titles: Sequence[str]) -> bool:
    """Whether buttons of these titles are shown as a list. One place is kept for the way to a person."""
    return len(titles) >= MOST or any(len(title) > LONGEST_TITLE for title in titles)


def lay_out(text: str, buttons: Sequence[Button], person: Button | None) -> tuple[str, list[QuickReply]]:
    """The text as it is sent, and the quick replies under it. `person`: the way to one, after the others."""
    titles = [button.title for button in buttons]
    if are_numbered(titles):
        text = "\n".join([text, "", *(f"{n}. {title}" for n, title in enumerate(titles, 1))])
        titles = [str(n) for n in range(1, len(titles) + 1)]
    replies = [_quick_reply(title, button.token) for title, button in zip(titles, buttons, strict=True)][
        : MOST - 1
    ]
    if person is not None and len(person.title) <= LONGEST_TITLE:
        replies.append(_quick_reply(person.title, person.token))
    return text, replies


def _quick_reply(title: str, token: str) -> QuickReply:
    return {"content_type": "text", "title": title, "payload": token}
