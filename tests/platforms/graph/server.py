"""The loopback Graph API: takes calls, delivers webhooks, misbehaves as it is told.

    python -m tests.platforms.graph.server --port 6300 --name messenger --log file [--gateway URL …]

Its log is one JSON object a line, written before the answer leaves:

    {"what": "send", "n", "at", "person", "text", "mid", "metadata", "quick_replies", "type", "tag", "mark"}
    {"what": "refusal", "at", "person", "status", "code", "subcode"}
    {"what": "delivery", "began", "at", "ids", "gateway", "status", "try"}

`mark` is what a test's own gateway says of a message (`tests.platforms.marks`).
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import itertools
import json
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sanic import HTTPResponse, Request, Sanic, raw
from sanic import json as json_response

from tests.platforms.graph.wall import Refused, Wall
from tests.platforms.marks import MARK

Json = dict[str, Any]

HEADER = "X-Hub-Signature-256"
OLD_HEADER = "X-Hub-Signature"
"""The same by SHA-1: Meta still sends it beside the other, for apps from before."""
VERSION = "v23.0"
ATTEMPT_SECONDS = 6.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 1.0
DAY = 24 * 3600.0


def sign(body: bytes, app_secret: str, kind: str = "sha256") -> str:
    """The header's value for a body."""
    return f"{kind}=" + hmac.new(app_secret.encode(), body, kind).hexdigest()


@dataclass(frozen=True, slots=True)
class App:
    """One app at Meta with the account that it serves."""

    name: str = "messenger"
    """messenger or instagram."""
    app_id: str = "1517776481860111"
    app_secret: str = "0123456789abcdef0123456789abcdef"
    token: str = "EAAloopbackTokenThatNobodyMaySee1234567890"
    verify_token: str = "loopback-verify_word"
    account_id: str = "178414000000042"
    page_id: str = "1040000000042"
    requires_proof: bool = True
    """The app's own setting "Require app secret": calls without a proof are refused."""
    webhook_path: str = ""
    """Where it calls us; empty: where our gateways listen."""

    @property
    def is_instagram(self) -> bool:
        """Its rules differ."""
        return self.name == "instagram"

    @property
    def us(self) -> str:
        """Our own id in its events."""
        return self.account_id if self.is_instagram else self.page_id

    @property
    def path(self) -> str:
        """Where it calls us."""
        return self.webhook_path or f"/{self.name}/webhook"


@dataclass(slots=True)
class Mode:
    """How it treats everything from now on."""

    echoes: bool = True
    """Whether what we send is told back to us, as Meta does."""
    bare_echoes: bool = False
    """Without app id and metadata, as Instagram may."""
    echo_first: bool = False
    """The echo arrives before the answer of the call does."""
    receipts: bool = False
    """Each message is delivered and read at once."""
    copies: int = 1
    """How often each webhook is delivered although it was answered 2xx."""
    scatter_seconds: float = 0.0
    """Webhooks start up to so much later, each by itself: they arrive in any order."""
    repeat_seconds: float = 0.0
    """Each repeat comes up to so much later than the one before it: between newer ones."""
    busy_share: float = 0.0
    down_share: float = 0.0
    slow_share: float = 0.0
    """Taken at once, answered after `slow_seconds`."""
    slow_seconds: float = 0.0
    retry_after: int = 1
    fails: int = 0
    """The code with which what was taken is later said to have failed (WhatsApp)."""


@dataclass(slots=True)
class Fault:
    """What the next calls of one path do. `take`: it is done all the same.

    `kind` is a status, `code:subcode`, `pass` (nothing), `hang`, `cut` or `garbage`.
    """

    path: str
    kind: str
    times: int = 1
    seconds: float = 0.0
    take: bool = False
    headers: dict[str, str] = field(default_factory=dict)


RIGHTS = (
    "pages_messaging", "pages_manage_metadata", "instagram_basic", "instagram_manage_messages",
    "pages_read_engagement", "pages_read_user_content", "pages_manage_engagement",
    "instagram_manage_comments", "whatsapp_business_messaging", "whatsapp_business_management",
)  # fmt: skip
"""What a token may do, unless `token_says` says otherwise."""


class _Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: int, subcode: int = 0, **headers: str) -> None:
        super().__init__(str(code))
        self.status, self.code, self.subcode, self.headers = status, code, subcode, headers

    @property
    def body(self) -> Json:
        """As Meta words it; what it says may hold what a person wrote."""
        error: Json = {"message": "(#1) Words of Meta's: the secret words", "type": "OAuthException",
                       "code": self.code, "fbtrace_id": "BLBz"}  # fmt: skip
        return {"error": {**error, **({"error_subcode": self.subcode} if self.subcode else {})}}


