"""What changed word by word, and forms that keep what they do not ask for."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.console.knowledge_forms import read_times, times_in_words
from bot.knowledge.difference import MOST_WORDS, Piece, difference

pytestmark = pytest.mark.unit

WORDS = st.lists(
    st.sampled_from(["call", "[P101]", "[NPWEB.site]", "999", ".", " ", "\n\n", "don’t", "é", "<b>", "🚓"]),
    max_size=30,
).map("".join)


@given(WORDS | st.text(max_size=60), WORDS | st.text(max_size=60))
def test_both_texts_can_be_read_from_the_pieces(old: str, new: str) -> None:
    pieces = difference(old, new)
    assert "".join(piece.words for piece in pieces if piece.change != "added") == old
    assert "".join(piece.words for piece in pieces if piece.change != "taken") == new
    assert all(piece.words for piece in pieces)


def test_a_contact_is_one_word_and_neighbours_are_one_change() -> None:
    assert difference("Call [P101] now.", "Call [P102] now.") == [
        Piece("", "Call "), Piece("taken", "[P101]"), Piece("added", "[P102]"), Piece("", " now."),
    ]  # fmt: skip
    assert difference("The old words stay.", "The new text stay.") == [
        Piece("", "The "), Piece("taken", "old words"), Piece("added", "new text"), Piece("", " stay."),
    ]  # fmt: skip
    assert difference("same", "same") == [Piece("", "same")]
    assert difference("", "") == []


def test_a_long_text_is_compared_by_its_lines_in_good_time() -> None:
    lines = ["one two three four five six"] * MOST_WORDS
    began = time.monotonic()
    pieces = difference("\n".join(lines), "\n".join([*lines[:9], "another line", *lines[9:]]))
    assert time.monotonic() - began < 20
    assert [piece.words for piece in pieces if piece.change] == ["another line\n"]


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("08:00 to 22:00", "08:00 to 22:00"), ("8:00-12:30; 13.30 until 17:00", "08:00 to 12:30, 13:30 to 17:00"),
        ("closed", ""), ("", ""), ("00:00 to 24:00", "00:00 to 24:00"),
    ],
)  # fmt: skip
def test_hours_are_read_as_people_write_them(typed: str, shown: str) -> None:
    assert times_in_words(read_times(typed)) == shown


@pytest.mark.parametrize("typed", ["mornings", "8 to 10", "25:00 to 26:00", "08:00", "08:00 to 24:30"])
def test_hours_that_cannot_be_read_are_refused_in_words(typed: str) -> None:
    with pytest.raises(ValueError, match=r"hours as in|times of one day"):
        read_times(typed)
