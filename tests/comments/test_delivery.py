"""Edits, removals, repeats, failures: what becomes of a comment and of what was said to it."""

from __future__ import annotations

import httpx
import pytest

from bot.store.tables import Commenter, Conversation, Message, Outbox
from tests.comments.conftest import Kept
from tests.comments.serving import CommentSide, comment_side
from tests.platforms.graph.commenters import id_of
from tests.platforms.graph.events import Writer
from tests.support.databases import SqliteTemplates
from tests.support.world import P1, P1_OTHER, P3, PLAIN

pytestmark = pytest.mark.integration

HARMLESS = "great work lads"


def test_every_comment_of_a_batch_is_kept_and_answered(side: CommentSide) -> None:
    """Five people in one webhook."""
    post, people = side.new_post(), [side.commenter() for _ in range(5)]
    changes = [person.writes(post, PLAIN) for person in people]
    side.happens(*changes, batch=True)
    for person in people:
        side.done(person, post)

    assert [len(side.private(change)) for change in changes] == [1] * 5


def test_three_times_and_in_any_order_is_once(side: CommentSide) -> None:
    """One message, one line, one private reply to each comment."""
    ann, post = side.commenter(), side.new_post()
    changes = [ann.writes(post, text) for text in (PLAIN, "and is 101 free?", HARMLESS)]
    side.happens(*changes, copies=3, shuffle=True)
    side.until(lambda: len(side.messages(f"{post}/{ann.id}", side.own)) >= 3, "the comments to be stored")
    row = side.done(ann, post)

    assert len(side.messages(f"{post}/{ann.id}", side.own)) == 3
    assert side.public(*changes) == [side.line("public_comment")]
    assert len(side.private(*changes)) == 2
    assert len(side.rows(Conversation, Conversation.person_id == row.person_id)) == 1


def test_an_edit_is_a_new_version_and_is_screened(page: CommentSide) -> None:
    """Both stay on record; the line goes under the comment that it is about."""
    ann, post = page.commenter(), page.new_post()
    wrote = ann.writes(post, HARMLESS)
    page.happens(wrote)
    page.done(ann, post)
    page.happens(ann.edits(wrote, P1), copies=2)
    page.until(lambda: len(page.messages(f"{post}/{ann.id}", page.own)) == 2, "the edit to be stored")
    row = page.done(ann, post)

    first, second = page.messages(f"{post}/{ann.id}", page.own)
    assert (first.text, second.text, second.edit_of) == (HARMLESS, P1, id_of(wrote))
    assert page.public(wrote) == [page.line("public_danger")]
    assert (row.state, row.grade) == ("waiting", "P1")


def test_an_old_comment_with_new_words_is_answered_where_it_stands(page: CommentSide) -> None:
    """Also once its conversation has been closed: its one private message is used, the line is not."""
    ann, post = page.commenter(), page.new_post()
    wrote = ann.writes(post, PLAIN)
    page.happens(wrote)
    row, mo, core = page.done(ann, post), page.moderator(), page.first.gateway.core
    page.run(core.desk.escalate(row.id, mo, "to read it"))
    page.run(core.desk.claim(row.id, mo, page.chat(ann, post).epoch))
    outcome = next(key for key, found in core.content.current.outcomes.items() if not found.get("agency"))
    page.run(core.desk.close(row.id, mo, outcome, "Read.", seen=10**9))
    page.happens(ann.edits(wrote, P1))
    page.until(lambda: page.public(wrote)[1:], "the line for danger")
    again = page.done(ann, post)

    assert again.id != row.id
    assert (again.state, again.grade) == ("waiting", "P1")
    assert page.public(wrote) == [page.line("public_comment"), page.line("public_danger")]
    assert len(page.private(wrote)) == 1
    assert page.comment(wrote).conversation_id == again.id
    assert "failed" not in {one.state for one in page.said(again)}


