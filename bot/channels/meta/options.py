"""The force's settings for one platform of Meta's, checked: a mistake is named before anything starts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bot.channels.addresses import api_url
from bot.channels.meta.traits import Traits
from bot.errors import SettingError

_TOKEN = re.compile(r"[A-Za-z0-9_|.-]{20,1000}")
_SECRET = re.compile(r"[0-9a-f]{32}")
_WORD = re.compile(r"[A-Za-z0-9_-]{1,256}")
_ID = re.compile(r"\d{5,25}")


@dataclass(frozen=True, slots=True)
class Given:
    """The settings as they stand in the environment."""

    token: str = field(repr=False)
    app_secret: str = field(repr=False)
    verify_token: str = field(repr=False)
    app_id: str
    account_id: str
    api_url: str
    human_agent: bool
    take_thread: bool
    release_thread: bool
    send_seconds: float


@dataclass(frozen=True, slots=True)
class Options:
    """How to reach the Graph API, and how Meta reaches us. The secrets are not shown when printed."""

    traits: Traits
    token: str = field(repr=False)
    app_secret: str = field(repr=False)
    verify_token: str = field(repr=False)
    app_id: str
    account_id: str
    """Our own id on the platform: the Page's, or the professional account's."""
    api_url: str
    human_agent: bool
    take_thread: bool
    release_thread: bool
    send_seconds: float
    """How long the outbox waits for one send before nobody can say."""

    @property
    def title(self) -> str:
        """What people call the platform."""
        return self.traits.title


def read_options(given: Given, traits: Traits) -> Options:
    """Check the settings of one platform.

    Raises:
        SettingError: names the variable and what to do; never says what a token or secret is.
    """
    name = traits.variable
    token, secret = check_secrets(name, given.token, given.app_secret, given.verify_token)
    for value, what in ((given.app_id, "APP_ID"), (given.account_id, traits.account)):
        if not _ID.fullmatch(value.strip()):
            raise SettingError(f"{name}{what} is needed: the number that Meta shows, digits only.")
    return Options(
        traits,
        token,
        secret,
        given.verify_token,
        given.app_id.strip(),
        given.account_id.strip(),
        api_url(given.api_url, f"{name}API_URL"),
        given.human_agent,
        given.take_thread,
        given.release_thread,
        given.send_seconds,
    )


def check_secrets(name: str, token: str, app_secret: str, verify_token: str) -> tuple[str, str]:
    """Token and app secret as they are used. `name`: how the names of these settings begin.

    Raises:
        SettingError: one of the three cannot be right.
    """
    token, secret = token.strip(), app_secret.strip()
    if not _TOKEN.fullmatch(token):
        raise SettingError(f"{name}TOKEN does not look like an access token. Copy it whole from Meta.")
    if not _SECRET.fullmatch(secret):
        raise SettingError(
            f"{name}APP_SECRET is needed: 32 letters and digits from the app's basic settings at Meta."
        )
    if not _WORD.fullmatch(verify_token):
        raise SettingError(
            f"{name}VERIFY_TOKEN is needed for the webhook: 1 to 256 letters, digits, _ or -. "
            "Make up a long one."
        )
    return token, secret
