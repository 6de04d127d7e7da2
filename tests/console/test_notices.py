"""What pages call out beside themselves, the reader's own look, and that nothing sealed is ever called out."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bot.console.visit import LOOK_COOKIE
from bot.messages import Standing
from bot.store.record import add_event, now
from tests.console.serving import Desk, listen
from tests.support.world import P1, P3

pytestmark = pytest.mark.integration

OFFICER = "the officer punched me, quillwort"


def told(desk: Desk, username: str, after: str = "0.0") -> list[tuple[Any, Any]]:
    """What is called out to somebody: kind and grade, by chat."""
    heard = listen(desk.browser(username), after=after)
    return [(one.data["tell"], one.data["grade"]) for one in heard if "tell" in one.data]


def place(desk: Desk) -> str:
    return listen(desk.browser("mo"))[-1].id


def test_a_channel_that_is_degraded_stands_on_every_page(desk: Desk) -> None:
    """Whoever is signed in, until it is well; what reads pages out hears it once."""
    core = desk.gateway.core

    def says(word: str, *, degraded: bool) -> None:
        desk.run(core.door.accept([Standing("test", "1603", "quality", word, degraded, now())]))
        desk.run(core.standings.sweep())

    notice = "test is degraded. The platform says of our quality: flagged."
    browsers = {who: desk.browser(who) for who in ("mo", "cam", "sue", "ada")}
    assert all("is degraded" not in one.get("/desk/settings").text for one in browsers.values())
    says("FLAGGED", degraded=True)
    for one in browsers.values():
        for path in ("/desk", "/desk/settings"):
            assert one.get(path).text.count(notice) == 1, path
    assert "is degraded" not in desk.browser().get("/desk/sign-in").text

    mo = browsers["mo"]
    banner = mo.get("/desk/alarms").text
    assert notice in banner
    mark = re.search(r'name="have" value="([^"]+)"', banner)
    assert mark is not None
    assert mo.get(f"/desk/alarms?have={mark[1]}").status_code == 204
    says("UNFLAGGED", degraded=False)
    answer = mo.get(f"/desk/alarms?have={mark[1]}")
    assert answer.status_code == 200
    assert "is degraded" not in answer.text + mo.get("/desk/settings").text


def test_a_chat_that_waits_is_called_out_with_its_grade(any_desk: Desk) -> None:
    desk = any_desk
    start = place(desk)
    desk.say(P3, "ann")
    desk.say(P1, "bob")
    desk.say("how long is the wait for 101", "cas")
    assert sorted(told(desk, "mo", start)) == [("waits", "P1"), ("waits", "P3")]


def test_what_comes_to_a_chat_is_called_out_to_its_owner_only(any_desk: Desk) -> None:
    desk = any_desk
    row = desk.say(P3)
    assert desk.browser("mo").do(row, "claim", epoch=row.epoch).status_code == 204
    start = place(desk)
    desk.say("and one more thing")
    assert told(desk, "mo", start) == [("wrote", "P3")]
    assert told(desk, "jo", start) == []
    start = place(desk)
    desk.say(P1)
    assert told(desk, "mo", start) == [("danger", "P1")]
    assert told(desk, "jo", start) == []


def test_a_sign_under_a_message_calls_nobody(any_desk: Desk) -> None:
    """Nobody has written; the page shows it all the same."""
    desk = any_desk
    row = desk.say(P3)
    assert desk.browser("mo").do(row, "claim", epoch=row.epoch).status_code == 204
    start = place(desk)
    desk.say("\U0001f44d", kind="reaction")
    assert told(desk, "mo", start) == []
    changes = [one.data for one in listen(desk.browser("mo"), after=start)]
    assert any("message.received" in one.get("kinds", ()) for one in changes)
    desk.say("and one more thing")
    assert told(desk, "mo", start) == [("wrote", "P3")]


def test_a_clock_that_warns_is_no_danger(any_desk: Desk) -> None:
    desk = any_desk
    row = desk.say(P3)
    assert desk.browser("mo").do(row, "claim", epoch=row.epoch).status_code == 204
    start = place(desk)

    async def warn() -> None:
        async with desk.gateway.core.store.write() as connection:
            await add_event(connection, row.id, "alert", {"reason": "reply_soon", "owner": row.owner_id})

    desk.run(warn())
    assert row.id in {one.data.get("chat") for one in listen(desk.browser("mo"), after=start)}
    assert told(desk, "mo", start) == []


def test_a_sealed_chat_is_called_out_to_nobody(any_desk: Desk) -> None:
    """Not even to those who may open it: others can read their screens."""
    desk = any_desk
    start = place(desk)
    row = desk.say(OFFICER)
    assert row.sealed
    heard = listen(desk.browser("sue"), after=start)
    assert row.id in {one.data.get("chat") for one in heard}
    assert told(desk, "sue", start) == []
    assert desk.browser("sue").do(row, "claim", epoch=row.epoch).status_code == 204
    start = place(desk)
    desk.say("and he did it again")
    assert told(desk, "sue", start) == []


def test_a_look_is_kept_in_the_browser_and_written_into_every_page(desk: Desk) -> None:
    mo = desk.browser("mo")
    assert "data-look" not in mo.get("/desk/queue").text
    for look in ("dark", "light"):
        page = mo.post("/desk/settings/look", look=look)
        assert "kept in this browser" in page.text
        for path in ("/desk/queue", "/desk/find", "/desk/account", "/desk/nowhere/at/all"):
            text = mo.get(path).text
            if "<html" in text:
                assert f'data-look="{look}"' in text, path
        assert f'data-look="{look}"' in desk.browser(cookie=f"{LOOK_COOKIE}={look}").get("/desk/sign-in").text
    mo.post("/desk/settings/look", look="device")
    assert "data-look" not in mo.get("/desk/queue").text


@pytest.mark.parametrize("wrong", ["", "blue", '"><script>', "dark;x"])
def test_a_look_that_there_is_not_is_refused_and_never_written(desk: Desk, wrong: str) -> None:
    mo = desk.browser("mo")
    mo.get("/desk/settings")
    assert mo.post("/desk/settings/look", look=wrong).status_code == 422
    value = re.sub(r"[;\"]", "", wrong)
    assert "data-look" not in desk.browser(cookie=f"{LOOK_COOKIE}={value}").get("/desk/sign-in").text


def test_every_role_has_settings_and_only_who_answers_has_notices(desk: Desk) -> None:
    for username in ("mo", "sue", "cam", "ada"):
        page = desk.browser(username).get("/desk/settings").text
        assert "Light and dark" in page
        assert ('id="notices"' in page) == (username in ("mo", "sue"))
