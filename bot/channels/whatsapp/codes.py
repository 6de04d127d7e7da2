"""What the Cloud API's own codes mean for a message of ours.

developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes: errors come with the
answer of a call, or later with the status `failed`. Meta asks to go by the code alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bot.channels.meta.api import Codes, Failure, GraphError

TITLE: Final = "WhatsApp"

_BY_KIND: Final[Mapping[Failure, tuple[int, ...]]] = {
    # The app's calls, the account's, the number's throughput, too much that was unwanted, too much to
    # one person (".../whatsapp/throughput": about one message in six seconds), registering.
    "busy": (4, 80007, 130429, 131048, 131056, 133016),
    # Away for the moment, starting, being moved to a higher throughput.
    "not_taken": (131016, 131057, 133004, 133005),
    # Something unknown went wrong at Meta.
    "server": (1, 2, 131000),
    "token": (190,),
    # More than 24 hours since the person last wrote.
    "window": (131047,),
    # Blocked for its policies, locked, no right, display name, payment, certificate, number not
    # registered or gone.
    "locked": (3, 10, *range(200, 300), 33, 368, 131005, 131031, 131037, 131042, 131045, 133010),
    # Not on WhatsApp, an old app or terms not accepted; another country; no test number; ourselves;
    # part of an experiment; had enough of templates, or wants none.
    "undelivered": (130472, 130497, 131021, 131026, 131030, 131049, 131050),
    # Number of places, no such text or language, too long, policy, format, paused, switched off.
    "template": (132000, 132001, 132005, 132007, 132012, 132015, 132016, 132018, 132068, 132069),
}
CODES: Final = Codes(
    kinds={code: kind for kind, codes in _BY_KIND.items() for code in codes},
    # Where no header says it. One person's limit ends after six seconds; the others count by the hour.
    seconds={4: 60.0, 80007: 60.0, 130429: 2.0, 131048: 300.0, 131056: 6.0},
)
_LATER: Final = frozenset({"busy", "not_taken", "server"})
_AGAIN: Final = _LATER | {"locked", "token"}
"""What is tried again for words of danger: an account can be mended while somebody waits."""


def is_temporary(code: int) -> bool:
    """Whether the same words, of danger, may arrive when they are sent once more."""
    return CODES.kinds.get(code) in _AGAIN


def said(code: int) -> str:
    """Why a message did not arrive, in our words: Meta's own may hold a number."""
    kind = CODES.kinds.get(code, "refused")
    if kind in _LATER:
        return f"{TITLE} could not deliver it for now (code {code})"
    return str(GraphError(kind, TITLE, 0, code))
