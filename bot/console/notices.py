"""What a page may call out beside itself: on the reader's screen, by a sound, in a notice of the browser.

Only that something waits, and its grade: never a word, a name, a category or a reference, since a notice
can be read by whoever stands behind a chair. A sealed chat is never called out.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

WAITS = "waits"
"""A chat came into the queue, or rose while it waits."""
DANGER = "danger"
"""New danger in a chat that the reader has."""
WROTE = "wrote"
"""The person wrote in a chat that the reader has."""


def notice_of(event: Row[Any], chat: Row[Any], staff_id: int) -> dict[str, str] | None:
    """What this event is to this reader, or None.

    Args:
        event: one event of the chat.
        chat: how it stands now: state, grade, owner, seal.
        staff_id: the reader.
    """
    if chat.sealed:
        return None
    grade = str(chat.grade or "")
    if chat.state == "waiting":
        back = event.kind == "conversation.owner" and event.data.get("state") == "waiting"
        came = back or event.kind == "conversation.opened"
        rose = event.kind == "conversation.escalated" and (event.data.get("moved") or event.data.get("rose"))
        return {"tell": WAITS, "grade": grade} if came or rose else None
    if chat.state == "human" and chat.owner_id == staff_id:
        # A clock's warning, or an offer to a colleague, is an alert without a grade: no danger.
        if event.kind == "alert" and event.data.get("grade"):
            return {"tell": DANGER, "grade": grade}
        # A sign under a message is shown, and calls nobody.
        if event.kind == "message.received" and not event.data.get("aside"):
            return {"tell": WROTE, "grade": grade}
    return None
