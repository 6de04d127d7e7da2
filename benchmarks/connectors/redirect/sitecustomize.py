"""Sends stock Rasa's two connectors to the loopback platforms, and changes nothing else unless asked to.

Both libraries hold their platform's host in their code and take it from no setting: fbmessenger builds the
Graph API's address in its client, aiogram 2 keeps the Bot API's in one object. Python runs this file at the
start of the stock process, because its folder is on that process' PYTHONPATH.

With LOOPBACK_MENDED set it also mends what keeps the Telegram connector of Rasa 3.6.21 from answering anything.
Rasa's pins lead to aiogram 2.15. Its session is made in an event loop that the connector itself closes
(`asyncio.run` in `get_output_channel`), so that every later call ends with "Event loop is closed". Mended, each
loop has a session of its own, as in later versions of aiogram.
"""

import asyncio
import os
from typing import Any

import aiogram.bot.api as telegram
import aiogram.bot.base as telegram_base
import fbmessenger

_GRAPH = os.environ["LOOPBACK_GRAPH"]
_SERVER = telegram.TelegramAPIServer.from_base(os.environ["LOOPBACK_TELEGRAM"])
_begin = fbmessenger.MessengerClient.__init__


def _redirected(self: Any, *args: Any, **options: Any) -> None:
    _begin(self, *args, **options)
    self.graph_url = self.graph_url.replace("https://graph.facebook.com", _GRAPH)


def _open_session(bot: Any) -> Any:
    loop = asyncio.get_running_loop()
    if bot._session is None or bot._session.closed or bot._session._loop is not loop:
        bot._session = bot.get_new_session()
    return bot._session


fbmessenger.MessengerClient.__init__ = _redirected
if os.environ.get("LOOPBACK_MENDED"):
    telegram_base.BaseBot.session = property(_open_session)
for _name in ("base", "file"):
    # Frozen, and already the default of every bot: the object itself has to change.
    object.__setattr__(telegram.TELEGRAM_PRODUCTION, _name, getattr(_SERVER, _name))
