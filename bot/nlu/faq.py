"""What the classifier learns from the metadata of a FAQ intent, beside its examples."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from bot.nlu.classifier import NO_RISK
from bot.nlu.normalise import normalise

_CONTACT: Final = re.compile(r"\[[A-Z0-9_.a-z]+\]")
_ANSWER_LETTERS: Final = 600


def risk_of(metadata: Mapping[str, Any]) -> str | None:
    """Return the risk category that messages of a FAQ intent carry, `none`, or None if some do.

    Mode E hands over to a category, so all its messages carry it; with a `condition` only some do,
    and with a `grade` of its own they are less urgent than the category's.
    """
    if metadata.get("condition") or metadata.get("grade"):
        return None
    category = metadata.get("category")
    return str(category) if metadata.get("mode") == "E" and category else NO_RISK


def written_about(metadata: Mapping[str, Any]) -> list[str]:
    """Return title and answer, normalised: more words that tell what the intent is about."""
    texts = (str(metadata.get(name) or "") for name in ("title", "answer"))
    return [text for text in (normalise(_CONTACT.sub(" ", text)[:_ANSWER_LETTERS]) for text in texts) if text]
