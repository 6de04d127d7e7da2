"""How long a public reply may be, where a platform counts letters in its own way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

LONGEST_IN_PUBLIC: Final[Mapping[str, int]] = {"x-mentions": 280}
"""docs.x.com/fundamentals/counting-characters; whatever more a paid account may write, every account may this."""
LINK_WEIGHT: Final = 23
_LINK = re.compile(r"(?:https?://|www\.)\S+|\b[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}(?:/\S*)?", re.IGNORECASE)
_LIGHT = ((0x0000, 0x10FF), (0x2000, 0x200D), (0x2010, 0x201F), (0x2032, 0x2037))


def weight(text: str) -> int:
    """The length of a text as X counts it: a link is 23, most letters 1, the others 2.

    docs.x.com/fundamentals/counting-characters. What may be taken for a link counts as the heavier of the two.
    """
    links = _LINK.findall(text)
    whole = [link for link in links if "://" in link]
    maybe = [max(LINK_WEIGHT, _letters(link)) for link in links if "://" not in link]
    return _letters(_LINK.sub("", text)) + LINK_WEIGHT * len(whole) + sum(maybe)


def _letters(text: str) -> int:
    return sum(1 if any(low <= ord(letter) <= high for low, high in _LIGHT) else 2 for letter in text)
