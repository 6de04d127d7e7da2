"""Example phrases that are worth a second look: which ones, in which words, and how often rightly."""

from __future__ import annotations

import random
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

from bot.assistant import Content
from bot.assistant.content import faq_from
from bot.knowledge.examples import Doubt, Index, doubts, near_duplicates, nearer_elsewhere, tidied, unfit
from bot.knowledge.plain import sentences
from bot.settings import ROOT
from tests.support.world import read_content

pytestmark = pytest.mark.unit

BIKE = ("my bike was stolen", "someone took my bicycle from the shed", "bike nicked outside the library")
NOISE = ("neighbours play loud music", "music all night next door", "how do i complain about a noisy party")
TITLES = {"bike": "My bike has been stolen", "noise": "Noise from neighbours"}


def index() -> Index:
    return Index({"bike": BIKE, "noise": NOISE}, TITLES)


@cache
def shipped() -> dict[str, list[str]]:
    return {slug: list(faq.body["examples"]) for slug, faq in content().faqs.items()}


def content() -> Content:
    return read_content(ROOT / "force" / "northumbria", ROOT / "data")


def one(found: list[Doubt]) -> Doubt:
    (only,) = found
    return only


@pytest.mark.parametrize(
    "phrase", ["My bike was STOLEN!", "my bike was stolen", " my  bike, was stolen?", "ｍｙ bike was stolen"]
)
def test_the_same_but_for_capitals_and_signs_is_the_same(phrase: str) -> None:
    doubt = one(near_duplicates(["my bike was stolen", phrase], index(), "bike"))
    assert (doubt.kind, doubt.place, doubt.other, doubt.slug) == ("same", 1, "my bike was stolen", "")
    doubt = one(near_duplicates([phrase], index(), "noise"))
    assert (doubt.kind, doubt.slug, doubt.title) == ("same", "bike", TITLES["bike"])
    assert TITLES["bike"] in doubt.words
    assert near_duplicates([phrase], index(), "bike") == []


@pytest.mark.parametrize(
    "phrase", ["how do i complan about a noisy party", "about a noisy party how do i complain"]
)
def test_nearly_the_same_is_told_apart(phrase: str) -> None:
    doubt = one(near_duplicates([phrase], index(), "bike"))
    assert (doubt.kind, doubt.slug, doubt.other) == ("near", "noise", NOISE[2])
    doubt = one(near_duplicates([NOISE[2], phrase], index(), "noise"))
    assert (doubt.kind, doubt.place, doubt.other, doubt.slug) == ("near", 1, NOISE[2], "")


def test_other_words_for_the_same_thing_are_what_a_list_is_for() -> None:
    assert (
        near_duplicates([*BIKE, "somebody stole my bicycle", "bike gone from the library"], index(), "bike")
        == []
    )


def test_a_phrase_about_something_else_is_pointed_out() -> None:
    phrases = [*BIKE, "my bike has gone", "the neighbours loud music"]
    doubt = one(nearer_elsewhere(phrases, index(), "bike"))
    assert (doubt.place, doubt.kind, doubt.slug, doubt.other) == (4, "elsewhere", "noise", NOISE[0])
    assert nearer_elsewhere([*BIKE, "my bike has gone"], index(), "bike") == []


def test_a_new_answer_with_hardly_a_phrase_is_not_judged() -> None:
    assert nearer_elsewhere(["loud music", "parking on the pavement"], index(), "parking") == []


def test_words_that_no_other_answer_knows_are_an_answers_own() -> None:
    phrases = ["body camera music", "body camera video", "see the body camera film", "who has a body camera"]
    assert nearer_elsewhere(phrases, index(), "body-camera") == []


@pytest.mark.parametrize(
    "phrase", ["", " - ", "--", "a\u2028b", "a\nb", "see [this](there)", "[x]{y}", "[a][b]"]
)
def test_what_no_file_can_carry_is_unfit(phrase: str) -> None:
    doubt = one(unfit(["fine", phrase]))
    assert (doubt.place, doubt.kind) == (1, "unfit")


@pytest.mark.parametrize(
    "phrase", ["- a", "(a) [b] {c}", "{{ x }}", "rules:", "😀", "call [P101]", "a\tb", "مرحبا"]
)
def test_what_a_file_carries_is_not(phrase: str) -> None:
    assert unfit([phrase]) == []


