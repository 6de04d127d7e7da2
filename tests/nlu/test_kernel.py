"""The closed forms of kernel ridge regression against models that were really trained without."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from bot.nlu.kernel import Fitted, Kernel

COUNT, LABELS, RIDGE = 80, 4, 0.3
RANDOM = np.random.default_rng(4)
VECTORS = RANDOM.normal(size=(COUNT, 384)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
ROWS = sparse.random(COUNT, 300, density=0.05, format="csr", random_state=4, dtype=np.float32)
TARGETS = np.eye(LABELS, dtype=np.float32)[RANDOM.integers(0, LABELS, COUNT)]
WORTH = RANDOM.uniform(0.3, 1.0, COUNT).astype(np.float32)


def _without(group: np.ndarray) -> np.ndarray:
    """What a model that was trained without the group says of it."""
    kernel = Kernel().among(VECTORS, ROWS).astype(np.float64)
    kept = np.setdiff1d(np.arange(COUNT), group)
    ridge = np.diag(RIDGE / WORTH[kept])
    return kernel[np.ix_(group, kept)] @ np.linalg.solve(kernel[np.ix_(kept, kept)] + ridge, TARGETS[kept])


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    """All examples at once."""
    return Fitted(Kernel().among(VECTORS, ROWS), RIDGE, WORTH)


def test_weights_solve_the_ridge_problem(fitted: Fitted) -> None:
    kernel = Kernel().among(VECTORS, ROWS).astype(np.float64)
    expected = np.linalg.solve(kernel + np.diag(RIDGE / WORTH), TARGETS)
    assert np.allclose(fitted.weights(TARGETS), expected, atol=1e-4)


def test_left_out_answers_are_those_of_a_model_without_the_example(fitted: Fitted) -> None:
    found = fitted.left_out(TARGETS, fitted.weights(TARGETS))
    for place in (0, 17, 79):
        assert np.allclose(found[place], _without(np.array([place]))[0], atol=1e-4)


def test_a_group_is_left_out_whole(fitted: Fitted) -> None:
    group = np.arange(10, 35)
    found = fitted.group_left_out(TARGETS, fitted.weights(TARGETS), group)
    assert np.allclose(found, _without(group), atol=1e-3)


def test_the_kernel_of_all_pairs_does_not_depend_on_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Kernel().among(VECTORS, ROWS)
    monkeypatch.setattr("bot.nlu.kernel.BLOCK", 7)
    assert np.allclose(Kernel().among(VECTORS, ROWS), whole, atol=1e-6)
    assert np.allclose(whole, whole.T, atol=1e-6)
