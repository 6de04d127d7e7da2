"""Kernel ridge regression over sentence vectors and words, with leave-one-out answers for nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.linalg import cholesky, lapack

from bot.nlu.sentences import Vectors

Floats = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]
Rows = Any  # scipy.sparse.csr_matrix; scipy is untyped
BLOCK: Final = 1024
"""Rows of the kernel that are made at a time: bounds the memory of what is in between."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """How alike two messages are: `1 - words` of it by meaning, `words` of it by wording."""

    words: float = 0.20
    width: float = 2.0
    """exp(-width (1 - cosine)): the larger, the nearer must an example be to count."""

    def by_meaning(self, cosines: npt.NDArray[Any]) -> Scores:
        """Return the share that meaning has, from cosines of sentence vectors, any shape."""
        return np.asarray((1 - self.words) * np.exp(self.width * (cosines - 1)), dtype=np.float32)

    def among(self, vectors: Vectors, rows: Rows) -> Scores:
        """Return the kernel of all pairs, shape (n, n), in single precision."""
        count = len(vectors)
        found = np.empty((count, count), dtype=np.float32)
        across = rows.T.tocsr()
        for start in range(0, count, BLOCK):
            part = slice(start, min(start + BLOCK, count))
            found[part] = self.by_meaning(vectors[part] @ vectors.T)
            # Each of the two kinds of features has length one, so a row has length sqrt(2).
            found[part] += self.words / 2 * (rows[part] @ across).toarray()
        return found


class Fitted:
    """A factorised kernel: answers for any columns of targets, with what each example is worth."""

    def __init__(self, kernel: Scores, ridge: float, worth: Scores) -> None:
        """Factorise. `worth` (n,) is how much each example counts; `kernel` is overwritten."""
        kernel[np.diag_indices_from(kernel)] += (ridge / worth).astype(np.float32)
        lower = cholesky(kernel, lower=True, overwrite_a=True, check_finite=False)
        inverse, failed = lapack.strtri(lower, lower=1, overwrite_c=1)
        if failed:
            raise np.linalg.LinAlgError(f"the kernel cannot be inverted (row {failed})")
        # The columns of L^-1: their products are the inverse of the whole.
        self._half = np.tril(inverse)
        self._diagonal = np.einsum("ij,ij->j", self._half, self._half)

    def weights(self, targets: Scores) -> Scores:
        """Return the dual weights (n, labels) for targets (n, labels)."""
        return np.asarray(self._half.T @ (self._half @ targets), dtype=np.float32)

    def left_out(self, targets: Scores, weights: Scores) -> Scores:
        """Return what a model without the example would say of it, for each example."""
        return np.asarray(targets - weights / self._diagonal[:, None], dtype=np.float32)

    def group_left_out(self, targets: Scores, weights: Scores, group: npt.NDArray[np.intp]) -> Scores:
        """Return what a model without a whole group of examples would say of them, (group, labels)."""
        columns = self._half[:, group]
        return np.asarray(
            targets[group] - np.linalg.solve(columns.T @ columns, weights[group]), dtype=np.float32
        )
