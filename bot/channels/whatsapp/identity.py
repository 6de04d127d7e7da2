"""Who is who, and which message is which, without a phone number where none is needed.

A person is known beside the number of ours that they write to: each pair has its own chat and its own 24
hours. WhatsApp names a person by their phone number (`wa_id`), by an id that only our business is told
(`user_id`, "business-scoped user id"), mostly by both; whoever shows a user name may come without the
number (developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids).

A message's id at Meta (`wamid…`) has the person's phone number inside, in base64. It is kept as a digest.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

_PHONE = re.compile(r"\d{5,20}")
_USER = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")
_MARK = re.compile(r"fc:(\d{1,18})(\.part)?")


@dataclass(frozen=True, slots=True)
class Who:
    """A person as one webhook names them: by one id, maybe by another too."""

    person: str
    also: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a message goes: from which number of ours, and to whom."""

    number_id: str
    to: dict[str, str]
    """`to` a phone number, or `recipient` by the id that only we are told."""


def who(number_id: str, phone: object, user: object) -> Who | None:
    """A person, by what a webhook holds; None: it names nobody."""
    ids = [
        f"{number_id}:{value}"
        for value, shape in ((phone, _PHONE), (user, _USER))
        if isinstance(value, str) and shape.fullmatch(value)
    ]
    return Who(*ids) if ids else None


def address_of(person: str) -> Address | None:
    """Where to send to a person; None: this is nobody of WhatsApp's."""
    number_id, _, name = person.partition(":")
    if not number_id.isdecimal():
        return None
    if _PHONE.fullmatch(name):
        return Address(number_id, {"to": name})
    return Address(number_id, {"recipient": name}) if _USER.fullmatch(name) else None


def identity_of(wamid: object) -> str | None:
    """A message's id as it is kept."""
    if not isinstance(wamid, str) or not wamid.strip():
        return None
    return f"wa.{hashlib.sha256(wamid.encode(errors='replace')).hexdigest()[:48]}"


def mark(outbox_id: int, *, last: bool) -> str:
    """What we give Meta with a message (`biz_opaque_callback_data`), to know by it what is said of it."""
    return f"fc:{outbox_id}" if last else f"fc:{outbox_id}.part"


def marked(value: object) -> tuple[int, bool] | None:
    """The row that such a mark names, and whether it was only a part of it."""
    found = _MARK.fullmatch(value) if isinstance(value, str) else None
    return None if found is None else (int(found[1]), bool(found[2]))
