"""One classifier for every intent: which one it is, how likely, and whether we know it at all.

It has two heads, because two questions are asked of each message and both can be answered yes: what
is it about (FAQ intents, small talk, out of scope), and does it carry a risk (risk intents, or
none)? "He hits me" is about `faq/da-help` and carries R03; in one list of intents the two would
share the probability and neither would look sure. A third, small head says how urgent a risk is.

A head is kernel ridge regression, one column a label (also called a least-squares support vector
machine: Suykens and Vandewalle 1999). Two messages are alike by meaning, the Gaussian of their
sentence vectors, and by wording, the cosine of their words and pieces of words. An FAQ intent holds
many different questions, so what counts is to be near some of its examples, not near their mean;
a linear model over the same vectors got 4 to 6 points fewer of our FAQ questions right.

A sample of the examples stands for the kernel (`kernel.Landmarks`). How all of it is learned, and how
probabilities and thresholds come from messages that were not seen, is told in `learning`; whether a message
is known at all, in `judge`.

Texts must be in plain words (`plain.PlainWords`) and vectors come from `sentences.SentenceVectors`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bot.nlu.judge import Judge, evidence_of, log_softmax
from bot.nlu.kernel import Floats, Kernel, Places, Scores
from bot.nlu.normalise import has_words
from bot.nlu.plain import PlainWords
from bot.nlu.sentences import SentenceVectors, Vectors
from bot.nlu.words import WordFeatures, Words

FALLBACK: Final = "nlu_fallback"
FAQ: Final = "faq/"
RISK: Final = "risk_"
NO_RISK: Final = "none"
HARMLESS: Final = "harmless"
"""Alarming words in harmless talk: learned as no risk and as nothing we know, never as a topic."""
HARMLESS_QUESTION: Final = "harmless_question"
"""A question with alarming words that an FAQ may answer or not: learned as no risk, and nothing else."""
# Intents that are learned but never answered: turning them away costs nothing.
NEVER_ANSWERED: Final = frozenset({"out_of_scope"})
GRADES: Final = ("P1", "P2", "P3", "P4")
RANKING_LENGTH: Final = 10


@dataclass(frozen=True, slots=True)
class Example:
    """One training example, with a text in plain words."""

    text: str
    label: str
    """Intent: `faq/<slug>`, `risk_<category>` or a plain name."""
    risk: str | None = NO_RISK
    """Category that the text carries, `none`, or None where it may be either."""
    written: bool = False
    """The force's own words (title, answer) and not a message: learned from, never tested with."""
    grade: str | None = None
    """P1 to P4, of a risk example."""

    @property
    def about(self) -> str | None:
        """Label for the head of topics; risks and harmless talk are none of its business."""
        if self.label.startswith(RISK) or self.label in (HARMLESS, HARMLESS_QUESTION):
            return None
        return self.label

    @property
    def carries(self) -> str | None:
        """Label for the head of risks."""
        if self.label.startswith(RISK):
            return self.label.removeprefix(RISK)
        return None if self.written else self.risk


@dataclass(frozen=True, slots=True)
class Options:
    """What can be tuned; the defaults were chosen on left-out training examples (docs/understanding.md)."""

    words: float = 0.20
    """Share of the wording in how alike two messages are; the rest is meaning."""
    width: float = 3.0
    """How fast an example stops to count with its distance in meaning."""
    whole: int = 16000
    """A head with up to so many examples has their whole kernel."""
    landmarks: int = 5000
    """Most examples that stand for all elsewhere: memory grows with it, time with its square."""
    ridge: float = 0.2
    """Trust in one example: the larger, the less does a single one decide."""
    rejected: float = 0.10
    """Share of right answers that the judge may turn away, on left-out examples."""
    close_ratio: float = 0.45
    """A second FAQ intent this near to the first (as a ratio) makes it a close call."""
    offer_mass: float = 0.15
    """Least probability that all offered FAQ intents must hold together."""
    offer_each: float = 0.05
    offer_cosine: float = 0.59
    """Nothing is offered when no training example is this near."""
    risk_noticeable: float = 0.2
    """With this much probability of a risk nothing is offered: a person may be needed."""
    risk_carried: float = 0.06
    """With less, an FAQ intent whose messages all carry a risk is not certain."""
    risk_part: float = 0.4
    """What one sentence of several says must be so likely: it lacks what the others say."""
    risk_leads: float = 0.5
    """With this much, a message that is not about anything known is a risk intent."""
    risk_listed: float = 0.02
    urgent: float = 0.2
    """A grade is at least this urgent when so much probability lies there or above."""
    also: float = 0.7
    """A part of a message this surely about another FAQ intent is a question of its own."""


