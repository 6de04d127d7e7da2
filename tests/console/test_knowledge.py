"""The pages of the knowledge studio: who sees what, and what each button does, without a script."""

from __future__ import annotations

import html
import re
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from bot.store.record import now
from bot.store.tables import Outbox, Release, TextDraft
from tests.console.serving import TEAMS, Browser, Desk

pytestmark = pytest.mark.integration

SLUG = "contact-101-wait"
"""The answer that the stand-in for Rasa gives to whoever names 101."""
PAGE = f"/desk/knowledge/text/faq/{SLUG}"
OFFER = "Would you like a person to help? Say: talk to a person."
NEW_WORDS = f"You can wait a while for an answer on [P101]. If you are in danger, call [EMERG]. {OFFER}"
OTHER_WORDS = f"It can take some time on [P101]. If you are in danger, call [EMERG]. {OFFER}"


@pytest.fixture
def team(any_desk: Desk) -> Desk:
    """A desk with a second person in communications, on each kind of database."""
    TEAMS["cora"] = ("comms", ["corporate_communications"])
    try:
        any_desk.hire("cora")
    finally:
        del TEAMS["cora"]
    return any_desk


def fields_of(page: str) -> dict[str, Any]:
    """What the form of a page holds, as a browser would send it."""
    start = page.index('id="draft-form"')
    form = page[start : page.index("</form>", start)]
    found: dict[str, Any] = {}
    for name, text in re.findall(r'<textarea[^>]*\bname="([^"]+)"[^>]*>(.*?)</textarea>', form, re.S):
        found[name] = html.unescape(text)
    for tag in re.findall(r"<input[^>]*>", form):
        name, kind = re.search(r'\bname="([^"]+)"', tag), re.search(r'\btype="([^"]+)"', tag)
        value = re.search(r'\bvalue="([^"]*)"', tag)
        if name is None or (kind and kind[1] in ("checkbox", "radio") and " checked" not in tag):
            continue
        said = html.unescape(value[1]) if value else ""
        # What can be ticked more than once is sent as often.
        found[name[1]] = [*_list(found[name[1]]), said] if name[1] in found else said
    for name, options in re.findall(r'<select[^>]*\bname="([^"]+)"[^>]*>(.*?)</select>', form, re.S):
        chosen = re.search(r'<option value="([^"]*)"[^>]*\bselected', options)
        found[name] = html.unescape(chosen[1]) if chosen else ""
    del found["csrf"]  # of its own session
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def send(browser: Browser, path: str, part: bool = False, **fields: Any) -> httpx.Response:
    """Send a form in which a name may stand more than once."""
    headers = {"HX-Request": "true"} if part else {}
    return browser.client.post(path, data={"csrf": browser.csrf, **fields}, headers=headers)


def drafted(desk: Desk, browser: Browser, kind: str = "faq", key: str = SLUG) -> str:
    """The path of the draft of a text, opened by its button."""
    browser.get(f"/desk/knowledge/text/{kind}/{key}")
    answer = browser.post(f"/desk/knowledge/text/{kind}/{key}/edit")
    assert answer.status_code == 200, answer.text
    return answer.url.path


def written(desk: Desk, browser: Browser, words: str = NEW_WORDS, note: str = "Plainer words.") -> str:
    """A draft with these words that waits for a review; its number."""
    path = drafted(desk, browser)
    fields = {**fields_of(browser.get(path).text), "f-answer": words, "note": note}
    answer = send(browser, f"{path}/submit", **fields)
    assert "It waits for a second person now." in answer.text, answer.text
    return path.rsplit("/", 1)[1]


def approved(browser: Browser, number: str, **fields: Any) -> httpx.Response:
    page = browser.get(f"/desk/knowledge/review/{number}").text
    version = re.search(r'name="version" value="(\d+)"', page)
    assert version is not None, page
    values = {"version": version[1], "when": "now", "why": "It reads well.", **fields}
    return browser.post(f"/desk/knowledge/review/{number}/approve", **values)


def said(desk: Desk, person: str) -> str:
    """What the public is told when it asks how long 101 takes."""
    desk.say("how long is the wait for 101", person)
    return str(answers_of(desk)[-1])


