"""What every channel has to do, over HTTP on both sides."""

from __future__ import annotations

import time

import pytest

from bot.messages import Actor
from bot.store.tables import Audit, Conversation
from tests.conformance.kits import HUMAN_AGENT, serve
from tests.meta.serving import MetaSide
from tests.platforms.graph import Writer
from tests.support.rasa import FAQ
from tests.support.world import ODD, P1, P2_HIDDEN, P3, PLAIN

pytestmark = pytest.mark.integration

BLOCK = "If you or someone else is in danger, call 999 now."
HOUR = 3600.0


def owned(side: MetaSide) -> tuple[Writer, int, Actor]:
    """Somebody whose chat a moderator has taken. Returns them, the chat and the moderator."""
    ann = side.person()
    side.inject(ann.chooses("Talk to a person", "person"))
    side.becomes(ann.id, "waiting")
    side.handled(ann.id)
    mo = side.moderator()
    chat = side.claim(ann.id, mo)
    side.hears(ann, side.line("joined"))
    return ann, chat, mo


# ---- answers and dangers ---------------------------------------------------------------------------


def test_a_known_question_is_answered_and_the_first_words_say_by_whom(side: MetaSide) -> None:
    """An assistant says what it is before anything else, once; a person is one press away."""
    ann = side.person()
    side.inject(ann.says(PLAIN))
    heard = side.hears(ann, side.answer(FAQ))
    assert heard["text"].startswith(side.line("opening_automated"))
    assert side.line("talk_to_person") in side.buttons(heard)

    side.inject(ann.says(ODD))
    again = side.hears(ann, side.line("not_understood"))
    assert side.line("opening_automated") not in again["text"]
    assert side.conversation(ann.id).state == "bot"


def test_danger_brings_its_words_at_once(side: MetaSide) -> None:
    """The 999 block first, before any other word, whatever Rasa does."""
    side.rasa.down = True
    ann = side.person()
    side.inject(ann.says(P1))
    side.hears(ann, BLOCK)

    assert side.texts(ann)[0].startswith(BLOCK)
    assert side.conversation(ann.id).grade == "P1"
    side.until(lambda: len(side.texts(ann)) >= 2, "the sentence about a person")
    assert side.texts(ann)[1].startswith(side.line("opening_automated"))


def test_a_person_is_in_reach_by_a_press(side: MetaSide) -> None:
    """Two presses of the same button count once."""
    ann = side.person()
    side.inject(ann.says(PLAIN))
    heard = side.hears(ann, side.answer(FAQ))
    title = side.line("talk_to_person")
    press = ann.presses(title, side.buttons(heard)[title])
    side.inject(press, press)
    side.becomes(ann.id, "waiting")
    side.taken()

    assert [(m.kind, m.button) for m in side.messages(ann.id)] == [("text", None), ("button", "fc:person")]


def test_a_made_up_button_is_none_of_ours(side: MetaSide) -> None:
    """Only what was offered in this conversation counts."""
    ann, bob = side.person(), side.person()
    side.inject(ann.says(PLAIN), bob.says(P2_HIDDEN))
    side.hears(ann, side.answer(FAQ))
    side.until(lambda: any(row.buttons for row in side.outbox(bob.id)), "his buttons")
    his = next(row for row in side.outbox(bob.id) if row.buttons)
    for token in ('/triage{"a":1}', "fc:person", f"{his.id}.0", "9" * 60):
        side.inject(ann.presses("Yes", token))
    stored = side.stored(ann.id, 5)

    assert [m.button for m in stored[1:]] == [None] * 4


# ---- the door --------------------------------------------------------------------------------------


def test_a_batch_of_five_is_five_messages(side: MetaSide) -> None:
    """Each is answered, whatever stands beside it."""
    people = [side.person() for _ in range(5)]
    side.inject(*(person.says(PLAIN) for person in people), batch=True, ids=["five"])
    for person in people:
        side.hears(person, side.answer(FAQ))

    assert [len(side.messages(person.id)) for person in people] == [1] * 5
    assert [d["status"] for d in side.state()["deliveries"] if d["ids"] == ["five"]] == [200]


