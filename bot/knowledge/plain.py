"""Plain words: what a reader of nine years cannot read, and what must never be said.

Pure: text in, faults out. The lists and patterns are content (`data/plain/`), with their sources.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bot.assistant.content import load_yaml
from bot.errors import ContentError

FOLDER: Final = "plain"
_SENTENCE: Final = re.compile(r"(?<=[.!?:])[\"'”)]*\s+|\n+")
_PLACES: Final = re.compile(r"\[[A-Z][A-Z0-9]*(?:\.[a-z][a-z0-9_]*)?\]|\{\w+\}")
"""Where the register's or the system's words will stand."""
_NOT_READ: Final = re.compile(
    r"\S+@\S+|(?:\w[\w-]*\.)+(?:uk|com|org|net|co|gov)\b(?:/[\w./-]*)?|\+?\d[\d ,.:/-]*\d|\d|£\S+", re.ASCII
)
"""Addresses and numbers: copied or dialled, not read."""
_WORD: Final = re.compile(r"[^\W\d_][\w'’-]*")
_STAND_IN: Final = "name"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that a text should not say, where it starts in the text, and the better word."""

    check: str
    words: str
    why: str
    better: str
    at: int = 0


@dataclass(frozen=True, slots=True)
class Jargon:
    """One word of the list and what to say."""

    word: str
    say: str
    pattern: re.Pattern[str]
    unless: re.Pattern[str] | None
    explained: re.Pattern[str] | None


@dataclass(frozen=True, slots=True)
class Habit:
    """Something that is not written: a habit of bad writing, or a rule of non-disclosure (D1 to D16)."""

    id: str
    why: str
    better: str
    patterns: tuple[re.Pattern[str], ...]
    but: tuple[re.Pattern[str], ...]
    wrong: tuple[str, ...]
    right: tuple[str, ...]

    def find(self, sentence: str) -> re.Match[str] | None:
        """The words of a sentence that this does not allow, unless the sentence is right all the same."""
        if any(pattern.search(sentence) for pattern in self.but):
            return None
        return next((found for pattern in self.patterns if (found := pattern.search(sentence))), None)


