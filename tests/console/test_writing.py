"""Writing a reply: the guard marks what must not leave, ready-made words are found, hints come while typing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import expect
from sqlalchemy import Row

from bot.assistant import Content, content_from_files
from bot.assistant.sources import faults_of_replies
from bot.conversations.outbound import HELD_BACK
from bot.errors import ContentError
from bot.knowledge import wording
from bot.knowledge.releases import publish
from bot.messages import Actor
from bot.settings import ROOT
from bot.store.tables import Base, Outbox
from tests.console.serving import Browser, Desk
from tests.console.test_browser import Desktop, claimed
from tests.support.browser import axe, working
from tests.support.browser import chromium as running_chromium
from tests.support.world import P1, P3

pytestmark = pytest.mark.integration

BAD = "We will catch him. Ring me on 07700 900123."
FORCE = ROOT / "force" / "northumbria"
SECRET = "Zanzibar heron, gate code four"
"""Words that stand nowhere else."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with running_chromium() as browser:
        yield browser


def own(desk: Desk, text: str = P3, username: str = "mo") -> tuple[Browser, Row[Any]]:
    """A member of staff who has a chat."""
    row = desk.say(text)
    browser = desk.browser(username)
    answer = browser.do(row, "claim", epoch=row.epoch)
    assert answer.status_code == 204, answer.text
    return browser, desk.chat()


def marks(page: str) -> list[str]:
    return re.findall(r"<mark>(.*?)</mark>", page)


def staff_texts(desk: Desk) -> list[str]:
    return [row.text for row in desk.outbox("staff")]


def everywhere(desk: Desk, words: str, *but: str) -> list[str]:
    """Names of the columns of the whole database in which some words stand, except in these tables."""
    found = []
    for table in Base.metadata.sorted_tables:
        if table.name in but:
            continue

        async def read(table: Any = table) -> list[Any]:
            async with desk.gateway.core.store.read() as connection:
                return [dict(one) for one in (await connection.execute(table.select())).mappings()]

        for values in desk.run(read()):
            found += [f"{table.name}.{name}" for name, value in values.items() if words in str(value)]
    return found


# ---- the guard holds back, and a reason lets go --------------------------------------------------


def test_a_reply_is_held_back_with_its_phrases_marked_and_its_text_kept(any_desk: Desk) -> None:
    desk = any_desk
    mo, row = own(desk)
    refused = mo.do(row, "reply", text=BAD)
    assert refused.status_code == 422
    assert refused.headers["HX-Retarget"] == "#writing"
    assert HELD_BACK in refused.text
    assert marks(refused.text) == ["We will catch", "07700 900123"]
    assert 'name="override"' in refused.text
    assert staff_texts(desk) == []
    assert BAD in mo.get(f"/desk/c/{row.id}").text
    assert desk.audit("reply") == []
    assert ["draft.text"] == everywhere(desk, "900123")


def test_a_reason_lets_it_go_and_is_on_record_without_the_words(any_desk: Desk) -> None:
    desk = any_desk
    mo, row = own(desk)
    sent = mo.do(row, "reply", text=BAD, override="The duty sergeant gave this number.")
    assert sent.status_code == 200
    assert staff_texts(desk) == [BAD]
    (noted,) = desk.audit("reply.override")
    (reply,) = desk.outbox("staff")
    assert noted.detail == {
        "grade": "P3", "kinds": ["phone", "promise"], "outbox": reply.id,
        "reason": "The duty sergeant gave this number.",
    }  # fmt: skip
    assert noted.conversation_id == row.id
    assert noted.actor == "Mo Tester"
    assert desk.audit("reply.warned") == []
    assert everywhere(desk, "900123", "outbox") == []
    assert len(desk.audit("reply")) == 1