def test_an_edit_that_changes_nothing_is_none(page: CommentSide) -> None:
    """Meta calls it an edit too when a preview is added."""
    ann, post = page.commenter(), page.new_post()
    wrote = ann.writes(post, HARMLESS)
    page.happens(wrote)
    page.done(ann, post)
    page.happens(ann.edits(wrote, HARMLESS))
    page.quiet()

    assert len(page.messages(f"{post}/{ann.id}", page.own)) == 1


def test_a_comment_that_was_taken_back_stays_on_record(page: CommentSide) -> None:
    """What it said, and that it has gone."""
    ann, post = page.commenter(), page.new_post()
    wrote = ann.writes(post, P3)
    page.happens(wrote)
    page.done(ann, post)
    page.happens(ann.removes(wrote))
    page.until(lambda: len(page.messages(f"{post}/{ann.id}", page.own)) == 2, "the removal to be stored")

    first, second = page.messages(f"{post}/{ann.id}", page.own)
    assert (first.text, second.kind, second.edit_of) == (P3, "deleted", id_of(wrote))
    assert page.comment(wrote).removed


def test_on_a_live_video_nothing_can_be_said_in_public(instagram: CommentSide) -> None:
    """So all of it goes in private, the 999 block first."""
    ann, post = instagram.commenter(), instagram.new_post()
    wrote = ann.writes_live(post, P1)
    instagram.happens(wrote)
    row = instagram.done(ann, post)

    assert instagram.public(wrote) == []
    assert instagram.private(wrote)[0].startswith("If you or someone else is in danger, call 999 now.")
    assert row.grade == "P1"


def test_who_writes_on_the_page_itself_is_seen_as_well(page: CommentSide) -> None:
    """Danger is answered under their own post; the rest waits for a person."""
    ann, bob = page.commenter(), page.commenter()
    danger, asked = ann.visits(page.new_post(None), P1), bob.visits(page.new_post(None), PLAIN)
    page.happens(danger, asked)
    page.done(ann, id_of(danger))
    row = page.done(bob, id_of(asked))

    assert page.public(danger) == [page.line("public_danger")]
    assert len(page.private(danger)) == 1
    assert page.public(asked) + page.private(asked) == []
    assert row.state == "waiting"


def test_the_record_says_what_was_read(instagram: CommentSide) -> None:
    """One message is all that a comment takes: its first words, on record as they left."""
    ann, post = instagram.commenter(), instagram.new_post()
    wrote = ann.writes(post, P1)
    instagram.happens(wrote)
    row = instagram.done(ann, post)

    (said,) = [one for one in instagram.said(row) if one.way == "private"]
    assert instagram.private(wrote) == [said.text]
    assert len(said.text.encode()) <= 1000


def test_who_names_us_elsewhere_is_read_by_a_person(instagram: CommentSide) -> None:
    """What they wrote is fetched; only danger is answered under a post of somebody else's."""
    ann = instagram.commenter()
    media, comment = instagram.new_post(None), ann.new_id("x_1")
    instagram.wall(mentioned={"one": {"id": comment, "text": P1, "timestamp": "2026-11-23T10:00:00+0000"}})
    change = ann.mentions(media, comment)
    instagram.happens(change)
    instagram.until(
        lambda: instagram.rows(Message, Message.platform_id == comment),
        "the mention to be stored",
    )
    instagram.quiet()

    assert instagram.public(change) == [instagram.line("public_danger")]
    assert instagram.private(change) == []


def test_the_store_is_down_and_somebody_is_in_danger(side: CommentSide) -> None:
    """The 999 line at once, in public and alone; 503, so that the platform delivers again."""
    ann, post = side.commenter(), side.new_post()
    wrote = ann.writes(post, P1)
    side.http.post("/control/state", json={"gateways": []})
    side.happens(wrote)
    side.http.post("/control/state", json={"gateways": [side.first.base]})
    side.first.break_store()
    answers = [side.post(side.body_of(wrote)).status_code for _ in range(2)]
    side.until(lambda: side.public(wrote), "the line")
    side.first.mend_store()

    assert answers == [503, 503]
    assert side.public(wrote) == [side.line("public_danger")]
    assert side.private(wrote) == []

    assert side.post(side.body_of(wrote)).status_code == 200
    row = side.done(ann, post)
    assert (row.state, row.grade) == ("waiting", "P1")
    assert len(side.private(wrote)) == 1


