"""Our end of the Graph API: one request, and what its answer says became of it.

Codes: developers.facebook.com/docs/messenger-platform/error-codes and
developers.facebook.com/docs/graph-api/guides/error-handling; rates:
developers.facebook.com/docs/graph-api/overview/rate-limiting. The token travels in a header, never in an
address; beside it goes the proof that we hold the app's secret
(developers.facebook.com/docs/graph-api/guides/secure-requests).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import httpx

from bot.messages import WINDOW_OVER

Failure = Literal[
    "not_sent", "no_answer", "busy", "not_taken", "server", "token", "window", "elsewhere", "gone",
    "locked", "undelivered", "template", "refused",
]  # fmt: skip

CONNECT_SECONDS = 2.5
CONNECT_SHARE = 0.3
"""Of the outbox's patience, at most: a connection that never came must be told from no answer."""
READ_SECONDS = 30.0
"""Longer than the outbox waits: it is the outbox that gives a send up."""
BUSY_SECONDS = 5.0
"""Where Meta asks us to wait and does not say how long."""
LONGEST_WAIT_SECONDS = 3600.0

_BEFORE_IT_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_BUSY = frozenset({4, 17, 32, 341, 613, 80001, 80002, 80006})
"""Limits of the app, the user, the Page, the call; 80006 is Messenger's own, 80002 Instagram's."""
_TOKEN = frozenset({102, 190, 463, 467})
_SERVER = frozenset({-1, 1, 2})
_NOT_TAKEN = frozenset({1200})
""""Temporary send message failure"."""
_WINDOW = frozenset({2018065, 2018278, 2534022})
"""Subcodes of 10: outside of the window. The last one is Instagram's."""
_ELSEWHERE = frozenset({2018300})
"""A subcode of 10: another app holds the chat."""
_GONE = frozenset({230, 551})
_GONE_SUBCODES = frozenset({1545041, 2018001, 2018108, 2534014})
"""Not available, not found, does not take messages from us."""


class GraphError(Exception):
    """A call that came to nothing. Its text is ours: Meta's own may hold names and words."""

    def __init__(
        self, kind: Failure, title: str, status: int = 0, code: int = 0, seconds: float = BUSY_SECONDS
    ) -> None:
        super().__init__(_SAID[kind].format(title=title, status=status, code=code))
        self.kind: Failure = kind
        self.code = code
        self.seconds = seconds


_SAID: Mapping[Failure, str] = {
    "not_sent": "{title} cannot be reached",
    "no_answer": "no answer from {title}",
    "busy": "{title} asks us to wait",
    "not_taken": "{title} did not take it for now",
    "server": "{title} answered {status}",
    "token": "{title} refuses the token",
    "window": WINDOW_OVER,
    "elsewhere": "another app answers this chat on {title}",
    "gone": "the person has blocked us on {title}, or left it",
    "locked": "{title} has locked our account, or withdrawn a right (code {code})",
    "undelivered": "{title} cannot deliver it to this person",
    "template": "{title} does not take this approved text (code {code})",
    "refused": "{title} refused it (code {code})",
}


