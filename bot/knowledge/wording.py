"""Reads every text of a force's files with its place, and says what is wrong with it and where.

Numbers and addresses live in the register only; every contact that is named exists and is listed;
words are plain (`plain.py`); nothing says what must not be disclosed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml

from bot.assistant.content import CONTACT, Content, content_from_files, load_yaml
from bot.assistant.own_words import base_of, faults_of
from bot.errors import ContentError
from bot.knowledge.plain import FOLDER, Plain

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # pragma: no cover  the C library is missing on this platform
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

OFFER: Final = "Would you like a person to help? Say: talk to a person."
_FORCE_FILES: Final = ("wording", "cards", "pages", "hours", "replies")
_RISK_KEYS: Final = ("safety", "after_safe_check", "after_hidden", "handover")
_ADDRESS: Final = re.compile(
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|\b(?:[a-z0-9][a-z0-9-]*\.)+(?:uk|com|org|net|gov)\b(?:/[\w./-]*\w)?", re.I
)
_NUMBER: Final = re.compile(r"(?<![\w£.])\+?\d(?:[ \u00a0-]?\d)*(?![\w%]|[.,]\d)")
_SHORT: Final = 5
"""A number of so many digits or more is a phone number, whatever it is for."""
_BRACKETS: Final = re.compile(r"\[[^\]\n]*\]")
_UNDER_ITS_KEY: Final = "the whole file"

# Words of danger go out whole while no register can be read, so these numbers stand there in full
# (force/northumbria/wording.yml says so); they are compared with the register all the same.
_SPELLED_IN: Final = ("risk", "card", "not to say")
_SPELLED_OUT: Final = frozenset({"EMERG", "SILENT", "BSL999", "ESMS", "RELAY999", "P101", "RELAY101"})


@dataclass(frozen=True, slots=True)
class Text:
    """Words of a file, with the line where they begin."""

    file: str
    line: int
    key: str
    body: str
    kind: str
    """answer, title, sentence, reply, page and risk are read by the public; card and "not to say" by staff."""
    is_block: bool = False
    """Each line of the body is a line of the file."""
    fixed: bool = False
    """The law or a body's own name sets these words."""
    beside: str = ""
    """What stands with it: an answer's title explains nothing by itself."""

    def line_of(self, at: int) -> int:
        """The line of the file of a place in the body."""
        return self.line + (self.body.count("\n", 0, at) if self.is_block else 0)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing to mend."""

    file: str
    line: int
    key: str
    check: str
    words: str
    better: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line} ({self.key}): {self.words} {self.better} [{self.check}]"


def check(force: Path, data: Path) -> list[Finding]:
    """Everything to mend in the words of a force, by file and line.

    Raises:
        ContentError: a file cannot be read at all.
    """
    plain = Plain.load(data / FOLDER)
    # Whatever cannot be read as content is not worth reading as prose.
    content = content_from_files(force, data)
    texts = list(texts_of(force, data))
    return sorted({*check_texts(texts, plain, content), *_answers(data), *_own_words(force, data)})


def check_texts(texts: Sequence[Text], plain: Plain, content: Content) -> Iterator[Finding]:
    """What is wrong with these words by themselves, and beside the register of `content`."""
    teams = {str(team.get("name", "")).casefold() for team in content.teams.get("teams", {}).values()}
    yield from _plainness(texts, plain, teams)
    yield from _register(texts, content.contacts)


def texts_of(force: Path, data: Path) -> Iterator[Text]:
    """Every text that the public or staff read, with its place."""
    for path in sorted((data / "faq").glob("*.yml")):
        yield from _faq_texts(path, f"data/faq/{path.name}")
    for path in sorted((data / "risk").glob("R*.yml")):
        yield from _risk_texts(path, f"data/risk/{path.name}")
    for name in _FORCE_FILES:
        path = force / f"{name}.yml"
        if path.is_file():
            yield from _force_texts(path, name, f"force/{force.name}/{path.name}")


# ---- reading ----------------------------------------------------------------------------------------


def _faq_texts(path: Path, file: str) -> Iterator[Text]:
    for item in _items(_child(_root(path), "nlu")):
        intent, metadata = _child(item, "intent"), _child(item, "metadata")
        slug = str(getattr(intent, "value", "?")).removeprefix("faq/")
        title, answer = _child(metadata, "title"), _child(metadata, "answer")
        if isinstance(answer, yaml.ScalarNode):
            yield _text(answer, file, slug, "answer")
        yield from _own_texts(metadata, "answer", file, slug, "answer")
        if isinstance(title, yaml.ScalarNode):
            yield replace(_text(title, file, slug, "title"), beside=str(getattr(answer, "value", "")))


def _risk_texts(path: Path, file: str) -> Iterator[Text]:
    root = _root(path)
    for name, value in _pairs(root):
        if base_of(name) in _RISK_KEYS:
            for node in _scalars(value):
                yield _text(node, file, name, "risk")


def _force_texts(path: Path, name: str, file: str) -> Iterator[Text]:
    root = _root(path)
    if name == "pages":
        yield from _page_texts(root, file)
        return
    if name == "hours":
        line = _child(_child(root, "counters"), "public_line")
        if isinstance(line, yaml.ScalarNode):
            yield _text(line, file, "public_line", "sentence")
        return
    for key, node in _pairs(root):
        if name == "wording" and isinstance(node, yaml.ScalarNode):
            yield _text(node, file, key, "sentence")
        elif name == "replies":
            words = _child(node, "text")
            if isinstance(words, yaml.ScalarNode):
                yield _text(words, file, key, "reply")
            yield from _own_texts(node, "text", file, key, "reply")
        elif name == "cards":
            # Whom to call is a list of names of teams.
            for part in ("do", "never_ask"):
                for scalar in _scalars(_child(node, part)):
                    yield _text(scalar, file, f"{key}, {part}", "card" if part == "do" else "not to say")


def _own_texts(node: yaml.Node | None, base: str, file: str, key: str, kind: str) -> Iterator[Text]:
    """What stands beside words for one channel alone."""
    for name, words in _pairs(node):
        if name != base and base_of(name) == base and isinstance(words, yaml.ScalarNode):
            yield _text(words, file, f"{key} ({name})", kind)


def _page_texts(root: yaml.Node | None, file: str) -> Iterator[Text]:
    for name, fact in _pairs(_child(root, "facts")):
        node = _child(fact, "say")
        if isinstance(node, yaml.ScalarNode):
            yield _text(node, file, name, "page")
    for name, page in _pairs(_child(root, "pages")):
        for section in _items(_child(page, "sections")):
            fixed = _child(section, "fixed") is not None
            heading, body = _child(section, "heading"), _child(section, "text")
            title = str(heading.value) if isinstance(heading, yaml.ScalarNode) else "beginning"
            if isinstance(body, yaml.ScalarNode):
                yield _text(body, file, f"{name}: {title}", "page", fixed=fixed)


def _text(node: yaml.ScalarNode, file: str, key: str, kind: str, *, fixed: bool = False) -> Text:
    is_block = node.style == "|"
    line = int(node.start_mark.line) + (2 if is_block else 1)
    return Text(file, line, key, str(node.value), kind, is_block, fixed)


def _root(path: Path) -> yaml.Node | None:
    try:
        node = yaml.compose(path.read_text("utf-8"), Loader=_Loader)
    except yaml.YAMLError as error:
        load_yaml(path)
        raise ContentError(f"{path.name}: this is not valid YAML. Mend it.") from error
    return node if isinstance(node, yaml.Node) else None


def _pairs(node: yaml.Node | None) -> Iterator[tuple[str, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield str(key.value), value


def _child(node: yaml.Node | None, name: str) -> yaml.Node | None:
    return next((value for key, value in _pairs(node) if key == name), None)


def _items(node: yaml.Node | None) -> list[yaml.Node]:
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _scalars(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    for item in _items(node):
        yield from _scalars(item)


# ---- plain words ------------------------------------------------------------------------------------


def _plainness(texts: Iterable[Text], plain: Plain, teams: Container[str]) -> Iterator[Finding]:
    # Staff read grades every day, and a list of what must not be said holds what must not be said.
    never = {habit.id for habit in (*plain.habits, *plain.disclosure)} - {"contraction"}
    leave: dict[str, Container[str]] = {"card": {"D16"}, "not to say": never}
    short: dict[tuple[str, str], list[Text]] = {}
    for text in texts:
        if text.fixed:
            continue
        staff = text.kind in leave
        for fault in plain.faults(
            text.body, beside=text.beside, leave=leave.get(text.kind, ()), known=teams if staff else ()
        ):
            yield Finding(
                text.file, text.line_of(fault.at), text.key, fault.check,
                f"“{fault.words.strip()}”. {fault.why}", fault.better,
            )  # fmt: skip
        if text.kind == "title":
            continue
        if (age := plain.age(text.body)) is None:
            short.setdefault((text.file, text.kind), []).append(text)
        elif age > plain.reading_age:
            yield _too_old(text.file, text.line, text.key, age, plain, text.body)
    for (file, _), parts in short.items():
        together = "\n".join(part.body for part in parts)
        age = plain.age(together)
        if age is not None and age > plain.reading_age:
            yield _too_old(file, parts[0].line, _UNDER_ITS_KEY, age, plain, together)


def _too_old(file: str, line: int, key: str, age: float, plain: Plain, body: str) -> Finding:
    return Finding(
        file, line, key, "reading age", f"The reading age is {age:.1f}, not {plain.reading_age}.",
        f"Use shorter sentences and words. The longest: {', '.join(plain.hardest(body))}.",
    )  # fmt: skip


# ---- the register -----------------------------------------------------------------------------------


def _register(texts: Iterable[Text], contacts: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    known: dict[str, list[str]] = {}
    for key, contact in contacts.items():
        for name, value in _values(contact):
            keys, shown = known.setdefault(_bare(value), []), f"[{key}.{name}]" if name else f"[{key}]"
            if shown not in keys:
                keys.append(shown)
    for text in texts:
        yield from _named(text, contacts)
        for at, typed in _typed(text.body):
            yield from _one_typed(text, at, typed, known)


def _one_typed(text: Text, at: int, typed: str, known: Mapping[str, list[str]]) -> Iterator[Finding]:
    keys = known.get(_bare(typed), [])
    if keys and (text.kind in _SPELLED_IN or _may_be_spelled(text, keys)):
        return
    if keys:
        yield Finding(
            text.file, text.line_of(at), text.key, "typed contact", f"“{typed}” is in the register.",
            f"Write {' or '.join(sorted(keys, key=lambda key: '.' in key)[:3])}.",
        )  # fmt: skip
    elif _is_contact(typed):
        yield Finding(
            text.file, text.line_of(at), text.key, "typed contact", f"“{typed}” is not in the register.",
            "Put it into contacts.yml with its source, and write its key.",
        )  # fmt: skip


def _may_be_spelled(text: Text, keys: Iterable[str]) -> bool:
    """The lines for danger, in sentences of the system; and in what no key is filled into."""
    return text.kind in ("sentence", "page", "title") and any(
        key.strip("[]").split(".")[0] in _SPELLED_OUT for key in keys
    )


def _named(text: Text, contacts: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    for found in _BRACKETS.finditer(text.body):
        place = text.line_of(found.start())
        key = CONTACT.fullmatch(found.group())
        if key is None:
            yield Finding(
                text.file, place, text.key, "contact key", f"“{found.group()}” is no key.",
                "Write [KEY] or [KEY.part] as contacts.yml has them.",
            )  # fmt: skip
        elif key[1] not in contacts:
            yield Finding(
                text.file, place, text.key, "contact key", f"No contact {key[1]} in the register.",
                "Put it into contacts.yml, or name another.",
            )  # fmt: skip
        elif key[2] is not None and key[2] not in contacts[key[1]].get("parts", {}):
            has = ", ".join(contacts[key[1]].get("parts", {})) or "none"
            yield Finding(
                text.file, place, text.key, "contact key", f"Contact {key[1]} has no part {key[2]}.",
                f"It has: {has}.",
            )  # fmt: skip


def _values(contact: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a contact is shown as, where that is a number or an address."""
    for name, value in [("", contact.get("say", "")), *dict(contact.get("parts", {})).items()]:
        if any(typed == str(value) for _, typed in _typed(str(value))):
            yield name, str(value)
    if contact.get("tel"):
        yield "", str(contact["tel"])


