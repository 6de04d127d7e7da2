"""One classifier for every intent: which one it is, how likely, and whether we know it at all.

It has two heads (`heads`), because two questions are asked of each message and both can be answered yes: what
is it about (FAQ intents, small talk, out of scope), and does it carry a risk (risk intents, or
none)? "He hits me" is about `faq/da-help` and carries R03; in one list of intents the two would
share the probability and neither would look sure. A third, small head says how urgent a risk is.

A head is kernel ridge regression (`kernel`), one column a label (also called a least-squares support vector
machine: Suykens and Vandewalle 1999). Two messages are alike by meaning, the Gaussian of their
sentence vectors, and by wording, the cosine of their words and pieces of words. An FAQ intent holds
many different questions, so what counts is to be near some of its examples, not near their mean;
a linear model over the same vectors got 4 to 6 points fewer of our FAQ questions right.

A sample of the examples stands for the kernel (`kernel.Landmarks`): what a message is about is told from
examples that are about something, danger from all. One factorisation for a head gives all its columns, and what the model would have said of each example had it not seen it (leave-one-out):
so calibration, thresholds and what is known come from unseen messages without training anything twice.

A probability alone judges badly whether a message is known: it must share out 100 % however odd the
message. So another model, the `judge`, weighs probability, margins and the nearest training examples.
It learns from left-out examples, from FAQ intents that were left out whole, which are what an unknown
question looks like, and from harmless talk. Its threshold turns away at most `rejected` of the right
answers.

Texts must be in plain words (`plain.PlainWords`) and vectors come from `sentences.SentenceVectors`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bot.nlu.heads import Head, Learned, Task
from bot.nlu.judge import Judge, evidence_of, learn_judge
from bot.nlu.kernel import Kernel, Landmarks, Places, Scores
from bot.nlu.normalise import has_words
from bot.nlu.plain import PlainWords
from bot.nlu.sentences import SentenceVectors, Vectors
from bot.nlu.understanding import (
    FAQ,
    NEVER_ANSWERED,
    NO_RISK,
    NOTHING,
    RANKING_LENGTH,
    RISK,
    Example,
    Options,
    Piece,
    Risk,
    TrainingError,
    Understanding,
)
from bot.nlu.words import WordFeatures, Words


@dataclass(frozen=True, slots=True)
class _Examples:
    """The examples that a message is compared with."""

    vectors: Vectors
    """(n, 384), of all examples."""
    topics: Places
    """Those that are about something."""
    labels: Places
    """What each of `topics` is about, as a place among the labels of that head."""

    def as_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the parts by name, for the disk."""
        return {f"examples.{part}": getattr(self, part) for part in self.__slots__}


_PARTS = ("landmarks", "by_meaning", "by_wording")


