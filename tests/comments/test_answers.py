"""What is said in public, what in private, and what is left alone."""

from __future__ import annotations

import pytest

from tests.comments.serving import APPEAL_POST, CommentSide
from tests.platforms.graph.commenters import id_of
from tests.platforms.graph.events import Writer
from tests.support.rasa import FAQ
from tests.support.world import P1, P1_OTHER, P2_HIDDEN, P3, PLAIN

pytestmark = pytest.mark.integration

REMARK = "great work lads"


def test_a_question_gets_one_public_line_and_its_answer_in_private(side: CommentSide) -> None:
    """The line leads away from the public; who we are stands first in private."""
    ann, post = side.commenter(), side.new_post()
    asked = ann.writes(post, PLAIN)
    side.happens(asked)
    row = side.done(ann, post)

    assert side.public(asked) == [side.line("public_comment")]
    (private,) = side.private(asked)
    assert private.startswith(side.line("opening_automated"))
    assert side.answer(FAQ)[:60] in private
    assert row.state == "bot"


def test_a_second_question_in_the_thread_has_no_second_public_line(side: CommentSide) -> None:
    """Each comment has a private reply of its own; the line in public is said once, also in a later reply."""
    ann, post = side.commenter(), side.new_post()
    first = ann.writes(post, PLAIN)
    side.happens(first)
    side.done(ann, post)
    second = ann.writes(post, "and is 101 free?", parent=id_of(first))
    side.happens(second)
    side.done(ann, post)

    assert side.public(first, second) == [side.line("public_comment")]
    assert len(side.private(second)) == 1


def test_under_another_post_the_line_is_said_again(side: CommentSide) -> None:
    """Once for each thread and person."""
    ann, one, other = side.commenter(), side.new_post(), side.new_post()
    changes = [ann.writes(one, PLAIN), ann.writes(other, PLAIN)]
    side.happens(*changes)
    side.done(ann, one)
    side.done(ann, other)

    assert [side.public(change) for change in changes] == [[side.line("public_comment")]] * 2


def test_nobody_is_bothered_who_asked_for_nothing(side: CommentSide) -> None:
    """Thanks, anger and swearing are read by both nets, kept, and left alone."""
    ann, post = side.commenter(), side.new_post()
    changes = [ann.writes(post, text) for text in (REMARK, "rip lad", "absolute shite as usual")]
    side.happens(*changes)
    row = side.done(ann, post)

    assert side.public(*changes) + side.private(*changes) == []
    assert row.state == "bot"
    assert {message.text for message in side.messages(f"{post}/{ann.id}", side.own)} >= {REMARK}


def test_criticism_is_read_by_a_person_and_never_answered_by_a_machine(side: CommentSide) -> None:
    """Nor hidden."""
    ann, post = side.commenter(), side.new_post()
    wrote = ann.writes(post, "you lot are useless")
    side.happens(wrote)
    row = side.done(ann, post)

    assert (row.state, row.category) == ("waiting", "R16")
    assert side.public(wrote) + side.private(wrote) == []
    assert not side.is_hidden(wrote)


def test_a_question_without_an_answer_waits_for_a_person_in_silence(side: CommentSide) -> None:
    """No "Did you mean", no second try in public."""
    ann, post = side.commenter(), side.new_post()
    asked = ann.writes(post, "who was that bloke with the purple monkey?")
    side.happens(asked)
    row = side.done(ann, post)

    assert (row.state, row.grade) == ("waiting", "P4")
    assert side.public(asked) + side.private(asked) == []


def test_danger_gets_the_999_line_alone_in_public_and_the_rest_in_private(side: CommentSide) -> None:
    """And waits in the queue like any message."""
    ann, post = side.commenter(), side.new_post()
    wrote = ann.writes(post, P1)
    side.happens(wrote)
    row = side.done(ann, post)

    assert side.public(wrote) == [side.line("public_danger")]
    (private,) = side.private(wrote)
    assert private.startswith("If you or someone else is in danger, call 999 now.")
    assert side.line("opening_automated") not in private
    assert (row.state, row.grade) == ("waiting", "P1")


def test_each_person_in_danger_is_shown_the_line(side: CommentSide) -> None:
    """Whatever others were told in the same thread, and whatever they were told themselves before."""
    ann, bob, post = side.commenter(), side.commenter(), side.new_post()
    first = ann.writes(post, P1)
    side.happens(first)
    side.done(ann, post)
    hello = bob.writes(post, PLAIN, parent=id_of(first))
    side.happens(hello)
    side.done(bob, post)
    second = bob.writes(post, P1_OTHER, parent=id_of(first))
    side.happens(second)
    side.done(bob, post)

    assert side.public(first) == [side.line("public_danger")]
    assert side.public(hello) == [side.line("public_comment")]
    assert side.public(second) == [side.line("public_danger")]
    assert len(side.private(second)) == 1


def test_a_subject_that_is_not_named_stays_unnamed_in_public(side: CommentSide) -> None:
    """A P2 has the ordinary line in public; its words go privately, without a button."""
    ann, post = side.commenter(), side.new_post("Look after yourself this winter.")
    side.happens(ann.writes(post, REMARK))
    side.done(ann, post)
    wrote = ann.writes(post, P2_HIDDEN)
    side.happens(wrote)
    row = side.done(ann, post)

    assert side.public(wrote) == [side.line("public_comment")]
    (private,) = side.private(wrote)
    assert "stalking" not in private.casefold()
    assert (row.state, row.grade) == ("waiting", "P2")
    assert all(not row.buttons for row in side.said(row))