def _typed(body: str) -> Iterator[tuple[int, str]]:
    """Numbers and addresses that stand in a text."""
    addresses = [(found.start(), found.end(), found.group()) for found in _ADDRESS.finditer(body)]
    for start, _, words in addresses:
        yield start, words
    for found in _NUMBER.finditer(body):
        inside = any(start <= found.start() < end for start, end, _ in addresses)
        in_key = any(b.start() <= found.start() < b.end() for b in _BRACKETS.finditer(body))
        if not inside and not in_key:
            yield found.start(), found.group()


def _bare(typed: str) -> str:
    """Two spellings of one number or address are one: spaces, hyphens and a country's code aside."""
    if _ADDRESS.fullmatch(typed):
        return re.sub(r"^(https?://)?(www\.)?", "", typed.casefold()).rstrip("/")
    digits = re.sub(r"\D", "", typed)
    return (
        "0" + digits[2:] if typed.startswith("+44") or (len(digits) == 12 and digits[:2] == "44") else digits
    )


def _is_contact(typed: str) -> bool:
    return bool(_ADDRESS.fullmatch(typed)) or len(re.sub(r"\D", "", typed)) >= _SHORT


# ---- words for one channel --------------------------------------------------------------------------


def _own_words(force: Path, data: Path) -> Iterator[Finding]:
    """Keys such as `safe_no_reply@webchat`: what is wrong with them, where they stand."""
    blocks: list[tuple[str, str, yaml.Node | None]] = []
    for path in _with_own(data / "faq", "*.yml"):
        file = f"data/faq/{path.name}"
        blocks += [(file, "answer", _child(item, "metadata")) for item in _items(_child(_root(path), "nlu"))]
    for path in _with_own(data / "risk", "R*.yml"):
        blocks.append((f"data/risk/{path.name}", "", _root(path)))
    for name in ("wording", "replies"):
        path, file = force / f"{name}.yml", f"force/{force.name}/{name}.yml"
        if path.is_file() and name == "wording":
            blocks.append((file, "", _root(path)))
        elif path.is_file():
            blocks += [(file, "text", node) for _, node in _pairs(_root(path))]
    sites = _sites(force)
    for file, only, node in blocks:
        words = {key: "\n".join(str(one.value) for one in _scalars(value)) for key, value in _pairs(node)}
        words = {key: text for key, text in words.items() if not only or base_of(key) == only}
        lines = {key.value: key.start_mark.line + 1 for key, _ in node.value} if words and node else {}
        for key in words:
            one = {base_of(key): words[base_of(key)]} if base_of(key) in words else {}
            found = faults_of(key, {**one, key: words[key]}, sites) if base_of(key) != key else []
            for fault in found:
                says, _, better = fault.removeprefix(f"{key} ({key}): ").partition(". ")
                yield Finding(file, lines.get(key, 1), key, "channel", f"{says}.", better)


