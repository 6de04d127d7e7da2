"""What the classifier learns from, what can be tuned, and what it makes of a message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bot.nlu.sentences import Vectors

FALLBACK: Final = "nlu_fallback"
FAQ: Final = "faq/"
RISK: Final = "risk_"
NO_RISK: Final = "none"
HARMLESS: Final = "harmless"
"""Alarming words in harmless talk: learned as no risk and as nothing we know, never as a topic."""
HARMLESS_QUESTION: Final = "harmless_question"
"""A question with alarming words that an FAQ may answer or not: learned as no risk, and nothing else."""
# Intents that are learned but never answered: turning them away costs nothing.
NEVER_ANSWERED: Final = frozenset({"out_of_scope"})
GRADES: Final = ("P1", "P2", "P3", "P4")
RANKING_LENGTH: Final = 10


@dataclass(frozen=True, slots=True)
class Example:
    """One training example, with a text in plain words."""

    text: str
    label: str
    """Intent: `faq/<slug>`, `risk_<category>` or a plain name."""
    risk: str | None = NO_RISK
    """Category that the text carries, `none`, or None where it may be either."""
    written: bool = False
    """The force's own words (title, answer) and not a message: learned from, never tested with."""
    grade: str | None = None
    """P1 to P4, of a risk example."""

    @property
    def about(self) -> str | None:
        """Label for the head of topics; risks and harmless talk are none of its business."""
        if self.label.startswith(RISK) or self.label in (HARMLESS, HARMLESS_QUESTION):
            return None
        return self.label

    @property
    def carries(self) -> str | None:
        """Label for the head of risks."""
        if self.label.startswith(RISK):
            return self.label.removeprefix(RISK)
        return None if self.written else self.risk


@dataclass(frozen=True, slots=True)
class Options:
    """What can be tuned; the defaults were chosen on left-out training examples (docs/understanding.md)."""

    words: float = 0.20
    """Share of the wording in how alike two messages are; the rest is meaning."""
    width: float = 3.0
    """How fast an example stops to count with its distance in meaning."""
    landmarks: int = 5000
    """Most examples that stand for all: memory grows with it, time with its square."""
    topic_landmarks: int = 6000
    """The same for what a message is about, taken from the examples that are about something."""
    ridge: float = 0.2
    """Trust in one example: the larger, the less does a single one decide."""
    rejected: float = 0.10
    """Share of right answers that the judge may turn away, on left-out examples."""
    close_ratio: float = 0.45
    """A second FAQ intent this near to the first (as a ratio) makes it a close call."""
    offer_mass: float = 0.15
    """Least probability that all offered FAQ intents must hold together."""
    offer_each: float = 0.05
    offer_cosine: float = 0.59
    """Nothing is offered when no training example is this near."""
    risk_noticeable: float = 0.2
    """With this much probability of a risk nothing is offered: a person may be needed."""
    risk_leads: float = 0.5
    """With this much, a message that is not about anything known is a risk intent."""
    risk_listed: float = 0.02
    urgent: float = 0.25
    """A grade is at least this urgent when so much probability lies there or above."""
    also: float = 0.7
    """A part of a message this surely about another FAQ intent is a question of its own."""


@dataclass(frozen=True, slots=True)
class Risk:
    """A category that a message may carry."""

    category: str
    chance: float
    """Of the likeliest category: that the message carries a risk at all. Of others: their own."""
    grade: str | None = None
    """The likeliest grade, or the more urgent where it is unsure; None if no grade was learned."""


@dataclass(frozen=True, slots=True)
class Understanding:
    """What we make of one message."""

    intent: str
    """The likeliest intent, also when not certain; `nlu_fallback` for a text without words."""
    confidence: float
    certain: bool
    ranking: tuple[tuple[str, float], ...] = ()
    """What it is about, likeliest first; risks are in `risks`."""
    risks: tuple[Risk, ...] = ()
    """Risk categories, likeliest first. Independent of the intent."""
    offer: tuple[str, ...] = ()
    """Slugs to choose from when it is a close call, likeliest first."""
    known: float = 0.0
    """How well the message is known: 0 is just enough to answer, more is better (no unit)."""
    also: tuple[str, ...] = ()
    """Slugs of further questions in the same message."""

    @property
    def rasa_intent(self) -> str:
        """The intent that the dialogue sees: FAQ intents as one, and the fallback when unsure."""
        if not self.certain:
            return FALLBACK
        return self.intent.split("/", 1)[0]


NOTHING: Final = Understanding(intent=FALLBACK, confidence=0.0, certain=False)
Piece = tuple[str, Vectors]
"""A part of a message in plain words, and its sentence vector."""


class TrainingError(ValueError):
    """The examples cannot be learned from."""
