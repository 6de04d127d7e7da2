"""A phrase that somebody proposes for the screen: whether it can be read, and what it would hit.

It is compiled together with everything else in `data/risk/`, so that families, spellings, idioms and
slips of the pen count just as they would. The live screen is not touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from bot.errors import ContentError
from bot.messages import GRADES
from bot.safety.content import CATEGORIES, Category, Compiler
from bot.safety.phrases import Rule
from bot.safety.points import Scale
from bot.safety.screen import Screen

LONGEST = 300


class Proposal:
    """One phrase by itself, read as the screen would read it."""

    def __init__(self, folder: Path, category: str, grade: str, phrase: str) -> None:
        """Compile it: a second or more for the first one after a change of the files, then far less.

        Raises:
            ContentError: it cannot be read as a phrase of the screen; says why.
        """
        phrase = " ".join(phrase.split())
        if not phrase:
            raise ContentError("Write a phrase.")
        if len(phrase) > LONGEST:
            raise ContentError(f"This phrase is too long. Use {LONGEST} letters at most.")
        if category not in CATEGORIES:
            raise ContentError("Choose a category.")
        if grade not in GRADES:
            raise ContentError("Choose a grade.")
        self._screen = Screen(_Trial(_base(folder, _stamp(folder)), category, grade, phrase).compile())

    def hits(self, text: str) -> tuple[str, ...]:
        """The words of a text for which the phrase would fire; empty where it would not."""
        hit = self._screen.check(text).worst
        return hit.words if hit is not None else ()

    def among(self, texts: Iterable[str]) -> list[str]:
        """Those of these texts that it would hit."""
        return [text for text in texts if self.hits(text)]


def _stamp(folder: Path) -> tuple[tuple[str, float], ...]:
    """Changes whenever a file of the folder does."""
    return tuple(sorted((str(path), path.stat().st_mtime) for path in folder.rglob("*.yml")))


@lru_cache(maxsize=2)
def _base(folder: Path, _files: tuple[tuple[str, float], ...]) -> _Base:
    base = _Base(folder)
    base.compile()
    return base


class _Base(Compiler):
    """Reads the whole folder once, and keeps what any phrase is read against."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.words: dict[str, Any] = {}
        self.categories: dict[str, Category] = {}

    def _category(self, identity: str) -> Category:
        self.categories[identity] = super()._category(identity)
        return self.categories[identity]

    def _mapping(self, name: str) -> dict[str, Any]:
        found = super()._mapping(name)
        self.words = self.words or found
        return found


class _Trial(Compiler):
    """Compiles a copy of the base with one rule in it: the proposed phrase."""

    def __init__(self, base: _Base, category: str, grade: str, phrase: str) -> None:
        super().__init__(base.folder)
        self._of = base
        self._proposed = (category, grade, phrase)
        self._concepts = dict(base._concepts)
        self._meanings = {word: set(known) for word, known in base._meanings.items()}
        self._compounds = {steps: set(known) for steps, known in base._compounds.items()}
        self._literals = dict(base._literals)
        self._numerals = set(base._numerals)

    def _mapping(self, name: str) -> dict[str, Any]:
        self._file = name
        return self._of.words

    def _category(self, identity: str) -> Category:
        return self._of.categories[identity]

    def _ambiguous(self) -> tuple[Rule | None, list[tuple[str, Rule]]]:
        return None, []

    def _languages(self) -> dict[str, Any]:
        # Only this one: what else the screen would raise does not matter here.
        category, grade, phrase = self._proposed
        self._rules.clear()
        try:
            self._rule(category, grade, phrase, [phrase], 0, ())
        except ContentError as error:
            # Without the place in a file: there is none.
            raise ContentError(str(error).partition(": ")[2] or str(error)) from error
        return {}

    def _scale(self) -> Scale:
        return Scale({})
