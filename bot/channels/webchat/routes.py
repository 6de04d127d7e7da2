"""The routes of web chat on the public listener: the page, its form, its JSON and its stream."""

from __future__ import annotations

import asyncio
import gzip
import math
import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing, suppress
from typing import Any

import structlog
from sanic import Blueprint, HTTPResponse, Request, html, json, raw, redirect
from sqlalchemy import func, select

from bot import metrics
from bot.channels.parts import Parts
from bot.channels.webchat import context, embed, inbound, session, stream
from bot.channels.webchat.limits import Limits
from bot.channels.webchat.page import File, Pages
from bot.channels.webchat.pages import PATHS, load_notices
from bot.conversations.door import Accepted, DoorClosedError
from bot.conversations.transcript import Line, read_public
from bot.errors import BadRequestError, NotAllowedError, StoreUnavailableError
from bot.messages import Incoming, Receipt
from bot.store.record import Cursor, latest_cursor, now
from bot.store.tables import Message, Outbox

log = structlog.get_logger(__name__)

FIRST_REPLY_SECONDS = 3.0
LOOK_SECONDS = 0.1
VIEW_SECONDS = 15 * 60
"""How long an address of a page without scripts shows the chat without asking again."""
REFRESH_SECONDS = 15
LONG_CACHE = "public, max-age=31536000, immutable"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; frame-src 'self'; frame-ancestors 'self'; "
        "base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
}


def blueprint(parts: Parts) -> Blueprint:
    """All routes of web chat."""
    found: Blueprint = Blueprint("webchat")
    chat = _WebChatRoutes(parts)
    found.add_route(chat.home, "/", methods=["GET"], name="home")
    found.add_route(chat.page, "/chat", methods=["GET"], name="page")
    found.add_route(chat.form, "/chat", methods=["POST"], name="form")
    found.add_route(chat.frame, "/chat/frame", methods=["GET"], name="frame")
    found.add_route(chat.widget, "/chat/widget.js", methods=["GET"], name="widget")
    found.add_route(chat.replies, "/chat/replies", methods=["GET"], name="replies")
    found.add_route(chat.message, "/chat/messages", methods=["POST"], name="message")
    found.add_route(chat.earlier, "/chat/earlier", methods=["GET"], name="earlier")
    found.add_route(chat.seen, "/chat/seen", methods=["POST"], name="seen")
    found.add_route(chat.stream, "/chat/stream", methods=["GET"], name="stream")
    found.add_route(chat.static, "/chat/static/<name:str>", methods=["GET"], name="static")
    for name, path in PATHS.items():
        found.add_route(chat.notice(name), path, methods=["GET"], name=f"page_{name}")

    @found.on_response  # type: ignore[untyped-decorator]
    async def _headers(_request: Request, response: HTTPResponse) -> None:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if "frame-ancestors 'self' " in response.headers["Content-Security-Policy"]:
            # The older header knows no list: where both stand, an old browser would obey this one.
            response.headers.pop("X-Frame-Options", None)
        response.headers.setdefault("Cache-Control", "no-store")

    return found


