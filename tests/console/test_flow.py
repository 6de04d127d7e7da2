"""What staff do at the desk, over HTTP, without scripts: from the first page to a closed chat."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from bot.accounts.sessions import REFUSAL
from bot.errors import RejectedError, UnsureError
from bot.store.tables import Conversation, Outbox, Person, Staff, StaffSession
from tests.console.serving import Browser, Desk, serving
from tests.support.channel import Fault
from tests.support.databases import SqliteTemplates
from tests.support.world import INCIDENT, P1, P2_HIDDEN, P3

pytestmark = pytest.mark.integration


def take(browser: Browser, person: str = "ann") -> int:
    row = browser.desk.chat(person)
    answer = browser.do(row, "claim", epoch=row.epoch)
    assert answer.status_code == 204, answer.text
    return int(row.id)


def section(text: str, title: str) -> str:
    found = re.search(rf'<section aria-labelledby="{title}">(.*?)</section>', text, re.S)
    return found[1] if found else ""


# ---- signing in -----------------------------------------------------------------------------------


def test_a_wrong_password_gets_one_sentence_and_the_name_back(desk: Desk) -> None:
    browser = desk.browser()
    answer = browser.client.post("/desk/sign-in", data={"username": "mo", "password": "wrong"})
    assert answer.status_code == 422
    assert REFUSAL in answer.text
    assert 'value="mo"' in answer.text
    assert "wrong" not in answer.text.replace("wrong tries", "")


def test_signing_in_again_ends_the_session_of_before(desk: Desk) -> None:
    browser = desk.browser("mo")
    before = browser.client.cookies["desk_session"]
    browser.sign_in("mo")
    assert browser.client.cookies["desk_session"] != before
    assert len(desk.rows(StaffSession, StaffSession.id.is_not(None))) == 1


def test_roles_without_a_queue_read_which_parts_they_have(desk: Desk) -> None:
    for username, part in (("cam", "Answers and wording"), ("ada", "Staff accounts")):
        page = desk.browser(username).get("/desk")
        assert part in page.text
        assert "/desk/queue" not in page.text


def test_the_desk_reads_which_language_a_person_probably_writes(any_desk: Desk) -> None:
    any_desk.say("Zgubiłem dokumenty w autobusie, gdzie mam je zgłosić")
    browser = any_desk.browser("mo")
    assert "probably Polish" in browser.get("/desk/queue").text
    page = browser.get(f"/desk/c/{any_desk.chat().id}").text
    assert page.count("probably Polish") >= 2
    any_desk.say(P3, "bob")
    assert "probably" not in browser.get(f"/desk/c/{any_desk.chat('bob').id}").text


def test_signing_out_gives_the_chats_back(desk: Desk) -> None:
    desk.say(P3)
    browser = desk.browser("mo")
    take(browser)
    browser.post("/desk/sign-out")
    row = desk.chat()
    assert (row.state, row.owner_id, row.front) == ("waiting", None, True)
    assert "Sign in" in browser.get("/desk/queue").text


def test_signing_out_of_one_of_two_browsers_keeps_the_chats(desk: Desk) -> None:
    desk.say(P3)
    first, second = desk.browser("mo"), desk.browser("mo")
    take(first)
    second.post("/desk/sign-out")
    assert desk.chat().state == "human"
    third = desk.browser("mo")
    third.post("/desk/lock")  # a locked page is nobody at the desk
    first.post("/desk/sign-out")
    assert desk.chat().state == "waiting"


def test_the_lock_keeps_the_draft_and_sends_the_reader_back(desk: Desk) -> None:
    desk.say(P3)
    browser = desk.browser("mo")
    chat = take(browser)
    browser.get(f"/desk/c/{chat}")
    assert browser.post(f"/desk/c/{chat}/draft", text="half a sentence").status_code == 204
    desk.go_idle()

    locked = browser.get(f"/desk/c/{chat}")
    assert "The desk is locked" in locked.text
    assert "half a sentence" not in locked.text
    wrong = browser.post("/desk/unlock", password="wrong wrong", next=f"/desk/c/{chat}")
    assert wrong.status_code == 422
    back = browser.post("/desk/unlock", password="correct horse battery", next=f"/desk/c/{chat}")
    assert back.url.path == f"/desk/c/{chat}"
    assert "half a sentence" in back.text


def test_a_suspended_member_of_staff_is_out_at_the_next_click(desk: Desk) -> None:
    browser = desk.browser("mo")
    desk.change(update(Staff).where(Staff.username == "mo").values(active=False))
    assert browser.get("/desk/queue").url.path == "/desk/sign-in"


def test_the_cookie_is_secure_where_the_force_says_so(sqlite_templates: SqliteTemplates) -> None:
    with serving(sqlite_templates.fresh(), secure_cookies=True) as desk:
        desk.hire("mo")
        answer = desk.browser().client.post(
            "/desk/sign-in",
            data={"username": "mo", "password": "correct horse battery"},
            follow_redirects=False,
        )
        assert "secure" in answer.headers["set-cookie"].casefold()


def test_a_demonstration_says_so_on_every_page(sqlite_templates: SqliteTemplates) -> None:
    with serving(sqlite_templates.fresh(), demo=True) as desk:
        desk.hire("mo", "cam")
        line = desk.gateway.core.content.current.line("demo_banner")
        row = desk.say(P3)
        mo = desk.browser("mo")
        for path in ("/desk/queue", "/desk/recent", f"/desk/c/{row.id}", "/desk/c/99"):
            assert line in mo.get(path).text
        assert line in desk.browser().get("/desk/sign-in").text
        assert line in desk.browser("cam").get("/desk").text
        desk.go_idle()
        assert line in mo.get("/desk/queue").text


# ---- the queue ------------------------------------------------------------------------------------


def test_the_queue_shows_the_worst_first_and_why(any_desk: Desk) -> None:
    desk = any_desk
    desk.say(P3, "ann")
    desk.say(P1, "bob")
    desk.say(P2_HIDDEN, "cas")
    page = desk.browser("mo").get("/desk/queue").text

    waiting = section(page, "waiting-title")
    places = [waiting.index(desk.chat(person).reference) for person in ("bob", "cas", "ann")]
    assert places == sorted(places)
    (word, *_) = desk.chat("bob").reasons[0]["words"]
    assert f'<mark class="desk-word">{word}</mark>' in waiting
    assert "the safety words list" in waiting
    assert not desk.audit("open")  # a listing is not looking


def test_what_the_caller_has_stands_on_top(desk: Desk) -> None:
    desk.say(P1, "bob")
    desk.say(P3, "ann")
    mo, jo = desk.browser("mo"), desk.browser("jo")
    take(mo, "ann")
    reference = desk.chat("ann").reference
    assert reference in section(mo.get("/desk/queue").text, "mine-title")
    assert reference in section(jo.get("/desk/queue").text, "others-title")
    assert "Mo Tester" in section(jo.get("/desk/queue").text, "others-title")


def test_only_members_see_the_chats_of_a_restricted_team(desk: Desk) -> None:
    row = desk.say(P3)
    desk.change(update(Conversation).values(team="professional_standards"))
    mo, sue = desk.browser("mo"), desk.browser("sue")
    for path in ("/desk/queue", "/desk/queue/rows", "/desk/recent", "/desk/alarms", "/desk/own"):
        assert row.reference not in mo.get(path).text
    for path in ("", "/live", "/answers?q=a"):
        answer = mo.get(f"/desk/c/{row.id}{path}")
        assert answer.status_code == 404
        assert row.reference not in answer.text
    for action in ("claim", "note", "draft", "close", "return", "acknowledge", "grade", "escalate", "reply"):
        fields = {"epoch": row.epoch, "note": "note", "text": "text", "reason": "reason", "grade": "P2",
                  "outcome": "answered"}  # fmt: skip
        assert mo.do(row, action, **fields).status_code == 404, action
    assert desk.chat().state == "waiting"
    assert row.reference in sue.get("/desk/queue").text


def test_opening_is_recorded_before_anything_is_shown(desk: Desk) -> None:
    row = desk.say(P3)
    desk.browser("mo").get(f"/desk/c/{row.id}")
    (audit,) = desk.audit("open")
    assert (audit.actor, audit.conversation_id) == ("Mo Tester", row.id)


# ---- one chat -------------------------------------------------------------------------------------


def test_of_ten_who_claim_at_once_one_gets_it_and_the_others_read_who(any_desk: Desk) -> None:
    desk = any_desk
    row = desk.say(P1)
    browsers = [desk.browser(("mo", "jo", "sue")[n % 3]) for n in range(10)]
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda b: b.do(row, "claim", epoch=row.epoch), browsers))

    owner = desk.chat().owner_id
    (name,) = [one.name for one in desk.rows(Staff) if one.id == owner]
    won = [answer for answer in answers if answer.status_code == 204]
    lost = [answer for answer in answers if answer.status_code != 204]
    assert 3 <= len(won) <= 4  # the winner's own browsers
    assert {answer.status_code for answer in lost} == {409}
    assert all(f"{name} has this chat." in answer.text for answer in lost)
    assert len(desk.audit("claim")) == 1


def test_claim_reply_note_and_close(any_desk: Desk) -> None:
    desk = any_desk
    row = desk.say(P3)
    mo, jo = desk.browser("mo"), desk.browser("jo")
    chat = take(mo)
    mo.post(f"/desk/c/{chat}/draft", text="Hello there")

    page = mo.get(f"/desk/c/{chat}").text
    assert 'id="text"' in page
    assert "Hello there" in page
    sent = mo.do(row, "reply", text="Hello there, this is the desk.")
    assert sent.status_code == 200
    assert "Hello there" not in sent.text  # an empty composer
    assert desk.outbox("staff")[-1].text == "Hello there, this is the desk."

    mo.do(row, "note", note="Rang the control room.")
    live = jo.get(f"/desk/c/{chat}/live?shape=").text
    assert "Rang the control room." in live
    assert "Only staff can see this." in live
    assert "Mo Tester" in live
    assert desk.gateway.core.content.current.desk_name in live
    assert all("control room" not in one.text for one in desk.rows(Outbox))

    assert mo.do(row, "close", outcome="crime_recorded").status_code == 422
    assert mo.do(row, "close", outcome="crime_recorded", what_was_done="Recorded it.").status_code == 422
    closed = mo.do(row, "close", outcome="crime_recorded", what_was_done="Recorded it.", incident=INCIDENT)
    assert closed.headers["HX-Redirect"] == f"/desk/c/{chat}?done=close"
    assert desk.chat().state == "closed"
    assert desk.rows(Outbox)[-1].kind == "notice"
    assert row.reference in mo.get("/desk/recent?state=closed").text


def test_a_stale_send_is_refused_and_the_text_is_kept(desk: Desk) -> None:
    row = desk.say(P3)
    mo, sue = desk.browser("mo"), desk.browser("sue")
    chat = take(mo)
    assert sue.do(row, "take-over").status_code == 204

    refused = mo.do(row, "reply", text="too late")
    assert refused.status_code == 409
    assert refused.headers["HX-Retarget"] == "#problem"
    assert "You do not have this chat." in refused.text
    assert "too late" in mo.get(f"/desk/c/{chat}").text
    plain = mo.post(f"/desk/c/{chat}/reply", text="too late again")
    assert plain.status_code == 409
    assert "too late again" in plain.text
    assert not desk.outbox("staff")


def test_only_the_owner_has_a_composer(desk: Desk) -> None:
    row = desk.say(P3)
    mo, jo = desk.browser("mo"), desk.browser("jo")
    take(mo)
    assert 'id="text"' in mo.get(f"/desk/c/{row.id}").text
    page = jo.get(f"/desk/c/{row.id}").text
    assert 'id="text"' not in page
    assert "Mo Tester has this chat." in page


def test_release_gives_a_quiet_chat_back_and_keeps_an_urgent_one(desk: Desk) -> None:
    quiet = desk.say(P3, "ann")
    urgent = desk.say(P1, "bob")
    mo = desk.browser("mo")
    take(mo, "ann")
    take(mo, "bob")
    assert mo.do(quiet, "release").status_code == 204
    refused = mo.do(urgent, "release")
    assert refused.status_code == 422
    assert "A P1 or P2 stays with a person." in refused.text
    assert (desk.chat("ann").state, desk.chat("bob").state) == ("bot", "human")


def test_a_warm_transfer_keeps_its_owner_until_it_is_accepted(desk: Desk) -> None:
    row = desk.say(P1)
    mo, jo = desk.browser("mo"), desk.browser("jo")
    take(mo)
    assert mo.do(row, "transfer", team="safeguarding", note="").status_code == 422
    assert mo.do(row, "transfer", team="safeguarding", note="A child is there.").status_code == 204
    assert desk.chat().owner_id == desk.rows(Staff, Staff.username == "mo")[0].id
    assert "Accept" in jo.get("/desk/queue").text
    assert jo.do(row, "accept").status_code == 204
    assert desk.chat().owner_id == desk.rows(Staff, Staff.username == "jo")[0].id
    assert "A child is there." in jo.get(f"/desk/c/{row.id}").text


def test_a_quiet_transfer_goes_to_the_queue_of_the_other_team(desk: Desk) -> None:
    row = desk.say(P3)
    mo = desk.browser("mo")
    take(mo)
    done = mo.do(row, "transfer", team="safeguarding", note="For you.")
    assert done.headers["HX-Redirect"] == "/desk/queue"
    assert (desk.chat().state, desk.chat().team) == ("waiting", "safeguarding")


def test_grades_are_changed_with_a_reason_and_p1_is_never_returned(desk: Desk) -> None:
    row = desk.say(P1)
    mo = desk.browser("mo")
    assert mo.do(row, "return", reason="no need").status_code == 422
    take(mo)
    assert mo.do(row, "grade", grade="P3", reason="").status_code == 422
    assert mo.do(row, "grade", grade="P3", reason="It was a film.").status_code == 204
    assert desk.chat().grade == "P3"


def test_a_chat_of_the_assistant_is_put_into_the_queue_by_hand(any_desk: Desk) -> None:
    desk = any_desk
    row = desk.say("how long is the wait for 101")
    assert row.state == "bot"
    mo = desk.browser("mo")
    assert row.reference in mo.get("/desk/recent").text
    assert mo.do(row, "escalate", reason="").status_code == 422
    assert mo.do(row, "escalate", reason="It reads like fear.").status_code == 204
    assert (desk.chat().state, desk.chat().grade) == ("waiting", "P3")
    assert mo.do(row, "return", reason="I was wrong.").status_code == 204
    assert desk.chat().state == "bot"


def test_only_a_supervisor_blocks(desk: Desk) -> None:
    row = desk.say(P3)
    mo, sue = desk.browser("mo"), desk.browser("sue")
    assert mo.do(row, "block", blocked="yes", reason="rude").status_code == 403
    assert sue.do(row, "block", blocked="yes", reason="abuse").status_code == 204
    assert desk.rows(Person)[0].blocked
    assert "Blocked person" in mo.get(f"/desk/c/{row.id}").text
    assert sue.do(row, "block", blocked="no", reason="appeal").status_code == 204
    assert not desk.rows(Person)[0].blocked


@pytest.mark.parametrize("error", [RejectedError("no such person"), UnsureError("no answer")])
def test_a_reply_that_did_not_arrive_can_be_sent_again(desk: Desk, error: Exception) -> None:
    row = desk.say(P3)
    mo = desk.browser("mo")
    chat = take(mo)
    wait_sent(desk)
    desk.platform.channel.fail_next(Fault(error))
    mo.do(row, "reply", text="Can you read this?")
    wait_sent(desk)
    first = desk.outbox("staff")[-1]
    page = mo.get(f"/desk/c/{chat}").text
    assert first.state in ("failed", "unknown")
    assert "Send again" in page
    assert mo.do(row, f"again/{first.id}").status_code == 204
    wait_sent(desk)
    assert [one.state for one in desk.outbox("staff")][-1] == "sent"
    assert "sent again below" in mo.get(f"/desk/c/{chat}").text


def wait_sent(desk: Desk) -> None:
    for _ in range(100):
        if not desk.rows(Outbox, Outbox.state.in_(("queued", "sending"))):
            return
        time.sleep(0.1)
    raise AssertionError("the outbox never came to rest")


def test_a_location_and_safe_contact_are_shown(desk: Desk) -> None:
    desk.say(P2_HIDDEN, "cas")
    row = desk.say("", "cas", kind="location", latitude=54.97, longitude=-1.61)
    page = desk.browser("jo").get(f"/desk/c/{row.id}").text
    assert "54.97000, -1.61000" in page
    assert "Safe contact." in page
    assert "Never ask or say" in page


def test_what_people_write_is_text_and_nothing_else(desk: Desk) -> None:
    nasty = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)> knife attack now"
    row = desk.say(nasty, name="<b>Bob</b>")
    mo = desk.browser("mo")
    for path in ("/desk/queue", f"/desk/c/{row.id}", f"/desk/c/{row.id}/live?shape=", "/desk/recent"):
        text = mo.get(path).text
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "<b>Bob" not in text


def test_approved_answers_are_found_by_their_words(desk: Desk) -> None:
    row = desk.say(P3)
    mo = desk.browser("mo")
    found = mo.get(f"/desk/c/{row.id}/answers?q=101 wait").text
    assert "Put into the reply" in found
    assert "[P101]" not in found
    assert "No answer holds these words." in mo.get(f"/desk/c/{row.id}/answers?q=xyzzy").text


def test_one_who_may_not_see_a_chat_cannot_keep_a_draft_in_it(desk: Desk) -> None:
    mo = desk.browser("mo")
    assert mo.post("/desk/c/4242/draft", text="x").status_code == 404


# ---- alarms ---------------------------------------------------------------------------------------


def ringing(browser: Browser) -> int:
    text = browser.get("/desk/alarms").text
    found = re.search(r'data-ring="(\d+)"', text)
    assert found is not None
    return int(found[1])


def test_a_p1_rings_until_somebody_looks_and_rings_again_for_new_danger(any_desk: Desk) -> None:
    desk = any_desk
    mo, jo, sue = desk.browser("mo"), desk.browser("jo"), desk.browser("sue")
    assert ringing(mo) == 0
    row = desk.say(P1)
    mo.get("/desk/queue")
    assert (ringing(mo), ringing(jo)) == (1, 1)
    assert P1 not in mo.get("/desk/alarms").text

    assert jo.do(row, "acknowledge").status_code == 200
    assert (ringing(mo), ringing(jo)) == (0, 0)
    assert "Seen and still waiting" in mo.get("/desk/alarms").text
    assert [one.actor for one in desk.audit("acknowledge")] == ["Jo Tester"]

    take(mo)
    assert (ringing(mo), ringing(jo), ringing(sue)) == (0, 0, 1)  # the supervisor has not looked
    sue.get(f"/desk/c/{row.id}")
    desk.say("he has stabbed someone")
    assert (ringing(mo), ringing(jo), ringing(sue)) == (1, 0, 1)
    mo.do(row, "reply", text="I am reading.")
    assert (ringing(mo), ringing(sue)) == (0, 1)


def test_an_unchanged_banner_is_not_sent_again(desk: Desk) -> None:
    desk.say(P1)
    mo = desk.browser("mo")
    mark = re.search(r'name="have" value="(\w+)"', mo.get("/desk/alarms").text)
    assert mark is not None
    assert mo.get(f"/desk/alarms?have={mark[1]}").status_code == 204
    own = re.search(r'name="have" value="(\w+)"', mo.get("/desk/own").text)
    assert own is not None
    assert mo.get(f"/desk/own?have={own[1]}").status_code == 204
