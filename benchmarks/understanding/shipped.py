"""The project's training examples, as the components read them. Runs in the assistant's environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from bot.nlu.classifier import RISK, Example
from bot.nlu.faq import risk_of, written_about
from bot.nlu.normalise import normalise
from bot.nlu.plain import PlainWords, ordinary_words, read_spellings
from bot.nlu.sentences import VOCABULARY, Vectors, shared_sentence_vectors

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Shipped:
    """What a training learns from."""

    examples: tuple[Example, ...]
    vectors: Vectors
    plain: PlainWords


def shipped(root: Path = ROOT) -> Shipped:
    """Return all examples of `data/`, in plain words, with their sentence vectors."""
    given: list[tuple[str, str, dict[str, str]]] = []
    written: dict[str, Example] = {}
    for path in sorted([*(root / "data/faq").glob("*.yml"), *(root / "data/nlu").glob("*.yml")]):
        for block in yaml.safe_load(path.read_text("utf-8"))["nlu"]:
            about = block.get("metadata") or {}
            lines = (line.strip().removeprefix("- ") for line in block["examples"].splitlines())
            given += [(line, block["intent"], about) for line in lines if line]
            for text in written_about(about):
                written.setdefault(f"{block['intent']} {text}", Example(text, block["intent"], None, True))
    texts = [normalise(text) for text, _, _ in given]
    plain = PlainWords.fit(
        [*texts, *(example.text for example in written.values())],
        read_spellings(root / "data/risk/words.yml"),
        ordinary_words(VOCABULARY),
    )
    examples = [
        Example(plain.plain(text), label, risk_of(about), grade=_grade(label, about))
        for text, (_, label, about) in zip(texts, given, strict=True)
    ]
    examples += written.values()
    vectors = shared_sentence_vectors().many([example.text for example in examples])
    return Shipped(tuple(examples), vectors, plain)


def _grade(label: str, about: dict[str, str]) -> str | None:
    return about.get("grade") if label.startswith(RISK) else None
