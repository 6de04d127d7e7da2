"""Reads a webhook of WhatsApp's: every message and every status of every change.

Pictures, voices and files are named, never fetched. What is what:
developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference, under `messages`
(a page for each type; `status`, `edit`, `revoke`, `system`), `standby` and `smb_message_echoes`. What Meta
says of our account is read in `standing.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from bot.channels.meta import readings
from bot.channels.meta.readings import moment, place, said, text
from bot.channels.whatsapp import codes, standing
from bot.channels.whatsapp.identity import Who, identity_of, marked, who
from bot.conversations.choices import typed_number
from bot.errors import BadRequestError
from bot.messages import ASIDE, Arrival, Echo, InboundKind, Incoming, Receipt

log = structlog.get_logger(__name__)

Json = Mapping[str, Any]

NAME = "whatsapp"
OBJECT = "whatsapp_business_account"
MESSAGES = frozenset({"messages", "standby", "smb_message_echoes"})
LONGEST_NAME = 64
LONGEST_SIGN = 16
_KINDS: Mapping[str, InboundKind] = {
    "contacts": "contact",
    "document": "file",
    "image": "image",
    "location": "location",
    "sticker": "sticker",
    "video": "video",
}
_STATES: Mapping[str, Any] = {
    "sent": "sent", "delivered": "delivered", "read": "read", "played": "read", "failed": "failed",
}  # fmt: skip
_NOBODY_SPOKE = frozenset({"keep_in_chat", "pin", "poll_update", "reaction"})
"""Kinds that Meta calls unsupported, and that are no message of a person's."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who we are: the business account, and Meta's ids of our numbers."""

    account_id: str
    number_ids: frozenset[str]
    text_names: frozenset[str] = frozenset()
    """What our approved texts are called at Meta."""


@dataclass(slots=True)
class Webhook:
    """What is in one webhook."""

    arrivals: list[Arrival] = field(default_factory=list)
    newest: dict[str, str] = field(default_factory=dict)
    """Meta's own id of each person's newest message, to show that it was received. Not kept."""


def read_body(body: bytes, account: Account) -> Webhook:
    """Every event of a webhook that means something to us, in the order in which it stands there.

    An event that cannot be read is passed over: it must not take the others with it.

    Raises:
        BadRequestError: this is no webhook of WhatsApp's.
    """
    try:
        loaded = readings.loaded(body)
    except (ValueError, RecursionError) as error:
        raise BadRequestError("the body is not JSON") from error
    if not isinstance(loaded, dict) or loaded.get("object") != OBJECT:
        raise BadRequestError("the body is of another kind")
    entries = readings.entries(loaded.get("entry"))
    if entries is None:
        raise BadRequestError("the body holds no list of entries")
    if len(entries) < len(loaded["entry"]):
        log.error("whatsapp.unreadable", channel=NAME, kind=["entry"])
    found = Webhook()
    for entry in entries:
        if str(entry.get("id")) != account.account_id:
            log.warning("whatsapp.another_account", channel=NAME)
            continue
        changes = entry.get("changes")
        for change in changes if isinstance(changes, list) else []:
            if isinstance(change, dict) and isinstance(change.get("value"), dict):
                _change(change, entry, account, found)
    return found


def _change(change: Json, entry: Json, account: Account, found: Webhook) -> None:
    name, value = text(change.get("field")), change["value"]
    if name not in MESSAGES:
        try:
            found.arrivals += standing.read(name, value, entry, account.text_names)
        except Exception as error:
            log.error("whatsapp.unreadable", channel=NAME, kind=["account"], error=type(error).__name__)
        return
    number_id = _number_id(value)
    if number_id not in account.number_ids:
        log.warning("whatsapp.another_number", channel=NAME)
        return
    standby = name == "standby"
    for code in _codes(value.get("errors")):
        log.error("whatsapp.trouble", channel=NAME, number=code)
    for message in _each(value, "messages"):
        _safely(_message, message, value, number_id, standby, found)
    for message in _each(value, "message_echoes"):
        _safely(_echo, message, value, number_id, standby, found)
    for status in _each(value, "statuses"):
        _safely(_status, status, value, number_id, standby, found)


def _safely(
    read: Any, event: Json, value: Json, number_id: str, standby: bool, found: Webhook
) -> None:  # fmt: skip
    try:
        arrivals = read(event, value, number_id)
    except Exception as error:
        # Whatever it is, it must not stop the events behind it. No text: only its kind.
        log.error("whatsapp.unreadable", channel=NAME, kind=_shape(event), error=type(error).__name__)
        arrivals = _salvaged(event, value, number_id) if read is _message else []
    for one in arrivals:
        if isinstance(one, Incoming):
            is_news = one.edit_of is None and one.kind not in ASIDE and not standby
            if is_news and isinstance(event.get("id"), str):
                found.newest[one.person] = event["id"]
            found.arrivals.append(replace(one, standby=True) if standby else one)
        else:
            found.arrivals.append(one)


def _each(value: Json, key: str) -> Iterator[Json]:
    found = value.get(key)
    if isinstance(found, list):
        yield from (one for one in found if isinstance(one, dict))


# ---- what people send ----------------------------------------------------------------------------


def _message(message: Json, value: Json, number_id: str) -> Sequence[Arrival]:
    kind, named = text(message.get("type")), _who(message, value, number_id)
    if kind == "system":
        return _moved(message, number_id)
    # Danger may stand in a message, whatever became of its id.
    identity = identity_of(message.get("id")) or identity_of(readings.own_id(message))
    if message.get("group_id") or named is None or identity is None:
        # Groups are no conversations of ours: nothing of theirs is kept.
        log.warning("whatsapp.passed_over", channel=NAME, kind=_shape(message))
        return []
    incoming = Incoming(
        NAME,
        named.person,
        identity,
        platform_time=moment(message.get("timestamp")),
        name=_name(message, value),
        also=named.also,
        reply_to=identity_of(_part(message, "context").get("id")),
    )
    if kind == "revoke":
        return _revoked(message, incoming)
    if kind == "edit":
        return _edited(message, incoming)
    if kind == "reaction":
        reaction = _part(message, "reaction")
        sign = text(reaction.get("emoji"))[:LONGEST_SIGN]
        under = identity_of(reaction.get("message_id"))
        return [replace(incoming, kind="reaction", text=sign, reply_to=under)]
    found = _said(kind, message, incoming)
    return found if identity_of(message.get("id")) or any(one.text.strip() for one in found) else []


def _said(kind: str, message: Json, incoming: Incoming) -> list[Incoming]:
    """A message with something in it. A caption is words."""
    content = _part(message, kind)
    if kind == "text":
        words = text(content.get("body")) or said(message.get("text"))
        shown: InboundKind = "text" if words.strip() else "unsupported"
        return [replace(incoming, text=words, kind=shown, choice=typed_number(words))]
    if kind == "interactive":
        return [_chosen(content, incoming)]
    if kind == "button":
        # A button of an approved text: its words count, unless it is one of ours.
        return [replace(incoming, text=text(content.get("text")) or text(content.get("payload")))]
    if kind == "location":
        north, east = place(_degrees(content.get("latitude")), _degrees(content.get("longitude")))
        called = ", ".join(one for one in (text(content.get("name")), text(content.get("address"))) if one)
        return [replace(incoming, kind="location", latitude=north, longitude=east, place=called)]
    if kind == "audio":
        return [replace(incoming, kind="voice" if content.get("voice") is True else "file")]
    if kind in _KINDS:
        return [replace(incoming, kind=_KINDS[kind], text=said(content.get("caption")))]
    if kind == "request_welcome" or (kind == "unsupported" and content.get("type") in _NOBODY_SPOKE):
        return []
    words = said(content.get("text")) or said(content.get("caption")) or said(content.get("body"))
    return [replace(incoming, kind="unsupported", text=words)]


def _chosen(content: Json, incoming: Incoming) -> Incoming:
    """A reply button, or a line of a list, whose whole words stand beside it."""
    kind = text(content.get("type"))
    pressed = _part(content, kind)
    token, title = text(pressed.get("id")), text(pressed.get("title"))
    if kind not in ("button_reply", "list_reply"):
        return replace(incoming, kind="unsupported", text=text(pressed.get("body")))
    return replace(
        incoming, kind="button", button=token or None, text=text(pressed.get("description")) or title
    )


def _revoked(message: Json, incoming: Incoming) -> list[Arrival]:
    """A message was taken back. What was stored stays on record."""
    of = identity_of(_part(message, "revoke").get("original_message_id"))
    if of is None:
        return []
    return [replace(incoming, message_id=f"{of}.d", kind="deleted", edit_of=of, reply_to=None)]


def _edited(message: Json, incoming: Incoming) -> list[Arrival]:
    """A new version of words, or of the words beside a picture."""
    edit = _part(message, "edit")
    of, inner = identity_of(edit.get("original_message_id")), _part(edit, "message")
    if of is None:
        return []
    content = _part(inner, text(inner.get("type")))
    words = text(content.get("body")) or text(content.get("caption"))
    # The event has an id of its own; should it come again under another one, the words are the same.
    version = hashlib.sha256(f"{message.get('timestamp')}.{words}".encode(errors="replace")).hexdigest()[:8]
    return [replace(incoming, message_id=f"{of}.e{version}", text=words, edit_of=of, reply_to=None)]


def _moved(message: Json, number_id: str) -> list[Arrival]:
    """Somebody has a new number, or a new id: the chat goes on with them."""
    system = _part(message, "system")
    old = who(number_id, message.get("from"), system.get("previous_user_id") or message.get("from_user_id"))
    new = who(number_id, system.get("wa_id"), system.get("user_id"))
    identity = identity_of(message.get("id"))
    if text(system.get("type")) not in _CHANGES or old is None or new is None or identity is None:
        log.info("whatsapp.passed_over", channel=NAME, kind=_shape(message))
        return []
    return [
        Incoming(
            NAME, old.person, identity, kind="moved", platform_time=moment(message.get("timestamp")),
            moved_to=new.person, also=new.also,
        )
    ]  # fmt: skip


_CHANGES = frozenset({"customer_changed_number", "user_changed_number", "user_changed_user_id"})


def _salvaged(message: Json, value: Json, number_id: str) -> list[Arrival]:
    """Person and words of a message that cannot be read, if they are where they should be."""
    named = _who(message, value, number_id)
    identity = identity_of(message.get("id")) or identity_of(readings.own_id(message))
    if named is None or identity is None or message.get("group_id"):
        return []
    parts = (message.get("text"), *(_part(message, kind).get("caption") for kind in _KINDS))
    words = "\n".join(found for found in map(said, parts) if found)
    kind: InboundKind = "text" if words.strip() else "unsupported"
    return [Incoming(NAME, named.person, identity, words, kind, also=named.also)]


# ---- what became of ours, and who else answers ---------------------------------------------------


def _status(status: Json, _value: Json, _number_id: str) -> list[Arrival]:
    """What became of a message of ours; by our mark too, where nobody knows its id."""
    identity, state = identity_of(status.get("id")), _STATES.get(text(status.get("status")))
    row = marked(status.get("biz_opaque_callback_data"))
    if identity is None or state is None or (row is not None and row[0] == 0):
        # Words for somebody in danger that left past the record have no row.
        return []
    detail, temporary = "", False
    if state == "failed":
        code = next(_codes(status.get("errors")), 0)
        detail, temporary = codes.said(code), codes.is_temporary(code)
    return [
        Receipt(
            NAME, identity, state, detail, outbox_id=None if row is None else row[0],
            part=row is not None and row[1], temporary=temporary,
        )
    ]  # fmt: skip


def _echo(message: Json, value: Json, number_id: str) -> list[Arrival]:
    """Words in our name that were not sent by us: by the force's telephone, or by another app."""
    named = who(number_id, message.get("to"), message.get("to_user_id") or _contact(value).get("user_id"))
    identity, kind = identity_of(message.get("id")), text(message.get("type"))
    if named is None or identity is None or kind == "revoke" or message.get("group_id"):
        return []
    content = _part(message, kind)
    if kind == "edit":
        inner = _part(content, "message")
        content = _part(inner, text(inner.get("type")))
    words = text(content.get("body")) or text(content.get("caption"))
    shown = words or "(sent something that cannot be shown here)"
    return [Echo(NAME, named.person, identity, shown, also=named.also)]


