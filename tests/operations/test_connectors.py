"""The comparison of connectors: what it says of people, and that it really calls what it compares."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from benchmarks.connectors.__main__ import tables
from benchmarks.connectors.experiments import (
    EXPERIMENTS,
    Bench,
    batch,
    forged,
    inbox,
    repeats,
    told,
    too_fast,
)
from benchmarks.connectors.sides import Side, missing, ours, stock_answer, write_project
from bot.settings import load_settings
from bot.stack import RASA_PYTHON
from tests.drills.questions import Questions
from tests.platforms.graph import App


@pytest.fixture(scope="module")
def questions() -> Questions:
    """The questions of the drills."""
    settings = load_settings()
    return Questions(settings.force, settings.data)


def test_nobody_who_got_nothing_or_too_much_is_left_out() -> None:
    assert told([1, 1], [1, 2]) == "2 of 2 answered once"
    assert told([1, 3, 0, 0], [1, 3, 1, 0]) == (
        "1 of 4 answered once, 1 answered more than once (4 answers in all), "
        "1 told that the answer may not have come, or that a person will read it, **1 got nothing**"
    )


def test_the_tables_have_every_experiment_of_both() -> None:
    row = {name: f"{number} of these" for number, name in enumerate(EXPERIMENTS)}
    made = tables({side: dict.fromkeys(("messenger", "telegram"), row) for side in ("ours", "stock")})

    assert made.count("| 0 of these | 0 of these |") == 2
    assert all(made.count(f"| {name} |") == 2 for name in EXPERIMENTS)


def test_the_stock_project_is_made_of_stock_parts_and_knows_every_question(
    tmp_path: Path, questions: Questions
) -> None:
    write_project(tmp_path / "project", questions, App())
    read = {name: yaml.safe_load((tmp_path / "project" / name).read_text()) for name in (
        "config.yml", "domain.yml", "credentials.yml", "data/nlu.yml",
    )}  # fmt: skip

    parts = [*read["config.yml"]["pipeline"], *read["config.yml"]["policies"]]
    # A dotted name would be a part of somebody's own.
    assert not any("." in part["name"] for part in parts)
    assert set(read["credentials.yml"]) == {"facebook", "telegram"}
    said = [one[0]["text"] for one in read["domain.yml"]["responses"].values()]
    assert said == [stock_answer(slug) for slug in questions.phrases.values()]
    # Rasa's connectors cut at blank lines: an answer with one would count twice.
    assert not any("\n" in text for text in said)
    assert {one["examples"] for one in read["data/nlu.yml"]["nlu"]} == {f"- {p}\n" for p in questions.phrases}


@pytest.mark.parametrize("mended", ["", "1"])
def test_the_redirection_moves_the_hosts_and_mends_the_session_only_where_asked(mended: str) -> None:
    """In Rasa's own environment, where both libraries are."""
    if not RASA_PYTHON.exists():
        pytest.skip("the assistant's environment is missing: it holds Rasa's connectors")
    words = """
import inspect, aiogram, fbmessenger
print(fbmessenger.MessengerClient("token").graph_url)
bot = aiogram.Bot("1:a")
print(bot.server.api_url("1:a", "getMe"), bot.server.file_url("1:a", "x"))
print(aiogram.Bot.request.__module__, fbmessenger.MessengerClient.send.__module__)
print(aiogram.Bot.session.fget.__module__)
"""
    folder = Path(__file__).resolve().parents[2] / "benchmarks" / "connectors" / "redirect"
    environment = {
        **os.environ, "PYTHONPATH": str(folder), "LOOPBACK_GRAPH": "http://127.0.0.1:7",
        "LOOPBACK_TELEGRAM": "http://127.0.0.1:8", "LOOPBACK_MENDED": mended,
    }  # fmt: skip
    done = subprocess.run(
        [str(RASA_PYTHON), "-c", words], env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines() == [
        "http://127.0.0.1:7/v2.12",
        "http://127.0.0.1:8/bot1:a/getMe http://127.0.0.1:8/file/bot1:a/x",
        "aiogram.bot.base fbmessenger",
        "sitecustomize" if mended else "aiogram.bot.base",
    ]


@pytest.fixture
async def side(tmp_path: Path, questions: Questions) -> AsyncIterator[Side]:
    """Our side, running."""
    if reason := missing():
        pytest.skip(reason)
    async with ours(tmp_path / "ours", questions) as found:
        yield found


@pytest.mark.integration
async def test_our_connectors_do_what_they_promise(side: Side, questions: Questions) -> None:
    """The same calls that stock Rasa's get, over HTTP on both sides."""
    slugs = [(slug, questions.text(slug)) for slug in questions.slugs]
    messenger, telegram = (Bench(side, platform, slugs) for platform in side.platforms)

    assert await batch(messenger) == "5 of 5 answered once"
    assert await batch(telegram) == "the platform makes none"
    assert await repeats(telegram) == "10 of 10 answered once"
    assert await forged(messenger) == "answered 403, not acted on"
    assert await forged(telegram) == "answered 401, not acted on"
    assert (await too_fast(messenger)).startswith("1 of 1 answered once, second try after ")
    assert await inbox(messenger) == "falls silent"
