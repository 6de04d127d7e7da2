"""Finds the numbers and addresses of the contact register in a text, so that they can be pressed.

The result is a list of pieces, never markup: the page makes a text node or a link of each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.assistant.content import Content

_NUMBER = re.compile(r"\+?\d[\d ]*")
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+(/[\w./-]*)?", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+-]+@[a-z0-9-]+(\.[a-z0-9-]+)+", re.IGNORECASE)
_HTTPS = r"https://[^\s<>\"']*[\w/#=]"


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text; `href` is tel:, mailto: or https:, or None where it is only text."""

    text: str
    href: str | None = None

    @property
    def is_web(self) -> bool:
        """Whether it leads to a page, which opens beside the chat."""
        return self.href is not None and self.href.startswith("https:")

    def as_json(self) -> dict[str, str]:
        """The same for the page's script."""
        return {"text": self.text} if self.href is None else {"text": self.text, "href": self.href}


class Linker:
    """Cuts texts into pieces by the register of one release."""

    def __init__(self, content: Content) -> None:
        self.sha256 = content.sha256
        self._targets = _targets(content.contacts)
        # "text 999" and "999 BSL" are not calls. Longest first: "18001 101" before "101", "999bsl.co.uk" before "999".
        known = sorted(self._targets, key=len, reverse=True)
        forms = [_HTTPS, *(_form(words) for words in known)]
        self._pattern = re.compile(
            r"(?<![\w@£+/-])(?<!\d[.,])(?<!\w\.)(?<!\btext )(?:"
            + "|".join(forms)
            + r")(?![\w@-]|[.,:]\d|\.\w| BSL)",
            re.IGNORECASE,
        )

    def pieces(self, text: str) -> list[Piece]:
        """The text as pieces, in order; joined they are the text again."""
        found: list[Piece] = []
        end = 0
        for match in self._pattern.finditer(text):
            if match.start() > end:
                found.append(Piece(text[end : match.start()]))
            found.append(Piece(match[0], self._href(match[0])))
            end = match.end()
        if end < len(text):
            found.append(Piece(text[end:]))
        return found

    def _href(self, words: str) -> str | None:
        if words.lower().startswith("https://"):
            return words
        return self._targets.get(_key(words))


def _key(words: str) -> str:
    return words.replace(" ", "").lower()


def _form(key: str) -> str:
    if key.lstrip("+").isdecimal():
        # People group digits as they like; the spaces are not part of the number.
        return " ?".join(re.escape(digit) for digit in key)
    return re.escape(key)


def _targets(contacts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What can be pressed, without spaces, and where it leads."""
    targets: dict[str, str] = {}
    for contact in contacts.values():
        tel = _key(str(contact.get("tel") or ""))
        said = {"say": contact.get("say"), **(contact.get("parts") or {})}
        for name, value in said.items():
            words = str(value or "").strip()
            key = _key(words)
            if _NUMBER.fullmatch(words):
                # A number for texts (say, 85258) cannot be called: only what the register can dial.
                if key == tel or name == "phone":
                    targets.setdefault(key, f"tel:{key}")
            elif _EMAIL.fullmatch(words):
                targets.setdefault(key, f"mailto:{words}")
            elif _DOMAIN.fullmatch(words):
                targets.setdefault(key, f"https://{words}")
        if tel:
            targets.setdefault(tel, f"tel:{tel}")
    return targets
