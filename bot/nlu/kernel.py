"""Kernel ridge regression over sentence vectors and words, with leave-one-out answers for nothing.

With n examples the whole kernel would take n² numbers and n³ steps. So a sample of them, the landmarks,
stands for it (Nyström; Williams and Seeger 2001): each example becomes one row of as many numbers as
there are landmarks, and every column of a head is an ordinary ridge regression over those rows. With as many
landmarks as examples it is the whole kernel again. A head whose examples are not too many has it whole
(`Whole`): that is better, and below twice as many examples as landmarks no slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.linalg import blas, cho_solve, cholesky, lapack, solve_triangular

from bot.nlu.sentences import Vectors

Floats = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]
Places = npt.NDArray[np.int32]
Rows = Any  # scipy.sparse.csr_matrix; scipy is untyped
BLOCK: Final = 1024
"""Rows of the kernel that are made at a time: bounds the memory of what is in between."""
LEAST_LEFT: Final = 1e-3
"""What is left of an example that is fully described: it may still be drawn, hardly ever."""
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

    def of_itself(self, rows: Rows) -> Floats:
        """Return the kernel of each message with itself; its vector must have length one."""
        words = np.asarray(rows.multiply(rows).sum(axis=1), dtype=np.float64).ravel()
        return np.asarray(1 - self.words + self.words / 2 * words, dtype=np.float64)

    def between(self, vectors: Vectors, rows: Rows, others: Vectors, their_rows: Rows) -> Scores:
        """Return the kernel of each message with each of the others, in single precision."""
        found = self.by_meaning(vectors @ others.T)
        # Each of the two kinds of features has length one, so a row has length sqrt(2).
        found += self.words / 2 * (rows @ their_rows.T).toarray()
        return found


class Landmarks:
    """The sample of examples that stands for all, and every example as seen from it.

    They are drawn in rounds, and in each the more likely the worse an example is described by those that
    were drawn before: randomly pivoted Cholesky in blocks (Chen, Epperly, Tropp and Webber 2022). Repeats
    are hardly ever drawn, odd messages soon, and two draws differ less than two plain samples.
    """

    def __init__(
        self, kernel: Kernel, vectors: Vectors, rows: Rows, most: int, weight: Floats | None = None
    ) -> None:
        """Choose at most `most` of the examples, and describe all of them by it.

        An example is drawn the more likely the larger its `weight` (n,) is, too.
        """
        weight = np.ones(len(vectors)) if weight is None else weight
        count = len(vectors)
        most = min(most, count)
        draw = np.random.default_rng(SEED)
        self.places: Places = np.zeros(most, dtype=np.int32)
        self.features: Scores = np.zeros((count, most), dtype=np.float32)
        self._lower: Scores = np.zeros((most, most), dtype=np.float32)
        left = kernel.of_itself(rows)
        for start in range(0, most, BLOCK):
            part = slice(start, min(start + BLOCK, most))
            size = part.stop - start
            chosen = np.sort(draw.choice(count, size, replace=False, p=left * weight / (left @ weight)))
            self.places[part] = chosen
            near = kernel.between(vectors, rows, vectors[chosen], rows[chosen])
            near -= self.features[:, :start] @ self.features[chosen, :start].T
            own = near[chosen]
            own[np.diag_indices_from(own)] += JITTER
            lower = cholesky(own, lower=True, check_finite=False)
            self._lower[part, :start] = self.features[chosen, :start]
            self._lower[part, part] = lower
            found = solve_triangular(lower, near.T, lower=True, check_finite=False).T
            self.features[:, part] = found
            left = np.maximum(left - np.einsum("ij,ij->i", found, found), LEAST_LEFT)
            left[self.places[: part.stop]] = 0.0

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
        """Return rows whose products say how much one example's answer hangs on another."""
        found = solve_triangular(self._lower, self._features[which].T, lower=True, check_finite=False)
        return np.asarray(found.T, dtype=np.float32)

    def left_out(self, which: npt.NDArray[np.intp] | None = None) -> Scores:
        """Return what a model without the example would say of it, for each example or some."""
        asked = np.arange(len(self._features)) if which is None else which
        own = np.empty(len(asked), dtype=np.float32)
        for start in range(0, len(own), BLOCK):
            part = slice(start, start + BLOCK)
            half = self._halves(asked[part])
            own[part] = np.einsum("ij,ij->i", half, half)
        left = self._missed[asked] / (1 - own * self._worth[asked])[:, None]
        return np.asarray(self._targets[asked] - left, dtype=np.float32)

    def group_left_out(self, group: npt.NDArray[np.intp]) -> Scores:
        """Return what a model without a whole group of examples would say of them, (group, labels)."""
        half = self._halves(group)
        others = np.eye(len(group), dtype=np.float32) - half @ half.T * self._worth[group]
        left = np.linalg.solve(others, self._missed[group])
        return np.asarray(self._targets[group] - left, dtype=np.float32)


class Whole:
    """Ridge regression over the whole kernel: as `Fitted`, with a weight for each example."""

    def __init__(self, kernel: Kernel, vectors: Vectors, rows: Rows) -> None:
        """Work out the kernel of all pairs."""
        self._kernel, self._vectors, self._rows = kernel, vectors, rows
        count = len(vectors)
        self._square: Scores = np.empty((count, count), dtype=np.float32)
        for start in range(0, count, BLOCK):
            part = slice(start, start + BLOCK)
            self._square[part] = kernel.between(vectors[part], rows[part], vectors, rows)

    def fit(self, targets: Scores, ridge: float, worth: Scores) -> Whole:
        """Fit `targets` (n, labels). `worth` (n,) is how much each example counts. Once only."""
        self._targets = targets
        self._square[np.diag_indices_from(self._square)] += ridge / worth
        lower = cholesky(self._square, lower=True, overwrite_a=True, check_finite=False)
        del self._square
        self.weights = np.asarray(cho_solve((lower, True), targets, check_finite=False), np.float32)
        # The second number would say that the diagonal holds a zero, which Cholesky has ruled out.
        self._halves: Scores = lapack.strtri(lower, lower=1, overwrite_c=1)[0]
        return self

    def scores(self, vectors: Vectors, rows: Rows) -> Scores:
        """Return the scores of other messages."""
        parts = [slice(start, start + BLOCK) for start in range(0, len(vectors), BLOCK)]
        found = [
            self._kernel.between(vectors[part], rows[part], self._vectors, self._rows) @ self.weights
            for part in parts
        ]
        return np.vstack(found) if found else np.zeros((0, self.weights.shape[1]), dtype=np.float32)

    def left_out(self) -> Scores:
        """Return what a model without the example would say of it, for each example."""
        own = np.einsum("ij,ij->j", self._halves, self._halves)
        return np.asarray(self._targets - self.weights / own[:, None], dtype=np.float32)

    def group_left_out(self, group: npt.NDArray[np.intp]) -> Scores:
        """Return what a model without a whole group of examples would say of them, (group, labels)."""
        half = self._halves[:, group]
        left = np.linalg.solve(half.T @ half, self.weights[group])
        return np.asarray(self._targets[group] - left, dtype=np.float32)
