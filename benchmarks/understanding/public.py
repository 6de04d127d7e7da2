"""`python -m benchmarks.understanding.public`: the pipeline on public sets, beside stock DIET and TF-IDF.

Each is trained by `rasa train nlu` and read by Rasa's own agent, as a server does. Runs in the
assistant's environment, with the data sets in a folder that is not part of the repository (`--sets`).
Choices were made on training and validation parts (`thresholds`); a test part is read once by each run.
Every run is one line of JSON, added to `--runs`.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).parents[2]
SEED = 20
OURS: dict[str, Any] = {
    "recipe": "default.v1",
    "language": "en",
    "assistant_id": "benchmark",
    "pipeline": [
        {
            "name": "bot.nlu.components.FrontCounterSentenceFeaturizer",
            "spellings": str(ROOT / "data/risk/words.yml"),
        },
        {"name": "bot.nlu.components.FrontCounterClassifier", "rejected": 0.05},
    ],
}
# The default pipeline of Rasa 3.6 (docs, "Tuning Your NLU Model"), its seeds fixed.
DIET: dict[str, Any] = {
    "recipe": "default.v1",
    "language": "en",
    "assistant_id": "benchmark",
    "pipeline": [
        {"name": "WhitespaceTokenizer"},
        {"name": "RegexFeaturizer"},
        {"name": "LexicalSyntacticFeaturizer"},
        {"name": "CountVectorsFeaturizer"},
        {"name": "CountVectorsFeaturizer", "analyzer": "char_wb", "min_ngram": 1, "max_ngram": 4},
        {"name": "DIETClassifier", "epochs": 100, "constrain_similarities": True, "random_seed": SEED},
    ],
}
Rows = list[tuple[str, str]]
OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class Split:
    """One data set: (text, label) rows. `outside` rows belong to no label."""

    name: str
    train: Rows
    test: Rows
    outside_train: Rows = field(default_factory=list)
    validation: Rows = field(default_factory=list)
    outside_test: Rows = field(default_factory=list)


def read(folder: Path, name: str, shots: str) -> Split:
    """Read a set by its name (banking77, clinc150, hwu64), all of it or the 10-shot sample."""
    base = folder / name
    few = _lines(base / "train_10") if shots == "10" else None
    if name == "banking77":
        return Split(f"{name}-{shots}", few or _table(base / "train.csv"), _table(base / "test.csv"))
    if name == "hwu64":
        return Split(f"{name}-{shots}", few or _lines(base / "train"), _lines(base / "test"))
    whole = json.loads((base / "data_full.json").read_text("utf-8"))
    parts = {part: [(text, label) for text, label in rows] for part, rows in whole.items()}
    return Split(
        f"{name}-{shots}",
        few or parts["train"],
        parts["test"],
        outside_train=[] if few else parts["oos_train"],
        validation=parts["val"],
        outside_test=parts["oos_test"],
    )


def _table(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["category"]) for row in csv.DictReader(file)]


def _lines(folder: Path) -> Rows:
    texts, labels = ((folder / name).read_text("utf-8").splitlines() for name in ("seq.in", "label"))
    return list(zip(texts, labels, strict=True))


def write_project(folder: Path, config: dict[str, Any], split: Split) -> None:
    """Write a Rasa project: each label an FAQ intent, as ours are; outside is `out_of_scope`."""
    (folder / "data").mkdir(parents=True)
    (folder / "config.yml").write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
    (folder / "domain.yml").write_text('version: "3.1"\nintents: [faq, out_of_scope]\n', "utf-8")
    by_label: dict[str, list[str]] = {}
    retrieval = config is OURS
    for text, label in split.train:
        name = label.replace("/", "_")
        by_label.setdefault(f"faq/{name}" if retrieval else name, []).append(text)
    if split.outside_train:
        by_label["out_of_scope"] = [text for text, _ in split.outside_train]
    nlu = [
        {"intent": label, "examples": "".join(f"- {' '.join(text.split())}\n" for text in texts)}
        for label, texts in by_label.items()
    ]
    content = yaml.safe_dump(
        {"version": "3.1", "nlu": nlu}, allow_unicode=True, sort_keys=False, width=10_000
    )
    (folder / "data" / "nlu.yml").write_text(content, "utf-8")


def train(folder: Path) -> float:
    """Train as `rasa train nlu` does; returns the seconds."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "RASA_TELEMETRY_ENABLED": "false"}
    command = [sys.executable, "-m", "rasa", "train", "nlu", "--nlu", "data", "--fixed-model-name", "model"]
    started = time.monotonic()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return time.monotonic() - started


