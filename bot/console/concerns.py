"""Which parts of a page a change cannot have altered: those are not fetched anew.

With a hundred pages open, most of what happens is the assistant talking with somebody: no list shows
it. When in doubt a part is fetched; each comes by its own clock as well. And which changes bring people
in danger to the lists: for those no page waits until more has come together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Row

from bot.messages import URGENT

_IN_NO_LIST = frozenset({"outbox.queued", "outbox.state", "turn.done", "note.added", "comment.changed"})
_TALK = _IN_NO_LIST | {"message.received", "conversation.opened"}
_OF_OTHERS = _TALK | {"alert", "conversation.escalated", "conversation.owner", "label.changed"}
"""In the chat of somebody else these leave a moderator's own part as it is; below P2 in any chat the alarms."""
_DANGER = frozenset({"message.received", "conversation.opened", "conversation.escalated", "alert"})


def unaltered(events: Iterable[Row[Any]], chat: Row[Any], staff_id: int, role: str) -> list[str]:
    """The parts that stay: `queue` (the lists), `banner` (the alarms), `own` (what the reader owes, was given).

    Args:
        events: what happened in one chat.
        chat: how it stands now: state, grade, owner.
        staff_id: the reader.
        role: the reader's role.
    """
    kinds, named, offered = set(), {chat.owner_id}, False
    for event in events:
        kinds.add(event.kind)
        named |= {event.data.get("was"), event.data.get("owner"), event.data.get("to")}
        # An offer that somebody took, or that ended with the chat, stands on the pages of a whole team.
        offered = offered or bool(event.data.get("offered"))
    of_others = kinds <= _OF_OTHERS and staff_id not in named and role != "supervisor" and not offered
    parts = []
    if kinds <= _IN_NO_LIST or (chat.state == "bot" and kinds <= _TALK):
        parts.append("queue")
    # A P1 rings everywhere. Who is silent at P2 is told to the owner and to supervisors.
    if chat.grade != "P1" and (of_others or (kinds <= _OF_OTHERS and chat.grade not in URGENT)):
        parts.append("banner")
    if of_others:
        parts.append("own")
    return parts


def is_pressing(kinds: Collection[str], chat: Row[Any]) -> bool:
    """Whether these events bring somebody in danger to the lists, or new words of theirs."""
    if chat.grade not in URGENT:
        return False
    came_back = chat.state == "waiting" and "conversation.owner" in kinds
    return came_back or not _DANGER.isdisjoint(kinds)
