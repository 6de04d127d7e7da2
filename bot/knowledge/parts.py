"""What the studio speaks of: a text by its name, a draft, a finding, a version, a release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal

from bot.errors import RefusedError, StaleError
from bot.messages import Actor

WRITERS: Final = frozenset({"comms"})
"""Roles that write drafts."""
REVIEWERS: Final = frozenset({"comms", "supervisor", "admin"})
"""Roles that approve or send back, withdraw and restore, and roll back."""
SENIOR: Final = frozenset({"supervisor", "admin"})
"""Roles that approve safety words."""

HERE: Final = timedelta(seconds=30)
"""For so long after they were last seen somebody counts as editing a draft."""
LONGEST_TITLE: Final = 72
"""Letters of an answer's title: what every platform shows of it as a choice."""
LONGEST_REASON: Final = 500
SHORTEST_REASON: Final = 3
LEAST_EXAMPLES: Final = 20
"""With fewer the model guesses: said, never in the way."""

Kind = Literal[
    "faq", "line", "contact", "card", "reply", "outcome", "language", "hours", "force", "teams", "clock",
    "labels",
]  # fmt: skip
KINDS: Final[tuple[Kind, ...]] = (
    "faq", "line", "contact", "card", "reply", "outcome", "language", "hours", "force", "teams", "clock",
    "labels",
)  # fmt: skip
"""Everything that can be drafted. The words of risk (`data/risk/`) are the screen's files and not in here.

What a draft's `body` holds:
    faq         title, group, owner, mode, contacts, source, last_checked, review_by, expires and so on, as
                in `data/faq`; `answer`; `examples`, a list of phrases
    line        text
    contact     say, parts, tel, name, group, notes and so on, as in contacts.yml
    card        do, never_ask, call: one category of cards.yml, by its id
    reply       group, title, text: one of replies.yml, by its key
    outcome     one of outcomes.yml, by its key
    language    one language of languages.yml, by its code
    hours       value: what stands under one key of hours.yml (desk, counters, exceptions and so on)
    force, teams, clock, labels     value: the whole file; the key is the kind
"""

State = Literal["draft", "in_review", "approved", "live", "discarded"]
"""approved: waits for its set time. live and discarded are the end of a draft."""
Origin = Literal["files", "studio", "withdrawal", "restore", "expiry", "rollback"]
"""How a release came to be."""


@dataclass(frozen=True, slots=True)
class Who:
    """A member of staff."""

    id: int
    name: str


@dataclass(frozen=True, slots=True, order=True)
class Name:
    """A text by its name."""

    kind: str
    key: str

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a text that somebody should look at."""

    blocks: bool
    """It cannot be approved like this. Otherwise whoever approves says why it is right all the same."""
    field: str
    """Where: answer, title, text, do, value and so on; empty if it is about the whole."""
    check: str
    """Which check, such as "typed contact", "D3", "reading age"."""
    words: str
    """What was found and why it matters, as a sentence."""
    better: str
    """What to do."""
    line: int = 1
    """The line of the field; of example phrases the number in the list, from 1."""
    found: str = ""
    """The exact words that were found; empty if it is about the whole."""


@dataclass(frozen=True, slots=True)
class Row:
    """One text in the list of all texts."""

    kind: str
    key: str
    title: str
    """What it is called, or its first words."""
    group: str = ""
    owner: str = ""
    mode: str = ""
    review_by: str = ""
    expires: str = ""
    is_withdrawn: bool = False
    is_live: bool = True
    """False: it exists only as a draft."""
    draft_id: int | None = None
    draft_state: str = ""


@dataclass(frozen=True, slots=True)
class DraftView:
    """A draft as it stands now, beside what is live."""

    id: int
    kind: str
    key: str
    state: str
    version: int
    """Grows with each change; whoever changes it names the one that they saw."""
    body: Mapping[str, Any]
    live_body: Mapping[str, Any] | None
    """What is live now; None: nothing is, by this name. Of a withdrawn answer: what it said."""
    base_body: Mapping[str, Any] | None
    """What was live when this draft was begun, or looked at again."""
    is_new: bool
    is_deletion: bool
    is_withdrawn: bool
    """The live text is a withdrawn answer: to publish this draft restores it."""
    changed_under: bool
    """The live text is another than the one this draft was made from: look at it again (`look_again`)."""
    needs_senior: bool
    """Safety words: only a supervisor or administrator approves."""
    examples_changed: bool
    """The phrases differ from the live ones: kept and released, learned at the next training."""
    created_by: Who
    created_at: datetime
    updated_by: Who
    updated_at: datetime
    authors: tuple[Who, ...]
    """Everybody who wrote in it: none of them may approve it."""
    note: str = ""
    """Why, said on asking for review."""
    submitted_by: Who | None = None
    submitted_at: datetime | None = None
    sent_back_by: Who | None = None
    sent_back_why: str = ""
    """Why it came back; empty once it is submitted again."""
    approved_by: Who | None = None
    approved_at: datetime | None = None
    approved_why: str = ""
    """Why it is right with what was found in its style."""
    publish_at: datetime | None = None
    trouble: str = ""
    """Why it did not go live at its time, as a sentence."""
    release_id: int | None = None
    """The release that it went live in."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A text of a draft that was kept aside, so that nothing is lost."""

    id: int
    draft_id: int
    kept: str
    """refused (somebody else had saved meanwhile), before (another person went on from here) or submitted."""
    version: int
    """The version that it was written upon."""
    body: Mapping[str, Any]
    by: Who
    at: datetime


