"""What Telegram shows around the chat: who we are before the first message, and the menu."""

from __future__ import annotations

import structlog
from telegram import BotCommand
from telegram.error import TelegramError

from bot.assistant import LiveContent
from bot.channels.telegram.api import TelegramBot, said
from bot.channels.telegram.inbound import PERSON_COMMAND
from bot.errors import ContentError

log = structlog.get_logger(__name__)

LONGEST_DESCRIPTION = 512
"""Of a bot's description (core.telegram.org/bots/api#setmydescription)."""


async def set_profile(bot: TelegramBot, content: LiveContent) -> None:
    """Set the description and the menu with the way to a person. If it fails, the chat works without."""
    words = content.current.for_channel("telegram")
    try:
        await bot.set_my_description(words.line("opening_description")[:LONGEST_DESCRIPTION])
        await bot.set_my_commands([BotCommand(PERSON_COMMAND.lstrip("/"), words.line("talk_to_person"))])
    except TelegramError as error:
        log.warning("telegram.profile_not_set", reason=said(error))
    except ContentError as error:
        log.error("telegram.profile_not_set", reason=str(error))