@pytest.mark.parametrize(
    ("kind", "state"), [("503", "sent"), ("613:1", "sent"), ("500", "unknown"), ("100:33", "failed")]
)
def test_what_the_platform_answers_decides(side: CommentSide, kind: str, state: str) -> None:
    """Not taken is tried again; refused never; what may stand there already is not said twice."""
    ann, post = side.commenter(), side.new_post()
    side.faults({"path": "public", "kind": kind, "headers": {"Retry-After": "1"}})
    wrote = ann.writes(post, PLAIN)
    side.happens(wrote)
    row = side.done(ann, post)

    (line,) = [one for one in side.said(row) if one.way == "public"]
    assert line.state == state
    assert len(side.public(wrote)) == (1 if state == "sent" else 0)
    assert len(side.private(wrote)) == 1


def test_safety_words_of_unknown_fate_are_said_again(side: CommentSide) -> None:
    """A repeat is allowed, a gap is not."""
    ann, post = side.commenter(), side.new_post()
    side.faults({"path": "public", "kind": "cut"})
    wrote = ann.writes(post, P1)
    side.happens(wrote)
    side.until(lambda: side.public(wrote), "the line")

    assert set(side.public(wrote)) == {side.line("public_danger")}


def test_a_person_who_takes_no_private_message_still_gets_the_line(side: CommentSide) -> None:
    """The desk sees that the private one did not arrive."""
    ann, post = side.commenter(), side.new_post()
    side.wall(closed=[ann.id])
    wrote = ann.writes(post, PLAIN)
    side.happens(wrote)
    row = side.done(ann, post)

    assert side.public(wrote) == [side.line("public_comment")]
    assert [one.state for one in side.said(row) if one.way == "private"] == ["failed"]


def test_after_a_week_no_private_reply_is_taken(side: CommentSide) -> None:
    """Nor is one tried that was refused once."""
    ann, post = side.commenter(), side.new_post()
    wrote = ann.writes(post, HARMLESS)
    side.happens(wrote)
    row = side.done(ann, post)
    side.wall(age={id_of(wrote): 8 * 24 * 3600})
    mo = side.moderator()
    core = side.first.gateway.core
    side.run(core.desk.escalate(row.id, mo, "to answer it"))
    row = side.chat(ann, post)
    side.run(core.desk.claim(row.id, mo, row.epoch))
    side.run(core.desk.reply(row.id, mo, "Thank you for your kind words."))
    side.quiet()

    assert side.private(wrote) == []
    assert [one.state for one in side.said(row) if one.kind == "staff"] == ["failed"]


def test_a_private_chat_is_known_to_be_the_same_person_s(side: CommentSide) -> None:
    """By the platform's own word; while the comment waits, the chat waits beside it."""
    ann, post = side.commenter(), side.new_post()
    side.happens(ann.writes(post, P3))
    row = side.done(ann, post)
    (known,) = side.rows(Commenter, Commenter.person_id == row.person_id)
    writer = Writer(int(ann.id), side.app.us)
    side.inject(writer.says("thanks, here I am"))
    chat = side.becomes(ann.id, "waiting")

    assert known.private_id == ann.id
    assert (chat.grade, chat.category, chat.team) == (row.grade, row.category, row.team)
    assert side.audited(ann.id, "comment.follow") == ["comment.follow"]


