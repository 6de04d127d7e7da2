"""The schema of `data/faq/`, `data/nlu/` and a force's replies: what a file must hold, and each fault with its line.

`data/risk/` has its own reader (`bot.safety.content`), and words have their own checks
(`bot.knowledge.wording`). The words that a fault is told in are the
descriptions of the fields below.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, model_validator

REPLIES: Final = "replies.yml"
LEAST_EXAMPLES: Final = 20
"""Examples that a FAQ intent needs: with fewer the model guesses."""

REPLY_VALUES: Final = ("{reference}", "{desk}", "{force}")
"""What the system fills into a ready-made reply."""
_FILLED_IN: Final = re.compile(r"\{[^}]*\}?")

_CATEGORY = r"R(0[1-9]|1[0-9]|20)"
_Text = Annotated[str, Field(min_length=1, pattern=r"\S")]
_Day = Annotated[
    str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$", description='a day in quotes, such as "2026-11-22"')
]
_Grade = Literal["P1", "P2", "P3", "P4"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _without_own_words(given: Any, key: str) -> Any:
    """The same without words for one channel (`own_words.py`), once they are words."""
    if not isinstance(given, dict):
        return given
    own = {name for name in given if str(name).startswith(f"{key}@")}
    for name in own:
        if not isinstance(given[name], str) or not given[name].strip():
            raise ValueError(f"'{name}' must be the words for that channel, as text")
    return {name: value for name, value in given.items() if name not in own}


class FaqMetadata(_Part):
    """What communications keep about an answer, and the answer."""

    title: _Text = Field(description="what the button says, as text")
    group: _Text = Field(description="the group that the answer belongs to, as text")
    owner: _Text = Field(description="who answers for it, as text")
    mode: Literal["A", "H", "E"] = Field(
        description="A (answer), H (answer and offer a person) or E (always to a person)"
    )
    answer: _Text = Field(description="the approved words")
    contacts: list[_Text] = Field(description="a list of contact keys, such as [P101]")
    source: list[_Text] = Field(description="a list that says where the answer comes from")
    last_checked: _Day
    review_by: _Day
    expires: _Day | None = Field(
        None, description='the last day on which it is given, in quotes, such as "2026-12-24"'
    )
    verify: bool = Field(False, description="true (a local fact must still be checked) or false")
    category: str | None = Field(
        None, pattern=rf"^{_CATEGORY}(/{_CATEGORY})*$", description="a risk category, R01 to R20"
    )
    grade: _Grade | None = Field(None, description="P1 to P4, where it is not the category's own")
    asks: bool = Field(False, description="true where the answer ends with a question: yes means the risk")
    condition: _Text | None = Field(None, description="in text: which of these messages carry the risk")
    note: _Text | None = Field(None, description="what to check, as text")

    @model_validator(mode="before")
    @classmethod
    def _own_words(cls, given: Any) -> Any:
        return _without_own_words(given, "answer")

    @model_validator(mode="after")
    def _fits_together(self) -> FaqMetadata:
        if self.mode == "E" and self.category is None:
            raise ValueError("mode E always goes to a person: add the category that it goes as")
        try:
            last, due = date.fromisoformat(self.last_checked), date.fromisoformat(self.review_by)
        except ValueError as error:
            raise ValueError("last_checked and review_by must be days of the calendar") from error
        if due <= last:
            raise ValueError("review_by must be after last_checked: set the next review")
        if self.expires is not None:
            if self.mode == "E":
                raise ValueError("mode E sends people to a person, so it has no last day: remove expires")
            try:
                date.fromisoformat(self.expires)
            except ValueError as error:
                raise ValueError("expires must be a day of the calendar") from error
        return self


class FaqIntent(_Part):
    """One FAQ answer with its training examples."""

    intent: str = Field(
        pattern=r"^faq/[a-z0-9]+(-[a-z0-9]+)*$", description="faq/ and the file's name without .yml"
    )
    metadata: FaqMetadata = Field(description="keys and values: title, mode, answer and more")
    examples: _Text = Field(description="a block that begins with | and holds one example a line")


class RiskMetadata(_Part):
    """The grade of risk examples."""

    grade: _Grade = Field(description="P1, P2, P3 or P4")


class Intent(_Part):
    """Examples of one intent that is no FAQ answer."""

    intent: str = Field(
        pattern=r"^[a-z][a-z_]*(_R\d\d)?$", description="a name, such as out_of_scope or risk_R01"
    )
    metadata: RiskMetadata | None = Field(None, description="the grade of a risk, or nothing")
    examples: _Text = Field(description="a block that begins with | and holds one example a line")


class FaqFile(_Part):
    """A file of data/faq: one answer."""

    version: Literal["3.1"] = Field(description='"3.1", which is Rasa\'s format')
    nlu: list[FaqIntent] = Field(min_length=1, max_length=1, description="a list with one intent")


class NluFile(_Part):
    """A file of data/nlu: intents that are no FAQ answers."""

    version: Literal["3.1"] = Field(description='"3.1", which is Rasa\'s format')
    nlu: list[Intent] = Field(min_length=1, description="a list of intents")


class Reply(_Part):
    """One ready-made reply of staff."""

    group: _Text = Field(description="the group under which staff find it, as text")
    title: _Text = Field(max_length=60, description="what staff read in the list, 60 letters at most")
    text: _Text = Field(max_length=1000, description="the words, 1,000 letters at most")

    @model_validator(mode="before")
    @classmethod
    def _own_words(cls, given: Any) -> Any:
        return _without_own_words(given, "text")

    @model_validator(mode="after")
    def _names_what_there_is(self) -> Reply:
        unknown = sorted(set(_FILLED_IN.findall(self.text)) - set(REPLY_VALUES))
        if unknown:
            raise ValueError(
                f"'{unknown[0]}' is not filled in. Write one of: {', '.join(REPLY_VALUES)}, or no braces"
            )
        return self


class ReplyFile(RootModel[dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], Reply]]):
    """The file replies.yml of a force: replies by key."""


_KINDS: Final[Mapping[str, type[BaseModel]]] = {"faq": FaqFile, "nlu": NluFile, "replies": ReplyFile}


def faults(data: Path) -> list[str]:
    """Everything that is wrong in `data/faq` and `data/nlu`; each names file and line and what to do."""
    found: list[str] = []
    seen: dict[tuple[bool, str], str] = {}
    for kind in ("faq", "nlu"):
        for path in sorted((data / kind).glob("*.yml")):
            source = _Source(path)
            own = list(source.faults())
            found += own
            if not own:
                found += source.repeated(seen)
    return found


def faults_of_replies(force: Path) -> list[str]:
    """Everything that is wrong in a force's replies.yml; a force may have none."""
    path = force / REPLIES
    return list(_Source(path).faults()) if path.is_file() else []


