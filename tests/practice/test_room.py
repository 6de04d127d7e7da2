"""The room of practice over HTTP: people come, a moderator answers, and the feedback says what is true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import expect
from sqlalchemy import update

from bot.console.practice import COOKIE
from bot.console.visit import COOKIE as DESK_COOKIE
from bot.store.record import now
from bot.store.tables import Conversation, Message, Outbox
from tests.practice.serving import Stage, wait_for
from tests.support.browser import PATIENCE_MS, axe, go, sideways, working
from tests.support.browser import chromium as running_chromium
from tests.support.world import INCIDENT

pytestmark = pytest.mark.integration

MODERATOR, OTHER, SUPERVISOR = "practice-moderator-1", "practice-moderator-2", "practice-supervisor"
BANNER = "Practice. Nobody here is real."


def plain(page: str) -> str:
    """A page as words."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).replace("&#39;", "'").split())


def texts(stage: Stage, chat: int) -> list[str]:
    return [one.text for one in stage.desk.rows(Message, Message.conversation_id == chat)]


def test_a_burglar_is_answered_and_closed(any_stage: Stage) -> None:
    stage = any_stage
    scenario = stage.practice.script.scenarios["burglar_inside"]
    people = scenario.people[0]
    mo = stage.sign_in(MODERATOR)
    (persona,) = stage.enter("burglar_inside")
    assert stage.step(2) == 2

    row = stage.chat(persona)
    assert (row.channel, row.state, row.grade, row.category) == ("practice", "waiting", "P1", "R01")
    assert texts(stage, row.id) == [line.text for line in people.says]
    assert stage.desk.rows(Outbox, Outbox.conversation_id == row.id)[0].kind == "safety"
    queue = mo.get("/desk/queue").text
    assert row.reference in queue
    assert BANNER in queue

    assert mo.do(row, "claim", epoch=row.epoch).status_code == 204
    assert mo.do(row, "reply", text="We know. Where are you?").status_code < 300
    stage.arrived("We know. Where are you?")
    assert stage.step() == 1
    assert mo.do(row, "reply", text="Help is on the way. Stay where it is quiet.").status_code < 300
    stage.arrived("Help is on the way. Stay where it is quiet.")
    assert stage.step() == 1
    assert texts(stage, row.id)[2:] == [people.on_place, people.on_reply[0]]

    seen = stage.desk.rows(Message, Message.conversation_id == row.id)[-1].id
    done = mo.do(
        row,
        "close",
        outcome="emergency_response",
        what_was_done="Told the control room",
        incident=INCIDENT,
        seen=seen,
    )
    assert done.status_code < 300, done.text
    assert stage.step() == 0

    words = plain(mo.get("/desk/practice/feedback").text)
    assert f"{scenario.title}, {persona.name}" in words
    assert "Taken: by Practice moderator one, after" in words
    assert "The limit for a P1 is 1 min." in words
    assert "Grade: P1, which is right (Well done)" in words
    assert "Closed as: Emergency response started, which is right (Well done)" in words
    for sentence in scenario.read_again:
        assert sentence in words
    assert "What the card says" in words
    # The other moderator had no part in it; the supervisor reads it under a colleague's name.
    assert "You have had no chat in this practice yet." in plain(
        stage.sign_in(OTHER).get("/desk/practice/feedback").text
    )
    sue = stage.sign_in(SUPERVISOR)
    own = sue.get("/desk/practice/feedback").text
    link = re.search(r'href="(/desk/practice/feedback/\d+)">Practice moderator one', own)
    assert link is not None
    assert scenario.title in sue.get(link[1]).text
    assert "Nobody took these" not in own


