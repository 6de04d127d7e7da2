"""The way out: one HTTP call for each message, its answer read for what it says about delivery."""

from __future__ import annotations

import httpx

from bot.errors import RejectedError, RetryLaterError, UnsureError
from bot.messages import Outgoing, Sent

NAME = "loopback"
CONNECT_SECONDS = 1.0
READ_SECONDS = 30.0
"""Longer than the outbox waits: it is the outbox that gives a send up."""


class LoopbackChannel:
    """Sends to the loopback platform (see `bot.messages.Channel`)."""

    name = NAME
    in_store = False
    max_text = 20_000

    def __init__(self, url: str, secret: str) -> None:
        self._url = url.rstrip("/") + "/send"
        self._secret = secret
        self._http: httpx.AsyncClient | None = None

    async def send(self, person: str, outgoing: Outgoing) -> Sent:
        """Deliver one message.

        The platform answers 503 for what it has not taken. After any other 5xx, or none at all, nobody
        can say.

        Raises:
            RetryLaterError, UnsureError, RejectedError: as `bot.messages.Channel.send` says.
        """
        body = {
            "person": person,
            "text": outgoing.text,
            "buttons": [{"title": b.title, "token": b.token} for b in outgoing.buttons],
            "author": outgoing.author,
            "metadata": {"outbox_id": outgoing.outbox_id, "kind": outgoing.kind},
        }
        try:
            answer = await self._client().post(
                self._url, json=body, headers={"Authorization": f"Bearer {self._secret}"}
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise RetryLaterError("the platform cannot be reached") from error
        except httpx.HTTPError as error:
            raise UnsureError(f"no answer from the platform: {type(error).__name__}") from error
        if answer.status_code == 429 or answer.status_code == 503:
            raise RetryLaterError(
                f"the platform answered {answer.status_code}", _seconds(answer.headers.get("Retry-After"))
            )
        if answer.status_code >= 500:
            raise UnsureError(f"the platform answered {answer.status_code}")
        if answer.status_code >= 300:
            raise RejectedError(f"the platform refused it: {answer.status_code}")
        try:
            return Sent(str(answer.json()["id"]))
        except (ValueError, KeyError, TypeError) as error:
            raise UnsureError("the platform answered in a way we do not know") from error

    async def close(self) -> None:
        """Give the connections back."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    def _client(self) -> httpx.AsyncClient:
        # Made at the first send, inside the gateway's running loop.
        if self._http is None:
            self._http = httpx.AsyncClient(
                timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
                limits=httpx.Limits(max_connections=64, max_keepalive_connections=32),
                trust_env=False,
            )
        return self._http


def _seconds(given: str | None) -> float:
    try:
        return max(0.0, float(given or 1.0))
    except ValueError:
        return 1.0
