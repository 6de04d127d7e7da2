"""Typing noise goes, words stay."""

from __future__ import annotations

import pytest

from bot.nlu.normalise import has_words, normalise


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("HELP ME", "help me"),
        ("heeeelp pleaseeee", "heelp pleasee"),
        ("nooooo", "no"),
        ("it's free", "it's free"),
        ("it’s mine", "it's mine"),
        ("what??!!", "what?!"),
        ("stolen 😡😡 bike", "stolen bike"),
        ("he\u200blp", "help"),
        ("look https://example.org/a?b=1 here", "look link here"),
        ("one\n\ntwo\tthree", "one two three"),
        ("ＦＵＬＬ width", "full width"),
        ("call 0000 now", "call 0000 now"),
        ("", ""),
    ],
)
def test_noise_is_taken_out(typed: str, read: str) -> None:
    assert normalise(typed) == read


@pytest.mark.parametrize("typed", ["", "😂😂", "???", "  \n", "\u200b"])
def test_a_message_without_words_is_seen_as_one(typed: str) -> None:
    assert not has_words(normalise(typed))


def test_normalising_twice_changes_nothing() -> None:
    once = normalise("Sooooo   LOUD!!! 🎉 they’re at it AGAIN at http://x.y")
    assert normalise(once) == once
