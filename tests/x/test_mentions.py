"""Posts that mention the force: what is said in public, what in private, what is hidden, what is left alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

import pytest

from bot.store.tables import Approval, Commenter, Post
from tests.meta.serving import Kept
from tests.support.databases import SqliteTemplates
from tests.support.passwords import light_passwords  # noqa: F401  a fixture
from tests.support.rasa import FAQ
from tests.support.world import P1, P1_OTHER, P2_HIDDEN, P3, PLAIN
from tests.x.mention_serving import APPEAL, OWN, MentionSide, mention_side

pytestmark = pytest.mark.integration

BLOCK = "If you or someone else is in danger, call 999 now."
REMARK = "great work lads"
PERSONAL = "he lives at 12 Raby Street, Byker"
REPLY = "Thank you. Please send us a private message about this."


@pytest.fixture(params=["sqlite", "postgres"])
def side(request: pytest.FixtureRequest, kept: Kept) -> MentionSide:
    """One gateway that reads mentions, on each kind of database. People are a test's own."""
    templates = request.getfixturevalue(f"{request.param}_templates")
    return cast(MentionSide, kept.get(request.param, lambda: mention_side(templates.fresh())))


@pytest.fixture
def one(kept: Kept, sqlite_templates: SqliteTemplates) -> MentionSide:
    """The same on SQLite alone."""
    return cast(MentionSide, kept.get("sqlite", lambda: mention_side(sqlite_templates.fresh())))


@pytest.fixture
def hiding(kept: Kept, sqlite_templates: SqliteTemplates) -> MentionSide:
    """The same where the force has switched hiding on."""
    make = lambda: mention_side(sqlite_templates.fresh(), hide=True)  # noqa: E731
    return cast(MentionSide, kept.get("hiding", make))


@pytest.fixture
def called(sqlite_url: str) -> Iterator[MentionSide]:
    """A gateway that X calls; looks come once an hour."""
    with mention_side(sqlite_url, _mode="webhook", _poll_seconds=3600.0) as found:
        yield found


def test_a_question_gets_its_answer_in_private_and_then_one_line_in_public(side: MentionSide) -> None:
    """Whoever names us in a post of their own has asked us."""
    ann = side.poster()
    asked = ann.posts(PLAIN)
    side.arrive(asked)
    row = side.thread(ann, asked)

    assert side.public(asked) == [side.line("public_comment")]
    (private,) = side.texts(ann)
    assert private.startswith(side.line("comment_private_x_mentions"))
    assert side.answer(FAQ)[:60] in private
    assert (row.state, row.channel) == ("bot", OWN)
    assert [said.way for said in side.said(row)] == ["private", "public"]
    assert side.kept(asked)[0].text == PLAIN, "whom it calls is none of its words"


def test_the_line_is_said_once_for_each_thread_and_person(side: MentionSide) -> None:
    """Another thread is another matter, and so is another person."""
    ann, bob, post = side.poster(), side.poster(), side.publish()
    first, second = ann.posts(PLAIN, under=post), ann.posts("and is 101 free?", under=post)
    elsewhere, his = ann.posts(PLAIN), bob.posts(PLAIN, under=post)
    for each in (first, second, elsewhere):
        side.arrive(each)
        side.thread(ann, each)
    side.arrive(his)
    side.thread(bob, his)

    line = side.line("public_comment")
    assert [side.public(each) for each in (first, second, elsewhere, his)] == [[line], [], [line], [line]]
    assert len(side.texts(ann)) == 3


def test_danger_gets_the_999_line_in_public_and_the_rest_in_private(side: MentionSide) -> None:
    """And waits in the queue like any message."""
    ann, post = side.poster(), side.publish()
    wrote = ann.posts(P1, under=post)
    side.arrive(wrote)
    row = side.thread(ann, wrote)

    assert side.public(wrote) == [side.line("public_danger")]
    (private,) = side.texts(ann)
    assert private.startswith(BLOCK)
    assert (row.state, row.grade) == ("waiting", "P1")


