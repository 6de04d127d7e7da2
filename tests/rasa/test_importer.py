"""The way in to the training data: what Rasa would read, in examples that are cheap to copy."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from rasa.shared.importers.rasa import RasaFileImporter
from rasa.shared.nlu.training_data.features import Features
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from bot.nlu.importer import FrontCounterImporter

FAQ = """version: "3.1"
nlu:
- intent: faq/{slug}
  metadata: {{title: About {slug}, mode: A}}
  examples: |
    - {slug} please
    - the same words
"""
RISK = """version: "3.1"
nlu:
- intent: risk_R01
  metadata: {grade: P1}
  examples: |
    - they are in
    - they are in
- intent: risk_R01
  metadata: {grade: P2}
  examples: |
    - the same words
- intent: greeting
  examples: |
    - hello
"""


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """A small project's training data."""
    texts = {"a.yml": FAQ.format(slug="parking"), "b.yml": FAQ.format(slug="noise"), "c.yml": RISK}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, "utf-8")
    return [str(tmp_path / name) for name in texts]


def read(paths: list[str]) -> TrainingData:
    """What our importer reads."""
    return FrontCounterImporter(training_data_paths=paths).get_nlu_data()


def told(data: TrainingData) -> list[tuple[str, str, str]]:
    """Text, intent and metadata of each example."""
    return sorted(
        (example.get("text"), example.get_full_intent(), str(example.get("metadata")))
        for example in data.training_examples
    )


@pytest.mark.parametrize(
    "more",
    [
        "- hi [there](place)\n",
        "- a line with [brackets] and {braces}\n",
        '- "quoted: and £ 🐶"\n',
        "- he's here: now\n- again\n- synonym: pc\n",
    ],
)
def test_it_reads_what_rasa_reads(paths: list[str], more: str) -> None:
    text = Path(paths[-1]).read_text("utf-8")
    Path(paths[-1]).write_text(text + "".join(f"    {line}\n" for line in more.splitlines()), "utf-8")
    assert told(read(paths)) == told(RasaFileImporter(training_data_paths=paths).get_nlu_data())


def test_examples_differ_by_text_intent_and_metadata_and_a_repeat_counts_once(paths: list[str]) -> None:
    data = read(paths)
    assert len(data.training_examples) == 7
    assert len({example.fingerprint() for example in data.training_examples}) == 7
    assert told(TrainingData().merge(data).merge(read(paths))) == told(data)


def test_a_copy_changes_alone_and_has_the_same_fingerprint_until_then(paths: list[str]) -> None:
    example = read(paths).training_examples[0]
    copy = deepcopy(example)
    assert copy == example
    assert copy.get("metadata") == example.get("metadata")
    copy.add_features(Features(np.ones((1, 3)), "sentence", "text", "test"))
    assert example.features == []
    assert copy != example
    again = deepcopy(example)
    again.set("text", "other words")
    assert example.get("text") != "other words"
    assert again != example


def test_the_fingerprint_is_the_same_in_another_reading_and_sees_the_features(paths: list[str]) -> None:
    first, second = (read(paths).training_examples[0] for _ in range(2))
    assert first.fingerprint() == second.fingerprint()
    for example, value in ((first, 1.0), (second, 2.0)):
        example.add_features(Features(np.full((1, 3), value), "sentence", "text", "test"))
    assert first.fingerprint() != second.fingerprint()
    assert isinstance(first, Message)
