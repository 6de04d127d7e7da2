"""Messenger: chats with the force's Facebook Page.

In: webhooks of the Page. Out: messages by the Send API. What it shares with Instagram is in
`bot/channels/meta`; see docs/channels/messenger.md for who sets it up.
"""

from __future__ import annotations

from bot.channels.cut import utf16_units
from bot.channels.meta.options import Given, read_options
from bot.channels.meta.platform import MetaPlatform
from bot.channels.meta.traits import Traits
from bot.settings import Settings

__all__ = ["TRAITS", "Messenger"]

TRAITS = Traits(
    name="messenger",
    title="Messenger",
    object="page",
    # "Must be UTF-8 and less than 2000 characters" (…/messenger-platform/reference/send-api).
    longest=1999,
    of_letter=utf16_units,
    unit="characters",
    account="PAGE_ID",
    fields=(
        "messages", "messaging_postbacks", "message_edits", "message_echoes", "message_deliveries",
        "message_reads", "messaging_handovers", "standby",
    ),
    permissions=("pages_messaging", "pages_manage_metadata"),
    has_silent=True,
    id_field="id",
)  # fmt: skip


class Messenger(MetaPlatform):
    """Messenger as a platform of the gateway."""

    def __init__(self, settings: Settings) -> None:
        """Read the settings.

        Raises:
            SettingError: one of Messenger's settings is wrong.
        """
        given = Given(
            settings.messenger_token.get_secret_value(),
            settings.messenger_app_secret.get_secret_value(),
            settings.messenger_verify_token.get_secret_value(),
            settings.messenger_app_id,
            settings.messenger_page_id,
            settings.messenger_api_url,
            settings.messenger_human_agent,
            settings.messenger_take_thread,
            settings.messenger_release_thread,
            settings.send_timeout_seconds,
        )
        super().__init__(read_options(given, TRAITS))
