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

A sample of the examples stands for the kernel (`kernel.Landmarks`). One factorisation for a head gives
all its columns, and what the model would have said of each example had it not seen it (leave-one-out):
so calibration, thresholds and what is known come from unseen messages without training anything twice.

A probability alone judges badly whether a message is known: it must share out 100 % however odd the
message. So another model, the judge, weighs probability, margins and the nearest training examples.
It learns from left-out examples, from FAQ intents that were left out whole, which are what an unknown
question looks like, and from harmless talk. Its threshold turns away at most `rejected` of the right
answers.

Texts must be in plain words (`plain.PlainWords`) and vectors come from `sentences.SentenceVectors`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from bot.nlu.kernel import Fitted, Floats, Kernel, Landmarks, Places, Rows, Scores
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
SEED: Final = 20
GROUPS: Final = 5
"""FAQ intents are left out in so many groups, to see what an unknown question looks like."""


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
    landmarks: int = 6000
    """Most examples that stand for all: memory grows with it, time with its square."""
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
    risk_leads: float = 0.5
    """With this much, a message that is not about anything known is a risk intent."""
    risk_listed: float = 0.02
    urgent: float = 0.3
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


def log_softmax(scores: npt.NDArray[Any]) -> Floats:
    """Return log probabilities, one row a message (scipy's takes ten times as long for one row)."""
    lower = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(lower - np.log(np.exp(lower).sum(axis=1, keepdims=True)), dtype=np.float64)


class TrainingError(ValueError):
    """The examples cannot be learned from."""


