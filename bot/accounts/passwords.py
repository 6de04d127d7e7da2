"""Passwords: argon2id, worked out away from the event loop and never more than two at a time."""

from __future__ import annotations

import asyncio
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from bot.errors import RefusedError

_HASHER = PasswordHasher()
"""The library's defaults follow RFC 9106 (low memory): 64 MiB and three passes for each."""

_AT_ONCE = 2
"""Each takes 64 MiB: a flood of sign-ins must not take the machine's memory."""

_gates: dict[int, asyncio.Semaphore] = {}

SHORTEST = 12
LONGEST = 256
FEWEST_DIFFERENT = 5

NONE = "!"
"""Kept instead of a hash where no password is set: none is ever right."""


def _gate() -> asyncio.Semaphore:
    loop = id(asyncio.get_running_loop())
    if loop not in _gates:
        _gates.clear()
        _gates[loop] = asyncio.Semaphore(_AT_ONCE)
    return _gates[loop]


async def hash_password(password: str) -> str:
    """The hash to keep."""
    async with _gate():
        return await asyncio.to_thread(_HASHER.hash, password)


async def is_right(password_hash: str | None, password: str) -> bool:
    """Whether the password fits. Without a hash, or without a password, it takes as long and is never right.

    So the time of an answer does not tell whether an account exists.
    """
    async with _gate():
        return await asyncio.to_thread(_verify, password_hash, password[:LONGEST])


_DECOY = _HASHER.hash(secrets.token_urlsafe(16))


def _verify(password_hash: str | None, password: str) -> bool:
    if password_hash == NONE:
        password_hash = None
    try:
        _HASHER.verify(password_hash or _DECOY, password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


def check_password(password: str, username: str = "") -> None:
    """Refuse a password that is easy to guess. Length counts most; nothing else is asked of its letters.

    Raises:
        RefusedError: says what to change.
    """
    if len(password) < SHORTEST:
        raise RefusedError(
            f"Use {SHORTEST} letters or more. Three words that do not belong together are good."
        )
    if len(password) > LONGEST:
        raise RefusedError(f"Use {LONGEST} letters at most.")
    if len(set(password.lower())) < FEWEST_DIFFERENT:
        raise RefusedError("This password repeats itself. Use more different letters.")
    if len(username) > 3 and username.lower() in password.lower():
        raise RefusedError("Leave your user name out of the password.")


def new_password() -> str:
    """A password that nobody chose: 96 bits, easy to copy."""
    return "-".join(secrets.token_hex(3) for _ in range(4))
