"""The two Rasa components of config.yml: thin shells around `sentences` and `classifier`.

Class names are unique on purpose: Rasa registers components by bare class name.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.classifiers.classifier import IntentClassifier
from rasa.shared.nlu.constants import FEATURE_TYPE_SENTENCE, TEXT
from rasa.shared.nlu.training_data.features import Features
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from bot.nlu.classifier import Example, IntentModel, Options, train
from bot.nlu.faq import risk_of, written_about
from bot.nlu.normalise import normalise
from bot.nlu.payloads import intent_attributes
from bot.nlu.sentences import (
    MODEL_SHA256,
    SentenceVectors,
    Vectors,
    sentence_model,
    shared_sentence_vectors,
)

_LOG = logging.getLogger(__name__)
_ORIGIN = "FrontCounterSentenceFeaturizer"
_SENTENCE_MODEL = "sentence.onnx"


def _code_fingerprint() -> str:
    """Return a hash of our modules: Rasa's cache sees only the source of the shell class."""
    digest = hashlib.sha256(MODEL_SHA256.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.MESSAGE_FEATURIZER, is_trainable=True)
class FrontCounterSentenceFeaturizer(GraphComponent):  # type: ignore[misc]
    """Give each message its sentence vector.

    Nothing is learned: training builds the sentence model and keeps it in Rasa's own, so that a server
    has all it needs in one file.
    """

    def __init__(self, model_storage: ModelStorage, resource: Resource) -> None:
        """Keep where the sentence model is stored."""
        self._model_storage = model_storage
        self._resource = resource
        self._vectors: SentenceVectors | None = None

    @staticmethod
    def required_packages() -> list[str]:
        """Packages whose versions are part of the training cache's key."""
        return ["onnxruntime", "tokenizers"]

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> FrontCounterSentenceFeaturizer:
        """Create the component for training."""
        return cls(model_storage, resource)

    @classmethod
    def load(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
        **kwargs: Any,
    ) -> FrontCounterSentenceFeaturizer:
        """Load the kept sentence model."""
        found = cls(model_storage, resource)
        with model_storage.read_from(resource) as folder:
            found._vectors = SentenceVectors((Path(folder) / _SENTENCE_MODEL).read_bytes())
        return found

    @classmethod
    def fingerprint_addon(cls, config: dict[str, Any]) -> str:
        """Make Rasa's cache see changes of our modules."""
        return _code_fingerprint()

    def train(self, training_data: TrainingData) -> Resource:
        """Build the sentence model and keep it."""
        with self._model_storage.write_to(self._resource) as folder:
            (Path(folder) / _SENTENCE_MODEL).write_bytes(sentence_model())
        return self._resource

    def process_training_data(self, training_data: TrainingData) -> TrainingData:
        """Add vectors to all examples that have a text."""
        examples = [example for example in training_data.training_examples if example.get(TEXT)]
        texts = [normalise(example.get(TEXT)) for example in examples]
        for example, vector in zip(examples, self._loaded().many(texts), strict=True):
            _add_vector(example, vector)
        return training_data

    def process(self, messages: list[Message]) -> list[Message]:
        """Add vectors to messages from the public."""
        vectors = self._loaded()
        for message in messages:
            _add_vector(message, vectors.one(normalise(message.get(TEXT) or "")))
        return messages

    def _loaded(self) -> SentenceVectors:
        return self._vectors or shared_sentence_vectors()


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.INTENT_CLASSIFIER, is_trainable=True)
class FrontCounterClassifier(GraphComponent, IntentClassifier):  # type: ignore[misc]
    """Fill intent, ranking and response selection, and say when a message is not known."""

    def __init__(
        self,
        config: Mapping[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        model: IntentModel | None = None,
    ) -> None:
        """Keep where the model is stored, and the model once there is one."""
        self._options = Options(**{k: v for k, v in config.items() if k in _OPTION_NAMES})
        self._model_storage = model_storage
        self._resource = resource
        self._model = model

    @classmethod
    def required_components(cls) -> list[type]:
        """The classifier reads the featurizer's vectors."""
        return [FrontCounterSentenceFeaturizer]

    @staticmethod
    def required_packages() -> list[str]:
        """Packages whose versions are part of the training cache's key."""
        return ["sklearn", "scipy", "numpy"]

    @classmethod
    def fingerprint_addon(cls, config: dict[str, Any]) -> str:
        """Make Rasa's cache see changes of our modules."""
        return _code_fingerprint()

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> FrontCounterClassifier:
        """Create an untrained classifier."""
        return cls(config, model_storage, resource)

    @classmethod
    def load(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
        **kwargs: Any,
    ) -> FrontCounterClassifier:
        """Load a trained classifier."""
        with model_storage.read_from(resource) as folder:
            model = IntentModel.load(Path(folder))
        return cls(config, model_storage, resource, model)

    def train(self, training_data: TrainingData) -> Resource:
        """Train on all examples that have an intent and a text, and store the result."""
        examples: list[Example] = []
        vectors: list[Vectors] = []
        written: dict[str, Example] = {}
        for message in training_data.intent_examples:
            if not message.get(TEXT):
                continue
            label = message.get_full_intent()
            about = (message.get("metadata") or {}).get("intent") or {}
            example = Example(normalise(message.get(TEXT)), label, risk_of(about))
            examples.append(example)
            vectors.append(_vector(message))
            for text in written_about(about):
                written.setdefault(f"{label} {text}", Example(text, label, None, written=True))
        examples.extend(written.values())
        own_words = shared_sentence_vectors().many([example.text for example in written.values()])
        self._model = train(examples, np.vstack([*vectors, own_words]), self._options)
        with self._model_storage.write_to(self._resource) as folder:
            self._model.save(Path(folder))
        _LOG.info("Learned %s intents from %s examples.", len({e.label for e in examples}), len(examples))
        return self._resource

    def process(self, messages: list[Message]) -> list[Message]:
        """Say what each message means."""
        if self._model is None:
            return messages
        for message in messages:
            found = self._model.classify(normalise(message.get(TEXT) or ""), _vector(message))
            for name, value in intent_attributes(found).items():
                message.set(name, value, add_to_output=True)
        return messages


_OPTION_NAMES = frozenset(Options.__dataclass_fields__)


def _add_vector(message: Message, vector: Vectors) -> None:
    message.add_features(Features(vector[None, :], FEATURE_TYPE_SENTENCE, TEXT, _ORIGIN))


def _vector(message: Message) -> Vectors:
    """Return the vector that the featurizer gave to a message."""
    for features in message.features:
        if features.origin == _ORIGIN and features.attribute == TEXT:
            vector: Vectors = features.features[0]
            return vector
    raise LookupError("the message has no sentence vector")