@dataclass(frozen=True, slots=True)
class _Head:
    """A question that is asked of every message: labels, and the weights that choose one."""

    labels: tuple[str, ...]
    by_meaning: Scores
    """(landmarks, labels): what being near each landmark says."""
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
class _Examples:
    """The examples that a message is compared with."""

    vectors: Vectors
    """(n, 384), of all examples."""
    landmarks: Places
    """Those that stand for all in the kernel."""
    topics: Places
    """Those that are about something."""
    labels: Places
    """What each of `topics` is about, as a place among the labels of that head."""

    def as_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the parts by name, for the disk."""
        return {f"examples.{part}": getattr(self, part) for part in self.__slots__}


@dataclass(frozen=True, slots=True)
class _Judge:
    """A logistic model over `_evidence`, and the score below which we do not know."""

    mean: list[float] = field(default_factory=list)
    spread: list[float] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    threshold: float = 0.0

    def score(self, evidence: Floats) -> Floats:
        """Return how well each row of evidence is known."""
        scaled = (evidence - np.asarray(self.mean)) / np.asarray(self.spread)
        return np.asarray(scaled @ np.asarray(self.weights))


# For training data too small to learn a judge: known means a probability above 0.45 and a training
# example nearer than 0.7, each able to make up for the other.
_PLAIN_JUDGE: Final = _Judge(
    mean=[-0.2, 0.0, 0.7, 0.7, 0.3],
    spread=[1.0, 1.0, 0.055, 0.055, 1.0],
    weights=[1.0, 0.0, 0.5, 0.5, 0.0],
    threshold=0.0,
)


class IntentModel:
    """A trained classifier."""

    def __init__(
        self,
        heads: dict[str, _Head],
        judge: _Judge,
        words: WordFeatures,
        examples: _Examples,
        possible: Mapping[str, Sequence[str]],
        options: Options,
    ) -> None:
        """Keep the parts; use `train` or `load`. `possible` are the grades that a category can have."""
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
        alike = self._kernel.by_meaning(cosines[examples.landmarks])
        scores = self.topics.scores(alike, words)
        logs = self.topics.logs(scores)
        evidence, _ = _evidence(logs, scores, cosines[None, examples.topics], examples.labels)
        above = float(self.judge.score(evidence)[0]) - self.judge.threshold
        known = above >= 0
        chances = np.exp(logs[0])
        order = np.argsort(-chances)[:RANKING_LENGTH]
        ranking = tuple((self.topics.labels[i], float(chances[i])) for i in order)
        risks = self._risks(alike, words)
        any_risk = risks[0].chance if risks else 0.0
        listed = tuple(risk for risk in risks if risk.chance >= self.options.risk_listed)
        label, confidence = ranking[0]
        if any_risk >= self.options.risk_leads and (not known or label in NEVER_ANSWERED):
            return Understanding(RISK + risks[0].category, any_risk, True, ranking, listed, known=above)
        offer: tuple[str, ...] = ()
        if any_risk < self.options.risk_noticeable:
            offer = self._offer(ranking, float(evidence[0, 2]))
        close = bool(offer) and self._is_close(ranking)
        return Understanding(
            intent=label,
            confidence=confidence,
            certain=known and not close,
            ranking=ranking,
            risks=listed,
            offer=offer if close or not known else (),
            known=above,
        )

    def _with_pieces(self, whole: Understanding, parts: Sequence[Understanding]) -> Understanding:
        """Add what single sentences say: a risk of their own, or a question of their own."""
        best: dict[str, Risk] = {risk.category: risk for risk in whole.risks}
        for part in parts:
            for risk in part.risks[:1]:
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

    def _risks(self, alike: Scores, words: Words) -> list[Risk]:
        """Return each risk category, likeliest first."""
        if self.risks is None:
            return []
        chances = np.exp(self.risks.logs(self.risks.scores(alike, words))[0])
        found = dict(zip(self.risks.labels, chances.tolist(), strict=True))
        none = found.pop(NO_RISK, 0.0)
        best, *others = sorted(found.items(), key=lambda risk: -risk[1])
        return [
            Risk(name, chance, self._grade(name, alike, words))
            for name, chance in ((best[0], 1.0 - none), *others)
            if chance >= self.options.risk_listed or name == best[0]
        ]

    def _grade(self, category: str, alike: Scores, words: Words) -> str | None:
        """Return the grade of a message if it carries this risk: the more urgent where it is unsure."""
        possible = self._possible.get(category, ())
        if self.grades is None or len(possible) < 2:
            return possible[0] if possible else None
        chances = np.exp(self.grades.logs(self.grades.scores(alike, words))[0])
        found = dict(zip(self.grades.labels, chances.tolist(), strict=True))
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
            for part in ("by_meaning", "by_wording")
        }
        np.savez(folder / "classifier.npz", **arrays, **self._examples.as_arrays())
        about = {
            "heads": {
                name: {"labels": head.labels, "scale": head.scale, "bias": head.bias}
                for name, head in self.heads.items()
            },
            "judge": asdict(self.judge),
            "grades": self._possible,
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
            name: _Head(
                labels=tuple(head["labels"]),
                scale=head["scale"],
                bias=tuple(head["bias"]),
                **{part: arrays[f"{name}.{part}"] for part in ("by_meaning", "by_wording")},
            )
            for name, head in about["heads"].items()
        }
        return cls(
            heads=heads,
            judge=_Judge(**about["judge"]),
            words=WordFeatures.load(folder),
            examples=_Examples(*(arrays[f"examples.{part}"] for part in _Examples.__slots__)),
            possible=about["grades"],
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


def train(examples: Sequence[Example], vectors: Vectors, options: Options | None = None) -> IntentModel:
    """Train on examples and their sentence vectors.

    Raises:
        TrainingError: with fewer than two intents beside the risk intents.
    """
    options = options or Options()
    words = WordFeatures.fit([example.text for example in examples])
    rows = words.transform([example.text for example in examples])
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    landmarks = Landmarks(Kernel(options.words, options.width), vectors, rows, options.landmarks)
    learned = Learned(vectors, rows, landmarks, options)
    topics = Task.of([e.about for e in examples], learned)
    if topics is None:
        raise TrainingError("at least two intents with examples are needed")
    tested = np.array([not examples[place].written for place in topics.places])
    heads = {"topics": topics.head(tested)}
    judge = learn_judge(topics, heads["topics"], tested, examples)
    kept = _Examples(vectors, landmarks.places, topics.places, topics.targets)
    del topics
    for name, labels in (
        ("risks", [e.carries for e in examples]),
        ("grades", [e.grade for e in examples]),
    ):
        task = Task.of(labels, learned)
        if task is not None:
            heads[name] = task.head(np.ones(len(task.targets), dtype=bool), free=NO_RISK)
    possible: dict[str, set[str]] = {}
    for example in examples:
        if example.grade and example.carries:
            possible.setdefault(example.carries, set()).add(example.grade)
    return IntentModel(
        heads=heads,
        judge=judge,
        words=words,
        examples=kept,
        possible={category: sorted(grades) for category, grades in possible.items()},
        options=options,
    )


@dataclass(frozen=True, slots=True)
class Learned:
    """All examples as numbers: what every head learns from."""

    vectors: Vectors
    rows: Rows
    landmarks: Landmarks
    options: Options


class Task:
    """The examples of one head, fitted."""

    def __init__(self, labels: tuple[str, ...], places: Places, targets: Places, learned: Learned) -> None:
        self.labels = labels
        self.places = places
        self.targets = targets
        self.learned = learned
        self.vectors = learned.vectors[places]
        # A label with many examples may not drown the others: its examples count less, each.
        counts = np.bincount(targets, minlength=len(labels))
        usual = float(np.median(counts[counts > 0]))
        worth = np.minimum(1.0, (2 * usual / counts[targets]) ** 0.5).astype(np.float32)
        wanted = np.eye(len(labels), dtype=np.float32)[targets]
        self._fitted = Fitted(learned.landmarks.features[places], wanted, learned.options.ridge, worth)

    @classmethod
    def of(cls, labels: Sequence[str | None], learned: Learned) -> Task | None:
        """Pick the examples that have a label for this head; None if there is nothing to choose."""
        places = [place for place, label in enumerate(labels) if label is not None]
        names = tuple(sorted({str(labels[place]) for place in places}))
        if len(names) < 2:
            return None
        number = {name: place for place, name in enumerate(names)}
        return cls(
            names,
            np.array(places, dtype=np.int32),
            np.array([number[str(labels[place])] for place in places], dtype=np.int32),
            learned,
        )

    def left_out(self) -> Scores:
        """Return the scores of each example by a model that has not seen it."""
        return self._fitted.left_out()

    def of_others(self, others: Sequence[int]) -> Scores:
        """Return the scores of examples that this head has not learned from."""
        return self.learned.landmarks.features[others] @ self._fitted.weights

    def head(self, tested: npt.NDArray[np.bool_], free: str = "") -> _Head:
        """Return what was learned, its probabilities made truthful on left-out examples.

        `free` is a label whose odds are fitted by themselves: there are more of it than in life.
        """
        scores, truth = self.left_out()[tested], self.targets[tested]
        column = self.labels.index(free) if free in self.labels else None
        at = np.arange(len(truth))

        def bias(value: float) -> Floats:
            found = np.zeros(len(self.labels))
            if column is not None:
                found[column] = value
            return found

        def loss(chosen: Floats) -> float:
            logs = log_softmax(np.exp(chosen[0]) * scores + bias(chosen[1]))
            return -float(logs[at, truth].mean())

        best = minimize(loss, x0=np.array([2.0, 0.0]), method="Nelder-Mead", options={"maxiter": 60})
        landmarks = self.learned.landmarks
        weights = landmarks.weights(self._fitted.weights)
        wording = self.learned.rows[landmarks.places].T @ weights * (self.learned.options.words / 2)
        return _Head(
            labels=self.labels,
            by_meaning=weights,
            by_wording=np.asarray(wording, dtype=np.float32),
            scale=float(np.exp(best.x[0])),
            bias=tuple(bias(float(best.x[1])).tolist()),
        )

    def unknown(self, head: _Head) -> Floats:
        """Return the evidence of messages whose whole FAQ intent was left out of training."""
        faq = np.array([n for n, label in enumerate(self.labels) if label.startswith(FAQ)])
        found = [np.zeros((0, _EVIDENCE))]
        if len(faq) < 2 * GROUPS:
            return found[0]
        shuffled = np.random.default_rng(SEED).permutation(faq)
        for labels in np.array_split(shuffled, GROUPS):
            (group,) = np.nonzero(np.isin(self.targets, labels))
            others = np.ones(len(self.targets), dtype=bool)
            others[group] = False
            scores = self._fitted.group_left_out(group)
            scores[:, labels] = 0.0
            cosines = self.vectors[group] @ self.vectors[others].T
            found.append(_evidence(head.logs(scores), scores, cosines, self.targets[others])[0])
        return np.vstack(found)


_EVIDENCE: Final = 5


def _evidence(
    logs: Floats, scores: Scores, cosines: npt.NDArray[Any], known_labels: npt.NDArray[Any]
) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Return what the judge looks at, one row a message, and the likeliest labels.

    The odds of the likeliest label, its margin over the next, the cosines to the nearest example of
    any label and of the likeliest, and its score, which falls with the distance from all examples.
    """
    chosen = np.argmax(logs, axis=1)
    evidence = np.zeros((len(logs), _EVIDENCE))
    for row, best in enumerate(chosen):
        second, first = np.partition(logs[row], -2)[-2:]
        chance = min(max(float(np.exp(first)), 1e-6), 1 - 1e-6)
        evidence[row] = (
            np.log(chance / (1 - chance)),
            min(first - second, 15.0),
            cosines[row].max(),
            cosines[row][known_labels == best].max(initial=-1.0),
            scores[row, best],
        )
    return evidence, chosen


