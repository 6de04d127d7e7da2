"""Which parts of a page a change cannot have altered: those are not fetched anew.

With a hundred pages open, most of what happens is the assistant talking with somebody: no list shows
it. When in doubt a part is fetched; each comes by its own clock as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row

_IN_NO_LIST = frozenset({"outbox.queued", "outbox.state", "turn.done", "note.added"})
_TALK = _IN_NO_LIST | {"message.received", "conversation.opened"}
_OF_OTHERS = _TALK | {"alert", "conversation.escalated", "conversation.owner", "label.changed"}
"""In the chat of somebody else, below P1, these leave a moderator's banner as it is."""


def unaltered(events: Iterable[Row[Any]], chat: Row[Any], staff_id: int, role: str) -> list[str]:
    """The parts that stay: `queue` (the lists), `banner` (what rings and what is owed).

    Args:
        events: what happened in one chat.
        chat: how it stands now: state, grade, owner.
        staff_id: the reader.
        role: the reader's role.
    """
    kinds, named = set(), {chat.owner_id}
    for event in events:
        kinds.add(event.kind)
        named |= {event.data.get("was"), event.data.get("owner"), event.data.get("to")}
    parts = []
    if kinds <= _IN_NO_LIST or (chat.state == "bot" and kinds <= _TALK):
        parts.append("queue")
    if kinds <= _OF_OTHERS and chat.grade != "P1" and staff_id not in named and role != "supervisor":
        parts.append("banner")
    return parts
