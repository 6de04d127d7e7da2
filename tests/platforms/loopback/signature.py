"""Who sent a webhook: HMAC-SHA256 over the raw body, with the secret that both sides hold."""

from __future__ import annotations

import hashlib
import hmac

from bot.errors import SignatureError

HEADER = "X-Loopback-Signature"
_PREFIX = "sha256="


def sign(body: bytes, secret: str) -> str:
    """The value of the signature header for this body."""
    return _PREFIX + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def verify(body: bytes, secret: str, given: str | None) -> None:
    """Check a signature, in constant time.

    Raises:
        SignatureError: it is missing or does not belong to this body.
    """
    # Bytes on both sides: `compare_digest` refuses text that is not ASCII, and a header may be so.
    if given is None or not hmac.compare_digest(
        given.encode("utf-8", "surrogateescape"), sign(body, secret).encode()
    ):
        raise SignatureError("the signature is missing or wrong")
