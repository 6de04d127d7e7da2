"""The held-out set: what each file of `held_out/` says, checked line by line.

Nothing here is learned from, and nothing is chosen by it. Each line of a file is a JSON object:

    faq.jsonl           text, intent (a slug of data/faq)
    risk.jsonl          text, category, priority
    near_misses.jsonl   text, category (that it must not raise)
    out_of_scope.jsonl  text
    ordinary.jsonl      text, intent (a slug, `chat` or `out_of_scope`): a day's traffic without danger
    pairs.jsonl         text, pair, group, and intent or category and priority: one meaning, five writers
    dialogues.jsonl     name, turns of text and expect (escalated, grade, category, intent)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bot.errors import ContentError
from bot.messages import GRADES
from bot.safety.content import CATEGORIES

FOLDER: Final = Path(__file__).parent / "held_out"
FAQ, RISK, NEAR, OUT, ORDINARY, PAIRS, DIALOGUES = (
    "faq", "risk", "near_misses", "out_of_scope", "ordinary", "pairs", "dialogues",
)  # fmt: skip
SINGLE: Final = (FAQ, RISK, NEAR, OUT, ORDINARY, PAIRS)
STANDARD: Final = "standard"
"""The group of writers that the others are compared with."""

_KEYS: Final[Mapping[str, frozenset[str]]] = {
    FAQ: frozenset({"text", "intent"}),
    RISK: frozenset({"text", "category", "priority"}),
    NEAR: frozenset({"text", "category"}),
    OUT: frozenset({"text"}),
    ORDINARY: frozenset({"text", "intent"}),
    PAIRS: frozenset({"text", "pair", "group"}),
    DIALOGUES: frozenset({"name", "turns"}),
}
_MORE: Final[Mapping[str, frozenset[str]]] = {PAIRS: frozenset({"intent", "category", "priority"})}
_EXPECTED: Final = frozenset({"escalated", "grade", "category", "intent"})


@dataclass(frozen=True, slots=True)
class Case:
    """One message and what is right for it."""

    text: str
    intent: str | None = None
    category: str | None = None
    priority: str | None = None
    pair: int = 0
    group: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a dialogue and what must hold after it."""

    text: str
    expect: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A conversation of several turns."""

    name: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """All files, in the order of their lines."""

    single: Mapping[str, tuple[Case, ...]]
    dialogues: tuple[Dialogue, ...]
    digest: str
    """A hash of all files: figures are only comparable where it is the same."""
    counts: Mapping[str, int] = field(default_factory=dict)


def load(folder: Path = FOLDER) -> HeldOut:
    """Read the folder.

    Raises:
        ContentError: a file or a line is wrong; names it and says what it should be.
    """
    single = {name: tuple(_case(name, at, row) for at, row in _rows(folder, name)) for name in SINGLE}
    dialogues = tuple(_dialogue(at, row) for at, row in _rows(folder, DIALOGUES))
    digest = hashlib.sha256()
    for name in (*SINGLE, DIALOGUES):
        digest.update((folder / f"{name}.jsonl").read_bytes())
    counts = {name: len(cases) for name, cases in single.items()} | {DIALOGUES: len(dialogues)}
    return HeldOut(single, dialogues, digest.hexdigest()[:16], counts)


def _rows(folder: Path, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    path = folder / f"{name}.jsonl"
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ContentError(f"{path} cannot be read: {error}.") from error
    for number, line in enumerate(lines, 1):
        at = f"{path.name}, line {number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ContentError(f"{at}: this is not JSON ({error}). Mend the line.") from error
        wanted, allowed = _KEYS[name], _KEYS[name] | _MORE.get(name, frozenset())
        if not isinstance(row, dict) or not wanted <= row.keys() or not row.keys() <= allowed:
            raise ContentError(f"{at}: write an object with {', '.join(sorted(allowed))}.")
        yield at, row
    if not lines:
        raise ContentError(f"{path} is empty. Put its messages back.")


def _case(name: str, at: str, row: dict[str, Any]) -> Case:
    if not isinstance(row["text"], str) or not row["text"].strip():
        raise ContentError(f"{at}: text must be what somebody wrote.")
    if row.get("category") is not None and row["category"] not in CATEGORIES:
        raise ContentError(f"{at}: category must be one of R01 to R20.")
    if row.get("priority") is not None and row["priority"] not in GRADES:
        raise ContentError(f"{at}: priority must be one of {', '.join(GRADES)}.")
    if name == PAIRS and ("intent" in row) == ("category" in row and "priority" in row):
        raise ContentError(f"{at}: give either an intent, or a category and a priority.")
    return Case(**row)


def _dialogue(at: str, row: dict[str, Any]) -> Dialogue:
    turns = row["turns"]
    if not isinstance(turns, list) or not turns:
        raise ContentError(f"{at}: turns must be a list of objects with text and expect.")
    for turn in turns:
        expect = turn.get("expect") if isinstance(turn, dict) else None
        if not isinstance(expect, dict) or not isinstance(turn.get("text"), str):
            raise ContentError(f"{at}: each turn needs text and expect.")
        if unknown := expect.keys() - _EXPECTED:
            raise ContentError(f"{at}: unknown expectation {sorted(unknown)[0]!r}; use {sorted(_EXPECTED)}.")
    return Dialogue(str(row["name"]), tuple(Turn(turn["text"], turn["expect"]) for turn in turns))
