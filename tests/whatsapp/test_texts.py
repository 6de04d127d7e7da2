"""The force's approved texts: what may stand in the file, and what is said of a mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.channels.whatsapp.texts import FILE, faults, read_texts
from bot.errors import ContentError
from bot.messages import ApprovedText, Place, Template
from tests.whatsapp.serving import FORCE

pytestmark = pytest.mark.unit

GOOD: dict[str, Any] = {
    "title": "We have an answer", "name": "answer_waits", "language": "en_GB",
    "body": "Hello from {{desk}}. It is about {{what}}. Write to us.",
    "places": {"desk": "desk", "what": {"ask": "What it is about", "longest": 30}},
}  # fmt: skip


def write(folder: Path, **texts: Any) -> Path:
    """A force with these texts."""
    (folder / FILE).write_text(yaml.safe_dump({"texts": texts}, sort_keys=False), "utf-8")
    return folder


def test_the_shipped_texts_are_as_they_must_be() -> None:
    """And in words that the public can read."""
    assert faults(FORCE) == []
    texts = read_texts(FORCE)
    assert [text.key for text in texts] == ["answer_waits", "please_call"]
    assert all("999" in text.body for text in texts)


def test_a_force_may_have_none(tmp_path: Path) -> None:
    """No file, an empty one, or one without texts."""
    assert read_texts(tmp_path) == ()
    (tmp_path / FILE).write_text("# none yet\n", "utf-8")
    assert read_texts(tmp_path) == ()
    (tmp_path / FILE).write_text("texts:\n", "utf-8")
    assert read_texts(tmp_path) == ()


def test_places_are_filled_in_their_order_and_known(tmp_path: Path) -> None:
    """What staff typed is known by where it stands; a place in it is words."""
    (text,) = read_texts(write(tmp_path, one=GOOD))
    assert text.places == (Place("desk", "desk"), Place("what", "", "What it is about", 30))
    words, spans = text.filled({"desk": "the desk", "what": "your {{desk}}"})

    assert words == "Hello from the desk. It is about your {{desk}}. Write to us."
    assert [words[start:end] for start, end in spans] == ["your {{desk}}"]


def test_numbered_places_are_counted_as_meta_counts_them(tmp_path: Path) -> None:
    """From one, wherever they stand."""
    body = {**GOOD, "body": "About {{2}}, from {{1}}.", "places": {1: "desk", 2: "reference"}}
    (text,) = read_texts(write(tmp_path, one=body))
    assert text.filled({"1": "us", "2": "FC-1"})[0] == "About FC-1, from us."


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"title": ""}, "'title' must be"),
        ({"title": "x" * 61}, "'title' must be"),
        ({"name": "Answer Waits"}, "'name' must be"),
        ({"language": "english"}, "'language' must be"),
        ({"body": "  "}, "'body' must be"),
        ({"body": 5}, "'body' must be"),
        ({"body": "x" * 1025, "places": {}}, "1024 letters at most"),
        ({"extra": 1}, "'extra' is not known"),
        ({"body": "Hello {{ desk }} you.", "places": {}}, "without spaces"),
        (
            {"body": "Hello {{1}} and {{desk}} you.", "places": {1: "desk", "desk": "desk"}},
            "number all places",
        ),
        ({"body": "Hello {{2}} you.", "places": {2: "desk"}}, "number all places"),
        ({"body": "Hello {{Desk}} you.", "places": {"Desk": "desk"}}, "not 'Desk'"),
        ({"body": "{{desk}} says hello.", "places": {"desk": "desk"}}, "begins or ends with a place"),
        ({"places": {"desk": "desk"}}, "what fills {{what}}"),
        ({"places": {**GOOD["places"], "more": "desk"}}, "has no place {{more}}"),
        ({"places": {**GOOD["places"], "what": "everything"}}, "is filled by"),
        ({"places": {**GOOD["places"], "what": {"ask": ""}}}, "is filled by"),
        ({"places": {**GOOD["places"], "what": {"ask": "x", "longest": 0}}}, "is filled by"),
        ({"places": {**GOOD["places"], "what": {"ask": "x", "longest": True}}}, "is filled by"),
        ({"places": []}, ""),
        ({"places": ["x"]}, "one line for each place"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, change: dict[str, Any], part: str) -> None:
    """And what to do."""
    folder = write(tmp_path, one=GOOD, two={**GOOD, **change})
    found = faults(folder)

    assert found
    assert all("whatsapp.yml, line " in fault and ", two: " in fault for fault in found)
    assert any(part in fault for fault in found)
    with pytest.raises(ContentError, match=r"whatsapp\.yml"):
        read_texts(folder)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("texts: [", "not valid YAML"),
        ("- a\n- b\n", "write `texts:`"),
        ("templates: {}\n", "write `texts:`"),
        ("texts: [1]\n", "write `texts:`"),
        ("texts:\n  one: 5\n", "write title, name"),
        ("texts:\n  One: {}\n", "small letters"),
        ("5", "write `texts:`"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, words: str, part: str) -> None:
    """Whatever somebody wrote into it."""
    (tmp_path / FILE).write_text(words, "utf-8")
    assert any(part in fault for fault in faults(tmp_path))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Not as an error of the program's."""
    (tmp_path / FILE).write_bytes(b"texts:\n  \xff\xfe")
    assert "cannot be read" in faults(tmp_path)[0]


def test_a_template_is_kept_as_it_was() -> None:
    """In the row of the outbox."""
    template = Template("name", "en_GB", (("1", "us"), ("2", "FC-1")))
    assert Template.from_json(template.as_json()) == template
    assert ApprovedText("k", "t", "n", "en", "words").filled({}) == ("words", ())