@dataclass(frozen=True, slots=True)
class Risk:
    """A category that a message may carry."""

    category: str
    chance: float
    """Of the likeliest category: that the message carries a risk at all. Of others: their own."""
    grade: str | None = None
    """The likeliest grade, or the more urgent where it is unsure; None if no grade was learned."""


@dataclass(frozen=True, slots=True)
class Understanding:
    """What we make of one message."""

    intent: str
    """The likeliest intent, also when not certain; `nlu_fallback` for a text without words."""
    confidence: float
    certain: bool
    ranking: tuple[tuple[str, float], ...] = ()
    """What it is about, likeliest first; risks are in `risks`."""
    risks: tuple[Risk, ...] = ()
    """Risk categories, likeliest first. Independent of the intent."""
    offer: tuple[str, ...] = ()
    """Slugs to choose from when it is a close call, likeliest first."""
    known: float = 0.0
    """How well the message is known: 0 is just enough to answer, more is better (no unit)."""
    also: tuple[str, ...] = ()
    """Slugs of further questions in the same message."""

    @property
    def rasa_intent(self) -> str:
        """The intent that the dialogue sees: FAQ intents as one, and the fallback when unsure."""
        if not self.certain:
            return FALLBACK
        return self.intent.split("/", 1)[0]


NOTHING: Final = Understanding(intent=FALLBACK, confidence=0.0, certain=False)
Piece = tuple[str, Vectors]
"""A part of a message in plain words, and its sentence vector."""


@dataclass(frozen=True, slots=True)
class Head:
    """A question that is asked of every message: labels, and the weights that choose one."""

    labels: tuple[str, ...]
    places: Places
    """The examples that it compares a message with."""
    by_meaning: Scores
    """(places, labels): what being near each of them says."""
    by_wording: Scores
    """(words, labels)."""
    scale: float = 1.0
    """Makes probabilities of scores, which are 1 for a sure label and 0 for others."""
    bias: tuple[float, ...] = ()

    def scores(self, alike: Scores, words: Words) -> Scores:
        """Return the scores of one message, shape (1, labels)."""
        places, values = words
        return np.asarray(alike[None, :] @ self.by_meaning + values[None, :] @ self.by_wording[places])

    def logs(self, scores: npt.NDArray[Any]) -> Floats:
        """Return calibrated log probabilities of scores, shape (n, labels)."""
        return log_softmax(self.scale * scores + np.asarray(self.bias or 0.0))