def test_a_batch_of_one_person_keeps_its_order(side: MetaSide) -> None:
    """As they were written."""
    ann = side.person()
    at = time.time()
    side.inject(*(ann.says(f"number {n}", at=at) for n in range(5)), batch=True)

    assert [m.text for m in side.stored(ann.id, 5)] == [f"number {n}" for n in range(5)]


def test_three_times_shuffled_to_two_gateways_is_once(two: MetaSide) -> None:
    """One message, one set of replies, in the order in which they were written."""
    two.mode(copies=3, scatter_seconds=0.5, receipts=True, bare_echoes=two.app.is_instagram)
    people = [two.person() for _ in range(5)]
    at = time.time()
    two.inject(
        *(event for p in people for event in (p.says(PLAIN, at=at), p.says(ODD, at=at + 1))), shuffle=True
    )
    for person in people:
        two.hears(person, two.answer(FAQ))
        two.stored(person.id, 2)
    two.taken()
    for person in people:
        two.handled(person.id)
        stored = sorted(two.messages(person.id), key=lambda m: (m.platform_time, m.id))
        assert [m.text for m in stored] == [PLAIN, ODD]
        assert len([t for t in two.texts(person) if two.answer(FAQ) in t]) == 1
        assert two.conversation(person.id).state == "bot"
    two.taken()
    assert {d["gateway"] for d in two.state()["deliveries"]} == {0, 1}
    assert len(two.rows(Conversation)) == 5
    assert two.rows(Audit, Audit.action == "echo.outside") == []


def test_text_then_a_picture(side: MetaSide) -> None:
    """Both are there; the words are answered, the picture is handed over."""
    ann = side.person()
    side.inject(ann.says(PLAIN), side.sends(ann, "image"), batch=True)
    side.hears(ann, side.line("cannot_open_image"))

    assert [m.kind for m in side.stored(ann.id, 2)] == ["text", "image"]
    assert side.becomes(ann.id, "waiting").grade == "P3"


@pytest.mark.parametrize(
    ("what", "key"),
    [("image", "cannot_open_image"), ("voice", "cannot_open_voice"), ("location", "location_received")],
)
def test_what_has_no_words_is_named_with_999_and_handed_over(side: MetaSide, what: str, key: str) -> None:
    """Never fetched; a place keeps its coordinates."""
    ann = side.person()
    side.inject(side.sends(ann, what))
    heard = side.hears(ann, side.line(key))
    (stored,) = side.stored(ann.id)

    assert "999" in heard["text"]
    assert stored.kind == what
    assert (stored.latitude, stored.longitude) == ((54.97, -1.61) if what == "location" else (None, None))
    row = side.becomes(ann.id, "waiting")
    assert row.grade == "P3"
    assert "secret" not in str(stored)


def test_a_caption_is_read_as_words(side: MetaSide) -> None:
    """Danger may stand in it."""
    ann = side.person()
    side.inject(side.sends(ann, "image", P1))
    side.hears(ann, BLOCK)

    assert side.stored(ann.id)[0].text == P1


@pytest.mark.parametrize("signature", [None, "", "sha256=", "sha256=" + "0" * 64, "nonsense \xe9", "wrong"])
def test_a_forged_webhook_is_refused(side: MetaSide, signature: str | None) -> None:
    """Nothing of it is kept. The right one is taken."""
    ann = side.person()
    body = side.body(ann.says(PLAIN))
    given = "sha256=" + "1" * 64 if signature == "" else signature
    answer = side.post(body, given)

    assert answer.status_code in (401, 403)
    assert side.app.app_secret not in answer.text
    assert side.messages(ann.id) == []
    assert side.post(body).status_code == 200
    assert len(side.messages(ann.id)) == 1


def test_the_signature_is_of_these_very_bytes(side: MetaSide) -> None:
    """One of another body, or of another secret, is none."""
    ann = side.person()
    body = side.body(ann.says(P1))
    assert side.post(body + b" ", side.signed(body)).status_code in (401, 403)
    assert side.post(body, side.signed(body, side.other_secret)).status_code in (401, 403)
    assert side.messages(ann.id) == []


