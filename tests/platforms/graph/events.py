"""Events as Meta writes them, from people who write to the force's Page or account.

developers.facebook.com/docs/messenger-platform/reference/webhook-events and
developers.facebook.com/docs/instagram-messaging/webhooks.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

Json = dict[str, Any]

OTHER_APP = "263902037430900"
"""The Page's own inbox, as Meta numbers it."""


class Writer:
    """One person: what they send, and what is sent to them."""

    _mids = itertools.count(1)

    def __init__(self, person: int, account_id: str) -> None:
        self.id = str(person)
        self.account_id = account_id

    def event(self, at: float | None = None, **content: Any) -> Json:
        """Something that this person did. `at` is seconds since 1970."""
        return {
            "sender": {"id": self.id},
            "recipient": {"id": self.account_id},
            "timestamp": int((at or time.time()) * 1000),
            **content,
        }

    def message(self, at: float | None = None, mid: str | None = None, **content: Any) -> Json:
        """A message of theirs; `content` is what it holds."""
        return self.event(at, message={"mid": mid or self.mid(), **content})

    def mid(self) -> str:
        """A new id, as long as Meta's are."""
        return f"m_{next(self._mids)}-{self.id}-" + "Ab9_" * 12

    def says(self, text: str, **content: Any) -> Json:
        """Words."""
        return self.message(text=text, **content)

    def sends(self, *attachments: Json, **content: Any) -> Json:
        """A picture, a voice and the like."""
        return self.message(attachments=list(attachments), **content)

    def presses(self, title: str, payload: str, **content: Any) -> Json:
        """A quick reply."""
        return self.message(text=title, quick_reply={"payload": payload}, **content)

    def chooses(self, title: str, payload: str | None, at: float | None = None) -> Json:
        """An item of the menu, or the start button. On standby Meta leaves the payload out."""
        body: Json = {"mid": self.mid(), "title": title}
        return self.event(at, postback={**body, **({"payload": payload} if payload else {})})

    def edits(self, mid: str, text: str, number: int = 1, at: float | None = None) -> Json:
        """A new version of a message."""
        return self.event(at, message_edit={"mid": mid, "text": text, "num_edit": number})

    def takes_back(self, mid: str, at: float | None = None) -> Json:
        """Unsends a message (Instagram)."""
        return self.event(at, message={"mid": mid, "is_deleted": True})

    def reacts(self, mid: str) -> Json:
        """A heart under a message of ours."""
        return self.event(reaction={"mid": mid, "action": "react", "reaction": "love", "emoji": "\u2764"})

    def gets(self, *mids: str, watermark: int) -> Json:
        """Messages of ours have come to their telephone."""
        return self.event(delivery={"mids": list(mids), "watermark": watermark})

    def reads(self, watermark: int) -> Json:
        """They have read up to there (Messenger)."""
        return self.event(read={"watermark": watermark})

    def sees(self, mid: str) -> Json:
        """They have read this one (Instagram)."""
        return self.event(read={"mid": mid})

    def is_told(
        self, text: str, app_id: str | None = OTHER_APP, metadata: str | None = None, **content: Any
    ) -> Json:
        """An echo: somebody sent this in our name."""
        body: Json = {"mid": content.pop("mid", None) or self.mid(), "is_echo": True, "text": text, **content}
        body |= {"app_id": int(app_id)} if app_id else {}
        body |= {"metadata": metadata} if metadata else {}
        return {
            "sender": {"id": self.account_id},
            "recipient": {"id": self.id},
            "timestamp": int(time.time() * 1000),
            "message": body,
        }

    def is_passed(self, to: str, by: str = OTHER_APP) -> Json:
        """The chat was given to another app, or to us."""
        control = {"previous_owner_app_id": by, "new_owner_app_id": to, "metadata": "x"}
        return self.event(pass_thread_control=control)

    def is_taken(self, by: str, before: str) -> Json:
        """The chat was taken by another app."""
        return self.event(take_thread_control={"previous_owner_app_id": before, "new_owner_app_id": by})


IMAGE = {"type": "image", "payload": {"url": "https://scontent.example/secret.jpg"}}
AUDIO = {"type": "audio", "payload": {"url": "https://scontent.example/secret.mp4"}}
VIDEO = {"type": "video", "payload": {"url": "https://scontent.example/secret.mp4"}}
FILE = {"type": "file", "payload": {"url": "https://scontent.example/secret.pdf"}}
LIKE = {"type": "image", "payload": {"url": "https://scontent.example/up.png", "sticker_id": 369239263222822}}
LOCATION = {
    "title": "Ann's location", "url": "https://maps.example/secret", "type": "location",
    "payload": {"coordinates": {"lat": 54.97, "long": -1.61}},
}  # fmt: skip
LINK = {"type": "fallback", "payload": {"url": "https://example.org/secret", "title": "A page"}}
SHARE = {"type": "share", "payload": {"url": "https://instagram.example/p/1"}}
STORY_MENTION = {"type": "story_mention", "payload": {"url": "https://instagram.example/s/1"}}
NEXT_YEARS = {"type": "hologram", "payload": {"url": "https://scontent.example/x"}}
