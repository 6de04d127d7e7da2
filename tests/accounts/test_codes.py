"""Time codes and recovery codes by themselves."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pyotp
import pytest

from bot.accounts import check_key, codes
from bot.accounts.vault import UnreadableSecretError, Vault
from bot.errors import SettingError
from bot.settings import Settings

pytestmark = pytest.mark.unit

# The secret of RFC 6238, appendix B, "12345678901234567890", and its SHA-1 values cut to six digits.
RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
RFC_VALUES = [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")]
NOON = datetime(2026, 11, 24, 12, 0, 10, tzinfo=UTC)


@pytest.mark.parametrize(("seconds", "code"), RFC_VALUES)
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    assert codes.code_at(RFC_SECRET, moment) == code
    assert codes.step_of(RFC_SECRET, code, moment) == seconds // 30


@pytest.mark.parametrize(
    ("seconds", "taken"), [(-61, False), (-30, True), (0, True), (30, True), (61, False)]
)
def test_a_device_may_be_half_a_minute_wrong_and_no_more(seconds: int, taken: bool) -> None:
    code = codes.code_at(RFC_SECRET, NOON + timedelta(seconds=seconds))
    assert (codes.step_of(RFC_SECRET, code, NOON) is not None) is taken


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "-12345", "1e5", "\x00" * 6])
def test_what_is_no_code_is_refused(typed: str) -> None:
    assert codes.step_of(RFC_SECRET, typed, NOON) is None


def test_a_code_may_be_typed_with_a_space() -> None:
    code = codes.code_at(RFC_SECRET, NOON)
    assert codes.step_of(RFC_SECRET, f" {code[:3]} {code[3:]} ", NOON) == codes.step_at(NOON)


def test_secrets_are_new_long_and_readable_by_an_app() -> None:
    first, second = codes.new_secret(), codes.new_secret()
    assert first != second
    assert len(first) * 5 >= 160
    assert codes.grouped(first).replace(" ", "") == first
    read = pyotp.parse_uri(codes.uri(first, "mo", "A Force desk"))
    assert isinstance(read, pyotp.TOTP)
    assert (read.secret, read.name, read.issuer) == (first, "mo", "A Force desk")


def test_recovery_codes_are_ten_and_forgive_how_they_are_typed() -> None:
    made = codes.new_recovery_codes()
    assert len(set(made)) == 10
    for code in made:
        assert re.fullmatch(r"[a-z2-7]{4}(-[a-z2-7]{4}){3}", code)
    known = codes.recovery_hash(7, "abol-cdef-ghij-klmn")
    for typed in ("ABOL CDEF GHIJ KLMN", "abolcdefghijklmn", " ab0l-cdef-ghij-k1mn "):
        assert codes.recovery_hash(7, typed) == known
    assert codes.recovery_hash(8, "abol-cdef-ghij-klmn") != known
    assert codes.recovery_hash(7, "abol-cdef-ghij-klmo") != known


def test_the_vault_opens_only_for_its_key_and_its_account() -> None:
    vault = Vault("k" * 32)
    sealed = vault.seal(7, RFC_SECRET)
    assert RFC_SECRET not in sealed
    assert vault.open(7, sealed) == RFC_SECRET
    for other, staff_id, text in ((Vault("l" * 32), 7, sealed), (vault, 8, sealed), (vault, 7, "rubbish")):
        with pytest.raises(UnreadableSecretError):
            other.open(staff_id, text)


@pytest.mark.parametrize("key", ["", "short"])
def test_a_desk_without_a_key_says_how_to_make_one(key: str) -> None:
    with pytest.raises(SettingError, match=r"FRONTCOUNTER_SECRET_KEY.*token_urlsafe"):
        check_key(Settings(secret_key=key))  # type: ignore[arg-type]
    check_key(Settings(secret_key=key, demo=True))  # type: ignore[arg-type]
    check_key(Settings(secret_key="k" * 32))  # type: ignore[arg-type]
