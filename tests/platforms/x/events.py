"""Direct messages as X tells them: what somebody did, and its three shapes.

docs.x.com/x-api/activity/event-payloads, docs.x.com/x-api/account-activity/introduction and
docs.x.com/x-api/direct-messages/get-dm-events.
"""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]

EPOCH_MILLISECONDS = 1_288_834_974_657
_numbers = itertools.count(1)


def new_id(at: float | None = None) -> str:
    """An id as X makes them: the time in milliseconds, then a running number."""
    milliseconds = int((time.time() if at is None else at) * 1000) - EPOCH_MILLISECONDS
    return str(milliseconds << 22 | next(_numbers) & 0x3FFFFF)


class Writer:
    """One person: what they send, and what is sent to them. `us` is the force's account."""

    def __init__(self, person: int, us: str) -> None:
        self.id = str(person)
        self.us = us

    def message(self, text: str = "", at: float | None = None, mid: str | None = None, **more: Any) -> Json:
        """A message of theirs. `more`: `attachment` (as webhooks write it), `urls`, `group`."""
        moment = time.time() if at is None else at
        return {
            "what": "message", "id": mid or new_id(moment), "at": moment, "sender": self.id, "recipient": self.us,
            "text": text, **more,
        }  # fmt: skip

    def mid(self) -> str:
        """A new id."""
        return new_id()

    def says(self, text: str, **more: Any) -> Json:
        """Words."""
        return self.message(text, **more)

    def sends(self, attachment: Json, text: str = "", **more: Any) -> Json:
        """A picture, a place and the like."""
        return self.message(text, attachment=attachment, **more)

    def presses(self, _title: str, token: str, **more: Any) -> Json:
        """There are no buttons: what stands for one is typed."""
        return self.message(token, **more)

    def chooses(self, _title: str, token: str, at: float | None = None) -> Json:
        """There is no menu either."""
        return self.message(token, at=at)

    def is_told(self, text: str, mid: str | None = None, **_marks: Any) -> Json:
        """Somebody sent this in our name."""
        return {**self.message(text, mid=mid), "sender": self.us, "recipient": self.id}

    def sees(self, mid: str) -> Json:
        """They have read up to this message of ours."""
        return {"what": "read", "at": time.time(), "sender": self.id, "recipient": self.us, "last": mid}

    def gets(self, *_mids: str, **_watermark: Any) -> Json:
        """X does not tell that a message has come. It tells that somebody is typing."""
        return {"what": "typing", "at": time.time(), "sender": self.id, "recipient": self.us}

    def says_in_secret(self, mid: str | None = None) -> Json:
        """An encrypted message of X Chat."""
        return {"what": "chat", "id": mid or f"e4f4d3fc-8bbf-{next(_numbers):04}", "at": time.time(),
                "sender": self.id, "recipient": self.us}  # fmt: skip

    def is_told_in_secret(self) -> Json:
        """Somebody sent an encrypted one in our name."""
        return {**self.says_in_secret(), "sender": self.us, "recipient": self.id}


def _photo(kind: str) -> Json:
    media = {"id": 1, "id_str": "1", "type": kind, "url": "https://t.co/media1", "display_url": "pic.x.com/x",
             "media_url_https": "https://ton.example/secret.jpg",
             "expanded_url": "https://x.com/messages/media/1"}  # fmt: skip
    return {"type": "media", "media": media}


PHOTO = _photo("photo")
AUDIO = _photo("audio")
FILM = _photo("video")
GIF = _photo("animated_gif")
NEXT_YEARS = _photo("hologram")
LOCATION = {
    "type": "location",
    "location": {
        "type": "shared_coordinate",
        "shared_coordinate": {"coordinates": {"type": "Point", "coordinates": [-1.61, 54.97]}},
    },
}


# ---- the shapes ----------------------------------------------------------------------------------


def created(event: Json) -> Json:
    """`message_create`, in both kinds of webhook."""
    text, entities = event["text"], {"hashtags": [], "symbols": [], "urls": list(event.get("urls", []))}
    data: Json = {"text": text, "entities": entities}
    if attachment := event.get("attachment"):
        data["attachment"] = attachment
        if attachment["type"] == "media":
            data["text"] = f"{text} {attachment['media']['url']}".lstrip()
            entities["urls"].append(
                {k: attachment["media"][k] for k in ("url", "expanded_url", "display_url")}
            )
    target = {} if event.get("group") else {"recipient_id": event["recipient"]}
    return {
        "type": "message_create",
        "id": event["id"],
        "created_timestamp": str(int(event["at"] * 1000)),
        "message_create": {"target": target, "sender_id": event["sender"], "message_data": data},
    }


