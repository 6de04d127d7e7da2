"""Who calls: Standard Webhooks, both ways, with the keys that a site and we hold.

github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md. What is signed is the
id, the time and the body's own bytes. While a key is changed there are two: whatever either of them
signed is taken, and what leaves is signed by both.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

from bot.errors import SignatureError

ID, TIME, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64
"""Bytes of a key, as the standard says."""
WINDOW_SECONDS = 300
"""How far a call's time may be from ours: what is older is a replay."""
MOST_SIGNATURES = 10

_VERSION = "v1,"
# Without a dot, which stands between the parts of what is signed.
_ID = re.compile(r"[!-\-/-~]{1,200}")
_TIME = re.compile(r"[0-9]{1,12}")
_FEWEST_BYTES = 8
"""Different bytes that a random key has, and a made-up one has not."""

Key = bytes


def read_key(written: str) -> Key:
    """A key as it is written down: `whsec_` and base64.

    Raises:
        ValueError: it is none; says what it has to be, never what it was.
    """
    if not written.startswith(PREFIX):
        raise ValueError(f"a key begins with {PREFIX}")
    try:
        key = base64.b64decode(written.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"what follows {PREFIX} is not base64") from None
    if not SHORTEST <= len(key) <= LONGEST:
        raise ValueError(f"a key has {SHORTEST} to {LONGEST} bytes")
    if len(set(key)) < _FEWEST_BYTES:
        raise ValueError("a key is random: this one is easy to guess")
    return key


def sign(keys: Sequence[Key], identity: str, seconds: int, body: bytes) -> dict[str, str]:
    """The headers of a call: one signature by each key."""
    return {
        ID: identity,
        TIME: str(seconds),
        SIGNATURE: " ".join(
            _VERSION + base64.b64encode(_digest(key, identity, str(seconds), body)).decode() for key in keys
        ),
    }


def verify(keys: Sequence[Key], headers: Mapping[str, str], body: bytes, moment: float) -> str:
    """Check who made a call, and when. Returns its id.

    Args:
        keys: those that the site may have signed with.
        headers: of the call; their names in small letters, or a mapping that does not care.
        body: its own bytes.
        moment: now, in seconds of Unix time.

    Raises:
        SignatureError: it is not the site's, or it is too old, or too far ahead.
    """
    identity, seconds, given = (headers.get(name) or "" for name in (ID, TIME, SIGNATURE))
    if not (_ID.fullmatch(identity) and _TIME.fullmatch(seconds) and given):
        raise SignatureError(f"{ID}, {TIME} or {SIGNATURE} is missing or malformed")
    expected = [_digest(key, identity, seconds, body) for key in keys]
    offered = [
        found for word in given.split(" ")[:MOST_SIGNATURES] if (found := _signature_of(word)) is not None
    ]
    # Every pair is compared: how long it takes says nothing about which of them was near.
    fits = [hmac.compare_digest(one, other) for one in expected for other in offered]
    if not any(fits):
        raise SignatureError("the signature is missing or wrong")
    if abs(moment - int(seconds)) > WINDOW_SECONDS:
        raise SignatureError(
            f"the signature is right, but {TIME} is more than {WINDOW_SECONDS // 60} minutes from our clock"
        )
    return identity


def _signature_of(word: str) -> bytes | None:
    """The bytes of one signature; None: it is of another version, or malformed."""
    if not word.startswith(_VERSION):
        return None
    try:
        return base64.b64decode(word.removeprefix(_VERSION), validate=True)
    except (binascii.Error, ValueError):
        return None


def _digest(key: Key, identity: str, seconds: str, body: bytes) -> bytes:
    return hmac.digest(key, f"{identity}.{seconds}.".encode() + body, hashlib.sha256)
