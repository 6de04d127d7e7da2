"""Faults that were found by reading: each of these failed before it was mended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from unittest import mock

import pytest

from bot.channels.comments import platform
from bot.store.tables import Commenter, Due, Message
from tests.comments.serving import CommentSide
from tests.platforms.graph.commenters import id_of
from tests.platforms.graph.events import Writer
from tests.support.world import P1, PLAIN

pytestmark = pytest.mark.integration

HARMLESS = "great work lads"


@pytest.fixture
def soon() -> Iterator[None]:
    """What cannot be fetched is fetched again in a moment."""
    with mock.patch.object(platform, "FETCH_AGAIN", (timedelta(seconds=1), timedelta(seconds=1))):
        yield


def texts(side: CommentSide, person: str) -> list[str]:
    """What is stored of a person, in its order."""
    return [one.text for one in side.messages(person, side.own)]


def test_who_goes_back_to_words_of_before_is_read_again(page: CommentSide) -> None:
    """A, B, A, B: the last edit says B, and so does the record. A repeat of a webhook adds nothing."""
    ann, post = page.commenter(), page.new_post()
    wrote, person = ann.writes(post, HARMLESS), f"{post}/{ann.id}"
    page.happens(wrote)
    page.until(lambda: texts(page, person) == [HARMLESS], "it to be stored")
    said = [HARMLESS]
    for text in ("see you there", HARMLESS, "see you there"):
        # Nobody edits twice within a second.
        time.sleep(1.1)
        page.happens(ann.edits(wrote, text), copies=2)
        said.append(text)
        page.until(lambda: len(texts(page, person)) >= len(said), "the edit to be stored")
        page.taken()
    assert texts(page, person) == said


def test_the_same_within_one_webhook(page: CommentSide) -> None:
    """They bear one time there."""
    ann, post = page.commenter(), page.new_post()
    wrote, person = ann.writes(post, HARMLESS), f"{post}/{ann.id}"
    body = page.body_of(
        wrote, *(ann.edits(wrote, text) for text in ("see you there", HARMLESS, "see you there"))
    )
    assert [page.post(body).status_code for _ in range(2)] == [200, 200]
    assert texts(page, person) == [HARMLESS, "see you there", HARMLESS, "see you there"]


def test_what_cannot_be_fetched_at_first_is_fetched_again(instagram: CommentSide, soon: None) -> None:
    """Nobody is shown a blank comment meanwhile."""
    ann, media = instagram.commenter(), instagram.new_post(None)
    comment = ann.new_id("x_1")
    instagram.wall(mentioned={})
    change = ann.mentions(media, comment)
    instagram.happens(change)
    key = f"named.instagram:{media}/{comment}"
    instagram.until(lambda: instagram.rows(Due, Due.key == key), "it to be kept for later")
    assert instagram.rows(Message, Message.platform_id == comment) == []
    instagram.wall(mentioned={"one": {"id": comment, "text": P1, "timestamp": "2026-11-23T10:00:00+0000"}})
    instagram.until(lambda: instagram.rows(Message, Message.platform_id == comment), "it to be stored")
    instagram.quiet()

    (stored,) = instagram.rows(Message, Message.platform_id == comment)
    assert stored.text == P1
    assert instagram.public(change) == [instagram.line("public_danger")]


def test_what_can_never_be_fetched_is_put_before_a_person(instagram: CommentSide, soon: None) -> None:
    """With what is known: that somebody has named us, and where."""
    ann, media = instagram.commenter(), instagram.new_post(None)
    comment = ann.new_id("x_1")
    instagram.wall(mentioned={})
    instagram.happens(ann.mentions(media, comment))
    instagram.until(lambda: instagram.rows(Message, Message.platform_id == comment), "it to be stored")
    instagram.quiet()

    assert instagram.chat_of(f"{media}/{comment}").state == "waiting"
    (due,) = instagram.rows(Due, Due.key == f"named.instagram:{media}/{comment}")
    assert due.data["tries"] == 2


@pytest.mark.parametrize("first", ["comment", "mention"])
def test_a_comment_that_names_us_is_one_comment(instagram: CommentSide, first: str) -> None:
    """Meta tells of it twice, in either order."""
    ann, post = instagram.commenter(), instagram.new_post()
    wrote = ann.writes(post, PLAIN)
    comment = id_of(wrote)
    instagram.wall(mentioned={})
    instagram.wall(mentioned={"one": {"id": comment, "text": PLAIN, "timestamp": "2026-11-23T10:00:00+0000"}})
    both = [wrote, ann.mentions(post, comment)]
    for change in both if first == "comment" else reversed(both):
        instagram.happens(change)
        instagram.until(lambda: instagram.rows(Message, Message.platform_id == comment), "it to be stored")
        instagram.taken()
        instagram.quiet()

    stored = instagram.rows(
        Message, Message.platform_id.in_([comment, f"mention:{comment}", f"{comment}.told"])
    )
    assert [one.text for one in stored] == [PLAIN]
    assert instagram.comment(wrote).takes_private


def test_a_comment_whose_mention_was_blank_has_its_words(instagram: CommentSide, soon: None) -> None:
    """Danger may stand in them."""
    ann, post = instagram.commenter(), instagram.new_post()
    wrote = ann.writes(post, P1)
    instagram.wall(mentioned={})
    instagram.happens(ann.mentions(post, id_of(wrote)))
    instagram.until(lambda: instagram.rows(Message, Message.platform_id == id_of(wrote)), "the blank one")
    instagram.happens(wrote)
    row = instagram.chat(ann, post)
    instagram.quiet()

    assert instagram.chat(ann, post).grade == "P1"
    assert texts(instagram, f"{post}/{ann.id}") == [P1]
    assert instagram.public(wrote) == [instagram.line("public_danger")]
    assert row.channel == instagram.own


def test_a_private_reply_of_unknown_fate_is_known_by_its_words(instagram: CommentSide) -> None:
    """Its echo bears an id that nobody has told us: it was us, and not somebody outside the desk."""
    ann, post = instagram.commenter(), instagram.new_post()
    writer = Writer(int(ann.id), instagram.app.us)
    instagram.inject(writer.says(PLAIN))
    instagram.handled(ann.id)
    instagram.until(lambda: instagram.sent(writer), "the answer")
    instagram.mode(bare_echoes=True)
    instagram.faults({"path": "private", "kind": "cut", "take": True})
    wrote = ann.writes(post, PLAIN)
    instagram.happens(wrote)
    row = instagram.done(ann, post)

    def settled() -> bool:
        (private,) = [one for one in instagram.said(row) if one.way == "private"]
        return bool(private.state in ("sent", "delivered", "read"))

    instagram.until(settled, "its fate to be known")
    instagram.until(
        lambda: not instagram.rows(Due, Due.key.like("echo:%"), Due.done_at.is_(None)), "the echoes"
    )
    (known,) = instagram.rows(Commenter, Commenter.person_id == row.person_id)
    assert known.private_id == ann.id
    assert instagram.conversation(ann.id).state == "bot"
    assert instagram.audited(ann.id, "echo.outside") == []
