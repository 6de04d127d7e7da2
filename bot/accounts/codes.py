"""The numbers and letters of the second factor: time codes (RFC 6238) and recovery codes.

Pure: knows no database and no clock of its own.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime

import pyotp

STEP_SECONDS = 30
DIGITS = 6
WINDOW = 1
"""Steps before and after the present one that are taken: a device's clock may be 30 s wrong."""

RECOVERY_CODES = 10
_RECOVERY_LETTERS = 16
"""Sixteen letters of base32 are 80 bits: enough for a plain hash, which a password's would not be."""
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_LOOK_ALIKES = str.maketrans({"0": "o", "1": "l", "8": "b"})


def new_secret() -> str:
    """A secret of 160 bits, as RFC 4226 (section 4, R6) recommends, in base32."""
    return pyotp.random_base32(32)


def grouped(secret: str) -> str:
    """The secret in groups of four, to be typed."""
    return " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))


def uri(secret: str, username: str, issuer: str) -> str:
    """What the QR code says (the Key Uri Format that authenticator apps read)."""
    return pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name=issuer)


def code_at(secret: str, moment: datetime) -> str:
    """The code that a device shows at that moment."""
    return pyotp.TOTP(secret).generate_otp(step_at(moment))


def step_at(moment: datetime) -> int:
    """The number of the time step of a moment."""
    return int(moment.timestamp()) // STEP_SECONDS


def step_of(secret: str, code: str, moment: datetime) -> int | None:
    """The time step that a typed code belongs to, if it is one of the three around `moment`."""
    typed = "".join(code.split())
    if len(typed) != DIGITS or not (typed.isascii() and typed.isdigit()):
        return None
    device, present = pyotp.TOTP(secret), step_at(moment)
    found = None
    for step in range(present - WINDOW, present + WINDOW + 1):
        # All three are compared, so that the time of an answer tells nothing.
        if hmac.compare_digest(device.generate_otp(step), typed):
            found = step
    return found


def new_recovery_codes() -> list[str]:
    """Ten codes to be shown once."""
    return [_recovery_code() for _ in range(RECOVERY_CODES)]


def _recovery_code() -> str:
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(_RECOVERY_LETTERS))
    return "-".join(letters[at : at + 4] for at in range(0, _RECOVERY_LETTERS, 4))


def recovery_hash(staff_id: int, code: str) -> str:
    """What is kept of a recovery code, however it was typed."""
    plain = "".join(letter for letter in code.lower() if letter.isalnum()).translate(_LOOK_ALIKES)
    return hashlib.sha256(f"{staff_id}:{plain}".encode()).hexdigest()
