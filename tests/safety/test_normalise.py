"""However a word is bent or hidden, it is read as the word it is."""

from __future__ import annotations

import pytest

from bot.safety import Screen
from bot.safety.normalise import BREAK, normalise, tokens


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("HELP", "help"),
        ("ＨＥＬＰ", "help"),
        ("𝐡𝐞𝐥𝐩", "help"),
        ("ⓗⓔⓛⓟ", "help"),
        ("h\u200be\u200bl\u2060p", "help"),
        ("h\u00adelp", "help"),
        ("\u202ehelp\u202c", "help"),
        ("hélp", "help"),
        ("h\u0336e\u0336l\u0336p\u0336", "help"),
        ("he\x00lp", "help"),
        ("hеlр", "help"),  # Cyrillic e and r
        ("κill", "kill"),
        ("🇭🇪🇱🇵", "help"),
        ("don’t", "dont"),
        ("don't", "dont"),
        ("heeeeelp", "heelp"),
        ("помогите", "помогите"),
    ],
)
def test_a_word_is_folded(typed: str, read: str) -> None:
    assert [read] == tokens(normalise(typed))


def test_sentences_are_kept_apart() -> None:
    assert ["one", BREAK, "two", BREAK, "three"] == tokens(normalise("one. two\nthree"))


def test_an_age_in_one_word_is_parted() -> None:
    assert ["12", "yo"] == tokens(normalise("12yo"))


def test_letters_typed_one_by_one_are_put_together() -> None:
    assert ["kill"] == tokens(normalise("k i l l"))
    assert ["kill"] == tokens(normalise("k.i.l.l"))


def test_chinese_is_read_sign_by_sign() -> None:
    assert ["请", "帮", "我", "now", "救", "命"] == tokens(normalise("请帮我 now 救命"))


@pytest.mark.parametrize(
    "text",
    [
        "i want to KILL MYSELF",
        "i want to k1ll mys3lf",
        "i want to k!ll myself",
        "i want to k*ll myself",
        "i want to k i l l myself",
        "i want to k.i.l.l myself",
        "i want to kiiiiill myself",
        "i want to kill mysel",
        "i want to ki\u200bll my\u200bself",
        "i want to kіll myѕelf",
        "i want to kill\x00 my\x00self",
        "/i want to kill myself",
        "/restart i want to kill myself",
        "a wanna kill mesel",
        "i want to commit su1c1de",
        "i want to commit sucide",
        "i want to commit suicdie",
        "i want to comit s*icide",
        "i just really fucking want to kill myself",
        "i want to kill myself lol 😂😂",
        "#killmyself",
        "💊💊💊 taken them all, bye everyone",
    ],
)
def test_no_disguise_hides_a_plea(screen: Screen, text: str) -> None:
    hits = {hit.category: hit.priority for hit in screen.check(text).hits}

    assert hits.get("R02") == "P1", hits


@pytest.mark.parametrize("text", ["he has a 🔪", "lad with a 🔫 outside the school"])
def test_emoji_that_matter_are_read(screen: Screen, text: str) -> None:
    assert "P1" == screen.check(text).priority


@pytest.mark.parametrize(
    "text",
    ["the therapist was lovely", "trying to find consent forms", "i am content with that",
     "wondering about the opening hours", "grouping the tables by size"],
)  # fmt: skip
def test_an_ordinary_word_near_a_dangerous_one_is_not_a_typing_slip(screen: Screen, text: str) -> None:
    assert None is screen.check(text).priority
