"""Reading of `data/risk/`: words, categories and ambiguous messages, with errors that name a line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from bot.errors import ContentError
from bot.messages import GRADES, Grade
from bot.safety.normalise import BREAK, normalise, tokens
from bot.safety.phrases import Phrase, Reader, Rule, Step
from bot.safety.points import Scale, Sign
from bot.safety.words import Dictionary, inflect

CATEGORIES: Final = tuple(f"R{number:02}" for number in range(1, 21))
WORDS_FILE: Final = "words.yml"
AMBIGUOUS_FILE: Final = "ambiguous.yml"
POINTS_FILE: Final = "points.yml"
LANGUAGES_FOLDER: Final = "languages"

PRONOUNS: Final = frozenset({"i", "me", "my", "myself"})
"""Words that always stand for the family of the same name: "us" and "wor" are "me" and "my" here."""

_REQUIRED: Final = frozenset(
    {"id", "name", "definition", "priority", "understanding_threshold", "team", "safety",
     "handover", "phrases", "examples", "near_misses"}
)  # fmt: skip
_OPTIONAL: Final = frozenset(
    {"subject_hidden", "after_safe_check", "after_hidden", "combinations", "priority_rule"}
)
_OWN: Final = "after_safe_check@"
"""The only words of a category that a channel may say in its own way: those for danger are the same everywhere."""
_MOST_FORMS: Final = 64
_TOO_COMMON: Final = frozenset({"i", "me", "my", "myself", "he", "him", "his", "be"})
"""Families that nearly every message has: no sign of anything."""
_MARKS: Final = frozenset({"danger_base", "now_base", "mark", "mark_now"})


class _Line(str):
    """A text of a YAML file that knows its line, counted from 1."""

    line: int = 0


class _Block(dict[Any, Any]):
    """Keys and values of a YAML file that know the line where they begin."""

    line: int = 0


class _Loader(yaml.SafeLoader):
    """Safe YAML whose texts and blocks know their line and whose keys may not repeat."""

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        value = super().construct_scalar(node)
        if node.tag == "tag:yaml.org,2002:str":
            text = _Line(value)
            text.line = node.start_mark.line + 1
            return text
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} needs quotes", problem_mark=key.start_mark
                )
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} stands twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=True)
        return mapping


def _block(loader: _Loader, node: yaml.MappingNode) -> _Block:
    block = _Block(loader.construct_mapping(node))
    block.line = node.start_mark.line + 1
    return block


_Loader.add_constructor("tag:yaml.org,2002:map", _block)


@dataclass(frozen=True, slots=True)
class Example:
    """A message that must raise its category, at this priority."""

    text: str
    priority: str


@dataclass(frozen=True, slots=True)
class Category:
    """One file of `data/risk/`, without its patterns."""

    id: str
    name: str
    definition: str
    priority: Grade
    understanding_threshold: float
    team: str
    subject_hidden: bool
    safety: tuple[str, ...]
    after_safe_check: tuple[str, ...]
    handover: str
    examples: tuple[Example, ...]
    near_misses: tuple[str, ...]
    own: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What one channel says after the safe check instead: `after_safe_check@webchat`."""