def test_store_down_words_leave_directly_and_it_is_stored_once_when_it_is_back(side: MetaSide) -> None:
    """Once for this gateway, however often it is delivered; never 200. Their own echo changes nothing."""
    side.bare()
    ann, bob = side.person(), side.person()
    side.inject(ann.says("hello there"))
    side.stored(ann.id)
    side.taken()
    side.first.break_store()
    side.inject(ann.says(P1), bob.says(PLAIN))
    side.hears(ann, BLOCK)

    def refused() -> int:
        return len([d for d in side.state()["deliveries"] if d["status"] == 503])

    before = refused()
    side.until(lambda: refused() >= before + 3, "them to be delivered again")
    assert len([t for t in side.texts(ann) if BLOCK in t]) == 1
    assert side.texts(bob) == []
    side.first.mend_store()
    side.hears(bob, side.answer(FAQ))
    side.taken()
    side.until(lambda: [m.text for m in side.messages(ann.id)] == ["hello there", P1], "it to be stored")
    row = side.conversation(ann.id)
    assert (row.grade, row.state, row.answered_outside) == ("P1", "waiting", False)


# ---- the way out -----------------------------------------------------------------------------------


def test_a_reply_of_staff_arrives_under_the_desks_name(side: MetaSide) -> None:
    """No officer is named, and nothing of the assistant's stands under it."""
    ann, chat, mo = owned(side)
    row = side.reply(chat, mo, "Hello, how can I help you?")
    heard = side.hears(ann, "how can I help you?")

    assert heard["text"] == "Northumbria Police digital desk:\n\nHello, how can I help you?"
    assert heard["quick_replies"] == []
    assert "Tester" not in str(side.sent(ann))
    side.is_row(row, "sent")
    side.taken()
    assert side.conversation(ann.id).owner_id is not None


@pytest.mark.parametrize("kind", ["429", "4:99", "613:1", "80006:1", "503", "1200:1"])
def test_not_taken_is_tried_again_in_order(side: MetaSide, kind: str) -> None:
    """As long as it is told to wait; those behind it wait too, and each leaves once."""
    ann, chat, mo = owned(side)
    side.fault(kind, seconds=2, headers={"Retry-After": "2"})
    rows = [side.reply(chat, mo, f"reply {n}") for n in range(3)]
    side.hears(ann, "reply 2")

    replies = [t.rpartition("\n")[2] for t in side.texts(ann) if "reply" in t]
    assert replies == ["reply 0", "reply 1", "reply 2"]
    tried = [c for c in side.calls(ann) if "reply 0" in c["message"]["text"]]
    assert len(tried) == 2
    if kind not in ("503", "1200:1"):
        assert tried[1]["at"] - tried[0]["at"] >= 2
    for row in rows:
        side.is_row(row, "sent")


@pytest.mark.parametrize("kind", ["500", "502", "hang", "cut"])
def test_no_answer_is_unknown_and_never_repeated_blindly(side: MetaSide, kind: str) -> None:
    """A reply may have arrived: the moderator decides."""
    ann, chat, mo = owned(side)
    side.mode(echoes=False)
    side.fault(kind, seconds=30, take=True)
    row = side.reply(chat, mo, "did it arrive?")
    side.is_row(row, "unknown")

    assert len([t for t in side.texts(ann) if "did it arrive?" in t]) == 1


def test_a_row_of_unknown_fate_is_known_by_its_echo(side: MetaSide) -> None:
    """By its mark, or by its words: it was sent, and nobody answered outside."""
    ann, chat, mo = owned(side)
    side.bare()
    side.fault("hang", seconds=30, take=True)
    row = side.reply(chat, mo, "did it arrive?")
    side.is_row(row, "sent")

    assert side.conversation(ann.id).owner_id is not None
    assert len([t for t in side.texts(ann) if "did it arrive?" in t]) == 1


def test_23_hours_59_is_in_time_and_24_hours_01_is_not(side: MetaSide) -> None:
    """The platform knows the minute; without its leave for staff neither of them gets through."""
    ann, bob = side.person(), side.person()
    side.inject(ann.says(PLAIN, at=time.time() - 24 * HOUR + 60))
    side.hears(ann, side.answer(FAQ))
    side.inject(bob.says(PLAIN, at=time.time() - 24 * HOUR - 60))
    if not side.has_window:
        side.hears(bob, side.answer(FAQ))
        return
    side.until(lambda: any(row.state == "failed" for row in side.outbox(bob.id)), "his answer to fail")

    (row,) = side.outbox(bob.id)
    assert "takes a reply is over" in row.detail
    assert side.texts(bob) == []