def test_a_p1_is_warned_and_never_held_back(any_desk: Desk) -> None:
    desk = any_desk
    mo, row = own(desk, P1)
    assert row.grade == "P1"
    checked = mo.do(row, "check", text=BAD)
    assert "nothing is held back" in checked.text
    assert 'name="override"' not in checked.text
    assert mo.do(row, "reply", text=BAD).status_code == 200
    assert staff_texts(desk) == [BAD]
    (noted,) = desk.audit("reply.warned")
    assert noted.detail["kinds"] == ["phone", "promise"]
    assert noted.detail["grade"] == "P1"
    assert noted.detail["reason"] == ""
    assert desk.audit("reply.override") == []


@pytest.mark.parametrize("reason", ["", "  ", "ok", " \n a "])
def test_a_reason_must_say_something(desk: Desk, reason: str) -> None:
    mo, row = own(desk)
    assert mo.do(row, "reply", text=BAD, override=reason).status_code == 422
    assert staff_texts(desk) == []


def test_a_reply_without_findings_leaves_no_word_of_the_guard(desk: Desk) -> None:
    mo, row = own(desk)
    assert mo.do(row, "reply", text="Call 101 or 0191 221 9800.", override="no need").status_code == 200
    assert desk.audit("reply.override") == desk.audit("reply.warned") == []


def test_hints_never_hold_a_reply_back(desk: Desk) -> None:
    mo, row = own(desk)
    text = "The OIC can't tell you about the MISPER."
    checked = mo.do(row, "check", text=text)
    assert {"OIC", "MISPER", "can't"} <= {mark.replace("&#39;", "'") for mark in marks(checked.text)}
    assert "to change before" not in checked.text
    assert mo.do(row, "reply", text=text).status_code == 200
    assert staff_texts(desk) == [text]


def test_without_scripts_the_page_comes_back_with_the_marks_the_text_and_the_question(desk: Desk) -> None:
    mo, row = own(desk)
    mo.get(f"/desk/c/{row.id}")
    page = mo.post(f"/desk/c/{row.id}/reply", text=BAD)
    assert page.status_code == 422
    assert marks(page.text) == ["We will catch", "07700 900123"]
    assert re.search(r"<textarea[^>]*>We will catch him\.", page.text)
    assert 'name="override"' in page.text
    assert HELD_BACK in page.text
    sent = mo.post(f"/desk/c/{row.id}/reply", text=BAD, override="Said by the inspector.")
    assert sent.status_code == 200
    assert staff_texts(desk) == [BAD]


def test_who_does_not_own_the_chat_hears_that_first(desk: Desk) -> None:
    _mo, row = own(desk)
    jo = desk.browser("jo")
    assert jo.do(row, "reply", text=BAD, override="any reason").status_code == 409
    assert staff_texts(desk) == []


def test_what_is_marked_is_shown_as_text(desk: Desk) -> None:
    mo, row = own(desk)
    checked = mo.do(row, "check", text="<script>alert(1)</script> 07700 900123 <b>x</b>")
    assert "<script>" not in checked.text
    assert "<b>" not in checked.text
    assert marks(checked.text) == ["07700 900123"]


# ---- hints while typing --------------------------------------------------------------------------


def test_a_check_marks_and_keeps_nothing(any_desk: Desk) -> None:
    desk = any_desk
    mo, row = own(desk)
    before = len(desk.rows(Outbox))
    checked = mo.do(row, "check", text=f"{SECRET}. We will catch him.")
    assert checked.status_code == 200
    assert marks(checked.text) == ["We will catch"]
    assert "1 to change before this can be sent." in checked.text
    assert everywhere(desk, "Zanzibar") == []
    assert len(desk.rows(Outbox)) == before


def test_nothing_is_sent_anew_while_nothing_changed(desk: Desk) -> None:
    mo, row = own(desk)
    checked = mo.do(row, "check", text="We will catch him.")
    seen = re.search(r'name="seen" value="([^"]+)"', checked.text)
    assert seen
    assert mo.do(row, "check", text="We will catch him.", seen=seen[1]).status_code == 204
    mended = mo.do(row, "check", text="Thank you.", seen=seen[1])
    assert mended.status_code == 200
    assert marks(mended.text) == []
    assert mo.do(row, "check", text="Thank you very much.").status_code == 204


