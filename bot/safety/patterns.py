"""Compiling of the patterns that `data/risk/` is written in: words, families, choices, gaps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bot.errors import ContentError
from bot.safety.normalise import BREAK, normalise, tokens
from bot.safety.phrases import Phrase, Rule, Step
from bot.safety.words import inflect

PRONOUNS: Final = frozenset({"i", "me", "my", "myself"})
"""Words that always stand for the family of the same name: "us" and "wor" are "me" and "my" here."""

_MOST_FORMS: Final = 64


class Line(str):
    """A text of a YAML file that knows its line, counted from 1."""

    line: int = 0


class Block(dict[Any, Any]):
    """Keys and values of a YAML file that know the line where they begin."""

    line: int = 0


@dataclass(slots=True)
class Patterns:
    """Turns the patterns of one folder into phrases and rules, and keeps what their words stand for."""

    folder: Path
    _file: str = ""
    _concepts: dict[str, int] = field(default_factory=dict)
    _meanings: dict[str, set[int]] = field(default_factory=dict)
    _compounds: dict[tuple[Step, ...], set[int]] = field(default_factory=dict)
    _families: dict[str, list[str]] = field(default_factory=dict)
    _spellings: dict[str, str] = field(default_factory=dict)
    _rules: list[Rule] = field(default_factory=list)
    _literals: dict[int, str] = field(default_factory=dict)
    _numerals: set[str] = field(default_factory=lambda: {"number", "child_number"})

    def _wrong(self, message: str, at: object = None) -> ContentError:
        line = at.line if isinstance(at, Line | Block) else 1
        return ContentError(f"{self.folder / self._file}, line {line}: {message}")

    def _rule(
        self,
        category: str,
        grade: str | None,
        text: str,
        signals: list[str],
        within: int,
        unless: Iterable[str],
        ask: str | None = None,
        ask_priority: str | None = None,
        alone: bool = False,
        *,
        firm: bool = False,
        language: str = "",
        meaning: str = "",
    ) -> Rule:
        """Compile one rule and keep it. Optional words make several rules of it; the last is given
        back, and all carry the same words to explain them."""
        contexts = tuple(form for context in unless for form in self._forms(context))
        forms: list[tuple[Phrase, ...]] = [()]
        for signal in signals:
            forms = [(*form, more) for form in forms for more in self._forms(signal)]
        if len(forms) > _MOST_FORMS:
            raise self._wrong(f"too many optional words in {text!r}", signals[0])
        for form in forms:
            rule = Rule(len(self._rules) + 1, category, grade, f"{category}: {text}", form, within,
                        contexts, ask, ask_priority, alone, firm or bool(language), language, meaning)  # fmt: skip
            self._rules.append(rule)
        return rule

    def _forms(self, text: str) -> list[Phrase]:
        """A pattern, once for each way of leaving out what is optional."""
        body = text.strip()
        return [
            Phrase(tuple(steps), body.startswith("^"), body.endswith("$"))
            for steps in self._sequences(body.strip("^$ "), text)
        ]

    def _sequences(self, body: str, text: str) -> list[list[Step]]:
        """The steps of a pattern or of one choice in it; `text` is the whole, for its line."""
        forms: list[list[Step]] = [[]]
        gap = 0
        for element in self._elements(body, text):
            if element.startswith(".."):
                if not element[2:].isdigit() or not 0 < int(element[2:]) <= 12:
                    raise self._wrong(f"a gap must be of 1 to 12 words in {text!r}", text)
                gap = int(element[2:])
                continue
            optional = element.endswith("?")
            steps = self._steps(element.rstrip("?"), gap, text)
            longer = [form + steps for form in forms]
            forms = longer + forms if optional else longer
            gap = 0
        forms = [form for form in forms if form]
        if not forms or len(forms) > _MOST_FORMS:
            raise self._wrong(f"no words, or too many optional ones, in {text!r}", text)
        return forms

    def _elements(self, body: str, text: str) -> list[str]:
        """Part a pattern at its spaces, leaving each choice in brackets whole."""
        elements: list[str] = []
        depth = 0
        current = ""
        for char in body + " ":
            depth += (char == "(") - (char == ")")
            if depth < 0:
                break
            if char == " " and depth == 0:
                if current:
                    elements.append(current)
                current = ""
            else:
                current += char
        if depth:
            raise self._wrong(f"the brackets of {text!r} do not close", text)
        return elements

    def _steps(self, element: str, gap: int, text: str) -> list[Step]:
        if element.startswith("<"):
            return [Step(self._family(element, text), gap)]
        if element.startswith("("):
            return [Step(self._choice(element, self._alternatives(element[1:-1]), text), gap)]
        if element.rstrip("+") != element:
            return [Step(self._choice(element, [element], text), gap)]
        words = self._words(element)
        if not words or not element[0].isalnum():
            raise self._wrong(f"{element!r} in {text!r} is not a word", text)
        steps = [
            Step(
                self._family(f"<{word}>", text)
                if word in PRONOUNS and text != f"<{word}>"
                else self._literal(word)
            )
            for word in words
        ]
        return [Step(steps[0].concept, gap), *steps[1:]]

    @staticmethod
    def _alternatives(body: str) -> list[str]:
        alternatives = [""]
        depth = 0
        for char in body:
            depth += (char == "(") - (char == ")")
            if char == "|" and depth == 0:
                alternatives.append("")
            else:
                alternatives[-1] += char
        return alternatives

    def _words(self, text: str) -> list[str]:
        return [self._spellings.get(word, word) for word in tokens(normalise(text)) if word != BREAK]

    def _concept(self, name: str) -> int:
        return self._concepts.setdefault(name, len(self._concepts))

    def _literal(self, word: str) -> int:
        concept = self._concept(word)
        self._literals[concept] = word
        self._meanings.setdefault(word, set()).add(concept)
        return concept

    def _family(self, element: str, text: str) -> int:
        name = element.strip("<>")
        if element in self._concepts and name not in self._numerals:
            return self._concepts[element]
        self._numerals.discard(name)
        if name not in self._families:
            raise self._wrong(f"unknown family {element} in {text!r}", text)
        return self._choice(element, self._families[name], element)

    def _choice(self, key: str, entries: Iterable[str], text: str) -> int:
        if key.startswith("(") and key in self._concepts:
            return self._concepts[key]
        concept = self._concept(key)
        for entry in self._expanded(entries, text, ()):
            for steps in self._sequences(entry, text):
                word = self._literals.get(steps[0].concept)
                if len(steps) == 1 and word is not None:
                    self._meanings[word].add(concept)
                else:
                    self._compounds.setdefault(tuple(steps), set()).add(concept)
        return concept

    def _expanded(self, entries: Iterable[str], text: str, path: tuple[str, ...]) -> list[str]:
        """Entries of a choice, with other families and inflections spelt out."""
        expanded: list[str] = []
        for entry in (entry.strip() for entry in entries):
            name = entry.strip("<>")
            if entry in PRONOUNS and not (path and path[-1] == entry) and text != f"<{entry}>":
                entry, name = f"<{entry}>", entry
            if entry == f"<{name}>" and " " not in entry and name not in ("number", "child_number"):
                if name not in self._families or name in path:
                    raise self._wrong(f"unknown or circular family {entry} in {text!r}", text)
                expanded.extend(self._expanded(self._families[name], text, (*path, name)))
            elif "+" in entry and "(" not in entry:
                forms = [""]
                for word in entry.split():
                    forms = [f"{form} {more}" for form in forms for more in inflect(word)]
                expanded.extend(forms)
            elif not entry:
                raise self._wrong(f"an empty choice in {text!r}", text)
            else:
                expanded.append(entry)
        return expanded
