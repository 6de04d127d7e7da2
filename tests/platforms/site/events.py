"""Events as docs/channels/webhook.md describes them, from people who write to a message board."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from tests.platforms.graph import Writer

Json = dict[str, Any]


def stamp(at: float | None) -> str:
    """A time as the schema wants it; `at` is seconds since 1970."""
    return datetime.fromtimestamp(at or time.time(), UTC).isoformat(timespec="milliseconds")


class Visitor(Writer):
    """One person of the board: what they write, and what is said to them."""

    def __init__(self, person: int, thread: str = "") -> None:
        super().__init__(person, "")
        self.thread = thread

    @property
    def who(self) -> Json:
        """How the board names them."""
        return {"person": self.id, **({"thread": self.thread} if self.thread else {})}

    def mid(self) -> str:
        """A new id of the board's."""
        return f"post-{next(self._mids)}@board.example"

    def message(self, at: float | None = None, mid: str | None = None, **content: Any) -> Json:
        """A message of theirs; `content` is what it holds."""
        return {"type": "message", "id": mid or self.mid(), **self.who, "sent_at": stamp(at), **content}

    def sends(self, *kinds: Any, **content: Any) -> Json:
        """Something that came along, by its kind."""
        return self.message(attachments=[{"kind": kind} for kind in kinds], **content)

    def is_at(self, latitude: float, longitude: float, **content: Any) -> Json:
        """A place."""
        return self.message(location={"latitude": latitude, "longitude": longitude}, **content)

    def presses(self, title: str, payload: str, **content: Any) -> Json:
        """A choice."""
        return self.message(text=title, choice=payload, **content)

    def chooses(self, title: str, payload: str | None, at: float | None = None) -> Json:
        """The board's own way to a person."""
        return self.message(at, text=title, choice=payload)

    def edits(self, mid: str, text: str, number: int = 1, at: float | None = None) -> Json:
        """A new version of a message."""
        return {
            "type": "edit", "message": mid, **self.who, "text": text, "version": number, "sent_at": stamp(at),
        }  # fmt: skip

    def takes_back(self, mid: str, at: float | None = None) -> Json:
        """A message is gone."""
        return {"type": "delete", "message": mid, **self.who, "sent_at": stamp(at)}

    def gets(self, *mids: str, watermark: int = 0) -> Json:
        """A reply of ours has come."""
        return {"type": "receipt", "reply": mids[0], "state": "delivered"}

    def sees(self, mid: str) -> Json:
        """A reply of ours was read."""
        return {"type": "receipt", "reply": mid, "state": "read"}

    def is_told(
        self, text: str, app_id: str | None = None, metadata: str | None = None, **content: Any
    ) -> Json:
        """Somebody said this in the force's name. `metadata` is `fc:<row>`, or the id of our reply."""
        reply = {} if not metadata else {"reply": metadata}
        if metadata and metadata.startswith("fc:"):
            reply = {"reply": f"fc-{metadata[3:]}-00000000"}
        return {
            "type": "message", "id": content.pop("mid", None) or self.mid(), "author": "staff", **self.who,
            "text": text, "sent_at": stamp(None), **reply, **content,
        }  # fmt: skip
