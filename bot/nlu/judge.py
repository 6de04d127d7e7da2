"""The judge: whether a message is one that we know, and not only likeliest to be this or that.

A probability alone judges badly, because it must share out 100 % however odd the message. So a small
model weighs probability, margins and the nearest training examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from bot.nlu.heads import Head, Task
from bot.nlu.kernel import Floats, Scores
from bot.nlu.understanding import FAQ, HARMLESS_QUESTION, NEVER_ANSWERED, NO_RISK, Example

SEED: Final = 20
GROUPS: Final = 5
"""FAQ intents are left out in so many groups, to see what an unknown question looks like."""
OTHERS: Final = 6000
"""Messages with a risk or harmless talk that the judge learns from: more cost time only."""
EVIDENCE: Final = 5
"""Numbers that the judge looks at."""


@dataclass(frozen=True, slots=True)
class Judge:
    """A logistic model over `evidence_of`, and the score below which we do not know."""

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
_PLAIN_JUDGE: Final = Judge(
    mean=[-0.2, 0.0, 0.7, 0.7, 0.3],
    spread=[1.0, 1.0, 0.055, 0.055, 1.0],
    weights=[1.0, 0.0, 0.5, 0.5, 0.0],
    threshold=0.0,
)


def evidence_of(
    logs: Floats, scores: Scores, cosines: npt.NDArray[Any], known_labels: npt.NDArray[Any]
) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Return what the judge looks at, one row a message, and the likeliest labels.

    The odds of the likeliest label, its margin over the next, the cosines to the nearest example of
    any label and of the likeliest, and its score, which falls with the distance from all examples.
    """
    chosen = np.argmax(logs, axis=1)
    evidence = np.zeros((len(logs), EVIDENCE))
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

    others = np.array(
        [
            place
            for place, example in enumerate(examples)
            if example.about is None and example.label != HARMLESS_QUESTION
        ],
        dtype=np.int32,
    )
    others = np.random.default_rng(SEED).permutation(others)[:OTHERS]
    of_others, agreed = np.zeros((0, EVIDENCE)), np.zeros(0, dtype=bool)
    if len(others):
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
    bad = np.vstack([evidence[~right], of_others[~agreed], of_unknown(topics, head)])
    if len(good) < 30 or len(bad) < 10 or not counted.any():
        return _PLAIN_JUDGE
    both = np.vstack([good, bad])
    mean, spread = both.mean(axis=0), both.std(axis=0) + 1e-6
    known = np.r_[np.ones(len(good)), np.zeros(len(bad))]
    model = LogisticRegression(C=1.0, class_weight="balanced").fit((both - mean) / spread, known)
    judge = Judge(mean.tolist(), spread.tolist(), model.coef_[0].tolist())
    threshold = float(np.quantile(judge.score(evidence[counted]), topics.learned.options.rejected))
    return Judge(judge.mean, judge.spread, judge.weights, threshold)


def of_unknown(topics: Task, head: Head) -> Floats:
    """Return the evidence of messages whose whole FAQ intent was left out of training."""
    faq = np.array([n for n, label in enumerate(topics.labels) if label.startswith(FAQ)])
    found = [np.zeros((0, EVIDENCE))]
    if len(faq) < 2 * GROUPS:
        return found[0]
    shuffled = np.random.default_rng(SEED).permutation(faq)
    for labels in np.array_split(shuffled, GROUPS):
        (group,) = np.nonzero(np.isin(topics.targets, labels))
        others = np.ones(len(topics.targets), dtype=bool)
        others[group] = False
        scores = topics.group_left_out(group)
        scores[:, labels] = 0.0
        cosines = topics.vectors[group] @ topics.vectors[others].T
        found.append(evidence_of(head.logs(scores), scores, cosines, topics.targets[others])[0])
    return np.vstack(found)
