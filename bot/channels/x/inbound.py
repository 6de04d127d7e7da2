"""Reads what X tells: a webhook's events, or a page of direct messages that we asked for.

Three shapes of the same messages, with the same ids, so that whatever comes twice is known:

- the X Activity API, which webhooks bring (docs.x.com/x-api/activity/event-payloads);
- the Account Activity API, which ends on 1 January 2027
  (docs.x.com/x-api/account-activity/introduction, docs.x.com/x-api/account-activity/migrate/aaa-to-xaa-migration);
- `GET /2/dm_events` (docs.x.com/x-api/direct-messages/get-dm-events).

Posts that mention us come by the newer webhook and by looks (`posts.py`); the older webhook's name no thread,
so the next look brings those. Pictures, voices and files are named, never fetched. A message of the encrypted
X Chat holds no words for us: that it came is kept. Other posts, likes, follows, typing and whatever else X may
send is passed over on purpose.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from bot.channels.meta import readings
from bot.channels.x.texts import bare, plain
from bot.conversations.choices import typed_number
from bot.errors import BadRequestError
from bot.messages import Arrival, Echo, InboundKind, Incoming, Receipt

log = structlog.get_logger(__name__)

Json = Mapping[str, Any]

NAME = "x"
PERSON_WORDS = frozenset({"person", "talk to a person"})
"""Typed alone, they ask for a person: X shows no buttons."""
LONGEST_ID = 200
EPOCH_MILLISECONDS = 1_288_834_974_657
"""Where the time in X's ids begins (docs.x.com/resources/fundamentals/x-ids)."""
ID_SHIFT = 22
_SEQUENCE = (1 << ID_SHIFT) - 1
_ID = re.compile(r"[0-9]{1,19}")
KINDS: Mapping[str, InboundKind] = {
    "animated_gif": "image",
    "audio": "voice",
    "photo": "image",
    "video": "video",
}
_SHOWN_ELSEWHERE = "(sent something that cannot be shown here)"
_LATEST = 4_102_444_800.0
"""The year 2100, in seconds: a later time is none."""
MENTIONED = "post.mention.create"
_MENTIONS = frozenset({MENTIONED, "tweet_create_events"})
_SHAPES = frozenset({
    "block_events", "chat.conversation_join", "direct_message_indicate_typing_events", "dm.indicate_typing",
    "favorite_events", "follow.follow", "follow.unfollow", "follow_events", "like.create", "mute_events",
    "oauth.revoke", "post.create", "post.delete", "tweet_delete_events", "unblock_events", "unfollow_events",
    "unmute_events", "user_event",
}) | _MENTIONS  # fmt: skip
"""Names of X's own that may be logged: never what stands in an event."""


@dataclass(slots=True)
class Read:
    """What was told, in the order in which it stands there."""

    arrivals: list[Arrival] = field(default_factory=list)
    groups: list[Incoming] = field(default_factory=list)
    """Messages of chats with more than one person in them: no part is taken in those."""
    posts: list[Json] = field(default_factory=list)
    """Posts that mention us, as X writes them: read where they are wanted (`posts.py`)."""

    def add(self, other: Read) -> None:
        """Put another one's behind these."""
        self.arrivals += other.arrivals
        self.groups += other.groups
        self.posts += other.posts


# ---- a webhook -----------------------------------------------------------------------------------


def read_body(body: bytes, us: str) -> Read:
    """Every event of a webhook that means something to us. `us`: the force's account.

    An event that cannot be read is passed over: it must not take the others with it.

    Raises:
        BadRequestError: this is no webhook of X's.
    """
    try:
        loaded = readings.loaded(body)
    except (ValueError, RecursionError) as error:
        raise BadRequestError("the body is not JSON") from error
    if not isinstance(loaded, dict):
        raise BadRequestError("the body is no object")
    activity = loaded.get("data")
    if isinstance(activity, dict | list):
        found = _activities(activity if isinstance(activity, list) else [activity], us)
    elif any(name.endswith(("_events", "_event", "_status")) for name in loaded):
        if str(loaded.get("for_user_id") or us) != us:
            log.warning("x.another_account")
            return Read()
        found = [(name, loaded) for name in loaded if name.endswith(("_events", "_event", "_status"))]
    else:
        raise BadRequestError("the body holds no events")
    read = Read()
    for name, holder in found:
        read.add(_read_all(name, holder, us))
    return read