def test_feedback_says_what_went_wrong(stage: Stage) -> None:
    mo, sue = stage.sign_in(MODERATOR), stage.sign_in(SUPERVISOR)
    late, marked, back = (stage.enter(key)[0] for key in ("told_burglary", "call_back", "journalist"))
    stage.enter("deaf_writer")
    stage.step()
    for persona in (late, marked, back):
        row = stage.chat(persona)
        assert row.state == "waiting", persona.scenario
        assert sue.do(row, "claim", epoch=row.epoch).status_code == 204
    past = now() - timedelta(minutes=9)
    stage.desk.change(
        update(Conversation).where(Conversation.id == stage.chat(late).id).values(reply_due_at=past)
    )
    assert sue.do(stage.chat(late), "reply", text="Hello. Thank you for telling us.").status_code < 300
    row = stage.chat(late)
    seen = stage.desk.rows(Message, Message.conversation_id == row.id)[-1].id
    closed = sue.do(row, "close", outcome="no_reply", incident=INCIDENT, seen=seen)
    assert closed.status_code < 300, closed.text
    call = "Call me on 07700 900123."
    assert sue.do(stage.chat(marked), "reply", text=call).status_code == 422
    assert sue.do(stage.chat(marked), "reply", text=call, override="It is the public line").status_code < 300
    assert sue.do(stage.chat(back), "release").status_code < 300

    page = sue.get("/desk/practice/feedback").text
    by_title = {
        plain(part).split(", Practice person")[0]: plain(part)
        for part in re.findall(r'<section class="desk-box".*?</section>', page, re.S)
    }
    script = stage.practice.script.scenarios
    was_late = by_title[script["told_burglary"].title]
    assert re.search(r"First reply: after [\w ]+\. The limit for a P3 is 30 min\. \(Look again\)", was_late)
    assert "Closed as: The person stopped replying. Right would be: Crime recorded, or: Incident" in was_late
    assert re.search(r"Sent with a reason although words were marked: 1 \([\w, ]+\) \(Look again\)",
                     by_title[script["call_back"].title])  # fmt: skip
    assert "Closed as: It is not closed." in by_title[script["call_back"].title]
    assert (
        "Handed back: It went back to the assistant, which is right here"
        in by_title[script["journalist"].title]
    )
    nobodys = by_title[script["deaf_writer"].title]
    assert "Taken: Nobody took it in" in nobodys
    assert page.index("Nobody took these") < page.index(script["deaf_writer"].title)
    assert script["told_burglary"].title not in mo.get("/desk/practice/feedback").text


def test_a_sealed_chat_stays_sealed_in_practice(stage: Stage) -> None:
    (persona,) = stage.enter("officer_accused")
    stage.step(2)
    row = stage.chat(persona)
    assert row.sealed
    mo, sue = stage.sign_in(MODERATOR), stage.sign_in(SUPERVISOR)
    assert row.reference not in mo.get("/desk/queue").text
    assert mo.get(f"/desk/c/{row.id}").status_code == 404
    assert sue.do(row, "claim", epoch=row.epoch).status_code == 204
    title = stage.practice.script.scenarios["officer_accused"].title
    assert title in sue.get("/desk/practice/feedback").text
    assert title not in mo.get("/desk/practice/feedback").text


def test_a_crowd_makes_a_card_in_the_queue(stage: Stage) -> None:
    people = stage.enter("street_surge")
    assert stage.step() == len(people) == 8
    assert {stage.chat(one).state for one in people} == {"waiting"}
    mo = stage.sign_in(MODERATOR)

    def is_card() -> bool:
        stage.desk.run(stage.desk.gateway.core.grouping.sweep())
        return "8 people wrote nearly the same" in plain(mo.get("/desk/queue").text)

    wait_for(is_card)
    # The feedback counts the crowd once.
    words = plain(stage.sign_in(SUPERVISOR).get("/desk/practice/feedback").text)
    assert words.count(stage.practice.script.scenarios["street_surge"].title) == 1
    assert "Practice person 1 and 7 more" in words
    assert "Nobody has replied yet. The limit for a P3 is 30 min." in words


def test_the_supervisor_starts_and_begins_anew(stage: Stage) -> None:
    sue, mo = stage.sign_in(SUPERVISOR), stage.sign_in(MODERATOR)
    page = sue.get("/desk/practice").text
    for one in (*stage.practice.script.scenarios.values(), *stage.practice.script.sessions.values()):
        assert one.title in page
    assert "Nobody is on stage." in page
    wrong = sue.post("/desk/practice/start", what="scenario.nothing", speed="1")
    assert wrong.status_code == 422
    assert "Choose something to practise." in wrong.text
    started = sue.post("/desk/practice/start", what="session.critical_incident", speed="4")
    assert started.url.path == "/desk/practice"
    assert "They are on their way." in started.text
    assert sue.post("/desk/practice/start", what="scenario.grateful", speed="1").status_code == 200
    assert "On stage (16)" in sue.get("/desk/practice").text
    # Whoever is due at the very beginning: the river, and the thanks.
    assert stage.step() >= 1
    wet = next(one for one in stage.practice.personas.values() if one.scenario == "in_the_water")
    row = stage.chat(wet)
    assert mo.do(row, "claim", epoch=row.epoch).status_code == 204

    run = stage.practice.run_number
    again = sue.post("/desk/practice/reset")
    assert "Every chat has ended." in again.text
    assert "Nobody is on stage." in again.text
    closed = stage.chat(wet)
    assert (closed.state, closed.outcome, closed.owner_id) == ("closed", "test", None)
    assert stage.step() == 0
    assert row.reference not in mo.get("/desk/queue").text
    assert "You have had no chat" in mo.get("/desk/practice/feedback").text
    (persona,) = stage.enter("grateful")
    assert stage.step() == 1
    assert persona.id == f"run{run + 1}-1"
    assert stage.chat(persona).state == "waiting"


