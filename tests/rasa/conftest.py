"""One small model and one pair of servers for all tests; a conversation each.

FRONTCOUNTER_TEST_MODEL names a trained model of the whole project to use instead.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import yaml

from tests.rasa.servers import ROOT, Assistant, action_server, free_port, rasa_server

SMALL = (
    *("faq/ask-for-human", "faq/noise", "faq/lost-property", "faq/da-help", "faq/report-bike-stolen"),
    *("greeting", "thanks", "goodbye", "start_again", "affirm", "deny", "triage", "triage_answer"),
    *("desk_hours", "out_of_scope", "risk_R01", "risk_R03", "faq/custody-is-someone-in", "risk_R15"),
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for models and logs."""
    return tmp_path_factory.mktemp("rasa")


@pytest.fixture(scope="session")
def model(folder: Path) -> Path:
    """A model trained on a part of the shipped data."""
    if named := os.environ.get("FRONTCOUNTER_TEST_MODEL"):
        return Path(named)
    data = folder / "data"
    data.mkdir()
    for path in [*(ROOT / "data/faq").glob("*.yml"), *(ROOT / "data/nlu").glob("*.yml")]:
        content = yaml.safe_load(path.read_text("utf-8"))
        content["nlu"] = [block for block in content["nlu"] if block["intent"] in SMALL]
        if content["nlu"]:
            (data / path.name).write_text(yaml.safe_dump(content), "utf-8")
    (data / "rules.yml").write_text((ROOT / "data/rules/rules.yml").read_text("utf-8"), "utf-8")
    command = [
        *(sys.executable, "-m", "rasa", "train", "--data", str(data), "--out", str(folder)),
        *("--fixed-model-name", "small"),
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"RASA_TELEMETRY_ENABLED": "false", "RASA_CACHE_DIRECTORY": str(folder / "cache")},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "small.tar.gz"


@pytest.fixture(scope="session")
def assistant(model: Path, folder: Path) -> Iterator[Assistant]:
    """Both servers, trackers in memory."""
    port = free_port()
    endpoints = folder / "endpoints.yml"
    endpoints.write_text(
        f"action_endpoint:\n  url: http://127.0.0.1:{port}/webhook\n  enable_selective_domain: true\n",
        "utf-8",
    )
    with action_server(port, folder), rasa_server(model, endpoints, folder) as server:
        yield server


@pytest.fixture
def conversation() -> str:
    """A conversation that nobody had before."""
    return f"web:{uuid4().hex}"
