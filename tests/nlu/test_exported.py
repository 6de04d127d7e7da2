"""What the gateway exports, Rasa's own reader reads: the same phrases, and no file for anything else.

The gateway's code cannot be imported here, so its own environment writes the files.
"""

from __future__ import annotations

import json
import os
import subprocess
import warnings
from pathlib import Path
from typing import Any

import pytest
from rasa.shared.core.training_data.story_reader.yaml_story_reader import YAMLStoryReader
from rasa.shared.data import is_nlu_file
from rasa.shared.nlu.training_data.formats.rasa_yaml import RasaYAMLReader

ROOT = Path(__file__).resolve().parents[2]
GATEWAY = ROOT / ".venv" / "bin" / "python"
ANSWERS = 60

pytestmark = pytest.mark.rasa


@pytest.fixture(scope="module", params=[1, 22, 333])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of answers that are made of everything that breaks files."""
    if not GATEWAY.exists():
        pytest.skip(f"{GATEWAY.parent.parent} is not there: run `make setup`")
    folder = tmp_path_factory.mktemp("odd")
    command = [GATEWAY, "-m", "tests.support.odd", folder, str(request.param), str(ANSWERS)]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    return folder


def read(path: Path) -> tuple[list[str], dict[str, Any]]:
    """Phrases and metadata, as Rasa has them."""
    with warnings.catch_warnings():
        # Rasa warns of each line that it leaves out.
        warnings.simplefilter("error", UserWarning)
        data = RasaYAMLReader().read(str(path))
    assert {example.get_full_intent() for example in data.intent_examples} == {f"faq/{path.stem}"}
    metadata = data.intent_examples[0].get("metadata")["intent"]
    return [example.get("text") for example in data.training_examples], metadata


def test_rasa_reads_the_same_phrases_and_metadata(exported: Path) -> None:
    expected = json.loads((exported / "expected.json").read_text("utf-8"))
    assert len(expected) == ANSWERS
    for slug, held in expected.items():
        phrases, metadata = read(exported / "faq" / f"{slug}.yml")
        assert phrases == held["examples"], slug
        assert metadata.pop("answer").strip() == held["answer"], slug
        assert metadata == held["metadata"], slug


def test_rasa_takes_no_file_for_stories_and_each_for_examples(exported: Path) -> None:
    for path in sorted((exported / "faq").glob("*.yml")):
        assert is_nlu_file(str(path)), path.name
        assert not YAMLStoryReader.is_stories_file(str(path)), path.name
