"""Matching of word patterns in a message, in time linear in its length.

Every concept of a message becomes one whole number whose bit *n* says "word *n* stands for this".
A pattern is then a handful of shifts and ands. A pattern is only looked at when all its concepts
are in the message, so an ordinary message costs almost nothing.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from bot.messages import GRADES, URGENT
from bot.safety.normalise import BREAK
from bot.safety.points import LITTLE_WORDS, MOST_WORDS, Piece, Scale, signs_of, speaks_against, weigh
from bot.safety.words import Dictionary

SOFT_SKIPS: Final = 3
"""How many soft words ("just", "really", "the") may stand between two words of a pattern."""

WINDOW_WORDS: Final = 400
"""Words read at a time. Windows overlap, so that cost grows with length and never faster."""

OVERLAP_WORDS: Final = 80


@dataclass(frozen=True, slots=True)
class Step:
    """One concept of a pattern, and how many other words may come before it."""

    concept: int
    gap: int = 0


@dataclass(frozen=True, slots=True)
class Phrase:
    """Concepts in order. `at_start` and `at_end` tie it to the ends of a sentence."""

    steps: tuple[Step, ...]
    at_start: bool = False
    at_end: bool = False

    @property
    def concepts(self) -> frozenset[int]:
        """Everything that must be in the message for this to match."""
        return frozenset(step.concept for step in self.steps)


@dataclass(frozen=True, slots=True)
class Rule:
    """What raises a category: signals near each other, in any order (mostly just one signal).

    `priority` is None for a rule that only asks. `within` counts words between signals. `alone`
    asks for a message of one sentence.
    """

    number: int
    category: str
    priority: str | None
    text: str
    signals: tuple[Phrase, ...]
    within: int = 10
    unless: tuple[Phrase, ...] = ()
    ask: str | None = None
    ask_priority: str | None = None
    alone: bool = False
    firm: bool = False
    """Holds whatever else the sentence is about: a play, a game, the dinner."""
    language: str = ""
    """The code of the language that the words are in; empty for English."""
    meaning: str = ""
    """What words of another language mean, for staff."""
    is_sum: bool = False
    """Several signs that add up, and no phrase: it counts where no phrase says more."""

    @property
    def concepts(self) -> frozenset[int]:
        """Everything that must be in the message for this to match."""
        return frozenset().union(*(signal.concepts for signal in self.signals))


@dataclass(slots=True)
class Reading:
    """One window of a message, as numbers; made by `Reader.read`."""

    words: Sequence[str]
    masks: dict[int, int] = field(default_factory=dict)
    compounds: dict[int, list[Phrase]] = field(default_factory=dict)
    sentences: list[int] = field(default_factory=list)
    soft: int = 0
    playful: int = 0
    """Words of sentences that are about a play, a game, the dinner: they raise nothing."""
    routine: int = 0
    """Words of sentences that are about a licence, a fine, a lost bank card: no P1 and no P2."""
    turns: int | None = None
    """Where a new turn of talk ends its first words; None until it is asked for."""
    newest: int = 0
    """Words of the newest message; all of them unless messages were joined."""
    known: int = 0
    """Words that stand for something."""
    harmless: int = 0
    """Words that have lost their meaning in an idiom."""
    firsts: int = 0
    lasts: int = 0
    opened: set[tuple[int, int]] = field(default_factory=set)
    """Concepts that are being looked for, and from where: none is looked for within itself."""

    @property
    def present(self) -> set[int]:
        """Concepts in the window, as a single word or as several."""
        return self.masks.keys() | self.compounds.keys()

    def reach(self, ends: int, gap: int) -> int:
        """Where a word may stand that follows one of `ends`."""
        ends <<= 1
        shift = 1
        while gap > 0:
            step = min(shift, gap)
            ends |= ends << step
            gap -= step
            shift *= 2
        if self.soft:
            for _ in range(SOFT_SKIPS):
                more = ends | (ends & self.soft) << 1
                if more == ends:
                    break
                ends = more
        return ends

    def step_ends(self, concept: int, starts: int) -> int:
        """Where a concept ends that begins at one of `starts`."""
        ends = self.masks.get(concept, 0) & starts
        compounds = self.compounds.get(concept)
        if not compounds or (concept, starts) in self.opened:
            # Families hold each other: "my self" is <me>, <me> may stand for <my>, which begins it.
            return ends
        self.opened.add((concept, starts))
        for compound in compounds:
            at = self.step_ends(compound.steps[0].concept, starts)
            for step in compound.steps[1:]:
                if not at:
                    break
                at = self.step_ends(step.concept, self.reach(at, step.gap))
            ends |= at
        self.opened.discard((concept, starts))
        return ends

    def trail(self, phrase: Phrase) -> list[int]:
        """For each step, where it may end; empty if the phrase is not in the window."""
        everywhere = (1 << len(self.words)) - 1
        at = self.step_ends(phrase.steps[0].concept, self.firsts if phrase.at_start else everywhere)
        trail = [at]
        for step in phrase.steps[1:]:
            if not at:
                return []
            at = self.step_ends(step.concept, self.reach(at, step.gap))
            trail.append(at)
        if phrase.at_end:
            at &= self.lasts
            trail[-1] = at
        return trail if at else []

    def ends(self, phrase: Phrase) -> int:
        """Where the phrase ends."""
        trail = self.trail(phrase)
        return trail[-1] if trail else 0

    def places(self, phrase: Phrase, end: int, trail: list[int]) -> list[int]:
        """The words that make up the match that ends at word `end`."""
        return self._places(phrase, len(phrase.steps) - 1, end, trail) or [end]

    def _places(self, phrase: Phrase, index: int, end: int, trail: list[int]) -> list[int] | None:
        step = phrase.steps[index]
        for here in self._occurrences(step.concept, end):
            if index == 0:
                return here
            furthest = here[0] - 1 - step.gap - SOFT_SKIPS
            for before in range(here[0] - 1, max(furthest, 0) - 1, -1):
                if not trail[index - 1] >> before & 1:
                    continue
                if self.reach(1 << before, step.gap) >> here[0] & 1:
                    earlier = self._places(phrase, index - 1, before, trail)
                    if earlier is not None:
                        return earlier + here
        return None

    def _occurrences(self, concept: int, end: int) -> Iterator[list[int]]:
        if self.masks.get(concept, 0) >> end & 1:
            yield [end]
        for compound in self.compounds.get(concept, ()):
            trail = self.trail(compound)
            if trail and trail[-1] >> end & 1:
                found = self._places(compound, len(compound.steps) - 1, end, trail)
                if found:
                    yield found


def bits(mask: int) -> Iterator[int]:
    """The places of the set bits, lowest first."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


