"""Two people at one chat, over HTTP: who looks on, drafts that outlive everything, pages that are behind."""

from __future__ import annotations

import html
import re
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from bot.store.tables import Draft, Message, StaffView
from tests.console.serving import TEAMS, Browser, Desk, serving
from tests.support.world import P1, P3

pytestmark = pytest.mark.integration


def take(browser: Browser) -> int:
    row = browser.desk.chat()
    answer = browser.do(row, "claim", epoch=row.epoch)
    assert answer.status_code == 204, answer.text
    return int(row.id)


def field(page: str, name: str) -> str:
    """The value of a hidden field of the composer."""
    form = re.search(r'<form class="desk-composer".*?</form>', page, re.S)
    assert form is not None
    found = re.search(rf'name="{name}" value="([^"]*)"', form[0])
    assert found is not None
    return found[1]


def kept(page: str, part: str = "kept-text") -> str:
    """What stands in one of the text fields of a page."""
    found = re.search(rf'<textarea[^>]*id="{part}"[^>]*>(.*?)</textarea>', page, re.S)
    return html.unescape(found[1]) if found else ""


def column(desk: Desk, of: Any) -> list[int]:
    """One column of a table that has no number of its own."""

    async def read() -> list[int]:
        async with desk.gateway.core.store.read() as connection:
            return list((await connection.execute(select(of))).scalars())

    return desk.run(read())


def words(answer: httpx.Response) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", answer.text).split())


def test_a_beat_says_who_else_looks_on_and_the_queue_marks_it(any_desk: Desk) -> None:
    desk = any_desk
    row = desk.say(P3)
    mo, jo, sue = desk.browser("mo"), desk.browser("jo"), desk.browser("sue")
    assert words(mo.do(row, "viewing")) == ""
    assert words(jo.do(row, "viewing", typing="yes")) == "Mo Tester has this chat open."
    assert words(mo.do(row, "viewing")) == "Jo Tester is typing."
    both = words(sue.do(row, "viewing"))
    assert both == "Jo Tester is typing. Mo Tester has this chat open."
    assert "Being read by Jo Tester, Mo Tester" in sue.get("/desk/queue/rows").text
    assert "Being read by Jo Tester, Sue Tester" in mo.get("/desk/queue/rows").text

    jo.post("/desk/sign-out")
    assert words(mo.do(row, "viewing")) == "Sue Tester has this chat open."
    found = re.search(r'data-stamp="(\d+)"', sue.do(row, "viewing").text)
    assert found is not None
    assert sue.do(row, "viewing", leave=found[1]).status_code == 204
    assert words(mo.do(row, "viewing")) == ""
    for nonsense in ("x", "-1", "１"):
        assert mo.do(row, "viewing", leave=nonsense).status_code == 422
    assert not desk.audit("viewing")


def test_a_sensitive_or_sealed_chat_shows_no_readers_to_others(any_desk: Desk) -> None:
    desk = any_desk
    sensitive, sealed = desk.say("my ex is stalking me", "ann"), desk.say("the officer punched me", "bob")
    mo, jo, sue = desk.browser("mo"), desk.browser("jo"), desk.browser("sue")
    assert jo.do(sensitive, "viewing").status_code == 200
    assert sue.do(sealed, "viewing").status_code == 200
    assert mo.do(sensitive, "viewing").status_code == 403
    assert mo.do(sealed, "viewing").status_code == 404
    rows = mo.get("/desk/queue/rows").text
    assert sensitive.reference in rows
    assert sealed.reference not in rows
    assert "Being read by" not in rows
    assert sorted(column(desk, StaffView.conversation_id)) == [sensitive.id, sealed.id]


