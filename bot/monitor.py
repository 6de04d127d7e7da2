"""What an operator sees of one gateway: /healthz and /readyz on both listeners, /metrics on the desk's.

The figures of the database are read when somebody asks, at most once in a few seconds, so that ten
watchers cost no more than one. Each gateway answers for itself; what stands in the database is the
same in all of them (take the maximum, not the sum).
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from sanic import HTTPResponse, Request, Sanic, json, raw
from sanic.http.http1 import Http
from sqlalchemy import distinct, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import metrics
from bot.conversations import standing
from bot.core import Core
from bot.errors import StoreUnavailableError
from bot.store.record import now
from bot.store.tables import Alarm, Conversation, Due, Message, Outbox

GRADES = ("P1", "P2", "P3", "P4")
KEEP_SECONDS = 4.0
READ_SECONDS = 5.0
OVERDUE = timedelta(seconds=10)
"""A clock is late when no gateway did it so long after its time; they look once a second."""
UNREAD = timedelta(seconds=30)


def _gauge(name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
    return Gauge(f"frontcounter_{name}", text, labels, registry=metrics.REGISTRY)


QUEUE = _gauge("queue_waiting", "Conversations that wait for a person.", ["grade"])
QUEUE_OLDEST = _gauge("queue_oldest_seconds", "How long the first of them has waited.", ["grade"])
CONVERSATIONS = _gauge("conversations", "Open conversations, by who may answer.", ["state"])
OWNERS = _gauge("owners", "Members of staff who own a conversation now.")
OUTBOX = _gauge("outbox", "Replies that are queued or being sent.", ["state", "channel"])
OUTBOX_OLDEST = _gauge("outbox_oldest_seconds", "How long the oldest reply has been due.")
UNREAD_MESSAGES = _gauge("messages_unread", "Messages that no turn has read for half a minute.")
ALARMS = _gauge("alarms_open", "Alarms that nobody has settled.", ["kind"])
OVERDUE_CLOCKS = _gauge("clocks_overdue", "Clocks that no gateway has run in time.")
DEGRADED = _gauge(
    "channel_degraded",
    "What is wrong with our account on a platform; the desk says why.",
    ["channel", "what"],
)
FIGURES_AT = _gauge("figures_timestamp_seconds", "When the figures of the database were last read.")


@dataclass(slots=True)
class Monitor:
    """Answers for one gateway."""

    core: Core
    stopping: bool = False
    """Set when the gateway was told to stop: from then on it is not ready."""
    _read_at: float = 0.0
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    def add_to(self, app: Sanic[Any, Any], listener: str, *, inside: bool) -> None:
        """Add the routes to a listener; /metrics only to the one `inside`."""
        app.add_route(self.healthz, "/healthz", methods=["GET"], name="healthz")
        readyz = functools.partial(self.readyz, inside=inside)
        app.add_route(readyz, "/readyz", methods=["GET"], name="readyz")
        if inside:
            app.add_route(self.metrics, "/metrics", methods=["GET"], name="metrics")

        @app.on_response  # type: ignore[untyped-decorator]
        async def _answered(request: Request, response: HTTPResponse) -> None:
            metrics.RESPONSES.labels(listener, f"{response.status // 100}xx").inc()
            if self.stopping and isinstance(request.stream, Http):
                # The next request of this client is to go to a gateway that stays.
                request.stream.keep_alive = False

    async def healthz(self, _request: Request) -> HTTPResponse:
        """The process runs and its loop turns."""
        return json({"ok": True})

    async def readyz(self, _request: Request, *, inside: bool = False) -> HTTPResponse:
        """Whether this gateway should get traffic: its database answers, and it is not stopping.

        Without Rasa or Redis the gateway still does its duty: only the store is vital. `inside` it says
        too what is wrong with our accounts on platforms: nothing to stop for, and not for everybody.
        """
        body = await self._parts()
        is_ready = body["store"] and not self.stopping
        metrics.READY.set(is_ready)
        wrong = await self._degraded() if inside and body["store"] else {}
        return json({**body, "stopping": self.stopping, **wrong}, status=200 if is_ready else 503)

    async def _degraded(self) -> dict[str, Any]:
        try:
            async with asyncio.timeout(READ_SECONDS), self.core.store.read() as connection:
                return {"degraded": await standing.degraded(connection)}
        except (StoreUnavailableError, TimeoutError):
            return {}

    async def _parts(self) -> dict[str, bool]:
        core = self.core
        store = core.started and await core.store.ping()
        found = {
            "store": store,
            "assistant": await core.assistant.is_ready(),
            "redis": core.bell.connected,
        }
        for what, is_up in found.items():
            metrics.UP.labels(what).set(is_up)
        return found

    async def metrics(self, _request: Request) -> HTTPResponse:
        """Every figure, in Prometheus' text format."""
        found = await self._parts()
        metrics.READY.set(found["store"] and not self.stopping)
        metrics.TURNS_RUNNING.set(self.core.turns.running)
        for replica, is_resting in self.core.assistant.resting().items():
            metrics.RESTING.labels(replica).set(is_resting)
        if found["store"]:
            await self._read_figures()
        return raw(generate_latest(metrics.REGISTRY), content_type=CONTENT_TYPE_LATEST)

    async def _read_figures(self) -> None:
        async with self._reading:
            if time.monotonic() - self._read_at < KEEP_SECONDS:
                return
            try:
                async with asyncio.timeout(READ_SECONDS), self.core.store.read() as connection:
                    await _figures(connection)
            except (StoreUnavailableError, TimeoutError):
                return
            self._read_at = time.monotonic()
            FIGURES_AT.set_to_current_time()


