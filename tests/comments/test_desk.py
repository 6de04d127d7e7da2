"""The desk: replies in public and in private, the posts, and who may do what."""

from __future__ import annotations

import re

import pytest

from bot.store.tables import Approval, Audit, Outbox, Post
from tests.comments.serving import APPEAL_POST, PLAIN_POST, CommentSide
from tests.console.serving import Browser
from tests.platforms.graph.commenters import Commenter, id_of
from tests.platforms.graph.events import Writer
from tests.support.world import P1, P3, PLAIN

pytestmark = pytest.mark.integration

REPLY = "Thank you. Please send us a private message about this."


def claimed(
    side: CommentSide, text: str = "who was that bloke with the purple monkey?"
) -> tuple[Commenter, str, dict[str, object], Browser]:
    """A comment that mo has taken."""
    ann, post = side.commenter(), side.new_post()
    wrote = ann.writes(post, text)
    side.happens(wrote)
    row = side.done(ann, post)
    mo = side.browser("mo")
    mo.get(f"/desk/c/{row.id}")
    mo.do(row, "claim", epoch=row.epoch)
    return ann, post, wrote, mo


def test_a_reply_goes_in_private_unless_the_public_is_chosen(side: CommentSide) -> None:
    """And nobody under the post is told who has joined."""
    ann, post, wrote, mo = claimed(side)
    row = side.chat(ann, post)
    mo.get(f"/desk/c/{row.id}")
    assert mo.do(row, "reply", text=REPLY, epoch=row.epoch, way="private").status_code < 400
    side.quiet()

    (private,) = side.private(wrote)
    assert private.endswith(REPLY)
    assert side.public(wrote) == []
    assert not [one for one in side.said(row) if one.kind == "notice"]


def test_a_second_private_reply_is_refused_before_it_is_written_off(side: CommentSide) -> None:
    """The comment has had its one message; the text stays where it is."""
    ann, post, wrote, mo = claimed(side)
    row = side.chat(ann, post)
    mo.get(f"/desk/c/{row.id}")
    mo.do(row, "reply", text=REPLY, epoch=row.epoch)
    side.quiet()
    answer = mo.do(row, "reply", text="And one more thing.", epoch=row.epoch)

    assert answer.status_code == 422
    assert "has had its one message" in answer.text
    assert len(side.private(wrote)) == 1
    assert "has had its one message" in mo.get(f"/desk/c/{row.id}").text


def test_a_reply_that_one_message_does_not_hold_is_refused(side: CommentSide) -> None:
    """Before anything of it is sent."""
    ann, post, wrote, mo = claimed(side)
    row = side.chat(ann, post)
    mo.get(f"/desk/c/{row.id}")
    answer = mo.do(row, "reply", text="Thank you. " * 90, epoch=row.epoch)

    assert answer.status_code == 422
    assert "one short message" in answer.text
    assert side.private(wrote) == []


def test_a_public_reply_is_read_by_a_second_person_first(side: CommentSide) -> None:
    """Whatever the rule of the team is; who approved it is on record."""
    ann, post, wrote, mo = claimed(side)
    row = side.chat(ann, post)
    mo.get(f"/desk/c/{row.id}")
    mo.do(row, "reply", text=REPLY, epoch=row.epoch, way="public")
    (waits,) = side.rows(Approval, Approval.conversation_id == row.id)
    own = mo.do(row, "approval/send", approval=waits.id)
    assert own.status_code == 422
    assert side.public(wrote) == []

    sue = side.browser("sue")
    shown = sue.get(f"/desk/c/{row.id}/approval").text
    assert "Everybody will read this" in shown
    newest = re.search(r'name="seen" value="(\d+)"', shown)
    assert newest is not None
    sue.do(row, "approval/approve", approval=waits.id, epoch=row.epoch, seen=newest[1])
    side.quiet()

    assert side.public(wrote) == [REPLY]
    assert side.private(wrote) == []
    (said,) = [a for a in side.rows(Audit, Audit.action == "reply") if a.conversation_id == row.id]
    assert (said.actor, said.detail["way"]) == ("Sue Tester", "public")


def test_a_public_reply_to_danger_is_read_first_too(side: CommentSide) -> None:
    """The 999 line went by itself, and a private reply waits for nobody."""
    ann, post, wrote, mo = claimed(side, P1)
    row = side.chat(ann, post)
    mo.get(f"/desk/c/{row.id}")
    mo.do(row, "reply", text=REPLY, epoch=row.epoch, way="public")
    (waits,) = side.rows(Approval, Approval.conversation_id == row.id)

    assert mo.do(row, "approval/send", approval=waits.id).status_code == 422
    assert side.public(wrote) == [side.line("public_danger")]
    alarms = mo.get("/desk/own", **{"hx-current-url": "/desk/queue"}).text
    assert f'id="free-{row.id}"' not in alarms


