"""What changed between two texts, word by word, for a page that shows the old beside the new."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final, Literal

MOST_WORDS: Final = 1600
"""With its spaces. A longer text is compared by its lines: word by word it would hold the gateway up."""
_WORDS: Final = re.compile(r"\[[A-Z][A-Z0-9]*(?:\.\w+)?\]|\s+|[\w'’\-]+|[^\w\s]")
"""A contact in brackets is one word: half a key means nothing to a reader."""
_LINES: Final = re.compile(r"[^\n]*\n|[^\n]+")


@dataclass(frozen=True, slots=True)
class Piece:
    """Words that stand in both texts, in the new one only, or in the old one only."""

    change: Literal["", "added", "taken"]
    words: str


def difference(old: str, new: str) -> list[Piece]:
    """The pieces of both texts in the order of reading; where words were replaced, the old come first.

    Without those that were added the pieces are the old text, without those taken away the new one.
    """
    before, after = _split(old, new)
    pieces: list[Piece] = []
    # `autojunk` would take the most common words of a long text for noise.
    for what, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if what == "equal":
            pieces.append(Piece("", "".join(before[a:b])))
            continue
        if b > a:
            pieces.append(Piece("taken", "".join(before[a:b])))
        if d > c:
            pieces.append(Piece("added", "".join(after[c:d])))
    return _joined(pieces)


def _split(old: str, new: str) -> tuple[list[str], list[str]]:
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    if max(len(before), len(after)) > MOST_WORDS:
        return _LINES.findall(old), _LINES.findall(new)
    return before, after


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Put replaced words together where only a space stands between two of them: "a b" for "c d" is one change."""
    found: list[Piece] = []
    taken, added = "", ""

    def end() -> None:
        nonlocal taken, added
        if taken:
            found.append(Piece("taken", taken))
        if added:
            found.append(Piece("added", added))
        taken = added = ""

    for place, piece in enumerate(pieces):
        if piece.change == "taken":
            taken += piece.words
        elif piece.change == "added":
            added += piece.words
        elif taken and added and piece.words.strip(" ") == "" and place + 1 < len(pieces):
            taken, added = taken + piece.words, added + piece.words
        else:
            end()
            found.append(piece)
    end()
    return found