def test_long_sentences_and_hard_words_get_hints(desk: Desk) -> None:
    mo, row = own(desk)
    text = (
        "Notwithstanding considerable organisational difficulties, representatives subsequently endeavoured"
        " to communicate comprehensive documentation regarding circumstances surrounding investigations of"
        " particular significance throughout neighbouring constituencies without unreasonable interruption,"
        " irrespective of administrative responsibilities previously allocated amongst appropriate departments."
    )
    checked = mo.do(row, "check", text=text).text
    assert "This sentence has" in checked
    assert "the age of" in checked
    assert "to change before" not in checked


def test_only_those_who_may_open_the_chat_can_ask(desk: Desk) -> None:
    row = desk.say(P3)
    desk.browser("mo")
    for username in ("cam", "ada"):
        browser = desk.browser(username)
        assert browser.do(row, "check", text=BAD).status_code == 403
    assert desk.browser("mo").do(row, "check", text="x", csrf="wrong").status_code == 403
    answer = desk.browser().client.post(f"/desk/c/{row.id}/check", data={"text": BAD})
    assert "07700" not in answer.text
    missing = desk.browser("mo").post("/desk/c/999999/check", part=True, text=BAD)
    assert missing.status_code in (403, 404)


@pytest.mark.parametrize("text", ["", " ", "\x00", "🙂" * 3000, "'\"<>&;--", "\u202e\u200b", "{{ 7 * 7 }}"])
def test_odd_texts_are_answered(desk: Desk, text: str) -> None:
    mo, row = own(desk)
    assert mo.do(row, "check", text=text).status_code in (200, 204)


# ---- ready-made replies --------------------------------------------------------------------------


def test_ready_made_replies_are_listed_by_group_and_filled_in(desk: Desk) -> None:
    mo, row = own(desk)
    content = desk.gateway.core.content.current
    page = mo.get(f"/desk/c/{row.id}/answers").text
    for said in content.replies.values():
        assert said["title"].replace("'", "&#39;") in page
        assert said["group"] in page
    assert f"Your chat reference is {row.reference}." in page
    assert "{reference}" not in page
    assert "[EMERG]" not in page
    assert len(content.replies) >= 30


def test_replies_and_answers_are_found_together_by_their_words(desk: Desk) -> None:
    mo, row = own(desk)
    page = mo.get(f"/desk/c/{row.id}/answers?q=crimestoppers").text
    assert "Replies</h3>" in page
    assert "Approved answers</h3>" in page
    assert 'data-insert="reply-crimestoppers"' in page
    assert "0800 555 111" in page
    title = mo.get(f"/desk/c/{row.id}/answers?q=legal advice").text
    assert title.index("reply-cannot_legal") < (
        title.find("Approved answers") if "Approved answers" in title else len(title)
    )
    assert mo.get(f"/desk/c/{row.id}/answers?q=CHAT+REFERENCE").text.count("Put into the reply") >= 1


def test_whatever_is_put_into_a_reply_can_be_sent(desk: Desk) -> None:
    mo, row = own(desk)
    content = desk.gateway.core.content.current
    texts = [content.reply(key, row.reference) for key in content.replies]
    for text in texts:
        answer = mo.do(row, "reply", text=text)
        assert answer.status_code == 200, (text, answer.text)
    assert staff_texts(desk) == texts
    assert desk.audit("reply.override") == []


# ---- private notes -------------------------------------------------------------------------------


