"""Changes as Meta writes them, from people who write to one of the force's numbers.

developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages and its
neighbours.
"""

from __future__ import annotations

import base64
import itertools
import time
from typing import Any

Json = dict[str, Any]

OTHER_APP = "the WhatsApp Business app"
DISPLAY = "15550783881"
NEXT_YEARS = "hologram"


class Writer:
    """One person and one number of ours: what they send, and what is sent to them.

    `phone` or `user` may be missing: WhatsApp leaves a number out for whoever shows a user name, and older
    versions tell no other id.
    """

    _numbers = itertools.count(1)

    def __init__(
        self, number_id: str, app_id: str, phone: str = "", user: str = "", name: str = "Ann"
    ) -> None:
        self.number_id, self.app_id = number_id, app_id
        self.phone, self.user, self.name = phone, user, name

    @property
    def id(self) -> str:
        """As our own record knows them."""
        return f"{self.number_id}:{self.phone or self.user}"

    # ---- envelopes -------------------------------------------------------------------------------

    def change(self, field: str = "messages", **value: Any) -> Json:
        """Something that happened between them and that number."""
        metadata = {"display_phone_number": DISPLAY, "phone_number_id": self.number_id}
        return {"field": field, "value": {"messaging_product": "whatsapp", "metadata": metadata, **value}}

    def contact(self) -> Json:
        """Who they are, as a webhook tells it."""
        found: Json = {"profile": {"name": self.name}}
        found |= {"wa_id": self.phone} if self.phone else {}
        return found | ({"user_id": self.user} if self.user else {})

    def message(
        self, kind: str, content: Any, at: float | None = None, mid: str | None = None, **more: Any
    ) -> Json:
        """A message of theirs; `more` stands beside its content."""
        field = more.pop("field", "messages")
        message: Json = {
            "id": mid or self.mid(), "timestamp": str(int(at or time.time())), "type": kind, kind: content,
        }  # fmt: skip
        message |= {"from": self.phone} if self.phone else {}
        message |= {"from_user_id": self.user} if self.user else {}
        return self.change(field, contacts=[self.contact()], messages=[{**message, **more}])

    def mid(self) -> str:
        """A new id: as Meta's, with the phone number inside."""
        inside = f"\x1d\x04\x0b{self.phone or self.user}\x15\x02{next(self._numbers)}".encode()
        return "wamid." + base64.b64encode(inside).decode()

    # ---- what they send --------------------------------------------------------------------------

    def says(self, text: str, **content: Any) -> Json:
        """Words."""
        return self.message("text", {"body": text}, **content)

    def sends(self, kind: str, caption: str = "", **content: Any) -> Json:
        """A picture, a voice and the like."""
        shown: Json = {
            "id": "secret-media",
            "mime_type": "x/y",
            "sha256": "secret",
            "url": "https://x/secret",
        }
        shown |= {"caption": caption} if caption else {}
        shown |= {"voice": True} if kind == "audio" else {}
        return self.message(kind, shown, **content)

    def is_at(self, latitude: Any = 54.97, longitude: Any = -1.61, **content: Any) -> Json:
        """A place."""
        return self.message("location", {
            "latitude": latitude, "longitude": longitude, "name": "Grey's Monument",
            "address": "Grainger Street", "url": "https://x/secret",
        }, **content)  # fmt: skip

    def presses(self, title: str, payload: str, **content: Any) -> Json:
        """A reply button."""
        reply = {"type": "button_reply", "button_reply": {"id": payload, "title": title}}
        return self.message("interactive", reply, **content)

    def chooses(self, title: str, payload: str | None, at: float | None = None) -> Json:
        """A line of a list, as the way to a person."""
        reply = {"type": "list_reply", "list_reply": {"id": payload or "", "title": title}}
        return self.message("interactive", reply, at)

    def answers_text(self, text: str, payload: str) -> Json:
        """A button under an approved text."""
        return self.message("button", {"text": text, "payload": payload})

    def edits(self, mid: str, text: str, kind: str = "text", at: float | None = None) -> Json:
        """A new version of a message, or of the words beside a picture."""
        content = {"body": text} if kind == "text" else {"caption": text, "id": "secret-media"}
        inner = {"type": kind, kind: content, "context": {"id": "M0"}}
        return self.message("edit", {"original_message_id": mid, "message": inner}, at)

    def takes_back(self, mid: str, at: float | None = None) -> Json:
        """Deletes a message for everybody."""
        return self.message("revoke", {"original_message_id": mid}, at)

    def reacts(self, mid: str, emoji: str = "\U0001f44d") -> Json:
        """A sign under a message; without one it is taken away again."""
        return self.message("reaction", {"message_id": mid, **({"emoji": emoji} if emoji else {})})

    def moves(self, phone: str = "", user: str = "") -> Json:
        """A new number, as WhatsApp tells of it: without any contact."""
        system: Json = {"body": f"User changed from {self.phone} to {phone}", "type": "user_changed_number"}
        system |= {"wa_id": phone} if phone else {}
        system |= {"user_id": user, "previous_user_id": self.user} if user else {}
        change = self.message("system", system)
        del change["value"]["contacts"]
        return change

    # ---- what becomes of ours, and who else answers ----------------------------------------------

    def status(self, state: str, mid: str, mark: str | None = None, code: int = 0, **more: Any) -> Json:
        """What became of a message of ours."""
        status: Json = {
            "id": mid, "status": state, "timestamp": str(int(time.time())), "recipient_id": self.phone, **more
        }  # fmt: skip
        status |= {"biz_opaque_callback_data": mark} if mark else {}
        if code:
            status["errors"] = [{"code": code, "title": "the secret words", "message": self.phone}]
        return self.change(statuses=[status])

    def gets(self, *mids: str, watermark: int = 0) -> Json:
        """A message of ours has come to their telephone."""
        return self.status("delivered", mids[0])

    def sees(self, mid: str) -> Json:
        """They have read this one."""
        return self.status("read", mid)

    def is_told(
        self, text: str, app_id: str | None = OTHER_APP, metadata: str | None = None, mid: str | None = None
    ) -> Json:
        """Something was sent in our name. Of what we sent ourselves WhatsApp tells the status alone."""
        if app_id == self.app_id:
            return self.status("sent", mid or self.mid(), metadata)
        echo = {"from": DISPLAY, "to": self.phone, "id": mid or self.mid(), "timestamp": str(int(time.time())),
                "type": "text", "text": {"body": text}}  # fmt: skip
        echo |= {"to_user_id": self.user} if self.user else {}
        return self.change("smb_message_echoes", message_echoes=[echo])


def account_change(field: str, **value: Any) -> Json:
    """Something that Meta says of our account."""
    return {"field": field, "value": {"display_phone_number": DISPLAY, **value}}
