"""What Telegram knows of our webhook (core.telegram.org/bots/api#getwebhookinfo)."""

from __future__ import annotations

from datetime import timedelta

from telegram import WebhookInfo
from telegram.error import TelegramError

from bot.channels.checks import Check, unknown
from bot.channels.telegram.api import TelegramBot, said
from bot.channels.telegram.inbound import ALLOWED
from bot.channels.telegram.options import Options
from bot.store.record import now

LATELY = timedelta(minutes=15)
"""A call that failed longer ago says nothing of now."""


async def webhook_check(bot: TelegramBot, options: Options) -> Check:
    """Whether Telegram calls us where we are, or lets us ask where we ask."""
    try:
        info = await bot.get_webhook_info()
    except TelegramError as error:
        return unknown("webhook", said(error))
    if options.webhook_url is None:
        return _asking(info)
    return _called(info, options.webhook_url)


def _asking(info: WebhookInfo) -> Check:
    if not info.url:
        return Check("webhook")
    return Check(
        "webhook",
        "Telegram calls an address, so it gives us nothing when we ask. Somebody else may use this bot.",
        "Start the gateway, which takes that address away. If it comes back, make a bot of your own.",
    )


def _called(info: WebhookInfo, ours: str) -> Check:
    if info.url != ours:
        return Check(
            "webhook",
            "Telegram calls another address than ours, or none.",
            "Start the gateway, which tells Telegram. If it comes back, somebody else uses this bot.",
        )
    failed = info.last_error_date
    if failed is not None and failed > now() - LATELY:
        # What Telegram says of it may hold the address: it stays there.
        return Check(
            "webhook",
            f"Telegram called us within the last {LATELY.seconds // 60} minutes and got no good answer.",
            "Check that the public address is reached from outside, with a certificate that holds.",
        )
    missing = sorted(set(ALLOWED) - set(info.allowed_updates or ALLOWED))
    if missing:
        return Check(
            "webhook",
            f"Telegram does not tell us of: {', '.join(missing)}.",
            "Start the gateway anew, which asks for them.",
        )
    return Check("webhook")
