"""Reading of `data/risk/`: words, categories and ambiguous messages, with errors that name a line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from bot.errors import ContentError
from bot.messages import GRADES, Grade
from bot.safety.patterns import Block, Line, Patterns
from bot.safety.phrases import Phrase, Reader, Rule
from bot.safety.points import Scale, Sign
from bot.safety.words import Dictionary

CATEGORIES: Final = tuple(f"R{number:02}" for number in range(1, 21))
WORDS_FILE: Final = "words.yml"
AMBIGUOUS_FILE: Final = "ambiguous.yml"
POINTS_FILE: Final = "points.yml"
LANGUAGES_FOLDER: Final = "languages"

_REQUIRED: Final = frozenset(
    {"id", "name", "definition", "priority", "understanding_threshold", "team", "safety",
     "handover", "phrases", "examples", "near_misses"}
)  # fmt: skip
_OPTIONAL: Final = frozenset(
    {"subject_hidden", "after_safe_check", "after_hidden", "combinations", "priority_rule"}
)
_OWN: Final = "after_safe_check@"
"""The only words of a category that a channel may say in its own way: those for danger are the same everywhere."""
_TOO_COMMON: Final = frozenset({"i", "me", "my", "myself", "he", "him", "his", "be"})
"""Families that nearly every message has: no sign of anything."""
_MARKS: Final = frozenset(
    {"danger_base", "now_base", "mark", "mark_now", "mark_phrase", "mark_sure", "mark_pressing"}
)


class _Loader(yaml.SafeLoader):
    """Safe YAML whose texts and blocks know their line and whose keys may not repeat."""

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        value = super().construct_scalar(node)
        if node.tag == "tag:yaml.org,2002:str":
            text = Line(value)
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


def _block(loader: _Loader, node: yaml.MappingNode) -> Block:
    block = Block(loader.construct_mapping(node))
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
class Compiler(Patterns):
    """Reads the files of one folder, once. `proposals.py` reads one phrase more against what they hold."""

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
                at = text if isinstance(text, Line | Block) else self._key(mapping, key)
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
                                "if_unanswered", "unless", "alone", "firm"})  # fmt: skip
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
                    category, raised, text, [text], 0, unless, ask, later, bool(entry.get("alone")),
                    firm=bool(entry.get("firm")),
                )  # fmt: skip
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
        if not isinstance(data["signs"], Line):
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