class _WebChatRoutes:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        notices = load_notices(parts.settings.force)
        self._pages = Pages(parts.content, notices, demo=parts.settings.demo)
        self._wakes = stream.Wakes(parts.store, parts.bell)
        self._limits = Limits(parts.settings.chat_per_person, parts.settings.chat_per_address)
        self._origins = embed.Origins(parts.settings.webchat_origins)
        self._widget: tuple[str, File] | None = None

    # ---- pages -------------------------------------------------------------------------------

    async def home(self, _request: Request) -> HTTPResponse:
        """The public listener has one page."""
        return redirect("/chat")

    def notice(self, name: str) -> Callable[[Request], Coroutine[Any, Any, HTTPResponse]]:
        """The handler of one page that does not change with a chat. It asks no database."""

        async def show(_request: Request) -> HTTPResponse:
            return html(self._pages.notice(name, cookie_days=session.KEEP_SECONDS // 86400))

        return show

    async def static(self, request: Request, name: str) -> HTTPResponse:
        """A style sheet or a script."""
        # An address with another hash belongs to another version: it must not be kept.
        is_named = request.args.get("v") == self._pages.address(name).rpartition("=")[2]
        caching = LONG_CACHE if is_named else "no-cache"
        if name == "colour.css":
            body = self._pages.colour()
            return raw(body, content_type="text/css; charset=utf-8", headers={"Cache-Control": caching})
        file = self._pages.files.get(name)
        if file is None:
            return json({"error": "Not found."}, status=404)
        return _sent(request, file, {"Cache-Control": caching, "Vary": "Accept-Encoding"})

    # ---- on other pages ------------------------------------------------------------------------

    async def widget(self, request: Request) -> HTTPResponse:
        """The module that a page of the force loads. Nothing about anybody is in it."""
        origin = self._origins.check_script(request.headers)
        content = self._parts.content.current
        if self._widget is None or self._widget[0] != content.sha256:
            force = content.force
            language = str(force.get("language", "en-GB"))
            self._widget = content.sha256, embed.script(self._pages, str(force["quick_exit_url"]), language)
        headers = {
            "Cache-Control": embed.SHORT_CACHE,
            "Vary": "Origin, Accept-Encoding",
            "Cross-Origin-Resource-Policy": "cross-origin",
        }
        if origin is not None:
            headers["Access-Control-Allow-Origin"] = origin
        return _sent(request, self._widget[1], headers)

    async def frame(self, request: Request) -> HTTPResponse:
        """The page as it stands in a frame on another page: nobody's, until they write."""
        self._origins.check_frame(request.headers)
        # From the beginning: an answer may be out before the frame listens for it.
        response = self._page(None, embedded=True, cursor=(0, 0))
        policy = HEADERS["Content-Security-Policy"].replace(
            "frame-ancestors 'self'", self._origins.frame_ancestors
        )
        response.headers["Content-Security-Policy"] = policy
        response.headers["Vary"] = "Accept-Encoding"
        if _unpacks(request) and response.body is not None:
            # Nobody's secret is in it, so that its length tells nothing.
            response.body = gzip.compress(response.body)
            response.headers["Content-Encoding"] = "gzip"
        return response

    async def page(self, request: Request) -> HTTPResponse:
        """The page. What was said earlier is shown only to whoever has said so."""
        token = session.token_in(request)
        shown = _shown_view(request.args.get("view"))
        lines: Sequence[Line] = ()
        has_earlier = False
        cursor: Cursor | None = (0, 0)
        if token is not None:
            try:
                cursor, has_earlier, lines = await self._look(session.person_of(token), shown)
            except StoreUnavailableError:
                # The page must open whatever is down: it shows the words to call 999.
                cursor, shown = None, None
        return self._page(token, lines=lines, view=shown, cursor=cursor, ask=has_earlier and shown is None)

    def _page(
        self,
        token: str | None,
        *,
        lines: Sequence[Line] = (),
        view: int | None = None,
        cursor: Cursor | None = None,
        ask: bool = False,
        error: str | None = None,
        words: str | None = None,
        text: str = "",
        identity: str | None = None,
        start: str | None = None,
        status: int = 200,
        embedded: bool = False,
    ) -> HTTPResponse:
        moment = time.time()
        body = self._pages.render(
            "chat.html",
            known=token is not None,
            start=start or (None if token or embedded else session.new_token()),
            lines=lines,
            last=max((line.id for line in lines if line.side != "person"), default=0),
            view=None if view is None else _view(view, moment),
            view_all=_view(0, moment),
            view_new=_view(int(moment * 1000), moment),
            cursor="now" if cursor is None else f"{cursor[0]}.{cursor[1]}",
            ask=ask,
            error=error,
            words=words,
            text=text,
            identity=identity or new_identity(),
            new_identity=new_identity,
            limit=inbound.MAX_CHARACTERS,
            embedded=embedded,
        )
        return html(body, status=status)

    async def _look(self, person: str, shown: int | None) -> tuple[Cursor, bool, Sequence[Line]]:
        async with self._parts.store.read() as connection:
            # The place first: a row that is sent between the two reads comes twice, never not.
            cursor = await latest_cursor(connection)
            person_id = await stream.person_id_of(connection, person)
            if person_id is None:
                return cursor, False, ()
            lines: Sequence[Line] = ()
            if shown is not None:
                lines = [
                    line
                    for line in await read_public(connection, person_id)
                    if line.at.timestamp() * 1000 >= shown
                ]
        return cursor, True, lines

    async def replies(self, request: Request) -> HTTPResponse:
        """What was sent after a page without scripts was made: a frame that renews itself."""
        token = session.token_in(request)
        after = request.args.get("after", "")
        view = _shown_view(request.args.get("view"), seconds=None)
        lines: Sequence[Line] = ()
        is_down = False
        if token is not None and after.isdecimal() and len(after) < 19:
            try:
                async with self._parts.store.read() as connection:
                    person_id = await stream.person_id_of(connection, session.person_of(token))
                    if person_id is not None:
                        lines = [
                            line
                            for line in await read_public(connection, person_id, outbox_after=int(after))
                            if line.side != "person" and line.at.timestamp() * 1000 >= (view or 0)
                        ]
            except StoreUnavailableError:
                is_down = True
        body = self._pages.render(
            "replies.html",
            lines=lines,
            is_down=is_down,
            moment=now(),
            view=_view(view or 0, time.time()),
        )
        # A header, not a <meta>: it renews this frame alone and takes no focus from the page.
        return html(body, headers={"Refresh": str(REFRESH_SECONDS)})

    # ---- without scripts -----------------------------------------------------------------------

    async def form(self, request: Request) -> HTTPResponse:
        """The page's form: stores, waits a little for the first answer, shows the page anew."""
        _refuse_others(request)
        held = session.token_in(request)
        fields = {name: values[-1] for name, values in (request.form or {}).items()}
        try:
            form = inbound.parse_form(fields)
            if not form.text.strip() and form.button is None:
                raise BadRequestError(self._pages.line("chat_empty"))
        except BadRequestError as error:
            return self._page(
                held,
                error=str(error),
                text=str(fields.get("text") or "")[: 2 * inbound.MAX_CHARACTERS],
                view=_shown_view(fields.get("view")),
                status=error.status,
            )
        token = held or session.token_from(form.start)
        person = session.person_of(token)
        shown = _shown_view(form.view, seconds=None)
        if shown is None:
            shown = int(time.time() * 1000) - 1 if held else 0
        if self._too_fast(request, person, form.text):
            response = self._page(
                held,
                words=self._pages.line("slow_down"),
                text=form.text,
                identity=form.id,
                start=form.start,
                view=shown,
                status=429,
            )
            session.remember(request, response, token, secure=self._parts.settings.secure_cookies)
            return response
        try:
            title = None if form.button is None else await self._title(person, form.button)
            accepted = await self._accept(inbound.messages_of(person, form, title))
        except DoorClosedError as error:
            words = next(iter(error.words.values()), None)
            response = self._page(
                held,
                words=words or self._pages.line("store_down"),
                text=form.text,
                identity=form.id,
                start=form.start,
                view=shown,
                status=503,
            )
        else:
            await self._first_reply(accepted)
            response = redirect(f"/chat?view={_view(shown, time.time())}#latest", status=303)
        session.remember(request, response, token, secure=self._parts.settings.secure_cookies)
        return response

    async def _first_reply(self, accepted: Sequence[Accepted]) -> None:
        """Wait until the message was read and its answers are out; a few seconds at most."""
        messages = [one.message_id for one in accepted if one.message_id is not None]
        conversations = {one.conversation_id for one in accepted if one.conversation_id is not None}
        with suppress(TimeoutError, StoreUnavailableError):
            async with asyncio.timeout(FIRST_REPLY_SECONDS):
                while True:
                    async with self._parts.store.read() as connection:
                        unread = await connection.execute(
                            select(func.count()).where(Message.id.in_(messages), ~Message.handled)
                        )
                        in_line = await connection.execute(
                            select(func.count()).where(
                                Outbox.conversation_id.in_(conversations), Outbox.state == "queued"
                            )
                        )
                        if not unread.scalar_one() and not in_line.scalar_one():
                            return
                    await asyncio.sleep(LOOK_SECONDS)

    # ---- the page's script ---------------------------------------------------------------------

    async def message(self, request: Request) -> HTTPResponse:
        """One message of the page. 200 only once it is stored; a repeat of its id changes nothing."""
        _refuse_others(request)
        posted = inbound.parse_message(request.body)
        token = session.token_in(request) or session.token_from(posted.start)
        person = session.person_of(token)
        if wait := self._too_fast(request, person, posted.text):
            response = json(
                self._said(self._pages.line("slow_down")),
                status=429,
                headers={"Retry-After": str(math.ceil(wait))},
            )
            session.remember(request, response, token, secure=self._parts.settings.secure_cookies)
            return response
        try:
            title = None if posted.button is None else await self._title(person, posted.button)
            incoming = inbound.message_of(person, posted, title, self._topic(posted.page))
            await self._accept([incoming])
            response = json({"ok": True})
        except DoorClosedError as error:
            words = next(iter(error.words.values()), None)
            body = self._said(words or self._pages.line("store_down"))
            body["safety"] = words is not None
            response = json(body, status=503, headers={"Retry-After": "2"})
        session.remember(request, response, token, secure=self._parts.settings.secure_cookies)
        return response

    def _topic(self, signed: str | None) -> str:
        """What the page around the chat is about, by its signature; empty when that says nothing."""
        if signed is None:
            return ""
        try:
            topic = context.read(
                self._parts.settings.webchat_page_key.get_secret_value(), signed, time.time()
            )
        except context.IgnoredError as error:
            metrics.CHAT_PAGES.labels(error.reason).inc()
            log.info("webchat.page_ignored", reason=error.reason)
            return ""
        metrics.CHAT_PAGES.labels("shown").inc()
        return topic

    def _said(self, words: str) -> dict[str, Any]:
        """What the page shows beside a message that it keeps and sends again."""
        parts = [piece.as_json() for piece in self._pages.linker.pieces(words)]
        return {"words": words, "parts": parts, "safety": False, "retry": True}

    def _too_fast(self, request: Request, person: str, text: str) -> float:
        """How many seconds too early a message comes; never so for one in which danger is read."""
        wait = self._limits.wait_seconds(person, request.client_ip)
        if wait and self._parts.door.is_urgent(text):
            return 0.0
        return wait

    async def _accept(self, arrivals: Sequence[Incoming]) -> list[Accepted]:
        return await self._parts.door.accept(arrivals)

    async def _title(self, person: str, token: str) -> str:
        """The words on a button of ours, as the record has them.

        Raises:
            BadRequestError: this person was offered no such button.
            DoorClosedError: the store is down.
        """
        if token == "person":  # noqa: S105  a button's name, not a secret
            return self._pages.line("talk_to_person")
        outbox_id, _, index = token.partition(".")
        try:
            async with self._parts.store.read(quick=True) as connection:
                person_id = await stream.person_id_of(connection, person)
                rows = await stream.rows_of(connection, person_id or 0, [int(outbox_id)])
        except StoreUnavailableError as error:
            raise DoorClosedError({}) from error
        if not rows or int(index) >= len(rows[0].buttons):
            raise BadRequestError("That answer is not one of ours.")
        return str(rows[0].buttons[int(index)]["title"])

    async def earlier(self, request: Request) -> HTTPResponse:
        """All of this person's chat, once they have asked to see it, and the place it reaches."""
        token = session.token_in(request)
        if token is None:
            return json({"lines": [], "cursor": "0.0"})
        cursor, _, lines = await self._look(session.person_of(token), 0)
        linker = self._pages.linker
        desk = self._parts.content.current.desk_name
        body = [
            {
                "id": line.id,
                "side": line.side,
                "text": line.text,
                "parts": (
                    [{"text": line.text}]
                    if line.side == "person"
                    else [piece.as_json() for piece in linker.pieces(line.text)]
                ),
                "buttons": list(line.buttons),
                "desk": desk if line.side == "staff" else None,
                "at": line.at.isoformat(),
            }
            for line in lines
        ]
        return json({"lines": body, "cursor": f"{cursor[0]}.{cursor[1]}"})

    async def seen(self, request: Request) -> HTTPResponse:
        """The page has shown these rows: that is web chat's receipt."""
        _refuse_others(request)
        ids = inbound.parse_seen(request.body)
        token = session.token_in(request)
        if token is not None:
            async with self._parts.store.read(quick=True) as connection:
                person_id = await stream.person_id_of(connection, session.person_of(token))
                rows = await stream.rows_of(connection, person_id or 0, ids)
                mine = [row.id for row in rows if row.state == "sent"]
            if mine:
                await self._parts.door.accept([Receipt(inbound.NAME, str(one), "delivered") for one in mine])
        return json({"ok": True})

    async def stream(self, request: Request) -> HTTPResponse | None:
        """Server-sent events for this person, from where the page was last."""
        token = session.token_in(request)
        if token is None:
            # 204 tells a browser's event source not to come again.
            return HTTPResponse(status=204)
        last = request.headers.get("last-event-id") or request.args.get("after") or "now"
        cursor = inbound.parse_cursor(last)
        if cursor is None and last != "now":
            raise BadRequestError("`after` is a place such as 12.345.")
        response = await request.respond(
            content_type="text/event-stream; charset=utf-8",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        await response.send("retry: 2000\n\n")
        following = stream.follow(self._parts.store, self._wakes, session.person_of(token), cursor)
        async with self._parts.streams.serving(response, "public"), aclosing(following):
            async for event, place, data in following:
                if event == "message":
                    teller = stream.Teller(self._pages.linker, self._parts.content.current.desk_name)
                    data = teller.message(data)
                elif event == "status":
                    data = {"state": data}
                await response.send(stream.frame(event, place, data))
        return None


def _unpacks(request: Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "").lower()


def _sent(request: Request, file: File, headers: dict[str, str]) -> HTTPResponse:
    """A file, packed for browsers that can unpack it, or 304 where they have it."""
    is_packed = _unpacks(request)
    tag = f'"{file.hash}{"-gzip" if is_packed else ""}"'
    headers = {**headers, "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return HTTPResponse(status=304, headers=headers)
    if is_packed:
        headers["Content-Encoding"] = "gzip"
    return raw(file.packed if is_packed else file.body, content_type=file.type, headers=headers)


def new_identity() -> str:
    """A fresh id for one message of a page without scripts."""
    return secrets.token_hex(16)


def _view(shown_from_ms: int, moment: float) -> str:
    return f"{shown_from_ms}.{int(moment)}"


def _shown_view(value: str | None, *, seconds: int | None = VIEW_SECONDS) -> int | None:
    """From when the chat is shown (milliseconds of Unix time); None when it must be asked first."""
    view = inbound.parse_view(value)
    if view is None:
        return None
    if seconds is not None and abs(time.time() - view[1]) > seconds:
        return None
    return view[0]


def _refuse_others(request: Request) -> None:
    if not session.is_same_origin(request.headers):
        raise NotAllowedError("This request does not come from our page.")
