"""The way out: plain text, our buttons, and what each answer of Telegram's means for the outbox.

| Telegram | the outbox hears |
|---|---|
| taken | sent |
| 429, 503, no connection, token refused | not taken, try again |
| 500, 502, 504, no answer in time | nobody can say |
| 400, 403 | never |

502 is Telegram's front server that had no answer from the one behind it. Mostly the message was not
taken, but people do report doubles after a repeat, so it counts as "nobody can say".
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog
from telegram import InlineKeyboardButton, InlineKeyboardMarkup, LinkPreviewOptions
from telegram.error import BadRequest, ChatMigrated, Forbidden, InvalidToken, TelegramError

from bot.channels.cut import utf16_units
from bot.channels.render import NOTHING, Around, Choice, Layout, render
from bot.channels.telegram.api import BusyError, NotSentError, ServerError, TelegramBot, said
from bot.channels.telegram.pacing import Pacing
from bot.conversations.words import SAFE_YES
from bot.errors import RejectedError, RetryLaterError, SendError, UnsureError
from bot.messages import Outgoing, Sent

log = structlog.get_logger(__name__)

NAME = "telegram"
MAX_UNITS = 4096
"""Of one message, after entities (core.telegram.org/bots/api#sendmessage), in UTF-16 code units."""
LAYOUT = Layout(NAME, MAX_UNITS, utf16_units, most_buttons=100, person_button=True)
"""A keyboard under the message, one button in a row; any words fit."""
WAIT_SHARE = 0.25
"""Of the outbox's patience, for a place in line; more than that, and the row goes back to it."""
PARTS_SHARE = 0.35
"""Of the same: after so long the rest of a long text is left for the next attempt."""
TOKEN_REFUSED_SECONDS = 60.0
_NO_PREVIEW = LinkPreviewOptions(is_disabled=True)
_GONE = ("chat not found", "user is deactivated", "bot was blocked", "user not found", "peer_id_invalid")


class TelegramChannel:
    """Sends to Telegram (see `bot.messages.Channel`)."""

    name = NAME
    in_store = False
    layout = LAYOUT
    max_text = MAX_UNITS

    def __init__(self, bot: TelegramBot, bot_id: str, send_seconds: float) -> None:
        """`send_seconds`: how long the outbox waits for one send before nobody can say."""
        self._bot = bot
        self._bot_id = bot_id
        self._pacing = Pacing()
        self._longest_wait = send_seconds * WAIT_SHARE
        self._for_parts = send_seconds * PARTS_SHARE
        self.around: Callable[[], Around] = lambda: NOTHING
        """The words that stand beside every answer, once there are any."""

    async def send(self, person: str, outgoing: Outgoing) -> Sent:
        """Deliver one message, in as many parts as it needs, each of them once.

        Raises:
            RetryLaterError: not taken, or not all: `parts_sent` says how far it got.
            UnsureError, RejectedError: as `bot.messages.Channel.send` says.
        """
        shown = render(outgoing, LAYOUT, self.around())
        parts = shown.parts
        if not parts or outgoing.parts_sent >= len(parts):
            raise RejectedError("there is nothing to send")
        if not person.lstrip("-").isdecimal():
            raise RejectedError("this is no chat of Telegram's")
        began = time.monotonic()
        message_id = 0
        for number in range(outgoing.parts_sent, len(parts)):
            if number > outgoing.parts_sent and time.monotonic() - began > self._for_parts:
                raise RetryLaterError("the rest follows", 0.0, parts_sent=number)
            markup = _keyboard(shown.choices) if number == len(parts) - 1 else None
            try:
                await self._wait_for_place(person, outgoing)
                message_id = await self._part(person, parts[number], markup, quiet=_is_hidden(outgoing))
            except RetryLaterError as error:
                raise RetryLaterError(str(error), error.retry_after_seconds, parts_sent=number) from None
        return Sent(identity_of(self._bot_id, person, message_id))

    async def _wait_for_place(self, person: str, outgoing: Outgoing) -> None:
        if outgoing.kind == "safety":
            self._pacing.count(person)
            return
        wait = self._pacing.wait_for(person, longest=self._longest_wait)
        if wait > self._longest_wait:
            raise RetryLaterError("many messages are on their way", wait)
        if wait:
            await asyncio.sleep(wait)

    async def _part(self, person: str, text: str, markup: InlineKeyboardMarkup | None, *, quiet: bool) -> int:
        try:
            message = await self._bot.send_message(
                int(person),
                text,
                link_preview_options=_NO_PREVIEW,
                reply_markup=markup,
                disable_notification=quiet,
            )
        except TelegramError as error:
            failure = what_became_of(error)
        else:
            return message.message_id
        # Outside the handler: the library's error does not travel along.
        raise failure


def _keyboard(choices: Sequence[Choice]) -> InlineKeyboardMarkup | None:
    """One button in a row."""
    rows = [[InlineKeyboardButton(one.title, callback_data=one.token)] for one in choices]
    return InlineKeyboardMarkup(rows) if rows else None


def identity_of(bot_id: str, chat: int | str, message: int) -> str:
    """The id of a message, as nobody else has it: of this bot, in this chat."""
    return f"{bot_id}:{chat}.{message}"


def _is_hidden(outgoing: Outgoing) -> bool:
    """Whether it asks if it is safe to chat: then the telephone of who wrote must make no sound."""
    return any(button.payload == SAFE_YES for button in outgoing.buttons)


def what_became_of(error: TelegramError) -> SendError:
    """The same failure in the words of the outbox."""
    if isinstance(error, BusyError):
        return RetryLaterError(said(error), error.seconds)
    if isinstance(error, InvalidToken):
        log.error("telegram.token_refused")
        return RetryLaterError(said(error), TOKEN_REFUSED_SECONDS)
    if isinstance(error, NotSentError) or (isinstance(error, ServerError) and error.status == 503):
        return RetryLaterError(said(error))
    if isinstance(error, Forbidden):
        return RejectedError("the person has blocked us on this platform, or left it")
    if isinstance(error, BadRequest | ChatMigrated):
        if any(mark in str(error).casefold() for mark in _GONE):
            return RejectedError("Telegram does not know this person any more")
        return RejectedError("Telegram refused the message")
    return UnsureError(said(error))
