"""Made-up words: what people write, what is answered, and names that nobody bears.

A few sentences would make every search the same. Here common words stand in every second text, and the
names of streets and people, put together from syllables, in a handful each: as in a real record.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

_SYLLABLES = (
    "bar", "cor", "dun", "fen", "gar", "hol", "kel", "lor", "mar", "nor", "pel", "ram", "sel", "tor", "ven",
    "wil", "yar", "ash", "bri", "cla", "dre", "eld", "fol", "gri", "hem", "ith", "kno", "lin", "mil", "oak",
)  # fmt: skip
_ENDS = ("by", "ham", "ton", "wick", "dale", "ford", "stead", "burn", "low", "ley")
_WAYS = ("Street", "Road", "Lane", "Court", "Terrace", "Gardens", "Way", "Close")
_THINGS = (
    "bike", "wallet", "phone", "purse", "passport", "laptop", "car", "van", "caravan", "dog", "key", "ring",
    "drill", "parcel", "card", "ticket", "trailer", "scooter", "handbag", "watch", "camera", "shed", "gate",
)  # fmt: skip
_DONE = (
    "was taken from", "was left near", "is missing from", "was found behind", "was damaged outside",
    "was sold to me near", "has been parked for weeks in", "keeps being moved from",
)  # fmt: skip
_ASKED = (
    "how do i report that {thing}", "who do i tell about the {thing}", "can i get a form for a lost {thing}",
    "the {thing} {done} {place}", "my {thing} {done} {place} {when}", "is the station near {place} open {when}",
    "somebody was loud in {place} {when} and would not stop", "what happens after i reported my {thing}",
    "i wrote {when} about the {thing} and heard nothing", "thank you that helped with the {thing}",
    "there is rubbish burning by {place}", "lads on scooters ride up and down {place} {when}",
    "i saw someone try the doors of cars in {place}", "my neighbour in {place} shouts {when}",
    "a caller said he was from the bank and asked for my {thing}", "it is about the {thing} again",
)  # fmt: skip
_WHEN = (
    "today", "last night", "yesterday", "this morning", "on saturday", "on tuesday", "two weeks ago",
    "every evening", "since monday", "at about four", "after the match",
)  # fmt: skip
_SAID = (
    "You can tell us about your {thing} online or by calling 101. Keep anything that shows what it looks like.",
    "Thank you for telling us about {place}. The team for that part of town reads these every day.",
    "A {thing} that was found is kept for some weeks. The form asks where and when.",
    "The front counter is open on weekdays. Look at the page of your station before you come.",
    "We have written that down. If it happens again, write here and say when it began.",
    "Please do not move the {thing}. A person will look at what you wrote.",
)  # fmt: skip
_NOTED = (
    "Called the {thing} shop near {place}, no answer.", "Asked for the time again, said {when}.",
    "Spoke to the {place} team, they know of it.", "Same matter as {when}, see the other chat.",
)  # fmt: skip


class Texts:
    """Draws them: the same seed draws the same."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._places = [f"{self._made(2)} {way}" for way in _WAYS for _ in range(250)]
        self._names = [self._made(1) for _ in range(400)]

    def _made(self, syllables: int) -> str:
        return ("".join(self._chance.choices(_SYLLABLES, k=syllables)) + self._chance.choice(_ENDS)).title()

    def _one(self, of: Sequence[str]) -> str:
        pick = self._chance.choice
        return pick(of).format(
            thing=pick(_THINGS), done=pick(_DONE), when=pick(_WHEN), place=pick(self._places)
        )

    def question(self) -> str:
        """What somebody of the public writes."""
        first = self._one(_ASKED)
        return f"{first}. {self._one(_ASKED)}" if self._chance.random() < 0.4 else first

    def answer(self) -> str:
        """What the assistant or staff say."""
        return f"{self._one(_SAID)} {self._one(_SAID)}"

    def note(self) -> str:
        """What staff write for each other."""
        return self._one(_NOTED)

    def name(self) -> str:
        """What somebody shows as their name."""
        return f"{self._chance.choice(self._names)} {self._chance.choice(self._names)}"

    def wanted(self, kind: str) -> str:
        """What a moderator looks for: `common` words, a `rare` place, or a `name`."""
        if kind == "name":
            return self.name()
        if kind == "rare":
            return self._chance.choice(self._places)
        return f"{self._chance.choice(_THINGS)} {self._chance.choice(_WHEN).split()[-1]}"
