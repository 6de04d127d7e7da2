"""Personal data covered up in a text that is read for another purpose than to help its writer.

It is a help for whoever reads, not a promise: a name that somebody only writes about cannot be known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

HIDDEN: Final = "▇▇▇"
"""Stands for every word that is covered."""

_PATTERNS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"[\w.+'-]+\s?@\s?[\w-]+(?:\.[\w-]+)+",  # an e-mail address
        r"(?<![\w@])@[A-Za-z]\w{2,}",  # an account on another platform
        r"(?:https?://|www\.)\S+",  # a link can lead to a person's own page
        r"\b(?:GIR\s?0AA|[A-Z]{1,2}[0-9][A-Z0-9]?\s?[0-9][A-Z]{2})\b",  # a postcode
        r"\b[A-Z]{2}[0-9]{2}\s?[A-Z]{3}\b",  # a number plate
        r"(?:\+|\b)[0-9](?:[\s().-]?[0-9]){5,}\b",  # a phone, a card, an account: six figures or more
    )
)
_SHORTEST_NAME: Final = 2


def mask(text: str, names: Iterable[str] = ()) -> str:
    """Cover phone numbers, addresses on the internet, postcodes, number plates, and these names.

    `names` are as a platform shows them; each of their words is covered wherever it stands by itself.
    """
    for pattern in _PATTERNS:
        text = pattern.sub(HIDDEN, text)
    words = sorted(
        {word for name in names for word in re.findall(r"\w+", name) if len(word) >= _SHORTEST_NAME},
        key=len,
        reverse=True,
    )
    if words:
        either = "|".join(re.escape(word) for word in words)
        text = re.sub(rf"(?<!\w)(?:{either})(?!\w)", HIDDEN, text, flags=re.IGNORECASE)
    return text
