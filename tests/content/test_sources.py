"""The schema of data/faq, data/nlu and data/risk: the files that ship fit, and a fault names its line."""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.assistant import content_from_files, sources
from bot.commands import check
from bot.errors import ContentError
from bot.safety import Screen
from bot.settings import ROOT, load_settings

Edit = Callable[[str], str]
FAQ = "parking"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A copy of a part of data/, to break."""
    for name in ("faq", "nlu"):
        (tmp_path / name).mkdir()
    for name in (f"faq/{FAQ}.yml", "faq/noise.yml", "nlu/risk_R01.yml", "nlu/out_of_scope.yml"):
        shutil.copy(ROOT / "data" / name, tmp_path / name)
    return tmp_path


def edit(path: Path, change: Edit) -> None:
    """Change a file; the change must change something."""
    before = path.read_text("utf-8")
    after = change(before)
    assert after != before
    path.write_text(after, "utf-8")


def line_of(path: Path, beginning: str) -> int:
    """The number of the first line that begins so, spaces aside."""
    lines = path.read_text("utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.strip().startswith(beginning))


def test_every_file_that_ships_fits() -> None:
    assert sources.faults(ROOT / "data") == []


def test_the_copy_fits_before_it_is_broken(data: Path) -> None:
    assert sources.faults(data) == []


@pytest.mark.parametrize(
    ("change", "at", "says"),
    [
        (lambda t: t.replace("    title:", "    titel:"), "titel:", "'titel' is not known here. Remove it"),
        (lambda t: re.sub(r"    owner: .*\n", "", t), "metadata:", "'owner' is missing. Add it"),
        (lambda t: re.sub(r"mode: \w", "mode: Z", t), "mode:", "'mode' must be A (answer)"),
        (lambda t: re.sub(r"mode: \w", "mode: E", t), "metadata:", "add the category"),
        (lambda t: re.sub(r"mode: (\w)", r"mode: \1\n    category: R21", t), "category:", "R01 to R20"),
        (lambda t: re.sub(r"review_by: .*", 'review_by: "2020-01-01"', t), "metadata:", "after last_checked"),
        (lambda t: re.sub(r"last_checked: .*", "last_checked: soon", t), "last_checked:", "a day in quotes"),
        (lambda t: re.sub(r"source: .*", "source: [3]", t), "source:", "'source' must be a list"),
        (lambda t: t.replace('version: "3.1"', "version: 3.1"), "version:", "Rasa's format"),
        (lambda t: t.replace("faq/parking", "faq/parkin"), "- intent:", "Rename one of them"),
        (lambda t: t.replace("faq/parking", "faq/Parking!"), "- intent:", "'intent' must be faq/"),
        (lambda t: t.replace("    mode:", "    title: again\n    mode:"), "title: again", "stands twice"),
        (lambda t: t.replace("nlu:\n", "nlu: [\n"), "", "not valid YAML. Mend that line"),
        (lambda t: t[: t.index("    - ") + 40].rsplit("\n", 1)[0] + "\n    - one\n", "examples:", "too few"),
        (lambda t: t.rstrip() + "\n    no dash\n", "no dash", "must begin with '- '"),
    ],
)  # fmt: skip
def test_a_fault_names_file_and_line_and_what_to_do(data: Path, change: Edit, at: str, says: str) -> None:
    path = data / "faq" / f"{FAQ}.yml"
    edit(path, change)
    found = sources.faults(data)
    fault = next((fault for fault in found if says in fault), str(found))
    named = re.match(rf"faq/{FAQ}\.yml, line (\d+): .+\.$", fault)
    assert named is not None, found
    if at:
        assert int(named[1]) == line_of(path, at)


def test_an_example_that_stands_twice_is_found_in_whatever_file(data: Path) -> None:
    example = re.findall(r"^    - (.+)$", (data / "faq/noise.yml").read_text("utf-8"), re.MULTILINE)[0]
    edit(data / "nlu/out_of_scope.yml", lambda t: t.rstrip() + f"\n    - {example.upper()}\n")
    (fault,) = sources.faults(data)
    last = len((data / "nlu/out_of_scope.yml").read_text("utf-8").splitlines())
    assert fault.startswith(f"nlu/out_of_scope.yml, line {last}: this example stands in faq/noise.yml, line ")


def test_what_is_about_an_answer_may_carry_a_risk_too(data: Path) -> None:
    example = re.findall(r"^    - (.+)$", (data / "faq/noise.yml").read_text("utf-8"), re.MULTILINE)[0]
    edit(data / "nlu/risk_R01.yml", lambda t: t.rstrip() + f"\n    - {example}\n")
    assert sources.faults(data) == []


def test_a_risk_has_a_grade_that_exists(data: Path) -> None:
    path = data / "nlu/risk_R01.yml"
    edit(path, lambda t: t.replace("grade: P1", "grade: P5"))
    (fault,) = sources.faults(data)
    assert fault == f"nlu/risk_R01.yml, line {line_of(path, 'metadata:')}: 'grade' must be P1, P2, P3 or P4."


def test_an_answer_that_cannot_be_read_stops_the_start_with_its_line(data: Path) -> None:
    edit(data / "faq" / f"{FAQ}.yml", lambda t: re.sub(r"mode: \w", "mode: Z", t))
    at = line_of(data / "faq" / f"{FAQ}.yml", "mode:")
    with pytest.raises(ContentError, match=rf"faq/parking\.yml, line {at}: 'mode' must be A"):
        content_from_files(ROOT / "force" / "northumbria", data)


@pytest.mark.parametrize(
    ("change", "at", "says"),
    [
        (lambda t: t.replace("understanding_threshold: ", "understanding_threshold: 2"),
         "understanding_threshold:", "between 0 and 1"),
        (lambda t: t.replace("- priority: P1\n  match:", "- match:", 1), "- match:", "must be P1, P2, P3 or P4"),
        (lambda t: t.replace("team:", "taem:", 1), "taem:", "unknown key 'taem': remove it, or write one of"),
        (lambda t: t.replace("near_misses:\n", "near_misses: none\nphrases_:\n", 1), "phrases_:", "unknown key"),
    ],
)  # fmt: skip
def test_a_fault_of_the_screens_files_names_its_line(
    tmp_path: Path, change: Edit, at: str, says: str
) -> None:
    shutil.copytree(ROOT / "data" / "risk", tmp_path / "risk")
    path = tmp_path / "risk" / "R01.yml"
    edit(path, change)
    with pytest.raises(ContentError, match=rf"R01\.yml, line {line_of(path, at)}: ") as caught:
        Screen.load(tmp_path / "risk")
    assert says in str(caught.value)


async def test_the_command_lists_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = load_settings()
    assert await check._check(settings, argparse.Namespace()) == 0
    assert "as they must be" in capsys.readouterr().out
    shutil.copytree(ROOT / "data", tmp_path / "data")
    edit(tmp_path / "data/faq/noise.yml", lambda t: re.sub(r"mode: \w", "mode: Z", t))
    broken = settings.model_copy(update={"data": tmp_path / "data"})
    assert await check._check(broken, argparse.Namespace()) == 1
    assert re.search(
        r"faq/noise\.yml, line \d+: 'mode' must be .*\n1 thing is wrong", capsys.readouterr().out
    )
