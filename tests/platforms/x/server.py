"""The loopback X: takes calls, delivers webhooks, lists messages, misbehaves as it is told.

Times are shorter than X's own where a test would wait for nothing else. Limits are far until a test sets them.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import math
import random
import re
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import httpx
from sanic import HTTPResponse, Request, Sanic, raw
from sanic import json as json_response

from tests.platforms.x.events import account, activity, listed, new_id
from tests.platforms.x.timeline import Refused, Timeline

Json = dict[str, Any]

HEADER = "x-twitter-webhooks-signature"
CLIENT_HEADER = "x-twitter-webhooks-signature-oauth2"
ATTEMPT_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 1.0
BEARER = "AAAAloopbackBearerThatNobodyMaySee"
SEND = re.compile(r"2/dm_conversations/with/(\d+)/messages")
LINK = re.compile(r"https?://\S+|www\.\S+")


def sign(body: bytes, secret: str) -> str:
    """The header's value for a body, and the answer to a challenge."""
    return "sha256=" + base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


@dataclass(frozen=True, slots=True)
class App:
    """One app at X with the account that it serves."""

    consumer_key: str = "LoopbackConsumerKey123"
    app_secret: str = "loopbackConsumerSecretThatNobodyMaySee123456"
    """The consumer secret: it signs calls and webhooks."""
    access_token: str = "1603419180975409153-LoopbackAccessToken12345678"
    access_secret: str = "loopbackAccessSecretThatNobodyMaySee12345678"
    client_secret: str = ""
    name: str = "x"
    app_id: str = "29820954"
    is_instagram: bool = False

    @property
    def us(self) -> str:
        """The account's own number."""
        return self.access_token.partition("-")[0]


@dataclass(slots=True)
class Mode:
    """How it treats everything from now on."""

    shape: str = "activity"
    """activity or account: which of X's two webhooks it sends."""
    calls: bool = True
    """Whether it calls us at all; the messages are listed all the same."""
    echoes: bool = True
    echo_first: bool = False
    """The echo arrives before the answer of the call does."""
    receipts: bool = False
    """Each message is read at once."""
    copies: int = 1
    scatter_seconds: float = 0.0
    stale_pages: bool = False
    """A page is known by its mark only until the newest are asked for again."""
    bare_echoes: bool = False
    """X's echoes carry no mark of ours at all: nothing to change."""


@dataclass(slots=True)
class Fault:
    """What the next calls of one path do. `take`: it is done all the same.

    `kind` is a status, `code:…` (an error of that number), `type:…` (a problem of that name), `hang`, `cut`
    or `garbage`.
    """

    path: str
    kind: str
    times: int = 1
    seconds: float = 0.0
    take: bool = False
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Limit:
    """A window of one path: so many calls, until the moment (seconds since 1970)."""

    limit: int
    left: int
    reset: float


class _Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, body: Json | None = None, **headers: str) -> None:
        super().__init__(str(status))
        self.status, self.headers = status, headers
        # What it says may hold what a person wrote.
        self.body = {
            "title": "Words of X's",
            "detail": "the secret words",
            "type": "about:blank",
            **(body or {}),
        }


@dataclass(slots=True)
class _Webhook:
    number: int
    body: bytes
    ids: list[str]
    copies: int


