"""Rasa's way in to the training data, so that a file in data/faq is all that a new answer needs.

Rasa asks for one response `utter_faq/<slug>` for each FAQ intent. Ours all look alike (they name the
slug; the gateway renders the words), so they are made here instead of being listed in domain.yml.

Rasa copies all examples half a dozen times before it trains, and works out a fingerprint of each copy,
every time from the whole metadata of its intent. `OurMessage` does both in a few steps.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import yaml
from rasa.shared.core.domain import KEY_RESPONSES, Domain
from rasa.shared.importers.rasa import RasaFileImporter
from rasa.shared.nlu.constants import METADATA
from rasa.shared.nlu.training_data.loading import load_data
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData
from rasa.shared.utils.common import cached_method
from rasa.shared.utils.io import deep_container_fingerprint


class OurMessage(Message):  # type: ignore[misc]
    """A training example whose metadata belong to its intent and never change.

    Copies share the metadata. The fingerprint is as good as Rasa's, from the metadata's own.
    """

    about = ""
    """Fingerprint of the metadata, worked out once for all examples of an intent."""
    _cached_fingerprint: str | None

    @classmethod
    def of(cls, message: Message, about: str) -> OurMessage:
        """Return an example as one of ours."""
        found = cls(message.data, set(message.output_properties), message.time)
        found.about = about
        return found

    def __deepcopy__(self, memo: dict[int, Any]) -> OurMessage:
        """Return a copy that can be changed without changing this one."""
        found = OurMessage.of(self, self.about)
        found.features = list(self.features)
        found._cached_fingerprint = self._cached_fingerprint
        return found

    def fingerprint(self) -> str:
        """Return what tells this example from any other."""
        if self._cached_fingerprint is None:
            parts = {name: value for name, value in self.data.items() if name != METADATA}
            found: str = deep_container_fingerprint([parts, self.about, self.features])
            self._cached_fingerprint = found
        return self._cached_fingerprint


class FrontCounterImporter(RasaFileImporter):  # type: ignore[misc]
    """Reads the files as Rasa does and adds the response of each FAQ intent."""

    @cached_method  # type: ignore[untyped-decorator]
    def get_domain(self) -> Domain:
        """Return the domain of domain.yml with a response for each FAQ intent.

        A response that domain.yml gives itself is kept.
        """
        domain = super().get_domain()
        responses = {}
        for example in self.get_nlu_data().intent_examples:
            label = example.get_full_intent()
            slug = label.partition("/")[2]
            if slug and f"utter_{label}" not in domain.responses:
                responses[f"utter_{label}"] = [{"custom": {"answer": slug}}]
        return domain.merge(Domain.from_dict({KEY_RESPONSES: dict(sorted(responses.items()))}))

    def get_nlu_data(self, language: str | None = "en") -> TrainingData:
        """Return the training examples (read once: reading is most of what a small training costs)."""
        return self._examples()

    @cached_method  # type: ignore[untyped-decorator]
    def _examples(self) -> TrainingData:
        # Rasa asks with and without a language; the examples are the same.
        read = [_plain_examples(path) or load_data(path) for path in self._nlu_files]
        known: dict[int, str] = {}
        examples = []
        for message in (message for part in read for message in part.training_examples):
            # All examples of an intent in a file have the same metadata.
            about = (message.get(METADATA) or {}).get("intent")
            if id(about) not in known:
                known[id(about)] = deep_container_fingerprint(about)
            examples.append(OurMessage.of(message, known[id(about)]))
        rest = TrainingData().merge(
            *(
                TrainingData(
                    [], part.entity_synonyms, part.regex_features, part.lookup_tables, part.responses
                )
                for part in read
            )
        )
        return TrainingData(
            examples, rest.entity_synonyms, rest.regex_features, rest.lookup_tables, rest.responses
        )


def _plain_examples(path: str) -> TrainingData | None:
    """Read a file that holds intents and plain examples only; None leaves any other to Rasa's reader.

    Rasa parses a file twice and checks it against its schema, which `frontcounter check` does with ours.
    """
    content = Path(path).read_text("utf-8")
    try:
        loaded = yaml.load(content, Loader=_LOADER)  # noqa: S506 - a safe loader
    except yaml.YAMLError:
        return None
    if not isinstance(loaded, dict) or loaded.keys() != {"version", "nlu"} or not loaded["nlu"]:
        return None
    found = TrainingData()
    for block in loaded["nlu"]:
        lines = str(block.get("examples")).splitlines()
        if not block.keys() <= {"intent", "metadata", "examples"} or not block.get("intent"):
            return None
        if not all(line.startswith("- ") and not _MARKED.search(line) for line in lines):
            return None
        about = block.get("metadata")
        found.training_examples += [
            Message.build(line[1:].strip(), block["intent"], None, about) for line in lines
        ]
    return found


_MARKED: Final = re.compile(r"\[.*\][({\[]")
"""An entity, as Rasa marks it in an example."""
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