@dataclass(frozen=True, slots=True)
class Examples:
    """The examples that a message is compared with."""

    vectors: Vectors
    """(n, 384), of all examples."""
    topics: Places
    """Those that are about something."""
    labels: Places
    """What each of `topics` is about, as a place among the labels of that head."""

    def as_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the parts by name, for the disk."""
        return {f"examples.{part}": getattr(self, part) for part in self.__slots__}


class IntentModel:
    """A trained classifier."""

    def __init__(
        self,
        heads: dict[str, Head],
        judge: Judge,
        words: WordFeatures,
        examples: Examples,
        possible: Mapping[str, Sequence[str]],
        carried: Mapping[str, str],
        options: Options,
    ) -> None:
        """Keep the parts; use `learning.train` or `load`.

        `possible` are the grades that a category can have, `carried` the category of each FAQ intent whose
        every message carries one.
        """
        self._carried = dict(carried)
        self._possible = {category: tuple(grades) for category, grades in possible.items()}
        self.heads = heads
        self.topics = heads["topics"]
        self.risks = heads.get("risks")
        self.grades = heads.get("grades")
        self.judge = judge
        self.options = options
        self._words = words
        self._examples = examples
        self._kernel = Kernel(options.words, options.width)

    def classify(self, text: str, vector: Vectors, pieces: Sequence[Piece] = ()) -> Understanding:
        """Say what one text in plain words with this sentence vector means.

        Args:
            text: the message.
            vector: its sentence vector, shape (384,).
            pieces: its sentences, where it has several: each may ask or tell something of its own.
        """
        if not has_words(text):
            return NOTHING
        found = self._of_one(text, vector)
        if len(pieces) < 2:
            return found
        return self._with_pieces(found, [self._of_one(part, its) for part, its in pieces if has_words(part)])

    def _of_one(self, text: str, vector: Vectors) -> Understanding:
        words = self._words.row(text)
        examples = self._examples
        cosines = examples.vectors @ vector
        scores = self.topics.scores(self._kernel.by_meaning(cosines[self.topics.places]), words)
        logs = self.topics.logs(scores)
        evidence, _ = evidence_of(logs, scores, cosines[None, examples.topics], examples.labels)
        above = float(self.judge.score(evidence)[0]) - self.judge.threshold
        known = above >= 0
        chances = np.exp(logs[0])
        order = np.argsort(-chances)[:RANKING_LENGTH]
        ranking = tuple((self.topics.labels[i], float(chances[i])) for i in order)
        risks = self._risks(cosines, words)
        any_risk = risks[0].chance if risks else 0.0
        listed = tuple(risk for risk in risks if risk.chance >= self.options.risk_listed)
        label, confidence = ranking[0]
        if any_risk >= self.options.risk_leads and (not known or label in NEVER_ANSWERED):
            return Understanding(RISK + risks[0].category, any_risk, True, ranking, listed, known=above)
        offer: tuple[str, ...] = ()
        if any_risk < self.options.risk_noticeable:
            offer = self._offer(ranking, float(evidence[0, 2]))
        close = bool(offer) and self._is_close(ranking)
        # Its answer would bring a person for a risk that the other head does not see: "spiked hair".
        doubted = label in self._carried and any_risk < self.options.risk_carried
        return Understanding(
            intent=label,
            confidence=confidence,
            certain=known and not close and not doubted,
            ranking=ranking,
            risks=listed,
            offer=offer if close or doubted or not known else (),
            known=above,
        )

    def _with_pieces(self, whole: Understanding, parts: Sequence[Understanding]) -> Understanding:
        """Add what single sentences say: a risk of their own, or a question of their own."""
        best: dict[str, Risk] = {risk.category: risk for risk in whole.risks}
        for part in parts:
            for risk in part.risks[:1]:
                if risk.chance < self.options.risk_part:
                    continue
                if risk.chance > best.get(risk.category, risk).chance or risk.category not in best:
                    best[risk.category] = risk
        risks = tuple(sorted(best.values(), key=lambda risk: -risk.chance))
        noticeable = bool(risks) and risks[0].chance >= self.options.risk_noticeable
        asked = {
            part.intent: part.confidence
            for part in parts
            if part.certain and part.intent.startswith(FAQ) and part.confidence >= self.options.also
        }
        chosen = whole
        if not whole.certain and len(asked) == 1 and not noticeable:
            (intent, confidence), *_ = asked.items()
            if intent in [name for name, _ in whole.ranking[:3]]:
                chosen = replace(whole, intent=intent, confidence=confidence, certain=True, offer=())
        also = [
            name.removeprefix(FAQ)
            for name in asked
            if name != chosen.intent and chosen.certain and chosen.intent.startswith(FAQ)
        ]
        return replace(
            chosen,
            risks=risks,
            offer=() if noticeable else chosen.offer,
            also=() if noticeable else tuple(also[:2]),
        )

    def _risks(self, cosines: Scores, words: Words) -> list[Risk]:
        """Return each risk category, likeliest first."""
        if self.risks is None:
            return []
        alike = self._kernel.by_meaning(cosines[self.risks.places])
        chances = np.exp(self.risks.logs(self.risks.scores(alike, words))[0])
        found = dict(zip(self.risks.labels, chances.tolist(), strict=True))
        none = found.pop(NO_RISK, 0.0)
        grades = self._grades(cosines, words)
        best, *others = sorted(found.items(), key=lambda risk: -risk[1])
        return [
            Risk(name, chance, self._grade(name, grades))
            for name, chance in ((best[0], 1.0 - none), *others)
            if chance >= self.options.risk_listed or name == best[0]
        ]

    def _grades(self, cosines: Scores, words: Words) -> dict[str, float]:
        """Return how likely each grade is; nothing where none was learned."""
        if self.grades is None:
            return {}
        alike = self._kernel.by_meaning(cosines[self.grades.places])
        chances = np.exp(self.grades.logs(self.grades.scores(alike, words))[0])
        return dict(zip(self.grades.labels, chances.tolist(), strict=True))

    def _grade(self, category: str, found: Mapping[str, float]) -> str | None:
        """Return the grade of a message if it carries this risk: the more urgent where it is unsure."""
        possible = self._possible.get(category, ())
        if not found or len(possible) < 2:
            return possible[0] if possible else None
        whole = sum(found[grade] for grade in possible)
        reached = 0.0
        for grade in possible:
            reached += found[grade] / whole
            if reached >= self.options.urgent:
                return grade
        return possible[-1]

    def _is_close(self, ranking: Sequence[tuple[str, float]]) -> bool:
        """Say whether the two likeliest are FAQ intents too near to call."""
        (first, chance), (second, next_chance) = ranking[0], ranking[1]
        both = first.startswith(FAQ) and second.startswith(FAQ)
        return both and next_chance >= self.options.close_ratio * chance

    def _offer(self, ranking: Sequence[tuple[str, float]], cosine: float) -> tuple[str, ...]:
        """Return up to three slugs worth offering: likely together, and not far from all we know."""
        offered = [
            (label.removeprefix(FAQ), chance)
            for label, chance in ranking[:3]
            if label.startswith(FAQ) and chance >= self.options.offer_each
        ]
        worth = (
            ranking[0][0].startswith(FAQ)
            and sum(chance for _, chance in offered) >= self.options.offer_mass
            and cosine >= self.options.offer_cosine
        )
        return tuple(slug for slug, _ in offered) if worth else ()

    def save(self, folder: Path) -> None:
        """Write the model into `folder`, as JSON and plain arrays only."""
        self._words.save(folder)
        arrays = {
            f"{name}.{part}": getattr(head, part)
            for name, head in self.heads.items()
            for part in ("places", "by_meaning", "by_wording")
        }
        np.savez(folder / "classifier.npz", **arrays, **self._examples.as_arrays())
        about = {
            "heads": {
                name: {"labels": head.labels, "scale": head.scale, "bias": head.bias}
                for name, head in self.heads.items()
            },
            "judge": asdict(self.judge),
            "grades": self._possible,
            "carried": self._carried,
            "options": asdict(self.options),
        }
        (folder / "classifier.json").write_text(json.dumps(about, indent=1), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> IntentModel:
        """Read what `save` wrote."""
        about = json.loads((folder / "classifier.json").read_text("utf-8"))
        with np.load(folder / "classifier.npz", allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
        heads = {
            name: Head(
                labels=tuple(head["labels"]),
                scale=head["scale"],
                bias=tuple(head["bias"]),
                **{part: arrays[f"{name}.{part}"] for part in ("places", "by_meaning", "by_wording")},
            )
            for name, head in about["heads"].items()
        }
        return cls(
            heads=heads,
            judge=Judge(**about["judge"]),
            words=WordFeatures.load(folder),
            examples=Examples(*(arrays[f"examples.{part}"] for part in Examples.__slots__)),
            possible=about["grades"],
            carried=about["carried"],
            options=Options(**about["options"]),
        )


class Reader:
    """A model together with plain words and sentence vectors: raw text in, understanding out."""

    def __init__(self, model: IntentModel, vectors: SentenceVectors, plain: PlainWords) -> None:
        """Pair a model with the vectors and plain words that it was trained on."""
        self._model = model
        self._vectors = vectors
        self._plain = plain

    def read(self, text: str) -> Understanding:
        """Say what a message means."""
        plain = self._plain.of(text)
        pieces = [(part, self._vectors.one(part)) for part in self._plain.pieces(text)]
        return self._model.classify(plain, self._vectors.one(plain), pieces)
