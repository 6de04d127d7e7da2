"""The nouns that every room shares: what comes in, what goes out, who owns the reply.

Standard library only. A platform's JSON never passes `channels/<platform>/`, Rasa's never passes
`assistant/`: from there on it is one of these.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

State = Literal["bot", "waiting", "human", "closed"]
Grade = Literal["P1", "P2", "P3", "P4"]
InboundKind = Literal[
    "text", "button", "location", "image", "voice", "video", "sticker", "file", "contact", "unsupported",
    "deleted", "reaction", "moved", "moved_apart",
]  # fmt: skip
"""`deleted`: a person took a message back; `edit_of` says which. What was stored stays on record.
`contact`: somebody's address card, of which nothing is kept. `reaction`, `moved`: see `ASIDE`.
`moved_apart`: they have another number, and write from it in a chat of its own."""
OutboundKind = Literal["safety", "assistant", "staff", "notice"]
Delivery = Literal["queued", "sending", "sent", "delivered", "read", "failed", "unknown", "refused"]
Net = Literal["screen", "understanding", "asked", "fallback", "language", "staff", "clock"]

ASIDE: frozenset[str] = frozenset({"reaction", "moved", "moved_apart"})
"""Kinds that say nothing by themselves, a sign under a message or a new number: shown, owed nothing."""
WINDOW_OVER = "the time in which {title} takes a reply is over"
"""Why a row failed, by its `detail`: the platform, of that title, takes no words of our own any more."""
GRADES: tuple[Grade, ...] = ("P1", "P2", "P3", "P4")
URGENT: frozenset[str] = frozenset({"P1", "P2"})
DELIVERY_RANK: Mapping[str, int] = {
    "queued": 0, "sending": 1, "unknown": 2, "sent": 3, "delivered": 4, "read": 5,
    "failed": 6, "refused": 6,
}  # fmt: skip
"""A delivery state only ever moves to a higher rank (I7); two of the same rank never replace."""


COMMENTS: Mapping[str, str] = {
    "facebook-comments": "messenger", "instagram-comments": "instagram", "x-mentions": "x",
}  # fmt: skip
"""Channels whose messages stand in public, and where the person of each reads a private reply.

On them nothing is said but what comment mode says: `bot/conversations/comment_words.py`.
"""
PRIVATE_FIRST: frozenset[str] = frozenset({"x-mentions"})
"""Those of them where many people take no private message of ours: the line in public leaves after it.

Then it says how else to reach us, where the private one was refused (`bot/conversations/disclosure.py`).
"""
CHANNELS: tuple[str, ...] = (
    "webchat", "telegram", "messenger", "instagram", "whatsapp", "x", *COMMENTS,
)  # fmt: skip
"""Every channel that ships. A site that a force joins is one too: `site-` and its name."""
SITE = "site"
"""Stands for all joined sites, where words are written for one channel."""
Way = Literal["", "public", "private"]
"""How words reach somebody who wrote in public; empty on every other channel."""


def names_of(channel: str) -> tuple[str, ...]:
    """Under which names a channel finds words of its own, the nearest first.

    A private reply to a comment is read in the private chats beside it.
    """
    if channel.startswith(f"{SITE}-"):
        return (channel, SITE)
    return (channel, COMMENTS[channel]) if channel in COMMENTS else (channel,)


def is_higher(grade: str | None, than: str | None) -> bool:
    """Whether `grade` is more urgent than `than`; any grade is higher than none."""
    if grade is None:
        return False
    return than is None or grade < than


@dataclass(frozen=True, slots=True)
class Button:
    """One answer that a person can choose instead of typing.

    `payload` is ours and never shown; a channel sends `token` to the platform and gets it back.
    """

    title: str
    payload: str
    token: str = ""


@dataclass(frozen=True, slots=True)
class Comment:
    """Where in public a message stands. Ids are the platform's own."""

    post: str
    id: str
    """The comment's own, whatever version of it this is."""
    author: str = ""
    """Who wrote it, as the platform numbers them; empty where it keeps that to itself."""
    link: str = ""
    post_link: str = ""
    place: str = ""
    """What its channel needs to answer there; the id, where that is enough."""
    takes_public: bool = True
    takes_private: bool = True
    """Whether the platform lets us answer it in public, and in private."""
    is_ours: bool = True
    """It stands under a post of the force's."""
    post_author: str = ""
    """Who began the thread, where that is known and not said by `is_ours` for good."""
    post_text: str | None = None
    """What the post says, where it came along: they name us in a post of their own."""
    private_id: str = ""
    """Who they are in private, where a platform numbers people the same way there."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A post of the force's, in its newest words."""

    channel: str
    post: str
    text: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Visibility:
    """A platform's word that a comment was hidden there, or is shown again."""

    channel: str
    comment: str
    hidden: bool


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message of one person, as a channel parsed it.

    `message_id` is unique within `channel` and stays the same when the platform delivers again.
    `text` is what the person wrote, or the caption of what they sent. `latitude`/`longitude` are
    degrees and are shown at the desk only, never logged.
    """

    channel: str
    person: str
    message_id: str
    text: str = ""
    kind: InboundKind = "text"
    button: str | None = None
    name: str | None = None
    platform_time: datetime | None = None
    platform_sequence: int = 0
    latitude: float | None = None
    longitude: float | None = None
    edit_of: str | None = None
    """The id of the message that this is a new version of: both stay on record."""
    standby: bool = False
    """Somebody else answers this person there just now: another app, or the platform's own inbox."""
    choice: int | None = None
    """The number that a person typed, where the platform shows buttons as a numbered list."""
    page: str = ""
    """What the force's page around the chat is about, as its signature says. For the desk's eyes only."""
    also: str = ""
    """Another id of the same person there: they are known by either, whichever the platform tells."""
    moved_to: str = ""
    """With the kind `moved`: the id by which the person is known from now on."""
    place: str = ""
    """What a map calls a location that was sent. For the desk's eyes only: the person did not write it."""
    reply_to: str | None = None
    """The id of the message, theirs or ours, that this one answers."""
    comment: Comment | None = None
    """Set on a channel of `COMMENTS`. There `person` is somebody under one post: see docs/decisions/0025."""


