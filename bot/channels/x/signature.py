"""Who calls: X's challenge, and the signature of its webhooks.

docs.x.com/x-api/webhooks/introduction ("Security") and docs.x.com/x-api/webhooks/quickstart. Both are the
same HMAC-SHA256 in base64, and whoever likes may ask for the answer to a challenge. So a challenge that
could be read as a webhook's body is never answered: the answer would be the signature of that body.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping

from bot.errors import BadRequestError, ForgedError

HEADER = "x-twitter-webhooks-signature"
CLIENT_HEADER = "x-twitter-webhooks-signature-oauth2"
"""By the client secret of OAuth 2.0; an app that has one may get both."""
_CHALLENGE = re.compile(r"[A-Za-z0-9._~:+/=-]{1,512}")
"""No bracket, no quotation mark, no space: nothing that could begin a JSON object."""


def sign(message: bytes, secret: str) -> str:
    """What X sends with a body, and what it expects for a challenge."""
    digest = hmac.new(secret.encode(), message, hashlib.sha256).digest()
    return "sha256=" + base64.b64encode(digest).decode()


def answer(challenge: str | None, consumer_secret: str, client_secret: str) -> dict[str, str]:
    """What X wants to hear to its challenge.

    Raises:
        BadRequestError: there is none, or it is no word.
    """
    if challenge is None or not _CHALLENGE.fullmatch(challenge):
        raise BadRequestError("the challenge is missing or no word")
    return {"response_token": sign(challenge.encode(), client_secret or consumer_secret)}


def verify(body: bytes, headers: Mapping[str, str], consumer_secret: str, client_secret: str) -> None:
    """Check a signature, in a time that tells nothing about it.

    Raises:
        ForgedError: it is missing or does not belong to this body.
    """
    given = headers.get(CLIENT_HEADER) if client_secret else None
    secret = client_secret
    if given is None:
        given, secret = headers.get(HEADER), consumer_secret
    # Bytes on both sides: `compare_digest` refuses text that is not ASCII, and a header may be so.
    if given is None or not hmac.compare_digest(
        given.encode("utf-8", "surrogateescape"), sign(body, secret).encode()
    ):
        raise ForgedError("the signature is missing or wrong")
