"""Reads a webhook of Meta's: every event of every entry, those of the standby channel too.

Pictures, voices and files are named, never fetched. What is what:
developers.facebook.com/docs/messenger-platform/reference/webhook-events (messages, messaging_postbacks,
message_edits, message_echoes, message_deliveries, message_reads, messaging_handovers, standby) and
developers.facebook.com/docs/instagram-messaging/webhooks. Reactions, opt-ins, referrals, typing and
whatever else Meta may send is passed over on purpose: nobody has said anything.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from bot.channels.meta import readings
from bot.channels.meta.readings import moment, place
from bot.channels.meta.readings import text as words
from bot.channels.meta.traits import Traits
from bot.conversations.choices import typed_number
from bot.errors import BadRequestError
from bot.messages import Arrival, Control, Echo, InboundKind, Incoming, Receipt

log = structlog.get_logger(__name__)

Json = Mapping[str, Any]

LONGEST_ID = 200
"""Of an id that is kept as it is; a longer one is kept as its digest."""
_METADATA = re.compile(r"fc:(\d{1,18})(\.part)?")
_PERSON = re.compile(r"\d{1,30}")
_KINDS: Mapping[str, InboundKind] = {
    "audio": "voice",
    "file": "file",
    "image": "image",
    "location": "location",
    "sticker": "sticker",
    "video": "video",
}
_PREVIEWS = frozenset({"fallback", "template"})
"""What Meta adds to words with a link in them; without words it is something shared."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who we are on the platform."""

    traits: Traits
    account_id: str
    app_id: str


def read_body(body: bytes, account: Account) -> list[Arrival]:
    """Every event of a webhook that means something to us, in the order in which it stands there.

    An event that cannot be read is passed over: it must not take the others with it.

    Raises:
        BadRequestError: this is no webhook of that platform.
    """
    try:
        loaded = readings.loaded(body)
    except (ValueError, RecursionError) as error:
        raise BadRequestError("the body is not JSON") from error
    if not isinstance(loaded, dict) or loaded.get("object") != account.traits.object:
        raise BadRequestError("the body is of another kind")
    entries = readings.entries(loaded.get("entry"))
    if entries is None:
        raise BadRequestError("the body holds no list of entries")
    if len(entries) < len(loaded["entry"]):
        log.error("meta.unreadable", channel=account.traits.name, kind=["entry"])
    found: list[Arrival] = []
    for event, standby in _events(entries, account):
        try:
            found += _read(event, account, standby=standby)
        except Exception as error:
            # Whatever it is, it must not stop the events behind it. No text: only its kind.
            log.error(
                "meta.unreadable", channel=account.traits.name, kind=_shape(event), error=type(error).__name__
            )
            found += _salvaged(event, account, standby=standby)
    return found


def read_changes(body: bytes, account: Account) -> list[Json]:
    """The changes of a webhook that `read_body` has taken: what befell posts, and no messages."""
    found: list[Json] = []
    for entry in readings.entries(readings.loaded(body).get("entry")) or []:
        changes = entry.get("changes") if str(entry.get("id")) == account.account_id else None
        told = {"time": entry["time"]} if "time" in entry else {}
        found += (
            [{**told, **one} for one in changes if isinstance(one, dict)] if isinstance(changes, list) else []
        )
    return found


def pieces_of(body: bytes, account: Account) -> list[Arrival]:
    """Messages that can be read in a body that is refused whole, since it is cut off or no JSON.

    Nothing of them is kept, and the platform delivers again; but somebody in danger may stand in one.
    """
    found: list[Arrival] = []
    for piece in readings.pieces(body):
        try:
            to = piece.get("recipient")
            if isinstance(to, dict) and str(to.get("id")) == account.account_id:
                found += _salvaged(piece, account, standby=False)
        except Exception as error:
            log.error("meta.unreadable", channel=account.traits.name, error=type(error).__name__)
    return found


def _events(entries: list[Json], account: Account) -> Iterator[tuple[Json, bool]]:
    for entry in entries:
        if str(entry.get("id")) != account.account_id:
            log.warning("meta.another_account", channel=account.traits.name)
            continue
        for channel, standby in (("messaging", False), ("standby", True)):
            events = entry.get(channel)
            if isinstance(events, list):
                yield from ((event, standby) for event in events if isinstance(event, dict))


