"""Who calls: the signature of a webhook, and the word with which Meta begins.

developers.facebook.com/docs/messenger-platform/webhooks, "Verification Requests" and "Validating
Payloads".
"""

from __future__ import annotations

import hashlib
import hmac
import re

from bot.errors import BadRequestError, ForgedError

HEADER = "X-Hub-Signature-256"
_PREFIX = "sha256="
_CHALLENGE = re.compile(r"[A-Za-z0-9._-]{1,256}")


def sign(body: bytes, app_secret: str) -> str:
    """What the header says of a body: HMAC-SHA256 over its raw bytes, by the app's secret."""
    return _PREFIX + hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest()


def verify(body: bytes, app_secret: str, given: str | None) -> None:
    """Check a signature, in a time that tells nothing about it.

    Raises:
        ForgedError: it is missing or does not belong to this body.
    """
    # Bytes on both sides: `compare_digest` refuses text that is not ASCII, and a header may be so.
    if given is None or not hmac.compare_digest(
        given.encode("utf-8", "surrogateescape"), sign(body, app_secret).encode()
    ):
        raise ForgedError("the signature is missing or wrong")


def challenge(mode: str | None, word: str | None, said: str | None, verify_token: str) -> str:
    """What to answer when Meta asks whether this address is ours.

    Raises:
        ForgedError: the word is missing or wrong.
        BadRequestError: there is nothing to say back.
    """
    known = hmac.compare_digest((word or "").encode("utf-8", "surrogateescape"), verify_token.encode())
    if mode != "subscribe" or not known:
        raise ForgedError("the verify token is missing or wrong")
    if said is None or not _CHALLENGE.fullmatch(said):
        raise BadRequestError("the challenge is missing or no word")
    return said
