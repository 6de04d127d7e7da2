"""One classifier for every intent: which one it is, how likely, and whether we know it at all.

It has two heads, because two questions are asked of each message and both can be answered yes: what
is it about (FAQ intents, small talk, out of scope), and does it carry a risk (risk intents, or
none)? "He hits me" is about `faq/da-help` and carries R03; in one list of intents the two would
share the probability and neither would look sure.

A head looks at a message with two linear models: logistic regression over its sentence vector
(meaning) and a linear SVM over its words and pieces of words (wording). How much each counts is
fitted on held-out folds of the training data, which also calibrates the probabilities: with few
examples the vectors lead, with thirty or more an intent the blend.

A probability alone judges badly whether a message is known: it must share out 100 % however odd the
message. So a third model, the judge, weighs probability, margins and the nearest training examples.
It learns from held-out folds, and from FAQ intents that were left out whole, which are what an
unknown question looks like. Its threshold turns away at most `rejected` of the right answers.

Texts must be normalised (`normalise.normalise`) and vectors come from `sentences.SentenceVectors`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from bot.nlu.normalise import has_words, normalise
from bot.nlu.sentences import SIZE, SentenceVectors, Vectors
from bot.nlu.words import WordFeatures, Words

Floats = npt.NDArray[np.float64]
Rows = Any  # scipy.sparse.csr_matrix; scipy is untyped

FALLBACK: Final = "nlu_fallback"
FAQ: Final = "faq/"
RISK: Final = "risk_"
NO_RISK: Final = "none"
# Intents that are learned but never answered: turning them away costs nothing.
NEVER_ANSWERED: Final = frozenset({"out_of_scope", "harmless"})
RANKING_LENGTH: Final = 10
SEED: Final = 20


@dataclass(frozen=True, slots=True)
class Example:
    """One training example, with a normalised text."""

    text: str
    label: str
    """Intent: `faq/<slug>`, `risk_<category>` or a plain name."""
    risk: str | None = NO_RISK
    """Category that the text carries, `none`, or None where it may be either."""
    written: bool = False
    """The force's own words (title, answer) and not a message: learned from, never tested with."""

    @property
    def about(self) -> str | None:
        """Label for the head of topics; risk intents are none of its business."""
        return None if self.label.startswith(RISK) else self.label

    @property
    def carries(self) -> str | None:
        """Label for the head of risks."""
        if self.label.startswith(RISK):
            return self.label.removeprefix(RISK)
        return None if self.written else self.risk


@dataclass(frozen=True, slots=True)
class Options:
    """What can be tuned; the defaults were measured on public benchmarks and our own data."""

    folds: int = 5
    rejected: float = 0.10
    """Share of right answers that the judge may turn away, on held-out folds."""
    vector_strength: float = 10.0
    word_strength: float = 1.0
    """Inverse regularisation of the two models."""
    close_ratio: float = 0.45
    """A second FAQ intent this near to the first (as a ratio) makes it a close call."""
    offer_mass: float = 0.3
    """Least probability that all offered FAQ intents must hold together."""
    offer_each: float = 0.10
    offer_cosine: float = 0.35
    """Nothing is offered when no training example is this near."""
    risk_noticeable: float = 0.2
    """With this much probability of one category nothing is offered: a person may be needed."""
    risk_leads: float = 0.5
    """With this much, a message that is not about anything known is a risk intent."""
    risk_listed: float = 0.02


@dataclass(frozen=True, slots=True)
class Understanding:
    """What we make of one message."""

    intent: str
    """The likeliest intent, also when not certain; `nlu_fallback` for a text without words."""
    confidence: float
    certain: bool
    ranking: tuple[tuple[str, float], ...] = ()
    """What it is about, likeliest first; risks are in `risks`."""
    risks: tuple[tuple[str, float], ...] = ()
    """Risk categories ("R03"), likeliest first. Independent of the intent."""
    offer: tuple[str, ...] = ()
    """Slugs to choose from when it is a close call, likeliest first."""

    @property
    def rasa_intent(self) -> str:
        """The intent that the dialogue sees: FAQ intents as one, and the fallback when unsure."""
        if not self.certain:
            return FALLBACK
        return self.intent.split("/", 1)[0]


