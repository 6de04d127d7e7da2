"""Vectors, words and the classifier, on a small set of made-up intents."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from bot.nlu.classifier import Example, IntentModel, Reader
from bot.nlu.faq import risk_of, written_about
from bot.nlu.learning import TrainingError, train
from bot.nlu.normalise import normalise
from bot.nlu.plain import PlainWords
from bot.nlu.sentences import SIZE, SentenceVectors, shared_sentence_vectors
from bot.nlu.words import WordFeatures
from tests.nlu.examples import EXAMPLES


@pytest.fixture(scope="module")
def vectors() -> SentenceVectors:
    """The sentence model."""
    return shared_sentence_vectors()


@pytest.fixture(scope="module")
def model(vectors: SentenceVectors) -> IntentModel:
    """A model of the made-up intents."""
    return train(EXAMPLES, vectors.many([example.text for example in EXAMPLES]))


@pytest.fixture(scope="module")
def reader(model: IntentModel, vectors: SentenceVectors) -> Reader:
    """That model, reading raw text."""
    return Reader(model, vectors, PlainWords({}, [], []))


def test_vectors_have_length_one_and_near_meanings_are_near(vectors: SentenceVectors) -> None:
    bike, cycle, passport = vectors.many(
        ["my bike was stolen", "someone took my bicycle", "lost my passport"]
    )
    assert bike.shape == (SIZE,)
    assert np.linalg.norm(bike) == pytest.approx(1.0, abs=1e-5)
    assert bike @ cycle > bike @ passport + 0.1


def test_a_text_has_the_same_vector_alone_and_among_others(vectors: SentenceVectors) -> None:
    texts = ["hello", "a rather longer message about a dog that barks all night", "ok"]
    together = vectors.many(texts)
    for text, vector in zip(texts, together, strict=True):
        assert np.array_equal(vectors.one(text), vector)


@pytest.mark.parametrize("text", ["", "word " * 2000])
def test_an_empty_and_an_endless_text_have_vectors(vectors: SentenceVectors, text: str) -> None:
    assert np.isfinite(vectors.one(text)).all()


def test_word_features_survive_the_disk(tmp_path: Path) -> None:
    words = WordFeatures.fit(["stolen bike", "lost dog", "u ok"])
    words.save(tmp_path)
    before, after = words.transform(["stolen dog u"]), WordFeatures.load(tmp_path).transform(["stolen dog u"])
    assert np.allclose(before.toarray(), after.toarray())


@pytest.mark.parametrize("text", ["stolen bike stolen bike u", "the dog, the DOG", "", "nothing of these"])
def test_word_features_are_those_of_scikit_learn(text: str) -> None:
    taught = ["stolen bike", "lost dog", "u ok", "the dog and the bike"]
    theirs = [
        TfidfVectorizer(analyzer="word", ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b", sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True),
    ]
    expected = np.hstack([each.fit(taught).transform([text]).toarray() for each in theirs])
    assert np.allclose(WordFeatures.fit(taught).transform([text]).toarray(), expected)


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("someone has stolen my bike", "faq/bike-stolen"),
        ("my PUSHBIKE got nickedddd 😡", "faq/bike-stolen"),
        ("i've lost my passport", "faq/lost-passport"),
        ("music next door is so loud", "faq/noise"),
        ("hiya", "greeting"),
    ],
)
def test_new_wordings_are_understood(reader: Reader, text: str, intent: str) -> None:
    assert reader.read(text).intent == intent


@pytest.mark.parametrize("text", ["", "😂😂😂", "???"])
def test_a_message_without_words_is_never_certain(reader: Reader, text: str) -> None:
    found = reader.read(text)
    assert (found.intent, found.certain, found.rasa_intent) == ("nlu_fallback", False, "nlu_fallback")


@pytest.mark.parametrize(
    "text",
    ["how long do i boil an egg", "recommend me a film for tonight", "qwfp zxcv arst", "what is 7 times 8"],
)
def test_what_nobody_taught_is_not_certain_to_be_a_question_of_ours(reader: Reader, text: str) -> None:
    found = reader.read(text)
    assert not (found.certain and found.intent.startswith("faq/"))


def test_probabilities_are_probabilities(reader: Reader) -> None:
    found = reader.read("someone has stolen my bike")
    chances = [chance for _, chance in found.ranking]
    assert chances == sorted(chances, reverse=True)
    assert 0.99 < sum(chances) <= 1.0001
    assert found.ranking[0] == (found.intent, found.confidence)


def test_a_risk_is_told_beside_the_question(reader: Reader) -> None:
    found = reader.read("my boyfriend hits me and i am scared of him")
    assert found.risks[0].category == "R03"
    assert found.risks[0].chance > 0.5
    assert found.ranking[0][0] == "faq/da-help"


def test_a_plain_question_carries_little_risk(reader: Reader) -> None:
    assert all(risk.chance < 0.3 for risk in reader.read("i lost my passport on holiday").risks)


def test_a_close_call_is_offered_and_not_answered(model: IntentModel, vectors: SentenceVectors) -> None:
    text = normalise("lost my passport and my bike")
    found = model.classify(text, vectors.one(text))
    if not found.certain:
        assert set(found.offer) <= {"lost-passport", "bike-stolen", "lost-property"}
    assert len(found.offer) <= 3


def test_nothing_is_offered_where_a_risk_may_be(vectors: SentenceVectors, model: IntentModel) -> None:
    for text in ("my husband hits me", "he said he will kill me", "scared of my partner and my bike is gone"):
        found = model.classify(text, vectors.one(text))
        if found.risks and found.risks[0].chance >= model.options.risk_noticeable:
            assert found.offer == ()


def test_a_model_says_the_same_after_the_disk(
    model: IntentModel, vectors: SentenceVectors, tmp_path: Path
) -> None:
    model.save(tmp_path)
    again = IntentModel.load(tmp_path)
    for text in ("someone has stolen my bike", "he hits me", "boil an egg"):
        before, after = (kept.classify(text, vectors.one(text)) for kept in (model, again))
        assert (before.intent, before.certain, before.offer) == (after.intent, after.certain, after.offer)
        assert before.confidence == pytest.approx(after.confidence, abs=1e-3)


def test_a_saved_model_holds_no_pickle(model: IntentModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".npy", ".npz"}
    for path in tmp_path.glob("*.np[yz]"):
        np.load(path, allow_pickle=False)


def test_training_twice_gives_the_same_model(vectors: SentenceVectors, model: IntentModel) -> None:
    again = train(EXAMPLES, vectors.many([example.text for example in EXAMPLES]))
    assert again.judge == model.judge
    assert np.array_equal(again.topics.by_meaning, model.topics.by_meaning)


def test_few_intents_and_few_examples_are_enough(vectors: SentenceVectors) -> None:
    examples = [
        Example(text, label)
        for text, label in (("hello", "greeting"), ("my bike", "faq/bike"), ("hi", "greeting"))
    ]
    small = train(examples, vectors.many([example.text for example in examples]))
    assert small.classify("hello", vectors.one("hello")).ranking[0][0] == "greeting"


def test_one_intent_cannot_be_learned(vectors: SentenceVectors) -> None:
    with pytest.raises(TrainingError):
        train([Example("hello", "greeting")], vectors.many(["hello"]))


def test_what_metadata_says_about_risk() -> None:
    assert risk_of({"mode": "A"}) == "none"
    assert risk_of({"mode": "E", "category": "R03"}) == "R03"
    assert risk_of({"mode": "A", "category": "R01", "condition": "if live"}) is None
    assert risk_of({}) == "none"


def test_title_and_answer_are_learned_from_without_contact_keys() -> None:
    about = {"title": "Noise", "answer": "Call [P101].\n\nOr [COUNCIL.text] will help."}
    assert written_about(about) == ["noise", "call . or will help."]


def _graded() -> list[Example]:
    urgent = ("he has a knife", "she is hurting him now", "they are breaking in now", "he is at the door now")
    calm = ("he hit me last year", "they broke in last week", "she hurt him in march", "he shouted yesterday")
    others = [
        Example(text, "risk_R03", grade=grade)
        for grade, texts in (("P1", urgent), ("P2", calm))
        for text in texts
    ]
    return [*EXAMPLES, *others, Example("what he did", "risk_R13", grade="P3")]


def test_a_risk_has_a_grade_that_its_category_can_have(vectors: SentenceVectors) -> None:
    examples = _graded()
    graded = train(examples, vectors.many([example.text for example in examples]))
    reader = Reader(graded, vectors, PlainWords({}, [], []))
    now, past = reader.read("he is hurting me now").risks, reader.read("he hit me in march last year").risks
    assert {risk.grade for risk in now if risk.category == "R03"} == {"P1"}
    assert {risk.grade for risk in past if risk.category == "R03"} == {"P2"}
    assert {risk.grade for risk in (*now, *past) if risk.category == "R13"} <= {"P3"}


def test_two_questions_in_one_message_are_noticed(reader: Reader) -> None:
    found = reader.read("My bike has been stolen. I also lost my passport on the bus.")
    both = {found.intent, *(f"faq/{slug}" for slug in (*found.also, *found.offer))}
    assert both >= {"faq/bike-stolen", "faq/lost-passport"}


def test_one_question_in_two_sentences_is_one_question(reader: Reader) -> None:
    found = reader.read("Someone stole my bike last night. It was locked up in the shed.")
    assert (found.intent, found.also) == ("faq/bike-stolen", ())


def test_a_risk_in_one_sentence_of_many_is_told(reader: Reader) -> None:
    alone = reader.read("my boyfriend hits me and i am scared of him").risks[0]
    among = reader.read(
        "I lost my passport on the bus home. My boyfriend hits me and i am scared of him. What do I do?"
    ).risks[0]
    assert (among.category, among.chance) == (alone.category, pytest.approx(alone.chance, abs=0.15))


def _with(model: IntentModel, **options: float) -> IntentModel:
    """The same model with other options."""
    changed = copy(model)
    changed.options = replace(model.options, **options)
    return changed


def test_an_answer_that_always_brings_a_person_is_not_certain_where_no_risk_is_seen(
    model: IntentModel, vectors: SentenceVectors
) -> None:
    text = "my partner hits me"
    found, doubted = (
        each.classify(text, vectors.one(text)) for each in (model, _with(model, risk_carried=1.1))
    )
    assert (found.intent, found.certain) == ("faq/da-help", True)
    assert (doubted.intent, doubted.certain) == ("faq/da-help", False)


def test_one_sentence_of_several_raises_only_a_clear_risk(
    model: IntentModel, vectors: SentenceVectors
) -> None:
    texts = ("i lost my passport on the bus", "my boyfriend hits me and i am scared of him")
    pieces = [(text, vectors.one(text)) for text in texts]
    # The whole is the harmless one, so that what is found comes from the other sentence alone.
    clear, never = (
        each.classify(*pieces[0], pieces).risks
        for each in (_with(model, risk_part=0.4), _with(model, risk_part=1.1))
    )
    assert clear[0].category == "R03"
    assert clear[0].chance > 0.4
    assert all(risk.chance < 0.4 for risk in never)
