"""Long texts are cut where a reader pauses, and within what Telegram takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.channels.cut import cut, size, utf16_units
from bot.channels.telegram.outbound import MAX_UNITS
from bot.channels.telegram.pacing import ALL_BURST, CHAT_BURST, Pacing

pytestmark = pytest.mark.unit


def split(text: str, limit: int = MAX_UNITS) -> list[str]:
    """In parts, as Telegram counts."""
    return cut(text, limit, utf16_units)


def test_a_short_text_is_one_part() -> None:
    """Whatever is in it."""
    assert split(" Call 999.\n\nNow. ") == ["Call 999.\n\nNow."]
    assert split("   ") == []


def test_a_long_text_is_cut_after_a_paragraph_else_a_sentence_else_a_word() -> None:
    """The best place in the second half of what fits."""
    assert split("One two three four.\n\nFive. Six.", 28) == ["One two three four.", "Five. Six."]
    assert split("One two three. Four five six.", 20) == ["One two three.", "Four five six."]
    assert split("alpha beta gamma delta", 12) == ["alpha beta", "gamma delta"]
    assert split("x" * 10, 4) == ["xxxx", "xxxx", "xx"]


def test_letters_beyond_the_first_plane_count_twice() -> None:
    """As Telegram counts, and no letter is cut in half."""
    text = "\U0001f600" * 3000
    parts = split(text)

    assert [size(part, utf16_units) for part in parts] == [4096, 1904]
    assert "".join(parts) == text


@given(st.text(alphabet="ab. \n\U0001f600é", max_size=400), st.integers(4, 60))
def test_no_part_is_too_long_and_no_letter_is_lost(text: str, limit: int) -> None:
    """Only space at the cuts falls away; the order stays."""
    parts = split(text, limit)

    assert all(0 < len(part.encode("utf-16-le")) // 2 <= limit for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(part == part.strip() for part in parts)


def test_a_chat_may_burst_and_then_waits() -> None:
    """About one a second; another chat is not held up by it."""
    pacing = Pacing()
    waits = [pacing.wait_for("1", longest=60) for _ in range(CHAT_BURST + 3)]

    assert waits[:CHAT_BURST] == [0.0] * CHAT_BURST
    assert all(wait > 0.5 for wait in waits[CHAT_BURST:])
    assert pacing.wait_for("2", longest=60) == 0.0


def test_all_chats_together_stay_under_the_limit() -> None:
    """And who would wait too long keeps no place."""
    pacing = Pacing()
    waits = [pacing.wait_for(str(chat), longest=0.5) for chat in range(ALL_BURST + 60)]

    refused = [wait for wait in waits if wait > 0.5]
    assert refused
    assert max(refused) < 1.0
