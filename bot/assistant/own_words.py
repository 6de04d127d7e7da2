"""Words for one channel beside those for all: `safe_no_reply@webchat` beside `safe_no_reply`.

The key, an @ and the channel. It may stand in a force's wording.yml, beside an answer (`answer@webchat`),
a ready-made reply (`text@webchat`) and in data/risk what is said after "Is it safe to chat?". `@site`
stands for every joined site; a private reply to a comment has the words of the private chats beside it.
Without one the general words serve, so they have to be right everywhere. A gateway of before passes such
keys over.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from bot.messages import CHANNELS, SITE, names_of

SAME_EVERYWHERE: Final = frozenset({"block_999", "danger_line", "public_danger", "opening_danger"})
"""Words of danger: they are the same wherever somebody writes, and are known by their words."""
_FILLED_IN: Final = re.compile(r"\{\w*\}")
_CONTACT: Final = re.compile(r"\[[A-Z][A-Z0-9]*(?:\.[a-z][a-z0-9_]*)?\]")
_NUMBER: Final = re.compile(r"\d[\d ]*\d")
_SITE: Final = re.compile(rf"{SITE}(-[a-z0-9]+)*")


def base_of(key: str) -> str:
    """The key of the general words, of a key that may be for one channel."""
    return key.partition("@")[0]


def channel_of(key: str) -> str:
    """The channel that a key is for; empty: it is for all."""
    return key.partition("@")[2]


def is_channel(name: str) -> bool:
    """Whether there can be such a channel."""
    return name in CHANNELS or _SITE.fullmatch(name) is not None


def own(words: Mapping[str, Any], key: str, channel: str) -> Any | None:
    """What a channel says of its own under a key; None: it says what all say."""
    return next((words[named] for name in names_of(channel) if (named := f"{key}@{name}") in words), None)


def picked(words: Mapping[str, str], channel: str) -> dict[str, str]:
    """All that a channel says of its own, under the general keys."""
    found: dict[str, str] = {}
    for name in reversed(names_of(channel)):
        found |= {base_of(key): text for key, text in words.items() if channel_of(key) == name}
    return found


def faults_of(what: str, words: Mapping[str, Any], sites: Collection[str] | None = None) -> list[str]:
    """What is wrong with the keys for one channel among these; `what` names where they stand.

    `sites`: the channels of the sites that the force has joined, where that is known.
    """
    found = []
    for key, text in words.items():
        if "@" in key:
            where = f"{what} ({key})" if what else f"The sentence '{key}'"
            base = words.get(base_of(key))
            found += [f"{where}: {fault}" for fault in _faults(key, str(text), base, sites)]
    return found


def _faults(key: str, text: str, base: Any | None, sites: Collection[str] | None) -> Iterator[str]:
    channel = channel_of(key)
    strange = sites is not None and channel.startswith(f"{SITE}-") and channel not in sites
    if strange or not is_channel(channel):
        yield f"No channel '{channel}'. Write one of: {', '.join((*CHANNELS, SITE))}."
    if base is None:
        yield f"There is no '{base_of(key)}' for the other channels. Write it, or take this out."
        return
    if base_of(key) in SAME_EVERYWHERE:
        yield "Words of danger are the same everywhere. Take this out."
    for named, pattern in (("values", _FILLED_IN), ("contacts", _CONTACT), ("numbers", _NUMBER)):
        mine, theirs = _all(pattern, [text]), _all(pattern, [str(base)])
        if mine != theirs:
            other = ", ".join(sorted(mine ^ theirs))
            yield f"It names other {named} than the general words: {other}. Name the same in both."
    if text.strip() == str(base).strip():
        yield "It says what the general words say. Take this out."


def _all(pattern: re.Pattern[str], texts: Iterable[str]) -> set[str]:
    return {found for text in texts for found in pattern.findall(text)}
