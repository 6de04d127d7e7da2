"""The force's settings for X, checked: a mistake is named before anything starts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bot.channels.addresses import api_url
from bot.errors import SettingError
from bot.settings import Settings

WEBHOOK_PATH = "/x/webhook"
_KEY = re.compile(r"[A-Za-z0-9]{10,100}")
_SECRET = re.compile(r"[A-Za-z0-9]{20,200}")
_TOKEN = re.compile(r"(\d{1,25})-[A-Za-z0-9]{20,200}")
_CLIENT_SECRET = re.compile(r"[A-Za-z0-9_-]{20,200}")


@dataclass(frozen=True, slots=True)
class Options:
    """How to reach X, and how X reaches us. The secrets are not shown when printed."""

    consumer_key: str = field(repr=False)
    consumer_secret: str = field(repr=False)
    access_token: str = field(repr=False)
    access_secret: str = field(repr=False)
    client_secret: str = field(repr=False)
    """Signs the webhooks of an app that has one; empty: the consumer secret does."""
    api_url: str
    send_seconds: float
    lease_seconds: float
    poll_seconds: float
    """The shortest time between two looks: each message that a look returns may cost money."""
    silent_seconds: float
    """How long nothing may come from X before the channel is called degraded."""
    webhook_url: str | None = None
    """Where X is to call; None: we ask it for news."""
    mentions: bool = False
    """Posts that mention the account are read too."""

    @property
    def user_id(self) -> str:
        """The force's own account, with whose number the access token begins: it is no secret."""
        return self.access_token.partition("-")[0]


def read_options(settings: Settings) -> Options:
    """Check the settings of X.

    Raises:
        SettingError: names the variable and what to do; never says what a token or secret is.
    """
    given = {
        "CONSUMER_KEY": (settings.x_consumer_key.get_secret_value(), _KEY),
        "CONSUMER_SECRET": (settings.x_consumer_secret.get_secret_value(), _SECRET),
        "ACCESS_TOKEN": (settings.x_access_token.get_secret_value(), _TOKEN),
        "ACCESS_SECRET": (settings.x_access_secret.get_secret_value(), _SECRET),
    }
    values = {}
    for name, (value, form) in given.items():
        values[name] = value.strip()
        if not form.fullmatch(values[name]):
            raise SettingError(
                f"FRONTCOUNTER_X_{name} is missing or does not look right. Copy it whole from X's "
                "developer console, under keys and tokens."
            )
    client_secret = settings.x_client_secret.get_secret_value().strip()
    if client_secret and not _CLIENT_SECRET.fullmatch(client_secret):
        raise SettingError(
            "FRONTCOUNTER_X_CLIENT_SECRET does not look right. Copy the OAuth 2.0 client secret whole, or "
            "leave it empty if the app has none."
        )
    return Options(
        values["CONSUMER_KEY"],
        values["CONSUMER_SECRET"],
        values["ACCESS_TOKEN"],
        values["ACCESS_SECRET"],
        client_secret,
        api_url(settings.x_api_url, "FRONTCOUNTER_X_API_URL"),
        settings.send_timeout_seconds,
        settings.lease_seconds,
        settings.x_poll_seconds,
        settings.x_silent_minutes * 60,
        _webhook_url(settings.public_url) if settings.x_mode == "webhook" else None,
        settings.x_mentions,
    )


def _webhook_url(value: str) -> str:
    """docs.x.com/x-api/webhooks/introduction: HTTPS, and no port in the address."""
    url = value.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
        raise SettingError(
            "FRONTCOUNTER_PUBLIC_URL must begin with https:// for X's webhook. "
            "Without such an address set FRONTCOUNTER_X_MODE to poll."
        )
    if port is not None:
        raise SettingError(
            "FRONTCOUNTER_PUBLIC_URL: X calls no address with a port in it. "
            "Take the port away, or set FRONTCOUNTER_X_MODE to poll."
        )
    return url + WEBHOOK_PATH
