"""Every shipped answer and sentence renders, is plain, and no key is missing."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from bot.assistant import Content, content_from_files
from bot.assistant.content import content_from_items
from bot.assurance.readiness import missing_findings
from bot.errors import ContentError
from bot.safety.guard import Guard, Lists
from bot.settings import ROOT

FORCE = ROOT / "force" / "northumbria"
DATA = ROOT / "data"
KEY_IN_CODE = re.compile(r"(?:\.line\(|_say\(row, |_say\(back, |quiet_reason=)\"([a-z_0-9]+)\"")
NEGATIVES = re.compile(r"\b\w+n't\b", re.IGNORECASE)
MOST_WORDS = 25


@pytest.fixture(scope="module")
def content() -> Content:
    return content_from_files(FORCE, DATA)


def sentences(text: str) -> list[str]:
    """The sentences of a text; a full stop inside an address does not end one."""
    return [s for s in re.split(r"(?<=[.!?:])\s+|\n+", text) if s.strip()]


def test_every_answer_renders_with_contacts_that_exist(content: Content) -> None:
    assert len(content.faqs) >= 40
    for slug in content.faqs:
        text = content.answer(slug)
        assert text
        assert not re.search(r"\[[A-Z]", text), slug


def test_what_could_not_be_shown_is_found(content: Content) -> None:
    assert content.faults() == []
    contacts = {key: body for key, body in content.contacts.items() if key != "METRO"}
    without = dataclasses.replace(content, contacts=contacts)
    assert "The answer 'lost-property': No contact METRO in the register." in without.faults()
    assert without.answer("lost-property") is None
    routes = {**content.teams["routes"], "R01": {"default": "nobody"}}
    astray = dataclasses.replace(content, teams={**content.teams, "routes": routes})
    assert astray.faults() == ["teams.yml (R01, default): no team nobody."]


def test_a_contact_that_the_page_shows_keeps_its_key(content: Content) -> None:
    for missing in ("EMERG", "P101"):
        contacts = {(f"{key}X" if key == missing else key): body for key, body in content.contacts.items()}
        faults = dataclasses.replace(content, contacts=contacts).faults()
        assert any(f"{missing} is missing" in fault for fault in faults)


def test_a_contact_that_the_page_can_do_without_keeps_nobody_from_publishing(content: Content) -> None:
    """A force whose contacts.yml is from before the page showed it: `ready` says so."""
    kept = {key: body for key, body in content.contacts.items() if key != "RELAY101"}
    faults = dataclasses.replace(content, contacts=kept).faults()
    assert not any("is missing" in fault for fault in faults)
    (found,) = missing_findings(dataclasses.replace(content, contacts=kept))
    assert (found.key, found.blocks) == ("contacts.missing", True)
    assert "RELAY101" in found.what
    assert list(missing_findings(content)) == []


def test_places_of_the_force_name_no_person(content: Content) -> None:
    force = {**content.force, "counties": ["Westshire"], "council_areas": ["Saltmarsh"]}
    theirs = dataclasses.replace(content, force=force)
    lists, said = Lists.load(DATA / "plain"), "Was your bike stolen in Saltmarsh?"
    guard = Guard(lists, theirs.contacts, names=theirs.own_names)
    assert not guard.find(said)
    assert guard.find("Mr Saltmarsh stole your bike."), "a place may be a surname too"
    assert Guard(lists, content.contacts, names=content.own_names).find(said)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("Borderland Police web desk", "Web desk"),
        ("The Borderland desk", "The Borderland desk"),
        ("Borderland Police", "Desk"),
    ],
)
def test_the_desk_is_called_what_the_force_calls_it(content: Content, name: str, word: str) -> None:
    force = {**content.force, "name": "Borderland Police", "desk_name": name}
    assert dataclasses.replace(content, force=force).desk_word == word


def test_an_unknown_contact_is_a_clear_error(content: Content) -> None:
    with pytest.raises(ContentError, match="NOSUCH"):
        content.render("Call [NOSUCH].")


def test_an_answer_names_the_force_by_its_own_name(content: Content) -> None:
    theirs = dataclasses.replace(content, force={**content.force, "name": "Borderland Police"})
    assert "an automated assistant for Borderland Police." in (theirs.answer("bot-what-are-you") or "")


def test_every_sentence_of_the_wording_renders(content: Content) -> None:
    for key in content.lines:
        assert content.line(key, reference="FC-12345678").strip(), key


def test_every_sentence_that_the_code_names_exists(content: Content) -> None:
    named = {
        key
        for path in [*(ROOT / "bot").rglob("*.py"), *(ROOT / "actions").rglob("*.py")]
        for key in KEY_IN_CODE.findall(path.read_text("utf-8"))
    }
    assert len(named) > 15
    assert not named - set(content.lines)


@pytest.mark.parametrize("kind", ["answers", "lines"])
def test_sentences_are_short_and_without_negative_contractions(content: Content, kind: str) -> None:
    texts = (
        {slug: content.answer(slug) or "" for slug in content.faqs}
        if kind == "answers"
        else {key: content.line(key, reference="FC-12345678") for key in content.lines}
    )
    for key, text in texts.items():
        for sentence in sentences(text):
            assert len(sentence.split()) <= MOST_WORDS, (key, sentence)
        assert not NEGATIVES.search(text), key


def test_no_number_of_the_register_is_typed_in_an_answer(content: Content) -> None:
    numbers = {
        re.sub(r"\D", "", str(contact.get("tel") or "")): key for key, contact in content.contacts.items()
    }
    long_numbers = {number for number in numbers if len(number) >= 5}
    for slug, faq in content.faqs.items():
        typed = {re.sub(r"\D", "", found) for found in re.findall(r"\d[\d ]{4,}\d", faq.answer)}
        assert not typed & long_numbers, slug


def test_every_faq_file_has_varied_examples() -> None:
    seen: dict[str, str] = {}
    for path in sorted((DATA / "faq").glob("*.yml")):
        loaded = yaml.safe_load(path.read_text("utf-8"))
        for item in loaded["nlu"]:
            examples = [line[2:].strip() for line in item["examples"].splitlines() if line.strip()]
            assert len(examples) >= 12, path.name
            for example in examples:
                plain = example.casefold()
                assert plain not in seen, (path.name, seen.get(plain), example)
                seen[plain] = path.name


def test_a_release_holds_exactly_what_the_files_hold(content: Content) -> None:
    again = content_from_items(content.items())
    assert again.sha256 == content.sha256
    assert again.answer("contact-999-or-101") == content.answer("contact-999-or-101")


def test_a_broken_file_names_the_line(tmp_path: Path) -> None:
    for path in FORCE.glob("*.yml"):
        (tmp_path / path.name).write_text(path.read_text("utf-8"), "utf-8")
    (tmp_path / "wording.yml").write_text("a: b\nc: [d\n", "utf-8")
    with pytest.raises(ContentError, match=r"wording\.yml, line \d"):
        content_from_files(tmp_path, DATA)


def test_a_force_that_does_not_exist_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="FRONTCOUNTER_FORCE"):
        content_from_files(tmp_path / "nowhere", DATA)
