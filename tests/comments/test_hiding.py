"""What is hidden, what never is, and who looks at it again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from bot.store.record import now
from bot.store.tables import Audit, Due, HiddenReview
from tests.comments.serving import CommentSide
from tests.platforms.graph.commenters import id_of
from tests.support.sides import Json
from tests.support.world import P1, PLAIN

pytestmark = pytest.mark.integration

PERSONAL = "he lives at 12 Raby Street, Byker"
REASON = "It says where somebody lives."


def risen(side: CommentSide, review: int) -> None:
    """Let a review be due now, and wait until it has risen."""

    async def make_due() -> None:
        async with side.first.gateway.core.store.write() as connection:
            await connection.execute(
                update(Due)
                .where(Due.key == f"comment.review:{review}")
                .values(due_at=now() - timedelta(seconds=1))
            )

    side.run(make_due())
    side.until(lambda: side.rows(HiddenReview, HiddenReview.id == review)[0].raised_at, "the review to rise")


def word_of(side: CommentSide, change: Json, verb: str) -> Json:
    """What a Page is told of a comment that was hidden or shown."""
    return {"field": "feed", "value": {**change["value"], "verb": verb, "from": {"id": side.app.us}}}


def audited(side: CommentSide, change: dict[str, object], action: str) -> list[Audit]:
    """What the record says of one comment."""
    known = side.comment(change).id
    return [row for row in side.rows(Audit, Audit.action == action) if row.detail.get("comment") == known]  # type: ignore[misc]


def test_personal_data_is_hidden_at_once_and_looked_at_again(hiding: CommentSide) -> None:
    """With a copy, the rule, and a clock; who wrote it is told why, and where to say that it was wrong."""
    ann, post = hiding.commenter(), hiding.new_post()
    wrote = ann.writes(post, f"{PLAIN}? {PERSONAL}")
    hiding.happens(wrote)
    hiding.done(ann, post)
    hiding.until(lambda: hiding.is_hidden(wrote), "the comment to be hidden")

    (review,) = hiding.reviews(wrote)
    assert (review.rules, review.copy, review.was_hidden) == (["address"], f"{PLAIN}? {PERSONAL}", True)
    assert timedelta(hours=23) < review.due_at - now() < timedelta(hours=25)
    (private,) = hiding.private(wrote)
    assert hiding.line("comment_rule_address") in private
    assert "https://" in private
    assert [row.actor for row in audited(hiding, wrote, "comment.hide")] == ["door"]


def test_words_for_somebody_in_danger_come_before_it_is_hidden(hiding: CommentSide) -> None:
    """Instagram takes no reply to a hidden comment."""
    ann, post = hiding.commenter(), hiding.new_post()
    wrote = ann.writes(post, f"{P1}, {PERSONAL}")
    hiding.happens(wrote)
    hiding.done(ann, post)
    hiding.until(lambda: hiding.is_hidden(wrote), "the comment to be hidden")

    seen = hiding.seen()
    said = [one["at"] for one in seen["replies"] if one["comment"] == id_of(wrote)]
    hid = [one["at"] for one in seen["hides"] if one["comment"] == id_of(wrote)]
    assert len(said) == 1
    assert said[0] <= hid[0]


def test_without_the_switch_a_person_is_shown_it_and_decides(side: CommentSide) -> None:
    """Nothing is hidden by itself."""
    ann, post = side.commenter(), side.new_post()
    wrote = ann.writes(post, PERSONAL)
    side.happens(wrote)
    side.done(ann, post)

    assert not side.is_hidden(wrote)
    (review,) = side.reviews(wrote)
    assert (review.was_hidden, review.decided_at) == (False, None)


def test_an_edit_can_be_hidden_too(page: CommentSide) -> None:
    """The copy says what it says now; one review is enough."""
    ann, post = page.commenter(), page.new_post()
    wrote = ann.writes(post, PERSONAL)
    page.happens(wrote)
    page.done(ann, post)
    page.happens(ann.edits(wrote, "ring his mam on 07700 900123"))
    page.until(lambda: page.reviews(wrote)[0].copy.startswith("ring"), "the copy to be new")

    (review,) = page.reviews(wrote)
    assert review.rules == ["phone", "address"]


@pytest.mark.parametrize("kind", ["503", "613:1", "500", "cut"])
def test_hiding_is_tried_until_it_is_done(hiding: CommentSide, kind: str) -> None:
    """To hide twice does no harm."""
    ann, post = hiding.commenter(), hiding.new_post()
    hiding.faults({"path": "hide", "kind": kind, "headers": {"Retry-After": "1"}})
    wrote = ann.writes(post, PERSONAL)
    hiding.happens(wrote)
    hiding.done(ann, post)
    hiding.until(lambda: hiding.comment(wrote).hidden, "the comment to be hidden")

    assert hiding.is_hidden(wrote)


def test_a_platform_that_refuses_is_shown_at_the_desk(hiding: CommentSide) -> None:
    """With its reason, and the review goes on."""
    ann, post = hiding.commenter(), hiding.new_post()
    hiding.faults({"path": "hide", "kind": "100:33"})
    wrote = ann.writes(post, PERSONAL)
    hiding.happens(wrote)
    hiding.done(ann, post)
    hiding.until(lambda: hiding.comment(wrote).problem, "the problem")

    assert not hiding.comment(wrote).hidden
    page = hiding.browser("mo").get("/desk/comments").text
    assert "The platform did not do it" in page


def test_staff_show_it_again(hiding: CommentSide) -> None:
    """Whoever decides is on record, with the reason."""
    ann, post = hiding.commenter(), hiding.new_post()
    wrote = ann.writes(post, PERSONAL)
    hiding.happens(wrote)
    hiding.done(ann, post)
    hiding.until(lambda: hiding.comment(wrote).hidden, "the comment to be hidden")
    cam = hiding.browser("cam")
    cam.get("/desk/comments")
    answer = cam.post(
        f"/desk/comments/{hiding.comment(wrote).id}", hidden="no", reason="It is our own station."
    )

    assert answer.status_code == 200, answer.text
    hiding.until(lambda: not hiding.is_hidden(wrote), "the comment to be shown")
    (review,) = hiding.reviews(wrote)
    assert (review.decision, review.why) == ("shown", "It is our own station.")
    assert [row.actor for row in audited(hiding, wrote, "comment.review")] == ["Cam Tester"]
    hiding.until(lambda: not hiding.comment(wrote).hidden, "the record to agree")


def test_staff_keep_it_hidden(hiding: CommentSide) -> None:
    """Then nothing changes, and nobody has to look again."""
    ann, post = hiding.commenter(), hiding.new_post()
    wrote = ann.writes(post, PERSONAL)
    hiding.happens(wrote)
    hiding.done(ann, post)
    hiding.until(lambda: hiding.comment(wrote).hidden, "the comment to be hidden")
    mo = hiding.browser("mo")
    mo.get("/desk/comments")
    mo.post(f"/desk/comments/{hiding.comment(wrote).id}", hidden="yes", reason=REASON)

    (review,) = hiding.reviews(wrote)
    assert review.decision == "hidden"
    assert hiding.is_hidden(wrote)
    assert len([one for one in hiding.seen()["hides"] if one["comment"] == id_of(wrote)]) == 1


def test_who_hides_by_hand_does_not_review_it(side: CommentSide) -> None:
    """A second person does; but anybody may show it again."""
    ann, post = side.commenter(), side.new_post()
    wrote = ann.writes(post, "great work lads")
    side.happens(wrote)
    side.done(ann, post)
    known = side.comment(wrote).id
    mo, sue = side.browser("mo"), side.browser("sue")
    mo.get("/desk/comments")
    mo.post(f"/desk/comments/{known}", hidden="yes", reason="Spam, we think.")
    side.until(lambda: side.is_hidden(wrote), "the comment to be hidden")
    again = mo.post(f"/desk/comments/{known}", hidden="yes", reason="I am sure.")
    sue.get("/desk/comments")
    second = sue.post(f"/desk/comments/{known}", hidden="no", reason="It is praise.")

    assert again.status_code == 403
    assert second.status_code == 200
    side.until(lambda: not side.is_hidden(wrote), "the comment to be shown")
    (review,) = side.reviews(wrote)
    assert (review.reason, review.copy, review.decision) == ("Spam, we think.", "great work lads", "shown")


@pytest.mark.parametrize("reason", ["", "  ", "x"])
def test_nothing_is_decided_without_a_reason(side: CommentSide, reason: str) -> None:
    """It is asked for again."""
    ann, post = side.commenter(), side.new_post()
    wrote = ann.writes(post, PERSONAL)
    side.happens(wrote)
    side.done(ann, post)
    mo = side.browser("mo")
    mo.get("/desk/comments")
    answer = mo.post(f"/desk/comments/{side.comment(wrote).id}", hidden="yes", reason=reason)

    assert answer.status_code == 422
    assert "Give a reason." in answer.text
    assert not side.is_hidden(wrote)


def test_a_review_that_nobody_does_rises_to_the_supervisors(side: CommentSide) -> None:
    """Their pages say so, on each of them."""
    ann, post = side.commenter(), side.new_post()
    wrote = ann.writes(post, PERSONAL)
    side.happens(wrote)
    side.done(ann, post)
    risen(side, side.reviews(wrote)[0].id)

    assert "waited too long" in side.browser("sue").get("/desk/own").text
    assert "waited too long" not in side.browser("mo").get("/desk/own").text
    assert "Waited too long" in side.browser("sue").get("/desk/comments").text


def test_what_was_done_on_the_platform_itself_ends_the_review(page: CommentSide) -> None:
    """Somebody of the force's hides it in the Page's own inbox."""
    ann, post = page.commenter(), page.new_post()
    wrote = ann.writes(post, PERSONAL)
    page.happens(wrote)
    page.done(ann, post)
    page.wall(hidden={id_of(wrote): True})
    page.happens(word_of(page, wrote, "hide"))
    page.until(lambda: page.reviews(wrote)[0].decided_at, "the review to end")

    assert page.reviews(wrote)[0].decision == "outside"
    assert page.comment(wrote).hidden
    assert audited(page, wrote, "comment.outside")


def test_late_word_of_what_was_taken_back_since_changes_nothing(page: CommentSide) -> None:
    """Meta repeats what it told, in any order: the platform itself is asked how it is now."""
    ann, post = page.commenter(), page.new_post()
    wrote = ann.writes(post, PERSONAL)
    page.happens(wrote)
    page.done(ann, post)
    known = page.comment(wrote).id
    mo, sue = page.browser("mo"), page.browser("sue")
    mo.get("/desk/comments")
    mo.post(f"/desk/comments/{known}", hidden="yes", reason=REASON)
    page.until(lambda: page.comment(wrote).hidden, "the comment to be hidden")
    sue.get("/desk/comments")
    sue.post(f"/desk/comments/{known}", hidden="no", reason="It is our own station.")
    page.until(lambda: not page.is_hidden(wrote) and not page.comment(wrote).hidden, "it to be shown")
    page.happens(word_of(page, wrote, "hide"))
    page.until(lambda: looked(page, known), "the platform to be asked")

    assert not page.comment(wrote).hidden
    assert not page.comment(wrote).wanted_hidden
    assert audited(page, wrote, "comment.outside") == []


def looked(side: CommentSide, comment: int) -> bool:
    """Whether the platform was asked what a comment is."""
    return bool(side.rows(Due, Due.key == f"comment.look:{comment}", Due.done_at.is_not(None)))


def test_who_hides_what_the_system_pointed_out_is_looked_after_too(side: CommentSide) -> None:
    """Each hidden comment has a review of its own, with the rule and the copy, by somebody else."""
    ann, post = side.commenter(), side.new_post()
    wrote = ann.writes(post, PERSONAL)
    side.happens(wrote)
    side.done(ann, post)
    known = side.comment(wrote).id
    mo, sue = side.browser("mo"), side.browser("sue")
    mo.get("/desk/comments")
    mo.post(f"/desk/comments/{known}", hidden="yes", reason=REASON)
    side.until(lambda: side.is_hidden(wrote), "the comment to be hidden")

    first, second = side.reviews(wrote)
    assert (first.was_hidden, first.decision) == (False, "hidden")
    assert (second.was_hidden, second.decided_at, second.rules) == (True, None, ["address"])
    assert (second.copy, second.reason) == (PERSONAL, REASON)
    assert mo.post(f"/desk/comments/{known}", hidden="yes", reason="I am sure.").status_code == 403
    sue.get("/desk/comments")
    assert sue.post(f"/desk/comments/{known}", hidden="yes", reason=REASON).status_code == 200
    assert side.reviews(wrote)[1].decision == "hidden"


def test_a_platform_that_hangs_holds_no_other_clock_up(hiding: CommentSide) -> None:
    """It is called for a short while, then left alone for some seconds, and tried again."""
    ann, bob, post = hiding.commenter(), hiding.commenter(), hiding.new_post()
    hiding.faults({"path": "hide", "kind": "hang", "seconds": 6})
    first, second = ann.writes(post, PERSONAL), bob.writes(post, PERSONAL)
    hiding.happens(first, second)
    hiding.done(ann, post)
    hiding.done(bob, post)
    hiding.until(lambda: hiding.comment(first).hidden and hiding.comment(second).hidden, "both to be hidden")

    assert hiding.is_hidden(first)
    assert hiding.is_hidden(second)