def test_each_person_in_danger_is_shown_the_line_though_x_refuses_the_same_words(side: MentionSide) -> None:
    """Whatever was said in the thread before: where X takes no repeat, the time stands behind it."""
    side.timeline(strict=True)
    ann, bob, post = side.poster(), side.poster(), side.publish()
    wrote = [ann.posts(P1, under=post), bob.posts(P1_OTHER, under=post)]
    side.arrive(*wrote)
    side.thread(ann, wrote[0])
    side.thread(bob, wrote[1])

    line = side.line("public_danger")
    said = [text for each in wrote for text in side.public(each)]
    assert len(said) == 2
    assert all(re.fullmatch(re.escape(line) + r"( \(\d\d:\d\d(:\d\d(, \d{3})?)?\))?", text) for text in said)


def test_whom_x_lets_us_not_write_to_reads_how_else_to_reach_us(side: MentionSide) -> None:
    """In the one line that is said in public; of danger the 999 line says all."""
    ann, bob, cid = side.poster(), side.poster(), side.poster()
    side.set_state(blocked=[ann.id, bob.id, cid.id])
    asked, serious, danger = ann.posts(PLAIN), bob.posts(P2_HIDDEN), cid.posts(P1)
    side.arrive(asked, serious, danger)
    rows = [side.thread(ann, asked), side.thread(bob, serious), side.thread(cid, danger)]

    unreachable = side.line("public_unreachable")
    assert unreachable != side.line("public_comment")
    assert [side.public(each) for each in (asked, serious, danger)] == [
        [unreachable], [unreachable], [side.line("public_danger")]
    ]  # fmt: skip
    assert [[one.state for one in side.said(row) if one.way == "private"] for row in rows] == [["failed"]] * 3
    assert [row.grade for row in rows] == [None, "P2", "P1"]


def test_under_an_appeal_only_danger_is_answered(side: MentionSide) -> None:
    """All else waits for a person, without a word; X is asked what our post says."""
    ann, bob, post = side.poster(), side.poster(), side.publish(APPEAL)
    asked, danger = ann.posts(PLAIN, under=post), bob.posts(P1, under=post)
    side.arrive(asked, danger)
    row, other = side.thread(ann, asked), side.thread(bob, danger)

    assert side.public(asked) + side.texts(ann) == []
    assert row.state == "waiting"
    assert side.public(danger) == [side.line("public_danger")]
    assert other.grade == "P1"
    (kept,) = side.rows(Post, Post.channel == OWN, Post.platform_id == post)
    assert (kept.text, kept.is_ours) == (APPEAL, True)


def test_a_person_s_own_appeal_is_quiet_too(one: MentionSide) -> None:
    """By its words, as ours are."""
    ann = one.poster()
    asked = ann.posts("Have you seen Sam, 14? How do I report a missing person?")
    one.arrive(asked)
    row = one.thread(ann, asked)

    assert one.public(asked) == []
    assert row.state == "waiting"


def test_in_a_thread_of_a_third_person_we_are_quiet(one: MentionSide) -> None:
    """Nobody there asked us to talk; what that person wrote is not kept."""
    ann, bob, post = one.poster(), one.poster(), one.publish("News of the day", author_id="77001")
    asked, danger = ann.posts(PLAIN, under=post), bob.posts(P1, under=post)
    one.arrive(asked, danger)
    row = one.thread(ann, asked)
    one.thread(bob, danger)

    assert one.public(asked) + one.texts(ann) == []
    assert row.state == "waiting"
    assert one.public(danger) == [one.line("public_danger")]
    (kept,) = one.rows(Post, Post.channel == OWN, Post.platform_id == post)
    assert (kept.text, kept.author, kept.is_ours) == (None, "77001", False)


def test_a_reply_to_a_reply_stands_in_our_thread_all_the_same(one: MentionSide) -> None:
    """Only X knows who began it: it is asked once."""
    ann, bob, post = one.poster(), one.poster(), one.publish()
    first = ann.posts(REMARK, under=post)
    one.inject({**first, "mentions": False})
    asked = bob.posts(PLAIN, under=post, to=first["id"])
    one.arrive(asked)
    row = one.thread(bob, asked)

    assert one.public(asked) == [one.line("public_comment")]
    assert row.state == "bot"
    (kept,) = one.rows(Post, Post.channel == OWN, Post.platform_id == post)
    assert (kept.author, kept.is_ours) == (one.app.us, True)


