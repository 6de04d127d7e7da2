"""Updates as Telegram writes them, from people who write to the bot in a private chat."""

from __future__ import annotations

import itertools
import time
from typing import Any

Json = dict[str, Any]
BOT = {"id": 4242, "is_bot": True, "first_name": "Front Counter", "username": "front_counter_bot"}


class Writer:
    """One person. Message ids count up, as in a chat."""

    def __init__(self, chat: int, name: str = "Ann", first_id: int = 1) -> None:
        self.chat = chat
        self.name = name
        self._ids = itertools.count(first_id)

    def user(self) -> Json:
        """Who writes."""
        return {"id": self.chat, "is_bot": False, "first_name": self.name, "last_name": "Secretname",
                "username": "secret_handle", "language_code": "en"}  # fmt: skip

    def private(self) -> Json:
        """Their chat with the bot."""
        return {"id": self.chat, "type": "private", "first_name": self.name, "username": "secret_handle"}

    def message(self, **content: Any) -> Json:
        """An update with one message; `content` is what it holds."""
        return {"message": self._body(**content)}

    def _body(self, **content: Any) -> Json:
        return {
            "message_id": content.pop("message_id", None) or next(self._ids),
            "from": content.pop("sender", None) or self.user(),
            "chat": content.pop("chat", None) or self.private(),
            "date": content.pop("date", None) or int(time.time()),
            **content,
        }

    def says(self, text: str, **content: Any) -> Json:
        """Words; a command has its entity."""
        if text.startswith("/"):
            length = len(text.split()[0])
            content.setdefault("entities", [{"type": "bot_command", "offset": 0, "length": length}])
        return self.message(text=text, **content)

    def edits(self, message_id: int, text: str, edit_date: int | None = None, **content: Any) -> Json:
        """A new version of a message."""
        body = self._body(message_id=message_id, text=text, **content)
        body["edit_date"] = edit_date or int(time.time())
        return {"edited_message": body}

    def presses(self, message: Json, data: str) -> Json:
        """A button under a message of the bot's, as the API sent it back."""
        return {
            "callback_query": {
                "id": f"cb{self.chat}{next(self._ids)}{time.monotonic_ns()}",
                "from": self.user(),
                "message": message,
                "chat_instance": "-77",
                "data": data,
            }
        }

    def blocks(self, blocked: bool = True, date: int | None = None) -> Json:
        """Blocks the bot, or takes it back."""
        old, new = ("member", "kicked") if blocked else ("kicked", "member")
        return {
            "my_chat_member": {
                "chat": self.private(),
                "from": self.user(),
                "date": date or int(time.time()),
                "old_chat_member": _member(old),
                "new_chat_member": _member(new),
            }
        }

    def in_group(self, text: str, group: int = -1001, **content: Any) -> Json:
        """Words in a group."""
        chat = {"id": group, "type": "supergroup", "title": "Our street"}
        return self.message(text=text, chat=chat, **content)

    def adds_to_group(self, group: int = -1001) -> Json:
        """Puts the bot into a group."""
        return {
            "my_chat_member": {
                "chat": {"id": group, "type": "supergroup", "title": "Our street"},
                "from": self.user(),
                "date": int(time.time()),
                "old_chat_member": _member("left"),
                "new_chat_member": _member("member"),
            }
        }


def _member(status: str) -> Json:
    member: Json = {"user": BOT, "status": status}
    if status == "kicked":
        member["until_date"] = 0
    return member


PHOTO = {"photo": [{"file_id": "f1", "file_unique_id": "u1", "width": 90, "height": 90, "file_size": 1}]}
VOICE = {"voice": {"file_id": "f2", "file_unique_id": "u2", "duration": 3}}
VIDEO = {"video": {"file_id": "f3", "file_unique_id": "u3", "width": 9, "height": 9, "duration": 3}}
VIDEO_NOTE = {"video_note": {"file_id": "f4", "file_unique_id": "u4", "length": 9, "duration": 3}}
DOCUMENT = {"document": {"file_id": "f5", "file_unique_id": "u5", "file_name": "secret.pdf"}}
ANIMATION = {
    "animation": {"file_id": "f6", "file_unique_id": "u6", "width": 9, "height": 9, "duration": 3},
    "document": {"file_id": "f6", "file_unique_id": "u6"},
}
AUDIO = {"audio": {"file_id": "f7", "file_unique_id": "u7", "duration": 3}}
STICKER = {
    "sticker": {
        "file_id": "f8", "file_unique_id": "u8", "type": "regular", "width": 9, "height": 9,
        "is_animated": False, "is_video": False,
    }
}  # fmt: skip
LOCATION = {"location": {"latitude": 54.97, "longitude": -1.61}}
LIVE_LOCATION = {"location": {"latitude": 54.97, "longitude": -1.61, "live_period": 900}}
VENUE = {
    "venue": {"location": {"latitude": 55.0, "longitude": -1.6}, "title": "A cafe", "address": "A street"},
    "location": {"latitude": 55.0, "longitude": -1.6},
}
CONTACT = {"contact": {"phone_number": "+447700900123", "first_name": "Bob", "user_id": 5}}
DICE = {"dice": {"emoji": "\U0001f3b2", "value": 3}}
POLL = {
    "poll": {
        "id": "p1", "question": "Which day?", "options": [{"text": "a", "voter_count": 0}],
        "total_voter_count": 0, "is_closed": False, "is_anonymous": True, "type": "regular",
        "allows_multiple_answers": False,
    }
}  # fmt: skip
FORWARDED = {
    "forward_origin": {"type": "hidden_user", "date": 1_700_000_000, "sender_user_name": "Somebody"},
}
