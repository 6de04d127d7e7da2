"""The whole shipped project: valid, and learned well enough."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from bot.nlu.classifier import FAQ, Example, train
from bot.nlu.faq import risk_of, written_about
from bot.nlu.normalise import normalise
from bot.nlu.sentences import shared_sentence_vectors
from tests.rasa.servers import ROOT


def test_rasa_finds_the_project_valid() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rasa", "data", "validate"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"RASA_TELEMETRY_ENABLED": "false"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "not listed in your domain" not in done.stderr
    assert "No story structure conflicts found" in done.stderr


def test_each_faq_file_has_its_response_without_being_listed() -> None:
    from rasa.shared.importers.importer import TrainingDataImporter

    importer = TrainingDataImporter.load_from_config(
        str(ROOT / "config.yml"), str(ROOT / "domain.yml"), [str(ROOT / "data")]
    )
    responses = importer.get_domain().responses
    slugs = {path.stem for path in (ROOT / "data/faq").glob("*.yml")}
    assert {name.removeprefix("utter_faq/") for name in responses if name.startswith("utter_faq/")} == slugs
    assert responses["utter_faq/noise"] == [{"custom": {"answer": "noise"}}]
    assert "hand_over" in responses["utter_faq/ask-for-human"][0]["custom"]


def shipped_examples() -> Iterator[Example]:
    """All training examples of the project, as the component reads them."""
    for path in sorted([*(ROOT / "data/faq").glob("*.yml"), *(ROOT / "data/nlu").glob("*.yml")]):
        for block in yaml.safe_load(path.read_text("utf-8"))["nlu"]:
            about = block.get("metadata") or {}
            for line in block["examples"].splitlines():
                if line.strip():
                    yield Example(normalise(line.strip().removeprefix("- ")), block["intent"], risk_of(about))
            for text in written_about(about):
                yield Example(text, block["intent"], None, written=True)


def test_a_held_out_fifth_is_understood_well_enough() -> None:
    """A floor under quality, well below what was measured, so that broken data shows at once."""
    examples = list(shipped_examples())
    vectors = shared_sentence_vectors().many([example.text for example in examples])
    out = np.array([not example.written and place % 5 == 0 for place, example in enumerate(examples)])
    model = train([examples[place] for place in np.nonzero(~out)[0]], vectors[~out])
    found = [
        (examples[place], model.classify(examples[place].text, vectors[place]))
        for place in np.nonzero(out)[0]
    ]

    faq = [(example, read) for example, read in found if example.label.startswith(FAQ)]
    first = [read.ranking[0][0] == example.label for example, read in faq]
    third = [example.label in [name for name, _ in read.ranking[:3]] for example, read in faq]
    assert np.mean(first) > 0.58
    assert np.mean(third) > 0.80
    answered = [(example, read) for example, read in faq if read.certain and read.intent.startswith(FAQ)]
    assert np.mean([read.intent == example.label for example, read in answered]) > 0.75

    risky = [
        sum(chance for _, chance in read.risks)
        for example, read in found
        if example.label.startswith("risk_")
    ]
    assert np.mean(np.array(risky) > 0.2) > 0.65


@pytest.mark.parametrize(
    "name", ["endpoints.yml", "endpoints.production.yml", "credentials.yml", "config.yml"]
)
def test_no_secret_and_no_path_is_in_the_settings(name: str) -> None:
    text = Path(ROOT / name).read_text("utf-8")
    assert "password" not in text.lower()
    assert "/home/" not in text
    assert "secret: ${" in text or "secret" not in text.replace("The secret", "")
