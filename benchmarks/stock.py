"""Stock Rasa: what `rasa init` sets up, with our training examples and its REST channel.

Its configuration is read from the installed package, so it is Rasa's own. Our custom actions and the
form have no place in it: where our rules name one, a plain response stands in, which is less work.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.sample import Sample
from bot.settings import ROOT
from bot.stack import RASA_PYTHON

RULES = ROOT / "data" / "rules" / "rules.yml"


def shipped_config() -> Path:
    """The config.yml that `rasa init` copies."""
    return next(RASA_PYTHON.parents[1].glob("lib/python*/site-packages/rasa/cli/initial_project/config.yml"))


def write_project(folder: Path, sample: Sample) -> None:
    """Write a stock project with the sample's examples into an empty folder."""
    (folder / "data").mkdir(parents=True)
    shutil.copy(shipped_config(), folder / "config.yml")
    for name, content in sample.files.items():
        (folder / "data" / name).write_text(content, "utf-8")
    # Rasa reads YAML 1.2, where `yes` is a word: everything is taken as text.
    ours = RULES.read_text("utf-8")
    rules, said = _rules(yaml.load(ours, Loader=yaml.BaseLoader))  # noqa: S506  as safe as safe_load
    (folder / "data" / "rules.yml").write_text(_yaml({"version": "3.1", "rules": rules}), "utf-8")
    intents = yaml.safe_load((ROOT / "domain.yml").read_text("utf-8"))["intents"]
    responses = {f"utter_faq/{slug}": [{"text": words}] for slug, words in sample.answers.items()}
    responses |= {name: [{"text": name.removeprefix("utter_").replace("_", " ")}] for name in sorted(said)}
    domain = {"version": "3.1", "intents": intents, "responses": responses}
    (folder / "domain.yml").write_text(_yaml(domain), "utf-8")
    (folder / "credentials.yml").write_text("rest:\n", "utf-8")
    (folder / "endpoints.yml").write_text("{}\n", "utf-8")


def _rules(ours: Mapping[str, Any]) -> tuple[list[dict[str, Any]], set[str]]:
    """Our rules without the form, and the plain responses that they name."""
    rules = []
    said = {"utter_restart"}
    for rule in ours["rules"]:
        if any("active_loop" in step for step in rule["steps"]):
            continue  # the form
        steps = []
        for step in rule["steps"]:
            action = step.get("action", "")
            if action.startswith("action_") and action != "action_restart":
                action = "utter_" + action.removeprefix("action_")
            if action.startswith("utter_") and action != "utter_faq":
                said.add(action)
            steps.append({"action": action} if action else step)
        rules.append({"rule": rule["rule"], "steps": steps})
    return rules, said


def _yaml(content: Mapping[str, Any]) -> str:
    return yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
