"""Plain words: what is rewritten, and what must stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.nlu.plain import PlainWords, ordinary_words, read_spellings
from bot.nlu.sentences import VOCABULARY

ROOT = Path(__file__).parents[2]
TAUGHT = (
    "someone broke into my garage last night",
    "how do i report a burglary to the police",
    "my neighbour is noisy, who do i tell",
    "a burglary in my garage",
    "the police came about my neighbour",
    "where do i report it last night",
)


@pytest.fixture(scope="module")
def plain() -> PlainWords:
    """The shipped spellings over a small vocabulary."""
    return PlainWords.fit(TAUGHT, read_spellings(ROOT / "data/risk/words.yml"), ordinary_words(VOCABULARY))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("someone broke into wor hoose last neet", "someone broke into wor house last night"),
        ("how do i report a burglery", "how do i report a burglary"),
        ("how do i report a berglary 2 the polis", "how do i report a burglary 2 the police"),
        ("me nieghbour is dead noisy", "me neighbour is dead noisy"),
        ("divvent knaa who to tell", "dont know who to tell"),
        ("a divvent knaa whee to tell", "i dont know who to tell"),
        ("how div a report it", "how do i report it"),
        ("a hev been lookin roond", "i have been looking round"),
    ],
)
def test_dialect_and_slips_become_plain_words(plain: PlainWords, written: str, meant: str) -> None:
    assert plain.of(written) == meant


@pytest.mark.parametrize(
    "text",
    [
        "the garbage lorry was late",  # near to "garage", but a word of its own
        "i do a report on a captain", "what can a friend come in again", "the cabin by the moor", "a good book",
        "polite notice", "is it noise or nosy", "newcastle united", "a1 road", "l33t", "", "ok",
    ],
)  # fmt: skip
def test_ordinary_words_stay(plain: PlainWords, text: str) -> None:
    assert plain.of(text) == text


def test_a_word_that_nothing_is_like_stays(plain: PlainWords) -> None:
    assert plain.of("xylqwzvb") == "xylqwzvb"


def test_what_was_learned_survives_the_disk(plain: PlainWords, tmp_path: Path) -> None:
    plain.save(tmp_path)
    again = PlainWords.load(tmp_path)
    for text in ("wor hoose", "burglery", "nothing here"):
        assert again.of(text) == plain.of(text)


def test_sentences_are_told_apart(plain: PlainWords) -> None:
    assert plain.pieces("I lost my keys on the bus. How do I report a burglary?") == [
        "i lost my keys on the bus", "how do i report a burglary",
    ]  # fmt: skip
    assert plain.pieces("Hi. I lost my keys on the bus.") == []
    assert plain.pieces("just one sentence here") == []
    assert len(plain.pieces("one two three four. " * 50)) == 4