def answers_of(desk: Desk) -> list[str]:
    """What the public was told of it so far."""
    return [str(row.text) for row in desk.rows(Outbox, Outbox.slug == SLUG)]


# ---- who sees what ---------------------------------------------------------------------------------


def test_the_list_finds_filters_and_counts(desk: Desk) -> None:
    cam = desk.browser("cam")
    page = cam.get("/desk/knowledge").text
    assert "Answers (132)" in page
    assert 'href="/desk/knowledge" aria-current="page">Knowledge' in page
    found = cam.get("/desk/knowledge?q=wait+101").text
    assert PAGE in found
    assert "of 132 shown" in found
    assert "Nothing fits." in cam.get("/desk/knowledge?q=zebrafish").text
    roads = cam.get("/desk/knowledge?group=Roads+and+vehicles").text
    assert "10 of 132 shown" in roads
    for kind in ("line", "contact", "reply", "card", "hours", "language", "outcome", "force", "labels"):
        assert cam.get(f"/desk/knowledge?kind={kind}").text.count("desk-staff__one") > 0, kind
    drafted(desk, cam)
    assert "1 of 132 shown" in cam.get("/desk/knowledge?state=draft").text


def test_a_moderator_reads_live_answers_and_nothing_else(desk: Desk) -> None:
    mo, cam = desk.browser("mo"), desk.browser("cam")
    path = drafted(desk, cam)
    page = mo.get("/desk/knowledge?kind=line").text
    assert "Answers (132)" in page
    assert "System sentences" not in page
    assert path not in page
    assert "New answer" not in page
    text = mo.get(PAGE).text
    assert "How it reads" in text
    for word in ("Withdraw it now", "/edit", "History", path):
        assert word not in text
    assert mo.get("/desk/knowledge/text/line/block_999").status_code == 403
    assert mo.get(path).status_code == 403
    assert mo.get("/desk/knowledge/releases").status_code == 403


def test_only_comms_write(desk: Desk) -> None:
    for who in ("sue", "ada"):
        browser = desk.browser(who)
        page = browser.get(PAGE).text
        assert "/edit" not in page
        assert "Withdraw it now" in page
        assert browser.post(f"{PAGE}/edit").status_code == 403
    assert desk.rows(TextDraft) == []


# ---- every kind opens, and to save it as it is changes nothing ----------------------------------------


def test_every_text_of_every_kind_has_a_form_that_keeps_it_as_it_is(desk: Desk) -> None:
    cam = desk.browser("cam")
    studio_rows = [
        ("faq", SLUG), ("faq", "da-help"), ("faq", "child-concern"), ("line", "opening_message"), ("line", "block_999"),
        ("contact", "P101"), ("contact", "EMERG"), ("reply", "hello"), ("card", "R02"), ("outcome", "answered"),
        ("outcome", "signposted_other_agency"), ("language", "pl"), ("hours", "timezone"), ("hours", "desk"),
        ("hours", "bank_holidays"), ("hours", "exceptions"), ("hours", "counters"), ("force", "force"),
        ("teams", "teams"), ("clock", "clock"), ("labels", "labels"),
    ]  # fmt: skip
    for kind, key in studio_rows:
        assert cam.get(f"/desk/knowledge/text/{kind}/{key}").status_code == 200, (kind, key)
        path = drafted(desk, cam, kind, key)
        before = desk.rows(TextDraft)[-1]
        page = cam.get(path).text
        answer = send(cam, f"{path}/save", **fields_of(page))
        assert answer.status_code == 200, (kind, key, answer.text)
        after = desk.rows(TextDraft)[-1]
        assert (after.body, after.version) == (before.body, before.version), (kind, key)
        assert send(cam, f"{path}/check", True, **fields_of(page)).status_code == 200


# ---- writing ---------------------------------------------------------------------------------------