class XServer:
    """The state of one account."""

    def __init__(self, app: App, gateways: list[str], seed: int = 0) -> None:
        self.app = app
        self.gateways = gateways
        self.mode = Mode()
        self.faults: list[Fault] = []
        self.limits: dict[str, Limit] = {}
        self.token = app.access_token
        self.calls: deque[Json] = deque(maxlen=5000)
        self.deliveries: deque[Json] = deque(maxlen=5000)
        self.messages: list[Json] = []
        self.history: list[Json] = []
        """Every direct message, as it is listed."""
        self.timeline = Timeline(app.us)
        self.blocked: set[str] = set()
        self.webhooks: list[Json] = []
        self.subscriptions: list[Json] = []
        self.subscribed_to_all = False
        self.may_subscribe = True
        self.proof: list[Json] = []
        """What was answered to each challenge."""
        self._marks: set[str] = set()
        """Of the pages that were told since the newest were asked for."""
        self._chance = random.Random(seed)
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Task[None]] = {}
        self._http: httpx.AsyncClient | None = None

    # ---- webhooks ------------------------------------------------------------------------------

    def inject(
        self,
        events: list[Json],
        *,
        batch: bool = False,
        copies: int = 1,
        shuffle: bool = False,
        ids: list[str] | None = None,
    ) -> None:
        """Something happened. Each event in a webhook of its own, or all of them in one."""
        known = {one["id"] for one in self.history}
        for event in events:
            if event["what"] == "post":
                self.timeline.note(event)
            if event["what"] == "message" and event["id"] not in known:
                self.history.append(event)
                known.add(event["id"])
        if not self.mode.calls:
            return
        told = {one["event_type"] for one in self.subscriptions}
        # Of posts X tells whoever has asked for them.
        events = [one for one in events if one["what"] != "post" or "post.mention.create" in told]
        groups = [events] if batch else [[event] for event in events]
        made = [
            _Webhook(next(self._numbers), body, ids or [], copies)
            for group in groups
            for body in self.bodies(group)
        ]
        if shuffle:
            self._chance.shuffle(made)
        for webhook in made:
            task = asyncio.create_task(self._until_taken(webhook))
            self._pending[webhook.number] = task
            task.add_done_callback(lambda _, number=webhook.number: self._pending.pop(number, None))  # type: ignore[misc]

    def bodies(self, events: list[Json]) -> list[bytes]:
        """The bodies of the webhooks that tell this."""
        shape = activity if self.mode.shape == "activity" else account
        return [json.dumps(body).encode() for body in shape(events, self.app.us)]

    async def _until_taken(self, webhook: _Webhook) -> None:
        if self.mode.scatter_seconds:
            await asyncio.sleep(self.mode.scatter_seconds * self._chance.random())
        place = self._chance.randrange(max(1, len(self.gateways)))
        copies, pause = max(webhook.copies, self.mode.copies), FIRST_PAUSE_SECONDS
        while self.gateways:
            index, began = place % len(self.gateways), time.time()
            status = await self._post(index, webhook.body)
            self.deliveries.append(
                {"began": began, "at": time.time(), "ids": webhook.ids, "gateway": index, "status": status}
            )
            place += 1
            if status == 200:
                copies -= 1
                if copies <= 0:
                    return
                continue
            if status == 404:
                # A gateway that only asks has no such address.
                return
            await asyncio.sleep(pause * (0.5 + self._chance.random()))
            pause = min(LONGEST_PAUSE_SECONDS, pause * 2)

    def signed(self, body: bytes) -> dict[str, str]:
        """The headers of a webhook."""
        headers = {HEADER: sign(body, self.app.app_secret)}
        if self.app.client_secret:
            headers[CLIENT_HEADER] = sign(body, self.app.client_secret)
        return headers

    async def _post(self, index: int, body: bytes) -> int:
        headers = {"Content-Type": "application/json", **self.signed(body)}
        try:
            answer = await self._client().post(
                f"{self.gateways[index]}/x/webhook", content=body, headers=headers
            )
        except httpx.HTTPError:
            return 0
        return answer.status_code

    async def _prove(self) -> bool:
        """The challenge: X asks, whoever stands behind the address proves it."""
        token = f"9b4507b3-9040-4669-9ca3-{next(self._numbers):012}"
        try:
            answer = await self._client().get(f"{self.gateways[0]}/x/webhook", params={"crc_token": token})
            said = answer.json()
        except (httpx.HTTPError, ValueError, IndexError):
            return False
        self.proof.append(said)
        return bool(
            said.get("response_token") == sign(token.encode(), self.app.client_secret or self.app.app_secret)
        )

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = httpx.AsyncClient(
                timeout=httpx.Timeout(ATTEMPT_SECONDS, connect=1.0),
                limits=httpx.Limits(max_connections=100, max_keepalive_connections=20),
                trust_env=False,
            )
        return self._http

    async def close(self) -> None:
        """Stop delivering."""
        tasks = list(self._pending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._http is not None:
            await self._http.aclose()

    # ---- calls -----------------------------------------------------------------------------------

    async def answer(
        self, method: str, path: str, query: Json, address: str, authorization: str, body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        """One call. Returns status, body and headers; status 0 closes the connection."""
        kind = "send" if SEND.fullmatch(path) else self.timeline.kind_of(method, path) or path
        self.calls.append(self._noted(method, path, kind, query, body))
        headers: dict[str, str] = {}
        try:
            if path == "oauth2/token":
                return 200, self._bearer(authorization), {}
            self._check_caller(method, address, authorization)
            fault = self._fault(kind)
            if fault is not None and not fault.take:
                return await self._misbehave(fault)
            headers = self._count(kind)
            status, result = await self._do(method, path, query, body)
            if fault is not None:
                return await self._misbehave(fault)
        except Refused as refused:
            return refused.status, refused.body, headers
        except _Refusal as refusal:
            return refusal.status, refusal.body, {**headers, **refusal.headers}
        return status, result, headers

    def _noted(self, method: str, path: str, kind: str, query: Json, body: Any) -> Json:
        sent = SEND.fullmatch(path)
        return {
            "method": method, "path": path, "kind": kind, "at": time.time(), "query": query,
            "person": sent[1] if sent else None, "message": body if sent else None,
        }  # fmt: skip

    def _bearer(self, authorization: str) -> Json:
        expected = base64.b64encode(f"{self.app.consumer_key}:{self.app.app_secret}".encode()).decode()
        if authorization != f"Basic {expected}":
            raise _Refusal(403, {"errors": [{"code": 99}]})
        return {"token_type": "bearer", "access_token": BEARER}

    def _check_caller(self, method: str, address: str, authorization: str) -> None:
        if authorization == f"Bearer {BEARER}":
            return
        given = {
            key.strip(): unquote(value.strip('"'))
            for key, _, value in (
                part.partition("=") for part in authorization.removeprefix("OAuth ").split(",")
            )
        }
        expected = _oauth_signature(method, address, given, self.app)
        is_ours = given.get("oauth_consumer_key") == self.app.consumer_key
        if not is_ours or given.get("oauth_token") != self.token or given.get("oauth_signature") != expected:
            raise _Refusal(401, {"title": "Unauthorized", "status": 401})

    def _count(self, kind: str) -> dict[str, str]:
        """One call less in its window; the headers that say so."""
        limit = self.limits.get(kind)
        if limit is None:
            limit = Limit(100_000, 100_000, time.time() + 900)
        elif time.time() >= limit.reset:
            limit.left, limit.reset = limit.limit, time.time() + 900
        headers = {
            "x-rate-limit-limit": str(limit.limit), "x-rate-limit-remaining": str(max(0, limit.left - 1)),
            "x-rate-limit-reset": str(math.ceil(limit.reset)),
        }  # fmt: skip
        if limit.left <= 0:
            raise _Refusal(429, {"title": "Too Many Requests", "status": 429}, **headers)
        limit.left -= 1
        return headers

    def _fault(self, kind: str) -> Fault | None:
        for fault in self.faults:
            if fault.path == kind and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    async def _misbehave(self, fault: Fault) -> tuple[int, Any, dict[str, str]]:
        if fault.kind == "hang":
            await asyncio.sleep(fault.seconds or 60)
            return 0, b"", {}
        if fault.kind == "cut":
            return 0, b"", {}
        if fault.kind == "garbage":
            return 200, b"<html>a page of somebody's</html>", {}
        what, _, which = fault.kind.partition(":")
        if what == "code":
            raise _Refusal(
                403, {"errors": [{"code": int(which), "message": "the secret words"}]}, **fault.headers
            )
        if what == "type":
            raise _Refusal(403, {"type": f"https://api.x.com/2/problems/{which}"}, **fault.headers)
        headers = dict(fault.headers)
        if what == "429" and not headers:
            headers = {
                "x-rate-limit-limit": "15", "x-rate-limit-remaining": "0",
                "x-rate-limit-reset": str(math.ceil(time.time() + fault.seconds)),
            }  # fmt: skip
        return int(what), b"<html><h1>" + what.encode() + b"</h1></html>", headers

    async def _do(self, method: str, path: str, query: Json, body: Any) -> tuple[int, Json]:
        if method == "POST" and (sent := SEND.fullmatch(path)):
            return 201, await self._send(sent[1], body)
        if (method, path) == ("GET", "2/users/me"):
            return 200, {"data": {"id": self.app.us, "name": "Secret Name", "username": "force"}}
        if (method, path) == ("GET", "2/dm_events"):
            return 200, self._list(query)
        if (of_posts := self.timeline.answer(method, path, query, body)) is not None:
            return of_posts
        return 200, await self._registered(method, path, body)

    async def _registered(self, method: str, path: str, body: Any) -> Json:
        if path == "2/webhooks" and method == "GET":
            return {"data": self.webhooks}
        if path == "2/webhooks":
            if not await self._prove():
                raise _Refusal(400, {"reason": "CrcValidationFailed"})
            made = {"id": str(1234567890 + len(self.webhooks)), "url": body["url"], "valid": True}
            self.webhooks.append(made)
            return {"data": made}
        if found := re.fullmatch(r"2/webhooks/(\d+)", path):
            known = next(one for one in self.webhooks if one["id"] == found[1])
            known["valid"] = await self._prove()
            return {"data": {"valid": known["valid"]}}
        if path == "2/activity/subscriptions" and method == "GET":
            return {"data": self.subscriptions, "meta": {"total_subscriptions": len(self.subscriptions)}}
        if path == "2/activity/subscriptions":
            if not self.may_subscribe:
                raise _Refusal(403, {"title": "Forbidden"})
            made = {**body, "subscription_id": new_id()}
            self.subscriptions.append(made)
            return {"data": [made]}
        if path.startswith("2/account_activity/webhooks/"):
            if method == "POST":
                self.subscribed_to_all = True
            return {"data": {"subscribed": self.subscribed_to_all}}
        raise _Refusal(404)

    def _list(self, query: Json) -> Json:
        """Newest first, a page at a time."""
        known = sorted(self.history, key=lambda event: int(event["id"]), reverse=True)
        mark = query.get("pagination_token")
        if mark is None:
            self._marks.clear()
        elif self.mode.stale_pages and mark not in self._marks:
            raise _Refusal(400, {"title": "Invalid Request"})
        before = int(mark) if mark is not None else math.inf
        below = [event for event in known if int(event["id"]) < before]
        page = below[: int(query.get("max_results", 100))]
        media = [
            {"media_key": f"3_{event['id']}", "type": event["attachment"]["media"]["type"]}
            for event in page
            if (event.get("attachment") or {}).get("type") == "media"
        ]
        meta: Json = {"result_count": len(page)}
        if len(below) > len(page):
            meta["next_token"] = page[-1]["id"]
            self._marks.add(meta["next_token"])
        answer: Json = {"data": [listed(event) for event in page], "meta": meta}
        return {**answer, "includes": {"media": media}} if media else answer

    async def _send(self, person: str, body: Any) -> Json:
        text = body.get("text") if isinstance(body, dict) else None
        if not isinstance(text, str) or not text.strip() or len(text) > 10_000:
            raise _Refusal(400, {"title": "Invalid Request"})
        if person in self.blocked:
            raise _Refusal(
                403,
                {
                    "title": "Forbidden",
                    "detail": "You do not have permission to DM one or more participants.",
                },
            )
        mid = new_id()
        sent = {"person": person, "mid": mid, "text": text, "quick_replies": [], "at": time.time()}
        self.messages.append(sent)
        echo = {"what": "message", "id": mid, "at": sent["at"], "sender": self.app.us, "recipient": person,
                **_shortened(text)}  # fmt: skip
        if self.mode.echoes:
            self.inject([echo])
            if self.mode.echo_first:
                await asyncio.sleep(0.5)
        if self.mode.receipts:
            self.inject(
                [{"what": "read", "at": time.time(), "sender": person, "recipient": self.app.us, "last": mid}]
            )
        return {"data": {"dm_conversation_id": f"{person}-{self.app.us}", "dm_event_id": mid}}

    @property
    def pending(self) -> int:
        """How many webhooks are not taken yet."""
        return len(self._pending)


def _shortened(text: str) -> Json:
    """X puts a short link in the place of each address, and three letters come back escaped."""
    urls: list[Json] = []

    def short(found: re.Match[str]) -> str:
        whole = found[0].rstrip(".,;:!?)")
        urls.append({
            "url": f"https://t.co/{len(urls)}abcdefghi", "display_url": whole,
            "expanded_url": whole if whole.startswith("http") else f"http://{whole}/",
        })  # fmt: skip
        return str(urls[-1]["url"]) + found[0][len(whole) :]

    for letter, escape in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(letter, escape)
    return {"text": LINK.sub(short, text), "urls": urls}


def _oauth_signature(method: str, address: str, given: dict[str, str], app: App) -> str:
    """RFC 5849, 3.4: what the call must be signed with."""
    base, _, query = address.partition("?")
    pairs = [(k, v) for k, v in given.items() if k != "oauth_signature"] + parse_qsl(
        query, keep_blank_values=True
    )
    normal = "&".join(
        f"{key}={value}" for key, value in sorted((quote(k, safe="~"), quote(v, safe="~")) for k, v in pairs)
    )
    text = "&".join(quote(part, safe="~") for part in (method, base, normal))
    key = f"{quote(app.app_secret, safe='~')}&{quote(app.access_secret, safe='~')}"
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha1).digest()).decode()


