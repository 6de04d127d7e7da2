"""How the classifier learns: one ridge regression a head, and a judge from left-out answers.

One factorisation for a head gives all its columns, and what the model would have said of each example had
it not seen it (leave-one-out): so calibration, thresholds and what is known come from unseen messages
without training anything twice.

The judge learns from left-out examples, from FAQ intents that were left out whole, which are what an
unknown question looks like, and from harmless talk. Its threshold turns away at most `rejected` of the
right answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from bot.nlu.classifier import (
    FAQ,
    HARMLESS_QUESTION,
    NEVER_ANSWERED,
    NO_RISK,
    Example,
    Examples,
    Head,
    IntentModel,
    Options,
)
from bot.nlu.judge import EVIDENCE, PLAIN_JUDGE, Judge, evidence_of, log_softmax
from bot.nlu.kernel import Fitted, Floats, Kernel, Landmarks, Places, Rows, Scores, Whole
from bot.nlu.sentences import Vectors
from bot.nlu.words import WordFeatures

SEED: Final = 20
NEAR_A_RISK: Final = 3.0
"""So many times likelier is a risk or a harmless message a landmark than a question."""
SAMPLE: Final = 6000
"""So many left-out examples make a head's probabilities truthful."""
GROUPS: Final = 5
"""FAQ intents are left out in so many groups, to see what an unknown question looks like."""


class TrainingError(ValueError):
    """The examples cannot be learned from."""


def train(examples: Sequence[Example], vectors: Vectors, options: Options | None = None) -> IntentModel:
    """Train on examples and their sentence vectors.

    Raises:
        TrainingError: with fewer than two intents beside the risk intents.
    """
    options = options or Options()
    words = WordFeatures.fit([example.text for example in examples])
    rows = words.transform([example.text for example in examples])
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    learned = learn(examples, vectors, rows, options)
    topics = Task.of([e.about for e in examples], learned, options.whole)
    if topics is None:
        raise TrainingError("at least two intents with examples are needed")
    tested = np.array([not examples[place].written for place in topics.places])
    heads = {"topics": topics.head(tested)}
    judge = learn_judge(topics, heads["topics"], tested, examples)
    kept = Examples(vectors, topics.places, topics.targets)
    del topics
    for name, labels in (
        ("risks", [e.carries for e in examples]),
        ("grades", [e.grade for e in examples]),
    ):
        # The grades have few examples. The risks have all, and so landmarks where it matters.
        task = Task.of(labels, learned, options.whole)
        if task is not None:
            heads[name] = task.head(free=NO_RISK)
        del task
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
        carried={e.about: e.risk for e in examples if e.about and e.risk not in (None, NO_RISK)},
        options=options,
    )


@dataclass(frozen=True, slots=True)
class Learned:
    """All examples as numbers: what every head learns from."""

    vectors: Vectors
    rows: Rows
    landmarks: Landmarks
    options: Options

    @property
    def kernel(self) -> Kernel:
        """How alike two messages are."""
        return Kernel(self.options.words, self.options.width)


def learn(examples: Sequence[Example], vectors: Vectors, rows: Rows, options: Options) -> Learned:
    """Return all examples with their landmarks.

    What tells a risk from harmless talk is drawn more often than a plain question.
    """
    weight = np.array([1.0 if e.label.startswith(FAQ) else NEAR_A_RISK for e in examples])
    kernel = Kernel(options.words, options.width)
    return Learned(vectors, rows, Landmarks(kernel, vectors, rows, options.landmarks, weight), options)