def test_who_goes_on_in_a_thread_of_their_own_is_answered(one: MentionSide) -> None:
    """Its first post named nobody: X is asked who wrote it, and what it says."""
    ann = one.poster()
    post = one.publish("A question for those who know.", author_id=ann.id)
    asked = ann.posts(PLAIN, under=post)
    one.arrive(asked)
    row = one.thread(ann, asked)

    assert one.public(asked) == [one.line("public_comment")]
    assert row.state == "bot"


def test_remarks_and_our_own_words_change_nothing(one: MentionSide) -> None:
    """A list of mentions holds our replies and reposts too."""
    ann, bob = one.poster(), one.poster()
    asked = ann.posts(PLAIN)
    one.arrive(asked)
    one.thread(ann, asked)
    remark, repost = bob.posts(REMARK), bob.reposts(asked)
    one.inject(repost)
    one.arrive(remark)
    row = one.thread(bob, remark)
    one.until(lambda: one.bookmark() >= int(remark["id"]), "a look")

    assert one.public(remark) + one.texts(bob) == []
    assert row.state == "bot"
    assert one.kept(repost) == []
    assert one.kept(*one.timeline()["replies"]) == []


def test_a_new_version_is_screened_and_answered_where_it_stands_now(one: MentionSide) -> None:
    """X makes a post of its own of it, and takes replies to the newest alone."""
    ann = one.poster()
    wrote = ann.posts(REMARK)
    one.arrive(wrote)
    one.thread(ann, wrote)
    edited = ann.posts(P1, first=wrote["id"])
    one.arrive(edited)
    row = one.thread(ann, edited)

    first, second = one.kept(wrote, edited)
    assert (first.conversation_id, second.edit_of) == (second.conversation_id, wrote["id"])
    assert one.public(edited) == [one.line("public_danger")]
    assert (row.state, row.grade) == ("waiting", "P1")


def test_a_post_that_is_gone_gets_no_line_and_its_writer_the_words(one: MentionSide) -> None:
    """The desk sees that nothing stands there."""
    ann = one.poster()
    wrote = ann.posts(P1)
    one.faults({"path": "public", "kind": "503"})
    one.arrive(wrote)
    one.timeline(delete=[wrote["id"]])
    row = one.thread(ann, wrote)

    assert one.public(wrote) == []
    assert one.texts(ann)[0].startswith(BLOCK)
    assert [(said.state, said.detail) for said in one.said(row) if said.way == "public"] == [
        ("failed", "the post is not there any more, or not for us to see")
    ]
    assert row.grade == "P1"


def test_the_private_chat_is_known_to_be_the_same_person_s(one: MentionSide) -> None:
    """X numbers people once; our private reply is no answer of somebody else's."""
    ann = one.poster()
    wrote = ann.posts(P3)
    one.arrive(wrote)
    row = one.thread(ann, wrote)
    (known,) = one.rows(Commenter, Commenter.person_id == row.person_id)
    one.inject(ann.says("thanks, here I am"))
    chat = one.becomes(ann.id, "waiting")
    again = ann.posts("and where is the front counter?")
    one.arrive(again)
    one.thread(ann, again)

    assert known.private_id == ann.id
    assert (chat.channel, chat.grade, chat.category) == ("x", row.grade, row.category)
    assert one.audited(ann.id, "echo.outside") == []