@dataclass(frozen=True, slots=True)
class Saved:
    """A draft was saved."""

    version: int
    state: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """Somebody else saved meanwhile: theirs stands, yours is kept as a copy."""

    theirs: DraftView
    yours: Copy


@dataclass(frozen=True, slots=True)
class Editor:
    """Somebody who has a draft open just now."""

    who: Who
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Version:
    """One live version of a text."""

    release_id: int
    at: datetime
    origin: str
    body: Mapping[str, Any] | None
    """None: from here on it was gone."""
    is_withdrawn: bool
    wrote: tuple[str, ...]
    approved: str
    why: str
    is_live: bool


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """One release: exactly what was live from then on."""

    id: int
    sha256: str
    at: datetime
    by: str
    origin: str
    why: str
    previous_id: int | None
    back_to: int | None
    """The release whose content this one brought back."""
    model: str
    """The model it was made beside, where that is known."""
    is_live: bool
    changed: tuple[Name, ...]
    wrote: tuple[str, ...] = ()
    approved: tuple[str, ...] = ()
    """Names of staff; who withdrew, restored or went back stands here too."""


@dataclass(frozen=True, slots=True)
class Undone:
    """What going back to an earlier release would undo: one text, and its changes since."""

    kind: str
    key: str
    is_gone: bool
    """It would not be there any more."""
    changes: tuple[Version, ...]
    """Newest first, without the bodies."""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """An answer that is withdrawn now."""

    slug: str
    title: str
    at: datetime
    by: str
    why: str
    has_expired: bool


@dataclass(frozen=True, slots=True)
class ReviewDue:
    """An answer whose owner should look at it again. It stays live meanwhile."""

    slug: str
    title: str
    owner: str
    review_by: date
    is_withdrawn: bool


class FaultyError(RefusedError):
    """A text cannot be approved as it is."""

    def __init__(self, message: str, findings: tuple[Finding, ...]) -> None:
        super().__init__(message)
        self.findings = findings


class ChangedUnderError(StaleError):
    """The live text changed since the draft was made: its writer looks at it again first."""


def may_write(actor: Actor) -> bool:
    """Whether they may write drafts."""
    return actor.role in WRITERS


def may_review(actor: Actor) -> bool:
    """Whether they may approve, send back, withdraw, restore and roll back."""
    return actor.role in REVIEWERS


def is_senior(actor: Actor) -> bool:
    """Whether they may approve safety words."""
    return actor.role in SENIOR
