"""Kernel ridge regression over sentence vectors and words, with leave-one-out answers for nothing.

With n examples the whole kernel would take n² numbers and n³ steps. So a sample of them, the landmarks,
stands for it (Nyström; Williams and Seeger 2001): each example becomes one row of as many numbers as
there are landmarks, and every column of every head is an ordinary ridge regression over those rows. With
as many landmarks as examples it is the whole kernel again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.linalg import blas, cho_solve, cholesky, solve_triangular

from bot.nlu.sentences import Vectors

Floats = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]
Places = npt.NDArray[np.int32]
Rows = Any  # scipy.sparse.csr_matrix; scipy is untyped
BLOCK: Final = 1024
"""Rows of the kernel that are made at a time: bounds the memory of what is in between."""
JITTER: Final = 1e-3
"""Added to the landmarks' own kernel: two that are equal would leave it without an inverse."""
SEED: Final = 20


@dataclass(frozen=True, slots=True)
class Kernel:
    """How alike two messages are: `1 - words` of it by meaning, `words` of it by wording."""

    words: float = 0.20
    width: float = 3.0
    """exp(-width (1 - cosine)): the larger, the nearer must an example be to count."""

    def by_meaning(self, cosines: npt.NDArray[Any]) -> Scores:
        """Return the share that meaning has, from cosines of sentence vectors, any shape."""
        return np.asarray((1 - self.words) * np.exp(self.width * (cosines - 1)), dtype=np.float32)

    def between(self, vectors: Vectors, rows: Rows, others: Vectors, their_rows: Rows) -> Scores:
        """Return the kernel of each message with each of the others, in single precision."""
        found = self.by_meaning(vectors @ others.T)
        # Each of the two kinds of features has length one, so a row has length sqrt(2).
        found += self.words / 2 * (rows @ their_rows.T).toarray()
        return found


class Landmarks:
    """The sample of examples that stands for all, and every example as seen from it."""

    def __init__(self, kernel: Kernel, vectors: Vectors, rows: Rows, most: int) -> None:
        """Choose at most `most` of the examples, and describe all of them by it."""
        count = len(vectors)
        chosen = np.random.default_rng(SEED).permutation(count)[:most]
        self.places: Places = np.sort(chosen).astype(np.int32)
        own, own_rows = vectors[self.places], rows[self.places]
        among = kernel.between(own, own_rows, own, own_rows)
        among[np.diag_indices_from(among)] += JITTER
        self._lower = cholesky(among, lower=True, overwrite_a=True, check_finite=False)
        self.features: Scores = np.empty((count, len(own)), dtype=np.float32)
        for start in range(0, count, BLOCK):
            part = slice(start, min(start + BLOCK, count))
            near = kernel.between(vectors[part], rows[part], own, own_rows)
            self.features[part] = solve_triangular(self._lower, near.T, lower=True, check_finite=False).T

    def weights(self, primal: Scores) -> Scores:
        """Return the weight of each landmark (landmarks, labels) from those of a `Fitted`."""
        found = solve_triangular(self._lower, primal, lower=True, trans="T", check_finite=False)
        return np.asarray(found, dtype=np.float32)


class Fitted:
    """Ridge regression over features: the weights, and what each example would get without itself."""

    def __init__(self, features: Scores, targets: Scores, ridge: float, worth: Scores) -> None:
        """Fit `targets` (n, labels). `worth` (n,) is how much each example counts."""
        self._features = features
        self._targets = targets
        self._worth = worth
        weighed = features * np.sqrt(worth)[:, None]
        square = blas.ssyrk(1.0, weighed.T, lower=1)
        del weighed
        square[np.diag_indices_from(square)] += ridge
        self._lower = cholesky(square, lower=True, overwrite_a=True, check_finite=False)
        right = features.T @ (worth[:, None] * targets)
        self.weights = np.asarray(cho_solve((self._lower, True), right, check_finite=False), np.float32)
        self._missed = targets - features @ self.weights

    def _halves(self, which: Any) -> Scores:
        """Return columns whose products say how much one example's answer hangs on another."""
        found = solve_triangular(self._lower, self._features[which].T, lower=True, check_finite=False)
        return np.asarray(found, dtype=np.float32)

    def left_out(self) -> Scores:
        """Return what a model without the example would say of it, for each example."""
        own = np.empty(len(self._features), dtype=np.float32)
        for start in range(0, len(own), BLOCK):
            part = slice(start, start + BLOCK)
            half = self._halves(part)
            own[part] = np.einsum("ij,ij->j", half, half)
        left = self._missed / (1 - own * self._worth)[:, None]
        return np.asarray(self._targets - left, dtype=np.float32)

    def group_left_out(self, group: npt.NDArray[np.intp]) -> Scores:
        """Return what a model without a whole group of examples would say of them, (group, labels)."""
        half = self._halves(group)
        others = np.eye(len(group), dtype=np.float32) - half.T @ half * self._worth[group]
        left = np.linalg.solve(others, self._missed[group])
        return np.asarray(self._targets[group] - left, dtype=np.float32)
