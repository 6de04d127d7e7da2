"""Telegram calls us: the route on the public listener, and the word to Telegram where it is."""

from __future__ import annotations

import asyncio
import hmac
import json
from typing import Any

import structlog
from sanic import Blueprint, HTTPResponse, Request
from sanic import json as json_response
from telegram.error import InvalidToken, TelegramError

from bot.channels.telegram.api import BusyError, TelegramBot, said
from bot.channels.telegram.inbound import ALLOWED
from bot.channels.telegram.intake import Intake
from bot.channels.telegram.options import WEBHOOK_PATH, Options
from bot.channels.telegram.profile import set_profile
from bot.errors import BadRequestError, SignatureError

log = structlog.get_logger(__name__)

HEADER = "X-Telegram-Bot-Api-Secret-Token"
MAX_CONNECTIONS = 40
"""How many calls Telegram makes at once (1 to 100, core.telegram.org/bots/api#setwebhook)."""
CHECK_SECONDS = 300.0
LONGEST_PAUSE_SECONDS = 60.0


def add_route(blueprint: Blueprint, intake: Intake, options: Options) -> None:
    """`POST /telegram/webhook`: 401 without the secret, 200 after the commit, else it comes again."""

    @blueprint.post(WEBHOOK_PATH, name="webhook")
    async def _webhook(request: Request) -> HTTPResponse:
        verify(request.headers.get(HEADER), options.secret)
        await intake.take([read_body(request.body)])
        return json_response({})


def verify(given: str | None, secret: str) -> None:
    """Compare the secret, in a time that tells nothing about it.

    Raises:
        SignatureError: it is missing or wrong.
    """
    held = secret.encode()
    if given is None or not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), held):
        raise SignatureError("the secret is missing or wrong")


def read_body(body: bytes) -> dict[str, Any]:
    """One update as plain JSON.

    Raises:
        BadRequestError: it is no update of Telegram's.
    """
    try:
        loaded = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequestError("the body is not JSON") from error
    if not isinstance(loaded, dict) or not isinstance(loaded.get("update_id"), int):
        raise BadRequestError("the body is no update")
    return loaded


async def keep_webhook(bot: TelegramBot, intake: Intake, options: Options) -> None:
    """Tell Telegram where we are, until it knows; then look now and again whether it still does.

    What waits at Telegram is never dropped.
    """
    failures = 0
    profile_set = False
    while True:
        try:
            if (await bot.get_webhook_info()).url != options.webhook_url or failures or not profile_set:
                await bot.set_webhook(
                    options.webhook_url or "",
                    secret_token=options.secret,
                    allowed_updates=ALLOWED,
                    max_connections=MAX_CONNECTIONS,
                    drop_pending_updates=False,
                )
                log.info("telegram.webhook_set")
        except TelegramError as error:
            failures += 1
            if isinstance(error, InvalidToken):
                log.error("telegram.token_refused")
            else:
                log.warning("telegram.webhook_not_set", reason=said(error), failures=failures)
            pause = min(LONGEST_PAUSE_SECONDS, 0.5 * 2 ** min(failures, 8))
            await asyncio.sleep(max(pause, error.seconds if isinstance(error, BusyError) else 0.0))
            continue
        except Exception as error:
            # Nobody else tells Telegram where we are: whatever this was, it is tried again.
            failures += 1
            log.error("telegram.webhook_broke", error=type(error).__name__)
            await asyncio.sleep(LONGEST_PAUSE_SECONDS)
            continue
        if not profile_set:
            await set_profile(bot, intake.content)
            profile_set = True
        failures = 0
        await asyncio.sleep(CHECK_SECONDS)
