"""Our end of X's API: one request, and what its answer says became of it.

As the force's account every call is signed by OAuth 1.0a (oauthlib; docs.x.com/resources/fundamentals/
authentication): those keys stand in the settings and do not run out, so words of danger leave whatever
else is down. A token of OAuth 2.0 ends after two hours, and its refresh works once, so it would have to be
kept in the database: docs/channels/x.md. The webhook's own calls are made as the app, with a bearer token.

Answers: docs.x.com/x-api/fundamentals/response-codes-and-errors.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlencode

import httpx
from oauthlib.oauth1 import Client as Signer

from bot.channels.x.budget import Budget, seconds_to_wait, windows
from bot.channels.x.options import Options

Failure = Literal[
    "not_sent", "no_answer", "busy", "not_taken", "server", "token", "plan", "gone", "duplicate", "deleted",
    "refused",
]  # fmt: skip
Method = Literal["GET", "POST", "PUT"]
Json = Mapping[str, Any]

CONNECT_SECONDS = 2.5
CONNECT_SHARE = 0.3
"""Of the outbox's patience, at most: a connection that never came must be told from no answer."""
READ_SECONDS = 30.0
"""Longer than the outbox waits: it is the outbox that gives a send up."""

_BEFORE_IT_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_PLAN = (
    "client-forbidden",
    "oauth1-permissions",
    "unsupported-authentication",
    "usage-capped",
    "client-not-enrolled",
)
"""Ends of a problem's `type`: the app or its plan may not do this. Whoever runs it can mend that."""
_PLAN_CODES = frozenset({220, 261, 453})
_GONE = (
    "you cannot send messages to this user",
    "permission to dm",
    "not allowed to send",
    "not verified to send",
)
_GONE_CODES = frozenset({50, 63, 108, 150, 349, 476})
_DUPLICATE = "duplicate content"
_DUPLICATE_CODES = frozenset({187})
_DELETED = ("deleted or not visible",)
_DELETED_CODES = frozenset({144, 385})
_TOKEN_CODES = frozenset({32, 64, 89, 99, 135, 215, 326})


class XError(Exception):
    """A call that came to nothing. Its text is ours: X's own may hold names and words."""

    def __init__(self, kind: Failure, status: int = 0, seconds: float = 0.0) -> None:
        super().__init__(_SAID[kind].format(status=status))
        self.kind: Failure = kind
        self.status = status
        self.seconds = seconds


_SAID: Mapping[Failure, str] = {
    "not_sent": "X cannot be reached",
    "no_answer": "no answer from X",
    "busy": "X asks us to wait",
    "not_taken": "X did not take it for now",
    "server": "X answered {status}",
    "token": "X refuses our keys",
    "plan": "X does not let this app do that: its permissions or its plan",
    "gone": "the person takes no messages from us on X",
    "duplicate": "X has had the same words from us already",
    "deleted": "the post is not there any more, or not for us to see",
    "refused": "X refused it ({status})",
}


