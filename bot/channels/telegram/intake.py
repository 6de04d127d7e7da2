"""Takes updates, from the webhook or from polling alike: through the door, then what Telegram is owed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import structlog
from telegram.error import TelegramError

from bot.assistant import LiveContent
from bot.channels.keeping import keep
from bot.channels.parts import Parts
from bot.channels.telegram.api import TelegramBot, said
from bot.channels.telegram.inbound import Group, Parsed, Press, parse
from bot.channels.telegram.outbound import NAME
from bot.errors import BadRequestError

log = structlog.get_logger(__name__)

REMEMBERED = 1_000


class Intake:
    """Hands updates to the door. Safe to call with the same update again."""

    def __init__(self, parts: Parts, bot: TelegramBot, bot_id: str) -> None:
        self._parts = parts
        self._bot_id = bot_id
        self._bot = bot
        self._background: set[asyncio.Task[None]] = set()
        self._told_groups: OrderedDict[tuple[int, str], None] = OrderedDict()

    @property
    def content(self) -> LiveContent:
        """The approved words."""
        return self._parts.content

    async def take(self, updates: Sequence[Mapping[str, Any]]) -> None:
        """Store every message of these updates, in one transaction. Returns after its commit.

        Raises:
            DoorClosedError: the store is down; words for a P1 have left directly. Nothing was kept.
        """
        parsed = [one for update in updates if (one := self._parsed(update)) is not None]
        for group in (group for one in parsed for group in one.groups):
            self._later(self._leave(group))
        arrivals = [arrival for one in parsed for arrival in one.arrivals]
        if arrivals:
            await keep(self._parts.door, arrivals, NAME)
        for press in (press for one in parsed for press in one.presses):
            self._later(self._answer(press))

    def _parsed(self, update: Mapping[str, Any]) -> Parsed | None:
        try:
            return parse(update, self._bot_id)
        except BadRequestError:
            log.error("telegram.no_update")
            return None

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="telegram-aside")
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def close(self) -> None:
        """Let what is under way end; it owes nobody anything."""
        if self._background:
            await asyncio.wait(list(self._background), timeout=2)

    async def _answer(self, press: Press) -> None:
        """End the waiting sign of a pressed button, and take the buttons away: they were answered."""
        try:
            await self._bot.answer_callback_query(press.callback_id)
        except TelegramError as error:
            log.info("telegram.press_not_answered", reason=said(error))
        if press.chat is None or press.message is None:
            return
        try:
            await self._bot.edit_message_reply_markup(chat_id=press.chat, message_id=press.message)
        except TelegramError as error:
            log.info("telegram.buttons_not_removed", reason=said(error))

    async def _leave(self, group: Group) -> None:
        """Take no part in a group. Whoever is in danger there is told of 999, and no more than that.

        A group is a public place: nothing of it is stored, no category is named, and what belongs to
        a person's own chat is not said there.
        """
        worst = self._parts.screen.check(group.text).worst if group.text else None
        in_danger = worst is not None and worst.priority == "P1"
        key = (group.chat, group.text if in_danger else "")
        if key in self._told_groups:
            return
        self._told_groups[key] = None
        while len(self._told_groups) > REMEMBERED:
            self._told_groups.popitem(last=False)
        try:
            if in_danger:
                await self._bot.send_message(group.chat, self._parts.content.current.line("danger_line"))
            await self._bot.leave_chat(group.chat)
        except TelegramError as error:
            self._told_groups.pop(key, None)
            log.info("telegram.group_not_left", reason=said(error))