async def answers(folder: Path, texts: Sequence[str]) -> list[dict[str, Any]]:
    """What Rasa's agent makes of each text."""
    import structlog
    from rasa.core.agent import Agent

    # Rasa writes each message into its debug log, through structlog, whatever the level.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    agent = Agent.load(str(folder / "models" / "model.tar.gz"))
    return [await agent.parse_message(text) for text in texts]


def label_of(parsed: dict[str, Any]) -> str:
    """The likeliest label, whether or not it was certain."""
    own = parsed.get("front_counter")
    name = own["ranking"][0]["name"] if own and own["ranking"] else parsed["intent"]["name"]
    return str(name or "").removeprefix("faq/")


def known_of(parsed: dict[str, Any]) -> float:
    """How well it is known: the judge's score, or the probability where there is no judge."""
    own = parsed.get("front_counter")
    if own:
        return -99.0 if label_of(parsed) == "out_of_scope" else float(own["known"])
    return float(parsed["intent"]["confidence"])


def right(parsed: Sequence[dict[str, Any]], rows: Rows) -> float:
    """The share of right labels."""
    pairs = zip(parsed, rows, strict=True)
    return float(np.mean([label_of(one) == label.replace("/", "_") for one, (_, label) in pairs]))


def run_rasa(split: Split, config: dict[str, Any]) -> dict[str, Any]:
    """Train, read the test part once, and return the figures."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "project"
        folder.mkdir()
        write_project(folder, config, split)
        found: dict[str, Any] = {"train_seconds": round(train(folder), 1)}
        rows = split.test + split.validation + split.outside_test
        started = time.monotonic()
        parsed = asyncio.run(answers(folder, [text for text, _ in rows]))
        found["milliseconds_each"] = round((time.monotonic() - started) / len(rows) * 1000, 2)
        shutil.rmtree(folder)
    test = parsed[: len(split.test)]
    found["accuracy"] = round(right(test, split.test), 4)
    if split.outside_test:
        validation = parsed[len(split.test) : len(split.test) + len(split.validation)]
        outside = parsed[len(split.test) + len(split.validation) :]
        threshold = float(np.quantile([known_of(one) for one in validation], 0.05))
        found["outside_recall"] = round(float(np.mean([known_of(one) < threshold for one in outside])), 4)
        found["inside_rejected"] = round(float(np.mean([known_of(one) < threshold for one in test])), 4)
    return found


def run_words(split: Split) -> dict[str, Any]:
    """TF-IDF of words and pairs, linear SVM: the baseline that needs nothing."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    texts, labels = zip(*split.train, strict=True)
    started = time.monotonic()
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LinearSVC(random_state=SEED)
    ).fit(texts, labels)
    seconds = time.monotonic() - started
    given = model.predict([text for text, _ in split.test])
    score = float(np.mean([one == label for one, (_, label) in zip(given, split.test, strict=True)]))
    return {"train_seconds": round(seconds, 1), "accuracy": round(score, 4)}


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sets", type=Path, default=ROOT.parent / "shared" / "nlu-benchmarks")
    parser.add_argument("--only", default="banking77,clinc150,hwu64")
    parser.add_argument("--shots", default="full,10")
    parser.add_argument("--systems", default="ours,words", help="ours, words, diet (10-shot only)")
    parser.add_argument("--runs", type=Path, default=ROOT / "benchmarks/understanding/runs.jsonl")
    given = parser.parse_args()
    if not given.sets.is_dir():
        print(f"There is no folder {given.sets}: name the one with the data sets by --sets.", file=sys.stderr)
        return 2
    for name in given.only.split(","):
        for shots in given.shots.split(","):
            split = read(given.sets, name, shots)
            for system in given.systems.split(","):
                if system == "diet" and shots != "10":
                    continue
                figures = run_words(split) if system == "words" else run_rasa(
                    split, OURS if system == "ours" else DIET
                )  # fmt: skip
                line = {"set": split.name, "system": system, "seed": SEED, **figures}
                print(json.dumps(line), flush=True)
                with given.runs.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
