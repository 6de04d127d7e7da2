"""Build the sentence model that runs here from the one that its package carries.

The package keeps the weights of all-MiniLM-L6-v2 as whole numbers of eight bits, a scale for each
column, but its graph turns them back into floats before it multiplies: 90 MB, and slow. Here the same
weights go into a graph of the same network that multiplies whole numbers, in half the time and a quarter
of the memory. The operators are onnxruntime's own, described in its ContribOperators.md.

What a matrix is multiplied with must become whole numbers too. In attention one scale for a whole
message is enough (`DynamicQuantizeMatMul`). In the feed-forward step a few numbers are far larger than
the rest, so each stretch of 128 has a scale of its own (`MatMulNBits`): one scale for all was faster
still, but found two in a hundred fewer of the held-out messages with a risk.

Needs the package `onnx`, and so runs in training only; the result is kept in Rasa's model.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

LAYERS: Final = 6
HEADS: Final = 12
SIZE: Final = 384
_CONTRIB: Final = "com.microsoft"
_EPSILON: Final = 1e-12
_STRETCH: Final = 128
# In each layer: query, key, value, what follows attention, and the two of the feed-forward step.
_MATRICES: Final = 6
POOLED: Final = 3
"""So many of the last layers make the vector: better than the last alone (docs/decisions/0012)."""

Array = npt.NDArray[Any]
Weights = tuple[Array, Array]
"""Whole numbers (inputs, outputs), and the scale of each output."""


class UnknownGraphError(ValueError):
    """The package's model is not built as we expect."""


def build(content: bytes) -> bytes:
    """Return an ONNX model: `input_ids` (1, n) in, the unit vector `vector` (1, 384) out.

    Args:
        content: the package's ONNX file.

    Raises:
        UnknownGraphError: if it does not hold six layers of the expected weights.
    """
    source = onnx.load_from_string(content)
    kept = {each.name: numpy_helper.to_array(each) for each in source.graph.initializer}
    names = [
        node.input[1]
        for node in source.graph.node
        if node.op_type == "MatMul" and f"{node.input[1]}_q" in kept
    ]
    if len(names) != LAYERS * _MATRICES:
        raise UnknownGraphError(f"expected {LAYERS * _MATRICES} matrices of weights, found {len(names)}")
    matrices = [(kept[f"{name}_q"], kept[f"{name}_scale"]) for name in names]
    graph = _Graph(kept)
    state = graph.embed()
    states = []
    for layer in range(LAYERS):
        state = graph.layer(layer, state, matrices[layer * _MATRICES : (layer + 1) * _MATRICES])
        states.append(state)
    graph.pool(states[-POOLED:])
    built: bytes = graph.model().SerializeToString()
    return built