NOTHING: Final = Understanding(intent=FALLBACK, confidence=0.0, certain=False)


def log_softmax(scores: Floats) -> Floats:
    """Return log probabilities, one row a message (scipy's takes ten times as long for one row)."""
    lower = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(lower - np.log(np.exp(lower).sum(axis=1, keepdims=True)))


class TrainingError(ValueError):
    """The examples cannot be learned from."""


@dataclass(frozen=True, slots=True)
class _Linear:
    """The two linear models of a head, one column a label."""

    vector_weights: Floats
    vector_bias: Floats
    word_weights: Floats
    word_bias: Floats

    def scores(self, vectors: Vectors, rows: Rows) -> tuple[Floats, Floats]:
        """Return log probabilities by meaning and scores by wording, each (n, labels)."""
        by_meaning = log_softmax(vectors @ self.vector_weights + self.vector_bias)
        by_wording = np.asarray(rows @ self.word_weights + self.word_bias)
        return by_meaning, by_wording

    def scores_of_one(self, vector: Vectors, words: Words) -> tuple[Floats, Floats]:
        """Return the same for one message: only the rows of its own words are touched."""
        places, values = words
        by_meaning = log_softmax(vector[None, :] @ self.vector_weights + self.vector_bias)
        by_wording = values[None, :] @ self.word_weights[places] + self.word_bias
        return by_meaning, by_wording


@dataclass(frozen=True, slots=True)
class _Head:
    """A question that is asked of every message: labels, and the models that choose one."""

    labels: tuple[str, ...]
    linear: _Linear
    blend: tuple[float, float]

    def ask(self, vectors: Vectors, rows: Rows) -> tuple[Floats, Floats]:
        """Return calibrated log probabilities, and the scores by wording."""
        by_meaning, by_wording = self.linear.scores(vectors, rows)
        return _blended(by_meaning, by_wording, self.blend), by_wording

    def ask_one(self, vector: Vectors, words: Words) -> tuple[Floats, Floats]:
        """Return the same for one message."""
        by_meaning, by_wording = self.linear.scores_of_one(vector, words)
        return _blended(by_meaning, by_wording, self.blend), by_wording


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
# example nearer than 0.5, each able to make up for the other.
_PLAIN_JUDGE: Final = _Judge(
    mean=[-0.2, 0.0, 0.5, 0.5, 0.0],
    spread=[1.0, 1.0, 0.1, 0.1, 1.0],
    weights=[1.0, 0.0, 0.5, 0.5, 0.0],
    threshold=0.0,
)


