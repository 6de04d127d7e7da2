"""The few short answers that must be read without a model: yes, no, thanks, never mind."""

from __future__ import annotations

import re
from collections.abc import Iterable

_TRIM = re.compile(r"[^\w' ]+")
_YES = frozenset(
    "y yes yeah yep yup aye ay yea ok okay sure yes please it is i am yes it is safe i am safe "
    "its safe yes its safe yes i am yeh ye why aye".split()
) | {"yes please", "it is", "i am", "yes it is", "i am safe", "yes i am safe", "its safe",
     "it's safe", "yes its safe", "yes it's safe", "yes i am", "why aye", "aye it is", "safe"}  # fmt: skip
_YES = _YES - {"it", "is", "i", "am", "please", "why", "its"}
_NO = frozenset(
    {"n", "no", "nah", "nope", "na", "nee", "naw", "no thanks", "no thank you", "no ta", "not now",
     "its not", "it's not", "it is not", "no its not", "no it's not", "not safe", "no i am not",
     "im not", "i'm not", "no im not", "no its not safe", "it isnt", "it isn't"}
)  # fmt: skip
_WITHDRAW = _NO | {
    "never mind", "nevermind", "forget it", "doesnt matter", "it doesnt matter", "leave it",
    "no dont", "no do not", "no need", "no person", "dont bother", "no i dont want a person",
    "cancel", "no its ok", "no its fine", "its ok now", "no im ok", "no im fine",
}  # fmt: skip
_THANKS = re.compile(
    r"^(ok|okay|great|lovely|brilliant|champion|aye|right|perfect|that's|thats|many|much|no)?\s*"
    r"(thanks?|thank you|thankyou|thx|ta|cheers|tara|much appreciated|appreciated)"
    r"( (a lot|very much|so much|again|pet|man|mate|for (your|the|all) .{1,30}|hinny|love|x+))*$"
)


def _plain(text: str) -> str:
    return " ".join(_TRIM.sub(" ", text.casefold().replace("\u2019", "'")).split())


def is_yes(text: str) -> bool:
    """Whether the whole message is a plain yes."""
    return _plain(text) in _YES


def is_no(text: str) -> bool:
    """Whether the whole message is a plain no."""
    return _plain(text) in _NO


def is_withdrawal(text: str) -> bool:
    """Whether the whole message says that no person is wanted."""
    return _plain(text) in _WITHDRAW


def is_one_of(text: str, answers: Iterable[str]) -> bool:
    """Whether the whole message is one of these answers, such as a "no" in another language."""
    plain = _plain(text)
    return bool(plain) and any(plain == _plain(str(answer)) for answer in answers)


def is_thanks(text: str) -> bool:
    """Whether the whole message is thanks and nothing else."""
    return bool(_THANKS.match(_plain(text)))
