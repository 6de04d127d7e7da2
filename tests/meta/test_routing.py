"""Several apps on one Page: while another one holds a chat, our assistant is silent there."""

from __future__ import annotations

import pytest

from bot.store.tables import Conversation
from tests.meta.serving import NAMES, MetaSide, meta_side
from tests.platforms.graph import events
from tests.support.rasa import FAQ
from tests.support.world import ODD, P1, PLAIN

pytestmark = pytest.mark.integration

BLOCK = "If you or someone else is in danger, call 999 now."


def test_on_standby_everything_is_stored_and_nothing_is_answered(side: MetaSide) -> None:
    """Somebody else answers; no sign of ours is shown either."""
    ann = side.person()
    side.set_state(holders={ann.id: events.OTHER_APP})
    side.inject(ann.says(PLAIN), ann.sends(events.IMAGE), standby=True, batch=True)
    side.stored(ann.id, 2)
    side.handled(ann.id)
    row = side.becomes(ann.id, "human")

    assert (row.owner_outside, row.owner_id) == (True, None)
    assert side.outbox(ann.id) == []
    assert side.calls(ann) == []
    assert side.signs(ann) == []


def test_on_standby_danger_still_brings_its_words_and_raises_the_grade(side: MetaSide) -> None:
    """They take the chat from whoever holds it."""
    ann = side.person()
    side.set_state(holders={ann.id: events.OTHER_APP})
    side.inject(ann.says(P1), standby=True)
    heard = side.hears(ann, BLOCK)

    assert heard["text"].startswith(BLOCK)
    assert side.conversation(ann.id).grade == "P1"
    assert side.state()["holders"][ann.id] == side.app.app_id
    assert [r.kind for r in side.outbox(ann.id)] == ["safety"]


def test_words_of_danger_that_may_not_take_the_chat_are_tried_until_they_may(side: MetaSide) -> None:
    """Never dropped; the others are put before staff by the alarm meanwhile."""
    ann = side.person()
    side.set_state(holders={ann.id: events.OTHER_APP}, is_default_app=False)
    side.inject(ann.says(P1), standby=True)
    side.until(lambda: any(r.attempts >= 1 for r in side.outbox(ann.id)), "an attempt")
    assert side.texts(ann) == []
    side.set_state(holders={ann.id: side.app.app_id})
    side.hears(ann, BLOCK)


def test_a_chat_that_is_passed_on_is_left_alone_and_one_that_comes_back_is_the_assistants(
    side: MetaSide,
) -> None:
    """The person is told that the assistant is back."""
    ann = side.person()
    side.inject(ann.says(ODD))
    side.hears(ann, side.line("not_understood"))
    side.inject(ann.is_passed(events.OTHER_APP))
    assert side.becomes(ann.id, "human").owner_outside
    side.inject(ann.says(PLAIN), standby=True)
    side.stored(ann.id, 2)
    side.handled(ann.id)
    side.inject(ann.is_passed(side.app.app_id), ann.is_passed(side.app.app_id))
    side.becomes(ann.id, "bot")
    side.hears(ann, side.line("released"))
    side.taken()
    assert len([t for t in side.texts(ann) if t == side.line("released")]) == 1
    changes = side.audited(ann.id, "outside_reply", "outside_done")
    assert changes == ["outside_reply", "outside_done"]

    side.inject(ann.says(PLAIN))
    side.hears(ann, side.answer(FAQ))


def test_a_p1_that_comes_back_stays_in_the_queue(side: MetaSide) -> None:
    """Only a named member of staff ends it."""
    ann = side.person()
    side.inject(ann.says(P1))
    side.hears(ann, BLOCK)
    side.inject(ann.is_taken(events.OTHER_APP, side.app.app_id))
    side.until(lambda: side.conversation(ann.id).answered_outside, "the mark")
    side.inject(ann.is_passed(side.app.app_id))
    side.inject(ann.says(ODD))
    side.stored(ann.id, 2)
    side.taken()
    row = side.conversation(ann.id)

    assert (row.state, row.grade) == ("waiting", "P1")


def test_what_our_own_staff_own_stays_theirs(side: MetaSide) -> None:
    """They answer in it, and take it there."""
    ann = side.person()
    side.inject(ann.chooses("Talk to a person", "person"))
    side.becomes(ann.id, "waiting")
    side.handled(ann.id)
    mo = side.moderator()
    chat = side.claim(ann.id, mo)
    side.hears(ann, side.line("joined"))
    side.set_state(holders={ann.id: events.OTHER_APP})
    side.inject(ann.is_taken(events.OTHER_APP, side.app.app_id), ann.says(ODD), standby=True)
    side.stored(ann.id, 2)
    row = side.reply(chat, mo, "I am from the desk")
    side.hears(ann, "I am from the desk")

    side.is_row(row, "sent")
    assert side.conversation(ann.id).owner_id == mo.staff_id
    assert side.state()["holders"][ann.id] == side.app.app_id


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_takes_the_chat_only_where_the_force_says_so(name: str, sqlite_url: str) -> None:
    """Else the desk sees why nothing was sent."""
    with meta_side(name, sqlite_url, _take_thread=False) as side:
        ann = side.person()
        side.set_state(holders={ann.id: events.OTHER_APP})
        side.inject(ann.says(ODD), standby=True)
        side.becomes(ann.id, "human")
        side.handled(ann.id)
        mo = side.moderator()
        row = side.reply(side.claim(ann.id, mo), mo, "hello")
        side.is_row(row, "failed")

        assert "another app" in side.row(row).detail
        assert side.calls(ann, "me/take_thread_control") == []


def test_an_answer_of_the_assistants_never_takes_a_chat(side: MetaSide) -> None:
    """It is not sent, and says so."""
    ann = side.person()
    side.set_state(holders={ann.id: events.OTHER_APP})
    side.inject(ann.says(PLAIN))
    side.until(lambda: [r.state for r in side.outbox(ann.id)] == ["failed"], "it to fail")

    assert side.calls(ann, "me/take_thread_control") == []
    assert side.texts(ann) == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("release", [False, True])
def test_a_chat_is_given_back_when_staff_close_it_where_the_force_says_so(
    name: str, sqlite_url: str, release: bool
) -> None:
    """With the sentence that closes it, and no sooner."""
    with meta_side(name, sqlite_url, _release_thread=release) as side:
        ann = side.person()
        side.inject(ann.chooses("Talk to a person", "person"))
        side.becomes(ann.id, "waiting")
        side.handled(ann.id)
        mo = side.moderator()
        chat = side.claim(ann.id, mo)
        side.hears(ann, side.line("joined"))
        desk = side.first.gateway.core.desk
        side.run(desk.close(chat, mo, "answered"))
        side.hears(ann, side.rows(Conversation, Conversation.id == chat)[0].reference)
        given = [m["control"] for m in side.sent(ann)]

        assert given == [None] * (len(given) - 1) + [{"control_type": "release"} if release else None]