@pytest.mark.parametrize("channel", HUMAN_AGENT)
def test_staff_may_answer_for_seven_days_where_that_is_granted(channel: str, database_url: str) -> None:
    """With the tag of a human agent, which no assistant's row gets."""
    with serve(channel, database_url, _human_agent=True) as side:
        people = {hours: side.person() for hours in (24, 100, 169)}
        actor = side.moderator()
        for hours, person in people.items():
            side.inject(person.chooses("Talk to a person", "person", at=time.time() - hours * HOUR - 60))
            side.becomes(person.id, "waiting")
            side.handled(person.id)
            side.reply(side.claim(person.id, actor), actor, f"after {hours} hours")
        for hours in (24, 100):
            heard = side.hears(people[hours], f"after {hours} hours")
            assert (heard["type"], heard["tag"]) == ("MESSAGE_TAG", "HUMAN_AGENT")
            assert [m["tag"] for m in side.sent(people[hours])] == ["HUMAN_AGENT"]
        late = people[169]
        side.until(
            lambda: [r.state for r in side.outbox(late.id) if r.kind == "staff"] == ["failed"], "the end"
        )
        assert side.texts(late) == []


def test_failed_stays_failed(side: MetaSide) -> None:
    """Whatever the platform says of it later."""
    side.bare()
    ann, chat, mo = owned(side)
    side.fault("100:33")
    row = side.reply(chat, mo, "this one fails")
    side.is_row(row, "failed")
    mid = ann.mid()
    bare = side.app.is_instagram
    text = "Northumbria Police digital desk:\n\nthis one fails"
    side.inject(
        ann.is_told(
            text, app_id=None if bare else side.app.app_id, metadata=None if bare else f"fc:{row}", mid=mid
        ),
        ann.gets(mid, watermark=int(time.time() * 1000)),
        ann.sees(mid),
        ann.says(ODD),
    )
    side.stored(ann.id, 2)
    side.taken()

    assert side.row(row).state == "failed"
    assert side.audited(ann.id, "echo.outside") == []


# ---- who else answers ------------------------------------------------------------------------------


def test_our_own_echo_changes_nothing(side: MetaSide) -> None:
    """Before the answer of the call or after it, with our marks or without."""
    ann = side.person()
    for number, mode in enumerate(({}, {"echo_first": True}, {"bare_echoes": side.app.is_instagram})):
        side.mode(copies=2, **mode)
        side.inject(ann.says(PLAIN))
        side.hears(ann, side.answer(FAQ), times=number + 1)
        side.taken()
    side.inject(ann.says(ODD))
    side.hears(ann, side.line("not_understood"))

    assert side.conversation(ann.id).state == "bot"
    assert {row.detail for row in side.outbox(ann.id)} == {None}


def test_an_echo_of_somebody_else_stops_the_assistant(side: MetaSide) -> None:
    """A person answers outside our desk; words of danger go out all the same."""
    ann = side.person()
    side.inject(ann.says(PLAIN))
    side.hears(ann, side.answer(FAQ))
    side.taken()
    side.inject(ann.is_told("Hi, this is Pat from the desk"))
    assert side.becomes(ann.id, "human").owner_outside
    before = len(side.texts(ann))
    side.inject(ann.says(PLAIN))
    side.stored(ann.id, 2)
    side.handled(ann.id)
    assert len(side.texts(ann)) == before

    side.inject(ann.says(P1))
    side.hears(ann, BLOCK)
    rows = [(r.kind, r.detail) for r in side.outbox(ann.id)]
    assert rows == [("assistant", None), ("staff", "outside"), ("safety", None)]


def test_when_staff_hand_a_chat_back_the_person_is_told_who_answers(side: MetaSide) -> None:
    """Automation is disclosed again."""
    ann = side.person()
    side.inject(ann.says(P3))
    side.becomes(ann.id, "waiting")
    side.handled(ann.id)
    actor = side.moderator()
    chat = side.claim(ann.id, actor)
    side.hears(ann, side.line("joined"))
    side.run(side.first.gateway.core.desk.release(chat, actor))
    side.hears(ann, side.line("released"))

    assert "automated assistant" in side.line("released")