async def _figures(connection: AsyncConnection) -> None:
    """Read what stands in the database: each query looks at open rows only, by an index."""
    moment = now()
    open_rows = (
        await connection.execute(
            select(
                Conversation.state,
                Conversation.grade,
                func.count().label("number"),
                func.min(Conversation.waiting_since).label("first"),
            )
            .where(Conversation.state.in_(("bot", "waiting", "human")))
            .group_by(Conversation.state, Conversation.grade)
        )
    ).all()
    _queue(open_rows, moment)
    OWNERS.set(
        (
            await connection.execute(
                select(func.count(distinct(Conversation.owner_id))).where(Conversation.state == "human")
            )
        ).scalar_one()
    )
    await _outbox(connection, moment)
    UNREAD_MESSAGES.set(
        await _count(connection, Message.handled.is_(False), Message.received_at < moment - UNREAD)
    )
    OVERDUE_CLOCKS.set(await _count(connection, Due.done_at.is_(None), Due.due_at < moment - OVERDUE))
    alarms = await connection.execute(
        select(Alarm.kind, func.count()).where(Alarm.settled_at.is_(None)).group_by(Alarm.kind)
    )
    _set_all(ALARMS, {(kind,): number for kind, number in alarms.all()})
    wrong = await standing.degraded(connection)
    _set_all(DEGRADED, {(channel, what): 1 for channel, topics in wrong.items() for what in topics})


def _queue(rows: Sequence[Any], moment: datetime) -> None:
    waiting = {row.grade or "P4": row for row in rows if row.state == "waiting"}
    for grade in GRADES:
        row = waiting.get(grade)
        QUEUE.labels(grade).set(row.number if row else 0)
        oldest = (moment - row.first).total_seconds() if row is not None and row.first else 0.0
        QUEUE_OLDEST.labels(grade).set(max(0.0, oldest))
    for state in ("bot", "waiting", "human"):
        CONVERSATIONS.labels(state).set(sum(row.number for row in rows if row.state == state))


async def _outbox(connection: AsyncConnection, moment: datetime) -> None:
    rows = (
        await connection.execute(
            select(
                Outbox.state, Outbox.channel, func.count().label("number"),
                func.min(Outbox.not_before).label("first"),
            )
            .where(Outbox.state.in_(("queued", "sending")))
            .group_by(Outbox.state, Outbox.channel)
        )
    ).all()  # fmt: skip
    _set_all(OUTBOX, {(row.state, row.channel): row.number for row in rows})
    firsts = [row.first for row in rows if row.first is not None]
    OUTBOX_OLDEST.set(max(0.0, (moment - min(firsts)).total_seconds()) if firsts else 0.0)


async def _count(connection: AsyncConnection, *where: Any) -> int:
    return int((await connection.execute(select(func.count()).where(*where))).scalar_one())


def _set_all(gauge: Gauge, values: Mapping[tuple[str, ...], int]) -> None:
    """Set these; what was there before and is gone now becomes 0."""
    for sample in next(iter(gauge.collect())).samples:
        gauge.labels(**sample.labels).set(0)
    for labels, number in values.items():
        gauge.labels(*labels).set(number)
