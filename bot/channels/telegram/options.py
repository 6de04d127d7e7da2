"""The force's settings for Telegram, checked: a mistake is named before anything starts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bot.channels.addresses import api_url
from bot.errors import SettingError
from bot.settings import Settings

WEBHOOK_PATH = "/telegram/webhook"
WEBHOOK_PORTS = frozenset({443, 80, 88, 8443})
"""Telegram calls no other (core.telegram.org/bots/api#setwebhook)."""

_TOKEN = re.compile(r"\d{5,20}:[A-Za-z0-9_-]{30,80}")
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")


@dataclass(frozen=True, slots=True)
class Options:
    """How to reach Telegram, and how Telegram reaches us. The secrets are not shown when printed."""

    token: str = field(repr=False)
    api_url: str
    lease_seconds: float
    send_seconds: float
    webhook_url: str | None = None
    """Where Telegram is to call; None: we ask it for news (long polling)."""
    secret: str = field(default="", repr=False)

    @property
    def bot_id(self) -> str:
        """The bot's own number, which the token begins with: it is no secret."""
        return self.token.partition(":")[0]


def read_options(settings: Settings) -> Options:
    """Check the settings of Telegram.

    Raises:
        SettingError: names the variable and what to do; never says what the token or secret is.
    """
    token = settings.telegram_token.get_secret_value().strip()
    if not _TOKEN.fullmatch(token):
        raise SettingError(
            "FRONTCOUNTER_TELEGRAM_TOKEN does not look like a token. Copy it whole from BotFather: "
            "digits, a colon, then letters and digits."
        )
    api = api_url(settings.telegram_api_url, "FRONTCOUNTER_TELEGRAM_API_URL")
    if settings.telegram_mode == "poll":
        return Options(token, api, settings.lease_seconds, settings.send_timeout_seconds)
    secret = settings.telegram_secret.get_secret_value()
    if not _SECRET.fullmatch(secret):
        raise SettingError(
            "FRONTCOUNTER_TELEGRAM_SECRET is needed for the webhook: 1 to 256 letters, digits, _ or -. "
            "Make up a long one."
        )
    return Options(
        token,
        api,
        settings.lease_seconds,
        settings.send_timeout_seconds,
        _webhook_url(settings.public_url),
        secret,
    )


def _webhook_url(value: str) -> str:
    url = value.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
        raise SettingError(
            "FRONTCOUNTER_PUBLIC_URL must begin with https:// for Telegram's webhook. "
            "Without such an address set FRONTCOUNTER_TELEGRAM_MODE to poll."
        )
    if port not in WEBHOOK_PORTS:
        raise SettingError(
            "FRONTCOUNTER_PUBLIC_URL: Telegram calls only the ports 443, 80, 88 and 8443. "
            "Use one of them, or set FRONTCOUNTER_TELEGRAM_MODE to poll."
        )
    return url + WEBHOOK_PATH