def test_a_note_can_leave_by_no_path(any_desk: Desk) -> None:
    """While it waits, with a person, passed on, given back, closed and reopened: it stays where staff read it."""
    desk = any_desk
    row = desk.say(P3)
    mo, jo = desk.browser("mo"), desk.browser("jo")
    assert mo.do(row, "note", note=f"{SECRET} one").status_code == 204
    mo.do(row, "claim", epoch=row.epoch)
    mo.do(row, "note", note=f"{SECRET} two")
    mo.do(row, "reply", text="Hello, how can I help?")
    desk.say("are you there")
    assert mo.do(row, "transfer", team="safeguarding", note=f"{SECRET} three").status_code in (200, 204)
    desk.say("hello?")
    row = desk.chat()
    jo.do(row, "claim", epoch=row.epoch)
    jo.do(row, "note", note=f"{SECRET} four")
    jo.do(row, "reply", text="I am here now.")
    assert jo.do(row, "release").status_code in (200, 204)
    desk.say("how long is the wait for 101")
    desk.say("thank you")

    page = jo.get(f"/desk/c/{row.id}").text
    assert all(f"{SECRET} {number}" in page for number in ("one", "two", "three", "four"))
    assert all(SECRET not in outgoing.text for _person, outgoing in desk.platform.channel.calls)
    assert all(SECRET not in str(outgoing.buttons) for _person, outgoing in desk.platform.channel.calls)
    assert desk.platform.channel.calls
    # The audit of a transfer names it for staff; nothing that a channel, Rasa or a figure reads has it.
    assert SECRET not in str([desk.rasa.turns, desk.rasa.understood, desk.rasa.trackers])
    assert desk.rasa.turns
    places = {place.split(".")[0] for place in everywhere(desk, SECRET)}
    assert places <= {"note", "audit"}, places
    assert "note" in places


# ---- in a browser --------------------------------------------------------------------------------


@pytest.mark.e2e
def test_a_writer_sees_what_is_wrong_and_gives_a_reason(desk: Desk, chromium: Chromium) -> None:
    row = desk.say(P3)
    mo = Desktop(desk, chromium, "mo")
    page = mo.page
    claimed(page, row.id)
    region = page.locator("#writing")
    expect(page.locator("#writing-found")).to_have_attribute("aria-live", "polite")

    page.locator("#text").press_sequentially("We will catch him. ")
    expect(region.locator("mark")).to_have_text("We will catch")
    expect(region).to_contain_text("1 to change before this can be sent.")
    expect(page.locator("#text")).to_have_value("We will catch him. ")
    working(page)
    assert axe(page) == []

    page.locator("#text").fill("Hello there.")
    expect(region.locator("mark")).to_have_count(0)

    page.get_by_text("Find an approved answer").click()
    page.get_by_text("What we cannot say (").click()
    page.locator("[data-insert=reply-cannot_person]").click()
    expect(page.locator("#text")).to_have_value(
        re.compile(r"^Hello there\.\n\nI cannot say anything here about another person\.")
    )
    working(page)
    assert axe(page) == []

    page.locator("#text").fill("Ring me on 07700 900123.")
    page.locator("#text").press("Control+Enter")
    expect(region.get_by_role("alert")).to_have_text(HELD_BACK)
    expect(region.locator("mark")).to_have_text("07700 900123")
    expect(page.locator("#text")).to_have_value("Ring me on 07700 900123.")
    working(page)
    assert axe(page) == []
    reason = page.get_by_label("Why it has to be sent as it is")
    reason.press_sequentially("The inspector asked for it.", delay=30)
    expect(reason).to_have_value("The inspector asked for it.")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#text")).to_have_value("")
    expect(region.locator("mark")).to_have_count(0)
    expect(page.locator(".desk-line--staff")).to_contain_text("07700 900123")
    assert mo.complaints == []
    mo.close()
    (noted,) = desk.audit("reply.override")
    assert noted.detail["reason"] == "The inspector asked for it."
    assert noted.detail["kinds"] == ["phone"]