def first_fault(path: Path) -> str | None:
    """The first thing that is wrong in one file of `data/faq`, `data/nlu` or a force's replies, in words."""
    return next(_Source(path).faults(), None)


def line_of(node: yaml.Node | None, place: Sequence[str | int]) -> int:
    """The line of a place in a YAML file; of what should hold it, where it is missing."""
    line = 1
    for part in place:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == part), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line


class _Source:
    """One file, with the lines of what stands in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kind = "replies" if path.name == REPLIES else path.parent.name
        self.node: yaml.Node | None = None
        self.loaded: Any = None

    def _said(self, line: int, what: str) -> str:
        return f"{self.path.parent.name}/{self.path.name}, line {line}: {what}."

    def faults(self) -> Iterator[str]:
        """What does not fit the schema, in the order of the file; only the first if it is not YAML."""
        try:
            text = self.path.read_text("utf-8")
            self.node = yaml.compose(text, Loader=yaml.SafeLoader)
            self.loaded = yaml.safe_load(text)
        except (OSError, UnicodeDecodeError) as error:
            yield self._said(1, f"the file cannot be read ({error}). Write it anew as UTF-8 text")
            return
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            yield self._said(mark.line + 1 if mark else 1, "this is not valid YAML. Mend that line")
            return
        yield from self._repeated_keys(self.node)
        try:
            _KINDS[self.kind].model_validate(self.loaded)
        except ValidationError as error:
            told = [self._told(dict(one)) for one in error.errors(include_url=False)]
            yield from (self._said(line, what) for line, what in sorted(told))
            return
        if self.kind == "replies":
            return
        yield from self._names()
        yield from self._examples()

    def _repeated_keys(self, node: yaml.Node | None) -> Iterator[str]:
        """YAML takes the last of two equal keys without a word."""
        if isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                if key.value in keys:
                    line = key.start_mark.line + 1
                    yield self._said(line, f"'{key.value}' stands twice. Remove one of them")
                keys.add(key.value)
                yield from self._repeated_keys(value)
        elif isinstance(node, yaml.SequenceNode):
            for value in node.value:
                yield from self._repeated_keys(value)

    def _told(self, error: dict[str, Any]) -> tuple[int, str]:
        """Line and words of one fault that the schema found."""
        place = [part for part in error["loc"] if isinstance(part, int) or not part.startswith("function-")]
        names = [part for part in place if isinstance(part, str)]
        name = names[-1] if names else "the file"
        line = self._line(place)
        known = self._fields(place)
        if error["type"] == "missing":
            return line, f"'{name}' is missing. Add it: {known[name]}"
        if error["type"] == "extra_forbidden":
            return line, f"'{name}' is not known here. Remove it, or write one of: {', '.join(sorted(known))}"
        if error["type"] == "value_error":
            return line, str(error["ctx"]["error"])
        if self.kind == "replies" and len(names) < 2:
            return line, "write a key in small letters, and under it group, title and text"
        if "[key]" in names:
            return line, f"'{names[0]}' is no key: use small letters, digits and _"
        if not names:
            return line, "write `version:` and `nlu:`, each with what belongs to it"
        return line, f"'{name}' must be {known.get(name) or 'keys and values'}"

    def _fields(self, place: list[Any]) -> dict[str, str]:
        """The keys that may stand beside the last of a place, with what each must be."""
        schema: type[BaseModel] = Reply if self.kind == "replies" else _KINDS[self.kind]
        for part in [part for part in place if isinstance(part, str)][:-1]:
            if part == "nlu":
                schema = FaqIntent if self.kind == "faq" else Intent
            elif part == "metadata":
                schema = FaqMetadata if self.kind == "faq" else RiskMetadata
        return {
            name: field.description
            or next((str(m.description) for m in field.metadata if hasattr(m, "description")), "text")
            for name, field in schema.model_fields.items()
        }

    def _line(self, place: list[Any]) -> int:
        return line_of(self.node, place)

    def _node(self, *place: Any) -> yaml.Node | None:
        node = self.node
        for part in place:
            if isinstance(node, yaml.MappingNode):
                node = next((value for key, value in node.value if key.value == part), None)
            elif isinstance(node, yaml.SequenceNode):
                node = node.value[part]
        return node

    def _names(self) -> Iterator[str]:
        if self.kind != "faq":
            return
        slug = str(self.loaded["nlu"][0]["intent"]).removeprefix("faq/")
        if slug != self.path.stem:
            yield self._said(
                self._line(["nlu", 0, "intent"]),
                f"the file is {self.path.name}, so the intent must be faq/{self.path.stem}. Rename one of them",
            )

    def _lines(self, *place: Any) -> Iterator[tuple[int, str]]:
        """The lines of a block of text, with their numbers."""
        node = self._node(*place)
        if not isinstance(node, yaml.ScalarNode):
            return
        first = node.start_mark.line + (2 if node.style in ("|", ">") else 1)
        yield from enumerate(str(node.value).split("\n"), first)

    def examples(self, place: int) -> Iterator[tuple[int, str]]:
        """The training examples of one intent of the file, each with its line."""
        for number, line in self._lines("nlu", place, "examples"):
            if line.strip():
                yield number, line.strip().removeprefix("-").strip()

    def _examples(self) -> Iterator[str]:
        for place in range(len(self.loaded["nlu"])):
            count = 0
            for number, line in self._lines("nlu", place, "examples"):
                if not line.strip():
                    continue
                count += 1
                if not line.startswith("- ") or not line[2:].strip():
                    yield self._said(number, "an example must begin with '- ' and hold words. Mend that line")
            if self.kind == "faq" and count < LEAST_EXAMPLES:
                yield self._said(
                    self._line(["nlu", place, "examples"]),
                    f"{count} examples are too few. Write at least {LEAST_EXAMPLES}, as people really ask",
                )

    def repeated(self, seen: dict[tuple[bool, str], str]) -> list[str]:
        """Examples that stand somewhere else too; `seen` remembers those of the files before.

        A message may be about an answer and carry a risk, and each is learned by itself: only what
        stands twice as the one or twice as the other is a fault.
        """
        found = []
        for place, block in enumerate(self.loaded["nlu"]):
            risk = str(block["intent"]).startswith("risk_")
            for number, text in self.examples(place):
                plain = risk, " ".join(text.casefold().split())
                if plain in seen:
                    found.append(
                        self._said(number, f"this example stands in {seen[plain]} too. Remove one of them")
                    )
                seen.setdefault(plain, f"{self.kind}/{self.path.name}, line {number},")
        return found
