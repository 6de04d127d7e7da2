"""The queue's page over HTTP: taking the next, filters, handing on, the end of a shift, cards, measures."""

from __future__ import annotations

import html
import re
import time
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from bot.console import lists
from bot.store.record import now
from bot.store.tables import Conversation, Measure, Note, Outbox, Staff, StaffSession, Surge
from tests.console.serving import TEAMS, Browser, Desk
from tests.support.world import P1, P3

pytestmark = pytest.mark.integration

RUMOUR = "is it true that the old bridge at wylam is shut for the whole of sunday"


def grade(desk: Desk, person: str, grade: str, **values: object) -> int:
    row = desk.say("hello there", person)
    given = {
        "state": "waiting",
        "grade": grade,
        "category": "R20",
        "team": "digital_desk",
        "waiting_since": now(),
    }
    desk.change(update(Conversation).where(Conversation.id == row.id).values(**given | values))
    return int(row.id)


def press(page: str) -> str:
    found = re.search(r'name="press" value="(\w+)"', page)
    assert found
    return found[1]


def test_take_the_next_opens_the_most_urgent_and_a_press_takes_one(any_desk: Desk) -> None:
    grade(any_desk, "ann", "P4")
    urgent = grade(any_desk, "bob", "P2")
    mo = any_desk.browser("mo")
    token = press(mo.get("/desk/queue").text)
    first = mo.post("/desk/queue/next", press=token)
    assert first.url.path == f"/desk/c/{urgent}"
    assert "You have this chat now" in first.text
    again = mo.post("/desk/queue/next", part=True, press=token)
    assert again.headers["hx-redirect"] == f"/desk/c/{urgent}?done=claim"
    assert any_desk.chat("ann").state == "waiting"
    mo.post("/desk/queue/next", press=press(mo.get("/desk/queue").text))
    assert any_desk.chat("ann").state == "human"
    nothing = mo.post("/desk/queue/next", press="x")
    assert nothing.status_code == 422
    assert "Nothing waits that you may take." in nothing.text


