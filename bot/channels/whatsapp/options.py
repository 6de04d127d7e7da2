"""The force's settings for WhatsApp, checked: a mistake is named before anything starts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bot.channels.addresses import api_url
from bot.channels.meta.options import check_secrets
from bot.channels.whatsapp.codes import TITLE
from bot.channels.whatsapp.texts import read_texts
from bot.errors import SettingError
from bot.messages import ApprovedText
from bot.settings import Settings

PREFIX = "FRONTCOUNTER_WHATSAPP_"
_ID = re.compile(r"\d{5,25}")


@dataclass(frozen=True, slots=True)
class Options:
    """How to reach the Cloud API, and how Meta reaches us. The secrets are not shown when printed."""

    token: str = field(repr=False)
    app_secret: str = field(repr=False)
    verify_token: str = field(repr=False)
    account_id: str
    """The WhatsApp Business Account's own id."""
    number_ids: tuple[str, ...]
    """Meta's ids of our numbers, never the numbers: `106540352242922`."""
    api_url: str
    send_seconds: float
    """How long the outbox waits for one send before nobody can say."""
    per_second: float
    """How many messages leave in a second, at most, from each gateway."""
    texts: tuple[ApprovedText, ...] = ()

    @property
    def title(self) -> str:
        """What people call the platform."""
        return TITLE


def read_options(settings: Settings) -> Options:
    """Check the settings.

    Raises:
        SettingError: names the variable and what to do; never says what a token or secret is.
        ContentError: the force's whatsapp.yml is not as it must be; names the line.
    """
    token, secret = check_secrets(
        PREFIX,
        settings.whatsapp_token.get_secret_value(),
        settings.whatsapp_app_secret.get_secret_value(),
        settings.whatsapp_verify_token.get_secret_value(),
    )
    account = settings.whatsapp_account_id.strip()
    if not _ID.fullmatch(account):
        raise SettingError(
            f"{PREFIX}ACCOUNT_ID is needed: the id of the WhatsApp Business Account, digits only."
        )
    numbers = settings.whatsapp_phone_number_ids
    if not numbers or not all(_ID.fullmatch(number) for number in numbers):
        raise SettingError(
            f"{PREFIX}PHONE_NUMBER_IDS is needed: Meta's ids of your numbers, digits only, with commas "
            "between them. They are not the phone numbers."
        )
    return Options(
        token,
        secret,
        settings.whatsapp_verify_token.get_secret_value(),
        account,
        numbers,
        api_url(settings.whatsapp_api_url, f"{PREFIX}API_URL"),
        settings.send_timeout_seconds,
        settings.whatsapp_per_second,
        read_texts(settings.force),
    )