def test_a_crime_that_was_told_waits_for_a_person_who_is_named_in_private(side: CommentSide) -> None:
    """No detail is asked for under a post."""
    ann, post = side.commenter(), side.new_post()
    told = ann.writes(post, P3)
    side.happens(told)
    row = side.done(ann, post)

    assert (row.state, row.grade) == ("waiting", "P3")
    assert side.public(told) == [side.line("public_comment")]
    assert len(side.private(told)) == 1
    assert "?" not in side.public(told)[0]


@pytest.mark.parametrize("text", [PLAIN, P3, REMARK])
def test_under_an_appeal_nothing_is_said_but_to_somebody_in_danger(side: CommentSide, text: str) -> None:
    """A question or a told crime waits for a person."""
    ann, post = side.commenter(), side.new_post(APPEAL_POST)
    wrote = ann.writes(post, text)
    side.happens(wrote)
    row = side.done(ann, post)

    assert side.public(wrote) + side.private(wrote) == []
    assert row.state == ("bot" if text == REMARK else "waiting")


def test_under_a_memorial_danger_is_answered(side: CommentSide) -> None:
    """Only the safety words, in public and in private."""
    ann, post = side.commenter(), side.new_post("Rest in peace PC Lee. We remember.")
    wrote = ann.writes(post, P1_OTHER)
    side.happens(wrote)
    side.done(ann, post)

    assert side.public(wrote) == [side.line("public_danger")]
    assert len(side.private(wrote)) == 1


def test_a_post_that_nobody_can_read_may_be_anything(side: CommentSide) -> None:
    """Then only danger is answered."""
    ann, post = side.commenter(), side.new_post(None)
    wrote = ann.writes(post, PLAIN)
    side.happens(wrote)
    row = side.done(ann, post)

    assert side.public(wrote) + side.private(wrote) == []
    assert (row.state, row.grade) == ("waiting", "P4")


def test_a_post_that_is_published_is_known_before_anybody_comments(page: CommentSide) -> None:
    """And its new words count, once it is changed."""
    ann, post = page.commenter(), page.publish(APPEAL_POST)
    wrote = ann.writes(post, PLAIN)
    page.happens(wrote)
    row = page.done(ann, post)

    assert page.public(wrote) == []
    assert row.state == "waiting"


def test_while_rasa_is_away_danger_is_answered_and_questions_wait(side: CommentSide) -> None:
    """What the screen knows needs no Rasa; the model reads the rest later."""
    ann, bob, post = side.commenter(), side.commenter(), side.new_post()
    side.rasa.down = True
    danger, asked = ann.writes(post, P1), bob.writes(post, PLAIN + "?")
    side.happens(danger, asked)
    side.done(ann, post)
    row = side.done(bob, post)
    side.rasa.down = False

    assert side.public(danger) == [side.line("public_danger")]
    assert (row.state, row.grade) == ("waiting", "P3")
    assert side.public(asked) == []


def test_another_language_waits_for_a_person_who_reads_it(side: CommentSide) -> None:
    """Said in private."""
    ann, post = side.commenter(), side.new_post()
    wrote = ann.writes(post, "Dzień dobry, gdzie mogę zgłosić kradzież roweru? Bardzo proszę o pomoc")
    side.happens(wrote)
    row = side.done(ann, post)

    assert row.state == "waiting"
    assert row.language == "pl"
    assert side.line("not_english") in side.private(wrote)[0]


def test_our_own_words_are_nobody_s(side: CommentSide) -> None:
    """Each reply of ours comes back as a webhook."""
    ann, post = side.commenter(), side.new_post()
    asked = ann.writes(post, PLAIN)
    side.happens(asked)
    side.done(ann, post)

    assert len(side.seen()["replies"]) >= 1
    assert side.messages(f"{post}/{side.app.us}", side.own) == []


def test_nothing_private_is_said_between_the_words_of_staff(side: CommentSide) -> None:
    """The same person writes with a moderator in private: there a machine stays silent, and a person reads it."""
    ann, one, other = side.commenter(), side.new_post(), side.new_post()
    side.happens(ann.writes(one, P3))
    side.done(ann, one)
    side.inject(Writer(int(ann.id), side.app.us).says("thanks, here I am"))
    chat = side.becomes(ann.id, "waiting")
    side.run(side.first.gateway.core.desk.claim(chat.id, side.moderator(), chat.epoch))
    asked = ann.writes(other, PLAIN)
    side.happens(asked)
    row = side.done(ann, other)

    assert (row.state, row.grade) == ("waiting", "P4")
    assert side.private(asked) == side.public(asked) == []


def test_words_of_danger_go_before_an_answer_that_could_not_leave(page: CommentSide) -> None:
    """The platform takes one private message for a comment: it is not spent on the answer."""
    ann, post = page.commenter(), page.new_post()
    page.faults({"path": "private", "kind": "613:9", "headers": {"Retry-After": "3600"}})
    asked = ann.writes(post, PLAIN)
    page.happens(asked)
    row = page.chat(ann, post)

    def was_tried() -> bool:
        return any(one.attempts and one.state == "queued" for one in page.said(row) if one.way == "private")

    page.until(was_tried, "the answer to be refused for an hour")
    page.happens(ann.edits(asked, P1))
    page.until(lambda: page.private(asked), "the words of danger")

    (private,) = page.private(asked)
    assert page.line("block_999").split("\n")[0] in private
    assert page.line("public_danger") in page.public(asked)
