"""The closed forms of kernel ridge regression against models that were really trained without."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from bot.nlu.kernel import JITTER, Fitted, Kernel, Landmarks, Whole

COUNT, LABELS, RIDGE = 80, 4, 0.3
RANDOM = np.random.default_rng(4)
VECTORS = RANDOM.normal(size=(COUNT, 384)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
ROWS = sparse.random(COUNT, 300, density=0.05, format="csr", random_state=4, dtype=np.float32)
TARGETS = np.eye(LABELS, dtype=np.float32)[RANDOM.integers(0, LABELS, COUNT)]
WORTH = RANDOM.uniform(0.3, 1.0, COUNT).astype(np.float32)
SOME = 30


def _kernel(landmarks: np.ndarray) -> np.ndarray:
    """The kernel of all pairs as the landmarks see it (Nyström's formula)."""
    whole = Kernel().between(VECTORS, ROWS, VECTORS, ROWS).astype(np.float64)
    own = whole[np.ix_(landmarks, landmarks)] + JITTER * np.eye(len(landmarks))
    return whole[:, landmarks] @ np.linalg.solve(own, whole[landmarks])


def _without(kernel: np.ndarray, group: np.ndarray) -> np.ndarray:
    """What a model that was trained without the group says of it."""
    kept = np.setdiff1d(np.arange(COUNT), group)
    ridge = np.diag(RIDGE / WORTH[kept])
    return kernel[np.ix_(group, kept)] @ np.linalg.solve(kernel[np.ix_(kept, kept)] + ridge, TARGETS[kept])


@pytest.fixture(scope="module", params=[SOME, COUNT])
def landmarks(request: pytest.FixtureRequest) -> Landmarks:
    """Some of the examples, or all of them, standing for all."""
    return Landmarks(Kernel(), VECTORS, ROWS, request.param)


@pytest.fixture(scope="module")
def fitted(landmarks: Landmarks) -> Fitted:
    """All examples at once."""
    return Fitted(landmarks.features, TARGETS, RIDGE, WORTH)


def test_with_all_examples_as_landmarks_the_kernel_is_whole() -> None:
    features = Landmarks(Kernel(), VECTORS, ROWS, COUNT).features
    assert np.allclose(features @ features.T, Kernel().between(VECTORS, ROWS, VECTORS, ROWS), atol=3e-3)


def test_weights_solve_the_ridge_problem(landmarks: Landmarks, fitted: Fitted) -> None:
    kernel = _kernel(landmarks.places)
    expected = kernel @ np.linalg.solve(kernel + np.diag(RIDGE / WORTH), TARGETS)
    near = Kernel().between(VECTORS, ROWS, VECTORS[landmarks.places], ROWS[landmarks.places])
    assert np.allclose(near @ landmarks.weights(fitted.weights), expected, atol=1e-3)


def test_left_out_answers_are_those_of_a_model_without_the_example(
    landmarks: Landmarks, fitted: Fitted
) -> None:
    found, kernel = fitted.left_out(), _kernel(landmarks.places)
    for place in (0, 17, 79):
        assert np.allclose(found[place], _without(kernel, np.array([place]))[0], atol=1e-3)


def test_a_group_is_left_out_whole(landmarks: Landmarks, fitted: Fitted) -> None:
    group = np.arange(10, 35)
    assert np.allclose(fitted.group_left_out(group), _without(_kernel(landmarks.places), group), atol=2e-3)


@pytest.mark.parametrize("most", [SOME, COUNT])
def test_landmarks_drawn_in_many_rounds_describe_the_kernel_as_landmarks_drawn_at_once(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.nlu.kernel.BLOCK", 7)
    features, places = (found := Landmarks(Kernel(), VECTORS, ROWS, most)).features, found.places
    assert len(set(places.tolist())) == most
    assert np.allclose(features @ features.T, _kernel(places), atol=1e-3)


def test_a_repeated_message_is_hardly_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.nlu.kernel.BLOCK", 5)
    # Ten different messages; the first of them stands there 61 times.
    which = np.r_[np.zeros(60, dtype=int), np.arange(10)]
    found = Landmarks(Kernel(), VECTORS[which], ROWS[which], 20)
    assert set(which[found.places].tolist()) == set(range(10))


def test_some_answers_are_left_out_as_all_are(fitted: Fitted) -> None:
    some = np.array([3, 17, 60])
    assert np.allclose(fitted.left_out(some), fitted.left_out()[some], atol=1e-5)


def test_a_heavier_example_is_drawn_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.nlu.kernel.BLOCK", 5)
    heavy = np.r_[np.full(COUNT // 2, 50.0), np.ones(COUNT // 2)]
    places = Landmarks(Kernel(), VECTORS, ROWS, SOME, heavy).places
    assert (places < COUNT // 2).mean() > 0.8


def test_the_whole_kernel_says_what_models_trained_without_would_say() -> None:
    whole = Whole(Kernel(), VECTORS, ROWS).fit(TARGETS, RIDGE, WORTH)
    kernel = Kernel().between(VECTORS, ROWS, VECTORS, ROWS).astype(np.float64)
    expected = kernel @ np.linalg.solve(kernel + np.diag(RIDGE / WORTH), TARGETS)
    assert np.allclose(whole.scores(VECTORS, ROWS), expected, atol=1e-4)
    assert whole.scores(VECTORS[:0], ROWS[:0]).shape == (0, LABELS)
    for place in (0, 17, 79):
        assert np.allclose(whole.left_out()[place], _without(kernel, np.array([place]))[0], atol=1e-3)
    group = np.arange(10, 35)
    assert np.allclose(whole.group_left_out(group), _without(kernel, group), atol=1e-3)