def test_only_a_supervisor_directs(stage: Stage) -> None:
    mo, nobody = stage.sign_in(MODERATOR), stage.desk.browser()
    for path in ("/desk/practice", "/desk/practice/feedback/1"):
        assert mo.get(path).status_code == 403
        assert nobody.get(path).url.path == "/desk/sign-in"
    for path in ("/desk/practice/start", "/desk/practice/reset"):
        assert mo.post(path, what="scenario.grateful", speed="1").status_code == 403
        assert nobody.post(path, what="scenario.grateful", speed="1").url.path == "/desk/sign-in"
    assert not stage.practice.personas
    sue = stage.sign_in(SUPERVISOR)
    assert sue.get("/desk/practice/feedback/987").status_code == 404
    sue.csrf = "another"
    assert sue.post("/desk/practice/start", what="scenario.grateful", speed="1").status_code == 403
    assert not stage.practice.personas


def test_every_page_says_that_it_is_practice(stage: Stage) -> None:
    signing_in = stage.desk.browser().get("/desk/sign-in").text
    for username, password, _role in stage.practice.accounts:
        assert username in signing_in
        assert password in signing_in
    sue = stage.sign_in(SUPERVISOR)
    assert COOKIE in sue.client.cookies
    assert DESK_COOKIE not in sue.client.cookies
    (persona,) = stage.enter("in_the_water")
    stage.step()
    pages = ["/desk/queue", "/desk/recent", "/desk/find", "/desk/overview", "/desk/staff", "/desk/account",
             "/desk/practice", "/desk/practice/feedback", f"/desk/c/{stage.chat(persona).id}"]  # fmt: skip
    for page in [signing_in, *(sue.get(path).text for path in pages)]:
        assert BANNER in page
        assert re.search(r"<title>\s*Practice: ", page)
    assert stage.practice.accounts[0][1] not in sue.get("/desk/queue").text


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with running_chromium() as browser:
        yield browser


@pytest.mark.e2e
def test_it_works_in_a_browser_and_for_everybody(stage: Stage, chromium: Chromium) -> None:
    passwords = {username: password for username, password, _role in stage.practice.accounts}
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, base_url=stage.desk.base)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto("/desk/practice")
    expect(page.get_by_role("heading", name="Accounts to practise with")).to_be_visible()
    looked = {"sign-in": axe(page)}
    page.get_by_label("User name", exact=True).fill(SUPERVISOR)
    page.get_by_role("textbox", name="Password").fill(passwords[SUPERVISOR])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Choose what to practise")).to_be_visible()
    working(page)
    looked["practice"] = axe(page)
    title = stage.practice.script.scenarios["in_the_water"].title
    page.get_by_label(f"{title} (P1)").check()
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("They are on their way.")).to_be_visible()
    expect(page.get_by_role("cell", name=title)).to_be_visible()
    assert stage.step() == 1
    page.get_by_role("link", name="Feedback").click()
    expect(page.get_by_role("heading", name="Nobody took these")).to_be_visible()
    working(page)
    page.get_by_text("What the card says").click()
    expect(page.get_by_role("heading", name="Never ask or say")).to_be_visible()
    looked["feedback"] = axe(page)
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 320, "height": 800})
    for path, heading in (
        ("/desk/practice", "Choose what to practise"), ("/desk/practice/feedback", "Your feedback"),
    ):  # fmt: skip
        go(page, path)
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
        looked[f"{path}, dark and narrow"] = [*axe(page), *sideways(page)]
    context.close()
    assert {name: found for name, found in looked.items() if found} == {}
    assert complaints == []
