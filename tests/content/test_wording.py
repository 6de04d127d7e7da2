"""The words are plain, tell nothing that must not be told, and numbers stand in the register only."""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path

import pytest
import yaml

from bot.assistant import Content, content_from_files
from bot.commands import check as check_command
from bot.errors import ContentError
from bot.knowledge.plain import Habit, Plain, sentences
from bot.knowledge.wording import Finding, check, texts_of
from bot.settings import ROOT, load_settings

FORCE = ROOT / "force" / "northumbria"
DATA = ROOT / "data"
PLAIN = Plain.load(DATA / "plain")
NEVER = [*PLAIN.habits, *PLAIN.disclosure]

pytestmark = pytest.mark.unit


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A copy of the shipped content that a test may spoil."""
    shutil.copytree(FORCE, tmp_path / "force" / "northumbria")
    shutil.copytree(DATA / "plain", tmp_path / "data" / "plain")
    shutil.copytree(DATA / "risk", tmp_path / "data" / "risk")
    (tmp_path / "data" / "faq").mkdir()
    for slug in ("noise", "asb-report", "crime-reference"):
        shutil.copy(DATA / "faq" / f"{slug}.yml", tmp_path / "data" / "faq")
    return tmp_path


def found(files: Path) -> list[Finding]:
    return check(files / "force" / "northumbria", files / "data")


def spoil(path: Path, old: str, new: str) -> int:
    """Replace the first of these words. Returns the line where they stood."""
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    return text[: text.index(old)].count("\n") + 1


def test_nothing_that_ships_has_to_be_mended() -> None:
    assert [str(finding) for finding in check(FORCE, DATA)] == []


def test_every_text_of_every_file_is_read(files: Path) -> None:
    content = content_from_files(FORCE, DATA)
    texts = list(texts_of(FORCE, DATA))
    assert {text.key.partition(" ")[0] for text in texts if text.kind == "answer"} == set(content.faqs)
    assert {text.key for text in texts if text.kind == "sentence"} == {*content.lines, "public_line"}
    assert {text.key.split(",")[0] for text in texts if text.kind == "card"} == set(content.cards)
    assert {text.file for text in texts if text.kind == "risk"} == {
        f"data/risk/R{number:02}.yml" for number in range(1, 21)
    }
    assert {text.key.split(":")[0] for text in texts if text.kind == "page"} > {"privacy", "accessibility"}


@pytest.mark.parametrize(
    ("words", "check", "better"),
    [
        ("Call 0191 221 9800.", "typed contact", "Write [OPCC]"),
        ("Call 01912219800.", "typed contact", "Write [OPCC]"),
        ("Call 0191-221-9800.", "typed contact", None),
        ("Call +44 191 221 9800.", "typed contact", "Write [OPCC]"),
        ("Call 0800555111.", "typed contact", "Write [CRIMESTOP]"),
        ("Call 0 8 0 0 555 111.", "typed contact", "Write [CRIMESTOP]"),
        ("Dial 999 now.", "typed contact", "Write [EMERG]"),
        ("Go to WWW.Northumbria.police.uk.", "typed contact", "Write [NPWEB]"),
        ("Mail complaint.services@northumbria.police.uk.", "typed contact", "Write [PSD]"),
        ("Call 0191 000 0000.", "typed contact", "contacts.yml"),
        ("See noise.example.org.", "typed contact", "contacts.yml"),
        ("Call [NOSUCH].", "contact key", "contacts.yml"),
        ("Call [COUNCIL.phone].", "contact key", "It has: web, newcastle."),
        ("Call [council].", "contact key", "[KEY]"),
        ("Call [RSPCA].", "contact list", "Add RSPCA"),
        ("Noise should be reported to the council.", "passive", "Report it online"),
        ("We will be with you in ten minutes.", "promise", "Say what people do"),
        ("An officer will come.", "promise", "Say what people do"),
        ("You should have told us.", "blame", "what helps now"),
        ("We can't help.", "contraction", "not"),
        ("The complainant is safe.", "jargon", "the person who reported it"),
        ("Officers are searching Byker now.", "D1", "published"),
        ("one two " * 13 + "end.", "sentence", "two sentences"),
        (
            "Environmental organisations investigate considerable disturbances immediately. " * 8,
            "reading age", "environmental",
        ),
    ],
)  # fmt: skip
def test_an_error_names_file_line_and_the_better_word(
    files: Path, words: str, check: str, better: str | None
) -> None:
    line = spoil(files / "data/faq/noise.yml", "Your council deals with noise.", words)
    wrong = [finding for finding in found(files) if finding.check == check]
    assert wrong
    assert {finding.file for finding in wrong} == {"data/faq/noise.yml"}
    assert wrong[0].line == line
    assert better is None or better in wrong[0].better
    assert f"data/faq/noise.yml, line {line} (noise): " in str(wrong[0])


def test_an_offer_a_contact_and_a_sentence_that_are_missing(files: Path) -> None:
    spoil(files / "data/faq/asb-report.yml", "Would you like a person to help?", "Bye.")
    spoil(files / "data/faq/noise.yml", "contacts: [", "contacts: [NH, ")
    line = spoil(files / "force/northumbria/wording.yml", "What do you need help with?", "State your demand.")
    wrong = {(finding.file, finding.check) for finding in found(files)}
    assert wrong == {
        ("data/faq/asb-report.yml", "offer"),
        ("data/faq/noise.yml", "contact list"),
        ("force/northumbria/wording.yml", "jargon"),
    }
    assert line in {finding.line for finding in found(files)}


def test_a_number_of_danger_that_differs_from_the_register_is_found(files: Path) -> None:
    """Words of danger hold their numbers, since they go out while no register can be read."""
    spoil(files / "data/risk/R05.yml", "0800 1111", "0800 1112")
    (wrong,) = found(files)
    assert (wrong.file, wrong.check) == ("data/risk/R05.yml", "typed contact")


def test_a_changed_number_shows_where_the_old_one_is_still_written(files: Path) -> None:
    path = files / "force/northumbria/contacts.yml"
    path.write_text(
        path.read_text("utf-8").replace("116 123", "116 124").replace("116123", "116124"), "utf-8"
    )
    assert {finding.file for finding in found(files)} == {"data/risk/R02.yml"}


def test_a_card_may_hold_a_grade_and_an_answer_may_not(files: Path) -> None:
    spoil(files / "data/faq/noise.yml", "Your council deals with noise.", "This is a P1.")
    assert {(finding.file, finding.check) for finding in found(files)} >= {("data/faq/noise.yml", "D16")}
    assert not [finding for finding in found(files) if finding.file.endswith("cards.yml")]


def test_a_broken_list_is_a_clear_error(files: Path) -> None:
    spoil(files / "data/plain/habits.yml", "limits:", "limit:")
    with pytest.raises(ContentError, match="limits"):
        found(files)


async def test_the_command_prints_every_finding(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = {"force": files / "force" / "northumbria", "data": files / "data"}
    settings = load_settings().model_copy(update=own)
    line = spoil(files / "data/faq/noise.yml", "Your council deals with noise.", "Dial 999.")
    assert await check_command._check(settings, argparse.Namespace()) == 1
    assert f"data/faq/noise.yml, line {line} (noise)" in capsys.readouterr().out


# ---- the lists --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("habit", "example"), [(h, e) for h in NEVER for e in h.wrong], ids=lambda v: getattr(v, "id", v)
)
def test_what_is_wrong_is_found(habit: Habit, example: str) -> None:
    assert any(habit.find(sentence) for _, sentence in sentences(example))


@pytest.mark.parametrize("example", [e for h in NEVER for e in h.right])
def test_what_is_right_is_not_found(example: str) -> None:
    assert not [habit.id for habit in NEVER for _, one in sentences(example) if habit.find(one)]


def test_there_is_a_pattern_for_each_of_the_sixteen_rules() -> None:
    assert [rule.id for rule in PLAIN.disclosure] == [f"D{number}" for number in range(1, 17)]
    for habit in NEVER:
        assert len(habit.wrong) >= 2
        assert len(habit.right) >= 2


def test_the_list_of_jargon_has_114_pairs_and_each_word_is_found() -> None:
    entries = yaml.safe_load((DATA / "plain" / "jargon.yml").read_text("utf-8"))["words"]
    assert len(entries) == 114
    for entry in entries:
        for word in entry["avoid"]:
            (fault, *_) = PLAIN.faults(f"It was {word} today.")
            assert entry["say"] in " ".join(f.better for f in PLAIN.faults(f"It was {word} today.")), fault


def test_a_word_may_stand_where_it_is_explained_or_is_part_of_a_name() -> None:
    assert not list(PLAIN.jargon_in("Ask a police community support officer (PCSO)."))
    assert not list(PLAIN.jargon_in("Call the National Domestic Abuse Helpline."))
    assert list(PLAIN.jargon_in("Ask a PCSO."))
    assert not list(PLAIN.jargon_in("Call [PSD]."))
    assert [fault.at for fault in PLAIN.jargon_in("Ask the aa or the AA.")] == [18]


def test_the_reading_age_is_that_of_the_formula() -> None:
    """4.71 letters a word + 0.5 words a sentence - 21.43, and five years."""
    text = "We saw the cat. " * 10
    assert PLAIN.age(text) == pytest.approx(4.71 * 3 - 0.25 * 4.71 + 0.5 * 4 - 21.43 + 5, abs=0.01)
    assert PLAIN.age("Short.") is None
    # A name, a number, an address and a contact count alike.
    one = PLAIN.age("Ask name now. " * 12)
    for words in ("Crimestoppers", "0800 555 111", "northumbria.police.uk", "[CRIMESTOP.web]", "{desk}"):
        assert PLAIN.age(f"Ask {words} now. " * 12) == one, words


def test_every_reading_age_is_nine_at_most() -> None:
    ages = {text.key: PLAIN.age(text.body) for text in texts_of(FORCE, DATA) if text.kind == "answer"}
    known = {key: age for key, age in ages.items() if age is not None}
    assert len(known) > 120
    assert max(known.values()) <= PLAIN.reading_age


# ---- the register -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def content() -> Content:
    return content_from_files(FORCE, DATA)


def test_every_contact_has_its_source_its_status_and_its_check(content: Content) -> None:
    assert len(content.contacts) >= 57
    for key, contact in content.contacts.items():
        assert contact["status"] in ("S", "B", "V"), key
        assert bool(contact["source"]) or contact["status"] in ("B", "V"), key
        assert contact["verify"] is True or contact["status"] != "V", key
        digits = re.sub(r"\D", "", str(contact.get("tel", "")))
        shown = re.sub(r"\D", "", f"{contact['say']} {contact.get('parts')}")
        assert digits in shown, key


def test_a_part_may_hold_a_digit(content: Content) -> None:
    assert content.render("[IWF.under_18]") == "Report Remove via Childline"
    assert "Report Remove via Childline" in (content.answer("image-abuse") or "")
