"""What each answer of Telegram's means for a message of ours."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace
from unittest import mock

import pytest

from bot.channels import pacing
from bot.channels.telegram.outbound import TelegramChannel
from bot.errors import RejectedError, RetryLaterError, UnsureError
from bot.messages import Button, Outgoing
from bot.store.tables import Attempt, Person
from tests.support.databases import SqliteTemplates
from tests.support.world import P1, PLAIN
from tests.telegram.serving import TOKEN, Side, telegram_side

pytestmark = pytest.mark.integration

LONG = "\n\n".join(f"Paragraph {n}. " + "This is a sentence of the desk. " * 28 for n in range(9))


@pytest.fixture
def quiet(sqlite_templates: SqliteTemplates) -> Iterator[Side]:
    """A gateway whose channel is called by hand."""
    with telegram_side(sqlite_templates.fresh(), "poll", run=False) as found:
        yield found


def channel(side: Side) -> TelegramChannel:
    """The way out."""
    return side.first.telegram._way_out


def send(side: Side, chat: int, text: str = "hello", **values: object) -> str:
    """Send one message by hand. Returns its id."""
    outgoing = Outgoing(1, values.pop("kind", "staff"), text, **values)  # type: ignore[arg-type]
    return side.run(channel(side).send(str(chat), outgoing)).message_id


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("429", RetryLaterError),
        ("503", RetryLaterError),
        ("500", UnsureError),
        ("502", UnsureError),
        ("504", UnsureError),
        ("cut", UnsureError),
        ("garbage", UnsureError),
        ("403", RejectedError),
        ("400", RejectedError),
    ],
)
def test_each_failure_is_told_apart(quiet: Side, kind: str, error: type[Exception]) -> None:
    """Try again, nobody can say, or never; and no text of a server's goes on record."""
    quiet.fault("sendMessage", kind, seconds=7)
    with pytest.raises(error) as caught:
        send(quiet, 5)

    assert TOKEN not in str(caught.value)
    assert "html" not in str(caught.value)
    assert caught.value.__cause__ is None
    if kind == "429":
        assert isinstance(caught.value, RetryLaterError)
        assert caught.value.retry_after_seconds == 7


def test_429_without_a_number_waits_a_second(quiet: Side) -> None:
    """Some servers between us and Telegram leave it out."""
    quiet.fault("sendMessage", "429", seconds=0)
    with pytest.raises(RetryLaterError) as caught:
        send(quiet, 5)

    assert caught.value.retry_after_seconds == 1


def test_a_refused_token_is_tried_again_later(quiet: Side) -> None:
    """The force has to mend it; nothing is lost meanwhile."""
    quiet.set_state(token="1:other")
    with pytest.raises(RetryLaterError) as caught:
        send(quiet, 5)

    assert caught.value.retry_after_seconds >= 30


def test_no_connection_means_not_sent(sqlite_templates: SqliteTemplates) -> None:
    """Nobody listens there."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with (
            telegram_side(sqlite_templates.fresh(), "poll", run=False, telegram_api_url=address) as side,
            pytest.raises(RetryLaterError),
        ):
            send(side, 5)


def test_blocked_unknown_and_made_up_people_are_never_reached(quiet: Side) -> None:
    """Each is said in words for the desk."""
    quiet.set_state(blocked=[6], unknown=[7])
    for chat, words in ((6, "blocked us"), (7, "does not know this person")):
        with pytest.raises(RejectedError, match=words):
            send(quiet, chat)
    with pytest.raises(RejectedError, match="no chat"):
        quiet.run(channel(quiet).send("@somebody", Outgoing(1, "staff", "hello")))
    with pytest.raises(RejectedError, match="nothing to send"):
        send(quiet, 5, "   ")


def test_plain_text_without_previews(quiet: Side) -> None:
    """What looks like markup is text."""
    send(quiet, 5, "<b>*call* _now_</b> northumbria.police.uk")
    (call,) = quiet.calls("sendMessage")

    assert call["text"] == "<b>*call* _now_</b> northumbria.police.uk"
    assert "parse_mode" not in call
    assert call["link_preview_options"] == {"is_disabled": True}


def test_buttons_stand_one_in_a_row_under_the_last_part(quiet: Side) -> None:
    """Ours carry their token; a person is one press away after an answer of the assistant's only."""
    buttons = (Button("Yes", "fc:faq:a", "1.0"), Button("No", "fc:none", "1.1"))
    send(quiet, 5, LONG, buttons=buttons, kind="assistant")
    send(quiet, 5, "in line", buttons=(Button("No person", "fc:withdraw", "2.0"),), kind="assistant")
    send(quiet, 5, "staff")
    sent = quiet.sent(5)

    rows = [m.get("reply_markup", {}).get("inline_keyboard") for m in sent]
    assert rows[:-3] == [None] * (len(sent) - 3)
    assert [row[0]["callback_data"] for row in rows[-3]] == ["1.0", "1.1", "person"]
    assert [row[0]["callback_data"] for row in rows[-2]] == ["2.0"]
    assert rows[-1] is None


