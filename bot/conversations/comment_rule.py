"""The force's rule of comments: what is hidden, when it is looked at, and under which posts we are quiet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

KINDS: Final = ("ordinary", "appeal", "memorial")
QUIET: Final = frozenset({"appeal", "memorial"})
"""Under such a post a person in danger reads what to do, and all else is a person's to answer."""
DEFAULT_HOURS = 24.0


@dataclass(frozen=True, slots=True)
class CommentRule:
    """The `comments` part of force.yml. `bot/assistant/content.py` refuses one that makes no sense."""

    hide: bool
    """Comments that break a rule are hidden at once; else a person is shown them and decides."""
    review_after: timedelta
    appeal_link: str
    quiet_words: tuple[str, ...]
    silent_for: frozenset[str]
    """Categories that wait for a person without a word, at P3 and P4: criticism is nothing to answer at once."""

    @classmethod
    def of(cls, force: Mapping[str, Any]) -> CommentRule:
        """The rule of a force file; a release of before has none, and hides nothing."""
        rule = force.get("comments") or {}
        return cls(
            bool(rule.get("hide", False)),
            timedelta(hours=float(rule.get("review_hours") or DEFAULT_HOURS)),
            str(rule.get("appeal_link") or ""),
            tuple(str(word).casefold() for word in rule.get("quiet_words") or ()),
            frozenset(map(str, rule.get("silent_for") or ())),
        )

    def kind_of(self, post: Any) -> str | None:
        """What a post is: as staff marked it, else as its words say; None: nobody knows them yet."""
        if post.kind:
            return str(post.kind)
        if not post.is_ours and not _is_theirs(post):
            # Somebody else's: nobody asked us to talk there.
            return "appeal"
        if post.text is None:
            return None
        text = " ".join(post.text.casefold().split())
        words = (rf"(?<!\w){re.escape(word)}(?!\w)" for word in self.quiet_words)
        return "appeal" if any(re.search(word, text) for word in words) else "ordinary"

    def is_quiet(self, post: Any) -> bool:
        """Whether we are quiet under a post. One that nobody could read may be anything."""
        kind = self.kind_of(post)
        return kind is None or kind in QUIET


def _is_theirs(post: Any) -> bool:
    """Whether whoever we would answer wrote the post itself, and named us in it: then they have asked us.

    A list of posts has no reader in it: there the writer counts, who alone may be answered.
    """
    author = getattr(post, "author", None)
    return author is not None and getattr(post, "account", author) == author
