"""The public of a simulated shift: who writes what, and how they go on when they are answered."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.support.world import ODD, P1, P1_OTHER, P2_HIDDEN, P3

QUESTIONS = {
    "noise complaint": "noise",
    "lost passport": "lost-passport",
    "lost property office": "lost-property",
    "parking on the pavement": "parking",
    "dbs check": "dbs-check",
    "station opening hours": "station-opening-hours",
    "found property": "found-property",
    "speeding notice": "speeding-notice",
}
"""What the assistant is asked, and the answer to it. None of them is a risk."""
RUMOUR = "is it true that the old bridge at wylam is shut for the whole of sunday"
ACCUSED = "the officer punched me"
PRESS = "i am a reporter, can i have a comment for the paper"
"""To a team whose replies a second person reads."""
CRIMES = (P3, "someone stole my bike yesterday", "my shed was broken into last week")
DETAILS = (
    "it was parked outside the library",
    "yes that is right",
    "ok i will wait",
    "one more thing please",
)
"""What people write to staff; none of it raises anything."""
AGAIN = "one more thing please"
PERSON_BUTTON = "person"

SHARES = (
    ("asks", 56), ("wants a person", 12), ("crime", 12), ("not understood", 6), ("sends a picture", 3),
    ("hidden", 4), ("danger", 3), ("accuses", 2), ("rude", 1), ("press", 1),
)  # fmt: skip
"""Of a hundred people, what they come for; those of a rumour come on top."""


@dataclass(slots=True)
class Somebody:
    """One person, what they still mean to write, and how they go on."""

    name: str
    kind: str
    opening: list[str]
    rounds: int = 0
    """How often they write to whoever of the staff answers."""
    is_again: bool = False
    """They write once more after their chat was closed."""
    takes_back: bool = False
    """They do not want a person any more, while they wait."""
    asked: list[str] = field(default_factory=list)
    """The answers that they asked for, in order."""
    heard: int = 0
    """Messages of ours that they have read."""


def crowd(count: int, chance: random.Random) -> list[Somebody]:
    """So many people."""
    kinds = [kind for kind, share in SHARES for _ in range(share)]
    people = []
    for number in range(count):
        # Each kind in its share, whatever their number is; who comes when is chance.
        kind = kinds[number * len(kinds) // count] if count < len(kinds) else kinds[number % len(kinds)]
        people.append(_somebody(f"person{number}", kind, chance))
    chance.shuffle(people)
    return people


def rumour(count: int) -> list[Somebody]:
    """People who all write the same, twice, so that they come before a person."""
    return [Somebody(f"rumour{number}", "rumour", [RUMOUR, RUMOUR]) for number in range(count)]


def _somebody(name: str, kind: str, chance: random.Random) -> Somebody:
    texts: Sequence[str]
    if kind == "asks":
        texts = chance.sample(sorted(QUESTIONS), chance.randint(1, 4))
    elif kind == "wants a person":
        texts = [chance.choice(sorted(QUESTIONS)), PERSON_BUTTON]
    elif kind == "crime":
        texts = [chance.choice(CRIMES)]
    elif kind == "not understood":
        texts = [ODD, ODD + " again"]
    elif kind == "sends a picture":
        texts = [""]
    elif kind == "hidden":
        texts = [P2_HIDDEN]
    elif kind == "danger":
        texts = [chance.choice([P1, P1_OTHER])]
    elif kind == "accuses":
        texts = [ACCUSED]
    elif kind == "press":
        texts = [PRESS]
    else:
        texts = [chance.choice(CRIMES), "hello?", "hello?", "hello?"]
    return Somebody(
        name, kind, list(texts), rounds=chance.randint(0, 3), is_again=chance.random() < 0.06,
        takes_back=kind == "wants a person" and chance.random() < 0.1,
    )  # fmt: skip