class IntentModel:
    """A trained classifier."""

    def __init__(
        self,
        topics: _Head,
        risks: _Head | None,
        judge: _Judge,
        words: WordFeatures,
        known: Vectors,
        known_labels: npt.NDArray[np.int32],
        options: Options,
    ) -> None:
        """Keep the parts; use `train` or `load`. `known` are the vectors of topic examples."""
        self.topics = topics
        self.risks = risks
        self.judge = judge
        self.options = options
        self._words = words
        self._known = known
        self._known_labels = known_labels

    def classify(self, text: str, vector: Vectors) -> Understanding:
        """Say what one normalised text with this sentence vector means."""
        if not has_words(text):
            return NOTHING
        words = self._words.row(text)
        logits, by_wording = self.topics.ask_one(vector, words)
        evidence, _ = _evidence(logits, by_wording, (self._known @ vector)[None, :], self._known_labels)
        known = bool(self.judge.score(evidence)[0] >= self.judge.threshold)
        chances = np.exp(logits[0])
        order = np.argsort(-chances)[:RANKING_LENGTH]
        ranking = tuple((self.topics.labels[i], float(chances[i])) for i in order)
        risks = self._risks(vector, words)
        any_risk = sum(chance for _, chance in risks)
        listed = tuple(risk for risk in risks if risk[1] >= self.options.risk_listed)
        label, confidence = ranking[0]
        if any_risk >= self.options.risk_leads and (not known or label in NEVER_ANSWERED):
            return Understanding(RISK + risks[0][0], risks[0][1], True, ranking, listed)
        offer: tuple[str, ...] = ()
        if not risks or risks[0][1] < self.options.risk_noticeable:
            offer = self._offer(ranking, float(evidence[0, 2]))
        close = bool(offer) and self._is_close(ranking)
        return Understanding(
            intent=label,
            confidence=confidence,
            certain=known and not close,
            ranking=ranking,
            risks=listed,
            offer=offer if close or not known else (),
        )

    def _risks(self, vector: Vectors, words: Words) -> list[tuple[str, float]]:
        """Return each risk category with its probability, likeliest first."""
        if self.risks is None:
            return []
        chances = np.exp(self.risks.ask_one(vector, words)[0][0])
        found = zip(self.risks.labels, chances.tolist(), strict=True)
        return sorted(
            ((name, chance) for name, chance in found if name != NO_RISK),
            key=lambda risk: -risk[1],
        )

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
        heads = {"topics": self.topics} | ({"risks": self.risks} if self.risks else {})
        arrays = {
            f"{head}.{name}": np.asarray(getattr(kept.linear, name), dtype=np.float32)
            for head, kept in heads.items()
            for name in _Linear.__dataclass_fields__
        }
        np.savez_compressed(
            folder / "classifier.npz",
            known=self._known,
            known_labels=self._known_labels,
            **arrays,
        )
        about = {
            "heads": {name: {"labels": head.labels, "blend": head.blend} for name, head in heads.items()},
            "judge": asdict(self.judge),
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
                linear=_Linear(*(arrays[f"{name}.{part}"] for part in _Linear.__dataclass_fields__)),
                blend=(head["blend"][0], head["blend"][1]),
            )
            for name, head in about["heads"].items()
        }
        return cls(
            topics=heads["topics"],
            risks=heads.get("risks"),
            judge=_Judge(**about["judge"]),
            words=WordFeatures.load(folder),
            known=arrays["known"],
            known_labels=arrays["known_labels"],
            options=Options(**about["options"]),
        )


class Reader:
    """A model together with the sentence vectors: raw text in, understanding out."""

    def __init__(self, model: IntentModel, vectors: SentenceVectors) -> None:
        """Pair a model with the vectors that it was trained on."""
        self._model = model
        self._vectors = vectors

    def read(self, text: str) -> Understanding:
        """Say what a message means."""
        plain = normalise(text)
        return self._model.classify(plain, self._vectors.one(plain))


