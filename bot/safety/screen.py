"""The screen: the first of the two nets, which every message passes before anything else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import cast

from bot.messages import Grade, names_of
from bot.safety.content import Category, Content, load
from bot.safety.normalise import BREAK, normalise, tokens
from bot.safety.phrases import Match, Rule
from bot.safety.points import Piece

REMEMBERED = 256
"""Texts whose reading is kept for a moment, in memory only."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One category that was raised: how urgent, and the words and the rule that say so."""

    category: str
    priority: Grade
    words: tuple[str, ...]
    rule: str
    language: str = ""
    """The code of the language of the words; empty for English."""


@dataclass(frozen=True, slots=True)
class ScreenResult:
    """What the screen makes of a message; `hits` are one for each category, worst first.

    `ask` is the wording key of the one question (or short line) that an ambiguous message gets.
    With no answer to it, `ask_category` is raised at `ask_priority`.
    """

    hits: tuple[Hit, ...] = ()
    ask: str | None = None
    ask_category: str | None = None
    ask_priority: Grade | None = None

    @property
    def worst(self) -> Hit | None:
        """The most urgent hit."""
        return self.hits[0] if self.hits else None

    @property
    def priority(self) -> Grade | None:
        """The grade of the message: that of its worst hit."""
        return self.hits[0].priority if self.hits else None


@dataclass(frozen=True, slots=True)
class SafetyWords:
    """What is said to a person when a category is raised, and which team it goes to.

    `safety` is said at once. `after_safe_check` waits for a yes to "Is it safe to chat?".
    `handover` is said only after the hand-over is committed.
    """

    name: str
    safety: tuple[str, ...]
    after_safe_check: tuple[str, ...]
    handover: str
    subject_hidden: bool
    team: str


@dataclass(frozen=True, slots=True)
class _Alone:
    """What a text says by itself."""

    tokens: tuple[str, ...]
    matches: tuple[Match, ...]
    result: ScreenResult