def test_findings_mark_the_words_and_the_preview_fills_contacts_in(desk: Desk) -> None:
    cam = desk.browser("cam")
    path = drafted(desk, cam)
    words = "We will utilise 0191 496 0000 and an officer will visit you within 24 hours. Call [P101]."
    fields = {**fields_of(cam.get(path).text), "f-answer": words}
    part = send(cam, f"{path}/check", True, **fields).text
    assert "<mark>0191 496 0000</mark>" in part
    assert re.search(r"\d+ to mend before this can go live", part)
    assert "101" in part.split("How it reads")[1]
    assert "[P101]" not in part.split("How it reads")[1]
    assert desk.rows(TextDraft)[0].version == 1  # to check keeps nothing
    page = send(cam, f"{path}/save", **fields)
    assert "Your text is saved." in page.text
    assert "<mark>0191 496 0000</mark>" in page.text


def test_a_contact_is_put_in_without_a_script(desk: Desk) -> None:
    cam = desk.browser("cam")
    path = drafted(desk, cam)
    fields = fields_of(cam.get(path).text)
    values = {**fields, "f-answer": "Look at", "insert": "f-answer", "contact-f-answer": "[NPWEB]"}
    page = send(cam, f"{path}/save", **values)
    assert "The contact stands at the end of the text" in page.text
    body = desk.rows(TextDraft)[0].body
    assert body["answer"] == "Look at [NPWEB]"
    assert body["contacts"] == ["NPWEB"]
    send(cam, f"{path}/save", **{**fields_of(page.text), "insert": "f-answer", "contact-f-answer": "[EVIL]"})
    assert "EVIL" not in desk.rows(TextDraft)[0].body["answer"]


def test_many_phrases_are_pasted_one_a_line(desk: Desk) -> None:
    cam = desk.browser("cam")
    path = drafted(desk, cam)
    phrases = [f"how long until somebody answers {number}" for number in range(400)]
    fields = {**fields_of(cam.get(path).text), "f-examples": "\r\n\r\n".join(phrases) + "\r\n  \r\n"}
    assert send(cam, f"{path}/save", **fields).status_code == 200
    assert desk.rows(TextDraft)[0].body["examples"] == phrases


def test_hours_and_lists_are_written_in_plain_forms(desk: Desk) -> None:
    cam = desk.browser("cam")
    path = drafted(desk, cam, "hours", "desk")
    fields = fields_of(cam.get(path).text)
    assert fields["f-value-days-monday"] == "08:00 to 22:00"
    values = {**fields, "f-value-days-monday": "9:00-12:30, 13.30 until 17:00", "f-value-days-sunday": ""}
    assert send(cam, f"{path}/save", **values).status_code == 200
    days = desk.rows(TextDraft)[0].body["value"]["days"]
    assert days["monday"] == [{"opens": "09:00", "closes": "12:30"}, {"opens": "13:30", "closes": "17:00"}]
    assert days["sunday"] == []
    values["version"] = fields_of(cam.get(path).text)["version"]
    wrong = send(
        cam, f"{path}/save", **{**values, "f-value-days-monday": "mornings", "f-value-said": "later"}
    )
    assert wrong.status_code == 422
    assert "Write the hours as in 08:00 to 22:00" in wrong.text
    assert 'value="mornings"' in wrong.text  # what was typed stays on the page
    body = desk.rows(TextDraft)[0].body["value"]
    assert body["said"] == "later"  # and the rest is kept
    assert body["days"]["monday"] == days["monday"]

    path = drafted(desk, cam, "hours", "exceptions")
    cells = {"f-value-0-date": "2026-12-25", "f-value-0-hours": "", "f-value-0-reason": "Christmas Day"}
    assert send(cam, f"{path}/save", **{**fields_of(cam.get(path).text), **cells}).status_code == 200
    expected = {"date": "2026-12-25", "hours": [], "reason": "Christmas Day"}
    assert desk.rows(TextDraft)[1].body == {"value": [expected]}
    emptied = {name: "" for name in cells}
    send(cam, f"{path}/save", **{**fields_of(cam.get(path).text), **emptied})
    assert desk.rows(TextDraft)[1].body == {"value": []}

    path = drafted(desk, cam, "contact", "P101")
    fields = fields_of(cam.get(path).text)
    more = next(
        name for name, value in fields.items() if name.endswith("-name") and "parts" in name and not value
    )
    values = {**fields, more: "text", more.removesuffix("name") + "words": "text 101"}
    before = dict(desk.rows(TextDraft)[2].body.get("parts") or {})
    assert send(cam, f"{path}/save", **values).status_code == 200
    assert desk.rows(TextDraft)[2].body["parts"] == {**before, "text": "text 101"}
    half = send(
        cam, f"{path}/save", **{**fields_of(cam.get(path).text), more: "text", more[:-4] + "words": ""}
    )
    assert half.status_code == 422