def train(examples: Sequence[Example], vectors: Vectors, options: Options | None = None) -> IntentModel:
    """Train on examples and their sentence vectors.

    Raises:
        TrainingError: with fewer than two intents beside the risk intents.
    """
    options = options or Options()
    words = WordFeatures.fit([example.text for example in examples])
    rows = words.transform([example.text for example in examples])
    topics = _Task.of(examples, [e.about for e in examples], vectors, rows, options)
    risks = _Task.of(examples, [e.carries for e in examples], vectors, rows, options)
    if topics is None:
        raise TrainingError("at least two intents with examples are needed")
    topic_head, held_out = topics.learn()
    return IntentModel(
        topics=topic_head,
        risks=risks.learn()[0] if risks else None,
        judge=_learn_judge(topics, topic_head, held_out, examples, vectors, rows, options),
        words=words,
        known=topics.vectors,
        known_labels=topics.targets,
        options=options,
    )


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """What models that had not seen them say of training examples."""

    evidence: Floats
    chosen: npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class _Task:
    """The examples of one head, and the ways they are split."""

    labels: tuple[str, ...]
    targets: npt.NDArray[np.int32]
    vectors: Vectors
    rows: Rows
    tested: npt.NDArray[np.bool_]
    """Examples that are messages; the rest are only learned from."""
    options: Options

    @classmethod
    def of(
        cls,
        examples: Sequence[Example],
        labels: Sequence[str | None],
        vectors: Vectors,
        rows: Rows,
        options: Options,
    ) -> _Task | None:
        """Pick the examples that have a label for this head; None if there is nothing to choose."""
        places = [place for place, label in enumerate(labels) if label is not None]
        names = tuple(sorted({str(labels[place]) for place in places}))
        if len(names) < 2:
            return None
        number = {name: place for place, name in enumerate(names)}
        return cls(
            labels=names,
            targets=np.array([number[str(labels[place])] for place in places], dtype=np.int32),
            vectors=np.asarray(vectors[places], dtype=np.float32),
            rows=rows[places],
            tested=np.array([not examples[place].written for place in places]),
            options=options,
        )

    def fit(self, chosen: npt.NDArray[np.bool_]) -> _Linear:
        """Train both linear models on the chosen examples; a label without any never wins."""
        targets = self.targets[chosen]
        present = np.unique(targets)
        count = len(self.labels)
        weights = [np.zeros((SIZE, count)), np.zeros((self.rows.shape[1], count))]
        biases = [np.full(count, -30.0), np.full(count, -3.0)]
        with warnings.catch_warnings():
            # Stopping early is wanted: further steps change nothing that shows on held-out folds.
            warnings.simplefilter("ignore", ConvergenceWarning)
            models = (
                LogisticRegression(C=self.options.vector_strength, max_iter=50).fit(
                    self.vectors[chosen], targets
                ),
                LinearSVC(C=self.options.word_strength, random_state=SEED).fit(self.rows[chosen], targets),
            )
        for place, model in enumerate(models):
            if len(present) == 2:
                # scikit-learn keeps one column for two labels; split it into one for each.
                half, bias = model.coef_[0] / 2, model.intercept_[0] / 2
                weights[place][:, present[0]], weights[place][:, present[1]] = -half, half
                biases[place][present] = [-bias, bias]
            else:
                weights[place][:, present] = model.coef_.T
                biases[place][present] = model.intercept_
        return _Linear(weights[0], biases[0], weights[1], biases[1])

    def learn(self) -> tuple[_Head, _HeldOut]:
        """Train the head, its blend on held-out folds, and say what those folds looked like."""
        folds = _folds(self.targets, self.options.folds)
        folds[~self.tested] = -1  # always learned from
        meaning = np.zeros((len(self.targets), len(self.labels)))
        wording = np.zeros_like(meaning)
        cosines = np.asarray(self.vectors @ self.vectors.T, dtype=np.float64)
        for fold in range(self.options.folds):
            out = folds == fold
            if out.any() and len(np.unique(self.targets[~out])) > 1:
                linear = self.fit(~out)
                meaning[out], wording[out] = linear.scores(self.vectors[out], self.rows[out])
                cosines[np.ix_(out, out)] = -1.0
        tested = self.tested
        blend = _fit_blend(meaning[tested], wording[tested], self.targets[tested])
        evidence, chosen = _evidence(
            _blended(meaning[tested], wording[tested], blend),
            wording[tested],
            cosines[tested],
            self.targets,
        )
        linear = self.fit(np.ones(len(self.targets), dtype=bool))
        return _Head(self.labels, linear, blend), _HeldOut(evidence, chosen)

    def left_out(self, blend: tuple[float, float]) -> Floats:
        """Return the evidence of messages whose whole FAQ intent was left out of training."""
        faq = np.array([n for n, label in enumerate(self.labels) if label.startswith(FAQ)])
        found = [np.zeros((0, _EVIDENCE))]
        if len(faq) < 2 * self.options.folds:
            return found[0]
        shuffled = np.random.default_rng(SEED).permutation(faq)
        for group in np.array_split(shuffled, self.options.folds):
            out = np.isin(self.targets, group)
            meaning, wording = self.fit(~out).scores(self.vectors[out], self.rows[out])
            evidence, _ = _evidence(
                _blended(meaning, wording, blend),
                wording,
                self.vectors[out] @ self.vectors[~out].T,
                self.targets[~out],
            )
            found.append(evidence[self.tested[out]])
        return np.vstack(found)


def _folds(targets: npt.NDArray[np.int32], count: int) -> npt.NDArray[np.int32]:
    """Deal the examples of each intent evenly over the folds."""
    folds = np.zeros(len(targets), dtype=np.int32)
    shuffle = np.random.default_rng(SEED)
    for target in np.unique(targets):
        (places,) = np.nonzero(targets == target)
        folds[shuffle.permutation(places)] = np.arange(len(places)) % count
    return folds