@dataclass(frozen=True, slots=True)
class Echo:
    """Something sent in the force's name on a platform, told back to us by the platform.

    `outbox_id` is the id that we gave the message, where the platform hands it back.
    """

    channel: str
    person: str
    message_id: str
    text: str = ""
    outbox_id: int | None = None
    also: str = ""
    """Another id of the same person there, as in `Incoming`."""
    at: datetime | None = None
    """When it left, by the platform's clock, where it may be told long after; None: a moment ago."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A platform's word on what became of a message of ours.

    Where the platform says no more than a time, `message_id` is empty: everything that it took for
    `person` until `up_to` has come so far. Where it hands back what we gave it with the message,
    `outbox_id` finds the row whose id on the platform nobody knows; `part` says that it was not the last
    part of a long text. `temporary`: what failed may well arrive when it is sent once more.
    """

    channel: str
    message_id: str
    state: Literal["sent", "delivered", "read", "failed"]
    detail: str = ""
    person: str = ""
    up_to: datetime | None = None
    outbox_id: int | None = None
    part: bool = False
    temporary: bool = False


@dataclass(frozen=True, slots=True)
class Reach:
    """A platform's word that a person has blocked us there, or has taken that back."""

    channel: str
    person: str
    reachable: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class Control:
    """A platform's word on who answers a person there from now on: we (`ours`), or somebody else."""

    channel: str
    person: str
    ours: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """How an account of ours on a platform stands: its quality, a text that it approved, whether news comes.

    `account` is ours and nobody's person: a number of the platform's own, or a digest. `says` is one
    word, the platform's or the channel's, `topic` what it is about. `why` says the same in sentences for
    staff, where there are any; `until` is when it ends by itself.
    """

    channel: str
    account: str
    topic: str
    says: str
    degraded: bool
    at: datetime
    why: str = ""
    until: datetime | None = None


Arrival = Incoming | Echo | Receipt | Reach | Control | Standing | Posted | Visibility


Fill = Literal["", "reference", "desk", "force"]
"""What we fill in by ourselves: the chat's reference, the desk's name, the force's."""
PLACE = re.compile(r"\{\{(\w+)\}\}")
"""Where something is filled into an approved text: {{1}}, or {{reference}}."""


@dataclass(frozen=True, slots=True)
class Place:
    """One place in an approved text. We fill it in (`fill`), or staff do, asked by `asks`."""

    name: str
    fill: Fill = ""
    asks: str = ""
    longest: int = 60