def test_staff_answer_in_private_or_in_public_after_a_second_person(one: MentionSide) -> None:
    """As under any comment; a public reply is no longer than X takes."""
    ann = one.poster()
    wrote = ann.posts("who was that bloke with the purple monkey?")
    one.arrive(wrote)
    row = one.thread(ann, wrote)
    mo, sue = one.browser("mo"), one.browser("sue")
    mo.get(f"/desk/c/{row.id}")
    mo.do(row, "claim", epoch=row.epoch)
    row = one.thread(ann, wrote)
    page = mo.get(f"/desk/c/{row.id}").text
    assert "X posts" in page
    long = mo.do(row, "reply", text="Thank you. " * 30, epoch=row.epoch, way="public")
    assert (long.status_code, "280 letters" in long.text) == (422, True)
    mo.do(row, "reply", text=REPLY, epoch=row.epoch, way="public")
    (waits,) = one.rows(Approval, Approval.conversation_id == row.id)
    assert one.public(wrote) == []
    newest = re.search(r'name="seen" value="(\d+)"', sue.get(f"/desk/c/{row.id}/approval").text)
    assert newest is not None
    sue.do(row, "approval/approve", approval=waits.id, epoch=row.epoch, seen=newest[1])
    one.quiet()
    assert one.public(wrote) == [REPLY]

    mo.do(row, "reply", text="This is for you alone.", epoch=row.epoch, way="private")
    one.quiet()
    assert one.texts(ann)[-1].endswith("This is for you alone.")


def test_personal_data_in_our_own_thread_is_hidden_and_elsewhere_it_cannot_be(hiding: MentionSide) -> None:
    """X hides replies of the threads that we began, and no others."""
    ann, bob, post = hiding.poster(), hiding.poster(), hiding.publish()
    here, there = ann.posts(PERSONAL, under=post), bob.posts(PERSONAL)
    hiding.arrive(here, there)
    hiding.thread(ann, here)
    row = hiding.thread(bob, there)
    hiding.until(lambda: hiding.is_hidden(here), "it to be hidden")

    (review,) = hiding.reviews(here)
    assert (review.rules, review.was_hidden) == (["address"], True)
    assert hiding.reviews(there) == []
    cam = hiding.browser("sue")
    answer = cam.post(
        f"/desk/comments/{hiding.comment(there).id}",
        hidden="yes",
        reason="It names a place.",
        chat=str(row.id),
    )
    assert "We cannot hide it" in answer.text
    assert not hiding.is_hidden(there)

    shown = cam.post(f"/desk/comments/{hiding.comment(here).id}", hidden="no", reason="It is a shop.")
    assert shown.status_code < 400
    hiding.until(lambda: not hiding.is_hidden(here), "it to be shown")


def test_what_stood_there_before_the_thread_was_known_to_be_ours_is_hidden_too(hiding: MentionSide) -> None:
    """A reply to a reply does not say who began the thread."""
    ann, bob, post = hiding.poster(), hiding.poster(), hiding.publish()
    first = ann.posts(REMARK, under=post)
    hiding.inject({**first, "mentions": False})
    wrote = bob.posts(PERSONAL, under=post, to=first["id"])
    hiding.arrive(wrote)
    hiding.thread(bob, wrote)
    hiding.until(lambda: hiding.is_hidden(wrote), "it to be hidden")

    assert [review.was_hidden for review in hiding.reviews(wrote)] == [True]


def test_what_x_calls_us_with_and_what_a_look_finds_is_one(called: MentionSide) -> None:
    """The event needs a subscription, which is asked for; looks bring what was told already."""
    called.until(
        lambda: "post.mention.create" in {s["event_type"] for s in called.state()["subscriptions"]},
        "the subscription",
    )
    ann = called.poster()
    asked = ann.posts(PLAIN)
    called.inject(asked, copies=3)
    row = called.thread(ann, asked)
    looks = called.platform._mentions
    assert looks is not None

    assert len(called.kept(asked)) == 1
    assert called.public(asked) == [called.line("public_comment")]
    assert len(called.texts(ann)) == 1
    assert row.state == "bot"


def test_store_down_the_line_leaves_at_once_and_alone(called: MentionSide) -> None:
    """503 to X; the private words follow when the record is back."""
    called.until(lambda: len(called.state()["subscriptions"]) == 6, "the subscriptions")
    ann = called.poster()
    wrote = ann.posts(P1)
    called.first.break_store()
    called.inject(wrote)
    called.until(lambda: called.public(wrote), "the line")
    assert called.public(wrote) == [called.line("public_danger")]
    assert called.texts(ann) == []

    called.first.mend_store()
    row = called.thread(ann, wrote)
    assert (row.state, row.grade) == ("waiting", "P1")
    called.hears(ann, BLOCK)
