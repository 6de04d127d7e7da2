"""What both assistants learn from, and what people say to them: nothing that was learned, nothing twice."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bot.settings import ROOT

SEED = 11
_OPENINGS = (
    "hello,", "hi,", "hiya,", "good morning,", "good evening,", "excuse me,", "sorry to bother you,",
    "quick question,", "just wondering,", "evening all,", "now then,", "hello there,",
)  # fmt: skip
_CLOSINGS = (
    "thanks", "thank you", "cheers", "please", "many thanks", "ta", "thanks in advance", "cheers pal",
    "thank you very much", "please and thank you", "ta very much", "much appreciated",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """Examples of each intent, and FAQ messages that are not among them."""

    examples: int
    intents: int
    files: dict[str, str]
    """Rasa's training files: name and content."""
    answers: dict[str, str]
    """The words of each FAQ answer, by slug."""
    held_out: tuple[str, ...]


def draw(per_intent: int, data: Path = ROOT / "data") -> Sample:
    """Take `per_intent` examples of every intent, always the same ones."""
    chance = random.Random(SEED)
    kept: list[dict[str, Any]] = []
    answers: dict[str, str] = {}
    held_out: list[str] = []
    count = 0
    for path in [*sorted((data / "faq").glob("*.yml")), *sorted((data / "nlu").glob("*.yml"))]:
        for item in yaml.safe_load(path.read_text("utf-8"))["nlu"]:
            lines = [line for line in item["examples"].splitlines() if line.strip()]
            chance.shuffle(lines)
            kept.append({**item, "examples": "\n".join(lines[:per_intent]) + "\n"})
            count += len(lines[:per_intent])
            family, _, slug = item["intent"].partition("/")
            if family == "faq":
                answers[slug] = item["metadata"]["answer"]
                held_out += [line.removeprefix("- ") for line in lines[per_intent:]]
    nlu = yaml.safe_dump({"version": "3.1", "nlu": kept}, allow_unicode=True, sort_keys=False)
    return Sample(count, len(kept), {"nlu.yml": nlu}, answers, tuple(held_out))


def wordings(plain: Sequence[str]) -> Iterator[str]:
    """Each text with polite words around it, so that none comes twice and each means the same."""
    ways = [(opening, closing) for opening in _OPENINGS for closing in _CLOSINGS]
    chance = random.Random(SEED)
    chance.shuffle(ways)
    for opening, closing in ways:
        texts = list(plain)
        chance.shuffle(texts)
        for text in texts:
            yield f"{opening} {text} {closing}"
