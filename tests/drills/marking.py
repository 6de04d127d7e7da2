"""Lets the gateway of a drill mark what it sends (`tests.platforms.marks`), by patching it from outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import httpx
from telegram.request import HTTPXRequest

from bot.channels.meta.api import Graph
from bot.channels.meta.outbound import MetaChannel
from bot.channels.telegram.outbound import TelegramChannel
from bot.messages import Outgoing, Sent
from tests.platforms.marks import MARK, mark_of

Send = Callable[[Any, str, Outgoing], Awaitable[Sent]]

_mark: ContextVar[str] = ContextVar("mark", default="")


async def _add_mark(request: httpx.Request) -> None:
    if _mark.get():
        request.headers[MARK] = _mark.get()


def _marked(send: Send) -> Send:
    async def send_marked(self: Any, person: str, outgoing: Outgoing) -> Sent:
        token = _mark.set(mark_of(outgoing.kind, outgoing.outbox_id))
        try:
            return await send(self, person, outgoing)
        finally:
            _mark.reset(token)

    return send_marked


def _with_mark(make: Callable[[Any], httpx.AsyncClient]) -> Callable[[Any], httpx.AsyncClient]:
    def client(self: Any) -> httpx.AsyncClient:
        found = make(self)
        hooks = found.event_hooks["request"]
        if _add_mark not in hooks:
            hooks.append(_add_mark)
        return found

    return client


def mark_sends(replace: Callable[[Any, str, Any], None]) -> None:
    """From now on each call that carries a message says which. `replace` puts a thing in another's place."""
    replace(MetaChannel, "send", _marked(MetaChannel.send))
    replace(Graph, "_client", _with_mark(Graph._client))
    replace(TelegramChannel, "send", _marked(TelegramChannel.send))
    replace(HTTPXRequest, "_build_client", _with_mark(HTTPXRequest._build_client))
