"""Whether a message is known at all: what is looked at, and the model that weighs it.

A probability alone judges badly: it must share out 100 % however odd the message. So the judge weighs
probability, margins and the nearest training examples. `learning.learn_judge` trains it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bot.nlu.kernel import Floats, Scores

EVIDENCE: Final = 5
"""Numbers that the judge looks at."""


def log_softmax(scores: npt.NDArray[Any]) -> Floats:
    """Return log probabilities, one row a message (scipy's takes ten times as long for one row)."""
    lower = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(lower - np.log(np.exp(lower).sum(axis=1, keepdims=True)), dtype=np.float64)


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
PLAIN_JUDGE: Final = Judge(
    mean=[-0.2, 0.0, 0.7, 0.7, 0.3],
    spread=[1.0, 1.0, 0.055, 0.055, 1.0],
    weights=[1.0, 0.0, 0.5, 0.5, 0.0],
    threshold=0.0,
)