def _blended(meaning: Floats, wording: Floats, blend: tuple[float, float]) -> Floats:
    """Return calibrated log probabilities."""
    return np.asarray(log_softmax(blend[0] * meaning + blend[1] * wording))


def _fit_blend(meaning: Floats, wording: Floats, targets: npt.NDArray[np.int32]) -> tuple[float, float]:
    """Choose the two weights that make held-out probabilities most truthful (least log loss)."""
    rows = np.arange(len(targets))

    def loss(logs: Floats) -> float:
        weights = np.exp(logs)
        return -float(_blended(meaning, wording, (weights[0], weights[1]))[rows, targets].mean())

    best = minimize(loss, x0=np.zeros(2), method="Nelder-Mead", options={"maxiter": 80})
    first, second = np.exp(np.clip(best.x, -5.0, 3.0))
    return float(first), float(second)


_EVIDENCE: Final = 5


def _evidence(
    logits: Floats, wording: Floats, cosines: Floats, known_labels: npt.NDArray[np.int32]
) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Return what the judge looks at, one row a message, and the likeliest labels.

    The odds of the likeliest label, its margin over the next, the cosines to the nearest example of
    any label and of the likeliest, and the margin by wording alone.
    """
    chosen = np.argmax(logits, axis=1)
    evidence = np.zeros((len(logits), _EVIDENCE))
    for row, best in enumerate(chosen):
        second, first = np.partition(logits[row], -2)[-2:]
        chance = min(max(float(np.exp(first)), 1e-6), 1 - 1e-6)
        next_score, score = np.partition(wording[row], -2)[-2:]
        evidence[row] = (
            np.log(chance / (1 - chance)),
            min(first - second, 15.0),
            cosines[row].max(),
            cosines[row][known_labels == best].max(initial=-1.0),
            score - next_score,
        )
    return evidence, chosen


def _learn_judge(
    topics: _Task,
    head: _Head,
    held_out: _HeldOut,
    examples: Sequence[Example],
    vectors: Vectors,
    rows: Rows,
    options: Options,
) -> _Judge:
    """Learn to tell right answers from wrong and unknown ones, and set the threshold.

    A message with a risk is answered rightly by a FAQ intent of the same category, and only by it.
    """
    names = np.array(head.labels)
    truth = topics.targets[topics.tested]
    right = held_out.chosen == truth
    counted = right & ~np.isin(names[truth], list(NEVER_ANSWERED))

    risky = [place for place, example in enumerate(examples) if example.about is None]
    of_risk = np.zeros((0, _EVIDENCE))
    agreed = np.zeros(0, dtype=bool)
    if risky:
        category = {example.about: example.risk for example in examples if not example.written}
        logits, wording = head.ask(vectors[risky], rows[risky])
        of_risk, chosen = _evidence(logits, wording, vectors[risky] @ topics.vectors.T, topics.targets)
        agreed = np.array(
            [
                category.get(head.labels[label]) == examples[place].carries
                for label, place in zip(chosen, risky, strict=True)
            ]
        )
    good = np.vstack([held_out.evidence[right], of_risk[agreed]])
    bad = np.vstack([held_out.evidence[~right], of_risk[~agreed], topics.left_out(head.blend)])
    if len(good) < 30 or len(bad) < 10 or not counted.any():
        return _PLAIN_JUDGE
    both = np.vstack([good, bad])
    mean, spread = both.mean(axis=0), both.std(axis=0) + 1e-6
    known = np.r_[np.ones(len(good)), np.zeros(len(bad))]
    model = LogisticRegression(C=1.0, class_weight="balanced").fit((both - mean) / spread, known)
    judge = _Judge(mean.tolist(), spread.tolist(), model.coef_[0].tolist())
    threshold = float(np.quantile(judge.score(held_out.evidence[counted]), options.rejected))
    return _Judge(judge.mean, judge.spread, judge.weights, threshold)
