"""Take typing noise out of a message before the model reads it.

Pure, and milder than the safety screen's own: the model has seen slang and typos in training, so
only what hides a word from it is changed.
"""

from __future__ import annotations

import re
import unicodedata

_QUOTES = str.maketrans({"’": "'", "‘": "'", "`": "'", "“": '"', "”": '"', "–": "-", "—": "-"})
_LINK = re.compile(r"\b(?:https?://|www\.)\S+", re.IGNORECASE)
# "helpppp", "nooooo": a word's last letter. Some words do end in two l, s or e.
_STRETCHED_END = re.compile(r"([^\W\d_])\1{2,}\b")
_STRETCHED = re.compile(r"([^\W\d_])\1{2,}")
_REPEATED_MARK = re.compile(r"([^\w\s])\1+")
_DOUBLE_AT_END = frozenset("lse")


def _shorten_end(match: re.Match[str]) -> str:
    letter = match.group(1)
    return letter * 2 if letter in _DOUBLE_AT_END else letter


def _is_noise(char: str) -> bool:
    """Say whether a character carries no word: emoji, symbols, zero-width and control marks."""
    category = unicodedata.category(char)
    return category in ("So", "Sk", "Cf", "Cc", "Co", "Cs", "Cn") or char in "\ufe0f\u20e3"


def normalise(text: str) -> str:
    """Return `text` in lower case, without emoji, stretched letters or invisible marks."""
    text = unicodedata.normalize("NFKC", text).translate(_QUOTES).casefold()
    text = _LINK.sub(" link ", text)
    # Format marks join the letters around them; symbols and line breaks stand between words.
    text = "".join("" if unicodedata.category(c) == "Cf" else " " if _is_noise(c) else c for c in text)
    text = _STRETCHED_END.sub(_shorten_end, text)
    text = _STRETCHED.sub(r"\1\1", text)
    text = _REPEATED_MARK.sub(r"\1", text)
    return " ".join(text.split())


def has_words(text: str) -> bool:
    """Say whether anything in a normalised text can be understood at all."""
    return any(char.isalnum() for char in text)