def _with_own(folder: Path, names: str) -> list[Path]:
    """The files that may hold such a key: to read each of them whole takes a while."""
    return [path for path in sorted(folder.glob(names)) if "@" in path.read_text("utf-8")]


def _sites(force: Path) -> frozenset[str] | None:
    """The names of the sites that the force has joined; None: it has no file of them."""
    path = force / "sites.yml"
    if not path.is_file():
        return None
    names = [_child(site, "name") for site in _items(_child(_root(path), "sites"))]
    return frozenset(f"site-{name.value}" for name in names if isinstance(name, yaml.ScalarNode))


# ---- what belongs to an answer ----------------------------------------------------------------------


def _answers(data: Path) -> Iterator[Finding]:
    for path in sorted((data / "faq").glob("*.yml")):
        file = f"data/faq/{path.name}"
        for item in _items(_child(_root(path), "nlu")):
            metadata = _child(item, "metadata")
            answer = _child(metadata, "answer")
            if isinstance(answer, yaml.ScalarNode):
                slug = str(getattr(_child(item, "intent"), "value", "?")).removeprefix("faq/")
                yield from _one_answer(_text(answer, file, slug, "answer"), metadata)


def _one_answer(text: Text, metadata: yaml.Node | None) -> Iterator[Finding]:
    node = _child(metadata, "contacts")
    listed = [str(item.value) for item in _items(node)]
    mode = str(getattr(_child(metadata, "mode"), "value", "A"))
    line = int(node.start_mark.line) + 1 if node is not None else text.line
    yield from check_answer(text, listed, mode, line)


def check_answer(text: Text, contacts: Sequence[str], mode: str, line: int) -> Iterator[Finding]:
    """Whether an answer fits its own list of contacts, which stands in that line, and its mode."""
    listed = Counter(contacts)
    named = {key[1]: key.start() for key in CONTACT.finditer(text.body)}
    for key, at in named.items():
        if key not in listed:
            yield Finding(
                text.file, text.line_of(at), text.key, "contact list", f"The answer names {key}.",
                f"Add {key} to `contacts`.",
            )  # fmt: skip
    for key, times in listed.items():
        if key not in named or times > 1:
            yield Finding(
                text.file, line, text.key, "contact list", f"`contacts` lists {key} and the answer does not"
                f" name it, or lists it twice.", "Name it in the answer, or take it out.",
            )  # fmt: skip
    if mode == "H" and not text.body.rstrip().endswith(OFFER):
        yield Finding(
            text.file, text.line, text.key, "offer", "An answer of mode H ends with the offer of a person.",
            f"End with: {OFFER}",
        )  # fmt: skip