@dataclass(slots=True)
class _Webhook:
    number: int
    body: bytes
    ids: list[str]
    copies: int


class GraphServer:
    """The state of one account."""

    def __init__(self, app: App, gateways: list[str], log_path: Path | None = None, seed: int = 0) -> None:
        self.app = app
        self.gateways = gateways
        self.mode = Mode()
        self.faults: list[Fault] = []
        self.token = app.token
        self.calls: deque[Json] = deque(maxlen=5000)
        self.deliveries: deque[Json] = deque(maxlen=5000)
        self.messages: list[Json] = []
        self.told: Json = {}
        self.token_says: Json = {}
        """What its word on the token holds beside or instead of the usual."""
        self.blocked: set[str] = set()
        self.wrote: dict[str, float] = {}
        """When each person last wrote, in seconds."""
        self.holders: dict[str, str] = {}
        """Which app holds a chat; ours, where nobody does."""
        self.human_agent = False
        self.is_default_app = True
        self.wall = Wall(app.is_instagram, app.us)
        self._log = None if log_path is None else log_path.open("a", encoding="utf-8", buffering=1)
        self._chance = random.Random(seed)
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Task[None]] = {}
        self._http: httpx.AsyncClient | None = None

    # ---- webhooks ------------------------------------------------------------------------------

    def inject(
        self,
        events: list[Json],
        *,
        standby: bool = False,
        batch: bool = False,
        copies: int = 1,
        first: int | None = None,
        shuffle: bool = False,
        ids: list[str] | None = None,
    ) -> None:
        """Something happened. Each event in a webhook of its own, or all of them in one."""
        for event in events:
            self._note_written(event)
        groups = [events] if batch else [[event] for event in events]
        made = [
            _Webhook(next(self._numbers), self._body(group, standby=standby), ids or [], copies)
            for group in groups
        ]
        if shuffle:
            self._chance.shuffle(made)
        for webhook in made:
            self._deliver(webhook, first)

    def inject_changes(
        self, changes: list[Json], *, batch: bool = False, copies: int = 1, shuffle: bool = False
    ) -> None:
        """Something befell a post. Each change in a webhook of its own, or all of them in one."""
        groups = [changes] if batch else [[change] for change in changes]
        made = []
        for group in groups:
            for change in group:
                self.wall.note(change)
            entry = {"id": self.app.us, "time": int(time.time()), "changes": group}
            body = {"object": "instagram" if self.app.is_instagram else "page", "entry": [entry]}
            made.append(_Webhook(next(self._numbers), json.dumps(body).encode(), [], copies))
        if shuffle:
            self._chance.shuffle(made)
        for webhook in made:
            self._deliver(webhook)

    def _note_written(self, event: Json) -> None:
        sender, message = str(event.get("sender", {}).get("id")), event.get("message") or {}
        if sender != self.app.us and ("postback" in event or (message and not message.get("is_deleted"))):
            self.wrote[sender] = max(self.wrote.get(sender, 0.0), event["timestamp"] / 1000)

    def _body(self, events: list[Json], *, standby: bool) -> bytes:
        channel = "standby" if standby else "messaging"
        entry = {"id": self.app.us, "time": int(time.time() * 1000), channel: events}
        return json.dumps(
            {"object": "instagram" if self.app.is_instagram else "page", "entry": [entry]}
        ).encode()

    def _deliver(self, webhook: _Webhook, first: int | None = None) -> None:
        task = asyncio.create_task(self._until_taken(webhook, first))
        self._pending[webhook.number] = task
        task.add_done_callback(lambda _: self._pending.pop(webhook.number, None))

    async def _until_taken(self, webhook: _Webhook, first: int | None) -> None:
        if self.mode.scatter_seconds:
            await asyncio.sleep(self.mode.scatter_seconds * self._chance.random())
        place = first if first is not None else self._chance.randrange(max(1, len(self.gateways)))
        copies, pause, tries = max(webhook.copies, self.mode.copies), FIRST_PAUSE_SECONDS, 0
        while self.gateways:
            index, tries, began = place % len(self.gateways), tries + 1, time.time()
            status = await self._post(index, webhook.body)
            self.note(
                what="delivery", began=began, at=time.time(), ids=webhook.ids, gateway=index, status=status,
                **{"try": tries},
            )  # fmt: skip
            place += 1
            if 200 <= status < 300:
                copies -= 1
                if copies <= 0:
                    return
                if self.mode.repeat_seconds:
                    await asyncio.sleep(self.mode.repeat_seconds * self._chance.random())
                continue
            await asyncio.sleep(pause * (0.5 + self._chance.random()))
            pause = min(LONGEST_PAUSE_SECONDS, pause * 2)

    async def _post(self, index: int, body: bytes) -> int:
        secret = self.app.app_secret
        headers = {
            "Content-Type": "application/json", HEADER: sign(body, secret),
            OLD_HEADER: sign(body, secret, "sha1"),
        }  # fmt: skip
        try:
            answer = await self._client().post(
                self.gateways[index] + self.app.path, content=body, headers=headers
            )
        except httpx.HTTPError:
            return 0
        return answer.status_code

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = httpx.AsyncClient(
                timeout=httpx.Timeout(ATTEMPT_SECONDS, connect=1.0),
                limits=httpx.Limits(max_connections=100, max_keepalive_connections=20),
                trust_env=False,
            )
        return self._http

    def note(self, **record: Any) -> None:
        """Write one line of the log."""
        if record["what"] == "delivery":
            self.deliveries.append(record)
        if self._log is not None:
            self._log.write(json.dumps(record) + "\n")

    async def close(self) -> None:
        """Stop delivering."""
        tasks = list(self._pending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._http is not None:
            await self._http.aclose()
        if self._log is not None:
            self._log.close()

    # ---- calls -----------------------------------------------------------------------------------

    async def answer(
        self, method: str, path: str, query: Json, token: str, body: Json, mark: str = ""
    ) -> tuple[int, Any, dict[str, str]]:
        """One call. Returns status, body and headers; status 0 closes the connection."""
        self.calls.append({"method": method, "path": path, "at": time.time(), "query": query, **body})
        try:
            self._check_caller(query, token)
            fault = self._fault(path, body)
            if fault is not None and not fault.take:
                return await self._misbehave(fault)
            if (method, path) == ("GET", "debug_token"):
                result = self._debug(query)
            else:
                result = await self._do(method, path, body, mark)
            if fault is not None:
                return await self._misbehave(fault)
        except _Refusal as refusal:
            person = str((body.get("recipient") or {}).get("id"))
            self.note(
                what="refusal", at=time.time(), person=person, status=refusal.status, code=refusal.code,
                subcode=refusal.subcode,
            )  # fmt: skip
            return refusal.status, refusal.body, refusal.headers
        return 200, result, {}

    def _debug(self, query: Json) -> Json:
        """developers.facebook.com/docs/graph-api/reference/debug_token"""
        if query.get("input_token") != self.token:
            return {"data": {"is_valid": False, "scopes": []}}
        held = {"app_id": self.app.app_id, "is_valid": True, "expires_at": 0, "scopes": list(RIGHTS)}
        return {"data": {**held, **self.token_says}}

    def _check_caller(self, query: Json, token: str) -> None:
        if (token or query.get("access_token")) != self.token:
            raise _Refusal(400, 190, 463)
        if not self.app.requires_proof:
            return
        proof = hmac.new(self.app.app_secret.encode(), token.encode(), hashlib.sha256).hexdigest()
        if query.get("appsecret_proof") != proof:
            raise _Refusal(400, 100)

    def _fault(self, path: str, body: Json) -> Fault | None:
        if path == "me/messages" and "sender_action" in body:
            path = "sender_action"
        path = self.wall.fault_name(path, body) or path
        for fault in self.faults:
            if fault.path == path and fault.times > 0:
                fault.times -= 1
                return None if fault.kind == "pass" else fault
        return None

    async def _misbehave(self, fault: Fault) -> tuple[int, Any, dict[str, str]]:
        if fault.kind == "hang":
            await asyncio.sleep(fault.seconds or 60)
            return 0, b"", {}
        if fault.kind == "cut":
            return 0, b"", {}
        if fault.kind == "garbage":
            return 200, b"<html>a page of somebody's</html>", {}
        code, _, subcode = fault.kind.partition(":")
        if subcode:
            raise _Refusal(400, int(code), int(subcode), **fault.headers)
        headers = {"Retry-After": str(int(fault.seconds))} if fault.seconds else {}
        return int(code), b"<html><h1>" + code.encode() + b"</h1></html>", {**headers, **fault.headers}

    async def _do(self, method: str, path: str, body: Json, mark: str) -> Json:
        if method == "GET" and path == "me":
            return {"id": self.app.page_id, "instagram_business_account": {"id": self.app.account_id}}
        if method == "GET" and path == "me/subscribed_apps":
            told = self.told.get("subscribed")
            ours = {"id": self.app.app_id, "name": "Front Counter", "category": "Business"}
            return {"data": [] if told is None else [{**ours, **told}]}
        known: dict[str, Callable[[Json], Json]] = {
            "me/take_thread_control": self._take_control,
            "me/subscribed_apps": lambda given: self._tell("subscribed", given, {"success": True}),
            "me/messenger_profile": lambda given: self._tell("profile", given, {"result": "success"}),
        }
        try:
            done = self.wall.answer(method, path, body)
        except Refused as refused:
            raise _Refusal(400, refused.code, refused.subcode) from refused
        if done is not None:
            self.inject_changes(done.changes)
            if done.private is not None:
                await self._tell_back(done.private["person"], done.private)
            return done.answer
        if method == "POST" and path == "me/messages":
            return await self._send(body, mark)
        if method != "POST" or path not in known:
            raise _Refusal(400, 2500)
        return known[path](body)

    def _tell(self, what: str, given: Json, answer: Json) -> Json:
        self.told[what] = given
        return answer

    def _take_control(self, body: Json) -> Json:
        person = str(body["recipient"]["id"])
        if self.holders.get(person, self.app.app_id) != self.app.app_id and not self.is_default_app:
            raise _Refusal(403, 10)
        self.holders[person] = self.app.app_id
        return {"success": True}

    async def _send(self, body: Json, mark: str) -> Json:
        person = str((body.get("recipient") or {}).get("id"))
        if "sender_action" in body:
            if "message" in body or body["sender_action"] not in ("mark_seen", "typing_on", "typing_off"):
                raise _Refusal(400, 100)
            return {"recipient_id": person}
        message = body.get("message") or {}
        self._check_person(person)
        self._check_message(message)
        self._check_terms(person, body)
        slow = self._roll_dice()
        mid = f"m_ours-{len(self.messages) + 1}-" + "Zz8-" * 20
        sent = {
            "person": person, "mid": mid, "text": message["text"], "metadata": message.get("metadata"),
            "quick_replies": message.get("quick_replies", []), "type": body.get("messaging_type"),
            "tag": body.get("tag"), "silent": body.get("notification_type"), "at": time.time(),
            "control": body.get("thread_control"), "mark": mark,
        }  # fmt: skip
        self.messages.append(sent)
        self.note(what="send", n=len(self.messages), **sent)
        if body.get("thread_control", {}).get("control_type") == "release":
            self.holders[person] = "0"
        await self._tell_back(person, sent)
        if slow:
            await asyncio.sleep(self.mode.slow_seconds)
        return {"recipient_id": person, "message_id": mid}

    def _check_person(self, person: str) -> None:
        if person not in self.wrote:
            raise _Refusal(400, 100, 2534014 if self.app.is_instagram else 2018001)
        if person in self.blocked:
            raise _Refusal(400, 551, 1545041)

    def _check_message(self, message: Json) -> None:
        text = message.get("text")
        if not isinstance(text, str) or not text.strip():
            raise _Refusal(400, 100)
        if self.app.is_instagram and len(text.encode()) > 1000:
            raise _Refusal(400, 100)
        if not self.app.is_instagram and len(text) >= 2000:
            raise _Refusal(400, 100)
        if len(message.get("metadata", "")) >= 1000:
            raise _Refusal(400, 100)
        replies = message.get("quick_replies", [])
        if "quick_replies" in message and not 1 <= len(replies) <= 13:
            raise _Refusal(400, 100)
        for reply in replies:
            good = reply["content_type"] == "text" and 1 <= len(reply["title"]) <= 20
            if not good or not 1 <= len(reply["payload"]) <= 1000:
                raise _Refusal(400, 100)

    def _check_terms(self, person: str, body: Json) -> None:
        if self.holders.get(person, self.app.app_id) != self.app.app_id:
            raise _Refusal(403, 10, 2018300)
        if self.app.is_instagram and "notification_type" in body:
            raise _Refusal(400, 100)
        age = time.time() - self.wrote[person]
        tagged = body.get("messaging_type") == "MESSAGE_TAG" and body.get("tag") == "HUMAN_AGENT"
        if tagged and not self.human_agent:
            raise _Refusal(400, 200)
        if body.get("messaging_type") not in ("RESPONSE", "UPDATE") and not tagged:
            raise _Refusal(400, 100)
        if age > (7 * DAY if tagged else DAY):
            raise _Refusal(403, 10, 2534022 if self.app.is_instagram else 2018278)

    def _roll_dice(self) -> bool:
        """Refuse it, or say whether its answer is slow."""
        mode, dice = self.mode, self._chance.random()
        if dice < mode.busy_share:
            raise _Refusal(400, 613, 0, **{"Retry-After": str(mode.retry_after)})
        if dice < mode.busy_share + mode.down_share:
            raise _Refusal(503, 2)
        return dice < mode.busy_share + mode.down_share + mode.slow_share

    async def _tell_back(self, person: str, sent: Json) -> None:
        """The echo, and what becomes of the message."""
        echo: Json = {"mid": sent["mid"], "is_echo": True, "text": sent["text"]}
        if not self.mode.bare_echoes:
            echo |= {"app_id": int(self.app.app_id), "metadata": sent["metadata"]}
        at = int(sent["at"] * 1000)
        ends = {"sender": {"id": self.app.us}, "recipient": {"id": person}, "timestamp": at}
        if self.mode.echoes:
            self.inject([{**ends, "message": echo}])
            if self.mode.echo_first:
                await asyncio.sleep(0.5)
        if self.mode.receipts:
            back = {"sender": {"id": person}, "recipient": {"id": self.app.us}, "timestamp": at}
            if self.app.is_instagram:
                self.inject([{**back, "read": {"mid": sent["mid"]}}])
            else:
                self.inject([{**back, "read": {"watermark": at}}])
                self.inject([{**back, "delivery": {"mids": [sent["mid"]], "watermark": at}}])

    @property
    def pending(self) -> int:
        """How many webhooks are not taken yet."""
        return len(self._pending)


def build(server: GraphServer, name: str = "loopback-graph", version: str = VERSION) -> Sanic[Any, Any]:
    """The HTTP side. `name` must be another for each in one process."""
    app: Sanic[Any, Any] = Sanic(name, configure_logging=False)
    app.config.KEEP_ALIVE_TIMEOUT = 900
    app.config.RESPONSE_TIMEOUT = 120
    app.config.ACCESS_LOG = False
    app.config.MOTD = False
    app.config.AUTO_EXTEND = False
    app.config.TOUCHUP = False

    @app.route(f"/{version}/<path:path>", methods=["GET", "POST"], name="graph")
    async def _graph(request: Request, path: str) -> HTTPResponse:
        query = {key: values[-1] for key, values in request.args.items()}
        token = (request.headers.get("authorization") or "").removeprefix("Bearer ")
        body = dict(request.json or {}) if request.method == "POST" else {}
        mark = request.headers.get(MARK) or ""
        status, answer, headers = await server.answer(request.method, path, query, token, body, mark)
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

    @app.post("/control/changes")
    async def _changes(request: Request) -> HTTPResponse:
        server.inject_changes(**request.json)
        return json_response({"ok": True})

    @app.post("/control/wall")
    async def _wall(request: Request) -> HTTPResponse:
        server.wall.set(**request.json)
        return json_response({"ok": True})

    @app.get("/control/wall")
    async def _look(_request: Request) -> HTTPResponse:
        return json_response(server.wall.state())

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
        server.holders |= given.get("holders", {})
        server.gateways = given.get("gateways", server.gateways)
        server.token = given.get("token", server.token)
        server.wrote |= given.get("wrote", {})
        server.human_agent = given.get("human_agent", server.human_agent)
        server.token_says = given.get("token_says", server.token_says)
        server.told = given.get("told", server.told)
        server.is_default_app = given.get("is_default_app", server.is_default_app)
        return json_response({"ok": True})

    @app.get("/control/pending")
    async def _left(_request: Request) -> HTTPResponse:
        return json_response({"pending": server.pending})

    @app.get("/control/state")
    async def _seen(request: Request) -> HTTPResponse:
        who = request.args.get("person")
        return json_response(
            {
                "calls": [c for c in server.calls if who in (None, (c.get("recipient") or {}).get("id"))],
                "deliveries": [] if who else list(server.deliveries),
                "messages": [m for m in server.messages if who in (None, m["person"])],
                "told": server.told,
                "holders": server.holders,
                "pending": server.pending,
            }
        )

    return app


def main() -> None:
    """Run until stopped."""
    parser = argparse.ArgumentParser(description="The loopback Graph API.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", choices=["messenger", "instagram"], required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--gateway", action="append", default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--version", default=VERSION)
    parser.add_argument("--webhook-path", default="")
    parser.add_argument("--no-proof", action="store_true", help="take calls without appsecret_proof")
    given = parser.parse_args()
    app = App(given.name, webhook_path=given.webhook_path, requires_proof=not given.no_proof)
    server = GraphServer(app, given.gateway, given.log, given.seed)
    build(server, version=given.version).run(
        host="127.0.0.1", port=given.port, single_process=True, access_log=False, motd=False
    )


if __name__ == "__main__":
    main()