def _read(event: Json, account: Account, *, standby: bool) -> list[Arrival]:
    if isinstance(message := event.get("message"), dict):
        return _message(event, message, account, standby=standby)
    if isinstance(postback := event.get("postback"), dict):
        return _postback(event, postback, account, standby=standby)
    if isinstance(edit := event.get("message_edit"), dict):
        return _edit(event, edit, account, standby=standby)
    if isinstance(delivery := event.get("delivery"), dict):
        return _delivery(event, delivery, account)
    if isinstance(read := event.get("read"), dict):
        return _seen(event, read, account)
    for name in ("pass_thread_control", "take_thread_control"):
        if isinstance(control := event.get(name), dict):
            return _control(event, control, account)
    log.info("meta.passed_over", channel=account.traits.name, kind=_shape(event))
    return []


# ---- what people send ----------------------------------------------------------------------------


def _message(event: Json, message: Json, account: Account, *, standby: bool) -> list[Arrival]:
    mid = _identity(message.get("mid"))
    if message.get("is_echo") is True:
        return _echo(event, message, mid, account)
    person = _person(event, "sender", account)
    text = readings.said(message.get("text"))
    if mid is None and text.strip():
        # Danger may stand in it, whatever became of its id.
        mid = readings.own_id(event)
    if person is None or mid is None or message.get("is_self") is True:
        return []
    if message.get("is_deleted") is True:
        return [
            Incoming(
                account.traits.name, person, f"{mid}.d", kind="deleted", platform_time=_time(event),
                edit_of=mid, standby=standby,
            )
        ]  # fmt: skip
    kind, place = _kind(message, text)
    pressed = message.get("quick_reply")
    button = words(pressed.get("payload")) if isinstance(pressed, dict) else ""
    return [
        Incoming(
            account.traits.name,
            person,
            mid,
            text,
            "button" if button else kind,
            button or None,
            platform_time=_time(event),
            latitude=place[0],
            longitude=place[1],
            standby=standby,
            choice=None if button or kind != "text" else typed_number(text),
        )
    ]


def _kind(message: Json, text: str) -> tuple[InboundKind, tuple[float | None, float | None]]:
    """What was sent, and where to, if it is a place."""
    nowhere: tuple[float | None, float | None] = (None, None)
    attachments = message.get("attachments")
    known = [one for one in attachments if isinstance(one, dict)] if isinstance(attachments, list) else []
    for attachment in known:
        payload = attachment.get("payload")
        payload = payload if isinstance(payload, dict) else {}
        if payload.get("sticker_id"):
            return "sticker", nowhere
        kind = _KINDS.get(str(attachment.get("type")))
        if kind == "location":
            return kind, _place(payload)
        if kind is not None:
            return kind, nowhere
    others = [one for one in known if str(one.get("type")) not in _PREVIEWS]
    return ("text" if text.strip() and not others else "unsupported"), nowhere


def _place(payload: Json) -> tuple[float | None, float | None]:
    coordinates = payload.get("coordinates")
    if not isinstance(coordinates, dict):
        return None, None
    return place(coordinates.get("lat"), coordinates.get("long"))


def _postback(event: Json, postback: Json, account: Account, *, standby: bool) -> list[Arrival]:
    """A button of the menu or of the start. On standby Meta leaves out what it stands for."""
    person = _person(event, "sender", account)
    if person is None:
        return []
    payload, title = words(postback.get("payload")), words(postback.get("title"))
    mid = _identity(postback.get("mid"))
    if mid is None:
        # An older version names none. The same press again has the same moment.
        mid = _identity(f"{person}.{event.get('timestamp')}.b{_digest(payload or title)}")
    return [
        Incoming(
            account.traits.name, person, mid or "", title, "button", payload or None,
            platform_time=_time(event), standby=standby,
        )
    ]  # fmt: skip


def _edit(event: Json, edit: Json, account: Account, *, standby: bool) -> list[Arrival]:
    person, mid = _person(event, "sender", account), _identity(edit.get("mid"))
    if person is None or mid is None:
        return []
    text, number = words(edit.get("text")), edit.get("num_edit")
    # Without its number two edits are told apart by their words.
    version = str(number) if isinstance(number, int | str) and str(number).isdecimal() else _digest(text)
    return [
        Incoming(
            account.traits.name, person, f"{mid}.e{version[:20]}", text, platform_time=_time(event),
            edit_of=mid, standby=standby,
        )
    ]  # fmt: skip


