"""One event of a site's as what the rest of the gateway knows: a message, an echo, a receipt.

Ids. A message keeps the site's own. An edit is that of its message with ` e<version>`, a message taken
back with ` d`; a person in a thread is both, with a space between: the site's ids hold none.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from bot.channels.sites.schema import LONGEST_TEXT, Delete, Edit, Message, ReceiptEvent, time_of
from bot.conversations.choices import typed_number
from bot.messages import Arrival, Echo, InboundKind, Incoming, Receipt

AHEAD = timedelta(minutes=5)
"""A clock may be wrong by so much; a time beyond it is none."""
DEEPEST = 20
"""How far words are looked for inside of what stands where a text should."""
_OURS = re.compile(r"fc-(\d{1,18})-[0-9a-f]{8}(-\d{1,3})?")
_PRESSED = re.compile(r"\d{1,18}\.(\d{1,3})", re.ASCII)
_WHO = re.compile(r"[!-~]{1,100}")
_ID = re.compile(r"[!-~]{1,200}")
_KINDS: Mapping[str, InboundKind] = {
    "image": "image", "voice": "voice", "video": "video", "file": "file", "sticker": "sticker",
}  # fmt: skip


def reply_id(outbox_id: int, digest: str, part: int | None = None) -> str:
    """How a reply of ours is called; `part`, for any part of a long one but the last.

    The digest is of its words: after a restored backup another row may bear the same number.
    """
    return f"fc-{outbox_id}-{digest[:8]}" + (f"-{part}" if part is not None else "")


def key_of(person: str, thread: str) -> str:
    """How we call a person, who has a chat for each thread that the site tells of."""
    return f"{person} {thread}" if thread else person


def person_of(key: str) -> tuple[str, str]:
    """The person and the thread of such a name; the thread may be empty."""
    person, _, thread = key.partition(" ")
    return person, thread


def arrivals_of(
    event: Message | Edit | Delete | ReceiptEvent, channel: str, moment: datetime
) -> tuple[Arrival, ...]:
    """What an event means; nothing, where it says nothing to us."""
    if isinstance(event, ReceiptEvent):
        return _receipts(event, channel)
    found = _about_a_person(event, channel, moment)
    return () if found is None else (found,)


def _receipts(event: ReceiptEvent, channel: str) -> tuple[Arrival, ...]:
    receipt = Receipt(channel, event.reply, event.state)
    ours = _OURS.fullmatch(event.reply)
    if event.state == "failed" or ours is None or ours[2] or int(ours[1]) == 0:
        return (receipt,)
    # It has come, whatever became of the call that brought it: nobody may have heard its answer.
    return (Echo(channel, "", event.reply, outbox_id=int(ours[1])), receipt)


def _about_a_person(event: Message | Edit | Delete, channel: str, moment: datetime) -> Arrival | None:
    who = key_of(event.person, event.thread)
    written = time_of(event.sent_at)
    if written is not None and written > moment + AHEAD:
        written = None
    if isinstance(event, Edit):
        version = str(event.version) if event.version else hashlib.sha256(event.text.encode()).hexdigest()[:8]
        return Incoming(
            channel,
            who,
            f"{event.message} e{version}",
            event.text,
            platform_time=written,
            edit_of=event.message,
        )
    if isinstance(event, Delete):
        return Incoming(
            channel, who, f"{event.message} d", kind="deleted", platform_time=written, edit_of=event.message
        )
    return _echo(event, channel, who) if event.author == "staff" else _said(event, channel, who, written)


def _said(event: Message, channel: str, who: str, written: datetime | None) -> Incoming:
    said = Incoming(
        channel, who, event.id, event.text, _kind(event), platform_time=written,
        platform_sequence=event.sequence, page=_line(event.page),
    )  # fmt: skip
    if event.place is not None:
        return replace(said, latitude=event.place.latitude, longitude=event.place.longitude)
    if event.choice:
        pressed = _PRESSED.fullmatch(event.choice)
        # Without its words a press is shown by its number, which the record turns into them.
        words = event.text or (str(int(pressed[1]) + 1) if pressed else "")
        return replace(said, kind="button", button=event.choice, text=words)
    typed = typed_number(event.text) if said.kind == "text" else None
    if typed is None:
        return said
    answered = _OURS.fullmatch(event.reply_to)
    if answered is not None and typed > 0:
        return replace(said, kind="button", button=f"{answered[1]}.{typed - 1}", text=str(typed))
    return replace(said, choice=typed)


def _line(written: str) -> str:
    """What may stand on one line at the desk; else nothing."""
    line = " ".join(written.split())
    return line if line.isprintable() else ""


def _kind(event: Message) -> InboundKind:
    if event.place is not None:
        return "location"
    if event.attachments:
        return _KINDS.get(event.attachments[0].kind, "unsupported")
    return "text" if event.text.strip() else "unsupported"


def _echo(event: Message, channel: str, who: str) -> Echo | None:
    """Something said in the force's name. Ours gives back the id that we gave it."""
    ours = _OURS.fullmatch(event.reply)
    if ours is not None and (int(ours[1]) == 0 or ours[2]):
        # Words for somebody in danger that left past the record; or a part, which says nothing of the whole.
        return None
    text = event.text
    if not text.strip():
        text = "(sent something that cannot be shown here)"
    return Echo(channel, who, event.id, text, int(ours[1]) if ours else None)


def salvaged(unread: Iterable[Mapping[str, Any]], channel: str) -> list[Incoming]:
    """Words and persons of events that are refused, where they are as they should be.

    Nothing of them is kept. Whoever wrote of danger sees the 999 words all the same.
    """
    found = []
    for event in unread:
        person, thread = event.get("person"), event.get("thread")
        text = _readable(event)
        if isinstance(person, int) and not isinstance(person, bool):
            # The site knows its own mark in either form.
            person = str(person)
        if not (isinstance(person, str) and text and _WHO.fullmatch(person)):
            continue
        identity = event.get("id") or event.get("message")
        if event.get("author") == "staff" or _OURS.fullmatch(str(identity)):
            continue
        if not (isinstance(identity, str) and _ID.fullmatch(identity)):
            digest = hashlib.sha256(f"{person}\0{text}".encode("utf-8", "replace"))
            identity = f"unread-{digest.hexdigest()[:16]}"
        where = thread if isinstance(thread, str) and _WHO.fullmatch(thread) else ""
        # What a message may hold, at a time: the screen reads each in one go.
        for start in range(0, len(text), LONGEST_TEXT - 500):
            part = text[start : start + LONGEST_TEXT]
            found.append(Incoming(channel, key_of(person, where), identity, part))
    return found


def _readable(event: Mapping[str, Any]) -> str:
    """What somebody may have said in it: its text, else every word that is no mark of the site's."""
    text = event.get("text")
    if isinstance(text, str) and text:
        return text
    return "\n".join(_words({key: value for key, value in event.items() if key not in _MARKS}))


_MARKS = frozenset({"type", "id", "author", "person", "thread", "message", "reply", "reply_to", "sent_at",
                    "choice", "page"})  # fmt: skip


def _words(value: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth < DEEPEST:
        inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
        for one in inner:
            yield from _words(one, depth + 1)
