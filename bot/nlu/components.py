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

from bot.nlu.classifier import RISK, Example, IntentModel, Options
from bot.nlu.faq import risk_of, written_about
from bot.nlu.learning import train
from bot.nlu.normalise import normalise
from bot.nlu.payloads import intent_attributes
from bot.nlu.plain import PlainWords, ordinary_words, read_spellings
from bot.nlu.sentences import (
    MODEL_SHA256,
    VOCABULARY,
    SentenceVectors,
    Vectors,
    sentence_model,
    shared_sentence_vectors,
)

_LOG = logging.getLogger(__name__)
_ORIGIN = "FrontCounterSentenceFeaturizer"
_SENTENCE_MODEL = "sentence.onnx"
_PLAIN = "front_counter_plain"
"""Attribute of a message: its text in plain words."""
_PIECES = "front_counter_pieces"
"""Attribute of a message: its sentences with their vectors, where it has several."""
_SPELLINGS = "data/risk/words.yml"


def _code_fingerprint() -> str:
    """Return a hash of our modules: Rasa's cache sees only the source of the shell class."""
    digest = hashlib.sha256(MODEL_SHA256.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.MESSAGE_FEATURIZER, is_trainable=True)
class FrontCounterSentenceFeaturizer(GraphComponent):  # type: ignore[misc]
    """Give each message its plain words and its sentence vector.

    Training learns the vocabulary of the examples and builds the sentence model; both are kept in
    Rasa's own model, so that a server has all it needs in one file. `spellings` in config.yml names the
    file with the force's dialect and text-speak.
    """

    def __init__(self, config: Mapping[str, Any], model_storage: ModelStorage, resource: Resource) -> None:
        """Keep where things are stored."""
        self._spellings = Path(config.get("spellings", _SPELLINGS))
        self._model_storage = model_storage
        self._resource = resource
        self._vectors: SentenceVectors | None = None
        self._plain: PlainWords | None = None

    @staticmethod
    def required_packages() -> list[str]:
        """Packages whose versions are part of the training cache's key."""
        return ["onnxruntime", "tokenizers", "rapidfuzz", "jellyfish"]

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """Where the spellings are."""
        return {"spellings": _SPELLINGS}

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> FrontCounterSentenceFeaturizer:
        """Create the component for training."""
        return cls(config, model_storage, resource)

    @classmethod
    def load(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
        **kwargs: Any,
    ) -> FrontCounterSentenceFeaturizer:
        """Load the kept sentence model and vocabulary."""
        found = cls(config, model_storage, resource)
        with model_storage.read_from(resource) as folder:
            found._vectors = SentenceVectors((Path(folder) / _SENTENCE_MODEL).read_bytes())
            found._plain = PlainWords.load(Path(folder))
        return found

    @classmethod
    def fingerprint_addon(cls, config: dict[str, Any]) -> str:
        """Make Rasa's cache see changes of our modules, and of the spellings."""
        spellings = Path(config.get("spellings", _SPELLINGS))
        return _code_fingerprint() + hashlib.sha256(spellings.read_bytes()).hexdigest()

    def train(self, training_data: TrainingData) -> Resource:
        """Learn the vocabulary, build the sentence model and keep both."""
        texts = [
            normalise(text)
            for example in training_data.training_examples
            for text in (example.get(TEXT), *written_about(_metadata(example)))
            if text
        ]
        self._plain = PlainWords.fit(texts, read_spellings(self._spellings), ordinary_words(VOCABULARY))
        with self._model_storage.write_to(self._resource) as folder:
            (Path(folder) / _SENTENCE_MODEL).write_bytes(sentence_model())
            self._plain.save(Path(folder))
        return self._resource

    def process_training_data(self, training_data: TrainingData) -> TrainingData:
        """Add plain words and vectors to all examples that have a text."""
        examples = [example for example in training_data.training_examples if example.get(TEXT)]
        texts = [self._plain_words().of(example.get(TEXT)) for example in examples]
        for example, text, vector in zip(examples, texts, self._loaded().many(texts), strict=True):
            example.set(_PLAIN, text)
            _add_vector(example, vector)
        return training_data

    def process(self, messages: list[Message]) -> list[Message]:
        """Add plain words and vectors to messages from the public."""
        vectors, plain = self._loaded(), self._plain_words()
        for message in messages:
            given = message.get(TEXT) or ""
            text = plain.of(given)
            message.set(_PLAIN, text)
            message.set(_PIECES, [(piece, vectors.one(piece)) for piece in plain.pieces(given)])
            _add_vector(message, vectors.one(text))
        return messages

    def _loaded(self) -> SentenceVectors:
        return self._vectors or shared_sentence_vectors()

    def _plain_words(self) -> PlainWords:
        if self._plain is None:
            raise LookupError("the plain words were not learned: the model is not one of ours")
        return self._plain


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
            about = _metadata(message)
            grade = about.get("grade") if label.startswith(RISK) else None
            examples.append(Example(message.get(_PLAIN), label, risk_of(about), grade=grade))
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
            found = self._model.classify(
                message.get(_PLAIN) or "", _vector(message), message.get(_PIECES) or ()
            )
            for name, value in intent_attributes(found).items():
                message.set(name, value, add_to_output=True)
        return messages


_OPTION_NAMES = frozenset(Options.__dataclass_fields__)


def _metadata(message: Message) -> dict[str, Any]:
    """Return what the file says of the intent of an example."""
    return (message.get("metadata") or {}).get("intent") or {}


def _add_vector(message: Message, vector: Vectors) -> None:
    message.add_features(Features(vector[None, :], FEATURE_TYPE_SENTENCE, TEXT, _ORIGIN))


def _vector(message: Message) -> Vectors:
    """Return the vector that the featurizer gave to a message."""
    for features in message.features:
        if features.origin == _ORIGIN and features.attribute == TEXT:
            vector: Vectors = features.features[0]
            return vector
    raise LookupError("the message has no sentence vector")
