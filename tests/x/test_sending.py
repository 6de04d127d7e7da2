"""What leaves, in which form, and what each answer of X's means for a message of ours."""

from __future__ import annotations

import socket
import time
from typing import Any
from unittest import mock

import pytest

from bot.channels.x.budget import BUSY_SECONDS, LONGEST_WAIT_SECONDS, Budget, Window, seconds_to_wait, windows
from bot.channels.x.outbound import XChannel
from bot.conversations.words import PERSON
from bot.errors import RejectedError, RetryLaterError, UnsureError
from bot.messages import Button, Outgoing
from bot.store.tables import Person
from tests.support.rasa import FAQ
from tests.support.world import ODD, P1, P2_HIDDEN, PLAIN
from tests.x.serving import XSide, x_side

pytestmark = pytest.mark.integration

BLOCK = "If you or someone else is in danger, call 999 now."
LONG = "\n\n".join(f"Paragraph {n}. " + "This is a sentence of the desk. " * 40 for n in range(20))


def channel(side: XSide) -> XChannel:
    """The way out."""
    found = side.platform.channel
    assert isinstance(found, XChannel)
    return found


def wrote(side: XSide) -> Any:
    """Somebody who has written just now."""
    side.mode(echoes=False)
    ann = side.person()
    side.inject(ann.says(ODD))
    side.hears(ann, side.line("not_understood"))
    return ann


