"""A head: one question that is asked of every message, and how its answers are learned.

Kernel ridge regression, one column a label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from bot.nlu.kernel import Fitted, Floats, Landmarks, Places, Rows, Scores
from bot.nlu.sentences import Vectors
from bot.nlu.understanding import Options
from bot.nlu.words import Words

SEED: Final = 20
CALIBRATED: Final = 6000
"""Left-out examples that probabilities are fitted on: more cost time and change nothing."""


def log_softmax(scores: npt.NDArray[Any]) -> Floats:
    """Return log probabilities, one row a message (scipy's takes ten times as long for one row)."""
    lower = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(lower - np.log(np.exp(lower).sum(axis=1, keepdims=True)), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Head:
    """A question that is asked of every message: labels, and the weights that choose one."""

    labels: tuple[str, ...]
    landmarks: Places
    """The examples that stand for all, as places among those that are kept."""
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
class Learned:
    """All examples as numbers: what every head learns from."""

    vectors: Vectors
    """(n, 384): what they mean."""
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
        self._fitted = Fitted(learned.landmarks.features(places), wanted, learned.options.ridge, worth)
        self._left_out: Scores | None = None

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
        """Return the kernel's scores of each example by a model that has not seen it."""
        if self._left_out is None:
            self._left_out = self._fitted.left_out()
        return self._left_out

    def group_left_out(self, group: npt.NDArray[np.intp]) -> Scores:
        """Return the kernel's scores of a group of examples by a model that has seen none of it."""
        return self._fitted.group_left_out(group)

    def of_others(self, others: Places) -> Scores:
        """Return the kernel's scores of examples that this head has not learned from."""
        return self.learned.landmarks.features(others) @ self._fitted.weights

    def head(self, tested: npt.NDArray[np.bool_] | None = None, free: str = "") -> Head:
        """Return what was learned, its probabilities made truthful on left-out examples.

        Those are all that are `tested`, or else `CALIBRATED` of all. `free` is a label whose odds are
        fitted by themselves: there are more of it than in life.
        """
        if tested is None:
            some = np.random.default_rng(SEED).permutation(len(self.targets))[:CALIBRATED]
            scores = self._fitted.left_out(some)
        else:
            some = np.nonzero(tested)[0]
            scores = self.left_out()[some]
        truth, at = self.targets[some], np.arange(len(some))
        column = self.labels.index(free) if free in self.labels else None

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
        return Head(
            labels=self.labels,
            landmarks=landmarks.places,
            by_meaning=weights,
            by_wording=np.asarray(wording, dtype=np.float32),
            scale=float(np.exp(best.x[0])),
            bias=tuple(bias(float(best.x[1])).tolist()),
        )