def test_a_tidied_phrase_is_on_one_line() -> None:
    assert tidied("  a \u2028 b\t\u00a0c\r\n") == "a b c"


def test_phrases_of_any_kind_are_no_trouble() -> None:
    odd = ["😀", "?!", "مرحبا", "x" * 5000, "\u200f", "a", "é", "e\u0301", "word " * 500, "", "😀"]
    found = doubts(odd, index(), "bike")
    assert [doubt.place for doubt in found] == [7, 9, 10]
    assert doubts(odd, Index({}, {}), "bike") == found
    assert doubts([], index(), "bike") == []


def test_each_phrase_is_told_of_once() -> None:
    found = doubts(["my bike was stolen", "My bike was stolen", *NOISE, "[a](b)"], index(), "bike")
    assert [doubt.place for doubt in found] == [1, 2, 3, 4, 5]
    assert all(before.place < after.place for before, after in pairwise(found))


def test_an_index_of_a_release_knows_withdrawn_answers_too() -> None:
    def faq(slug: str, **body: Any) -> Any:
        return faq_from(slug, {"title": TITLES[slug], "answer": "x", **body})

    release = Content(
        sha256="", faqs={"bike": faq("bike", examples=list(BIKE))}, lines={}, contacts={}, force={}, hours={},
        teams={}, cards={}, outcomes={}, withdrawn={"noise": faq("noise", examples=list(NOISE))},
    )  # fmt: skip
    assert one(near_duplicates([NOISE[0]], Index.of(release), "bike")).title == TITLES["noise"]
    before_phrases_were_kept = Content(
        sha256="", faqs={"bike": faq("bike")}, lines={}, contacts={}, force={}, hours={}, teams={}, cards={},
        outcomes={},
    )  # fmt: skip
    assert doubts(BIKE, Index.of(before_phrases_were_kept), "bike") == []


def test_on_the_shipped_phrases_it_is_right_more_often_than_not() -> None:
    """Of phrases put into a wrong answer most are pointed out; of those in the right one few are."""
    chosen = random.Random(7)
    slugs = sorted(shipped())
    strangers = {slug: chosen.choice(shipped()[slug]) for slug in slugs}
    known = {slug: [one for one in texts if one != strangers[slug]] for slug, texts in shipped().items()}
    release = Index(known, {})
    wrongly, found = 0, 0
    hosts = chosen.sample(slugs, 24)
    for host in hosts:
        guests = [strangers[slug] for slug in chosen.sample([s for s in slugs if s != host], 5)]
        pointed = {doubt.phrase for doubt in nearer_elsewhere([*known[host], *guests], release, host)}
        found += len(pointed.intersection(guests))
        wrongly += len(pointed.intersection(known[host]))
    of_guests, of_own = found / (5 * len(hosts)), wrongly / sum(len(known[host]) for host in hosts)
    assert of_guests > 0.5, of_guests
    assert of_own < 0.08, of_own


def test_the_index_compares_with_a_small_part_of_all_phrases() -> None:
    """What makes it fast: a naive loop weighs each phrase's pieces against those of all others."""
    release = Index.of(content())
    phrases = shipped()["noise"][:20]
    naive = sum(len(release.vector(phrase.casefold())) for phrase in phrases) * len(release.phrases)
    looked = sum(
        len(release._where.get(piece, ()))
        for phrase in phrases
        for piece in release.vector(phrase.casefold())
    )
    assert looked * 50 < naive


def test_every_sentence_is_short_and_names_the_phrase() -> None:
    found = [
        *doubts([*BIKE, "my bike has gone", "the neighbours loud music"], index(), "bike"),
        *doubts([BIKE[0], BIKE[0], "[a](b)"], index(), "bike"),
        *doubts([NOISE[1], "how do i complan about a noisy party"], index(), "bike"),
        *doubts([NOISE[2], "how do i complan about a noisy party"], index(), "noise"),
    ]
    assert [doubt.kind for doubt in found] == ["elsewhere", "same", "unfit", "same", "near", "near"]
    for doubt in found:
        assert f"“{doubt.phrase}”" in doubt.words
        for _, sentence in sentences(f"{doubt.words} {doubt.better}"):
            assert len(sentence.split()) <= 25