@dataclass(frozen=True, slots=True)
class Match:
    """One rule that fired, and the words that made it."""

    rule: Rule
    words: tuple[str, ...]
    first: int = 0
    last: int = 0
    """Where its words begin and end, among the words that were read."""
    is_alone: bool = False
    """Nothing but soft and little words stands beside it."""
    is_outweighed: bool = False
    """A phrase of danger in words that speak of something else: it raises nothing."""
    is_pressing: bool = False
    """Signs that add up to danger now, whatever a phrase says."""


_CALM: Final = frozenset({"P3", "P4"})
"""Grades at which words of several messages must run on, to be read as one sentence."""


def _runs_on(reading: Reading, places: set[int]) -> bool:
    """Whether nothing but soft words parts what was matched in earlier messages from the newest."""
    start = (reading.newest & -reading.newest).bit_length() - 1
    before = [place for place in places if place < start]
    if not before:
        return True
    between = range(max(before) + 1, min(place for place in places if place >= start))
    return all(reading.soft >> place & 1 for place in between)


_Compounds = dict[int, list[tuple[frozenset[int], Phrase, Sequence[int]]]]
_NESTING: Final = 3
"""How deep choices may stand within choices."""


class Reader:
    """All patterns, indexed by the rarest concept that each one needs."""

    def __init__(
        self,
        dictionary: Dictionary,
        compounds: Iterable[tuple[Phrase, Sequence[int], bool]],
        idioms: Iterable[Rule],
        rules: Iterable[Rule],
        soft: int,
        never: frozenset[str],
        playful: int,
        routine: int,
        turn: int,
        families: Mapping[int, str],
        scale: Scale,
        sums: Mapping[tuple[str, str], Rule],
    ) -> None:
        """`compounds` are expressions of several words with the concepts they stand for, and whether
        they are made of plain words only;
        `idioms` are harmless ways of speaking whose words lose their meaning; `soft` is the
        concept of words that may stand anywhere; `never` are words that are not read at all;
        `playful` and `routine` are the concepts of what makes the rest of its sentence harmless,
        or calm, as far as the next `turn` ("also", "anyway"); `families` are concepts with the names
        that `scale` knows them by; `sums` are the rules that it raises, by category and grade."""
        self._dictionary = dictionary
        self._soft = soft
        self._never = never
        self._playful = Phrase((Step(playful),))
        self._routine = Phrase((Step(routine),))
        self._turn = Phrase((Step(turn),))
        self._families = {concept: (name, Phrase((Step(concept),))) for concept, name in families.items()}
        self._scale = scale
        self._sums = sums
        self._weighed = {category for sign in scale.signs.values() for category in sign.categories}
        rules = list(rules)
        idioms = list(idioms)
        compounds = list(compounds)
        usage: dict[int, int] = {}
        for needed in (
            *(rule.concepts for rule in rules),
            *(rule.concepts for rule in idioms),
            *(phrase.concepts for phrase, _, _ in compounds),
        ):
            for concept in needed:
                usage[concept] = usage.get(concept, 0) + 1

        def rarest(needed: frozenset[int]) -> int:
            return min(needed, key=lambda concept: (usage[concept], concept))

        self._plain: _Compounds = {}
        self._nested: _Compounds = {}
        for phrase, concepts, is_plain in compounds:
            needed = phrase.concepts
            index = self._plain if is_plain else self._nested
            index.setdefault(rarest(needed), []).append((needed, phrase, concepts))
        self._idioms: dict[int, list[tuple[frozenset[int], Rule]]] = {}
        self._rules: dict[int, list[tuple[frozenset[int], Rule]]] = {}
        for ruled, kind in ((self._idioms, idioms), (self._rules, rules)):
            for rule in kind:
                needed = rule.concepts
                ruled.setdefault(rarest(needed), []).append((needed, rule))

    def matches(self, tokens: Sequence[str], newest_from: int = 0) -> list[Match]:
        """Every rule that fires. With `newest_from`, a match must use a token from there on."""
        found: dict[int, Match] = {}
        start = 0
        while True:
            window = tokens[start : start + WINDOW_WORDS]
            for match in self._matches(window, max(0, newest_from - start)):
                found.setdefault(match.rule.number, match)
            if start + WINDOW_WORDS >= len(tokens):
                return list(found.values())
            start += WINDOW_WORDS - OVERLAP_WORDS

    def _matches(self, tokens: Sequence[str], newest_from: int) -> Iterator[Match]:
        reading = self._read(tokens, newest_from)
        present = self._without_idioms(reading)
        matches = [
            match
            for concept in present
            for needed, rule in self._rules.get(concept, ())
            if needed <= present and (match := self._match(reading, rule)) is not None
        ]
        if newest_from or not self._scale.signs:
            yield from matches
            return
        pieces = self._pieces(reading, present)
        found = weigh(self._scale, pieces)
        if found is not None:
            rule = self._sums[found.category, GRADES[0] if found.is_now else GRADES[1]]
            words = tuple(reading.words[place] for place in found.places)
            yield Match(rule, words, is_pressing=found.is_pressing)
        else:
            matches = [
                replace(match, is_outweighed=True)
                if self._is_weighed(match) and speaks_against(self._scale, pieces, match.first, match.last)
                else match
                for match in matches
            ]
        yield from matches

    def _is_weighed(self, match: Match) -> bool:
        """Whether it counts only where the words around it do not speak against it: a phrase of danger
        in a category that the points know, with other words beside it, and no question."""
        rule = match.rule
        return (
            rule.priority in URGENT
            and rule.category in self._weighed
            and not (match.is_alone or rule.firm or rule.ask)
        )

    def pieces(self, tokens: Sequence[str]) -> list[Piece]:
        """The signs of a message, sentence by sentence, for whoever works out their points."""
        reading = self._read(tokens, 0)
        return self._pieces(reading, self._without_idioms(reading))

    def _pieces(self, reading: Reading, present: Container[int]) -> list[Piece]:
        plain = self._dictionary.plain
        known = self._scale.signs
        words = [
            ""
            if reading.harmless >> place & 1
            else plain(word, known, is_read=bool(reading.known >> place & 1))
            for place, word in enumerate(reading.words)
        ]
        families = [
            (name, reading.ends(phrase) if concept in reading.compounds else reading.masks[concept])
            for concept, (name, phrase) in self._families.items()
            if concept in present
        ]
        pieces: list[Piece] = []
        for sentence in reading.sentences:
            end = sentence.bit_length()
            for first in range((sentence & -sentence).bit_length() - 1, end, MOST_WORDS):
                after = min(first + MOST_WORDS, end)
                here = (1 << after) - (1 << first)
                within = [(name, (at & here).bit_length() - 1) for name, at in families if at & here]
                pieces.append(signs_of(words[first:after], first, within))
        return pieces

    def _read(self, tokens: Sequence[str], newest_from: int) -> Reading:
        words: list[str] = []
        reading = Reading(words)
        masks = reading.masks
        look_up = self._dictionary.look_up
        newest = 0
        sentence = 0
        known = 0
        bit = 1
        for index, token in enumerate(tokens):
            if token == BREAK:
                if sentence:
                    reading.sentences.append(sentence)
                    sentence = 0
                continue
            if token in self._never:
                continue
            words.append(token)
            sentence |= bit
            if index >= newest_from:
                newest |= bit
            concepts = look_up(token)
            if concepts:
                known |= bit
                for concept in concepts:
                    masks[concept] = masks.get(concept, 0) | bit
            bit <<= 1
        if sentence:
            reading.sentences.append(sentence)
        reading.soft = masks.get(self._soft, 0)
        self._find_compounds(reading)
        firsts = lasts = 0
        for sentence in reading.sentences:
            firsts |= sentence & -sentence
            lasts |= 1 << (sentence.bit_length() - 1)
        for _ in range(SOFT_SKIPS):
            firsts |= (firsts & reading.soft) << 1
            lasts |= (lasts & reading.soft) >> 1
        reading.firsts, reading.lasts = firsts, lasts
        reading.newest = newest
        reading.known = known
        reading.playful = self._sentences_with(reading, self._playful)
        reading.routine = reading.playful | self._sentences_with(reading, self._routine)
        return reading

    def _sentences_with(self, reading: Reading, phrase: Phrase) -> int:
        """The words of the sentences with this phrase, where a turn of talk parts sentences too."""
        seen = reading.ends(phrase)
        if not seen:
            return 0
        if reading.turns is None:
            reading.turns = reading.ends(self._turn)
        turns = reading.turns
        words = 0
        for sentence in reading.sentences:
            if not seen & sentence:
                continue
            rest = sentence
            for turn in bits(turns & sentence):
                before = rest & ((1 << turn) - 1)
                if before & seen:
                    words |= before
                rest &= ~before
            if rest & seen:
                words |= rest
        return words

    def _find_compounds(self, reading: Reading) -> None:
        reading.compounds.clear()
        present = set(reading.masks)
        self._add_compounds(reading, self._plain, tuple(present), present)
        for _ in range(_NESTING):
            before = len(present)
            self._add_compounds(reading, self._nested, tuple(present), present)
            if len(present) == before:
                break

    @staticmethod
    def _add_compounds(
        reading: Reading, index: _Compounds, concepts: Iterable[int], present: set[int]
    ) -> None:
        for concept in concepts:
            for needed, phrase, meanings in index.get(concept, ()):
                if needed <= present and reading.ends(phrase):
                    for meaning in meanings:
                        known = reading.compounds.setdefault(meaning, [])
                        if phrase not in known:
                            known.append(phrase)
                        present.add(meaning)

    def _without_idioms(self, reading: Reading) -> set[int]:
        """Take the meaning from the words of harmless idioms; what is left is present."""
        present = reading.present
        harmless = 0
        for concept in present:
            for needed, idiom in self._idioms.get(concept, ()):
                if not needed <= present:
                    continue
                phrase = idiom.signals[0]
                trail = reading.trail(phrase)
                if not trail:
                    continue
                for end in bits(trail[-1]):
                    places = sum(1 << place for place in reading.places(phrase, end, trail))
                    # An idiom lives in one sentence: words added after it cannot make one.
                    if any(places & sentence == places for sentence in reading.sentences):
                        harmless |= places
        reading.harmless = harmless
        if not harmless:
            return present
        for concept in tuple(reading.masks):
            left = reading.masks[concept] & ~harmless
            if left:
                reading.masks[concept] = left
            else:
                del reading.masks[concept]
        self._find_compounds(reading)
        return reading.present

    def _match(self, reading: Reading, rule: Rule) -> Match | None:
        if rule.alone and len(reading.sentences) > 1:
            return None
        trails = [reading.trail(signal) for signal in rule.signals]
        if not all(trails):
            return None
        newest = reading.newest
        blocked = 0
        if not rule.firm:
            blocked = reading.playful if rule.priority in _CALM else reading.routine
        for context in rule.unless:
            blocked |= self._sentences_with(reading, context)
        ends = [trail[-1] & ~blocked for trail in trails]
        if len(ends) == 1:
            final = ends[0] & newest
            if not final:
                return None
            chosen = [(final & -final).bit_length() - 1]
        else:
            together = self._together(ends, rule.within, newest)
            if together is None:
                return None
            chosen = together
        places: set[int] = set()
        for signal, trail, end in zip(rule.signals, trails, chosen, strict=True):
            places.update(reading.places(signal, end, trail))
        if rule.priority in _CALM and not _runs_on(reading, places):
            return None
        matched = tuple(reading.words[place] for place in sorted(places))
        return Match(rule, matched, min(places), max(places), is_alone=self._is_alone(reading, places))

    def _is_alone(self, reading: Reading, places: Container[int]) -> bool:
        plain = self._dictionary.plain
        return all(
            place in places
            or reading.soft >> place & 1
            or plain(word, LITTLE_WORDS, is_read=True) in LITTLE_WORDS
            for place, word in enumerate(reading.words)
        )

    @staticmethod
    def _together(ends: list[int], within: int, newest: int) -> list[int] | None:
        """One end for each signal, all near the first chosen, at least one in the newest words."""

        def near(mask: int) -> int:
            reach = mask
            width, shift = within, 1
            while width > 0:
                step = min(shift, width)
                reach |= reach << step | reach >> step
                width -= step
                shift *= 2
            return reach

        for pivot in range(len(ends)):
            at = ends[pivot] & newest
            for other in range(len(ends)):
                if other != pivot:
                    at &= near(ends[other])
            if at:
                place = (at & -at).bit_length() - 1
                chosen = []
                for other in range(len(ends)):
                    close = ends[other] & near(1 << place) if other != pivot else 1 << place
                    chosen.append((close & -close).bit_length() - 1)
                return chosen
        return None
