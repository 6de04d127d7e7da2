"""Words that add up: what no single phrase says, but many small signs together do.

Every known word, pair of words and family of words has points for danger. They are added for each
run of up to three sentences and divided by the square root of how many signs there are, so that
neither a long story nor a short cry has an advantage. The points are in `data/risk/points.yml`;
`scripts/weigh_points.py` works them out from the training examples.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import sqrt
from typing import Final

MOST_SENTENCES: Final = 3
"""Sentences that are read together."""

MOST_WORDS: Final = 40
"""Words of one piece: a longer sentence is cut, so that a story does not thin out its danger."""

REASONS: Final = 4
"""Signs that are named to staff as the reason."""


SAYING_SOMETHING: Final = 3.0
"""Points that words with a meaning of their own must bring: "he has" alone is no sign of anything."""

LITTLE_WORDS: Final = frozenset(
    "a about after all also am an and any are as at back be been before being but by came can cant come could "
    "day did do does dont down every for from get go going gone got had has hasnt have he her here him his how "
    "i id if ill im in is isnt it its ive just keep last left let like make me more much my never next no not "
    "now of off oh ok on only or our out over people put really right said same say see she should so some "
    "still take tell than that thats the their them then there theres they theyre thing this to today too turn "
    "under until up us want was way we well went were what whats when where which who why will with wont "
    "would yes yet you your youre "
    # Families that name somebody or some place, and nothing that happens.
    "<someone> <dear> <casualty> <loved> <child> <friend> <partner> <carer> <relation> <family> <he> <i> <me> "
    "<my> <place> <location> <in> <now>".split()
)
"""Words and families that name nothing that happens."""


@dataclass(frozen=True, slots=True)
class Sign:
    """What one sign speaks for: danger at all, danger now rather than before, and which category."""

    danger: float
    now: float
    categories: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scale:
    """All signs, what a message starts with, and the mark from which it is raised."""

    signs: Mapping[str, Sign]
    danger_base: float = 0.0
    now_base: float = 0.0
    mark: float = 1.0
    mark_now: float = 0.0
    """From this much it is now (P1), else it may be before or later (P2)."""
    mark_phrase: float = float("-inf")
    """From this much a phrase counts: below it, all that stands around it speaks of something else."""
    mark_sure: float = float("-inf")
    """From this much it is sure. What is less sure is P1 only where it speaks of now and of nothing else."""
    mark_pressing: float = 0.0
    """From this much "now", what is sure is P1 even where a phrase says P2."""


@dataclass(frozen=True, slots=True)
class Found:
    """A piece of a message whose signs reach the mark."""

    score: float
    category: str
    is_now: bool
    places: tuple[int, ...]
    """The words that speak loudest, by their place among the words that were read."""
    is_pressing: bool = False
    """Sure, and now: it is P1 even where a phrase says P2."""


Piece = Sequence[tuple[str, int]]
"""The signs of a sentence, each with the place of a word of it."""


def signs_of(words: Sequence[str], first: int, families: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """The signs of one sentence: its words, its pairs of neighbours, its families.

    Args:
        words: plain words; an empty one has lost its meaning in an idiom.
        first: the place of the first.
        families: names in angle brackets, each with a place.
    """
    found = [(word, first + at) for at, word in enumerate(words) if word]
    found += [(f"{one} {two}", first + at) for at, (one, two) in enumerate(pairwise(words)) if one and two]
    found += families
    return found


def weigh(scale: Scale, pieces: Sequence[Piece]) -> Found | None:
    """The run of neighbouring pieces that speaks most for danger, if it reaches the mark."""
    best: tuple[float, dict[str, int]] | None = None
    for start in range(len(pieces)):
        known: dict[str, int] = {}
        for piece in pieces[start : start + MOST_SENTENCES]:
            for sign, place in piece:
                if sign in scale.signs:
                    known.setdefault(sign, place)
            if not known:
                continue
            score = _score(scale, known)
            if score >= scale.mark and (best is None or score > best[0]) and _says_something(scale, known):
                best = (score, dict(known))
    if best is None:
        return None
    score, known = best
    now = scale.now_base + sum(scale.signs[sign].now for sign in known) / sqrt(len(known))
    is_sure = score >= scale.mark_sure
    return Found(
        score,
        _category(scale, known),
        now >= (scale.mark_now if is_sure else max(scale.mark_now, 0.0)),
        _loudest(scale, known),
        is_sure and now >= scale.mark_pressing,
    )


def speaks_against(scale: Scale, pieces: Sequence[Piece], first: int, last: int) -> bool:
    """Whether neither the words of a phrase, from `first` to `last`, nor any run of neighbouring pieces
    lets it be meant as danger. The words of the phrase count by themselves, so that nothing which is
    said beside them can take away from them. Words without any known sign say nothing against it.
    """
    own = {sign for piece in pieces for sign, place in piece if first <= place <= last - (" " in sign)}
    known = [sign for sign in own if sign in scale.signs]
    if not known or _score(scale, known) >= scale.mark_phrase:
        return False
    for start in range(len(pieces)):
        run: set[str] = set()
        for piece in pieces[start : start + MOST_SENTENCES]:
            run.update(sign for sign, _ in piece if sign in scale.signs)
            if run and _score(scale, run) >= scale.mark_phrase:
                return False
    return True


def _score(scale: Scale, known: Collection[str]) -> float:
    return scale.danger_base + _sum(scale, known) / sqrt(len(known))


def _sum(scale: Scale, known: Iterable[str]) -> float:
    return sum(scale.signs[sign].danger for sign in known)


def _says_something(scale: Scale, known: Iterable[str]) -> bool:
    told = sum(
        max(0.0, scale.signs[sign].danger)
        for sign in known
        if not all(word in LITTLE_WORDS for word in sign.split())
    )
    return told >= SAYING_SOMETHING


def _category(scale: Scale, known: Mapping[str, int]) -> str:
    votes: dict[str, float] = {}
    for sign in known:
        for category, points in scale.signs[sign].categories.items():
            votes[category] = votes.get(category, 0.0) + points
    return max(sorted(votes), key=lambda category: votes[category], default="R01")


def _loudest(scale: Scale, known: Mapping[str, int]) -> tuple[int, ...]:
    order = sorted(known, key=lambda sign: (-scale.signs[sign].danger, known[sign]))
    return tuple(sorted({known[sign] for sign in order[:REASONS]}))