def _activities(given: Sequence[object], us: str) -> list[tuple[str, Json]]:
    """The payload of each event of the X Activity API, by its name. What is none costs the others nothing.

    Raises:
        BadRequestError: none of them is an event.
    """
    found: list[tuple[str, Json]] = []
    broken = 0
    for one in given:
        if not isinstance(one, dict) or not isinstance(one.get("event_type"), str):
            broken += 1
            continue
        if str(_object(one.get("filter")).get("user_id") or us) != us:
            log.warning("x.another_account")
            continue
        payload = one.get("payload")
        if isinstance(payload, dict):
            found.append((one["event_type"], payload))
    if broken and broken == len(given):
        raise BadRequestError("the body holds no event")
    if broken:
        log.error("x.unreadable", kind="event", count=broken)
    return found


def _read_all(name: str, holder: Json, us: str) -> Read:
    if name in ("direct_message_events", "dm.received", "dm.sent"):
        return _each(holder.get("direct_message_events"), us, _message)
    if name in ("direct_message_mark_read_events", "dm.read"):
        return _each(holder.get("direct_message_mark_read_events"), us, _seen)
    if name in ("chat.received", "chat.sent"):
        return _each([holder], us, _encrypted)
    if name == MENTIONED:
        return Read(posts=[holder])
    log.info("x.passed_over", kind=name if name in _SHAPES else "another")
    return Read()


def _each(events: object, us: str, read: Any) -> Read:
    found = Read()
    for event in events if isinstance(events, list) else []:
        if not isinstance(event, dict):
            continue
        try:
            one = read(event, us)
        except Exception as error:
            # Whatever it is, it must not stop the events behind it. No text: only its kind.
            log.error("x.unreadable", error=type(error).__name__)
            one = _salvaged(event, us)
        found.add(one)
    return found


def _message(event: Json, us: str) -> Read:
    """`message_create`, as both webhooks bring it."""
    created = event.get("message_create")
    if not isinstance(created, dict):
        log.info("x.passed_over", kind="another")
        return Read()
    data = _object(created.get("message_data"))
    sender = digits(created.get("sender_id"))
    recipient = digits(_object(created.get("target")).get("recipient_id"))
    at = _moment(event.get("created_timestamp"))
    attachment = _object(data.get("attachment"))
    kind, place = _attached(attachment)
    media = _text(_object(attachment.get("media")).get("url"))
    text = plain(data.get("text"), _object(data.get("entities")).get("urls"), media)
    return _filed(event.get("id"), sender, recipient, us, text, kind, at, place)


def _encrypted(event: Json, us: str) -> Read:
    """A message of X Chat: who and when, and nothing of what (docs.x.com/xchat/real-time-events)."""
    sender = digits(event.get("sender_id"))
    both = _text(event.get("conversation_id")).replace(":", "-").split("-")
    other = next((one for one in both if one != us and _ID.fullmatch(one)), None) if us in both else None
    mid = _identity(event.get("id"))
    if mid is None or sender is None or other is None or len(both) != 2:
        return Read()
    if sender == us:
        # Ours leave in the clear: this one was written by somebody in X's own app.
        at = _moment(event.get("created_at_msec"))
        return Read([Echo(NAME, other, mid, _SHOWN_ELSEWHERE, at=at)])
    if sender != other:
        return Read()
    at = _moment(event.get("created_at_msec"))
    return Read([Incoming(NAME, sender, mid, kind="unsupported", platform_time=at)])