def send(side: XSide, person: str, text: str = "hello", **values: object) -> str:
    """Send one message by hand. Returns its id."""
    outgoing = Outgoing(1, values.pop("kind", "staff"), text, **values)  # type: ignore[arg-type]
    return side.run(channel(side).send(person, outgoing)).message_id


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("429", RetryLaterError),
        ("503", RetryLaterError),
        ("401", RetryLaterError),
        ("code:89", RetryLaterError),
        ("code:453", RetryLaterError),
        ("type:client-forbidden", RetryLaterError),
        ("type:oauth1-permissions", RetryLaterError),
        ("type:usage-capped", RetryLaterError),
        ("500", UnsureError),
        ("502", UnsureError),
        ("504", UnsureError),
        ("cut", UnsureError),
        ("garbage", UnsureError),
        ("code:349", RejectedError),
        ("code:150", RejectedError),
        ("code:226", RejectedError),
        ("403", RejectedError),
        ("400", RejectedError),
        ("404", RejectedError),
    ],
)
def test_every_answer_means_something(called: XSide, kind: str, error: type[Exception]) -> None:
    """And X's own words go no further."""
    ann = wrote(called)
    called.fault(kind, seconds=2)
    with pytest.raises(error) as caught:
        send(called, ann.id)

    assert "secret words" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_what_never_left_is_told_from_no_answer(sqlite_url: str) -> None:
    """Nobody listens there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with x_side(sqlite_url, run=False, x_api_url=f"http://127.0.0.1:{port}") as side:
        with pytest.raises(RetryLaterError, match="cannot be reached"):
            send(side, "2310010001")
        assert side.run(side.platform.reachable()) == "X cannot be reached"


def test_the_wait_is_until_the_window_ends(called: XSide) -> None:
    """X names the moment, in seconds since 1970."""
    ann = wrote(called)
    headers = {"x-rate-limit-remaining": "0", "x-rate-limit-reset": str(int(time.time()) + 500)}
    called.fault("429", headers=headers)
    with pytest.raises(RetryLaterError) as caught:
        send(called, ann.id)
    assert 490 < caught.value.retry_after_seconds <= 500

    before = len(called.calls(ann))
    with pytest.raises(RetryLaterError):
        send(called, ann.id)
    assert len(called.calls(ann)) == before, "nothing more is asked meanwhile"
    assert send(called, ann.id, kind="safety"), "words of danger are put to X all the same"


@pytest.mark.unit
def test_how_long_a_refusal_lasts() -> None:
    """The longest of the windows that are used up; else what is said; else a minute."""
    now = 1_000_000.0
    with mock.patch("bot.channels.x.budget.time.time", return_value=now):
        quarter = {"x-rate-limit-remaining": "0", "x-rate-limit-reset": "1000300"}
        day = {"x-user-limit-24hour-remaining": "0", "x-user-limit-24hour-reset": "1040000"}
        left = {"x-app-limit-24hour-remaining": "9", "x-app-limit-24hour-reset": "1080000"}
        assert seconds_to_wait(quarter) == 300
        assert seconds_to_wait({**quarter, **day, **left}) == 40_000
        assert seconds_to_wait({"x-rate-limit-remaining": "3", "x-rate-limit-reset": "1000100"}) == 100
        assert seconds_to_wait({"retry-after": "7"}) == 7
        assert seconds_to_wait({}) == BUSY_SECONDS
        assert seconds_to_wait({"x-rate-limit-remaining": "0", "x-rate-limit-reset": "999000"}) == 1
        assert seconds_to_wait({**quarter, "x-rate-limit-reset": "9" * 14}) == LONGEST_WAIT_SECONDS
        assert seconds_to_wait({**quarter, "x-rate-limit-reset": "soon"}) == BUSY_SECONDS
        assert windows({**quarter, "x-rate-limit-limit": "15"}) == (Window(15, 0, 1000300.0),)


@pytest.mark.unit
def test_the_last_calls_of_a_window_are_kept_for_danger() -> None:
    """First the assistant waits, then staff; a window that has ended holds nobody."""
    budget = Budget()
    soon = time.time() + 100
    waits = {}
    for left in (6, 5, 2, 0):
        budget.note((Window(15, left, soon),))
        waits[left] = [budget.wait_for(kind) > 0 for kind in ("assistant", "staff", "safety")]
    assert waits == {
        6: [False, False, False], 5: [True, False, False], 2: [True, True, False], 0: [True, True, False],
    }  # fmt: skip
    budget.note((Window(15, 0, time.time() - 1),))
    assert budget.wait_for("assistant") == 0
    budget.note((Window(3, 2, soon),))
    assert budget.wait_for("assistant") == 0, "a small window is not kept whole"
    assert 40 < budget.even_pace() <= 50


def test_words_of_danger_leave_while_answers_wait(sqlite_url: str) -> None:
    """Fifteen messages in a quarter of an hour are all that X takes."""
    with x_side(sqlite_url) as side:
        side.mode(echoes=False)
        people = [side.person() for _ in range(12)]
        side.limit("send", 15, 15)
        for person in people:
            side.inject(person.says(PLAIN))
            side.handled(person.id)
        side.until(lambda: len(side.state()["messages"]) >= 10, "ten answers to leave")
        bob = side.person()
        side.inject(bob.says(P1))
        side.hears(bob, BLOCK)

        def waiting() -> list[str]:
            rows = [row for person in people for row in side.outbox(person.id)]
            return [row.state for row in rows if row.kind == "assistant"]

        assert waiting().count("sent") == 10
        assert waiting().count("queued") == 2
        held = [row for person in people for row in side.outbox(person.id) if row.state == "queued"]
        side.until(lambda: all(side.row(row.id).attempts for row in held), "them to have been tried")
        assert not any(side.calls(person) for person in people[10:])


def test_who_takes_no_messages_is_marked_and_writing_takes_that_back(called: XSide) -> None:
    """999 words are tried all the same."""
    ann = wrote(called)
    called.set_state(blocked=[ann.id])
    called.inject(ann.says(PLAIN))

    def left() -> bool:
        return called.rows(Person, Person.platform_id == ann.id)[0].left_at is not None

    called.until(left, "the mark")
    called.until(lambda: any(row.state == "failed" for row in called.outbox(ann.id)), "the row to fail")
    (failed,) = [row for row in called.outbox(ann.id) if row.state == "failed"]
    assert "takes no messages" in failed.detail
    called.set_state(blocked=[])
    called.inject(ann.says(PLAIN))
    called.hears(ann, called.answer(FAQ))
    assert not left()


@pytest.mark.parametrize("person", ["", "ann", "12/../me", "-5", "\u0661\u0662"])
def test_who_is_no_person_of_xs_is_not_asked_for(called: XSide, person: str) -> None:
    """Nothing of it gets into an address."""
    before = len(called.state()["calls"])
    with pytest.raises(RejectedError):
        send(called, person)
    with pytest.raises(RejectedError):
        send(called, "2310010001", "  ")
    assert [c for c in called.state()["calls"][before:] if c["kind"] == "send"] == []


def test_buttons_are_a_list_and_a_number_chooses(called: XSide) -> None:
    """The list was the last thing said; later the number is a number."""
    ann = called.person()
    called.inject(ann.says(P2_HIDDEN))
    called.until(lambda: any(row.buttons for row in called.outbox(ann.id)), "the question")
    row = next(row for row in called.outbox(ann.id) if row.buttons)
    heard = called.hears(ann, "1. ")
    titles = [button["title"] for button in row.buttons]

    assert list(called.buttons(heard)) == titles
    assert called.buttons(heard)[titles[0]] == "1"
    called.inject(ann.says("1"))
    (_, chosen) = called.stored(ann.id, 2)
    assert (chosen.kind, chosen.text, chosen.button) == ("button", titles[0], row.buttons[0]["payload"])


def test_under_an_answer_stands_how_to_ask_for_a_person(called: XSide) -> None:
    """Under the assistant's only, and not where it stands already."""
    way = channel(called)
    line = called.line("write_for_person")
    assert way.pieces(Outgoing(1, "assistant", "x")) == [f"x\n\n{line}"]
    offers = (Button("Talk to a person", PERSON, "1.0"),)
    assert line not in way.pieces(Outgoing(1, "assistant", "x", offers))[0]
    for kind in ("safety", "staff", "notice"):
        assert way.pieces(Outgoing(1, kind, "x")) == ["x"]
    called.rasa.down = True
    ann = called.person()
    called.inject(ann.says("Talk to a person."))
    assert called.becomes(ann.id, "waiting")
    assert called.messages(ann.id)[0].button == "fc:person"