@dataclass(frozen=True, slots=True)
class Language:
    """One file of `data/risk/languages/`, without its patterns."""

    code: str
    name: str
    verify: bool
    """No native reader has read it yet."""
    words: tuple[str, ...]
    """Common words in Latin letters that English does not have."""
    sure: tuple[str, ...]
    """Words of which one is enough to know the language."""
    examples: tuple[tuple[str, Example], ...]
    """Messages that must be found, each with its category."""


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that `data/risk/` says, ready to use."""

    categories: Mapping[str, Category]
    reader: Reader
    dictionary: Dictionary
    silent: Rule | None
    """The rule for a message without any word."""
    examples_of_nothing: tuple[str, ...]
    """Messages that must raise nothing at all."""
    ambiguous_examples: tuple[tuple[str, Rule], ...]
    languages: Mapping[str, Language] = field(default_factory=dict)


def load(folder: Path) -> Content:
    """Read and compile the folder.

    Raises:
        ContentError: a file is missing or wrong; the message names the file and the line.
    """
    return Compiler(folder).compile()


@dataclass(slots=True)
class Compiler:
    """Reads the files of one folder, once. `proposals.py` reads one phrase more against what they hold."""

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

    def compile(self) -> Content:
        words = self._mapping(WORDS_FILE)
        self._known(words, {"spellings", "soft", "ignored", "forgiven", "never_typos", "families", "idioms",
                            "examples_of_nothing"})  # fmt: skip
        for plain, odds in self._section(words, "spellings").items():
            for odd in self._split(odds):
                self._spellings[odd] = str(plain)
        for name, entries in self._section(words, "families").items():
            self._families[str(name)] = self._split(entries)
        soft = self._concept("<soft>")
        for word in self._split(words.get("soft", "")):
            self._meanings.setdefault(word, set()).add(soft)
        playful, routine, turn = (self._family(name, name) for name in ("<playful>", "<routine>", "<turn>"))
        for text in self._texts(words, "idioms"):
            self._rule("idiom", None, text, [text], 0, ())
        idioms = list(self._rules)
        self._rules.clear()
        categories = {}
        for identity in CATEGORIES:
            categories[identity] = self._category(identity)
        silent, ambiguous = self._ambiguous()
        languages = self._languages()
        scale = self._scale()
        self._file = WORDS_FILE
        named = {
            self._family(f"<{name}>", name): f"<{name}>" for name in self._families if name not in _TOO_COMMON
        }
        sums: dict[tuple[str, str], Rule] = {
            (category, grade): self._sum(category, grade) for category in CATEGORIES for grade in GRADES[:2]
        }
        rules = [rule for rule in self._rules if not rule.is_sum]
        dictionary = Dictionary(
            self._meanings,
            self._spellings,
            self._split(words.get("forgiven", "")),
            self._split(words.get("never_typos", "")),
            self._concept("<child_number>"),
            self._concept("<number>"),
        )
        compounds = [
            (Phrase(steps), sorted(meanings), all(step.concept in self._literals for step in steps))
            for steps, meanings in self._compounds.items()
        ]
        reader = Reader(
            dictionary, compounds, idioms, rules, soft,
            frozenset(self._split(words.get("ignored", ""))),
            playful, routine, turn, named, scale, sums,
        )  # fmt: skip
        return Content(
            categories,
            reader,
            dictionary,
            silent,
            tuple(self._texts(words, "examples_of_nothing")),
            tuple(ambiguous),
            languages,
        )

    # ---- files -------------------------------------------------------------------------------

    def _mapping(self, name: str) -> dict[str, Any]:
        self._file = name
        path = self.folder / name
        try:
            with path.open(encoding="utf-8") as stream:
                loaded = yaml.load(stream, Loader=_Loader)  # noqa: S506 - a SafeLoader of ours
        except OSError as error:
            raise ContentError(f"{path}: cannot be read ({error.strerror})") from error
        except UnicodeDecodeError as error:
            raise ContentError(f"{path}: is not UTF-8 text") from error
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            line = mark.line + 1 if mark else 1
            raise ContentError(f"{path}, line {line}: {error.problem}") from error
        except yaml.YAMLError as error:
            raise ContentError(f"{path}: {error}") from error
        if not isinstance(loaded, dict):
            raise ContentError(f"{path}, line 1: must hold keys and values")
        return loaded

    def _wrong(self, message: str, at: object = None) -> ContentError:
        line = at.line if isinstance(at, _Line | _Block) else 1
        return ContentError(f"{self.folder / self._file}, line {line}: {message}")

    def _known(self, mapping: dict[str, Any], known: Iterable[str]) -> None:
        for key in mapping:
            if key not in known:
                allowed = ", ".join(sorted(known))
                raise self._wrong(f"unknown key {str(key)!r}: remove it, or write one of: {allowed}", key)

    @staticmethod
    def _key(mapping: Mapping[Any, Any], name: str) -> object:
        """A key as it stands in the file, for its line; the mapping where it has no such key."""
        return next((key for key in mapping if key == name), mapping)

    def _section(self, mapping: dict[str, Any], key: str) -> dict[Any, Any]:
        section = mapping.get(key)
        if not isinstance(section, dict):
            raise self._wrong(f"{key!r} must hold keys and values", self._key(mapping, key))
        return section

    def _texts(self, mapping: dict[Any, Any], key: str) -> list[str]:
        value = mapping.get(key) or []
        if not isinstance(value, list):
            raise self._wrong(f"{key!r} must be a list", self._key(mapping, key))
        for text in value:
            if not isinstance(text, str) or not text.strip():
                at = text if isinstance(text, _Line | _Block) else self._key(mapping, key)
                raise self._wrong(f"{key!r} holds {text!r}: write it as text, in quotes", at)
        return value

    def _split(self, value: object) -> list[str]:
        if not isinstance(value, str):
            raise self._wrong(f"{value!r} must be words with commas between them, in quotes")
        return [part.strip() for part in value.replace("\n", " ").split(",") if part.strip()]

    def _grade(self, value: object, at: object) -> Grade:
        for grade in GRADES:
            if value == grade:
                return grade
        raise self._wrong(f"priority must be P1, P2, P3 or P4, not {value!r}", at or value)

    # ---- a category --------------------------------------------------------------------------

    def _category(self, identity: str) -> Category:
        data = self._mapping(f"{identity}.yml")
        own = {key: str(key).partition("@")[2] for key in data if str(key).startswith(_OWN)}
        self._known(data, _REQUIRED | _OPTIONAL | own.keys())
        missing = sorted(_REQUIRED - data.keys())
        if missing:
            raise self._wrong(f"missing: {', '.join(missing)}: add it")
        if data["id"] != identity:
            raise self._wrong(f"id must be {identity}", data["id"])
        threshold = data["understanding_threshold"]
        if not isinstance(threshold, float) or not 0 < threshold < 1:
            raise self._wrong(
                "understanding_threshold must be a number between 0 and 1, such as 0.25",
                self._key(data, "understanding_threshold"),
            )
        for key in ("phrases", "combinations", "examples"):
            if not isinstance(data.get(key, []), list):
                raise self._wrong(f"{key!r} must be a list", self._key(data, key))
        for group in data["phrases"]:
            if not isinstance(group, dict):
                raise self._wrong(f"a group of phrases needs priority and match, not {group!r}", group)
            self._known(group, {"priority", "match", "unless", "firm"})
            grade = self._grade(group.get("priority"), group)
            for text in self._texts(group, "match"):
                self._rule(identity, grade, text, [text], 0, self._texts(group, "unless"),
                           firm=bool(group.get("firm")))  # fmt: skip
        for group in data.get("combinations", []):
            if not isinstance(group, dict):
                raise self._wrong(f"a combination needs priority and all, not {group!r}", group)
            self._known(group, {"priority", "all", "within", "unless", "firm"})
            grade = self._grade(group.get("priority"), group)
            signals = self._texts(group, "all")
            within = group.get("within", 10)
            if len(signals) < 2 or not isinstance(within, int) or not 0 < within <= 40:
                raise self._wrong(
                    "a combination needs two signals or more, and 'within' from 1 to 40 words",
                    signals[0] if signals else None,
                )
            self._rule(identity, grade, " + ".join(signals), signals, within,
                       self._texts(group, "unless"), firm=bool(group.get("firm")))  # fmt: skip
        examples = []
        for example in data["examples"]:
            if not isinstance(example, dict) or not isinstance(example.get("text"), str):
                raise self._wrong(f"an example needs text and priority, not {example!r}", example)
            grade = self._grade(example.get("priority"), example["text"])
            examples.append(Example(str(example["text"]), grade))
        return Category(
            id=identity,
            name=str(data["name"]),
            definition=str(data["definition"]),
            priority=self._grade(data["priority"], data["priority"]),
            understanding_threshold=threshold,
            team=str(data["team"]),
            subject_hidden=bool(data.get("subject_hidden", False)),
            safety=tuple(str(text) for text in self._texts(data, "safety")),
            after_safe_check=tuple(str(text) for text in self._texts(data, "after_safe_check")),
            handover=str(data["handover"]),
            examples=tuple(examples),
            near_misses=tuple(str(text) for text in self._texts(data, "near_misses")),
            own={name: tuple(str(text) for text in self._texts(data, key)) for key, name in own.items()},
        )

    def _ambiguous(self) -> tuple[Rule | None, list[tuple[str, Rule]]]:
        data = self._mapping(AMBIGUOUS_FILE)
        self._known(data, {"messages"})
        silent: Rule | None = None
        examples: list[tuple[str, Rule]] = []
        entries = data.get("messages")
        if not isinstance(entries, list):
            raise self._wrong("'messages' must be a list", self._key(data, "messages"))
        for entry in entries:
            if not isinstance(entry, dict) or not isinstance(entry.get("example"), str):
                raise self._wrong(f"an ambiguous message needs an example, not {entry!r}", entry)
            self._known(entry, {"example", "match", "silent", "ask", "category", "priority",
                                "if_unanswered", "unless", "alone"})  # fmt: skip
            at = entry["example"]
            category = entry.get("category")
            if category not in CATEGORIES:
                raise self._wrong(f"unknown category {category!r}", at)
            raised = entry.get("priority")
            if raised is not None:
                raised = self._grade(raised, at)
            later = entry.get("if_unanswered")
            if later is not None:
                later = self._grade(later, at)
            if raised is None and entry.get("ask") is None:
                raise self._wrong("must ask something or raise a priority", at)
            if raised is not None and entry.get("alone"):
                raise self._wrong("'alone' is only for what raises nothing: more words would lower it", at)
            ask = entry.get("ask")
            if entry.get("silent"):
                silent = Rule(0, category, raised, "no words", (), ask=ask, ask_priority=later)
                examples.append((str(at), silent))
                continue
            rule = None
            for text in self._texts(entry, "match"):
                unless = self._texts(entry, "unless")
                rule = self._rule(
                    category, raised, text, [text], 0, unless, ask, later, bool(entry.get("alone"))
                )
            if rule is None:
                raise self._wrong("'match' is empty", at)
            examples.append((str(at), rule))
        return silent, examples

    # ---- words that add up -------------------------------------------------------------------

    def _scale(self) -> Scale:
        """`points.yml`: the marks, and one sign a line: `knife in = 1.20 0.40 R08 0.9 R03 0.5`."""
        data = self._mapping(POINTS_FILE)
        self._known(data, _MARKS | {"signs"})
        missing = sorted((_MARKS | {"signs"}) - data.keys())
        if missing:
            raise self._wrong(f"missing: {', '.join(missing)}: run scripts/weigh_points.py")
        marks = {}
        for key in _MARKS:
            if not isinstance(data[key], int | float):
                raise self._wrong(f"{key!r} must be a number", self._key(data, key))
            marks[key] = float(data[key])
        if not isinstance(data["signs"], _Line):
            raise self._wrong("'signs' must be text, one sign a line", self._key(data, "signs"))
        signs = {}
        for number, line in enumerate(data["signs"].splitlines(), data["signs"].line + 1):
            sign, separator, points = line.rpartition(" = ")
            danger, now, *votes = points.split() if separator else ("", "")
            try:
                signs[sign] = Sign(float(danger), float(now), self._votes(votes))
            except ValueError as error:
                path = self.folder / self._file
                raise ContentError(f"{path}, line {number}: {line!r} is no sign with its points") from error
        return Scale(signs, **marks)

    @staticmethod
    def _votes(votes: list[str]) -> dict[str, float]:
        """Raises ValueError: not category and number by turns."""
        if set(votes[::2]) - set(CATEGORIES):
            raise ValueError("no such category")
        return {category: float(points) for category, points in zip(votes[::2], votes[1::2], strict=True)}

    def _sum(self, category: str, grade: Grade) -> Rule:
        rule = Rule(len(self._rules) + 1, category, grade, f"{category}: several signs together", (),
                    is_sum=True)  # fmt: skip
        self._rules.append(rule)
        return rule

    # ---- other languages ---------------------------------------------------------------------

    def _languages(self) -> dict[str, Language]:
        """The emergency words of other languages; their patterns join the screen's own."""
        languages = {}
        for path in sorted((self.folder / LANGUAGES_FOLDER).glob("*.yml")):
            language = self._language(f"{LANGUAGES_FOLDER}/{path.name}")
            languages[language.code] = language
        return languages

    def _language(self, name: str) -> Language:
        data = self._mapping(name)
        self._known(data, {"language", "name", "verify", "words", "sure", "phrases", "examples"})
        missing = sorted({"language", "name", "verify", "words", "sure"} - data.keys())
        if missing:
            raise self._wrong(f"missing: {', '.join(missing)}: add it")
        code = str(data["language"])
        if name != f"{LANGUAGES_FOLDER}/{code}.yml":
            raise self._wrong("the file must have the name of its language", data["language"])
        if not isinstance(data["verify"], bool):
            raise self._wrong("verify must be true or false", self._key(data, "verify"))
        for group in data.get("phrases", []):
            if not isinstance(group, dict) or not isinstance(group.get("say"), str):
                raise self._wrong(
                    f"a group of phrases needs category, priority, say and match, not {group!r}", group
                )
            self._known(group, {"category", "priority", "say", "match"})
            if group.get("category") not in CATEGORIES:
                raise self._wrong(f"unknown category {group.get('category')!r}", group["say"])
            grade = self._grade(group.get("priority"), group["say"])
            for text in self._texts(group, "match"):
                meaning = f"{data['name']}: {group['say']}"
                self._rule(group["category"], grade, text, [text], 0, (), language=code, meaning=meaning)
        return Language(
            code,
            str(data["name"]),
            data["verify"],
            tuple(self._split(data["words"])),
            tuple(self._split(data["sure"])),
            tuple(self._foreign_examples(data)),
        )

    def _foreign_examples(self, data: dict[str, Any]) -> list[tuple[str, Example]]:
        examples = []
        for example in data.get("examples", []):
            if not isinstance(example, dict) or not isinstance(example.get("text"), str):
                raise self._wrong(f"an example needs text, category and priority, not {example!r}", example)
            if example.get("category") not in CATEGORIES:
                raise self._wrong(f"unknown category {example.get('category')!r}", example["text"])
            grade = self._grade(example.get("priority"), example["text"])
            examples.append((str(example["category"]), Example(str(example["text"]), grade)))
        return examples

    # ---- patterns ----------------------------------------------------------------------------

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