def test_closing_says_nothing_under_a_post(side: CommentSide) -> None:
    """Nor in private: the one message is not spent on it."""
    ann, post, wrote, mo = claimed(side)
    row = side.chat(ann, post)
    mo.get(f"/desk/c/{row.id}")
    outcome = next(iter(side.first.gateway.core.content.current.outcomes))
    mo.do(row, "close", outcome=outcome, done="Read, nothing to do.", seen=10**9)
    side.quiet()

    assert side.public(wrote) + side.private(wrote) == []


def test_the_page_shows_where_it_stands(side: CommentSide) -> None:
    """The post, the link, and the private chat of the same person."""
    ann, post = side.commenter(), side.new_post()
    side.happens(ann.writes(post, P3))
    row = side.done(ann, post)
    side.inject(Writer(int(ann.id), side.app.us).says("here I am"))
    chat = side.becomes(ann.id, "waiting")
    mo = side.browser("mo")
    shown, other = mo.get(f"/desk/c/{row.id}").text, mo.get(f"/desk/c/{chat.id}").text

    assert PLAIN_POST in shown
    assert "https://www." in shown
    assert chat.reference in shown
    assert row.reference in other
    assert "In public" in shown


def test_nobody_is_the_same_person_for_want_of_a_name(page: CommentSide) -> None:
    """Where Meta keeps to itself who wrote, each comment is somebody."""
    post, told = page.new_post(), []
    for _ in range(2):
        wrote = page.commenter().writes(post, P3)
        del wrote["value"]["from"]
        told.append(wrote)
    page.happens(*told)
    page.quiet()
    page.until(
        lambda: all(page.messages(f"{post}/{id_of(one)}", page.own) for one in told), "both to be stored"
    )
    page.quiet()
    first, second = (page.chat_of(f"{post}/{id_of(one)}") for one in told)

    assert "The same person" not in page.browser("mo").get(f"/desk/c/{first.id}").text
    assert first.id != second.id


@pytest.mark.parametrize(("username", "status"), [("cam", 200), ("sue", 200), ("mo", 403)])
def test_comms_and_supervisors_say_what_a_post_is(side: CommentSide, username: str, status: int) -> None:
    """It counts from the next comment on, and is on record."""
    ann, post = side.commenter(), side.new_post()
    side.happens(ann.writes(post, "great work lads"))
    side.done(ann, post)
    (known,) = side.rows(Post, Post.platform_id == post)
    browser = side.browser(username)
    browser.get("/desk/comments/posts")
    answer = browser.post(f"/desk/comments/posts/{known.id}", kind="memorial")
    asked = ann.writes(post, PLAIN)
    side.happens(asked)
    side.done(ann, post)

    assert answer.status_code == status
    (after,) = side.rows(Post, Post.platform_id == post)
    assert after.kind == ("memorial" if status == 200 else None)
    assert len(side.private(asked)) == (0 if status == 200 else 1)
    marks = [a for a in side.rows(Audit, Audit.action == "post.mark") if a.detail["post"] == known.id]
    assert len(marks) == (1 if status == 200 else 0)


def test_an_appeal_by_its_words_can_be_marked_ordinary(side: CommentSide) -> None:
    """Staff know better than a list of words."""
    ann, post = side.commenter(), side.new_post(APPEAL_POST)
    side.happens(ann.writes(post, "great work lads"))
    side.done(ann, post)
    (known,) = side.rows(Post, Post.platform_id == post)
    cam = side.browser("cam")
    assert "by its words" in cam.get("/desk/comments/posts").text
    cam.post(f"/desk/comments/posts/{known.id}", kind="ordinary")
    asked = ann.writes(post, PLAIN)
    side.happens(asked)
    side.done(ann, post)

    assert len(side.private(asked)) == 1


@pytest.mark.parametrize("username", ["mo", "cam", "sue"])
def test_the_pages_are_in_the_menu_of_who_may_use_them(side: CommentSide, username: str) -> None:
    """And open without scripts."""
    browser = side.browser(username)
    assert 'href="/desk/comments"' in browser.get("/desk/settings").text
    assert browser.get("/desk/comments").status_code == 200
    assert browser.get("/desk/comments/posts").status_code == 200


def test_no_other_part_of_the_gateway_can_speak_under_a_post(side: CommentSide) -> None:
    """Whatever writes a row there without saying how is refused by the channel itself."""
    ann, post = side.commenter(), side.new_post()
    wrote = ann.writes(post, "great work lads")
    side.happens(wrote)
    row = side.done(ann, post)

    async def write() -> None:
        from bot.store.record import add_outbox

        core = side.first.gateway.core
        async with core.store.write() as connection:
            await add_outbox(connection, row, "notice", "This chat is closed.", epoch=row.epoch)
        core.bell.ring("outbox")

    side.run(write())
    side.until(
        lambda: [one for one in side.rows(Outbox, Outbox.conversation_id == row.id) if one.state == "failed"],
        "the row to fail",
    )
    assert side.public(wrote) + side.private(wrote) == []
