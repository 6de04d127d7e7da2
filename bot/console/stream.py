"""The stream of events: one for each browser, shared by its tabs, with no gap after a reconnect.

An event says which conversation changed, never what was said; the page fetches that. It goes only
to who may open the conversation. `tell` is what a page may call out beside itself. The stream is also
the page's sign of life, and it tells the page when its session was locked or has ended.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sanic import HTTPResponse
from sanic.response import BaseHTTPResponse
from sqlalchemy import Row

from bot.accounts import Session, actor_of
from bot.console.concerns import is_pressing, unaltered
from bot.console.looks import BATCH
from bot.console.notices import DANGER, notice_of
from bot.console.visit import ANSWERING, HEADERS, Routes, Visit
from bot.errors import RefusedError, StoreUnavailableError
from bot.handover.queue import sight_of
from bot.handover.viewing import bell_of
from bot.store.bell import wait_any
from bot.store.record import Cursor, latest_cursor

POLL_SECONDS = 2.0
PING_SECONDS = 15.0
SEEN_SECONDS = 20.0
GATHER_SECONDS = 0.1
"""All pages of a gateway look at the same moments, so long apart: one reading then serves them all, and many
who write at once do not make every page look for each."""
AGAIN_SECONDS = 0.25
"""After a ring that brought nothing: the event may stand behind another's transaction that is still open."""
MOST_AGAIN = 4

_CURSOR = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})")


def add(routes: Routes) -> None:
    """Add the route."""
    routes.get("/desk/stream", stream, ANSWERING, acts=False)


def read_cursor(value: str) -> Cursor | None:
    """The place after which a browser wants events; None when it has none yet.

    Raises:
        RefusedError: it is not one of ours.
    """
    if not value:
        return None
    found = _CURSOR.fullmatch(value)
    if found is None:
        raise RefusedError("That is not a place in the stream.")
    return int(found[1]), int(found[2])


def _say(name: str, data: dict[str, Any], cursor: Cursor | None = None) -> str:
    place = f"id: {cursor[0]}.{cursor[1]}\n" if cursor else ""
    return f"{place}event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


async def stream(visit: Visit) -> HTTPResponse | None:
    """Send events until the browser goes, or its session is locked or ends.

    `ready` follows once everything missed was sent: until then nobody may type (I10).
    """
    cursor = read_cursor(visit.request.headers.get("last-event-id") or visit.query("after"))
    store = visit.core.store
    async with store.read() as connection:
        newest = await latest_cursor(connection)
    if cursor is None or cursor > newest:
        # From another database, or from a browser that just came: its page reads everything anew.
        cursor = newest
    response = await visit.request.respond(
        content_type="text/event-stream; charset=utf-8",
        headers={**HEADERS, "Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
    await response.send("retry: 1500\n\n")
    async with visit.core.streams.serving(response, "desk"):
        await _follow(visit, response, cursor)
    await response.eof()
    return None


def _keeps(
    shown: Mapping[int, Sequence[Row[Any]]], chat: int, may: Mapping[int, Row[Any]], session: Session
) -> dict[str, list[str]]:
    """The parts of a page that need not come anew, if there are any."""
    parts = unaltered(shown[chat], may[chat], session.staff_id, session.role) if chat in shown else []
    return {"keeps": parts} if parts else {}


async def _follow(visit: Visit, response: BaseHTTPResponse, cursor: Cursor) -> None:
    sessions = visit.console.sessions
    ready = False
    sent_at = time.monotonic()
    seen_at = 0.0
    rang, again = False, 0
    bell, viewers = visit.core.bell, bell_of(visit.session.staff_id)
    with bell.subscribe("event", viewers) as ear, bell.subscribe(viewers) as looked_on:
        while True:
            try:
                session = await sessions.by_id(visit.session.id)
                if session is not None and session.role not in ANSWERING:
                    session = None  # the role was changed while the page was open
                if session is None or session.locked:
                    await response.send(_say("gone" if session is None else "locked", {}))
                    break
                events, may = await visit.console.looks.ask(cursor, sight_of(actor_of(session)))
            except StoreUnavailableError:
                # The browser sees the end, tells its reader, and comes back by itself.
                break
            changed: dict[int, set[str]] = {}
            tell: dict[int, dict[str, str]] = {}
            shown: dict[int, list[Row[Any]]] = {}
            for event in events:
                cursor = (event.xid, event.id)
                if event.conversation_id in may:
                    shown.setdefault(event.conversation_id, []).append(event)
                    changed.setdefault(event.conversation_id, set()).add(event.kind)
                    notice = notice_of(event, may[event.conversation_id], session.staff_id)
                    if notice is not None and tell.get(event.conversation_id, {}).get("tell") != DANGER:
                        tell[event.conversation_id] = notice
                elif event.kind == "conversation.sealed" and event.data.get("was") == session.staff_id:
                    # It was theirs and is not any more: their page has to go, and is not told why.
                    changed.setdefault(event.conversation_id, set()).add("conversation.owner")
            if any(is_pressing(kinds, may[chat]) for chat, kinds in changed.items() if chat in may):
                visit.console.lists.hurry()
            text = "".join(
                _say(
                    "change",
                    {
                        "chat": chat,
                        "kinds": sorted(kinds),
                        **tell.get(chat, {}),
                        **_keeps(shown, chat, may, session),
                    },
                )
                for chat, kinds in changed.items()
            )
            if looked_on.is_set():
                looked_on.clear()
                rang = False  # it was this that rang
                text += _say("viewers", {})
            if events:
                text += _say("place", {}, cursor)
            if not ready and len(events) < BATCH:
                text += _say("ready", {}, cursor)
                ready = True
            if not text and time.monotonic() - sent_at > PING_SECONDS:
                text = ": here\n\n"
            if text:
                await response.send(text)
                sent_at = time.monotonic()
            # The sign of life comes after what the reader waits for.
            if time.monotonic() - seen_at > SEEN_SECONDS:
                try:
                    await sessions.seen(session)
                except StoreUnavailableError:
                    break
                seen_at = time.monotonic()
            if len(events) < BATCH:
                again = 0 if events or again == MOST_AGAIN else again + 1 if rang or again else 0
                rang = await _next_moment(ear, AGAIN_SECONDS if again else POLL_SECONDS)


async def _next_moment(ear: asyncio.Event, seconds: float) -> bool:
    """Wait for a ring, `seconds` at most, and then for the moment at which all pages look. True: it rang."""
    rang = await wait_any(ear, seconds)
    await asyncio.sleep(GATHER_SECONDS - time.monotonic() % GATHER_SECONDS)
    rang = rang or ear.is_set()
    ear.clear()
    return rang
