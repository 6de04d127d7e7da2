"""Reads the `changes` of a webhook: every comment, edit, removal and hiding, and the posts themselves.

The Page's field `feed`: developers.facebook.com/docs/graph-api/webhooks/reference/page#feed. Instagram's
`comments`, `live_comments` and `mentions`:
developers.facebook.com/docs/instagram-platform/webhooks/examples and, for what a mention leaves out,
developers.facebook.com/docs/instagram-platform/instagram-api-with-facebook-login/mentions. Likes,
shares, ratings and whatever else Meta may send is passed over on purpose: nobody has said anything.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import structlog

from bot.messages import Arrival, Comment, InboundKind, Incoming, Posted, Visibility

log = structlog.get_logger(__name__)

Json = Mapping[str, Any]

LONGEST_LINK = 1000
NAMED = "mention:"
"""How the place of a comment begins in which somebody names us under a post that is not ours."""
VISITOR = "post:"
"""How the place of a visitor's own post begins: a private reply names it in another way."""
_ID = re.compile(r"[A-Za-z0-9_:-]{1,100}")
_ACCOUNT = re.compile(r"\d{1,30}")
_POSTS = frozenset({"album", "event", "link", "note", "photo", "post", "reel", "share", "status", "video"})
_SHOWN: Mapping[str, bool] = {"hide": True, "unhide": False}
_HOSTS = ("facebook.com", "instagram.com", "fb.watch")
_LATEST = 4_102_444_800.0
"""The year 2100, in seconds: a later time is none."""


