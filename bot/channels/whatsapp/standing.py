"""What Meta says of our account: its quality, its limits, its approved texts.

developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference:
`phone_number_quality_update`, `account_update`, `message_template_status_update`. Our own phone number,
which some of them name, is kept as a digest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

import structlog

from bot.channels.meta.readings import moment, text
from bot.messages import Standing
from bot.store.record import now

log = structlog.get_logger(__name__)

Json = Mapping[str, Any]

NAME: Final = "whatsapp"
TEXT: Final = "text:"
_WORD: Final = re.compile(r"[A-Z][A-Z_]{0,63}")
_TEMPLATE: Final = re.compile(r"[a-z0-9_]{1,100}")
_QUALITY: Final = {
    "DOWNGRADE": True, "FLAGGED": True,
    "ONBOARDING": False, "THROUGHPUT_UPGRADE": False, "UNFLAGGED": False, "UPGRADE": False,
}  # fmt: skip
_ACCOUNT: Final = {
    "ACCOUNT_DELETED": True, "ACCOUNT_OFFBOARDED": True, "ACCOUNT_RESTRICTION": True,
    "ACCOUNT_VIOLATION": True, "DISABLED_UPDATE": True, "PARTNER_REMOVED": True,
    "ACCOUNT_RECONNECTED": False, "REINSTATE": False, "VERIFIED_ACCOUNT": False,
}  # fmt: skip
_APPROVED: Final = frozenset({"APPROVED", "REINSTATED", "UNPAUSED"})


def read(name: str, value: Json, entry: Json, texts: frozenset[str]) -> list[Standing]:
    """One change of our account's, or of one of our `texts`; nothing for those that mean nothing to us."""
    read_one = {
        "phone_number_quality_update": _quality,
        "account_update": _account,
        "message_template_status_update": _template,
    }.get(name)
    found = None if read_one is None else read_one(value, text(value.get("event")))
    if found is None:
        log.info("whatsapp.passed_over", channel=NAME, kind=name if _TEMPLATE.fullmatch(name) else "another")
        return []
    account, topic, says, degraded = found
    if topic.startswith(TEXT) and topic.removeprefix(TEXT) not in texts:
        return []
    if not _WORD.fullmatch(says):
        return []
    at = moment(entry.get("time")) or now()
    return [Standing(NAME, account or str(entry.get("id"))[:64], topic, says, degraded, at)]


Found = tuple[str, str, str, bool]


def _quality(value: Json, event: str) -> Found | None:
    if event not in _QUALITY:
        return None
    number = text(value.get("display_phone_number"))
    return (
        f"n.{hashlib.sha256(number.encode(errors='replace')).hexdigest()[:16]}",
        "quality",
        event,
        _QUALITY[event],
    )


def _account(value: Json, event: str) -> Found | None:
    ban = value.get("ban_info")
    state = text(ban.get("waba_ban_state")) if isinstance(ban, dict) else ""
    says = state if event == "DISABLED_UPDATE" and state else event
    if event not in _ACCOUNT:
        return None
    return "", "account", says, _ACCOUNT.get(says, True)


def _template(value: Json, event: str) -> Found | None:
    name = text(value.get("message_template_name"))
    if not event or not _TEMPLATE.fullmatch(name):
        return None
    return "", f"{TEXT}{name}", event, event not in _APPROVED
