"""Export and import: what is live goes into files and comes back the same, whatever it says."""

from __future__ import annotations

import errno
import os
import random
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.assistant import Content, content_from_files
from bot.assistant.content import content_from_items, faq_from
from bot.errors import ContentError
from bot.knowledge import files, form
from bot.knowledge.files import ExportError, export, faq_file
from bot.knowledge.releases import publish
from bot.messages import Actor
from bot.settings import ROOT
from bot.store import Store
from tests.support.odd import LINES, PARTS, odd_body
from tests.support.world import read_content

FORCE, DATA = ROOT / "force" / "northumbria", ROOT / "data"
NOT_THERE = Path("not", "there.yml")
STARTS = ("rules:", "stories:", "nlu:", "responses:")

pieces = st.sampled_from([*PARTS, *LINES, " "]).filter(lambda part: len(part) < 100)
texts = st.one_of(
    st.lists(pieces, max_size=8).map("".join), st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
)
values = st.recursive(
    st.one_of(texts, st.booleans(), st.integers(-999, 999), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)


def shipped() -> Content:
    return read_content(FORCE, DATA)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def read(folder: Path) -> Content:
    return content_from_files(folder / "force" / "northumbria", folder / "data")


def again(folder: Path, into: Path) -> None:
    """Export what a folder holds, as a gateway does that runs with that folder."""
    export(read(folder), folder / "force" / "northumbria", folder / "data", into)


def edited(**bodies: dict[str, Any]) -> Content:
    """The shipped content with rows put in place of its own: kind__key=body."""
    rows = {(kind, key): body for kind, key, body in shipped().items()}
    for name, body in bodies.items():
        kind, _, key = name.partition("__")
        rows[kind, key] = body
    return content_from_items([(kind, key, body) for (kind, key), body in rows.items()])


# ---- one form --------------------------------------------------------------------------------


@pytest.mark.unit
@given(value=st.dictionaries(texts, values, max_size=5))
def test_whatever_is_written_reads_the_same_and_is_written_the_same_again(value: dict[str, Any]) -> None:
    text = form.written(value)
    assert form.same(yaml.safe_load(text), value)
    assert form.written(yaml.safe_load(text)) == text


@pytest.mark.unit
@given(old=st.dictionaries(texts, values, max_size=5), new=st.dictionaries(texts, values, max_size=5))
def test_a_file_that_is_there_takes_any_value(old: dict[str, Any], new: dict[str, Any]) -> None:
    before = f"# About this file\n{form.written(old)}"
    text = form.rewritten(before, {**old, **new})
    assert form.same(yaml.safe_load(text), {**old, **new})


@pytest.mark.unit
def test_every_shipped_answer_stands_in_the_fixed_form() -> None:
    """So a comparison of an export with the files shows what staff changed and nothing else."""
    for slug, faq in shipped().faqs.items():
        assert faq_file(faq, NOT_THERE) == (DATA / "faq" / f"{slug}.yml").read_bytes(), slug


@pytest.mark.unit
@pytest.mark.parametrize("name", ["contacts", "cards", "hours", "force", "teams", "outcomes", "replies"])
def test_one_change_in_a_file_of_the_force_leaves_its_comments_and_all_else(name: str) -> None:
    source = (FORCE / f"{name}.yml").read_text("utf-8")
    for key in yaml.safe_load(source):
        value = yaml.safe_load(source)
        value[key] = {"new": value[key]}
        text = form.rewritten(source, value)
        assert yaml.safe_load(text) == form.plain(value)
        mine = range(source.index(f"\n{key}:") + 1, len(source))
        after = re.search(r"\n(?=[^\s-])", source[mine.start :])
        rest = "" if after is None else source[mine.start + after.end() :]
        assert text.startswith(source[: mine.start]), key
        assert text.endswith(rest), key


@pytest.mark.unit
def test_what_differs_deep_in_a_file_is_all_that_is_written_anew() -> None:
    source = (
        "# Top\n"
        "teams:\n"
        "  one:          # first\n"
        "    name: One   # shown to staff\n"
        "    grades: [P1, P2]\n"
        "\n"
        "  # The second team\n"
        "  two: {name: Two}\n"
        "days:\n"
        "- day: Monday\n"
        "  opens: 8      # proposed\n"
        "- day: Tuesday\n"
        "text: |\n"
        "  Old.\n"
        "\n"
        "# Last\n"
        "gone: 1\n"
    )
    value = yaml.safe_load(source)
    value["teams"]["one"] |= {"name": "Uno, due", "added": True}
    value["days"][0]["opens"] = 9
    value["text"] = "New.\nOf two lines.\n"
    value["end"] = "here"
    del value["gone"]
    assert form.rewritten(source, value) == (
        "# Top\n"
        "teams:\n"
        "  one:          # first\n"
        "    name: Uno, due   # shown to staff\n"
        "    grades: [P1, P2]\n"
        "    added: true\n"
        "\n"
        "  # The second team\n"
        "  two: {name: Two}\n"
        "days:\n"
        "- day: Monday\n"
        "  opens: 9      # proposed\n"
        "- day: Tuesday\n"
        "text: |\n"
        "  New.\n"
        "  Of two lines.\n"
        "\n"
        "# Last\n"
        "end: here\n"
    )


# ---- answers ------------------------------------------------------------------------------------


@pytest.mark.unit
@settings(max_examples=200)
@given(seed=st.integers(0, 10**9))
def test_an_answer_of_anything_reads_the_same_and_is_stable(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    faq = faq_from("odd", odd_body(random.Random(seed)))
    path = folder / "odd.yml"
    path.write_bytes(faq_file(faq, path))
    text = path.read_text("utf-8")
    (item,) = yaml.safe_load(text)["nlu"]
    assert item["intent"] == "faq/odd"
    assert files._faq_in(path, "odd") == faq
    assert faq_file(faq, path) == path.read_bytes()
    lines = [line for line in text.splitlines() if line.lstrip().startswith(STARTS)]
    assert lines == ["nlu:"]
    # What Rasa does first to a file that is all ASCII.
    assert not text.isascii() or text.encode().decode("raw_unicode_escape") == text


@pytest.mark.unit
def test_a_file_that_rasa_would_take_for_stories_is_written_anew(tmp_path: Path) -> None:
    faq = faq_from("odd", {**shipped().faqs["noise"].body, "answer": "One line.\nrules: keep quiet at night"})
    path = tmp_path / "odd.yml"
    path.write_bytes(faq_file(faq, path))
    text = path.read_text("utf-8")
    block = text.replace(
        r'"One line.\nrules: keep quiet at night"', "|\n      One line.\n      rules: keep quiet at night"
    )
    assert block != text
    path.write_text(block, "utf-8")
    assert files._faq_in(path, "odd") == faq
    assert faq_file(faq, path).decode() == text


@pytest.mark.unit
def test_a_comment_in_an_answers_file_stays_when_staff_change_its_words(tmp_path: Path) -> None:
    source = (DATA / "faq" / "noise.yml").read_text("utf-8")
    path = tmp_path / "noise.yml"
    path.write_text(source.replace("    owner:", "    # Ask the council first\n    owner:"), "utf-8")
    faq = shipped().faqs["noise"]
    text = faq_file(replace(faq, answer="Other words."), path).decode()
    assert "    # Ask the council first\n" in text
    assert "    answer: |\n      Other words.\n" in text
    assert len(set(text.splitlines()) - set(source.splitlines())) == 2


@pytest.mark.unit
def test_an_answer_whose_name_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    content = edited(**{"faq__../../x": {"title": "x", "answer": "x"}})
    with pytest.raises(ContentError, match="cannot be written"):
        export(content, FORCE, DATA, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


# ---- folders --------------------------------------------------------------------------------------


@pytest.mark.unit
def test_the_shipped_content_is_exported_as_it_stands_and_comes_back(tmp_path: Path) -> None:
    done = export(shipped(), FORCE, DATA, tmp_path / "a")
    assert done == files.Written(len(shipped().faqs), len(tree(FORCE)), (), (), ())
    assert tree(tmp_path / "a" / "force" / "northumbria") == tree(FORCE)
    assert tree(tmp_path / "a" / "data" / "faq") == tree(DATA / "faq")
    assert read(tmp_path / "a") == shipped()
    again(tmp_path / "a", tmp_path / "b")
    assert tree(tmp_path / "b") == tree(tmp_path / "a")


@pytest.mark.unit
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_export_import_export_gives_the_same_bytes(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("trip")
    some = data.draw(st.lists(texts, min_size=8, max_size=8))
    contacts = shipped().contacts
    content = edited(
        faq__noise=odd_body(random.Random(some[0])),
        faq__new=odd_body(random.Random(some[1])),
        line__greeting={"text": some[2]},
        line__new_line={"text": some[3]},
        contact__P101={"body": {**contacts["P101"], "notes": some[4], "parts": {some[5]: some[6]}}},
        contact__NEW={"body": {"say": some[7], "name": some[2]}},
        cards__cards={"body": {**shipped().cards, "R01": {"do": some[:3], "call": [some[3]]}}},
        hours__hours={"body": {**shipped().hours, "said": some[5]}},
        labels__labels={"body": {"labels": some[6:]}},
    )
    done = export(content, FORCE, DATA, folder / "a")
    assert done.answers == len(content.faqs)
    assert read(folder / "a") == content
    again(folder / "a", folder / "b")
    assert tree(folder / "b") == tree(folder / "a")
    # And without any file of before to go by.
    for path in (folder / "a").rglob("*.yml"):
        if path.stem in (*(slug for slug in content.faqs), "wording"):
            path.unlink()
    own = folder / "a" / "force" / "northumbria"
    export(content, own, folder / "a" / "data", folder / "c")
    assert read(folder / "c") == content


@pytest.mark.unit
def test_phrases_that_a_release_of_before_does_not_hold_are_the_files(tmp_path: Path) -> None:
    body = {key: value for key, value in shipped().faqs["noise"].body.items() if key != "examples"}
    export(edited(faq__noise={**body, "answer": "New."}), FORCE, DATA, tmp_path / "a")
    assert read(tmp_path / "a").faqs["noise"].body == shipped().faqs["noise"].body
    assert read(tmp_path / "a").faqs["noise"].answer == "New."


@pytest.mark.unit
def test_a_folder_in_use_is_left_alone_unless_it_may_be_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "data" / "faq").mkdir(parents=True)
    for path in ("mine.txt", "data/nlu.yml", "data/faq/gone.yml", "data/faq/README", "force.md"):
        (out / path).write_text("mine", "utf-8")
    before = tree(out)
    with pytest.raises(ExportError, match=r"is not empty.*--replace"):
        export(shipped(), FORCE, DATA, out)
    assert tree(out) == before
    export(shipped(), FORCE, DATA, out, replace=True)
    after = tree(out)
    assert {path for path in before if path in after} == {*before} - {"data/faq/gone.yml"}
    assert all(after[path] == b"mine" for path in before if path in after)
    assert read(out) == shipped()


@pytest.mark.unit
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("at", [1, 40, 140])
@pytest.mark.parametrize("there", ["no folder", "an empty folder", "an export"])
def test_a_disk_that_fails_leaves_the_folder_as_it_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, at: int, there: str
) -> None:
    out = tmp_path / "out"
    if there != "no folder":
        out.mkdir()
    if there == "an export":
        export(shipped(), FORCE, DATA, out)
    before = tree(tmp_path)
    calls = 0

    def failing(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(ExportError) as said:
        export(edited(line__greeting={"text": "New."}), FORCE, DATA, out, replace=True)
    words = {errno.ENOSPC: "The disk is full", errno.EACCES: "may not write", errno.EIO: "cannot be written"}
    assert words[number] in str(said.value)
    assert tree(tmp_path) == before
    assert out.exists() == (there != "no folder")
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if out.exists() else [])


@pytest.mark.unit
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_change_of_folders_that_fails_is_undone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, at: int
) -> None:
    out = tmp_path / "out"
    export(shipped(), FORCE, DATA, out)
    before = tree(tmp_path)
    rename, calls = Path.rename, 0

    def failing(path: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == at:
            raise PermissionError(errno.EPERM, "no")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(ExportError, match="may not write"):
        export(edited(line__greeting={"text": "New."}), FORCE, DATA, out, replace=True)
    assert tree(tmp_path) == before


# ---- the command ----------------------------------------------------------------------------------


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, database_url: str) -> str:
    """The command goes to the test's own database."""
    monkeypatch.setenv("FRONTCOUNTER_DATABASE_URL", database_url)
    return database_url


async def _publish(url: str, content: Content) -> None:
    store = Store(url)
    try:
        await publish(store, content, Actor("Comms"))
    finally:
        await store.close()


def run(*arguments: str) -> int:
    """The command, in a process of its own; what it says is passed on."""
    done = subprocess.run(
        [sys.executable, "-m", "bot.cli", "export", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done.returncode


def with_loop(work: Any) -> None:
    import asyncio

    asyncio.run(work)


@pytest.mark.integration
def test_the_command_writes_what_is_live_and_importing_it_changes_nothing(
    told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = edited(
        line__greeting={"text": "Rules: none.\nrules: #1 'quoted' 😀"},
        faq__noise={**shipped().faqs["noise"].body, "answer": "nlu:\n  - {{ x }} \u200f"},
    )
    with_loop(_publish(told, live))
    assert run(str(tmp_path / "a")) == 0
    assert read(tmp_path / "a") == live
    said = capsys.readouterr().out
    assert "132 answers and 16 files of the force: release 2, which is live." in said
    assert "Not as in the files here: data/faq/noise.yml, force/northumbria/wording.yml." in said

    with_loop(_publish(told, read(tmp_path / "a")))
    monkeypatch.setenv("FRONTCOUNTER_FORCE", str(tmp_path / "a" / "force" / "northumbria"))
    monkeypatch.setenv("FRONTCOUNTER_DATA", str(tmp_path / "a" / "data"))
    assert run(str(tmp_path / "b")) == 0
    assert tree(tmp_path / "b") == tree(tmp_path / "a")


@pytest.mark.integration
def test_without_a_release_the_command_writes_the_files_and_makes_no_database(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = tmp_path / "var" / "none.db"
    monkeypatch.setenv("FRONTCOUNTER_DATABASE_URL", f"sqlite+aiosqlite:///{database}")
    assert run(str(tmp_path / "a")) == 0
    assert "the database holds no release yet" in capsys.readouterr().out
    assert read(tmp_path / "a") == shipped()
    assert not database.parent.exists()


@pytest.mark.integration
def test_a_slip_is_told_in_a_sentence_and_exit_code_2(
    told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "x").touch()
    (tmp_path / "file").touch()
    for folder, words in (
        ("used", "is not empty"),
        ("file", "is a file"),
        ("not/there", "is not there. Make it first."),
        ("file/x", "is not there. Make it first."),
    ):
        assert run(str(tmp_path / folder)) == 2, folder
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("Nothing was written.")
        assert words in said.err
        assert said.err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "used"]


@pytest.mark.integration
def test_a_database_that_is_away_is_no_reason_to_write_old_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FRONTCOUNTER_DATABASE_URL", "postgresql+asyncpg://nobody@127.0.0.1:1/none")
    assert run(str(tmp_path / "a")) == 2
    assert capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.integration
@pytest.mark.skipif(os.geteuid() == 0 or sys.platform == "win32", reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_told(told: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        assert run(str(tmp_path / "a")) == 2
    finally:
        tmp_path.chmod(0o700)
