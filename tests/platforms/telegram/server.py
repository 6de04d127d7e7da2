"""The loopback Telegram itself: takes calls of the Bot API, delivers updates, misbehaves as it is told.

    python -m tests.platforms.telegram.server --port 6300 --token … --log file [--gateway URL …]

Its log is one JSON object a line, written before the answer leaves:

    {"what": "send", "n", "at", "chat", "text", "buttons", "message_id", "silent", "took", "mark"}
    {"what": "refusal", "at", "chat", "status"}
    {"what": "delivery", "began", "at", "ids", "gateway", "status", "try"}

`ids` are the test's own names of the updates. With long polling an update counts as delivered (200)
when it is confirmed by a higher offset, and `gateway` is -1. `mark` is what a test's own gateway says of a
message (`tests.platforms.marks`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
from sanic import HTTPResponse, Request, Sanic, raw
from sanic import json as json_response

from tests.platforms.marks import MARK
from tests.platforms.telegram.updates import BOT

Json = dict[str, Any]

HEADER = "X-Telegram-Bot-Api-Secret-Token"
ATTEMPT_SECONDS = 6.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 1.0
_TOKEN = re.compile(r"\d+:[A-Za-z0-9_-]+")
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")
_DEFAULT_KINDS = ("message", "edited_message", "callback_query", "my_chat_member", "channel_post")


@dataclass(slots=True)
class Mode:
    """How it treats every call from now on: each share is a chance from 0 to 1 for `sendMessage`."""

    busy_share: float = 0.0
    """429 with `retry_after`."""
    down_share: float = 0.0
    """503, nothing taken."""
    slow_share: float = 0.0
    """Taken at once, answered after `slow_seconds`."""
    slow_seconds: float = 0.0
    retry_after: int = 1
    away: str = ""
    """Every method: a status such as 502, `hang` (no answer) or `cut` (the connection is closed)."""
    scatter_seconds: float = 0.0
    """Webhook calls start up to so much later, each by itself: they arrive in any order."""
    copies: int = 1
    """How often each webhook call is made although it was answered 2xx."""
    repeat_seconds: float = 0.0
    """Each repeat comes up to so much later than the one before it: between newer ones."""


@dataclass(slots=True)
class Fault:
    """What the next calls of one method do. `take`: the message is sent all the same.

    `kind` is a status, `pass` (nothing), `hang`, `cut` or `garbage`.
    """

    method: str
    kind: str
    times: int = 1
    seconds: float = 0.0
    take: bool = False


@dataclass(slots=True)
class _Pending:
    number: int
    update: Json
    tag: str
    copies: int = 1
    began: float = 0.0


class _Answer(Exception):
    """An answer that is not `ok`."""

    def __init__(self, status: int, description: str, parameters: Json | None = None) -> None:
        super().__init__(description)
        self.status = status
        self.body: Json = {"ok": False, "error_code": status, "description": description}
        if parameters:
            self.body["parameters"] = parameters


class TelegramServer:
    """The state of the service for one bot."""

    def __init__(self, token: str, gateways: list[str], log_path: Path | None = None, seed: int = 0) -> None:
        self.token = token
        self.gateways = gateways
        self._log = None if log_path is None else log_path.open("a", encoding="utf-8", buffering=1)
        self.mode = Mode()
        self.faults: list[Fault] = []
        self.calls: deque[Json] = deque(maxlen=5000)
        self.deliveries: deque[Json] = deque(maxlen=5000)
        self.messages: dict[tuple[int, int], Json] = {}
        self.blocked: set[int] = set()
        self.unknown: set[int] = set()
        self.webhook: Json = {}
        self.allowed: list[str] = list(_DEFAULT_KINDS)
        self.queue: list[_Pending] = []
        self.callbacks: set[str] = set()
        self.profile: Json = {}
        self._chance = random.Random(seed)
        self._numbers = 700_000_000
        self._message_ids = 100_000
        self._sent = 0
        self._poll: asyncio.Event | None = None
        self._ended_by = ""
        self._news = asyncio.Event()
        self._delivering: dict[int, asyncio.Task[None]] = {}
        self._http: httpx.AsyncClient | None = None

    def note(self, **record: Any) -> None:
        """Write one line of the log."""
        if record["what"] == "delivery":
            self.deliveries.append(record)
        if self._log is not None:
            self._log.write(json.dumps(record) + "\n")

    async def close(self) -> None:
        """Stop delivering."""
        for task in list(self._delivering.values()):
            task.cancel()
        await asyncio.gather(*self._delivering.values(), return_exceptions=True)
        if self._http is not None:
            await self._http.aclose()
        if self._log is not None:
            self._log.close()

    # ---- updates -----------------------------------------------------------------------------

    def inject(
        self, updates: list[Json], tags: list[str] | None = None, first: int | None = None, copies: int = 1
    ) -> list[int]:
        """Something happened in Telegram. Kinds that the bot did not ask for are dropped."""
        numbers = []
        for place, update in enumerate(updates):
            kind = next((key for key in update if key != "update_id"), "")
            if kind not in self.allowed:
                continue
            self._numbers += 1
            number = int(update.get("update_id") or self._numbers)
            numbers.append(number)
            query = update.get("callback_query")
            if query:
                self.callbacks.add(query["id"])
            tag = tags[place] if tags else str(number)
            one = _Pending(number, {"update_id": number, **update}, tag, copies)
            self.queue.append(one)
            if self.webhook:
                self._deliver(one, first)
        self._news.set()
        return numbers

    def _deliver(self, one: _Pending, first: int | None = None) -> None:
        task = asyncio.create_task(self._until_taken(one, first))
        self._delivering[one.number] = task
        task.add_done_callback(lambda _: self._delivering.pop(one.number, None))

    async def _until_taken(self, one: _Pending, first: int | None) -> None:
        if self.mode.scatter_seconds:
            await asyncio.sleep(self.mode.scatter_seconds * self._chance.random())
        place = first if first is not None else self._chance.randrange(max(1, len(self.gateways)))
        copies, pause, tries = max(one.copies, self.mode.copies), FIRST_PAUSE_SECONDS, 0
        while self.webhook and self.gateways:
            index, tries, began = place % len(self.gateways), tries + 1, time.time()
            status = await self._call(index, one.update)
            self.note(
                what="delivery", began=began, at=time.time(), ids=[one.tag], gateway=index, status=status,
                **{"try": tries},
            )  # fmt: skip
            place += 1
            if 200 <= status < 300:
                copies -= 1
                if copies <= 0:
                    self.queue = [p for p in self.queue if p.number != one.number]
                    return
                if self.mode.repeat_seconds:
                    await asyncio.sleep(self.mode.repeat_seconds * self._chance.random())
                continue
            self.webhook["last_error_date"] = int(time.time())
            self.webhook["last_error_message"] = f"Wrong response from the webhook: {status}"
            await asyncio.sleep(pause * (0.5 + self._chance.random()))
            pause = min(LONGEST_PAUSE_SECONDS, pause * 2)

    async def _call(self, index: int, update: Json) -> int:
        headers = {"Content-Type": "application/json"}
        if self.webhook.get("secret_token"):
            headers[HEADER] = self.webhook["secret_token"]
        path = urlsplit(self.webhook["url"]).path
        try:
            answer = await self._client().post(
                self.gateways[index] + path, content=json.dumps(update), headers=headers
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

    # ---- the methods -------------------------------------------------------------------------

    async def answer(self, token: str, method: str, given: Json, mark: str = "") -> tuple[int, Any]:
        """One call. Returns status and body; a body that is bytes is not JSON."""
        if not _TOKEN.fullmatch(token):
            return 404, {"ok": False, "error_code": 404, "description": "Not Found"}
        if token != self.token:
            return 401, {"ok": False, "error_code": 401, "description": "Unauthorized"}
        self.calls.append({"method": method, "at": time.time(), **given})
        take = getattr(self, f"_{method}", None)
        if take is None or not re.fullmatch(r"[a-z]+[A-Za-z]+", method):
            return 404, {"ok": False, "error_code": 404, "description": "Not Found: method not found"}
        try:
            fault = self._fault(method)
            if fault is not None and fault.kind == "pass":
                fault = None
            if fault is not None and not fault.take:
                return await self._misbehave(fault)
            result = await (self._sendMessage(given, mark) if method == "sendMessage" else take(given))
            if fault is not None:
                return await self._misbehave(fault)
        except _Answer as answer:
            if method == "sendMessage":
                self.note(what="refusal", at=time.time(), chat=given.get("chat_id"), status=answer.status)
            return answer.status, answer.body
        return 200, {"ok": True, "result": result}

    def _fault(self, method: str) -> Fault | None:
        if self.mode.away:
            return Fault(method, self.mode.away, seconds=60)
        for fault in self.faults:
            if fault.method == method and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    async def _misbehave(self, fault: Fault) -> tuple[int, Any]:
        if fault.kind == "429":
            seconds = int(fault.seconds)
            description = f"Too Many Requests: retry after {seconds}"
            raise _Answer(429, description, {"retry_after": seconds} if seconds else None)
        if fault.kind == "403":
            raise _Answer(403, "Forbidden: user is deactivated")
        if fault.kind == "400":
            raise _Answer(400, "Bad Request: chat not found")
        if fault.kind == "409":
            raise _Answer(409, "Conflict: terminated by other getUpdates request; make sure that only one "
                               "bot instance is running")  # fmt: skip
        if fault.kind == "hang":
            await asyncio.sleep(fault.seconds or 60)
            return 0, b""
        if fault.kind == "cut":
            return 0, b""
        if fault.kind == "garbage":
            return 200, b"<html>a page of somebody's</html>"
        return int(fault.kind), b"<html><h1>" + fault.kind.encode() + b"</h1></html>"

    async def _getMe(self, _given: Json) -> Json:
        return {**BOT, "can_join_groups": True, "can_read_all_group_messages": False,
                "supports_inline_queries": False}  # fmt: skip

    async def _setWebhook(self, given: Json) -> bool:
        url = str(given.get("url") or "")
        if not url:
            return await self._deleteWebhook(given)
        parts = urlsplit(url)
        if parts.scheme != "https":
            raise _Answer(400, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook")
        if (parts.port or 443) not in (443, 80, 88, 8443):
            raise _Answer(
                400, "Bad Request: bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443"
            )
        secret = given.get("secret_token")
        if secret is not None and not _SECRET.fullmatch(str(secret)):
            raise _Answer(400, "Bad Request: secret token contains unallowed characters")
        if given.get("drop_pending_updates"):
            self.queue.clear()
        self._choose(given)
        if self._poll is not None:
            self._ended_by = "setWebhook"
            self._poll.set()
        self.webhook = {
            "url": url,
            "secret_token": secret,
            "max_connections": given.get("max_connections", 40),
        }
        for one in list(self.queue):
            if one.number not in self._delivering:
                self._deliver(one)
        return True

    async def _deleteWebhook(self, given: Json) -> bool:
        self.webhook = {}
        if given.get("drop_pending_updates"):
            self.queue.clear()
        self._news.set()
        return True

    async def _getWebhookInfo(self, _given: Json) -> Json:
        told = {key: value for key, value in self.webhook.items() if key != "secret_token"}
        return {"url": "", "has_custom_certificate": False, **told, "pending_update_count": len(self.queue)}

    def _choose(self, given: Json) -> None:
        if given.get("allowed_updates"):
            self.allowed = list(given["allowed_updates"])

    async def _getUpdates(self, given: Json) -> list[Json]:
        if self.webhook:
            raise _Answer(409, "Conflict: can't use getUpdates method while webhook is active; "
                               "use deleteWebhook to delete the webhook first")  # fmt: skip
        if self._poll is not None:
            self._ended_by = "other getUpdates"
            self._poll.set()
            await asyncio.sleep(0)
        mine = self._poll = asyncio.Event()
        self._choose(given)
        self._confirm(int(given.get("offset") or 0))
        deadline = time.monotonic() + min(50.0, float(given.get("timeout") or 0))
        try:
            while not self.queue and time.monotonic() < deadline and not mine.is_set():
                self._news.clear()
                waits = [asyncio.ensure_future(self._news.wait()), asyncio.ensure_future(mine.wait())]
                await asyncio.wait(
                    waits, timeout=deadline - time.monotonic(), return_when=asyncio.FIRST_COMPLETED
                )
                for wait in waits:
                    wait.cancel()
            if mine.is_set():
                raise _Answer(409, f"Conflict: terminated by {self._ended_by} request")
        finally:
            if self._poll is mine:
                self._poll = None
        shown = self.queue[: max(1, min(100, int(given.get("limit") or 100)))]
        for one in shown:
            one.began = one.began or time.time()
        return [one.update for one in shown]

    def _confirm(self, offset: int) -> None:
        if offset < 0:
            self.queue = self.queue[offset:]
            return
        for one in self.queue:
            if one.number < offset:
                self.note(
                    what="delivery", began=one.began, at=time.time(), ids=[one.tag], gateway=-1,
                    status=200, **{"try": 1},
                )  # fmt: skip
        self.queue = [one for one in self.queue if one.number >= offset]

    async def _sendMessage(self, given: Json, mark: str = "") -> Json:
        chat, text = int(given["chat_id"]), str(given.get("text") or "")
        self._check(chat, text, given)
        dice = self._chance.random()
        if dice < self.mode.busy_share:
            seconds = self.mode.retry_after
            raise _Answer(429, f"Too Many Requests: retry after {seconds}", {"retry_after": seconds})
        if dice < self.mode.busy_share + self.mode.down_share:
            raise _Answer(503, "Service Unavailable")
        slow = dice < self.mode.busy_share + self.mode.down_share + self.mode.slow_share
        self._message_ids += 1
        self._sent += 1
        message: Json = {
            "message_id": self._message_ids,
            "from": BOT,
            "chat": {"id": chat, "type": "private" if chat > 0 else "supergroup", "first_name": "Ann"},
            "date": int(time.time()),
            "text": text,
        }
        markup = given.get("reply_markup")
        if markup:
            message["reply_markup"] = markup
        self.messages[chat, self._message_ids] = message
        buttons = [b for row in (markup or {}).get("inline_keyboard", []) for b in row]
        self.note(
            what="send", n=self._sent, at=time.time(), chat=chat, text=text, message_id=self._message_ids,
            buttons=[{"title": b["text"], "token": b["callback_data"]} for b in buttons],
            silent=bool(given.get("disable_notification")), took=self.mode.slow_seconds if slow else 0.0,
            mark=mark,
        )  # fmt: skip
        if slow:
            await asyncio.sleep(self.mode.slow_seconds)
        return message

    def _check(self, chat: int, text: str, given: Json) -> None:
        if chat in self.unknown:
            raise _Answer(400, "Bad Request: chat not found")
        if chat in self.blocked:
            raise _Answer(403, "Forbidden: bot was blocked by the user")
        if not text.strip():
            raise _Answer(400, "Bad Request: message text is empty")
        if len(text.encode("utf-16-le")) // 2 > 4096:
            raise _Answer(400, "Bad Request: message is too long")
        for row in (given.get("reply_markup") or {}).get("inline_keyboard", []):
            for button in row:
                if not 1 <= len(str(button.get("callback_data", "")).encode()) <= 64:
                    raise _Answer(400, "Bad Request: BUTTON_DATA_INVALID")

    async def _answerCallbackQuery(self, given: Json) -> bool:
        if given.get("callback_query_id") not in self.callbacks:
            raise _Answer(
                400, "Bad Request: query is too old and response timeout expired or query ID is invalid"
            )
        return True

    async def _editMessageReplyMarkup(self, given: Json) -> Json:
        message = self.messages.get((int(given["chat_id"]), int(given["message_id"])))
        if message is None:
            raise _Answer(400, "Bad Request: message to edit not found")
        if message.get("reply_markup") == given.get("reply_markup"):
            raise _Answer(400, "Bad Request: message is not modified")
        message.pop("reply_markup", None)
        if given.get("reply_markup"):
            message["reply_markup"] = given["reply_markup"]
        return message

    async def _sendChatAction(self, _given: Json) -> bool:
        return True

    async def _leaveChat(self, _given: Json) -> bool:
        return True

    async def _setMyCommands(self, given: Json) -> bool:
        self.profile["commands"] = given.get("commands")
        return True

    async def _setMyDescription(self, given: Json) -> bool:
        if len(str(given.get("description") or "")) > 512:
            raise _Answer(400, "Bad Request: description is too long")
        self.profile["description"] = given.get("description")
        return True


def read_form(request: Request) -> Json:
    """The parameters of a call: JSON, or a form whose values are words or JSON."""
    if "json" in request.headers.get("content-type", ""):
        return dict(request.json or {})
    found: Json = {}
    for name, values in (request.form or {}).items():
        value = values[-1]
        found[name] = value
        if name not in ("text", "url", "secret_token", "callback_query_id", "description"):
            try:
                found[name] = json.loads(value)
            except ValueError:
                found[name] = value
    return found


def build(server: TelegramServer, name: str = "loopback-telegram") -> Sanic[Any, Any]:
    """The HTTP side. `name` must be another for each in one process."""
    app: Sanic[Any, Any] = Sanic(name, configure_logging=False)
    app.config.KEEP_ALIVE_TIMEOUT = 900
    app.config.RESPONSE_TIMEOUT = 120
    app.config.ACCESS_LOG = False
    app.config.MOTD = False
    app.config.AUTO_EXTEND = False
    app.config.TOUCHUP = False

    @app.route("/<path:path>", methods=["GET", "POST"], name="bot")
    async def _bot(request: Request, path: str) -> HTTPResponse | None:
        if not path.startswith("bot"):
            return json_response({"ok": False, "error_code": 404, "description": "Not Found"}, status=404)
        token, _, method = unquote(path).removeprefix("bot").partition("/")
        mark = request.headers.get(MARK) or ""
        status, body = await server.answer(token, method, read_form(request), mark)
        if status == 0:
            if request.transport is not None:
                request.transport.abort()
            return raw(b"", status=204)
        if isinstance(body, bytes):
            return raw(body, status=status, content_type="text/html")
        return json_response(body, status=status)

    @app.post("/control/updates")
    async def _updates(request: Request) -> HTTPResponse:
        given = request.json
        return json_response(
            server.inject(given["updates"], given.get("tags"), given.get("first"), given.get("copies", 1))
        )

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
        server.unknown = set(given.get("unknown", server.unknown))
        server.gateways = given.get("gateways", server.gateways)
        server.token = given.get("token", server.token)
        server.webhook = given.get("webhook", server.webhook)
        return json_response({"ok": True})

    @app.get("/control/state")
    async def _seen(_request: Request) -> HTTPResponse:
        return json_response(
            {
                "calls": list(server.calls),
                "deliveries": list(server.deliveries),
                "messages": list(server.messages.values()),
                "webhook": server.webhook,
                "allowed": server.allowed,
                "profile": server.profile,
                "pending": len(server.queue),
            }
        )

    @app.get("/control/pending")
    async def _pending(_request: Request) -> HTTPResponse:
        return json_response({"pending": len(server.queue)})

    return app


def main() -> None:
    """Run until stopped."""
    parser = argparse.ArgumentParser(description="The loopback Telegram.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--gateway", action="append", default=[])
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    server = TelegramServer(given.token, given.gateway, given.log, given.seed)
    build(server).run(host="127.0.0.1", port=given.port, single_process=True, access_log=False, motd=False)


if __name__ == "__main__":
    main()