NONSENSE = [
    "\x00",
    "x" * 30_000,
    "word " * 6000,
    "{{7*7}} {desk} %s <b>\"'--",
    "\u202eא\ud7ff🚓",
    "[EVIL] [P101.nothing] [",
    "- 'a': |\n  b",
    "",
]


def test_nonsense_breaks_no_form_and_no_page(any_desk: Desk) -> None:
    cam = any_desk.browser("cam")
    for kind, key in [("faq", SLUG), ("line", "ask_safe"), ("contact", "NPWEB"), ("card", "R01"), ("hours", "counters"),
                      ("outcome", "answered"), ("language", "pl"), ("clock", "clock"), ("teams", "teams")]:  # fmt: skip
        path = drafted(any_desk, cam, kind, key)
        for odd in NONSENSE:
            fields = fields_of(cam.get(path).text)
            for name in fields:
                if name.startswith("f-") and not name.endswith("-here"):
                    fields[name] = odd
            part = send(cam, f"{path}/check", True, **fields)
            kept = send(cam, f"{path}/save", **fields)
            assert part.status_code in (200, 413, 422), (kind, odd[:9], part.status_code)
            assert kept.status_code in (200, 413, 422), (kind, odd[:9], kept.status_code)
            assert cam.get(path).status_code == 200, (kind, odd)
            assert "<b>" not in kept.text
            assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=", kept.text)
    for page in ("", "?kind=line", "?kind=teams", "/review"):
        assert cam.get(f"/desk/knowledge{page}").status_code == 200


def test_something_new_is_begun_by_its_title(desk: Desk) -> None:
    cam = desk.browser("cam")
    cam.get("/desk/knowledge/new")
    page = cam.post("/desk/knowledge/new", kind="faq", title="Lost my dog's lead, café")
    assert page.status_code == 200
    assert "Lost my dog&#39;s lead, café" in page.text
    again = cam.post("/desk/knowledge/new", kind="faq", title="Lost my dog's lead, cafe")
    contact = cam.post("/desk/knowledge/new", kind="contact", title="Dog warden")
    reply = cam.post("/desk/knowledge/new", kind="reply", title="About dogs")
    assert [again.status_code, contact.status_code, reply.status_code] == [200, 200, 200]
    assert [row.key for row in desk.rows(TextDraft)] == [
        "lost-my-dogs-lead-cafe", "lost-my-dogs-lead-cafe-2", "DOGWARDEN", "about_dogs",
    ]  # fmt: skip
    refused = cam.post("/desk/knowledge/new", kind="faq", title="123")
    assert refused.status_code == 422
    assert "begins with a letter" in refused.text


def test_an_older_save_loses_neither_text_and_shows_both(team: Desk) -> None:
    cam, cora = team.browser("cam"), team.browser("cora")
    path = drafted(team, cam)
    assert drafted(team, cora) == path
    older = fields_of(cora.get(path).text)
    assert "Cam Tester has this draft open too." in cora.get(path).text
    send(cam, f"{path}/save", **{**fields_of(cam.get(path).text), "f-answer": NEW_WORDS})
    page = send(cora, f"{path}/save", **{**older, "f-answer": OTHER_WORDS})
    assert page.url.path == f"{path}/both"
    shown = html.unescape(page.text)
    assert "Two texts side by side" in shown
    assert NEW_WORDS in shown
    assert OTHER_WORDS in shown
    assert team.rows(TextDraft)[0].body["answer"] == NEW_WORDS
    fields = dict(re.findall(r'type="hidden" name="(version|copy)" value="(\d+)"', page.text))
    done = cora.post(f"{path}/both", **fields, **{"take-f-answer": "mine"})
    assert "The draft has the words that you chose." in done.text
    assert team.rows(TextDraft)[0].body["answer"] == OTHER_WORDS
    # The first one's words are still kept, and chosen again in the same way.
    assert NEW_WORDS not in fields_of(done.text)["f-answer"]
    # What a script saves by itself is answered so that it can tell.
    part = send(cam, f"{path}/save", True, **{**older, "f-answer": "Third words."})
    assert part.status_code == 409
    assert "data-conflict" in part.text
    assert "/both?copy=" in part.text


