"""The whole shipped project: valid, and learned well enough."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.understanding.shipped import shipped
from bot.nlu.classifier import FAQ
from bot.nlu.learning import train
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


def test_a_held_out_fifth_is_understood_well_enough() -> None:
    """A floor under quality, well below what was measured, so that broken data shows at once."""
    given = shipped()
    out = np.array([not example.written and place % 5 == 0 for place, example in enumerate(given.examples)])
    kept = [example for example, left in zip(given.examples, out, strict=True) if not left]
    model = train(kept, given.vectors[~out])
    found = [
        (given.examples[place], model.classify(given.examples[place].text, given.vectors[place]))
        for place in np.nonzero(out)[0]
    ]

    faq = [(example, read) for example, read in found if example.label.startswith(FAQ)]
    first = [read.ranking[0][0] == example.label for example, read in faq]
    third = [example.label in [name for name, _ in read.ranking[:3]] for example, read in faq]
    assert np.mean(first) > 0.68
    assert np.mean(third) > 0.82
    answered = [(example, read) for example, read in faq if read.certain and read.intent.startswith(FAQ)]
    assert np.mean([read.intent == example.label for example, read in answered]) > 0.80

    risky = [
        max((risk.chance for risk in read.risks), default=0.0)
        for example, read in found
        if example.label.startswith("risk_")
    ]
    assert np.mean(np.array(risky) > 0.2) > 0.70


@pytest.mark.parametrize(
    "name", ["endpoints.yml", "endpoints.production.yml", "credentials.yml", "config.yml"]
)
def test_no_secret_and_no_path_is_in_the_settings(name: str) -> None:
    text = Path(ROOT / name).read_text("utf-8")
    assert "password" not in text.lower()
    assert "/home/" not in text
    assert "secret: ${" in text or "secret" not in text.replace("The secret", "")