@dataclass(frozen=True, slots=True)
class Mention:
    """We are named in somebody else's comment: what it says has to be fetched."""

    media: str
    comment: str


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads for one account. `account_id` is our own id: what we write ourselves is no arrival."""

    channel: str
    account_id: str

    def read(self, change: Json) -> list[Arrival | Mention]:
        """What one change holds. One that cannot be read is named in the log, by its kind alone."""
        value, field = change.get("value"), change.get("field")
        told = _told(change.get("time"))
        known: Mapping[str, Callable[[Json], list[Arrival | Mention]]] = {
            "feed": lambda given: self._feed(given, told),
            "comments": lambda given: self._instagram(given, is_live=False),
            "live_comments": lambda given: self._instagram(given, is_live=True),
            "mentions": self._mention,
        }
        read = known.get(field) if isinstance(field, str) else None
        if read is None or not isinstance(value, dict):
            log.info("comments.passed_over", channel=self.channel)
            return []
        return read(value)

    # ---- a Page --------------------------------------------------------------------------------

    def _feed(self, value: Json, told: str) -> list[Arrival | Mention]:
        item, verb = value.get("item"), value.get("verb")
        post = _identity(value.get("post_id"))
        if post is None:
            return []
        if item == "comment":
            return self._comment(value, post, str(verb), told)
        if item not in _POSTS or verb not in ("add", "edited"):
            return []
        text, link = _text(value.get("message")), _link(value.get("permalink_url")) or _link_to(post)
        if self._is_us(value):
            return [Posted(self.channel, post, text, link)]
        # Somebody writes on the Page itself: a post of theirs, and the first words under it.
        stands = Comment(post, post, _account(value), link, link, f"{VISITOR}{post}", is_ours=False)
        if verb == "add":
            return [
                self._incoming(
                    stands, value, post, text, _kind(value, text), _moment(value.get("created_time"))
                )
            ]
        version = f"{post}.e{_digest(text)}{told}"
        return [self._incoming(stands, value, version, text, "text", None, edit_of=post)]

    def _comment(self, value: Json, post: str, verb: str, told: str) -> list[Arrival | Mention]:
        comment = _identity(value.get("comment_id"))
        if comment is None:
            return []
        if verb in _SHOWN:
            return [Visibility(self.channel, comment, _SHOWN[verb])]
        if self._is_us(value):
            return []
        text, at = _text(value.get("message")), _moment(value.get("created_time"))
        about = value.get("post")
        post_link = _link(about.get("permalink_url")) if isinstance(about, dict) else ""
        stands = Comment(post, comment, _account(value), _link_to(comment), post_link, comment)
        if verb == "remove":
            return [self._incoming(stands, value, f"{comment}.d", "", "deleted", None, edit_of=comment)]
        if verb in ("edit", "edited"):
            # Meta numbers no version, and gives the time of the first one: its words tell it apart, and when
            # it was told, since somebody may go back to words of before.
            version = f"{comment}.e{_digest(text)}{told}"
            return [self._incoming(stands, value, version, text, "text", None, edit_of=comment)]
        if verb != "add":
            return []
        return [self._incoming(stands, value, comment, text, _kind(value, text), at)]

    # ---- Instagram -------------------------------------------------------------------------------

    def _instagram(self, value: Json, *, is_live: bool) -> list[Arrival | Mention]:
        comment, media = _identity(value.get("id")), value.get("media")
        post = _identity(media.get("id")) if isinstance(media, dict) else None
        if comment is None or post is None or self._is_us(value):
            return []
        # "You cannot reply to comments on a live video; use … a private reply instead"
        # (…/instagram-platform/instagram-graph-api/reference/ig-comment/replies).
        stands = Comment(post, comment, _account(value), place=comment, takes_public=not is_live)
        text = _text(value.get("text"))
        at = _moment(value.get("timestamp") or value.get("created_time"))
        return [self._incoming(stands, value, comment, text, "text" if text.strip() else "unsupported", at)]

    def _mention(self, value: Json) -> list[Arrival | Mention]:
        comment, media = _identity(value.get("comment_id")), _identity(value.get("media_id"))
        if media is None:
            return []
        return [Mention(media, comment or "")]

    def mentioned(self, mention: Mention, found: Json) -> list[Arrival]:
        """A mention together with what was fetched of it; without, it is still shown to a person."""
        stands = Comment(
            mention.media, mention.comment or mention.media, _account(found), _link(found.get("permalink")),
            place=f"{NAMED}{mention.media}/{mention.comment}", takes_private=False, is_ours=False,
        )  # fmt: skip
        text = _text(found.get("text")) or _text(found.get("caption"))
        kind: InboundKind = "text" if text.strip() else "unsupported"
        name = {"from": {"username": found.get("username")}}
        # A comment that names us under a post of our own is told of twice: by its id it is one.
        known = mention.comment or f"{NAMED}{mention.media}"
        return [self._incoming(stands, name, known, text, kind, _moment(found.get("timestamp")))]

    # ---- both ------------------------------------------------------------------------------------

    def _incoming(
        self, stands: Comment, value: Json, message_id: str, text: str, kind: InboundKind,
        at: datetime | None, *, edit_of: str | None = None,
    ) -> Incoming:  # fmt: skip
        # Where Meta does not say who wrote, each comment is somebody.
        person = f"{stands.post}/{stands.author or stands.id}"
        return Incoming(
            self.channel, person, message_id, text, kind, name=_name(value), platform_time=at, edit_of=edit_of,
            comment=stands,
        )  # fmt: skip

    def _is_us(self, value: Json) -> bool:
        return _account(value) == self.account_id


def _kind(value: Json, text: str) -> InboundKind:
    if text.strip():
        return "text"
    if value.get("photo"):
        return "image"
    return "video" if value.get("video") else "unsupported"


def _account(value: Json) -> str:
    found = value.get("from")
    known = str(found.get("id") or "") if isinstance(found, dict) else ""
    return known if _ACCOUNT.fullmatch(known) else ""


def _name(value: Json) -> str | None:
    found = value.get("from")
    if not isinstance(found, dict):
        return None
    name = _text(found.get("name")) or _text(found.get("username"))
    return name.strip()[:100] or None


def _identity(value: object) -> str | None:
    found = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return found if _ID.fullmatch(found) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _link(value: object) -> str:
    """An address of the platform's own; anything else is none, whoever signed it."""
    text = _text(value)
    if not text.isprintable():
        return ""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        return ""
    ours = any(host == known or host.endswith(f".{known}") for known in _HOSTS)
    return text if parts.scheme == "https" and ours and len(text) <= LONGEST_LINK else ""


def link(value: object) -> str:
    """The same for an address that an answer of the Graph API holds."""
    return _link(value)


def _link_to(identity: str) -> str:
    return f"https://www.facebook.com/{identity}"


def _told(at: object) -> str:
    """When a webhook was sent, as a part of an id; a repeat of it says the same."""
    return f".{at}" if isinstance(at, int) and not isinstance(at, bool) and 0 < at < 10**13 else ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:12]


def _moment(value: object) -> datetime | None:
    """A time of Meta's: seconds, milliseconds, or as words."""
    if isinstance(value, str) and not value.isdecimal():
        try:
            found = datetime.fromisoformat(value.strip()[:40])
        except ValueError:
            return None
        return found.astimezone(UTC) if found.tzinfo else None
    if isinstance(value, str) and len(value) < 20:
        value = int(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    seconds = value / 1000 if value > 100_000_000_000 else float(value)
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < _LATEST else None
