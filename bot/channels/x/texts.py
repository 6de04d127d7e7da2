"""X's texts as people read them: its short links undone, its three escapes too.

A link in a message comes back as t.co with its own address beside it ("entities"), and a picture adds a
link to itself. What we wrote is told from what others wrote by its words, so both go through `bare`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]

_OF_MEDIA = re.compile(r"https?://(?:www\.)?(?:x|twitter)\.com/messages/media/\d+", re.I)
_SCHEME = re.compile(r"\bhttps?://", re.I)
_SLASH = re.compile(r"(?<=[\w])/(?=\s|$|[.,;:!?)])")


def plain(text: object, urls: object, media_link: str = "") -> str:
    """The words of a message. `media_link`: what X put there for the picture alone."""
    words = text if isinstance(text, str) else ""
    for link in urls if isinstance(urls, Sequence) and not isinstance(urls, str) else ():
        if not isinstance(link, Mapping):
            continue
        short, whole = link.get("url"), link.get("expanded_url")
        if isinstance(short, str) and short and isinstance(whole, str):
            words = _without(words, short) if _OF_MEDIA.fullmatch(whole) else words.replace(short, whole)
    if media_link:
        words = _without(words, media_link)
    for escape, letter in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        words = words.replace(escape, letter)
    return words


def _without(words: str, link: str) -> str:
    """X puts the link of a picture behind the words, after a space."""
    return words.replace(link, "").rstrip()


def bare(text: str) -> str:
    """A text without what X adds to addresses or takes from them: their scheme, and a slash at their end."""
    return _SLASH.sub("", _SCHEME.sub("", text))