def test_a_p1_may_be_taken_in_the_list_just_where_a_claim_would_be_heard(
    any_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = any_desk
    urgent = grade(desk, "bob", "P1", team="control_room")
    monkeypatch.setitem(TEAMS, "kim", ("moderator", ["digital_desk"]))
    desk.hire("kim")
    kim = desk.browser("kim")
    # Kim's team takes no P1, but nobody is there who does.
    assert f'id="claim-{urgent}"' in kim.get("/desk/queue").text
    mo = desk.browser("mo")
    assert f'id="claim-{urgent}"' in mo.get("/desk/queue").text
    assert f'id="claim-{urgent}"' not in kim.get("/desk/queue").text
    refused = kim.do(desk.chat("bob"), "claim", epoch=desk.chat("bob").epoch)
    assert "Your teams do not take a P1." in refused.text


def test_filters_stay_in_the_address_that_the_page_refreshes_from(desk: Desk) -> None:
    ann = desk.chat("ann") if grade(desk, "ann", "P3") else None
    assert ann is not None
    grade(desk, "bob", "P4", team="control_room")
    mo = desk.browser("mo")
    page = mo.get("/desk/queue?grade=P3&team=digital_desk&takeable=yes").text
    found = re.search(r'hx-get="(/desk/queue/rows[^"]*)"', page)
    assert found
    address = found[1].replace("&amp;", "&")
    assert set(address.partition("?")[2].split("&")) == {"grade=P3", "team=digital_desk", "takeable=yes"}
    for text in (page, mo.get(address, **{"HX-Request": "true"}).text):
        assert ann.reference in text
        assert desk.chat("bob").reference not in text
    assert "Waiting (1)" in page
    # A count says what another choice would show: of the grade without the grade's own filter.
    assert re.search(r"P4</span> <strong>0</strong>", page)
    assert re.search(r"P4</span> <strong>1</strong>", mo.get("/desk/queue?grade=P3").text)
    odd = mo.get("/desk/queue?grade=P9&team=%00&language=zzzzzzzzzzzz&state=nothing&category=%F0%9F%98%80")
    assert odd.status_code == 200


def test_the_list_says_how_many_more_there_are(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from bot.console import queue

    monkeypatch.setitem(queue.SHOWN, "waiting", 2)
    for number in range(5):
        grade(desk, f"person{number}", "P3")
    page = desk.browser("mo").get("/desk/queue").text
    assert "Waiting (5)" in page
    assert "and 3 more" in page
    assert page.count('class="desk-row ') == 2


def shown(text: str, section: str) -> int:
    """How many rows a list has."""
    found = re.search(rf'aria-labelledby="{section}-title".*?</section>', text, re.DOTALL)
    return found[0].count('class="desk-row ') if found else 0


def mark(text: str) -> str:
    found = re.search(r'id="rows-mark" name="have" value="(\w+)"', text)
    assert found
    return found[1]


def test_a_page_carries_the_first_of_each_list_and_a_link_to_more(
    any_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(lists.FIRST, "waiting", 2)
    monkeypatch.setitem(lists.FIRST, "others", 1)
    for number in range(4):
        grade(any_desk, f"waits{number}", "P3")
    jo = any_desk.browser("jo")
    for number in range(3):
        grade(any_desk, f"owned{number}", "P4")
        row = any_desk.chat(f"owned{number}")
        assert jo.do(row, "claim", epoch=row.epoch).status_code == 204
    mo = any_desk.browser("mo")
    page = mo.get("/desk/queue").text
    assert "Waiting (4)" in page
    assert "With somebody else (3)" in page
    assert (shown(page, "waiting"), shown(page, "others")) == (2, 1)
    assert "and 2 more." in page
    links = [html.unescape(one) for one in re.findall(r'href="(/desk/queue\?[^"]*show=all[^"]*)"', page)]
    assert links == ["/desk/queue?state=waiting&show=all", "/desk/queue?state=others&show=all"]
    for link, section, all_of_them in zip(links, ("waiting", "others"), (4, 3), strict=True):
        whole = mo.get(link).text
        assert shown(whole, section) == all_of_them
        assert "desk-more" not in whole
        # And it stays whole when it comes anew.
        address = re.search(r'hx-get="(/desk/queue/rows[^"]*)"', whole)
        assert address
        assert shown(mo.get(html.unescape(address[1])).text, section) == all_of_them
    # What somebody has is always shown to them.
    assert shown(jo.get("/desk/queue").text, "mine") == 3


def test_p1_and_p2_are_never_left_out(any_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lists.FIRST, "waiting", 2)
    monkeypatch.setattr(lists, "BESIDE_URGENT", 1)
    grades = ["P2", "P4", "P2", "P1", "P3", "P2", "P3"]
    ids = {grade(any_desk, f"person{number}", one): one for number, one in enumerate(grades)}
    mo = any_desk.browser("mo")
    for path in ("/desk/queue", "/desk/queue/rows", "/desk/queue?team=digital_desk"):
        text = mo.get(path).text
        order = [ids[int(one)] for one in re.findall(r'id="row-(\d+)"', text)]
        assert order == ["P1", "P2", "P2", "P2", "P3"], path
        assert "Waiting (7)" in text
    assert shown(mo.get("/desk/queue?grade=P3").text, "waiting") == 2


@pytest.mark.parametrize(
    ("most", "expected"), [(50, ["P1", "P1", "P2", "P2"]), (3, ["P1", "P1", "P2"]), (1, ["P1", "P1"])]
)
def test_no_p1_that_somebody_has_is_left_out_nor_a_p2_of_the_whole_list(
    any_desk: Desk, monkeypatch: pytest.MonkeyPatch, most: int, expected: list[str]
) -> None:
    monkeypatch.setitem(lists.FIRST, "others", 1)
    monkeypatch.setitem(lists.SHOWN, "others", most)
    jo = next(one.id for one in any_desk.rows(Staff) if one.username == "jo")
    grades = ["P3", "P2", "P1", "P4", "P2", "P1"]
    owned = {"state": "human", "owner_id": jo}
    ids = {grade(any_desk, f"person{number}", one, **owned): one for number, one in enumerate(grades)}
    text = any_desk.browser("mo").get("/desk/queue/rows").text
    assert "With somebody else (6)" in text
    assert [ids[int(one)] for one in re.findall(r'id="row-(\d+)"', text)] == expected


def unchanged(browser: Browser, path: str) -> str:
    """The mark of a page for which there is nothing new; a clock that was just set may still be new at first."""
    for _ in range(20):
        have = mark(browser.get(path).text)
        answer = browser.get(f"/desk/queue/rows?have={have}")
        if answer.status_code == 204:
            assert answer.content == b""
            return have
    raise AssertionError("the list was sent each time")


def test_lists_that_are_as_the_page_has_them_are_not_sent(any_desk: Desk) -> None:
    grade(any_desk, "ann", "P3", waiting_since=now() - timedelta(minutes=5))
    mo, jo = any_desk.browser("mo"), any_desk.browser("jo")
    have = unchanged(mo, "/desk/queue")
    row = any_desk.chat("ann")
    assert jo.do(row, "claim", epoch=row.epoch).status_code == 204
    changed = mo.get(f"/desk/queue/rows?have={have}")
    assert changed.status_code == 200
    assert row.reference in changed.text
    assert "Jo Tester" in changed.text
    have = unchanged(mo, "/desk/queue/rows")
    # What is the same for two is not the same page: jo has it.
    assert jo.get(f"/desk/queue/rows?have={have}").status_code == 200


def test_that_time_passes_is_no_change() -> None:
    """A page counts waits and dues on by itself; that something is late is shown at once."""

    def said(waited: str, due: str, late: str = "") -> str:
        return lists.Section.of(
            f'<li>FC-1 <time class="desk-wait" datetime="t" data-since="t">{waited}</time>'
            f'<span class="desk-chip{late}">Reply <time datetime="u" data-due="u">{due}</time></span></li>'
        ).mark

    first = said("5 min", "due in 9 min")
    assert said("6 min", "due in 8 min") == first
    assert said("5 min", "due in 9 min", " desk-chip--warn") != first
    assert lists.Section.of("<li>FC-2</li>").mark != lists.Section.of("<li>FC-1</li>").mark
    # Each gateway has another stand-in for the form's token, and all make the same mark.
    here, there = (f'<input type="hidden" name="csrf" value="{one}"> FC-1' for one in ("ab", "cd"))
    assert lists.Section.of(here).mark == lists.Section.of(there).mark
    assert lists.Section.of(here + "0").mark != lists.Section.of(there).mark


def test_what_readers_share_holds_nothing_of_one_of_them(any_desk: Desk) -> None:
    """Two with the same sight are shown one rendering; a third sees no more than is theirs."""
    grade(any_desk, "ann", "P3")
    grade(any_desk, "bob", "P2", team="professional_standards")
    hidden = any_desk.chat("bob").reference
    mo, mo_too, jo, sue = (any_desk.browser(name) for name in ("mo", "mo", "jo", "sue"))
    tokens = {}
    for browser in (sue, mo, mo_too, jo, sue):
        text = browser.get("/desk/queue/rows").text
        assert (hidden in text) is (browser is sue)
        assert re.search(r"P2</span> <strong>(\d)</strong>", text)[1] == str(int(browser is sue))  # type: ignore[index]
        tokens[browser.client] = set(re.findall(r'name="csrf" value="([^"]+)"', text))
    assert all(len(one) == 1 for one in tokens.values())
    assert len({next(iter(one)) for one in tokens.values()}) == 4
    # What becomes theirs no more is gone from the next answer, whatever is kept.
    have = mark(mo.get("/desk/queue/rows").text)
    row = any_desk.chat("ann")
    any_desk.change(
        update(Conversation).where(Conversation.id == row.id).values(team="professional_standards")
    )
    gone = mo.get(f"/desk/queue/rows?have={have}")
    assert gone.status_code == 200
    assert row.reference not in gone.text


def test_several_are_handed_on_and_the_page_says_what_became_of_each(desk: Desk) -> None:
    calm, other, urgent = grade(desk, "ann", "P3"), grade(desk, "bob", "P4"), grade(desk, "cat", "P1")
    mo = desk.browser("mo")
    page = mo.get("/desk/queue").text
    assert f'id="choose-{calm}"' in page
    assert f'id="choose-{urgent}"' not in page
    fields = {"csrf": mo.csrf, "team": "control_room", "note": "for the night"}
    answer = mo.client.post(
        "/desk/queue/hand-on", data={**fields, "chat": [str(calm), str(other), str(urgent), "x"]}
    )
    assert "2 handed on, 1 refused" in answer.text
    assert f"{desk.chat('cat').reference}: A P1 is not handed on" in answer.text
    assert [desk.chat(person).team for person in ("ann", "bob", "cat")] == [
        "control_room",
        "control_room",
        "digital_desk",
    ]
    assert len(desk.audit("transfer")) == 2
    none = mo.post("/desk/queue/hand-on", part=True, team="control_room", note="a note")
    assert none.status_code == 422
    assert "at least one" in none.text


def test_the_end_of_a_shift_hands_on_and_signs_out(desk: Desk) -> None:
    calm = grade(desk, "ann", "P3")
    mo = desk.browser("mo")
    mo.do(desk.chat("ann"), "claim", epoch=desk.chat("ann").epoch)
    page = mo.get("/desk/end-shift").text
    assert desk.chat("ann").reference in page
    refused = mo.post("/desk/end-shift", note="")
    assert refused.status_code == 422
    assert "Write a note" in refused.text
    gone = mo.post("/desk/end-shift", note="gone home")
    assert gone.url.path == "/desk/sign-in"
    row = desk.chat("ann")
    assert (row.id, row.state, row.owner_id, row.front) == (calm, "waiting", None, False)
    assert [note.text for note in desk.rows(Note)] == ["gone home"]
    assert desk.rows(StaffSession) == []
    assert mo.get("/desk/queue").url.path == "/desk/sign-in"


def test_a_p1_stays_with_who_goes_until_it_is_accepted(desk: Desk) -> None:
    row = desk.say(P1)
    mo, sue = desk.browser("mo"), desk.browser("sue")
    mo.do(row, "claim", epoch=row.epoch)
    mo.get("/desk/end-shift")
    stays = mo.post("/desk/end-shift", note="gone home", **{f"team_{row.id}": "control_room", "team_x": "1"})
    assert stays.status_code == 200
    assert "You are still signed in" in stays.text
    after = desk.chat()
    assert (after.state, after.transfer_team) == ("human", "control_room")
    assert sue.do(after, "accept").status_code == 204
    mo.get("/desk/end-shift")
    assert mo.post("/desk/end-shift", note="").url.path == "/desk/sign-in"
    assert desk.chat().state == "human"


def crowd(desk: Desk) -> int:
    for number in range(5):
        row = desk.say(RUMOUR, f"person{number}")
        values = {
            "state": "waiting",
            "grade": "P4",
            "category": "R20",
            "team": "digital_desk",
            "waiting_since": now(),
        }
        desk.change(update(Conversation).where(Conversation.id == row.id).values(**values))
    desk.run(desk.gateway.core.grouping.sweep())
    return int(desk.rows(Surge)[0].id)


def all_sent(desk: Desk, count: int) -> list[Any]:
    """What staff sent, once there is so much of it: the gateway's own clocks are at it too."""
    for _ in range(200):
        desk.run(desk.gateway.core.clocks.look())
        staff = desk.rows(Outbox, Outbox.kind == "staff")
        if len(staff) >= count:
            return staff
        time.sleep(0.05)
    raise AssertionError("the answer did not reach everybody")


def approve(browser: Browser, card: int, text: str) -> int:
    browser.get(f"/desk/surges/{card}")
    return browser.post(f"/desk/surges/{card}/approve", answer=text).status_code


def test_a_surge_is_one_card_and_two_people_answer_it(any_desk: Desk) -> None:
    card = crowd(any_desk)
    mo, jo = any_desk.browser("mo"), any_desk.browser("jo")
    page = mo.get("/desk/queue").text
    assert "5 people wrote nearly the same" in page
    assert "Waiting (0)" in page
    assert any_desk.chat("person0").reference not in page
    mo.get(f"/desk/surges/{card}")
    text = "The bridge is open.\r\nThe council says when work is planned."
    assert mo.post(f"/desk/surges/{card}/write", text=text).status_code == 200
    assert approve(mo, card, text) == 403
    assert "Approve, and send it to 5 people" in jo.get(f"/desk/surges/{card}").text
    assert approve(jo, card, text) == 200
    staff = all_sent(any_desk, 5)
    assert [row.text for row in staff] == [text.replace("\r\n", "\n")] * 5
    assert "not open any more" in mo.get(f"/desk/surges/{card}").text
    assert "not open any more" in mo.get("/desk/surges/987654").text


def test_measures_beside_a_chat(desk: Desk) -> None:
    row = desk.say(P3)
    mo, sue = desk.browser("mo"), desk.browser("sue")
    mo.do(row, "claim", epoch=row.epoch)
    path = f"/desk/c/{row.id}/measures"
    box = mo.get(path).text
    assert desk.gateway.core.content.current.line("warned") in box
    assert "Block" not in box
    assert "The warning is on its way" in mo.post(path, part=True, kind="warn", reason="swore at us").text
    assert [one.text for one in desk.outbox("notice")][-1] == desk.gateway.core.content.current.line("warned")
    assert mo.post(path, part=True, kind="hide", reason="foul words", days="7").status_code == 200
    assert mo.post(path, part=True, kind="block", reason="foul words").status_code == 403
    assert mo.post(f"{path}/end", part=True, kind="hide", reason="enough").status_code == 403
    page = desk.browser("jo").get("/desk/queue").text
    assert f'id="folded-{row.id}"' in page
    sue.get("/desk/queue")
    assert sue.post(path, part=True, kind="block", reason="foul words", days="0").status_code == 422
    assert sue.post(path, part=True, kind="block", reason="foul words").status_code == 200
    desk.change(update(Measure).values(review_at=now()).where(Measure.kind == "block"))
    assert "1 measure needs a review" in sue.get("/desk/queue").text
    assert "needs a review" not in mo.get("/desk/queue").text
    block = desk.rows(Measure, Measure.kind == "block")[0]
    assert "Review due" in sue.get("/desk/measures").text
    assert sue.post("/desk/measures/review", measure=block.id, reason="it goes on").status_code == 200
    assert "Review due" not in sue.get("/desk/measures").text
    assert "It has ended" in sue.post(f"{path}/end", part=True, kind="block", reason="enough").text
    assert sue.post(f"{path}/end", part=True, kind="block", reason="enough").status_code == 409
