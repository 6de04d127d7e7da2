"""Secrets that the database must not show in the clear: sealed with the installation's own key."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bot.errors import RefusedError, SettingError
from bot.settings import Settings

SHORTEST_KEY = 32
_PURPOSE = b"frontcounter second factor 1"
HOW = "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"


class UnreadableSecretError(RefusedError):
    """What was sealed cannot be opened with this installation's key."""

    def __init__(self) -> None:
        super().__init__(
            "The second factor cannot be read, because the key of this desk has changed. Use a recovery "
            "code, or ask your administrator to remove the second factor."
        )


class Vault:
    """Seals and opens with a key derived from `secret_key` (HKDF, then Fernet: AES-CBC with HMAC)."""

    def __init__(self, key: str) -> None:
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(key.encode())
        self._fernet = Fernet(base64.urlsafe_b64encode(derived))

    def seal(self, staff_id: int, secret: str) -> str:
        """What to keep. It belongs to that account: in another's row it opens nothing."""
        return self._fernet.encrypt(f"{staff_id}:{secret}".encode()).decode()

    def open(self, staff_id: int, sealed: str) -> str:
        """The secret.

        Raises:
            UnreadableSecretError: it was sealed with another key, or for another account.
        """
        try:
            owner, _, secret = self._fernet.decrypt(sealed.encode()).decode().partition(":")
        except InvalidToken as error:
            raise UnreadableSecretError from error
        if owner != str(staff_id):
            raise UnreadableSecretError
        return secret


def check_key(settings: Settings) -> None:
    """Make sure that this installation can keep second factors; a demonstration need not.

    Raises:
        SettingError: there is no key, or one that is too short; says how to make one.
    """
    if settings.demo:
        return
    key = settings.secret_key.get_secret_value()
    if not key:
        raise SettingError(f"Set FRONTCOUNTER_SECRET_KEY, and keep a copy of it. This makes one: {HOW}")
    if len(key) < SHORTEST_KEY:
        raise SettingError(
            f"FRONTCOUNTER_SECRET_KEY is too short: use {SHORTEST_KEY} characters or more. "
            f"This makes one: {HOW}"
        )