class Task:
    """The examples of one head, fitted."""

    def __init__(
        self, labels: tuple[str, ...], places: Places, targets: Places, learned: Learned, whole: int
    ) -> None:
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
        self._left_out: Scores | None = None
        self._fitted: Whole | Fitted
        if len(places) <= whole:
            kernel = Whole(learned.kernel, self.vectors, learned.rows[places])
            self._fitted = kernel.fit(wanted, learned.options.ridge, worth)
        else:
            features = learned.landmarks.features[places]
            self._fitted = Fitted(features, wanted, learned.options.ridge, worth)

    @classmethod
    def of(cls, labels: Sequence[str | None], learned: Learned, whole: int = 0) -> Task | None:
        """Pick the examples that have a label for this head; None if there is nothing to choose.

        Up to `whole` of them have the whole kernel, for more the landmarks stand.
        """
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
            whole,
        )

    def left_out(self) -> Scores:
        """Return the scores of each example by a model that has not seen it (worked out once)."""
        if self._left_out is None:
            self._left_out = self._fitted.left_out()
        return self._left_out

    def of_others(self, others: Sequence[int]) -> Scores:
        """Return the scores of examples that this head has not learned from."""
        if isinstance(self._fitted, Whole):
            return self._fitted.scores(self.learned.vectors[others], self.learned.rows[others])
        return self.learned.landmarks.features[others] @ self._fitted.weights

    def head(self, tested: npt.NDArray[np.bool_] | None = None, free: str = "") -> Head:
        """Return what was learned, its probabilities made truthful on left-out examples.

        `tested` are the examples to look at; without it a sample is enough for two numbers.
        `free` is a label whose odds are fitted by themselves: there are more of it than in life.
        """
        if tested is not None:
            scores, truth = self.left_out()[tested], self.targets[tested]
        else:
            some = np.sort(np.random.default_rng(SEED).permutation(len(self.targets))[:SAMPLE])
            if isinstance(self._fitted, Fitted):
                scores = self._fitted.left_out(some)
            else:
                scores = self.left_out()[some]
            truth = self.targets[some]
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
        places, weights = self.places, self._fitted.weights
        if isinstance(self._fitted, Fitted):
            places, weights = self.learned.landmarks.places, self.learned.landmarks.weights(weights)
        wording = self.learned.rows[places].T @ weights * (self.learned.options.words / 2)
        return Head(
            labels=self.labels,
            places=places,
            by_meaning=weights,
            by_wording=np.asarray(wording, dtype=np.float32),
            scale=float(np.exp(best.x[0])),
            bias=tuple(bias(float(best.x[1])).tolist()),
        )

    def unknown(self, head: Head) -> Floats:
        """Return the evidence of messages whose whole FAQ intent was left out of training."""
        faq = np.array([n for n, label in enumerate(self.labels) if label.startswith(FAQ)])
        found = [np.zeros((0, EVIDENCE))]
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
            found.append(evidence_of(head.logs(scores), scores, cosines, self.targets[others])[0])
        return np.vstack(found)


def learn_judge(
    topics: Task, head: Head, tested: npt.NDArray[np.bool_], examples: Sequence[Example]
) -> Judge:
    """Learn to tell right answers from wrong and unknown ones, and set the threshold.

    A message with a risk is answered rightly by a FAQ intent of the same category, and only by it.
    """
    names = np.array(head.labels)
    scores = topics.left_out()
    cosines = topics.vectors @ topics.vectors.T
    np.fill_diagonal(cosines, -1.0)
    evidence, chosen = evidence_of(head.logs(scores), scores, cosines, topics.targets)
    del cosines
    evidence, chosen, truth = evidence[tested], chosen[tested], topics.targets[tested]
    right = chosen == truth
    counted = right & ~np.isin(names[truth], list(NEVER_ANSWERED))

    others = [
        place
        for place, example in enumerate(examples)
        if example.about is None and example.label != HARMLESS_QUESTION
    ]
    of_others, agreed = np.zeros((0, EVIDENCE)), np.zeros(0, dtype=bool)
    if others:
        category = {example.about: example.risk for example in examples if not example.written}
        near = topics.learned.vectors[others] @ topics.vectors.T
        their_scores = topics.of_others(others)
        of_others, their_choice = evidence_of(head.logs(their_scores), their_scores, near, topics.targets)
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
        return PLAIN_JUDGE
    both = np.vstack([good, bad])
    mean, spread = both.mean(axis=0), both.std(axis=0) + 1e-6
    known = np.r_[np.ones(len(good)), np.zeros(len(bad))]
    model = LogisticRegression(C=1.0, class_weight="balanced").fit((both - mean) / spread, known)
    judge = Judge(mean.tolist(), spread.tolist(), model.coef_[0].tolist())
    threshold = float(np.quantile(judge.score(evidence[counted]), topics.learned.options.rejected))
    return Judge(judge.mean, judge.spread, judge.weights, threshold)