class _Graph:
    """The graph as it grows: nodes, and the numbers that they use."""

    def __init__(self, kept: dict[str, Array]) -> None:
        """Keep the package's numbers, by its own names."""
        self._kept = kept
        self._nodes: list[onnx.NodeProto] = []
        self._numbers: list[onnx.TensorProto] = []

    def embed(self) -> str:
        """Word pieces to vectors: only the rows that are needed become floats."""
        start = "inner.embeddings."
        word, scale = (
            self._number(f"word.{kind}", self._kept[f"{start}word_embeddings.weight_{kind}"])
            for kind in ("q", "scale")
        )
        position = self._kept[f"{start}position_embeddings.weight_q"].astype(np.float32)
        position *= self._kept[f"{start}position_embeddings.weight_scale"]
        # A message is one sentence, so the vector of the first kind of sentence is always added.
        position += self._kept[f"{start}token_type_embeddings.weight"][0]
        pieces = self._node("Gather", [word, "input_ids"], "pieces.q")
        scales = self._node("Gather", [scale, "input_ids"], "pieces.scale")
        floats = self._node("Cast", [pieces], "pieces.float", to=TensorProto.FLOAT)
        scaled = self._node("Mul", [floats, scales], "pieces")
        length = self._node("Shape", ["input_ids"], "length", start=1, end=2)
        places = [
            self._number("positions", position[None]),
            self._number("first", np.array([0], np.int64)),
            length,
            self._number("axis", np.array([1], np.int64)),
        ]
        near = self._node("Slice", places, "positions.near")
        both = self._node("Add", [scaled, near], "embedded")
        norm = self._norm("embedded.norm", f"{start}LayerNorm")
        return self._node("LayerNormalization", [both, *norm], "state", axis=-1, epsilon=_EPSILON)

    def layer(self, layer: int, state: str, matrices: list[Weights]) -> str:
        """One layer of the network: attention, then the feed-forward step."""
        start, name = f"inner.encoder.layer.{layer}.", f"layer{layer}."
        query, key, value, after, wide, narrow = matrices
        # One multiplication for all three: they read the same numbers.
        together = tuple(np.concatenate(parts, axis=1) for parts in zip(query, key, value, strict=True))
        bias = [self._kept[f"{start}attention.self.{part}.bias"] for part in ("query", "key", "value")]
        mixed = self._dense(f"{name}mixed", state, (together[0], together[1]), np.concatenate(bias))
        parts = [f"{name}{part}" for part in ("query", "key", "value")]
        self._nodes.append(helper.make_node("Split", [mixed], parts, axis=-1, num_outputs=3))
        seen = self._node("MultiHeadAttention", parts, f"{name}seen", domain=_CONTRIB, num_heads=HEADS)
        seen = self._dense(f"{name}after", seen, after)
        state = self._skip(f"{name}attended", seen, state, f"{start}attention.output")
        bias_wide = self._kept[f"{start}intermediate.dense.bias"]
        inner = self._dense_by_stretch(f"{name}wide", state, wide, bias_wide)
        inner = self._node("Gelu", [inner], f"{name}gelu", domain=_CONTRIB)
        inner = self._dense_by_stretch(f"{name}narrow", inner, narrow)
        return self._skip(f"{name}out", inner, state, f"{start}output")

    def pool(self, states: list[str]) -> None:
        """The mean over all pieces, made one long, of each state; and of those the mean, one long too."""
        long = []
        for place, state in enumerate(states):
            # Without padding every piece counts, so mean pooling is a plain mean.
            mean = self._node("ReduceMean", [state, "axis"], f"mean{place}", keepdims=0)
            long.append(self._node("LpNormalization", [mean], f"long{place}", axis=-1, p=2))
        total = self._node("Sum", long, "total")
        self._node("LpNormalization", [total], "vector", axis=-1, p=2)

    def model(self) -> onnx.ModelProto:
        """The finished model."""
        ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "pieces"])
        vector = helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, SIZE])
        graph = helper.make_graph(self._nodes, "sentence", [ids], [vector], self._numbers)
        versions = [helper.make_opsetid("", 18), helper.make_opsetid(_CONTRIB, 1)]
        return helper.make_model(graph, opset_imports=versions, ir_version=9)

    def _dense(self, name: str, state: str, weights: Weights, bias: Array | None = None) -> str:
        inputs = [
            state,
            self._number(f"{name}.q", weights[0]),
            self._number(f"{name}.scale", weights[1].reshape(-1)),
        ]
        if bias is not None:
            inputs += ["", self._number(f"{name}.bias", bias)]
        return self._node("DynamicQuantizeMatMul", inputs, name, domain=_CONTRIB)

    def _dense_by_stretch(self, name: str, state: str, weights: Weights, bias: Array | None = None) -> str:
        numbers, scales = weights
        size, outputs = numbers.shape
        stretches = size // _STRETCH
        # This operator takes numbers from 0 to 255, of which 128 stands for nothing.
        shifted = (numbers.T.astype(np.int16) + 128).astype(np.uint8)
        repeated = np.repeat(scales.reshape(-1, 1), stretches, axis=1).astype(np.float32)
        inputs = [
            state,
            self._number(f"{name}.q", shifted.reshape(outputs, stretches, _STRETCH)),
            self._number(f"{name}.scale", repeated),
        ]
        if bias is not None:
            inputs += ["", "", self._number(f"{name}.bias", bias)]
        return self._node(
            "MatMulNBits",
            inputs,
            name,
            domain=_CONTRIB,
            K=size,
            N=outputs,
            bits=8,
            block_size=_STRETCH,
            accuracy_level=4,  # multiply in eight bits
        )

    def _skip(self, name: str, state: str, earlier: str, source: str) -> str:
        bias = self._number(f"{name}.bias", self._kept[f"{source}.dense.bias"])
        norm = self._norm(f"{name}.norm", f"{source}.LayerNorm")
        return self._node(
            "SkipLayerNormalization",
            [state, earlier, *norm, bias],
            name,
            domain=_CONTRIB,
            epsilon=_EPSILON,
        )

    def _norm(self, name: str, source: str) -> list[str]:
        return [self._number(f"{name}.{part}", self._kept[f"{source}.{part}"]) for part in ("weight", "bias")]

    def _number(self, name: str, value: Array) -> str:
        self._numbers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output
