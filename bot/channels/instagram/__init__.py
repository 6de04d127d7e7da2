"""Instagram: direct messages to the force's professional account.

In: webhooks of the account. Out: messages by the Send API, with the token of the Page that the account
belongs to. What it shares with Messenger is in `bot/channels/meta`; see docs/channels/instagram.md for
who sets it up.
"""

from __future__ import annotations

from bot.channels.cut import utf8_bytes
from bot.channels.meta.options import Given, read_options
from bot.channels.meta.platform import MetaPlatform
from bot.channels.meta.traits import Traits
from bot.settings import Settings

__all__ = ["TRAITS", "Instagram"]

TRAITS = Traits(
    name="instagram",
    title="Instagram",
    object="instagram",
    # "UTF-8 and 1000 bytes or less" (…/messenger-platform/instagram/features/send-message).
    longest=1000,
    of_letter=utf8_bytes,
    unit="bytes",
    account="ACCOUNT_ID",
    # The Page that the account belongs to is subscribed; what Instagram tells is chosen in the app's own
    # settings, as the page says (docs/channels/instagram.md).
    fields=("messages", "messaging_postbacks", "messaging_handovers", "standby"),
    permissions=("instagram_basic", "instagram_manage_messages", "pages_manage_metadata"),
    has_silent=False,
    id_field="instagram_business_account",
)


class Instagram(MetaPlatform):
    """Instagram as a platform of the gateway."""

    def __init__(self, settings: Settings) -> None:
        """Read the settings.

        Raises:
            SettingError: one of Instagram's settings is wrong.
        """
        given = Given(
            settings.instagram_token.get_secret_value(),
            settings.instagram_app_secret.get_secret_value(),
            settings.instagram_verify_token.get_secret_value(),
            settings.instagram_app_id,
            settings.instagram_account_id,
            settings.instagram_api_url,
            settings.instagram_human_agent,
            settings.instagram_take_thread,
            settings.instagram_release_thread,
            settings.send_timeout_seconds,
        )
        super().__init__(read_options(given, TRAITS))
