"""What a page with the chat on it says of itself: signed by the force, and read by staff alone.

`<payload>.<signature>`, both base64url without padding. The payload is JSON, `{"topic": "…", "until":
<seconds of Unix time>}`; the signature is HMAC-SHA256 over the payload's letters
(https://www.rfc-editor.org/rfc/rfc2104). Nobody can make one up, so nobody can put words of their own
in front of staff in the force's name.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from datetime import datetime

from bot.errors import BadRequestError

LONGEST_TOPIC = 120
"""Characters: a line at the desk."""
LONGEST = 1000
"""Letters of the whole; more was not made by us, and is not worth the time to check."""
SHORTEST_KEY = 32


class IgnoredError(BadRequestError):
    """It says nothing that may be shown. `reason` is a word for the log; the person is told nothing."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"what the page says of itself is ignored: {reason}")
        self.reason = reason


def sign(key: str, topic: str, until: datetime) -> str:
    """The attribute for one page.

    Raises:
        BadRequestError: the key is missing or short, or the topic is empty, too long, or no plain line.
    """
    topic = " ".join(topic.split())
    if len(key) < SHORTEST_KEY:
        raise BadRequestError(f"Set FRONTCOUNTER_WEBCHAT_PAGE_KEY first: {SHORTEST_KEY} letters at least.")
    if not 0 < len(topic) <= LONGEST_TOPIC or not topic.isprintable():
        raise BadRequestError(f"A topic is one plain line of 1 to {LONGEST_TOPIC} characters.")
    said = json.dumps({"topic": topic, "until": int(until.timestamp())}, ensure_ascii=False)
    payload = _pack(said.encode())
    return f"{payload}.{_signature(key, payload)}"


def read(key: str, signed: str, moment: float) -> str:
    """The topic of a page, if this signature is ours and still good at `moment` (Unix time).

    Raises:
        IgnoredError: `no_key`, `form`, `signature` or `expired`.
    """
    if not key:
        raise IgnoredError("no_key")
    payload, _, signature = signed.partition(".")
    if len(signed) > LONGEST or not signed.isascii() or not payload or not signature:
        raise IgnoredError("form")
    if not hmac.compare_digest(_signature(key, payload), signature):
        raise IgnoredError("signature")
    # From here on it is what the holder of the key has written; a slip of theirs is no error either.
    try:
        said = json.loads(_unpack(payload))
        topic, until = said["topic"], float(said["until"])
    except (binascii.Error, ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise IgnoredError("form") from error
    topic = " ".join(topic.split()) if isinstance(topic, str) else ""
    if not 0 < len(topic) <= LONGEST_TOPIC or not topic.isprintable():
        raise IgnoredError("form")
    # Not `until <= moment`: a "not a number" must count as past.
    if not until > moment:
        raise IgnoredError("expired")
    return topic


def _signature(key: str, payload: str) -> str:
    return _pack(hmac.digest(key.encode(), payload.encode(), hashlib.sha256))


def _pack(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unpack(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
