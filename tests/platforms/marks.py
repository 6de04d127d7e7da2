"""What a test's gateway tells a platform of ours of each message, in a header that a real one would pass over.

No real platform is told what kind of row a message was, and Telegram not even our number of it. Whoever counts
what people were told has to know both, and should not have to guess by the words.
"""

from __future__ import annotations

import re

MARK = "X-Test-Mark"
_MARK = re.compile(r"(safety|assistant|staff|notice) (\d+)")


def mark_of(kind: str, row: int) -> str:
    """The header's value. `row` is 0 for words that leave past the record."""
    return f"{kind} {row}"


def read_mark(mark: str) -> tuple[str, int]:
    """Kind and row of a message.

    Raises:
        ValueError: it has no mark; such a message would pass every count unseen.
    """
    found = _MARK.fullmatch(mark)
    if found is None:
        raise ValueError(f"a message left without its mark ({mark!r}): see tests/drills/marking.py")
    return found[1], int(found[2])