def test_a_long_text_leaves_in_parts_each_once(called: XSide) -> None:
    """Cut between sentences; a part that was not taken is tried again, those before it not."""
    ann = wrote(called)
    pieces = channel(called).pieces(Outgoing(1, "staff", LONG))
    assert len(pieces) > 2
    assert all(len(piece) <= 10_000 for piece in pieces)
    assert all(piece.endswith(".") for piece in pieces)
    called.faults({"path": "send", "kind": "503", "times": 0})
    send(called, ann.id, LONG)
    assert called.texts(ann)[1:] == pieces

    called.fault("503")
    with pytest.raises(RetryLaterError) as caught:
        send(called, ann.id, LONG, parts_sent=1)
    assert caught.value.parts_sent == 1
    send(called, ann.id, LONG, parts_sent=1)
    assert called.texts(ann)[1 + len(pieces) :] == pieces[1:]


@pytest.mark.parametrize(
    "text", ["Look at www.force.example/report, or https://a.example/.", "1 < 2 & 3 > 2"]
)
def test_our_words_are_known_although_x_changes_them(called: XSide, text: str) -> None:
    """Short links, a slash, escapes: a row of unknown fate is settled all the same."""
    ann = called.person()
    called.inject(ann.chooses("Talk to a person", "person"))
    called.becomes(ann.id, "waiting")
    called.handled(ann.id)
    mo = called.moderator()
    chat = called.claim(ann.id, mo)
    called.hears(ann, called.line("joined"))
    called.fault("hang", seconds=30, take=True)
    row = called.reply(chat, mo, text)
    called.is_row(row, "sent")

    assert called.audited(ann.id, "echo.outside") == []
    assert called.conversation(ann.id).owner_id is not None


def test_who_we_are(called: XSide) -> None:
    """X is asked; the keys may be refused, or be another account's."""
    assert called.run(called.platform.reachable()) is None
    called.set_state(token="another")
    assert called.run(called.platform.reachable()) == "X refuses our keys"
