"""What a person's page is told: their rows that were sent, in commit order, each once.

One look at the event table per process wakes the pages that it concerns; each page then reads from
its own place (`xid.id`). So a lost wake-up costs time only, and many open pages cost little.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Row, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.channels.webchat.inbound import NAME
from bot.channels.webchat.links import Linker
from bot.conversations.transcript import PUBLIC_STATES
from bot.errors import StoreUnavailableError
from bot.store import Bell, Store
from bot.store.bell import wait_any
from bot.store.record import Cursor, events_after, latest_cursor, table
from bot.store.tables import Conversation, Outbox, Person

log = structlog.get_logger(__name__)

POLL_SECONDS = 2.0
BEAT_SECONDS = 15.0
LONGEST_PAUSE_SECONDS = 10.0
LIMIT = 500
KINDS = ("outbox.state", "conversation.opened", "conversation.owner", "conversation.escalated")
BEAT = ": still here\nevent: beat\ndata: 1\n\n"
"""The comment keeps proxies from closing; the event lets the page notice a dead line."""

_conversation, _outbox = table(Conversation), table(Outbox)
_PEOPLE = select(_conversation.c.person_id).where(
    _conversation.c.id.in_(bindparam("conversations", expanding=True))
)
_PERSON_ID = select(table(Person).c.id).where(
    Person.channel == NAME, Person.platform_id == bindparam("person")
)
_ROWS = (
    select(_outbox)
    .join(_conversation, _conversation.c.id == _outbox.c.conversation_id)
    .where(
        _outbox.c.id.in_(bindparam("ids", expanding=True)),
        _conversation.c.person_id == bindparam("person_id"),
        _outbox.c.state.in_(PUBLIC_STATES),
    )
)
_STATE = (
    select(_conversation.c.state)
    .where(_conversation.c.person_id == bindparam("person_id"))
    .order_by(_conversation.c.id.desc())
    .limit(1)
)


class Wakes:
    """Wakes the pages of the people about whom something was committed."""

    def __init__(self, store: Store, bell: Bell) -> None:
        self._store = store
        self._bell = bell
        self._ears: dict[int, set[asyncio.Event]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def listen(self, person_id: int) -> Iterator[asyncio.Event]:
        """An event that is set when there may be something new for this person."""
        ear = asyncio.Event()
        self._ears[person_id].add(ear)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="webchat-wakes")
        try:
            yield ear
        finally:
            self._ears[person_id].discard(ear)
            if not self._ears[person_id]:
                del self._ears[person_id]
            if not self._ears and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _run(self) -> None:
        cursor: Cursor | None = None
        with self._bell.subscribe("event") as ear:
            while True:
                try:
                    cursor = await self._look(cursor)
                except StoreUnavailableError:
                    cursor = None
                    await asyncio.sleep(1.0)
                except Exception:
                    log.exception("webchat.wakes_failed")
                    cursor = None
                    await asyncio.sleep(1.0)
                await wait_any(ear, POLL_SECONDS)

    async def _look(self, cursor: Cursor | None) -> Cursor:
        async with self._store.read(quick=True) as connection:
            if cursor is None:
                cursor = await latest_cursor(connection)
                people = list(self._ears)
            else:
                events = await events_after(connection, cursor, kinds=KINDS, limit=LIMIT)
                if not events:
                    return cursor
                cursor = (events[-1].xid, events[-1].id)
                if len(events) == LIMIT:
                    people = list(self._ears)
                else:
                    touched = list({event.conversation_id for event in events})
                    people = list((await connection.execute(_PEOPLE, {"conversations": touched})).scalars())
        for person_id in people:
            for ear in self._ears.get(person_id, ()):
                ear.set()
        return cursor


@dataclass(frozen=True, slots=True)
class Teller:
    """Puts rows into the words and names that the page may show."""

    linker: Linker
    desk: str

    def message(self, row: Row[Any]) -> dict[str, Any]:
        """One row of the outbox for the page. Nobody of the staff is named."""
        return {
            "id": row.id,
            "side": row.kind,
            "text": row.text,
            "parts": [piece.as_json() for piece in self.linker.pieces(row.text)],
            "buttons": [
                {"title": button["title"], "token": f"{row.id}.{index}"}
                for index, button in enumerate(row.buttons)
            ],
            "desk": self.desk if row.kind == "staff" else None,
            "at": (row.sent_at or row.created_at).isoformat(),
        }


async def person_id_of(connection: AsyncConnection, person: str) -> int | None:
    """Our number for a person of this channel, once their first message is stored."""
    return (await connection.execute(_PERSON_ID, {"person": person})).scalar_one_or_none()


async def rows_of(connection: AsyncConnection, person_id: int, ids: Sequence[int]) -> list[Row[Any]]:
    """Those of the outbox rows that this person may see, in the order of `ids`."""
    if not ids:
        return []
    rows = await connection.execute(_ROWS, {"ids": list(ids), "person_id": person_id})
    found = {row.id: row for row in rows}
    return [found[one] for one in ids if one in found]


async def state_of(connection: AsyncConnection, person_id: int) -> str:
    """Who may answer in the person's newest conversation; `bot` when there is none."""
    return (await connection.execute(_STATE, {"person_id": person_id})).scalar_one_or_none() or "bot"