def _salvaged(event: Json, account: Account, *, standby: bool) -> list[Arrival]:
    """Person and words of a message that cannot be read, if they are where they should be."""
    message = event.get("message")
    person = _person(event, "sender", account)
    if not isinstance(message, dict) or person is None or message.get("is_echo") is True:
        return []
    mid, text = _identity(message.get("mid")) or readings.own_id(event), readings.said(message.get("text"))
    kind: InboundKind = "text" if text.strip() else "unsupported"
    return [Incoming(account.traits.name, person, mid, text, kind, standby=standby)]


# ---- what became of ours, and who else answers ---------------------------------------------------


def _echo(event: Json, message: Json, mid: str | None, account: Account) -> list[Arrival]:
    """Something sent in our name. Ours names our app and gives back what we gave it.

    On Instagram it may do neither: then the door looks at the id and the words.
    """
    person = _person(event, "recipient", account)
    if person is None or mid is None or message.get("is_deleted") is True:
        return []
    ours = str(message.get("app_id") or "") == account.app_id
    marked = _METADATA.fullmatch(words(message.get("metadata")))
    if ours and marked and (int(marked[1]) == 0 or marked[2]):
        # Words for somebody in danger that left past the record: there is no row to find. And a part
        # of a long text says nothing about the whole of it.
        return []
    text = words(message.get("text"))
    if not text.strip() and message.get("attachments"):
        text = "(sent something that cannot be shown here)"
    outbox_id = int(marked[1]) if ours and marked else None
    return [Echo(account.traits.name, person, mid, text, outbox_id)]


def _delivery(event: Json, delivery: Json, account: Account) -> list[Arrival]:
    """Delivered: by id where Meta names them, and all before the watermark."""
    person = _person(event, "sender", account)
    if person is None:
        return []
    mids = delivery.get("mids")
    named = [_identity(mid) for mid in mids] if isinstance(mids, list) else []
    found: list[Arrival] = [Receipt(account.traits.name, mid, "delivered") for mid in named if mid]
    return found + _up_to(delivery, "delivered", person, account)


def _seen(event: Json, read: Json, account: Account) -> list[Arrival]:
    """Read: Messenger tells the time, Instagram the message."""
    person, mid = _person(event, "sender", account), _identity(read.get("mid"))
    if person is None:
        return []
    if mid is not None:
        return [Receipt(account.traits.name, mid, "read")]
    return _up_to(read, "read", person, account)


def _up_to(told: Json, state: Any, person: str, account: Account) -> list[Arrival]:
    until = moment(told.get("watermark"))
    if until is None:
        return []
    return [Receipt(account.traits.name, "", state, person=person, up_to=until)]


def _control(event: Json, control: Json, account: Account) -> list[Arrival]:
    """Who holds the chat from now on (developers.facebook.com/docs/messenger-platform/conversation-routing)."""
    person = _person(event, "sender", account) or _person(event, "recipient", account)
    owner = control.get("new_owner_app_id")
    if person is None or owner is None:
        return []
    return [Control(account.traits.name, person, str(owner) == account.app_id)]


def metadata(outbox_id: int, *, last: bool) -> str:
    """What we give Meta with a message, to know its echo by."""
    return f"fc:{outbox_id}" if last else f"fc:{outbox_id}.part"


# ---- small readings ------------------------------------------------------------------------------


def _person(event: Json, side: str, account: Account) -> str | None:
    """Who stands at that side of an event; None: nobody, or we ourselves."""
    found = event.get(side)
    known = str(found.get("id") or "") if isinstance(found, dict) else ""
    return known if _PERSON.fullmatch(known) and known != account.account_id else None


def _time(event: Json) -> datetime | None:
    return moment(event.get("timestamp"))


def _identity(mid: object) -> str | None:
    """The id of a message as it is kept: Meta's own, or its digest where that is too long."""
    if not isinstance(mid, str) or not mid.strip():
        return None
    return (
        mid
        if len(mid) <= LONGEST_ID
        else f"sha256:{hashlib.sha256(mid.encode(errors='replace')).hexdigest()}"
    )


def identity_of(mid: object) -> str | None:
    """The same for an id that an answer of the Send API holds."""
    return _identity(mid)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:8]


def _shape(event: Json) -> list[str]:
    """The names of an event's parts, as far as they are Meta's own: never what stands in them."""
    return sorted(key for key in event if key in _SHAPES) or ["another"]


_SHAPES = frozenset({
    "account_linking", "app_roles", "delivery", "message", "message_edit", "message_reaction", "optin",
    "pass_thread_control", "policy_enforcement", "postback", "reaction", "read", "referral",
    "request_thread_control", "response_feedback", "take_thread_control", "typing",
})  # fmt: skip