class IntentModel:
    """A trained classifier."""

    def __init__(
        self,
        heads: dict[str, Head],
        judge: Judge,
        words: WordFeatures,
        examples: _Examples,
        possible: Mapping[str, Sequence[str]],
        options: Options,
    ) -> None:
        """Keep the parts; use `train` or `load`. `possible` are the grades that a category can have."""
        self._possible = {category: tuple(grades) for category, grades in possible.items()}
        self.heads = heads
        self.topics = heads["topics"]
        self.risks = heads.get("risks")
        self.grades = heads.get("grades")
        self.judge = judge
        self.options = options
        self._words = words
        self._examples = examples
        self._kernel = Kernel(options.words, options.width)

    def classify(self, text: str, vector: Vectors, pieces: Sequence[Piece] = ()) -> Understanding:
        """Say what one text in plain words with this sentence vector means.

        Args:
            text: the message.
            vector: its sentence vector, shape (384,).
            pieces: its sentences, where it has several: each may ask or tell something of its own.
        """
        if not has_words(text):
            return NOTHING
        found = self._of_one(text, vector)
        if len(pieces) < 2:
            return found
        return self._with_pieces(found, [self._of_one(part, its) for part, its in pieces if has_words(part)])

    def _of_one(self, text: str, vector: Vectors) -> Understanding:
        words = self._words.row(text)
        examples = self._examples
        cosines = examples.vectors @ vector
        scores = self._scores(self.topics, cosines, words)
        logs = self.topics.logs(scores)
        evidence, _ = evidence_of(logs, scores, cosines[None, examples.topics], examples.labels)
        above = float(self.judge.score(evidence)[0]) - self.judge.threshold
        known = above >= 0
        chances = np.exp(logs[0])
        order = np.argsort(-chances)[:RANKING_LENGTH]
        ranking = tuple((self.topics.labels[i], float(chances[i])) for i in order)
        risks = self._risks(cosines, words)
        any_risk = risks[0].chance if risks else 0.0
        listed = tuple(risk for risk in risks if risk.chance >= self.options.risk_listed)
        label, confidence = ranking[0]
        if any_risk >= self.options.risk_leads and (not known or label in NEVER_ANSWERED):
            return Understanding(RISK + risks[0].category, any_risk, True, ranking, listed, known=above)
        offer: tuple[str, ...] = ()
        if any_risk < self.options.risk_noticeable:
            offer = self._offer(ranking, float(evidence[0, 2]))
        close = bool(offer) and self._is_close(ranking)
        return Understanding(
            intent=label,
            confidence=confidence,
            certain=known and not close,
            ranking=ranking,
            risks=listed,
            offer=offer if close or not known else (),
            known=above,
        )

    def _with_pieces(self, whole: Understanding, parts: Sequence[Understanding]) -> Understanding:
        """Add what single sentences say: a risk of their own, or a question of their own."""
        best: dict[str, Risk] = {risk.category: risk for risk in whole.risks}
        for part in parts:
            for risk in part.risks[:1]:
                if risk.chance > best.get(risk.category, risk).chance or risk.category not in best:
                    best[risk.category] = risk
        risks = tuple(sorted(best.values(), key=lambda risk: -risk.chance))
        noticeable = bool(risks) and risks[0].chance >= self.options.risk_noticeable
        asked = {
            part.intent: part.confidence
            for part in parts
            if part.certain and part.intent.startswith(FAQ) and part.confidence >= self.options.also
        }
        chosen = whole
        if not whole.certain and len(asked) == 1 and not noticeable:
            (intent, confidence), *_ = asked.items()
            if intent in [name for name, _ in whole.ranking[:3]]:
                chosen = replace(whole, intent=intent, confidence=confidence, certain=True, offer=())
        also = [
            name.removeprefix(FAQ)
            for name in asked
            if name != chosen.intent and chosen.certain and chosen.intent.startswith(FAQ)
        ]
        return replace(
            chosen,
            risks=risks,
            offer=() if noticeable else chosen.offer,
            also=() if noticeable else tuple(also[:2]),
        )

    def _risks(self, cosines: Vectors, words: Words) -> list[Risk]:
        """Return each risk category, likeliest first."""
        if self.risks is None:
            return []
        chances = np.exp(self.risks.logs(self._scores(self.risks, cosines, words))[0])
        found = dict(zip(self.risks.labels, chances.tolist(), strict=True))
        none = found.pop(NO_RISK, 0.0)
        graded = self._grades(cosines, words)
        best, *others = sorted(found.items(), key=lambda risk: -risk[1])
        return [
            Risk(name, chance, self._grade(name, graded))
            for name, chance in ((best[0], 1.0 - none), *others)
            if chance >= self.options.risk_listed or name == best[0]
        ]

    def _scores(self, head: Head, cosines: Vectors, words: Words) -> Scores:
        """Return a head's scores of a message with these cosines to all examples, shape (1, labels)."""
        return head.scores(self._kernel.by_meaning(cosines[head.landmarks]), words)

    def _grades(self, cosines: Vectors, words: Words) -> dict[str, float]:
        """Return how likely each grade is, if the message carries a risk at all."""
        if self.grades is None:
            return {}
        chances = np.exp(self.grades.logs(self._scores(self.grades, cosines, words))[0])
        return dict(zip(self.grades.labels, chances.tolist(), strict=True))

    def _grade(self, category: str, found: Mapping[str, float]) -> str | None:
        """Return the grade of a message if it carries this risk: the more urgent where it is unsure."""
        possible = self._possible.get(category, ())
        if not found or len(possible) < 2:
            return possible[0] if possible else None
        whole = sum(found[grade] for grade in possible)
        reached = 0.0
        for grade in possible:
            reached += found[grade] / whole
            if reached >= self.options.urgent:
                return grade
        return possible[-1]

    def _is_close(self, ranking: Sequence[tuple[str, float]]) -> bool:
        """Say whether the two likeliest are FAQ intents too near to call."""
        (first, chance), (second, next_chance) = ranking[0], ranking[1]
        both = first.startswith(FAQ) and second.startswith(FAQ)
        return both and next_chance >= self.options.close_ratio * chance

    def _offer(self, ranking: Sequence[tuple[str, float]], cosine: float) -> tuple[str, ...]:
        """Return up to three slugs worth offering: likely together, and not far from all we know."""
        offered = [
            (label.removeprefix(FAQ), chance)
            for label, chance in ranking[:3]
            if label.startswith(FAQ) and chance >= self.options.offer_each
        ]
        worth = (
            ranking[0][0].startswith(FAQ)
            and sum(chance for _, chance in offered) >= self.options.offer_mass
            and cosine >= self.options.offer_cosine
        )
        return tuple(slug for slug, _ in offered) if worth else ()

    def save(self, folder: Path) -> None:
        """Write the model into `folder`, as JSON and plain arrays only."""
        self._words.save(folder)
        arrays = {
            f"{name}.{part}": getattr(head, part) for name, head in self.heads.items() for part in _PARTS
        }
        np.savez(folder / "classifier.npz", **arrays, **self._examples.as_arrays())
        about = {
            "heads": {
                name: {"labels": head.labels, "scale": head.scale, "bias": head.bias}
                for name, head in self.heads.items()
            },
            "judge": asdict(self.judge),
            "grades": self._possible,
            "options": asdict(self.options),
        }
        (folder / "classifier.json").write_text(json.dumps(about, indent=1), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> IntentModel:
        """Read what `save` wrote."""
        about = json.loads((folder / "classifier.json").read_text("utf-8"))
        with np.load(folder / "classifier.npz", allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
        heads = {
            name: Head(
                labels=tuple(head["labels"]),
                scale=head["scale"],
                bias=tuple(head["bias"]),
                **{part: arrays[f"{name}.{part}"] for part in _PARTS},
            )
            for name, head in about["heads"].items()
        }
        return cls(
            heads=heads,
            judge=Judge(**about["judge"]),
            words=WordFeatures.load(folder),
            examples=_Examples(*(arrays[f"examples.{part}"] for part in _Examples.__slots__)),
            possible=about["grades"],
            options=Options(**about["options"]),
        )


class Reader:
    """A model together with plain words and sentence vectors: raw text in, understanding out."""

    def __init__(self, model: IntentModel, vectors: SentenceVectors, plain: PlainWords) -> None:
        """Pair a model with the vectors and plain words that it was trained on."""
        self._model = model
        self._vectors = vectors
        self._plain = plain

    def read(self, text: str) -> Understanding:
        """Say what a message means."""
        plain = self._plain.of(text)
        pieces = [(part, self._vectors.one(part)) for part in self._plain.pieces(text)]
        return self._model.classify(plain, self._vectors.one(plain), pieces)


def train(examples: Sequence[Example], vectors: Vectors, options: Options | None = None) -> IntentModel:
    """Train on examples and their sentence vectors.

    Raises:
        TrainingError: with fewer than two intents beside the risk intents.
    """
    options = options or Options()
    words = WordFeatures.fit([example.text for example in examples])
    rows = words.transform([example.text for example in examples])
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    kernel, about = Kernel(options.words, options.width), [example.about for example in examples]
    topical = np.array([place for place, label in enumerate(about) if label], dtype=np.int32)
    landmarks = Landmarks(kernel, vectors, rows, options.topic_landmarks, topical)
    learned = Learned(vectors, rows, landmarks, options)
    topics = Task.of(about, learned)
    if topics is None:
        raise TrainingError("at least two intents with examples are needed")
    tested = np.array([not examples[place].written for place in topics.places])
    heads = {"topics": topics.head(tested)}
    judge = learn_judge(topics, heads["topics"], tested, examples)
    kept = _Examples(vectors, topics.places, topics.targets)
    del topics, landmarks
    learned = replace(learned, landmarks=Landmarks(kernel, vectors, rows, options.landmarks))
    for name, labels in (
        ("risks", [e.carries for e in examples]),
        ("grades", [e.grade for e in examples]),
    ):
        task = Task.of(labels, learned)
        if task is not None:
            heads[name] = task.head(free=NO_RISK)
    possible: dict[str, set[str]] = {}
    for example in examples:
        if example.grade and example.carries:
            possible.setdefault(example.carries, set()).add(example.grade)
    return IntentModel(
        heads=heads,
        judge=judge,
        words=words,
        examples=kept,
        possible={category: sorted(grades) for category, grades in possible.items()},
        options=options,
    )
