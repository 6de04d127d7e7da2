"""What a public comment may hold that harms somebody: personal data, and who a victim or witness is.

Narrower than what staff must not write (`guard.py`, whose finders it uses): a comment is hidden for forms
that are certain, never for what it thinks of the police, of anybody, or how it says so. A postcode is a
part of a town, a handle is how people talk to each other, a bare date is when something happened, and
"A1 NOW" is a road: none of them counts here.
"""

from __future__ import annotations

import re
from typing import Final

from bot.messages import Finding
from bot.safety.guard import Guard, is_said_birth

RULES: Final = ("victim", "address", "birth", "phone", "plate", "email")
"""The rules by their keys, the worst to break first."""

LEAST_DIGITS: Final = 9
_OFFICES: Final = ("03", "08")
"""Numbers that begin so are no person's."""
_NEAR: Final = 24
_ROLE = (
    r"(?:the )?(?:victims?|complainants?|witness(?:es)?|survivor)"
    r"|the (?:lass|lad|girl|boy|woman|man|child|kid|bairn|teenager|person|one)"
    r" (?:who|that) (?:was|got|were) (?:raped|attacked|assaulted|abused|groomed|stabbed|robbed|beaten|killed|murdered)"
    r"|(?:who|the one who) (?:gave evidence|reported (?:him|her|them|it)|grassed|spoke to the police)"
)
_BEFORE: Final = re.compile(
    rf"\b(?:{_ROLE})(?:['’]s name)? (?:is|was|were|are|called|named|is called|was called|is named|was named)"
    r"(?: called| named)?:? $"
    r"|\b(?:victim|witness|complainant)['’]?s? name:? (?:is|was)? ?$"
    r"|\b(?:the )?(?:victim|witness|complainant),? $",
    re.IGNORECASE,
)
"""Said straight before a name."""
_AFTER: Final = re.compile(rf"^,? (?:is|was)(?: definitely| clearly)? (?:{_ROLE})\b", re.IGNORECASE)
"""Said straight after a name."""
_PLATE: Final = re.compile(r"[a-z]{2}\d{2}[ \t\u200b-]?[a-z]{3}", re.IGNORECASE)
"""The form since 2001: no road, form or unit looks like it."""
_PLATE_WORD: Final = re.compile(
    r"\b(?:reg(?:istration)?|number plate|plates?|vrm)\b[^.!?\n]{0,24}$", re.IGNORECASE
)


def identifying(guard: Guard, text: str) -> tuple[str, ...]:
    """The rules of `RULES` that a comment breaks, the worst first; none: it may stay."""
    found = {one.kind for one in guard.find(text) if _counts(one, text)}
    if any(_names_a_victim(text, start, end) for start, end in guard.names(text)):
        found.add("victim")
    return tuple(rule for rule in RULES if rule in found)


def _counts(one: Finding, text: str) -> bool:
    words, before = text[one.start : one.end], text[max(0, one.start - _NEAR) : one.start]
    if one.kind == "phone":
        # Numbers in words have no digits to count, and are long by themselves.
        digits = "".join(letter for letter in words if letter.isdigit())
        return not digits or (len(digits) >= LEAST_DIGITS and not digits.startswith(_OFFICES))
    if one.kind == "email":
        return not words.startswith("@")
    if one.kind == "birth":
        return is_said_birth(text, one.start, one.end)
    if one.kind == "plate":
        return bool(_PLATE.fullmatch(words)) or bool(_PLATE_WORD.search(before))
    return one.kind == "address"


def _names_a_victim(text: str, start: int, end: int) -> bool:
    return bool(_BEFORE.search(text[max(0, start - 120) : start])) or bool(
        _AFTER.search(text[end : end + 120])
    )