# ---- small readings ------------------------------------------------------------------------------


def _part(of: Json, name: str) -> Json:
    found = of.get(name)
    return found if isinstance(found, dict) else {}


def _number_id(value: Json) -> str:
    return str(_part(value, "metadata").get("phone_number_id") or "")


def _who(message: Json, value: Json, number_id: str) -> Who | None:
    return who(
        number_id,
        message.get("from"),
        message.get("from_user_id") or _contact_of(message, value).get("user_id"),
    )


def _contact(value: Json) -> Json:
    contacts = list(_each(value, "contacts"))
    return contacts[0] if len(contacts) == 1 else {}


def _contact_of(message: Json, value: Json) -> Json:
    """The one who wrote it, among those that a webhook tells of."""
    for contact in _each(value, "contacts"):
        if (contact.get("wa_id") or 0) == message.get("from"):
            return contact
        if (contact.get("user_id") or 0) == message.get("from_user_id"):
            return contact
    return _contact(value) if message.get("from") is None else {}


def _name(message: Json, value: Json) -> str | None:
    """What the person calls themselves there."""
    profile = _part(_contact_of(message, value), "profile")
    return text(profile.get("name"))[:LONGEST_NAME] or None


def _degrees(value: object) -> object:
    """Some versions write degrees as words."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return value


def _codes(errors: object) -> Iterator[int]:
    for error in errors if isinstance(errors, list) else []:
        code = error.get("code") if isinstance(error, dict) else None
        if isinstance(code, int) and not isinstance(code, bool):
            yield code


def _shape(event: Json) -> list[str]:
    """The names of an event's parts, as far as they are Meta's own: never what stands in them."""
    return sorted(key for key in event if key in _SHAPES) or ["another"]


_SHAPES = frozenset({
    "audio", "button", "contacts", "context", "document", "edit", "errors", "group_id", "image",
    "interactive", "location", "order", "reaction", "referral", "request_welcome", "revoke", "status",
    "sticker", "system", "text", "unsupported", "video",
})  # fmt: skip