def test_a_long_text_leaves_in_parts_each_of_them_once(quiet: Side) -> None:
    """After a refusal in the middle the next attempt goes on where it stopped."""
    quiet.http.post(
        "/control/faults",
        json=[{"method": "getMe", "kind": "500"}, {"method": "sendMessage", "kind": "429", "seconds": 1}],
    )
    with pytest.raises(RetryLaterError) as first:
        send(quiet, 5, LONG)
    assert first.value.parts_sent == 0
    send(quiet, 5, "x" * 4096 + "\n" + "y" * 4096 + "\nthe end", parts_sent=1)

    assert [text[0] for text in quiet.texts(5)] == ["y", "t"]


def test_a_reply_in_parts_survives_a_429_in_the_middle(side: Side) -> None:
    """Through the outbox: all parts, in order, each once."""
    ann = side.person()
    side.inject(ann.says("/person"))
    side.until(lambda: side.conversation(ann).state == "waiting", "the conversation to wait")
    mo = side.moderator()
    chat = side.claim(ann, mo)
    side.hears(ann, side.line("joined"))
    long = ("The first part of it. " * 180).strip() + "\n\n" + ("And the second. " * 60).strip()
    side.http.post(
        "/control/faults",
        json=[
            {"method": "sendMessage", "kind": "pass"},
            {"method": "sendMessage", "kind": "429", "seconds": 1},
        ],
    )
    row = side.reply(chat, mo, long)
    side.until(lambda: side.row(row).state == "sent", "the row to be sent")
    parts = [t for t in side.texts(ann) if "part of it" in t or "the second" in t]

    assert len(parts) == 2
    assert "The first part" in parts[0]
    assert parts[1].startswith("And the second.")
    results = [a.result for a in side.rows(Attempt, Attempt.outbox_id == row)]
    assert results == ["later", "sent"]
    assert side.row(row).parts_sent == 1


def test_whoever_blocks_us_is_told_apart_at_the_desk_and_may_come_back(side: Side) -> None:
    """A reply fails clearly and without a call; safety words are tried; a message takes it back."""
    ann = side.person()
    side.inject(ann.says("/person"))
    side.until(lambda: side.conversation(ann).state == "waiting", "the conversation to wait")
    mo = side.moderator()
    chat = side.claim(ann, mo)
    side.hears(ann, side.line("joined"))
    side.inject(ann.blocks())
    side.until(lambda: side.rows(Person)[0].left_at, "the block to be on record")
    calls = len(side.calls("sendMessage"))
    row = side.reply(chat, mo, "are you there?")
    side.until(lambda: side.row(row).state == "failed", "the row to fail")
    assert "blocked us" in side.row(row).detail
    assert len(side.calls("sendMessage")) == calls

    side.inject(ann.blocks(False))
    side.until(lambda: side.rows(Person)[0].left_at is None, "the block to be gone")
    again = side.reply(chat, mo, "good to see you")
    side.hears(ann, "good to see you")
    side.until(lambda: side.row(again).state == "sent", "the row to be sent")


def test_an_old_block_that_comes_late_does_not_count(side: Side) -> None:
    """Whoever wrote after it has taken it back; and words of danger are tried whatever it says."""
    ann = side.person()
    side.inject(ann.says(PLAIN, date=1_790_000_100))
    side.stored(ann)
    side.inject(ann.blocks(date=1_790_000_000))
    side.taken()
    assert side.rows(Person)[0].left_at is None

    side.inject(ann.blocks(date=1_790_000_200))
    side.until(lambda: side.rows(Person)[0].left_at, "the newer one to count")
    side.inject(ann.says(P1, date=1_790_000_150))
    side.hears(ann, "call 999 now")


def test_a_busy_chat_does_not_hold_up_words_of_danger(quiet: Side) -> None:
    """They take no place in line."""
    moment = time.monotonic()
    waited: list[float] = []
    asleep = channel(quiet)._pacing.wait_for

    def seen(chat: str, *, longest: float) -> float:
        wait = asleep(chat, longest=longest)
        waited.append(-1.0 if longest == float("inf") else wait)
        return wait

    # No place comes back while the machine stands still.
    with mock.patch.object(pacing, "time", SimpleNamespace(monotonic=lambda: moment)):
        for number in range(4):
            send(quiet, 5, f"{number}", kind="assistant")
        channel(quiet)._pacing.wait_for = seen  # type: ignore[method-assign]
        send(quiet, 5, "call 999", kind="safety")
        send(quiet, 5, "after it", kind="assistant")

    assert waited[0] == -1.0
    assert waited[1] > 1.0


def test_reachable_says_what_is_wrong_without_a_secret(quiet: Side) -> None:
    """None when all is well."""
    telegram = quiet.first.telegram
    assert quiet.run(telegram.reachable()) is None
    quiet.fault("getMe", "502")
    assert quiet.run(telegram.reachable()) == "Telegram answered 502"
    quiet.fault("getMe", "hang", seconds=30)
    assert quiet.run(telegram.reachable()) == "no answer from Telegram"
    quiet.set_state(token="1:other")
    assert quiet.run(telegram.reachable()) == "Telegram refuses the token"
