"""What made-up people ask, and the approved answers that they should get."""

from __future__ import annotations

import random
from pathlib import Path

from bot.assistant.content import content_from_files
from bot.safety import Screen

# Plain questions that raise nothing, one for each answer. The stand-in for Rasa knows the words.
_QUESTIONS = {
    "noise": "noise complaint",
    "lost-passport": "lost passport",
    "lost-property": "lost property office",
    "parking": "parking on the pavement",
    "dbs-check": "dbs check",
    "subject-access": "my data request",
    "station-opening-hours": "station opening hours",
    "found-property": "found property",
    "contact-101-wait": "wait on 101",
    "speeding-notice": "speeding notice",
    "neighbourhood-team": "neighbourhood team",
    "other-force": "another force",
    "contact-from-abroad": "calling from abroad",
    "lost-licence-cards": "lost licence card",
    "scam-text-email": "odd text message",
    "feedback-on-bot": "feedback on this",
    "crime-reference": "crime reference",
    "bot-what-are-you": "are you a robot",
}
_DANGER = (
    "there is a man with a knife here now",
    "he has a knife and is attacking me now",
    "someone is breaking into my house right now",
)
_SPLIT = (
    ("i am going to kill", "myself tonight"),
    ("there is a man here with a", "knife and he is attacking me now"),
    ("he is going to", "stab me now"),
    ("i want to kill", "myself"),
    ("my husband is", "strangling me"),
)


class Questions:
    """Questions, the words by which the stand-in knows them, and what the checker must know."""

    def __init__(self, force: Path, data: Path) -> None:
        """Read the same files as a gateway does."""
        content = content_from_files(force, data)
        screen = Screen.load(data / "risk")
        self._screen = screen
        self.phrases = {
            phrase: slug
            for slug, phrase in _QUESTIONS.items()
            if slug in content.faqs and not screen.check(phrase).hits and not screen.check(phrase).ask
        }
        self._texts = {slug: phrase for phrase, slug in self.phrases.items()}
        self.slugs = sorted(self._texts)
        self.answers = {slug: content.answer(slug) or "" for slug in self.slugs}
        self.wording = {
            "answers": self.answers,
            "mark": content.line("automated_mark"),
            "opening": content.line("opening_automated"),
            "not_understood": content.line("not_understood"),
        }
        self.line = content.line
        self.desk_name = content.desk_name
        self.danger = next(
            (t for t in _DANGER if (worst := screen.check(t).worst) and worst.priority == "P1"), ""
        )
        self.split = [
            pair
            for pair in _SPLIT
            if not any(h.priority == "P1" for part in pair for h in screen.check(part).hits)
            and any(h.priority == "P1" for h in screen.check_joined([pair[0]], pair[1]).hits)
            and any(h.priority == "P1" for h in screen.check_joined([pair[1]], pair[0]).hits)
        ]
        self.split_in_order = [
            pair
            for pair in _SPLIT
            if not any(h.priority == "P1" for part in pair for h in screen.check(part).hits)
            and any(h.priority == "P1" for h in screen.check_joined([pair[0]], pair[1]).hits)
        ]

    def text(self, slug: str) -> str:
        """The question that this answer answers."""
        return self._texts[slug]

    def some(self, chance: random.Random, count: int) -> list[str]:
        """`count` different slugs, whose questions raise nothing when they are read together."""
        chosen: list[str] = []
        for slug in chance.sample(self.slugs, len(self.slugs)):
            earlier = [self.text(other) for other in chosen[-5:]]
            if earlier and self._screen.check_joined(earlier, self.text(slug)).hits:
                continue
            chosen.append(slug)
            if len(chosen) == count:
                break
        return chosen