def _seen(event: Json, us: str) -> Read:
    """They have read all up to a message of ours."""
    person = digits(event.get("sender_id"))
    last = _text(event.get("last_read_event_id"))
    if person is None or person == us or not _ID.fullmatch(last):
        return Read()
    told: list[Arrival] = [Receipt(NAME, last, "read")]
    at = time_of_id(last)
    if at is not None:
        told.append(Receipt(NAME, "", "read", person=person, up_to=at))
    return Read(told)


def _salvaged(event: Json, us: str) -> Read:
    """Person and words of a message that cannot be read, if they are where they should be."""
    created = _object(event.get("message_create"))
    sender, mid = digits(created.get("sender_id")), _identity(event.get("id"))
    text = _text(_object(created.get("message_data")).get("text"))
    if sender is None or sender == us or mid is None:
        return Read()
    return Read([Incoming(NAME, sender, mid, text, "text" if text.strip() else "unsupported")])


# ---- a page of messages --------------------------------------------------------------------------


def read_page(events: Sequence[object], media: Mapping[str, str], us: str) -> Read:
    """Messages of `GET /2/dm_events`. `media`: the type of each picture and film by its key."""
    found = Read()
    for event in events:
        if not isinstance(event, dict) or event.get("event_type") != "MessageCreate":
            continue
        try:
            found.add(_listed(event, media, us))
        except Exception as error:
            log.error("x.unreadable", error=type(error).__name__)
            found.add(_salvaged_listed(event, us))
    return found


def _listed(event: Json, media: Mapping[str, str], us: str) -> Read:
    sender = digits(event.get("sender_id"))
    both = _text(event.get("dm_conversation_id")).split("-")
    recipient = None
    if len(both) == 2 and us in both:
        # One to one: the chat is called by the two who are in it.
        recipient = us if sender != us else next((one for one in both if one != us), None)
    keys = _object(event.get("attachments")).get("media_keys")
    kind: InboundKind | None = None
    if isinstance(keys, list) and keys:
        kind = KINDS.get(media.get(str(keys[0]), ""), "unsupported")
    links = event.get("urls") or _object(event.get("entities")).get("urls")
    at = written(event.get("created_at"))
    return _filed(
        event.get("id"), sender, recipient, us, plain(event.get("text"), links), kind, at, (None, None)
    )


def _salvaged_listed(event: Json, us: str) -> Read:
    sender, mid, text = digits(event.get("sender_id")), _identity(event.get("id")), _text(event.get("text"))
    if sender is None or sender == us or mid is None:
        return Read()
    return Read([Incoming(NAME, sender, mid, text, "text" if text.strip() else "unsupported")])


# ---- what both come to ---------------------------------------------------------------------------


def _filed(
    given_id: object,
    sender: str | None,
    recipient: str | None,
    us: str,
    text: str,
    attached: InboundKind | None,
    at: datetime | None,
    place: tuple[float | None, float | None],
) -> Read:
    """One message, as what it is to us: a person's, one in our name, one of a group."""
    mid = _identity(given_id)
    if mid is None or sender is None:
        log.error("x.unreadable", error="it has no sender or no id")
        return Read()
    if sender == us:
        return _in_our_name(mid, recipient, text, when(mid, at))
    kind: InboundKind = attached or ("text" if text.strip() else "unsupported")
    incoming = Incoming(
        NAME, sender, mid, text, kind, platform_time=when(mid, at), platform_sequence=sequence_of(mid),
        latitude=place[0], longitude=place[1],
    )  # fmt: skip
    if recipient != us:
        return Read(groups=[incoming])
    return Read([_pressed(incoming) if kind == "text" else incoming])


def _in_our_name(mid: str, recipient: str | None, text: str, at: datetime | None) -> Read:
    """X gives nothing of ours back but the id: the door knows ours by it, else by the words."""
    if recipient is None:
        return Read()
    return Read([Echo(NAME, recipient, mid, bare(text) if text.strip() else _SHOWN_ELSEWHERE, at=at)])