@dataclass(slots=True)
class _Look:
    cursor: Cursor
    rows: list[tuple[Cursor, Row[Any]]]
    state: str
    more: bool


async def _look(store: Store, person_id: int, cursor: Cursor) -> _Look:
    async with store.read(quick=True) as connection:
        events = await events_after(connection, cursor, person_id=person_id, kinds=KINDS, limit=LIMIT)
        places: dict[int, Cursor] = {}
        for event in events:
            if event.kind == "outbox.state" and event.data.get("state") == "sent":
                places[int(event.data["outbox"])] = (event.xid, event.id)
        rows = await rows_of(connection, person_id, list(places))
        state = await state_of(connection, person_id)
    if events:
        cursor = (events[-1].xid, events[-1].id)
    return _Look(cursor, [(places[row.id], row) for row in rows], state, len(events) == LIMIT)


async def follow(
    store: Store, wakes: Wakes, person: str, cursor: Cursor | None
) -> AsyncGenerator[tuple[str, Cursor | None, Any], None]:
    """Everything for this person's page after `cursor`, for ever: (event, place, data).

    Events: `message` (data is the row), `status` (data is the state), `beat` (nothing new).
    Without a cursor it begins with what comes next. A store that is away is waited for.
    """
    person_id: int | None = None
    told: str | None = None
    pause = 0.5
    loop = asyncio.get_running_loop()
    while True:
        try:
            async with store.read(quick=True) as connection:
                newest = await latest_cursor(connection)
                if cursor is None:
                    cursor = newest
                elif cursor > newest:
                    # From before a restore of the database: the page is told everything again, and
                    # leaves out what it shows already.
                    cursor = (0, 0)
                person_id = await person_id_of(connection, person)
        except StoreUnavailableError:
            yield ("beat", None, None)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            continue
        if person_id is not None:
            break
        yield ("beat", None, None)
        await asyncio.sleep(POLL_SECONDS)
    beat_at = loop.time() + BEAT_SECONDS
    with wakes.listen(person_id) as ear:
        while True:
            try:
                look = await _look(store, person_id, cursor)
            except StoreUnavailableError:
                yield ("beat", None, None)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                continue
            pause = 0.5
            for place, row in look.rows:
                yield ("message", place, row)
            cursor = look.cursor
            if look.state != told and not look.more:
                told = look.state
                yield ("status", cursor, told)
            if look.more:
                continue
            await wait_any(ear, max(0.0, beat_at - loop.time()))
            if loop.time() >= beat_at:
                beat_at = loop.time() + BEAT_SECONDS
                yield ("beat", None, None)


def frame(event: str, place: Cursor | None, data: Any) -> str:
    """One event as it goes over the line."""
    if event == "beat":
        return BEAT
    where = "" if place is None else f"id: {place[0]}.{place[1]}\n"
    return f"{where}event: {event}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
