"""The checker decides what a drill comes to, so it is shown logs whose verdict is known."""

from __future__ import annotations

from typing import Any

import pytest

from tests.drills.checker import Delivered, Record, Verdict, check, delivered

pytestmark = pytest.mark.unit

ANSWERS = {"noise": "Ask the council.", "parking": "Ask the council too."}
NOT_UNDERSTOOD = "I did not understand."
OPENING = "I'm an automated assistant."


def said(order: int, expects: str | None = "noise", *, alone: bool = True) -> Record:
    """A message that the generator wrote down."""
    return {
        "what": "inbound", "person": "drill.1", "id": f"m{order}", "order": order, "expects": expects,
        "alone": alone,
    }  # fmt: skip


def taken(order: int, began: float, status: int = 200) -> Record:
    """A delivery of it."""
    return {
        "what": "delivery",
        "began": began,
        "at": began + 0.1,
        "ids": [f"m{order}"],
        "gateway": 0,
        "status": status,
    }


def told(at: float, text: str, kind: str = "assistant", outbox: int = 0) -> Record:
    """A send that the platform took."""
    number = int(at * 100)
    return {
        "what": "send", "n": number, "at": at, "person": "drill.1", "text": text, "kind": kind,
        "outbox": outbox or number,
    }  # fmt: skip


def verdict(generator: list[Record], platform: list[Record]) -> Verdict:
    """The checker's word."""
    words: dict[str, Any] = {
        "answers": ANSWERS, "mark": "Automated:", "opening": OPENING, "not_understood": NOT_UNDERSTOOD,
    }  # fmt: skip
    return check([{"what": "wording", **words}, *generator], platform)


def names(found: Verdict) -> list[str]:
    """What was counted."""
    return [name for name, _, _ in found.findings]


def test_an_answer_to_each_question_is_as_it_should_be() -> None:
    """With the mark of an automated answer or without it."""
    found = verdict(
        [said(1), said(2, "parking")],
        [
            taken(1, 1.0),
            taken(1, 1.1),
            told(2.0, ANSWERS["noise"]),
            taken(2, 3.0),
            told(4.0, f"Automated:\n\n{ANSWERS['parking']}"),
        ],
    )

    assert (names(found), found.inbound, found.replies) == ([], 2, 2)


def test_an_answer_is_known_with_the_first_words_before_it_and_space_lost_at_the_cuts() -> None:
    """So that the same one twice is doubled, and those in the wrong order are reordered."""
    marked = f"{OPENING}\n\nAutomated:\n\nAsk the\n\ncouncil."
    assert names(verdict([said(1)], [taken(1, 1.0), told(2.0, f"{OPENING}\n\nAsk the  council.")])) == []
    twice = [told(2.0, marked), told(3.0, ANSWERS["noise"])]
    assert names(verdict([said(1)], [taken(1, 1.0), *twice])) == ["doubled"]
    wrong = [told(3.0, f"{OPENING}\n\n{ANSWERS['parking']}"), told(4.0, ANSWERS["noise"])]
    found = verdict([said(1), said(2, "parking")], [taken(1, 1.0), taken(2, 2.0), *wrong])
    assert "reordered" in names(found)


def test_first_words_are_no_help_by_themselves() -> None:
    """Whoever was told who speaks, and that nothing was understood, was told nothing to it."""
    sends = [told(2.0, f"{OPENING}\n\n{NOT_UNDERSTOOD}")]

    assert names(verdict([said(1)], [taken(1, 1.0), *sends])) == ["lost"]


