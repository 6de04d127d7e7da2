"""The statement, the notice and the page about the assistant: whole, plain, and there when all is down."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot.assistant import Content, LiveContent, content_from_files
from bot.assistant.content import content_from_items
from bot.channels.webchat.page import Pages
from bot.channels.webchat.pages import PATHS, Notices, load_notices
from bot.errors import ContentError
from bot.settings import ROOT
from tests.content.test_content import MOST_WORDS, NEGATIVES, sentences
from tests.webchat.serving import Served

FORCE = ROOT / "force" / "northumbria"
KNOWN = {"force": "Northumbria Police", "desk": "the desk", "hours": "8am to 10pm, every day",
         "site": "northumbria.police.uk", "cookie_days": 7}  # fmt: skip
READING_GRADE = 4.0
"""The Automated Readability Index, in school years. It counts letters, so it judges "police" and
"Information Commissioner" as hard words; a child of nine is in its third to fourth year (United States)."""


@pytest.fixture(scope="module")
def content() -> Content:
    return content_from_files(FORCE, ROOT / "data")


@pytest.fixture(scope="module")
def notices() -> Notices:
    return load_notices(FORCE)


def texts(notices: Notices, content: Content, *, fixed: bool) -> list[tuple[str, str]]:
    """(where, text) of each section, filled in."""
    return [
        (f"{name}: {section.heading}", content.render(notices.fill(section.text, **KNOWN)))
        for name, notice in notices.pages.items()
        for section in notice.sections
        if bool(section.fixed) is fixed
    ]


def unplain(text: str) -> list[str]:
    """What the checks of the answers find."""
    found = [one for one in sentences(text) if len(one.split()) > MOST_WORDS]
    return found + NEGATIVES.findall(text)


def grade(text: str) -> float:
    """Automated Readability Index (Smith and Senter, 1967): 4.71 letters a word + 0.5 words a sentence."""
    plain = re.sub(r"(?m)^- ", "", text)
    words = re.findall(r"[\w'.@-]*\w", plain)
    letters = sum(len(re.sub(r"\W", "", word)) for word in words)
    return 4.71 * letters / len(words) + 0.5 * len(words) / len(sentences(plain)) - 21.43


def test_the_words_are_plain(notices: Notices, content: Content) -> None:
    for where, text in texts(notices, content, fixed=False):
        assert not unplain(text), where


@pytest.mark.parametrize("name", PATHS)
def test_the_reading_age_is_low(notices: Notices, content: Content, name: str) -> None:
    found = "\n".join(
        text for where, text in texts(notices, content, fixed=False) if where.startswith(f"{name}:")
    )
    assert grade(found) <= READING_GRADE


def test_an_exception_has_a_reason_and_is_one(notices: Notices, content: Content) -> None:
    """A section marked as fixed needs the mark: else it could be plain."""
    found = texts(notices, content, fixed=True)
    assert found
    for where, text in found:
        assert unplain(text) or grade(text) > READING_GRADE, where
    for notice in notices.pages.values():
        for section in notice.sections:
            assert section.fixed is None or len(section.fixed) > 20


def test_the_statement_keeps_the_words_that_the_law_asks_for(site: Served) -> None:
    """Regulation 8 of the Accessibility Regulations 2018 and its model statement."""
    page = site.client().get("/accessibility").text
    plain = " ".join(re.sub(r"<[^>]+>", " ", page).split()).replace("&#39;", "'")
    for words in (
        "is committed to making its website accessible, in accordance with the Public Sector Bodies "
        "(Websites and Mobile Applications) (No. 2) Accessibility Regulations 2018.",
        "This accessibility statement applies to",
        "This website is partially compliant with the Web Content Accessibility Guidelines version 2.2 "
        "AA standard, due to the non-compliances and exemptions listed below.",
        "Non-compliance with the accessibility regulations",
        "Feedback and contact information",
        "The Equality and Human Rights Commission (EHRC) is responsible for enforcing the Public Sector "
        "Bodies (Websites and Mobile Applications) (No. 2) Accessibility Regulations 2018",
        "contact the Equality Advisory and Support Service (EASS)",
        "This statement was prepared on",
        "It was last reviewed on",
    ):
        assert words in plain, words


@pytest.mark.parametrize("path", PATHS.values())
def test_a_page_stands_while_the_store_is_away(site: Served, path: str) -> None:
    """Whole, under the chat's own policy, without a script, with the way out and the danger words first."""
    site.break_store()
    answer = site.client().get(path)
    site.mend_store()
    assert answer.status_code == 200
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text
    assert "style=" not in answer.text
    assert 'id="quick-exit"' in answer.text
    assert not re.search(r"\{\w+\}|\[[A-Z]{2}", answer.text)
    danger, title = answer.text.index("call <a"), answer.text.index("<h1")
    assert danger < title
    assert answer.headers.get("set-cookie") is None


def test_every_page_links_to_every_other(site: Served) -> None:
    for path in ["/chat", *PATHS.values()]:
        page = site.client().get(path).text
        foot = page[page.index("<footer") :]
        assert re.findall(r'href="([^"]+)"', foot) == list(PATHS.values())
        assert foot.count('aria-current="page"') == (path != "/chat")


def test_the_hours_and_contacts_are_those_of_the_force(site: Served, content: Content) -> None:
    about = site.client().get(PATHS["about"]).text
    assert str(content.hours["desk"]["said"]) in about
    assert 'href="tel:101"' in about
    assert f'href="mailto:{content.contacts["PSD"]["say"]}"' in about
    assert "7 days after your last message" in site.client().get(PATHS["privacy"]).text


def test_a_release_from_before_these_pages_borrows_the_files_words(
    content: Content, notices: Notices
) -> None:
    """An older release in the database knows neither the new sentences nor the new contacts."""
    live = LiveContent(content)
    pages = Pages(live, notices, demo=False)
    old = [
        item
        for item in content.items()
        if not item[1].startswith(("chat_", "page_")) and item[1] not in ("ICO", "EASS", "ABILITYNET")
    ]
    live.current = content_from_items(old)
    page = pages.notice("privacy", cookie_days=7)
    assert content.contacts["ICO"]["say"] in page
    assert content.line("page_back_title") in page


def test_a_force_may_lead_to_pages_of_its_own(content: Content, notices: Notices) -> None:
    elsewhere = "https://www.force.example/privacy"
    live = LiveContent(content)
    pages = Pages(live, notices, demo=False)
    live.current = content_from_items(
        [
            (kind, key, {"body": {**body["body"], "privacy_notice_path": elsewhere}})
            if kind == "force"
            else (kind, key, body)
            for kind, key, body in content.items()
        ]
    )
    assert elsewhere in pages.notice("about")


def test_what_nobody_has_checked_is_known(notices: Notices) -> None:
    """Local facts are marked until the force has confirmed them."""
    assert {"dpo", "keep_rule", "tested_by"} <= set(notices.unchecked)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("controller: {say:", "controler: {say:"), "controller"),
        (("  about:", "  abuot:"), "about"),
        (("pages:\n", "pages: [\n"), "line"),
    ],
)
def test_a_wrong_file_says_what_to_mend(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    (tmp_path / "pages.yml").write_text((FORCE / "pages.yml").read_text("utf-8").replace(*change, 1), "utf-8")
    with pytest.raises(ContentError, match=rf"pages\.yml.*{says}"):
        fill_all(tmp_path)


def fill_all(folder: Path) -> None:
    """Read the pages and fill in every section."""
    notices = load_notices(folder)
    for notice in notices.pages.values():
        for section in notice.sections:
            notices.fill(section.text, **KNOWN)
