"""Our calls to a site: one signed POST, and what its answer says became of it.

An answer counts by its number alone; its body is not read. No redirect is followed, no proxy asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx

from bot.channels.meta.api import silence_libraries
from bot.channels.sites.address import NotAllowedAddressError, addresses_of
from bot.channels.sites.options import Site
from bot.channels.sites.signature import sign

Failure = Literal["not_sent", "no_answer", "busy", "server", "redirect", "refused", "address"]

CONNECT_SECONDS = 2.5
CONNECT_SHARE = 0.3
"""Of the outbox's patience, at most: a connection that never came must be told from no answer."""
READ_SECONDS = 30.0
"""Longer than the outbox waits: it is the outbox that gives a send up."""
DRAIN_SECONDS = 1.0
DRAIN_BYTES = 65_536
BUSY_SECONDS = 5.0
"""Where a site asks us to wait and does not say how long."""
LONGEST_WAIT_SECONDS = 3600.0

_BEFORE_IT_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_NOT_TAKEN = frozenset({408, 425, 429, 503})
_SAID: Mapping[Failure, str] = {
    "not_sent": "the site cannot be reached",
    "no_answer": "no answer from the site",
    "busy": "the site asks us to wait ({status})",
    "server": "the site answered {status}",
    "redirect": "the site sends us elsewhere ({status}): its callback has another address",
    "refused": "the site refused it ({status})",
    "address": "the site's name leads to an address that is not allowed",
}


class CallError(Exception):
    """A call that came to nothing. Its text is ours."""

    def __init__(self, kind: Failure, status: int = 0, seconds: float = BUSY_SECONDS) -> None:
        super().__init__(_SAID[kind].format(status=status))
        self.kind: Failure = kind
        self.seconds = seconds


class Callback:
    """One site's address for replies. Nothing is asked before the first call."""

    def __init__(self, site: Site, send_seconds: float, context: ssl.SSLContext | None = None) -> None:
        """`context`: whom to trust; the usual authorities unless a test brings its own."""
        silence_libraries()
        self._site = site
        self._url = urlsplit(site.callback)
        self._connect = min(CONNECT_SECONDS, send_seconds * CONNECT_SHARE)
        self._context = context
        self._http: httpx.AsyncClient | None = None

    async def post(self, identity: str, body: Mapping[str, Any]) -> None:
        """Tell the site something; the same `identity` again is the same thing again.

        Raises:
            CallError: it came to nothing; `kind` says how.
        """
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        kind: Failure
        try:
            status, headers = await self._sent(identity, content)
        except NotAllowedAddressError:
            kind = "address"
        except _BEFORE_IT_LEFT:
            kind = "not_sent"
        except httpx.HTTPError:
            kind = "no_answer"
        except OSError:
            # The name is not known just now; a time that has run out is an OSError too.
            kind = "not_sent"
        else:
            _judge(status, headers)
            return
        # Outside the handler, so that the library's error, with its address, is not carried along.
        raise CallError(kind)

    async def close(self) -> None:
        """Give the connections back."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def _sent(self, identity: str, content: bytes) -> tuple[int, Mapping[str, str]]:
        port = self._url.port or (443 if self._url.scheme == "https" else 80)
        # A name that nobody tells in time is one that is not known: nothing has left.
        async with asyncio.timeout(self._connect):
            offered = await addresses_of(self._site.host, port, inside=self._site.inside)
        # All of them together get the time of one, or the outbox would give up before anything left.
        connect = self._connect / len(offered)
        for number, address in enumerate(offered, 1):
            try:
                return await self._sent_to(address, port, identity, content, connect)
            except _BEFORE_IT_LEFT:
                if number == len(offered):
                    raise
        raise NotAllowedAddressError

    async def _sent_to(
        self, address: str, port: int, identity: str, content: bytes, connect: float
    ) -> tuple[int, Mapping[str, str]]:
        """One call to this very address; the certificate has to be the name's."""
        client = self._client()
        place = f"[{address}]" if ":" in address else address
        path = self._url.path or "/"
        request = client.build_request(
            "POST",
            f"{self._url.scheme}://{place}:{port}{path}" + (f"?{self._url.query}" if self._url.query else ""),
            content=content,
            headers={
                "Host": self._url.netloc,
                "Content-Type": "application/json",
                "User-Agent": "FrontCounter",
                **sign(self._site.keys, identity, int(time.time()), content),
            },
            timeout=httpx.Timeout(READ_SECONDS, connect=connect, pool=min(1.0, connect)),
            extensions={"sni_hostname": self._site.host},
        )
        answer = await client.send(request, stream=True)
        try:
            await _drain(answer)
        finally:
            await answer.aclose()
        return answer.status_code, answer.headers

    def _client(self) -> httpx.AsyncClient:
        # Made at the first call, inside the gateway's running loop.
        if self._http is None:
            self._http = httpx.AsyncClient(
                limits=httpx.Limits(max_connections=50, max_keepalive_connections=16),
                follow_redirects=False,
                trust_env=False,
                verify=self._context or True,
            )
        return self._http


async def _drain(answer: httpx.Response) -> None:
    """Let a short answer end, so that the connection serves again. What it says counts for nothing."""
    with contextlib.suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            size = 0
            async for piece in answer.aiter_raw():
                size += len(piece)
                if size > DRAIN_BYTES:
                    return


def _judge(status: int, headers: Mapping[str, str]) -> None:
    if 200 <= status < 300:
        return
    if status in _NOT_TAKEN:
        raise CallError("busy", status, seconds_to_wait(headers.get("retry-after")))
    if status >= 500:
        raise CallError("server", status)
    raise CallError("redirect" if 300 <= status < 400 else "refused", status)


def seconds_to_wait(given: str | None) -> float:
    """How long `Retry-After` asks us to wait: seconds, or a date (RFC 9110, 10.2.3)."""
    if not given:
        return BUSY_SECONDS
    try:
        seconds = float(given)
    except ValueError:
        try:
            at = parsedate_to_datetime(given)
        except (ValueError, TypeError):
            return BUSY_SECONDS
        seconds = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
    if not 0 <= seconds < float("inf"):
        return 0.0 if seconds < 0 else BUSY_SECONDS
    return min(seconds, LONGEST_WAIT_SECONDS)