# ---- review ----------------------------------------------------------------------------------------


def test_a_second_person_approves_and_the_public_gets_the_words_without_training(team: Desk) -> None:
    cam, cora = team.browser("cam"), team.browser("cora")
    before = said(team, "ann")
    number = written(team, cam)
    own = cam.get(f"/desk/knowledge/review/{number}").text
    assert "You wrote in it. Somebody who did not write in it approves it." in own
    assert "/approve" not in own
    refused = approved(cam, number)
    assert refused.status_code == 403
    assert "There is a problem" in refused.text
    page = cora.get(f"/desk/knowledge/review/{number}").text
    assert '<ins class="desk-added">' in page
    assert '<del class="desk-taken">' in page
    assert "(taken away:)" in page
    assert "Plainer words." in page
    assert page.count(f"/desk/knowledge/review/{number}") >= 1
    assert f"/desk/knowledge/review/{number}" in cora.get("/desk/knowledge/review").text
    done = approved(cora, number)
    assert "It is live. New messages get these words." in done.text, done.text
    after = said(team, "bob")
    assert after != before
    assert after.startswith("You can wait a while for an answer on 101.")
    history = cora.get(f"{PAGE}/history").text
    assert "Approved by" in history
    assert "Cora Tester" in history
    assert '<ins class="desk-added">' in history


def test_it_is_sent_back_with_a_reason_and_taken_back(team: Desk) -> None:
    cam, sue = team.browser("cam"), team.browser("sue")
    number = written(team, cam)
    sue.get(f"/desk/knowledge/review/{number}")
    version = team.rows(TextDraft)[0].version
    none = sue.post(f"/desk/knowledge/review/{number}/send-back", version=version, reason=" ")
    assert none.status_code == 422
    back = sue.post(
        f"/desk/knowledge/review/{number}/send-back", version=version, reason="Name the hours too."
    )
    assert "It went back to its writers" in back.text
    page = cam.get(f"/desk/knowledge/drafts/{number}").text
    assert "Sue Tester sent it back:" in page
    assert "Name the hours too." in page
    fields = {**fields_of(page), "f-answer": OTHER_WORDS, "note": "With the hours."}
    cam.post(f"/desk/knowledge/drafts/{number}/submit", **fields)
    again = cam.post(f"/desk/knowledge/drafts/{number}/take-back", version=team.rows(TextDraft)[0].version)
    assert "You took it back." in again.text
    assert team.rows(TextDraft)[0].state == "draft"


def test_a_review_needs_a_reason_for_the_change_and_keeps_what_was_typed(desk: Desk) -> None:
    cam = desk.browser("cam")
    path = drafted(desk, cam)
    fields = {**fields_of(cam.get(path).text), "f-answer": NEW_WORDS, "note": ""}
    page = send(cam, f"{path}/submit", **fields)
    assert page.status_code == 422
    assert "Say why this text changes." in page.text
    assert fields_of(page.text)["f-answer"] == NEW_WORDS
    same = cam.post(f"{path}/discard", version=desk.rows(TextDraft)[0].version)
    assert "The draft is discarded." in same.text
    assert desk.rows(TextDraft)[0].state == "discarded"
    assert "Drafts that were discarded" in cam.get(f"{PAGE}/history").text