class Screen:
    """Finds what must reach a person. Deterministic, safe to share by threads."""

    def __init__(self, loaded: Content) -> None:
        self._content = loaded
        # Door and turn read a message three times alone, and each later one splits it again.
        self._tokens = lru_cache(maxsize=REMEMBERED)(self._split)
        self._alone = lru_cache(maxsize=REMEMBERED)(self._read_alone)
        self._reader = loaded.reader
        self._words = {
            category.id: SafetyWords(
                category.name,
                category.safety,
                category.after_safe_check,
                category.handover,
                category.subject_hidden,
                category.team,
            )
            for category in loaded.categories.values()
        }

    @classmethod
    def load(cls, folder: Path) -> Screen:
        """Read the phrases of `data/risk/`.

        Raises:
            ContentError: a file is missing or wrong; names the file and the line.
        """
        return cls(load(folder))

    @property
    def content(self) -> Content:
        """What was loaded: categories with their examples, near misses and thresholds."""
        return self._content

    @property
    def categories(self) -> Mapping[str, Category]:
        """The categories by id."""
        return self._content.categories

    def words(self, category: str, channel: str = "") -> SafetyWords:
        """The words of a category, as a channel says them.

        Raises:
            KeyError: there is no such category.
        """
        own = self._content.categories[category].own if channel else {}
        found = self._words[category]
        for name in reversed(names_of(channel)) if own else ():
            found = replace(found, after_safe_check=own.get(name, found.after_safe_check))
        return found

    def check(self, text: str) -> ScreenResult:
        """Read one message. Never raises, whatever the text."""
        return self._alone(text).result

    def _read_alone(self, text: str) -> _Alone:
        found = self._tokens(text)
        matches = tuple(self._reader.matches(found))
        return _Alone(found, matches, self._result(matches, text, found))

    def check_joined(self, earlier: Sequence[str], newest: str) -> ScreenResult:
        """Read a person's newest message together with their earlier ones, oldest first.

        A hit of the newest message alone counts. Any other hit counts only if words of the newest
        message take part in it and the same rule does not already fire on the earlier ones: what
        was raised then is not raised again. People split words too, so the join is also tried
        without a space.
        """
        alone = self._alone(newest)
        new, own = alone.tokens, alone.matches
        old: list[str] = []
        for message in earlier:
            old.extend(self._tokens(message))
            old.append(BREAK)
        if len(old) <= 1 or not new:
            return alone.result
        seen = {match.rule.number for match in own}
        more = [
            match
            for match in self._reader.matches([*old, *new], newest_from=len(old))
            if match.rule.number not in seen
        ]
        if new[0] != BREAK:
            last = next((place for place in range(len(old) - 1, -1, -1) if old[place] != BREAK), None)
            if last is not None:
                glued = old[last] + new[0]
                if self._content.dictionary.look_up(glued):
                    whole = [*old[:last], glued, *new[1:]]
                    more.extend(self._reader.matches(whole, newest_from=last))
        more = [match for match in more if match.rule.number not in seen]
        if more:
            before = {match.rule.number for match in self._reader.matches(old)}
            more = [match for match in more if match.rule.number not in before]
        return self._result([*own, *more], newest, new)

    def pieces(self, text: str) -> list[Piece]:
        """The signs of a message, sentence by sentence: what `scripts/weigh_points.py` weighs."""
        return self._reader.pieces(self._tokens(text))

    def _split(self, text: str) -> tuple[str, ...]:
        found: list[str] = []
        split = self._content.dictionary.split
        spelt = False
        normal = normalise(text)
        for token in tokens(normal):
            # A long token that is not in the text as such was put together from single letters.
            spelt = len(token) >= 3 and token.isalpha() and token not in normal
            found.extend(split(token) if spelt else (token,))
        return tuple(found)

    def _result(self, matches: Iterable[Match], text: str, found: Sequence[str]) -> ScreenResult:
        best: dict[str, Hit] = {}
        asking: list[Rule] = []
        settled = False
        sums: list[Match] = []
        for match in sorted(matches, key=lambda match: match.rule.number):
            rule = match.rule
            if match.is_outweighed:
                continue
            if rule.is_sum:
                sums.append(match)
                continue
            if rule.ask is not None:
                asking.append(rule)
            elif rule.priority in ("P1", "P2"):
                settled = True
            if rule.priority is None:
                continue
            words = (*match.words, f"({rule.meaning})") if rule.meaning else match.words
            hit = Hit(rule.category, cast(Grade, rule.priority), words, rule.text, rule.language)
            held = best.get(rule.category)
            if (
                held is None
                or hit.priority < held.priority
                # The rule that knows the language says more than one that lists a word of it.
                or (hit.priority == held.priority and hit.language and not held.language)
            ):
                best[rule.category] = hit
        if sums and not asking:
            _add_sum(best, sums)
        if not found and text.strip() and self._content.silent is not None:
            asking.append(self._content.silent)
        hits = tuple(sorted(best.values(), key=lambda hit: (hit.priority, hit.category)))
        if asking:
            # What somebody in plain danger needs is not a question, unless the question is part
            # of what their message as a whole calls for.
            rule = asking[0]
            if not settled or (any(hit.category == rule.category for hit in hits) and rule.priority):
                return ScreenResult(hits, rule.ask, rule.category, cast("Grade | None", rule.ask_priority))
        return ScreenResult(hits)


def _add_sum(best: dict[str, Hit], sums: Sequence[Match]) -> None:
    """Take in what several signs together say. Where a phrase has found danger it knows better what the
    message is about, and how urgent it is, unless the signs are clear that it is now."""
    match = min(sums, key=lambda match: (str(match.rule.priority), match.rule.number))
    grades = {hit.priority for hit in best.values()}
    if "P1" in grades or ("P2" in grades and not match.is_pressing):
        return
    grade = cast(Grade, match.rule.priority)
    best[match.rule.category] = Hit(match.rule.category, grade, match.words, match.rule.text)
