"""Points out example phrases that are worth a second look, as sentences for whoever writes them.

How, and how far to trust it: two phrases are the same if they are so without capitals and
punctuation, and nearly the same if the standard library's `difflib` finds 87 % of their letters alike. Which answer a phrase sounds like goes by its words and pieces of words only: the cosine
of their TF-IDF weights, the mean of the five phrases of an answer that it is most like. It knows nothing
of meaning. On the shipped phrases it points at 68 % of phrases that were put into a wrong answer, and
at 5 % of those in the right one; the model itself judges at training. So nothing of it blocks, but
`unfit`: a phrase that no file can carry to the assistant.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final, Literal

from bot.assistant.content import Content

Kind = Literal["same", "near", "elsewhere", "unfit"]
Vector = Mapping[str, float]

_NEAR: Final = 0.87
"""Share of letters alike from which two phrases are nearly the same."""
_WORTH_A_LOOK: Final = 0.6
"""Phrases less alike than this, by their weighed words, are not compared letter by letter."""
_NEAREST: Final = 5
_FEWEST: Final = 3
"""With fewer other phrases than this an answer has no sound of its own yet."""
_LEAST: Final = 0.2
_FURTHER: Final = 0.2
"""How alike a phrase must be to another answer, and by how much more than to its own."""
_COMMON: Final = 0.05
_COMMON_AT_LEAST: Final = 50
"""Pieces that stand in more phrases than this tell nothing, and most of the time would go into them."""
_PIECE: Final = 4
_SHOWN: Final = 60
_WORD: Final = re.compile(r"\w+")
_MARKED: Final = re.compile(r"\][(\[{]")
"""Rasa takes [word](name), [word]{…} and [word][…] for a mark on the word, and drops the brackets."""
_LINE_BREAK: Final = re.compile("[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Doubt:
    """One phrase that is worth a second look."""

    place: int
    """Its number in the list, from 0."""
    phrase: str
    kind: Kind
    words: str
    """What was found, as a sentence."""
    better: str
    """What to do."""
    other: str = ""
    """The phrase that it is like."""
    slug: str = ""
    title: str = ""
    """The answer that the other one belongs to; both empty: it stands in this same list."""


@dataclass(frozen=True, slots=True)
class _Phrase:
    slug: str
    text: str
    plain: str


class Index:
    """All phrases of a release, ready to be compared with. Made once for a release."""

    def __init__(self, examples: Mapping[str, Sequence[str]], titles: Mapping[str, str]) -> None:
        self.titles = titles
        self.phrases = [
            _Phrase(slug, text, _plain(text)) for slug, texts in examples.items() for text in texts
        ]
        self.same: dict[str, list[_Phrase]] = {}
        pieces: list[Counter[str]] = []
        held: Counter[str] = Counter()
        for phrase in self.phrases:
            self.same.setdefault(phrase.plain, []).append(phrase)
            pieces.append(_pieces(phrase.plain))
            held.update(pieces[-1].keys())
        count = len(self.phrases)
        most = max(_COMMON * count, _COMMON_AT_LEAST)
        self._weights = {
            piece: 0.0 if times > most else 1 + math.log((1 + count) / (1 + times))
            for piece, times in held.items()
        }
        self._new = 1 + math.log(1 + count)
        self._where: dict[str, list[tuple[int, float]]] = {}
        for number, counted in enumerate(pieces):
            for piece, weight in self._vector(counted).items():
                self._where.setdefault(piece, []).append((number, weight))

    @classmethod
    def of(cls, content: Content) -> Index:
        """The phrases of a release; those of withdrawn answers too, which the model knows as well."""
        faqs = {**content.faqs, **content.withdrawn}
        examples = {slug: [str(one) for one in faq.body.get("examples") or ()] for slug, faq in faqs.items()}
        return cls(examples, {slug: faq.title for slug, faq in faqs.items()})

    def vector(self, plain: str) -> Vector:
        """The weighed words and pieces of a phrase, of length one; empty if all are too common."""
        return self._vector(_pieces(plain))

    def _vector(self, counted: Counter[str]) -> dict[str, float]:
        found = {
            piece: (1 + math.log(times)) * weight
            for piece, times in counted.items()
            if (weight := self._weights.get(piece, self._new))
        }
        length = math.sqrt(sum(weight * weight for weight in found.values()))
        return {piece: weight / length for piece, weight in found.items()}

    def alike(self, vector: Vector) -> dict[int, float]:
        """How much each phrase that shares a piece is like this one, by its number."""
        found: dict[int, float] = {}
        for piece, weight in vector.items():
            for number, other in self._where.get(piece, ()):
                found[number] = found.get(number, 0.0) + weight * other
        return found


def doubts(phrases: Sequence[str], others: Index, own: str = "") -> list[Doubt]:
    """Everything about these phrases, by their place in the list; each phrase once, the gravest first."""
    found = [
        *unfit(phrases),
        *near_duplicates(phrases, others, own),
        *nearer_elsewhere(phrases, others, own),
    ]
    by_place: dict[int, Doubt] = {}
    for doubt in found:
        by_place.setdefault(doubt.place, doubt)
    return [by_place[place] for place in sorted(by_place)]


def tidied(phrase: str) -> str:
    """A phrase as the files hold it: on one line, single spaces, none at its ends."""
    return " ".join(phrase.split())


def unfit(phrases: Sequence[str]) -> list[Doubt]:
    """Phrases that no file can carry to the assistant as they are."""
    found = []
    for place, phrase in enumerate(phrases):
        if not phrase.strip(" -\t\r\n"):
            words, better = "There is a phrase without words.", "Take it out."
        elif _LINE_BREAK.search(phrase.strip()):
            words, better = f"{_quoted(phrase)} is broken over two lines.", "Write it on one line."
        elif _MARKED.search(phrase):
            words = f"{_quoted(phrase)} has square brackets. The assistant would not learn all of it."
            better = "Write it without them."
        else:
            continue
        found.append(Doubt(place, phrase, "unfit", words, better))
    return found


def near_duplicates(phrases: Sequence[str], others: Index, own: str = "") -> list[Doubt]:
    """Phrases that stand twice, or nearly, in this list or among those of another answer.

    Args:
        own: the answer that the phrases are of; what the release holds of it is left aside.
    """
    plain = [_plain(phrase) for phrase in phrases]
    vectors = [others.vector(one) for one in plain]
    first: dict[str, int] = {}
    found = []
    for place, phrase in enumerate(phrases):
        if not plain[place]:
            continue
        elsewhere = next((one for one in others.same.get(plain[place], ()) if one.slug != own), None)
        if plain[place] in first:
            found.append(_twice(place, phrase, "same", phrases[first[plain[place]]], "", others))
        elif elsewhere is not None:
            found.append(_twice(place, phrase, "same", elsewhere.text, elsewhere.slug, others))
        elif (near := _near_here(place, plain, vectors)) is not None:
            found.append(_twice(place, phrase, "near", phrases[near], "", others))
        elif (there := _near_there(plain[place], vectors[place], others, own)) is not None:
            found.append(_twice(place, phrase, "near", there.text, there.slug, others))
        first.setdefault(plain[place], place)
    return found


def nearer_elsewhere(phrases: Sequence[str], others: Index, own: str = "") -> list[Doubt]:
    """Phrases that sound more like another answer than like the rest of this list.

    Args:
        own: the answer that the phrases are of; what the release holds of it is left aside.
    """
    plain = [_plain(phrase) for phrase in phrases]
    if len({one for one in plain if one}) <= _FEWEST:
        return []
    vectors = [others.vector(one) for one in plain]
    found = []
    for place, phrase in enumerate(phrases):
        there: dict[str, list[tuple[float, int]]] = {}
        for number, alike in others.alike(vectors[place]).items():
            if (slug := others.phrases[number].slug) != own:
                there.setdefault(slug, []).append((alike, number))
        here = [
            _product(vectors[place], vector)
            for other, vector in enumerate(vectors)
            if other != place and plain[other] != plain[place]
        ]
        nearest = min(_NEAREST, len(here))
        mine = _mean(here, nearest)
        best, slug = max(
            ((_mean([alike for alike, _ in ones], nearest), slug) for slug, ones in there.items()),
            default=(0.0, ""),
        )
        if best >= _LEAST and best > mine + _FURTHER:
            other = others.phrases[max(there[slug])[1]].text
            title = others.titles.get(slug, slug)
            words = (
                f"{_quoted(phrase)} sounds more like {_quoted(title)}. An example there: {_quoted(other)}."
            )
            better = (
                "Check which answer people need. If it is this one, keep it: only the words were compared."
            )
            found.append(Doubt(place, phrase, "elsewhere", words, better, other, slug, title))
    return found


def _twice(
    place: int, phrase: str, kind: Literal["same", "near"], other: str, slug: str, index: Index
) -> Doubt:
    title = index.titles.get(slug, slug)
    if kind == "same" and not slug:
        words, better = f"{_quoted(phrase)} is in this list twice.", "Take one of them out."
    elif kind == "same":
        words = f"{_quoted(phrase)} is already an example of {_quoted(title)}."
        better = "Check which answer people need. Keep it in that one only."
    elif not slug:
        words = f"{_quoted(phrase)} is nearly the same as {_quoted(other)}. Both are in this list."
        better = "Keep one of them. Ask in other words in the other one."
    else:
        words = (
            f"{_quoted(phrase)} is nearly the same as {_quoted(other)}. That one belongs to {_quoted(title)}."
        )
        better = "Check which answer people need. Keep it in that one only."
    return Doubt(place, phrase, kind, words, better, other, slug, title)


def _near_here(place: int, plain: Sequence[str], vectors: Sequence[Vector]) -> int | None:
    """The place of an earlier phrase that is nearly the same."""
    for other in range(place):
        if _product(vectors[place], vectors[other]) >= _WORTH_A_LOOK and _is_near(plain[place], plain[other]):
            return other
    return None


def _near_there(plain: str, vector: Vector, others: Index, own: str) -> _Phrase | None:
    """The phrase of another answer that is nearly the same."""
    alike = sorted(others.alike(vector).items(), key=lambda one: -one[1])
    for number, much in alike:
        if much < _WORTH_A_LOOK:
            break
        phrase = others.phrases[number]
        if phrase.slug != own and _is_near(plain, phrase.plain):
            return phrase
    return None


def _is_near(one: str, other: str) -> bool:
    if sorted(one.split()) == sorted(other.split()):
        return True
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return matcher.real_quick_ratio() >= _NEAR and matcher.quick_ratio() >= _NEAR and matcher.ratio() >= _NEAR


def _product(one: Vector, other: Vector) -> float:
    if len(other) < len(one):
        one, other = other, one
    return sum(weight * other[piece] for piece, weight in one.items() if piece in other)


def _mean(values: Sequence[float], of: int) -> float:
    return sum(sorted(values, reverse=True)[:of]) / of if of else 0.0


def _plain(phrase: str) -> str:
    """A phrase without capitals, apostrophes and punctuation; of emoji alone, as it is."""
    folded = unicodedata.normalize("NFKC", phrase).casefold()
    return " ".join(_WORD.findall(re.sub("['’ʼ`]", "", folded))) or folded.strip()


def _pieces(plain: str) -> Counter[str]:
    return Counter(_pieces_of(plain))


def _pieces_of(plain: str) -> Iterator[str]:
    for word in plain.split():
        yield word
        held = f" {word} "
        for start in range(max(1, len(held) - _PIECE + 1)):
            # The hyphen keeps a piece apart from a word that is written the same.
            yield f"-{held[start : start + _PIECE]}"


def _quoted(text: str) -> str:
    shown = tidied(text)
    return f"“{shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1].rstrip() + '…'}”"