@dataclass(frozen=True, slots=True)
class ApprovedText:
    """A text that a platform has approved, word by word: it may leave when no other does any more."""

    key: str
    title: str
    name: str
    language: str
    body: str
    places: tuple[Place, ...] = ()

    def filled(self, values: Mapping[str, str]) -> tuple[str, tuple[tuple[int, int], ...]]:
        """The words as the person will read them, and where what staff have filled in stands in them."""
        asked = {place.name for place in self.places if place.asks}
        text, spans, at = "", [], 0
        for found in PLACE.finditer(self.body):
            text += self.body[at : found.start()]
            if found[1] in asked:
                spans.append((len(text), len(text) + len(values[found[1]])))
            text += values[found[1]]
            at = found.end()
        return text + self.body[at:], tuple(spans)


@dataclass(frozen=True, slots=True)
class Template:
    """How a platform is told to send an approved text: its name there, and what fills its places."""

    name: str
    language: str
    values: tuple[tuple[str, str], ...] = ()
    """Place and words, in the order in which they stand in the text."""

    def as_json(self) -> dict[str, Any]:
        """The same, ready for a JSON column."""
        return {"name": self.name, "language": self.language, "values": [list(one) for one in self.values]}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Template:
        """What `as_json` made."""
        return cls(body["name"], body["language"], tuple((place, words) for place, words in body["values"]))


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message on its way out, already in the words of the live release."""

    outbox_id: int
    kind: OutboundKind
    text: str
    buttons: tuple[Button, ...] = ()
    author: str = ""
    parts_sent: int = 0
    """How many parts of a long text have left already, on a platform where it leaves in parts."""
    wrote_at: datetime | None = None
    """When the person last wrote, for a platform that takes a reply only for so long after it."""
    closes: bool = False
    """It is the sentence with which staff have closed the chat."""
    template: Template | None = None
    """It is this approved text, whose words `text` shows."""
    way: Way = ""
    place: str = ""
    """What it answers, for a channel of comments: `Comment.place`."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The platform's receipt for one message: its id there.

    `person` is whom it reached, where the platform knows them by another name in private.
    """

    message_id: str
    person: str = ""


class Channel(Protocol):
    """What the outbox needs of a platform. One folder in `channels/` each.

    `in_store` marks a channel whose page reads the event table itself (web chat): the row is
    sent by the commit, and `send` is never called. A platform that takes a reply only for so long
    after a person's last message has it as `reply_window`, a timedelta (`limits.reply_window`).

    More that a channel may have: `shorten(text, way)`, the words that leave of a text, where that is
    one message and no more; `discloses`, if the first words of an assistant's in a chat have
    to say what it is (`disclosure`); `pieces(outgoing)`, the texts as they stand there, if they are
    not the text of the row (`echoes`); `nameless_echoes`, if an echo of ours may bear an id that we were
    never told (`echoes`); `numbers(titles)`, whether buttons of these titles are shown
    as a numbered list, so that a typed number chooses one (`choices`); `approved_texts`, if after the
    window it takes these texts and no other (`approved`).
    """

    name: str
    in_store: bool
    max_text: int

    async def send(self, person: str, outgoing: Outgoing) -> Sent:
        """Deliver one message.

        Raises:
            RetryLaterError: not taken; try again after the seconds it names.
            UnsureError: it may have arrived.
            RejectedError: it never will.
        """
        ...


@dataclass(frozen=True, slots=True)
class Hit:
    """One category of risk, found by one net, explained by the words that fired."""

    category: str
    grade: Grade
    net: Net
    words: tuple[str, ...] = ()
    language: str = ""
    """The code of the language of the words, where it is known not to be English."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a text that a member of staff is about to send, and where it stands."""

    kind: str
    start: int
    end: int
    severity: Literal["block", "hint"]
    says: str
    """What is wrong, as a sentence."""
    better: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What one turn came to, kept beside the message: the record's and the evaluation's view."""

    answered: str | None = None
    offered: tuple[str, ...] = ()
    confidence: float = 0.0
    nets: tuple[str, ...] = ()
    intent: str = ""
    release: str = ""
    """The model that understood."""
    content: int | None = None
    """The release whose words were said; None: the files'."""

    def as_json(self) -> dict[str, Any]:
        """The same, ready for a JSON column."""
        return {
            "answered": self.answered,
            "offered": list(self.offered),
            "confidence": self.confidence,
            "nets": list(self.nets),
            "intent": self.intent,
            "release": self.release,
            "content": self.content,
        }


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something: a member of staff, or one of our own parts (`staff_id` is None)."""

    name: str
    staff_id: int | None = None
    role: str = "system"
    teams: frozenset[str] = field(default_factory=frozenset)


ASSISTANT = Actor("assistant")
DOOR = Actor("door")
CLOCK = Actor("clock")
PERSON = Actor("person")