def _pressed(incoming: Incoming) -> Incoming:
    """X shows no buttons: the word that asks for a person, and numbers, stand for them."""
    if incoming.text.strip().strip(".!\"'").strip().casefold() in PERSON_WORDS:
        return replace(incoming, kind="button", button="person")
    return replace(incoming, choice=typed_number(incoming.text))


def _attached(attachment: Json) -> tuple[InboundKind | None, tuple[float | None, float | None]]:
    """What hangs on a message, and where to, if it is a place."""
    nowhere: tuple[float | None, float | None] = (None, None)
    if not attachment:
        return None, nowhere
    if attachment.get("type") == "location":
        return "location", _place(_object(attachment.get("location")))
    return KINDS.get(_text(_object(attachment.get("media")).get("type")), "unsupported"), nowhere


def _place(location: Json) -> tuple[float | None, float | None]:
    """A point, written longitude first, as GeoJSON has it."""
    found = _object(_object(location.get("shared_coordinate")).get("coordinates")).get("coordinates")
    if not isinstance(found, list) or len(found) != 2:
        return None, None
    longitude, latitude = (
        float(one) if isinstance(one, int | float) and not isinstance(one, bool) else None for one in found
    )
    if latitude is None or longitude is None:
        return None, None
    # Said so that what is no number at all (NaN) is no place either.
    is_on_earth = abs(latitude) <= 90 and abs(longitude) <= 180
    return (latitude, longitude) if is_on_earth else (None, None)


# ---- ids and times -------------------------------------------------------------------------------


def time_of_id(mid: str) -> datetime | None:
    """When X made an id; None: it is none of X's."""
    if not _ID.fullmatch(mid):
        return None
    seconds = ((int(mid) >> ID_SHIFT) + EPOCH_MILLISECONDS) / 1000
    return datetime.fromtimestamp(seconds, UTC) if seconds < _LATEST else None


def first_id_at(moment: datetime) -> int:
    """The lowest id that X could make at a moment."""
    return max(0, int(moment.timestamp() * 1000) - EPOCH_MILLISECONDS) << ID_SHIFT


def id_number(event: object) -> int | None:
    """The number of a listed message, for the order of all of them."""
    found = digits(event.get("id")) if isinstance(event, dict) else None
    return int(found) if found is not None else None


def identity_of(mid: object) -> str | None:
    """The id of a message as it is kept: X's own, or its digest where that is too long."""
    return _identity(mid)


def when(mid: str, told: datetime | None) -> datetime | None:
    """To the millisecond, as the id has it; X's own word, where the two do not agree."""
    by_id = time_of_id(mid)
    if told is None:
        return by_id
    return by_id if by_id is not None and abs((by_id - told).total_seconds()) < 2 else told


def sequence_of(mid: str) -> int:
    """What tells ids of the same millisecond apart."""
    return int(mid) & _SEQUENCE if _ID.fullmatch(mid) else 0


def _identity(mid: object) -> str | None:
    if isinstance(mid, int) and not isinstance(mid, bool):
        # X writes its numbers as words. A message is not to be lost over that.
        mid = str(mid)
    if not isinstance(mid, str) or not mid.strip():
        return None
    if len(mid) <= LONGEST_ID:
        return mid
    return f"sha256:{hashlib.sha256(mid.encode(errors='replace')).hexdigest()}"


def digits(value: object) -> str | None:
    """A number of X's, of an account or a post; None: it is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _moment(value: object) -> datetime | None:
    """Milliseconds, as digits."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        return None
    digits = str(value)
    if not digits.isdecimal() or len(digits) > 15:
        return None
    seconds = int(digits) / 1000
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < _LATEST else None


def written(value: object) -> datetime | None:
    """A time in words, such as 2026-07-24T21:05:48.000Z."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None


def media_types(includes: object) -> Iterator[tuple[str, str]]:
    """The type of each picture and film that a page speaks of, by its key."""
    media = _object(includes).get("media")
    for one in media if isinstance(media, list) else []:
        if isinstance(one, dict):
            yield str(one.get("media_key")), str(one.get("type"))