def test_every_delivery_of_a_message_is_counted_and_nothing_else() -> None:
    """In batches, repeated, refused; echoes, receipts and what nobody wrote are none."""
    batch = {**taken(1, 1.0), "ids": ["m1", "m2"]}
    log = [batch, batch, taken(1, 2.0), taken(2, 2.0, 503), {**taken(3, 3.0), "ids": []},
           {**taken(3, 3.0), "ids": ["lb7"]}, told(4.0, ANSWERS["noise"])]  # fmt: skip
    found = delivered([said(1), said(2), said(3)], log)

    assert found == Delivered(messages=2, deliveries=5, webhooks=3, refused=1)
    assert sum([found, found], Delivered()) == Delivered(4, 10, 6, 2)


@pytest.mark.parametrize("words", [None, NOT_UNDERSTOOD, ANSWERS["parking"]])
def test_a_question_that_got_no_help_is_lost(words: str | None) -> None:
    """Silence, a mere "I did not understand", and the answer to something else are no answer."""
    sends = [told(2.0, words)] if words else []

    assert names(verdict([said(1)], [taken(1, 1.0), *sends])) == ["lost"]


def test_a_message_that_was_never_taken_is_not_lost_but_undelivered() -> None:
    """What got no 200 is the platform's to deliver again."""
    assert names(verdict([said(1)], [taken(1, 1.0, 503)])) == ["undelivered"]


def test_a_message_to_a_member_of_staff_is_not_lost() -> None:
    """Somebody has the chat."""
    claim = {"what": "claim", "person": "drill.1", "asked": 0.1, "answered": 0.2, "won": True}

    assert names(verdict([claim, said(1)], [taken(1, 1.0)])) == []


def test_the_same_answer_twice_is_doubled() -> None:
    """And so is a staff reply, or any row but safety words."""
    twice = [told(2.0, ANSWERS["noise"]), told(2.5, ANSWERS["noise"])]
    staff = [told(3.0, "Hello #1", "staff"), told(3.5, "Hello #1", "staff")]
    safety = [told(4.0, "Call 999", "safety", 900), told(4.5, "Call 999", "safety", 900)]

    assert names(verdict([said(1)], [taken(1, 1.0), *twice, *staff, *safety])) == ["doubled", "doubled"]


def test_an_automatic_word_after_a_claim_is_talked_over() -> None:
    """From the moment the moderator was told, until they let go; safety words excepted."""
    staff = [
        {"what": "claim", "person": "drill.1", "asked": 5.0, "answered": 6.0, "won": True},
        {"what": "let_go", "person": "drill.1", "asked": 9.0, "answered": 9.5, "how": "release"},
    ]
    sends = [
        told(2.0, ANSWERS["noise"]),
        told(5.5, "Still under way."),
        told(7.0, "Too late."),
        told(7.5, "Call 999", "safety"),
        told(10.0, "Back again."),
    ]

    assert names(verdict([said(1), *staff], [taken(1, 1.0), *sends])) == ["talked_over"]


def test_the_words_of_a_private_note_are_leaked_whoever_reads_them() -> None:
    """In whatever kind of message, and with other words around them."""
    note = {"what": "private", "person": "drill.2", "text": "his brother told us"}
    sends = [told(2.0, ANSWERS["noise"]), told(3.0, "Well: his brother told us.", "staff")]

    assert names(verdict([note, said(1)], [taken(1, 1.0), *sends])) == ["leaked"]
    assert names(verdict([said(1)], [taken(1, 1.0), *sends])) == []


def test_answers_and_rows_out_of_order_are_reordered() -> None:
    """By question, by number, by row; safety words may overtake."""
    questions = [said(1), said(2, "parking")]
    answers = [told(3.0, ANSWERS["parking"], outbox=12), told(3.5, ANSWERS["noise"], outbox=13)]
    staff = [told(4.0, "#2", "staff", 14), told(4.5, "#1", "staff", 15)]
    rows = [told(5.0, "a", "notice", 21), told(5.2, "c", "safety", 40), told(5.5, "b", "notice", 20)]

    found = verdict(questions, [taken(1, 1.0), taken(2, 2.0), *answers, *staff, *rows])

    assert [name for name in names(found) if name != "lost"] == ["reordered"] * 3
