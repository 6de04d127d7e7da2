"""The stream of events: nothing missed, nothing that is not for the reader, and an end with the session."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from bot.store.record import now
from bot.store.tables import Conversation, Event, StaffSession
from tests.console.serving import Desk, listen
from tests.support.world import P1, P3

pytestmark = pytest.mark.integration


def test_a_reconnect_replays_what_was_missed_before_it_is_ready(any_desk: Desk) -> None:
    desk = any_desk
    desk.say(P3, "ann")
    mo = desk.browser("mo")
    place = listen(mo)[-1].id
    assert place

    ann = desk.say("one more thing", "ann")
    bob = desk.say(P1, "bob")
    heard = listen(mo, after=place)

    assert heard[-1].name == "ready"
    assert {one.data["chat"] for one in heard if one.name == "change"} == {ann.id, bob.id}
    assert listen(mo, after=heard[-1].id)[0].name == "ready"
    newest = desk.rows(Event)[-1]
    assert heard[-1].id == f"{newest.xid}.{newest.id}"


def test_an_event_holds_no_words(any_desk: Desk) -> None:
    desk = any_desk
    mo = desk.browser("mo")
    listen(mo)
    desk.say("a very secret sentence about a burglary last week")
    heard = listen(mo, after="0.0")
    assert "secret" not in str(heard)
    assert all(set(one.data) <= {"chat", "kinds", "tell", "grade", "keeps"} for one in heard)
    told = [one.data for one in heard if "tell" in one.data]
    assert [(one["tell"], one["grade"]) for one in told] == [("waits", "P3")]


def test_events_arrive_as_they_happen_without_redis(any_desk: Desk) -> None:
    desk = any_desk
    mo = desk.browser("mo")
    with mo.client.stream("GET", "/desk/stream") as answer:
        lines = answer.iter_lines()
        for line in lines:
            if line == "event: ready":
                break
        row = desk.say(P1)
        for line in lines:
            if line.startswith("data:") and f'"chat":{row.id}' in line:
                break
        else:
            pytest.fail("the event never came")


def test_events_of_a_restricted_team_go_to_its_members_only(any_desk: Desk) -> None:
    desk = any_desk
    hidden = desk.say(P3, "ann")
    desk.change(update(Conversation).values(team="professional_standards"))
    shown = desk.say(P3, "bob")

    def chats(username: str) -> set[int]:
        heard = listen(desk.browser(username), after="0.0")
        return {one.data["chat"] for one in heard if one.name == "change"}

    assert chats("mo") == {shown.id}
    assert chats("sue") == {shown.id, hidden.id}


@pytest.mark.parametrize("after", ["x", "1", "1.2.3", "-1.0", "1.1;drop", "9" * 30 + ".1", "１.１"])
def test_a_place_that_is_not_ours_is_refused(desk: Desk, after: str) -> None:
    mo = desk.browser("mo")
    assert mo.client.get("/desk/stream", params={"after": after}).status_code == 422


def test_a_place_from_another_database_starts_anew(any_desk: Desk) -> None:
    desk = any_desk
    desk.say(P3)
    heard = listen(desk.browser("mo"), after="999999.999999")
    assert [one.name for one in heard] == ["ready"]


def test_the_stream_is_a_sign_of_life(any_desk: Desk) -> None:
    desk = any_desk
    mo = desk.browser("mo")
    desk.change(update(StaffSession).values(seen_at=now() - timedelta(hours=1)))
    listen(mo)
    (session,) = desk.rows(StaffSession, StaffSession.id.is_not(None))
    assert session.seen_at > now() - timedelta(minutes=1)


@pytest.mark.parametrize(("end", "name"), [("idle", "locked"), ("out", "gone")])
def test_the_stream_ends_with_its_session(any_desk: Desk, end: str, name: str) -> None:
    desk = any_desk
    mo = desk.browser("mo")
    with mo.client.stream("GET", "/desk/stream") as answer:
        lines = answer.iter_lines()
        for line in lines:
            if line == "event: ready":
                break
        if end == "idle":
            desk.go_idle()
        else:
            desk.change(StaffSession.__table__.delete())  # type: ignore[attr-defined]
        rest = list(lines)
    assert f"event: {name}" in rest