# ---- the file of replies -------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A copy of the force's files that a test may spoil."""
    shutil.copytree(FORCE, tmp_path / "northumbria")
    return tmp_path / "northumbria"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("  group: Greeting\n", "", "'group' is missing"),
        ("  title: Hello\n", "  title: Hello\n  tone: kind\n", "'tone' is not known here"),
        ("  title: Hello\n", "  title: [Hello]\n", "'title' must be what staff read in the list"),
        ("reference is {reference}", "reference is {crime_number}", "'{crime_number}' is not filled in"),
        ("hello:\n", "Hello there:\n", "'Hello there' is no key"),
        ("ask_more:\n", "hello:\n", "'hello' stands twice"),
        ("# Greeting\n", "# Greeting\n: [\n", "not valid YAML"),
        ("  text: Hello. You", "  text: ''\n  old: Hello. You", "'text' must be the words"),
    ],
)
def test_a_reply_that_is_wrong_is_told_with_file_and_line(files: Path, old: str, new: str, told: str) -> None:
    path = files / "replies.yml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    faults = faults_of_replies(files)
    assert any(told in fault for fault in faults), faults
    assert all(re.match(r"northumbria/replies\.yml, line \d+: ", fault) for fault in faults)
    with pytest.raises(ContentError, match=r"replies\.yml, line"):
        content_from_files(files, ROOT / "data")


def test_the_line_of_a_wrong_reply_is_its_own(files: Path) -> None:
    path = files / "replies.yml"
    text = path.read_text("utf-8")
    at = text[: text.index("  title: Crimestoppers\n")].count("\n") + 1
    path.write_text(text.replace("  title: Crimestoppers\n", "  titel: Crimestoppers\n"), "utf-8")
    assert any(
        fault.startswith(f"northumbria/replies.yml, line {at}: 'titel'") for fault in faults_of_replies(files)
    )


@pytest.mark.parametrize(
    ("words", "check"),
    [
        ("Call 101 about it.", "typed contact"),
        ("Call 0191 496 0123 about it.", "typed contact"),
        ("Call [NOBODY].", "contact key"),
        ("We will be with you soon.", "promise"),
        ("The OIC can tell you.", "jargon"),
    ],
)
def test_words_of_a_reply_are_checked_as_all_words_are(files: Path, words: str, check: str) -> None:
    path = files / "replies.yml"
    path.write_text(f"one:\n  group: A\n  title: B\n  text: {words!r}\n", "utf-8")
    found = [one for one in wording.check(files, ROOT / "data") if one.file.endswith("replies.yml")]
    assert check in {one.check for one in found}
    assert {one.line for one in found} == {4}


def test_a_force_without_replies_has_none(files: Path) -> None:
    assert "hello" in content_from_files(files, ROOT / "data").replies
    (files / "replies.yml").unlink()
    content = content_from_files(files, ROOT / "data")
    assert content.replies == {}
    assert content.faults() == []
    assert faults_of_replies(files) == []


def go_live(desk: Desk, content: Content) -> None:
    """Publish, and let the gateway read it."""
    core = desk.gateway.core
    desk.run(publish(core.store, content, Actor("Comms")))
    assert desk.run(core.content.refresh(core.store))


def test_a_release_of_before_there_were_replies_lends_those_of_the_files(desk: Desk) -> None:
    current = desk.gateway.core.content.current
    go_live(desk, replace(current, replies={}))
    assert desk.gateway.core.content.current.replies == current.replies


def test_a_release_with_other_replies_and_another_number_is_what_the_desk_goes_by(desk: Desk) -> None:
    mo, row = own(desk)
    assert mo.do(row, "reply", text="Call 0191 496 0123.").status_code == 422
    current = desk.gateway.core.content.current
    contacts = {**current.contacts, "NEW": {"name": "New", "say": "0191 496 0123"}}
    replies = {"only": {"group": "One", "title": "The only one", "text": "Call [NEW]."}}
    go_live(desk, replace(current, contacts=contacts, replies=replies))
    page = mo.get(f"/desk/c/{row.id}/answers").text
    assert "Call 0191 496 0123." in page
    assert page.count("Put into the reply") == 1
    assert mo.do(row, "check", text="Call 0191 496 0123.").status_code == 204
    assert mo.do(row, "reply", text="Call 0191 496 0123.").status_code == 200


def test_replies_that_name_no_contact_of_the_register_are_not_published(desk: Desk) -> None:
    content = desk.gateway.core.content.current
    wrong = {"only": {"group": "One", "title": "The only one", "text": "Call [NOBODY]."}}
    with pytest.raises(ContentError, match="NOBODY"):
        go_live(desk, replace(content, replies=wrong))