def test_drafts_outlive_sign_out_and_a_gateway_that_starts_again(database_url: str) -> None:
    with serving(database_url) as desk:
        desk.hire(*TEAMS)
        desk.say(P3)
        mo = desk.browser("mo")
        chat = take(mo)
        for kind, text in (
            ("reply", "half a reply"),
            ("note", "half a note"),
            ("transfer", "for the others"),
        ):
            assert mo.post(f"/desk/c/{chat}/draft", kind=kind, text=text).status_code == 204
        assert mo.post(f"/desk/c/{chat}/draft", kind="other", text="x").status_code == 422
        page = mo.get(f"/desk/c/{chat}").text
        assert kept(page, "text") == "half a reply"
        assert kept(page, "note").strip() == "half a note"
        assert kept(page, "transfer-note").strip() == "for the others"
        mo.post("/desk/sign-out")
        assert desk.chat().state == "waiting"

    with serving(database_url) as desk:
        mo, sue = desk.browser("mo"), desk.browser("sue")
        page = mo.get(f"/desk/c/{chat}").text
        assert kept(page) == "half a reply"
        assert "Your unsent text" in page
        assert "because you were away or signed out" in page
        assert kept(page, "kept-transfer") == "for the others"
        assert "half a reply" not in sue.get(f"/desk/c/{chat}").text
        take(sue)
        page = sue.get(f"/desk/c/{chat}").text
        assert "Mo Tester left an unsent text" in page
        assert "half a note" not in page
        assert "Sue Tester has this chat." in mo.get(f"/desk/c/{chat}").text


def test_the_words_of_another_are_taken_over_without_a_script(desk: Desk) -> None:
    row = desk.say(P3)
    mo, sue = desk.browser("mo"), desk.browser("sue")
    chat = take(mo)
    mo.post(f"/desk/c/{chat}/draft", text="We can help.")
    assert sue.do(row, "take-over").status_code == 204
    page = mo.get(f"/desk/c/{chat}").text
    assert "Sue Tester took this chat over from you." in page
    assert kept(page) == "We can help."
    (author,) = column(desk, Draft.staff_id)

    sue.get(f"/desk/c/{chat}")
    sue.post(f"/desk/c/{chat}/draft", text="Good morning.")
    answer = sue.post(f"/desk/c/{chat}/drafts/{author}/use", text="Good morning.")
    assert answer.url.path == f"/desk/c/{chat}"
    assert "The text is in your reply." in answer.text
    assert kept(answer.text, "text") == "Good morning.\n\nWe can help."
    assert "left an unsent text" not in answer.text
    assert sue.do(row, f"drafts/{author}/use", text="").status_code == 422
    assert mo.do(row, f"drafts/{author}/use", text="").status_code == 409
    assert sue.do(row, "reply", text="Good morning.\n\nWe can help.").status_code == 200
    assert desk.outbox("staff")[-1].author_id == desk.audit("draft.use")[0].staff_id


def test_a_page_that_is_behind_sends_nothing_and_shows_what_is_new(any_desk: Desk) -> None:
    desk = any_desk
    row = desk.say(P3)
    mo = desk.browser("mo")
    chat = take(mo)
    old = mo.get(f"/desk/c/{chat}").text
    desk.say("my little brother did it")
    fields: dict[str, Any] = {"epoch": field(old, "epoch"), "seen": field(old, "seen")}

    plain = mo.post(f"/desk/c/{chat}/reply", text="My answer.", **fields)
    assert plain.status_code == 409
    assert "The person has written again." in plain.text
    assert "my little brother did it" in plain.text
    assert kept(plain.text, "text") == "My answer."
    part = mo.do(row, "reply", text="My answer.", **fields)
    assert part.status_code == 409
    assert part.headers["HX-Retarget"] == "#problem"
    assert part.headers["HX-Trigger"] == "desk:refresh"
    assert not desk.outbox("staff")

    assert mo.do(row, "close", outcome="answered", seen=fields["seen"]).status_code == 409
    assert field(plain.text, "seen") == str(desk.rows(Message)[-1].id)
    sent = mo.do(
        row, "reply", text="My answer.", epoch=field(plain.text, "epoch"), seen=field(plain.text, "seen")
    )
    assert sent.status_code == 200
    assert [one.text for one in desk.outbox("staff")] == ["My answer."]


def test_why_a_chat_was_lost_is_told_to_who_had_it_alone(desk: Desk) -> None:
    row = desk.say(P1)
    mo, jo, sue = desk.browser("mo"), desk.browser("jo"), desk.browser("sue")
    chat = take(mo)
    mo.do(row, "transfer", team="safeguarding", note="A child is there.")
    assert jo.do(row, "accept").status_code == 204
    told = "Jo Tester accepted this chat from you."
    assert told in mo.get(f"/desk/c/{chat}").text
    assert told not in sue.get(f"/desk/c/{chat}").text
    assert told not in jo.get(f"/desk/c/{chat}").text
    assert sue.do(row, "take-over").status_code == 204
    assert told not in mo.get(f"/desk/c/{chat}").text
    assert "Sue Tester took this chat over from you." in jo.get(f"/desk/c/{chat}").text