def test_it_goes_live_at_a_set_time(team: Desk) -> None:
    cam, cora = team.browser("cam"), team.browser("cora")
    number = written(team, cam)
    for wrong in (
        {"day": "", "time": ""},
        {"day": "2026-13-45", "time": "99:99"},
        {"day": "2001-01-01", "time": "10:00"},
    ):
        assert approved(cora, number, when="later", **wrong).status_code == 422
    tomorrow = (now().date() + timedelta(days=2)).isoformat()
    page = approved(cora, number, when="later", day=tomorrow, time="09:30")
    assert "It is approved. It goes live by itself at its time." in page.text, page.text
    row = team.rows(TextDraft)[0]
    assert (row.state, date.fromisoformat(tomorrow)) == ("approved", row.publish_at.date())
    assert said(team, "ann") != NEW_WORDS


def test_safety_words_need_a_supervisor_or_an_administrator(team: Desk) -> None:
    cam, cora = team.browser("cam"), team.browser("cora")
    path = drafted(team, cam, "line", "opening_danger")
    fields = fields_of(cam.get(path).text)
    values = {
        **fields,
        "f-text": "If you or someone else is in danger, call 999 straight away.",
        "note": "Shorter.",
    }
    send(cam, f"{path}/submit", **values)
    number = path.rsplit("/", 1)[1]
    page = cora.get(f"/desk/knowledge/review/{number}").text
    assert "It holds safety words. A supervisor or an administrator approves it." in page
    assert approved(cora, number).status_code == 403
    done = approved(team.browser("ada"), number)
    assert "It is live." in done.text, done.text
    assert team.gateway.core.content.current.sha256 != ""


# ---- withdrawal and releases -------------------------------------------------------------------------


def test_one_person_withdraws_an_answer_and_brings_it_back(team: Desk) -> None:
    cam = team.browser("cam")
    before = said(team, "ann")
    cam.get(PAGE)
    none = cam.post(f"{PAGE}/withdraw", reason="")
    assert none.status_code == 422
    assert "There is a problem" in none.text
    done = cam.post(f"{PAGE}/withdraw", reason="The wait has changed.")
    assert "It is withdrawn." in done.text
    assert "The wait has changed." in done.text
    answers = len(answers_of(team))
    team.say("how long is the wait for 101", "bob")
    assert len(answers_of(team)) == answers
    assert "1 of 132 shown" in cam.get("/desk/knowledge?state=withdrawn").text
    twice = cam.post(f"{PAGE}/withdraw", reason="Once more.")
    assert twice.status_code in (409, 422)
    back = cam.post(f"{PAGE}/restore", reason="It is right again.")
    assert "It is live again." in back.text
    assert said(team, "cas") == before
    line = cam.post("/desk/knowledge/text/line/opening_danger/withdraw", reason="No.")
    assert "Only an answer can be withdrawn." in line.text


def test_an_earlier_release_is_made_live_again(team: Desk) -> None:
    cam, cora = team.browser("cam"), team.browser("cora")
    before = said(team, "ann")
    first = team.rows(Release)[0].id
    approved(cora, written(team, cam))
    assert said(team, "bob") != before
    releases = cora.get("/desk/knowledge/releases").text
    assert team.rows(Release)[0].sha256[:12] in releases
    assert "Live now" in releases
    newest = team.rows(Release)[-1].id
    changed = cora.get(f"/desk/knowledge/releases/{newest}").text
    assert '<ins class="desk-added">' in changed
    page = cora.get(f"/desk/knowledge/releases/{first}").text
    assert "This would undo:" in page
    assert "1 change" in page
    path = f"/desk/knowledge/releases/{first}/back"
    assert cora.post(path, live=newest, reason="").status_code == 422
    stale = cora.post(path, live=first, reason="The new words are wrong.")
    assert stale.status_code == 409
    done = cora.post(path, live=newest, reason="The new words are wrong.")
    assert "The earlier release is live again." in done.text, done.text
    assert said(team, "cas") == before


def test_a_refusal_says_in_one_sentence_what_to_do(desk: Desk) -> None:
    cam = desk.browser("cam")
    for path in ("text/faq/nothing", "text/nothing/nothing", "drafts/987654", "review/987654", "releases/987654",
                 "text/faq/nothing/history"):  # fmt: skip
        answer = cam.get(f"/desk/knowledge/{path}")
        assert 400 <= answer.status_code < 500, path
        assert "This was not done" in answer.text
    desk.change(update(TextDraft).values(state="discarded"))