def _target(event: Json) -> Json:
    return {
        "created_timestamp": str(int(event["at"] * 1000)), "sender_id": event["sender"],
        "target": {"recipient_id": event["recipient"]},
    }  # fmt: skip


def activity(events: list[Json], us: str) -> list[Json]:
    """Bodies of the X Activity API: one kind of event in each."""
    found: dict[str, Json] = {}
    bodies = []
    for event in events:
        if event["what"] == "message":
            kind = "dm.sent" if event["sender"] == us else "dm.received"
            if kind not in found:
                found[kind] = {"direct_message_events": [], "users": {us: {"data": {"name": "Secret Name"}}}}
                bodies.append(_enveloped(kind, found[kind], us))
            found[kind]["direct_message_events"].append(created(event))
        elif event["what"] == "read":
            told = {**_target(event), "last_read_event_id": event["last"]}
            bodies.append(_enveloped("dm.read", {"direct_message_mark_read_events": [told]}, us))
        elif event["what"] == "post":
            bodies.append(_enveloped("post.mention.create", event["post"], us))
        elif event["what"] == "typing":
            told = {"direct_message_indicate_typing_events": [_target(event)]}
            bodies.append(_enveloped("dm.indicate_typing", told, us))
        else:
            kind = "chat.sent" if event["sender"] == us else "chat.received"
            bodies.append(_enveloped(kind, _ciphertext(event), us))
    return bodies


def _enveloped(kind: str, payload: Json, us: str) -> Json:
    envelope = {"event_uuid": f"-{next(_numbers)}", "filter": {"user_id": us}, "event_type": kind}
    return {"data": {**envelope, "tag": "front counter", "payload": payload}}


def _ciphertext(event: Json) -> Json:
    return {
        "id": event["id"], "created_at_msec": str(int(event["at"] * 1000)), "sender_id": event["sender"],
        "conversation_id": f"{event['sender']}:{event['recipient']}", "encoded_event": "CwABAAAAEzIw",
        "conversation_token": "eyJhbGciOiJIUzI1NiJ9.secret",
    }  # fmt: skip


def account(events: list[Json], us: str) -> list[Json]:
    """Bodies of the Account Activity API; it knows no X Chat."""
    body: Json = {"for_user_id": us, "users": {us: {"name": "Secret Name", "id": us}}}
    for event in events:
        if event["what"] == "message":
            body.setdefault("direct_message_events", []).append(created(event))
        elif event["what"] == "read":
            told = {**_target(event), "last_read_event_id": event["last"]}
            body.setdefault("direct_message_mark_read_events", []).append(told)
        elif event["what"] == "post":
            body.setdefault("tweet_create_events", []).append({"id_str": event["id"], "text": "@force"})
        elif event["what"] == "typing":
            body.setdefault("direct_message_indicate_typing_events", []).append(_target(event))
    return [body] if len(body) > 2 else []


def listed(event: Json) -> Json:
    """One message of `GET /2/dm_events`; times are to the second there."""
    both = sorted((event["sender"], event["recipient"]), key=int)
    found: Json = {
        "id": event["id"], "event_type": "MessageCreate", "text": event["text"], "sender_id": event["sender"],
        "dm_conversation_id": "1582103724607971328" if event.get("group") else "-".join(both),
        "created_at": datetime.fromtimestamp(event["at"], UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    }  # fmt: skip
    if event.get("urls"):
        found["entities"] = {"urls": event["urls"]}
    attachment = event.get("attachment") or {}
    if attachment.get("type") == "media":
        found["attachments"] = {"media_keys": [f"3_{event['id']}"]}
        found["text"] = f"{event['text']} {attachment['media']['url']}".lstrip()
        shown = {k: attachment["media"][k] for k in ("url", "expanded_url")}
        found.setdefault("entities", {}).setdefault("urls", []).append(shown)
    return found