class XApi:
    """X's API, as the force's account and as its app. Nothing is asked before the first call."""

    def __init__(self, options: Options) -> None:
        silence_libraries()
        self._url = options.api_url
        self._options = options
        self._signer = Signer(
            options.consumer_key,
            client_secret=options.consumer_secret,
            resource_owner_key=options.access_token,
            resource_owner_secret=options.access_secret,
        )
        self._bearer = ""
        self._connect = min(CONNECT_SECONDS, options.send_seconds * CONNECT_SHARE)
        self._http: httpx.AsyncClient | None = None

    async def post(self, path: str, body: Json, budget: Budget | None = None) -> Json:
        """Change something, as the force's account.

        Raises:
            XError: it came to nothing; `kind` says how.
        """
        return await self._as_account("POST", path, {}, body, budget)

    async def put(self, path: str, body: Json, budget: Budget | None = None) -> Json:
        """Change what is there already, as the force's account.

        Raises:
            XError: as `post`.
        """
        return await self._as_account("PUT", path, {}, body, budget)

    async def get(self, path: str, budget: Budget | None = None, **query: str) -> Json:
        """Look something up, as the force's account.

        Raises:
            XError: as `post`.
        """
        return await self._as_account("GET", path, query, None, budget)

    async def as_app(self, method: Method, path: str, body: Json | None = None) -> Json:
        """The same, as the app: webhooks belong to it (docs.x.com/x-api/webhooks/introduction).

        Raises:
            XError: as `post`.
        """
        if not self._bearer:
            self._bearer = await self._app_token()
        headers = {"Authorization": f"Bearer {self._bearer}"}
        try:
            return self._read(await self._ask(method, f"{self._url}/{path}", headers, json=body), None)
        except XError as error:
            if error.kind == "token":
                self._bearer = ""
            raise

    async def close(self) -> None:
        """Give the connections back."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    # ---- one request ---------------------------------------------------------------------------

    async def _as_account(
        self, method: Method, path: str, query: Mapping[str, str], body: Json | None, budget: Budget | None
    ) -> Json:
        address = f"{self._url}/{path}" + (f"?{urlencode(query)}" if query else "")
        # A body of JSON is no part of what is signed (RFC 5849, 3.4.1.3.1).
        _, headers, _ = self._signer.sign(address, http_method=method)
        return self._read(await self._ask(method, address, dict(headers), json=body), budget)

    async def _app_token(self) -> str:
        """docs.x.com/resources/fundamentals/authentication, "App-only": it is the same until it is revoked."""
        answer = self._read(
            await self._ask(
                "POST", f"{self._url}/oauth2/token", {}, form={"grant_type": "client_credentials"},
                auth=(self._options.consumer_key, self._options.consumer_secret),
            ),
            None,
        )  # fmt: skip
        token = answer.get("access_token")
        if not isinstance(token, str) or not token:
            raise XError("no_answer")
        return token

    async def _ask(
        self,
        method: Method,
        address: str,
        headers: dict[str, str],
        *,
        json: Json | None = None,
        form: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> httpx.Response:
        kind: Failure
        try:
            return await self._client().request(
                method, address, headers=headers, json=json, data=form, auth=auth
            )
        except _BEFORE_IT_LEFT:
            kind = "not_sent"
        except httpx.HTTPError:
            kind = "no_answer"
        # Outside the handler, so that the library's error, with its address, is not carried along.
        raise XError(kind)

    def _read(self, answer: httpx.Response, budget: Budget | None) -> Json:
        try:
            loaded = answer.json()
        except ValueError:
            loaded = None
        if answer.is_success:
            if budget is not None:
                budget.note(windows(answer.headers))
            if isinstance(loaded, dict):
                return loaded
            raise XError("no_answer", answer.status_code)
        kind = _kind(answer.status_code, loaded)
        seconds = seconds_to_wait(answer.headers) if kind == "busy" else 0.0
        if budget is not None and kind == "busy":
            budget.refused(seconds)
        raise XError(kind, answer.status_code, seconds)

    def _client(self) -> httpx.AsyncClient:
        # Made at the first call, inside the gateway's running loop.
        if self._http is None:
            self._http = httpx.AsyncClient(
                timeout=httpx.Timeout(READ_SECONDS, connect=self._connect, pool=min(1.0, self._connect)),
                limits=httpx.Limits(max_connections=50, max_keepalive_connections=16),
                follow_redirects=False,
            )
        return self._http


def _kind(status: int, body: object) -> Failure:
    """What an answer that is not a success means. The problem's own name counts before the status."""
    codes, said, names = _told(body)
    if status == 402 or any(name.endswith(_PLAN) for name in names) or codes & _PLAN_CODES:
        # 402: the credit that the app's reads and posts are paid from is used up.
        return "plan"
    if status == 429:
        return "busy"
    if status == 401 or codes & _TOKEN_CODES:
        return "token"
    if codes & _GONE_CODES or (status == 403 and any(part in said for part in _GONE)):
        return "gone"
    if codes & _DUPLICATE_CODES or (status == 403 and _DUPLICATE in said):
        return "duplicate"
    if codes & _DELETED_CODES or (status in (400, 403) and any(part in said for part in _DELETED)):
        return "deleted"
    if status == 503:
        return "not_taken"
    if status >= 500:
        return "server"
    return "refused"


def _told(body: object) -> tuple[set[int], str, list[str]]:
    """The codes, the words and the kinds of problem in an answer; X writes them in more than one way."""
    top = body if isinstance(body, dict) else {}
    errors = top.get("errors")
    problems = [top, *(one for one in errors if isinstance(one, dict))] if isinstance(errors, list) else [top]
    codes = {one["code"] for one in problems if isinstance(one.get("code"), int)}
    words = [str(one.get(key)) for one in problems for key in ("detail", "message", "title") if one.get(key)]
    kinds = [str(one.get(key)) for one in problems for key in ("type", "reason") if one.get(key)]
    return codes, " ".join(words).casefold(), kinds


def silence_libraries() -> None:
    """Keep addresses and keys out of the libraries' own logs, whatever level is set.

    httpx writes each address at INFO; oauthlib writes what it signs, and with what, at DEBUG.
    """
    for name in ("httpx", "httpcore", "oauthlib"):
        logging.getLogger(name).setLevel(logging.ERROR)