def build(server: XServer, name: str = "loopback-x") -> Sanic[Any, Any]:
    """The HTTP side. `name` must be another for each in one process."""
    app: Sanic[Any, Any] = Sanic(name, configure_logging=False)
    app.config.KEEP_ALIVE_TIMEOUT = 900
    app.config.RESPONSE_TIMEOUT = 120
    app.config.ACCESS_LOG = False
    app.config.MOTD = False
    app.config.AUTO_EXTEND = False
    app.config.TOUCHUP = False

    @app.route("/<path:path>", methods=["GET", "POST", "PUT"], name="x")
    async def _api(request: Request, path: str) -> HTTPResponse:
        query = {key: values[-1] for key, values in request.args.items()}
        is_json = request.method != "GET" and "json" in (request.content_type or "")
        status, answer, headers = await server.answer(
            request.method, path, query, request.url, request.headers.get("authorization") or "",
            request.json if is_json and request.body else None,
        )  # fmt: skip
        if status == 0:
            if request.transport is not None:
                request.transport.abort()
            return raw(b"", status=204)
        if isinstance(answer, bytes):
            return raw(answer, status=status, content_type="text/html", headers=headers)
        return json_response(answer, status=status, headers=headers)

    @app.post("/control/webhooks")
    async def _webhooks(request: Request) -> HTTPResponse:
        server.inject(**request.json)
        return json_response({"ok": True})

    @app.post("/control/mode")
    async def _mode(request: Request) -> HTTPResponse:
        server.mode = Mode(**request.json)
        return json_response({"ok": True})

    @app.post("/control/faults")
    async def _faults(request: Request) -> HTTPResponse:
        server.faults = [Fault(**fault) for fault in request.json]
        return json_response({"ok": True})

    @app.post("/control/state")
    async def _state(request: Request) -> HTTPResponse:
        given = request.json
        server.blocked = set(given.get("blocked", server.blocked))
        server.gateways = given.get("gateways", server.gateways)
        server.token = given.get("token", server.token)
        server.may_subscribe = given.get("may_subscribe", server.may_subscribe)
        if "limits" in given:
            server.limits = {kind: Limit(**values) for kind, values in given["limits"].items()}
        if "valid" in given:
            for webhook in server.webhooks:
                webhook["valid"] = given["valid"]
        return json_response({"ok": True})

    @app.post("/control/timeline")
    async def _timeline(request: Request) -> HTTPResponse:
        server.timeline.change(**request.json)
        return json_response(server.timeline.state())

    @app.get("/control/pending")
    async def _left(_request: Request) -> HTTPResponse:
        return json_response({"pending": server.pending})

    @app.get("/control/state")
    async def _seen(request: Request) -> HTTPResponse:
        who = request.args.get("person")
        return json_response(
            {
                "calls": [c for c in server.calls if who in (None, c["person"])],
                "deliveries": [] if who else list(server.deliveries),
                "messages": [m for m in server.messages if who in (None, m["person"])],
                "webhooks": server.webhooks,
                "subscriptions": server.subscriptions,
                "subscribed_to_all": server.subscribed_to_all,
                "proof": server.proof,
                "pending": server.pending,
            }
        )

    return app