def test_the_echo_of_a_private_reply_is_our_own(side: CommentSide) -> None:
    """With or without a mark of ours, however early it comes, a chat that is open stays the assistant's."""
    ann, post = side.commenter(), side.new_post()
    writer = Writer(int(ann.id), side.app.us)
    side.inject(writer.says(PLAIN))
    side.handled(ann.id)
    side.until(lambda: side.sent(writer), "the answer")
    side.mode(bare_echoes=side.app.is_instagram, echo_first=True)
    wrote = ann.writes(post, PLAIN)
    side.happens(wrote)
    side.done(ann, post)
    side.until(lambda: side.private(wrote), "the private reply")
    side.taken()
    open_echoes = "echo:%"
    from bot.store.tables import Due

    side.until(
        lambda: not side.rows(Due, Due.key.like(open_echoes), Due.done_at.is_(None)),
        "held echoes to be looked at",
    )

    assert side.conversation(ann.id).state == "bot"
    assert side.audited(ann.id, "echo.outside") == []


def test_a_block_is_of_the_account_and_not_of_one_thread(side: CommentSide) -> None:
    """Danger is answered all the same."""
    ann, one, other = side.commenter(), side.new_post(), side.new_post()
    side.happens(ann.writes(one, HARMLESS))
    row = side.done(ann, one)
    mo = side.moderator()
    sue = type(mo)(mo.name, mo.staff_id, "supervisor", mo.teams)
    side.run(side.first.gateway.core.desk.block(row.id, sue, True, "abuse of staff"))
    asked, danger = ann.writes(other, PLAIN), ann.writes(other, P1_OTHER)
    side.happens(asked)
    side.done(ann, other)
    side.happens(danger)
    side.done(ann, other)

    assert side.public(asked) + side.private(asked) == []
    assert side.public(danger) == [side.line("public_danger")]


def test_two_gateways_say_nothing_twice(
    sqlite_templates: SqliteTemplates, postgres_templates: object
) -> None:
    """The same webhooks, shuffled, to both."""
    for name, templates in (("messenger", sqlite_templates), ("instagram", postgres_templates)):
        with comment_side(name, templates.fresh(), 2) as side:  # type: ignore[attr-defined]
            post, people = side.new_post(), [side.commenter() for _ in range(3)]
            changes = [one.writes(post, text) for one, text in zip(people, (PLAIN, P1, P3), strict=True)]
            side.happens(*changes, copies=3, shuffle=True)
            for one in people:
                side.done(one, post)

            assert [len(side.public(change)) for change in changes] == [1, 1, 1]
            assert [len(side.private(change)) for change in changes] == [1, 1, 1]
            assert len(side.rows(Outbox, Outbox.channel == side.own)) == 6


def test_without_the_setting_changes_are_passed_over(kept: Kept, sqlite_templates: SqliteTemplates) -> None:
    """Taken, so that they do not come again; nothing of them is stored."""
    side = kept.get(
        "off", lambda: comment_side("messenger", sqlite_templates.fresh(), messenger_comments=False)
    )
    ann, post = side.commenter(), side.new_post()
    wrote = ann.writes(post, P1)

    assert side.post(side.body_of(wrote)).status_code == 200
    assert side.rows(Message) == []


def test_comments_that_may_not_go_live_yet_are_passed_over(page: CommentSide) -> None:
    """The messages beside them are live, so the webhook is taken all the same."""
    core, ann, post = page.first.gateway.core, page.commenter(), page.new_post()
    body = page.body_of(ann.writes(post, P1))
    core.held_back = frozenset({page.own})
    try:
        assert page.post(body).status_code == 200
        assert page.messages(f"{post}/{ann.id}", page.own) == []
    finally:
        core.held_back = frozenset()

    assert page.post(body).status_code == 200
    assert len(page.messages(f"{post}/{ann.id}", page.own)) == 1


def test_a_wrongly_signed_change_is_refused(page: CommentSide) -> None:
    """As any webhook."""
    ann, post = page.commenter(), page.new_post()
    body = page.body_of(ann.writes(post, PLAIN))

    answer: httpx.Response = page.post(body, "sha256=" + "0" * 64)
    assert answer.status_code == 403
    assert page.messages(f"{post}/{ann.id}", page.own) == []
