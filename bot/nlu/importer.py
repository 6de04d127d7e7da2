"""Rasa's way in to the training data, so that a file in data/faq is all that a new answer needs.

Rasa asks for one response `utter_faq/<slug>` for each FAQ intent. Ours all look alike (they name the
slug; the gateway renders the words), so they are made here instead of being listed in domain.yml.
"""

from __future__ import annotations

from rasa.shared.core.domain import KEY_RESPONSES, Domain
from rasa.shared.importers.rasa import RasaFileImporter
from rasa.shared.nlu.training_data.training_data import TrainingData
from rasa.shared.utils.common import cached_method


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
        return super().get_nlu_data()
