"""Our end of the Bot API: python-telegram-bot's `Bot`, made to say what became of a request.

Its own errors do not tell "never left" from "no answer", and its texts carry what the server said.
Here each failure is of a kind that a sender can act on. The addresses of the Bot API hold the token
(core.telegram.org/bots/api#making-requests), so no text of an error goes further than this file.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

import httpx
from telegram import Bot
from telegram.error import Conflict, InvalidToken, NetworkError, TelegramError
from telegram.request import BaseRequest, HTTPXRequest, RequestData

from bot.channels.telegram.options import Options

CONNECT_SECONDS = 2.5
CONNECT_SHARE = 0.3
"""Of the outbox's patience, at most: a connection that never came must be told from no answer."""
READ_SECONDS = 30.0
"""Longer than the outbox waits: it is the outbox that gives a send up."""
CONNECTIONS = 100

_BEFORE_IT_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


class NotSentError(NetworkError):
    """No connection was made: the request never left."""

    __slots__ = ()


class NoAnswerError(NetworkError):
    """The request left, and no whole answer came back."""

    __slots__ = ()


class ServerError(NetworkError):
    """Telegram answered 5xx."""

    __slots__ = ("status",)

    def __init__(self, status: int) -> None:
        super().__init__(f"Telegram answered {status}")
        self.status = status


class BusyError(NetworkError):
    """Telegram answered 429: not taken, come back after so many seconds."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        super().__init__("Telegram answered 429")
        self.seconds = seconds


class _Request(HTTPXRequest):
    """One pool of connections."""

    __slots__ = ()

    async def do_request(
        self, url: str, method: str, request_data: RequestData | None = None, *args: Any, **options: Any
    ) -> tuple[int, bytes]:
        """Make one request (see parent class). The errors name their kind and nothing else."""
        failure: NetworkError
        try:
            code, payload = await super().do_request(url, method, request_data, *args, **options)
        except TelegramError as error:
            cause = error.__cause__
            kind = NotSentError if isinstance(cause, _BEFORE_IT_LEFT) else NoAnswerError
            failure = kind(type(cause or error).__name__)
        else:
            if code >= 500:
                raise ServerError(code)
            if code == 429:
                raise BusyError(_retry_after(payload))
            return code, payload
        # Outside the handler, so that the library's error, with its texts, is not carried along.
        raise failure

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        """Read an answer (see parent class, which would log one that it cannot read: people's words)."""
        try:
            loaded = json.loads(payload.decode("utf-8", "replace"))
        except ValueError:
            loaded = None
        if not isinstance(loaded, dict):
            raise NoAnswerError("the answer is not JSON")
        return loaded


def _retry_after(payload: bytes) -> float:
    """The seconds of `parameters.retry_after`; one, where there are none."""
    try:
        return max(1.0, float(json.loads(payload)["parameters"]["retry_after"]))
    except (ValueError, KeyError, TypeError):
        return 1.0


class TelegramBot(Bot):
    """The force's bot. Nothing is asked of Telegram until the first call."""

    __slots__ = ()

    def __init__(self, options: Options) -> None:
        silence_libraries()
        connect = min(CONNECT_SECONDS, options.send_seconds * CONNECT_SHARE)
        super().__init__(
            options.token,
            base_url=f"{options.api_url}/bot",
            base_file_url=f"{options.api_url}/file/bot",
            request=_request(CONNECTIONS, connect),
            get_updates_request=_request(2, CONNECT_SECONDS),
        )

    async def raw_updates(
        self, offset: int | None, timeout_seconds: int, allowed: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Ask for news as plain JSON: one update that the library cannot read must not hide the others.

        `offset` confirms every update below it.

        Raises:
            telegram.error.TelegramError: of the kinds above, or Conflict, InvalidToken.
        """
        result = await self._post(
            "getUpdates",
            {"offset": offset, "timeout": timeout_seconds, "limit": 100, "allowed_updates": list(allowed)},
            read_timeout=timeout_seconds + 5,
        )
        return [update for update in result if isinstance(update, dict)] if isinstance(result, list) else []

    async def close_connections(self) -> None:
        """Give all connections back."""
        for request in self._request:
            await request.shutdown()


def _request(connections: int, connect_seconds: float) -> BaseRequest:
    return _Request(
        connection_pool_size=connections,
        read_timeout=READ_SECONDS,
        write_timeout=5.0,
        connect_timeout=connect_seconds,
        pool_timeout=min(1.0, connect_seconds),
    )


def silence_libraries() -> None:
    """Keep the token and people's words out of the libraries' own logs, whatever level is set.

    httpx writes each address at INFO, the Bot writes addresses and whole messages at DEBUG.
    """
    for name in ("httpx", "httpcore", "telegram"):
        logging.getLogger(name).setLevel(logging.ERROR)


def said(error: TelegramError) -> str:
    """What may be told of a failure: its kind, and a status. Never the library's or the server's words."""
    if isinstance(error, ServerError):
        return f"Telegram answered {error.status}"
    if isinstance(error, NotSentError):
        return "Telegram cannot be reached"
    if isinstance(error, InvalidToken):
        return "Telegram refuses the token"
    if isinstance(error, Conflict):
        return "somebody else asks Telegram for this bot's news"
    if isinstance(error, BusyError):
        return "Telegram asks us to wait"
    if isinstance(error, NoAnswerError):
        return "no answer from Telegram"
    return f"Telegram refused it ({type(error).__name__})"