@dataclass(frozen=True, slots=True)
class Plain:
    """The lists, ready to use."""

    sentence_words: int
    reading_age: int
    fewest_words: int
    names: re.Pattern[str]
    jargon: tuple[Jargon, ...]
    habits: tuple[Habit, ...]
    disclosure: tuple[Habit, ...]

    @classmethod
    def load(cls, folder: Path) -> Plain:
        """Read `data/plain/`.

        Raises:
            ContentError: a file is missing or wrong; names the file, and the line if YAML knows it.
        """
        habits, never = load_yaml(folder / "habits.yml"), load_yaml(folder / "disclosure.yml")
        try:
            limits = habits["limits"]
            refusals = never["refusals"]
            return cls(
                sentence_words=int(limits["sentence_words"]),
                reading_age=int(limits["reading_age"]),
                fewest_words=int(limits["fewest_words"]),
                names=_any_of(sorted(map(str, habits["names"]), key=len, reverse=True)),
                jargon=tuple(_jargon(load_yaml(folder / "jargon.yml")["words"])),
                habits=tuple(_habit(entry) for entry in habits["habits"]),
                disclosure=tuple(_habit(entry, refusals) for entry in never["rules_of_disclosure"]),
            )
        except (KeyError, TypeError, ValueError, re.error) as error:
            raise ContentError(f"{folder.name}/: {error!r} is missing or wrong. Mend it.") from error

    def faults(
        self, text: str, *, beside: str = "", leave: Container[str] = (), known: Container[str] = ()
    ) -> Iterator[Fault]:
        """Everything wrong with one text, except its reading age.

        Args:
            text: what somebody reads.
            beside: what stands with it, where one of its words may be explained.
            leave: ids of checks that do not fit this kind of text.
            known: words, in small letters, that its readers use every day.
        """
        for at, sentence in sentences(text):
            count = len(_PLACES.sub(_STAND_IN, sentence).split())
            if count > self.sentence_words:
                yield Fault(
                    "sentence", f"{' '.join(sentence.split()[:6])} …", f"This sentence has {count} words.",
                    f"Make two sentences: at most {self.sentence_words} words each.", at,
                )  # fmt: skip
            for habit in (*self.habits, *self.disclosure):
                if habit.id not in leave and (found := habit.find(sentence)):
                    yield Fault(habit.id, found.group(), habit.why, habit.better, at + found.start())
        for fault in self.jargon_in(text, beside):
            if fault.words.casefold() not in known:
                yield fault

    def jargon_in(self, text: str, beside: str = "") -> Iterator[Fault]:
        """Words of the list, unless they are explained in the text or are part of a name."""
        # What stands in brackets is a key: the reader sees the contact's words.
        shown = _PLACES.sub(lambda place: " " * len(place.group()), text)
        for entry in self.jargon:
            if entry.explained is not None and entry.explained.search(f"{text}\n{beside}"):
                continue
            allowed = [match.span() for match in entry.unless.finditer(shown)] if entry.unless else []
            for found in entry.pattern.finditer(shown):
                if not any(start <= found.start() and found.end() <= end for start, end in allowed):
                    yield Fault(
                        "jargon", found.group(), "Many people do not know this word.",
                        f"Say: {entry.say}.", found.start(),
                    )  # fmt: skip

    def age(self, text: str) -> float | None:
        """The reading age in years, None for a text too short to judge.

        Automated Readability Index (Smith and Senter, 1967), plus five: see `data/plain/habits.yml`.
        """
        words, count = self.words(text), sum(1 for _ in sentences(text))
        if len(words) < self.fewest_words:
            return None
        letters = sum(len(re.sub(r"[\W_]", "", word)) for word in words)
        return 4.71 * letters / len(words) + 0.5 * len(words) / count - 21.43 + 5

    def words(self, text: str) -> list[str]:
        """The words that the reading age counts."""
        # Names first: one of them may hold a number.
        text = self.names.sub(_STAND_IN, _PLACES.sub(_STAND_IN, text))
        return _WORD.findall(_NOT_READ.sub(_STAND_IN, text))

    def hardest(self, text: str, most: int = 4) -> list[str]:
        """The longest words, for whoever has to find shorter ones."""
        return sorted({word.casefold() for word in self.words(text)}, key=lambda word: (-len(word), word))[
            :most
        ]


def sentences(text: str) -> Iterator[tuple[int, str]]:
    """The sentences of a text and where each starts; a full stop inside an address does not end one."""
    start = 0
    for gap in _SENTENCE.finditer(text):
        if text[start : gap.start()].strip():
            yield start, text[start : gap.start()]
        start = gap.end()
    if text[start:].strip():
        yield start, text[start:]


def _any_of(names: Sequence[str]) -> re.Pattern[str]:
    return re.compile(r"\b(?:" + "|".join(re.escape(name) for name in names) + r")\b")


def _jargon(entries: Sequence[Mapping[str, Any]]) -> Iterator[Jargon]:
    for entry in entries:
        unless, explained = entry.get("unless"), entry.get("explained")
        for word in map(str, entry["avoid"]):
            flags = re.NOFLAG if word != word.lower() else re.IGNORECASE
            words = r"\s+".join(map(re.escape, word.split()))
            yield Jargon(
                word=word,
                say=str(entry["say"]),
                pattern=re.compile(rf"(?<![\w@./-]){words}s?(?![\w@/-])", flags),
                unless=re.compile("|".join(unless), re.IGNORECASE) if unless else None,
                explained=re.compile("|".join(map(re.escape, explained)), re.IGNORECASE)
                if explained
                else None,
            )


def _habit(entry: Mapping[str, Any], also_right: Sequence[str] = ()) -> Habit:
    def patterns(key: str, more: Sequence[str] = ()) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(str(one), re.IGNORECASE) for one in (*entry.get(key, ()), *more))

    return Habit(
        id=str(entry["id"]),
        why=str(entry["says"]),
        better=str(entry["better"]),
        patterns=patterns("pattern"),
        but=patterns("but", also_right),
        wrong=tuple(map(str, entry["wrong"])),
        right=tuple(map(str, entry["right"])),
    )