class Access(Protocol):
    """What a caller of the Graph API has to know: `Options` here, or those of WhatsApp."""

    @property
    def title(self) -> str: ...
    @property
    def api_url(self) -> str: ...
    @property
    def token(self) -> str: ...
    @property
    def app_secret(self) -> str: ...
    @property
    def send_seconds(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Codes:
    """What a platform's own codes mean, before those that all share; and how long one asks us to wait."""

    kinds: Mapping[int, Failure] = field(default_factory=dict)
    seconds: Mapping[int, float] = field(default_factory=dict)


class Graph:
    """The Graph API, as one account of ours. Nothing is asked before the first call."""

    def __init__(self, options: Access, codes: Codes | None = None) -> None:
        silence_libraries()
        self._codes = codes or Codes()
        self._url = options.api_url
        self._title = options.title
        self._headers = {"Authorization": f"Bearer {options.token}"}
        self._proof = hmac.new(
            options.app_secret.encode(), options.token.encode(), hashlib.sha256
        ).hexdigest()
        self._connect = min(CONNECT_SECONDS, options.send_seconds * CONNECT_SHARE)
        self._http: httpx.AsyncClient | None = None

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change something.

        Raises:
            GraphError: it came to nothing; `kind` says how.
        """
        return await self._call("POST", path, {}, body)

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        """Look something up.

        Raises:
            GraphError: as `post`.
        """
        return await self._call("GET", path, query, None)

    async def close(self) -> None:
        """Give the connections back."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def _call(
        self, method: str, path: str, query: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        kind: Failure
        try:
            answer = await self._client().request(
                method,
                f"{self._url}/{path}",
                params={**query, "appsecret_proof": self._proof},
                json=body,
                headers=self._headers,
            )
        except _BEFORE_IT_LEFT:
            kind = "not_sent"
        except httpx.HTTPError:
            kind = "no_answer"
        else:
            return self._read(answer)
        # Outside the handler, so that the library's error, with its address, is not carried along.
        raise GraphError(kind, self._title)

    def _read(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            loaded = answer.json()
        except ValueError:
            loaded = None
        error = loaded.get("error") if isinstance(loaded, dict) else None
        if answer.is_success and error is None:
            if isinstance(loaded, dict):
                return loaded
            raise GraphError("no_answer", self._title)
        told = error if isinstance(error, dict) else {}
        code, subcode = _number(told.get("code")), _number(told.get("error_subcode"))
        kind = self._codes.kinds.get(code) or _kind(answer.status_code, code, subcode)
        seconds = seconds_to_wait(answer.headers, self._codes.seconds.get(code, BUSY_SECONDS))
        raise GraphError(kind, self._title, answer.status_code, code, seconds)

    def _client(self) -> httpx.AsyncClient:
        # Made at the first call, inside the gateway's running loop.
        if self._http is None:
            self._http = httpx.AsyncClient(
                timeout=httpx.Timeout(READ_SECONDS, connect=self._connect, pool=min(1.0, self._connect)),
                limits=httpx.Limits(max_connections=100, max_keepalive_connections=32),
                follow_redirects=False,
            )
        return self._http


def _kind(status: int, code: int, subcode: int) -> Failure:
    """What an answer that is not a success means. The more special code counts before the status."""
    if status == 429 or code in _BUSY:
        return "busy"
    if code in _TOKEN or status == 401:
        return "token"
    if subcode in _WINDOW:
        return "window"
    if subcode in _ELSEWHERE:
        return "elsewhere"
    if code in _GONE or subcode in _GONE_SUBCODES:
        return "gone"
    if code in _NOT_TAKEN or status == 503:
        return "not_taken"
    if code in _SERVER or status >= 500:
        return "server"
    return "refused"


def seconds_to_wait(headers: Mapping[str, str], otherwise: float = BUSY_SECONDS) -> float:
    """How long Meta asks us to wait: `Retry-After` in seconds, or the usage header's own minutes."""
    found = [_seconds(headers.get("retry-after"), 1.0)]
    try:
        usage = json.loads(headers.get("x-business-use-case-usage") or "{}")
        for limits in usage.values():
            found += [_seconds(limit.get("estimated_time_to_regain_access"), 60.0) for limit in limits]
    except (ValueError, AttributeError, TypeError):
        # A header that nobody can read asks for nothing.
        found = found[:1]
    longest = max(found)
    return min(longest, LONGEST_WAIT_SECONDS) if longest > 0 else otherwise


def _seconds(value: object, unit: float) -> float:
    try:
        number = float(value) * unit  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return 0.0
    return number if 0 <= number < float("inf") else 0.0


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def silence_libraries() -> None:
    """Keep addresses out of the libraries' own logs, whatever level is set: httpx writes each at INFO."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.ERROR)