def learn_judge(
    topics: Task, head: _Head, tested: npt.NDArray[np.bool_], examples: Sequence[Example]
) -> _Judge:
    """Learn to tell right answers from wrong and unknown ones, and set the threshold.

    A message with a risk is answered rightly by a FAQ intent of the same category, and only by it.
    """
    names = np.array(head.labels)
    scores = topics.left_out()
    cosines = topics.vectors @ topics.vectors.T
    np.fill_diagonal(cosines, -1.0)
    evidence, chosen = _evidence(head.logs(scores), scores, cosines, topics.targets)
    del cosines
    evidence, chosen, truth = evidence[tested], chosen[tested], topics.targets[tested]
    right = chosen == truth
    counted = right & ~np.isin(names[truth], list(NEVER_ANSWERED))

    others = [
        place
        for place, example in enumerate(examples)
        if example.about is None and example.label != HARMLESS_QUESTION
    ]
    of_others, agreed = np.zeros((0, _EVIDENCE)), np.zeros(0, dtype=bool)
    if others:
        category = {example.about: example.risk for example in examples if not example.written}
        near = topics.learned.vectors[others] @ topics.vectors.T
        their_scores = topics.of_others(others)
        of_others, their_choice = _evidence(head.logs(their_scores), their_scores, near, topics.targets)
        agreed = np.array(
            [
                examples[place].carries not in (None, NO_RISK)
                and category.get(head.labels[label]) == examples[place].carries
                for label, place in zip(their_choice, others, strict=True)
            ]
        )
    good = np.vstack([evidence[right], of_others[agreed]])
    bad = np.vstack([evidence[~right], of_others[~agreed], topics.unknown(head)])
    if len(good) < 30 or len(bad) < 10 or not counted.any():
        return _PLAIN_JUDGE
    both = np.vstack([good, bad])
    mean, spread = both.mean(axis=0), both.std(axis=0) + 1e-6
    known = np.r_[np.ones(len(good)), np.zeros(len(bad))]
    model = LogisticRegression(C=1.0, class_weight="balanced").fit((both - mean) / spread, known)
    judge = _Judge(mean.tolist(), spread.tolist(), model.coef_[0].tolist())
    threshold = float(np.quantile(judge.score(evidence[counted]), topics.learned.options.rejected))
    return _Judge(judge.mean, judge.spread, judge.weights, threshold)
